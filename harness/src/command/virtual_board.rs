//! `pinrig virtual`: a virtual ESP32-C3 for any tool that talks to a serial port.
//!
//! It ends with a signal, and not when standard input does, so that it can run in the background. Signals come through
//! signal-hook: the board needs its flash saved after one, outside a signal handler, and nothing here is asynchronous.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process;
use std::str::FromStr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, ValueEnum};
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use virtual_esp32c3::{
    BoardConfig, ConsolePort, FlashTiming, FrameSender, FrameSink, LogEntry, SerialServer, Strapping, VirtualBoard,
};
use virtual_lan::{Lan, LanConfig, LanError};
use virtual_probe::BmpServer;

use super::output::print;
use super::style::{DIM, TITLE};
use super::{CommandResult, Common};

/// This machine, as the board's network has it.
const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const ERASED: u8 = 0xFF;
const MEGABYTE: usize = 1 << 20;
/// The vendor and product by which probe-rs knows such a probe.
const BLACK_MAGIC_PROBE: &str = "1d50:6018";

#[derive(Args, Debug)]
pub(super) struct Virtual {
    /// A symbolic link to the tty, for tools that want the same path each time; removed at the end
    #[arg(long, value_name = "PATH")]
    tty_link: Option<PathBuf>,
    /// Keep the flash in this file: read at the start, made when missing, written when the board ends
    #[arg(long, value_name = "FILE")]
    flash: Option<PathBuf>,
    /// Size of the flash in megabytes: 2, 4, 8 or 16; without it that of the file, or 4
    #[arg(long, value_name = "MB")]
    flash_size: Option<FlashSize>,
    /// The MAC address in the eFuses
    #[arg(long, value_name = "ADDRESS", default_value = "02:00:00:c3:00:01")]
    mac: Mac,
    /// The chip's revision: 0.3 or 0.4
    #[arg(long, value_name = "REVISION", default_value = "0.3")]
    revision: Revision,
    /// The tty is the chip's own USB serial/JTAG, not UART0
    #[arg(long, conflicts_with = "rfc2217")]
    usb_jtag: bool,
    /// How the board starts: from its flash, or waiting for a flasher
    #[arg(long, value_enum, default_value_t = Boot::Flash)]
    boot: Boot,
    /// Serve the board over TCP as well, with reset lines (RFC 2217); without an address, at a free port of 127.0.0.1
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    rfc2217: Option<SocketAddr>,
    /// Serve the board to debuggers over TCP, as a Black Magic Probe; without an address, at a free port of 127.0.0.1
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    debug: Option<SocketAddr>,
    /// How long the flash chip takes to program and to erase
    #[arg(long, value_enum, default_value_t = FlashTimes::Fast)]
    flash_times: FlashTimes,
    /// Wear out the sector of 4 KB at this address of the flash, to see what a flasher makes of it
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    worn_sector: Option<u32>,
    /// Give UART0 a cable that damages what is sent faster than this many bit/s, to see a flasher slow down
    #[arg(long, value_name = "BAUD", conflicts_with_all = ["rfc2217", "usb_jtag"])]
    cable_limit: Option<u32>,
    /// Put the board on a network of its own, on which 203.0.113.2 is this machine: each port there leads to the same port of 127.0.0.1
    #[arg(long)]
    network: bool,
    /// Print hardware events as they happen: resets, registers that are not modelled, bus errors
    #[arg(long)]
    log: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Boot {
    Flash,
    Download,
}

impl From<Boot> for Strapping {
    fn from(boot: Boot) -> Self {
        match boot {
            Boot::Flash => Self::Flash,
            Boot::Download => Self::Download,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FlashTimes {
    /// A few microseconds, so that a flasher does not wait
    Fast,
    /// The typical times of the data sheet
    Typical,
}

/// What the command waits for.
enum Happening {
    Signal(i32),
    Line(String),
    Hardware(LogEntry),
}

pub(super) fn virtual_board(common: &Common, options: &Virtual, seed: Option<u64>) -> CommandResult {
    let (sender, happenings) = channel();
    // Before anything is made that a signal would leave behind.
    watch_signals(sender.clone())?;
    let (file, flash) = FlashFile::open(options.flash.as_deref(), options.flash_size)?;
    let flash_size = flash.len();
    let network = if options.network { Some(Network::start()?) } else { None };
    // Two boards without seeds must not draw the same numbers. The standard library has its keys from the system.
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(process::id()));
    let board = VirtualBoard::start(
        BoardConfig {
            flash,
            mac: options.mac.0,
            revision: options.revision.0,
            console: if options.usb_jtag {
                ConsolePort::UsbSerialJtag
            } else {
                ConsolePort::Uart0
            },
            flash_timing: match options.flash_times {
                FlashTimes::Fast => FlashTiming::FAST,
                FlashTimes::Typical => FlashTiming::TYPICAL,
            },
            worn_sector: options.worn_sector,
            cable_limit: options.cable_limit,
            seed,
            ..BoardConfig::default()
        },
        network.as_ref().map(Network::sink),
    )?;
    if let Some(network) = &network {
        network.connect(&board);
    }
    let link = options.tty_link.as_deref().map(|path| Link::make(path, board.tty()));
    let link = link.transpose()?;
    let server = options.rfc2217.map(|address| SerialServer::start(&board, address));
    let server = server.transpose()?;
    let debugger = options.debug.map(|address| BmpServer::start(&board, address));
    let debugger = debugger.transpose()?;
    if options.log {
        watch_hardware(&board, sender.clone())?;
    }
    watch_input(sender)?;
    board.power_cycle(options.boot.into());

    let mut screen = Screen { json: common.json };
    let shown = Shown {
        tty: board.tty(),
        link: link.as_ref().map(|link| link.path.as_path()),
        rfc2217: server.as_ref().map(SerialServer::address),
        debug: debugger.as_ref().map(BmpServer::address),
        flash_size,
        seed,
        options,
    };
    let ended = screen.opening(&shown).and_then(|()| {
        for happening in happenings {
            match happening {
                Happening::Signal(SIGUSR1) => board.power_cycle(Strapping::Flash),
                Happening::Signal(SIGUSR2) => board.power_cycle(Strapping::Download),
                Happening::Signal(_) => break,
                Happening::Line(line) => match line.trim() {
                    "reset" => board.power_cycle(Strapping::Flash),
                    "download" => board.power_cycle(Strapping::Download),
                    "power-cut" => board.power_cut(),
                    "unplug" if options.usb_jtag => board.unplug_usb(),
                    "plug" if options.usb_jtag => board.plug_usb(),
                    "" => {}
                    other => screen.unknown(other)?,
                },
                Happening::Hardware(entry) => screen.hardware(&entry)?,
            }
        }
        Ok(())
    });
    // Whatever ended it, what is in the flash is kept.
    drop((server, debugger));
    if let Some(file) = file {
        file.save(&board.flash()?)?;
    }
    ended?;
    Ok(0)
}

fn watch_signals(happenings: Sender<Happening>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2])?;
    spawn("signals", move || {
        // Sending fails only while the command is ending.
        let _ended = signals
            .forever()
            .try_for_each(|signal| happenings.send(Happening::Signal(signal)));
    })
}

fn watch_hardware(board: &VirtualBoard, happenings: Sender<Happening>) -> io::Result<()> {
    let log = board.watch_log();
    spawn("hardware-log", move || {
        let _ended = log
            .iter()
            .try_for_each(|entry| happenings.send(Happening::Hardware(entry)));
    })
}

fn watch_input(happenings: Sender<Happening>) -> io::Result<()> {
    spawn("input", move || {
        let lines = io::stdin().lock().lines().map_while(Result::ok);
        let _ended = lines
            .into_iter()
            .try_for_each(|line| happenings.send(Happening::Line(line)));
    })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// The network that the board is on.
struct Network {
    lan: Lan,
    /// Board and network each need the other's door: the board's is filled in when it is there.
    to_board: Arc<Mutex<Option<FrameSender>>>,
}

impl Network {
    fn start() -> Result<Self, LanError> {
        let to_board = Arc::new(Mutex::new(None::<FrameSender>));
        let lan = Lan::start(
            LanConfig {
                host: Some(HOST),
                ..LanConfig::default()
            },
            {
                let to_board = Arc::clone(&to_board);
                Box::new(move |frame| {
                    if let Some(board) = &*to_board.lock().unwrap_or_else(PoisonError::into_inner) {
                        board.send(frame);
                    }
                })
            },
        )?;
        Ok(Self { lan, to_board })
    }

    /// Takes the board's frames.
    fn sink(&self) -> FrameSink {
        let port = self.lan.port();
        Box::new(move |frame| port.send(frame))
    }

    fn connect(&self, board: &VirtualBoard) {
        *self.to_board.lock().unwrap_or_else(PoisonError::into_inner) = Some(board.ethernet());
    }
}

/// What is told about the board at the start.
struct Shown<'a> {
    tty: &'a Path,
    link: Option<&'a Path>,
    rfc2217: Option<SocketAddr>,
    debug: Option<SocketAddr>,
    flash_size: usize,
    seed: u64,
    options: &'a Virtual,
}

struct Screen {
    json: bool,
}

impl Screen {
    fn opening(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        let options = shown.options;
        if self.json {
            let mut line = json!({
                "event": "board",
                "tty": shown.tty,
                "mac": options.mac.to_string(),
                "revision": options.revision.to_string(),
                "flash_size": shown.flash_size,
                "seed": shown.seed,
            });
            if let Some(link) = shown.link {
                line["tty_link"] = json!(link);
            }
            if let Some(address) = shown.rfc2217 {
                line["rfc2217"] = json!(format!("rfc2217://{address}"));
            }
            if let Some(address) = shown.debug {
                line["debug"] = json!(format!("{BLACK_MAGIC_PROBE}:{address}"));
            }
            return print(&format!("{line}\n"));
        }
        let mut text = Vec::new();
        let title = format!("virtual ESP32-C3 v{}", options.revision);
        writeln!(
            text,
            "{TITLE}{title}{TITLE:#}, MAC {}, {} MB of flash",
            options.mac,
            shown.flash_size / MEGABYTE
        )?;
        writeln!(text, "{TITLE}tty{TITLE:#}      {}", shown.tty.display())?;
        if let Some(link) = shown.link {
            writeln!(text, "{TITLE}link{TITLE:#}     {}", link.display())?;
        }
        if let Some(address) = shown.rfc2217 {
            writeln!(text, "{TITLE}RFC 2217{TITLE:#} rfc2217://{address}")?;
        }
        if let Some(address) = shown.debug {
            writeln!(
                text,
                "{TITLE}debug{TITLE:#}    probe-rs run --chip esp32c3 --protocol jtag --probe {BLACK_MAGIC_PROBE}:{address} FIRMWARE.elf"
            )?;
        }
        writeln!(text, "{TITLE}seed{TITLE:#}     {}", shown.seed)?;
        if let Some(file) = &options.flash {
            writeln!(text, "{TITLE}flash{TITLE:#}    {}", file.display())?;
        }
        writeln!(
            text,
            "{DIM}`reset` and `download` (then Enter, or SIGUSR1 and SIGUSR2) restart it, `power-cut` switches it off at once{}; Ctrl-C ends it.{DIM:#}",
            if options.usb_jtag {
                ", `unplug` and `plug` move the cable"
            } else {
                ""
            }
        )?;
        print(&String::from_utf8_lossy(&text))
    }

    fn hardware(&mut self, entry: &LogEntry) -> io::Result<()> {
        let LogEntry { microseconds, event } = entry;
        if self.json {
            let line = json!({"event": "hardware", "microseconds": microseconds, "what": event.to_string()});
            return print(&format!("{line}\n"));
        }
        print(&format!("{microseconds:>12} us  {event}\n"))
    }

    fn unknown(&mut self, line: &str) -> io::Result<()> {
        let mut err = anstream::stderr().lock();
        writeln!(
            err,
            "`{line}` is not known: `reset` starts the board from flash, `download` for a flasher, `power-cut` switches it off at once; \
             with --usb-jtag, `unplug` and `plug` move the cable"
        )
    }
}

/// A link to the tty, as long as this lives.
struct Link {
    path: PathBuf,
    tty: PathBuf,
}

impl Link {
    fn make(path: &Path, tty: &Path) -> Result<Self, String> {
        let failed = |error: &dyn fmt::Display| format!("cannot make the link {}: {error}", path.display());
        if path.is_symlink() && !path.exists() {
            // The tty of a board that was killed.
            std::fs::remove_file(path).map_err(|error| failed(&error))?;
        }
        std::os::unix::fs::symlink(tty, path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                failed(&"something is there, perhaps another board's; name a path that is free")
            }
            _ => failed(&error),
        })?;
        Ok(Self {
            path: path.to_owned(),
            tty: tty.to_owned(),
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if std::fs::read_link(&self.path).is_ok_and(|target| target == self.tty) {
            // It dangles at worst, and the next board replaces it.
            let _removed = std::fs::remove_file(&self.path);
        }
    }
}

/// The file that keeps the flash. Its lock keeps other boards away.
struct FlashFile {
    path: PathBuf,
    lock: std::fs::File,
}

impl FlashFile {
    /// The file, if one is named, and what the flash holds at the start.
    fn open(path: Option<&Path>, size: Option<FlashSize>) -> Result<(Option<Self>, Arc<[u8]>), String> {
        let erased = || vec![ERASED; size.unwrap_or(FlashSize(4)).bytes()];
        let Some(path) = path else {
            return Ok((None, erased().into()));
        };
        let failed = |error: &dyn fmt::Display| format!("the flash file {}: {error}", path.display());
        if !path.exists() {
            std::fs::write(path, erased()).map_err(|error| failed(&error))?;
        }
        // A link stays one: what it names is replaced.
        let path = path.canonicalize().map_err(|error| failed(&error))?;
        let lock = std::fs::File::open(&path).map_err(|error| failed(&error))?;
        lock.try_lock()
            .map_err(|_| failed(&"another board has it; give each board a file of its own"))?;
        let contents = std::fs::read(&path).map_err(|error| failed(&error))?;
        let megabytes = contents.len() / MEGABYTE;
        let known = FlashSize::new(megabytes).filter(|size| size.bytes() == contents.len());
        match (known, size) {
            (None, _) => Err(failed(&format_args!(
                "{} bytes are no flash: it has to have 2, 4, 8 or 16 MB; without the file an erased one is made",
                contents.len()
            ))),
            (Some(known), Some(size)) if known != size => Err(failed(&format_args!(
                "it has {} MB, not {} MB; leave out --flash-size, or name another file",
                known.0, size.0
            ))),
            _ => Ok((Some(Self { path, lock }), contents.into())),
        }
    }

    /// Replaces the file as a whole: it has the old contents or the new ones, whatever happens meanwhile.
    fn save(self, contents: &[u8]) -> Result<(), String> {
        let replace = || -> io::Result<()> {
            let folder = self.path.parent().unwrap_or(Path::new("/"));
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(contents)?;
            file.as_file().set_permissions(self.lock.metadata()?.permissions())?;
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            Ok(())
        };
        replace().map_err(|error| format!("cannot keep the flash in {}: {error}", self.path.display()))
    }
}

/// Megabytes of flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FlashSize(usize);

impl FlashSize {
    fn new(megabytes: usize) -> Option<Self> {
        matches!(megabytes, 2 | 4 | 8 | 16).then_some(Self(megabytes))
    }

    fn bytes(self) -> usize {
        self.0 * MEGABYTE
    }
}

impl FromStr for FlashSize {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let megabytes = text.parse().ok().and_then(Self::new);
        megabytes.ok_or("the flash has 2, 4, 8 or 16 megabytes")
    }
}

/// An address in flash, decimal or with `0x`.
fn address(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "an address is a number, as 65536 or 0x10000".to_owned())
}

/// A board's address: six bytes, of which the first says that it is one board's.
#[derive(Clone, Copy, Debug)]
struct Mac([u8; 6]);

impl FromStr for Mac {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const GROUP: u8 = 1;
        let octet = |part: &str| {
            let hex = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            hex.then(|| u8::from_str_radix(part, 16).ok()).flatten()
        };
        let bytes: Option<Vec<u8>> = text.split(':').map(octet).collect();
        let bytes = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
        let bytes = bytes.ok_or("a MAC address has six bytes, as in 02:00:00:c3:00:01")?;
        if bytes[0] & GROUP != 0 {
            return Err("this is the address of a group; a board's first byte is even, as in 02:00:00:c3:00:01");
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// The chip's revision, major and minor.
#[derive(Clone, Copy, Debug)]
struct Revision((u8, u8));

impl FromStr for Revision {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "0.3" => Ok(Self((0, 3))),
            "0.4" => Ok(Self((0, 4))),
            _ => Err("the mask ROM is known for revisions 0.3 and 0.4 only"),
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.0.0, self.0.1)
    }
}
