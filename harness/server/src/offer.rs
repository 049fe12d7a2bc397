//! What an honest server offers: versions, cipher suites, groups, and how it sends.
//!
//! What enters: names as the IANA TLS registries print them. What leaves: an [`Honest`] offer of things that rustls can
//! do, or an [`UnknownName`] with the names that there are.

use std::fmt;
use std::str::FromStr;

use rustls::crypto::ring::default_provider;
use serde::{Deserialize, Deserializer, Serialize};

use crate::bounded::Bounded;
use crate::from_text::from_text;
use crate::names;

/// The content of a record, in bytes: rustls splits no finer than 32, and a record has at most 2^14 (RFC 8446 section
/// 5.1).
pub type RecordSize = Bounded<32, { 1 << 14 }>;

/// A count of session tickets: a client that says how many it wants does so in one byte (RFC 9149 section 3).
pub type TicketCount = Bounded<0, 255>;

/// What an honest server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Honest {
    /// The protocol versions; at least one.
    pub versions: Vec<TlsVersion>,
    /// How many session tickets it sends after a TLS 1.3 handshake.
    pub tickets: TicketCount,
    /// The cipher suites; empty for all that rustls has.
    pub suites: Vec<Suite>,
    /// The groups of the key exchange; empty for all that rustls has.
    pub groups: Vec<Group>,
    /// The most bytes of content in one of its records; `None` for 2^14.
    pub record_size: Option<RecordSize>,
    /// Whether it changes its keys in the middle of the reply, which only TLS 1.3 can do (RFC 8446 section 4.6.3).
    pub key_update: bool,
}

impl Default for Honest {
    /// Both versions, and the two tickets that servers on the Internet commonly send.
    fn default() -> Self {
        Self {
            versions: vec![TlsVersion::Tls13, TlsVersion::Tls12],
            tickets: TicketCount::new(2).expect("2 is a count"),
            suites: Vec::new(),
            groups: Vec::new(),
            record_size: None,
            key_update: false,
        }
    }
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum TlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        })
    }
}

/// A cipher suite that an honest server can offer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Suite(u16);

impl Suite {
    /// Every suite that rustls has, in its order of preference.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let suites = default_provider().cipher_suites;
        suites.iter().map(|suite| Self(suite.suite().into())).collect()
    }

    /// The version of the protocol that has this suite.
    #[must_use]
    pub fn version(self) -> TlsVersion {
        // The suites of TLS 1.3 have the first byte 0x13 (RFC 8446 appendix B.4).
        if self.0 >> 8 == 0x13 {
            TlsVersion::Tls13
        } else {
            TlsVersion::Tls12
        }
    }

    /// The number in the TLS Cipher Suites registry.
    pub(crate) fn code(self) -> u16 {
        self.0
    }
}

/// A group of the key exchange that an honest server can offer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Group(u16);

impl Group {
    /// Every group that rustls has, in its order of preference.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let groups = default_provider().kx_groups;
        groups.iter().map(|group| Self(group.name().into())).collect()
    }

    /// The number in the TLS Supported Groups registry.
    pub(crate) fn code(self) -> u16 {
        self.0
    }
}

/// No suite or group that rustls has is called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {kind} is called `{name}`; use one of {}", .known.join(", "))]
pub struct UnknownName {
    kind: &'static str,
    name: String,
    known: Vec<String>,
}

/// Both kinds are numbers with a registered name.
macro_rules! registered {
    ($type:ident, $kind:literal, $name:path) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&$name(self.0))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                let all = Self::all();
                let found = all.iter().find(|known| $name(known.0) == name);
                found.copied().ok_or_else(|| UnknownName {
                    kind: $kind,
                    name: name.to_owned(),
                    known: all.iter().map(ToString::to_string).collect(),
                })
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_text(deserializer)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let names: Vec<String> = Self::all().iter().map(ToString::to_string).collect();
                schemars::json_schema!({ "type": "string", "enum": names })
            }
        }
    };
}

registered!(Suite, "cipher suite", names::suite);
registered!(Group, "group", names::group);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_and_group_is_found_by_its_registered_name() {
        for suite in Suite::all() {
            assert_eq!(suite.to_string().parse(), Ok(suite));
        }
        for group in Group::all() {
            assert_eq!(group.to_string().parse(), Ok(group));
        }
        let error = "TLS_NULL".parse::<Suite>().unwrap_err().to_string();
        assert!(
            error.contains("`TLS_NULL`") && error.contains("TLS_AES_128_GCM_SHA256"),
            "{error}"
        );
    }

    #[test]
    fn a_suite_belongs_to_one_version() {
        let version = |name: &str| name.parse::<Suite>().unwrap().version();
        assert_eq!(version("TLS_CHACHA20_POLY1305_SHA256"), TlsVersion::Tls13);
        assert_eq!(version("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"), TlsVersion::Tls12);
    }
}
