//! The handshake while it is performed, step by step.
//!
//! What enters: the ClientHello, then steps. What leaves: records, and at the end a [`RogueSession`]. Where a message is
//! spoilt, the server goes on as if the spoilt message were right, so that it is the client that must notice. A step that
//! cannot be performed is the server's own failure, never another step.

use hkdf::hmac::{Hmac, KeyInit, Mac};
use p256::SecretKey;
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};

use super::acceptor::RogueAcceptor;
use super::check::{fits, step_error};
use super::code_points::{
    AES_128_GCM_SHA256, DECODE_ERROR, DECRYPT_ERROR, HANDSHAKE_FAILURE, PROTOCOL_VERSION, SECP256R1, TLS_1_3,
    UNEXPECTED_MESSAGE,
};
use super::keys::{self, HandshakeSecret, TrafficSecrets};
use super::messages::{self, Content, Covers, ServerHello, Side};
use super::protection::{self, Protection};
use super::records::{alert_received, next_record, refuse};
use super::session::RogueSession;
use crate::broken::{Broken, Negotiated};
use crate::client_hello::ClientHello;
use crate::content_type::{ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER};
use crate::event::EventKind;
use crate::message::Message;
use crate::names;
use crate::step_error::{Length, StepProblem};
use crate::steps::{Delivery, Encryption, FragmentSize, PlannedMessage, PlannedStep};
use crate::wire::Wire;

/// Performs the handshake, and records which steps it has left out or is made of.
pub(crate) async fn open(wire: &mut Wire, acceptor: &RogueAcceptor) -> Result<(RogueSession, Negotiated), Broken> {
    while wire.client_hello().is_none() {
        let record = next_record(wire).await?;
        if record[0] != HANDSHAKE {
            return Err(refuse(wire, UNEXPECTED_MESSAGE, "the client did not begin with a ClientHello").await);
        }
        // A length beyond its range is an error of decoding (RFC 8446 section 6.2).
        if let Some(why) = wire.unreadable_hello() {
            return Err(refuse(wire, DECODE_ERROR, &why).await);
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

/// The handshake as it stands between two steps.
pub(super) struct Machine {
    hello: ClientHello,
    /// The client's share of the key exchange.
    share: p256::PublicKey,
    /// The hash of all handshake messages so far (RFC 8446 section 4.4.1).
    transcript: Sha256,
    /// The same without the server's Certificate.
    transcript_without_certificate: Sha256,
    /// From ServerHello on.
    handshake: Option<HandshakeSecret>,
    /// From the server's Finished on.
    application: Option<TrafficSecrets>,
    outbound: Option<Protection>,
    inbound: Option<Protection>,
    /// Both Finished messages have been exchanged: the application's secrets protect what follows.
    established: bool,
    /// A client that was asked for its certificate sends one, at least an empty one.
    client_certificate_asked: bool,
    /// Messages that wait for the record of the next.
    held: Vec<u8>,
    /// What came from the client and was not taken yet.
    inbox: Vec<u8>,
    /// What the key log has not been told yet.
    secrets: Vec<Secret>,
}

/// A line for the key log.
struct Secret {
    label: &'static str,
    value: [u8; 32],
}

impl Machine {
    /// Checks that the client offers what this server speaks; a client that does not is told by an alert.
    pub(super) async fn new(wire: &mut Wire) -> Result<Self, Broken> {
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
            .find(|share| share.group == SECP256R1)
            .and_then(|share| p256::PublicKey::from_sec1_bytes(&share.value).ok());
        let Some(share) = share else {
            let why = "the client sent no secp256r1 key share, and the rogue server makes no HelloRetryRequest";
            return Err(refuse(wire, HANDSHAKE_FAILURE, why).await);
        };
        let transcript = Sha256::new_with_prefix(&hello.message);
        Ok(Self {
            transcript_without_certificate: transcript.clone(),
            transcript,
            hello,
            share,
            handshake: None,
            application: None,
            outbound: None,
            inbound: None,
            established: false,
            client_certificate_asked: false,
            held: Vec::new(),
            inbox: Vec::new(),
            secrets: Vec::new(),
        })
    }

    /// Performs every step. What comes before the client's turn goes out at once.
    pub(super) async fn run(mut self, wire: &mut Wire, acceptor: &RogueAcceptor) -> Result<RogueSession, Broken> {
        let plan = &acceptor.plan;
        let own_fault = |index, problem| Broken::Server(step_error(plan, index, problem).to_string());
        let mut flight = Vec::new();
        let mut client_is_done = false;
        let mut held_since = None;
        for (index, planned) in plan.steps().iter().enumerate() {
            match planned {
                PlannedStep::ClientFinished if client_is_done => {
                    return Err(own_fault(index, StepProblem::FinishedTwice));
                }
                PlannedStep::ClientFinished => {
                    self.send(wire, &std::mem::take(&mut flight)).await?;
                    self.receive_finished(wire).await?;
                    client_is_done = true;
                }
                _ => {
                    let records = self.perform(planned, acceptor);
                    flight.extend(records.map_err(|problem| own_fault(index, problem))?);
                }
            }
            if self.held.is_empty() {
                held_since = None;
            } else {
                held_since.get_or_insert(index);
            }
        }
        if let Some(index) = held_since {
            return Err(own_fault(index, StepProblem::NothingFollows));
        }
        self.send(wire, &flight).await?;
        if !client_is_done {
            self.receive_finished(wire).await?;
        }
        match (self.inbound, self.outbound, self.application) {
            (Some(inbound), Some(outbound), Some(secrets)) => Ok(RogueSession {
                inbound,
                outbound,
                secrets,
                close_notify_seen: false,
            }),
            _ => Err(Broken::Protocol("the client answered without a ServerHello".to_owned())),
        }
    }

    /// Performs one step and returns its records.
    fn perform(&mut self, planned: &PlannedStep, acceptor: &RogueAcceptor) -> Result<Vec<u8>, StepProblem> {
        Ok(match planned {
            PlannedStep::Message(planned) => self.message(planned, acceptor)?,
            // The one step that waits: `run` has performed it.
            PlannedStep::ClientFinished => Vec::new(),
            PlannedStep::ApplicationData { size, encryption } => match self.protection(*encryption) {
                Some(protection) => protection.seal_data(*size),
                None => protection::data_in_clear(*size),
            },
            PlannedStep::EmptyHandshake { encryption } => self.seal(*encryption, HANDSHAKE, &[]),
            PlannedStep::EmptyRecord => {
                let protection = self.outbound.as_mut().ok_or(StepProblem::NoKeys)?;
                protection.seal_nothing()
            }
            PlannedStep::ChangeCipherSpec => protection::in_clear(CHANGE_CIPHER_SPEC, &[1]),
            PlannedStep::Alert {
                description,
                encryption,
            } => self.seal(*encryption, ALERT, &[2, description.0]),
            PlannedStep::Raw(hex) => hex.bytes().to_vec(),
        })
    }

    /// Sends a handshake message, with what follows from it for the handshake.
    fn message(&mut self, planned: &PlannedMessage, acceptor: &RogueAcceptor) -> Result<Vec<u8>, StepProblem> {
        let message = match Content::of(planned.message)? {
            Content::ServerHello => return self.server_hello(planned),
            Content::Certificate => messages::certificate(&acceptor.chain)?,
            Content::Verify(signed, covers) => {
                let transcript = match covers {
                    Covers::All => &self.transcript,
                    Covers::AllButCertificate => &self.transcript_without_certificate,
                };
                let hash = transcript.clone().finalize().into();
                let signature = messages::signature(&acceptor.key, &hash, signed);
                messages::certificate_verify(&signature, signed)?
            }
            Content::Finished(side) => {
                let traffic = &self.handshake.as_ref().ok_or(StepProblem::NoKeys)?.traffic;
                let secret = match side {
                    Side::Client => &traffic.client,
                    Side::Server => &traffic.server,
                };
                messages::finished(&verify_data(secret, &self.transcript_hash()))?
            }
            Content::ClientHello => self.hello.message.clone(),
            Content::Fixed(message) => message,
        };
        let records = self.say(planned, message)?;
        match planned.message {
            Message::CertificateRequest => self.client_certificate_asked = true,
            Message::Finished => self.derive_application_secrets(),
            // In the record of another message it would be against RFC 8446 section 5.1, and changes nothing.
            Message::KeyUpdate if planned.delivery != Delivery::WithNext => self.change_keys(),
            _ => {}
        }
        Ok(records)
    }

    /// ServerHello in clear, after which everything is protected by the handshake's secrets.
    fn server_hello(&mut self, planned: &PlannedMessage) -> Result<Vec<u8>, StepProblem> {
        let ephemeral = SecretKey::generate();
        let point = ephemeral.public_key().to_sec1_point(false);
        let random: [u8; 32] = SecretKey::generate().to_bytes().into();
        let hello = ServerHello::new(planned.message, random, &self.hello.session_id, point.as_bytes());
        let mut records = self.say(planned, hello.message()?)?;
        if !self.hello.session_id.is_empty() {
            // For the sake of middleboxes (RFC 8446 appendix D.4).
            records.extend(protection::in_clear(CHANGE_CIPHER_SPEC, &[1]));
        }
        if !Content::ServerHello.brings_keys(planned.message) {
            return Ok(records);
        }
        let shared = p256::ecdh::diffie_hellman(ephemeral.to_nonzero_scalar(), self.share.as_affine());
        let handshake = HandshakeSecret::new(shared.raw_secret_bytes(), &self.transcript_hash());
        self.log_secrets(
            ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET"],
            &handshake.traffic,
        );
        self.outbound = Some(Protection::new(&handshake.traffic.server));
        self.inbound = Some(Protection::new(&handshake.traffic.client));
        self.handshake = Some(handshake);
        Ok(records)
    }

    fn derive_application_secrets(&mut self) {
        if let Some(handshake) = &self.handshake {
            let secrets = handshake.application(&self.transcript_hash());
            self.log_secrets(["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"], &secrets);
            self.application = Some(secrets);
        }
    }

    /// Protects what follows by the next generation of keys. During the handshake there is none (section 4.6.3).
    fn change_keys(&mut self) {
        if let Some(secrets) = self.application.as_mut().filter(|_| self.established) {
            secrets.server = keys::next_generation(&secrets.server);
            self.outbound = Some(Protection::new(&secrets.server));
        }
    }

    fn log_secrets(&mut self, [client, server]: [&'static str; 2], traffic: &TrafficSecrets) {
        let secret = |label, value| Secret { label, value };
        let both = [secret(client, traffic.client), secret(server, traffic.server)];
        self.secrets.extend(both);
    }

    /// Spoils a handshake message as planned, adds it to the transcript and returns its records.
    fn say(&mut self, planned: &PlannedMessage, mut message: Vec<u8>) -> Result<Vec<u8>, StepProblem> {
        fits(planned, &Length(message.len()..=message.len()))?;
        if let Some(bit) = planned.flip_bit
            && let Some(index) = bit.index(message.len())
        {
            message[index] ^= 1 << bit.bit.get();
        }
        if let Some(length) = planned.cut {
            message.truncate(length.size());
        }
        // After the handshake the transcript is not needed any more.
        self.transcript.update(&message);
        if planned.message != Message::Certificate {
            self.transcript_without_certificate.update(&message);
        }
        Ok(match planned.delivery {
            Delivery::Unsent => Vec::new(),
            Delivery::WithNext => {
                self.held.extend(message);
                Vec::new()
            }
            Delivery::Records { fragment, encryption } => {
                let mut content = std::mem::take(&mut self.held);
                content.extend(message);
                let size = fragment.map_or(content.len(), FragmentSize::size);
                content
                    .chunks(size)
                    .flat_map(|piece| self.seal(encryption, HANDSHAKE, piece))
                    .collect()
            }
        })
    }

    /// What protects a record now; `None` where it goes in clear.
    fn protection(&mut self, encryption: Encryption) -> Option<&mut Protection> {
        match encryption {
            Encryption::AsDue => self.outbound.as_mut(),
            Encryption::Off => None,
        }
    }

    fn seal(&mut self, encryption: Encryption, kind: u8, content: &[u8]) -> Vec<u8> {
        match self.protection(encryption) {
            Some(protection) => protection.seal(kind, content),
            None => protection::in_clear(kind, content),
        }
    }

    async fn send(&mut self, wire: &mut Wire, flight: &[u8]) -> Result<(), Broken> {
        for Secret { label, value } in self.secrets.drain(..) {
            wire.record.log_secret(label, &self.hello.random, &value);
        }
        Ok(wire.write(flight).await?)
    }

    /// Waits for the client's Finished, checks it, and switches to the application's secrets.
    async fn receive_finished(&mut self, wire: &mut Wire) -> Result<(), Broken> {
        if self.client_certificate_asked {
            let certificate = self.receive_message(wire).await?;
            if self.application.is_none() {
                self.derive_application_secrets();
            }
            self.transcript.update(&certificate);
        }
        let message = self.receive_message(wire).await?;
        if self.application.is_none() {
            // The list of steps has no Finished, and the client has gone on without it.
            self.derive_application_secrets();
        }
        let (Some(handshake), Some(application)) = (&self.handshake, &self.application) else {
            return Err(Broken::Protocol("the client answered without a ServerHello".to_owned()));
        };
        let expected = verify_data(&handshake.traffic.client, &self.transcript_hash());
        if Ok(&message) != messages::finished(&expected).as_ref() {
            if is_finished(&message) {
                // The steps are out of order, and the client has computed its Finished in another place.
                wire.pass_last();
            }
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
        self.inbound = Some(Protection::new(&application.client));
        self.outbound = Some(Protection::new(&application.server));
        self.established = true;
        self.send(wire, &[]).await
    }

    /// The client's next handshake message.
    async fn receive_message(&mut self, wire: &mut Wire) -> Result<Vec<u8>, Broken> {
        loop {
            // A type, a length in three bytes, and a body of that length (RFC 8446 section 4).
            if let Some(&[_, a, b, c]) = self.inbox.first_chunk() {
                let length = 4 + u32::from_be_bytes([0, a, b, c]) as usize;
                if length <= self.inbox.len() {
                    return Ok(self.inbox.drain(..length).collect());
                }
            }
            let record = next_record(wire).await?;
            let opened = match &mut self.inbound {
                _ if record[0] == CHANGE_CIPHER_SPEC => continue,
                Some(protection) => protection.open(&record),
                None => Some((record[0], record[HEADER..].to_vec())),
            };
            match opened.as_ref().map(|(kind, plaintext)| (*kind, &plaintext[..])) {
                Some((HANDSHAKE, messages)) => self.inbox.extend(messages),
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
        }
    }

    fn transcript_hash(&self) -> [u8; 32] {
        self.transcript.clone().finalize().into()
    }
}

/// Whether this is a Finished message of the right size, whatever it says (RFC 8446 section 4.4.4).
fn is_finished(message: &[u8]) -> bool {
    matches!(message, [20, 0, 0, 32, verify_data @ ..] if verify_data.len() == 32)
}

/// The verify_data of a Finished message (RFC 8446 section 4.4.4).
fn verify_data(secret: &[u8; 32], transcript_hash: &[u8; 32]) -> [u8; 32] {
    let key = keys::expand_label::<32>(secret, "finished", b"");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(transcript_hash);
    mac.finalize().into_bytes().into()
}
