//! The serial port behind a console: opened, written to, and replaced when it has come back under another name.
//!
//! What enters: the path of a tty and a speed. What leaves: open ports. This module knows no lines.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serialport::{SerialPort, TTYPort};

use super::error::ConsoleError;

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

/// The handle of a port from which a reader thread reads, and its own handle for everything else.
pub(super) struct Halves {
    pub(super) reader: TTYPort,
    pub(super) writer: TTYPort,
}

impl Halves {
    /// The halves of `port`.
    pub(super) fn of(mut port: TTYPort) -> serialport::Result<Self> {
        port.set_timeout(READ)?;
        let mut writer = port.try_clone_native()?;
        writer.set_timeout(WRITE)?;
        Ok(Self { reader: port, writer })
    }
}

/// The port as it is now.
pub(super) struct CurrentPort(Mutex<Current>);

struct Current {
    tty: PathBuf,
    port: TTYPort,
}

impl CurrentPort {
    pub(super) fn new(tty: &Path, port: TTYPort) -> Self {
        let tty = tty.to_owned();
        Self(Mutex::new(Current { tty, port }))
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the port that has come back.
    pub(super) fn replace(&self, tty: PathBuf, port: TTYPort) {
        *self.lock() = Current { tty, port };
    }

    /// Its path.
    pub(super) fn tty(&self) -> PathBuf {
        self.lock().tty.clone()
    }

    /// Another handle of it.
    pub(super) fn handle(&self) -> serialport::Result<TTYPort> {
        self.lock().port.try_clone_native()
    }

    /// Writes all of `bytes`.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let port = &mut self.lock().port;
        port.write_all(bytes).and_then(|()| port.flush())
    }
}
