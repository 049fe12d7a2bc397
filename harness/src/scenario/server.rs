//! What a scenario puts at the server's address: `[server]` and `[then.server]`.
//!
//! What enters: the table as it was read. What leaves: a [`Service`] that can be served.

use std::fmt;
use std::marker::PhantomData;

use pinrig_certs::Recipe;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use toml::Spanned;

use super::text::{Problem, recipe};
use super::{Service, TlsService};
use pinrig_server::{
    Close, Fault, Framing, Handshake, Honest, PlannedStep, Reply, RogueHandshake, Step, TlsVersion, group_names,
    suite_names,
};

/// The table. What is left out is an honest server's.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct RawServer {
    listening: Option<Spanned<bool>>,
    certificate: Option<Spanned<String>>,
    signing_key: Option<Spanned<String>>,
    reply: Option<Spanned<Named<RawReply>>>,
    transfer: Option<Framing>,
    close: Option<Close>,
    fault: Option<Fault>,
    // A handshake that is not quite honest, ...
    omit: Option<Spanned<Vec<Step>>>,
    handshake: Option<Spanned<Vec<Named<PlannedStep>>>>,
    // ... none at all, ...
    says: Option<Spanned<String>>,
    // ... or what an honest server offers.
    versions: Option<Spanned<Vec<TlsVersion>>>,
    tickets: Option<usize>,
    suites: Option<Spanned<Vec<String>>>,
    groups: Option<Spanned<Vec<String>>>,
    record_size: Option<Spanned<usize>>,
    key_update: Option<bool>,
}

impl RawServer {
    pub(super) fn check(self) -> Result<Service, Problem> {
        if let Some(listening) = &self.listening {
            let alone = Self {
                listening: None,
                ..self
            };
            return match (listening.get_ref(), alone.is_empty()) {
                (false, true) => Ok(Service::Closed),
                (false, false) => Err(Problem::at(
                    listening,
                    "a server that is not listening has no certificate, reply or handshake: leave them out",
                )),
                (true, _) => Err(Problem::at(
                    listening,
                    "a server listens unless told otherwise: leave this out",
                )),
            };
        }
        let certificate = match &self.certificate {
            Some(name) => recipe(name)?,
            None => Recipe::Github,
        };
        let signing_key = match &self.signing_key {
            Some(name) => recipe(name)?,
            None => certificate,
        };
        let mut reply = match &self.reply {
            Some(reply) => reply
                .get_ref()
                .0
                .check()
                .map_err(|message| Problem::at(reply, message))?,
            None => RawReply::default().check().expect("the default reply exists"),
        };
        if let Some(transfer) = self.transfer {
            reply = reply.framed(transfer);
        }
        Ok(Service::Tls(Box::new(TlsService {
            certificate,
            signing_key,
            reply,
            close: self.close.unwrap_or_default(),
            fault: self.fault,
            handshake: self.handshake()?,
        })))
    }

    fn is_empty(&self) -> bool {
        self.certificate.is_none()
            && self.signing_key.is_none()
            && self.reply.is_none()
            && self.transfer.is_none()
            && self.close.is_none()
            && self.fault.is_none()
            && self.omit.is_none()
            && self.handshake.is_none()
            && self.says.is_none()
            && !self.offers()
    }

    /// Whether it says anything about what an honest server offers.
    fn offers(&self) -> bool {
        self.versions.is_some()
            || self.tickets.is_some()
            || self.suites.is_some()
            || self.groups.is_some()
            || self.record_size.is_some()
            || self.key_update.is_some()
    }

    fn handshake(self) -> Result<Handshake, Problem> {
        let offers = self.offers();
        let alone = |span, others: bool| {
            if others || offers {
                let message = "give one of `omit`, `handshake`, `says`, or what an honest server offers";
                return Err(Problem {
                    span: Some(span),
                    message: message.to_owned(),
                });
            }
            Ok(())
        };
        if let Some(steps) = self.omit {
            alone(steps.span(), self.handshake.is_some() || self.says.is_some())?;
            if steps.get_ref().is_empty() {
                return Err(Problem::at(&steps, "names no step: leave it out"));
            }
            let honest = RogueHandshake::honest();
            let rest = steps.into_inner().into_iter().fold(honest, RogueHandshake::omit);
            return Ok(Handshake::Rogue(rest));
        }
        if let Some(steps) = self.handshake {
            alone(steps.span(), self.says.is_some())?;
            let steps = steps.into_inner().into_iter().map(|step| step.0);
            return Ok(Handshake::Rogue(RogueHandshake::of(steps)));
        }
        if let Some(text) = self.says {
            alone(text.span(), false)?;
            return Ok(Handshake::NoTls(text.into_inner().into_bytes()));
        }
        let default = Honest::default();
        if let Some(versions) = self.versions.as_ref().filter(|versions| versions.get_ref().is_empty()) {
            return Err(Problem::at(
                versions,
                "a server has a version: name \"1.2\", \"1.3\" or both",
            ));
        }
        if let Some(size) = self
            .record_size
            .as_ref()
            .filter(|size| !(32..=16_384).contains(size.get_ref()))
        {
            return Err(Problem::at(size, "a record has 32 to 16384 bytes of content here"));
        }
        Ok(Handshake::Honest(Honest {
            versions: self.versions.map_or(default.versions, Spanned::into_inner),
            tickets: self.tickets.unwrap_or(default.tickets),
            suites: known(self.suites, &suite_names())?,
            groups: known(self.groups, &group_names())?,
            record_size: self.record_size.map(Spanned::into_inner),
            key_update: self.key_update.unwrap_or_default(),
        }))
    }
}

/// The names, if every one is among those that there are.
fn known(names: Option<Spanned<Vec<String>>>, all: &[String]) -> Result<Vec<String>, Problem> {
    let Some(names) = names else {
        return Ok(Vec::new());
    };
    if let Some(unknown) = names.get_ref().iter().find(|name| !all.contains(name)) {
        let message = format!("there is no `{unknown}` here; there are {}", all.join(", "));
        return Err(Problem::at(&names, message));
    }
    Ok(names.into_inner())
}

/// A reply: one of GitHub's, or other bytes, and what is wrong with it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawReply {
    /// One of GitHub's replies, by name.
    of: Option<String>,
    status: Option<String>,
    headers: Vec<(String, String)>,
    /// So many more headers, of so many bytes each.
    filler_headers: Option<Filler>,
    body: Option<String>,
    /// The body, as hexadecimal digits.
    body_hex: Option<String>,
    /// So many bytes of the body, and no more.
    cut_body_to: Option<usize>,
    /// Whether the JSON is indented over many lines.
    pretty: bool,
    /// The body's size, reached by one more member of its JSON object.
    padded_to: Option<usize>,
    /// What Content-Length says.
    claims_length: Option<u64>,
    /// So many bytes of the whole response, and no more.
    cut_to: Option<usize>,
    /// Whether it promises to keep the connection open.
    keep_alive: bool,
    /// Whether the head's lines end in a bare line feed.
    bare_line_feeds: bool,
    /// What comes before the response, as it is.
    before: Option<String>,
    /// What comes instead of a response, as it is.
    raw: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filler {
    count: usize,
    size: usize,
}

impl From<&str> for RawReply {
    fn from(name: &str) -> Self {
        Self {
            of: Some(name.to_owned()),
            ..Self::default()
        }
    }
}

impl RawReply {
    fn check(&self) -> Result<Reply, String> {
        let given = [
            self.of.is_some(),
            self.body.is_some(),
            self.body_hex.is_some(),
            self.raw.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() > 1 {
            return Err("give one of `of`, `body`, `body-hex` and `raw`".to_owned());
        }
        if let Some(raw) = &self.raw {
            return Ok(Reply::raw(raw.as_bytes()));
        }
        let mut reply = match (&self.body, &self.body_hex) {
            (Some(body), _) => Reply::json(body.as_bytes()),
            (None, Some(digits)) => Reply::json(bytes(digits)?),
            (None, None) => {
                Reply::github(self.of.as_deref().unwrap_or("success")).map_err(|error| error.to_string())?
            }
        };
        if self.pretty {
            reply = reply.pretty();
        }
        if let Some(size) = self.padded_to {
            reply = reply.padded_to(size);
            if reply.body().len() != size {
                let length = reply.body().len();
                return Err(format!("the body has {length} bytes and cannot be padded to {size}"));
            }
        }
        if let Some(size) = self.cut_body_to {
            let length = reply.body().len();
            let Some(kept) = reply.body().get(..size).map(<[u8]>::to_vec) else {
                return Err(format!("the body has {length} bytes and cannot be cut to {size}"));
            };
            reply = reply.with_body(kept);
        }
        if let Some(status) = &self.status {
            reply = reply.with_status(status);
        }
        for (name, value) in &self.headers {
            reply = reply.with_header(name, value);
        }
        if let Some(Filler { count, size }) = self.filler_headers {
            for number in 1..=count {
                reply = reply.with_header(format!("X-Filler-{number}"), "x".repeat(size));
            }
        }
        if let Some(length) = self.claims_length {
            reply = reply.claiming(length);
        }
        if let Some(length) = self.cut_to {
            reply = reply.cut_to(length);
        }
        if self.keep_alive {
            reply = reply.keeping_alive();
        }
        if self.bare_line_feeds {
            reply = reply.with_bare_line_feeds();
        }
        if let Some(before) = &self.before {
            reply = reply.after(before.as_bytes());
        }
        Ok(reply)
    }
}

/// The bytes of hexadecimal digits; spaces do not matter.
fn bytes(digits: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<char> = digits.chars().filter(|digit| !digit.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| {
            let pair: String = pair.iter().collect();
            u8::from_str_radix(&pair, 16)
                .ok()
                .filter(|_| pair.len() == 2)
                .ok_or_else(|| format!("`{pair}` is no byte of two hexadecimal digits"))
        })
        .collect()
}

/// Something that is written as a name or as a table.
///
/// Serde's untagged enums would do, but say of a mistake only that nothing matched.
struct Named<T>(T);

/// Made from a name alone.
trait FromName: Sized {
    fn from_name<E: de::Error>(name: &str) -> Result<Self, E>;
}

impl FromName for RawReply {
    fn from_name<E: de::Error>(name: &str) -> Result<Self, E> {
        Ok(name.into())
    }
}

impl FromName for PlannedStep {
    fn from_name<E: de::Error>(name: &str) -> Result<Self, E> {
        Step::deserialize(StrDeserializer::new(name)).map(Self::from)
    }
}

impl<'de, T: Deserialize<'de> + FromName> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + FromName> Visitor<'de> for Either<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a table")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Named<T>, E> {
                T::from_name(name).map(Named)
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Named<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(table)).map(Named)
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}
