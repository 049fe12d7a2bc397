//! Why a board cannot be used. That is always the bench's fault, never the firmware's.

use std::fmt;
use std::io;
use std::path::PathBuf;

use virtual_esp32c3::{NoAnswer, VirtualBoardError};
use virtual_lan::{FaultError, LanError};

use super::console::ConsoleError;
use super::flash::LoaderError;
use super::left_out::{self, LeftOut};
use super::probe::ProbeError;
use crate::deadline::Timeout;
use crate::rig::{PortError, ResetWay};

pub use super::program::ProgramError;
pub use super::reset::ResetError;

/// Why a board cannot be used. The board's name is added where the error leaves the board: [`BoardError::On`].
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// A board of a rig failed.
    #[error("{board}: {cause}")]
    On {
        /// The board.
        board: String,
        /// Why.
        cause: Box<Self>,
    },
    /// Its console cannot be used.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// Its port is not there.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The virtual board cannot be started.
    #[error("cannot start the virtual board: {0}")]
    VirtualBoard(VirtualBoardError),
    /// The virtual board's thread does not answer.
    #[error("the virtual board stopped: {0}")]
    VirtualBoardStopped(NoAnswer),
    /// The virtual network cannot be started.
    #[error("cannot start the virtual network: {0}")]
    VirtualNetwork(LanError),
    /// The virtual network cannot be disturbed in this way.
    #[error("cannot disturb the virtual network: {0}")]
    Faults(FaultError),
    /// The board cannot be told where this machine is.
    #[error("no route to the board's network: {0}; set `server-address` in rig.toml")]
    NoAddress(io::Error),
    /// Its image is not in its flash.
    #[error("flashing over {tty}: {cause}", tty = .tty.display())]
    Flash {
        /// The tty.
        tty: PathBuf,
        /// Why.
        cause: FlashError,
    },
    /// No way to reset it led to where it should be.
    #[error(
        "the board at {tty} does not start: {}; look at its cable and power, and at `reset` in rig.toml",
        joined(.tried),
        tty = .tty.display()
    )]
    Reset {
        /// The tty.
        tty: PathBuf,
        /// Each way, and what it came to.
        tried: Vec<Attempt>,
    },
    /// All boards have failed before.
    #[error("no board is left: {}", left_out::joined(.0))]
    NoneLeft(Vec<LeftOut>),
    /// Other scenarios use all boards.
    #[error(transparent)]
    NoneFree(#[from] Timeout),
    /// The program that is to be a board cannot be started.
    #[error(
        "cannot start {program}: {cause}; the program of a board is looked for in the inventory's folder, then in PATH"
    )]
    Program {
        /// The program.
        program: String,
        /// What the system said.
        cause: io::Error,
    },
    /// A board was asked for before an image was prepared.
    #[error("no image has been flashed yet")]
    NotPrepared,
}

impl BoardError {
    /// The error with the name of the board.
    pub(crate) fn on(self, board: impl Into<String>) -> Self {
        Self::On {
            board: board.into(),
            cause: Box::new(self),
        }
    }
}

/// Why an image is not in a board's flash.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The loader failed, or the image is not one for the chip.
    #[error(transparent)]
    Loader(#[from] LoaderError),
    /// The loader answered, and took the image at no speed.
    #[error("{}", joined(.0))]
    AllSpeeds(Vec<Attempt>),
    /// The program that flashes the board failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The debug probe failed.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

/// One way that was tried on a board, and what it came to.
#[derive(Debug)]
pub struct Attempt {
    /// The way to reset the board, as `rig.toml` calls it.
    pub way: &'static str,
    /// The speed at which the loader refused the image, in bit/s; none if no loader answered.
    pub baud: Option<u32>,
    /// What it came to.
    pub cause: AttemptError,
}

impl Attempt {
    pub(super) fn new(way: &ResetWay, cause: impl Into<AttemptError>) -> Self {
        Self {
            way: way.name(),
            baud: None,
            cause: cause.into(),
        }
    }

    /// One that failed at this speed.
    pub(super) fn at(baud: u32, way: &ResetWay, cause: impl Into<AttemptError>) -> Self {
        Self {
            baud: Some(baud),
            ..Self::new(way, cause)
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.baud {
            Some(baud) => write!(f, "{}, {baud} bit/s: {}", self.way, self.cause),
            None => write!(f, "{}: {}", self.way, self.cause),
        }
    }
}

/// What one way came to.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The port is not there.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The port cannot be opened.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// The port is not back after its power was switched.
    #[error("{timeout}: {cause}")]
    Away {
        /// The wait that took too long.
        timeout: Timeout,
        /// Why the port could not be opened at last.
        cause: Box<Self>,
    },
    /// The board did not reset, or not into the wanted mode.
    #[error(transparent)]
    Reset(#[from] ResetError),
    /// The loader failed.
    #[error(transparent)]
    Loader(#[from] LoaderError),
}

/// Several attempts in one line.
pub(super) fn joined(tried: &[Attempt]) -> String {
    tried.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
