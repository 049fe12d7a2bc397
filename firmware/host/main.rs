//! `pinrig-host`: the firmware's client on this machine, with standard input and output as its console and this machine's network.
//!
//! A board of `kind = "process"` in `rig.toml`: the quickest way to try a change of `firmware/app` under a debugger, a sanitizer or a
//! profiler of this machine. What depends on the chip (memory, watchdogs, its network) it cannot show.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::Instant;

use pinrig_app::line::{LineBuffer, LineError};
use pinrig_app::platform::{
    Board, ConnectError, Console, Identity, JoinError, Medium, Network, ResolveError, Stream, Usage,
};
use pinrig_app::shell::Shell;
use rand_core::OsRng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let console = StandardConsole {
        input: typed()?,
        pending: Vec::new().into_iter(),
        lines: LineBuffer::default(),
    };
    let board = ThisMachine { began: Instant::now() };
    runtime.block_on(Shell::new(console, Sockets, board, OsRng).serve());
    Ok(())
}

/// Standard input, read by a thread of its own: it can only be waited for by blocking.
fn typed() -> io::Result<UnboundedReceiver<Vec<u8>>> {
    let (sender, receiver) = unbounded_channel();
    std::thread::Builder::new().name("input".into()).spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = io::stdin().lock().read(&mut bytes) {
            if sender.send(bytes[..count].to_vec()).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

struct StandardConsole {
    input: UnboundedReceiver<Vec<u8>>,
    /// Bytes that belong to the next line.
    pending: std::vec::IntoIter<u8>,
    lines: LineBuffer,
}

impl Console for StandardConsole {
    async fn read_line(&mut self, line: &mut Vec<u8>) -> Result<(), LineError> {
        loop {
            for byte in self.pending.by_ref() {
                if let Some(result) = self.lines.push(byte, line) {
                    return result;
                }
            }
            let more = self.input.recv().await.ok_or(LineError::Closed)?;
            self.pending = more.into_iter();
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        let mut out = io::stdout().lock();
        // A console without a reader drops what is written.
        let _lost = out.write_all(bytes).and_then(|()| out.flush());
    }
}

struct ThisMachine {
    began: Instant,
}

impl Board for ThisMachine {
    fn identity(&self) -> Identity {
        Identity {
            firmware: "pinrig-host",
            version: env!("CARGO_PKG_VERSION"),
            image: "0".repeat(16),
            board: "host",
            reset: "power-on",
        }
    }

    fn usage(&self) -> Usage {
        Usage {
            uptime_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..Usage::default()
        }
    }

    /// The program that started this process starts it again.
    fn reset(&mut self) {
        std::process::exit(0);
    }
}

/// This machine's network, which has been joined already.
struct Sockets;

impl Network for Sockets {
    type Stream<'a> = Socket;

    const MEDIUM: Medium = Medium::Wired;

    async fn join(&mut self, _name: &str, _password: Option<&str>) -> Result<Ipv4Addr, JoinError> {
        Ok(Ipv4Addr::LOCALHOST)
    }

    async fn resolve(&mut self, host: &str) -> Result<Ipv4Addr, ResolveError> {
        let found = tokio::net::lookup_host((host, 0)).await;
        let found = found.map_err(|_| ResolveError::Failed)?;
        let mut addresses = found.filter_map(|address| match address.ip() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        });
        addresses.next().ok_or(ResolveError::NotFound)
    }

    async fn connect(&mut self, to: SocketAddrV4) -> Result<Socket, ConnectError> {
        let connected = TcpStream::connect(to).await;
        connected.map(Socket).map_err(|error| match error.kind() {
            // A reset that comes at once ends the call as a refusal does.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => ConnectError::Refused,
            io::ErrorKind::TimedOut => ConnectError::TimedOut,
            _ => ConnectError::Unreachable,
        })
    }
}

struct Socket(TcpStream);

impl Stream for Socket {
    async fn finish(&mut self) {
        // The other side may have gone first.
        let _gone = self.0.shutdown().await;
    }
}

/// An error of a socket.
#[derive(Debug)]
struct SocketError(io::Error);

impl std::fmt::Display for SocketError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for SocketError {}

impl embedded_io_async::Error for SocketError {
    fn kind(&self) -> embedded_io_async::ErrorKind {
        match self.0.kind() {
            io::ErrorKind::ConnectionReset => embedded_io_async::ErrorKind::ConnectionReset,
            io::ErrorKind::BrokenPipe => embedded_io_async::ErrorKind::BrokenPipe,
            _ => embedded_io_async::ErrorKind::Other,
        }
    }
}

impl embedded_io_async::ErrorType for Socket {
    type Error = SocketError;
}

impl embedded_io_async::Read for Socket {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, SocketError> {
        self.0.read(buffer).await.map_err(SocketError)
    }
}

impl embedded_io_async::Write for Socket {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, SocketError> {
        self.0.write(bytes).await.map_err(SocketError)
    }

    async fn flush(&mut self) -> Result<(), SocketError> {
        self.0.flush().await.map_err(SocketError)
    }
}
