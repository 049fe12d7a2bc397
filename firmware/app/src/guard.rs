//! Decides whether the server is the right one, and proves it: the half of TLS authentication that the TLS library
//! leaves to its caller, and the half that it forgets.
//!
//! embedded-tls 0.19.0 lets a handshake succeed in which the server never showed a certificate, or showed the pinned
//! one, which is public, without signing with its key: nothing makes it wait for Certificate and CertificateVerify
//! before Finished. So the guard keeps count of what was proved, and [`Guard::conclude`] must be asked before the first
//! byte of application data is sent. The Cargo feature `unguarded` leaves out that question alone.

use alloc::string::String;

use embedded_tls::{
    CertificateEntryRef, CertificateRef, CertificateVerifyRef, CryptoProvider, SignatureScheme, TlsError, TlsVerifier,
};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, Signature, VerifyingKey};
use rand_core::CryptoRngCore;
use sha2::{Digest, Sha256};

use crate::certificate::{Certificate, CertificateError, Validity};
use crate::clock::UnixTime;
use crate::fingerprint::Fingerprint;
use crate::plaintext::CheckedSuite;
use crate::settings::OnMismatch;

/// What the certificate must be.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// What it must hash to.
    pub pin: Fingerprint,
    /// The name that it must bear, where names are checked.
    pub name: Option<String>,
    /// The date at which it must be valid, where dates are checked.
    pub date: Option<UnixTime>,
    /// Whether to go on where it is another one.
    pub on_mismatch: OnMismatch,
}

/// What has been seen and proved so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The SHA-1 of the leaf certificate that was shown.
    pub fingerprint: Option<Fingerprint>,
    /// Whether it has the pin; `None` before it was shown.
    pub pin_matches: Option<bool>,
    /// Whether it bears the name; `None` where that was not asked.
    pub name_matches: Option<bool>,
    /// Whether it is valid at the date; `None` where that was not asked.
    pub validity: Option<Validity>,
    /// The server has signed this handshake with the certificate's key.
    pub key_proved: bool,
    /// Why the server was refused.
    pub refusal: Option<Refusal>,
}

/// Why a server is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The leaf has another fingerprint.
    PinMismatch,
    /// The leaf is for another name.
    NameMismatch,
    /// The leaf's time has passed.
    Expired,
    /// The leaf's time has not begun.
    NotYetValid,
    /// The handshake ended without a certificate, or the list was empty.
    NoCertificate,
    /// The handshake ended without a signature by the certificate's key.
    NoCertificateVerify,
    /// A second Certificate message.
    SecondCertificate,
    /// A second CertificateVerify message.
    SecondCertificateVerify,
    /// CertificateVerify came before Certificate.
    CertificateVerifyFirst,
    /// The leaf is not DER, or not X.509.
    MalformedCertificate,
    /// The leaf's key is not on P-256.
    UnsupportedKey,
    /// The signature is not ECDSA on P-256 with SHA-256.
    UnsupportedSignature,
    /// The signature was made by another key or over another handshake.
    BadSignature,
}

impl Evidence {
    /// Whether the server has the pinned certificate. Anyone can show it, so it counts as a match only with a proof of
    /// its key; another certificate is a mismatch either way.
    #[must_use]
    pub fn proved_pin(&self) -> Option<bool> {
        self.pin_matches.filter(|matches| !matches || self.key_proved)
    }

    /// Whether the certificate is another one than was wanted, in any respect that was asked.
    #[must_use]
    pub fn is_mismatch(&self) -> bool {
        let valid = self.validity.is_none_or(|validity| validity == Validity::Valid);
        self.pin_matches == Some(false) || self.name_matches == Some(false) || !valid
    }
}

impl Refusal {
    /// The `reason=` of the answer.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::PinMismatch => "pin-mismatch",
            Self::NameMismatch => "name-mismatch",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::NoCertificate => "no-certificate",
            Self::NoCertificateVerify => "no-certificate-verify",
            Self::SecondCertificate => "second-certificate",
            Self::SecondCertificateVerify => "second-certificate-verify",
            Self::CertificateVerifyFirst => "certificate-verify-first",
            Self::MalformedCertificate => "malformed-certificate",
            Self::UnsupportedKey => "unsupported-key",
            Self::UnsupportedSignature => "unsupported-signature",
            Self::BadSignature => "bad-signature",
        }
    }

    /// The TLS alert that tells the server (RFC 8446, section 6.2).
    #[must_use]
    pub fn alert(self) -> u8 {
        match self {
            Self::PinMismatch | Self::NameMismatch | Self::MalformedCertificate => 42, // bad_certificate
            Self::UnsupportedKey => 43,                                                // unsupported_certificate
            Self::Expired | Self::NotYetValid => 45,                                   // certificate_expired
            Self::UnsupportedSignature => 47,                                          // illegal_parameter
            Self::BadSignature => 51,                                                  // decrypt_error
            Self::NoCertificate
            | Self::NoCertificateVerify
            | Self::SecondCertificate
            | Self::SecondCertificateVerify
            | Self::CertificateVerifyFirst => 10, // unexpected_message
        }
    }

    /// Whether the guard's own proof failed, as opposed to the certificate being simply another one.
    #[must_use]
    pub fn is_by_guard(self) -> bool {
        !matches!(
            self,
            Self::PinMismatch | Self::NameMismatch | Self::Expired | Self::NotYetValid
        )
    }
}

/// Watches one handshake.
#[derive(Debug)]
pub struct Guard {
    expectation: Expectation,
    evidence: Evidence,
    /// The leaf's key, and the transcript hash up to and including Certificate: what CertificateVerify signs.
    shown: Option<(VerifyingKey, Sha256)>,
}

impl Guard {
    /// A guard for one handshake.
    #[must_use]
    pub fn new(expectation: Expectation) -> Self {
        Self {
            expectation,
            evidence: Evidence::default(),
            shown: None,
        }
    }

    /// What has been seen so far; also after a failed handshake.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// To be asked once, after the handshake and before anything is sent.
    ///
    /// # Errors
    /// The reason to hang up.
    pub fn conclude(&mut self) -> Result<(), Refusal> {
        if let Some(refusal) = self.evidence.refusal {
            return Err(refusal);
        }
        if cfg!(feature = "unguarded") {
            return Ok(());
        }
        if self.shown.is_none() {
            return Err(self.refuse(Refusal::NoCertificate));
        }
        if !self.evidence.key_proved {
            return Err(self.refuse(Refusal::NoCertificateVerify));
        }
        Ok(())
    }

    fn look_at(&mut self, transcript: &Sha256, certificate: &CertificateRef<'_>) -> Result<(), Refusal> {
        if self.shown.is_some() {
            return Err(Refusal::SecondCertificate);
        }
        let Some(CertificateEntryRef::X509(der)) = certificate.entries.first() else {
            return Err(Refusal::NoCertificate);
        };
        let Expectation {
            pin,
            name,
            date,
            on_mismatch,
        } = &self.expectation;
        let pin_matches = pin.matches(der);
        self.evidence.fingerprint = Some(Fingerprint::sha1_of(der));
        self.evidence.pin_matches = Some(pin_matches);
        if !pin_matches && *on_mismatch == OnMismatch::Abort {
            return Err(Refusal::PinMismatch);
        }
        let certificate = Certificate::parse(der).map_err(refusal_of)?;
        if let Some(name) = name {
            let name_matches = certificate.is_for(name);
            self.evidence.name_matches = Some(name_matches);
            if !name_matches && *on_mismatch == OnMismatch::Abort {
                return Err(Refusal::NameMismatch);
            }
        }
        if let Some(date) = date {
            let validity = certificate.validity(*date);
            self.evidence.validity = Some(validity);
            let refusal = match validity {
                Validity::Valid => None,
                Validity::Expired => Some(Refusal::Expired),
                Validity::NotYetValid => Some(Refusal::NotYetValid),
            };
            if let Some(refusal) = refusal.filter(|_| *on_mismatch == OnMismatch::Abort) {
                return Err(refusal);
            }
        }
        self.shown = Some((certificate.key().map_err(refusal_of)?, transcript.clone()));
        Ok(())
    }

    /// RFC 8446, section 4.4.3.
    fn check_signature(&mut self, verify: &CertificateVerifyRef<'_>) -> Result<(), Refusal> {
        let Some((key, transcript)) = &self.shown else {
            return Err(Refusal::CertificateVerifyFirst);
        };
        if self.evidence.key_proved {
            return Err(Refusal::SecondCertificateVerify);
        }
        if !matches!(verify.signature_scheme, SignatureScheme::EcdsaSecp256r1Sha256) {
            return Err(Refusal::UnsupportedSignature);
        }
        let signature = DerSignature::try_from(verify.signature)
            .and_then(Signature::try_from)
            .map_err(|_| Refusal::BadSignature)?;
        key.verify(&signed_content(transcript), &signature)
            .map_err(|_| Refusal::BadSignature)?;
        self.evidence.key_proved = true;
        Ok(())
    }

    fn refuse(&mut self, refusal: Refusal) -> Refusal {
        // The first refusal is the cause; what follows is its consequence.
        *self.evidence.refusal.get_or_insert(refusal)
    }
}

impl TlsVerifier<CheckedSuite> for Guard {
    fn set_hostname_verification(&mut self, _name: &str) -> Result<(), TlsError> {
        // The library passes the SNI name, which is wanted even where names are not checked.
        Ok(())
    }

    fn verify_certificate(&mut self, transcript: &Sha256, certificate: CertificateRef<'_>) -> Result<(), TlsError> {
        self.look_at(transcript, &certificate).map_err(|refusal| {
            self.refuse(refusal);
            TlsError::InvalidCertificate
        })
    }

    fn verify_signature(&mut self, verify: CertificateVerifyRef<'_>) -> Result<(), TlsError> {
        self.check_signature(&verify).map_err(|refusal| {
            self.refuse(refusal);
            TlsError::InvalidSignature
        })
    }
}

/// The guard and the random numbers, as the TLS library takes them.
#[derive(Debug)]
pub struct GuardedProvider<'a, R> {
    /// Where keys come from.
    pub random: &'a mut R,
    /// Who decides.
    pub guard: Guard,
}

impl<R: CryptoRngCore> CryptoProvider for GuardedProvider<'_, R> {
    type CipherSuite = CheckedSuite;
    // Client certificates are not supported; the type must be named all the same.
    type Signature = DerSignature;

    fn rng(&mut self) -> impl CryptoRngCore {
        &mut *self.random
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<CheckedSuite>, TlsError> {
        Ok(&mut self.guard)
    }
}

fn signed_content(transcript: &Sha256) -> [u8; 64 + CONTEXT.len() + 32] {
    let mut content = [0x20; 64 + CONTEXT.len() + 32];
    content[64..64 + CONTEXT.len()].copy_from_slice(CONTEXT);
    content[64 + CONTEXT.len()..].copy_from_slice(&transcript.clone().finalize());
    content
}

const CONTEXT: &[u8] = b"TLS 1.3, server CertificateVerify\0";

fn refusal_of(error: CertificateError) -> Refusal {
    match error {
        CertificateError::Malformed => Refusal::MalformedCertificate,
        CertificateError::UnsupportedKey => Refusal::UnsupportedKey,
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::SigningKey;
    use p256::ecdsa::signature::Signer;
    use p256::pkcs8::DecodePrivateKey;
    use std::vec::Vec;

    use super::*;

    struct Identity {
        der: Vec<u8>,
        key: SigningKey,
    }

    fn identity() -> Identity {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let params = rcgen::CertificateParams::new(["a.example".into()]).unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Identity {
            der,
            key: SigningKey::from_pkcs8_der(&key.serialize_der()).unwrap(),
        }
    }

    /// A guard that expects this server, without names and dates.
    fn guard_with(pin: Fingerprint, on_mismatch: OnMismatch) -> Guard {
        Guard::new(Expectation {
            pin,
            name: None,
            date: None,
            on_mismatch,
        })
    }

    fn guard(of: &Identity) -> Guard {
        guard_with(Fingerprint::sha1_of(&of.der), OnMismatch::Abort)
    }

    /// Guards for this server with each digest and policy that there is.
    fn guards(of: &Identity) -> [Guard; 4] {
        let sha256 = Fingerprint::Sha256(Sha256::digest(&of.der).into());
        [
            guard_with(Fingerprint::sha1_of(&of.der), OnMismatch::Abort),
            guard_with(Fingerprint::sha1_of(&of.der), OnMismatch::Continue),
            guard_with(sha256, OnMismatch::Abort),
            guard_with(sha256, OnMismatch::Continue),
        ]
    }

    fn transcript(text: &[u8]) -> Sha256 {
        Sha256::new_with_prefix(text)
    }

    fn show(guard: &mut Guard, der: &[u8]) -> bool {
        show_chain(guard, &[der])
    }

    fn show_chain(guard: &mut Guard, chain: &[&[u8]]) -> bool {
        let mut certificate = CertificateRef::with_context(&[]);
        for der in chain {
            certificate.add(CertificateEntryRef::X509(der)).unwrap();
        }
        guard
            .verify_certificate(&transcript(b"hello and certificate"), certificate)
            .is_ok()
    }

    fn prove(guard: &mut Guard, key: &SigningKey, over: &[u8], signature_scheme: SignatureScheme) -> bool {
        let signature: DerSignature = key.sign(&signed_content(&transcript(over)));
        guard
            .verify_signature(CertificateVerifyRef {
                signature_scheme,
                signature: signature.as_bytes(),
            })
            .is_ok()
    }

    const SCHEME: SignatureScheme = SignatureScheme::EcdsaSecp256r1Sha256;
    const SIGNED: &[u8] = b"hello and certificate";

    #[test]
    fn a_shown_certificate_and_a_signature_by_its_key_pass() {
        let server = identity();
        for mut guard in guards(&server) {
            assert!(show(&mut guard, &server.der) && prove(&mut guard, &server.key, SIGNED, SCHEME));
            assert_eq!(guard.conclude(), Ok(()));
            assert!(guard.evidence().key_proved);
            assert_eq!(guard.evidence().proved_pin(), Some(true));
        }
    }

    #[test]
    fn another_certificate_passes_only_where_the_policy_goes_on_and_with_a_proof() {
        let (server, other) = (identity(), identity());
        for mut guard in guards(&server) {
            let goes_on = guard.expectation.on_mismatch == OnMismatch::Continue;
            assert_eq!(show(&mut guard, &other.der), goes_on);
            assert_eq!(guard.evidence().proved_pin(), Some(false));
            assert_eq!(guard.evidence().fingerprint, Some(Fingerprint::sha1_of(&other.der)));
            if goes_on {
                assert!(
                    !prove(&mut guard, &server.key, SIGNED, SCHEME),
                    "the pinned key proves nothing here"
                );
                assert_eq!(guard.conclude(), Err(Refusal::BadSignature));
            } else {
                assert_eq!(guard.conclude(), Err(Refusal::PinMismatch));
            }
        }
        let mut guard = guard_with(Fingerprint::sha1_of(&server.der), OnMismatch::Continue);
        assert!(show(&mut guard, &other.der) && prove(&mut guard, &other.key, SIGNED, SCHEME));
        assert_eq!(guard.conclude(), Ok(()));
        assert!(guard.evidence().is_mismatch());
    }

    #[test]
    fn the_first_certificate_of_a_chain_is_the_servers() {
        let (server, other) = (identity(), identity());
        for mut guard in guards(&server) {
            assert!(show_chain(&mut guard, &[&server.der, &other.der, &other.der]));
            assert!(prove(&mut guard, &server.key, SIGNED, SCHEME));
            assert_eq!(guard.evidence().proved_pin(), Some(true));
        }
        // The pinned one elsewhere in the chain, where an authority's would be.
        for chain in [
            [&other.der, &server.der, &other.der],
            [&other.der, &other.der, &server.der],
        ] {
            for mut guard in guards(&server) {
                let goes_on = guard.expectation.on_mismatch == OnMismatch::Continue;
                assert_eq!(show_chain(&mut guard, &chain.map(|der| &der[..])), goes_on);
                assert_eq!(guard.evidence().proved_pin(), Some(false));
            }
        }
    }

    #[test]
    #[cfg(not(feature = "unguarded"))]
    fn a_handshake_that_proves_nothing_is_refused() {
        let server = identity();
        for mut silent in guards(&server) {
            assert_eq!(silent.conclude(), Err(Refusal::NoCertificate));
        }
        for mut replayed in guards(&server) {
            assert!(show(&mut replayed, &server.der));
            assert_eq!(replayed.conclude(), Err(Refusal::NoCertificateVerify));
            assert_eq!(replayed.evidence().refusal, Some(Refusal::NoCertificateVerify));
            assert_eq!(
                replayed.evidence().proved_pin(),
                None,
                "a copy of the certificate is no match"
            );
        }
    }

    #[test]
    #[cfg(feature = "unguarded")]
    fn the_unguarded_client_can_be_fooled() {
        assert_eq!(guard(&identity()).conclude(), Ok(()));
    }

    #[test]
    fn wrong_proofs_are_refused_and_stay_refused() {
        let (server, other) = (identity(), identity());
        type Way = fn(&mut Guard, &Identity, &Identity) -> bool;
        let ways: [(Refusal, Way); 9] = [
            (Refusal::PinMismatch, |guard, _, other| show(guard, &other.der)),
            (Refusal::NoCertificate, |guard, _, _| {
                guard
                    .verify_certificate(&transcript(b""), CertificateRef::with_context(&[]))
                    .is_ok()
            }),
            (Refusal::SecondCertificate, |guard, server, _| {
                show(guard, &server.der) && show(guard, &server.der)
            }),
            (Refusal::SecondCertificateVerify, |guard, server, _| {
                show(guard, &server.der)
                    && prove(guard, &server.key, SIGNED, SCHEME)
                    && prove(guard, &server.key, SIGNED, SCHEME)
            }),
            (Refusal::CertificateVerifyFirst, |guard, server, _| {
                prove(guard, &server.key, SIGNED, SCHEME)
            }),
            (Refusal::BadSignature, |guard, server, other| {
                show(guard, &server.der) && prove(guard, &other.key, SIGNED, SCHEME)
            }),
            (Refusal::BadSignature, |guard, server, _| {
                show(guard, &server.der) && prove(guard, &server.key, b"another handshake", SCHEME)
            }),
            (Refusal::BadSignature, |guard, server, _| {
                show(guard, &server.der)
                    && guard
                        .verify_signature(CertificateVerifyRef {
                            signature_scheme: SCHEME,
                            signature: b"\x30\x00",
                        })
                        .is_ok()
            }),
            (Refusal::UnsupportedSignature, |guard, server, _| {
                show(guard, &server.der) && prove(guard, &server.key, SIGNED, SignatureScheme::EcdsaSecp384r1Sha384)
            }),
        ];
        for (refusal, way) in ways {
            for mut guard in guards(&server) {
                if refusal == Refusal::PinMismatch && guard.expectation.on_mismatch == OnMismatch::Continue {
                    continue;
                }
                assert!(!way(&mut guard, &server, &other), "{refusal:?} was accepted");
                assert_eq!(guard.conclude(), Err(refusal));
            }
        }
    }

    #[test]
    fn name_and_dates_are_each_asked_with_and_without_the_other() {
        let server = identity();
        let (good, late) = (Some(UnixTime(1_800_000_000)), Some(UnixTime(99_000_000_000)));
        for (name, date, refusal) in [
            (None, None, None),
            (Some("a.example"), None, None),
            (None, good, None),
            (Some("a.example"), good, None),
            (Some("b.example"), None, Some(Refusal::NameMismatch)),
            (Some("b.example"), good, Some(Refusal::NameMismatch)),
            (Some("b.example"), late, Some(Refusal::NameMismatch)),
            (None, late, Some(Refusal::Expired)),
            (Some("a.example"), late, Some(Refusal::Expired)),
            (Some("a.example"), Some(UnixTime(0)), Some(Refusal::NotYetValid)),
        ] {
            for mut guard in guards(&server) {
                guard.expectation.name = name.map(Into::into);
                guard.expectation.date = date;
                let goes_on = guard.expectation.on_mismatch == OnMismatch::Continue;
                assert_eq!(
                    show(&mut guard, &server.der),
                    refusal.is_none() || goes_on,
                    "{name:?} {date:?}"
                );
                assert_eq!(guard.evidence().is_mismatch(), refusal.is_some(), "{name:?} {date:?}");
                assert_eq!(
                    guard.evidence().refusal,
                    refusal.filter(|_| !goes_on),
                    "{name:?} {date:?}"
                );
                if goes_on {
                    assert_eq!(guard.evidence().name_matches.is_some(), name.is_some());
                    assert_eq!(guard.evidence().validity.is_some(), date.is_some());
                }
            }
        }
    }

    #[test]
    fn a_certificate_that_is_none_is_refused_even_with_its_pin() {
        let nonsense = Identity {
            der: b"nonsense".to_vec(),
            key: identity().key,
        };
        let mut guard = guard(&nonsense);
        assert!(!show(&mut guard, &nonsense.der));
        assert_eq!(guard.conclude(), Err(Refusal::MalformedCertificate));
    }
}
