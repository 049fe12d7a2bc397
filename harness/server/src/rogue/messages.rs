//! The server's messages as bytes (RFC 8446 sections 4.1 to 4.6), the right ones and the wrong ones.
//!
//! What enters: what each message says. What leaves: the message with its handshake header, unprotected.

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};

use super::code_points::{AES_128_GCM_SHA256, SECP256R1, TLS_1_3};

const TLS_1_2: u16 = 0x0303;
const ECDSA_SECP256R1_SHA256: u16 = 0x0403;
const RSA_PSS_RSAE_SHA256: u16 = 0x0804;

/// What a ServerHello says.
#[derive(Clone, Debug)]
pub(super) struct ServerHello {
    pub(super) random: [u8; 32],
    pub(super) session_id: Vec<u8>,
    pub(super) suite: u16,
    /// The selected_version; without it the message is one of TLS 1.2.
    pub(super) version: Option<u16>,
    /// The group of the key share and its value; the value is left out in a HelloRetryRequest.
    pub(super) share: Option<(u16, Option<Vec<u8>>)>,
    /// The identity of a pre-shared key.
    pub(super) psk: Option<u16>,
}

impl ServerHello {
    /// One that selects this server's version, suite and group.
    pub(super) fn honest(random: [u8; 32], session_id: &[u8], point: &[u8]) -> Self {
        Self {
            random,
            session_id: session_id.to_vec(),
            suite: AES_128_GCM_SHA256,
            version: Some(TLS_1_3),
            share: Some((SECP256R1, Some(point.to_vec()))),
            psk: None,
        }
    }

    pub(super) fn message(&self) -> Vec<u8> {
        let mut body = TLS_1_2.to_be_bytes().to_vec();
        body.extend(self.random);
        body.extend(vector8(&self.session_id));
        body.extend(self.suite.to_be_bytes());
        body.push(0); // no compression
        let mut extensions = Vec::new();
        if let Some(version) = self.version {
            extensions.extend(extension(43, &version.to_be_bytes()));
        }
        if let Some((group, value)) = &self.share {
            let value = value.as_ref().map(|value| vector16(value)).unwrap_or_default();
            extensions.extend(extension(51, &[&group.to_be_bytes()[..], &value].concat()));
        }
        if let Some(identity) = self.psk {
            extensions.extend(extension(41, &identity.to_be_bytes()));
        }
        if !extensions.is_empty() {
            body.extend(vector16(&extensions));
        }
        message(2, &body)
    }
}

/// SHA-256 of "HelloRetryRequest": the random bytes of one (section 4.1.3).
pub(super) const RETRY: [u8; 32] = [
    0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91, 0xC2, 0xA2, 0x11,
    0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
];

/// EncryptedExtensions: with none, or with the answer to an application_layer_protocol_negotiation that nobody asked.
pub(super) fn encrypted_extensions(unasked: bool) -> Vec<u8> {
    let extensions = if unasked {
        extension(16, &vector16(&vector8(b"h2")))
    } else {
        Vec::new()
    };
    message(8, &vector16(&extensions))
}

/// CertificateRequest for ecdsa_secp256r1_sha256, with an empty context.
pub(super) fn certificate_request() -> Vec<u8> {
    let schemes = extension(13, &vector16(&ECDSA_SECP256R1_SHA256.to_be_bytes()));
    message(13, &[vec![0], vector16(&schemes)].concat())
}

/// Certificate with a chain, leaf first.
pub(super) fn certificate(chain: &[Vec<u8>]) -> Vec<u8> {
    let entries: Vec<u8> = chain
        .iter()
        .flat_map(|der| [vector24(der), vector16(&[])].concat())
        .collect();
    // An empty certificate_request_context, then the list.
    message(11, &[vec![0], vector24(&entries)].concat())
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

/// CertificateVerify over the handshake so far, with ecdsa_secp256r1_sha256.
pub(super) fn certificate_verify(key: &SigningKey, transcript_hash: &[u8; 32], signed: Signed) -> Vec<u8> {
    let (context, scheme) = match signed {
        Signed::AsServer => ("server", ECDSA_SECP256R1_SHA256),
        Signed::AsClient => ("client", ECDSA_SECP256R1_SHA256),
        Signed::Mislabelled => ("server", RSA_PSS_RSAE_SHA256),
    };
    let mut content = vec![b' '; 64];
    content.extend(format!("TLS 1.3, {context} CertificateVerify\0").bytes());
    content.extend(transcript_hash);
    let signature: DerSignature = key.sign(&content);
    message(
        15,
        &[&scheme.to_be_bytes()[..], &vector16(signature.as_bytes())].concat(),
    )
}

/// Finished.
pub(super) fn finished(verify_data: &[u8; 32]) -> Vec<u8> {
    message(20, verify_data)
}

/// NewSessionTicket for an hour, with a ticket that resumes nothing.
pub(super) fn new_session_ticket() -> Vec<u8> {
    let lifetime = 3600_u32.to_be_bytes();
    let parts = [
        &lifetime[..],
        &[0; 4],
        &vector8(&[0]),
        &vector16(b"ticket"),
        &vector16(&[]),
    ];
    message(4, &parts.concat())
}

/// KeyUpdate that asks for none in return.
pub(super) fn key_update() -> Vec<u8> {
    message(24, &[0])
}

/// HelloRequest of TLS 1.2.
pub(super) fn hello_request() -> Vec<u8> {
    message(0, &[])
}

/// A message of a type that is not assigned.
pub(super) fn unknown() -> Vec<u8> {
    message(99, b"what?")
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &vector24(body)[..]].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(body)].concat()
}

fn vector8(content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("a session id has at most 32 bytes");
    [&[length], content].concat()
}

fn vector16(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("extensions and signatures are short");
    [&length.to_be_bytes()[..], content].concat()
}

fn vector24(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("a chain is below 2^24 bytes");
    [&length.to_be_bytes()[1..], content].concat()
}
