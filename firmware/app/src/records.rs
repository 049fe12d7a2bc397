//! Stands between the TLS library and the bytes of the network, on both sides of its decryption, and stops what the
//! library would take amiss.
//!
//! embedded-tls 0.19.0 panics on an encrypted record without content and on an unexpected handshake message after the
//! handshake; it takes an unencrypted alert or handshake message where only encrypted ones may come (an attacker could
//! close the connection "cleanly" in the middle of a reply); and it sends its own alerts with a wrong record type. So
//! [`Records`] checks each record's header on its way in and repairs those alerts on their way out, and [`CheckedSuite`] is
//! the library's cipher suite with a check of the plaintext. Neither knows a certificate.

use core::cell::Cell;
use core::sync::atomic::{AtomicU8, Ordering};

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::consts::{U0, U12, U16, U54};
use aes_gcm::aead::{self, AeadCore, AeadInPlace, Key, KeyInit, KeySizeUser, Nonce, Tag};
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use embedded_tls::TlsCipherSuite;
use sha2::Sha256;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

const HEADER_BYTES: usize = 5;
/// RFC 8446, section 5.2: 2^14 bytes of content, and at most 256 more.
const LONGEST_RECORD: usize = (1 << 14) + 256;
/// The AEAD's tag and the content type.
const SHORTEST_ENCRYPTED: usize = 16 + 1;

/// Buffer that holds any record.
pub const RECORD_BUFFER_BYTES: usize = LONGEST_RECORD;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// A header that is not TLS, or a length that its type cannot have.
    Malformed,
    /// A record that must not come at this point, encrypted or not.
    Unexpected,
    /// The connection ended within a record, or where one must still come.
    Ended,
    /// The connection was reset.
    Reset,
}

impl RecordFault {
    /// The `reason=` of the answer.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "malformed-record",
            Self::Unexpected => "unexpected-message",
            Self::Ended => "connection-closed",
            Self::Reset => "connection-reset",
        }
    }
}

/// What both ends of a [`Records`] share: the TLS library has it in its hands while the client must still ask.
#[derive(Debug)]
pub struct Watch {
    fault: Cell<Option<RecordFault>>,
    /// A handshake record, the ServerHello, has come in: everything after it is encrypted.
    hello_seen: Cell<bool>,
}

impl Watch {
    /// For a new connection; there can be one at a time.
    #[must_use]
    pub fn new() -> Self {
        PLAINTEXT.store(IN_HANDSHAKE, Ordering::Relaxed);
        Self {
            fault: Cell::new(None),
            hello_seen: Cell::new(false),
        }
    }

    /// The handshake is over: from now on only application data, tickets and encrypted alerts may come.
    pub fn established(&self) {
        PLAINTEXT.store(ESTABLISHED, Ordering::Relaxed);
    }

    /// The first fault that was seen.
    #[must_use]
    pub fn fault(&self) -> Option<RecordFault> {
        self.fault.get().or(match PLAINTEXT.load(Ordering::Relaxed) {
            EMPTY => Some(RecordFault::Malformed),
            UNEXPECTED => Some(RecordFault::Unexpected),
            _ => None,
        })
    }

    fn set(&self, fault: RecordFault) -> Error {
        if self.fault.get().is_none() {
            self.fault.set(Some(fault));
        }
        Error(fault)
    }

    fn check(&self, header: [u8; HEADER_BYTES]) -> Result<usize, RecordFault> {
        let [kind, major, _, high, low] = header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let established = PLAINTEXT.load(Ordering::Relaxed) != IN_HANDSHAKE;
        let (allowed, lengths) = match kind {
            APPLICATION_DATA => (self.hello_seen.get(), SHORTEST_ENCRYPTED..=LONGEST_RECORD),
            HANDSHAKE => (!self.hello_seen.replace(true), 4..=LONGEST_RECORD),
            CHANGE_CIPHER_SPEC => (!established, 1..=1),
            ALERT => (!established, 2..=2),
            _ => return Err(RecordFault::Malformed),
        };
        match () {
            () if major != 3 || !lengths.contains(&length) => Err(RecordFault::Malformed),
            () if !allowed => Err(RecordFault::Unexpected),
            () => Ok(length),
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

/// A byte stream that lets only well-formed records in.
#[derive(Debug)]
pub struct Records<'a, S> {
    stream: &'a mut S,
    watch: &'a Watch,
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    body_bytes: usize,
}

impl<'a, S> Records<'a, S> {
    /// Watches a connection on which nothing has come in yet.
    pub fn new(stream: &'a mut S, watch: &'a Watch) -> Self {
        Self {
            stream,
            watch,
            header: [0; HEADER_BYTES],
            header_bytes: 0,
            body_bytes: 0,
        }
    }
}

/// A fault, as an error of a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(RecordFault);

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0.reason())
    }
}

impl core::error::Error for Error {}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self.0 {
            RecordFault::Malformed | RecordFault::Unexpected => ErrorKind::InvalidData,
            RecordFault::Ended => ErrorKind::BrokenPipe,
            RecordFault::Reset => ErrorKind::ConnectionReset,
        }
    }
}

impl<S> ErrorType for Records<'_, S> {
    type Error = Error;
}

impl<S: Read> Read for Records<'_, S> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let in_header = self.body_bytes == 0;
        let wanted = if in_header {
            HEADER_BYTES - self.header_bytes
        } else {
            self.body_bytes
        };
        let wanted = wanted.min(buffer.len());
        let buffer = &mut buffer[..wanted];
        let count = self
            .stream
            .read(buffer)
            .await
            .map_err(|_| self.watch.set(RecordFault::Reset))?;
        if count == 0 && wanted > 0 {
            return Err(self.watch.set(RecordFault::Ended));
        }
        if !in_header {
            self.body_bytes -= count;
            return Ok(count);
        }
        self.header[self.header_bytes..][..count].copy_from_slice(&buffer[..count]);
        self.header_bytes += count;
        if self.header_bytes == HEADER_BYTES {
            self.header_bytes = 0;
            self.body_bytes = self.watch.check(self.header).map_err(|fault| self.watch.set(fault))?;
        }
        Ok(count)
    }
}

impl<S: Write> Write for Records<'_, S> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let written = match *bytes {
            // The library's own alert, sent as ChangeCipherSpec.
            [CHANGE_CIPHER_SPEC, major, minor, 0, 2, level, description] => {
                let alert = [ALERT, major, minor, 0, 2, level, description];
                self.stream.write_all(&alert).await.map(|()| alert.len())
            }
            _ => self.stream.write(bytes).await,
        };
        written.map_err(|_| self.watch.set(RecordFault::Reset))
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.stream
            .flush()
            .await
            .map_err(|_| self.watch.set(RecordFault::Reset))
    }
}

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

// What is expected of, or was wrong with, the plaintext. The library makes its cipher anew from the key for each record
// and gives it nothing else, so this cannot live in the cipher; it belongs to the one connection that `Watch` is made for.
static PLAINTEXT: AtomicU8 = AtomicU8::new(IN_HANDSHAKE);
const IN_HANDSHAKE: u8 = 0;
const ESTABLISHED: u8 = 1;
const EMPTY: u8 = 2;
const UNEXPECTED: u8 = 3;

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
        let established = PLAINTEXT.load(Ordering::Relaxed) != IN_HANDSHAKE;
        check_plaintext(buffer, established).map_err(|fault| {
            PLAINTEXT.store(fault, Ordering::Relaxed);
            aead::Error
        })
    }
}

/// Checks a TLSInnerPlaintext (RFC 8446, section 5.2): content, its type, and zeros.
fn check_plaintext(plaintext: &[u8], established: bool) -> Result<(), u8> {
    const NEW_SESSION_TICKET: u8 = 4;
    const KEY_UPDATE: u8 = 24;
    let end = plaintext.iter().rposition(|byte| *byte != 0).ok_or(EMPTY)?;
    let (mut messages, kind) = (&plaintext[..end], plaintext[end]);
    if kind != HANDSHAKE || !established {
        return Ok(());
    }
    while let [message, high, middle, low, rest @ ..] = messages {
        // The library answers KeyUpdate with an error, not a panic.
        if !matches!(*message, NEW_SESSION_TICKET | KEY_UPDATE) {
            return Err(UNEXPECTED);
        }
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        messages = rest.get(length..).ok_or(UNEXPECTED)?;
    }
    // The library would read what is left as the start of a message, and fail without a panic; no need to wait for it.
    if messages.is_empty() { Ok(()) } else { Err(UNEXPECTED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_that_makes_the_library_panic_is_refused() {
        for (plaintext, established, result) in [
            (&b""[..], false, Err(EMPTY)),
            (b"\0\0\0", false, Err(EMPTY)),
            (b"\0\0\0", true, Err(EMPTY)),
            (b"GET\x17\0\0", true, Ok(())),
            (b"\x17", true, Ok(())),
            (b"\x01\x00\x15", true, Ok(())),
            (b"\x0b\0\0\x01x\x16", false, Ok(())),
            (b"\x04\0\0\x02ab\x16", true, Ok(())),
            (b"\x04\0\0\x02ab\x04\0\0\0\x16", true, Ok(())),
            (b"\x04\0\0\x02ab\x14\0\0\0\x16", true, Err(UNEXPECTED)),
            (b"\x0b\0\0\x01x\x16", true, Err(UNEXPECTED)),
            (b"\x04\0\xff\x02ab\x16", true, Err(UNEXPECTED)),
            (b"\x04\0\x16", true, Err(UNEXPECTED)),
        ] {
            assert_eq!(
                check_plaintext(plaintext, established),
                result,
                "{plaintext:?} {established}"
            );
        }
    }
}
