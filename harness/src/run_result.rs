//! What the device says at the end of a run, read once.
//!
//! What enters: the fields of the firmware's result line. What leaves: a [`RunResult`], in which every word is one that
//! pinrig knows, or a [`ResultError`] that names the word that is not.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::language::Fields;

macro_rules! words {
    ($(#[doc = $doc:literal])+ $(#[derive($derive:ident)])? $name:ident { $($(#[doc = $about:literal])+ $(#[$default:ident])? $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
        $(#[derive($derive)])?
        pub enum $name {
            $($(#[doc = $about])+ $(#[$default])? #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            const WORDS: &[(Self, &str)] = &[$((Self::$variant, $word),)+];

            /// The word that result lines and scenario files have for it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Reads the word that the result line has for `key`.
            fn read(key: &'static str, word: &str) -> Result<Self, ResultError> {
                let found = Self::WORDS.iter().find(|(_, known)| *known == word);
                found.map(|(value, _)| *value).ok_or_else(|| ResultError::Unknown {
                    key,
                    word: word.to_owned(),
                    known: Self::WORDS.iter().map(|(_, word)| *word).collect(),
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// How a run ended.
    DeviceOutcome {
        /// The reply says that the build has succeeded.
        Success = "success",
        /// The reply says something else.
        Failed = "failed",
        /// The device did not join its network, or got no address.
        NetworkFailed = "network-failed",
        /// The device found no server: DNS or TCP failed.
        ConnectionFailed = "connection-failed",
        /// TLS failed.
        HandshakeFailed = "handshake-failed",
        /// The device refused the server's certificate.
        Refused = "refused",
        /// The device accepted the server, and got no reply that it can use.
        ResponseFailed = "response-failed",
    }
}

words! {
    /// What the device says of the certificate's fingerprint.
    #[derive(Default)]
    Pin {
        /// It is the pinned one.
        #[default]
        Match = "match",
        /// It is another one.
        Mismatch = "mismatch",
        /// No certificate was compared.
        Unchecked = "unchecked",
    }
}

words! {
    /// What the device says of the certificate's name.
    #[derive(Default)]
    Name {
        /// It is the host's.
        Match = "match",
        /// It is another one.
        Mismatch = "mismatch",
        /// It was not compared.
        #[default]
        Unchecked = "unchecked",
    }
}

words! {
    /// What the device says of the certificate's validity.
    #[derive(Default)]
    Dates {
        /// The date lies within it.
        Valid = "valid",
        /// It is over.
        Expired = "expired",
        /// It has not begun.
        NotYetValid = "not-yet-valid",
        /// It was not compared.
        #[default]
        Unchecked = "unchecked",
    }
}

words! {
    /// What the device says of its own checks of the handshake.
    GuardResult {
        /// The server has proved to hold the key of its certificate.
        Passed = "passed",
        /// It has not.
        Refused = "refused",
        /// It did not come to that.
        Unchecked = "unchecked",
    }
}

/// The result of one run, in the device's words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunResult {
    /// How it ended.
    pub outcome: DeviceOutcome,
    /// Why, where it did not succeed: `pin-mismatch`, ...
    pub reason: Option<String>,
    /// What was found of the fingerprint; `None` where the line does not say.
    pub pin: Option<Pin>,
    /// What was found of the name. The firmware leaves the field out where it did not compare names.
    pub name: Name,
    /// What was found of the dates. The firmware leaves the field out where it did not compare them.
    pub dates: Dates,
    /// What was found of the proof; `None` where the line does not say.
    pub guard: Option<GuardResult>,
    /// The fingerprint of the leaf that was shown, in lower-case hexadecimal; `None` where the line has none.
    pub fingerprint: Option<String>,
    /// How many bytes of a body were printed; `None` where there was no body.
    pub body: Option<u64>,
}

/// A result line that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ResultError {
    /// The line does not say how the run ended.
    #[error("the device's result has no `outcome`; look at its last line")]
    NoOutcome,
    /// The size of the body is not a number.
    #[error("the device's result says body={0}, which is not a number of bytes")]
    NoNumber(String),
    /// A word is not one that pinrig knows.
    #[error("the device's result says {key}={word}, which is not one of {}", .known.join(", "))]
    Unknown {
        /// The field.
        key: &'static str,
        /// Its value.
        word: String,
        /// The values that there are.
        known: Vec<&'static str>,
    },
}

impl RunResult {
    /// Reads the fields of a result line.
    ///
    /// # Errors
    /// When the outcome is missing, or a field has a word that pinrig does not know.
    pub fn read(fields: &Fields) -> Result<Self, ResultError> {
        let outcome = fields.get("outcome").ok_or(ResultError::NoOutcome)?;
        Ok(Self {
            outcome: DeviceOutcome::read("outcome", outcome)?,
            reason: fields.get("reason").map(str::to_owned),
            pin: fields.get("pin").map(|word| Pin::read("pin", word)).transpose()?,
            name: fields
                .get("name")
                .map(|word| Name::read("name", word))
                .transpose()?
                .unwrap_or_default(),
            dates: fields
                .get("dates")
                .map(|word| Dates::read("dates", word))
                .transpose()?
                .unwrap_or_default(),
            guard: fields
                .get("guard")
                .map(|word| GuardResult::read("guard", word))
                .transpose()?,
            fingerprint: fields.get("fingerprint").map(str::to_owned),
            body: fields
                .get("body")
                .map(|bytes| bytes.parse().map_err(|_| ResultError::NoNumber(bytes.to_owned())))
                .transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::MachineLine;

    fn read(result: &str) -> Result<RunResult, ResultError> {
        RunResult::read(&MachineLine::parse(&format!("@x ok run {result}")).unwrap().fields)
    }

    #[test]
    fn a_result_line_is_read_with_what_it_leaves_out() {
        let result = read("outcome=refused pin=mismatch name=match reason=pin-mismatch body=12").unwrap();
        let expected = RunResult {
            outcome: DeviceOutcome::Refused,
            reason: Some("pin-mismatch".to_owned()),
            pin: Some(Pin::Mismatch),
            name: Name::Match,
            dates: Dates::Unchecked,
            guard: None,
            fingerprint: None,
            body: Some(12),
        };
        assert_eq!(result, expected);
        let short = read("outcome=success").unwrap();
        assert_eq!((short.pin, short.name, short.reason), (None, Name::Unchecked, None));
    }

    #[test]
    fn a_word_that_pinrig_does_not_know_is_named() {
        assert_eq!(read("pin=match").unwrap_err(), ResultError::NoOutcome);
        for (line, wanted) in [
            ("outcome=succes", "outcome=succes, which is not one of success"),
            (
                "outcome=success pin=matched",
                "pin=matched, which is not one of match, mismatch, unchecked",
            ),
            ("outcome=success name=", "name=, which is not one of match"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(wanted), "{line}: {error}");
        }
    }
}
