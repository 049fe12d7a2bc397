//! `pinrig flash`, `pinrig reset` and `pinrig monitor`: what a person does with a board of the rig, in the same ways as
//! the tests.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use std::{env, fmt, thread};

use anstyle::Style;
use clap::Args;
use pinrig::bench::{Bench, BenchError, SerialBench, claim};
use pinrig::board::console::NoLine;
use pinrig::board::{BootMode, Claimed, Console, SerialBoard};
use pinrig::deadline::Deadline;
use pinrig::file_error::FileError;
use pinrig::outcome::Event;
use pinrig::rig::{Choice, ChoiceError, Rig};
use pinrig::symbols::Symbols;
use pinrig::verdict::Blame;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::run::{Options, Report};
use super::terminal::Detail;
use super::{CommandResult, Common};

const DIM: Style = Style::new().dimmed();
/// How often the monitor looks for lines to send, and for a board that is plugged in again.
const GLANCE: Duration = Duration::from_millis(50);
/// How long a board must be silent for the monitor to end, once nothing more can be typed.
const QUIET: Duration = Duration::from_secs(2);

#[derive(Args, Debug)]
pub(super) struct Reset {
    /// Leave the board in its loader, waiting for a flasher
    #[arg(long)]
    download: bool,
}

#[derive(Args, Debug)]
pub(super) struct Monitor {
    /// Reset the board first, to see it boot
    #[arg(long)]
    reset: bool,
}

/// Flashes each board of the choice, and starts it.
pub(super) fn flash(common: &Common, options: &Options) -> CommandResult {
    let image = options.image(common)?;
    let rig = rig()?;
    let claimed = match boards(&rig, options) {
        Ok(claimed) => claimed,
        Err(error) => return refused(error),
    };
    let report = if common.json {
        Report::json()
    } else {
        Report::terminal(Detail::Results)
    };
    let bench = SerialBench::new(claimed);
    for (board, image) in bench.images(&image) {
        report.event(&Event::Flashing { board: &board, image })?;
    }
    // Other threads draw the progress bars, and cannot return an error.
    let flashed = bench.prepare(&image, &|step| drop(report.event(&Event::FlashProgress(step))));
    let mut code = 0;
    match flashed {
        Ok(flashed) => report.event(&Event::Flashed(&flashed))?,
        Err(_) => code = Blame::Flash.exit_code(),
    }
    let left_out = bench.left_out();
    for board in bench.boards() {
        if !left_out.iter().any(|left_out| left_out.board == board.name().as_str()) {
            code = code.max(start(common, board, BootMode::Flash)?);
        }
    }
    for left_out in left_out {
        print_error(&left_out)?;
        code = code.max(Blame::Flash.exit_code());
    }
    Ok(code)
}

/// Resets each board of the choice.
pub(super) fn reset(common: &Common, options: &Options, reset: &Reset) -> CommandResult {
    let rig = rig()?;
    let claimed = match boards(&rig, options) {
        Ok(claimed) => claimed,
        Err(error) => return refused(error),
    };
    let mode = if reset.download {
        BootMode::Download
    } else {
        BootMode::Flash
    };
    let mut code = 0;
    for board in &claimed.boards {
        code = code.max(start(common, board, mode)?);
    }
    for left_out in claimed.left_out {
        print_error(&left_out)?;
        code = Blame::Rig.exit_code();
    }
    Ok(code)
}

fn start(common: &Common, board: &SerialBoard, mode: BootMode) -> CommandResult {
    let name = board.name();
    let reset = board.console().and_then(|console| board.reset(mode, &console.handle()));
    if let Err(cause) = reset {
        print_error(&with_name(board, cause))?;
        return Ok(Blame::Rig.exit_code());
    }
    if common.json {
        let line = json!({"event": "reset", "board": name, "boot": mode.name()});
        writeln!(anstream::stdout(), "{line}")?;
    } else {
        let doing = match mode {
            BootMode::Flash => "starts from flash",
            BootMode::Download => "waits for a flasher",
        };
        writeln!(anstream::stdout(), "{name} {doing}")?;
    }
    Ok(0)
}

fn print_error(error: &dyn fmt::Display) -> io::Result<()> {
    writeln!(anstream::stderr(), "error: {error}")
}

fn with_name(board: &SerialBoard, error: impl fmt::Display) -> String {
    format!("{}: {error}", board.name())
}

/// Shows what a board says, with the functions behind the addresses in it, and sends it what is typed, until the user
/// interrupts it.
pub(super) fn monitor(common: &Common, options: &Options, monitor: &Monitor) -> CommandResult {
    let rig = rig()?;
    let claimed = match boards(&rig, options) {
        Ok(claimed) => claimed,
        Err(error) => return refused(error),
    };
    let [board] = &claimed.boards[..] else {
        let names = claimed.boards.iter().map(|board| board.name().clone());
        let several = ChoiceError::Ambiguous(names.collect());
        return Err(format!("{several} with --board").into());
    };
    let interrupts = Interrupts::new()?;
    // Where this image is not on the board, the addresses of its functions mean nothing.
    let image = board.image().cloned();
    let image = image.or_else(|| options.image(common).ok().map(Arc::new));
    let symbols = image.and_then(|image| Symbols::of(&image).ok());
    let typed = typed()?;
    let mut console = board.console().map_err(|error| with_name(board, error))?;
    if monitor.reset {
        let reset = board.reset(BootMode::Flash, &console.handle());
        reset.map_err(|error| with_name(board, error))?;
    }
    let mut out = anstream::stdout();
    loop {
        match watch(common, &mut console, symbols.as_ref(), &typed, &interrupts)? {
            Ended::ByUser => return Ok(0),
            Ended::Unplugged(why) => {
                writeln!(anstream::stderr(), "{why}; waiting until it is back")?;
                let Some(back) = plugged_in_again(board, &interrupts) else {
                    return Ok(0);
                };
                console = back;
                writeln!(out, "{DIM}{} is back{DIM:#}", board.name())?;
            }
        }
    }
}

enum Ended {
    /// By Ctrl-C; or because what is typed came from a file, which is at its end, and the board has been silent since.
    ByUser,
    Unplugged(NoLine),
}

fn watch(
    common: &Common,
    console: &mut Console,
    symbols: Option<&Symbols>,
    typed: &Receiver<Typed>,
    interrupts: &Interrupts,
) -> io::Result<Ended> {
    let mut out = anstream::stdout();
    let mut at_end = false;
    loop {
        // Between two lines, so that no line is cut in its middle and no colour stays behind.
        if interrupts.come_within(Duration::ZERO) {
            return Ok(Ended::ByUser);
        }
        match typed.try_recv() {
            Ok(Typed::Line(text)) => {
                if let Err(error) = console.send(&text) {
                    writeln!(anstream::stderr(), "`{text}` was not sent: {error}")?;
                }
            }
            Ok(Typed::EndOfFile) => at_end = true,
            Err(_) => {}
        }
        let glance = if at_end { QUIET } else { GLANCE };
        match console.next_line(&Deadline::after("a line of the board", glance)) {
            Ok(line) => {
                let frames = symbols.map(|symbols| symbols.explain(&line.text)).unwrap_or_default();
                if common.json {
                    let frames: Vec<String> = frames.iter().map(ToString::to_string).collect();
                    let line = json!({"seconds": line.at.as_secs_f64(), "line": line.text, "frames": frames});
                    writeln!(out, "{line}")?;
                    continue;
                }
                writeln!(out, "{}", line.text)?;
                for frame in frames {
                    writeln!(out, "{DIM}    {frame}{DIM:#}")?;
                }
            }
            Err(NoLine::Expired { .. }) if at_end => return Ok(Ended::ByUser),
            Err(NoLine::Expired { .. }) => {}
            Err(ended @ NoLine::Ended { .. }) => return Ok(Ended::Unplugged(ended)),
        }
    }
}

/// What a user types.
enum Typed {
    Line(String),
    /// The end of a file, or a terminal's Ctrl-D.
    EndOfFile,
}

/// Reads what is typed, in a thread.
fn typed() -> io::Result<Receiver<Typed>> {
    let (sender, receiver) = channel();
    thread::Builder::new().name("typed".into()).spawn(move || {
        let lines = io::stdin().lock().lines().map_while(Result::ok);
        for typed in lines.map(Typed::Line).chain([Typed::EndOfFile]) {
            if sender.send(typed).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Ctrl-C and SIGTERM, which end the monitor.
struct Interrupts(Receiver<()>);

impl Interrupts {
    fn new() -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let (sender, receiver) = channel();
        thread::Builder::new().name("signals".into()).spawn(move || {
            for _ in signals.forever() {
                if sender.send(()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self(receiver))
    }

    /// Waits for one, for this long.
    fn come_within(&self, time: Duration) -> bool {
        self.0.recv_timeout(time).is_ok()
    }
}

/// The console of a board that has been plugged in again. There is no event for a device file that can be opened, so
/// the port is looked for again and again; the user's interrupt ends the wait.
fn plugged_in_again(board: &SerialBoard, interrupts: &Interrupts) -> Option<Console> {
    loop {
        if let Ok(console) = board.console() {
            return Some(console);
        }
        if interrupts.come_within(GLANCE) {
            return None;
        }
    }
}

fn rig() -> Result<Rig, FileError> {
    Rig::find(&env::current_dir().unwrap_or_default())
}

/// Takes the boards of the choice; all boards of the rig where there is no choice.
fn boards(rig: &Rig, options: &Options) -> Result<Claimed, BenchError> {
    let choice = options.choice();
    let named = if choice.is_virtual() {
        Choice { board: None, ..choice }
    } else {
        choice
    };
    let wait = options.wait();
    claim(&named, rig, wait, |held| {
        super::run::tell_waiting(held, wait);
    })
}

fn refused(error: BenchError) -> CommandResult {
    match error {
        BenchError::Claim(cause) => {
            print_error(&cause)?;
            Ok(Blame::Rig.exit_code())
        }
        error => Err(error.into()),
    }
}
