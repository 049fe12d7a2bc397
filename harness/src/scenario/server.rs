//! What a scenario puts at the server's address: `[server]` and `[then.server]`.
//!
//! What enters: the table as it was read. What leaves: a [`Service`] that can be served, in which every setting has an
//! effect.

use pinrig_certs::Recipe;
use pinrig_server::{
    Bounded, Close, Fault, FaultKind, Framing, Group, Handshake, Honest, RecordSize, Reply, ReplySize, Step, Suite,
    TicketCount, TlsVersion, When,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::{At, Given, Named, Problem, given};
use super::recipe::RecipeName;
use super::reply::RawReply;
use super::steps::{self, RawStep};

/// What stands at the server's address.
#[derive(Clone, Debug)]
pub enum Service {
    /// A port at which nothing listens.
    Closed,
    /// A TLS server.
    Tls(Box<TlsService>),
}

/// A TLS server's certificate, reply and misbehaviour.
#[derive(Clone, Debug)]
pub struct TlsService {
    /// The chain that it shows.
    pub certificate: Recipe,
    /// The recipe whose key signs the handshake; another one's where a public certificate is replayed.
    pub signing_key: Recipe,
    /// The HTTP reply.
    pub reply: Reply,
    /// How it behaves in the handshake.
    pub handshake: Handshake,
    /// How it ends a connection on which it has replied.
    pub close: Close,
    /// What it does to each of its connections on purpose.
    pub fault: Option<Fault>,
}

impl TlsService {
    /// The right server: the pinned certificate, and the reply that says that the build succeeded.
    #[must_use]
    pub fn honest() -> Self {
        Self {
            certificate: Recipe::Github,
            signing_key: Recipe::Github,
            reply: Reply::github("success").expect("the default reply exists"),
            handshake: Handshake::default(),
            close: Close::default(),
            fault: None,
        }
    }
}

/// What stands at the server's address. What is left out is an honest server's.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct RawServer {
    /// `false`: nothing listens at the port.
    listening: Option<At<bool>>,
    /// The recipe of the certificate chain that the server shows; `github` by default.
    certificate: Option<At<RecipeName>>,
    /// The recipe whose key signs the handshake; the certificate's own by default.
    signing_key: Option<At<RecipeName>>,
    /// The reply: the name of one of GitHub's, or a table.
    reply: Option<At<Named<RawReply>>>,
    /// How the end of the body is marked.
    transfer: Option<At<Framing>>,
    /// How the server ends a connection on which it has replied.
    close: Option<At<Close>>,
    /// What the server does to each of its connections on purpose.
    fault: Option<At<RawFault>>,
    /// Messages that an otherwise honest handshake leaves out.
    omit: Option<At<Vec<At<Step>>>>,
    /// The whole list of the handshake's steps.
    handshake: Option<At<Vec<At<Named<RawStep>>>>>,
    /// What the server answers instead of TLS.
    says: Option<At<String>>,
    /// The protocol versions that an honest server offers.
    versions: Option<At<Vec<TlsVersion>>>,
    /// How many session tickets an honest server sends; 2 by default.
    tickets: Option<At<TicketCount>>,
    /// The cipher suites that an honest server offers, by their registered names.
    suites: Option<At<Vec<Suite>>>,
    /// The groups of the key exchange that an honest server offers, by their registered names.
    groups: Option<At<Vec<Group>>>,
    /// The most bytes of content in one of an honest server's records.
    record_size: Option<At<RecordSize>>,
    /// Whether an honest server changes its keys in the middle of the reply.
    key_update: Option<At<bool>>,
}

/// What happens to a connection, and when.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawFault {
    /// The moment.
    when: At<RawWhen>,
    /// What happens.
    what: FaultKind,
}

/// A count of bytes that a server has sent. It is twice that of the longest reply: in the smallest records that reply
/// nearly doubles.
type SentBytes = Bounded<0, { 2 * ReplySize::MAX.get() }>;

/// A count of records that a server has sent: those of the longest reply in the smallest records, and of a handshake.
type SentRecords = Bounded<0, { ReplySize::MAX.get() / RecordSize::MIN.get() + 1000 }>;

/// The moment at which something happens to a connection.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum RawWhen {
    /// As soon as there is a connection.
    Connected,
    /// When the whole request has come.
    Request,
    /// When the server has sent this many bytes; with 0, in place of its answer to the ClientHello.
    Sent(SentBytes),
    /// When the server has sent this many TLS records.
    Records(SentRecords),
}

impl RawFault {
    fn fault(&self) -> Fault {
        Fault {
            when: match self.when.get() {
                RawWhen::Connected => When::Connected,
                RawWhen::Request => When::Request,
                RawWhen::Sent(bytes) => When::Sent(bytes.size()),
                RawWhen::Records(records) => When::Records(records.size()),
            },
            what: self.what,
        }
    }
}

impl RawServer {
    pub(super) fn check(&self) -> Result<Service, Problem> {
        if let Some(listening) = &self.listening {
            return match (listening.get(), self.any_of_a_server()) {
                (false, None) => Ok(Service::Closed),
                (false, Some(_)) => {
                    let message =
                        "a server that is not listening has no certificate, reply or handshake; leave them out";
                    Err(listening.problem(message))
                }
                (true, _) => Err(listening.problem("a server listens unless told otherwise; leave this out")),
            };
        }
        let certificate = self.certificate.as_ref().map_or(Recipe::Github, |name| name.get().0);
        let honest = RawReply::default();
        let reply = self.reply.as_ref().map_or(&honest, |reply| &reply.get().0);
        let reply = reply.check(self.transfer.as_ref())?;
        if let Some(update) = self.key_update.as_ref().filter(|update| *update.get())
            && reply.render().is_empty()
        {
            return Err(update.problem("`key-update` has no effect on an empty reply, which has no middle"));
        }
        Ok(Service::Tls(Box::new(TlsService {
            certificate,
            signing_key: self.signing_key.as_ref().map_or(certificate, |name| name.get().0),
            reply,
            close: self.close.as_ref().map_or(Close::default(), |close| *close.get()),
            fault: self.fault.as_ref().map(|fault| fault.get().fault()),
            handshake: self.handshake(certificate)?,
        })))
    }

    /// The settings of a server's identity and reply.
    fn of_a_session(&self) -> [Given; 5] {
        [
            given("certificate", &self.certificate),
            given("signing-key", &self.signing_key),
            given("reply", &self.reply),
            given("transfer", &self.transfer),
            given("close", &self.close),
        ]
    }

    /// The settings of an honest server's offer.
    fn of_an_offer(&self) -> [Given; 6] {
        [
            given("versions", &self.versions),
            given("tickets", &self.tickets),
            given("suites", &self.suites),
            given("groups", &self.groups),
            given("record-size", &self.record_size),
            given("key-update", &self.key_update),
        ]
    }

    /// The first setting that says anything about a server, if there is one.
    fn any_of_a_server(&self) -> Option<Given> {
        let others = [
            given("fault", &self.fault),
            given("omit", &self.omit),
            given("handshake", &self.handshake),
            given("says", &self.says),
        ];
        let all = self.of_a_session().into_iter().chain(others).chain(self.of_an_offer());
        all.into_iter().find(|setting| setting.span.is_some())
    }

    fn handshake(&self, certificate: Recipe) -> Result<Handshake, Problem> {
        let kinds = [
            given("omit", &self.omit),
            given("handshake", &self.handshake),
            given("says", &self.says),
        ];
        let offer = self.of_an_offer().into_iter().find(|setting| setting.span.is_some());
        let mut chosen: Vec<_> = kinds.into_iter().chain(offer).filter_map(|kind| kind.span).collect();
        chosen.sort_by_key(|span| span.start);
        if let [_, second, ..] = &chosen[..] {
            let message = "give one of `omit`, `handshake`, `says`, or what an honest server offers";
            return Err(Problem::new(second.clone(), message));
        }
        if let Some(text) = &self.says {
            return self.says(text);
        }
        let key = self.signing_key.as_ref().or(self.certificate.as_ref());
        let signer = key.map_or(certificate, |name| name.get().0);
        let identity = certificate.issue().with_key_of(&signer.issue());
        let key = key.map(At::span).unwrap_or_default();
        if let Some(list) = &self.omit {
            return steps::omit(list, &identity, key).map(Handshake::Rogue);
        }
        if let Some(list) = &self.handshake {
            return steps::handshake(list, &identity, key).map(Handshake::Rogue);
        }
        self.offer().map(Handshake::Honest)
    }

    /// A server that does not speak TLS.
    fn says(&self, text: &At<String>) -> Result<Handshake, Problem> {
        let request = self
            .fault
            .as_ref()
            .filter(|fault| matches!(fault.get().when.get(), RawWhen::Request));
        let request = Given {
            key: "when = \"request\"",
            span: request.map(|fault| fault.get().when.span()),
        };
        for Given { key, span } in self.of_a_session().into_iter().chain([request]) {
            if let Some(span) = span {
                let message = format!("`{key}` does not go with `says`: without TLS there is no request and no reply");
                return Err(Problem::new(span, message));
            }
        }
        Ok(Handshake::NoTls(text.get().as_bytes().to_vec()))
    }

    fn offer(&self) -> Result<Honest, Problem> {
        let default = Honest::default();
        let versions = match &self.versions {
            Some(versions) if versions.get().is_empty() => {
                return Err(versions.problem("names no version; name \"1.2\", \"1.3\" or both"));
            }
            Some(versions) => versions.get().clone(),
            None => default.versions,
        };
        let suites = named(&self.suites, "suite")?;
        if let Some(given) = self
            .suites
            .as_ref()
            .filter(|_| !suites.iter().any(|suite| versions.contains(&suite.version())))
        {
            let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
            let message = format!("none of these suites belongs to TLS {}", versions.join(" or "));
            return Err(given.problem(message));
        }
        let key_update = self.key_update.as_ref().filter(|update| *update.get());
        let of_tls_1_3 = [
            given("tickets", &self.tickets),
            Given {
                key: "key-update",
                span: key_update.map(At::span),
            },
        ];
        for Given { key, span } in of_tls_1_3 {
            if let Some(span) = span.filter(|_| !versions.contains(&TlsVersion::Tls13)) {
                return Err(Problem::new(span, format!("`{key}` has no effect without TLS 1.3")));
            }
        }
        Ok(Honest {
            versions,
            tickets: self.tickets.as_ref().map_or(default.tickets, |tickets| *tickets.get()),
            suites,
            groups: named(&self.groups, "group")?,
            record_size: self.record_size.as_ref().map(|size| *size.get()),
            key_update: key_update.is_some(),
        })
    }
}

/// The names of a list, which has some if it is given: an empty one stands for all that there are.
fn named<T: Clone>(names: &Option<At<Vec<T>>>, kind: &str) -> Result<Vec<T>, Problem> {
    match names {
        Some(names) if names.get().is_empty() => Err(names.problem(format!("names no {kind}; leave it out for all"))),
        Some(names) => Ok(names.get().clone()),
        None => Ok(Vec::new()),
    }
}
