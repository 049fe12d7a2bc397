//! The whole client on a host, against a real TLS server: what a user types, what is printed, and what the server saw.
#![cfg(not(feature = "unguarded"))]
#![expect(clippy::unwrap_used, reason = "in a test it is the shortest assertion")]

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use pinrig_app::line::LineError;
use pinrig_app::platform::{
    Board, ConnectError, Console, Identity, JoinError, Medium, Network, ResolveError, Stream, Usage,
};
use pinrig_app::shell::Shell;
use rand_core::{CryptoRng, RngCore};
use rustls::pki_types::PrivateKeyDer;
use sha1::Digest as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const BODY: &str = r#"{"state":"success","statuses":[]}"#;

#[test]
fn a_matching_pin_prints_the_original_transcript() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let seen = server.run(&[&server.sha1_pin()]);
    assert_eq!(
        seen.transcript(),
        [
            "connecting to wired network",
            "........",
            "WiFi connected",
            "IP address:",
            "127.0.0.1",
            "connecting to api.github.com",
            "certificate matches",
            "requesting URL: /repos/esp8266/Arduino/commits/master/status",
            "request sent",
            "headers received",
            "esp8266/Arduino CI successfull!",
            "reply was:",
            "==========",
            BODY,
            "==========",
            "closing connection",
        ]
    );
    seen.answers("outcome=success pin=match guard=passed status=200 body=33");
    assert_eq!(
        seen.request,
        "GET /repos/esp8266/Arduino/commits/master/status HTTP/1.1\r\nHost: api.github.com\r\n\
         User-Agent: BuildFailureDetectorESP8266\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn a_sha256_pin_works_as_well() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    server
        .run(&[&format!("set pin {}", hex(&sha2::Sha256::digest(&server.leaf)))])
        .answers("outcome=success pin=match");
}

#[test]
fn a_mismatch_aborts_before_a_byte_is_sent() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let seen = server.run(&[&format!("set pin {}", "ab".repeat(20))]);
    assert_eq!(
        seen.transcript()[6..],
        ["certificate doesn't match", "closing connection"]
    );
    seen.answers("outcome=refused pin=mismatch guard=unchecked reason=pin-mismatch");
    seen.answers(&format!("fingerprint={}", hex(&sha1::Sha1::digest(&server.leaf))));
    assert_eq!(seen.request, "", "the server got application data");
    assert!(
        seen.server_error.contains("BadCertificate"),
        "the server was not told: {}",
        seen.server_error
    );
}

#[test]
fn a_mismatch_goes_on_where_the_policy_says_so() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let seen = server.run(&[&format!("set pin {}", "ab".repeat(20)), "set on-mismatch continue"]);
    assert_eq!(seen.transcript()[6], "certificate doesn't match");
    seen.answers("outcome=success pin=mismatch guard=passed status=200");
    assert!(seen.request.starts_with("GET /repos/"));
}

#[test]
fn names_are_checked_where_asked() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let pin = server.sha1_pin();
    server
        .run(&[&pin, "set check-name on"])
        .answers("outcome=success pin=match guard=passed name=match");
    let seen = server.run(&[&pin, "set check-name on", "set host evil.example"]);
    seen.answers("outcome=refused pin=unchecked guard=unchecked name=mismatch reason=name-mismatch");
    assert_eq!(seen.request, "");
    server
        .run(&[&pin, "set host evil.example"])
        .answers("outcome=success pin=match");
}

#[test]
fn another_key_behind_the_pinned_certificate_is_refused() {
    let mut server = Server::with_reply(&reply("200 OK", "", BODY));
    server.key = key();
    let seen = server.run(&[&server.sha1_pin()]);
    seen.answers("outcome=refused pin=unchecked guard=refused reason=bad-signature");
    assert_eq!(seen.transcript().last(), Some(&"connection failed"));
    assert_eq!(seen.request, "");
}

#[test]
fn replies_are_judged_by_the_rule_that_was_set() {
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        &BODY[..5],
        BODY.len() - 5,
        &BODY[5..]
    );
    let pretty = reply("200 OK", "", "{\n  \"state\": \"success\"\n}\n");
    for (reply, rule, answer) in [
        (&chunked, "original", "outcome=failed pin=match"),
        (&chunked, "robust", "outcome=success pin=match"),
        (&pretty, "original", "outcome=failed pin=match"),
        (&pretty, "robust", "outcome=success pin=match"),
        (&reply("403 Forbidden", "", BODY), "robust", "outcome=failed pin=match"),
        (
            &reply("200 OK", "", r#"{"state":"failure"}"#),
            "original",
            "outcome=failed",
        ),
    ] {
        let server = Server::with_reply(reply);
        server
            .run(&[&server.sha1_pin(), &format!("set rule {rule}")])
            .answers(answer);
    }
    let server = Server::with_reply(&chunked);
    let seen = server.run(&[&server.sha1_pin(), "set rule original"]);
    assert_eq!(
        seen.transcript()[10..14],
        ["esp8266/Arduino CI has failed", "reply was:", "==========", "5"]
    );
}

#[test]
fn a_long_reply_is_printed_whole() {
    let body = format!(
        "{{\"statuses\":[{}],\"state\":\"success\"}}",
        vec!["{\"state\":\"failure\"}"; 4000].join(",")
    );
    let server = Server::with_reply(&reply("200 OK", "", &body));
    let seen = server.run(&[&server.sha1_pin()]);
    assert_eq!(seen.transcript()[13], body);
    seen.answers(&format!(
        "outcome=failed pin=match guard=passed reason=build-not-successful status=200 body={}",
        body.len()
    ));
    // The state comes later than the client can wait for before it starts to print.
    server
        .run(&[&server.sha1_pin(), "set rule robust"])
        .answers("outcome=failed");
}

#[test]
fn broken_replies_are_named() {
    for (reply, reason) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"state\":\"success\"}",
            "truncated",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
            "ambiguous-length",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense",
            "malformed-chunk",
        ),
        ("SSH-2.0-OpenSSH\r\n\r\n", "malformed-head"),
        ("HTTP/1.1 200", "truncated"),
        (&format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(9000)), "head-too-long"),
    ] {
        let server = Server::with_reply(reply);
        let seen = server.run(&[&server.sha1_pin()]);
        seen.answers("outcome=response-failed pin=match guard=passed");
        seen.answers(&format!("reason={reason}"));
        assert_eq!(seen.transcript().last(), Some(&"closing connection"));
    }
}

#[test]
fn the_end_of_a_reply_must_be_announced_by_the_server_itself() {
    // No close_notify behind a body that ends with the connection: anyone on the path could have cut it.
    let mut server = Server::with_reply("HTTP/1.1 200 OK\r\n\r\n{\"state\":\"success\"}");
    server.run(&[&server.sha1_pin()]).answers("outcome=success");
    server.behaviour = Behaviour::CutAfterReply;
    server
        .run(&[&server.sha1_pin()])
        .answers("outcome=response-failed pin=match guard=passed reason=connection-closed");
    server.behaviour = Behaviour::ForgeCloseAfterReply;
    server
        .run(&[&server.sha1_pin()])
        .answers("outcome=response-failed pin=match guard=passed reason=unexpected-message");
}

#[test]
fn every_wait_has_a_limit_that_names_itself() {
    let mut server = Server::with_reply("");
    let pin = server.sha1_pin();
    server.behaviour = Behaviour::SilentAfterTcp;
    server
        .run(&[&pin, "set timeout handshake 100"])
        .answers("outcome=handshake-failed pin=unchecked guard=unchecked reason=timeout-handshake");
    server
        .run(&[&pin, "set timeout total 100"])
        .answers("outcome=handshake-failed pin=unchecked guard=unchecked reason=timeout-total");
    server.behaviour = Behaviour::SilentAfterHandshake;
    server
        .run(&[&pin, "set timeout response 300"])
        .answers("outcome=response-failed pin=match guard=passed reason=timeout-response");
}

#[test]
fn failures_before_tls_are_told_apart() {
    let server = Server::with_reply("");
    let pin = server.sha1_pin();
    server
        .run(&[&pin, "set connect-to none", "set host nowhere.example"])
        .answers("outcome=connection-failed pin=unchecked guard=unchecked reason=dns");
    server
        .run(&[&pin, "set connect-to 127.0.0.1:1"])
        .answers("outcome=connection-failed pin=unchecked guard=unchecked reason=tcp-refused");
}

#[test]
fn a_server_without_tls_1_3_says_so_by_alert() {
    let mut server = Server::with_reply(&reply("200 OK", "", BODY));
    server.version = &rustls::version::TLS12;
    server
        .run(&[&server.sha1_pin()])
        .answers("outcome=handshake-failed pin=unchecked guard=unchecked reason=alert-protocol-version");
}

#[test]
fn a_hostile_body_cannot_imitate_machine_lines() {
    let server = Server::with_reply(&reply(
        "200 OK",
        "",
        "x\n@- panic message=\"no\"\n@t ok run outcome=success\n",
    ));
    let seen = server.run(&[&server.sha1_pin()]);
    assert_eq!(
        seen.output.lines().filter(|line| line.starts_with('@')).count(),
        4,
        "{}",
        seen.output
    );
    seen.answers("outcome=failed");
}

#[test]
fn the_console_answers_with_tags_and_survives_nonsense() {
    let mut input = b"#a1 hello\n#a1 set pin zz\n\xff\xfe\n".to_vec();
    input.extend_from_slice(&[b'x'; 2000]);
    input.extend_from_slice(b"\n#b2 set password hunter2hunter2\n#b3 show\n#b4 run\n#b5 reboot\nhello\n");
    let output = console(&input);
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(
        lines[0],
        "@- ready firmware=pinrig-host version=0 image=0123456789abcdef board=host console=1 reset=power-on"
    );
    assert_eq!(
        lines[1],
        "@a1 ok hello firmware=pinrig-host version=0 image=0123456789abcdef board=host console=1 reset=power-on"
    );
    assert_eq!(
        lines[2],
        "@a1 error set code=bad-pin detail=\"pin: expected two hexadecimal digits at position 1\""
    );
    assert!(lines[3].starts_with("@- error line code=not-utf8 "));
    assert!(lines[4].starts_with("@- error line code=too-long "));
    assert_eq!(lines[5], "@b2 ok set");
    assert!(
        lines[6].starts_with("@b3 ok show network=none password=set host=api.github.com port=443 connect-to=none ")
    );
    assert_eq!(
        lines[7],
        "@b4 error run code=not-configured detail=\"use: set pin <fingerprint>\""
    );
    assert_eq!(lines[8..], ["@b5 ok reboot"], "the board went on after its reset");
    assert!(!output.contains("hunter2"));
}

// ---- the server ----

struct Server {
    leaf: Vec<u8>,
    key: rcgen::KeyPair,
    reply: Vec<u8>,
    behaviour: Behaviour,
    version: &'static rustls::SupportedProtocolVersion,
}

#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    Reply,
    SilentAfterTcp,
    SilentAfterHandshake,
    CutAfterReply,
    ForgeCloseAfterReply,
}

/// What came of one run.
struct Seen {
    output: String,
    /// The application data that the server received.
    request: String,
    server_error: String,
}

impl Server {
    fn with_reply(reply: &str) -> Self {
        let key = key();
        let params = rcgen::CertificateParams::new(["api.github.com".into()]).unwrap();
        let leaf = params.self_signed(&key).unwrap().der().to_vec();
        Self {
            leaf,
            key,
            reply: reply.into(),
            behaviour: Behaviour::Reply,
            version: &rustls::version::TLS13,
        }
    }

    fn sha1_pin(&self) -> String {
        format!("set pin {}", hex(&sha1::Sha1::digest(&self.leaf)))
    }

    /// Sets what is to be set, runs once, and returns what both sides saw.
    fn run(&self, settings: &[&str]) -> Seen {
        let _one = one_at_a_time();
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let mut input = format!("set connect-to {}\n", listener.local_addr().unwrap());
                for line in settings {
                    input += &format!("{line}\n");
                }
                input += "#t run\n";
                let client = shell(input.as_bytes());
                let served = async {
                    let accepted = tokio::time::timeout(Duration::from_secs(10), listener.accept()).await;
                    self.serve(accepted.unwrap().unwrap().0).await
                };
                tokio::pin!(client, served);
                // A run that never connects leaves the server waiting: the client's end ends the test.
                let (output, (request, server_error)) = tokio::select! {
                    output = &mut client => {
                        let served = tokio::time::timeout(Duration::from_millis(300), served).await;
                        (output, served.unwrap_or_default())
                    }
                    served = &mut served => (client.await, served),
                };
                Seen {
                    output,
                    request,
                    server_error,
                }
            })
    }

    async fn serve(&self, mut tcp: TcpStream) -> (String, String) {
        if self.behaviour == Behaviour::SilentAfterTcp {
            let _ = tcp.read_to_end(&mut Vec::new()).await;
            return Default::default();
        }
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let signer = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        let chain = Arc::new(rustls::sign::CertifiedKey::new(vec![self.leaf.clone().into()], signer));
        let config = rustls::ServerConfig::builder_with_protocol_versions(&[self.version])
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(chain)));
        let mut tls = match tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(tcp).await {
            Ok(tls) => tls,
            Err(error) => return (String::new(), error.to_string()),
        };
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.ends_with(b"\r\n\r\n") {
            match tls.read(&mut buffer).await {
                Ok(0) => break,
                Ok(count) => request.extend_from_slice(&buffer[..count]),
                Err(error) => return (String::from_utf8(request).unwrap(), error.to_string()),
            }
        }
        let request = String::from_utf8(request).unwrap();
        if self.behaviour == Behaviour::SilentAfterHandshake {
            let _ = tls.read(&mut buffer).await;
            return (request, String::new());
        }
        let _ = tls.write_all(&self.reply).await;
        let _ = tls.flush().await;
        match self.behaviour {
            Behaviour::ForgeCloseAfterReply => {
                // What anyone on the path can do: an unencrypted close_notify.
                let tcp = tls.get_mut().0;
                let _ = tcp.write_all(&[21, 3, 3, 0, 2, 1, 0]).await;
                let _ = tcp.read_to_end(&mut Vec::new()).await;
            }
            Behaviour::CutAfterReply => {}
            _ => {
                let _ = tls.shutdown().await;
                let _ = tls.read_to_end(&mut Vec::new()).await;
            }
        }
        (request, String::new())
    }
}

impl Seen {
    /// The lines for people.
    fn transcript(&self) -> Vec<&str> {
        self.output.lines().filter(|line| !line.starts_with('@')).collect()
    }

    /// Checks that the run's answer contains `part`.
    #[track_caller]
    fn answers(&self, part: &str) {
        let answer = self.output.lines().last().unwrap();
        assert!(
            answer.starts_with("@t ok run ") && answer.contains(part),
            "{part}\nnot in\n{}",
            self.output
        );
    }
}

fn reply(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn key() -> rcgen::KeyPair {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

// ---- the board ----

fn console(input: &[u8]) -> String {
    let _one = one_at_a_time();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(shell(input))
}

/// The client keeps the state of its one connection in a static, as a board does.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn shell(input: &[u8]) -> String {
    let mut output = Vec::new();
    let console = HostConsole {
        input: input.iter().copied().collect(),
        lines: Default::default(),
        output: &mut output,
    };
    Shell::new(console, Loopback, HostBoard, TestRandom(1)).serve().await;
    String::from_utf8(output).unwrap()
}

struct HostConsole<'a> {
    input: VecDeque<u8>,
    lines: pinrig_app::line::LineBuffer,
    output: &'a mut Vec<u8>,
}

impl Console for HostConsole<'_> {
    async fn read_line(&mut self, line: &mut Vec<u8>) -> Result<(), LineError> {
        while let Some(byte) = self.input.pop_front() {
            if let Some(result) = self.lines.push(byte, line) {
                return result;
            }
        }
        Err(LineError::Closed)
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }
}

struct HostBoard;

impl Board for HostBoard {
    fn identity(&self) -> Identity {
        Identity {
            firmware: "pinrig-host",
            version: "0",
            image: "0123456789abcdef".into(),
            board: "host",
            reset: "power-on",
        }
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn reset(&mut self) {}

    #[cfg(feature = "test-commands")]
    fn hang(&mut self) {}
}

struct Loopback;

impl Network for Loopback {
    type Stream<'a> = HostStream;

    const MEDIUM: Medium = Medium::Wired;

    async fn join(&mut self, _: &str, _: Option<&str>) -> Result<Ipv4Addr, JoinError> {
        Ok(Ipv4Addr::LOCALHOST)
    }

    async fn resolve(&mut self, _: &str) -> Result<Ipv4Addr, ResolveError> {
        Err(ResolveError::NotFound)
    }

    async fn connect(&mut self, to: SocketAddrV4) -> Result<HostStream, ConnectError> {
        TcpStream::connect(to)
            .await
            .map(HostStream)
            .map_err(|_| ConnectError::Refused)
    }
}

struct HostStream(TcpStream);

impl Stream for HostStream {
    async fn finish(&mut self) {
        let _ = self.0.shutdown().await;
    }
}

impl embedded_io_async::ErrorType for HostStream {
    type Error = ErrorKindError;
}

#[derive(Debug)]
struct ErrorKindError(ErrorKind);

impl std::fmt::Display for ErrorKindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for ErrorKindError {}

impl embedded_io_async::Error for ErrorKindError {
    fn kind(&self) -> embedded_io_async::ErrorKind {
        embedded_io_async::ErrorKind::Other
    }
}

impl embedded_io_async::Read for HostStream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKindError> {
        self.0.read(buffer).await.map_err(|error| ErrorKindError(error.kind()))
    }
}

impl embedded_io_async::Write for HostStream {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKindError> {
        self.0.write(bytes).await.map_err(|error| ErrorKindError(error.kind()))
    }

    async fn flush(&mut self) -> Result<(), ErrorKindError> {
        self.0.flush().await.map_err(|error| ErrorKindError(error.kind()))
    }
}

/// Not random at all: a test's keys are worth nothing.
struct TestRandom(u64);

impl CryptoRng for TestRandom {}

impl RngCore for TestRandom {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ word >> 31
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}
