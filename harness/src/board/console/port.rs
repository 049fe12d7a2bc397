//! The serial port behind a console: opened, written to, and replaced when it has come back under another name.
//!
//! What enters: the path of a tty and a speed, or a pseudo terminal. What leaves: open ports. This module knows no lines.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serialport::{SerialPort, TTYPort};

use super::error::ConsoleError;
use super::pty::Pty;

/// The usual speed of a console in bit/s, 8N1: that of the ROM, the bootloader and the firmware.
pub const BAUD: u32 = 115_200;
/// How long one read blocks: after that time the reader thread looks whether it should stop.
const READ: Duration = Duration::from_millis(50);
/// How long one write may block: a board that does not take a line in that time takes none.
const WRITE: Duration = Duration::from_secs(5);

/// Finds out where a port is that has gone away. Gives none while it is nowhere.
pub type Finder = Box<dyn Fn() -> Option<PathBuf> + Send>;

/// Opens a tty for flashing or capture, at this speed in bit/s.
///
/// # Errors
/// When it cannot be opened, or not at this speed; for example because another program holds it.
pub fn open_port(tty: &Path, baud: u32) -> Result<TTYPort, ConsoleError> {
    serialport::new(tty.to_string_lossy(), baud)
        .timeout(READ)
        .open_native()
        .map_err(|cause| ConsoleError::Open {
            tty: tty.to_owned(),
            cause,
        })
}

/// An open port.
#[derive(Debug)]
pub enum OpenPort {
    /// A serial port.
    Serial(TTYPort),
    /// The harness's end of a pseudo terminal.
    Pty(Pty),
}

impl From<TTYPort> for OpenPort {
    fn from(port: TTYPort) -> Self {
        Self::Serial(port)
    }
}

impl From<Pty> for OpenPort {
    fn from(pty: Pty) -> Self {
        Self::Pty(pty)
    }
}

impl OpenPort {
    /// Its speed in bit/s. A pseudo terminal has none that matters.
    pub(super) fn baud_rate(&self) -> serialport::Result<u32> {
        match self {
            Self::Serial(port) => port.baud_rate(),
            Self::Pty(_) => Ok(BAUD),
        }
    }

    /// Lets one read or write block for this long.
    fn set_timeout(&mut self, limit: Duration) -> serialport::Result<()> {
        match self {
            Self::Serial(port) => port.set_timeout(limit),
            Self::Pty(pty) => {
                pty.limit = limit;
                Ok(())
            }
        }
    }

    fn try_clone(&self) -> serialport::Result<Self> {
        Ok(match self {
            Self::Serial(port) => Self::Serial(port.try_clone_native()?),
            Self::Pty(pty) => Self::Pty(pty.try_clone()?),
        })
    }
}

impl Read for OpenPort {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Serial(port) => port.read(buffer),
            Self::Pty(pty) => pty.read(buffer),
        }
    }
}

impl Write for OpenPort {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Serial(port) => port.write(bytes),
            Self::Pty(pty) => pty.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Serial(port) => port.flush(),
            Self::Pty(pty) => pty.flush(),
        }
    }
}

/// The handle of a port from which a reader thread reads, and its own handle for everything else.
pub(super) struct Halves {
    pub(super) reader: OpenPort,
    pub(super) writer: OpenPort,
}

impl Halves {
    /// The halves of `port`.
    pub(super) fn of(mut port: OpenPort) -> serialport::Result<Self> {
        port.set_timeout(READ)?;
        let mut writer = port.try_clone()?;
        writer.set_timeout(WRITE)?;
        Ok(Self { reader: port, writer })
    }
}

/// The port as it is now.
pub(super) struct CurrentPort(Mutex<Current>);

struct Current {
    tty: PathBuf,
    port: OpenPort,
}

impl CurrentPort {
    pub(super) fn new(tty: &Path, port: OpenPort) -> Self {
        let tty = tty.to_owned();
        Self(Mutex::new(Current { tty, port }))
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the port that has come back.
    pub(super) fn replace(&self, tty: PathBuf, port: OpenPort) {
        *self.lock() = Current { tty, port };
    }

    /// Its path.
    pub(super) fn tty(&self) -> PathBuf {
        self.lock().tty.clone()
    }

    /// Another handle of it, if it is a serial port.
    pub(super) fn handle(&self) -> serialport::Result<TTYPort> {
        match &self.lock().port {
            OpenPort::Serial(port) => port.try_clone_native(),
            OpenPort::Pty(_) => {
                let why = "a program's pseudo terminal has no modem lines";
                Err(serialport::Error::new(serialport::ErrorKind::NoDevice, why))
            }
        }
    }

    /// Writes all of `bytes`.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let port = &mut self.lock().port;
        port.write_all(bytes).and_then(|()| port.flush())
    }
}
