//! Certificates of unusual kinds, and the ways to write one down.
//!
//! What enters: the certificates of recipes, taken apart and put together again. What leaves: DER and PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinrig_certs::Recipe;

pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const INTEGER: u8 = 0x02;

/// The DER of certificates that openssl does not make by itself. Their signatures are wrong, which does not matter here.
pub(crate) fn unusual() -> Vec<(&'static str, Vec<u8>)> {
    let issued = Recipe::Github.issue();
    let whole = Parts::of(issued.leaf());
    let with = |change: &dyn Fn(&mut Parts)| {
        let mut parts = whole.clone();
        change(&mut parts);
        parts.der()
    };
    let extended = |oid: &[u8], value: &[u8]| with(&|parts| parts.add_critical_extension(oid, value));
    vec![
        ("version-1", in_version_1(issued.leaf())),
        (
            "unknown-critical-extension",
            extended(&[0x2A, 3, 4, 5, 1], &tlv(0x0C, b"anything")),
        ),
        (
            "critical-policy-constraints",
            extended(&[0x55, 0x1D, 0x24], &[0x30, 3, 0x80, 1, 0]),
        ),
        (
            "an-extension-that-is-not-der",
            extended(&[0x55, 0x1D, 0x13], b"not basicConstraints"),
        ),
        ("seventy-kilobytes", extended(&[0x2A, 3, 4, 5, 2], &[0xA5; 70_000])),
        (
            "seventeen-megabytes",
            extended(&[0x2A, 3, 4, 5, 2], &vec![0xA5; 17 << 20]),
        ),
        (
            "the-same-extension-twice",
            with(&|parts| {
                parts.add_critical_extension(&[0x2A, 3, 4, 5, 1], &[5, 0]);
                parts.add_critical_extension(&[0x2A, 3, 4, 5, 1], &[5, 0]);
            }),
        ),
        (
            "negative-serial-number",
            with(&|parts| parts.serial = tlv(INTEGER, &[0xFF, 0x01])),
        ),
        (
            "long-serial-number",
            with(&|parts| parts.serial = tlv(INTEGER, &[0x7F; 200])),
        ),
        ("no-issuer", with(&|parts| parts.issuer = tlv(SEQUENCE, &[]))),
        ("no-subject", with(&|parts| parts.subject = tlv(SEQUENCE, &[]))),
        (
            "version-of-the-future",
            with(&|parts| parts.version = tlv(0xA0, &tlv(INTEGER, &[9]))),
        ),
        (
            "unknown-signature-algorithm",
            with(&|parts| parts.algorithm = tlv(SEQUENCE, &tlv(0x06, &[0x2A, 3, 4, 5, 3]))),
        ),
        (
            "unique-identifiers",
            with(&|parts| parts.unique_ids = [tlv(0x81, &[0, 1]), tlv(0x82, &[0, 2])].concat()),
        ),
        ("version-3-without-extensions", with(&|parts| parts.extensions.clear())),
    ]
}

/// The same certificate without version and extensions. Its signature is wrong.
pub(crate) fn in_version_1(der: &[u8]) -> Vec<u8> {
    let mut parts = Parts::of(der);
    parts.version.clear();
    parts.extensions.clear();
    parts.der()
}

/// A certificate of version 3 in parts, each with its header (RFC 5280, section 4.1).
#[derive(Clone)]
struct Parts {
    version: Vec<u8>,
    serial: Vec<u8>,
    algorithm: Vec<u8>,
    issuer: Vec<u8>,
    validity: Vec<u8>,
    subject: Vec<u8>,
    public_key: Vec<u8>,
    unique_ids: Vec<u8>,
    extensions: Vec<u8>,
    /// The second algorithm and the signature itself.
    signature: Vec<u8>,
}

impl Parts {
    fn of(der: &[u8]) -> Self {
        let certificate = children(content(der));
        let [
            version,
            serial,
            algorithm,
            issuer,
            validity,
            subject,
            public_key,
            extensions,
        ] = children(content(&certificate[0])).try_into().unwrap();
        Self {
            version,
            serial,
            algorithm,
            issuer,
            validity,
            subject,
            public_key,
            unique_ids: Vec::new(),
            extensions,
            signature: certificate[1..].concat(),
        }
    }

    fn der(&self) -> Vec<u8> {
        let fields = [
            &self.version,
            &self.serial,
            &self.algorithm,
            &self.issuer,
            &self.validity,
            &self.subject,
            &self.public_key,
            &self.unique_ids,
            &self.extensions,
        ];
        let fields: Vec<u8> = fields.into_iter().flatten().copied().collect();
        tlv(SEQUENCE, &[tlv(SEQUENCE, &fields), self.signature.clone()].concat())
    }

    fn add_critical_extension(&mut self, oid: &[u8], value: &[u8]) {
        let critical = vec![0x01, 0x01, 0xFF];
        let extension = tlv(SEQUENCE, &[tlv(0x06, oid), critical, tlv(0x04, value)].concat());
        let list = [content(content(&self.extensions)), &extension].concat();
        self.extensions = tlv(0xA3, &tlv(SEQUENCE, &list));
    }
}

/// One certificate, in every form in which `openssl x509` takes it.
pub(crate) fn ways_that_openssl_reads() -> Vec<(&'static str, Vec<u8>)> {
    let issued = Recipe::Github.issue();
    let text = pem("CERTIFICATE", 64);
    let bytes = |text: &str| text.as_bytes().to_vec();
    let of_client = format!(
        "CONNECTED(00000003)\ndepth=0 CN = lamp.test\n---\nCertificate chain\n 0 s:CN = lamp.test\n{text} 1 s:CN = x\n---\n"
    );
    // What `openssl x509 -trustout -setalias lamp` puts behind the certificate.
    let settings = tlv(SEQUENCE, &tlv(0x0C, b"lamp"));
    vec![
        ("DER", issued.leaf().to_vec()),
        ("DER and more", [issued.leaf(), &settings].concat()),
        ("PEM", bytes(&text)),
        ("a byte order mark", [&b"\xEF\xBB\xBF"[..], text.as_bytes()].concat()),
        ("carriage returns", bytes(&text.replace('\n', "\r\n"))),
        (
            "a byte order mark and carriage returns",
            [&b"\xEF\xBB\xBF"[..], text.replace('\n', "\r\n").as_bytes()].concat(),
        ),
        ("the output of s_client", bytes(&of_client)),
        (
            "text that begins like DER",
            bytes(&format!("0\x20s:CN = lamp.test\n{text}")),
        ),
        (
            "text that is not UTF-8",
            [&b"Gr\xFC\xDFe\n"[..], text.as_bytes()].concat(),
        ),
        ("no line end at the end", bytes(text.trim_end())),
        ("white space at line ends", bytes(&text.replace('\n', " \t\n"))),
        ("white space before the base64", bytes(&text.replace("\nM", "\n  M"))),
        ("long lines", bytes(&pem("CERTIFICATE", 10_000))),
        ("lines of 76", bytes(&pem("CERTIFICATE", 76))),
        ("the label X509 CERTIFICATE", bytes(&pem("X509 CERTIFICATE", 64))),
        ("the label TRUSTED CERTIFICATE", bytes(&pem("TRUSTED CERTIFICATE", 64))),
        (
            "TRUSTED CERTIFICATE with settings",
            bytes(&pem_of("TRUSTED CERTIFICATE", &[issued.leaf(), &settings].concat(), 64)),
        ),
    ]
}

pub(crate) fn pem(label: &str, width: usize) -> String {
    pem_of(label, Recipe::Github.issue().leaf(), width)
}

pub(crate) fn pem_of(label: &str, der: &[u8], width: usize) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(width)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A PEM block that often stands before a certificate.
pub(crate) fn parameters() -> String {
    pem_of("EC PARAMETERS", &[6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7], 64)
}

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    match significant {
        [] => vec![tag, 0],
        [short @ 0..0x80] => [&[tag, *short], content].concat(),
        long => [&[tag, 0x80 | long.len() as u8], long, content].concat(),
    }
}

/// The content of the DER element at the beginning.
fn content(der: &[u8]) -> &[u8] {
    let (header, length) = match der[1] {
        long @ 0x81.. => {
            let digits = &der[2..2 + usize::from(long & 0x7F)];
            let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            (2 + digits.len(), length)
        }
        short => (2, usize::from(short)),
    };
    &der[header..header + length]
}

/// Every element of a content, with its header.
fn children(mut content_left: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while !content_left.is_empty() {
        let inner = content(content_left);
        let end = inner.as_ptr() as usize - content_left.as_ptr() as usize + inner.len();
        found.push(content_left[..end].to_vec());
        content_left = &content_left[end..];
    }
    found
}
