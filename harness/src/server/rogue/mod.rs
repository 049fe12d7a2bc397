//! A TLS 1.3 server that performs its handshake by a list of steps, and so can do what no honest one may.
//!
//! What enters: a list of [`PlannedStep`]s and an identity. What leaves: a session over which the reply is served, if the
//! client lets it come to that. It speaks TLS_AES_128_GCM_SHA256 with a secp256r1 key share and
//! ecdsa_secp256r1_sha256. It must not know why a step is as it is.

mod keys;
mod machine;
mod messages;
mod protection;
mod steps;

pub use steps::{Bit, PlannedStep, RogueHandshake, Step, UnknownStep};

use p256::SecretKey;
use p256::ecdsa::SigningKey;
use p256::pkcs8::DecodePrivateKey;
use pinrig_certs::CertifiedChain;

use super::session::{Broken, Incoming, Negotiated};
use super::wire::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER, Wire};
use super::{EventKind, StartError, names};
use machine::Machine;
use protection::Protection;

const TLS_1_3: u16 = 0x0304;
const AES_128_GCM_SHA256: u16 = 0x1301;
const SECP256R1: u16 = 0x0017;

/// What every rogue session of a server starts from.
#[derive(Debug)]
pub(crate) struct RogueAcceptor {
    plan: RogueHandshake,
    chain: Vec<Vec<u8>>,
    /// Its `Debug` text shows no secret.
    key: SigningKey,
}

impl RogueAcceptor {
    pub(crate) fn new(identity: &CertifiedChain, plan: RogueHandshake) -> Result<Self, StartError> {
        let key =
            SecretKey::from_pkcs8_der(identity.key.pkcs8_der()).map_err(|error| StartError::Key(error.to_string()))?;
        Ok(Self {
            plan,
            chain: identity.chain.clone(),
            key: SigningKey::from(&key),
        })
    }
}

/// A session after the client's Finished.
#[derive(Debug)]
pub(crate) struct RogueSession {
    inbound: Protection,
    outbound: Protection,
}

impl RogueSession {
    pub(crate) async fn open(wire: &mut Wire, acceptor: &RogueAcceptor) -> Result<(Self, Negotiated), Broken> {
        while wire.client_hello().is_none() {
            let record = next_record(wire).await?;
            if record[0] != HANDSHAKE {
                return Err(refuse(wire, UNEXPECTED_MESSAGE, "the client did not begin with a ClientHello").await);
            }
        }
        match acceptor.plan.omitted() {
            Some(omitted) => {
                for step in omitted {
                    let step = format!("{step:?}");
                    wire.record.push(EventKind::StepOmitted { step });
                }
            }
            None => {
                let steps = acceptor.plan.steps().iter().map(ToString::to_string).collect();
                wire.record.push(EventKind::Steps { steps });
            }
        }
        let session = Machine::new(wire).await?.run(wire, acceptor).await?;
        let agreed = Negotiated {
            version: names::version(TLS_1_3),
            suite: names::suite(AES_128_GCM_SHA256),
            group: Some(names::group(SECP256R1)),
        };
        Ok((session, agreed))
    }

    pub(crate) async fn read(&mut self, wire: &mut Wire) -> Result<Incoming, Broken> {
        loop {
            let record = next_record(wire).await?;
            let Some((kind, plaintext)) = self.inbound.open(&record) else {
                return Err(Broken::Protocol(
                    "a record of the client cannot be decrypted".to_owned(),
                ));
            };
            match (kind, &plaintext[..]) {
                (APPLICATION_DATA, []) => {}
                (APPLICATION_DATA, _) => return Ok(Incoming::Data(plaintext)),
                (ALERT, [_, 0]) => return Ok(Incoming::CloseNotify),
                (ALERT, [_, description]) => return Err(alert_received(wire, *description)),
                _ => {
                    let why = format!("an unexpected record of content type {kind} after the handshake");
                    return Err(Broken::Protocol(why));
                }
            }
        }
    }

    pub(crate) async fn write(&mut self, wire: &mut Wire, data: &[u8]) -> Result<(), Broken> {
        let records = self.outbound.seal(APPLICATION_DATA, data);
        Ok(wire.write(&records).await?)
    }

    pub(crate) async fn close(&mut self, wire: &mut Wire) -> Result<(), Broken> {
        let records = self.outbound.seal(ALERT, &[1, 0]);
        Ok(wire.write(&records).await?)
    }
}

// Alert descriptions, from the TLS Alerts registry.
const UNEXPECTED_MESSAGE: u8 = 10;
const HANDSHAKE_FAILURE: u8 = 40;
const DECRYPT_ERROR: u8 = 51;
const PROTOCOL_VERSION: u8 = 70;

/// The next record, header included, which is complete and no alert in clear.
async fn next_record(wire: &mut Wire) -> Result<Vec<u8>, Broken> {
    let Some(record) = wire.read_record().await? else {
        return Err(Broken::EndOfStream);
    };
    if let Some(alert) = wire.last_alert_in_clear() {
        return Err(Broken::Alert(alert.to_owned()));
    }
    if record.len() < HEADER || !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&record[0]) {
        return Err(Broken::Protocol("the client does not speak TLS".to_owned()));
    }
    Ok(record)
}

/// Records a protected alert.
fn alert_received(wire: &mut Wire, description: u8) -> Broken {
    let description = names::alert(description);
    wire.record.push(EventKind::AlertReceived {
        description: description.clone(),
        in_clear: false,
    });
    Broken::Alert(description)
}

/// Tells the client by an alert in clear that it will not be served.
async fn refuse(wire: &mut Wire, description: u8, why: &str) -> Broken {
    // The client may be gone already; why it is refused is what counts.
    let _ = wire.write(&protection::in_clear(ALERT, &[2, description])).await;
    Broken::Protocol(why.to_owned())
}
