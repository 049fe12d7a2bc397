//! Boards of the rig, taken for this process.
//!
//! What enters: a rig, and entries of its inventory. What leaves: the boards that this process holds from now on, and
//! those that it cannot use.

use std::sync::Arc;

use super::left_out::{self, LeftOut};
use super::probe::{self, ProbeError};
use super::serial_board::SerialBoard;
use crate::deadline::Deadline;
use crate::image::{Image, ImageError};
use crate::rig::{
    BoardLock, Candidate, Credentials, Entry, Flasher, Images, Kind, LockError, PasswordError, PortError, Rig,
    SerialEntry, WifiNetwork,
};

/// Which boards are to be held, and with which image.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The entries of the boards.
    pub entries: &'a [&'a Entry],
    /// How many of them are taken.
    pub take: Take,
    /// Which image they get.
    pub images: Images,
}

/// How many of several free boards a process takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Take {
    /// All of them.
    All,
    /// The first one: for one of several processes that share the boards.
    One,
}

/// The boards that a process holds.
#[derive(Debug)]
pub struct Claimed {
    /// The boards: at least one.
    pub boards: Vec<SerialBoard>,
    /// The boards that it cannot use.
    pub left_out: Vec<LeftOut>,
}

/// Why this process holds no board.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// A lock cannot be used, or no board became free in time.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// No board can be used.
    #[error("no board can be used: {}", left_out::joined(.0))]
    None(Vec<LeftOut>),
}

/// Why a board cannot be used as its entry says.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it is a process, which is started for each scenario: there is nothing to hold, flash or reset")]
    Process,
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("`firmware` in rig.toml: {0}")]
    Image(ImageError),
}

impl Claim<'_> {
    /// Takes the boards for this process. While other processes hold all of them, `waiting` is told which process holds
    /// the first, and the first board to become free is waited for until `deadline`.
    ///
    /// # Errors
    /// When no board can be used, or none is free in time.
    pub fn hold(
        &self,
        rig: &Rig,
        deadline: &Deadline,
        waiting: impl FnOnce(&LockError),
    ) -> Result<Claimed, ClaimError> {
        let mut boards = Vec::new();
        let mut left_out = Vec::new();
        let mut held = Vec::new();
        let mut first_held = None;
        for entry in self.entries {
            match Usable::of(entry, rig, self.images) {
                Err(why) => left_out.push(LeftOut::because(entry.name.as_str(), why)),
                Ok(usable) => match rig.locks.take(&usable.candidate) {
                    Ok(lock) => boards.push(usable.held(rig, lock)),
                    Err(LockError::Held(by)) => {
                        let why = format_args!("it is held by {}", by.holder());
                        left_out.push(LeftOut::because(entry.name.as_str(), why));
                        held.push(usable);
                        first_held.get_or_insert(LockError::Held(by));
                    }
                    Err(error) => return Err(error.into()),
                },
            }
            if self.take == Take::One && !boards.is_empty() {
                break;
            }
        }
        if boards.is_empty()
            && let Some(error) = first_held
        {
            if deadline.has_expired() {
                return Err(ClaimError::None(left_out));
            }
            waiting(&error);
            let candidates: Vec<Candidate> = held.iter().map(|usable| usable.candidate.clone()).collect();
            let (index, lock) = rig.locks.wait_for_any(&candidates, deadline)?;
            let usable = held.swap_remove(index);
            left_out.retain(|left_out| left_out.board != usable.entry.name.as_str());
            boards.push(usable.held(rig, lock));
        }
        if boards.is_empty() {
            return Err(ClaimError::None(left_out));
        }
        Ok(Claimed { boards, left_out })
    }
}

/// A board that can be used as its entry says, and is not held yet.
struct Usable<'a> {
    entry: &'a Entry,
    serial: &'a SerialEntry,
    candidate: Candidate,
    credentials: Option<Credentials>,
    image: Option<Arc<Image>>,
}

impl<'a> Usable<'a> {
    /// Looks at everything that a board needs, without touching the board.
    fn of(entry: &'a Entry, rig: &Rig, images: Images) -> Result<Self, Unusable> {
        let Kind::Serial(serial) = &entry.kind else {
            return Err(Unusable::Process);
        };
        if matches!(serial.flasher, Flasher::ProbeRs(_)) && !probe::BUILT_IN {
            return Err(ProbeError::NotBuiltIn.into());
        }
        let network = entry.network.as_ref();
        let credentials = network.map(WifiNetwork::credentials).transpose()?;
        let own = serial.firmware.as_ref().filter(|_| images == Images::Own);
        let image = own.map(|path| Image::load(path)).transpose().map_err(Unusable::Image)?;
        let identity = rig.ports.find(&serial.port)?.identity();
        Ok(Self {
            entry,
            serial,
            candidate: Candidate {
                board: entry.name.clone(),
                identity,
            },
            credentials,
            image: image.map(Arc::new),
        })
    }

    fn held(self, rig: &Rig, lock: BoardLock) -> SerialBoard {
        SerialBoard {
            name: self.entry.name.clone(),
            entry: self.serial.clone(),
            credentials: self.credentials,
            server_address: self.entry.server_address,
            dialect: self.entry.dialect.clone(),
            image: self.image,
            ports: rig.ports.clone(),
            _lock: lock,
        }
    }
}
