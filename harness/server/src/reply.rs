//! What the server answers: GitHub's replies as bytes.
//!
//! What enters: the name of a fixture, or a body. What leaves: a complete HTTP/1.1 response with the headers that GitHub
//! sends and a fixed date, the same at every call. It does not know TLS.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bounded::Bounded;
use crate::header::Header;
use crate::request::RequestHead;

/// A size of a body or a response in bytes, up to 16 MiB. No RFC has a limit; this one is more than any board of this
/// kind can take, and little enough to hold several times in memory.
pub type ReplySize = Bounded<0, { 1 << 24 }>;

/// How the end of a body is marked (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// By its length in the head.
    #[default]
    ContentLength,
    /// By chunks of [`Reply::CHUNK`] bytes and an empty one.
    Chunked,
    /// By the end of the connection.
    Close,
}

impl Framing {
    /// As the server lane names it.
    fn name(self) -> &'static str {
        match self {
            Self::ContentLength => "content-length",
            Self::Chunked => "chunked",
            Self::Close => "until the connection ends",
        }
    }
}

/// An answer to a request for a commit's combined status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    content: Content,
    framing: Framing,
    path: String,
    spoilt: Spoilt,
}

/// What is wrong with a reply on purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Spoilt {
    /// The value of Content-Length, if it is not the body's length.
    claimed_length: Option<u64>,
    /// How many bytes of the response are sent, if not all.
    cut: Option<usize>,
    /// The server says that it keeps the connection open.
    keep_alive: bool,
    /// The head's lines end in a line feed alone.
    bare_line_feeds: bool,
    /// Bytes that are sent before the response.
    before: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    /// An HTTP response that is composed here.
    Response {
        status: String,
        headers: Vec<Header>,
        body: Vec<u8>,
    },
    /// Bytes that are sent as they are to every request.
    Raw(Vec<u8>),
}

/// A reply ready to be sent.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status line without the version; raw bytes have none.
    pub(crate) status: Option<String>,
    pub(crate) framing: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Reply {
    /// The path for which the original sketch asks.
    pub const PATH: &str = "/repos/esp8266/Arduino/commits/master/status";

    /// The size of the chunks of a chunked body, in bytes.
    pub const CHUNK: usize = 2048;

    /// The names that [`Reply::github`] knows.
    pub const GITHUB: [&str; 11] = [
        "success",
        "failure",
        "pending",
        "many",
        "not-found",
        "rate-limited",
        "secondary-rate-limit",
        "moved",
        "no-user-agent",
        "server-error",
        "unavailable",
    ];

    /// One of GitHub's replies, by name: `success`, `failure`, `pending` and `many` (of them) are combined statuses; the
    /// others are the errors 404, 403, 429, 301, 403, 500 and 503.
    ///
    /// # Errors
    /// No reply has that name; the error lists the names.
    pub fn github(name: &str) -> Result<Self, UnknownReply> {
        let (status, body) = match name {
            "success" => ("200 OK", include_str!("../../../fixtures/github/success.json")),
            "failure" => ("200 OK", include_str!("../../../fixtures/github/failure.json")),
            "pending" => ("200 OK", include_str!("../../../fixtures/github/pending.json")),
            "many" => ("200 OK", include_str!("../../../fixtures/github/many.json")),
            "not-found" => ("404 Not Found", NOT_FOUND),
            "rate-limited" => (
                "403 Forbidden",
                include_str!("../../../fixtures/github/rate-limited.json"),
            ),
            "moved" => (
                "301 Moved Permanently",
                include_str!("../../../fixtures/github/moved.json"),
            ),
            "secondary-rate-limit" => (
                "429 Too Many Requests",
                include_str!("../../../fixtures/github/secondary-rate-limit.json"),
            ),
            "server-error" => (
                "500 Internal Server Error",
                include_str!("../../../fixtures/github/server-error.json"),
            ),
            "no-user-agent" => return Ok(plain("403 Forbidden", NO_USER_AGENT)),
            "unavailable" => {
                let page = include_str!("../../../fixtures/github/unavailable.html");
                return Ok(plain("503 Service Unavailable", page));
            }
            _ => return Err(UnknownReply(name.to_owned())),
        };
        let mut headers = github_headers(body.trim_end().as_bytes());
        match name {
            "rate-limited" => rate_limit(&mut headers, 60),
            "secondary-rate-limit" => {
                rate_limit(&mut headers, 12);
                headers.push(Header::own("Retry-After", "60"));
            }
            "moved" => {
                rate_limit(&mut headers, 1);
                let elsewhere = "https://api.github.com/repositories/1000000001/commits/master/status";
                headers.push(Header::own("Location", elsewhere));
            }
            _ => rate_limit(&mut headers, 1),
        }
        Ok(Self::response(status, headers, body.trim_end()))
    }

    /// A `200 OK` with GitHub's headers and this body.
    #[must_use]
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let mut headers = github_headers(&body);
        rate_limit(&mut headers, 1);
        Self::response("200 OK", headers, body)
    }

    /// These bytes and nothing else, to every request: for replies that are not HTTP.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            content: Content::Raw(bytes.into()),
            framing: Framing::Close,
            path: Self::PATH.to_owned(),
            spoilt: Spoilt::default(),
        }
    }

    /// The same reply with another status line, without the version: `500 Internal Server Error`.
    #[must_use]
    pub fn with_status(mut self, new: impl Into<String>) -> Self {
        if let Content::Response { status, .. } = &mut self.content {
            *status = new.into();
        }
        self
    }

    /// The same reply with one more header.
    #[must_use]
    pub fn with_header(mut self, header: Header) -> Self {
        if let Content::Response { headers, .. } = &mut self.content {
            headers.push(header);
        }
        self
    }

    /// The same reply with another body.
    #[must_use]
    pub fn with_body(mut self, new: impl Into<Vec<u8>>) -> Self {
        match &mut self.content {
            Content::Response { body, .. } => *body = new.into(),
            Content::Raw(bytes) => *bytes = new.into(),
        }
        self
    }

    /// The same reply with a body of exactly `size` bytes: a JSON object gets one more member, `"padding"`.
    ///
    /// # Errors
    /// The body is not a JSON object, or is too long already.
    pub fn padded_to(mut self, size: ReplySize) -> Result<Self, BodyError> {
        let body = self.body_mut()?;
        let object: serde_json::Map<_, _> = serde_json::from_slice(body).map_err(|_| BodyError::NotAnObject)?;
        let begin = if object.is_empty() { "" } else { "," };
        let end = body
            .iter()
            .rposition(|byte| *byte == b'}')
            .ok_or(BodyError::NotAnObject)?;
        let around = format!(r#"{begin}"padding":"""#).len();
        let Some(padding) = size.size().checked_sub(body.len() + around) else {
            return Err(BodyError::TooLong {
                length: body.len(),
                needed: around,
                size,
            });
        };
        let member = format!(r#"{begin}"padding":"{}""#, "x".repeat(padding));
        body.splice(end..end, member.bytes());
        Ok(self)
    }

    /// Whether its head says where the body ends. Raw bytes are not looked into.
    #[must_use]
    pub fn says_its_end(&self) -> bool {
        matches!(self.content, Content::Response { .. }) && self.framing != Framing::Close
    }

    /// The same reply, whose Content-Length says `length`, right or wrong. Other framings have no Content-Length.
    #[must_use]
    pub fn claiming(mut self, length: u64) -> Self {
        self.spoilt.claimed_length = Some(length);
        self
    }

    /// The first `length` bytes of the same reply, head included.
    #[must_use]
    pub fn cut_to(mut self, length: usize) -> Self {
        self.spoilt.cut = Some(length);
        self
    }

    /// The same reply, which promises to keep the connection open.
    #[must_use]
    pub fn keeping_alive(mut self) -> Self {
        self.spoilt.keep_alive = true;
        self
    }

    /// The same reply, the lines of whose head end in a line feed alone (RFC 9112 section 2.2 lets a client take that).
    #[must_use]
    pub fn with_bare_line_feeds(mut self) -> Self {
        self.spoilt.bare_line_feeds = true;
        self
    }

    /// The same reply after these bytes, such as an interim reply (RFC 9110 section 15.2).
    #[must_use]
    pub fn after(mut self, before: impl Into<Vec<u8>>) -> Self {
        self.spoilt.before = before.into();
        self
    }

    /// The same reply with its end marked in another way. Raw bytes stay as they are.
    #[must_use]
    pub fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// The same reply, for requests of another path than [`Reply::PATH`].
    #[must_use]
    pub fn at_path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The same reply with its JSON indented over many lines, as a proxy might rewrite it.
    ///
    /// # Errors
    /// The body is not JSON.
    pub fn pretty(mut self) -> Result<Self, BodyError> {
        let body = self.body_mut()?;
        let value: serde_json::Value = serde_json::from_slice(body).map_err(|_| BodyError::NotJson)?;
        *body = serde_json::to_vec_pretty(&value).map_err(|_| BodyError::NotJson)?;
        Ok(self)
    }

    /// The body before it is framed; for raw bytes, all of them.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        match &self.content {
            Content::Response { body, .. } => body,
            Content::Raw(bytes) => bytes,
        }
    }

    /// The complete response: status line, headers and framed body.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut response = self.spoilt.before.clone();
        match &self.content {
            Content::Response { status, headers, body } => {
                response.extend(compose(status, headers, body, self.framing, &self.spoilt));
            }
            Content::Raw(bytes) => response.extend(bytes),
        }
        response.truncate(self.spoilt.cut.unwrap_or(response.len()));
        response
    }

    /// The body as a client has it that takes this reply whole, with its chunks joined (`decoded`) or as they came. `None`
    /// where that depends on the client: raw bytes, a length that is not the body's, a part of a reply, other replies
    /// before it.
    #[must_use]
    pub fn received_body(&self, decoded: bool) -> Option<Vec<u8>> {
        let Content::Response { status, body, .. } = &self.content else {
            return None;
        };
        if self.spoilt.claimed_length.is_some() || self.spoilt.cut.is_some() || !self.spoilt.before.is_empty() {
            return None;
        }
        // Neither has a body, whatever its head says (RFC 9112 section 6.3).
        if status.starts_with("204") || status.starts_with("304") {
            return Some(Vec::new());
        }
        if decoded || self.framing != Framing::Chunked {
            return Some(body.clone());
        }
        let whole = self.render();
        let end = crate::request::end_of_head(&whole)?;
        Some(whole[end..].to_vec())
    }

    /// The reply to a GET of `path` with a User-Agent: this one, or that there is nothing at this path.
    #[must_use]
    pub fn to_get(&self, path: &str) -> Self {
        match self.content {
            Content::Response { .. } => self.not_found("GET", path).unwrap_or_else(|| self.clone()),
            Content::Raw(_) => self.clone(),
        }
    }

    /// GitHub's answer to a request for anything but this reply; `None` to a GET of its path.
    fn not_found(&self, method: &str, path: &str) -> Option<Self> {
        let elsewhere = method != "GET" || path != self.path;
        elsewhere.then(|| Self::github("not-found").ok()).flatten()
    }

    /// What GitHub would answer: this reply to a GET of its path, and errors to everything else. `None` is a request
    /// that is not HTTP/1.1.
    pub(crate) fn answer(&self, request: Option<&RequestHead>) -> Answer {
        let refusal = match (&self.content, request) {
            (Content::Raw(_), _) => {
                return Answer {
                    status: None,
                    framing: "raw bytes",
                    bytes: self.render(),
                };
            }
            (_, None) => Some(plain("400 Bad Request", "This is no HTTP/1.1 request.\n")),
            (_, Some(request)) if request.header("User-Agent").is_none_or(str::is_empty) => {
                Some(plain("403 Forbidden", NO_USER_AGENT))
            }
            (_, Some(request)) => self.not_found(&request.method, &request.target),
        };
        let reply = refusal.as_ref().unwrap_or(self);
        Answer {
            status: reply.status().map(str::to_owned),
            framing: reply.framing.name(),
            bytes: reply.render(),
        }
    }

    fn status(&self) -> Option<&str> {
        match &self.content {
            Content::Response { status, .. } => Some(status),
            Content::Raw(_) => None,
        }
    }

    fn body_mut(&mut self) -> Result<&mut Vec<u8>, BodyError> {
        match &mut self.content {
            Content::Response { body, .. } => Ok(body),
            Content::Raw(_) => Err(BodyError::Raw),
        }
    }

    fn response(status: &str, headers: Vec<Header>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            content: Content::Response {
                status: status.to_owned(),
                headers,
                body: body.into(),
            },
            framing: Framing::default(),
            path: Self::PATH.to_owned(),
            spoilt: Spoilt::default(),
        }
    }
}

/// No reply has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no reply of GitHub's is called `{0}`; use one of {list}", list = Reply::GITHUB.join(", "))]
pub struct UnknownReply(String);

/// Why a reply's body cannot be changed as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The reply is raw bytes.
    #[error("the reply is raw bytes, which have no body")]
    Raw,
    /// The body is not JSON.
    #[error("the body is not JSON, so it cannot be indented")]
    NotJson,
    /// The body is not a JSON object.
    #[error("the body is not a JSON object, so it cannot be padded with another member")]
    NotAnObject,
    /// The body has no room for the padding.
    #[error("the body has {length} bytes and cannot be padded to {size}; the smallest size is {}", .length + .needed)]
    TooLong {
        /// The body's length in bytes.
        length: usize,
        /// How many bytes the emptiest padding adds.
        needed: usize,
        /// The size that was asked for.
        size: ReplySize,
    },
}

const NO_USER_AGENT: &str = "Refused: a request must have a User-Agent header.\n";

const NOT_FOUND: &str = include_str!("../../../fixtures/github/not-found.json");

/// The day on which every reply is sent.
const DATE: &str = "Thu, 05 Nov 2026 09:30:00 GMT";

fn github_headers(body: &[u8]) -> Vec<Header> {
    let etag: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    [
        ("Date", DATE),
        ("Content-Type", "application/json; charset=utf-8"),
        ("Cache-Control", "public, max-age=60, s-maxage=60"),
        ("Vary", "Accept,Accept-Encoding, Accept, X-Requested-With"),
        ("ETag", &format!("W/\"{etag}\"")),
        ("X-GitHub-Media-Type", "github.v3; format=json"),
        ("x-github-api-version-selected", "2022-11-28"),
        ("Access-Control-Expose-Headers", "ETag, Link, Location, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Used, X-RateLimit-Resource, X-RateLimit-Reset, X-GitHub-Media-Type, X-GitHub-Request-Id"),
        ("Access-Control-Allow-Origin", "*"),
        ("Strict-Transport-Security", "max-age=31536000; includeSubdomains; preload"),
        ("X-Frame-Options", "deny"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-XSS-Protection", "0"),
        ("Referrer-Policy", "origin-when-cross-origin, strict-origin-when-cross-origin"),
        ("Content-Security-Policy", "default-src 'none'"),
        ("Server", "github.com"),
        ("X-GitHub-Request-Id", "C0DE:1F2E3:4D5C6B7:89ABCDE:690B1A28"),
    ]
    .into_iter()
    .map(|(name, value)| Header::own(name, value))
    .collect()
}

/// The headers of the hourly limit of 60 requests that clients without a token have.
fn rate_limit(headers: &mut Vec<Header>, used: u32) {
    let limits = [
        ("X-RateLimit-Limit", "60".to_owned()),
        ("X-RateLimit-Remaining", (60 - used).to_string()),
        // 10:00 of the fixed day, in seconds of Unix time.
        ("X-RateLimit-Reset", "1793872800".to_owned()),
        ("X-RateLimit-Resource", "core".to_owned()),
        ("X-RateLimit-Used", used.to_string()),
    ];
    headers.extend(limits.map(|(name, value)| Header::own(name, value)));
}

fn plain(status: &str, body: &str) -> Reply {
    let headers = [
        ("Date", DATE),
        ("Content-Type", "text/html; charset=utf-8"),
        ("Server", "github.com"),
    ]
    .map(|(name, value)| Header::own(name, value));
    Reply::response(status, headers.to_vec(), body)
}

fn compose(status: &str, headers: &[Header], body: &[u8], framing: Framing, spoilt: &Spoilt) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\n");
    for header in headers {
        head += &format!("{}: {}\r\n", header.name(), header.value());
    }
    match framing {
        Framing::ContentLength => {
            let length = spoilt.claimed_length.unwrap_or(body.len() as u64);
            head += &format!("Content-Length: {length}\r\n");
        }
        Framing::Chunked => head += "Transfer-Encoding: chunked\r\n",
        Framing::Close => {}
    }
    let connection = if spoilt.keep_alive { "keep-alive" } else { "close" };
    head += &format!("Connection: {connection}\r\n\r\n");
    if spoilt.bare_line_feeds {
        head = head.replace("\r\n", "\n");
    }
    let mut response = head.into_bytes();
    if framing == Framing::Chunked {
        for chunk in body.chunks(Reply::CHUNK) {
            response.extend(format!("{:x}\r\n", chunk.len()).bytes());
            response.extend(chunk);
            response.extend(b"\r\n");
        }
        response.extend(b"0\r\n\r\n");
    } else {
        response.extend(body);
    }
    response
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Header lines by name, and the body as it is framed.
    fn split(response: &[u8]) -> (Vec<String>, &[u8]) {
        let end = response.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&response[..end]).unwrap();
        (head.split("\r\n").map(str::to_owned).collect(), &response[end + 4..])
    }

    #[test]
    fn the_original_rule_tells_success_from_failure() {
        for (name, success) in [
            ("success", true),
            ("many", true),
            ("failure", false),
            ("pending", false),
        ] {
            let reply = Reply::github(name).unwrap();
            assert_eq!(reply.body().starts_with(b"{\"state\":\"success\""), success, "{name}");
            assert!(!reply.pretty().unwrap().body().starts_with(b"{\"state\":"), "{name}");
        }
    }

    #[test]
    fn combined_statuses_have_the_keys_of_github_in_their_order() {
        for name in ["success", "many", "failure", "pending"] {
            let value: Value = serde_json::from_slice(Reply::github(name).unwrap().body()).unwrap();
            let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
            let order = [
                "state",
                "statuses",
                "sha",
                "total_count",
                "repository",
                "commit_url",
                "url",
            ];
            assert_eq!(keys, order, "{name}");
            let statuses = value["statuses"].as_array().unwrap();
            assert_eq!(value["total_count"], statuses.len(), "{name}");
            let order = [
                "url",
                "avatar_url",
                "id",
                "node_id",
                "state",
                "description",
                "target_url",
                "context",
                "created_at",
                "updated_at",
            ];
            for status in statuses {
                let keys: Vec<_> = status.as_object().unwrap().keys().map(String::as_str).collect();
                assert_eq!(keys, order, "{name}");
            }
            let combined = match statuses.iter().map(|status| &status["state"]).collect::<Vec<_>>() {
                states if states.is_empty() => "pending",
                states if states.iter().all(|state| *state == "success") => "success",
                _ => "failure",
            };
            assert_eq!(value["state"], combined, "{name}");
        }
    }

    #[test]
    fn every_reply_says_truly_where_it_ends() {
        for name in Reply::GITHUB {
            let reply = Reply::github(name).unwrap();
            let response = reply.render();
            let (head, body) = split(&response);
            assert!(
                head.contains(&format!("Content-Length: {}", body.len())),
                "{name}: {head:?}"
            );
            assert!(head.contains(&"Connection: close".to_owned()));
            assert_eq!(body, reply.body());

            let response = reply.clone().framed(Framing::Chunked).render();
            let (head, mut rest) = split(&response);
            assert!(
                head.contains(&"Transfer-Encoding: chunked".to_owned()),
                "{name}: {head:?}"
            );
            assert!(!head.iter().any(|line| line.starts_with("Content-Length")));
            let mut joined = Vec::<u8>::new();
            loop {
                let end = rest.iter().position(|byte| *byte == b'\r').unwrap();
                let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
                let chunk = &rest[end + 2..];
                assert_eq!(&chunk[size..size + 2], b"\r\n");
                joined.extend(&chunk[..size]);
                rest = &chunk[size + 2..];
                if size == 0 {
                    break;
                }
            }
            assert!(rest.is_empty());
            assert_eq!(joined, reply.body());
        }
    }

    #[test]
    fn a_padded_body_is_still_json_and_has_the_size() {
        for body in [r#"{"state":"success"}"#, "{}", "{ \"a\": 1 }\n"] {
            let reply = Reply::json(body).padded_to(ReplySize::new(100).unwrap()).unwrap();
            assert_eq!(reply.body().len(), 100, "{body}");
            let value: Value = serde_json::from_slice(reply.body()).unwrap();
            assert!(value["padding"].as_str().unwrap().starts_with("xxx"), "{body}");
        }
        let padded = |reply: Reply, size| reply.padded_to(ReplySize::new(size).unwrap()).unwrap_err().to_string();
        assert_eq!(
            padded(Reply::json("{\"a\":1}"), 19),
            "the body has 7 bytes and cannot be padded to 19; the smallest size is 20"
        );
        assert!(Reply::json("{\"a\":1}").padded_to(ReplySize::new(20).unwrap()).is_ok());
        for (reply, error) in [
            (Reply::json("[]"), BodyError::NotAnObject),
            (Reply::json("{,}"), BodyError::NotAnObject),
            (Reply::raw("{}"), BodyError::Raw),
        ] {
            assert_eq!(padded(reply, 100), error.to_string());
        }
        assert_eq!(Reply::json("success").pretty(), Err(BodyError::NotJson));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = Reply::github("sucess").unwrap_err().to_string();
        assert!(error.contains("`sucess`") && error.contains("rate-limited"), "{error}");
    }
}
