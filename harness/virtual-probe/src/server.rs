//! A Black Magic Probe over TCP: unmodified debuggers get the board's JTAG pins and its EN line. A board and an address
//! enter; what clients ask for is done at the board. It knows the protocol's bytes only by way of `protocol`.
//!
//! One client has the probe at a time; others wait until it has gone. A halted hart stays halted when its client goes, as at
//! a real probe.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use virtual_esp32c3::{DebugPort, JtagClock, JtagTap, VirtualBoard};

use crate::protocol::{Reply, Request, Requests};

/// The server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum BmpServerError {
    /// The address is not to be had.
    #[error("cannot listen for debuggers at {0}: {1}; port 0 takes a free one")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The host gives no thread.
    #[error("cannot start the debug server's thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// Serves a board's debug port to debuggers that speak to a Black Magic Probe, until it is dropped.
pub struct BmpServer {
    address: SocketAddr,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl BmpServer {
    /// Listens at `address` for debuggers of `board`. Nothing protects the port: whoever reaches it has the board.
    ///
    /// # Errors
    /// If the address is taken or not this machine's, or the host has no file or thread to give.
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

    /// Where debuggers connect, as in `probe-rs ... --protocol jtag --probe 1d50:6018:127.0.0.1:4000`.
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
    /// Requests bring a few bits at a time. Most of them go no further than this, and need not wait for the board.
    tap: JtagTap,
    stop: Arc<OwnedFd>,
    /// Whether a client pulls EN low.
    reset: bool,
    /// What a client has set; the clock is as fast as it goes.
    frequency: u32,
}

/// The server is to stop.
struct Stopped;

impl ServedProbe {
    fn serve(&mut self, listener: &TcpListener) {
        while self.wait(listener, PollFlags::IN).is_ok() {
            let Ok((stream, _)) = listener.accept() else {
                continue;
            };
            // A client whose socket cannot be set up is lost already.
            if stream.set_nonblocking(true).is_err() || stream.set_nodelay(true).is_err() {
                continue;
            }
            let stopped = self.attend(stream).is_err();
            if std::mem::take(&mut self.reset) {
                // Nobody is left to let it rise.
                self.port.set_reset(false);
            }
            if stopped {
                return;
            }
        }
    }

    /// Waits for a client; an error if the server is to stop.
    fn wait(&self, file: &impl std::os::fd::AsFd, flags: PollFlags) -> Result<(), Stopped> {
        let mut files = [PollFd::new(&*self.stop, PollFlags::IN), PollFd::new(file, flags)];
        // An interrupted wait finds nothing to do and comes back.
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
                // Clients let go of the line when they begin; a board that runs is not to start anew then.
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
                self.clock(&levels.map(|tms| (tms, false)), false)
            }
            Request::Clocks { levels, answers } => self.clock(&levels, answers),
        }
    }

    fn clock(&mut self, levels: &[(bool, bool)], answers: bool) -> Reply {
        let mut bits = 0;
        for (n, &(tms, tdi)) in levels.iter().enumerate() {
            let port = &self.port;
            // Of a board that does not answer, the TAP says that the access has failed.
            let access = |access| Some(port.access(&[access]).ok()?.first().copied().unwrap_or_default());
            let tdo = self.tap.clock(JtagClock { tms, tdi }, access);
            if answers {
                bits |= u64::from(tdo) << n;
            }
        }
        Reply::Done(bits)
    }
}

/// Whether the socket is well, and only not ready.
fn is_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
