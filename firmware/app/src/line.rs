//! Bytes to lines. LF ends a line, CR is ignored, and a line that is too long is swallowed up to its end and reported
//! once, so that its tail is never taken for a command. Of such a line the beginning is kept: it has the tag that the
//! answer must carry.

use alloc::vec::Vec;

/// The longest line in bytes, without its end: room for a path of a thousand bytes.
pub const MAX_LINE: usize = 1024;

/// How much is kept of a line that is too long: a tag of 16 bytes, with what stands around it.
const KEPT_BYTES: usize = 1 + 16 + 1;

/// Why there is no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// More than [`MAX_LINE`] bytes before the LF.
    TooLong,
    /// The port lost bytes (a full receive FIFO, a framing error); what is left of the line is not trusted.
    Lost,
    /// The console has ended; only a host's console can.
    Closed,
}

/// Collects the bytes of one port.
#[derive(Clone, Debug, Default)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    damage: Option<LineError>,
}

impl LineBuffer {
    /// Takes one byte. When it ends a line, that line is put into `line` (whose old content goes) or reported as
    /// damaged. `line` then has the beginning of a line that was too long, and nothing of one that lost bytes.
    pub fn push(&mut self, byte: u8, line: &mut Vec<u8>) -> Option<Result<(), LineError>> {
        match byte {
            b'\n' => {
                line.clear();
                line.append(&mut self.bytes);
                Some(self.damage.take().map_or(Ok(()), Err))
            }
            b'\r' => None,
            _ if self.damage.is_some() => None,
            _ if self.bytes.len() == MAX_LINE => {
                self.damage = Some(LineError::TooLong);
                self.bytes.truncate(KEPT_BYTES);
                None
            }
            _ => {
                self.bytes.push(byte);
                None
            }
        }
    }

    /// Notes that bytes were lost: the line that is being collected will be reported, not carried out.
    pub fn lose(&mut self) {
        self.bytes.clear();
        self.damage = Some(LineError::Lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(buffer: &mut LineBuffer, input: &[u8]) -> Vec<Result<Vec<u8>, LineError>> {
        let mut line = Vec::new();
        let mut out = Vec::new();
        for byte in input {
            if let Some(result) = buffer.push(*byte, &mut line) {
                if result == Err(LineError::Lost) {
                    assert!(line.is_empty(), "what is left of a line with lost bytes is not trusted");
                }
                out.push(result.map(|()| line.clone()));
            }
        }
        out
    }

    #[test]
    fn the_beginning_of_a_line_that_is_too_long_is_kept() {
        let (mut buffer, mut line) = (LineBuffer::default(), b"an older line".to_vec());
        let input = [b"#0123456789abcdef set path /", &[b'x'; MAX_LINE][..]].concat();
        assert!(input.iter().all(|byte| buffer.push(*byte, &mut line).is_none()));
        assert_eq!(buffer.push(b'\n', &mut line), Some(Err(LineError::TooLong)));
        assert_eq!(line, b"#0123456789abcdef ");
        assert_eq!(buffer.push(b'\n', &mut line), Some(Ok(())));
        assert!(line.is_empty(), "nothing is left for the next line");
    }

    #[test]
    fn lines_end_in_lf_and_cr_is_ignored() {
        let got = lines(&mut LineBuffer::default(), b"hello\r\n\nset path /a\nrest");
        assert_eq!(
            got,
            [Ok(b"hello".to_vec()), Ok(b"".to_vec()), Ok(b"set path /a".to_vec())]
        );
    }

    #[test]
    fn a_line_of_the_limit_passes_and_one_byte_more_is_reported_once() {
        let mut buffer = LineBuffer::default();
        let mut input = [b'x'; MAX_LINE].to_vec();
        input.push(b'\n');
        assert_eq!(lines(&mut buffer, &input), [Ok([b'x'; MAX_LINE].to_vec())]);

        let mut input = [b'x'; 3 * MAX_LINE].to_vec();
        input.extend_from_slice(b"reboot\nhello\n");
        assert_eq!(
            lines(&mut buffer, &input),
            [Err(LineError::TooLong), Ok(b"hello".to_vec())]
        );
    }

    #[test]
    fn a_line_with_lost_bytes_is_never_carried_out() {
        let mut buffer = LineBuffer::default();
        assert!(lines(&mut buffer, b"set host a").is_empty());
        buffer.lose();
        assert_eq!(
            lines(&mut buffer, b"b.example\nhello\n"),
            [Err(LineError::Lost), Ok(b"hello".to_vec())]
        );
    }
}
