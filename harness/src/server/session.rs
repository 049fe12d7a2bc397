//! An established TLS session of either kind of server.
//!
//! What enters: a [`Wire`] and the server's settings. What leaves: plaintext both ways. The two kinds differ in the
//! handshake and in who protects the records; the connection's story above is the same for both.

use std::fmt;
use std::io;

use super::honest::HonestSession;
use super::rogue::RogueSession;
use super::running::{Acceptor, Settings};
use super::wire::Wire;

/// A session after its handshake.
#[derive(Debug)]
pub(crate) enum Session {
    Honest(Box<HonestSession>),
    Rogue(Box<RogueSession>),
}

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

impl Session {
    /// Performs the handshake that the settings ask for.
    pub(crate) async fn open(wire: &mut Wire, settings: &Settings) -> Result<(Self, Negotiated), Broken> {
        match &settings.acceptor {
            Acceptor::Honest { config, key_update } => {
                let (session, negotiated) = HonestSession::open(wire, config, *key_update).await?;
                Ok((Self::Honest(Box::new(session)), negotiated))
            }
            Acceptor::Rogue(rogue) => {
                let (session, negotiated) = RogueSession::open(wire, rogue).await?;
                Ok((Self::Rogue(Box::new(session)), negotiated))
            }
            Acceptor::NoTls(bytes) => {
                // Whatever it is that the client says first.
                if wire.read_record().await?.is_none() {
                    return Err(Broken::EndOfStream);
                }
                wire.write_plain(bytes).await?;
                Err(Broken::Protocol("the server does not speak TLS".to_owned()))
            }
        }
    }

    /// Waits for the client's next data or close_notify.
    pub(crate) async fn read(&mut self, wire: &mut Wire) -> Result<Incoming, Broken> {
        let incoming = match self {
            Self::Honest(session) => session.read(wire).await?,
            Self::Rogue(session) => session.read(wire).await?,
        };
        if let Incoming::Data(data) = &incoming {
            wire.record.count_received(data.len());
        }
        Ok(incoming)
    }

    /// Sends application data.
    pub(crate) async fn write(&mut self, wire: &mut Wire, data: &[u8]) -> Result<(), Broken> {
        match self {
            Self::Honest(session) => session.write(wire, data).await?,
            Self::Rogue(session) => session.write(wire, data).await?,
        }
        wire.record.count_sent(data.len());
        Ok(())
    }

    /// Sends close_notify.
    pub(crate) async fn close(&mut self, wire: &mut Wire) -> Result<(), Broken> {
        match self {
            Self::Honest(session) => session.close(wire).await,
            Self::Rogue(session) => session.close(wire).await,
        }
    }
}

/// Why a session, or a handshake, came to an early end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The client sent this fatal alert, which is already recorded.
    Alert(String),
    /// The client broke the protocol, or the two sides have nothing in common.
    Protocol(String),
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
            Self::Protocol(why) => f.write_str(why),
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

/// Whether the socket failed because the peer is gone.
pub(crate) fn is_reset(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected
    )
}
