//! A certificate chain with the private key of the server that presents it.
//!
//! What enters: DER. What leaves: the same DER, as bytes, PEM or fingerprints. The private key leaves only through
//! [`PrivateKey::pkcs8_der`]; a `Debug` text never shows it.

use std::fmt;

use p256::pkcs8::der::pem::{LineEnding, encode_string};

use crate::Fingerprint;

/// A chain of X.509 certificates, leaf first (the order of RFC 8446 section 4.4.2), and a private key.
///
/// The key is normally the leaf's. [`CertifiedChain::with_key_of`] gives an attacker's chain: copied, with another key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedChain {
    /// The certificates as DER: the leaf, then the certificates of its issuers.
    pub chain: Vec<Vec<u8>>,
    /// The private key with which the server signs its handshakes.
    pub key: PrivateKey,
}

impl CertifiedChain {
    /// The DER of the leaf: the certificate that a fingerprint pins. Empty if the chain is empty.
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    /// SHA-1 of the leaf's DER, which the ESP8266's `verify()` and `setFingerprint()` compare.
    #[must_use]
    pub fn sha1(&self) -> Fingerprint {
        Fingerprint::sha1_of(self.leaf())
    }

    /// SHA-256 of the leaf's DER.
    #[must_use]
    pub fn sha256(&self) -> Fingerprint {
        Fingerprint::sha256_of(self.leaf())
    }

    /// The same certificates with the private key of `other`. This is a replayed certificate: its signatures cannot be
    /// valid.
    #[must_use]
    pub fn with_key_of(mut self, other: &Self) -> Self {
        self.key = other.key.clone();
        self
    }

    /// The chain as PEM (RFC 7468), leaf first, without the private key.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.chain
            .iter()
            .map(|der| encode_string("CERTIFICATE", LineEnding::LF, der).expect("PEM of a certificate fits in memory"))
            .collect()
    }
}

/// A private key as PKCS#8 DER (RFC 5958). Its `Debug` text says only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(Vec<u8>);

impl PrivateKey {
    /// Wraps a PKCS#8 DER document without parsing it. If it is malformed, the TLS library that signs with it fails.
    #[must_use]
    pub fn from_pkcs8_der(der: Vec<u8>) -> Self {
        Self(der)
    }

    /// The PKCS#8 DER document, for a TLS library.
    #[must_use]
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use crate::Recipe;

    #[test]
    fn debug_text_keeps_the_private_key_to_itself() {
        let chain = Recipe::Github.issue();
        let text = format!("{chain:?}");
        // Eight bytes in the middle of the secret scalar, as a `Vec<u8>` would print them.
        let secret = format!("{:?}", &chain.key.pkcs8_der()[40..48]);
        assert!(!text.contains(secret.trim_matches(['[', ']'])), "{text}");
        assert!(text.contains("PrivateKey(..)"));
    }

    #[test]
    fn a_replayed_chain_keeps_its_fingerprint_and_loses_its_key() {
        let github = Recipe::Github.issue();
        let thief = Recipe::SelfSigned.issue();
        let replayed = github.clone().with_key_of(&thief);
        assert_eq!(replayed.sha256(), github.sha256());
        assert_ne!(replayed.key, github.key);
    }
}
