//! What a run must show: `[expect]` and `[then.expect]`.
//!
//! What enters: the table as it was read. What leaves: an [`Expectation`], whose words the console can say. This module
//! judges nothing.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::device::DeviceSettings;
pub use crate::run_result::{Dates, Name, Pin};

/// What device and server must both show.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Expectation {
    /// The device accepts the server, which then sees the request and answers it.
    Accepted {
        /// What the device says of the build.
        build: Build,
        /// What it says of the fingerprint.
        #[serde(default)]
        pin: Pin,
        /// What it says of the certificate's name.
        #[serde(default)]
        name: Name,
        /// What it says of the certificate's validity; `valid` where it was told to check the dates.
        dates: Option<Dates>,
    },
    /// The device refuses the server, which sees no application byte.
    Refused {
        /// The reason that the device gives: `pin-mismatch`, ...
        #[serde(deserialize_with = "word")]
        #[schemars(regex(pattern = r"^[a-z0-9]+(-[a-z0-9]+)*$"))]
        reason: String,
        /// What it says of the fingerprint.
        pin: Pin,
        /// What it says of the certificate's name.
        #[serde(default)]
        name: Name,
    },
    /// The handshake fails, and the server sees no application byte.
    HandshakeFailed {
        /// The reason that the device gives: `timeout-handshake`, ...
        #[serde(deserialize_with = "word")]
        #[schemars(regex(pattern = r"^[a-z0-9]+(-[a-z0-9]+)*$"))]
        reason: String,
        /// What it says of the fingerprint: a match only where the server had proved to hold the certificate's key.
        #[serde(default = "unchecked")]
        pin: Pin,
    },
    /// The device accepts the server, but gets no reply that it can use.
    ResponseFailed {
        /// The reason that the device gives: `timeout-response`, ...
        #[serde(deserialize_with = "word")]
        #[schemars(regex(pattern = r"^[a-z0-9]+(-[a-z0-9]+)*$"))]
        reason: String,
        /// What it says of the fingerprint.
        #[serde(default)]
        pin: Pin,
    },
    /// The device finds no server: nothing was connected.
    Unreachable {
        /// The reason that the device gives: `tcp-refused`, ...
        #[serde(deserialize_with = "word")]
        #[schemars(regex(pattern = r"^[a-z0-9]+(-[a-z0-9]+)*$"))]
        reason: String,
    },
    /// The device has no network: nothing was connected.
    NoNetwork {
        /// The reason that the device gives: `dhcp`, ...
        #[serde(deserialize_with = "word")]
        #[schemars(regex(pattern = r"^[a-z0-9]+(-[a-z0-9]+)*$"))]
        reason: String,
    },
    /// The console refuses a command, and nothing is connected.
    CommandRejected {
        /// The command: `run`, or `set` with the name of a setting, as in `set pin` and `set timeout total`.
        #[serde(deserialize_with = "command")]
        #[schemars(schema_with = "commands")]
        command: String,
        /// The error code that the console gives: `bad-pin`, ...
        #[serde(deserialize_with = "word")]
        #[schemars(regex(pattern = r"^[a-z0-9]+(-[a-z0-9]+)*$"))]
        code: String,
    },
}

fn unchecked() -> Pin {
    Pin::Unchecked
}

/// A reason or a code, as the console writes them.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let word = String::deserialize(deserializer)?;
    let is_part = |part: &str| {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !part.is_empty() && part.bytes().all(letter)
    };
    if word.split('-').all(is_part) {
        return Ok(word);
    }
    let shown = word.escape_debug();
    Err(de::Error::custom(format_args!(
        "`{shown}` is not a word of the console; write lower-case letters, digits and single hyphens, as in `pin-mismatch`"
    )))
}

/// The whole name of a command that a scenario sends, since the beginning of one could mean several.
fn command<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let command = String::deserialize(deserializer)?;
    let all = all_commands();
    if all.contains(&command) {
        return Ok(command);
    }
    Err(de::Error::custom(format_args!(
        "`{}` is not a command that a scenario sends; use one of {}",
        command.escape_debug(),
        all.join(", ")
    )))
}

fn commands(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": all_commands() })
}

fn all_commands() -> Vec<String> {
    let settings = DeviceSettings::names().map(|name| format!("set {name}"));
    settings.into_iter().chain(["run".to_owned()]).collect()
}

impl Expectation {
    /// The command that the console must refuse, if one is expected to be.
    pub(super) fn rejected(&self) -> Option<&str> {
        match self {
            Self::CommandRejected { command, .. } => Some(command),
            _ => None,
        }
    }

    /// The words that reports have for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Refused { .. } => "refused",
            Self::HandshakeFailed { .. } => "handshake failed",
            Self::ResponseFailed { .. } => "response failed",
            Self::Unreachable { .. } => "unreachable",
            Self::NoNetwork { .. } => "no network",
            Self::CommandRejected { .. } => "command rejected",
        }
    }
}

/// What the device says of the build.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Build {
    /// `esp8266/Arduino CI successfull!`
    Success,
    /// `esp8266/Arduino CI has failed`
    Failed,
}
