//! What a client draws at random, as values.
//!
//! What enters: bytes that a client has sent in clear. What leaves: [`Drawn`], with what the bytes are for. It judges nothing.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::names;

/// A value that a client chooses freely, and that nothing else may predict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Drawn {
    /// What it is for; serialised as text.
    pub what: DrawnFor,
    /// The value; serialised as hexadecimal digits.
    #[serde(serialize_with = "hexadecimal")]
    pub value: Vec<u8>,
}

/// What a value is for that a client draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DrawnFor {
    /// The random of a ClientHello: 32 bytes (RFC 8446 section 4.1.2).
    Random,
    /// The legacy session id of a client that offers TLS 1.3 (RFC 8446 section 4.1.2): one to 32 bytes. An empty one is
    /// lawful and is not recorded. Older clients repeat the id that a server gave them, which is lawful too.
    SessionId,
    /// A key share for the group with this code point (RFC 8446 section 4.2.8).
    KeyShare(u16),
    /// The client's half of the key exchange in TLS 1.2 (RFC 5246 section 7.4.7): a point, or an encrypted secret.
    KeyExchange,
}

impl fmt::Display for DrawnFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("random"),
            Self::SessionId => f.write_str("session id"),
            Self::KeyShare(group) => write!(f, "{} key share", names::group(*group)),
            Self::KeyExchange => f.write_str("key exchange"),
        }
    }
}

impl Serialize for DrawnFor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn hexadecimal<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let text: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    serializer.serialize_str(&text)
}
