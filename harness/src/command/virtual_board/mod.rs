//! `pinrig virtual`: a virtual ESP32-C3 for any tool that talks to a serial port.
//!
//! It ends with a signal, and not when standard input does, so that it can run in the background. Signals come through
//! signal-hook: the board needs its flash saved after one, outside a signal handler, and nothing here is asynchronous.

mod arguments;
mod files;
mod network;
mod screen;

use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead};
use std::process;
use std::sync::mpsc::{Sender, channel};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use virtual_esp32c3::{BoardConfig, ConsolePort, FlashTiming, LogEntry, SerialServer, Strapping, VirtualBoard};
use virtual_probe::BmpServer;

use self::arguments::FlashTimes;
pub(super) use self::arguments::Virtual;
use self::files::{FlashFile, Link};
use self::network::Network;
use self::screen::{Screen, Shown};
use super::{CommandResult, Common};

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
