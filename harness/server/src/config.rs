//! What a server is told before it starts.
//!
//! What enters: nothing; these are plain values that a caller fills in. What leaves: a [`ServerConfig`] for
//! [`TlsServer`](crate::TlsServer), or a [`StartError`] where one cannot be used.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use pinrig_certs::CertifiedChain;
use serde::{Deserialize, Serialize};

use crate::reply::Reply;
use crate::steps::RogueHandshake;

/// Everything that a server is told before it starts.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen: loopback and a free port unless the rig says otherwise.
    pub bind: SocketAddr,
    /// The chain that the server presents and the key with which it signs. They need not belong together.
    pub identity: CertifiedChain,
    /// How the server behaves in the handshake.
    pub handshake: Handshake,
    /// What it answers to an HTTP request.
    pub reply: Reply,
    /// How it ends a connection on which it has replied.
    pub close: Close,
    /// What it does to its connection on purpose.
    pub fault: Option<Fault>,
    /// How long it waits for the client.
    pub limits: Limits,
}

impl ServerConfig {
    /// An honest TLS 1.2 and 1.3 server on loopback.
    #[must_use]
    pub fn new(identity: CertifiedChain, reply: Reply) -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            identity,
            handshake: Handshake::default(),
            reply,
            close: Close::default(),
            fault: None,
            limits: Limits::default(),
        }
    }
}

/// How a server behaves in the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// As the RFCs say.
    Honest(Honest),
    /// By a list of steps, in TLS 1.3.
    Rogue(RogueHandshake),
    /// None: these bytes are sent once the client has said something, and that is all.
    NoTls(Vec<u8>),
}

impl Default for Handshake {
    fn default() -> Self {
        Self::Honest(Honest::default())
    }
}

/// What an honest server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Honest {
    /// The protocol versions.
    pub versions: Vec<TlsVersion>,
    /// How many session tickets it sends after a TLS 1.3 handshake.
    pub tickets: usize,
    /// The cipher suites, by their registered names; every one that there is, if empty.
    pub suites: Vec<String>,
    /// The groups of the key exchange, by their registered names; every one that there is, if empty.
    pub groups: Vec<String>,
    /// The most bytes of content in one of its records, at least 32; else 2^14.
    pub record_size: Option<usize>,
    /// Whether it changes its keys in the middle of the reply.
    pub key_update: bool,
}

impl Default for Honest {
    /// Both versions, and the two tickets that servers on the Internet commonly send.
    fn default() -> Self {
        Self {
            versions: vec![TlsVersion::Tls13, TlsVersion::Tls12],
            tickets: 2,
            suites: Vec::new(),
            groups: Vec::new(),
            record_size: None,
            key_update: false,
        }
    }
}

/// How a server ends a connection on which it has replied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Close {
    /// close_notify, then the end of the stream (RFC 8446 section 6.1).
    #[default]
    Notify,
    /// The end of the stream alone.
    End,
    /// A reset.
    Reset,
    /// Not at all: it waits for the client.
    Wait,
}

/// What a server does to its connection on purpose, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When.
    pub when: When,
    /// What.
    pub what: FaultKind,
}

/// When a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// As soon as there is a connection.
    Connected,
    /// When so many bytes have been sent; with 0, in place of the answer to the ClientHello.
    Sent(usize),
    /// When so many TLS records have been sent.
    Records(usize),
    /// When the request has come.
    Request,
}

/// What happens to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Nothing more is sent; the connection stays.
    Stall,
    /// The stream ends.
    End,
    /// The connection is reset.
    Reset,
    /// One bit of the next byte changes; everything else goes on.
    Corrupt,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.what {
            FaultKind::Stall => "nothing more is sent",
            FaultKind::End => "the stream ends",
            FaultKind::Reset => "the connection is reset",
            FaultKind::Corrupt => "one bit is changed",
        })?;
        match self.when {
            When::Connected => f.write_str(", right at the start"),
            When::Sent(bytes) => write!(f, ", {bytes} bytes sent"),
            When::Records(records) => write!(f, ", {records} records sent"),
            When::Request => f.write_str(", in place of the reply"),
        }
    }
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// How long the server waits for each thing that a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the TCP connection to the end of the handshake.
    pub handshake: Duration,
    /// From there to the end of the request's head.
    pub request: Duration,
    /// For the client to take the reply.
    pub reply: Duration,
    /// From the server's last byte to the end of the connection.
    pub close: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(30),
            request: Duration::from_secs(30),
            reply: Duration::from_secs(30),
            // Longer than a device's own limits: it shall be the one that gives a stalled connection up.
            close: Duration::from_secs(60),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("server: cannot listen on {address}: {source}; choose an address of this machine, with port 0")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The private key is none that the server can sign with.
    #[error("server: the private key cannot be used: {0}; give a P-256 key as PKCS#8 DER")]
    Key(String),
    /// No protocol version is left.
    #[error("server: the protocol versions cannot be used: {0}; give at least one of 1.2 and 1.3")]
    Versions(String),
    /// No suite, group or record size is left that can be used.
    #[error("server: {0}")]
    Offer(String),
    /// The system refused a thread or its event queue.
    #[error("server: cannot start its thread: {0}")]
    Thread(std::io::Error),
}
