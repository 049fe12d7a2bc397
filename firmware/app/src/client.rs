//! One run: join the network, connect, handshake, check the certificate, ask, read the reply, judge it.
//!
//! What enters: settings, a network, random numbers, the command's tag. What leaves: the transcript, line by line as
//! things happen, and a [`Report`]. It knows no command and no board. Every phase has a deadline, and so has the run.
//!
//! The body of a reply is the server's text among the client's. `@<tag> reply begin` and `@<tag> reply end` stand
//! around it: the server does not know the tag, and [`Printer`] lets no line of the body begin with `@`.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::cell::Cell;
use core::future::poll_fn;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::pin::pin;
use core::task::Poll;

use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use embassy_time::{Duration, Instant, TimeoutError, Timer, with_deadline};
use embedded_io_async::Write;
use embedded_tls::alert::AlertDescription;
use embedded_tls::{TlsConfig, TlsConnection, TlsContext, TlsError};
use rand_core::CryptoRngCore;

use crate::answer::Answer;
use crate::body::{Body, Printer};
use crate::certificate::Validity;
use crate::command::Phase;
use crate::guard::{Evidence, Expectation, Guard, GuardedProvider, Refusal};
use crate::http::{self, Head};
use crate::plaintext::CheckedSuite;
use crate::platform::{ConnectError, Console, JoinError, Medium, Network, ResolveError, Stream};
use crate::records::{RECORD_BUFFER_BYTES, RecordFault, Records, Watch};
use crate::rule::Judge;
use crate::settings::{RuleKind, Settings};

/// What a run works on.
#[expect(missing_debug_implementations, reason = "borrowed for one call")]
pub struct Run<'a, C, N, R> {
    /// Where the transcript goes.
    pub console: &'a mut C,
    /// The way to the server.
    pub network: &'a mut N,
    /// Where keys come from.
    pub random: &'a mut R,
    /// What to do.
    pub settings: &'a Settings,
    /// The tag of the command, which marks where the server's text begins and ends; `-` for none.
    pub tag: &'a str,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The end of it.
    pub outcome: Outcome,
    /// Why, in kebab-case; set unless the outcome is success.
    pub reason: Option<String>,
    /// What was seen of the server's certificate, and proved.
    pub evidence: Evidence,
    /// The guard's own checks were passed: the server holds the key of the certificate that it showed.
    pub guard_passed: bool,
    /// The HTTP status, once there is one.
    pub status: Option<u16>,
    /// Bytes of the body that were printed, once there is a body.
    pub body: Option<u64>,
}

/// How a run can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The rule says that the build succeeded.
    Success,
    /// The rule says that it has not.
    Failed,
    /// No network.
    NetworkFailed,
    /// No address, or no TCP connection.
    ConnectionFailed,
    /// TLS failed, but for the next.
    HandshakeFailed,
    /// The certificate or its proof was refused; nothing has been sent.
    Refused,
    /// The request could not be sent or the reply not be read to its end.
    ResponseFailed,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::NetworkFailed => "network-failed",
            Self::ConnectionFailed => "connection-failed",
            Self::HandshakeFailed => "handshake-failed",
            Self::Refused => "refused",
            Self::ResponseFailed => "response-failed",
        }
    }
}

impl Report {
    /// Adds the report to an answer.
    #[must_use]
    pub fn describe(&self, answer: Answer) -> Answer {
        let check = |value| match value {
            Some(true) => "match",
            Some(false) => "mismatch",
            None => "unchecked",
        };
        let guard = match self.evidence.refusal {
            Some(refusal) if refusal.is_by_guard() => "refused",
            _ if self.guard_passed => "passed",
            _ => "unchecked",
        };
        let optional = |answer: Answer, key, value: Option<String>| match value {
            Some(value) => answer.field(key, value),
            None => answer,
        };
        let mut answer = answer
            .field("outcome", self.outcome.name())
            .field("pin", check(self.evidence.proved_pin()))
            .field("guard", guard);
        if self.evidence.name_matches.is_some() {
            answer = answer.field("name", check(self.evidence.name_matches));
        }
        let dates = self.evidence.validity.map(|validity| match validity {
            Validity::Valid => "valid".into(),
            Validity::Expired => "expired".into(),
            Validity::NotYetValid => "not-yet-valid".into(),
        });
        answer = optional(answer, "dates", dates);
        answer = optional(answer, "reason", self.reason.clone());
        answer = optional(answer, "status", self.status.map(|status| status.to_string()));
        answer = optional(answer, "body", self.body.map(|bytes| bytes.to_string()));
        optional(
            answer,
            "fingerprint",
            self.evidence.fingerprint.map(|leaf| leaf.to_string()),
        )
    }
}

/// Runs once with the present settings.
///
/// # Errors
/// What must be set first; nothing has been done then.
pub async fn run<C: Console, N: Network, R: CryptoRngCore>(mut run: Run<'_, C, N, R>) -> Result<Report, &'static str> {
    let pin = run.settings.pin.ok_or("use: set pin <fingerprint>")?;
    if N::MEDIUM == Medium::Wireless && run.settings.network.is_none() {
        return Err("use: set network <ssid>");
    }
    let expectation = Expectation {
        pin,
        name: run.settings.check_name.then(|| run.settings.host.clone()),
        date: match (run.settings.check_dates, &run.settings.clock) {
            (false, _) => None,
            (true, Some(clock)) => Some(clock.now()),
            (true, None) => return Err("use: set clock <YYYY-MM-DDTHH:MM:SSZ>"),
        },
        on_mismatch: run.settings.on_mismatch,
    };
    let mut report = Report {
        outcome: Outcome::Failed,
        reason: None,
        evidence: Evidence::default(),
        guard_passed: false,
        status: None,
        body: None,
    };
    let deadlines = Deadlines {
        settings: run.settings,
        total: Instant::now() + run.settings.timeouts.total,
        printing: Cell::new(false),
    };
    match run.go(expectation, &deadlines, &mut report).await {
        Ok(true) => report.outcome = Outcome::Success,
        Ok(false) => report.reason = Some("build-not-successful".into()),
        Err(failure) => {
            report.outcome = failure.outcome;
            report.reason = Some(failure.reason);
        }
    }
    Ok(report)
}

/// Why a run did not come to a verdict.
struct Failure {
    outcome: Outcome,
    reason: String,
}

fn fail<T>(outcome: Outcome, reason: impl Into<String>) -> Result<T, Failure> {
    Err(Failure {
        outcome,
        reason: reason.into(),
    })
}

struct Deadlines<'a> {
    settings: &'a Settings,
    total: Instant,
    /// Bytes are on their way to the console. Cut, they would leave half a line on one port and another half on the
    /// other.
    printing: Cell<bool>,
}

impl Deadlines<'_> {
    /// Bounds a phase that starts now; a timeout names the limit that was hit.
    async fn within<T>(
        &self,
        phase: Phase,
        outcome: Outcome,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let limits = &self.settings.timeouts;
        let (name, limit) = match phase {
            Phase::Network => ("timeout-network", limits.network),
            Phase::Connect => ("timeout-connect", limits.connect),
            Phase::Handshake => ("timeout-handshake", limits.handshake),
            Phase::Response => ("timeout-response", limits.response),
            Phase::Total => ("timeout-total", limits.total),
        };
        let end = Instant::now() + limit;
        let (name, end) = if self.total < end {
            ("timeout-total", self.total)
        } else {
            (name, end)
        };
        match self.until(end, work).await {
            Ok(result) => result,
            Err(TimeoutError) => fail(outcome, name),
        }
    }

    /// Does `work` until `end` has come and nothing is being printed.
    async fn until<T>(&self, end: Instant, work: impl Future<Output = T>) -> Result<T, TimeoutError> {
        let (mut work, mut timer) = (pin!(work), pin!(Timer::at(end)));
        let mut is_late = false;
        poll_fn(|context| {
            if let Poll::Ready(result) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(result));
            }
            is_late = is_late || timer.as_mut().poll(context).is_ready();
            if is_late && !self.printing.get() {
                Poll::Ready(Err(TimeoutError))
            } else {
                Poll::Pending
            }
        })
        .await
    }
}

/// The server's FIN or RST is waited for so long and no longer.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// The request with the longest path and host, and the ClientHello, fit with room.
const WRITE_BUFFER_BYTES: usize = 2048;

impl<C: Console, N: Network, R: CryptoRngCore> Run<'_, C, N, R> {
    async fn go(
        &mut self,
        expectation: Expectation,
        deadlines: &Deadlines<'_>,
        report: &mut Report,
    ) -> Result<bool, Failure> {
        self.join(deadlines).await?;
        let host = &self.settings.host;
        say(self.console, &format!("connecting to {host}")).await;

        let network = &mut *self.network;
        let settings = self.settings;
        let connected = deadlines
            .within(Phase::Connect, Outcome::ConnectionFailed, connect(network, settings))
            .await;
        let mut stream = match connected {
            Ok(stream) => stream,
            Err(failure) => {
                say(self.console, "connection failed").await;
                return Err(failure);
            }
        };

        let mut exchange = Exchange {
            console: self.console,
            settings,
            tag: self.tag,
            deadlines,
            report,
            printer: None,
        };
        let provider = GuardedProvider {
            random: &mut *self.random,
            guard: Guard::new(expectation),
        };
        let result = exchange.go(&mut stream, provider).await;
        // The other side learns of the end; whether it answers makes no difference any more.
        let _ = with_deadline(Instant::now() + CLOSE_LIMIT, stream.finish()).await;
        result
    }

    async fn join(&mut self, deadlines: &Deadlines<'_>) -> Result<(), Failure> {
        let name = self.settings.network.as_deref().unwrap_or("wired network");
        say(self.console, &format!("connecting to {name}")).await;
        let join = async {
            self.network
                .join(name, self.settings.password.as_deref())
                .await
                .or_else(|error| {
                    fail(
                        Outcome::NetworkFailed,
                        match error {
                            JoinError::NotFound => "network-not-found",
                            JoinError::Refused => "network-refused",
                            JoinError::Hardware => "network-hardware",
                        },
                    )
                })
        };
        let join = deadlines.within(Phase::Network, Outcome::NetworkFailed, join);
        let address = match N::MEDIUM {
            Medium::Wired => {
                say(self.console, "........").await;
                join.await
            }
            Medium::Wireless => {
                let mut join = pin!(join);
                let mut pause = Duration::from_ticks(0);
                let address = loop {
                    match select(join.as_mut(), Timer::after(pause)).await {
                        Either::First(address) => break address,
                        Either::Second(()) => self.console.write(b".").await,
                    }
                    pause = Duration::from_millis(500);
                };
                say(self.console, "").await;
                address
            }
        }?;
        say(self.console, "WiFi connected").await;
        say(self.console, "IP address:").await;
        say(self.console, &address.to_string()).await;
        Ok(())
    }
}

async fn connect<'n, N: Network>(network: &'n mut N, settings: &Settings) -> Result<N::Stream<'n>, Failure> {
    let to = match (settings.connect_to, settings.host.parse::<Ipv4Addr>()) {
        (Some(to), _) => to,
        (None, Ok(address)) => SocketAddrV4::new(address, settings.port),
        (None, Err(_)) => match network.resolve(&settings.host).await {
            Ok(address) => SocketAddrV4::new(address, settings.port),
            Err(ResolveError::NotFound | ResolveError::Failed) => return fail(Outcome::ConnectionFailed, "dns"),
        },
    };
    network.connect(to).await.or_else(|error| {
        fail(
            Outcome::ConnectionFailed,
            match error {
                ConnectError::Refused => "tcp-refused",
                ConnectError::Unreachable => "tcp-unreachable",
                ConnectError::TimedOut => "tcp-timeout",
            },
        )
    })
}

/// What is done over an open TCP connection.
struct Exchange<'a, C> {
    console: &'a mut C,
    settings: &'a Settings,
    tag: &'a str,
    deadlines: &'a Deadlines<'a>,
    report: &'a mut Report,
    /// Prints the body of the reply, from its beginning to its end.
    printer: Option<Printer>,
}

impl<C: Console> Exchange<'_, C> {
    async fn go<S: Stream, R: CryptoRngCore>(
        &mut self,
        stream: &mut S,
        mut provider: GuardedProvider<'_, R>,
    ) -> Result<bool, Failure> {
        let watch = Watch::new();
        let mut read_buffer = vec![0; RECORD_BUFFER_BYTES];
        let mut write_buffer = vec![0; WRITE_BUFFER_BYTES];
        let mut tls = Tls {
            connection: TlsConnection::new(Records::new(stream, &watch), &mut read_buffer, &mut write_buffer),
            watch: &watch,
            closed: false,
        };

        let config = match self.settings.host.parse::<Ipv4Addr>() {
            // SNI is for names (RFC 6066, section 3).
            Ok(_) => TlsConfig::new(),
            Err(_) => TlsConfig::new().with_server_name(&self.settings.host),
        };
        let handshake = async {
            let opened = tls.connection.open(TlsContext::new(&config, &mut provider)).await;
            opened.or_else(|error| fail(Outcome::HandshakeFailed, reason(error, &watch)))
        };
        let opened = self
            .deadlines
            .within(Phase::Handshake, Outcome::HandshakeFailed, handshake)
            .await;
        watch.established();
        let in_handshake = opened.is_err();
        let opened = opened.and_then(|()| provider.guard.conclude().or_else(refuse));
        self.report.evidence = provider.guard.evidence();
        self.report.guard_passed = opened.is_ok() && !cfg!(feature = "unguarded");
        if let Err(failure) = opened {
            // The library sends an alert of its own where it finds the fault itself.
            let alert = match (self.report.evidence.refusal, watch.fault()) {
                (Some(refusal), _) => Some(refusal.alert()),
                (None, fault) => fault.and_then(RecordFault::alert),
            };
            return self.hang_up(stream, alert.filter(|_| in_handshake), failure).await;
        }

        let evidence = self.report.evidence;
        self.say(if evidence.is_mismatch() {
            "certificate doesn't match"
        } else {
            "certificate matches"
        })
        .await;

        let deadlines = self.deadlines;
        let response = self.ask(&mut tls);
        let result = deadlines
            .within(Phase::Response, Outcome::ResponseFailed, response)
            .await;
        // A body that took too long is still open.
        self.end_reply().await;
        self.say("closing connection").await;
        if !tls.closed && watch.fault().is_none() {
            // The library must not be asked to close what the server has closed.
            let _ = with_deadline(Instant::now() + CLOSE_LIMIT, tls.connection.close()).await;
        }
        result
    }

    /// Says why there is no connection, on the console and, as far as it can be told, to the server.
    async fn hang_up<S: Stream>(
        &mut self,
        stream: &mut S,
        alert: Option<u8>,
        mut failure: Failure,
    ) -> Result<bool, Failure> {
        if let Some(description) = alert {
            // Unencrypted: the library keeps its keys to itself. A server that does not expect it hangs up as well.
            let alert = [21, 3, 3, 0, 2, 2, description];
            let _ = with_deadline(Instant::now() + CLOSE_LIMIT, async {
                let _ = stream.write_all(&alert).await;
                stream.flush().await
            })
            .await;
        }
        if let Some(refusal) = self.report.evidence.refusal {
            failure = Failure {
                outcome: Outcome::Refused,
                reason: refusal.reason().into(),
            };
            if !refusal.is_by_guard() {
                self.say("certificate doesn't match").await;
                self.say("closing connection").await;
                return Err(failure);
            }
        }
        self.say("connection failed").await;
        Err(failure)
    }

    async fn ask<S: Stream>(&mut self, tls: &mut Tls<'_, S>) -> Result<bool, Failure> {
        let Settings { host, path, rule, .. } = self.settings;
        self.say(&format!("requesting URL: {path}")).await;
        tls.send(http::request(host, path).as_bytes()).await?;
        self.say("request sent").await;

        let mut bytes = Vec::new();
        let head = receive_head(tls, &mut bytes).await?;
        self.report.status = Some(head.status);
        self.say("headers received").await;
        let reply = Reply {
            body: Body::new(head.framing),
            judge: Judge::new(*rule, head.status),
            raw: *rule == RuleKind::Original,
            unprinted: Vec::new(),
        };
        self.receive_body(tls, bytes, reply).await
    }

    async fn receive_body<S: Stream>(
        &mut self,
        tls: &mut Tls<'_, S>,
        mut bytes: Vec<u8>,
        mut reply: Reply,
    ) -> Result<bool, Failure> {
        self.report.body = Some(0);
        let end = 'body: loop {
            // In pieces: a record is a fifth of the memory, and what is made of it must not be as large again.
            for piece in bytes.chunks(PIECE) {
                if let Err(error) = reply.take(piece) {
                    break 'body fail(Outcome::ResponseFailed, error.reason());
                }
                self.print(&mut reply, false).await;
                if reply.body.is_done() {
                    break;
                }
            }
            if reply.body.is_done() {
                break Ok(());
            }
            bytes.clear();
            match tls.receive(&mut bytes).await {
                Ok(true) => {}
                Ok(false) => {
                    break reply
                        .body
                        .end()
                        .or_else(|error| fail(Outcome::ResponseFailed, error.reason()));
                }
                Err(failure) => break Err(failure),
            }
        };
        self.print(&mut reply, true).await;
        self.end_reply().await;
        self.say("==========").await;
        end?;
        let judged = reply.judge.finish();
        judged.or_else(|error| fail(Outcome::ResponseFailed, error.reason()))
    }

    /// Prints the verdict as soon as there is one, and then the body.
    async fn print(&mut self, reply: &mut Reply, last: bool) {
        let decided = last || reply.unprinted.len() >= VERDICT_WINDOW || reply.judge.look_at(&[]).is_some();
        if !decided {
            return;
        }
        if self.printer.is_none() {
            let verdict = if reply.judge.settle() {
                "successfull!"
            } else {
                "has failed"
            };
            self.say(&format!("esp8266/Arduino CI {verdict}")).await;
            self.say("reply was:").await;
            self.say("==========").await;
            self.begin_reply().await;
        }
        for piece in reply.unprinted.chunks(PRINTED_AT_ONCE) {
            let printed = self.printer.get_or_insert_default().print(piece);
            self.report.body = self.report.body.map(|bytes| bytes + piece.len() as u64);
            self.write(&printed).await;
        }
        reply.unprinted.clear();
    }

    /// Marks that what is printed from here on is the server's text.
    async fn begin_reply(&mut self) {
        self.printer = Some(Printer::default());
        let mark = Answer::reply(self.tag, "begin").finish();
        self.write(mark.as_bytes()).await;
    }

    /// Marks the end of the server's text, if it has begun. A line end that had to be added is not part of it.
    async fn end_reply(&mut self) {
        let Some(mut printer) = self.printer.take() else { return };
        let line_end = printer.finish();
        let mut mark = Answer::reply(self.tag, "end");
        if !line_end.is_empty() {
            mark = mark.field("newline", "added");
        }
        let mark = [line_end, mark.finish().as_bytes()].concat();
        self.write(&mark).await;
    }

    async fn say(&mut self, line: &str) {
        self.write(format!("{line}\r\n").as_bytes()).await;
    }

    /// Prints all of `bytes`, whatever the time.
    async fn write(&mut self, bytes: &[u8]) {
        self.deadlines.printing.set(true);
        self.console.write(bytes).await;
        self.deadlines.printing.set(false);
        // A phase whose time is over ends here.
        yield_now().await;
    }
}

/// Receives the head of the final reply and takes it, and what comes before it, off `bytes`.
async fn receive_head<S: Stream>(tls: &mut Tls<'_, S>, bytes: &mut Vec<u8>) -> Result<Head, Failure> {
    let malformed = |error: http::HeadError| Failure {
        outcome: Outcome::ResponseFailed,
        reason: error.reason().into(),
    };
    // Replies before the final one, of which a server sends one or two.
    for _ in 0..=http::MAX_INTERIM {
        let end = loop {
            // However much of what follows it has come with it, a head has the same limit.
            let end = http::head_end(bytes).map_err(malformed)?;
            if end.unwrap_or(bytes.len()) > http::MAX_HEAD {
                return fail(Outcome::ResponseFailed, "head-too-long");
            }
            if let Some(end) = end {
                break end;
            }
            if !tls.receive(bytes).await? {
                return fail(Outcome::ResponseFailed, "truncated");
            }
        };
        let head = Head::parse(&bytes[..end]).map_err(malformed)?;
        bytes.drain(..end);
        if !head.is_interim() {
            return Ok(head);
        }
    }
    fail(Outcome::ResponseFailed, "too-many-interim-replies")
}

/// A body that is being received. So much of it is held back while the verdict is not known; then there is none.
struct Reply {
    body: Body,
    judge: Judge,
    /// The original rule sees and prints the body as it came, with the sizes of its chunks.
    raw: bool,
    unprinted: Vec<u8>,
}

const VERDICT_WINDOW: usize = 8192;

/// How many bytes of a body are worked on at a time.
const PIECE: usize = 1024;

/// How many bytes of a body go to the console at a time: at most 256 as they are printed, which take 22 ms at 115200
/// bit/s. So much later than its time may a phase end.
const PRINTED_AT_ONCE: usize = 64;

impl Reply {
    fn take(&mut self, bytes: &[u8]) -> Result<(), crate::body::BodyError> {
        let mut content = Vec::new();
        let (taken, result) = self.body.take(bytes, &mut content);
        if self.raw {
            content.clear();
            content.extend_from_slice(&bytes[..taken]);
        }
        self.judge.look_at(&content);
        self.unprinted.append(&mut content);
        result
    }
}

/// The TLS connection, as a stream that knows its end.
struct Tls<'a, S: Stream> {
    connection: TlsConnection<'a, Records<'a, S>, CheckedSuite>,
    watch: &'a Watch,
    /// The server has said close_notify.
    closed: bool,
}

impl<S: Stream> Tls<'_, S> {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let sent = async {
            self.connection.write_all(bytes).await?;
            self.connection.flush().await
        };
        sent.await
            .or_else(|error: TlsError| fail(Outcome::ResponseFailed, reason(error, self.watch)))
    }

    /// Appends what comes next to `bytes`; false at the end that the server has announced.
    async fn receive(&mut self, bytes: &mut Vec<u8>) -> Result<bool, Failure> {
        let received = match self.connection.read_buffered().await {
            Ok(mut buffer) => {
                bytes.extend_from_slice(buffer.pop_all());
                return Ok(true);
            }
            Err(error) => error,
        };
        if matches!(received, TlsError::ConnectionClosed) {
            self.closed = true;
            return Ok(false);
        }
        fail(Outcome::ResponseFailed, reason(received, self.watch))
    }
}

async fn say<C: Console>(console: &mut C, line: &str) {
    console.write(line.as_bytes()).await;
    console.write(b"\r\n").await;
}

fn refuse(refusal: Refusal) -> Result<(), Failure> {
    fail(Outcome::Refused, refusal.reason())
}

/// A kebab-case reason for a TLS error: the fault of a record where that was the cause, else the library's own name.
fn reason(error: TlsError, watch: &Watch) -> String {
    let alert = |description| format!("alert-{}", kebab(&format!("{description:?}")));
    if let TlsError::HandshakeAborted(_, description) = error {
        return alert(description);
    }
    match watch.fault() {
        Some(RecordFault::Alert(code)) => match AlertDescription::of(code) {
            Some(description) => alert(description),
            None => format!("alert-{code}"),
        },
        Some(fault) => fault.reason().into(),
        // The guard checks the server's signature: what the library compares is Finished.
        None if matches!(error, TlsError::InvalidSignature) => "bad-finished".into(),
        None if matches!(error, TlsError::CryptoError) => "bad-record-mac".into(),
        None => {
            let name = format!("{error:?}");
            kebab(name.split('(').next().unwrap_or(&name))
        }
    }
}

fn kebab(camel: &str) -> String {
    camel.char_indices().fold(String::new(), |mut kebab, (at, letter)| {
        if at > 0 && letter.is_ascii_uppercase() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
        kebab
    })
}
