//! The ClientHello, read as facts (RFC 8446 section 4.1.2).
//!
//! What enters: the body of a ClientHello message. What leaves: [`ClientHelloFacts`] for people, and the few raw
//! fields that the rogue server answers. It does not judge: an odd ClientHello is reported, not refused.

use std::fmt;

use serde::Serialize;

use crate::drawn::{Drawn, DrawnFor};
use crate::names;

/// What a client offered, by the names that the IANA registries print.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClientHelloFacts {
    /// The host name of the server_name extension (RFC 6066 section 3).
    pub server_name: Option<String>,
    /// The protocols of the ALPN extension (RFC 7301).
    pub alpn: Vec<String>,
    /// The versions of supported_versions; the legacy version where that extension is absent.
    pub versions: Vec<String>,
    /// The cipher suites, in the client's order.
    pub cipher_suites: Vec<String>,
    /// The groups of supported_groups.
    pub groups: Vec<String>,
    /// The groups for which the client sent a key share.
    pub key_shares: Vec<String>,
    /// The schemes of signature_algorithms.
    pub signature_schemes: Vec<String>,
    /// The plaintext limit of max_fragment_length (RFC 6066 section 4), in bytes.
    pub max_fragment_length: Option<u16>,
    /// The limit of record_size_limit (RFC 8449), in bytes.
    pub record_size_limit: Option<u16>,
    /// What the client chose freely: its random, its session id and its key shares. They differ from run to run, so they
    /// are not in the lane.
    pub drawn: Vec<Drawn>,
}

impl fmt::Display for ClientHelloFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.server_name.as_deref().unwrap_or("none");
        write!(f, "name {name}")?;
        for (title, list) in [
            ("versions", &self.versions),
            ("suites", &self.cipher_suites),
            ("groups", &self.groups),
            ("key shares", &self.key_shares),
            ("signatures", &self.signature_schemes),
            ("alpn", &self.alpn),
        ] {
            if !list.is_empty() {
                write!(f, "; {title} {}", list.join(", "))?;
            }
        }
        if let Some(limit) = self.max_fragment_length {
            write!(f, "; max fragment length {limit}")?;
        }
        if let Some(limit) = self.record_size_limit {
            write!(f, "; record size limit {limit}")?;
        }
        Ok(())
    }
}

/// A parsed ClientHello.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientHello {
    pub(crate) facts: ClientHelloFacts,
    /// The whole handshake message, for the transcript hash.
    pub(crate) message: Vec<u8>,
    pub(crate) random: Vec<u8>,
    pub(crate) session_id: Vec<u8>,
    pub(crate) cipher_suites: Vec<u16>,
    pub(crate) versions: Vec<u16>,
    /// In the client's order.
    pub(crate) key_shares: Vec<KeyShare>,
    pub(crate) signature_schemes: Vec<u16>,
}

/// The client's half of one key exchange.
#[derive(Clone, Debug)]
pub(crate) struct KeyShare {
    pub(crate) group: u16,
    pub(crate) value: Vec<u8>,
}

impl ClientHello {
    /// Reads a whole handshake message; `None` if it is another message or a length in it runs past the end.
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        const CLIENT_HELLO: u8 = 1;
        let (&[CLIENT_HELLO, ..], body) = message.split_first_chunk::<4>()? else {
            return None;
        };
        let mut body = Reader(body);
        let legacy_version = body.u16()?;
        let mut hello = Self {
            message: message.to_vec(),
            random: body.take(32)?.to_vec(),
            session_id: body.vector8()?.0.to_vec(),
            cipher_suites: body.vector16()?.all_u16()?,
            ..Self::default()
        };
        body.vector8()?; // compression methods
        // A client of SSL 3.0 ends here, without extensions.
        let mut extensions = if body.0.is_empty() { body } else { body.vector16()? };
        while !extensions.0.is_empty() {
            let kind = extensions.u16()?;
            let extension = extensions.vector16()?;
            hello.read_extension(kind, extension)?;
        }
        if hello.versions.is_empty() {
            hello.versions.push(legacy_version);
        }
        hello.name_facts();
        Some(hello)
    }

    fn read_extension(&mut self, kind: u16, mut extension: Reader<'_>) -> Option<()> {
        match kind {
            SERVER_NAME => {
                let mut names = extension.vector16()?;
                while !names.0.is_empty() {
                    let name_type = names.u8()?;
                    let name = names.vector16()?;
                    if name_type == 0 {
                        self.facts.server_name = Some(String::from_utf8_lossy(name.0).into_owned());
                    }
                }
            }
            MAX_FRAGMENT_LENGTH => {
                let code = extension.u8()?;
                self.facts.max_fragment_length = (1..=4).contains(&code).then(|| 256 << code);
            }
            SUPPORTED_GROUPS => {
                self.facts.groups = extension.vector16()?.names(names::group)?;
            }
            SIGNATURE_ALGORITHMS => {
                self.signature_schemes = extension.vector16()?.all_u16()?;
            }
            ALPN => {
                let mut protocols = extension.vector16()?;
                while !protocols.0.is_empty() {
                    let protocol = protocols.vector8()?;
                    self.facts.alpn.push(String::from_utf8_lossy(protocol.0).into_owned());
                }
            }
            RECORD_SIZE_LIMIT => self.facts.record_size_limit = Some(extension.u16()?),
            SUPPORTED_VERSIONS => self.versions = extension.vector8()?.all_u16()?,
            KEY_SHARE => {
                let mut shares = extension.vector16()?;
                while !shares.0.is_empty() {
                    let group = shares.u16()?;
                    let value = shares.vector16()?.0.to_vec();
                    self.key_shares.push(KeyShare { group, value });
                }
            }
            _ => {}
        }
        Some(())
    }

    fn drawn(&self) -> Vec<Drawn> {
        let value = |what, value: &[u8]| Drawn {
            what,
            value: value.to_vec(),
        };
        let id = (!self.session_id.is_empty() && self.versions.contains(&TLS_1_3))
            .then(|| value(DrawnFor::SessionId, &self.session_id));
        let shares = self.key_shares.iter().filter(|share| !is_grease(share.group));
        [value(DrawnFor::Random, &self.random)]
            .into_iter()
            .chain(id)
            .chain(shares.map(|share| value(DrawnFor::KeyShare(share.group), &share.value)))
            .collect()
    }

    fn name_facts(&mut self) {
        let facts = &mut self.facts;
        facts.versions = self.versions.iter().map(|&code| names::version(code)).collect();
        facts.cipher_suites = self.cipher_suites.iter().map(|&code| names::suite(code)).collect();
        facts.key_shares = self.key_shares.iter().map(|share| names::group(share.group)).collect();
        facts.signature_schemes = self
            .signature_schemes
            .iter()
            .map(|&code| names::signature_scheme(code))
            .collect();
        self.facts.drawn = self.drawn();
    }
}

// Extension types, from the TLS ExtensionType Values registry.
const SERVER_NAME: u16 = 0;
const MAX_FRAGMENT_LENGTH: u16 = 1;
const SUPPORTED_GROUPS: u16 = 10;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const RECORD_SIZE_LIMIT: u16 = 28;
const SUPPORTED_VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;

const TLS_1_3: u16 = 0x0304;

/// Whether a code point is reserved for clients that offer values without a meaning; its key share is one byte (RFC 8701).
fn is_grease(code: u16) -> bool {
    let [high, low] = code.to_be_bytes();
    high == low && low & 0x0F == 0x0A
}

/// The presentation language of RFC 8446 section 3: big-endian numbers and length-prefixed vectors.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn vector8(&mut self) -> Option<Self> {
        let length = self.u8()?;
        self.take(length.into()).map(Self)
    }

    fn vector16(&mut self) -> Option<Self> {
        let length = self.u16()?;
        self.take(length.into()).map(Self)
    }

    fn all_u16(mut self) -> Option<Vec<u16>> {
        let mut numbers = Vec::with_capacity(self.0.len() / 2);
        while !self.0.is_empty() {
            numbers.push(self.u16()?);
        }
        Some(numbers)
    }

    fn names(self, name: fn(u16) -> String) -> Option<Vec<String>> {
        Some(self.all_u16()?.into_iter().map(name).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![1, 0, 0, 0, 3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 4, 0x13, 0x01, 0x0a, 0x0a, 1, 0]);
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
        body
    }

    #[test]
    fn an_unregistered_code_point_keeps_its_number() {
        let parsed = ClientHello::parse(&hello(&[0, 1, 0, 1, 4])).unwrap();
        assert_eq!(
            parsed.facts.to_string(),
            "name none; versions TLS 1.2; suites TLS_AES_128_GCM_SHA256, 0x0a0a; max fragment length 4096"
        );
    }

    #[test]
    fn no_truncation_and_no_wrong_length_is_taken_for_a_hello() {
        let whole = hello(&[0, 43, 0, 3, 2, 3, 4, 0, 10, 0, 4, 0, 2, 0, 23]);
        assert_eq!(ClientHello::parse(&whole).unwrap().versions, [0x0304]);
        let without_extensions = hello(&[]).len() - 2;
        for length in (0..whole.len()).filter(|&length| length != without_extensions) {
            assert!(ClientHello::parse(&whole[..length]).is_none(), "{length} bytes");
        }
    }
}
