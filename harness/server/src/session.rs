//! An established TLS session of either kind of server.
//!
//! What enters: a [`Wire`] and the server's settings. What leaves: plaintext both ways. The two kinds differ in their
//! handshake and in the code that protects records. The connection's story, which uses this module, is the same for both.

use crate::acceptor::{Acceptor, Settings};
use crate::broken::{Broken, Incoming, Negotiated};
use crate::honest::HonestSession;
use crate::rogue::{self, RogueSession};
use crate::wire::Wire;

/// A session after its handshake.
#[derive(Debug)]
pub(crate) enum Session {
    Honest(Box<HonestSession>),
    Rogue(Box<RogueSession>),
}

impl Session {
    /// Performs the handshake that the settings ask for.
    pub(crate) async fn open(wire: &mut Wire, settings: &Settings) -> Result<(Self, Negotiated), Broken> {
        match &settings.acceptor {
            Acceptor::Honest(acceptor) => {
                let (session, negotiated) = HonestSession::open(wire, acceptor).await?;
                Ok((Self::Honest(Box::new(session)), negotiated))
            }
            Acceptor::Rogue(acceptor) => {
                let (session, negotiated) = rogue::open(wire, acceptor).await?;
                Ok((Self::Rogue(Box::new(session)), negotiated))
            }
            Acceptor::NoTls(bytes) => {
                // The first thing that the client sends, TLS or not.
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
