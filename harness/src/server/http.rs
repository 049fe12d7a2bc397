//! The head of an HTTP/1.1 request (RFC 9112 sections 2 to 5).
//!
//! What enters: application data. What leaves: a [`RequestHead`]. It must not know what is answered.

use super::EventKind;
use super::session::{Broken, Incoming, Session};
use super::wire::Wire;

/// A request without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestHead {
    pub(crate) method: String,
    pub(crate) target: String,
    headers: Vec<(String, String)>,
}

/// Reads up to the empty line that ends a head, into `head`; `false` if the client sent close_notify first. What had
/// arrived stays in `head` when this fails or is given up.
pub(crate) async fn read_head(session: &mut Session, wire: &mut Wire, head: &mut Vec<u8>) -> Result<bool, Broken> {
    /// As common servers limit it.
    const LARGEST: usize = 16 * 1024;
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() > LARGEST {
            return Err(Broken::Protocol(format!(
                "the request's head is longer than {LARGEST} bytes"
            )));
        }
        match session.read(wire).await? {
            Incoming::Data(data) => head.extend(data),
            Incoming::CloseNotify => {
                wire.record.push(EventKind::CloseNotifyReceived);
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The lines of a head, without their ends and without what follows the empty line.
pub(crate) fn lines(head: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(head)
        .split("\r\n")
        .take_while(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

impl RequestHead {
    /// Reads the lines of a head; `None` if the first is no request line.
    pub(crate) fn parse(lines: &[String]) -> Option<Self> {
        let (request_line, headers) = lines.split_first()?;
        let mut words = request_line.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        if !version.starts_with("HTTP/1.") || words.next().is_some() {
            return None;
        }
        let headers = headers
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
        })
    }

    /// The value of a header, whose name is compared without case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}
