//! Looks at what was decrypted before the TLS library does.
//!
//! embedded-tls 0.19.0 panics on an encrypted record without content and on an unexpected handshake message after the
//! handshake; it takes a handshake whose first message is not EncryptedExtensions, or that goes on after Finished in
//! the same record; and it cannot put together a message that is spread over records. Its errors for what it does
//! refuse say little. So [`CheckedSuite`] is its cipher suite with a check of the plaintext. What enters: plaintext.
//! What leaves: the same plaintext, or a [`RecordFault`]. It knows no certificate.

use core::sync::atomic::{AtomicU16, Ordering};

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::consts::{U0, U12, U16, U54};
use aes_gcm::aead::{self, AeadCore, AeadInPlace, Key, KeyInit, KeySizeUser, Nonce, Tag};
use embedded_tls::TlsCipherSuite;
use sha2::Sha256;

use crate::records::RecordFault;

/// TLS_AES_128_GCM_SHA256 (RFC 8446, appendix B.4) with a check of what was decrypted.
#[derive(Clone, Copy, Debug)]
pub struct CheckedSuite;

impl TlsCipherSuite for CheckedSuite {
    const CODE_POINT: u16 = 0x1301;
    type Cipher = CheckedGcm;
    type KeyLen = U16;
    type IvLen = U12;
    type Hash = Sha256;
    // The library's own formula: the hash, its longest label of 12 bytes, and 10 bytes around it.
    type LabelBufferSize = U54;
}

/// How far the handshake is, or what was wrong with a plaintext.
///
/// The library makes a new cipher from the key for each record and gives it nothing else, so this cannot live in the
/// cipher; it belongs to the one connection that `Watch` is made for.
static PROGRESS: AtomicU16 = AtomicU16::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// In the handshake, after an encrypted message of this type; 0 before the first.
    After(u8),
    /// The handshake is over.
    Established,
    Fault(RecordFault),
}

impl Progress {
    fn load() -> Self {
        Self::decode(PROGRESS.load(Ordering::Relaxed))
    }

    fn store(self) {
        PROGRESS.store(self.encode(), Ordering::Relaxed);
    }

    fn decode(progress: u16) -> Self {
        let [kind, detail] = progress.to_be_bytes();
        match kind {
            0 => Self::After(detail),
            1 => Self::Established,
            2 => Self::Fault(RecordFault::Malformed),
            3 => Self::Fault(RecordFault::Unexpected),
            4 => Self::Fault(RecordFault::Fragmented),
            5 => Self::Fault(RecordFault::KeyUpdate),
            6 => Self::Fault(RecordFault::TooManyCertificates),
            7 => Self::Fault(RecordFault::TooLong),
            8 => Self::Fault(RecordFault::UnsupportedExtension),
            _ => Self::Fault(RecordFault::Alert(detail)),
        }
    }

    fn encode(self) -> u16 {
        let bytes = match self {
            Self::After(message) => [0, message],
            Self::Established => [1, 0],
            Self::Fault(fault) => match fault {
                RecordFault::Unexpected => [3, 0],
                RecordFault::Fragmented => [4, 0],
                RecordFault::KeyUpdate => [5, 0],
                RecordFault::TooManyCertificates => [6, 0],
                RecordFault::TooLong => [7, 0],
                RecordFault::UnsupportedExtension => [8, 0],
                RecordFault::Alert(description) => [9, description],
                _ => [2, 0],
            },
        };
        u16::from_be_bytes(bytes)
    }
}

/// A new connection; there can be one at a time.
pub(crate) fn begin() {
    Progress::After(0).store();
}

/// The handshake is over, unless it failed.
pub(crate) fn establish() {
    if let Progress::After(_) = Progress::load() {
        Progress::Established.store();
    }
}

/// Whether the handshake is over.
pub(crate) fn is_established() -> bool {
    !matches!(Progress::load(), Progress::After(_))
}

/// The first fault that was seen in a plaintext.
pub(crate) fn fault() -> Option<RecordFault> {
    match Progress::load() {
        Progress::Fault(fault) => Some(fault),
        _ => None,
    }
}

/// AES-128-GCM that refuses a plaintext which the library could not bear, as if it had not been authentic.
#[expect(missing_debug_implementations, reason = "holds a key")]
pub struct CheckedGcm(Aes128Gcm);

impl KeySizeUser for CheckedGcm {
    type KeySize = U16;
}

impl KeyInit for CheckedGcm {
    fn new(key: &Key<Self>) -> Self {
        Self(Aes128Gcm::new(key))
    }
}

impl AeadCore for CheckedGcm {
    type NonceSize = U12;
    type TagSize = U16;
    type CiphertextOverhead = U0;
}

impl AeadInPlace for CheckedGcm {
    fn encrypt_in_place_detached(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: &mut [u8],
    ) -> aead::Result<Tag<Self>> {
        self.0.encrypt_in_place_detached(nonce, associated_data, buffer)
    }

    fn decrypt_in_place_detached(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: &mut [u8],
        tag: &Tag<Self>,
    ) -> aead::Result<()> {
        self.0.decrypt_in_place_detached(nonce, associated_data, buffer, tag)?;
        let progress = check(buffer, Progress::load()).unwrap_or_else(Progress::Fault);
        progress.store();
        if let Progress::Fault(_) = progress {
            return Err(aead::Error);
        }
        Ok(())
    }
}

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

const NEW_SESSION_TICKET: u8 = 4;
const ENCRYPTED_EXTENSIONS: u8 = 8;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_REQUEST: u8 = 13;
const CERTIFICATE_VERIFY: u8 = 15;
const FINISHED: u8 = 20;
const KEY_UPDATE: u8 = 24;

/// Extensions (RFC 8446, section 4.2).
const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;

/// The library has room for so many certificates.
const MAX_CERTIFICATES: usize = 16;

/// Checks a TLSInnerPlaintext (RFC 8446, section 5.2): content, its type, and zeros.
fn check(plaintext: &[u8], progress: Progress) -> Result<Progress, RecordFault> {
    let end = plaintext.iter().rposition(|byte| *byte != 0);
    let end = end.ok_or(RecordFault::Malformed)?;
    let (content, kind) = (&plaintext[..end], plaintext[end]);
    if content.len() > 1 << 14 {
        return Err(RecordFault::TooLong);
    }
    match (kind, progress) {
        (HANDSHAKE, Progress::After(last)) => messages(content, last, in_handshake).map(Progress::After),
        (HANDSHAKE, _) => messages(content, 0, established).map(|_| progress),
        (ALERT, _) if content.len() != 2 => Err(RecordFault::Malformed),
        // Only the application knows what close_notify means.
        (ALERT, Progress::Established) if content[1] == 0 => Ok(progress),
        (ALERT, _) => Err(RecordFault::Alert(content[1])),
        (APPLICATION_DATA, Progress::Established) => Ok(progress),
        _ => Err(RecordFault::Unexpected),
    }
}

/// Takes handshake messages one by one; each is `allowed` after the last one or not.
fn messages(
    mut rest: &[u8],
    mut last: u8,
    allowed: fn(u8, &[u8], u8) -> Result<(), RecordFault>,
) -> Result<u8, RecordFault> {
    if rest.is_empty() {
        // RFC 8446, section 5.1: never empty fragments of handshake messages.
        return Err(RecordFault::Malformed);
    }
    while let [message, after @ ..] = rest {
        let [high, middle, low, after @ ..] = after else {
            return Err(RecordFault::Fragmented);
        };
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        // The type comes first: that a wrong message is also spread over records does not matter.
        let body = after.get(..length);
        allowed(*message, body.unwrap_or_default(), last)?;
        if body.is_none() {
            return Err(RecordFault::Fragmented);
        }
        last = *message;
        rest = &after[length..];
    }
    Ok(last)
}

/// RFC 8446, section 4: EncryptedExtensions come first and once, a CertificateRequest directly after them, and nothing
/// after Finished. The guard looks after Certificate and CertificateVerify, and has a name for each of their faults.
fn in_handshake(message: u8, body: &[u8], last: u8) -> Result<(), RecordFault> {
    match (last, message) {
        (0, ENCRYPTED_EXTENSIONS) if has_unasked_extension(body) => Err(RecordFault::UnsupportedExtension),
        (0, ENCRYPTED_EXTENSIONS) | (ENCRYPTED_EXTENSIONS, CERTIFICATE_REQUEST) => Ok(()),
        (0 | FINISHED, _) => Err(RecordFault::Unexpected),
        (_, CERTIFICATE) if certificates(body) > MAX_CERTIFICATES => Err(RecordFault::TooManyCertificates),
        (_, CERTIFICATE | CERTIFICATE_VERIFY | FINISHED) => Ok(()),
        _ => Err(RecordFault::Unexpected),
    }
}

fn established(message: u8, _body: &[u8], _last: u8) -> Result<(), RecordFault> {
    match message {
        NEW_SESSION_TICKET => Ok(()),
        // The library has no way to change its keys.
        KEY_UPDATE => Err(RecordFault::KeyUpdate),
        _ => Err(RecordFault::Unexpected),
    }
}

/// Whether EncryptedExtensions (RFC 8446, section 4.3.1) answers what the ClientHello did not ask, as far as it can be
/// read. Of what the library asks, only the server's name and the groups are answered there.
fn has_unasked_extension(body: &[u8]) -> bool {
    let mut rest = body.get(2..).unwrap_or_default();
    while let [kind_high, kind_low, high, low, after @ ..] = rest {
        if !matches!(
            u16::from_be_bytes([*kind_high, *kind_low]),
            SERVER_NAME | SUPPORTED_GROUPS
        ) {
            return true;
        }
        rest = after
            .get(usize::from(u16::from_be_bytes([*high, *low]))..)
            .unwrap_or_default();
    }
    false
}

/// How many certificates a Certificate message (RFC 8446, section 4.4.2) has, as far as it can be read.
fn certificates(body: &[u8]) -> usize {
    let context = usize::from(body.first().copied().unwrap_or_default());
    let mut rest = body.get(1 + context + 3..).unwrap_or_default();
    let mut count = 0;
    while let [high, middle, low, after @ ..] = rest {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        count += 1;
        let extensions = after.get(length..).unwrap_or_default();
        let [high, low, after @ ..] = extensions else { break };
        rest = after
            .get(usize::from(*high) << 8 | usize::from(*low)..)
            .unwrap_or_default();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const START: Progress = Progress::After(0);
    const DONE: Progress = Progress::Established;

    #[test]
    fn plaintext_that_makes_the_library_panic_is_refused() {
        for (plaintext, progress, result) in [
            (&b""[..], START, Err(RecordFault::Malformed)),
            (b"\0\0\0", START, Err(RecordFault::Malformed)),
            (b"\0\0\0", DONE, Err(RecordFault::Malformed)),
            (b"\x16", START, Err(RecordFault::Malformed)),
            (b"\x16", DONE, Err(RecordFault::Malformed)),
            (b"GET\x17\0\0", DONE, Ok(DONE)),
            (b"GET\x17", START, Err(RecordFault::Unexpected)),
            (b"\x17", DONE, Ok(DONE)),
            (b"\x01\x00\x15", DONE, Ok(DONE)),
            (b"\x02\x28\x15", DONE, Err(RecordFault::Alert(40))),
            (b"\x02\x28\x15", START, Err(RecordFault::Alert(40))),
            (b"\x01\x00\x15", START, Err(RecordFault::Alert(0))),
            (b"\x02\x15", DONE, Err(RecordFault::Malformed)),
            (b"\x01\x14", DONE, Err(RecordFault::Unexpected)),
            (b"\x04\0\0\x02ab\x16", DONE, Ok(DONE)),
            (b"\x04\0\0\x02ab\x04\0\0\0\x16", DONE, Ok(DONE)),
            (b"\x04\0\0\x02ab\x14\0\0\0\x16", DONE, Err(RecordFault::Unexpected)),
            (b"\x18\0\0\x01\x01\x16", DONE, Err(RecordFault::KeyUpdate)),
            (b"\x0b\0\0\x01x\x16", DONE, Err(RecordFault::Unexpected)),
            (b"\x00\0\0\0\x16", DONE, Err(RecordFault::Unexpected)),
            (b"\x04\0\xff\x02ab\x16", DONE, Err(RecordFault::Fragmented)),
            (b"\x04\0\x16", DONE, Err(RecordFault::Fragmented)),
        ] {
            assert_eq!(check(plaintext, progress), result, "{plaintext:?} {progress:?}");
        }
        let oversized = [&[b'x'; (1 << 14) + 1][..], b"\x17"].concat();
        assert_eq!(check(&oversized, DONE), Err(RecordFault::TooLong));
        assert_eq!(check(&oversized[1..], DONE), Ok(DONE));
    }

    #[test]
    fn the_handshake_has_an_order() {
        for (types, result) in [
            (&[8, 11, 15, 20][..], Ok(Progress::After(20))),
            (&[8, 13, 11, 15, 20], Ok(Progress::After(20))),
            // For the guard to refuse.
            (&[8, 15, 11, 11, 20], Ok(Progress::After(20))),
            (&[11], Err(RecordFault::Unexpected)),
            (&[20], Err(RecordFault::Unexpected)),
            (&[8, 8], Err(RecordFault::Unexpected)),
            (&[8, 11, 13], Err(RecordFault::Unexpected)),
            (&[8, 20, 20], Err(RecordFault::Unexpected)),
            (&[8, 20, 4], Err(RecordFault::Unexpected)),
            (&[8, 0], Err(RecordFault::Unexpected)),
            (&[8, 2], Err(RecordFault::Unexpected)),
            (&[8, 99], Err(RecordFault::Unexpected)),
        ] {
            let message = |kind: &u8| [*kind, 0, 0, 1, 7];
            let together: Vec<u8> = types.iter().flat_map(message).chain([HANDSHAKE]).collect();
            assert_eq!(check(&together, START), result, "{types:?}");
            let one_by_one = types.iter().try_fold(START, |progress, kind| {
                check(&[&message(kind)[..], &[HANDSHAKE]].concat(), progress)
            });
            assert_eq!(one_by_one, result, "{types:?}");
        }
    }

    #[test]
    fn extensions_that_were_not_asked_for_are_refused() {
        for (extensions, unasked) in [
            (&[][..], false),
            (&[0, 0, 0, 0], false),
            (&[0, 0, 0, 0, 0, 10, 0, 2, 0, 23], false),
            (&[0, 10, 0, 2, 0, 23, 0, 16, 0, 0], true),
            (&[0xff, 1, 0, 1, 0], true),
        ] {
            let length = [0, extensions.len() as u8];
            let message = [
                &[8, 0, 0, extensions.len() as u8 + 2],
                &length[..],
                extensions,
                &[HANDSHAKE],
            ]
            .concat();
            let refused = check(&message, START) == Err(RecordFault::UnsupportedExtension);
            assert_eq!(refused, unasked, "{extensions:?}");
        }
    }

    #[test]
    fn what_was_wrong_is_kept_whole() {
        let faults = [
            RecordFault::Malformed,
            RecordFault::TooLong,
            RecordFault::Unexpected,
            RecordFault::Fragmented,
            RecordFault::UnsupportedExtension,
            RecordFault::TooManyCertificates,
            RecordFault::KeyUpdate,
            RecordFault::Alert(40),
        ];
        let all = faults
            .map(Progress::Fault)
            .into_iter()
            .chain([START, Progress::After(20), DONE]);
        for progress in all {
            assert_eq!(Progress::decode(progress.encode()), progress);
        }
    }

    #[test]
    fn certificates_are_counted_as_far_as_they_can_be_read() {
        let message = |count: usize| {
            let entries = [0, 0, 1, 7, 0, 0].repeat(count);
            let length = u32::try_from(entries.len()).unwrap().to_be_bytes();
            [&[0], &length[1..], &entries].concat()
        };
        for count in [0, 1, 16, 17] {
            assert_eq!(certificates(&message(count)), count);
        }
        for cut in 0..message(2).len() {
            assert!(certificates(&message(2)[..cut]) <= 2);
        }
        assert!(in_handshake(CERTIFICATE, &message(16), ENCRYPTED_EXTENSIONS).is_ok());
        assert_eq!(
            in_handshake(CERTIFICATE, &message(17), ENCRYPTED_EXTENSIONS),
            Err(RecordFault::TooManyCertificates)
        );
    }
}
