//! A handshake as far as the server's Certificate.
//!
//! What enters: a connection and an offer. What leaves: the certificates that the server presented, also where it breaks
//! off in the middle of them. What the server must prove is not asked for.

use std::net::{SocketAddr, TcpStream};

use ring::rand::{SecureRandom, SystemRandom};

use super::cursor::{Cursor, vector24};
use super::hello::{ClientHello, Offer, SHARED_GROUPS, ServerHello, TLS_1_3};
use super::keys::{Share, Suite};
use super::wire::{Message, Wire};
use super::{Failure, Presented};
use crate::deadline::Deadline;

const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const SERVER_HELLO_DONE: u8 = 14;
const FINISHED: u8 = 20;
/// Stands in a transcript for the first ClientHello when there is a second (RFC 8446, section 4.4.1).
const MESSAGE_HASH: u8 = 254;

/// What one handshake showed.
pub(super) struct Seen {
    version: u16,
    leaf: Vec<u8>,
    issuers: Vec<Vec<u8>>,
    broken_off: Option<Failure>,
}

impl Seen {
    pub(super) fn at(self, address: SocketAddr) -> Presented {
        Presented {
            address,
            version: pinrig_server::version_name(self.version),
            leaf: self.leaf,
            issuers: self.issuers,
            broken_off: self.broken_off,
        }
    }
}

/// Makes an offer, and reads up to the server's certificates.
pub(super) fn certificates(
    stream: TcpStream,
    deadline: &Deadline,
    name: Option<&str>,
    offer: Offer,
) -> Result<Seen, Failure> {
    let mut wire = Wire::new(stream, deadline);
    let mut hello = Hello::new(name, offer)?;
    wire.send(ClientHello::RECORD_VERSION, &hello.message())?;
    let mut version = None;
    loop {
        let message = match wire.message() {
            Ok(message) => message,
            Err(failure) => return beginning_of_certificates(&wire, version, failure),
        };
        match (message.kind, version) {
            (SERVER_HELLO, None) => version = hello.answered(&message, &mut wire)?,
            (CERTIFICATE, Some(version)) => {
                wire.leave();
                let (list, is_whole) = list(message.body(), version);
                let mut certificates = list.into_iter();
                return Ok(Seen {
                    version,
                    leaf: certificates.next().ok_or(Failure::NoCertificate)?,
                    issuers: certificates.collect(),
                    broken_off: (!is_whole).then_some(Failure::Malformed("list of certificates")),
                });
            }
            (SERVER_KEY_EXCHANGE | SERVER_HELLO_DONE | FINISHED, _) => return Err(Failure::NoCertificate),
            // Whatever else stands between, or does not belong here, does not matter to a client that only looks.
            _ => {}
        }
    }
}

/// What came of a Certificate message before the connection failed: its leaf may be whole.
fn beginning_of_certificates(wire: &Wire<'_>, version: Option<u16>, failure: Failure) -> Result<Seen, Failure> {
    let (Some(version), Some((CERTIFICATE, beginning))) = (version, wire.unfinished()) else {
        return Err(failure);
    };
    let (list, _) = list(beginning, version);
    let mut certificates = list.into_iter();
    match certificates.next() {
        Some(leaf) => Ok(Seen {
            version,
            leaf,
            issuers: certificates.collect(),
            broken_off: Some(failure),
        }),
        None => Err(failure),
    }
}

/// The certificates of a Certificate message (RFC 5246 section 7.4.2, RFC 8446 section 4.4.2) as far as they are whole, and
/// whether this is all of them.
pub(super) fn list(body: &[u8], version: u16) -> (Vec<Vec<u8>>, bool) {
    let mut found = Vec::new();
    let mut body = Cursor(body);
    // The request's context.
    if version == TLS_1_3 && body.vector(1).is_none() {
        return (found, false);
    }
    let announced = body.number(3);
    let is_whole = announced == Some(body.0.len());
    let mut entries = Cursor(&body.0[..announced.unwrap_or_default().min(body.0.len())]);
    while let Some(certificate) = entries.vector(3) {
        found.push(certificate.to_vec());
        // The extensions of the entry.
        if version == TLS_1_3 && entries.vector(2).is_none() {
            return (found, false);
        }
    }
    (found, is_whole && entries.0.is_empty())
}

/// The client's side of a handshake: its hello, and what the key schedule needs of it.
struct Hello<'a> {
    name: Option<&'a str>,
    offer: Offer,
    random: [u8; 32],
    session_id: [u8; 32],
    shares: Vec<Share>,
    cookie: Option<Vec<u8>>,
    /// Every message so far, from the first hello on.
    transcript: Vec<u8>,
    is_second: bool,
}

impl<'a> Hello<'a> {
    fn new(name: Option<&'a str>, offer: Offer) -> Result<Self, Failure> {
        let generator = SystemRandom::new();
        let mut random = [0; 64];
        generator
            .fill(&mut random)
            .map_err(|_| Failure::Broken("this machine has no random numbers".to_owned()))?;
        let (random, session_id) = random.split_at(32);
        Ok(Self {
            name,
            offer,
            random: random.try_into().expect("half of 64 bytes"),
            session_id: session_id.try_into().expect("half of 64 bytes"),
            shares: SHARED_GROUPS
                .into_iter()
                .filter_map(|group| Share::generate(group, &generator))
                .collect(),
            cookie: None,
            transcript: Vec::new(),
            is_second: false,
        })
    }

    /// The ClientHello, which becomes part of the transcript.
    fn message(&mut self) -> Vec<u8> {
        let hello = ClientHello {
            offer: self.offer,
            name: self.name,
            random: self.random,
            session_id: self.session_id,
            shares: &self.shares,
            cookie: self.cookie.clone(),
        };
        let message = hello.message();
        self.transcript.extend(&message);
        message
    }

    /// Follows a ServerHello: the version of the handshake, or `None` where the server wants a second ClientHello, which
    /// is sent.
    fn answered(&mut self, message: &Message, wire: &mut Wire<'_>) -> Result<Option<u16>, Failure> {
        let answer = ServerHello::read(message.body()).ok_or(Failure::Malformed("ServerHello"))?;
        match answer.version {
            0x0300..TLS_1_3 => return Ok(Some(answer.version)),
            TLS_1_3 => {}
            unknown => return Err(Failure::Version(unknown)),
        }
        let suite = Suite::by_code_point(answer.suite).ok_or(Failure::Suite(answer.suite))?;
        if answer.is_retry {
            self.retry(&answer, suite, message, wire)?;
            return Ok(None);
        }
        self.transcript.extend(&message.bytes);
        let (group, value) = answer.share.ok_or(Failure::Malformed("ServerHello"))?;
        let index = self.shares.iter().position(|share| share.group == group);
        let share = self.shares.swap_remove(index.ok_or(Failure::Group(group))?);
        let shared = share.agree(value).ok_or(Failure::Malformed("key share"))?;
        let opener = suite
            .opener(&shared, &self.transcript)
            .map_err(|_| Failure::Undecryptable)?;
        wire.decrypt_with(opener);
        Ok(Some(TLS_1_3))
    }

    fn retry(
        &mut self,
        answer: &ServerHello<'_>,
        suite: Suite,
        message: &Message,
        wire: &mut Wire<'_>,
    ) -> Result<(), Failure> {
        if std::mem::replace(&mut self.is_second, true) {
            return Err(Failure::Malformed("second HelloRetryRequest"));
        }
        if let Some((group, _)) = answer.share {
            let share = Share::generate(group, &SystemRandom::new()).ok_or(Failure::Group(group))?;
            self.shares = vec![share];
        }
        self.cookie = answer.cookie.map(<[u8]>::to_vec);
        let first = suite.hash(&self.transcript);
        self.transcript = [&[MESSAGE_HASH], &vector24(&first)[..], &message.bytes].concat();
        let second = self.message();
        wire.send(ClientHello::RECORD_VERSION, &second)
    }
}
