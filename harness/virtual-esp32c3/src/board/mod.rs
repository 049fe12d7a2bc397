//! The board's handle: starts the thread that runs a chip behind a tty, and passes commands to it. A configuration or a
//! snapshot enters; a tty, lines to pull, frames and hardware events leave. It knows no serial protocol.
//!
//! The thread itself is `runner`, the queue of commands into it is `control`.

mod pty;
mod surroundings;
mod state;
mod control;
mod runner;
mod debug_port;

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::cable::PoorCable;
use crate::chip::{Chip, ChipOptions, ConsolePort, UartFormat, UartPort};
use crate::flash_timing::FlashTiming;
use crate::log::LogEntry;
use crate::rom::RomError;
use crate::strapping::Strapping;
pub use control::{BoardLines, FrameSender, NoAnswer};
use control::{Command, Control};
pub use debug_port::{DebugPort, DebugPortError};
use pty::Pty;
use runner::Runner;
use state::Shared;
pub use state::{BoardStats, Snapshot};
pub use surroundings::{FrameSink, Outlook, Surroundings};

/// What a board is made of.
#[derive(Debug, Clone)]
pub struct BoardConfig {
    /// Contents of the flash when the board is started; the length is its size in bytes. Boards share it until they
    /// write.
    pub flash: Arc<[u8]>,
    /// The MAC address in the eFuses.
    pub mac: [u8; 6],
    /// The chip's revision, major and minor.
    pub revision: (u8, u8),
    /// Seed of the chip's random numbers: boards with the same seed and the same inputs draw the same ones.
    pub seed: u64,
    /// The chip's serial port that the tty is connected to.
    pub console: ConsolePort,
    /// How long the flash chip takes to program and to erase. The default is far shorter than a real chip takes,
    /// because software polls the flash chip meanwhile and the host would be busy for all of that time.
    /// [`FlashTiming::TYPICAL`] has a real chip's times.
    pub flash_timing: FlashTiming,
    /// An address in a sector of the flash that is worn out: the first byte of each of its pages stays erased.
    pub worn_sector: Option<u32>,
    /// The highest speed, in bit/s, that the cable to UART0 carries faithfully. At higher speeds every seventh byte
    /// arrives damaged. `None`: every speed.
    pub cable_limit: Option<u32>,
}

impl Default for BoardConfig {
    /// 4 MB of erased flash, chip revision v0.3, UART0 on the tty.
    fn default() -> Self {
        const FLASH_SIZE: usize = 4 << 20;
        Self {
            flash: vec![0xFF; FLASH_SIZE].into(),
            // A locally administered unicast address.
            mac: [0x02, 0x00, 0x00, 0xC3, 0x00, 0x01],
            revision: (0, 3),
            seed: 0,
            console: ConsolePort::Uart0,
            flash_timing: FlashTiming::FAST,
            worn_sector: None,
            cable_limit: None,
        }
    }
}

/// Why a board cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum VirtualBoardError {
    /// The chip cannot be made.
    #[error(transparent)]
    Rom(#[from] RomError),
    /// The host has refused a pseudo terminal.
    #[error(
        "cannot open a pseudo terminal for the virtual board: {0}; check that /dev/pts is mounted and the limit of open files"
    )]
    Pty(std::io::Error),
    /// The host has refused a thread, or the event that wakes it.
    #[error("cannot start the virtual board's thread: {0}; check the limits of threads and open files")]
    Thread(std::io::Error),
    /// The board that was to be copied does not answer.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

/// An ESP32-C3 board behind a tty. It ends when this is dropped.
pub struct VirtualBoard {
    tty: PathBuf,
    control: Control,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
    /// Kept open, since the board's end would report a hang-up while no program has the tty open.
    _terminal: OwnedFd,
}

impl VirtualBoard {
    /// Makes a board and opens its tty. EN is low, so the chip is held in reset until [`VirtualBoard::set_lines`] or
    /// [`VirtualBoard::power_cycle`] is called. Frames that the board sends go to `ethernet`, which the board's thread
    /// calls.
    ///
    /// # Errors
    /// If there is no ROM for the chip's revision, or the host refuses a pseudo terminal or a thread.
    pub fn start(config: BoardConfig, ethernet: Option<FrameSink>) -> Result<Self, VirtualBoardError> {
        let mut chip = Chip::new(ChipOptions {
            flash: config.flash,
            mac: config.mac,
            revision: config.revision,
            seed: config.seed,
            console: config.console,
        })?;
        chip.set_flash_timing(config.flash_timing);
        if let Some(address) = config.worn_sector {
            chip.wear_flash_out(address);
        }
        let new = Snapshot {
            chip,
            log: Vec::new(),
            outgoing: VecDeque::new(),
            cable: config.cable_limit.map(PoorCable::new),
        };
        Self::start_from(new, ethernet)
    }

    fn start_from(snapshot: Snapshot, ethernet: Option<FrameSink>) -> Result<Self, VirtualBoardError> {
        let pty = Pty::open().map_err(VirtualBoardError::Pty)?;
        let (control, commands) = Control::new().map_err(VirtualBoardError::Thread)?;
        let shared = Arc::new(Mutex::new(Shared {
            log: snapshot.log.clone(),
            ..Shared::default()
        }));
        let mut runner = Runner::new(snapshot, pty.controller, commands, ethernet, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("virtual-esp32c3".to_owned())
            .spawn(move || runner.run())
            .map_err(VirtualBoardError::Thread)?;
        Ok(Self {
            tty: pty.path,
            control,
            shared,
            thread: Some(thread),
            _terminal: pty.terminal,
        })
    }

    /// The path of the tty, such as `/dev/pts/7`.
    #[must_use]
    pub fn tty(&self) -> &Path {
        &self.tty
    }

    /// Sets the levels of EN (low holds the chip in reset) and of GPIO9 (low when EN rises selects download mode).
    /// Changes take effect in order, even if they follow each other at once.
    pub fn set_lines(&self, enable: bool, boot: bool) {
        self.lines().set(enable, boot);
    }

    /// EN, GPIO9 and the lines of the USB serial port, for a circuit that moves them from another thread.
    #[must_use]
    pub fn lines(&self) -> BoardLines {
        BoardLines::new(self.control.clone())
    }

    /// Pulls EN low and lets it rise again, with this level at GPIO9.
    pub fn power_cycle(&self, strapping: Strapping) {
        let boot = strapping.boot_level();
        self.set_lines(false, boot);
        self.set_lines(true, boot);
    }

    /// Takes the supply away at once: see [`Chip::power_cut`]. [`VirtualBoard::power_cycle`] switches it on again.
    pub fn power_cut(&self) {
        self.control.at_chip(Chip::power_cut);
    }

    /// Plugs in the cable of the USB serial/JTAG: see [`Chip::plug_usb`].
    pub fn plug_usb(&self) {
        self.control.at_chip(Chip::plug_usb);
    }

    /// Unplugs the cable of the USB serial/JTAG: see [`Chip::unplug_usb`].
    pub fn unplug_usb(&self) {
        self.control.at_chip(Chip::unplug_usb);
    }

    /// Sends `bytes` to one of the chip's UARTs: see [`Chip::transmit`].
    pub fn transmit(&self, uart: UartPort, format: UartFormat, bytes: Vec<u8>) {
        self.control.at_chip(move |chip| chip.transmit(uart, &format, &bytes));
    }

    /// What a UART has sent since the last call: see [`Chip::transmitted`].
    ///
    /// # Errors
    /// If the board's thread does not answer in time.
    pub fn transmitted(&self, uart: UartPort) -> Result<Vec<u8>, NoAnswer> {
        self.control
            .ask("what its UART has sent", move |chip| chip.transmitted(uart))
    }

    /// The board's network port, for the network to send frames to.
    #[must_use]
    pub fn ethernet(&self) -> FrameSender {
        FrameSender::new(self.control.clone())
    }

    /// The chip's debug module and JTAG pins, for debuggers.
    #[must_use]
    pub fn debug_port(&self) -> DebugPort {
        DebugPort::new(self.control.clone())
    }

    /// The flash's contents now. Other boards can be started from them, so that many boards need flashing only once.
    ///
    /// # Errors
    /// If the board's thread does not answer in time.
    pub fn flash(&self) -> Result<Arc<[u8]>, NoAnswer> {
        self.control.ask("the contents of its flash", |chip| chip.flash())
    }

    /// Skips the time for which the hart sleeps, as long as `surroundings` report that nothing will come to the board.
    /// A wait of ten seconds then costs next to nothing. The chip's clock runs ahead of the host's, and the
    /// surroundings follow it.
    pub fn skip_idle_time(&self, surroundings: Box<dyn Surroundings>) {
        self.control.send(Command::SkipIdleTime(surroundings));
    }

    /// A copy of the board as it stands now. The board itself runs on.
    ///
    /// # Errors
    /// If the board's thread does not answer in time.
    pub fn snapshot(&self) -> Result<Snapshot, NoAnswer> {
        self.control.snapshot()
    }

    /// Goes on from `snapshot`, whatever this board was doing. `said` is written to the tty first: the console output
    /// of the board that the snapshot was taken from, so that the reader of this tty sees a complete boot.
    pub fn restore(&self, snapshot: &Snapshot, said: Vec<u8>) {
        let snapshot = Box::new(snapshot.clone());
        self.control.send(Command::Restore { snapshot, said });
    }

    /// A second board in the state of this one, with a tty and a network of its own. Both run on.
    ///
    /// # Errors
    /// As [`VirtualBoard::start`], or if the board's thread does not answer in time.
    pub fn fork(&self, ethernet: Option<FrameSink>) -> Result<Self, VirtualBoardError> {
        Self::start_from(self.snapshot()?, ethernet)
    }

    /// The hardware events so far, in order.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.shared().log.clone()
    }

    /// The hardware events so far, and then each as it happens. The channel closes when the board is dropped.
    #[must_use]
    pub fn watch_log(&self) -> Receiver<LogEntry> {
        let (sender, entries) = channel();
        let mut shared = self.shared();
        for entry in &shared.log {
            // Sending cannot fail: this function still has the receiver.
            let _received = sender.send(entry.clone());
        }
        shared.watchers.push(sender);
        entries
    }

    /// How much the board has done, as of its last slice.
    #[must_use]
    pub fn stats(&self) -> BoardStats {
        self.shared().stats
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for VirtualBoard {
    fn drop(&mut self) {
        self.control.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
        self.shared().watchers.clear();
    }
}

impl fmt::Debug for VirtualBoard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VirtualBoard")
            .field("tty", &self.tty)
            .finish_non_exhaustive()
    }
}
