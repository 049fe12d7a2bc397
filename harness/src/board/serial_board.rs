//! One board at a serial port, held by this process: flashed, reset, and listened to.
//!
//! What enters: an entry of `rig.toml`, with its lock. What leaves: a [`Console`], a board with an image in its flash,
//! or a board that has been reset. The port is looked for again at each use, since the board may have been plugged in
//! again under another name.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use espflash::connection::ResetBeforeOperation;
use espflash::target::Chip;
use serialport::{ClearBuffer, SerialPort, TTYPort};

use super::boot_mode::BootMode;
use super::console::{BAUD, Console, ConsoleHandle, GLANCE, open_port};
use super::error::{Attempt, AttemptError, BoardError, FlashError, joined};
use super::flash::{self, FlashProgress, FlashReport, Loader, PATIENCE, Remedy};
use super::probe::{self, DebugProbe};
use super::program::{self, Placeholder};
use super::reset;
use crate::deadline::Deadline;
use crate::image::Image;
use crate::language::READY;
use crate::rig::{
    BoardLock, BoardName, CommandLine, Credentials, Dialect, Flasher, Port, PortError, Ports, ResetWay, SerialEntry,
};

/// The speeds at which an image is sent, in bit/s, in the order in which they are tried: that of common bridges, that
/// of long cables, and that of any port.
const SPEEDS: [u32; 3] = [921_600, 460_800, BAUD];
/// How often a way is tried that does not lead into the loader.
const ATTEMPTS: usize = 2;
/// How long a program may take that flashes a board.
const FLASH_COMMAND: Duration = Duration::from_secs(600);

/// One board at a serial port, held by this process.
#[derive(Debug)]
pub struct SerialBoard {
    pub(super) name: BoardName,
    pub(super) entry: SerialEntry,
    /// Its Wi-Fi network, if it joins one.
    pub(super) credentials: Option<Credentials>,
    /// The address of this machine as the board sees it, if the entry has one.
    pub(super) server_address: Option<IpAddr>,
    /// The console language of its firmware, if that is not pinrig's.
    pub(super) dialect: Option<Dialect>,
    /// Its own image, which it gets in place of the run's.
    pub(super) image: Option<Arc<Image>>,
    /// Where its port is looked for.
    pub(super) ports: Ports,
    /// Keeps other processes away.
    pub(super) _lock: BoardLock,
}

impl SerialBoard {
    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &BoardName {
        &self.name
    }

    /// Its own image, which it gets in place of the run's.
    #[must_use]
    pub fn image(&self) -> Option<&Arc<Image>> {
        self.image.as_ref()
    }

    /// What its port is known by.
    pub(crate) fn port(&self) -> &Port {
        &self.entry.port
    }

    /// Its Wi-Fi network, if it joins one.
    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The address of this machine as the board sees it, if the entry has one.
    pub(crate) fn server_address(&self) -> Option<IpAddr> {
        self.server_address
    }

    /// The console language of its firmware, if that is not pinrig's.
    pub(crate) fn dialect(&self) -> Option<&Dialect> {
        self.dialect.as_ref()
    }

    /// The debug probe at it.
    pub(crate) fn debugger(&self) -> Option<DebugProbe> {
        self.entry.probe.clone().map(DebugProbe)
    }

    /// The path of its port now.
    fn tty(&self) -> Result<PathBuf, PortError> {
        Ok(self.ports.find(&self.entry.port)?.path)
    }

    /// Its console. The port of a USB device may go away and come back, as in a USB reset. Any other port that comes
    /// back would be another board's.
    ///
    /// # Errors
    /// When it is not plugged in, or its port cannot be opened.
    pub fn console(&self) -> Result<Console, BoardError> {
        let baud = self.entry.baud.map_or(BAUD, NonZeroU32::get);
        let found = self.ports.find(&self.entry.port)?;
        let port = open_port(&found.path, baud)?;
        if found.usb.is_none() {
            return Ok(Console::on(&found.path, port)?);
        }
        let (ports, wanted) = (self.ports.clone(), self.entry.port.clone());
        let finder = move || {
            let found = ports.find(&wanted).ok();
            found.filter(|port| port.usb.is_some()).map(|port| port.path)
        };
        Ok(Console::returning(&found.path, port, Box::new(finder))?)
    }

    /// Puts its own image into its flash, or `image` if it has none.
    ///
    /// # Errors
    /// When that fails in all of its ways, at all speeds.
    pub fn flash(&self, image: &Image, progress: FlashProgress<'_>) -> Result<FlashReport, BoardError> {
        let image = self.image.as_deref().unwrap_or(image);
        let tty = self.tty()?;
        let flashed = match &self.entry.flasher {
            Flasher::Espflash(chip) => return self.flash_by_loader(&tty, *chip, image, progress),
            Flasher::Command(command) => flash_by_program(command, &tty, image),
            Flasher::ProbeRs(selector) => {
                probe::flash(selector, self.name.as_str(), image, progress).map_err(FlashError::from)
            }
        };
        flashed.map_err(|cause| not_flashed(&tty, cause))
    }

    fn flash_by_loader(
        &self,
        tty: &Path,
        chip: Chip,
        image: &Image,
        progress: FlashProgress<'_>,
    ) -> Result<FlashReport, BoardError> {
        let mut tried: Vec<Attempt> = Vec::new();
        // The first of the ways that may still lead into the loader.
        let mut first = 0;
        'speeds: for baud in SPEEDS {
            for (index, way) in self.entry.reset.iter().enumerate().skip(first) {
                let (mut failed, mut late) = (0, 0);
                while failed < ATTEMPTS && late < PATIENCE {
                    let cause = match self.enter_loader(way) {
                        Err(cause) => {
                            failed += 1;
                            cause
                        }
                        Ok((port, before)) => {
                            let loader = Loader { chip, before, baud };
                            let error = match flash::flash(self.name.as_str(), port, image, loader, progress) {
                                Ok((report, _port)) => return Ok(self.remarked(report, way, baud, &tried)),
                                Err(error) => error,
                            };
                            match error.remedy() {
                                Remedy::Again => {
                                    late += 1;
                                    error.into()
                                }
                                Remedy::OtherReset => {
                                    failed += 1;
                                    error.into()
                                }
                                Remedy::OtherSpeed => {
                                    tried.push(Attempt::at(baud, way, error));
                                    first = index;
                                    continue 'speeds;
                                }
                                Remedy::None => return Err(not_flashed(tty, error)),
                            }
                        }
                    };
                    let attempt = Attempt::new(way, cause);
                    // The second attempt often comes to the same as the first.
                    if tried.last().map(ToString::to_string) != Some(attempt.to_string()) {
                        tried.push(attempt);
                    }
                }
            }
            return Err(BoardError::Reset {
                tty: tty.to_owned(),
                tried,
            });
        }
        Err(not_flashed(tty, FlashError::AllSpeeds(tried)))
    }

    /// The report of a success, with a remark on what failed before.
    fn remarked(&self, mut report: FlashReport, way: &ResetWay, baud: u32, tried: &[Attempt]) -> FlashReport {
        if !tried.is_empty() {
            let (name, way, tried) = (&self.name, way.name(), joined(tried));
            let remark = format!("{name} took its image by {way} at {baud} bit/s, after {tried}");
            report.remarks.push(remark);
        }
        report
    }

    /// Brings the chip into its loader, or tells how espflash will: it knows the lines of common boards best, and tries
    /// several timings.
    fn enter_loader(&self, way: &ResetWay) -> Result<(TTYPort, ResetBeforeOperation), AttemptError> {
        let tty = self.tty()?;
        let mut port = open_port(&tty, BAUD)?;
        if let ResetWay::Command(command) = way {
            // What the board said before the reset must not be taken for what it says after it.
            let _nothing_there = port.clear(ClearBuffer::Input);
            // The program may switch the port's power. Then this handle leads nowhere, and the port has another name
            // when it is back.
            drop(port);
            reset::by_program(command, &tty, BootMode::Download)?;
            let port = self.open_again()?;
            // The program may end before the chip is reset. Then a loader from before the reset would answer first, and
            // be gone.
            reset::hear_loader(&tty, &port)?;
            return Ok((port, ResetBeforeOperation::NoReset));
        }
        let before = match way {
            ResetWay::Classic | ResetWay::ClassicTight => ResetBeforeOperation::DefaultReset,
            ResetWay::UsbJtag => ResetBeforeOperation::UsbReset,
            ResetWay::Watchdog | ResetWay::ProbeRs(_) | ResetWay::Command(_) => {
                reset::pull(way, BootMode::Download, &tty, &mut port)?;
                ResetBeforeOperation::NoReset
            }
        };
        Ok((port, before))
    }

    /// Its port, as soon as it is there again.
    #[expect(
        clippy::disallowed_methods,
        reason = "there is no event for a device file that can be opened; the deadline bounds the wait"
    )]
    fn open_again(&self) -> Result<TTYPort, AttemptError> {
        let deadline = reset::powered_up();
        loop {
            let opened = self
                .tty()
                .map_err(AttemptError::from)
                .and_then(|tty| Ok(open_port(&tty, BAUD)?));
            match opened {
                Ok(port) => return Ok(port),
                Err(cause) if deadline.has_expired() => {
                    return Err(AttemptError::Away {
                        timeout: deadline.timeout(),
                        cause: Box::new(cause),
                    });
                }
                Err(_) => thread::sleep(GLANCE),
            }
        }
    }

    /// Resets it by the first of its ways that leads into `mode`, as its console hears it.
    ///
    /// # Errors
    /// When none does.
    pub fn reset(&self, mode: BootMode, console: &ConsoleHandle) -> Result<(), BoardError> {
        let ready = self.dialect.as_ref().map_or(READY, |dialect| &dialect.ready);
        let mut tried = Vec::new();
        for way in &self.entry.reset {
            match reset::reset(way, mode, console, ready) {
                Ok(()) => return Ok(()),
                Err(cause) => tried.push(Attempt::new(way, cause)),
            }
        }
        Err(BoardError::Reset {
            tty: console.tty(),
            tried,
        })
    }
}

/// Lets a program that the rig names flash the board at this port.
fn flash_by_program(command: &CommandLine, tty: &Path, image: &Image) -> Result<FlashReport, FlashError> {
    let began = Instant::now();
    let (tty, image) = (tty.to_string_lossy(), image.path().to_string_lossy());
    let placeholders = [("port", &*tty), ("image", &*image)].map(|(name, value)| Placeholder { name, value });
    let deadline = Deadline::after("the command of `flasher`", FLASH_COMMAND);
    program::run(command, &placeholders, &deadline)?;
    Ok(FlashReport {
        written: 1,
        took: began.elapsed(),
        ..FlashReport::default()
    })
}

fn not_flashed(tty: &Path, cause: impl Into<FlashError>) -> BoardError {
    BoardError::Flash {
        tty: tty.to_owned(),
        cause: cause.into(),
    }
}
