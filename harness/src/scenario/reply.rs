//! What a scenario's server answers: `reply` in `[server]`.
//!
//! What enters: a name or a table as it was read. What leaves: a [`Reply`] in which every setting has an effect.

use std::borrow::Cow;

use pinrig_server::{Bounded, Framing, Header, HeaderError, HexBytes, Reply, ReplySize};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::problem::{At, FromName, Given, Line, Problem, given};

/// How many headers a reply can be filled with: more than any client takes.
type HeaderCount = Bounded<1, 10_000>;

/// What a length can claim to be: a number of TOML has 63 bits.
type ClaimedLength = Bounded<0, { i64::MAX as u64 }>;

/// A reply: one of GitHub's, or other bytes, and what is wrong with it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct RawReply {
    /// One of GitHub's replies, by name; `success` by default.
    of: Option<GithubReply>,
    /// The body.
    body: Option<At<String>>,
    /// The body, as hexadecimal digits; spaces do not matter.
    body_hex: Option<At<HexBytes>>,
    /// Bytes that are sent as they are, instead of an HTTP response.
    raw: Option<At<String>>,
    /// The status line without the version: `500 Internal Server Error`.
    status: Option<At<Line>>,
    /// Further headers: `[["Name", "value"]]`.
    headers: Option<At<Vec<At<RawHeader>>>>,
    /// Many further headers.
    filler_headers: Option<At<Filler>>,
    /// Whether the JSON is indented over many lines.
    pretty: Option<At<bool>>,
    /// The body's size in bytes, reached by one more member of its JSON object.
    padded_to: Option<At<ReplySize>>,
    /// How many bytes of the body there are; Content-Length says the same.
    cut_body_to: Option<At<ReplySize>>,
    /// What Content-Length says, right or wrong.
    claims_length: Option<At<ClaimedLength>>,
    /// How many bytes of the whole response are sent.
    cut_to: Option<At<ReplySize>>,
    /// Whether it promises to keep the connection open.
    keep_alive: Option<At<bool>>,
    /// Whether the lines of the head end in a line feed alone.
    bare_line_feeds: Option<At<bool>>,
    /// Bytes that are sent before the response.
    before: Option<At<String>>,
}

impl FromName for RawReply {
    fn from_name(name: &str) -> Result<Self, String> {
        Ok(Self {
            of: Some(GithubReply::from_name(name)?),
            ..Self::default()
        })
    }

    fn names(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<GithubReply>()
    }
}

/// One of GitHub's replies.
#[derive(Clone)]
struct GithubReply(Reply);

impl GithubReply {
    fn from_name(name: &str) -> Result<Self, String> {
        Reply::github(name).map(Self).map_err(|error| error.to_string())
    }
}

impl<'de> Deserialize<'de> for GithubReply {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_name(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for GithubReply {
    fn schema_name() -> Cow<'static, str> {
        "GithubReply".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Reply::GITHUB })
    }
}

/// A header line: `["Name", "value"]`. It is read as a list, since a tuple would drop what stands behind its second
/// element.
#[derive(Deserialize)]
struct RawHeader(Vec<String>);

impl RawHeader {
    fn check(raw: &At<Self>) -> Result<Header, Problem> {
        let [name, value] = &raw.get().0[..] else {
            return Err(raw.problem("a header is written as [\"Name\", \"value\"]"));
        };
        Header::new(name, value).map_err(|error| raw.problem(error.to_string()))
    }
}

impl JsonSchema for RawHeader {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Header".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 2 })
    }
}

/// Headers `X-Filler-1`, `X-Filler-2`, ...
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filler {
    /// How many.
    count: HeaderCount,
    /// The bytes of each value.
    size: ReplySize,
}

impl Filler {
    /// The name of a filler header, without its number.
    const NAME: &str = "X-Filler-";

    fn check(filler: &At<Self>) -> Result<(), Problem> {
        let Self { count, size } = filler.get();
        let line = size.get() + (Self::NAME.len() + ": \r\n".len()) as u64;
        let most = ReplySize::MAX;
        if count.get() * line > most.get() {
            let message =
                format!("{count} headers of {size} bytes are more than the {most} bytes of the longest reply");
            return Err(filler.problem(message));
        }
        Ok(())
    }

    fn headers(&self) -> impl Iterator<Item = Result<Header, HeaderError>> {
        let value = "x".repeat(self.size.size());
        (1..=self.count.get()).map(move |number| Header::new(format!("{}{number}", Self::NAME), value.clone()))
    }
}

impl RawReply {
    /// The reply, whose end is marked as `transfer` says.
    pub(super) fn check(&self, transfer: Option<&At<Framing>>) -> Result<Reply, Problem> {
        if let Some(raw) = &self.raw {
            return self.raw_bytes(raw, transfer);
        }
        let framing = transfer.map_or(Framing::default(), |transfer| *transfer.get());
        let mut reply = self.with_body()?;
        if let Some(status) = &self.status {
            if status.get().as_str().is_empty() {
                return Err(status.problem("give a status code and its phrase, as in `404 Not Found`"));
            }
            reply = reply.with_status(status.get().as_str());
        }
        for header in self.headers.iter().flat_map(At::get) {
            reply = reply.with_header(RawHeader::check(header)?);
        }
        if let Some(filler) = &self.filler_headers {
            Filler::check(filler)?;
            for header in filler.get().headers() {
                reply = reply.with_header(header.map_err(|error| filler.problem(error.to_string()))?);
            }
        }
        if let Some(length) = &self.claims_length {
            if framing != Framing::ContentLength {
                let message = "`claims-length` goes with `transfer = \"content-length\"`, the only one with a length";
                return Err(length.problem(message));
            }
            reply = reply.claiming(length.get().get());
        }
        if is(&self.keep_alive) {
            reply = reply.keeping_alive();
        }
        if is(&self.bare_line_feeds) {
            reply = reply.with_bare_line_feeds();
        }
        if let Some(before) = &self.before {
            if before.get().is_empty() {
                return Err(before.problem("no bytes come before the response; leave this out"));
            }
            reply = reply.after(before.get().as_bytes());
        }
        reply = reply.framed(framing);
        if let Some(size) = &self.cut_to {
            let length = reply.render().len();
            if size.get().size() >= length {
                let message = format!("the response has {length} bytes and cannot be cut to {}", size.get());
                return Err(size.problem(message));
            }
            reply = reply.cut_to(size.get().size());
        }
        Ok(reply)
    }

    fn raw_bytes(&self, raw: &At<String>, transfer: Option<&At<Framing>>) -> Result<Reply, Problem> {
        if self.of.is_some() {
            return Err(raw.problem(ONE_BODY));
        }
        let others = [
            given("body", &self.body),
            given("body-hex", &self.body_hex),
            given("status", &self.status),
            given("headers", &self.headers),
            given("filler-headers", &self.filler_headers),
            given("pretty", &self.pretty),
            given("padded-to", &self.padded_to),
            given("cut-body-to", &self.cut_body_to),
            given("claims-length", &self.claims_length),
            given("cut-to", &self.cut_to),
            given("keep-alive", &self.keep_alive),
            given("bare-line-feeds", &self.bare_line_feeds),
            given("before", &self.before),
            Given {
                key: "transfer",
                span: transfer.map(At::span),
            },
        ];
        for Given { key, span } in others {
            if let Some(span) = span {
                let message = format!("`{key}` does not go with `raw`, whose bytes are sent as they are");
                return Err(Problem::new(span, message));
            }
        }
        Ok(Reply::raw(raw.get().as_bytes()))
    }

    /// The reply with its body, whose Content-Length is right.
    fn with_body(&self) -> Result<Reply, Problem> {
        let mut reply = match (&self.of, &self.body, &self.body_hex) {
            (None, Some(body), None) => Reply::json(body.get().as_bytes()),
            (None, None, Some(hex)) => Reply::json(hex.get().bytes()),
            (Some(GithubReply(reply)), None, None) => reply.clone(),
            (None, None, None) => Reply::github("success").expect("the default reply exists"),
            (Some(_), Some(body), _) => return Err(body.problem(ONE_BODY)),
            (_, _, Some(hex)) => return Err(hex.problem(ONE_BODY)),
        };
        if let Some(pretty) = self.pretty.as_ref().filter(|pretty| *pretty.get()) {
            reply = reply.pretty().map_err(|error| pretty.problem(error.to_string()))?;
        }
        if let Some(size) = &self.padded_to {
            let padded = reply.padded_to(*size.get());
            reply = padded.map_err(|error| size.problem(error.to_string()))?;
        }
        if let Some(size) = &self.cut_body_to {
            let length = reply.body().len();
            let Some(kept) = reply.body().get(..size.get().size()).filter(|kept| kept.len() < length) else {
                let message = format!("the body has {length} bytes and cannot be cut to {}", size.get());
                return Err(size.problem(message));
            };
            let kept = kept.to_vec();
            reply = reply.with_body(kept);
        }
        Ok(reply)
    }
}

const ONE_BODY: &str = "give one of `of`, `body`, `body-hex` and `raw`";

fn is(setting: &Option<At<bool>>) -> bool {
    setting.as_ref().is_some_and(|setting| *setting.get())
}
