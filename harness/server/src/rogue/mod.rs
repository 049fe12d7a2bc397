//! A TLS 1.3 server that performs its handshake by a list of steps, and so can break the protocol where it is told to.
//!
//! What enters: a list of steps and an identity. What leaves: a session over which the reply is served, if the client
//! completes the handshake. It speaks TLS_AES_128_GCM_SHA256 with a secp256r1 key share and ecdsa_secp256r1_sha256. It
//! does not know why a step is as it is.

mod code_points;
mod acceptor;
mod keys;
mod protection;
mod messages;
mod check;
mod records;
mod session;
mod machine;

pub(crate) use acceptor::RogueAcceptor;
pub use check::PlanError;
pub(crate) use machine::open;
pub(crate) use session::RogueSession;
