//! A TCP connection that is read record by record, and watched.
//!
//! What enters: a socket. What leaves: whole TLS records (RFC 8446 section 5.1), one at a time, so that what a record
//! causes is in the server's record before the next one is read. It also pushes events for what passes unprotected: the
//! ClientHello, and alerts in clear. It decrypts nothing, and does not know which kind of server uses it.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::broken::{Broken, OnPurpose};
use crate::client_hello::ClientHello;
use crate::config::{Fault, FaultKind, When};
use crate::content_type::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER};
use crate::event::{Ending, EventKind, StrayPlace};
use crate::names;
use crate::record::ConnectionRecord;
use crate::second_flight::SecondFlight;

/// One connection's socket with its record.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    pub(crate) record: ConnectionRecord,
    /// Bytes that arrived after the last record returned.
    pending: Vec<u8>,
    hello: Hello,
    /// What the client sends in clear after that.
    second: SecondFlight,
    /// The name of an alert in clear, if the last record was one.
    alert: Option<String>,
    /// The last record, unless it is a part of the ClientHello or has been told already.
    last: Option<Piece>,
    /// A ChangeCipherSpec has come.
    cipher_changed: bool,
    /// What is still to be done to the connection.
    fault: Option<Fault>,
    /// What was sent so far.
    sent: Sent,
    /// The next byte is to be changed.
    corrupt_next: bool,
    /// Nothing more may leave.
    muted: bool,
}

/// What is kept of a record that may turn out to be one too many.
#[derive(Debug)]
pub(crate) struct Piece {
    bytes: usize,
    beginning: Vec<u8>,
    /// It can be an alert that only its sender can read.
    may_be_alert: bool,
}

impl Piece {
    /// How much of it is shown, in bytes.
    const SHOWN: usize = 48;
    /// An alert of TLS 1.3 is protected in a record of this many bytes: level, description, content type and tag.
    const PROTECTED_ALERT: usize = 2 + 1 + 16;

    fn of(record: &[u8]) -> Self {
        Self {
            bytes: record.len(),
            beginning: record[..record.len().min(Self::SHOWN)].to_vec(),
            may_be_alert: record.first() == Some(&APPLICATION_DATA) && record.len() == HEADER + Self::PROTECTED_ALERT,
        }
    }
}

/// How much was sent on a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    bytes: usize,
    /// TLS records, or pieces of what is not TLS.
    records: usize,
}

/// How far the client's first message has been seen.
#[derive(Debug)]
enum Hello {
    Awaited(Vec<u8>),
    Seen(Option<Box<ClientHello>>),
    /// It says that it is this long, which no ClientHello is. It is not kept.
    TooLong(usize),
}

/// The longest body of a ClientHello (RFC 8446 section 4.1.2): the version, the random, and the five vectors with their lengths. A
/// handshake message of another kind could be 16 MB long (section 4), and no client has a reason to begin with one.
const LONGEST_HELLO: usize = 2 + 32 + (1 + 32) + (2 + 0xFFFE) + (1 + 0xFF) + (2 + 0xFFFF);

impl Wire {
    pub(crate) fn new(stream: TcpStream, record: ConnectionRecord, fault: Option<Fault>) -> Self {
        Self {
            stream,
            record,
            pending: Vec::new(),
            hello: Hello::Awaited(Vec::new()),
            second: SecondFlight::default(),
            alert: None,
            last: None,
            cipher_changed: false,
            fault,
            sent: Sent::default(),
            corrupt_next: false,
            muted: false,
        }
    }

    /// The next record with its header. What is not TLS is returned as it came; `None` is the end of the stream.
    pub(crate) async fn read_record(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.alert = None;
        loop {
            if let Some(length) = record_length(&self.pending) {
                let rest = self.pending.split_off(length);
                let record = std::mem::replace(&mut self.pending, rest);
                self.watch_inbound(&record);
                return Ok(Some(record));
            }
            let read = self.stream.read_buf(&mut self.pending).await;
            self.record.wire_received(*read.as_ref().unwrap_or(&0));
            if read? == 0 {
                // The TLS library gets a cut record too, and may answer it with an alert.
                let cut = std::mem::take(&mut self.pending);
                if !cut.is_empty() {
                    self.stray(StrayPlace::CutRecord, &Piece::of(&cut));
                    self.last = None;
                }
                return Ok(Some(cut).filter(|cut| !cut.is_empty()));
            }
        }
    }

    /// Writes whole records.
    pub(crate) async fn write(&mut self, records: &[u8]) -> io::Result<()> {
        let mut rest = records;
        while let Some((record, tail)) = record_length(rest).and_then(|length| rest.split_at_checked(length)) {
            if let Some(description) = alert_in_clear(record) {
                self.record.push(EventKind::AlertSent {
                    description,
                    in_clear: true,
                });
            }
            rest = tail;
        }
        if self.fault.is_none() {
            return self.put(records).await;
        }
        let mut rest = records;
        while let Some((record, tail)) = record_length(rest).and_then(|length| rest.split_at_checked(length)) {
            self.send(record).await?;
            rest = tail;
        }
        self.send(rest).await
    }

    /// Writes bytes that are not TLS.
    pub(crate) async fn write_plain(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.send(bytes).await
    }

    /// Sends one record, or a part of one. A fault that is due within it happens there.
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let due = match self.fault.map(|fault| fault.when) {
            Some(When::Sent(limit)) => limit.checked_sub(self.sent.bytes).filter(|left| *left < bytes.len()),
            Some(When::Records(limit)) if limit == self.sent.records => Some(0),
            _ => None,
        };
        self.sent.bytes += bytes.len();
        self.sent.records += 1;
        let Some(whole) = due else {
            return self.put(bytes).await;
        };
        let (before, after) = bytes.split_at(whole);
        self.put(before).await?;
        self.happen().await?;
        self.put(after).await
    }

    async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.muted || bytes.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut self.corrupt_next) {
            let mut corrupt = bytes.to_vec();
            corrupt[0] ^= 1;
            self.stream.write_all(&corrupt).await?;
        } else {
            self.stream.write_all(bytes).await?;
        }
        self.record.wire_sent(bytes.len());
        self.stream.flush().await
    }

    /// Does what is to be done at this moment, which is not one of those within what is sent.
    pub(crate) async fn reached(&mut self, point: When) -> Result<(), Broken> {
        if self.fault.is_some_and(|fault| fault.when == point) {
            self.happen().await?;
        }
        Ok(())
    }

    async fn happen(&mut self) -> io::Result<()> {
        let Some(fault) = self.fault.take() else {
            return Ok(());
        };
        self.record.push(EventKind::Fault {
            what: fault.to_string(),
        });
        match fault.what {
            FaultKind::Corrupt => self.corrupt_next = true,
            FaultKind::Stall => self.muted = true,
            FaultKind::End => {
                self.finish_writing().await;
                self.muted = true;
            }
            FaultKind::Reset => {
                // This makes closing a reset. Where the system refuses it, the connection is closed in order instead.
                let _ = self.stream.set_zero_linger();
                return Err(io::Error::other(OnPurpose));
            }
        }
        Ok(())
    }

    /// Makes closing a reset; this is the error with which the connection's story ends.
    pub(crate) fn reset(&mut self) -> Broken {
        let _ = self.stream.set_zero_linger();
        Broken::OnPurpose
    }

    /// Reports whether nothing more leaves, on purpose.
    pub(crate) fn is_muted(&self) -> bool {
        self.muted
    }

    /// Says that nothing more will be written (TCP FIN). It is not an error if the client has closed already.
    pub(crate) async fn finish_writing(&mut self) {
        if !self.muted {
            let _ = self.stream.shutdown().await;
            self.record.wire_finished();
        }
    }

    /// The alert in clear that the last record was, if it was one; the event is already recorded.
    pub(crate) fn last_alert_in_clear(&self) -> Option<&str> {
        self.alert.as_deref()
    }

    /// The client's first message, once it has been read whole and if it could be parsed.
    pub(crate) fn client_hello(&self) -> Option<&ClientHello> {
        match &self.hello {
            Hello::Seen(hello) => hello.as_deref(),
            Hello::Awaited(_) | Hello::TooLong(_) => None,
        }
    }

    /// Why the client's first message is no ClientHello, once that is known.
    pub(crate) fn unreadable_hello(&self) -> Option<String> {
        match self.hello {
            Hello::Seen(None) => Some("the client's ClientHello cannot be read".to_owned()),
            Hello::TooLong(length) => Some(format!(
                "the client's first message is {length} bytes long, and a ClientHello has {LONGEST_HELLO} at most"
            )),
            Hello::Awaited(_) | Hello::Seen(Some(_)) => None,
        }
    }

    /// Closes the socket and the connection's record.
    pub(crate) fn close(self, ending: Ending) {
        drop(self.stream);
        self.record.end(ending);
    }

    /// Records bytes that the client has no reason to send.
    pub(crate) fn stray(&self, place: StrayPlace, piece: &Piece) {
        self.record.push(EventKind::Stray {
            place,
            bytes: piece.bytes,
            beginning: piece.beginning.escape_ascii().to_string(),
        });
    }

    /// The last record is in its place, even if the session ends with it.
    pub(crate) fn pass_last(&mut self) {
        self.last = None;
    }

    /// Records the last record as one that came after the client's last word.
    pub(crate) fn stray_as(&mut self, place: StrayPlace) {
        if let Some(last) = self.last.take() {
            self.stray(place, &last);
        }
    }

    /// Records the last record as one that the session does not have there. An alert is the client's last word, even
    /// where this side has no key to read it.
    pub(crate) fn stray_last(&mut self) {
        if let Some(last) = self.last.take()
            && !last.may_be_alert
        {
            self.stray(StrayPlace::OutOfPlace, &last);
        }
    }

    /// Reads on to the end of the stream, after the client's last word or the failure of its session. One alert may still
    /// come if none has; all else is recorded.
    pub(crate) async fn read_out(&mut self, alerted: bool) -> io::Result<()> {
        let mut alerted = alerted;
        let mut told = 0_usize;
        while self.read_record().await?.is_some() {
            let Some(piece) = self.last.take() else {
                continue;
            };
            let may_come = self.alert.is_some() || piece.may_be_alert;
            if may_come && !alerted {
                alerted = true;
                continue;
            }
            // A client that goes on for ever would fill the record.
            told += 1;
            if told <= Self::STRAYS_TOLD {
                let place = if alerted {
                    StrayPlace::AfterAlert
                } else {
                    StrayPlace::AfterFailure
                };
                self.stray(place, &piece);
            }
        }
        Ok(())
    }

    /// The most records that are told of a client that goes on after its last word.
    const STRAYS_TOLD: usize = 16;

    fn watch_inbound(&mut self, record: &[u8]) {
        self.last = Some(Piece::of(record));
        if record.first() == Some(&CHANGE_CIPHER_SPEC) {
            // One, for the sake of middleboxes, which says nothing (RFC 8446 section 5).
            if std::mem::replace(&mut self.cipher_changed, true) || record.get(HEADER..) != Some(&[1]) {
                self.stray_last();
            }
            self.last = None;
        }
        self.alert = alert_in_clear(record);
        if let Some(description) = self.alert.clone() {
            self.record.push(EventKind::AlertReceived {
                description,
                in_clear: true,
            });
        }
        if matches!(self.hello, Hello::Seen(_)) {
            for event in self.second.take(record) {
                self.record.push(event);
            }
        } else if let (Hello::Awaited(message), Some(&HANDSHAKE)) = (&mut self.hello, record.first()) {
            self.last = None;
            message.extend_from_slice(record.get(HEADER..).unwrap_or_default());
            // A handshake message is a type, a length in three bytes, and a body (RFC 8446 section 4).
            let Some(&[_, a, b, c]) = message.first_chunk() else {
                return;
            };
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if length > LONGEST_HELLO {
                self.hello = Hello::TooLong(length);
                return;
            }
            let Some(message) = message.get(..4 + length) else {
                return;
            };
            let hello = ClientHello::parse(message);
            if let Some(hello) = &hello {
                self.record.push(EventKind::ClientHello(hello.facts.clone()));
            }
            self.hello = Hello::Seen(hello.map(Box::new));
        }
    }
}

/// The length of the first record in `bytes`, header included, once all of it is there. Bytes that cannot begin a
/// record are one piece.
fn record_length(bytes: &[u8]) -> Option<usize> {
    /// A ciphertext may be 256 bytes longer than its plaintext in TLS 1.3 and 2048 in TLS 1.2 (RFC 5246 section 6.2.3).
    const LARGEST: usize = (1 << 14) + 2048;
    let &kind = bytes.first()?;
    if !(CHANGE_CIPHER_SPEC..=24).contains(&kind) {
        return Some(bytes.len());
    }
    let &[_, _, _, high, low] = bytes.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LARGEST {
        return Some(bytes.len());
    }
    (bytes.len() >= HEADER + length).then_some(HEADER + length)
}

/// The name of the alert that a record carries unprotected: a protected one is never two bytes long.
fn alert_in_clear(record: &[u8]) -> Option<String> {
    match *record {
        [ALERT, _, _, 0, 2, _level, description] => Some(names::alert(description)),
        _ => None,
    }
}
