//! Bytes as hexadecimal digits.
//!
//! What enters: text. What leaves: [`HexBytes`], or an error that names the digits that are not a byte.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::from_text::from_text;

/// Bytes that were written as hexadecimal digits, two a byte. White space between the digits does not matter.
///
/// The text form is that of the writer, with each run of white space as one space, so that a record's header stays
/// apart from its content: `17 0303 ffff`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HexBytes {
    bytes: Vec<u8>,
    written: String,
}

impl HexBytes {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for HexBytes {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        let digits: Vec<char> = text.chars().filter(|digit| !digit.is_whitespace()).collect();
        let bytes = digits
            .chunks(2)
            .map(|pair| {
                // Digits one by one: a number's own parser would take a sign for the first.
                let [high, low] = *pair else { return None };
                let byte = high.to_digit(16)? << 4 | low.to_digit(16)?;
                u8::try_from(byte).ok()
            })
            .zip(digits.chunks(2))
            .map(|(byte, pair)| byte.ok_or_else(|| HexError(pair.iter().collect())))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            bytes,
            written: text.split_whitespace().collect::<Vec<_>>().join(" "),
        })
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for HexBytes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HexBytes".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^\s*([0-9A-Fa-f]\s*[0-9A-Fa-f]\s*)*$" })
    }
}

/// Digits that are not a byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a byte; write two hexadecimal digits for each, as in 17 0303 00ff")]
pub struct HexError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_do_not_matter_and_are_kept_for_people() {
        let read: HexBytes = "17 0303\n\tFFfe 0 1 ".parse().unwrap();
        assert_eq!(read.bytes(), [0x17, 3, 3, 0xff, 0xfe, 1]);
        assert_eq!(read.to_string(), "17 0303 FFfe 0 1");
        assert!("".parse::<HexBytes>().unwrap().bytes().is_empty());
    }

    #[test]
    fn digits_that_are_not_a_byte_are_named() {
        for (text, digits) in [
            ("4x", "4x"),
            ("12 3", "3"),
            ("+1", "+1"),
            ("0x12", "0x"),
            ("12 é3", "é3"),
            ("12 ١2", "١2"),
        ] {
            let error = text.parse::<HexBytes>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{digits}` is not a byte")),
                "{text}: {error}"
            );
        }
    }
}
