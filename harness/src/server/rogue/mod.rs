//! A TLS 1.3 server that performs its handshake by a list of steps, and so can leave out what no honest one may.
//!
//! What enters: a list of [`Step`]s and an identity. What leaves: a session over which the reply is served, if the
//! client lets it come to that. It speaks TLS_AES_128_GCM_SHA256 with a secp256r1 key share and
//! ecdsa_secp256r1_sha256, and makes no HelloRetryRequest. It must not know why a step is missing.

mod keys;
mod messages;
mod protection;
mod steps;

pub use steps::{RogueHandshake, Step, UnknownStep};

use hkdf::hmac::{Hmac, KeyInit, Mac};
use p256::SecretKey;
use p256::ecdsa::SigningKey;
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::pkcs8::DecodePrivateKey;
use pinrig_certs::CertifiedChain;
use sha2::{Digest, Sha256};

use super::client_hello::ClientHello;
use super::session::{Broken, Incoming, Negotiated};
use super::wire::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER, Wire};
use super::{EventKind, StartError, names};
use keys::{HandshakeSecret, TrafficSecrets};
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
        for step in acceptor.plan.omitted() {
            wire.record.push(EventKind::StepOmitted {
                step: step.message().to_owned(),
            });
        }
        let mut machine = Machine::new(wire).await?;
        let mut flight = Vec::new();
        for step in acceptor.plan.steps() {
            flight.extend(machine.perform(*step, acceptor)?);
        }
        machine.send(wire, &flight).await?;
        let session = machine.receive_finished(wire).await?;
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

/// The handshake as it stands between two steps.
struct Machine {
    hello: ClientHello,
    /// The client's share of the key exchange.
    share: p256::PublicKey,
    /// The hash of all handshake messages so far (RFC 8446 section 4.4.1).
    transcript: Sha256,
    /// From ServerHello on.
    handshake: Option<HandshakeSecret>,
    /// From the server's Finished on.
    application: Option<TrafficSecrets>,
    outbound: Option<Protection>,
    /// Lines for the key log: label and secret.
    secrets: Vec<(&'static str, [u8; 32])>,
}

impl Machine {
    /// Checks that the client offers what this server speaks; a client that does not is told by an alert.
    async fn new(wire: &mut Wire) -> Result<Self, Broken> {
        let hello = wire.client_hello().cloned().unwrap_or_default();
        if !hello.versions.contains(&TLS_1_3) {
            return Err(refuse(wire, PROTOCOL_VERSION, "the client does not offer TLS 1.3").await);
        }
        if !hello.cipher_suites.contains(&AES_128_GCM_SHA256) {
            let why = "the client does not offer TLS_AES_128_GCM_SHA256";
            return Err(refuse(wire, HANDSHAKE_FAILURE, why).await);
        }
        let share = hello
            .key_shares
            .iter()
            .find(|(group, _)| *group == SECP256R1)
            .and_then(|(_, point)| p256::PublicKey::from_sec1_bytes(point).ok());
        let Some(share) = share else {
            let why = "the client sent no secp256r1 key share, and the rogue server makes no HelloRetryRequest";
            return Err(refuse(wire, HANDSHAKE_FAILURE, why).await);
        };
        Ok(Self {
            transcript: Sha256::new_with_prefix(&hello.message),
            hello,
            share,
            handshake: None,
            application: None,
            outbound: None,
            secrets: Vec::new(),
        })
    }

    /// Performs one step of the server's flight and returns its records.
    fn perform(&mut self, step: Step, acceptor: &RogueAcceptor) -> Result<Vec<u8>, Broken> {
        match step {
            Step::ServerHello => Ok(self.server_hello()),
            Step::EncryptedExtensions => Ok(self.say(&messages::encrypted_extensions())),
            Step::Certificate => Ok(self.say(&messages::certificate(&acceptor.chain))),
            Step::CertificateVerify => {
                let message = messages::certificate_verify(&acceptor.key, &self.transcript_hash());
                Ok(self.say(&message))
            }
            Step::Finished => {
                let Some(handshake) = &self.handshake else {
                    let why = "the list of steps has Finished before ServerHello, from which its key comes";
                    return Err(Broken::Protocol(why.to_owned()));
                };
                let verify_data = finished(&handshake.traffic.server, &self.transcript_hash());
                let records = self.say(&messages::finished(&verify_data));
                self.derive_application_secrets();
                Ok(records)
            }
        }
    }

    /// ServerHello in clear, after which everything is protected by the handshake's secrets.
    fn server_hello(&mut self) -> Vec<u8> {
        let ephemeral = SecretKey::generate();
        let point = ephemeral.public_key().to_sec1_point(false);
        let random: [u8; 32] = SecretKey::generate().to_bytes().into();
        let hello = messages::server_hello(&random, &self.hello.session_id, point.as_bytes());
        let mut records = self.say(&hello);
        if !self.hello.session_id.is_empty() {
            // For the sake of middleboxes (RFC 8446 appendix D.4).
            records.extend([CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1]);
        }
        let shared = p256::ecdh::diffie_hellman(ephemeral.to_nonzero_scalar(), self.share.as_affine());
        let handshake = HandshakeSecret::new(shared.raw_secret_bytes(), &self.transcript_hash());
        self.secrets.extend([
            ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", handshake.traffic.client),
            ("SERVER_HANDSHAKE_TRAFFIC_SECRET", handshake.traffic.server),
        ]);
        self.outbound = Some(Protection::new(&handshake.traffic.server));
        self.handshake = Some(handshake);
        records
    }

    fn derive_application_secrets(&mut self) {
        if let Some(handshake) = &self.handshake {
            let secrets = handshake.application(&self.transcript_hash());
            self.secrets.extend([
                ("CLIENT_TRAFFIC_SECRET_0", secrets.client),
                ("SERVER_TRAFFIC_SECRET_0", secrets.server),
            ]);
            self.application = Some(secrets);
        }
    }

    /// Adds a message to the transcript and returns its records, protected as far as there are keys.
    fn say(&mut self, message: &[u8]) -> Vec<u8> {
        self.transcript.update(message);
        match &mut self.outbound {
            Some(protection) => protection.seal(HANDSHAKE, message),
            None => protection::in_clear(HANDSHAKE, message),
        }
    }

    async fn send(&mut self, wire: &mut Wire, flight: &[u8]) -> Result<(), Broken> {
        for (label, secret) in self.secrets.drain(..) {
            wire.record.log_secret(label, &self.hello.random, &secret);
        }
        Ok(wire.write(flight).await?)
    }

    /// Waits for the client's Finished, checks it, and switches to the application's secrets.
    async fn receive_finished(mut self, wire: &mut Wire) -> Result<RogueSession, Broken> {
        let mut inbound = self
            .handshake
            .as_ref()
            .map(|secret| Protection::new(&secret.traffic.client));
        let message = loop {
            let record = next_record(wire).await?;
            let opened = match &mut inbound {
                _ if record[0] == CHANGE_CIPHER_SPEC => continue,
                Some(protection) => protection.open(&record),
                None => Some((record[0], record[HEADER..].to_vec())),
            };
            match opened.as_ref().map(|(kind, plaintext)| (*kind, &plaintext[..])) {
                Some((HANDSHAKE, message)) => break message.to_vec(),
                Some((ALERT, [_, description])) => return Err(alert_received(wire, *description)),
                Some((kind, _)) => {
                    let why = format!("a record of content type {kind} instead of the client's Finished");
                    return Err(Broken::Protocol(why));
                }
                None => {
                    let why = "a record of the client cannot be decrypted with the handshake's keys";
                    return Err(Broken::Protocol(why.to_owned()));
                }
            }
        };
        if self.application.is_none() {
            // The list of steps has no Finished, and the client went on all the same.
            self.derive_application_secrets();
        }
        let (Some(handshake), Some(application)) = (&self.handshake, &self.application) else {
            return Err(Broken::Protocol("the client answered without a ServerHello".to_owned()));
        };
        let expected = finished(&handshake.traffic.client, &self.transcript_hash());
        if message != messages::finished(&expected) {
            let alert = Protection::new(&application.server).seal(ALERT, &[2, DECRYPT_ERROR]);
            wire.record.push(EventKind::AlertSent {
                description: names::alert(DECRYPT_ERROR),
                in_clear: false,
            });
            // The client may be gone already.
            let _ = wire.write(&alert).await;
            return Err(Broken::Protocol(
                "the client's Finished does not fit the handshake".to_owned(),
            ));
        }
        let session = RogueSession {
            inbound: Protection::new(&application.client),
            outbound: Protection::new(&application.server),
        };
        self.send(wire, &[]).await?;
        Ok(session)
    }

    fn transcript_hash(&self) -> [u8; 32] {
        self.transcript.clone().finalize().into()
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

/// The verify_data of a Finished message (RFC 8446 section 4.4.4).
fn finished(secret: &[u8; 32], transcript_hash: &[u8; 32]) -> [u8; 32] {
    let key = keys::expand_label::<32>(secret, "finished", b"");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(transcript_hash);
    mac.finalize().into_bytes().into()
}
