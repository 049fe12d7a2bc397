//! The body of a reply: finding its end and taking chunks apart, as the bytes come; and printing it safely.

use alloc::vec::Vec;

use crate::http::Framing;

/// Follows a body to its end.
#[derive(Clone, Debug)]
pub struct Body {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// This many bytes are left; then comes `after`.
    Data {
        left: u64,
        chunked: bool,
    },
    UntilClose,
    /// In the line with the size of a chunk.
    Size(SizeLine),
    /// The line end behind a chunk's data, of which CR has come or not.
    DataEnd {
        cr: bool,
    },
    /// In a trailer line of this many bytes; an empty one ends the body.
    Trailer {
        length: u16,
        cr: bool,
    },
    Done,
}

/// `001f;name=value`, as far as it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SizeLine {
    size: u64,
    /// Digits of the size; zeros in front do not count.
    digits: u8,
    /// All bytes of the line.
    length: u16,
    part: SizePart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SizePart {
    Digits,
    /// White space behind the size, which some servers fill the line with.
    Padding,
    Extension,
    /// CR has come.
    End,
}

/// Why a body cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// A chunk whose size or end is not where it must be.
    MalformedChunk,
    /// The connection ended before the body did.
    Truncated,
}

impl BodyError {
    /// The `reason=` of the answer.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::MalformedChunk => "malformed-chunk",
            Self::Truncated => "truncated",
        }
    }
}

/// The most hexadecimal digits of a chunk's size, without the zeros in front: no chunk is larger than the memory of any
/// board.
const MAX_SIZE_DIGITS: u8 = 8;
/// The longest line around a chunk, in bytes without its end.
const MAX_LINE: u16 = 256;

impl Body {
    /// At the start of a body.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(left) => State::Data { left, chunked: false },
            Framing::Chunked => SIZE,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Takes the next bytes and appends the content that is in them to `content`. Returns how many of them belong to
    /// the body: where it cannot be followed, those before the byte that is wrong.
    ///
    /// # Errors
    /// [`BodyError::MalformedChunk`].
    pub fn take(&mut self, bytes: &[u8], content: &mut Vec<u8>) -> (usize, Result<(), BodyError>) {
        let mut taken = 0;
        while let (false, [byte, ..]) = (self.is_done(), &bytes[taken..]) {
            let (count, next) = match self.state {
                State::UntilClose | State::Data { .. } => {
                    let all = bytes.len() - taken;
                    let (count, next) = match self.state {
                        State::Data { left, chunked } => {
                            let count = usize::try_from(left).map_or(all, |left| left.min(all));
                            let left = left - count as u64;
                            let next = match (left, chunked) {
                                (0, true) => State::DataEnd { cr: false },
                                (0, false) => State::Done,
                                _ => State::Data { left, chunked },
                            };
                            (count, next)
                        }
                        _ => (all, State::UntilClose),
                    };
                    content.extend_from_slice(&bytes[taken..taken + count]);
                    (count, Ok(next))
                }
                State::Size(line) => (1, line.take(*byte)),
                State::DataEnd { cr } => (1, data_end(cr, *byte)),
                State::Trailer { length, cr } => (1, trailer(length, cr, *byte)),
                State::Done => (0, Ok(State::Done)),
            };
            match next {
                Ok(next) => self.state = next,
                Err(error) => return (taken, Err(error)),
            }
            taken += count;
        }
        (taken, Ok(()))
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The connection has ended in order.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] where the body had to go on.
    pub fn end(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Done | State::UntilClose => Ok(()),
            _ => Err(BodyError::Truncated),
        }
    }
}

const SIZE: State = State::Size(SizeLine {
    size: 0,
    digits: 0,
    length: 0,
    part: SizePart::Digits,
});

impl SizeLine {
    fn take(self, byte: u8) -> Result<State, BodyError> {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        let mut next = Self {
            length: self.length + 1,
            ..self
        };
        match (self.part, byte) {
            (SizePart::End, b'\n') if self.size == 0 => return Ok(State::Trailer { length: 0, cr: false }),
            (SizePart::End, b'\n') => {
                return Ok(State::Data {
                    left: self.size,
                    chunked: true,
                });
            }
            (SizePart::End, _) => return Err(BodyError::MalformedChunk),
            // A digit comes first.
            (_, b'\r') if self.length > 0 => next.part = SizePart::End,
            _ if self.length == MAX_LINE => return Err(BodyError::MalformedChunk),
            (SizePart::Digits, _) if let Some(digit) = digit.filter(|_| self.digits < MAX_SIZE_DIGITS) => {
                next.size = self.size << 4 | digit;
                next.digits += u8::from(next.size > 0);
            }
            (SizePart::Digits | SizePart::Padding, b' ' | b'\t') if self.length > 0 => next.part = SizePart::Padding,
            (SizePart::Digits | SizePart::Padding, b';') if self.length > 0 => next.part = SizePart::Extension,
            (SizePart::Extension, _) if !is_control(byte) => {}
            _ => return Err(BodyError::MalformedChunk),
        }
        Ok(State::Size(next))
    }
}

fn data_end(cr: bool, byte: u8) -> Result<State, BodyError> {
    match (cr, byte) {
        (false, b'\r') => Ok(State::DataEnd { cr: true }),
        (true, b'\n') => Ok(SIZE),
        _ => Err(BodyError::MalformedChunk),
    }
}

fn trailer(length: u16, cr: bool, byte: u8) -> Result<State, BodyError> {
    match (cr, byte) {
        (false, b'\r') => Ok(State::Trailer { length, cr: true }),
        (true, b'\n') if length == 0 => Ok(State::Done),
        (true, b'\n') => Ok(State::Trailer { length: 0, cr: false }),
        (false, _) if length < MAX_LINE && !is_control(byte) => Ok(State::Trailer { length: length + 1, cr }),
        _ => Err(BodyError::MalformedChunk),
    }
}

/// A control character that a field's value may not have (RFC 9110, section 5.5); all line ends among them are CR LF.
fn is_control(byte: u8) -> bool {
    byte != b'\t' && byte.is_ascii_control()
}

/// Prints a body that a hostile server may have written: lines end in CRLF, other control characters come as `\xNN`,
/// and so does an `@` at the start of a line, which would read as a machine line.
#[derive(Clone, Debug)]
pub struct Printer {
    at_line_start: bool,
}

impl Default for Printer {
    fn default() -> Self {
        Self { at_line_start: true }
    }
}

impl Printer {
    /// What to print for `bytes`.
    #[must_use]
    pub fn print(&mut self, bytes: &[u8]) -> Vec<u8> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut out = Vec::with_capacity(bytes.len() + 16);
        for &byte in bytes {
            match byte {
                b'\n' => out.extend_from_slice(b"\r\n"),
                b'\r' => {}
                b'@' if self.at_line_start => out.extend_from_slice(b"\\x40"),
                b'\t' | b' '..=b'~' | 0x80.. => out.push(byte),
                _ => out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
            }
            if byte != b'\r' {
                self.at_line_start = byte == b'\n';
            }
        }
        out
    }

    /// What to print behind the body, so that the next line starts at a line's start.
    #[must_use]
    pub fn finish(&mut self) -> &'static [u8] {
        if core::mem::replace(&mut self.at_line_start, true) {
            b""
        } else {
            b"\r\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` in pieces of every size: where a piece ends must make no difference.
    fn take_all(framing: Framing, input: &[u8]) -> Result<(Vec<u8>, usize, bool), (BodyError, usize)> {
        let mut results = (1..=input.len().max(1)).map(|size| {
            let mut body = Body::new(framing);
            let mut content = Vec::new();
            let mut taken = 0;
            for piece in input.chunks(size) {
                let (count, result) = body.take(piece, &mut content);
                taken += count;
                if let Err(error) = result {
                    return Err((error, taken));
                }
            }
            Ok((content, taken, body.end().is_ok()))
        });
        let first = results.next().unwrap();
        assert!(
            results.all(|result| result == first),
            "{framing:?} depends on how the bytes arrive"
        );
        first
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        let content = |text: &str, taken, complete| Ok((text.as_bytes().to_vec(), taken, complete));
        assert_eq!(take_all(Framing::Length(5), b"helloX"), content("hello", 5, true));
        assert_eq!(take_all(Framing::Length(5), b"hell"), content("hell", 4, false));
        assert_eq!(take_all(Framing::Length(0), b"X"), content("", 0, true));
        assert_eq!(take_all(Framing::UntilClose, b"hello"), content("hello", 5, true));
        assert_eq!(
            take_all(Framing::Chunked, b"3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\n\r\n"),
            content("abc0123456789", 33, true)
        );
        assert_eq!(
            take_all(Framing::Chunked, b"1\r\na\r\n0\r\nTrailer: x\r\n\r\nX"),
            content("a", 23, true)
        );
        assert_eq!(take_all(Framing::Chunked, b"3\r\nabc\r\n"), content("abc", 8, false));
        assert_eq!(take_all(Framing::Chunked, b"3\r\nab"), content("ab", 5, false));
    }

    #[test]
    fn malformed_chunks_are_refused_at_the_byte_that_is_wrong() {
        for (input, at) in [
            ("\r\n", 0),
            ("x\r\n", 0),
            ("-1\r\n", 0),
            ("+1\r\n", 0),
            (" 1\r\n", 0),
            (";a\r\n", 0),
            ("0x1\r\n", 1),
            ("1x\r\n", 1),
            ("1 1\r\n", 2),
            ("123456789\r\n", 8),
            ("3\r\nabcX", 6),
            ("{\"state\":\"success\"}", 0),
            // A line feed alone, a carriage return alone, and both in the wrong order.
            ("3\nabc\r\n0\r\n\r\n", 1),
            ("3\rabc\r\n0\r\n\r\n", 2),
            ("3\r\r\nabc\r\n0\r\n\r\n", 2),
            ("3\n\rabc\r\n0\r\n\r\n", 1),
            ("3;a=b\nabc\r\n", 5),
            ("3;a=\rb\r\nabc\r\n", 5),
            ("3;a=\0\r\nabc\r\n", 4),
            ("3\r\nabc\n0\r\n\r\n", 6),
            ("3\r\nabc\r0\r\n\r\n", 7),
            ("3\r\nabc\r\r\n0\r\n\r\n", 7),
            ("3\r\nabc0\r\n\r\n", 6),
            ("0\n\r\n", 1),
            ("0\r\n\n", 3),
            ("0\r\n\r\r\n", 4),
            ("0\r\nX: y\n\r\n", 7),
            ("0\r\nX: y\rz\r\n\r\n", 8),
        ] {
            assert_eq!(
                take_all(Framing::Chunked, input.as_bytes()),
                Err((BodyError::MalformedChunk, at)),
                "{input:?}"
            );
        }
    }

    #[test]
    fn zeros_before_a_size_count_for_nothing_but_the_lines_length() {
        for zeros in [0, 1, 7, 8, 9, 16, 17, 40, 255] {
            let (size, end) = ("0".repeat(zeros), "0".repeat(zeros + 1));
            let input = std::format!("{size}A\r\n0123456789\r\n{end}\r\n\r\n");
            let content = Ok((b"0123456789".to_vec(), input.len(), true));
            assert_eq!(take_all(Framing::Chunked, input.as_bytes()), content, "{zeros} zeros");
        }
        let input = std::format!("{}1\r\n", "0".repeat(256));
        let wrong = Err((BodyError::MalformedChunk, 256));
        assert_eq!(take_all(Framing::Chunked, input.as_bytes()), wrong);
    }

    #[test]
    fn a_size_never_wraps() {
        // Each of these is 3 in a word of 32 or 64 bits.
        for size in ["100000003", "0100000003", "10000000000000003", "F000000000000000000003"] {
            let input = std::format!("{size}\r\nabc\r\n0\r\n\r\n");
            let result = take_all(Framing::Chunked, input.as_bytes());
            assert!(
                matches!(result, Err((BodyError::MalformedChunk, 8 | 9))),
                "{size}: {result:?}"
            );
        }
        let mut body = Body::new(Framing::Chunked);
        assert_eq!(body.take(b"fFfFfFfF\r\nabc", &mut Vec::new()), (13, Ok(())));
        assert_eq!(body.end(), Err(BodyError::Truncated));
    }

    #[test]
    fn lines_around_chunks_have_a_limit() {
        let chunk = |extension: usize| std::format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(extension));
        assert!(take_all(Framing::Chunked, chunk(254).as_bytes()).is_ok());
        assert_eq!(
            take_all(Framing::Chunked, chunk(255).as_bytes()),
            Err((BodyError::MalformedChunk, 256))
        );
        let trailer = |length: usize| std::format!("0\r\n{}\r\n\r\n", "x".repeat(length));
        assert!(take_all(Framing::Chunked, trailer(256).as_bytes()).is_ok());
        assert_eq!(
            take_all(Framing::Chunked, trailer(257).as_bytes()),
            Err((BodyError::MalformedChunk, 3 + 256))
        );
    }

    #[test]
    fn trailers_are_waited_for_and_are_not_content() {
        let content = |taken, complete| Ok((b"a".to_vec(), taken, complete));
        for (input, taken, complete) in [
            ("1\r\na\r\n0\r\n", 9, false),
            ("1\r\na\r\n0\r\n\r", 10, false),
            ("1\r\na\r\n0\r\n\r\n", 11, true),
            ("1\r\na\r\n0\r\nA: b\r\n", 15, false),
            ("1\r\na\r\n0 \r\nA: b\r\nC: d\r\n\r\nnext", 24, true),
            ("1 \t;a=\"b;c\"; d\r\na\r\n0;e\r\n\r\n", 26, true),
        ] {
            assert_eq!(
                take_all(Framing::Chunked, input.as_bytes()),
                content(taken, complete),
                "{input:?}"
            );
        }
    }

    #[test]
    fn a_body_cannot_imitate_the_console() {
        let mut printer = Printer::default();
        assert_eq!(
            printer.print(b"@- panic\n@x a@b\r\n\x1b[2J\x7f\x00\tk\xc3\xa4se"),
            "\\x40- panic\r\n\\x40x a@b\r\n\\x1b[2J\\x7f\\x00\tkäse".as_bytes()
        );
        assert_eq!(printer.finish(), b"\r\n");
        assert_eq!(printer.finish(), b"");
        assert_eq!(printer.print(b"@"), b"\\x40");
    }
}
