//! Stands between the TLS library and the bytes of the network, and stops what the library would take amiss.
//!
//! embedded-tls 0.19.0 takes an unencrypted alert or handshake message where only encrypted ones may come (an attacker
//! could close the connection "cleanly" in the middle of a reply), and sends its own alerts with a wrong record type.
//! So [`Records`] checks each record's header on its way in, and the ServerHello, which is not encrypted, as a whole;
//! and it repairs those alerts on their way out. What is encrypted is checked in [`plaintext`]. What enters: bytes.
//! What leaves: the same bytes, or a [`RecordFault`]. It knows no certificate.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

use crate::{hello, plaintext};

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

/// A ServerHello has at most so many bytes; ordinary ones have about 120.
const LONGEST_HELLO: usize = 1024;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// A header that is not TLS, a length that its type cannot have, or a content that ends too early.
    Malformed,
    /// More content than a record may have.
    TooLong,
    /// A record or a message that must not come at this point, encrypted or not.
    Unexpected,
    /// A message that is spread over several records, which is allowed, but which the TLS library cannot read.
    Fragmented,
    /// The ServerHello is of another version.
    Version,
    /// The ServerHello is of another version, and is marked as one of a server that can do better.
    Downgrade,
    /// A HelloRetryRequest: the only key share that there is was offered.
    HelloRetry,
    /// The ServerHello chooses what was not offered.
    IllegalHello,
    /// The ServerHello has an extension that answers nothing.
    UnsupportedExtension,
    /// More certificates than the TLS library has room for.
    TooManyCertificates,
    /// A change of keys, which is allowed, but which the TLS library cannot do.
    KeyUpdate,
    /// The server sent this alert, encrypted.
    Alert(u8),
    /// The connection ended within a record, or where one must still come.
    Ended,
    /// The connection was reset.
    Reset,
}

impl RecordFault {
    /// The `reason=` of the answer; that of an alert has the alert's name behind it.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "malformed-record",
            Self::TooLong => "record-too-long",
            Self::Unexpected => "unexpected-message",
            Self::Fragmented => "fragmented-message",
            Self::Version => "protocol-version",
            Self::Downgrade => "downgrade",
            Self::HelloRetry => "hello-retry-request",
            Self::IllegalHello => "illegal-server-hello",
            Self::UnsupportedExtension => "unsupported-extension",
            Self::TooManyCertificates => "too-many-certificates",
            Self::KeyUpdate => "key-update",
            Self::Alert(_) => "alert",
            Self::Ended => "connection-closed",
            Self::Reset => "connection-reset",
        }
    }

    /// The TLS alert that tells the server (RFC 8446, section 6.2); none where the server cannot be told.
    #[must_use]
    pub fn alert(self) -> Option<u8> {
        match self {
            Self::Malformed => Some(50),                                                // decode_error
            Self::TooLong => Some(22),                                                  // record_overflow
            Self::Unexpected => Some(10),                                               // unexpected_message
            Self::Version => Some(70),                                                  // protocol_version
            Self::Downgrade | Self::HelloRetry | Self::IllegalHello => Some(47),        // illegal_parameter
            Self::UnsupportedExtension => Some(110),                                    // unsupported_extension
            Self::Fragmented | Self::TooManyCertificates | Self::KeyUpdate => Some(80), // internal_error
            Self::Alert(_) | Self::Ended | Self::Reset => None,
        }
    }
}

/// What both ends of a [`Records`] share: the TLS library has it in its hands while the client must still ask.
#[derive(Debug)]
pub struct Watch {
    fault: Cell<Option<RecordFault>>,
    /// A handshake record, the ServerHello, has come in: everything after it is encrypted.
    hello_seen: Cell<bool>,
    /// That record's content so far, while it comes.
    hello: RefCell<Option<Vec<u8>>>,
    /// The record that comes is a ChangeCipherSpec.
    change_cipher_spec: Cell<bool>,
}

impl Watch {
    /// For a new connection; there can be one at a time.
    #[must_use]
    pub fn new() -> Self {
        plaintext::begin();
        Self {
            fault: Cell::new(None),
            hello_seen: Cell::new(false),
            hello: RefCell::new(None),
            change_cipher_spec: Cell::new(false),
        }
    }

    /// The handshake is over: from now on only application data, tickets and encrypted alerts may come.
    pub fn established(&self) {
        plaintext::establish();
    }

    /// The first fault that was seen.
    #[must_use]
    pub fn fault(&self) -> Option<RecordFault> {
        self.fault.get().or_else(plaintext::fault)
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
        let established = plaintext::is_established();
        self.change_cipher_spec.set(kind == CHANGE_CIPHER_SPEC);
        let (allowed, lengths) = match kind {
            APPLICATION_DATA => (self.hello_seen.get(), SHORTEST_ENCRYPTED..=LONGEST_RECORD),
            HANDSHAKE => {
                let first = !self.hello_seen.replace(true);
                *self.hello.borrow_mut() = Some(Vec::new());
                (first, 4..=LONGEST_HELLO)
            }
            CHANGE_CIPHER_SPEC => (!established, 1..=1),
            ALERT => (!established, 2..=2),
            _ => return Err(RecordFault::Malformed),
        };
        match () {
            () if major != 3 => Err(RecordFault::Malformed),
            () if length > LONGEST_RECORD => Err(RecordFault::TooLong),
            () if !lengths.contains(&length) => Err(RecordFault::Malformed),
            () if !allowed => Err(RecordFault::Unexpected),
            () => Ok(length),
        }
    }

    /// Looks at a part of a record's content, of which `left` bytes are yet to come.
    fn look_at(&self, part: &[u8], left: usize) -> Result<(), RecordFault> {
        // RFC 8446, section 5: any other value is an unexpected message.
        if self.change_cipher_spec.get() && part != [1] {
            return Err(RecordFault::Unexpected);
        }
        let mut hello = self.hello.borrow_mut();
        let Some(content) = &mut *hello else { return Ok(()) };
        content.extend_from_slice(part);
        if left > 0 {
            return Ok(());
        }
        let checked = hello::check(content);
        *hello = None;
        checked
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
            RecordFault::Ended => ErrorKind::BrokenPipe,
            RecordFault::Reset => ErrorKind::ConnectionReset,
            _ => ErrorKind::InvalidData,
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
            self.watch
                .look_at(&buffer[..count], self.body_bytes)
                .map_err(|fault| self.watch.set(fault))?;
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

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use embassy_futures::block_on;

    use super::*;

    /// Reads `bytes` to their end in pieces of this size, as a connection of its own.
    fn read(mut bytes: &[u8], size: usize) -> Result<Vec<u8>, RecordFault> {
        let watch = Watch::new();
        let mut records = Records::new(&mut bytes, &watch);
        let (mut all, mut buffer) = (Vec::new(), std::vec![0; size]);
        loop {
            match block_on(records.read(&mut buffer)) {
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(Error(RecordFault::Ended)) => return Ok(all),
                Err(Error(fault)) => {
                    assert_eq!(watch.fault(), Some(fault));
                    return Err(fault);
                }
            }
        }
    }

    /// A ServerHello of TLS 1.3 with this suite, as a record.
    fn server_hello(suite: u16) -> Vec<u8> {
        let mut body = [&[3, 3][..], &[7; 32], &[0], &suite.to_be_bytes(), &[0]].concat();
        let share = [&[0, 51, 0, 69, 0, 23, 0, 65][..], &[4; 65]].concat();
        let extensions = [&[0, 43, 0, 2, 3, 4][..], &share].concat();
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
        record(
            HANDSHAKE,
            &[&[2, 0, 0, u8::try_from(body.len()).unwrap()], &body[..]].concat(),
        )
    }

    fn record(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[kind, 3, 3], &length[..], content].concat()
    }

    // One test: the state of the one connection is a static.
    #[test]
    fn only_records_that_may_come_are_let_in() {
        let hello = server_hello(0x1301);
        let encrypted = record(APPLICATION_DATA, &[7; SHORTEST_ENCRYPTED]);
        let (ccs, alert) = (record(CHANGE_CIPHER_SPEC, &[1]), record(ALERT, &[2, 40]));
        for size in [1, 2, 5, 7, 4096] {
            for good in [
                hello.clone(),
                alert.clone(),
                [&hello[..], &ccs, &encrypted, &encrypted].concat(),
                [&hello[..], &alert].concat(),
                [&hello[..], &record(APPLICATION_DATA, &std::vec![7; LONGEST_RECORD])].concat(),
            ] {
                assert_eq!(read(&good, size), Ok(good), "in pieces of {size}");
            }
            for (bytes, fault) in [
                (server_hello(0x1302), RecordFault::IllegalHello),
                (encrypted.clone(), RecordFault::Unexpected),
                ([&hello[..], &hello].concat(), RecordFault::Unexpected),
                (record(HANDSHAKE, &[11, 0, 0, 0]), RecordFault::Unexpected),
                (record(HANDSHAKE, &[2, 0]), RecordFault::Malformed),
                (record(CHANGE_CIPHER_SPEC, &[2]), RecordFault::Unexpected),
                (record(CHANGE_CIPHER_SPEC, &[1, 1]), RecordFault::Malformed),
                (record(ALERT, &[2]), RecordFault::Malformed),
                (record(24, &[0]), RecordFault::Malformed),
                (b"HTTP/1.1 400".to_vec(), RecordFault::Malformed),
                (
                    [&hello[..], &record(APPLICATION_DATA, &[7; SHORTEST_ENCRYPTED - 1])].concat(),
                    RecordFault::Malformed,
                ),
                (
                    [&hello[..], &record(APPLICATION_DATA, &std::vec![7; LONGEST_RECORD + 1])].concat(),
                    RecordFault::TooLong,
                ),
            ] {
                assert_eq!(read(&bytes, size), Err(fault), "in pieces of {size}");
            }
        }
    }
}
