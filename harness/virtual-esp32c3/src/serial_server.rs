//! A USB-UART bridge over TCP: RFC 2217 clients get the board's tty and its reset lines. What enters: a board and an
//! address. What leaves: the tty's bytes, and the levels of EN and GPIO9, by way of the auto-reset circuit. It knows no
//! flasher.
//!
//! One client has the port at a time, as with a real port, and others wait until it has gone. The tty has no speed, so
//! every baud rate is accepted. After a short burst, the board's output reaches the client no faster than the client's
//! baud rate allows. Clients rely on that: a board without firmware restarts for ever, and its output would come faster
//! than a client can read it.

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

/// Why the serial server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum SerialServerError {
    /// The address is taken, or is not this machine's.
    #[error("cannot listen at {0}: {1}; use port 0 for a free port")]
    Listen(SocketAddr, std::io::Error),
    /// The board's tty cannot be opened.
    #[error("cannot open the virtual board's tty {tty}: {1}", tty = .0.display())]
    Tty(PathBuf, std::io::Error),
    /// The host has refused a thread, or the event that stops it.
    #[error("cannot start the serial server's thread: {0}; check the limits of threads and open files")]
    Thread(std::io::Error),
}

/// Serves a board's tty and reset lines to RFC 2217 clients, until it is dropped.
pub struct SerialServer {
    address: SocketAddr,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl SerialServer {
    /// Listens at `address` for clients of `board`. The board should be running already, since not every client resets
    /// it.
    ///
    /// # Errors
    /// If the address is taken or is not this machine's, or the host refuses a file or a thread.
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

    /// The address at which clients connect, as in `rfc2217://127.0.0.1:4000`.
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

/// How long EN takes to rise. A host that sets one line at a time releases EN before it pulls GPIO9 low. Over a network
/// the two are a round trip apart, and pyserial checks for the answer every 50 ms only, so EN must rise later than
/// that. It must not rise later than 150 ms, when esptool releases GPIO9 again.
const RISE: Duration = Duration::from_millis(100);

/// Bytes that may wait for the client, or for the tty. While more wait, the other side is not read.
const WAITING: usize = 16 * 1024;

/// Bytes that may go to the client at once, at any baud rate.
const BURST: f64 = 4096.0;

/// Limits the board's output to the client's baud rate.
#[derive(Debug)]
struct Pace {
    /// Bytes that could go to the client at the time `at`.
    bytes: f64,
    at: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { bytes: BURST, at: now }
    }

    /// How many bytes may go to the client now, at `baud` bit/s. A byte takes ten bits, with its start and stop bits.
    fn allowance(&mut self, baud: u32, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.bytes = (self.bytes + passed * f64::from(baud) / 10.0).min(BURST);
        self.bytes as usize
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes -= bytes as f64;
    }

    /// How long it takes until a sixteenth of the burst may go again.
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
    /// Bytes that wait for the client. The protocol's own messages are among them.
    to_client: VecDeque<u8>,
    /// Bytes that wait for the tty.
    to_tty: VecDeque<u8>,
    pace: Pace,
}

/// The client has closed or lost its connection.
struct Gone;

impl Bridge {
    fn run(&mut self) {
        while !self.wait() {
            if let Some(levels) = self.circuit.update(Instant::now()) {
                // The chip's output before its reset is dropped. On a line with a speed, it would have been read by
                // now.
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

    /// Waits until there is something to do. Returns whether that is to stop.
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
            // A little more than the time that is left, so that it has passed when the wait is over.
            Timespec::try_from(left + Duration::from_micros(100)).unwrap_or_default()
        });
        // After an interrupted wait the caller finds nothing to do and waits again.
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
        // If the socket cannot be set up, its client has gone already.
        if stream.set_nonblocking(true).is_err() || stream.set_nodelay(true).is_err() {
            return;
        }
        let mut protocol = Server::new(PortSettings::default()).with_signature("pinrig virtual ESP32-C3");
        // pyserial asks for the modem's lines, which say that it is ready.
        protocol.set_modem_state(ModemState::CTS | ModemState::DSR | ModemState::CD);
        // The board's output from before the client connected is dropped, as at a real port.
        let _flushed = tcflush(&self.tty, QueueSelector::IFlush);
        self.client = Some(Client {
            stream,
            protocol,
            to_client: VecDeque::new(),
            to_tty: VecDeque::new(),
            pace: Pace::new(Instant::now()),
        });
    }

    /// Moves as many bytes as can be moved now, in both directions.
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

    /// Reads what the client has sent: bytes for the tty, and requests among them, which are carried out in order.
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
                    // Requests for a speed or a format need nothing, since the tty takes all.
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

/// Drops the bytes that have not reached the other side yet. Those in [`Client::to_client`] stay, since the protocol's
/// messages are among them.
fn discard(purge: Purge, tty: &OwnedFd, client: &mut Client) {
    if matches!(purge, Purge::Receive | Purge::Both) {
        // This fails only if the tty has gone, and its bytes with it.
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

/// Whether the socket has not failed but is only not ready.
fn is_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
