//! The certificates of a file, as DER or in PEM (RFC 7468).
//!
//! What enters: a file's bytes. What leaves: its certificates in their order, or where the file is wrong. PEM blocks are
//! found wherever `openssl x509` finds them: behind other text, under any of its three labels, and behind a byte order
//! mark. Indented blocks are found as well.

use std::fmt;
use std::iter::Peekable;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Certificate, NotACertificate};
use crate::file_error::FileError;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const TRUSTED: &str = "TRUSTED CERTIFICATE";
/// The labels of certificates. Behind a trusted one stand settings of openssl's own.
const LABELS: [&str; 3] = ["CERTIFICATE", "X509 CERTIFICATE", TRUSTED];
const SEQUENCE: u8 = 0x30;

/// Like openssl: padding may be left out, and the unused bits of the last digit may have any value.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why a file has no certificate to give.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFileError {
    /// A PEM block is damaged.
    #[error(transparent)]
    Pem(#[from] FileError),
    /// The file is binary, but not a certificate.
    #[error("{path}: {cause}", path = .path.display())]
    Der {
        /// The file.
        path: PathBuf,
        /// What is wrong with its bytes.
        cause: NotACertificate,
    },
    /// The file has no certificate at all.
    #[error(
        "{path}: no certificate in it{others}; give DER, or PEM with a line `-----BEGIN CERTIFICATE-----`",
        path = .path.display(),
        others = Others(.others)
    )]
    None {
        /// The file.
        path: PathBuf,
        /// What it has instead.
        others: Vec<OtherBlock>,
    },
}

/// A PEM block that is not a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherBlock {
    /// Its label, such as `PRIVATE KEY`.
    pub label: String,
    /// The line at which it begins, counted from 1.
    pub line: usize,
}

/// The certificates in the `bytes` of a file, of which there is at least one. Each is judged by itself, so that the first
/// can be used though a later one is damaged. The path is for errors.
///
/// # Errors
/// When the file has no certificate.
pub fn certificates_in(
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<Result<Certificate, CertificateFileError>>, CertificateFileError> {
    let der = Certificate::read(bytes);
    if let Ok(certificate) = der {
        return Ok(vec![Ok(certificate)]);
    }
    let Blocks { certificates, others } = Blocks::find(bytes);
    if certificates.is_empty() {
        let path = path.to_owned();
        return Err(match der {
            Err(cause) if bytes.first() == Some(&SEQUENCE) && !is_text(bytes) => {
                CertificateFileError::Der { path, cause }
            }
            _ => CertificateFileError::None { path, others },
        });
    }
    let located = |error: Flaw| {
        CertificateFileError::Pem(FileError::Invalid {
            path: path.to_owned(),
            line: error.line,
            column: error.column,
            message: error.message,
        })
    };
    Ok(certificates
        .into_iter()
        .map(|block| block.certificate().map_err(located))
        .collect())
}

/// Text may begin with `0`, which is the byte of a SEQUENCE.
fn is_text(bytes: &[u8]) -> bool {
    let is_control = |c: char| c.is_control() && !c.is_whitespace();
    std::str::from_utf8(bytes).is_ok_and(|text| !text.contains(is_control))
}

/// What is wrong in a PEM block, and where. Lines and columns count from 1.
struct Flaw {
    line: usize,
    column: usize,
    message: String,
}

/// The PEM blocks of a file.
struct Blocks {
    certificates: Vec<Block>,
    others: Vec<OtherBlock>,
}

/// A PEM block with the label of a certificate.
struct Block {
    label: &'static str,
    /// Where it begins.
    line: usize,
    /// The base64 between its BEGIN and END, without white space.
    base64: Result<Vec<u8>, Flaw>,
}

impl Blocks {
    fn find(bytes: &[u8]) -> Self {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let mut found = Self {
            certificates: Vec::new(),
            others: Vec::new(),
        };
        let mut lines = bytes.split(|byte| *byte == b'\n').zip(1..).peekable();
        while let Some((text, line)) = lines.next() {
            let Some(label) = label(text, BEGIN) else { continue };
            match LABELS.into_iter().find(|known| known.as_bytes() == label) {
                Some(label) => found.certificates.push(Block {
                    label,
                    line,
                    base64: body(&mut lines, label, line),
                }),
                None => found.others.push(OtherBlock {
                    label: String::from_utf8_lossy(label).into_owned(),
                    line,
                }),
            }
        }
        found
    }
}

impl Block {
    fn certificate(self) -> Result<Certificate, Flaw> {
        let line = self.line;
        let flaw = |message| Flaw {
            line,
            column: 1,
            message,
        };
        let der = BASE64
            .decode(self.base64?)
            .map_err(|_| flaw("the base64 of the block that begins here is cut or damaged".to_owned()))?;
        let mut certificate = Certificate::read(&der)
            .map_err(|cause| flaw(format!("the block that begins here has no whole certificate: {cause}")))?;
        if self.label == TRUSTED {
            certificate.trailing = 0;
        }
        Ok(certificate)
    }
}

/// Takes the lines of a block up to and with its END. The next block's BEGIN is left for the caller.
fn body<'a>(
    lines: &mut Peekable<impl Iterator<Item = (&'a [u8], usize)>>,
    label_at_begin: &str,
    begin: usize,
) -> Result<Vec<u8>, Flaw> {
    let unfinished = |end: String| Flaw {
        line: begin,
        column: 1,
        message: format!("the block `{label_at_begin}` that begins here has no END line: {end}"),
    };
    let mut base64 = Vec::new();
    let mut last = begin;
    while let Some((text, line)) = lines.next_if(|(text, _)| label(text, BEGIN).is_none()) {
        if !text.is_empty() {
            last = line;
        }
        if let Some(label) = label(text, END) {
            if label == label_at_begin.as_bytes() {
                return Ok(base64);
            }
            let label = String::from_utf8_lossy(label);
            return Err(unfinished(format!("line {line} ends a `{label}`")));
        }
        for (column, byte) in (1..).zip(text) {
            if byte.is_ascii_whitespace() {
                continue;
            }
            if !byte.is_ascii_alphanumeric() && !b"+/=".contains(byte) {
                return Err(Flaw {
                    line,
                    column,
                    message: format!(
                        "`{}` is not base64, in the block `{label_at_begin}` that begins at line {begin}",
                        byte.escape_ascii()
                    ),
                });
            }
            base64.push(*byte);
        }
    }
    Err(unfinished(match lines.peek() {
        Some((_, line)) => format!("line {line} begins another block"),
        None => format!("the file ends at line {last}"),
    }))
}

/// The label of a line that is a BEGIN or END and nothing else.
fn label<'a>(line: &'a [u8], marker: &[u8]) -> Option<&'a [u8]> {
    let label = line.trim_ascii().strip_prefix(marker)?.strip_suffix(DASHES)?;
    (!label.contains(&b'-')).then_some(label)
}

struct Others<'a>(&'a [OtherBlock]);

impl fmt::Display for Others<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, OtherBlock { label, line }) in self.0.iter().enumerate() {
            let before = if index == 0 { " but" } else { "," };
            write!(f, "{before} `{label}` (line {line})")?;
        }
        Ok(())
    }
}
