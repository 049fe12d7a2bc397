//! A Black Magic Probe over TCP: unmodified debuggers get the board's JTAG pins and its EN line. A board and an address
//! enter; the board does what clients ask for. The bytes of the protocol are the business of `protocol`.
//!
//! One client has the probe at a time, and others wait until it has gone. A halted hart stays halted when its client
//! goes, as with a real probe.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use virtual_esp32c3::{DebugPort, JtagClock, JtagTap, VirtualBoard};

use crate::protocol::{Levels, Reply, Request, Requests, Tdo};

/// Why the server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum BmpServerError {
    /// The address is taken, or is not this machine's.
    #[error("cannot listen for debuggers at {0}: {1}; use port 0 for a free port")]
    Listen(SocketAddr, std::io::Error),
    /// The host has refused a thread, or the event that stops it.
    #[error("cannot start the debug server's thread: {0}; check the limits of threads and open files")]
    Thread(std::io::Error),
}

/// Serves a board's debug port to debuggers that speak to a Black Magic Probe, until it is dropped.
pub struct BmpServer {
    address: SocketAddr,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl BmpServer {
    /// Listens at `address` for debuggers of `board`. The port is not protected: every program that reaches it controls
    /// the board.
    ///
    /// # Errors
    /// If the address is taken or is not this machine's, or the host refuses a file or a thread.
    pub fn start(board: &VirtualBoard, address: SocketAddr) -> Result<Self, BmpServerError> {
        let listen = |error| BmpServerError::Listen(address, error);
        let listener = TcpListener::bind(address).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| BmpServerError::Thread(error.into()))?;
        let stop = Arc::new(stop);
        let mut probe = ServedProbe {
            port: board.debug_port(),
            tap: JtagTap::default(),
            stop: Arc::clone(&stop),
            reset: false,
            frequency: 0,
        };
        let thread = std::thread::Builder::new()
            .name("debug-server".to_owned())
            .spawn(move || probe.serve(&listener))
            .map_err(BmpServerError::Thread)?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// The address at which debuggers connect, as in `probe-rs ... --protocol jtag --probe 1d50:6018:127.0.0.1:4000`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for BmpServer {
    fn drop(&mut self) {
        let _stopping = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl fmt::Debug for BmpServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BmpServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The server's thread.
struct ServedProbe {
    port: DebugPort,
    /// A copy of the chip's TAP. Requests bring a few bits at a time; only those that complete an access have to wait
    /// for the board.
    tap: JtagTap,
    stop: Arc<OwnedFd>,
    /// Whether a client pulls EN low.
    reset: bool,
    /// The clock frequency in Hz that a client has set. It is kept to be reported, and has no effect.
    frequency: u32,
}

/// The server was told to stop.
struct Stopped;

impl ServedProbe {
    fn serve(&mut self, listener: &TcpListener) {
        while self.wait(listener, PollFlags::IN).is_ok() {
            let Ok((stream, _)) = listener.accept() else {
                continue;
            };
            // If the socket cannot be set up, its client has gone already.
            if stream.set_nonblocking(true).is_err() || stream.set_nodelay(true).is_err() {
                continue;
            }
            let stopped = self.attend(stream).is_err();
            if std::mem::take(&mut self.reset) {
                // The client that pulled EN low has gone, so the server lets it rise.
                self.port.set_reset(false);
            }
            if stopped {
                return;
            }
        }
    }

    /// Waits until `file` is ready, or returns an error as soon as the server is told to stop.
    fn wait(&self, file: &impl std::os::fd::AsFd, flags: PollFlags) -> Result<(), Stopped> {
        let mut files = [PollFd::new(&*self.stop, PollFlags::IN), PollFd::new(file, flags)];
        // After an interrupted wait the caller finds nothing to do and waits again.
        let _ready = poll(&mut files, None);
        let [stop, _] = files;
        if stop.revents().is_empty() {
            Ok(())
        } else {
            Err(Stopped)
        }
    }

    /// Serves a client until it has gone.
    fn attend(&mut self, mut stream: TcpStream) -> Result<(), Stopped> {
        let mut requests = Requests::default();
        let mut bytes = [0; 4096];
        loop {
            let length = match stream.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if is_later(error.kind()) => {
                    self.wait(&stream, PollFlags::IN)?;
                    continue;
                }
                Err(_) => return Ok(()),
            };
            let mut replies = String::new();
            for byte in bytes.get(..length).unwrap_or(&[]) {
                if let Some(request) = requests.take(*byte) {
                    replies.push_str(&self.obey(request).to_string());
                }
            }
            let mut left = replies.as_bytes();
            while !left.is_empty() {
                match stream.write(left) {
                    Ok(0) => return Ok(()),
                    Ok(length) => left = left.get(length..).unwrap_or(&[]),
                    Err(error) if is_later(error.kind()) => self.wait(&stream, PollFlags::OUT)?,
                    Err(_) => return Ok(()),
                }
            }
        }
    }

    fn obey(&mut self, request: Request) -> Reply {
        match request {
            Request::Answer(reply) => reply,
            Request::Reset(asserted) => {
                // Clients release the line when they connect. That must not restart a board that runs.
                if asserted != self.reset {
                    self.port.set_reset(asserted);
                    self.reset = asserted;
                }
                Reply::Done(0)
            }
            Request::IsReset => Reply::Done(u64::from(self.reset)),
            Request::SetFrequency(frequency) => {
                self.frequency = frequency;
                Reply::Done(0)
            }
            Request::Frequency => Reply::Bytes(self.frequency.to_le_bytes()),
            Request::TapReset => {
                let levels = [true, true, true, true, true, false];
                self.clock(&levels.map(|tms| Levels { tms, tdi: false }), Tdo::Dropped)
            }
            Request::Clocks { levels, tdo } => self.clock(&levels, tdo),
        }
    }

    fn clock(&mut self, levels: &[Levels], tdo: Tdo) -> Reply {
        let mut bits = 0;
        for (n, &Levels { tms, tdi }) in levels.iter().enumerate() {
            let port = &self.port;
            // If the board does not answer, the TAP reports that the access has failed.
            let access = |access| Some(port.access(&[access]).ok()?.first().copied().unwrap_or_default());
            let level = self.tap.clock(JtagClock { tms, tdi }, access);
            if tdo == Tdo::Sent {
                bits |= u64::from(level) << n;
            }
        }
        Reply::Done(bits)
    }
}

/// Whether the socket has not failed but is only not ready.
fn is_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
