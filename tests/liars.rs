//! Devices that lie: each says exactly what its scenario wants to hear, and does something else on the network. A verdict that
//! believed the device alone would pass them.
//!
//! The device is a thread at a pseudo terminal, with a TLS client of its own that accepts every certificate.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod support;

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pinrig::bench::{Bench, Route, Seat};
use pinrig::board::flash::{FlashProgress, FlashReport};
use pinrig::board::{Board, BoardError, BootMode, Console, LinkSettings, Recorder, Reset};
use pinrig::evidence::RecordedFile;
use pinrig::image::Image;
use pinrig::run::{RunLimits, Runner};
use pinrig::scenario::{self, Build, Expectation, Rule, Run, Scenario, Service};
use pinrig::scenario::{Name, Pin};
use pinrig::verdict::{Blame, Verdict};
use pinrig_certs::Fingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, Stream};
use serialport::{SerialPort, TTYPort};

/// What a device does, whatever it says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lie {
    /// None: it fetches the reply once, as it says.
    None,
    /// It never connects.
    NeverConnects,
    /// It opens a connection and closes it without a word.
    Knocks,
    /// It completes the handshake and sends nothing.
    SendsNothing,
    /// It fetches the reply from a server that it says it has refused.
    IgnoresTheCertificate,
    /// It sends one byte to a server that it says it has refused.
    Leaks,
    /// It connects, leaves, and does all of it again.
    Retries,
    /// It sends its request twice over one connection.
    RequestsTwice,
    /// It asks for another path.
    OtherPath,
    /// It names another host.
    OtherHost,
    /// It sends more behind its request.
    TrailingBytes,
    /// It says the right words to machines and nothing to people.
    SpeaksWithOneVoice,
    /// It says the fingerprint of another certificate.
    OtherFingerprint,
    /// It prints the reply without saying that it ends.
    ReplyWithoutEnd,
    /// It marks the reply with a tag that every server knows.
    ReplyMarkedForAll,
    /// It prints another text than the server sent.
    OtherReply,
    /// It refuses, and then sends what it knows in clear.
    TalksAfterItsAlert,
    /// It answers with the tag of an earlier command.
    StaleAnswer,
}

const LIES: [Lie; 17] = [
    Lie::NeverConnects,
    Lie::Knocks,
    Lie::SendsNothing,
    Lie::IgnoresTheCertificate,
    Lie::Leaks,
    Lie::Retries,
    Lie::RequestsTwice,
    Lie::OtherPath,
    Lie::OtherHost,
    Lie::TrailingBytes,
    Lie::SpeaksWithOneVoice,
    Lie::OtherFingerprint,
    Lie::ReplyWithoutEnd,
    Lie::ReplyMarkedForAll,
    Lie::OtherReply,
    Lie::TalksAfterItsAlert,
    Lie::StaleAnswer,
];

impl Lie {
    /// Whether it is a lie where this is expected.
    fn is_told_about(self, run: &Run) -> bool {
        let expectation = &run.expect;
        let accepted = matches!(expectation, Expectation::Accepted { .. });
        let refused = matches!(expectation, Expectation::Refused { .. });
        let connected = accepted
            || refused
            || matches!(
                expectation,
                Expectation::HandshakeFailed { .. } | Expectation::ResponseFailed { .. }
            );
        match self {
            Self::None
            | Self::SendsNothing
            | Self::RequestsTwice
            | Self::OtherPath
            | Self::OtherHost
            | Self::TrailingBytes
            | Self::SpeaksWithOneVoice
            | Self::OtherFingerprint => accepted,
            // Where the server sends no body, or one of which a client may take more or less, there is nothing to mark.
            Self::ReplyWithoutEnd | Self::ReplyMarkedForAll | Self::OtherReply => accepted && whole_body(run).is_some(),
            Self::IgnoresTheCertificate | Self::Leaks | Self::TalksAfterItsAlert => refused,
            Self::Retries => accepted || refused,
            Self::NeverConnects => connected,
            // A server that resets the connection at once cannot tell a knock from an honest device.
            Self::Knocks => connected && !run.resets_at_once(),
            Self::StaleAnswer => true,
        }
    }
}

#[test]
fn a_device_that_lies_passes_nothing_that_it_lies_about() {
    let scenarios: Vec<Scenario> = scenario::load_all(&support::fixtures())
        .unwrap()
        .into_iter()
        // A lie in the first run decides the scenario.
        .filter(|scenario| scenario.runs.len() == 1 && scenario.repeat == 1 && !scenario.disturbs_network())
        // To a liar a variant is the same as its scenario.
        .filter(|scenario| scenario.variant.is_none())
        .collect();
    let mut table = String::new();
    for lie in LIES {
        let told = tell(lie, &scenarios);
        let believed: Vec<&str> = told
            .iter()
            .filter(|told| told.blame.is_none())
            .map(|told| told.name.as_str())
            .collect();
        let other: Vec<&Told> = told
            .iter()
            .filter(|told| !matches!(told.blame, None | Some(Blame::Assertion)))
            .filter(|told| lie != Lie::StaleAnswer || told.blame != Some(Blame::Hang))
            .collect();
        table += &format!(
            "{lie:?}: told {} times, believed {} times\n",
            told.len(),
            believed.len()
        );
        assert!(told.len() >= 20, "{lie:?} was told about {} scenarios only", told.len());
        assert_eq!(believed, Vec::<&str>::new(), "{lie:?} was believed\n{table}");
        assert!(other.is_empty(), "{lie:?} failed for another reason: {other:?}");
    }
}

/// Without a lie the same device passes, so that it is the lies that fail.
#[test]
fn the_same_device_passes_when_it_does_what_it_says() {
    let scenarios: Vec<Scenario> = ["pin/matches", "pin/matches-sha256", "http/chunked-robust", "name/exact"]
        .into_iter()
        .map(support::scenario)
        .collect();
    let told = tell(Lie::None, &scenarios);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().all(|told| told.blame.is_none()), "{told:?}");
}

/// What came of one lie about one scenario.
#[derive(Debug)]
struct Told {
    name: String,
    /// `None` where it was believed.
    blame: Option<Blame>,
    #[expect(dead_code, reason = "shown where a test fails")]
    findings: Vec<String>,
}

/// Tells `lie` about each of `scenarios` that it can be told about.
fn tell(lie: Lie, scenarios: &[Scenario]) -> Vec<Told> {
    let image = Image::load(&support::firmware()).unwrap();
    let scenarios: Vec<&Scenario> = scenarios
        .iter()
        .filter(|scenario| lie.is_told_about(&scenario.runs[0]))
        .collect();
    let next = AtomicUsize::new(0);
    let told = Mutex::new(Vec::new());
    let out = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        // Most of it is waiting.
        for _ in 0..12 {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = tell_one(lie, scenario, &image, out.path());
                    told.lock().unwrap().extend(one);
                }
            });
        }
    });
    told.into_inner().unwrap()
}

/// `None` where the server did not let the device do what it wanted to do.
fn tell_one(lie: Lie, scenario: &Scenario, image: &Image, out: &Path) -> Option<Told> {
    let bench = LyingBench {
        script: Arc::new(Script {
            lie,
            run: scenario.runs[0].clone(),
            identity: image.identity().to_owned(),
            done: AtomicBool::new(false),
            over: AtomicBool::new(false),
        }),
    };
    let mut limits = RunLimits::default();
    if lie == Lie::StaleAnswer {
        // An answer that never comes need not be waited for.
        (limits.run, limits.setting) = (Duration::from_millis(300), Duration::from_millis(300));
    }
    let runner = Runner {
        limits,
        ..support::runner(&bench, image, out)
    };
    let outcome = runner.run(scenario);
    let (blame, findings) = match outcome.verdict {
        Verdict::Passed => (None, Vec::new()),
        Verdict::Failed(failure) => (Some(failure.blame), failure.findings),
    };
    let done = bench.script.done.load(Ordering::SeqCst);
    done.then(|| Told {
        name: scenario.name.clone(),
        blame,
        findings,
    })
}

/// What a device says and does.
struct Script {
    lie: Lie,
    run: Run,
    identity: String,
    /// It has done what the lie is about.
    done: AtomicBool,
    /// The scenario's own run is over. What follows is the run with an honest server, in which the device is honest.
    over: AtomicBool,
}

impl Script {
    /// Does on the network what the lie asks for. `false` where the server did not let it.
    fn act(&self, server: SocketAddr) -> bool {
        let (path, host) = (self.run.device.path.as_str(), self.run.device.host.as_str());
        let once = request(path, host);
        let fetch = |bytes: &str| self.talk(server, bytes, Ends::AfterTheReply).is_ok();
        match self.lie {
            Lie::None
            | Lie::IgnoresTheCertificate
            | Lie::SpeaksWithOneVoice
            | Lie::OtherFingerprint
            | Lie::ReplyWithoutEnd
            | Lie::ReplyMarkedForAll
            | Lie::OtherReply => fetch(&once),
            Lie::TalksAfterItsAlert => self.talks_after_its_alert(server).is_some(),
            Lie::NeverConnects | Lie::StaleAnswer => true,
            Lie::Knocks => TcpStream::connect(server).is_ok(),
            Lie::SendsNothing => self.talk(server, "", Ends::AtOnce).is_ok(),
            Lie::Leaks => self.talk(server, "G", Ends::AtOnce).is_ok(),
            Lie::Retries if matches!(self.run.expect, Expectation::Refused { .. }) => {
                self.refuse(server) && self.refuse(server)
            }
            Lie::Retries => fetch(&once) && fetch(&once),
            Lie::RequestsTwice => fetch(&format!("{once}{once}")),
            Lie::OtherPath => fetch(&request("/somewhere/else", host)),
            Lie::OtherHost => fetch(&request(path, "elsewhere.example.net")),
            Lie::TrailingBytes => fetch(&format!("{once}more")),
        }
    }

    fn connect(&self, server: SocketAddr, accepts: bool) -> Option<(ClientConnection, TcpStream)> {
        let name = ServerName::try_from(self.run.device.host.clone()).ok()?;
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier { accepts }))
            .with_no_client_auth();
        let socket = TcpStream::connect(server).ok()?;
        // A server that stalls on purpose is not waited for: it does not let the device do anything.
        socket.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        Some((ClientConnection::new(Arc::new(config), name).ok()?, socket))
    }

    fn talk(&self, server: SocketAddr, bytes: &str, ends: Ends) -> std::io::Result<()> {
        let (mut connection, mut socket) = self.connect(server, true).ok_or(std::io::ErrorKind::NotConnected)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let mut stream = Stream::new(&mut connection, &mut socket);
        stream.write_all(bytes.as_bytes())?;
        stream.flush()?;
        if ends == Ends::AfterTheReply {
            // Whatever comes: the reply may be cut on purpose.
            let _ = stream.read_to_end(&mut Vec::new());
        }
        connection.send_close_notify();
        let _ = connection.write_tls(&mut socket);
        Ok(())
    }

    /// Refuses the certificate, as an honest client does. `false` where it never came to that.
    fn refuse(&self, server: SocketAddr) -> bool {
        let Some((mut connection, mut socket)) = self.connect(server, false) else {
            return false;
        };
        loop {
            match connection.complete_io(&mut socket) {
                Ok(_) if connection.is_handshaking() => {}
                Ok(_) => return false,
                Err(error) => return error.to_string().contains("invalid peer certificate"),
            }
        }
    }

    /// Says hello, refuses by an alert in clear, and goes on.
    fn talks_after_its_alert(&self, server: SocketAddr) -> Option<()> {
        let (mut connection, mut socket) = self.connect(server, false)?;
        connection.write_tls(&mut socket).ok()?;
        socket.read_exact(&mut [0]).ok()?;
        socket.write_all(b"\x15\x03\x03\x00\x02\x02\x2asecret").ok()?;
        socket.shutdown(std::net::Shutdown::Write).ok()?;
        // The server ends the connection, in order or not.
        let _ = socket.read_to_end(&mut Vec::new());
        Some(())
    }

    /// The server's reply between its marks, as a device prints it, and the size of its body.
    fn reply(&self, tag: &str) -> (String, Option<usize>) {
        let accepted = matches!(self.run.expect, Expectation::Accepted { .. });
        let Some(body) = whole_body(&self.run).filter(|_| accepted) else {
            return (String::new(), None);
        };
        let text = match self.lie {
            Lie::OtherReply => "{}".into(),
            _ => String::from_utf8_lossy(&body),
        };
        let tag = if self.lie == Lie::ReplyMarkedForAll { "-" } else { tag };
        let end = match self.lie {
            Lie::ReplyWithoutEnd => String::new(),
            _ => format!("@{tag} reply end newline=added\r\n"),
        };
        (format!("@{tag} reply begin\r\n{text}\r\n{end}"), Some(body.len()))
    }

    /// What it says of the certificate that was shown.
    fn fingerprint(&self) -> String {
        let leaf = match self.lie {
            Lie::OtherFingerprint => Some(b"another certificate".to_vec()),
            _ => self.run.shown_leaf(),
        };
        let digest = |leaf: Vec<u8>| Fingerprint::sha1_of(&leaf).to_string().replace(':', "").to_lowercase();
        leaf.map(|leaf| format!(" fingerprint={}", digest(leaf)))
            .unwrap_or_default()
    }

    /// The lines of the result, as an honest device would print them if it had seen what is expected.
    fn words(&self) -> (Vec<&'static str>, String) {
        let about = |pin: &Pin| match pin {
            Pin::Match => vec!["certificate matches"],
            Pin::Mismatch => vec!["certificate doesn't match"],
            Pin::Unchecked => vec![],
        };
        match &self.run.expect {
            Expectation::Accepted { build, pin, name, .. } => {
                let (outcome, line) = match build {
                    Build::Success => ("success", "esp8266/Arduino CI successfull!"),
                    Build::Failed => ("failed reason=build-not-successful", "esp8266/Arduino CI has failed"),
                };
                let lines = [about(pin), vec![line, "closing connection"]].concat();
                (lines, format!("outcome={outcome} pin={pin} name={name}"))
            }
            Expectation::Refused { reason, pin, name } => {
                let by_certificate = *pin == Pin::Mismatch
                    || *name == Name::Mismatch
                    || matches!(reason.as_str(), "expired" | "not-yet-valid");
                let lines = about(if by_certificate {
                    &Pin::Mismatch
                } else {
                    &Pin::Unchecked
                });
                (lines, format!("outcome=refused reason={reason} pin={pin} name={name}"))
            }
            Expectation::HandshakeFailed { reason, pin } => (
                vec!["connection failed"],
                format!("outcome=handshake-failed reason={reason} pin={pin}"),
            ),
            Expectation::ResponseFailed { reason, pin } => {
                (about(pin), format!("outcome=response-failed reason={reason} pin={pin}"))
            }
            Expectation::Unreachable { reason } => (
                vec!["connection failed"],
                format!("outcome=connection-failed reason={reason} pin=unchecked"),
            ),
            Expectation::NoNetwork { reason } => (vec![], format!("outcome=network-failed reason={reason}")),
            Expectation::CommandRejected { .. } => (vec![], "outcome=success pin=match".to_owned()),
        }
    }

    /// Answers one line of the console.
    fn answer(&self, line: &str, server: SocketAddr) -> String {
        let (tag, command) = line
            .strip_prefix('#')
            .and_then(|line| line.split_once(' '))
            .unwrap_or(("-", line));
        match (command, &self.run.expect) {
            ("hello", _) => format!("@{tag} ok hello {}\r\n", self.greeting()),
            (refused, Expectation::CommandRejected { command, code }) if refused.starts_with(command.as_str()) => {
                self.done.store(self.lie == Lie::StaleAnswer, Ordering::SeqCst);
                let tag = if self.lie == Lie::StaleAnswer {
                    "0123456789ab"
                } else {
                    tag
                };
                format!("@{tag} error {command} code={code} detail=\"no\"\r\n")
            }
            ("run", _) if self.over.swap(true, Ordering::SeqCst) => {
                let honest = Self {
                    lie: Lie::None,
                    run: Run::honest(),
                    identity: self.identity.clone(),
                    done: AtomicBool::new(false),
                    over: AtomicBool::new(false),
                };
                honest.answer(line, server)
            }
            ("run", _) => {
                let acted = self.act(server);
                self.done.store(acted, Ordering::SeqCst);
                let (lines, result) = self.words();
                let (reply, size) = self.reply(tag);
                let size = size.map(|size| format!(" body={size}")).unwrap_or_default();
                let seen = matches!(
                    self.run.expect,
                    Expectation::Accepted { .. } | Expectation::Refused { .. }
                );
                let leaf = if seen { self.fingerprint() } else { String::new() };
                let lines: String = match self.lie {
                    Lie::SpeaksWithOneVoice => String::new(),
                    _ => lines.iter().map(|line| format!("{line}\r\n")).collect(),
                };
                let tag = if self.lie == Lie::StaleAnswer {
                    "0123456789ab"
                } else {
                    tag
                };
                format!("{lines}{reply}@{tag} ok run {result}{size}{leaf}\r\n")
            }
            (command, _) => format!("@{tag} ok {command}\r\n"),
        }
    }

    fn greeting(&self) -> String {
        format!("firmware=liar version=1 image={} board=virtual", self.identity)
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Ends {
    AtOnce,
    AfterTheReply,
}

/// The body that every client has which takes the reply whole; `None` where there is none.
fn whole_body(run: &Run) -> Option<Vec<u8>> {
    let Service::Tls(tls) = &run.service else { return None };
    let body = tls.reply.received_body(run.device.rule == Rule::Robust);
    body.filter(|body| !body.is_empty())
}

fn request(path: &str, host: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: BuildFailureDetectorESP8266\r\nConnection: close\r\n\r\n"
    )
}

/// A bench of one board that lies.
struct LyingBench {
    script: Arc<Script>,
}

impl Bench for LyingBench {
    fn name(&self) -> String {
        "liar".to_owned()
    }

    fn prepare(&self, _: &Image, _: FlashProgress<'_>) -> Result<FlashReport, BoardError> {
        Ok(FlashReport::default())
    }

    fn seat(&self) -> Result<Box<dyn Seat + '_>, BoardError> {
        Ok(Box::new(LyingSeat(Arc::clone(&self.script))))
    }
}

struct LyingSeat(Arc<Script>);

impl Seat for LyingSeat {
    fn server_address(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn board(self: Box<Self>, route: &Route) -> Result<Board, BoardError> {
        let (far_end, port) = TTYPort::pair().unwrap();
        let tty = PathBuf::from(port.name().unwrap_or_default());
        Ok(Board {
            name: "liar".to_owned(),
            image: None,
            console: Console::on(&tty, port)?,
            link: LinkSettings {
                network: "pinrig".to_owned(),
                password: None,
                connect_to: None,
            },
            dialect: None,
            patience: Arc::default(),
            reset: Box::new(Power {
                script: self.0,
                server: route.server,
                far_end: Some(far_end),
            }),
            debugger: None,
            network: None,
            witness: None,
            recorder: Box::new(NothingElse),
        })
    }
}

/// Starts the device's thread at the first reset. The thread ends with its console.
struct Power {
    script: Arc<Script>,
    server: SocketAddr,
    far_end: Option<TTYPort>,
}

impl Reset for Power {
    fn reset(&mut self, _: BootMode) -> Result<(), BoardError> {
        let Some(mut port) = self.far_end.take() else {
            return Ok(());
        };
        let (script, server) = (Arc::clone(&self.script), self.server);
        thread::spawn(move || {
            port.set_timeout(Duration::from_secs(3600)).unwrap();
            let mut writer = port.try_clone_native().unwrap();
            let _ = write!(writer, "@- ready {}\r\n", script.greeting());
            for line in BufReader::new(port).lines().map_while(Result::ok) {
                if line.is_empty() {
                    continue;
                }
                let answer = script.answer(&line, server);
                if writer.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Ok(())
    }
}

struct NothingElse;

impl Recorder for NothingElse {
    fn files(&self) -> Vec<RecordedFile> {
        Vec::new()
    }

    fn skipped(&self) -> Duration {
        Duration::ZERO
    }

    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Accepts every certificate, or none.
#[derive(Debug)]
struct Verifier {
    accepts: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.accepts {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::UnknownIssuer,
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for LyingBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LyingBench").field("lie", &self.script.lie).finish()
    }
}
