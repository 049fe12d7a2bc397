//! What the client needs from an X.509 certificate (RFC 5280): its P-256 key, its names, its dates. Issuers and chains
//! are not looked at: the pin replaces them.

use core::net::Ipv4Addr;

use p256::ecdsa::VerifyingKey;

use crate::clock::UnixTime;

const ID_EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
const SECP256R1: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x11];

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const EXTENSIONS: u8 = 0xA3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// A certificate that borrows from its DER.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    not_before: UnixTime,
    not_after: UnixTime,
    key_info: Reader<'a>,
    alt_names: Option<Reader<'a>>,
}

/// Why a certificate is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateError {
    /// Not the DER of a certificate.
    Malformed,
    /// The key is not an EC key on P-256.
    UnsupportedKey,
}

/// Whether a certificate is valid at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It is.
    Valid,
    /// Its time has passed.
    Expired,
    /// Its time has not begun.
    NotYetValid,
}

impl<'a> Certificate<'a> {
    /// Finds the parts of a certificate.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] where the structure is not that of RFC 5280, section 4.1.
    pub fn parse(der: &'a [u8]) -> Result<Self, CertificateError> {
        Self::read(der).ok_or(CertificateError::Malformed)
    }

    /// The key that the server must prove to hold.
    ///
    /// # Errors
    /// [`CertificateError::UnsupportedKey`] for another algorithm, another curve, or a point that is not on it.
    pub fn key(&self) -> Result<VerifyingKey, CertificateError> {
        let point = || {
            let mut info = self.key_info;
            let mut algorithm = info.expect(SEQUENCE)?;
            let is_p256 = algorithm.expect(OBJECT_IDENTIFIER)?.0 == ID_EC_PUBLIC_KEY
                && algorithm.expect(OBJECT_IDENTIFIER)?.0 == SECP256R1;
            // The first byte counts unused bits, of which a point has none.
            let (0, point) = info
                .expect(BIT_STRING)?
                .0
                .split_first()
                .map(|(unused, point)| (*unused, point))?
            else {
                return None;
            };
            is_p256.then_some(point)
        };
        point()
            .and_then(|point| VerifyingKey::from_sec1_bytes(point).ok())
            .ok_or(CertificateError::UnsupportedKey)
    }

    /// Whether it is valid at `time`: both its first and its last second belong to it.
    #[must_use]
    pub fn validity(&self, time: UnixTime) -> Validity {
        match () {
            () if time < self.not_before => Validity::NotYetValid,
            () if time > self.not_after => Validity::Expired,
            () => Validity::Valid,
        }
    }

    /// Whether the certificate is for `host`: one of its DNS names is; a name in the subject does not count (RFC 9525,
    /// section 2). Case does not matter; `*.` at the start of a name stands for exactly one label (section 6.3). An
    /// address is not a name: it must be among the certificate's addresses (section 6.5).
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let address = host.parse::<Ipv4Addr>().ok();
        let mut names = self.alt_names.unwrap_or_default();
        while let Some((tag, name)) = names.next() {
            if let Some(address) = address {
                if tag == IP_ADDRESS && name.0 == address.octets() {
                    return true;
                }
            } else if tag == DNS_NAME && name_matches(name.0, host) {
                return true;
            }
        }
        false
    }

    fn read(der: &'a [u8]) -> Option<Self> {
        let mut outer = Reader(der);
        let mut body = outer.expect(SEQUENCE)?.expect(SEQUENCE)?;
        if body.peek() == Some(VERSION) {
            body.next()?;
        }
        body.expect(INTEGER)?;
        body.expect(SEQUENCE)?; // signature algorithm
        body.expect(SEQUENCE)?; // issuer
        let mut validity = body.expect(SEQUENCE)?;
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let _subject = body.expect(SEQUENCE)?;
        let key_info = body.expect(SEQUENCE)?;
        let mut alt_names = None;
        while let Some(tag) = body.peek() {
            let (_, mut content) = body.next()?;
            if tag == EXTENSIONS {
                alt_names = find_alt_names(content.expect(SEQUENCE)?)?;
            }
        }
        outer.0.is_empty().then_some(Self {
            not_before,
            not_after,
            key_info,
            alt_names,
        })
    }
}

/// `Some(None)` where there is no such extension, `None` where the list is malformed.
fn find_alt_names(mut extensions: Reader<'_>) -> Option<Option<Reader<'_>>> {
    let mut found = None;
    while !extensions.0.is_empty() {
        let mut extension = extensions.expect(SEQUENCE)?;
        let id = extension.expect(OBJECT_IDENTIFIER)?;
        if extension.peek() == Some(BOOLEAN) {
            extension.next()?;
        }
        let mut value = extension.expect(OCTET_STRING)?;
        if id.0 == SUBJECT_ALT_NAME {
            let names = value.expect(SEQUENCE)?;
            // RFC 5280, section 4.2, forbids a second list. Which of the two counts is a matter of opinion: neither does.
            found = Some(if found.is_none() { names } else { Reader::default() });
        }
    }
    Some(found)
}

fn name_matches(pattern: &[u8], host: &str) -> bool {
    let host = host.as_bytes();
    match pattern.strip_prefix(b"*.") {
        Some(parent) => host
            .iter()
            .position(|byte| *byte == b'.')
            .is_some_and(|dot| dot > 0 && !parent.is_empty() && host[dot + 1..].eq_ignore_ascii_case(parent)),
        None => host.eq_ignore_ascii_case(pattern),
    }
}

/// Reads DER elements (X.690, section 10) one after the other.
#[derive(Clone, Copy, Debug, Default)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn expect(&mut self, tag: u8) -> Option<Self> {
        (self.peek() == Some(tag))
            .then(|| self.next())
            .flatten()
            .map(|(_, content)| content)
    }

    /// The next element, which is a Time (RFC 5280, section 4.1.2.5).
    fn time(&mut self) -> Option<UnixTime> {
        match self.next()? {
            (UTC_TIME, time) => UnixTime::from_utc_time(time.0),
            (GENERALIZED_TIME, time) => UnixTime::from_generalized_time(time.0),
            _ => None,
        }
    }

    /// The tag and content of the next element; `None` at the end and for what is not DER.
    fn next(&mut self) -> Option<(u8, Self)> {
        let (&[tag, short], mut rest) = self.0.split_first_chunk()?;
        let length = if short < 0x80 {
            usize::from(short)
        } else {
            let (length, after) = rest.split_at_checked(usize::from(short & 0x7F))?;
            rest = after;
            // Three bytes hold more than any TLS message can.
            if !(1..=3).contains(&length.len()) {
                return None;
            }
            length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, Self(content)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn certificate(names: &[&str], common_name: &str) -> Vec<u8> {
        let mut params =
            rcgen::CertificateParams::new(names.iter().map(|name| (*name).into()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_is_for_its_dns_names_and_no_others() {
        for (names, common_name, host, good) in [
            (&["api.example"][..], "x", "api.example", true),
            (&["other.example", "api.example"], "x", "API.EXAMPLE", true),
            (&["api.example"], "x", "evil.example", false),
            (&["other.example"], "api.example", "api.example", false),
            (&[], "api.example", "api.example", false),
            (&[], "api.example", "evil.example", false),
            (&["*.example"], "x", "api.example", true),
            (&["*.example"], "x", "a.api.example", false),
            (&["*.example"], "x", "example", false),
            (&["*.example"], "x", ".example", false),
            (&["a*.example"], "x", "api.example", false),
            (&["*"], "x", "example", false),
            (&["*."], "x", "example.", false),
            (&["api.example.evil.example"], "x", "api.example", false),
            (&["api.exampl"], "x", "api.example", false),
            (&["xapi.example"], "x", "api.example", false),
            (&["pi.example"], "x", "api.example", false),
            (&["*.example.evil.example"], "x", "api.example", false),
            (&["api.example\0.evil.example"], "x", "api.example", false),
        ] {
            let der = certificate(names, common_name);
            assert_eq!(
                Certificate::parse(&der).unwrap().is_for(host),
                good,
                "{names:?} {common_name} {host}"
            );
        }
    }

    #[test]
    fn only_the_one_list_of_the_subjects_names_counts() {
        // `SEQUENCE { [2] name }`.
        let list = |name: &str| {
            let length = u8::try_from(name.len()).unwrap();
            [&[SEQUENCE, length + 2, DNS_NAME, length], name.as_bytes()].concat()
        };
        let subject: &[u64] = &[2, 5, 29, 17];
        let issuer: &[u64] = &[2, 5, 29, 18];
        for (names, oid, more, good) in [
            (&[][..], subject, "api.example", true),
            (&["api.example"], issuer, "other.example", true),
            (&[], issuer, "api.example", false),
            (&["other.example"], issuer, "api.example", false),
            // Two lists, which no certificate may have.
            (&["api.example"], subject, "other.example", false),
            (&["other.example"], subject, "api.example", false),
            (&["api.example"], subject, "api.example", false),
        ] {
            let names = names.iter().map(|name| (*name).into()).collect::<Vec<_>>();
            let mut params = rcgen::CertificateParams::new(names.clone()).unwrap();
            let extension = rcgen::CustomExtension::from_oid_content(oid, list(more));
            params.custom_extensions.push(extension);
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
            let der = params.self_signed(&key).unwrap().der().to_vec();
            let certificate = Certificate::parse(&der).unwrap();
            assert_eq!(certificate.is_for("api.example"), good, "{names:?}, {oid:?} {more}");
        }
    }

    #[test]
    fn addresses_are_no_names() {
        let mut params = rcgen::CertificateParams::new(std::vec!["api.example".into()]).unwrap();
        params
            .subject_alt_names
            .push(rcgen::SanType::IpAddress("192.0.2.10".parse().unwrap()));
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let with_address = Certificate::parse(&der).unwrap();
        assert!(with_address.is_for("192.0.2.10"));
        assert!(with_address.is_for("api.example"));
        assert!(!with_address.is_for("192.0.2.11"));
        for (names, common_name) in [(&[][..], "192.0.2.10"), (&["*.0.2.10"], "x")] {
            let der = certificate(names, common_name);
            assert!(!Certificate::parse(&der).unwrap().is_for("192.0.2.10"), "{names:?}");
        }
    }

    #[test]
    fn the_first_and_the_last_second_are_valid() {
        let mut params = rcgen::CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2024, 1, 1);
        // From 2050 on, a date is written in the other form.
        params.not_after = rcgen::date_time_ymd(2060, 1, 1);
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let certificate = Certificate::parse(&der).unwrap();
        for (time, validity) in [
            ("2023-12-31T23:59:59Z", Validity::NotYetValid),
            ("2024-01-01T00:00:00Z", Validity::Valid),
            ("2060-01-01T00:00:00Z", Validity::Valid),
            ("2060-01-01T00:00:01Z", Validity::Expired),
        ] {
            assert_eq!(certificate.validity(UnixTime::parse(time).unwrap()), validity, "{time}");
        }
    }

    #[test]
    fn only_keys_on_p256_are_taken() {
        let der = certificate(&["a.example"], "x");
        assert!(Certificate::parse(&der).unwrap().key().is_ok());
        for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P384_SHA384] {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let der = rcgen::CertificateParams::default()
                .self_signed(&key)
                .unwrap()
                .der()
                .to_vec();
            assert_eq!(
                Certificate::parse(&der).unwrap().key(),
                Err(CertificateError::UnsupportedKey)
            );
        }
    }

    #[test]
    fn no_truncation_and_no_changed_byte_panics() {
        let der = certificate(&["a.example", "b.example"], "x");
        for length in 0..der.len() {
            assert_eq!(
                Certificate::parse(&der[..length]).err(),
                Some(CertificateError::Malformed),
                "{length} bytes"
            );
        }
        for at in 0..der.len() {
            for value in [0, 1, 0x30, 0x7F, 0x80, 0x83, 0x84, 0xFF] {
                let mut broken = der.clone();
                broken[at] = value;
                if let Ok(certificate) = Certificate::parse(&broken) {
                    let _ = certificate.key();
                    let _ = certificate.is_for("a.example");
                }
            }
        }
    }
}
