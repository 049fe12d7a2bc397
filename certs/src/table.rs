//! What each recipe is made of.
//!
//! What enters: a [`Recipe`]. What leaves: its chain and key. Every recipe is a row of one table. The first row is
//! `github`, and the others give only what differs from it. A leaf's issuer is the one certificate authority, or an
//! intermediate authority below it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use sha2::{Digest, Sha256};

use crate::chain::CertifiedChain;
use crate::key::{LeafKey, SeededKey};
use crate::recipe::Recipe;

impl Recipe {
    /// Issues the certificate. The same recipe gives the same bytes at every call, and is made once in a process.
    #[must_use]
    pub fn issue(self) -> CertifiedChain {
        static ISSUED: [OnceLock<CertifiedChain>; Recipe::ALL.len()] = [const { OnceLock::new() }; Recipe::ALL.len()];
        // The variants are numbered in the order of the table.
        ISSUED[self as usize].get_or_init(|| issue(self)).clone()
    }

    /// The DER of the certificate of `pinrig test CA`, which clients that check chains are to trust.
    #[must_use]
    pub fn authority() -> Vec<u8> {
        authority()
    }
}

/// Issues a recipe's chain.
fn issue(recipe: Recipe) -> CertifiedChain {
    let row = row(recipe);
    let key = row.key.make();
    let params = row.params();
    let leaf_under = |issuer: &Issuer<'_, SeededKey>| {
        let leaf = params.signed_by(&key, issuer);
        leaf.expect("the table holds valid parameters").der().to_vec()
    };
    let root = Issuer::new(authority_params(), SeededKey::from_seed(AUTHORITY));
    let chain = match row.chain {
        Chain::SelfSigned => vec![self_signed(params, &row.key)],
        Chain::Usual => vec![leaf_under(&root), authority()],
        Chain::LeafAlone => vec![leaf_under(&root)],
        Chain::Reversed => vec![authority(), leaf_under(&root)],
        Chain::Extra => vec![leaf_under(&root), authority(), issue(Recipe::OtherName).leaf().to_vec()],
        Chain::Intermediates(count) => under_intermediates(count, &params, &key),
        Chain::Replaced(leaf) => vec![leaf.to_vec(), authority()],
        Chain::Cut => {
            let leaf = leaf_under(&root);
            vec![leaf[..leaf.len() / 2].to_vec(), authority()]
        }
    };
    CertifiedChain {
        chain,
        key: key.to_private_key(),
    }
}

/// The DER of the authority.
fn authority() -> Vec<u8> {
    self_signed(authority_params(), &Key::Seed(AUTHORITY))
}

fn self_signed(params: CertificateParams, key: &Key) -> Vec<u8> {
    let Key::Seed(seed) = *key else {
        unreachable!("only keys from seeds sign in the table")
    };
    let certificate = params.self_signed(&SeededKey::from_seed(seed));
    certificate.expect("the table holds valid parameters").der().to_vec()
}

/// The leaf, then intermediate authorities from the nearest to the one below the root, which is left out.
fn under_intermediates(count: u8, leaf: &CertificateParams, key: &LeafKey) -> Vec<Vec<u8>> {
    let mut issuer = Issuer::new(authority_params(), SeededKey::from_seed(AUTHORITY));
    let mut chain = Vec::new();
    for level in 1..=count {
        let name = format!("pinrig test intermediate CA {level}");
        let mut params = dated(&name, &name, (2014, 2049));
        make_authority(&mut params, BasicConstraints::Constrained(count - level));
        params.use_authority_key_identifier_extension = true;
        let key = SeededKey::from_seed(&name);
        chain.insert(0, sign(&params, &key, &issuer));
        issuer = Issuer::new(params, key);
    }
    chain.insert(0, sign(leaf, key, &issuer));
    chain
}

fn sign(params: &CertificateParams, key: &impl PublicKeyData, issuer: &Issuer<'_, SeededKey>) -> Vec<u8> {
    let certificate = params.signed_by(key, issuer);
    certificate.expect("the table holds valid parameters").der().to_vec()
}

/// The seed of the authority's key, and its common name.
const AUTHORITY: &str = "pinrig test CA";

/// One leaf: what differs from certificate to certificate.
struct Row {
    name: &'static str,
    /// The subject's common name.
    subject: &'static str,
    /// The names of SubjectAltName. If there are none, the extension is left out.
    names: Names,
    key: Key,
    /// Valid from the first of January of the first year up to that of the second.
    years: (i32, i32),
    chain: Chain,
}

enum Names {
    Dns(&'static [&'static str]),
    Address(Ipv4Addr),
    /// The first name, and this number of generated names of 21 bytes each.
    Many(&'static str, u16),
    /// One name in SubjectAltName, and the other in a second SubjectAltName.
    Twice(&'static str, &'static str),
    /// A name in IssuerAltName alone.
    OfIssuer(&'static str),
}

enum Key {
    /// P-256, from this seed.
    Seed(&'static str),
    /// Of another kind, as PKCS#8 DER.
    Kept(&'static [u8]),
}

enum Chain {
    /// The leaf, then the authority.
    Usual,
    SelfSigned,
    LeafAlone,
    Reversed,
    /// The usual one, and the leaf of `other-name`.
    Extra,
    /// The leaf under this number of intermediate authorities, without the root.
    Intermediates(u8),
    /// Other bytes in the leaf's place.
    Replaced(&'static [u8]),
    /// The first half of the leaf in its place.
    Cut,
}

const API: &[&str] = &["api.github.com"];
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 11);

fn row(recipe: Recipe) -> Row {
    let github = Row {
        name: recipe.name(),
        subject: "api.github.com",
        names: Names::Dns(API),
        key: Key::Seed("api.github.com"),
        years: (2024, 2044),
        chain: Chain::Usual,
    };
    let named = |names| Row {
        names: Names::Dns(names),
        subject: "a server",
        ..row(Recipe::Github)
    };
    let row = match recipe {
        Recipe::Github => github,
        Recipe::GithubRenewed => Row {
            years: (2025, 2045),
            ..github
        },
        Recipe::GithubRekeyed => Row {
            key: Key::Seed("api.github.com, second key"),
            ..github
        },
        Recipe::OtherName => Row {
            subject: "status.example.net",
            key: Key::Seed("status.example.net"),
            ..named(&["status.example.net"])
        },
        Recipe::Wildcard => Row {
            subject: "github.com",
            ..named(&["*.github.com"])
        },
        Recipe::CommonNameOnly => Row {
            names: Names::Dns(&[]),
            ..github
        },
        Recipe::Expired => Row {
            years: (2014, 2016),
            ..github
        },
        Recipe::NotYetValid => Row {
            years: (2046, 2048),
            ..github
        },
        Recipe::SelfSigned => Row {
            key: Key::Seed("self-signed"),
            chain: Chain::SelfSigned,
            ..github
        },
        Recipe::MixedCase => named(&["API.GitHub.Com"]),
        Recipe::TrailingDot => named(&["api.github.com."]),
        Recipe::ThirdName => named(&["status.example.net", "github.com", "api.github.com"]),
        Recipe::MisleadingSubject => Row {
            subject: "api.github.com",
            ..named(&["status.example.net"])
        },
        Recipe::NulInName => named(&["api.github.com\0.example.net"]),
        Recipe::BareWildcard => named(&["*"]),
        Recipe::TopLevelWildcard => named(&["*.com"]),
        Recipe::PartialWildcard => named(&["ap*.github.com"]),
        Recipe::IpAddress => Row {
            names: Names::Address(SERVER),
            ..named(&[])
        },
        Recipe::NeighbouringAddress => Row {
            names: Names::Address(NEIGHBOUR),
            ..named(&[])
        },
        Recipe::IpAddressAsName => named(&["192.0.2.10"]),
        Recipe::FarFuture => Row {
            years: (2024, 2060),
            ..github
        },
        Recipe::LongChain => Row {
            chain: Chain::Intermediates(3),
            ..github
        },
        Recipe::ReversedChain => Row {
            chain: Chain::Reversed,
            ..github
        },
        Recipe::ExtraCertificate => Row {
            chain: Chain::Extra,
            ..github
        },
        Recipe::LeafAlone => Row {
            chain: Chain::LeafAlone,
            ..github
        },
        Recipe::SeventeenCertificates => Row {
            chain: Chain::Intermediates(16),
            ..github
        },
        Recipe::FourKilobytes => Row {
            names: Names::Many("api.github.com", 135),
            ..github
        },
        Recipe::OneRecord => Row {
            names: Names::Many("api.github.com", 671),
            ..github
        },
        Recipe::TwoRecords => Row {
            names: Names::Many("api.github.com", 720),
            ..github
        },
        Recipe::Rsa => Row {
            key: Key::Kept(include_bytes!("../keys/rsa-2048.pk8")),
            ..github
        },
        Recipe::P384 => Row {
            key: Key::Kept(include_bytes!("../keys/p384.pk8")),
            ..github
        },
        Recipe::Ed25519 => Row {
            key: Key::Kept(include_bytes!("../keys/ed25519.pk8")),
            ..github
        },
        Recipe::LongAgo => Row {
            years: (1955, 1965),
            ..github
        },
        Recipe::TwoListsOfNames => Row {
            names: Names::Twice("api.github.com", "status.example.net"),
            ..named(&[])
        },
        Recipe::NamesOfTheIssuer => Row {
            names: Names::OfIssuer("api.github.com"),
            ..named(&[])
        },
        Recipe::NoCertificate => Row {
            chain: Chain::Replaced(b"this is no certificate"),
            ..github
        },
        Recipe::CutCertificate => Row {
            chain: Chain::Cut,
            ..github
        },
    };
    Row {
        name: recipe.name(),
        ..row
    }
}

impl Key {
    fn make(&self) -> LeafKey {
        match *self {
            Self::Seed(seed) => LeafKey::Seeded(SeededKey::from_seed(seed)),
            Self::Kept(pkcs8) => LeafKey::kept(pkcs8),
        }
    }
}

impl Row {
    fn params(&self) -> CertificateParams {
        let mut params = dated(self.name, self.subject, self.years);
        params.subject_alt_names = match self.names {
            Names::Dns(names) => names.iter().map(|name| dns_name((*name).to_owned())).collect(),
            Names::Twice(first, _) => vec![dns_name(first.to_owned())],
            Names::OfIssuer(_) => Vec::new(),
            Names::Address(address) => vec![SanType::IpAddress(IpAddr::V4(address))],
            Names::Many(first, count) => {
                let generated = (0..count).map(|number| format!("host-{number:04}.example.net"));
                std::iter::once(first.to_owned())
                    .chain(generated)
                    .map(dns_name)
                    .collect()
            }
        };
        params.custom_extensions = match self.names {
            Names::Twice(_, second) => vec![list_of_names(SUBJECT_ALT_NAME, second)],
            Names::OfIssuer(name) => vec![list_of_names(ISSUER_ALT_NAME, name)],
            Names::Dns(_) | Names::Address(_) | Names::Many(..) => Vec::new(),
        };
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
    }
}

/// The extensions with lists of names (RFC 5280 sections 4.2.1.6 and 4.2.1.7).
const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
const ISSUER_ALT_NAME: &[u64] = &[2, 5, 29, 18];

/// An extension with one DNS name: a SEQUENCE of a dNSName, `[2]`.
fn list_of_names(extension: &[u64], name: &str) -> CustomExtension {
    let length = u8::try_from(name.len()).expect("the table's names are short");
    let list = [&[0x30, length + 2, 0x82, length], name.as_bytes()].concat();
    CustomExtension::from_oid_content(extension, list)
}

fn dns_name(name: String) -> SanType {
    SanType::DnsName(Ia5String::try_from(name).expect("the table's names are ASCII"))
}

fn authority_params() -> CertificateParams {
    let mut params = dated(AUTHORITY, AUTHORITY, (2014, 2049));
    make_authority(&mut params, BasicConstraints::Unconstrained);
    params
}

fn make_authority(params: &mut CertificateParams, levels_below: BasicConstraints) {
    params.is_ca = IsCa::Ca(levels_below);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
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
