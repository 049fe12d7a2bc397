//! Checks the ServerHello (RFC 8446, section 4.1.3), which comes in clear and decides how everything after it is read.
//!
//! embedded-tls 0.19.0 looks for the key share in it and at nothing else: it takes a ServerHello of TLS 1.2, of a
//! cipher suite that was never offered, with a pre-shared key that was never offered, and a HelloRetryRequest for an
//! ordinary one. What enters: the record's content. What leaves: yes, or the fault and the alert for it. It knows no
//! keys.

use crate::records::RecordFault;

/// The suite that is offered: TLS_AES_128_GCM_SHA256.
const SUITE: u16 = 0x1301;
const TLS_1_2: u16 = 0x0303;
const TLS_1_3: u16 = 0x0304;
const SECP256R1: u16 = 0x0017;
const SERVER_HELLO: u8 = 2;
const SUPPORTED_VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;

/// SHA-256 of "HelloRetryRequest", in the place of the random bytes.
const RETRY: [u8; 32] = [
    0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91, 0xC2, 0xA2, 0x11,
    0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
];
/// How a server that could do better marks a hello of an older version; one more byte tells which.
const DOWNGRADE: &[u8] = b"DOWNGRD";

/// Checks a whole ServerHello, its handshake header included.
///
/// # Errors
/// The fault, which ends the handshake.
pub fn check(message: &[u8]) -> Result<(), RecordFault> {
    let mut rest = Fields(message);
    let kind = rest.byte()?;
    if kind != SERVER_HELLO {
        return Err(RecordFault::Unexpected);
    }
    let length = usize::from(rest.byte()?) << 16 | usize::from(rest.word()?);
    if length > rest.0.len() {
        return Err(RecordFault::Fragmented);
    }
    if length < rest.0.len() {
        // What follows it must be encrypted.
        return Err(RecordFault::Unexpected);
    }
    let legacy_version = rest.word()?;
    let random = rest.take(32)?;
    // The ClientHello has none to echo.
    let session_id_length = rest.byte()?;
    let session_id = rest.take(session_id_length.into())?;
    let suite = rest.word()?;
    let compression = rest.byte()?;
    let mut version = legacy_version;
    let mut share = None;
    if !rest.0.is_empty() {
        let extensions_length = rest.word()?;
        let mut extensions = Fields(rest.take(extensions_length.into())?);
        let mut seen = (false, false);
        while !extensions.0.is_empty() {
            let kind = extensions.word()?;
            let length = extensions.word()?;
            let mut content = Fields(extensions.take(length.into())?);
            let again = match kind {
                SUPPORTED_VERSIONS => {
                    version = content.word()?;
                    core::mem::replace(&mut seen.0, true)
                }
                KEY_SHARE => {
                    share = Some(content.word()?);
                    core::mem::replace(&mut seen.1, true)
                }
                // Not offered, or not for this message.
                _ => return Err(RecordFault::UnsupportedExtension),
            };
            if again {
                return Err(RecordFault::IllegalHello);
            }
        }
    }
    match () {
        () if random == RETRY => Err(RecordFault::HelloRetry),
        () if version != TLS_1_3 && random[24..].starts_with(DOWNGRADE) => Err(RecordFault::Downgrade),
        () if version != TLS_1_3 => Err(RecordFault::Version),
        () if legacy_version != TLS_1_2 || !session_id.is_empty() || compression != 0 || suite != SUITE => {
            Err(RecordFault::IllegalHello)
        }
        () if share != Some(SECP256R1) => Err(RecordFault::IllegalHello),
        () => Ok(()),
    }
}

/// Reads big-endian fields; what ends too early is malformed.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordFault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(RecordFault::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, RecordFault> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn word(&mut self) -> Result<u16, RecordFault> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap();
        [&kind.to_be_bytes(), &length.to_be_bytes(), content].concat()
    }

    fn hello(random: [u8; 32], session_id: &[u8], suite: u16, compression: u8, extensions: &[Vec<u8>]) -> Vec<u8> {
        let extensions = extensions.concat();
        let mut body = vec![3, 3];
        body.extend(random);
        body.push(u8::try_from(session_id.len()).unwrap());
        body.extend(session_id);
        body.extend(suite.to_be_bytes());
        body.push(compression);
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[2], &length[1..], &body].concat()
    }

    fn version(version: u16) -> Vec<u8> {
        extension(43, &version.to_be_bytes())
    }

    fn share(group: u16) -> Vec<u8> {
        let point = [4; 65];
        extension(51, &[&group.to_be_bytes()[..], &[0, 65], &point].concat())
    }

    #[test]
    fn what_was_not_offered_is_not_taken() {
        let good = [version(TLS_1_3), share(SECP256R1)];
        let mut downgrade = [7; 32];
        downgrade[24..].copy_from_slice(b"DOWNGRD\x01");
        for (message, result) in [
            (hello([7; 32], &[], SUITE, 0, &good), Ok(())),
            // The mark counts only where the version is an older one.
            (hello(downgrade, &[], SUITE, 0, &good), Ok(())),
            (hello(RETRY, &[], SUITE, 0, &good), Err(RecordFault::HelloRetry)),
            (hello([7; 32], &[], 0xC02B, 0, &[]), Err(RecordFault::Version)),
            (hello(downgrade, &[], 0xC02B, 0, &[]), Err(RecordFault::Downgrade)),
            (
                hello([7; 32], &[], SUITE, 0, &[share(SECP256R1)]),
                Err(RecordFault::Version),
            ),
            (
                hello([7; 32], &[], SUITE, 0, &[version(0x0305), share(SECP256R1)]),
                Err(RecordFault::Version),
            ),
            (hello([7; 32], &[1], SUITE, 0, &good), Err(RecordFault::IllegalHello)),
            (hello([7; 32], &[], 0x1302, 0, &good), Err(RecordFault::IllegalHello)),
            (hello([7; 32], &[], SUITE, 1, &good), Err(RecordFault::IllegalHello)),
            (
                hello([7; 32], &[], SUITE, 0, &[version(TLS_1_3), share(0x001D)]),
                Err(RecordFault::IllegalHello),
            ),
            (
                hello([7; 32], &[], SUITE, 0, &[version(TLS_1_3)]),
                Err(RecordFault::IllegalHello),
            ),
            (
                hello(
                    [7; 32],
                    &[],
                    SUITE,
                    0,
                    &[version(TLS_1_3), version(TLS_1_3), share(SECP256R1)],
                ),
                Err(RecordFault::IllegalHello),
            ),
            (
                hello(
                    [7; 32],
                    &[],
                    SUITE,
                    0,
                    &[version(TLS_1_3), share(SECP256R1), extension(41, &[0, 0])],
                ),
                Err(RecordFault::UnsupportedExtension),
            ),
        ] {
            assert_eq!(check(&message), result, "{message:x?}");
        }
    }

    #[test]
    fn the_legacy_version_is_that_of_tls_1_2() {
        let message = hello([7; 32], &[], SUITE, 0, &[version(TLS_1_3), share(SECP256R1)]);
        for legacy in [0x0300, 0x0301, 0x0302, 0x0304, 0x7F1C] {
            let mut changed = message.clone();
            changed[4..6].copy_from_slice(&u16::to_be_bytes(legacy));
            assert_eq!(check(&changed), Err(RecordFault::IllegalHello), "{legacy:x}");
        }
    }

    #[test]
    fn cut_and_changed_hellos_are_refused_without_a_panic() {
        let message = hello([7; 32], &[], SUITE, 0, &[version(TLS_1_3), share(SECP256R1)]);
        for length in 0..message.len() {
            assert!(check(&message[..length]).is_err(), "{length}");
        }
        for at in 0..message.len() {
            for value in [0, 1, 2, 0x7F, 0x80, 0xFF] {
                let mut changed = message.clone();
                changed[at] = value;
                let _ = check(&changed);
            }
        }
        assert_eq!(
            check(&[&message[..], &[8, 0, 0, 0]].concat()),
            Err(RecordFault::Unexpected)
        );
        assert_eq!(check(&[8, 0, 0, 0]), Err(RecordFault::Unexpected));
    }
}
