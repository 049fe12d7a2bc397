//! Reads the numbers and vectors of TLS (RFC 8446, section 3).
//!
//! What enters: a message's bytes. What leaves: its fields; `None` where the bytes end too early.

/// The bytes of a message that are still to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A big-endian number of this many bytes, at most 4.
    pub(super) fn number(&mut self, bytes: usize) -> Option<usize> {
        let digits = self.take(bytes)?;
        Some(digits.iter().fold(0, |number, digit| number << 8 | usize::from(*digit)))
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        let digits = self.take(2)?;
        Some(u16::from_be_bytes(digits.try_into().ok()?))
    }

    /// A vector whose length has this many bytes.
    pub(super) fn vector(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let length = self.number(bytes)?;
        self.take(length)
    }
}

/// `content` behind its length, which has one byte.
pub(super) fn vector8(content: &[u8]) -> Vec<u8> {
    vector(content, 1)
}

/// `content` behind its length, which has two bytes.
pub(super) fn vector16(content: &[u8]) -> Vec<u8> {
    vector(content, 2)
}

/// `content` behind its length, which has three bytes.
pub(super) fn vector24(content: &[u8]) -> Vec<u8> {
    vector(content, 3)
}

fn vector(content: &[u8], bytes: usize) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [&length[length.len() - bytes..], content].concat()
}
