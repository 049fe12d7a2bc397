//! The handshake while it is performed, step by step.
//!
//! What enters: the ClientHello, then steps. What leaves: records, and at the end a [`RogueSession`]. Where a step is
//! spoilt, the server's own view of the handshake goes on as if it were right: whatever the client makes of it is the
//! client's doing.

use hkdf::hmac::{Hmac, KeyInit, Mac};
use p256::SecretKey;
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};

use super::acceptor::RogueAcceptor;
use super::code_points::{
    AES_128_GCM_SHA256, DECRYPT_ERROR, HANDSHAKE_FAILURE, PROTOCOL_VERSION, SECP256R1, TLS_1_3, UNEXPECTED_MESSAGE,
};
use super::keys::{self, HandshakeSecret, TrafficSecrets};
use super::messages::{self, RETRY, ServerHello, Signed};
use super::protection::{self, Protection};
use super::records::{alert_received, next_record, refuse};
use super::session::RogueSession;
use crate::broken::{Broken, Negotiated};
use crate::client_hello::ClientHello;
use crate::event::EventKind;
use crate::names;
use crate::steps::{Bit, PlannedStep, Step};
use crate::wire::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER, Wire};

const AES_128_CCM_SHA256: u16 = 0x1304;
const ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: u16 = 0xC02B;
const X25519: u16 = 0x001D;
const TLS_OF_THE_FUTURE: u16 = 0x0305;

/// Performs the handshake, and records which steps it has left out or is made of.
pub(crate) async fn open(wire: &mut Wire, acceptor: &RogueAcceptor) -> Result<(RogueSession, Negotiated), Broken> {
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
    /// A client that was asked for its certificate sends one, at least an empty one.
    client_certificate_asked: bool,
    /// Messages that wait for the record of the next.
    held: Vec<u8>,
    /// What came from the client and was not taken yet.
    inbox: Vec<u8>,
    /// Lines for the key log: label and secret.
    secrets: Vec<(&'static str, [u8; 32])>,
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
            .find(|(group, _)| *group == SECP256R1)
            .and_then(|(_, point)| p256::PublicKey::from_sec1_bytes(point).ok());
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
            client_certificate_asked: false,
            held: Vec::new(),
            inbox: Vec::new(),
            secrets: Vec::new(),
        })
    }

    /// Performs every step. What comes before the client's turn goes out at once.
    pub(super) async fn run(mut self, wire: &mut Wire, acceptor: &RogueAcceptor) -> Result<RogueSession, Broken> {
        let mut flight = Vec::new();
        let mut client_is_done = false;
        for planned in acceptor.plan.steps() {
            if planned.step == Step::ClientFinished {
                self.send(wire, &std::mem::take(&mut flight)).await?;
                self.receive_finished(wire).await?;
                client_is_done = true;
            } else {
                flight.extend(self.perform(planned, acceptor)?);
            }
        }
        self.send(wire, &flight).await?;
        if !client_is_done {
            self.receive_finished(wire).await?;
        }
        match (self.inbound, self.outbound) {
            (Some(inbound), Some(outbound)) => Ok(RogueSession { inbound, outbound }),
            _ => Err(Broken::Protocol("the client answered without a ServerHello".to_owned())),
        }
    }

    /// Performs one step and returns its records.
    fn perform(&mut self, planned: &PlannedStep, acceptor: &RogueAcceptor) -> Result<Vec<u8>, Broken> {
        let step = planned.step;
        let message = match step {
            Step::ServerHello
            | Step::OlderServerHello
            | Step::DowngradedServerHello
            | Step::FutureServerHello
            | Step::OtherSuiteServerHello
            | Step::OtherGroupServerHello
            | Step::OffCurveServerHello
            | Step::OtherSessionServerHello
            | Step::PskServerHello
            | Step::NoShareServerHello
            | Step::HelloRetryRequest => return Ok(self.server_hello(planned)),
            Step::EncryptedExtensions => messages::encrypted_extensions(false),
            Step::UnaskedExtensions => messages::encrypted_extensions(true),
            Step::CertificateRequest => {
                self.client_certificate_asked = true;
                messages::certificate_request()
            }
            Step::Certificate => messages::certificate(&acceptor.chain),
            Step::EmptyCertificate => messages::certificate(&[]),
            Step::CertificateVerify => self.certificate_verify(acceptor, Signed::AsServer),
            Step::ClientVerify => self.certificate_verify(acceptor, Signed::AsClient),
            Step::MislabelledVerify => self.certificate_verify(acceptor, Signed::Mislabelled),
            Step::StaleVerify => {
                let hash = self.transcript_without_certificate.clone().finalize().into();
                messages::certificate_verify(&acceptor.key, &hash, Signed::AsServer)
            }
            Step::Finished => self.finished(|secrets| &secrets.server)?,
            Step::ReflectedFinished => self.finished(|secrets| &secrets.client)?,
            Step::ClientFinished => return Ok(Vec::new()),
            Step::NewSessionTicket => messages::new_session_ticket(),
            Step::KeyUpdate => messages::key_update(),
            Step::HelloRequest => messages::hello_request(),
            Step::ClientHello => self.hello.message.clone(),
            Step::UnknownMessage => messages::unknown(),
            Step::ApplicationData => {
                let data = vec![b'x'; planned.size.unwrap_or(1)];
                return Ok(self.seal(planned, APPLICATION_DATA, &data));
            }
            Step::EmptyHandshake => return Ok(self.seal(planned, HANDSHAKE, &[])),
            Step::EmptyRecord => return Ok(self.outbound.as_mut().map(Protection::seal_nothing).unwrap_or_default()),
            Step::ChangeCipherSpec => return Ok(protection::in_clear(CHANGE_CIPHER_SPEC, &[1])),
            Step::Alert => {
                let description = planned.description.unwrap_or(HANDSHAKE_FAILURE);
                return Ok(self.seal(planned, ALERT, &[2, description]));
            }
            Step::Raw => return Ok(from_hex(planned.hex.as_deref().unwrap_or_default())),
        };
        let records = self.say(planned, message);
        if step == Step::Finished {
            self.derive_application_secrets();
        }
        Ok(records)
    }

    fn certificate_verify(&self, acceptor: &RogueAcceptor, signed: Signed) -> Vec<u8> {
        messages::certificate_verify(&acceptor.key, &self.transcript_hash(), signed)
    }

    fn finished(&self, whose: impl FnOnce(&TrafficSecrets) -> &[u8; 32]) -> Result<Vec<u8>, Broken> {
        let Some(handshake) = &self.handshake else {
            let why = "the list of steps has Finished before ServerHello, from which its key comes";
            return Err(Broken::Protocol(why.to_owned()));
        };
        let verify_data = verify_data(whose(&handshake.traffic), &self.transcript_hash());
        Ok(messages::finished(&verify_data))
    }

    /// ServerHello in clear, after which everything is protected by the handshake's secrets.
    fn server_hello(&mut self, planned: &PlannedStep) -> Vec<u8> {
        let ephemeral = SecretKey::generate();
        let point = ephemeral.public_key().to_sec1_point(false);
        let random: [u8; 32] = SecretKey::generate().to_bytes().into();
        let mut hello = ServerHello::honest(random, &self.hello.session_id, point.as_bytes());
        match planned.step {
            Step::OlderServerHello | Step::DowngradedServerHello => {
                hello.version = None;
                hello.share = None;
                hello.suite = ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
                if planned.step == Step::DowngradedServerHello {
                    hello.random[24..].copy_from_slice(b"DOWNGRD\x01");
                }
            }
            Step::FutureServerHello => hello.version = Some(TLS_OF_THE_FUTURE),
            Step::OtherSuiteServerHello => hello.suite = AES_128_CCM_SHA256,
            Step::OtherGroupServerHello => hello.share = Some((X25519, Some(vec![9; 32]))),
            Step::OffCurveServerHello => {
                // Uncompressed, and with a y that no x has.
                let point = [&[4][..], &[0xFF; 64]].concat();
                hello.share = Some((SECP256R1, Some(point)));
            }
            Step::OtherSessionServerHello => hello.session_id = vec![7; 32],
            Step::PskServerHello => hello.psk = Some(0),
            Step::NoShareServerHello => hello.share = None,
            Step::HelloRetryRequest => {
                hello.random = RETRY;
                hello.share = Some((SECP256R1, None));
            }
            _ => {}
        }
        let mut records = self.say(planned, hello.message());
        if !self.hello.session_id.is_empty() {
            // For the sake of middleboxes (RFC 8446 appendix D.4).
            records.extend(protection::in_clear(CHANGE_CIPHER_SPEC, &[1]));
        }
        if planned.step == Step::HelloRetryRequest {
            return records;
        }
        let shared = p256::ecdh::diffie_hellman(ephemeral.to_nonzero_scalar(), self.share.as_affine());
        let handshake = HandshakeSecret::new(shared.raw_secret_bytes(), &self.transcript_hash());
        self.secrets.extend([
            ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", handshake.traffic.client),
            ("SERVER_HANDSHAKE_TRAFFIC_SECRET", handshake.traffic.server),
        ]);
        self.outbound = Some(Protection::new(&handshake.traffic.server));
        self.inbound = Some(Protection::new(&handshake.traffic.client));
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

    /// Adds a handshake message to the transcript and returns its records, protected as far as there are keys.
    fn say(&mut self, planned: &PlannedStep, mut message: Vec<u8>) -> Vec<u8> {
        if let Some(Bit { byte, bit }) = planned.flip_bit
            && let Some(byte) = message.len().checked_add_signed(byte).map(|at| at % message.len())
        {
            message[byte] ^= 1 << (bit % 8);
        }
        message.truncate(planned.cut.unwrap_or(message.len()));
        // After the handshake no transcript is needed any more.
        self.transcript.update(&message);
        if !matches!(planned.step, Step::Certificate) {
            self.transcript_without_certificate.update(&message);
        }
        if planned.unsent {
            return Vec::new();
        }
        let mut content = std::mem::take(&mut self.held);
        content.extend(message);
        if planned.with_next {
            self.held = content;
            return Vec::new();
        }
        let size = planned.fragment.unwrap_or(content.len()).max(1);
        content
            .chunks(size)
            .flat_map(|piece| self.seal(planned, HANDSHAKE, piece))
            .collect()
    }

    fn seal(&mut self, planned: &PlannedStep, kind: u8, content: &[u8]) -> Vec<u8> {
        match &mut self.outbound {
            Some(protection) if !planned.in_clear && planned.size.is_some() => protection.seal_whole(kind, content),
            Some(protection) if !planned.in_clear => protection.seal(kind, content),
            _ => protection::in_clear(kind, content),
        }
    }

    async fn send(&mut self, wire: &mut Wire, flight: &[u8]) -> Result<(), Broken> {
        for (label, secret) in self.secrets.drain(..) {
            wire.record.log_secret(label, &self.hello.random, &secret);
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
            // The list of steps has no Finished, and the client went on all the same.
            self.derive_application_secrets();
        }
        let (Some(handshake), Some(application)) = (&self.handshake, &self.application) else {
            return Err(Broken::Protocol("the client answered without a ServerHello".to_owned()));
        };
        let expected = verify_data(&handshake.traffic.client, &self.transcript_hash());
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
        self.inbound = Some(Protection::new(&application.client));
        self.outbound = Some(Protection::new(&application.server));
        self.send(wire, &[]).await
    }

    /// The client's next handshake message.
    async fn receive_message(&mut self, wire: &mut Wire) -> Result<Vec<u8>, Broken> {
        loop {
            // A type, a length of three bytes, and so many more (RFC 8446 section 4).
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

/// The verify_data of a Finished message (RFC 8446 section 4.4.4).
fn verify_data(secret: &[u8; 32], transcript_hash: &[u8; 32]) -> [u8; 32] {
    let key = keys::expand_label::<32>(secret, "finished", b"");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(transcript_hash);
    mac.finalize().into_bytes().into()
}

/// Bytes from pairs of hexadecimal digits; anything else between them is passed over.
fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
