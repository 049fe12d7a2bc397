//! Certificate fingerprints: reading what a user writes, comparing in constant time.
//!
//! The grammar is the strict one of the ESP8266 Arduino core since 2.5: pairs of hexadecimal digits in any case,
//! between two pairs any run of spaces or `:` or nothing; no separator at either end, no `0x`, no split pair. 20 bytes
//! are a SHA-1, 32 bytes a SHA-256.

use core::fmt;

use sha1::{Digest, Sha1};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The digest of a certificate's DER that a server must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// 20 bytes.
    Sha1([u8; 20]),
    /// 32 bytes.
    Sha256([u8; 32]),
}

impl Fingerprint {
    /// Reads a fingerprint as a user writes it.
    ///
    /// # Errors
    /// [`FingerprintError`] says what is wrong and at which byte.
    pub fn parse(text: &str) -> Result<Self, FingerprintError> {
        let mut bytes = [0; 32];
        let mut count = 0;
        let mut rest = text.bytes().enumerate().peekable();
        while let Some((at, first)) = rest.next() {
            let (Some(high), Some(low)) = (hex_digit(first), rest.next().and_then(|(_, second)| hex_digit(second)))
            else {
                return Err(FingerprintError::NotHex(at));
            };
            *bytes.get_mut(count).ok_or(FingerprintError::TooLong)? = high << 4 | low;
            count += 1;
            let mut separated = None;
            while let Some((at, _)) = rest.next_if(|(_, byte)| matches!(byte, b' ' | b':')) {
                separated = Some(at);
            }
            if let (Some(at), None) = (separated, rest.peek()) {
                return Err(FingerprintError::NotHex(at));
            }
        }
        match count {
            20 => {
                let mut sha1 = [0; 20];
                sha1.copy_from_slice(&bytes[..20]);
                Ok(Self::Sha1(sha1))
            }
            32 => Ok(Self::Sha256(bytes)),
            _ => Err(FingerprintError::Length(count)),
        }
    }

    /// Whether `der` has this fingerprint; takes as long for a near miss as for a far one.
    #[must_use]
    pub fn matches(&self, der: &[u8]) -> bool {
        match self {
            Self::Sha1(pin) => pin[..].ct_eq(&Sha1::digest(der)[..]).into(),
            Self::Sha256(pin) => pin[..].ct_eq(&Sha256::digest(der)[..]).into(),
        }
    }

    /// The SHA-1 of `der`: what the console reports of a certificate that it has seen.
    #[must_use]
    pub fn sha1_of(der: &[u8]) -> Self {
        Self::Sha1(Sha1::digest(der).into())
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }
}

/// Lower-case hexadecimal digits without separators.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FingerprintError {
    /// Something other than a pair of hexadecimal digits starts at this byte, counted from 0.
    NotHex(usize),
    /// This many bytes, which is neither 20 nor 32.
    Length(usize),
    /// More than 32 bytes.
    TooLong,
}

impl fmt::Display for FingerprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHex(at) => write!(f, "expected two hexadecimal digits at position {}", at + 1),
            Self::Length(count) => write!(f, "{count} bytes; a SHA-1 has 20 and a SHA-256 has 32"),
            Self::TooLong => write!(f, "more than 32 bytes; a SHA-1 has 20 and a SHA-256 has 32"),
        }
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "cf05988908e2fba123450ac30b0f61bfcd1e0f36";

    #[test]
    fn every_accepted_spelling_reads_the_same() {
        let plain = Fingerprint::parse(PLAIN).unwrap();
        for spelling in [
            "CF 05 98 89 08 E2 FB A1 23 45 0A C3 0B 0F 61 BF CD 1E 0F 36",
            "cf:05:98:89:08:e2:fb:a1:23:45:0a:c3:0b:0f:61:bf:cd:1e:0f:36",
            "cf : 05  9889:08e2fba1 23450ac30b0f61bfcd1e0f:::36",
        ] {
            assert_eq!(Fingerprint::parse(spelling), Ok(plain), "{spelling}");
        }
        assert_eq!(std::format!("{plain}"), PLAIN);
    }

    #[test]
    fn the_length_chooses_the_digest() {
        assert!(matches!(Fingerprint::parse(&"ab".repeat(20)), Ok(Fingerprint::Sha1(_))));
        assert!(matches!(
            Fingerprint::parse(&"ab".repeat(32)),
            Ok(Fingerprint::Sha256(_))
        ));
    }

    #[test]
    fn malformed_ones_are_refused_where_they_go_wrong() {
        let long = "ab".repeat(33);
        for (text, error) in [
            ("", FingerprintError::Length(0)),
            ("ab", FingerprintError::Length(1)),
            (&long[..42], FingerprintError::Length(21)),
            (&long, FingerprintError::TooLong),
            (":ab", FingerprintError::NotHex(0)),
            (" ab", FingerprintError::NotHex(0)),
            ("ab ", FingerprintError::NotHex(2)),
            ("ab:", FingerprintError::NotHex(2)),
            ("a b", FingerprintError::NotHex(0)),
            ("abc", FingerprintError::NotHex(2)),
            ("ab-cd", FingerprintError::NotHex(2)),
            ("0xab", FingerprintError::NotHex(0)),
            ("ab\tcd", FingerprintError::NotHex(2)),
            ("gg", FingerprintError::NotHex(0)),
            ("äb", FingerprintError::NotHex(0)),
        ] {
            assert_eq!(Fingerprint::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn one_changed_bit_is_a_mismatch() {
        let der = b"not really a certificate";
        for pin in [
            Fingerprint::sha1_of(der),
            Fingerprint::Sha256(Sha256::digest(der).into()),
        ] {
            assert!(pin.matches(der));
            assert!(!pin.matches(b"not really a certificatf"));
            for bit in 0..pin.bytes().len() * 8 {
                let mut flipped = pin;
                match &mut flipped {
                    Fingerprint::Sha1(bytes) => bytes[bit / 8] ^= 1 << (bit % 8),
                    Fingerprint::Sha256(bytes) => bytes[bit / 8] ^= 1 << (bit % 8),
                }
                assert!(!flipped.matches(der), "bit {bit} of {pin}");
            }
        }
    }
}
