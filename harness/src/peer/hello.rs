//! The ClientHello, and the server's answer to it.
//!
//! What enters: an [`Offer`] and the name to ask for, and later the bytes of a ServerHello. What leaves: the bytes of a
//! ClientHello (RFC 8446, section 4.1.2), and what the server chose. Nothing that is offered for TLS 1.2 and
//! below has to be computed: there the certificate comes in clear, before any key exchange.

use std::ops::RangeInclusive;

use super::cursor::{Cursor, vector8, vector16, vector24};
use super::keys::{SECP256R1, SECP384R1, Share, Suite, X25519_GROUP};

const TLS_1_0: u16 = 0x0301;
const TLS_1_1: u16 = 0x0302;
const TLS_1_2: u16 = 0x0303;
pub(super) const TLS_1_3: u16 = 0x0304;

/// The random bytes of a HelloRetryRequest: SHA-256 of those words (RFC 8446, section 4.1.3).
pub(super) const RETRY: [u8; 32] = [
    0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91, 0xC2, 0xA2, 0x11,
    0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
];

/// Numbers of the TLS ExtensionType Values registry.
mod extension {
    pub(super) const SERVER_NAME: u16 = 0;
    pub(super) const SUPPORTED_GROUPS: u16 = 10;
    pub(super) const EC_POINT_FORMATS: u16 = 11;
    pub(super) const SIGNATURE_ALGORITHMS: u16 = 13;
    /// Without it, servers that insist on it end the handshake.
    pub(super) const EXTENDED_MASTER_SECRET: u16 = 23;
    pub(super) const SUPPORTED_VERSIONS: u16 = 43;
    pub(super) const COOKIE: u16 = 44;
    pub(super) const KEY_SHARE: u16 = 51;
}

/// What a client offers. Servers differ in what they accept, so the offers are made one after the other until the
/// server answers one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// What a modern client offers, from TLS 1.0 to 1.3: no group that cannot be computed in TLS 1.3.
    Modern,
    /// Up to TLS 1.2, with every suite and group that goes with a certificate, broken ones as well.
    Everything,
    /// TLS 1.2 in less than 200 bytes, for servers with a small buffer.
    Small,
    /// TLS 1.0 without extensions, and so without a name, for servers that accept no later hello.
    Bare,
}

impl Offer {
    /// Every offer, in the order in which they are made.
    pub(super) const ALL: [Self; 4] = [Self::Modern, Self::Everything, Self::Small, Self::Bare];

    /// The newest version first.
    fn versions(self) -> &'static [u16] {
        let all = &[TLS_1_3, TLS_1_2, TLS_1_1, TLS_1_0];
        match self {
            Self::Modern => all,
            Self::Everything | Self::Small => &all[1..],
            Self::Bare => &all[3..],
        }
    }

    fn has_tls_1_3(self) -> bool {
        self.versions().contains(&TLS_1_3)
    }

    /// The version in the hello itself, which stays at TLS 1.2 where extensions offer a newer one.
    fn legacy_version(self) -> u16 {
        self.versions()[0].min(TLS_1_2)
    }

    fn suites(self) -> Vec<u16> {
        let mut suites = match self {
            Self::Modern => [&Suite::OFFERED, MODERN_SUITES].concat(),
            Self::Everything => {
                let others = SUITES_WITH_CERTIFICATE.iter().cloned().flatten();
                let others = others.filter(|suite| !MODERN_SUITES.contains(suite));
                MODERN_SUITES.iter().copied().chain(others).collect()
            }
            Self::Small | Self::Bare => COMMON_SUITES.to_vec(),
        };
        suites.push(RENEGOTIATION_INFO);
        suites
    }

    fn groups(self) -> &'static [u16] {
        match self {
            Self::Modern => &GROUPS[..COMPUTED_GROUPS],
            Self::Everything => GROUPS,
            Self::Small | Self::Bare => &GROUPS[..COMPUTED_GROUPS + 1],
        }
    }

    fn signature_schemes(self) -> &'static [u16] {
        match self {
            Self::Modern | Self::Everything => SIGNATURE_SCHEMES,
            Self::Small | Self::Bare => &SIGNATURE_SCHEMES[..COMMON_SCHEMES],
        }
    }

    fn has_extensions(self) -> bool {
        self != Self::Bare
    }
}

/// The groups for which the first hello has a key share. For the third that can be computed, the server has to ask.
pub(super) const SHARED_GROUPS: [u16; 2] = [X25519_GROUP, SECP256R1];

const COMPUTED_GROUPS: usize = 3;

/// TLS Supported Groups: those that can be computed, P-521 and X448, other curves by size, finite fields.
const GROUPS: &[u16] = &[
    X25519_GROUP,
    SECP256R1,
    SECP384R1,
    0x0019, // secp521r1
    0x001E, // x448
    0x001C, // brainpoolP512r1
    0x001B, // brainpoolP384r1
    0x001A, // brainpoolP256r1
    0x0016, // secp256k1
    0x000E, // sect571r1
    0x000D, // sect571k1
    0x000C, // sect409r1
    0x000B, // sect409k1
    0x000A, // sect283r1
    0x0009, // sect283k1
    0x0008, // sect239k1
    0x0007, // sect233r1
    0x0006, // sect233k1
    0x0015, // secp224r1
    0x0014, // secp224k1
    0x0013, // secp192r1
    0x0012, // secp192k1
    0x0005, // sect193r2
    0x0004, // sect193r1
    0x0003, // sect163r2
    0x0002, // sect163r1
    0x0001, // sect163k1
    0x0011, // secp160r2
    0x0010, // secp160r1
    0x000F, // secp160k1
    0x0029, // curveSM2
    0x0022, // GC256A
    0x0026, // GC512A
    0x0100, // ffdhe2048
    0x0101, // ffdhe3072
    0x0102, // ffdhe4096
];

const COMMON_SCHEMES: usize = 14;

/// TLS SignatureScheme, and pairs of hash and signature of TLS 1.2. Nothing is verified, so every one is welcome.
const SIGNATURE_SCHEMES: &[u16] = &[
    0x0403, // ecdsa_secp256r1_sha256
    0x0503, // ecdsa_secp384r1_sha384
    0x0603, // ecdsa_secp521r1_sha512
    0x0807, // ed25519
    0x0804, // rsa_pss_rsae_sha256
    0x0805, // rsa_pss_rsae_sha384
    0x0806, // rsa_pss_rsae_sha512
    0x0401, // rsa_pkcs1_sha256
    0x0501, // rsa_pkcs1_sha384
    0x0601, // rsa_pkcs1_sha512
    0x0809, // rsa_pss_pss_sha256
    0x0808, // ed448
    0x0203, // ecdsa_sha1
    0x0201, // rsa_pkcs1_sha1
    0x080A, // rsa_pss_pss_sha384
    0x080B, // rsa_pss_pss_sha512
    0x081A, // ecdsa_brainpoolP256r1tls13_sha256
    0x081B, // ecdsa_brainpoolP384r1tls13_sha384
    0x081C, // ecdsa_brainpoolP512r1tls13_sha512
    0x0904, // mldsa44
    0x0905, // mldsa65
    0x0906, // mldsa87
    0x0303, // ecdsa_sha224
    0x0301, // rsa_sha224
    0x0602, // dsa_sha512
    0x0502, // dsa_sha384
    0x0402, // dsa_sha256
    0x0302, // dsa_sha224
    0x0202, // dsa_sha1
    0x0708, // sm2sig_sm3
    0x0709, // gostr34102012_256a
    0x070D, // gostr34102012_512a
    0x0840, // gostr34102012_256
    0x0841, // gostr34102012_512
    0x0101, // rsa_md5
];

/// The suites up to TLS 1.2 that modern clients offer: for ECDSA first, without forward secrecy last.
const MODERN_SUITES: &[u16] = &[
    0xC02B, // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    0xC02C, // TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
    0xCCA9, // TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
    0xC0AC, // TLS_ECDHE_ECDSA_WITH_AES_128_CCM
    0xC0AE, // TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8
    0xC023, // TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256
    0xC009, // TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA
    0xC00A, // TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA
    0xC02F, // TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    0xC030, // TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
    0xCCA8, // TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    0xC027, // TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256
    0xC013, // TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA
    0xC014, // TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA
    0x009E, // TLS_DHE_RSA_WITH_AES_128_GCM_SHA256
    0x009F, // TLS_DHE_RSA_WITH_AES_256_GCM_SHA384
    0x0033, // TLS_DHE_RSA_WITH_AES_128_CBC_SHA
    0x0039, // TLS_DHE_RSA_WITH_AES_256_CBC_SHA
    0x009C, // TLS_RSA_WITH_AES_128_GCM_SHA256
    0x009D, // TLS_RSA_WITH_AES_256_GCM_SHA384
    0x003C, // TLS_RSA_WITH_AES_128_CBC_SHA256
    0x002F, // TLS_RSA_WITH_AES_128_CBC_SHA
    0x0035, // TLS_RSA_WITH_AES_256_CBC_SHA
    0x000A, // TLS_RSA_WITH_3DES_EDE_CBC_SHA
];

/// A few suites, of which nearly every server up to TLS 1.2 has one.
const COMMON_SUITES: &[u16] = &[
    0xC02B, // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    0xC02F, // TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    0xC009, // TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA
    0xC013, // TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA
    0xC014, // TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA
    0x0033, // TLS_DHE_RSA_WITH_AES_128_CBC_SHA
    0x009C, // TLS_RSA_WITH_AES_128_GCM_SHA256
    0x002F, // TLS_RSA_WITH_AES_128_CBC_SHA
    0x0035, // TLS_RSA_WITH_AES_256_CBC_SHA
    0x000A, // TLS_RSA_WITH_3DES_EDE_CBC_SHA
    0x0005, // TLS_RSA_WITH_RC4_128_SHA
    0x0004, // TLS_RSA_WITH_RC4_128_MD5
];

/// TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746), without which some servers end the handshake.
const RENEGOTIATION_INFO: u16 = 0x00FF;

/// TLS Cipher Suites up to TLS 1.2 whose server presents a certificate. Anonymous suites, and those of PSK, Kerberos and
/// SRP, lie between the ranges.
const SUITES_WITH_CERTIFICATE: &[RangeInclusive<u16>] = &[
    0xC001..=0xC014, // ECDH and ECDHE with CBC
    0xC023..=0xC032, // ECDH and ECDHE with SHA-2 and GCM
    0xC03C..=0xC045, // ARIA with CBC
    0xC048..=0xC059, // ARIA with CBC and GCM
    0xC05C..=0xC063, // ARIA with GCM
    0xC072..=0xC083, // Camellia
    0xC086..=0xC08D, // Camellia with GCM
    0xC09C..=0xC0A3, // CCM
    0xC0AC..=0xC0AF, // CCM with ECDHE
    0xCCA8..=0xCCAA, // ChaCha20-Poly1305
    0x0096..=0x00A5, // SEED, GCM
    0x0067..=0x006B, // DH and DHE with SHA-256
    0x003B..=0x0045, // SHA-256, Camellia
    0x0084..=0x0088, // Camellia
    0x00BA..=0x00BE, // Camellia with SHA-256
    0x00C0..=0x00C4, // Camellia with SHA-256
    0x002F..=0x0033, // AES-128 with CBC
    0x0035..=0x0039, // AES-256 with CBC
    0x0001..=0x0016, // NULL, export, RC4, RC2, IDEA, DES, 3DES
    0xC100..=0xC102, // GOST
    0x0080..=0x0083, // GOST
    0xE011..=0xE013, // SM2
];

/// What a ClientHello says.
pub(super) struct ClientHello<'a> {
    pub(super) offer: Offer,
    pub(super) name: Option<&'a str>,
    pub(super) random: [u8; 32],
    /// For middleboxes that know no TLS 1.3 (RFC 8446, appendix D.4).
    pub(super) session_id: [u8; 32],
    pub(super) shares: &'a [Share],
    /// From a HelloRetryRequest.
    pub(super) cookie: Option<Vec<u8>>,
}

impl ClientHello<'_> {
    /// The version that the header of the hello's record has.
    pub(super) const RECORD_VERSION: u16 = TLS_1_0;

    pub(super) fn message(&self) -> Vec<u8> {
        let offer = self.offer;
        let session_id = if offer.has_tls_1_3() { &self.session_id[..] } else { &[] };
        let mut body = [
            &offer.legacy_version().to_be_bytes()[..],
            &self.random,
            &vector8(session_id),
            &vector16(&numbers(&offer.suites())),
            &vector8(&[0]), // no compression
        ]
        .concat();
        if offer.has_extensions() {
            body.extend(vector16(&self.extensions()));
        }
        [&[CLIENT_HELLO], &vector24(&body)[..]].concat()
    }

    fn extensions(&self) -> Vec<u8> {
        let mut extensions = Vec::new();
        let mut add = |kind: u16, content: &[u8]| {
            extensions.extend(kind.to_be_bytes());
            extensions.extend(vector16(content));
        };
        if let Some(name) = self.name {
            // A list of one host_name.
            let entry = [&[0], &vector16(name.as_bytes())[..]].concat();
            add(extension::SERVER_NAME, &vector16(&entry));
        }
        add(extension::SUPPORTED_GROUPS, &vector16(&numbers(self.offer.groups())));
        add(extension::EC_POINT_FORMATS, &vector8(&[0, 1, 2]));
        add(
            extension::SIGNATURE_ALGORITHMS,
            &vector16(&numbers(self.offer.signature_schemes())),
        );
        add(extension::EXTENDED_MASTER_SECRET, &[]);
        if self.offer.has_tls_1_3() {
            add(extension::SUPPORTED_VERSIONS, &vector8(&numbers(self.offer.versions())));
            let shares: Vec<u8> = self
                .shares
                .iter()
                .flat_map(|share| [share.group.to_be_bytes().to_vec(), vector16(&share.public)].concat())
                .collect();
            add(extension::KEY_SHARE, &vector16(&shares));
            if let Some(cookie) = &self.cookie {
                add(extension::COOKIE, &vector16(cookie));
            }
        }
        extensions
    }
}

const CLIENT_HELLO: u8 = 1;

fn numbers(code_points: &[u16]) -> Vec<u8> {
    code_points.iter().flat_map(|code| code.to_be_bytes()).collect()
}

/// What a server chose.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerHello<'a> {
    /// Whether it is a HelloRetryRequest.
    pub(super) is_retry: bool,
    pub(super) version: u16,
    pub(super) suite: u16,
    /// The group of the key exchange in TLS 1.3. The value is empty in a HelloRetryRequest.
    pub(super) share: Option<(u16, &'a [u8])>,
    pub(super) cookie: Option<&'a [u8]>,
}

impl<'a> ServerHello<'a> {
    /// Reads the body of the message; `None` when it is malformed.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let mut body = Cursor(body);
        let mut hello = Self {
            version: body.u16()?,
            is_retry: body.take(32)? == RETRY,
            suite: {
                body.vector(1)?; // the session id
                body.u16()?
            },
            share: None,
            cookie: None,
        };
        body.take(1)?; // the compression method
        if body.0.is_empty() {
            return Some(hello);
        }
        let mut extensions = Cursor(body.vector(2)?);
        while !extensions.0.is_empty() {
            let kind = extensions.u16()?;
            let mut content = Cursor(extensions.vector(2)?);
            match kind {
                extension::SUPPORTED_VERSIONS => hello.version = content.u16()?,
                extension::KEY_SHARE => {
                    let group = content.u16()?;
                    let value = if hello.is_retry { &[] } else { content.vector(2)? };
                    hello.share = Some((group, value));
                }
                extension::COOKIE => hello.cookie = Some(content.vector(2)?),
                _ => {}
            }
        }
        Some(hello)
    }
}
