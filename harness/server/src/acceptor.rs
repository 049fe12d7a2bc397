//! What every connection of a server starts from, prepared once for each configuration.
//!
//! What enters: a [`ServerConfig`]. What leaves: [`Settings`], or a [`StartError`] where the configuration cannot be used.

use std::sync::Arc;

use crate::config::{Close, Fault, Handshake, Limits, ServerConfig, StartError};
use crate::honest::HonestAcceptor;
use crate::record::Record;
use crate::reply::Reply;
use crate::rogue::RogueAcceptor;

/// What every connection of a server has in common.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) acceptor: Acceptor,
    pub(crate) reply: Reply,
    pub(crate) close: Close,
    pub(crate) fault: Option<Fault>,
    pub(crate) limits: Limits,
}

impl Settings {
    pub(crate) fn new(config: &ServerConfig, record: &Arc<Record>) -> Result<Self, StartError> {
        let acceptor = match &config.handshake {
            Handshake::Honest(offer) => Acceptor::Honest(HonestAcceptor::new(&config.identity, offer, record)?),
            Handshake::Rogue(plan) => Acceptor::Rogue(RogueAcceptor::new(&config.identity, plan.clone())?),
            Handshake::NoTls(bytes) => Acceptor::NoTls(bytes.clone()),
        };
        Ok(Self {
            acceptor,
            reply: config.reply.clone(),
            close: config.close,
            fault: config.fault,
            limits: config.limits,
        })
    }
}

/// What performs the handshake.
#[derive(Debug)]
pub(crate) enum Acceptor {
    Honest(HonestAcceptor),
    Rogue(RogueAcceptor),
    /// Nothing does: these bytes are sent instead.
    NoTls(Vec<u8>),
}
