//! A board: a console, a way to reset it, and the network that it is on.
//!
//! What enters: a path to a tty and whatever pulls the reset lines behind it. What leaves: a [`Console`] that captures
//! from before reset is released. Real boards and the virtual board differ only in what lies behind the tty and in
//! which [`Reset`] pulls the lines; nothing here knows which it is. This module knows no TLS, no scenario.

pub mod console;
pub mod flash;
pub mod probe;
mod reset;
mod serial_board;
pub(crate) mod debug_module;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use console::Console;
use console::ConsoleError;
pub use serial_board::{Claim, ClaimError, Claimed, SerialBoard};

use virtual_lan::Faults;

use crate::evidence::RecordedFile;
use crate::image::Image;
use crate::rig::{Dialect, PortError};
use probe::Debugger;

/// What the chip does when reset is released (strapping pin GPIO9 of the ESP32-C3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BootMode {
    /// Start the program in flash.
    Flash,
    /// Wait for the serial loader's commands.
    Download,
}

impl BootMode {
    /// Its name in commands of `rig.toml`: `flash` or `download`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Flash => "flash",
            Self::Download => "download",
        }
    }
}

/// Pulls a board's reset and strapping lines.
pub trait Reset: Send {
    /// Holds the chip in reset, sets the strapping for `mode`, and releases reset.
    ///
    /// # Errors
    /// When the lines cannot be moved.
    fn reset(&mut self, mode: BootMode) -> Result<(), BoardError>;
}

/// A board that holds the image and is about to boot.
pub struct Board {
    /// How people call it.
    pub name: String,
    /// What it holds, if that is an image of its own and not the one that was prepared.
    pub image: Option<Arc<Image>>,
    /// Its console; captures from before reset is released.
    pub console: Console,
    /// What the firmware must be told of the network.
    pub link: LinkSettings,
    /// How its firmware is spoken to, if it does not speak pinrig's console language.
    pub dialect: Option<Dialect>,
    /// Set while nobody will say anything to the board until it has spoken: a virtual board may then skip the time for which it
    /// sleeps. Other boards take no notice.
    pub patience: Arc<AtomicBool>,
    /// Pulls its lines.
    pub reset: Box<dyn Reset>,
    /// A debugger at it, if it has one: for firmware that hangs.
    pub debugger: Option<Box<dyn Debugger>>,
    /// Its network, if that can be disturbed.
    pub network: Option<Box<dyn Network>>,
    /// Gives what the board's surroundings recorded: frames, hardware log.
    pub recorder: Box<dyn Recorder>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

/// What the firmware is told of the network that it is on: facts of the bench, not of the scenario.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LinkSettings {
    /// The Wi-Fi network's name; on a wired board any name, which the transcript shows.
    pub network: String,
    /// The network's password, if it has one.
    pub password: Option<Secret>,
    /// Where the server is when the board's resolver does not know: `set connect-to`.
    pub connect_to: Option<SocketAddr>,
}

/// What must never be printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

/// A network that can be made a bad one.
pub trait Network: Send {
    /// Puts faults in force, in place of all before.
    ///
    /// # Errors
    /// When they make no sense.
    fn disturb(&self, faults: &Faults) -> Result<(), BoardError>;

    /// Lifts all faults, and ends the connections that were left behind: those whose end was lost, so that neither side will hear of it.
    fn calm(&self);
}

/// What the board's surroundings recorded during a run.
pub trait Recorder: Send {
    /// Named files for the failure bundle.
    fn files(&self) -> Vec<RecordedFile>;
    /// How much time the board has skipped.
    fn skipped(&self) -> Duration;
    /// Lines on what the board did that its network or hardware did not allow.
    fn remarks(&self) -> Vec<String>;
}

/// Why a board cannot be used: the bench's fault, never the firmware's.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// Its console cannot be used.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// The virtual board cannot be started.
    #[error("virtual board: {0}")]
    Virtual(String),
    /// The virtual network cannot be started.
    #[error("virtual network: {0}")]
    Network(String),
    /// The board does not know where this machine is.
    #[error("{board}: {source}")]
    NoAddress {
        /// The board.
        board: String,
        /// What the system said of its routes.
        source: std::io::Error,
    },
    /// The board's port is not there.
    #[error("{board}: {source}")]
    Port {
        /// The board.
        board: String,
        /// What was looked for, and what there is.
        source: PortError,
    },
    /// The loader did not take the image.
    #[error("flashing over {tty}: {message}", tty = .tty.display())]
    Flash {
        /// The tty.
        tty: PathBuf,
        /// What the loader said.
        message: String,
    },
    /// No way to reset a board led to where it should be.
    #[error("{board} at {tty} does not start: {tried}; look at its cable and power, and at `reset` in rig.toml", tty = .tty.display())]
    Reset {
        /// The board.
        board: String,
        /// Its tty.
        tty: PathBuf,
        /// Each way, and what came of it.
        tried: String,
    },
    /// All boards have failed before, or none came back in time.
    #[error("no board is left: {0}")]
    NoneLeft(String),
    /// A program that is to be a board cannot be started.
    #[error("{program}: {source}; the program of a board is looked for in the inventory's folder, then in PATH")]
    Program {
        /// The program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A board was asked for before an image was prepared.
    #[error("no image has been flashed yet")]
    NotPrepared,
}
