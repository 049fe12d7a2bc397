//! A walk along a certificate's DER (X.690) to its public key.
//!
//! What enters: any bytes. What leaves: where the certificate ends and where its SubjectPublicKeyInfo lies (RFC 5280,
//! section 4.1). Only the elements on the way there are looked at, and of those that are skipped only the tag and the
//! length.

use std::ops::Range;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`: the version, which is left out in version 1.
const VERSION: u8 = 0xA0;

/// Why bytes are not a certificate. Offsets count from the first byte, which is 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotACertificate {
    /// The bytes end before the certificate does.
    #[error("the certificate is truncated: its header announces {announced} bytes, and only {present} are there")]
    Truncated {
        /// The certificate's size by its header, which is included.
        announced: u64,
        /// How many bytes there are.
        present: usize,
    },
    /// Another element stands where a certificate has this one.
    #[error(
        "not a certificate: at byte {offset} its {element} should begin with 0x{expected:02x}, not with 0x{found:02x}"
    )]
    Tag {
        /// The element's name in RFC 5280.
        element: &'static str,
        /// Where it should begin.
        offset: usize,
        /// Its tag.
        expected: u8,
        /// The byte that is there.
        found: u8,
    },
    /// An element is missing, or longer than the element that contains it.
    #[error("not a certificate: its {element} at byte {offset} runs past the end of what contains it")]
    Overrun {
        /// The element's name in RFC 5280.
        element: &'static str,
        /// Where it begins, or should begin.
        offset: usize,
    },
    /// A length in a form that only BER allows.
    #[error("the length of the {element} at byte {offset} is BER, not DER; `openssl x509 -outform DER` rewrites it")]
    Ber {
        /// The element's name in RFC 5280.
        element: &'static str,
        /// Where it begins.
        offset: usize,
    },
}

/// Where the parts of a certificate lie.
pub(super) struct Places {
    /// The first byte behind the certificate.
    pub(super) end: usize,
    pub(super) public_key: Range<usize>,
}

/// Finds the certificate at the beginning of `bytes`.
pub(super) fn places(bytes: &[u8]) -> Result<Places, NotACertificate> {
    let mut file = Elements {
        bytes,
        at: 0,
        end: bytes.len(),
    };
    let certificate = file.outermost()?;
    let mut certificate = file.inside(&certificate);
    let signed = certificate.next(SEQUENCE, "tbsCertificate")?;
    certificate.next(SEQUENCE, "signatureAlgorithm")?;
    certificate.next(BIT_STRING, "signatureValue")?;

    let mut fields = file.inside(&signed);
    if fields.peek() == Some(VERSION) {
        fields.next(VERSION, "version")?;
    }
    fields.next(INTEGER, "serialNumber")?;
    for skipped in ["signature", "issuer", "validity", "subject"] {
        fields.next(SEQUENCE, skipped)?;
    }
    let public_key = fields.next(SEQUENCE, "subjectPublicKeyInfo")?;
    Ok(Places {
        end: certificate.end,
        public_key: public_key.start..public_key.content.end,
    })
}

/// Reads one element after the other, up to `end`.
struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

/// One element: where its tag is, and where its content lies.
struct Element {
    start: usize,
    content: Range<usize>,
}

/// What an element's header says of its content.
struct Header {
    /// The header's own size.
    size: usize,
    length: u64,
    /// Whether the length is written in as few bytes as possible, which DER demands.
    is_shortest: bool,
}

impl Elements<'_> {
    /// The certificate itself. All of it must be there, and its header must be DER, since the fingerprint covers it.
    fn outermost(&mut self) -> Result<Element, NotACertificate> {
        let element = "Certificate";
        let header = self.header(SEQUENCE, element)?;
        if !header.is_shortest {
            return Err(NotACertificate::Ber { element, offset: 0 });
        }
        let announced = header.length.saturating_add(header.size as u64);
        if announced > self.bytes.len() as u64 {
            return Err(NotACertificate::Truncated {
                announced,
                present: self.bytes.len(),
            });
        }
        self.next(SEQUENCE, element)
    }

    /// The next element, which must have this tag. Its name is for errors.
    fn next(&mut self, tag: u8, element: &'static str) -> Result<Element, NotACertificate> {
        let start = self.at;
        let overrun = NotACertificate::Overrun { element, offset: start };
        let header = self.header(tag, element)?;
        let content = start + header.size;
        let left = self.end - content;
        let length = usize::try_from(header.length).ok().filter(|length| *length <= left);
        let end = content + length.ok_or(overrun)?;
        self.at = end;
        Ok(Element {
            start,
            content: content..end,
        })
    }

    fn header(&self, tag: u8, element: &'static str) -> Result<Header, NotACertificate> {
        let offset = self.at;
        let overrun = || NotACertificate::Overrun { element, offset };
        let rest = &self.bytes[self.at..self.end];
        let (found, rest) = rest.split_first().ok_or_else(overrun)?;
        if *found != tag {
            return Err(NotACertificate::Tag {
                element,
                offset,
                expected: tag,
                found: *found,
            });
        }
        let (first, rest) = rest.split_first().ok_or_else(overrun)?;
        let digits = match first {
            0..0x80 => {
                return Ok(Header {
                    size: 2,
                    length: u64::from(*first),
                    is_shortest: true,
                });
            }
            // The end is marked by two zero bytes instead.
            0x80 => return Err(NotACertificate::Ber { element, offset }),
            0x81..=0xFF => usize::from(first & 0x7F),
        };
        let digits = rest.get(..digits).ok_or_else(overrun)?;
        let mut length = 0_u64;
        for digit in digits {
            // More than 2^56 bytes are in no file.
            if length >> 56 != 0 {
                return Err(overrun());
            }
            length = length << 8 | u64::from(*digit);
        }
        Ok(Header {
            size: 2 + digits.len(),
            length,
            is_shortest: digits[0] != 0 && length >= 0x80,
        })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes[self.at..self.end].first().copied()
    }

    fn inside(&self, element: &Element) -> Self {
        Self {
            bytes: self.bytes,
            at: element.content.start,
            end: element.content.end,
        }
    }
}
