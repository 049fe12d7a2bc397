//! A TLS server for tests: it does what it is told, right or wrong, and records what its clients do.
//!
//! What enters: a [`ServerConfig`], which has a certificate chain, a handshake to perform and a reply to give. What
//! leaves: the address on which to reach the server, an ordered list of [`ServerEvent`]s, and a [`ServerLog`] when it is
//! stopped. The server does not know what the client ought to do, who the client is, or why it is told what it is told.
//!
//! The modules stand from the ground up; each imports only from those above it in this list. `connection` is the story
//! of one connection. It runs over a `session`, which is either `honest` (rustls) or `rogue` (handshakes that no honest
//! library can emit). Both run over a `wire`, which watches the bytes that pass. `record` keeps the events.

mod names;
mod traffic;
mod broken;
mod client_hello;
mod event;
mod request;
mod reply;
mod steps;
mod config;
mod record;
mod wire;
mod honest;
mod rogue;
mod acceptor;
mod session;
mod connection;
mod running;

pub use client_hello::ClientHelloFacts;
pub use config::{Close, Fault, FaultKind, Handshake, Honest, Limits, ServerConfig, StartError, TlsVersion, When};
pub use event::{Ending, EventKind, ServerEvent};
pub use honest::{group_names, suite_names};
pub use names::{alert as alert_name, group as group_name, suite as suite_name, version as version_name};
pub use reply::{Framing, Reply, UnknownReply};
pub use running::{RunningServer, ServerLog, TlsServer, WaitIdleError};
pub use steps::{Bit, PlannedStep, RogueHandshake, Step, UnknownStep};
pub use traffic::{Settled, Traffic};

#[cfg(test)]
mod tests;
