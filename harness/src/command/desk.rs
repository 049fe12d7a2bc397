//! `pinrig flash`, `pinrig reset` and `pinrig monitor`: what a person does with a board of the rig, by the same ways as the tests.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use std::{env, thread};

use anstyle::Style;
use clap::Args;
use pinrig::bench::{Bench, BenchError, SerialBench, claim};
use pinrig::board::console::NoLine;
use pinrig::board::{BootMode, Claimed, Console, SerialBoard};
use pinrig::deadline::Deadline;
use pinrig::image::Image;
use pinrig::outcome::Event;
use pinrig::rig::Choice;
use pinrig::symbols::Symbols;
use pinrig::verdict::Blame;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::run::{Options, Report};
use super::{CommandResult, Place};

const DIM: Style = Style::new().dimmed();
/// How often the monitor looks for words to send, and for a board that is plugged in again.
const GLANCE: Duration = Duration::from_millis(50);

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

/// Flashes each board that is meant, and starts what it has then.
pub(super) fn flash(place: &Place, options: &Options) -> CommandResult {
    let image = image(place, options)?;
    let claimed = match boards(options) {
        Ok(claimed) => claimed,
        Err(error) => return refused(error),
    };
    let report = Report::new(place.json, false);
    let bench = SerialBench::new(claimed);
    for (board, image) in bench.images(&image) {
        report.event(&Event::Flashing { board: &board, image })?;
    }
    // The bars are drawn by threads, to which nobody listens.
    let flashed = bench.prepare(&image, &|step| drop(report.event(&Event::FlashProgress(step))));
    let mut code = 0;
    match flashed {
        Ok(flashed) => report.event(&Event::Flashed(&flashed))?,
        Err(_) => code = Blame::Flash.exit_code(),
    }
    for board in bench.boards() {
        if !bench.left_out().iter().any(|(name, _)| *name == board.name) {
            code = code.max(start(place.json, board, BootMode::Flash)?);
        }
    }
    for (board, why) in bench.left_out() {
        writeln!(anstream::stderr(), "error: {board}: {why}")?;
        code = code.max(Blame::Flash.exit_code());
    }
    Ok(code)
}

/// Resets each board that is meant.
pub(super) fn reset(place: &Place, options: &Options, reset: &Reset) -> CommandResult {
    let claimed = match boards(options) {
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
        code = code.max(start(place.json, board, mode)?);
    }
    for (board, why) in claimed.left_out {
        writeln!(anstream::stderr(), "error: {board}: {why}")?;
        code = Blame::Rig.exit_code();
    }
    Ok(code)
}

fn start(json: bool, board: &SerialBoard, mode: BootMode) -> CommandResult {
    let reset = board.console().and_then(|console| board.reset(mode, &console.handle()));
    match reset {
        Ok(()) if json => {
            let line = json!({"event": "reset", "board": board.name, "boot": mode.name()});
            writeln!(anstream::stdout(), "{line}")?;
            Ok(0)
        }
        Ok(()) => {
            let doing = match mode {
                BootMode::Flash => "starts from flash",
                BootMode::Download => "waits for a flasher",
            };
            writeln!(anstream::stdout(), "{} {doing}", board.name)?;
            Ok(0)
        }
        Err(error) => {
            writeln!(anstream::stderr(), "error: {error}")?;
            Ok(Blame::Rig.exit_code())
        }
    }
}

/// Shows what a board says, names the functions of the addresses in it, and sends it what is typed, until it is interrupted.
pub(super) fn monitor(place: &Place, options: &Options, monitor: &Monitor) -> CommandResult {
    let claimed = match boards(options) {
        Ok(claimed) => claimed,
        Err(error) => return refused(error),
    };
    let [board] = &claimed.boards[..] else {
        let names: Vec<&str> = claimed.boards.iter().map(|board| board.name.as_str()).collect();
        return Err(format!(
            "several boards could be meant: {}; name one with --board",
            names.join(", ")
        )
        .into());
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    // Another program's image may be on the board: its addresses then mean nothing here.
    let image = board.image.clone().or_else(|| image(place, options).ok().map(Arc::new));
    let symbols = image.and_then(|image| Symbols::of(&image).ok());
    let typed = typed()?;
    let mut console = board.console()?;
    if monitor.reset {
        board.reset(BootMode::Flash, &console.handle())?;
    }
    let mut out = anstream::stdout();
    loop {
        match watch(place.json, &mut console, symbols.as_ref(), &typed, &interrupted)? {
            Ended::ByUser => return Ok(0),
            Ended::Unplugged(why) => {
                writeln!(anstream::stderr(), "{why}; waiting until it is back")?;
                let Some(back) = plugged_in_again(board, &interrupted) else {
                    return Ok(0);
                };
                console = back;
                writeln!(out, "{DIM}{} is back{DIM:#}", board.name)?;
            }
        }
    }
}

enum Ended {
    /// By Ctrl-C; or what is typed came from a file, which is at its end, and the board has been silent since.
    ByUser,
    Unplugged(NoLine),
}

fn watch(
    json: bool,
    console: &mut Console,
    symbols: Option<&Symbols>,
    typed: &Receiver<Option<String>>,
    interrupted: &AtomicBool,
) -> io::Result<Ended> {
    let mut out = anstream::stdout();
    let mut at_end = false;
    loop {
        // Between two lines: none is cut in its middle, and no colour stays behind.
        if interrupted.load(Ordering::Relaxed) {
            return Ok(Ended::ByUser);
        }
        let said = typed.try_recv();
        match &said {
            Ok(Some(text)) => {
                if let Err(error) = console.send(text) {
                    writeln!(anstream::stderr(), "`{text}` was not sent: {error}")?;
                }
            }
            Ok(None) => at_end = true,
            Err(_) => {}
        }
        let glance = if at_end { QUIET } else { GLANCE };
        match console.next_line(&Deadline::after("a line of the board", glance)) {
            Ok(line) => {
                let frames = symbols.map(|symbols| symbols.explain(&line.text)).unwrap_or_default();
                if json {
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

/// How long a board must be silent, once nothing more can be typed, for the monitor to end.
const QUIET: Duration = Duration::from_secs(2);

/// The lines that are typed; `None` at the end of a file. A terminal's end (Ctrl-D) is that too.
fn typed() -> io::Result<Receiver<Option<String>>> {
    let (sender, receiver) = channel();
    thread::Builder::new().name("typed".into()).spawn(move || {
        let lines = io::stdin().lock().lines().map_while(Result::ok);
        for line in lines.map(Some).chain([None]) {
            if sender.send(line).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

#[expect(
    clippy::disallowed_methods,
    reason = "no event tells that a device file is there which can be opened"
)]
fn plugged_in_again(board: &SerialBoard, interrupted: &AtomicBool) -> Option<Console> {
    while !interrupted.load(Ordering::Relaxed) {
        if let Ok(console) = board.console() {
            return Some(console);
        }
        thread::sleep(GLANCE);
    }
    None
}

fn boards(options: &Options) -> Result<Claimed, BenchError> {
    let choice = options.choice();
    let named = if choice.is_virtual() {
        Choice { board: None, ..choice }
    } else {
        choice
    };
    let wait = options.wait();
    claim(&named, &env::current_dir().unwrap_or_default(), wait, |held| {
        super::run::tell_waiting(held, wait);
    })
}

fn refused(error: BenchError) -> CommandResult {
    match error {
        BenchError::Claim(error) => {
            writeln!(anstream::stderr(), "error: {error}")?;
            Ok(Blame::Rig.exit_code())
        }
        error => Err(error.into()),
    }
}

fn image(place: &Place, options: &Options) -> Result<Image, Box<dyn std::error::Error>> {
    options.image(place)
}
