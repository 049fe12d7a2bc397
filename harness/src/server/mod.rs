//! A local TLS server for one scenario, which records everything that it sees.
//!
//! What enters: a [`ServerConfig`] - a certificate chain, a handshake to perform, a reply to give. What leaves: the
//! address on which to reach it, an ordered list of [`ServerEvent`]s (the server lane of a transcript), and a
//! [`ServerLog`] when it is stopped. The server must not know scenarios, boards or what the client ought to do.
//!
//! A connection is handled top-down: `connection` is the story of one connection; it runs over a `session`, which is
//! either `honest` (rustls) or `rogue` (handshakes that no honest library can emit); both run over a `wire`, which
//! watches the bytes that pass. `record` keeps the events.

mod client_hello;
mod connection;
mod event;
mod honest;
mod http;
mod names;
mod record;
mod reply;
mod rogue;
mod running;
mod session;
mod wire;

pub use client_hello::ClientHelloFacts;
pub use event::{Ending, EventKind, ServerEvent};
pub use reply::{Framing, Reply, UnknownReply};
pub use rogue::{RogueHandshake, Step, UnknownStep};
pub use running::{RunningServer, ServerLog, TlsServer, WaitIdleError};

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use pinrig_certs::CertifiedChain;
use serde::{Deserialize, Serialize};

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
            limits: Limits::default(),
        }
    }
}

/// How a server behaves in the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// As the RFCs say.
    Honest {
        /// The protocol versions that it offers.
        versions: Vec<TlsVersion>,
        /// How many session tickets it sends after a TLS 1.3 handshake.
        tickets: usize,
    },
    /// By a list of steps, in TLS 1.3.
    Rogue(RogueHandshake),
}

impl Default for Handshake {
    /// Both versions, and the two tickets that servers on the Internet commonly send.
    fn default() -> Self {
        Self::Honest {
            versions: vec![TlsVersion::Tls13, TlsVersion::Tls12],
            tickets: 2,
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
            close: Duration::from_secs(10),
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
    /// The system refused a thread or its event queue.
    #[error("server: cannot start its thread: {0}")]
    Thread(std::io::Error),
}

#[cfg(test)]
mod tests;
