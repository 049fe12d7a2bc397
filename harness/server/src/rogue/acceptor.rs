//! What every rogue session of a server starts from.
//!
//! What enters: an identity and a list of steps. What leaves: both, with the key ready to sign; or the reason why this
//! server cannot sign with it.

use p256::SecretKey;
use p256::ecdsa::SigningKey;
use p256::pkcs8::DecodePrivateKey;
use pinrig_certs::CertifiedChain;

use crate::config::StartError;
use crate::steps::RogueHandshake;

/// What every rogue session of a server starts from.
#[derive(Debug)]
pub(crate) struct RogueAcceptor {
    pub(super) plan: RogueHandshake,
    pub(super) chain: Vec<Vec<u8>>,
    /// Its `Debug` text shows no secret.
    pub(super) key: SigningKey,
}

impl RogueAcceptor {
    pub(crate) fn new(identity: &CertifiedChain, plan: RogueHandshake) -> Result<Self, StartError> {
        Ok(Self {
            plan,
            chain: identity.chain.clone(),
            key: signing_key(identity)?,
        })
    }
}

/// The key of an identity, which must be one of P-256.
pub(super) fn signing_key(identity: &CertifiedChain) -> Result<SigningKey, StartError> {
    let key =
        SecretKey::from_pkcs8_der(identity.key.pkcs8_der()).map_err(|error| StartError::Key(error.to_string()))?;
    Ok(SigningKey::from(&key))
}
