//! The board: a thread that runs the chip behind a pty. The host's clock and its files are here and nowhere else. Bytes go
//! between tty and chip, frames between chip and network; control comes through a queue. It knows no serial protocol.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::cable::PoorCable;
pub use crate::chip::ConsolePort;
use crate::chip::{Chip, ChipOptions, Pause, UartFormat, UartPort};
use crate::clock::{CYCLES_PER_SECOND, cycles, duration};
use crate::debug_port::DebugPort;
use crate::flash_timing::FlashTiming;
use crate::log::LogEntry;
use crate::rom::RomError;
use crate::spin::is_spinning;

/// What is around a board and lives by its clock.
pub trait Surroundings: Send {
    /// The board's clock has moved on by so much since it last said so. Called in the board's thread, every millisecond of its time.
    fn advance(&self, by: Duration);

    /// How much time has to pass until something may come to the board that is not an answer to it: byte, frame or reset.
    /// [`Duration::MAX`]: time alone brings nothing; `None`: it may come at any moment. `said` is how many bytes the board has written to
    /// its tty so far. Called often, so it must be quick.
    fn quiet_for(&self, said: u64) -> Option<Duration>;
}

/// Receives the frames that leave the board.
pub type FrameSink = Box<dyn FnMut(&[u8]) + Send>;

/// What a board is made of.
#[derive(Debug, Clone)]
pub struct BoardConfig {
    /// Contents of the flash when the board is started; the length is its size in bytes. Boards share it until they write.
    pub flash: Arc<[u8]>,
    /// The MAC address in the eFuses.
    pub mac: [u8; 6],
    /// The chip's revision, major and minor.
    pub revision: (u8, u8),
    /// Where the random numbers begin.
    pub seed: u64,
    /// The port that the tty carries.
    pub console: ConsolePort,
    /// How long the flash chip takes to program and to erase. The default is far shorter than a real chip's times, since
    /// software polls meanwhile and the host would spend them all: use [`FlashTiming::TYPICAL`] to meet them.
    pub flash_timing: FlashTiming,
    /// An address in a sector of the flash that is worn out: the first byte of each of its pages stays erased.
    pub worn_sector: Option<u32>,
    /// The highest speed, in bit/s, at which the cable to UART0 carries what is sent: above it, every seventh byte arrives damaged.
    pub cable_limit: Option<u32>,
}

impl Default for BoardConfig {
    /// 4 MB of erased flash, chip revision v0.3, UART0 on the tty.
    fn default() -> Self {
        const FLASH_SIZE: usize = 4 << 20;
        Self {
            flash: vec![0xFF; FLASH_SIZE].into(),
            // Locally administered, unicast.
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

/// A board cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// The chip cannot be made.
    #[error(transparent)]
    Rom(#[from] RomError),
    /// The host gives no pty.
    #[error("cannot open a pty for the virtual board: {0}; check that /dev/pts is mounted and the limit of open files")]
    Pty(#[source] std::io::Error),
    /// The host gives no thread.
    #[error("cannot start the virtual board's thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// How much a board has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BoardStats {
    /// Instructions executed.
    pub instructions: u64,
    /// The chip's clock since the board was started, on and off.
    pub time: Duration,
    /// How much of that time the hart slept.
    pub idle: Duration,
    /// How much of the sleep was skipped: it passed on the chip's clock only.
    pub skipped: Duration,
}

/// An ESP32-C3 board behind a tty. It ends when this is dropped.
pub struct VirtualBoard {
    tty: PathBuf,
    control: Control,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
    /// Kept open so that the board never sees its tty hung up while nobody has it open.
    _terminal: OwnedFd,
}

/// Puts frames on the board's wire.
#[derive(Debug, Clone)]
pub struct FrameSender {
    control: Control,
}

/// The board's EN and GPIO9, and the lines of its USB serial port, for whoever pulls them.
#[derive(Debug, Clone)]
pub struct BoardLines {
    control: Control,
}

/// What the board's thread tells the outside.
#[derive(Debug, Default)]
struct Shared {
    log: Vec<LogEntry>,
    log_watchers: Vec<Sender<LogEntry>>,
    stats: BoardStats,
}

enum Command {
    Lines {
        enable: bool,
        boot: bool,
    },
    Frame(Vec<u8>),
    Flash(Sender<Arc<[u8]>>),
    Snapshot(Sender<Snapshot>),
    Restore {
        snapshot: Box<Snapshot>,
        said: Vec<u8>,
    },
    /// Something that is done to the chip between two slices of its time.
    AtChip(Box<dyn FnOnce(&mut Chip) + Send>),
    SkipIdleTime(Box<dyn Surroundings>),
    Stop,
}

/// A board as it stood at one moment: the chip with its memories and peripherals, and what it had logged. Boards that are
/// restored from it share its memory until they write.
#[derive(Debug, Clone)]
pub struct Snapshot {
    chip: Chip,
    log: Vec<LogEntry>,
    /// Sent by the chip, not yet taken by the tty.
    outgoing: VecDeque<u8>,
    cable: Option<PoorCable>,
}

/// A queue into the board's thread, with a bell that wakes it.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    queue: Sender<Command>,
    bell: Arc<OwnedFd>,
}

impl Control {
    /// A board that has ended takes no more commands, and none is missed then.
    fn send(&self, command: Command) {
        if self.queue.send(command).is_ok() {
            let _already_ringing = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
        }
    }

    /// Has the board's thread do this to the chip between two slices of its time.
    pub(crate) fn at_chip(&self, work: impl FnOnce(&mut Chip) + Send + 'static) {
        self.send(Command::AtChip(Box::new(work)));
    }
}

impl VirtualBoard {
    /// Makes a board and opens its tty. EN is low: the chip is held in reset until [`VirtualBoard::set_lines`] or
    /// [`VirtualBoard::power_cycle`]. Frames that it sends go to `ethernet`, called in the board's thread.
    ///
    /// # Errors
    /// If there is no ROM for the chip's revision, or the host has no pty or thread to give.
    pub fn start(config: BoardConfig, ethernet: Option<FrameSink>) -> Result<Self, BoardError> {
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

    fn start_from(snapshot: Snapshot, ethernet: Option<FrameSink>) -> Result<Self, BoardError> {
        let Snapshot {
            chip,
            log,
            outgoing,
            cable,
        } = snapshot;
        let (controller, terminal, tty) = open_pty().map_err(BoardError::Pty)?;
        let bell = rustix::event::eventfd(
            0,
            rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK,
        )
        .map_err(|error| BoardError::Pty(error.into()))?;
        let bell = Arc::new(bell);
        let (queue, commands) = channel();
        let shared = Shared {
            log,
            ..Shared::default()
        };
        let shared = Arc::new(Mutex::new(shared));
        let mut runner = Runner {
            chip,
            tty: controller,

            bell: Arc::clone(&bell),
            commands,
            ethernet,
            shared: Arc::clone(&shared),
            outgoing,
            said: 0,
            cable,
            unread_since: None,
            spins: 0,
            surroundings: None,
            told: 0,
            stirred: Instant::now(),
            skipped: 0,
        };
        let thread = std::thread::Builder::new()
            .name("virtual-esp32c3".to_owned())
            .spawn(move || runner.run())
            .map_err(BoardError::Thread)?;
        Ok(Self {
            tty,
            control: Control { queue, bell },
            shared,
            thread: Some(thread),
            _terminal: terminal,
        })
    }

    /// The tty, as /dev/pts/7.
    #[must_use]
    pub fn tty(&self) -> &Path {
        &self.tty
    }

    /// Sets the EN line (low holds the chip in reset) and the level of GPIO9 (low when EN rises: download mode). Changes take
    /// effect in order, also when they follow at once.
    pub fn set_lines(&self, enable: bool, boot: bool) {
        self.lines().set(enable, boot);
    }

    /// The lines by themselves, for a circuit that pulls them from another thread.
    #[must_use]
    pub fn lines(&self) -> BoardLines {
        BoardLines {
            control: self.control.clone(),
        }
    }

    /// Pulls EN low and lets it rise again: a start from flash if `boot` is high, download mode otherwise.
    pub fn power_cycle(&self, boot: bool) {
        self.set_lines(false, boot);
        self.set_lines(true, boot);
    }

    /// Takes the supply away at once: see [`Chip::power_cut`]. [`VirtualBoard::power_cycle`] switches on again.
    pub fn power_cut(&self) {
        self.control.at_chip(Chip::power_cut);
    }

    /// Plugs or unplugs the cable of the USB serial/JTAG: see [`Chip::set_usb_host`].
    pub fn set_usb_host(&self, host: bool) {
        self.control.at_chip(move |chip| chip.set_usb_host(host));
    }

    /// The far end of a UART's line sends: see [`Chip::transmit`].
    pub fn transmit(&self, uart: UartPort, format: UartFormat, bytes: Vec<u8>) {
        self.control.at_chip(move |chip| chip.transmit(uart, &format, &bytes));
    }

    /// What a UART has sent since this was last asked: see [`Chip::transmitted`].
    #[must_use]
    pub fn transmitted(&self, uart: UartPort) -> Vec<u8> {
        let (reply, answer) = channel();
        self.control.at_chip(move |chip| {
            // Whoever asked waits below.
            let _received = reply.send(chip.transmitted(uart));
        });
        answer
            .recv()
            .expect("the board's thread runs as long as the board exists")
    }

    /// The board's end of the network.
    #[must_use]
    pub fn ethernet(&self) -> FrameSender {
        FrameSender {
            control: self.control.clone(),
        }
    }

    /// The chip's debug module, for debuggers.
    #[must_use]
    pub fn debug_port(&self) -> DebugPort {
        DebugPort::new(self.control.clone())
    }

    /// The flash's contents now, to start other boards from: flash once, run many.
    #[must_use]
    pub fn flash(&self) -> Arc<[u8]> {
        let (reply, answer) = channel();
        self.control.send(Command::Flash(reply));
        // The thread ends only when the board is dropped, or by a panic that it would be wrong to hide.
        answer
            .recv()
            .expect("the board's thread runs as long as the board exists")
    }

    /// Skips the time for which the hart sleeps, as long as `surroundings` say that nothing will come to it. A wait of ten seconds then
    /// costs next to nothing; the chip's clock runs ahead of the host's, and the surroundings go with it.
    pub fn skip_idle_time(&self, surroundings: Box<dyn Surroundings>) {
        self.control.send(Command::SkipIdleTime(surroundings));
    }

    /// The board as it stands now. It runs on.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let (reply, answer) = channel();
        self.control.send(Command::Snapshot(reply));
        answer
            .recv()
            .expect("the board's thread runs as long as the board exists")
    }

    /// Goes on from `snapshot`, whatever this board was doing. `said` goes to the tty first: what the other board had already
    /// said, for whoever is to see a board that has booted.
    pub fn restore(&self, snapshot: &Snapshot, said: Vec<u8>) {
        let snapshot = Box::new(snapshot.clone());
        self.control.send(Command::Restore { snapshot, said });
    }

    /// A second board that stands where this one does, with a tty and a network of its own. Both run on.
    ///
    /// # Errors
    /// As [`VirtualBoard::start`].
    pub fn fork(&self, ethernet: Option<FrameSink>) -> Result<Self, BoardError> {
        Self::start_from(self.snapshot(), ethernet)
    }

    /// Hardware events so far, in order.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.shared().log.clone()
    }

    /// Hardware events from the first one on, and then each as it happens; the stream ends with the board.
    #[must_use]
    pub fn watch_log(&self) -> Receiver<LogEntry> {
        let (sender, entries) = channel();
        let mut shared = self.shared();
        for entry in &shared.log {
            // The other end is right here.
            let _received = sender.send(entry.clone());
        }
        shared.log_watchers.push(sender);
        entries
    }

    /// How much the board has done until a moment ago.
    #[must_use]
    pub fn stats(&self) -> BoardStats {
        self.shared().stats
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FrameSender {
    /// Puts a frame on the board's wire: without its check sequence. It is lost when the board cannot take it.
    pub fn send(&self, frame: Vec<u8>) {
        self.control.send(Command::Frame(frame));
    }
}

impl BoardLines {
    /// As [`VirtualBoard::set_lines`]. Nothing happens once the board has ended.
    pub fn set(&self, enable: bool, boot: bool) {
        self.control.send(Command::Lines { enable, boot });
    }

    /// As [`Chip::set_usb_lines`]. Nothing happens once the board has ended.
    pub fn set_usb(&self, dtr: bool, rts: bool) {
        self.control.at_chip(move |chip| chip.set_usb_lines(dtr, rts));
    }
}

impl Drop for VirtualBoard {
    fn drop(&mut self) {
        self.control.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
        self.shared().log_watchers.clear();
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

/// Cycles that the chip runs between two looks at tty and commands: a millisecond of its time.
const SLICE: u64 = CYCLES_PER_SECOND / 1000;
/// Bytes that may wait at the chip before the tty pushes back.
const WAITING: usize = 1024;
/// How often a board that may skip its idle time looks whether the world is quiet.
const LOOK_AROUND: Duration = Duration::from_millis(1);
/// How long nothing must have gone in or out before idle time is skipped: whoever reads the board's last word may have more to say.
const CALM: Duration = Duration::from_millis(5);
/// When the tty has taken nothing for this long, nobody reads it: the board then talks into the void, as a real one does,
/// instead of waiting for ever in the middle of a line.
const UNREAD: Duration = Duration::from_secs(2);

/// What the commands came to.
enum Obeyed {
    Nothing,
    Something,
    Stop,
}

/// The board's thread.
struct Runner {
    chip: Chip,
    tty: OwnedFd,
    bell: Arc<OwnedFd>,
    commands: Receiver<Command>,
    ethernet: Option<FrameSink>,
    shared: Arc<Mutex<Shared>>,
    outgoing: VecDeque<u8>,
    /// Bytes that the tty has taken.
    said: u64,
    cable: Option<PoorCable>,
    /// Since when the tty takes nothing of what waits for it.
    unread_since: Option<Instant>,
    /// Slices in a row that ended in a loop that only waits, with nothing going in or out.
    spins: u32,
    surroundings: Option<Box<dyn Surroundings>>,
    /// The chip's clock, in cycles, as the surroundings know it.
    told: u64,
    /// When something last went in or out.
    stirred: Instant,
    /// Cycles of sleep that were skipped.
    skipped: u64,
}

impl Runner {
    fn run(&mut self) {
        loop {
            let mut pause = self.chip.run(self.chip.now() + SLICE);
            self.publish();
            self.tell_time();
            let sent = self.send_frames();
            let written = self.write_tty();
            if sent || written {
                self.spins = 0;
            } else if pause == Pause::Deadline {
                pause = self.rest();
            }
            let wait = match pause {
                Pause::Deadline => Some(Duration::ZERO),
                // Room in the transmit FIFO raises an interrupt, for which the hart may have gone to sleep.
                Pause::Asleep(_) if written => Some(Duration::ZERO),
                Pause::Held => None,
                Pause::Asleep(until) => self.idle_time(until),
            };
            let slept = Instant::now();
            self.wait(wait);
            if let Pause::Asleep(until) = pause {
                self.wake(slept.elapsed(), until);
                self.tell_time();
            }
            let received = self.read_tty();
            if received {
                self.spins = 0;
            }
            if sent || written || received {
                self.stirred = Instant::now();
            }
            // Before the commands: what was on its way when the world was found quiet is among them.
            let wakes = match pause {
                Pause::Asleep(until) => self.quiet_until(until),
                _ => None,
            };
            match (self.obey(), wakes) {
                (Obeyed::Nothing, Some(until)) => self.skip(until),
                (Obeyed::Nothing, None) => {}
                (Obeyed::Something, _) => self.stirred = Instant::now(),
                (Obeyed::Stop, _) => return,
            }
        }
    }

    /// Up to when a sleep until `until` may be skipped, if at all.
    fn quiet_until(&self, until: u64) -> Option<u64> {
        let surroundings = self.surroundings.as_ref()?;
        if !self.outgoing.is_empty() || self.chip.waiting() > 0 || self.stirred.elapsed() < CALM {
            return None;
        }
        let quiet = cycles(surroundings.quiet_for(self.said)?);
        let until = until.min(self.chip.now().saturating_add(quiet));
        (until != u64::MAX).then_some(until)
    }

    /// Lets the chip's clock jump.
    fn skip(&mut self, until: u64) {
        self.skipped += until.saturating_sub(self.chip.now());
        self.chip.sleep_until(until);
        self.tell_time();
    }

    /// Lets the surroundings' clock follow the chip's.
    fn tell_time(&mut self) {
        let now = self.chip.now();
        if let Some(surroundings) = &self.surroundings {
            surroundings.advance(duration(now).saturating_sub(duration(self.told)));
        }
        self.told = now;
    }

    /// Lets a hart that has only waited for some time rest between its looks, or it would keep one of the host's processors
    /// busy for nothing. Input ends the rest at once, and the chip's own timers are not missed.
    fn rest(&mut self) -> Pause {
        const PATIENCE: u32 = 20;
        const REST: u64 = 40 * SLICE;
        self.spins = if is_spinning(&mut self.chip) { self.spins + 1 } else { 0 };
        if self.spins < PATIENCE {
            return Pause::Deadline;
        }
        Pause::Asleep(self.chip.next_event().min(self.chip.now() + REST))
    }

    /// How long the thread waits when the hart sleeps until this time: the chip's idle time passes as the host's does, unless it may be
    /// skipped, for which the world is looked at again and again.
    fn idle_time(&self, until: u64) -> Option<Duration> {
        let time = (until != u64::MAX).then(|| duration(until.saturating_sub(self.chip.now())));
        let look = self.surroundings.as_ref().map(|_| LOOK_AROUND);
        time.into_iter().chain(look).min()
    }

    /// Lets the chip's clock follow the host's.
    fn wake(&mut self, slept: Duration, until: u64) {
        let now = self.chip.now().saturating_add(cycles(slept));
        self.chip.sleep_until(now.min(until));
    }

    /// Waits for a command, for the tty, or until the time is up.
    fn wait(&self, time: Option<Duration>) {
        if time == Some(Duration::ZERO) {
            return;
        }
        let mut flags = PollFlags::empty();
        let mut time = time;
        if self.chip.waiting() < WAITING {
            flags |= PollFlags::IN;
        }
        if !self.outgoing.is_empty() {
            flags |= PollFlags::OUT;
            let unread = self.unread_since.map(|since| UNREAD.saturating_sub(since.elapsed()));
            time = [time, unread].into_iter().flatten().min();
        }
        let mut files = [PollFd::new(&*self.bell, PollFlags::IN), PollFd::new(&self.tty, flags)];
        // An interrupted wait is as good as a short one: the time that has passed is measured.
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        let _ready = poll(&mut files, time.as_ref());
    }

    /// Takes what the chip has room for, and tells whether that was anything.
    fn read_tty(&mut self) -> bool {
        let mut bytes = [0; 512];
        let mut taken = false;
        while self.chip.waiting() < WAITING {
            match rustix::io::read(&self.tty, &mut bytes) {
                Ok(length) if length > 0 => {
                    let bytes = &mut bytes[..length];
                    if let Some(cable) = &mut self.cable {
                        cable.carry(&mut self.chip, bytes.iter_mut());
                    }
                    self.chip.receive(bytes);
                    taken = true;
                }
                Err(Errno::INTR) => {}
                _ => break,
            }
        }
        taken
    }

    /// Hands the tty what it takes of what the chip has sent, and tells whether that was anything.
    fn write_tty(&mut self) -> bool {
        let mut written = false;
        loop {
            if self.outgoing.is_empty() {
                self.outgoing.append(self.chip.sent());
                if let Some(cable) = &mut self.cable {
                    cable.carry(&mut self.chip, self.outgoing.iter_mut());
                }
                self.chip.taken();
            }
            let (bytes, _) = self.outgoing.as_slices();
            if bytes.is_empty() {
                return written;
            }
            match rustix::io::write(&self.tty, bytes) {
                Ok(length) => {
                    drop(self.outgoing.drain(..length));
                    self.said += length as u64;
                    self.unread_since = None;
                    written = true;
                }
                Err(Errno::INTR) => {}
                Err(_) => {
                    let since = *self.unread_since.get_or_insert_with(Instant::now);
                    if since.elapsed() < UNREAD {
                        return written;
                    }
                    self.outgoing.clear();
                    written = true;
                }
            }
        }
    }

    /// Hands over the frames that have left the chip, and tells whether there was any.
    fn send_frames(&mut self) -> bool {
        let mut sent = false;
        while let Some(frame) = self.chip.sent_frame() {
            if let Some(ethernet) = &mut self.ethernet {
                ethernet(&frame);
            }
            sent = true;
        }
        sent
    }

    fn snapshot(&mut self) -> Snapshot {
        self.publish();
        Snapshot {
            chip: self.chip.clone(),
            log: self.shared.lock().unwrap_or_else(PoisonError::into_inner).log.clone(),
            outgoing: self.outgoing.clone(),
            cable: self.cable.clone(),
        }
    }

    fn restore(&mut self, snapshot: Snapshot, said: Vec<u8>) {
        self.chip = snapshot.chip;
        self.cable = snapshot.cable;
        // Another chip's clock: the surroundings' goes on from where it was.
        self.told = self.chip.now();
        self.outgoing = said.into();
        self.outgoing.extend(snapshot.outgoing);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in &snapshot.log {
            shared
                .log_watchers
                .retain(|watcher| watcher.send(entry.clone()).is_ok());
        }
        shared.log.extend(snapshot.log);
    }

    fn publish(&mut self) {
        let log = self.chip.take_log();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in &log {
            shared
                .log_watchers
                .retain(|watcher| watcher.send(entry.clone()).is_ok());
        }
        shared.log.extend(log);
        shared.stats = BoardStats {
            instructions: self.chip.now() - self.chip.idle(),
            time: duration(self.chip.now()),
            idle: duration(self.chip.idle()),
            skipped: duration(self.skipped),
        };
    }

    /// Does what has been asked for.
    fn obey(&mut self) -> Obeyed {
        let mut obeyed = Obeyed::Nothing;
        let mut count = [0; 8];
        let _silent = rustix::io::read(&*self.bell, &mut count);
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Lines { enable, boot } => self.chip.set_lines(enable, boot),
                Command::Frame(frame) => self.chip.receive_frame(frame),
                // Whoever asked may have given up.
                Command::Flash(reply) => drop(reply.send(self.chip.flash())),
                Command::Snapshot(reply) => drop(reply.send(self.snapshot())),
                Command::Restore { snapshot, said } => self.restore(*snapshot, said),
                Command::AtChip(work) => {
                    self.spins = 0;
                    work(&mut self.chip);
                }
                Command::SkipIdleTime(surroundings) => self.surroundings = Some(surroundings),
                Command::Stop => return Obeyed::Stop,
            }
            obeyed = Obeyed::Something;
        }
        obeyed
    }
}

/// The board's end, the tty's end, and the tty's path. Raw: bytes go through as they are.
fn open_pty() -> std::io::Result<(OwnedFd, OwnedFd, PathBuf)> {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&controller)?;
    unlockpt(&controller)?;
    let name = ptsname(&controller, Vec::new())?;
    let path = PathBuf::from(name.to_string_lossy().into_owned());
    let terminal = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut attributes = tcgetattr(&terminal)?;
    attributes.make_raw();
    tcsetattr(&terminal, OptionalActions::Now, &attributes)?;
    rustix::fs::fcntl_setfl(controller.as_fd(), OFlags::RDWR | OFlags::NONBLOCK)?;
    Ok((controller, terminal, path))
}
