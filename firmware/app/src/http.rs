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
    /// The first line is not a status line, or a header line has no colon.
    Malformed,
    /// A line feed without its carriage return.
    BareLineFeed,
    /// Two different lengths, or a length and chunks: which of them is meant is a matter of attack.
    AmbiguousLength,
    /// An encoding other than `chunked`.
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
        let mut lines = bytes
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let status = lines.next().and_then(status_code).ok_or(HeadError::Malformed)?;
        let mut length = None;
        let mut chunked = false;
        for line in lines.take_while(|line| !line.is_empty()) {
            let colon = line.iter().position(|byte| *byte == b':').ok_or(HeadError::Malformed)?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                let value = decimal(value).ok_or(HeadError::Malformed)?;
                if length.replace(value).is_some_and(|other| other != value) {
                    return Err(HeadError::AmbiguousLength);
                }
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(HeadError::UnsupportedEncoding);
                }
                chunked = true;
            }
        }
        let framing = match (chunked, length) {
            (true, Some(_)) => return Err(HeadError::AmbiguousLength),
            (true, None) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) if matches!(status, 204 | 304) => Framing::Length(0),
            (false, None) => Framing::UntilClose,
        };
        Ok(Self { status, framing })
    }
}

/// `HTTP/1.x NNN`, then a space and anything.
fn status_code(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [b'0'..=b'9', b' ', code @ ..] = rest else {
        return None;
    };
    let (code, rest) = code.split_at_checked(3)?;
    if !matches!(rest.first(), None | Some(b' ')) {
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
        // In the body it is nobody's business.
        assert_eq!(head_end(b"HTTP/1.1 200 OK\r\n\r\n\n"), Ok(Some(19)));
    }
}
