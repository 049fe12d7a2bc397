//! The head of an HTTP/1.1 request (RFC 9112 sections 2 to 5).
//!
//! What enters: the bytes of a head. What leaves: its lines, and a [`RequestHead`]. This module does not know what is
//! answered.

/// A request without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestHead {
    pub(crate) method: String,
    pub(crate) target: String,
    headers: Vec<Field>,
}

/// A header line as the client sent it: nothing says that it is a good one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    value: String,
}

/// The size of a head, with the empty line that ends it; `None` while that line has not come.
pub(crate) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(end + 4)
}

/// The lines of a head, without their line ends. What follows the empty line is left out.
pub(crate) fn lines(head: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(head)
        .split("\r\n")
        .take_while(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

impl RequestHead {
    /// Reads the lines of a head; `None` if the first is not a request line.
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
            .map(|(name, value)| Field {
                name: name.to_owned(),
                value: value.trim().to_owned(),
            })
            .collect();
        Some(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
        })
    }

    /// The value of the first header of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value.as_str())
    }
}
