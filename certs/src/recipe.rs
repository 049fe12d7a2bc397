//! The table of certificates that a scenario can name.
//!
//! What enters: a [`Recipe`]. What leaves: the DER chain and key that it stands for. Every recipe is a row of one
//! table; a leaf's issuer is the one certificate authority, which is issued first.

use std::fmt;
use std::str::FromStr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::CertifiedChain;
use crate::key::SeededKey;

/// A certificate that a server under test can present. In a scenario it is written in kebab case (`github-renewed`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipe {
    /// The right server: a leaf for `api.github.com`, issued by `pinrig test CA`.
    Github,
    /// `github` after its renewal: the same name and key, another serial number and other dates, so another fingerprint.
    GithubRenewed,
    /// `github` after a change of key: the same name and dates, another key.
    GithubRekeyed,
    /// A valid leaf of the same authority for `status.example.net`.
    OtherName,
    /// A leaf for `*.github.com`, whose own name is not in the list.
    Wildcard,
    /// A leaf that names `api.github.com` in its subject only, with no SubjectAltName.
    CommonNameOnly,
    /// `github` with dates that have passed.
    Expired,
    /// `github` with dates that have not begun.
    NotYetValid,
    /// A leaf for `api.github.com` that nobody else vouches for; its chain is itself alone.
    SelfSigned,
}

impl Recipe {
    /// Every recipe, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Github,
        Self::GithubRenewed,
        Self::GithubRekeyed,
        Self::OtherName,
        Self::Wildcard,
        Self::CommonNameOnly,
        Self::Expired,
        Self::NotYetValid,
        Self::SelfSigned,
    ];

    /// The recipe's name as a scenario spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Issues the certificate. The same recipe gives the same bytes at every call.
    #[must_use]
    pub fn issue(self) -> CertifiedChain {
        let row = self.row();
        let key = SeededKey::from_seed(row.key);
        let params = row.params();
        let chain = match row.issuer {
            IssuedBy::Itself => vec![
                params
                    .self_signed(&key)
                    .expect("the table holds valid parameters")
                    .der()
                    .to_vec(),
            ],
            IssuedBy::TestAuthority => {
                let authority = authority_params();
                let issuer = Issuer::from_params(&authority, SeededKey::from_seed(AUTHORITY));
                let leaf = params
                    .signed_by(&key, &issuer)
                    .expect("the table holds valid parameters");
                vec![leaf.der().to_vec(), Self::authority()]
            }
        };
        CertifiedChain {
            chain,
            key: key.to_private_key(),
        }
    }

    /// The DER of the certificate of `pinrig test CA`, which clients that check chains are to trust.
    #[must_use]
    pub fn authority() -> Vec<u8> {
        authority_params()
            .self_signed(&SeededKey::from_seed(AUTHORITY))
            .expect("the authority's parameters are valid")
            .der()
            .to_vec()
    }

    fn row(self) -> Row {
        let github = Row {
            name: "github",
            subject: "api.github.com",
            names: &["api.github.com"],
            key: "api.github.com",
            years: (2024, 2044),
            issuer: IssuedBy::TestAuthority,
        };
        match self {
            Self::Github => github,
            Self::GithubRenewed => Row {
                name: "github-renewed",
                years: (2025, 2045),
                ..github
            },
            Self::GithubRekeyed => Row {
                name: "github-rekeyed",
                key: "api.github.com, second key",
                ..github
            },
            Self::OtherName => Row {
                name: "other-name",
                subject: "status.example.net",
                names: &["status.example.net"],
                key: "status.example.net",
                ..github
            },
            Self::Wildcard => Row {
                name: "wildcard",
                subject: "github.com",
                names: &["*.github.com"],
                ..github
            },
            Self::CommonNameOnly => Row {
                name: "common-name-only",
                names: &[],
                ..github
            },
            Self::Expired => Row {
                name: "expired",
                years: (2014, 2016),
                ..github
            },
            Self::NotYetValid => Row {
                name: "not-yet-valid",
                years: (2046, 2048),
                ..github
            },
            Self::SelfSigned => Row {
                name: "self-signed",
                key: "self-signed",
                issuer: IssuedBy::Itself,
                ..github
            },
        }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Recipe {
    type Err = UnknownRecipe;

    fn from_str(name: &str) -> Result<Self, UnknownRecipe> {
        Self::ALL
            .into_iter()
            .find(|recipe| recipe.name() == name)
            .ok_or_else(|| UnknownRecipe(name.to_owned()))
    }
}

/// No recipe has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no certificate recipe is called `{0}`; there are {list}", list = known_names())]
pub struct UnknownRecipe(String);

fn known_names() -> String {
    Recipe::ALL.map(Recipe::name).join(", ")
}

/// The seed of the authority's key, and its common name.
const AUTHORITY: &str = "pinrig test CA";

/// One leaf: what differs from certificate to certificate.
struct Row {
    name: &'static str,
    /// The subject's common name.
    subject: &'static str,
    /// The DNS names of SubjectAltName; the extension is left out where there are none.
    names: &'static [&'static str],
    /// The seed of the key.
    key: &'static str,
    /// Valid from the first of January of the first year up to that of the second.
    years: (i32, i32),
    issuer: IssuedBy,
}

enum IssuedBy {
    Itself,
    TestAuthority,
}

impl Row {
    fn params(&self) -> CertificateParams {
        let mut params = dated(self.name, self.subject, self.years);
        params.subject_alt_names = self
            .names
            .iter()
            .map(|&name| SanType::DnsName(name.try_into().expect("the table's names are ASCII")))
            .collect();
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
    }
}

fn authority_params() -> CertificateParams {
    let mut params = dated(AUTHORITY, AUTHORITY, (2014, 2049));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn dated(recipe: &str, common_name: &str, (from, until): (i32, i32)) -> CertificateParams {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "pinrig");
    subject.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params.serial_number = Some(serial_of(recipe));
    params
}

/// A positive serial number of 16 bytes (RFC 5280 section 4.1.2.2), one for each recipe.
fn serial_of(recipe: &str) -> SerialNumber {
    let mut digest = Sha256::digest(format!("serial number of {recipe}"));
    digest[0] = digest[0] & 0x3f | 0x40;
    SerialNumber::from_slice(&digest[..16])
}
