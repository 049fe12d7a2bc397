//! A TLS server for tests: it does what it is told, right or wrong, and records what its clients do.
//!
//! What enters: a [`ServerConfig`], which has a certificate chain, a handshake to perform and a reply to give. What
//! leaves: the address at which the server listens, an ordered list of [`ServerEvent`]s, and a [`ServerLog`] when it is
//! stopped. The server does not know what the client should do, who the client is, or what a test wants to show.
//!
//! A server that leaves out the proof that the certificate is its own, and a client that does not even speak TLS:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//!
//! use pinrig_certs::Recipe;
//! use pinrig_server::{Handshake, Message, Reply, RogueHandshake, ServerConfig, TlsServer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = ServerConfig::new(Recipe::Github.issue(), Reply::github("success")?);
//! let steps = RogueHandshake::honest().omit(Message::CertificateVerify);
//! config.handshake = Handshake::Rogue(steps);
//! let server = TlsServer::start(config)?; // on 127.0.0.1, at a free port
//!
//! let mut client = TcpStream::connect(server.address())?;
//! client.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
//! let mut answer = Vec::new();
//! client.read_to_end(&mut answer)?;
//! drop(client);
//! assert_eq!(answer, b"");
//!
//! server.wait_idle(Duration::from_secs(10))?;
//! let log = server.stop();
//! let lines: Vec<String> = log.events.iter().map(ToString::to_string).collect();
//! assert_eq!(
//!     lines,
//!     [
//!         "#1 connected",
//!         r"#1 18 bytes out of place: GET / HTTP/1.1\r\n\r\n",
//!         "#1 handshake failed: the client does not speak TLS",
//!         "#1 connection closed by the client; no application data received",
//!     ]
//! );
//! # Ok(())
//! # }
//! ```
//!
//! The modules stand from the ground up; each imports only from those above it in this list. `connection` is the story
//! of one connection. It runs over a `session`, which is either `honest` (rustls) or `rogue` (handshakes that no honest
//! library can emit). Both run over a `wire`, which watches the bytes that pass. `record` keeps the events.
//!
//! With the feature `schema`, the types that stand in scenario files describe themselves as JSON schemas.

mod bounded;
mod from_text;
mod hex;
mod names;
mod traffic;
mod broken;
mod content_type;
mod drawn;
mod client_hello;
mod event;
mod header;
mod request;
mod reply;
mod alert;
mod message;
mod steps;
mod step_error;
mod offer;
mod config;
mod record;
mod second_flight;
mod wire;
mod honest;
mod rogue;
mod acceptor;
mod session;
mod connection;
mod running;

pub use alert::{AlertDescription, UnknownAlert};
pub use bounded::Bounded;
pub use client_hello::ClientHelloFacts;
pub use config::{Close, Fault, FaultKind, Handshake, Limits, ServerConfig, StartError, When};
pub use drawn::{Drawn, DrawnFor};
pub use event::{Ending, EventKind, ServerEvent, StrayPlace};
pub use header::{Header, HeaderError};
pub use hex::{HexBytes, HexError};
pub use message::Message;
pub use names::{alert as alert_name, group as group_name, suite as suite_name, version as version_name};
pub use offer::{Group, Honest, RecordSize, Suite, TicketCount, TlsVersion, UnknownName};
pub use reply::{BodyError, Framing, Reply, ReplySize, UnknownReply};
pub use rogue::PlanError;
pub use running::{RunningServer, ServerLog, TlsServer, WaitIdleError};
pub use step_error::{Length, StepError, StepProblem};
pub use steps::{
    Bit, BitNumber, DataSize, Delivery, Encryption, FragmentSize, MessageSize, PlannedMessage, PlannedStep,
    RogueHandshake, Step, UnknownStep,
};
pub use traffic::{Settled, Traffic};

#[cfg(test)]
mod tests;
