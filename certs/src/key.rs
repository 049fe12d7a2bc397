//! The keys of leaves and authorities. P-256 keys are derived from seeds; keys of other kinds come from files.
//!
//! What enters: the text of a seed, or the bytes of a file. What leaves: a key that rcgen can certify. Those from seeds can
//! also sign, always with the same signature for the same bytes (RFC 6979). All keys are public and may protect nothing but
//! tests.

use p256::SecretKey;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::pkcs8::EncodePrivateKey;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use sha2::{Digest, Sha256};

use crate::PrivateKey;

/// A P-256 key pair derived from a seed.
pub(crate) struct SeededKey {
    secret: SecretKey,
    /// The public point, uncompressed (SEC 1 section 2.3.3): what rcgen puts into SubjectPublicKeyInfo.
    public: Vec<u8>,
}

impl SeededKey {
    /// Derives the key: the first SHA-256 of seed and counter that is a valid scalar.
    pub(crate) fn from_seed(seed: &str) -> Self {
        let secret = (0u32..)
            .find_map(|counter| {
                let digest = Sha256::new()
                    .chain_update(b"pinrig test key")
                    .chain_update(counter.to_be_bytes())
                    .chain_update(seed.as_bytes())
                    .finalize();
                SecretKey::from_slice(&digest).ok()
            })
            .expect("only one digest in 2^32 is not a scalar, so an early counter gives one");
        let public = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
        Self { secret, public }
    }

    /// The key as PKCS#8 DER, for a TLS library.
    pub(crate) fn to_private_key(&self) -> PrivateKey {
        let document = self.secret.to_pkcs8_der().expect("a valid P-256 key has a PKCS#8 form");
        PrivateKey::from_pkcs8_der(document.as_bytes().to_vec())
    }
}

impl PublicKeyData for SeededKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for SeededKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature = SigningKey::from(&self.secret).sign(message);
        Ok(signature.as_bytes().to_vec())
    }
}

/// The key of a leaf.
pub(crate) enum LeafKey {
    Seeded(SeededKey),
    /// A pair that rcgen has read, and the PKCS#8 DER that it was read from.
    Kept(Box<KeyPair>, &'static [u8]),
}

impl LeafKey {
    /// A key of another kind than P-256, from the package's folder `keys`.
    pub(crate) fn kept(pkcs8: &'static [u8]) -> Self {
        let pair = KeyPair::try_from(pkcs8).expect("the kept keys are PKCS#8 of kinds that rcgen knows");
        Self::Kept(Box::new(pair), pkcs8)
    }

    pub(crate) fn to_private_key(&self) -> PrivateKey {
        match self {
            Self::Seeded(key) => key.to_private_key(),
            Self::Kept(_, pkcs8) => PrivateKey::from_pkcs8_der(pkcs8.to_vec()),
        }
    }
}

impl PublicKeyData for LeafKey {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::Seeded(key) => key.der_bytes(),
            Self::Kept(pair, _) => pair.der_bytes(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Self::Seeded(key) => key.algorithm(),
            Self::Kept(pair, _) => pair.algorithm(),
        }
    }
}
