//! The server's messages as bytes (RFC 8446 sections 4.1 to 4.6), the right ones and the wrong ones.
//!
//! What enters: what each message says. What leaves: the message with its handshake header, unprotected; or the field
//! whose length it cannot say.

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};

use super::code_points::{AES_128_GCM_SHA256, SECP256R1, TLS_1_3};
use crate::message::Message;
use crate::step_error::StepProblem;

const TLS_1_2: u16 = 0x0303;
const TLS_OF_THE_FUTURE: u16 = 0x0305;
const AES_128_CCM_SHA256: u16 = 0x1304;
const ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: u16 = 0xC02B;
const X25519: u16 = 0x001D;
const ECDSA_SECP256R1_SHA256: u16 = 0x0403;
const RSA_PSS_RSAE_SHA256: u16 = 0x0804;

/// A message's bytes, or a part of them.
pub(super) type Bytes = Result<Vec<u8>, StepProblem>;

/// What a message is made of.
#[derive(Debug)]
pub(super) enum Content {
    /// A ServerHello, right or wrong; a HelloRetryRequest is one too (section 4.1.4).
    ServerHello,
    /// The server's chain.
    Certificate,
    /// A signature.
    Verify(Signed, Covers),
    /// The proof that this side has seen the whole handshake.
    Finished(Side),
    /// The client's own ClientHello.
    ClientHello,
    /// The same bytes in every handshake.
    Fixed(Vec<u8>),
}

/// What is said of a signature.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signed {
    /// The truth.
    AsServer,
    /// Signed as a client signs.
    AsClient,
    /// Called another scheme than it is.
    Mislabelled,
}

/// The part of the handshake that is signed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Covers {
    /// All of it so far.
    All,
    /// All but the server's Certificate.
    AllButCertificate,
}

/// A side of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Client,
    Server,
}

impl Content {
    /// What `message` is made of.
    pub(super) fn of(message: Message) -> Result<Self, StepProblem> {
        Ok(match message {
            Message::ServerHello
            | Message::OlderServerHello
            | Message::DowngradedServerHello
            | Message::FutureServerHello
            | Message::OtherSuiteServerHello
            | Message::OtherGroupServerHello
            | Message::OffCurveServerHello
            | Message::OtherSessionServerHello
            | Message::PskServerHello
            | Message::NoShareServerHello
            | Message::HelloRetryRequest => Self::ServerHello,
            Message::Certificate => Self::Certificate,
            Message::CertificateVerify => Self::Verify(Signed::AsServer, Covers::All),
            Message::MislabelledVerify => Self::Verify(Signed::Mislabelled, Covers::All),
            Message::ClientVerify => Self::Verify(Signed::AsClient, Covers::All),
            Message::StaleVerify => Self::Verify(Signed::AsServer, Covers::AllButCertificate),
            Message::Finished => Self::Finished(Side::Server),
            Message::ReflectedFinished => Self::Finished(Side::Client),
            Message::ClientHello => Self::ClientHello,
            Message::EncryptedExtensions => Self::Fixed(encrypted_extensions(&[])?),
            Message::UnaskedExtensions => {
                // Answers an application_layer_protocol_negotiation.
                let protocols = vector16(&vector8(b"h2")?)?;
                Self::Fixed(encrypted_extensions(&extension(16, &protocols)?)?)
            }
            Message::CertificateRequest => Self::Fixed(certificate_request()?),
            Message::EmptyCertificate => Self::Fixed(certificate(&[])?),
            Message::NewSessionTicket => Self::Fixed(new_session_ticket()?),
            // It asks for none in return.
            Message::KeyUpdate => Self::Fixed(self::message(24, &[0])?),
            Message::HelloRequest => Self::Fixed(self::message(0, &[])?),
            Message::UnknownMessage => Self::Fixed(self::message(99, b"what?")?),
        })
    }

    /// Whether the server has keys once it has sent `message`, which this is the content of.
    pub(super) fn brings_keys(&self, message: Message) -> bool {
        matches!(self, Self::ServerHello) && message != Message::HelloRetryRequest
    }
}

/// What a ServerHello says.
#[derive(Clone, Debug)]
pub(super) struct ServerHello {
    random: [u8; 32],
    session_id: Vec<u8>,
    suite: u16,
    /// The selected_version; without it the message is one of TLS 1.2.
    version: Option<u16>,
    share: Option<KeyShare>,
    /// The identity of a pre-shared key.
    psk: Option<u16>,
}

/// The server's half of the key exchange.
#[derive(Clone, Debug)]
struct KeyShare {
    group: u16,
    /// Left out in a HelloRetryRequest, which names the group alone.
    value: Option<Vec<u8>>,
}

impl ServerHello {
    /// The one that `message` asks for: it answers `session_id`, and its key share is `point`. Where `message` is not a
    /// ServerHello, it is the honest one.
    pub(super) fn new(message: Message, random: [u8; 32], session_id: &[u8], point: &[u8]) -> Self {
        let mut hello = Self {
            random,
            session_id: session_id.to_vec(),
            suite: AES_128_GCM_SHA256,
            version: Some(TLS_1_3),
            share: Some(KeyShare {
                group: SECP256R1,
                value: Some(point.to_vec()),
            }),
            psk: None,
        };
        let share = |group, value: &[u8]| {
            Some(KeyShare {
                group,
                value: Some(value.to_vec()),
            })
        };
        match message {
            Message::OlderServerHello | Message::DowngradedServerHello => {
                hello.version = None;
                hello.share = None;
                hello.suite = ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
                if message == Message::DowngradedServerHello {
                    hello.random[24..].copy_from_slice(b"DOWNGRD\x01");
                }
            }
            Message::FutureServerHello => hello.version = Some(TLS_OF_THE_FUTURE),
            Message::OtherSuiteServerHello => hello.suite = AES_128_CCM_SHA256,
            Message::OtherGroupServerHello => hello.share = share(X25519, &[9; 32]),
            // Uncompressed, and with a y that no x has.
            Message::OffCurveServerHello => hello.share = share(SECP256R1, &[&[4][..], &[0xFF; 64]].concat()),
            Message::OtherSessionServerHello => hello.session_id = vec![7; 32],
            Message::PskServerHello => hello.psk = Some(0),
            Message::NoShareServerHello => hello.share = None,
            Message::HelloRetryRequest => {
                hello.random = RETRY;
                hello.share = Some(KeyShare {
                    group: SECP256R1,
                    value: None,
                });
            }
            _ => {}
        }
        hello
    }

    pub(super) fn message(&self) -> Bytes {
        let mut body = TLS_1_2.to_be_bytes().to_vec();
        body.extend(self.random);
        body.extend(vector8(&self.session_id)?);
        body.extend(self.suite.to_be_bytes());
        body.push(0); // no compression
        let mut extensions = Vec::new();
        if let Some(version) = self.version {
            extensions.extend(extension(43, &version.to_be_bytes())?);
        }
        if let Some(KeyShare { group, value }) = &self.share {
            let mut share = group.to_be_bytes().to_vec();
            if let Some(value) = value {
                share.extend(vector16(value)?);
            }
            extensions.extend(extension(51, &share)?);
        }
        if let Some(identity) = self.psk {
            extensions.extend(extension(41, &identity.to_be_bytes())?);
        }
        if !extensions.is_empty() {
            body.extend(vector16(&extensions)?);
        }
        message(2, &body)
    }
}

/// SHA-256 of "HelloRetryRequest": the random bytes of one (section 4.1.3).
const RETRY: [u8; 32] = [
    0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91, 0xC2, 0xA2, 0x11,
    0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
];

/// EncryptedExtensions with these.
fn encrypted_extensions(extensions: &[u8]) -> Bytes {
    message(8, &vector16(extensions)?)
}

/// CertificateRequest for ecdsa_secp256r1_sha256, with an empty context.
fn certificate_request() -> Bytes {
    let schemes = extension(13, &vector16(&ECDSA_SECP256R1_SHA256.to_be_bytes())?)?;
    message(13, &[vec![0], vector16(&schemes)?].concat())
}

/// Certificate with a chain, leaf first.
pub(super) fn certificate(chain: &[Vec<u8>]) -> Bytes {
    let mut entries = Vec::new();
    for der in chain {
        entries.extend(vector24(der)?);
        entries.extend(vector16(&[])?);
    }
    // An empty certificate_request_context, then the list.
    message(11, &[vec![0], vector24(&entries)?].concat())
}

/// The signature of a CertificateVerify over the handshake so far, with ecdsa_secp256r1_sha256: DER, of
/// [`SIGNATURE_LENGTHS`] bytes.
pub(super) fn signature(key: &SigningKey, transcript_hash: &[u8; 32], signed: Signed) -> Vec<u8> {
    let context = match signed {
        Signed::AsServer | Signed::Mislabelled => "server",
        Signed::AsClient => "client",
    };
    let mut content = vec![b' '; 64];
    content.extend(format!("TLS 1.3, {context} CertificateVerify\0").bytes());
    content.extend(transcript_hash);
    let signature: DerSignature = key.sign(&content);
    signature.as_bytes().to_vec()
}

/// Shortest and longest ECDSA-Sig-Value of P-256 (RFC 3279 section 2.2.3): two INTEGERs of 1 to 33 bytes, each with two
/// bytes of header, in a SEQUENCE with two more.
pub(super) const SIGNATURE_LENGTHS: [usize; 2] = [2 + 2 * (2 + 1), 2 + 2 * (2 + 33)];

/// CertificateVerify with this signature.
pub(super) fn certificate_verify(signature: &[u8], signed: Signed) -> Bytes {
    let scheme = match signed {
        Signed::AsServer | Signed::AsClient => ECDSA_SECP256R1_SHA256,
        Signed::Mislabelled => RSA_PSS_RSAE_SHA256,
    };
    message(15, &[&scheme.to_be_bytes()[..], &vector16(signature)?].concat())
}

/// Finished.
pub(super) fn finished(verify_data: &[u8; 32]) -> Bytes {
    message(20, verify_data)
}

/// NewSessionTicket for an hour, with a ticket that resumes nothing.
fn new_session_ticket() -> Bytes {
    let lifetime = 3600_u32.to_be_bytes();
    let parts = [
        &lifetime[..],
        &[0; 4],
        &vector8(&[0])?,
        &vector16(b"ticket")?,
        &vector16(&[])?,
    ];
    message(4, &parts.concat())
}

fn message(kind: u8, body: &[u8]) -> Bytes {
    Ok([&[kind], &vector24(body)?[..]].concat())
}

fn extension(kind: u16, body: &[u8]) -> Bytes {
    Ok([&kind.to_be_bytes()[..], &vector16(body)?].concat())
}

fn vector8(content: &[u8]) -> Bytes {
    vector::<1>(content)
}

fn vector16(content: &[u8]) -> Bytes {
    vector::<2>(content)
}

fn vector24(content: &[u8]) -> Bytes {
    vector::<3>(content)
}

/// A vector of the presentation language (RFC 8446 section 3.4): its length in `WIDTH` bytes, then its content.
fn vector<const WIDTH: usize>(content: &[u8]) -> Bytes {
    let length = content.len().to_be_bytes();
    match length.split_last_chunk::<WIDTH>() {
        Some((high, low)) if high.iter().all(|byte| *byte == 0) => Ok([low, content].concat()),
        _ => Err(StepProblem::TooLong {
            content: content.len(),
            bits: 8 * WIDTH as u32,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_says_its_length_or_is_an_error() {
        assert_eq!(vector8(&[5; 255]).unwrap()[..2], [255, 5]);
        assert_eq!(vector16(&[5; 256]).unwrap()[..3], [1, 0, 5]);
        assert_eq!(vector24(&[]).unwrap(), [0, 0, 0]);
        for (too_long, content, bits) in [
            (vector8(&[0; 256]), 256, 8),
            (vector16(&[0; 1 << 16]), 1 << 16, 16),
            (vector24(&vec![0; 1 << 24]), 1 << 24, 24),
        ] {
            assert_eq!(too_long, Err(StepProblem::TooLong { content, bits }));
        }
    }

    #[test]
    fn a_session_id_of_any_length_is_answered() {
        for length in [0, 32, 255] {
            let hello = ServerHello::new(Message::ServerHello, [0; 32], &vec![7; length], &[4; 65]);
            assert_eq!(hello.message().unwrap().len(), 123 + length);
        }
        let hello = ServerHello::new(Message::ServerHello, [0; 32], &[7; 256], &[4; 65]);
        assert!(hello.message().is_err());
    }
}
