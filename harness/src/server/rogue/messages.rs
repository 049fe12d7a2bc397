//! The server's handshake messages as bytes (RFC 8446 sections 4.1 to 4.4).
//!
//! What enters: what each message says. What leaves: the message with its handshake header, unprotected.

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};

use super::{AES_128_GCM_SHA256, SECP256R1, TLS_1_3};

/// ServerHello that selects this server's version, suite and group.
pub(super) fn server_hello(random: &[u8; 32], session_id: &[u8], point: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(random);
    body.extend(vector8(session_id));
    body.extend(AES_128_GCM_SHA256.to_be_bytes());
    body.push(0); // no compression
    let versions = extension(43, &TLS_1_3.to_be_bytes());
    let share = extension(51, &[&SECP256R1.to_be_bytes()[..], &vector16(point)].concat());
    body.extend(vector16(&[versions, share].concat()));
    message(2, &body)
}

/// EncryptedExtensions without any.
pub(super) fn encrypted_extensions() -> Vec<u8> {
    message(8, &vector16(&[]))
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

/// CertificateVerify over the transcript so far, with ecdsa_secp256r1_sha256.
pub(super) fn certificate_verify(key: &SigningKey, transcript_hash: &[u8; 32]) -> Vec<u8> {
    let mut signed = vec![b' '; 64];
    signed.extend(b"TLS 1.3, server CertificateVerify\0");
    signed.extend(transcript_hash);
    let signature: DerSignature = key.sign(&signed);
    message(15, &[&[4, 3], &vector16(signature.as_bytes())[..]].concat())
}

/// Finished.
pub(super) fn finished(verify_data: &[u8; 32]) -> Vec<u8> {
    message(20, verify_data)
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
