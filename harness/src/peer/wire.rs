//! Records and handshake messages from a server, up to a deadline.
//!
//! What enters: a connected stream. What leaves: whole handshake messages, in clear. A server that speaks another protocol
//! is told from one that breaks TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Failure;
use super::cursor::{Cursor, vector16};
use super::keys::Opener;
use crate::deadline::Deadline;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// Those of every record, heartbeats included.
const CONTENT_TYPES: RangeInclusive<u8> = CHANGE_CIPHER_SPEC..=24;
/// The header of a record: its type, a version, and the length of its body.
const HEADER: usize = 5;
/// The header of a handshake message: its type, and the length of its body.
const MESSAGE_HEADER: usize = 4;
const WARNING: u8 = 1;
const CLOSE_NOTIFY: u8 = 0;
/// How long the rest of an answer that is not TLS is waited for, and how much of it is shown.
const REST_OF_ANSWER: Duration = Duration::from_millis(200);
const SHOWN: usize = 60;

/// One handshake message.
pub(super) struct Message {
    pub(super) kind: u8,
    /// The whole message with its header, for the transcript.
    pub(super) bytes: Vec<u8>,
}

impl Message {
    pub(super) fn body(&self) -> &[u8] {
        &self.bytes[MESSAGE_HEADER..]
    }
}

/// A connection on which only the client's hello is sent.
pub(super) struct Wire<'a> {
    stream: TcpStream,
    deadline: &'a Deadline,
    /// From ServerHello of TLS 1.3 on.
    opener: Option<Opener>,
    /// Handshake bytes that are not a whole message yet.
    unread: Vec<u8>,
    is_first_record: bool,
    /// What cut the last record off.
    failed: Option<Failure>,
}

impl<'a> Wire<'a> {
    pub(super) fn new(stream: TcpStream, deadline: &'a Deadline) -> Self {
        Self {
            stream,
            deadline,
            opener: None,
            unread: Vec::new(),
            is_first_record: true,
            failed: None,
        }
    }

    /// Sends a handshake message in a record whose header has the given version.
    pub(super) fn send(&mut self, version: u16, message: &[u8]) -> Result<(), Failure> {
        let record = [&[HANDSHAKE][..], &version.to_be_bytes(), &vector16(message)].concat();
        self.stream.set_write_timeout(Some(self.left()?))?;
        Ok(self.stream.write_all(&record)?)
    }

    /// Decrypts the records of type application_data from here on.
    pub(super) fn decrypt_with(&mut self, opener: Opener) {
        self.opener = Some(opener);
    }

    /// The next handshake message.
    pub(super) fn message(&mut self) -> Result<Message, Failure> {
        loop {
            let mut cursor = Cursor(&self.unread);
            if let (Some(kind), Some(_)) = (cursor.number(1), cursor.vector(3)) {
                let size = self.unread.len() - cursor.0.len();
                let rest = self.unread.split_off(size);
                return Ok(Message {
                    kind: u8::try_from(kind).unwrap_or_default(),
                    bytes: std::mem::replace(&mut self.unread, rest),
                });
            }
            let more = self.handshake_record()?;
            self.unread.extend(more);
        }
    }

    /// What has arrived of the next message: its type, and the beginning of its body.
    pub(super) fn unfinished(&self) -> Option<(u8, &[u8])> {
        Some((*self.unread.first()?, self.unread.get(MESSAGE_HEADER..)?))
    }

    /// Tells the server that the client leaves. It does not matter whether this arrives.
    pub(super) fn leave(mut self) {
        let _ = self.stream.set_write_timeout(Some(REST_OF_ANSWER));
        let _ = self.stream.write_all(&[ALERT, 3, 3, 0, 2, WARNING, CLOSE_NOTIFY]);
    }

    /// The content of the next record that belongs to the handshake.
    fn handshake_record(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            if let Some(failure) = self.failed.take() {
                return Err(failure);
            }
            let mut header = Vec::new();
            let filled = self.fill(&mut header, HEADER);
            let [kind, major, _, high, low] = header[..] else {
                // A short answer in another protocol, or none.
                let is_tls = header.first().is_none_or(|kind| CONTENT_TYPES.contains(kind));
                return Err(match filled {
                    Err(failure) if is_tls || !self.is_first_record => failure,
                    _ => self.not_tls(&header),
                });
            };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let is_tls = CONTENT_TYPES.contains(&kind) && major == 3;
            if !is_tls {
                return Err(if self.is_first_record {
                    self.not_tls(&header)
                } else {
                    Failure::Malformed("record")
                });
            }
            self.is_first_record = false;
            let mut body = Vec::new();
            if let Err(failure) = self.fill(&mut body, length) {
                // What came in clear counts: there may be whole messages in it.
                if kind != HANDSHAKE {
                    return Err(failure);
                }
                self.failed = Some(failure);
            }
            let (kind, body) = match &mut self.opener {
                Some(opener) if kind == APPLICATION_DATA => opener.open(&header, body).ok_or(Failure::Undecryptable)?,
                _ => (kind, body),
            };
            match (kind, &body[..]) {
                (HANDSHAKE, _) => return Ok(body),
                // Many servers send a warning before their ServerHello when they do not know the name.
                (ALERT, [WARNING, description]) if *description != CLOSE_NOTIFY => {}
                (ALERT, [_, description]) => return Err(Failure::Alert(*description)),
                (ALERT, _) => return Err(Failure::Malformed("alert")),
                (APPLICATION_DATA, _) if self.opener.is_none() => return Err(Failure::Undecryptable),
                _ => {}
            }
        }
    }

    /// The failure of a server whose answer begins with these bytes.
    fn not_tls(&mut self, beginning: &[u8]) -> Failure {
        let mut rest = [0; SHOWN];
        let wait = self
            .deadline
            .at_most(REST_OF_ANSWER)
            .left()
            .max(Duration::from_millis(1));
        let length = self
            .stream
            .set_read_timeout(Some(wait))
            .and_then(|()| self.stream.read(&mut rest))
            .unwrap_or_default();
        let answer = [beginning, &rest[..length]].concat();
        let line = answer.split(|byte| b"\r\n".contains(byte)).next().unwrap_or_default();
        Failure::NotTls(line.escape_ascii().to_string())
    }

    /// Reads until `buffer` has `size` bytes. After a failure it holds what had come until then.
    fn fill(&mut self, buffer: &mut Vec<u8>, size: usize) -> Result<(), Failure> {
        let mut chunk = [0; 4096];
        while buffer.len() < size {
            let missing = chunk.len().min(size - buffer.len());
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(&mut chunk[..missing]) {
                Ok(0) => return Err(Failure::Closed),
                Ok(length) => buffer.extend(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn left(&self) -> Result<Duration, Failure> {
        let left = self.deadline.left();
        if left.is_zero() {
            Err(Failure::TooLate)
        } else {
            Ok(left)
        }
    }
}
