//! What a board has sent: every byte with its time, and the lines that the bytes make.
//!
//! What enters: bytes and the time at which they arrived. What leaves: [`Chunk`]s and [`Line`]s. This module does no
//! I/O and reads no clock.

use std::time::Duration;

use crate::printable::printable;

/// A line longer than this, in bytes, is cut, so that a board that never ends a line cannot fill the memory.
const LONGEST_LINE: usize = 64 * 1024;

/// One line of console output.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// When its last byte arrived, since the capture began.
    pub at: Duration,
    /// Its text without the line end; bytes that are not printable UTF-8 stand as `\xNN`.
    pub text: String,
}

/// Bytes as they arrived.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// When they arrived, since the capture began.
    pub at: Duration,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Everything that a board has sent.
#[derive(Debug, Default)]
pub(super) struct Capture {
    chunks: Vec<Chunk>,
    lines: Vec<Line>,
    partial: Vec<u8>,
    bytes: u64,
}

impl Capture {
    /// Takes bytes that arrived at this time.
    pub(super) fn push(&mut self, at: Duration, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.chunks.push(Chunk {
            at,
            bytes: bytes.to_vec(),
        });
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line(at);
            } else {
                if self.partial.len() >= LONGEST_LINE {
                    self.end_line(at);
                }
                self.partial.push(byte);
            }
        }
    }

    /// Ends the line that is under way, if there is one: what comes next does not continue it.
    pub(super) fn cut(&mut self, at: Duration) {
        if !self.partial.is_empty() {
            self.end_line(at);
        }
    }

    fn end_line(&mut self, at: Duration) {
        let mut line = std::mem::take(&mut self.partial);
        // Several carriage returns come where two layers of a firmware add one each.
        while line.last() == Some(&b'\r') {
            line.pop();
        }
        self.lines.push(Line {
            at,
            text: printable(&line),
        });
    }

    /// Every byte so far, as it arrived.
    pub(super) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The lines that have ended.
    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// How many bytes have come.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The text of the line that is under way, or else of the last one.
    pub(super) fn last_text(&self) -> Option<String> {
        if self.partial.is_empty() {
            self.lines.last().map(|line| line.text.clone())
        } else {
            Some(printable(&self.partial))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_line_feeds_and_lose_nothing() {
        let mut capture = Capture::default();
        assert_eq!(capture.last_text(), None);
        for part in [&b"ESP-ROM"[..], b":x\r", b"\r\nready\n", b"\n", b"half"] {
            capture.push(Duration::ZERO, part);
        }
        let texts: Vec<&str> = capture.lines().iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["ESP-ROM:x", "ready", ""]);
        assert_eq!(capture.last_text().as_deref(), Some("half"));
        let raw: Vec<u8> = capture.chunks().iter().flat_map(|chunk| chunk.bytes.clone()).collect();
        assert_eq!(raw, b"ESP-ROM:x\r\r\nready\n\nhalf");
        assert_eq!(capture.bytes(), raw.len() as u64);
    }

    #[test]
    fn a_line_has_the_time_of_its_last_byte() {
        let mut capture = Capture::default();
        capture.push(Duration::from_millis(1), b"begun");
        capture.push(Duration::from_millis(2), b", ended\ncut");
        capture.cut(Duration::from_millis(3));
        capture.cut(Duration::from_millis(4));
        let times: Vec<u128> = capture.lines().iter().map(|line| line.at.as_millis()).collect();
        assert_eq!(times, [2, 3]);
    }

    #[test]
    fn a_babbling_board_is_cut_into_lines_of_bounded_length() {
        let mut capture = Capture::default();
        capture.push(Duration::ZERO, &vec![b'U'; 3 * LONGEST_LINE]);
        assert_eq!(capture.lines().len(), 2);
        assert!(capture.lines().iter().all(|line| line.text.len() == LONGEST_LINE));
    }
}
