//! What every kind of session gives its connection: what came, what was agreed on, and why it came to an early end.
//!
//! These are plain values, which the sessions make and the connection's story reads. The module imports none of the
//! server's others.

use std::fmt;
use std::io;

/// What a handshake agreed on, by registered names.
#[derive(Debug)]
pub(crate) struct Negotiated {
    pub(crate) version: String,
    pub(crate) suite: String,
    pub(crate) group: Option<String>,
}

/// What came from the client.
#[derive(Debug)]
pub(crate) enum Incoming {
    Data(Vec<u8>),
    CloseNotify,
}

/// Why a session, or a handshake, came to an early end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The client sent this fatal alert, which is already recorded.
    Alert(String),
    /// The client broke the protocol, or the two sides have nothing in common.
    Protocol(String),
    /// The server could not do what it was told. The client is not to blame.
    Server(String),
    /// The client closed the connection.
    EndOfStream,
    /// The socket failed.
    Io(io::Error),
    /// The server cut the connection on purpose.
    OnPurpose,
    /// A limit passed; this is what the server waited for.
    TimedOut(&'static str),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(name) => write!(f, "the client sent alert {name}"),
            Self::Protocol(why) | Self::Server(why) => f.write_str(why),
            Self::OnPurpose => f.write_str("cut on purpose"),
            Self::EndOfStream => f.write_str("the client closed the connection"),
            Self::Io(error) if is_reset(error) => f.write_str("the client reset the connection"),
            Self::Io(error) => write!(f, "{error}"),
            Self::TimedOut(what) => write!(f, "time ran out, waiting for {what}"),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        if error.get_ref().is_some_and(|inner| inner.is::<OnPurpose>()) {
            return Self::OnPurpose;
        }
        Self::Io(error)
    }
}

/// The error of a socket that the server itself has cut.
#[derive(Debug, thiserror::Error)]
#[error("cut on purpose")]
pub(crate) struct OnPurpose;

/// Reports whether the socket failed because the client has closed or reset the connection.
pub(crate) fn is_reset(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected
    )
}
