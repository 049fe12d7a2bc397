//! What a server is told before it starts.
//!
//! What enters: nothing; these are plain values that a caller fills in. What leaves: a [`ServerConfig`] for
//! [`TlsServer`](crate::TlsServer), or a [`StartError`] where one cannot be used.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use pinrig_certs::CertifiedChain;
use serde::{Deserialize, Serialize};

use crate::offer::Honest;
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
    /// What it does to each of its connections on purpose.
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
    /// It keeps to the RFCs.
    Honest(Honest),
    /// It performs a list of steps, in TLS 1.3.
    Rogue(RogueHandshake),
    /// No TLS: when the client has sent something, the server sends these bytes and closes.
    NoTls(Vec<u8>),
}

impl Default for Handshake {
    fn default() -> Self {
        Self::Honest(Honest::default())
    }
}

/// How a server ends a connection on which it has replied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Close {
    /// close_notify, then the end of the stream (RFC 8446 section 6.1).
    #[default]
    Notify,
    /// The end of the stream alone.
    End,
    /// A reset.
    Reset,
    /// Not at all: the server waits until the client ends it.
    Wait,
}

/// What a server does to each of its connections on purpose, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The moment at which it happens.
    pub when: When,
    /// What happens.
    pub what: FaultKind,
}

/// The moment at which a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As soon as there is a connection.
    Connected,
    /// When the server has sent this many bytes, TLS's own included; with 0, in place of the answer to the ClientHello.
    Sent(usize),
    /// When the server has sent this many TLS records.
    Records(usize),
    /// When the whole request has come.
    Request,
}

/// What happens to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Nothing more is sent; the connection stays.
    Stall,
    /// The stream ends.
    End,
    /// The connection is reset.
    Reset,
    /// The lowest bit of the next byte that is sent changes; everything else goes on.
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

/// How long the server waits for each thing that a client does. A limit that passes ends the connection.
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
            // Longer than the device's own limits, so that the device gives up a stalled connection before the server.
            close: Duration::from_secs(60),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server cannot listen on the address.
    #[error("server: cannot listen on {address}: {cause}; choose an address of this machine, with port 0")]
    Bind {
        /// The address that the caller gave.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The server cannot sign with the private key.
    #[error("server: cannot sign with the private key: {0}; give a P-256 key as PKCS#8 DER")]
    Key(String),
    /// No protocol version is left.
    #[error("server: cannot use the protocol versions: {0}; give at least one of 1.2 and 1.3")]
    Versions(String),
    /// The system refused a thread or its event queue.
    #[error("server: cannot start its thread: {0}")]
    Thread(std::io::Error),
}
