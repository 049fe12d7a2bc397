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
    /// In the line with the size of a chunk: its value so far, its digits, and whether an extension has begun.
    Size {
        size: u64,
        digits: u8,
        extension: u16,
    },
    /// The line end behind a chunk's data.
    DataEnd,
    /// In a trailer line of so many bytes; an empty one ends the body.
    Trailer {
        length: u16,
    },
    Done,
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

/// A chunk's size has at most so many hexadecimal digits, and a line around it at most so many bytes.
const MAX_SIZE_DIGITS: u8 = 8;
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

    /// Takes the next bytes; appends the content that is in them to `content`, and returns how many of them belong to
    /// the body.
    ///
    /// # Errors
    /// [`BodyError::MalformedChunk`].
    pub fn take(&mut self, bytes: &[u8], content: &mut Vec<u8>) -> Result<usize, BodyError> {
        let mut rest = bytes;
        while let (false, Some((&byte, after))) = (self.is_done(), rest.split_first()) {
            rest = after;
            self.state = match self.state {
                State::UntilClose | State::Data { .. } => {
                    let all = rest.len() + 1;
                    let (count, next) = match self.state {
                        State::Data { left, chunked } => {
                            let count = usize::try_from(left).map_or(all, |left| left.min(all));
                            let left = left - count as u64;
                            let next = match (left, chunked) {
                                (0, true) => State::DataEnd,
                                (0, false) => State::Done,
                                _ => State::Data { left, chunked },
                            };
                            (count, next)
                        }
                        _ => (all, State::UntilClose),
                    };
                    content.push(byte);
                    content.extend_from_slice(&rest[..count - 1]);
                    rest = &rest[count - 1..];
                    next
                }
                State::Size {
                    size,
                    digits,
                    extension,
                } => size_line(size, digits, extension, byte)?,
                State::DataEnd => match byte {
                    b'\r' => State::DataEnd,
                    b'\n' => SIZE,
                    _ => return Err(BodyError::MalformedChunk),
                },
                State::Trailer { length } => match byte {
                    b'\r' => State::Trailer { length },
                    b'\n' if length == 0 => State::Done,
                    b'\n' => State::Trailer { length: 0 },
                    _ if length == MAX_LINE => return Err(BodyError::MalformedChunk),
                    _ => State::Trailer { length: length + 1 },
                },
                State::Done => State::Done,
            };
        }
        Ok(bytes.len() - rest.len())
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

const SIZE: State = State::Size {
    size: 0,
    digits: 0,
    extension: 0,
};

fn size_line(size: u64, digits: u8, extension: u16, byte: u8) -> Result<State, BodyError> {
    match byte {
        b'\n' if digits == 0 => Err(BodyError::MalformedChunk),
        b'\n' if size == 0 => Ok(State::Trailer { length: 0 }),
        b'\n' => Ok(State::Data {
            left: size,
            chunked: true,
        }),
        b'\r' => Ok(State::Size {
            size,
            digits,
            extension,
        }),
        _ if extension == MAX_LINE => Err(BodyError::MalformedChunk),
        b';' | b' ' | b'\t' if digits > 0 => Ok(State::Size {
            size,
            digits,
            extension: extension + 1,
        }),
        _ if extension > 0 => Ok(State::Size {
            size,
            digits,
            extension: extension + 1,
        }),
        _ => match char::from(byte).to_digit(16) {
            Some(digit) if digits < MAX_SIZE_DIGITS => Ok(State::Size {
                size: size << 4 | u64::from(digit),
                digits: digits + 1,
                extension,
            }),
            _ => Err(BodyError::MalformedChunk),
        },
    }
}

/// Prints a body that a hostile server may have written: lines end in CRLF, other control characters come as `\xNN`, and so
/// does an `@` at the start of a line, which would read as a machine line.
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
    fn take_all(framing: Framing, input: &[u8]) -> Result<(Vec<u8>, usize, bool), BodyError> {
        let mut results = (1..=input.len().max(1)).map(|size| {
            let mut body = Body::new(framing);
            let mut content = Vec::new();
            let mut taken = 0;
            for piece in input.chunks(size) {
                taken += body.take(piece, &mut content)?;
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
    fn malformed_chunks_are_refused() {
        for input in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "123456789\r\n",
            "3\r\nabcX",
            "{\"state\":\"success\"}",
        ] {
            assert_eq!(
                take_all(Framing::Chunked, input.as_bytes()),
                Err(BodyError::MalformedChunk),
                "{input}"
            );
        }
        let long = std::format!("1;{}\r\n", "x".repeat(300));
        assert_eq!(
            take_all(Framing::Chunked, long.as_bytes()),
            Err(BodyError::MalformedChunk)
        );
        let long = std::format!("0\r\n{}\r\n", "x".repeat(300));
        assert_eq!(
            take_all(Framing::Chunked, long.as_bytes()),
            Err(BodyError::MalformedChunk)
        );
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
