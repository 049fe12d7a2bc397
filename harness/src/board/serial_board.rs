//! One board at a serial port: found, held, flashed, reset.
//!
//! What enters: entries of `rig.toml`. What leaves: boards that this process holds. A board is looked for anew whenever it is used, since
//! it may have been plugged in again under another name.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use espflash::connection::ResetBeforeOperation;
use espflash::target::Chip;
use serialport::{ClearBuffer, SerialPort, TTYPort};

use super::console::{BAUD, Console, ConsoleHandle, Finder, GLANCE, open_port};
use super::flash::{self, FlashFailure, FlashProgress, FlashReport, Loader};
use super::probe::{self, DebugProbe};
use super::reset::{self, Ladder, Lines};
use super::{BoardError, BootMode, Secret};
use crate::deadline::Deadline;
use crate::image::{Image, ImageError};
use crate::language::READY;
use crate::rig::{
    BoardLock, Dialect, Entry, Flasher, Kind, LockError, Locks, PasswordError, Port, PortError, Ports, ResetWay,
};

/// The speeds at which an image is sent, in bit/s, in the order in which they are tried: what common bridges, long cables, and any port
/// can do.
const SPEEDS: [u32; 3] = [921_600, 460_800, BAUD];
/// How often a way is tried that does not lead into the loader.
const ATTEMPTS: usize = 2;
/// How long a program may take that flashes a board.
const FLASH_COMMAND: Duration = Duration::from_secs(600);

/// One board at a serial port, held by this process.
#[derive(Debug)]
pub struct SerialBoard {
    /// What people call it.
    pub name: String,
    /// The chip; none that espflash knows where another flasher is used.
    pub chip: Option<Chip>,
    /// What its port is known by.
    pub port: Port,
    /// Where ports are looked for.
    pub ports: Ports,
    /// The speed of its firmware's console, in bit/s.
    pub baud: u32,
    /// Its own image, which it is given in place of the run's.
    pub image: Option<Arc<Image>>,
    /// How an image gets into its flash.
    pub flasher: Flasher,
    /// The ways to reset it, in the order in which they are tried.
    pub ways: Vec<ResetWay>,
    /// Its Wi-Fi network and the password of that, if it has one.
    pub network: Option<(String, Option<Secret>)>,
    /// The address under which it reaches this machine; without it, that of this machine's default route.
    pub server: Option<IpAddr>,
    /// The debug probe at it.
    pub probe: Option<DebugProbe>,
    /// How its firmware is spoken to, if it does not speak pinrig's console language.
    pub dialect: Option<Dialect>,
    /// Keeps others away.
    pub lock: BoardLock,
}

/// Which of several boards are to be held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Claim {
    /// Every one that is free.
    All,
    /// The first that is free: for one of several processes that share the boards.
    One,
}

/// What came of a claim.
#[derive(Debug)]
pub struct Claimed {
    /// The boards that this process holds now: at least one.
    pub boards: Vec<SerialBoard>,
    /// Those that it could not have, and why.
    pub left_out: Vec<(String, String)>,
}

/// Why no board can be had.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Its port is not there.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Another process has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its network's password is not where it should be.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Its image cannot be used.
    #[error("`firmware` in rig.toml: {0}")]
    Image(#[from] ImageError),
    /// Its entry asks for what this program does not have.
    #[error("{0}")]
    Entry(String),
    /// None can be used.
    #[error("no board can be used: {}", joined(.0))]
    None(Vec<(String, String)>),
}

impl SerialBoard {
    /// Takes boards of the rig for this process. `inventory` is the file that has the entries; while another process holds all of them,
    /// their holder is told to `waiting` and the first to become free is waited for until `deadline`.
    ///
    /// # Errors
    /// When none can be had.
    pub fn claim(
        entries: &[&Entry],
        inventory: &Path,
        (ports, locks): (&Ports, &Locks),
        claim: Claim,
        deadline: &Deadline,
        waiting: impl FnOnce(&LockError),
    ) -> Result<Claimed, ClaimError> {
        let mut boards = Vec::new();
        let mut left_out = Vec::new();
        let mut held = Vec::new();
        let mut first_held = None;
        for entry in entries {
            match ready(entry, inventory, ports) {
                Err(error) => left_out.push((entry.name.clone(), error.to_string())),
                Ok(ready) => match locks.take(&entry.name, &ready.identity) {
                    Ok(lock) => boards.push(ready.held(ports, lock)),
                    Err(error @ LockError::Held { .. }) => {
                        left_out.push((entry.name.clone(), error.to_string()));
                        held.push(ready);
                        first_held.get_or_insert(error);
                    }
                    Err(error) => return Err(error.into()),
                },
            }
            if claim == Claim::One && !boards.is_empty() {
                break;
            }
        }
        if boards.is_empty()
            && let Some(error) = first_held
        {
            if deadline.left().is_zero() {
                return Err(ClaimError::None(left_out));
            }
            waiting(&error);
            let candidates: Vec<(String, String)> = held
                .iter()
                .map(|ready| (ready.entry.name.clone(), ready.identity.clone()))
                .collect();
            let (index, lock) = locks.wait_for_any(&candidates, deadline)?;
            let ready = held.swap_remove(index);
            left_out.retain(|(name, _)| *name != ready.entry.name);
            boards.push(ready.held(ports, lock));
        }
        if boards.is_empty() {
            return Err(ClaimError::None(left_out));
        }
        Ok(Claimed { boards, left_out })
    }

    /// The path of its tty now.
    ///
    /// # Errors
    /// When it is not plugged in.
    pub fn tty(&self) -> Result<PathBuf, BoardError> {
        let port = self.ports.find(&self.port).map_err(|source| BoardError::Port {
            board: self.name.clone(),
            source,
        })?;
        Ok(port.path)
    }

    /// Its console. The port may go away and come back, as in a USB reset, if it is that of a USB device: any other port would be another
    /// board's.
    ///
    /// # Errors
    /// When it is not plugged in, or its port cannot be opened.
    pub fn console(&self) -> Result<Console, BoardError> {
        let tty = self.tty()?;
        let (ports, known) = (self.ports.clone(), self.port.clone());
        let find = move || ports.find(&known).ok().filter(|port| port.usb.is_some());
        let port = open_port(&tty, self.baud)?;
        let finder = find().map(|_| Box::new(move || find().map(|port| port.path)) as Finder);
        Ok(match finder {
            Some(finder) => Console::returning(&tty, port, finder)?,
            None => Console::on(&tty, port)?,
        })
    }

    /// Puts its own image into its flash, or else `image`.
    ///
    /// # Errors
    /// When that cannot be done in any of its ways, at any speed.
    pub fn flash(&self, image: &Image, progress: FlashProgress<'_>) -> Result<FlashReport, BoardError> {
        let image = self.image.as_deref().unwrap_or(image);
        let tty = self.tty()?;
        let failed = |message: String| BoardError::Flash {
            tty: tty.clone(),
            message,
        };
        match (&self.flasher, self.chip) {
            (Flasher::Espflash, Some(chip)) => self.flash_by_loader(&tty, chip, image, progress),
            (Flasher::Command(words), _) => {
                let began = Instant::now();
                let places = [
                    ("{port}", &*tty.to_string_lossy()),
                    ("{image}", &*image.path().to_string_lossy()),
                ];
                let deadline = Deadline::after("the command of `flasher`", FLASH_COMMAND);
                reset::run(words, &places, &deadline).map_err(|error| failed(error.to_string()))?;
                Ok(FlashReport {
                    written: 1,
                    took: began.elapsed(),
                    ..FlashReport::default()
                })
            }
            (Flasher::ProbeRs, _) => match &self.probe {
                Some(probe) => probe.flash(&self.name, image, progress).map_err(failed),
                None => Err(failed("the board has no `probe` in rig.toml".to_owned())),
            },
            (Flasher::Espflash, None) => Err(failed("this flasher cannot flash this chip".to_owned())),
        }
    }

    fn flash_by_loader(
        &self,
        tty: &Path,
        chip: Chip,
        image: &Image,
        progress: FlashProgress<'_>,
    ) -> Result<FlashReport, BoardError> {
        let mut tried = Vec::new();
        // The first of the ways that may still lead into the loader.
        let mut first = 0;
        'speeds: for baud in SPEEDS {
            for (index, way) in self.ways.iter().enumerate().skip(first) {
                let name = reset::name_of(way);
                for _ in 0..ATTEMPTS {
                    let attempt = self
                        .enter_loader(way)
                        .map_err(FlashFailure::NoLoader)
                        .and_then(|(port, before)| {
                            let loader = Loader { chip, before, baud };
                            flash::flash(&self.name, port, image, loader, progress)
                        });
                    match attempt {
                        Ok((mut report, _port)) => {
                            if !tried.is_empty() {
                                let tried = tried.join("; ");
                                let took = format!("{} took its image by {name} at {baud} bit/s", self.name);
                                report.remarks.push(format!("{took}, after {tried}"));
                            }
                            return Ok(report);
                        }
                        Err(FlashFailure::NoLoader(why)) => {
                            let failed = format!("{name}: {why}");
                            if tried.last() != Some(&failed) {
                                tried.push(failed);
                            }
                        }
                        Err(FlashFailure::Refused(why)) => {
                            tried.push(format!("{name}, {baud} bit/s: {why}"));
                            first = index;
                            continue 'speeds;
                        }
                        Err(FlashFailure::Wrong(message)) => {
                            return Err(BoardError::Flash {
                                tty: tty.to_owned(),
                                message,
                            });
                        }
                    }
                }
            }
            return Err(BoardError::Reset {
                board: self.name.clone(),
                tty: tty.to_owned(),
                tried: tried.join("; "),
            });
        }
        Err(BoardError::Flash {
            tty: tty.to_owned(),
            message: tried.join("; "),
        })
    }

    /// Brings its chip into its loader, or tells how espflash will: it knows the lines of common boards best, and tries several timings.
    fn enter_loader(&self, way: &ResetWay) -> Result<(TTYPort, ResetBeforeOperation), String> {
        let tty = self.tty().map_err(|error| error.to_string())?;
        let mut port = open_port(&tty, BAUD).map_err(|error| error.to_string())?;
        if let ResetWay::Command(words) = way {
            // What it said before is not what it says now.
            let _nothing_there = port.clear(ClearBuffer::Input);
            // It may take the port's power: then this handle leads nowhere, and the port has another name when it is back.
            drop(port);
            reset::by_program(words, &tty, BootMode::Download).map_err(|error| error.to_string())?;
            let port = self.open_again()?;
            // The program may have ended before the chip is reset, and then a loader of before answers first and is gone.
            reset::hear_loader(&tty, &port).map_err(|error| error.to_string())?;
            return Ok((port, ResetBeforeOperation::NoReset));
        }
        let before = match way {
            ResetWay::Classic | ResetWay::ClassicTight => ResetBeforeOperation::DefaultReset,
            ResetWay::UsbJtag => ResetBeforeOperation::UsbReset,
            ResetWay::Watchdog | ResetWay::ProbeRs | ResetWay::Command(_) => {
                let mut lines = Lines {
                    tty: &tty,
                    port: &mut port,
                    probe: self.probe.as_ref(),
                };
                reset::pull(way, BootMode::Download, &mut lines).map_err(|error| error.to_string())?;
                ResetBeforeOperation::NoReset
            }
        };
        Ok((port, before))
    }

    /// Its port, as soon as it is there.
    #[expect(
        clippy::disallowed_methods,
        reason = "no event tells that a device file is there which can be opened"
    )]
    fn open_again(&self) -> Result<TTYPort, String> {
        let deadline = reset::powered_up();
        loop {
            match self.tty().and_then(|tty| Ok(open_port(&tty, BAUD)?)) {
                Ok(port) => return Ok(port),
                Err(error) if deadline.left().is_zero() => {
                    return Err(format!("{}: {error}", deadline.timeout()));
                }
                Err(_) => thread::sleep(GLANCE),
            }
        }
    }

    /// Resets it by the first of its ways that leads there, as its console hears it.
    ///
    /// # Errors
    /// When none does.
    pub fn reset(&self, mode: BootMode, heard: &ConsoleHandle) -> Result<(), BoardError> {
        let ladder = Ladder {
            ways: &self.ways,
            probe: self.probe.as_ref(),
            heard,
            ready: self.dialect.as_ref().map_or(READY, |dialect| &dialect.ready),
        };
        ladder.climb(mode).map_err(|tried| BoardError::Reset {
            board: self.name.clone(),
            tty: heard.tty(),
            tried,
        })
    }
}

/// A board that can be used by its entry, and is not held yet.
struct Ready<'a> {
    entry: &'a Entry,
    /// Under which it is held.
    identity: String,
    network: Option<(String, Option<Secret>)>,
    image: Option<Arc<Image>>,
}

/// Looks whether a board can be used by its entry, without touching it.
fn ready<'a>(entry: &'a Entry, inventory: &Path, ports: &Ports) -> Result<Ready<'a>, ClaimError> {
    match entry.flasher {
        _ if entry.kind == Kind::Process => {
            let why = "it is a process, which is started for each scenario: there is nothing to hold, flash or reset";
            return Err(ClaimError::Entry(why.to_owned()));
        }
        Flasher::ProbeRs if !probe::BUILT_IN => {
            return Err(ClaimError::Entry(probe::NOT_BUILT_IN.to_owned()));
        }
        Flasher::Espflash if entry.chip.parse::<Chip>().is_err() => {
            return Err(ClaimError::Entry(format!(
                "espflash does not know the chip `{}`; give the command of another flasher",
                entry.chip
            )));
        }
        Flasher::Espflash | Flasher::ProbeRs | Flasher::Command(_) => {}
    }
    let network = match &entry.network {
        Some(network) => Some((network.ssid.clone(), network.password(inventory)?.map(Secret))),
        None => None,
    };
    let image = entry.firmware_path(inventory).map(|path| Image::load(&path));
    Ok(Ready {
        entry,
        identity: ports.find(&entry.port)?.identity(),
        network,
        image: image.transpose()?.map(Arc::new),
    })
}

impl Ready<'_> {
    fn held(self, ports: &Ports, lock: BoardLock) -> SerialBoard {
        let entry = self.entry;
        SerialBoard {
            name: entry.name.clone(),
            chip: entry.chip.parse().ok(),
            port: entry.port.clone(),
            ports: ports.clone(),
            baud: entry.baud.map_or(BAUD, NonZeroU32::get),
            image: self.image,
            flasher: entry.flasher.clone(),
            ways: entry.reset.clone(),
            network: self.network,
            server: entry.server_address,
            probe: entry.probe.clone().map(|selector| DebugProbe { selector }),
            dialect: entry.dialect.clone(),
            lock,
        }
    }
}

fn joined(left_out: &[(String, String)]) -> String {
    let each = left_out.iter().map(|(name, why)| {
        // Some reasons begin with the board's name already.
        if why.starts_with(name.as_str()) {
            why.clone()
        } else {
            format!("{name}: {why}")
        }
    });
    each.collect::<Vec<_>>().join("; ")
}
