//! What the client needs from the board, as traits. An implementation knows no TLS, no command and no setting but the
//! name and password of a network.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use embedded_io_async::{Read, Write};

use crate::line::LineError;

/// The serial console: lines in, bytes out.
#[expect(async_fn_in_trait, reason = "one executor on one core: nothing here needs Send")]
pub trait Console {
    /// Waits for the next input line and puts it into `line`, without its end.
    ///
    /// # Errors
    /// The line was too long (`line` then has its beginning), bytes of it were lost, or the console is gone for good.
    async fn read_line(&mut self, line: &mut Vec<u8>) -> Result<(), LineError>;

    /// Writes all bytes as they are. A console without a reader drops them, and never blocks for ever. The client does
    /// not drop the write before it has ended.
    async fn write(&mut self, bytes: &[u8]);
}

/// The way to other machines.
#[expect(async_fn_in_trait, reason = "one executor on one core: nothing here needs Send")]
pub trait Network {
    /// An open TCP connection. Dropping it closes the connection at once.
    type Stream<'a>: Stream
    where
        Self: 'a;

    /// The kind of network, which decides what a user has to set and how progress is shown.
    const MEDIUM: Medium;

    /// Joins the network, or does nothing if it has been joined already under the same name and password.
    ///
    /// # Errors
    /// The join has failed for good; time limits are the caller's.
    async fn join(&mut self, name: &str, password: Option<&str>) -> Result<Ipv4Addr, JoinError>;

    /// The IPv4 address of `host`.
    ///
    /// # Errors
    /// No server answers, or the name does not exist.
    async fn resolve(&mut self, host: &str) -> Result<Ipv4Addr, ResolveError>;

    /// Opens a TCP connection.
    ///
    /// # Errors
    /// The other side refuses it, or no route leads there.
    async fn connect(&mut self, to: SocketAddrV4) -> Result<Self::Stream<'_>, ConnectError>;
}

/// A TCP connection.
#[expect(async_fn_in_trait, reason = "one executor on one core: nothing here needs Send")]
pub trait Stream: Read + Write {
    /// Sends what is still queued and then FIN; gives the other side a moment to take it. The caller bounds the wait.
    async fn finish(&mut self);
}

/// What carries the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A wire: no name, no password, joined at once.
    Wired,
    /// Wi-Fi: the name of a network must be set, joining takes seconds.
    Wireless,
}

/// Why a network cannot be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// No access point of that name is in reach.
    NotFound,
    /// The access point refuses the password.
    Refused,
    /// The radio or its driver has failed.
    Hardware,
}

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// The server says that the name does not exist, or gives no IPv4 address.
    NotFound,
    /// The query could not be made.
    Failed,
}

/// Why there is no TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// RST came back.
    Refused,
    /// No route, or the neighbour does not answer.
    Unreachable,
    /// Nothing came back at all.
    TimedOut,
}

/// Facts about the board, and the few things that only it can do.
pub trait Board {
    /// Who the board is; the same until the next reset.
    fn identity(&self) -> Identity;

    /// Memory and time, now.
    fn usage(&self) -> Usage;

    /// Resets the chip. On a host, where there is no chip, it may return; the shell then stops.
    fn reset(&mut self);

    /// Spins with interrupts off until the watchdog resets the chip. On a host it may return.
    #[cfg(feature = "test-commands")]
    fn hang(&mut self);
}

/// What the ready line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of the firmware.
    pub firmware: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The first 16 hexadecimal digits of the SHA-256 of the ELF file that was flashed.
    pub image: String,
    /// `virtual`, `wifi` or `host`.
    pub board: &'static str,
    /// Why the chip was reset last, in ESP-IDF's terms (`power-on`, `software`, `main-watchdog-0`, ...).
    pub reset: &'static str,
}

/// Memory in bytes and time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Size of the heap.
    pub heap_size: usize,
    /// Bytes allocated now.
    pub heap_used: usize,
    /// Most bytes ever allocated at once.
    pub heap_peak: usize,
    /// Size of the main stack.
    pub stack_size: usize,
    /// Deepest use of the stack since boot.
    pub stack_peak: usize,
    /// Time since boot.
    pub uptime_ms: u64,
}
