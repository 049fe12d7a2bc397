//! The part of TLS 1.3 that hides a certificate: key exchange, key schedule and record protection.
//!
//! What enters: the server's key share, the transcript and records. What leaves: the content of the server's handshake
//! records (RFC 8446, sections 5.2 and 7.1). The client's keys are never derived, since it says nothing more.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{
    Algorithm as Agreement, ECDH_P256, ECDH_P384, EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral,
};
use ring::digest::{Algorithm as Hash, SHA256, SHA384, digest};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, HKDF_SHA384, KeyType, Prk, Salt};
use ring::rand::SystemRandom;

use super::cursor::vector8;

pub(super) const SECP256R1: u16 = 0x0017;
pub(super) const SECP384R1: u16 = 0x0018;
pub(super) const X25519_GROUP: u16 = 0x001D;

const NONCE: usize = 12;

/// The client's half of a key exchange.
pub(super) struct Share {
    pub(super) group: u16,
    pub(super) public: Vec<u8>,
    private: EphemeralPrivateKey,
}

impl Share {
    /// A new share; `None` for a group that cannot be computed.
    pub(super) fn generate(group: u16, random: &SystemRandom) -> Option<Self> {
        let private = EphemeralPrivateKey::generate(agreement(group)?, random).ok()?;
        let public = private.compute_public_key().ok()?.as_ref().to_vec();
        Some(Self { group, public, private })
    }

    /// The secret that both sides have; `None` when the server's share is not a point of the group.
    pub(super) fn agree(self, server: &[u8]) -> Option<Vec<u8>> {
        let server = UnparsedPublicKey::new(agreement(self.group)?, server);
        agree_ephemeral(self.private, &server, <[u8]>::to_vec).ok()
    }
}

fn agreement(group: u16) -> Option<&'static Agreement> {
    match group {
        X25519_GROUP => Some(&X25519),
        SECP256R1 => Some(&ECDH_P256),
        SECP384R1 => Some(&ECDH_P384),
        _ => None,
    }
}

/// A cipher suite of TLS 1.3.
#[derive(Clone, Copy)]
pub(super) struct Suite {
    hash: &'static Hash,
    hkdf: ring::hkdf::Algorithm,
    aead: &'static ring::aead::Algorithm,
}

impl Suite {
    /// The suites that can be computed, by their code points.
    pub(super) const OFFERED: [u16; 3] = [0x1301, 0x1303, 0x1302];

    pub(super) fn by_code_point(code: u16) -> Option<Self> {
        let (hash, hkdf, aead) = match code {
            0x1301 => (&SHA256, HKDF_SHA256, &AES_128_GCM),
            0x1302 => (&SHA384, HKDF_SHA384, &AES_256_GCM),
            0x1303 => (&SHA256, HKDF_SHA256, &CHACHA20_POLY1305),
            _ => return None,
        };
        Some(Self { hash, hkdf, aead })
    }

    pub(super) fn hash(self, messages: &[u8]) -> Vec<u8> {
        digest(self.hash, messages).as_ref().to_vec()
    }

    /// Opens the server's handshake records, after a transcript that ends with ServerHello.
    pub(super) fn opener(self, shared: &[u8], transcript: &[u8]) -> Result<Opener, Unspecified> {
        let zeros = vec![0; self.hash.output_len()];
        let early = Salt::new(self.hkdf, &zeros).extract(&zeros);
        let derived = expand(&early, "derived", &self.hash(b""), self.hash.output_len())?;
        let handshake = Salt::new(self.hkdf, &derived).extract(shared);
        let server = expand(
            &handshake,
            "s hs traffic",
            &self.hash(transcript),
            self.hash.output_len(),
        )?;
        let server = Prk::new_less_safe(self.hkdf, &server);
        let key = expand(&server, "key", b"", self.aead.key_len())?;
        let iv = expand(&server, "iv", b"", NONCE)?;
        Ok(Opener {
            key: LessSafeKey::new(UnboundKey::new(self.aead, &key)?),
            iv: iv.try_into().map_err(|_| Unspecified)?,
            sequence: 0,
        })
    }
}

/// HKDF-Expand-Label (RFC 8446, section 7.1).
fn expand(secret: &Prk, label: &str, context: &[u8], length: usize) -> Result<Vec<u8>, Unspecified> {
    struct Length(usize);

    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }

    let label = vector8(format!("tls13 {label}").as_bytes());
    let context = vector8(context);
    let size = u16::try_from(length).map_err(|_| Unspecified)?.to_be_bytes();
    let mut output = vec![0; length];
    secret
        .expand(&[&size, &label, &context], Length(length))?
        .fill(&mut output)?;
    Ok(output)
}

/// Opens records of one direction, in their order.
pub(super) struct Opener {
    key: LessSafeKey,
    iv: [u8; NONCE],
    sequence: u64,
}

impl Opener {
    /// The content type and the content of a record; `None` when it was not sealed with this key. A record without a type,
    /// which no server should send, has type 0.
    pub(super) fn open(&mut self, header: &[u8], mut body: Vec<u8>) -> Option<(u8, Vec<u8>)> {
        let mut nonce = self.iv;
        for (byte, digit) in nonce[NONCE - 8..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= digit;
        }
        self.sequence += 1;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let length = self.key.open_in_place(nonce, Aad::from(header), &mut body).ok()?.len();
        body.truncate(length);
        // The type is the last byte that is not zero; zeros behind it are padding.
        while let Some(last) = body.pop() {
            if last != 0 {
                return Some((last, body));
            }
        }
        Some((0, body))
    }
}
