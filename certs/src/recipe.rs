//! The names of the certificates that a scenario can ask for.
//!
//! What enters: a name. What leaves: a [`Recipe`]. What each recipe is made of is a row of the table in `table`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! recipes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A certificate that a server under test can present. In a scenario it is written in kebab case
        /// (`github-renewed`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Recipe {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Recipe {
            /// Every recipe, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The recipe's name as a scenario spells it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

recipes! {
    /// The right server: a leaf for `api.github.com`, issued by `pinrig test CA`.
    Github = "github",
    /// `github` after its renewal: the same name and key, another serial number and other dates, so another fingerprint.
    GithubRenewed = "github-renewed",
    /// `github` after a change of key: the same name and dates, another key.
    GithubRekeyed = "github-rekeyed",
    /// A valid leaf of the same authority for `status.example.net`.
    OtherName = "other-name",
    /// A leaf for `*.github.com`, whose own name is not in the list.
    Wildcard = "wildcard",
    /// A leaf that names `api.github.com` in its subject only, with no SubjectAltName.
    CommonNameOnly = "common-name-only",
    /// `github` with a validity that has ended.
    Expired = "expired",
    /// `github` with a validity that has not begun.
    NotYetValid = "not-yet-valid",
    /// A leaf for `api.github.com` that signs itself. It is the only certificate of its chain.
    SelfSigned = "self-signed",
    /// A leaf whose name is written `API.GitHub.Com`.
    MixedCase = "mixed-case",
    /// A leaf whose only name is `api.github.com.`, with the root's dot, which a certificate must not have.
    TrailingDot = "trailing-dot",
    /// A leaf with three names, of which `api.github.com` is the last.
    ThirdName = "third-name",
    /// A leaf for `status.example.net` whose subject says `api.github.com`: the subject does not count.
    MisleadingSubject = "misleading-subject",
    /// A leaf for `api.github.com`, a NUL, and `.example.net`: C strings end at the NUL.
    NulInName = "nul-in-name",
    /// A leaf for `*`.
    BareWildcard = "bare-wildcard",
    /// A leaf for `*.com`.
    TopLevelWildcard = "top-level-wildcard",
    /// A leaf for `ap*.github.com`.
    PartialWildcard = "partial-wildcard",
    /// A leaf for the address 192.0.2.10 and no name.
    IpAddress = "ip-address",
    /// A leaf for the address 192.0.2.11 and no name.
    NeighbouringAddress = "neighbouring-address",
    /// A leaf that has the address 192.0.2.10 written as a DNS name.
    IpAddressAsName = "ip-address-as-name",
    /// `github` with an end in 2060, which is written as GeneralizedTime (RFC 5280 section 4.1.2.5).
    FarFuture = "far-future",
    /// `github`'s leaf under three intermediate authorities: four certificates, the root left out, as is usual.
    LongChain = "long-chain",
    /// `github`'s chain with the authority first.
    ReversedChain = "reversed-chain",
    /// `github`'s chain with an unrelated certificate at its end.
    ExtraCertificate = "extra-certificate",
    /// `github`'s leaf alone.
    LeafAlone = "leaf-alone",
    /// `github`'s leaf under sixteen intermediate authorities: more certificates than some clients have room for.
    SeventeenCertificates = "seventeen-certificates",
    /// A leaf with enough names to make its chain about 4 KB long.
    FourKilobytes = "four-kilobytes",
    /// A leaf with as many names as fit when the message Certificate is one record of 16 KB.
    OneRecord = "one-record",
    /// A leaf with more names than that: the message Certificate needs two records.
    TwoRecords = "two-records",
    /// A leaf with an RSA key of 2048 bits.
    Rsa = "rsa",
    /// A leaf with a key on P-384.
    P384 = "p384",
    /// A leaf with an Ed25519 key.
    Ed25519 = "ed25519",
    /// `github` with a validity from 1955 to 1965: years of two digits that are not of this century.
    LongAgo = "long-ago",
    /// A leaf with two lists of names, which a certificate must not have: `api.github.com` is in the first.
    TwoListsOfNames = "two-lists-of-names",
    /// A leaf whose issuer is called `api.github.com` (IssuerAltName), and which has no name itself.
    NamesOfTheIssuer = "names-of-the-issuer",
    /// Bytes that are not a certificate, in place of the leaf.
    NoCertificate = "no-certificate",
    /// The first half of `github`'s leaf, in place of the leaf.
    CutCertificate = "cut-certificate",
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
            .iter()
            .copied()
            .find(|recipe| recipe.name() == name)
            .ok_or_else(|| UnknownRecipe(name.to_owned()))
    }
}

impl Serialize for Recipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Recipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// No recipe has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no certificate recipe is called `{0}`; there are {list}", list = known_names())]
pub struct UnknownRecipe(String);

fn known_names() -> String {
    let names: Vec<_> = Recipe::ALL.iter().map(|recipe| recipe.name()).collect();
    names.join(", ")
}
