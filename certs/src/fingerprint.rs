//! Certificate fingerprints: parsed, printed, compared.
//!
//! What enters: the text that a person copied from a browser, or a certificate's DER. What leaves: a [`Fingerprint`].
//! The grammar is that of the ESP8266 core's `setFingerprint` (2.5 and later), for SHA-256 as well as SHA-1, with one
//! difference: the core ignores a separator after the last byte, and this parser refuses it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha1::Digest;
use subtle::ConstantTimeEq;

/// The digest of a certificate's DER, as browsers show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fingerprint {
    /// SHA-1: 20 bytes.
    Sha1([u8; 20]),
    /// SHA-256: 32 bytes.
    Sha256([u8; 32]),
}

impl Fingerprint {
    /// Parses 20 or 32 bytes. Each byte is two hexadecimal digits in upper or lower case. Between two bytes there may be
    /// any number of spaces and colons.
    ///
    /// # Errors
    /// The text is not a fingerprint. The error has the column (in characters, counted from 1) of the first mistake.
    pub fn parse(text: &str) -> Result<Self, FingerprintError> {
        let mut bytes = Vec::with_capacity(32);
        let mut characters = text.chars().zip(1..).peekable();
        while let Some((high, column)) = characters.next() {
            if bytes.len() == 32 {
                return Err(FingerprintError::new(column, FingerprintProblem::TooLong));
            }
            let Some(high) = nibble(high) else {
                let problem = match high {
                    ' ' | ':' => FingerprintProblem::LeadingSeparator,
                    other => FingerprintProblem::NotHexadecimal(other),
                };
                return Err(FingerprintError::new(column, problem));
            };
            let Some((low, column)) = characters.next() else {
                return Err(FingerprintError::new(column, FingerprintProblem::HalfByte));
            };
            let Some(low) = nibble(low) else {
                let problem = match low {
                    ' ' | ':' => FingerprintProblem::SplitByte,
                    other => FingerprintProblem::NotHexadecimal(other),
                };
                return Err(FingerprintError::new(column, problem));
            };
            bytes.push(high << 4 | low);
            let separator = characters.peek().map(|(_, column)| *column);
            while characters.next_if(|(c, _)| matches!(c, ' ' | ':')).is_some() {}
            if let (Some(column), None) = (separator, characters.peek()) {
                return Err(FingerprintError::new(column, FingerprintProblem::TrailingSeparator));
            }
        }
        Self::from_bytes(&bytes)
            .ok_or_else(|| FingerprintError::new(text.chars().count() + 1, FingerprintProblem::Length(bytes.len())))
    }

    /// A fingerprint of 20 (SHA-1) or 32 (SHA-256) bytes; `None` for any other length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if let Ok(sha1) = bytes.try_into() {
            return Some(Self::Sha1(sha1));
        }
        bytes.try_into().ok().map(Self::Sha256)
    }

    /// SHA-1 of a certificate's DER.
    #[must_use]
    pub fn sha1_of(der: &[u8]) -> Self {
        Self::Sha1(sha1::Sha1::digest(der).into())
    }

    /// SHA-256 of a certificate's DER.
    #[must_use]
    pub fn sha256_of(der: &[u8]) -> Self {
        Self::Sha256(sha2::Sha256::digest(der).into())
    }

    /// The digest of `der` by the same algorithm as this fingerprint's.
    #[must_use]
    pub fn of_der(&self, der: &[u8]) -> Self {
        match self {
            Self::Sha1(_) => Self::sha1_of(der),
            Self::Sha256(_) => Self::sha256_of(der),
        }
    }

    /// Whether the certificate `der` has this fingerprint, compared in constant time.
    #[must_use]
    pub fn matches(&self, der: &[u8]) -> bool {
        self.of_der(der).as_bytes().ct_eq(self.as_bytes()).into()
    }

    /// The digest's bytes: 20 or 32.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }

    /// Upper-case bytes joined by spaces (`AB CD EF ...`), as older browsers show them.
    #[must_use]
    pub fn spaced(&self) -> String {
        self.joined(" ")
    }

    /// Lower-case digits without separators, as `sha1sum` prints them.
    #[must_use]
    pub fn compact(&self) -> String {
        self.joined("").to_lowercase()
    }

    /// The same fingerprint with one bit changed: a pin that is almost right. Byte 0 is the first byte of the text, and
    /// bit 0 is the least significant bit of a byte. Counts that are too large wrap around.
    #[must_use]
    pub fn with_bit_flipped(mut self, byte: usize, bit: usize) -> Self {
        let bytes: &mut [u8] = match &mut self {
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        };
        let length = bytes.len();
        bytes[byte % length] ^= 1 << (bit % 8);
        self
    }

    fn joined(&self, separator: &str) -> String {
        let digits: Vec<_> = self.as_bytes().iter().map(|b| format!("{b:02X}")).collect();
        digits.join(separator)
    }
}

/// Upper-case bytes joined by colons, as browsers and `openssl x509 -fingerprint` show them.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined(":"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match self {
            Self::Sha1(_) => "Sha1",
            Self::Sha256(_) => "Sha256",
        };
        write!(f, "{algorithm}({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        Self::parse(text)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// Where and why a text is not a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fingerprint, column {column}: {problem}")]
pub struct FingerprintError {
    /// The column of the mistake, counted in characters from 1. If something is missing, it is one past the last character.
    pub column: usize,
    /// What is wrong there.
    pub problem: FingerprintProblem,
}

impl FingerprintError {
    fn new(column: usize, problem: FingerprintProblem) -> Self {
        Self { column, problem }
    }
}

/// What is wrong with the text of a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FingerprintProblem {
    /// A space or colon before the first byte.
    #[error("a separator before the first byte; begin with a hexadecimal digit")]
    LeadingSeparator,
    /// A space or colon after the last byte.
    #[error("a separator after the last byte; end with a hexadecimal digit")]
    TrailingSeparator,
    /// A character that is neither a hexadecimal digit nor a separator.
    #[error("{0:?} is not a hexadecimal digit; separate bytes by spaces, colons or nothing")]
    NotHexadecimal(char),
    /// A separator between the two digits of a byte.
    #[error("a separator inside a byte; write each byte as two digits together")]
    SplitByte,
    /// The text ends after the first digit of a byte.
    #[error("the last byte has only one digit; write each byte as two digits")]
    HalfByte,
    /// More than 32 bytes.
    #[error("more than 32 bytes; SHA-1 has 20 and SHA-256 has 32")]
    TooLong,
    /// A number of bytes that neither algorithm gives.
    #[error("{0} bytes; SHA-1 has 20 and SHA-256 has 32")]
    Length(usize),
}

fn nibble(c: char) -> Option<u8> {
    c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPACT: &str = "000102030405060708090a0b0c0d0e0f10111213";

    fn twenty() -> Fingerprint {
        Fingerprint::Sha1(std::array::from_fn(|i| i as u8))
    }

    #[test]
    fn accepts_every_way_of_writing_the_same_bytes() {
        let colons = twenty().to_string();
        assert_eq!(colons, "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13");
        let mixed = format!("00 01: :02{}", &colons[8..].replacen(':', "", 3).to_lowercase());
        for text in [
            COMPACT,
            &COMPACT.to_uppercase(),
            &colons,
            &colons.to_lowercase(),
            &twenty().spaced(),
            &colons.replace(':', "::  ::"),
            &mixed,
        ] {
            assert_eq!(Fingerprint::parse(text), Ok(twenty()), "{text:?}");
        }
    }

    #[test]
    fn refuses_anything_else_and_says_where() {
        use FingerprintProblem as P;
        let cases: &[(&str, usize, P)] = &[
            ("", 1, P::Length(0)),
            (" 00", 1, P::LeadingSeparator),
            (":00", 1, P::LeadingSeparator),
            ("00:01: ", 6, P::TrailingSeparator),
            ("000102030405060708090a0b0c0d0e0f10111213 ", 41, P::TrailingSeparator),
            ("0", 1, P::HalfByte),
            ("00:1", 4, P::HalfByte),
            ("00:0 1", 5, P::SplitByte),
            ("00:0:1", 5, P::SplitByte),
            ("00-01", 3, P::NotHexadecimal('-')),
            ("0x00", 2, P::NotHexadecimal('x')),
            ("00:01:gg", 7, P::NotHexadecimal('g')),
            ("00\t01", 3, P::NotHexadecimal('\t')),
            ("00:0١", 5, P::NotHexadecimal('١')),
            ("é", 1, P::NotHexadecimal('é')),
            ("000102030405060708090a0b0c0d0e0f101112", 39, P::Length(19)),
            ("000102030405060708090a0b0c0d0e0f1011121314", 43, P::Length(21)),
            ("000102030405060708090a0b0c0d0e0f10111213;", 41, P::NotHexadecimal(';')),
            (
                "000102030405060708090a0b0c0d0e0f10111213\n",
                41,
                P::NotHexadecimal('\n'),
            ),
        ];
        for (text, column, problem) in cases {
            let expected = FingerprintError::new(*column, problem.clone());
            assert_eq!(Fingerprint::parse(text), Err(expected), "{text:?}");
        }
        let too_long = "ab".repeat(33);
        assert_eq!(
            Fingerprint::parse(&too_long),
            Err(FingerprintError::new(65, P::TooLong))
        );
    }

    #[test]
    fn an_error_reads_as_a_sentence_with_its_column() {
        let error = Fingerprint::parse("AB:C D").unwrap_err().to_string();
        assert_eq!(
            error,
            "fingerprint, column 5: a separator inside a byte; write each byte as two digits together"
        );
    }

    #[test]
    fn sha256_is_told_from_sha1_by_its_length() {
        let text = "ab".repeat(32);
        let parsed = Fingerprint::parse(&text).unwrap();
        assert_eq!(parsed, Fingerprint::Sha256([0xab; 32]));
        assert_eq!(parsed.compact(), text);
    }

    #[test]
    fn one_flipped_bit_no_longer_matches() {
        let der = b"any bytes";
        for pin in [Fingerprint::sha1_of(der), Fingerprint::sha256_of(der)] {
            assert!(pin.matches(der));
            for byte in 0..pin.as_bytes().len() {
                for bit in 0..8 {
                    assert!(!pin.with_bit_flipped(byte, bit).matches(der));
                    assert_eq!(pin.with_bit_flipped(byte, bit).with_bit_flipped(byte, bit), pin);
                }
            }
        }
    }
}
