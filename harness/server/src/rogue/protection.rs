//! Records protected by AES-128-GCM (RFC 8446 section 5.2).
//!
//! What enters: a traffic secret, then plaintext or records. What leaves: records or plaintext.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Nonce};

use super::keys::expand_label;
use crate::content_type::{APPLICATION_DATA, HEADER};
use crate::steps::DataSize;

/// The most bytes of content in a record (RFC 8446 section 5.1).
const LARGEST: usize = 1 << 14;

/// One direction's key, nonce and record count.
pub(super) struct Protection {
    cipher: Aes128Gcm,
    iv: [u8; 12],
    sequence: u64,
}

impl Protection {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let key = expand_label::<16>(secret, "key", b"");
        Self {
            cipher: Aes128Gcm::new(&key.into()),
            iv: expand_label(secret, "iv", b""),
            sequence: 0,
        }
    }

    /// Protects `content` in as many records as it takes; empty content is one empty record.
    pub(super) fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        pieces(content)
            .flat_map(|piece| self.seal_inner(&[piece, &[kind]].concat()))
            .collect()
    }

    /// Protects application data in one record, even where it is more than a record may have.
    pub(super) fn seal_data(&mut self, size: DataSize) -> Vec<u8> {
        self.seal_inner(&[&data(size)[..], &[APPLICATION_DATA]].concat())
    }

    /// A record with neither content nor a content type.
    pub(super) fn seal_nothing(&mut self) -> Vec<u8> {
        self.seal_inner(&[])
    }

    /// `inner` is a content of at most [`DataSize::MAX`] bytes and its type.
    fn seal_inner(&mut self, inner: &[u8]) -> Vec<u8> {
        let mut record = header(APPLICATION_DATA, inner.len() + TAG).to_vec();
        let payload = Payload {
            msg: inner,
            aad: &record,
        };
        let nonce = self.next_nonce();
        let sealed = self
            .cipher
            .encrypt(&nonce, payload)
            .expect("a record is far below the limits of AES-GCM");
        record.extend(sealed);
        record
    }

    /// The content type and plaintext of a record; `None` if it does not decrypt.
    pub(super) fn open(&mut self, record: &[u8]) -> Option<(u8, Vec<u8>)> {
        let (header, sealed) = record.split_at_checked(HEADER)?;
        if header[0] != APPLICATION_DATA {
            return None;
        }
        let payload = Payload {
            msg: sealed,
            aad: header,
        };
        let nonce = self.next_nonce();
        let mut inner = self.cipher.decrypt(&nonce, payload).ok()?;
        // Zeroes after the content type are padding (section 5.4).
        let kind_at = inner.iter().rposition(|byte| *byte != 0)?;
        let kind = inner[kind_at];
        inner.truncate(kind_at);
        Some((kind, inner))
    }

    /// The per-record nonce (section 5.3).
    fn next_nonce(&mut self) -> Nonce<aes_gcm::aead::consts::U12> {
        let mut nonce = self.iv;
        for (byte, count) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= count;
        }
        self.sequence += 1;
        nonce.into()
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protection")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

/// The size of AES-GCM's tag.
const TAG: usize = 16;

/// `content` in as many unprotected records as it takes; empty content is one empty record.
pub(super) fn in_clear(kind: u8, content: &[u8]) -> Vec<u8> {
    pieces(content)
        .flat_map(|piece| [&header(kind, piece.len()), piece].concat())
        .collect()
}

/// Application data in one unprotected record, even where it is more than a record may have.
pub(super) fn data_in_clear(size: DataSize) -> Vec<u8> {
    [&header(APPLICATION_DATA, size.size())[..], &data(size)].concat()
}

fn data(size: DataSize) -> Vec<u8> {
    vec![b'x'; size.size()]
}

/// The contents of the records that `content` is split into.
fn pieces(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty = content.is_empty().then_some(content);
    content.chunks(LARGEST).chain(empty)
}

/// The header of a record. Records are split at [`LARGEST`]; application data is at most [`DataSize::MAX`], which leaves
/// room for a type and a tag.
fn header(kind: u8, length: usize) -> [u8; HEADER] {
    let [high, low] = u16::try_from(length)
        .expect("a record is below 2^16 bytes")
        .to_be_bytes();
    [kind, 3, 3, high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_data_fills_the_length_field_of_its_record() {
        let mut protection = Protection::new(&[7; 32]);
        let record = protection.seal_data(DataSize::MAX);
        assert_eq!((record.len(), &record[3..5]), (HEADER + 0xffff, &[0xff, 0xff][..]));
        let mut other_end = Protection::new(&[7; 32]);
        let (kind, content) = other_end.open(&record).unwrap();
        assert_eq!((kind, content), (APPLICATION_DATA, data(DataSize::MAX)));
        assert_eq!(data_in_clear(DataSize::MAX).len(), HEADER + 65_518);
    }

    #[test]
    fn empty_content_is_one_empty_record() {
        assert_eq!(in_clear(22, &[]), [22, 3, 3, 0, 0]);
        assert_eq!(Protection::new(&[7; 32]).seal(22, &[]).len(), HEADER + 1 + TAG);
        assert_eq!(in_clear(22, &[1; LARGEST + 1]).len(), LARGEST + 1 + 2 * HEADER);
    }
}
