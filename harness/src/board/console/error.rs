//! Why a console cannot be used.

use std::io;
use std::path::PathBuf;

/// Why a console cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The tty cannot be opened or configured.
    #[error(
        "cannot open {tty}: {cause}; check that the port exists, that you may open it, and that no other program holds it",
        tty = .tty.display()
    )]
    Open {
        /// The tty.
        tty: PathBuf,
        /// What the system said.
        cause: serialport::Error,
    },
    /// The tty does not take what is sent.
    #[error("cannot write to {tty}: {cause}", tty = .tty.display())]
    Write {
        /// The tty.
        tty: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The system gives no thread to read the tty.
    #[error("cannot start the thread that reads {tty}: {cause}", tty = .tty.display())]
    Thread {
        /// The tty.
        tty: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}
