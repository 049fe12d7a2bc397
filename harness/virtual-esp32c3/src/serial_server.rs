//! A USB-UART bridge over TCP: RFC 2217 clients get the board's tty and its reset lines. What enters: a board and an
//! address. What leaves: the tty's bytes, and EN and GPIO9 by way of the auto-reset circuit. It knows no flasher.
//!
//! One client has the port at a time, as with a real one; others wait until it has gone. The tty has no speed, so every baud rate
//! is accepted; what the board says reaches the client no faster than the client's baud rate allows, but for a short burst, since
//! clients rely on it: a board without firmware restarts for ever, and would bury them.

use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rfc2217::{ModemState, PortSettings, Purge, Server, ServerEvent};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush};

use crate::auto_reset::{AutoReset, Levels};
use crate::board::{BoardLines, VirtualBoard};

/// The serial server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum SerialServerError {
    /// The address is not to be had.
    #[error("cannot listen at {0}: {1}; port 0 takes a free one")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The board's tty cannot be opened.
    #[error("cannot open the virtual board's tty {0}: {1}")]
    Tty(PathBuf, #[source] std::io::Error),
    /// The host gives no thread.
    #[error("cannot start the serial server's thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// Serves a board's tty and reset lines to RFC 2217 clients, until it is dropped.
pub struct SerialServer {
    address: SocketAddr,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl SerialServer {
    /// Listens at `address` for clients of `board`. The board should be running: a client that pulls no line resets nothing.
    ///
    /// # Errors
    /// If the address is taken or not this machine's, or the host has no file or thread to give.
    pub fn start(board: &VirtualBoard, address: SocketAddr) -> Result<Self, SerialServerError> {
        let listener = TcpListener::bind(address).map_err(|error| SerialServerError::Listen(address, error))?;
        let listen = |error| SerialServerError::Listen(address, error);
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let tty = rustix::fs::open(board.tty(), flags, Mode::empty())
            .map_err(|error| SerialServerError::Tty(board.tty().to_owned(), error.into()))?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| SerialServerError::Thread(error.into()))?;
        let stop = Arc::new(stop);
        let mut bridge = Bridge {
            listener,
            tty,
            stop: Arc::clone(&stop),
            lines: board.lines(),
            circuit: AutoReset::new(RISE),
            client: None,
        };
        let thread = std::thread::Builder::new()
            .name("serial-server".to_owned())
            .spawn(move || bridge.run())
            .map_err(SerialServerError::Thread)?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where clients connect, as in `rfc2217://127.0.0.1:4000`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for SerialServer {
    fn drop(&mut self) {
        let _stopping = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl fmt::Debug for SerialServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SerialServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// How long EN takes to rise. A host that sets one line at a time lets go of EN before it pulls GPIO9 low, and over a
/// network the two are a round trip apart: pyserial looks for the answer every 50 ms. This is the capacitor that makes
/// such hosts work, and esptool gives GPIO9 free at the earliest 150 ms after EN.
const RISE: Duration = Duration::from_millis(100);

/// Bytes that may wait for the client, or for the tty, before the other side has to wait.
const WAITING: usize = 16 * 1024;

/// Bytes that may go to the client at once, however low its baud rate is.
const BURST: f64 = 4096.0;

/// How much may go to the client by now.
#[derive(Debug)]
struct Pace {
    bytes: f64,
    at: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { bytes: BURST, at: now }
    }

    /// Whole bytes that may go now at `baud`: ten bits each, with start and stop.
    fn allowance(&mut self, baud: u32, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.bytes = (self.bytes + passed * f64::from(baud) / 10.0).min(BURST);
        self.bytes as usize
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes -= bytes as f64;
    }

    /// How long it takes until a good part of the burst is there again.
    fn refill(&self, baud: u32) -> Duration {
        let missing = (BURST / 16.0 - self.bytes).max(0.0);
        Duration::from_secs_f64(missing * 10.0 / f64::from(baud.max(1)))
    }
}

/// The server's thread.
struct Bridge {
    listener: TcpListener,
    tty: OwnedFd,
    stop: Arc<OwnedFd>,
    lines: BoardLines,
    circuit: AutoReset,
    client: Option<Client>,
}

struct Client {
    stream: TcpStream,
    protocol: Server,
    /// On the way to the client, with the protocol's own messages in it.
    to_client: VecDeque<u8>,
    to_tty: VecDeque<u8>,
    pace: Pace,
}

/// The client has closed, or lost, its connection.
struct Gone;

impl Bridge {
    fn run(&mut self) {
        while !self.wait() {
            if let Some(levels) = self.circuit.update(Instant::now()) {
                // At a line with a speed, what the chip said before its reset would have been read while it was held.
                let _flushed = tcflush(&self.tty, QueueSelector::IFlush);
                self.apply(levels);
            }
            match &mut self.client {
                None => self.accept(),
                Some(_) => {
                    if self.serve().is_err() {
                        self.client = None;
                        let levels = self.circuit.release(Instant::now());
                        self.apply(levels);
                    }
                }
            }
        }
    }

    /// Waits until there is something to do; true when that is to stop.
    fn wait(&self) -> bool {
        let mut tty = PollFlags::empty();
        let mut stream = PollFlags::empty();
        let mut refill = None;
        if let Some(client) = &self.client {
            let left = client.pace.refill(client.protocol.settings().baud_rate);
            refill = (!left.is_zero()).then(|| Instant::now() + left);
            tty.set(PollFlags::IN, refill.is_none() && client.to_client.len() < WAITING);
            tty.set(PollFlags::OUT, !client.to_tty.is_empty());
            stream.set(PollFlags::IN, client.to_tty.len() < WAITING);
            stream.set(PollFlags::OUT, !client.to_client.is_empty());
        }
        let mut files = vec![PollFd::new(&*self.stop, PollFlags::IN)];
        match &self.client {
            None => files.push(PollFd::new(&self.listener, PollFlags::IN)),
            Some(client) => {
                files.push(PollFd::new(&client.stream, stream));
                files.push(PollFd::new(&self.tty, tty));
            }
        }
        let due = [self.circuit.due(), refill].into_iter().flatten().min();
        let time = due.map(|due| {
            let left = due.saturating_duration_since(Instant::now());
            // Rounded up, so that the time is over when the wait is.
            Timespec::try_from(left + Duration::from_micros(100)).unwrap_or_default()
        });
        // An interrupted wait finds nothing to do and comes back.
        let _ready = poll(&mut files, time.as_ref());
        files.first().is_some_and(|stop| !stop.revents().is_empty())
    }

    fn apply(&self, levels: Levels) {
        self.lines.set(levels.enable, levels.boot);
    }

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else {
            return;
        };
        // A client whose socket cannot be set up is lost already.
        if stream.set_nonblocking(true).is_err() || stream.set_nodelay(true).is_err() {
            return;
        }
        let mut protocol = Server::new(PortSettings::default()).with_signature("pinrig virtual ESP32-C3");
        // pyserial asks for the far end's lines: they are there and ready.
        protocol.set_modem_state(ModemState::CTS | ModemState::DSR | ModemState::CD);
        // What the board said while nobody listened is gone, as at a real port.
        let _flushed = tcflush(&self.tty, QueueSelector::IFlush);
        self.client = Some(Client {
            stream,
            protocol,
            to_client: VecDeque::new(),
            to_tty: VecDeque::new(),
            pace: Pace::new(Instant::now()),
        });
    }

    /// Moves bytes in both directions as far as they go now.
    fn serve(&mut self) -> Result<(), Gone> {
        self.take_input()?;
        let Some(client) = &mut self.client else {
            return Ok(());
        };
        write_tty(&self.tty, &mut client.to_tty);
        let mut bytes = [0; BURST as usize];
        while client.to_client.len() < WAITING {
            let baud = client.protocol.settings().baud_rate;
            let allowed = client.pace.allowance(baud, Instant::now());
            match rustix::io::read(&self.tty, bytes.get_mut(..allowed).unwrap_or(&mut [])) {
                Ok(length) if length > 0 => {
                    client.pace.spend(length);
                    client.protocol.write_data(bytes.get(..length).unwrap_or(&[]));
                }
                Err(Errno::INTR) => continue,
                _ => break,
            }
            client.to_client.extend(client.protocol.take_output());
        }
        client.to_client.extend(client.protocol.take_output());
        client.write()
    }

    /// Reads what the client has sent: bytes for the tty, and requests, each at its place among them.
    fn take_input(&mut self) -> Result<(), Gone> {
        let Some(client) = &mut self.client else {
            return Ok(());
        };
        if client.to_tty.len() >= WAITING {
            return Ok(());
        }
        let mut bytes = [0; 4096];
        let length = match client.stream.read(&mut bytes) {
            Ok(0) => return Err(Gone),
            Ok(length) => length,
            Err(error) if is_later(error.kind()) => return Ok(()),
            Err(_) => return Err(Gone),
        };
        let mut input = bytes.get(..length).unwrap_or(&[]);
        while !input.is_empty() {
            let mut payload = Vec::new();
            let used = client.protocol.receive_until_event(input, &mut payload);
            input = input.get(used..).unwrap_or(&[]);
            client.to_tty.extend(payload);
            while let Some(event) = client.protocol.poll_event() {
                let now = Instant::now();
                let levels = match event {
                    ServerEvent::Dtr(dtr) => self.circuit.set_dtr(dtr, now),
                    ServerEvent::Rts(rts) => self.circuit.set_rts(rts, now),
                    ServerEvent::Purge(purge) => {
                        discard(purge, &self.tty, client);
                        continue;
                    }
                    // The tty takes every speed and format.
                    _ => continue,
                };
                self.lines.set(levels.enable, levels.boot);
            }
        }
        Ok(())
    }
}

impl Client {
    fn write(&mut self) -> Result<(), Gone> {
        while !self.to_client.is_empty() {
            match self.stream.write(self.to_client.as_slices().0) {
                Ok(0) => return Err(Gone),
                Ok(length) => drop(self.to_client.drain(..length)),
                Err(error) if is_later(error.kind()) => return Ok(()),
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }
}

/// Drops what has not reached the other side yet, but not from [`Client::to_client`]: messages are among its bytes.
fn discard(purge: Purge, tty: &OwnedFd, client: &mut Client) {
    if matches!(purge, Purge::Receive | Purge::Both) {
        // A tty that has gone has nothing left to drop.
        let _flushed = tcflush(tty, QueueSelector::IFlush);
    }
    if matches!(purge, Purge::Transmit | Purge::Both) {
        client.to_tty.clear();
    }
}

fn write_tty(tty: &OwnedFd, bytes: &mut VecDeque<u8>) {
    while !bytes.is_empty() {
        match rustix::io::write(tty, bytes.as_slices().0) {
            Ok(length) => drop(bytes.drain(..length)),
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Whether the socket is well, and only not ready.
fn is_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
