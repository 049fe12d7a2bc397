//! HTTP/1.1 (RFC 9112): the request, and the head of the reply. It knows no body.

use alloc::string::String;

/// The longest head that is taken, in bytes.
pub const MAX_HEAD: usize = 8192;

/// So many interim replies (RFC 9110, section 15.2) may come before the final one.
pub const MAX_INTERIM: usize = 8;

/// The request of the original sketch, byte for byte.
#[must_use]
pub fn request(host: &str, path: &str) -> String {
    alloc::format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: BuildFailureDetectorESP8266\r\nConnection: close\r\n\r\n"
    )
}

/// What the head says about the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// How the end of the body is told.
    pub framing: Framing,
}

/// How the end of a body is told (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The end of the connection.
    UntilClose,
}

/// Why there is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// The first line is not a status line, a header line has no name or no colon, a length is not a number, or there
    /// is a byte that a head may not have.
    Malformed,
    /// A line feed without its carriage return.
    BareLineFeed,
    /// Two different lengths, or a length and chunks: which of them is meant is a matter of attack.
    AmbiguousLength,
    /// An encoding other than `chunked`, or `chunked` twice.
    UnsupportedEncoding,
}

impl HeadError {
    /// The `reason=` of the answer.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "malformed-head",
            Self::BareLineFeed => "bare-line-feed",
            Self::AmbiguousLength => "ambiguous-length",
            Self::UnsupportedEncoding => "unsupported-encoding",
        }
    }
}

/// Where the body starts, once the whole head has come.
///
/// # Errors
/// [`HeadError::BareLineFeed`]: where such a head ends is a matter of opinion, and so of attack.
pub fn head_end(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let head = &bytes[..end.unwrap_or(bytes.len())];
    let bare = |(at, byte): (usize, &u8)| *byte == b'\n' && (at == 0 || head[at - 1] != b'\r');
    if head.iter().enumerate().any(bare) {
        return Err(HeadError::BareLineFeed);
    }
    Ok(end.map(|at| at + 4))
}

impl Head {
    /// Whether the final reply is yet to come (RFC 9110, section 15.2). 101 is final: there is no other protocol here.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        self.status != 101 && self.status < 200
    }

    /// Reads a head, from the status line up to and including the empty line.
    ///
    /// # Errors
    /// [`HeadError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        if bytes.contains(&0) || has_bare_carriage_return(bytes) {
            return Err(HeadError::Malformed);
        }
        let mut lines = lines(bytes);
        let status = lines.next().and_then(status_code).ok_or(HeadError::Malformed)?;
        let has_no_body = status < 200 || matches!(status, 204 | 304);
        let mut length = None;
        let mut chunked = false;
        for line in lines.take_while(|line| !line.is_empty()) {
            let colon = line.iter().position(|byte| *byte == b':').ok_or(HeadError::Malformed)?;
            let (name, value) = (&line[..colon], trimmed(&line[colon + 1..]));
            if name.is_empty() || !name.iter().copied().all(is_token) {
                return Err(HeadError::Malformed);
            }
            if has_no_body {
                // Whatever its fields say about a body (RFC 9112, section 6.3).
                continue;
            }
            if name.eq_ignore_ascii_case(b"content-length") {
                read_lengths(value, &mut length)?;
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(HeadError::UnsupportedEncoding);
                }
                chunked = true;
            }
        }
        let framing = match (chunked, length) {
            _ if has_no_body => Framing::Length(0),
            (true, Some(_)) => return Err(HeadError::AmbiguousLength),
            (true, None) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        };
        Ok(Self { status, framing })
    }
}

/// The lines of a head. A folded line, which begins with white space (RFC 9112, section 5.2), belongs to the line
/// before it, with the line end between them.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = head;
    core::iter::from_fn(move || {
        let is_end = |at: &usize| rest[*at..].starts_with(b"\r\n") && !matches!(rest.get(at + 2), Some(b' ' | b'\t'));
        let end = (0..rest.len()).find(is_end)?;
        let (line, after) = rest.split_at(end);
        rest = &after[2..];
        Some(line)
    })
}

/// A carriage return may only stand before a line feed (RFC 9112, section 2.2).
fn has_bare_carriage_return(head: &[u8]) -> bool {
    let bare = |(at, byte): (usize, &u8)| *byte == b'\r' && head.get(at + 1) != Some(&b'\n');
    head.iter().enumerate().any(bare)
}

/// Without the white space around a field's value, which may be folded.
fn trimmed(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|byte| !is_space(byte))
        .map_or(start, |last| last + 1);
    &value[start..end]
}

/// Whether a field's name may have this byte (RFC 9110, section 5.6.2): white space before the colon is not part of it.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Reads a Content-Length, which proxies that join two fields make a list of (RFC 9112, section 6.3): all must agree.
fn read_lengths(list: &[u8], length: &mut Option<u64>) -> Result<(), HeadError> {
    let mut values = list
        .split(|byte| *byte == b',')
        .map(trimmed)
        .filter(|value| !value.is_empty())
        .peekable();
    if values.peek().is_none() {
        return Err(HeadError::Malformed);
    }
    for value in values {
        let value = decimal(value).ok_or(HeadError::Malformed)?;
        if length.replace(value).is_some_and(|other| other != value) {
            return Err(HeadError::AmbiguousLength);
        }
    }
    Ok(())
}

/// `HTTP/1.x NNN`, then a space and anything.
fn status_code(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [b'0'..=b'9', b' ', code @ ..] = rest else {
        return None;
    };
    let (code, rest) = code.split_at_checked(3)?;
    // No line may be folded into this one.
    if !matches!(rest.first(), None | Some(b' ')) || rest.contains(&b'\r') {
        return None;
    }
    decimal(code)
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (100..=599).contains(code))
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        for (head, result) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                Ok((200, Framing::Length(5))),
            ),
            ("HTTP/1.0 404 Not Found\r\n\r\n", Ok((404, Framing::UntilClose))),
            ("HTTP/1.1 204\r\n\r\n", Ok((204, Framing::Length(0)))),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n",
                Ok((200, Framing::Chunked)),
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nContent-Length:5\r\n\r\n",
                Ok((200, Framing::Length(5))),
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nContent-Length: 6\r\n\r\n",
                Err(HeadError::AmbiguousLength),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                Err(HeadError::AmbiguousLength),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                Err(HeadError::UnsupportedEncoding),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
                Err(HeadError::Malformed),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
                Err(HeadError::Malformed),
            ),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", Err(HeadError::Malformed)),
            ("HTTP/2 200\r\n\r\n", Err(HeadError::Malformed)),
            ("HTTP/1.1 20\r\n\r\n", Err(HeadError::Malformed)),
            ("HTTP/1.1 2000\r\n\r\n", Err(HeadError::Malformed)),
            ("HTTP/1.1 999 \r\n\r\n", Err(HeadError::Malformed)),
            ("\r\n\r\n", Err(HeadError::Malformed)),
            ("{\"state\":\"success\"}\r\n\r\n", Err(HeadError::Malformed)),
        ] {
            let expected = result.map(|(status, framing)| Head { status, framing });
            assert_eq!(Head::parse(head.as_bytes()), expected, "{head}");
            assert_eq!(head_end(head.as_bytes()), Ok(Some(head.len())));
        }
        assert_eq!(head_end(b"HTTP/1.1 200 OK\r\n\r"), Ok(None));
        for bare in ["HTTP/1.1 200 OK\n", "\n", "HTTP/1.1 200 OK\r\nA: b\n\n{}"] {
            assert_eq!(head_end(bare.as_bytes()), Err(HeadError::BareLineFeed), "{bare:?}");
        }
        // The body is another matter.
        assert_eq!(head_end(b"HTTP/1.1 200 OK\r\n\r\n\n"), Ok(Some(19)));
    }

    /// The framing that these header lines give to a reply of this status.
    fn framing(status: u16, fields: &str) -> Result<Framing, HeadError> {
        let head = alloc::format!("HTTP/1.1 {status} x\r\n{fields}\r\n");
        assert_eq!(head_end(head.as_bytes()), Ok(Some(head.len())), "{head}");
        Head::parse(head.as_bytes()).map(|head| head.framing)
    }

    #[test]
    fn replies_that_never_have_a_body_have_none_whatever_they_say() {
        for status in [100, 101, 103, 199, 204, 304] {
            for fields in [
                "",
                "Content-Length: 5\r\n",
                "Content-Length: +5\r\n",
                "Content-Length: 5\r\nContent-Length: 6\r\n",
                "Transfer-Encoding: chunked\r\n",
                "Transfer-Encoding: gzip\r\n",
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            ] {
                assert_eq!(framing(status, fields), Ok(Framing::Length(0)), "{status} {fields}");
            }
            assert_eq!(framing(status, "no colon\r\n"), Err(HeadError::Malformed), "{status}");
        }
        for status in [200, 203, 205, 301, 303, 305] {
            assert_eq!(
                framing(status, "Content-Length: 5\r\n"),
                Ok(Framing::Length(5)),
                "{status}"
            );
            assert_eq!(framing(status, ""), Ok(Framing::UntilClose), "{status}");
        }
    }

    #[test]
    fn only_replies_below_200_are_interim_but_for_101() {
        for (status, interim) in [
            (100, true),
            (101, false),
            (102, true),
            (199, true),
            (200, false),
            (304, false),
        ] {
            let framing = Framing::Length(0);
            assert_eq!(Head { status, framing }.is_interim(), interim, "{status}");
        }
    }

    #[test]
    fn a_folded_line_is_part_of_the_line_before_it() {
        for (fields, result) in [
            ("X-Note: one,\r\n two\r\nContent-Length: 7\r\n", Ok(Framing::Length(7))),
            ("X-Note:\r\n\t\r\n \r\nContent-Length: 7\r\n", Ok(Framing::Length(7))),
            ("Content-Length:\r\n  7\r\n", Ok(Framing::Length(7))),
            ("Content-Length: 7\r\n\t\r\n", Ok(Framing::Length(7))),
            ("Transfer-Encoding:\r\n\tchunked\r\n", Ok(Framing::Chunked)),
            // What looks like a field is part of another one's value.
            ("X-Note: a\r\n Content-Length: 7\r\n", Ok(Framing::UntilClose)),
            // A space, not nothing, takes the place of the fold.
            ("Content-Length: 7\r\n 7\r\n", Err(HeadError::Malformed)),
            (
                "Transfer-Encoding: chun\r\n ked\r\n",
                Err(HeadError::UnsupportedEncoding),
            ),
            // Nothing stands before the first field that it could belong to (section 2.2).
            (" Content-Length: 7\r\n", Err(HeadError::Malformed)),
            ("\tX: y\r\nContent-Length: 7\r\n", Err(HeadError::Malformed)),
            ("X-Note\r\n : a\r\n", Err(HeadError::Malformed)),
        ] {
            assert_eq!(framing(200, fields), result, "{fields:?}");
        }
    }

    #[test]
    fn a_field_has_a_name_right_before_its_colon() {
        for fields in [
            ": 7\r\n",
            "Content-Length : 7\r\n",
            "Content-Length\t: 7\r\n",
            "Content-Length : 7\r\nContent-Length: 7\r\n",
            "X Note: a\r\n",
            "X(Note): a\r\n",
            "X\u{e4}: a\r\n",
            "X-Note: a\rContent-Length: 7\r\n",
            "X-Note: a\r\r\n",
            "X-Note: a\0\r\n",
        ] {
            assert_eq!(framing(200, fields), Err(HeadError::Malformed), "{fields:?}");
        }
        assert_eq!(framing(200, "!#$%&'*+-.^_`|~0aZ: a\r\n"), Ok(Framing::UntilClose));
    }

    #[test]
    fn a_length_is_a_number_or_a_list_of_the_same() {
        for (fields, result) in [
            ("Content-Length: 0007\r\n", Ok(Framing::Length(7))),
            ("Content-Length:\t7 \t\r\n", Ok(Framing::Length(7))),
            ("Content-Length: 7, 07,7\r\n", Ok(Framing::Length(7))),
            ("Content-Length: ,7,\r\n", Ok(Framing::Length(7))),
            ("Content-Length: 7\r\nContent-Length: 7, 7\r\n", Ok(Framing::Length(7))),
            (
                "Content-Length: 18446744073709551615\r\n",
                Ok(Framing::Length(u64::MAX)),
            ),
            ("Content-Length: 18446744073709551616\r\n", Err(HeadError::Malformed)),
            ("Content-Length: 7, 8\r\n", Err(HeadError::AmbiguousLength)),
            (
                "Content-Length: 7\r\nContent-Length: 7, 8\r\n",
                Err(HeadError::AmbiguousLength),
            ),
            (
                "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n",
                Err(HeadError::AmbiguousLength),
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 7\r\n",
                Err(HeadError::AmbiguousLength),
            ),
            ("Content-Length:\r\n", Err(HeadError::Malformed)),
            ("Content-Length: ,\r\n", Err(HeadError::Malformed)),
            ("Content-Length: +7\r\n", Err(HeadError::Malformed)),
            ("Content-Length: -0\r\n", Err(HeadError::Malformed)),
            ("Content-Length: 7 7\r\n", Err(HeadError::Malformed)),
            ("Content-Length: 7.0\r\n", Err(HeadError::Malformed)),
            ("Content-Length: 0x7\r\n", Err(HeadError::Malformed)),
            ("Content-Length: 7\u{c}\r\n", Err(HeadError::Malformed)),
            ("Content-Length: \u{664}\r\n", Err(HeadError::Malformed)),
        ] {
            assert_eq!(framing(200, fields), result, "{fields:?}");
        }
    }

    #[test]
    fn chunked_is_the_only_encoding_and_comes_once() {
        for (value, result) in [
            ("chunked", Ok(Framing::Chunked)),
            ("CHUNKED \t", Ok(Framing::Chunked)),
            ("gzip, chunked", Err(HeadError::UnsupportedEncoding)),
            ("chunked, gzip", Err(HeadError::UnsupportedEncoding)),
            ("xchunked", Err(HeadError::UnsupportedEncoding)),
            ("chunked;q=1", Err(HeadError::UnsupportedEncoding)),
            ("identity", Err(HeadError::UnsupportedEncoding)),
            ("", Err(HeadError::UnsupportedEncoding)),
            (
                "chunked\r\nTransfer-Encoding: chunked",
                Err(HeadError::UnsupportedEncoding),
            ),
            (
                "chunked\r\nTransfer-Encoding: gzip",
                Err(HeadError::UnsupportedEncoding),
            ),
        ] {
            let fields = alloc::format!("Transfer-Encoding: {value}\r\n");
            assert_eq!(framing(200, &fields), result, "{value:?}");
        }
    }
}
