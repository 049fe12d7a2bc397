//! The bench of boards at serial ports: those of a rig, each at its own tty, shared by the scenarios of one run.
//!
//! What enters: the boards, which this process holds, and an image. What leaves: one board for each scenario, back in the pool when that
//! is over. A board that does not start by any of its ways of being reset is quarantined: the run goes on with the others.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serialport::{SerialPort, TTYPort};

use super::console::{Attention, open_port};
use super::flash::{self, FlashProgress, FlashReport};
use super::{
    Bench, Board, BoardError, BootMode, Console, LinkSettings, RecordedFile, Recorder, Reset, Route, Seat, Secret,
};
use crate::deadline::Deadline;
use crate::image::Image;
use crate::rig::{BoardLock, ResetWay};

/// How long EN is held low.
const EN_LOW: Duration = Duration::from_millis(100);
/// How long IO0 is held low after EN has risen: until the chip has sampled it.
const IO0_LOW: Duration = Duration::from_millis(50);
/// How long a scenario may wait for a board that others use: longer than any scenario takes.
const FREE_BOARD: Duration = Duration::from_secs(1800);
/// How long a board may take from reset to its first line.
const FIRST_LINE: Duration = Duration::from_secs(3);
/// The name of a network that has none, since the board is wired; the firmware wants one.
const WIRED: &str = "pinrig";

/// One board at a serial port.
#[derive(Debug)]
pub struct SerialBoard {
    /// What people call it.
    pub name: String,
    /// Its port.
    pub tty: PathBuf,
    /// The ways to reset it, in the order in which they are tried.
    pub ways: Vec<ResetWay>,
    /// Its Wi-Fi network and the password of that, if it has one.
    pub network: Option<(String, Option<Secret>)>,
    /// The address under which it reaches this machine; without it, that of this machine's default route.
    pub server: Option<IpAddr>,
    /// Keeps others away.
    pub lock: BoardLock,
}

/// Boards at serial ports.
pub struct SerialBench {
    boards: Vec<SerialBoard>,
    pool: Arc<Shared>,
}

/// The pool, and the bell that rings when a board comes back or is given up.
#[derive(Debug, Default)]
struct Shared {
    pool: Mutex<Pool>,
    changed: Condvar,
}

/// Which boards can be had, by their index.
#[derive(Debug, Default)]
struct Pool {
    free: Vec<usize>,
    at_work: usize,
    /// Why a board is used no more.
    quarantined: Vec<(usize, String)>,
}

impl fmt::Debug for SerialBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SerialBench")
            .field("boards", &self.boards)
            .finish_non_exhaustive()
    }
}

impl SerialBench {
    /// A bench of these boards.
    #[must_use]
    pub fn new(boards: Vec<SerialBoard>) -> Self {
        let pool = Pool {
            // The first board is the first to be taken.
            free: (0..boards.len()).rev().collect(),
            ..Pool::default()
        };
        Self {
            boards,
            pool: Arc::new(Shared {
                pool: Mutex::new(pool),
                changed: Condvar::new(),
            }),
        }
    }

    /// Each board that is used no more, and why.
    #[must_use]
    pub fn quarantined(&self) -> Vec<(String, String)> {
        let pool = self.pool.lock();
        let named = pool
            .quarantined
            .iter()
            .map(|(index, why)| (self.boards[*index].name.clone(), why.clone()));
        named.collect()
    }

    /// Flashes one board, by the first way that brings it into its loader.
    fn flash(
        &self,
        board: &SerialBoard,
        image: &Image,
        progress: &mut dyn FlashProgress,
    ) -> Result<FlashReport, BoardError> {
        let mut tried = Vec::new();
        for way in &board.ways {
            let mut port = open_port(&board.tty)?;
            let result = pull(way, BootMode::Download, &board.tty, &mut port)
                .map_err(|error| error.to_string())
                .and_then(|()| flash::flash_on(&board.tty, port, image, progress).map_err(|error| error.to_string()));
            match result {
                Ok((report, _port)) => return Ok(report),
                Err(why) => tried.push(format!("{}: {why}", name_of(way))),
            }
        }
        Err(BoardError::Reset {
            board: board.name.clone(),
            tty: board.tty.clone(),
            tried: tried.join("; "),
        })
    }
}

impl Bench for SerialBench {
    fn name(&self) -> String {
        let names: Vec<String> = self
            .boards
            .iter()
            .map(|board| format!("{} ({})", board.name, board.tty.display()))
            .collect();
        names.join(", ")
    }

    fn prepare(&self, image: &Image, progress: &mut dyn FlashProgress) -> Result<FlashReport, BoardError> {
        let mut whole = FlashReport::default();
        let mut first = None;
        for (index, board) in self.boards.iter().enumerate() {
            match self.flash(board, image, progress) {
                Ok(report) => {
                    whole.written += report.written;
                    whole.skipped += report.skipped;
                    whole.took += report.took;
                }
                Err(error) => {
                    let mut pool = self.pool.lock();
                    pool.free.retain(|free| *free != index);
                    pool.quarantined.push((index, error.to_string()));
                    first.get_or_insert(error);
                }
            }
        }
        match first {
            Some(error) if self.pool.lock().free.is_empty() => Err(error),
            _ => Ok(whole),
        }
    }

    fn seat(&self) -> Result<Box<dyn Seat + '_>, BoardError> {
        let deadline = Deadline::after("a board that another scenario uses", FREE_BOARD);
        let mut pool = self.pool.lock();
        let index = loop {
            if let Some(index) = pool.free.pop() {
                break index;
            }
            if pool.at_work == 0 {
                let why = pool.quarantined.iter();
                let why: Vec<String> = why
                    .map(|(index, why)| format!("{}: {why}", self.boards[*index].name))
                    .collect();
                return Err(BoardError::NoneLeft(why.join("; ")));
            }
            if deadline.left().is_zero() {
                return Err(BoardError::NoneLeft(format!("nothing in time for: {deadline}")));
            }
            let waited = self.pool.changed.wait_timeout(pool, deadline.left());
            pool = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        pool.at_work += 1;
        let lease = Lease {
            index,
            failed: None,
            pool: Arc::clone(&self.pool),
        };
        drop(pool);
        let board = &self.boards[index];
        let reached = board
            .server
            .map_or_else(default_address, Ok)
            .map_err(|source| BoardError::Io {
                tty: board.tty.clone(),
                source,
            })?;
        Ok(Box::new(SerialSeat { board, reached, lease }))
    }
}

/// A board that goes back to the pool when this is dropped.
struct Lease {
    index: usize,
    /// Why it does not.
    failed: Option<String>,
    pool: Arc<Shared>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut pool = self.pool.lock();
        pool.at_work -= 1;
        match self.failed.take() {
            Some(why) => pool.quarantined.push((self.index, why)),
            None => pool.free.push(self.index),
        }
        drop(pool);
        self.pool.changed.notify_all();
    }
}

struct SerialSeat<'a> {
    board: &'a SerialBoard,
    /// The address under which the board reaches this machine.
    reached: IpAddr,
    lease: Lease,
}

impl Seat for SerialSeat<'_> {
    fn server_address(&self) -> IpAddr {
        // An emulator's board knows this machine by an address that only leads here: behind it is the loopback.
        if is_ours(self.reached) {
            self.reached
        } else {
            Ipv4Addr::LOCALHOST.into()
        }
    }

    fn board(self: Box<Self>, route: &Route) -> Result<Board, BoardError> {
        let Self { board, reached, lease } = *self;
        let port = open_port(&board.tty)?;
        let lines = port.try_clone_native().map_err(|source| BoardError::Tty {
            tty: board.tty.clone(),
            source,
        })?;
        let console = Console::on(&board.tty, port)?;
        let (network, password) = board.network.clone().unwrap_or_else(|| (WIRED.to_owned(), None));
        Ok(Board {
            link: LinkSettings {
                network,
                password,
                connect_to: Some(SocketAddr::new(reached, route.server.port())),
            },
            patience: Arc::new(AtomicBool::new(false)),
            reset: Box::new(SerialReset {
                board: board.name.clone(),
                tty: board.tty.clone(),
                ways: board.ways.clone(),
                port: lines,
                heard: console.attention(),
                lease,
            }),
            network: None,
            recorder: Box::new(NothingElse),
            console,
        })
    }
}

/// The ladder of ways to reset a board.
struct SerialReset {
    board: String,
    tty: PathBuf,
    ways: Vec<ResetWay>,
    port: TTYPort,
    heard: Attention,
    lease: Lease,
}

impl Reset for SerialReset {
    fn reset(&mut self, mode: BootMode) -> Result<(), BoardError> {
        let mut tried = Vec::new();
        for way in &self.ways {
            let from = self.heard.lines();
            let outcome = match pull(way, mode, &self.tty, &mut self.port) {
                Err(error) => Err(error.to_string()),
                Ok(()) => {
                    let deadline = Deadline::after("the board's first line after reset", FIRST_LINE);
                    judge(
                        mode,
                        &self.heard.wait(from, &deadline, |line| boot_mode(line).is_some()),
                    )
                }
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(why) => tried.push(format!("{}: {why}", name_of(way))),
            }
        }
        let error = BoardError::Reset {
            board: self.board.clone(),
            tty: self.tty.clone(),
            tried: tried.join("; "),
        };
        self.lease.failed = Some(error.to_string());
        Err(error)
    }
}

/// A board at a port records nothing but its console.
struct NothingElse;

impl Recorder for NothingElse {
    fn files(&self) -> Vec<RecordedFile> {
        Vec::new()
    }

    fn skipped(&self) -> Duration {
        Duration::ZERO
    }

    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Whether what a board has said since its reset is what it says when it starts in this mode.
fn judge(wanted: BootMode, lines: &[String]) -> Result<(), String> {
    let Some(last) = lines.last() else {
        return Err(format!("no line within {} s", FIRST_LINE.as_secs()));
    };
    match lines.iter().find_map(|line| boot_mode(line)) {
        Some(mode) if mode == wanted => Ok(()),
        Some(BootMode::Download) => Err(format!("it waits for a flasher: `{last}`")),
        Some(BootMode::Flash) => Err(format!("it starts from flash: `{last}`")),
        // The ROM's line may be lost where a USB port comes and goes with the reset; the ready line will tell.
        None => Ok(()),
    }
}

/// The mode in the ROM's line `rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)`.
fn boot_mode(line: &str) -> Option<BootMode> {
    let (_, boot) = line.split_once("boot:0x")?;
    let (_, name) = boot.split_once('(')?;
    Some(if name.starts_with("DOWNLOAD") {
        BootMode::Download
    } else {
        BootMode::Flash
    })
}

/// Resets a board in one way.
fn pull(way: &ResetWay, mode: BootMode, tty: &Path, port: &mut TTYPort) -> Result<(), io::Error> {
    let download = mode == BootMode::Download;
    let lines = |port: &mut TTYPort, dtr: bool, rts: bool| -> Result<(), io::Error> {
        port.write_data_terminal_ready(dtr)?;
        port.write_request_to_send(rts)?;
        Ok(())
    };
    match way {
        // EN is low while RTS is on and DTR is not, IO0 while DTR is on and RTS is not.
        ResetWay::Classic | ResetWay::ClassicTight => {
            lines(port, false, true)?;
            hold(EN_LOW);
            if download {
                if *way == ResetWay::ClassicTight {
                    // Both off lets EN rise slowly; both on keeps the level of each until IO0 is low.
                    lines(port, true, true)?;
                }
                port.write_data_terminal_ready(true)?;
                port.write_request_to_send(false)?;
                hold(IO0_LOW);
            }
            lines(port, false, false)
        }
        // DTR alone asks for download mode, RTS alone resets.
        ResetWay::UsbJtag => {
            lines(port, false, false)?;
            hold(EN_LOW);
            if download {
                lines(port, true, false)?;
                hold(EN_LOW);
            }
            port.write_request_to_send(true)?;
            port.write_data_terminal_ready(false)?;
            hold(EN_LOW);
            lines(port, false, false)
        }
        ResetWay::Command(words) => run(words, mode, tty),
        ResetWay::Watchdog | ResetWay::ProbeRs => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this way is not built in yet; use `classic`, `usb-jtag` or a command",
        )),
    }
}

/// Lets time pass while a line is held: the chip's circuits need it.
#[expect(
    clippy::disallowed_methods,
    reason = "what a line is held for is time itself, and no event"
)]
fn hold(time: Duration) {
    std::thread::sleep(time);
}

/// Runs the program that resets a board.
fn run(words: &[String], mode: BootMode, tty: &Path) -> Result<(), io::Error> {
    let mode = match mode {
        BootMode::Flash => "flash",
        BootMode::Download => "download",
    };
    let fill = |word: &String| word.replace("{port}", &tty.to_string_lossy()).replace("{mode}", mode);
    let mut words = words.iter().map(fill);
    let program = words
        .next()
        .ok_or_else(|| io::Error::other("the command has no words"))?;
    let output = Command::new(&program).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "{program} ended with {}: {}",
        output.status,
        said.trim()
    )))
}

fn name_of(way: &ResetWay) -> &'static str {
    match way {
        ResetWay::Classic => "classic",
        ResetWay::ClassicTight => "classic-tight",
        ResetWay::UsbJtag => "usb-jtag",
        ResetWay::Watchdog => "watchdog",
        ResetWay::ProbeRs => "probe-rs",
        ResetWay::Command(_) => "command",
    }
}

/// This machine's address on the default route. Nothing is sent.
fn default_address() -> Result<IpAddr, io::Error> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // Any address beyond the gateway: this one is documentation's (RFC 5737).
    let routed = socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9));
    routed.map_err(|error| {
        let advice = "no route to a board's network; set server-address in rig.toml";
        io::Error::new(error.kind(), format!("{error}: {advice}"))
    })?;
    Ok(socket.local_addr()?.ip())
}

fn is_ours(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
