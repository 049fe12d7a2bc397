//! The client's shell on a host: a console in memory, this machine's network, facts about no board.

use std::collections::VecDeque;
use std::future::pending;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pinrig_app::line::{LineBuffer, LineError};
use pinrig_app::platform::{
    Board, ConnectError, Console, Identity, JoinError, Medium, Network, ResolveError, Stream, Usage,
};
use pinrig_app::shell::Shell;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::support::random::TestRandom;
use crate::support::server::{Served, Server};

/// A client that has no end of its own is given up after this time.
const LONGEST_SCRIPT: Duration = Duration::from_secs(120);

/// What came of the runs of one shell.
#[derive(Debug)]
pub(crate) struct Seen {
    /// All that the shell printed.
    pub(crate) output: String,
    /// The connections that the server saw.
    pub(crate) served: Vec<Served>,
}

/// What is not as it should be with the board.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Trouble {
    None,
    /// The console takes eight bytes a millisecond, somewhat less than at 115200 bit/s.
    SlowConsole,
    /// The network takes 700 milliseconds to join, which are shown by dots. The console is slow as well.
    Wireless,
    /// The network is never joined.
    NoNetwork,
    /// No connection is ever made, and none refused.
    NoConnection,
    /// The end of a connection is never acknowledged.
    NoEnd,
}

/// What the shell answers to `input`, with no server.
pub(crate) fn console(input: &[u8]) -> String {
    let _one = one_at_a_time();
    runtime().block_on(shell(input, Trouble::None))
}

impl Server {
    /// Sets what is to be set, runs once, and returns what both sides saw.
    pub(crate) fn run(&self, settings: &[&str]) -> Seen {
        self.script(&[settings, &["#t run"]].concat(), Trouble::None)
    }

    /// Has the shell read these lines, with this server at the end of its connections.
    pub(crate) fn script(&self, lines: &[&str], trouble: Trouble) -> Seen {
        self.script_on(&runtime(), lines, trouble)
    }

    /// The same on a runtime that is there already.
    pub(crate) fn script_on(&self, runtime: &Runtime, lines: &[&str], trouble: Trouble) -> Seen {
        let _one = one_at_a_time();
        runtime.block_on(async {
            let (listener, input) = listening(lines).await;
            let client = tokio::time::timeout(LONGEST_SCRIPT, shell(input.as_bytes(), trouble));
            let (output, served) = self.serve_while(listener, client).await;
            Seen {
                output: output.expect("the client ends by itself"),
                served,
            }
        })
    }

    /// The same with another program, whose standard input and output are its console.
    pub(crate) fn script_of(&self, program: &Path, lines: &[&str]) -> Seen {
        runtime().block_on(async {
            let (listener, input) = listening(lines).await;
            let program = program.to_owned();
            let client = tokio::task::spawn_blocking(move || typed(&program, input.as_bytes()));
            let (output, served) = self.serve_while(listener, client).await;
            Seen {
                output: output.unwrap(),
                served,
            }
        })
    }
}

impl Seen {
    /// The lines for people.
    pub(crate) fn transcript(&self) -> Vec<&str> {
        self.output.lines().filter(|line| !line.starts_with('@')).collect()
    }

    /// The answers to runs with the tag `t`.
    pub(crate) fn answers_to_runs(&self) -> Vec<&str> {
        self.output
            .lines()
            .filter_map(|line| line.strip_prefix("@t ok run "))
            .collect()
    }

    /// Checks that the last run's answer contains `part`.
    #[track_caller]
    pub(crate) fn answers(&self, part: &str) {
        let answer = self.output.lines().last().unwrap();
        assert!(
            answer.starts_with("@t ok run ") && answer.contains(part),
            "{part}\nnot in\n{}",
            self.output
        );
    }

    /// What the server saw of the only connection.
    #[track_caller]
    pub(crate) fn served(&self) -> &Served {
        assert_eq!(self.served.len(), 1, "{:?}\n{}", self.served, self.output);
        &self.served[0]
    }

    /// All application data that the server received.
    #[track_caller]
    pub(crate) fn request(&self) -> &str {
        &self.served().request
    }
}

/// A port for the server, and the console's input with the line that names it.
async fn listening(lines: &[&str]) -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("set connect-to {}", listener.local_addr().unwrap());
    let input = [&[to.as_str()], lines].concat().join("\n") + "\n";
    (listener, input)
}

/// What a program prints that is given this input.
pub(crate) fn typed(program: &Path, input: &[u8]) -> String {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let typing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    typing.join().unwrap().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The client keeps the state of its one connection in a static, as a board does.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn shell(input: &[u8], trouble: Trouble) -> String {
    let mut output = Vec::new();
    let console = HostConsole {
        input: input.iter().copied().collect(),
        lines: LineBuffer::default(),
        trouble,
        output: &mut output,
    };
    if trouble == Trouble::Wireless {
        Shell::new(console, Radio(Loopback(trouble)), HostBoard, TestRandom(1))
            .serve()
            .await;
    } else {
        Shell::new(console, Loopback(trouble), HostBoard, TestRandom(1))
            .serve()
            .await;
    }
    String::from_utf8_lossy(&output).into_owned()
}

struct HostConsole<'a> {
    input: VecDeque<u8>,
    lines: LineBuffer,
    trouble: Trouble,
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
        if !matches!(self.trouble, Trouble::SlowConsole | Trouble::Wireless) {
            self.output.extend_from_slice(bytes);
            return;
        }
        let whole = Whole;
        for piece in bytes.chunks(8) {
            self.output.extend_from_slice(piece);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        std::mem::forget(whole);
    }
}

/// A write that is dropped before its end would leave a board's two ports with different halves.
struct Whole;

impl Drop for Whole {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a write to the console was cut");
        }
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

/// This machine, as far as there is no trouble.
struct Loopback(Trouble);

impl Network for Loopback {
    type Stream<'a> = HostStream;

    const MEDIUM: Medium = Medium::Wired;

    async fn join(&mut self, _: &str, _: Option<&str>) -> Result<Ipv4Addr, JoinError> {
        if self.0 == Trouble::NoNetwork {
            pending::<()>().await;
        }
        Ok(Ipv4Addr::LOCALHOST)
    }

    async fn resolve(&mut self, _: &str) -> Result<Ipv4Addr, ResolveError> {
        Err(ResolveError::NotFound)
    }

    async fn connect(&mut self, to: SocketAddrV4) -> Result<HostStream, ConnectError> {
        if self.0 == Trouble::NoConnection {
            pending::<()>().await;
        }
        let connected = TcpStream::connect(to).await;
        connected
            .map(|stream| HostStream(stream, self.0))
            .map_err(|_| ConnectError::Refused)
    }
}

/// The same network, as if it were joined by radio.
struct Radio(Loopback);

impl Network for Radio {
    type Stream<'a> = HostStream;

    const MEDIUM: Medium = Medium::Wireless;

    async fn join(&mut self, name: &str, password: Option<&str>) -> Result<Ipv4Addr, JoinError> {
        tokio::time::sleep(Duration::from_millis(700)).await;
        match (name, password) {
            ("lab", Some("correct horse")) => self.0.join(name, password).await,
            ("lab", _) => Err(JoinError::Refused),
            _ => Err(JoinError::NotFound),
        }
    }

    async fn resolve(&mut self, host: &str) -> Result<Ipv4Addr, ResolveError> {
        self.0.resolve(host).await
    }

    async fn connect(&mut self, to: SocketAddrV4) -> Result<HostStream, ConnectError> {
        self.0.connect(to).await
    }
}

struct HostStream(TcpStream, Trouble);

impl Stream for HostStream {
    async fn finish(&mut self) {
        let _ = self.0.shutdown().await;
        if self.1 == Trouble::NoEnd {
            pending::<()>().await;
        }
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
