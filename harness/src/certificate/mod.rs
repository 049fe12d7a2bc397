//! X.509 certificates as bytes: where one ends, and where its public key lies.
//!
//! What enters: DER, or a file with DER or PEM. What leaves: a [`Certificate`], or the place at which the bytes stop being
//! one. Nothing is validated, because a pin is taken of whatever a server presents: version 1, unknown critical extensions
//! and unknown kinds of keys are all accepted. This module knows no TLS.

mod der;
mod file;

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

pub use der::NotACertificate;
pub use file::{CertificateFileError, OtherBlock, certificates_in};

/// One certificate as DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// Where in `der` the SubjectPublicKeyInfo lies.
    public_key: Range<usize>,
    trailing: usize,
}

impl Certificate {
    /// Reads the certificate at the beginning of `bytes`: the outer SEQUENCE. What follows it is only counted.
    ///
    /// # Errors
    /// When the bytes are not a certificate, or only the beginning of one.
    pub fn read(bytes: &[u8]) -> Result<Self, NotACertificate> {
        let places = der::places(bytes)?;
        Ok(Self {
            der: bytes[..places.end].to_vec(),
            public_key: places.public_key,
            trailing: bytes.len() - places.end,
        })
    }

    /// The DER of the certificate alone, of which fingerprints are taken.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// How many bytes followed the certificate where it was read.
    #[must_use]
    pub fn trailing(&self) -> usize {
        self.trailing
    }

    /// The DER of its SubjectPublicKeyInfo, as it stands in the certificate.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.der[self.public_key.clone()]
    }

    /// The public key as curl's `--pinnedpubkey` takes it: `sha256//` and the base64 of the SHA-256 of the
    /// SubjectPublicKeyInfo (RFC 7469, section 2.4).
    #[must_use]
    pub fn public_key_pin(&self) -> String {
        format!("sha256//{}", STANDARD.encode(Sha256::digest(self.public_key())))
    }
}
