//! Resetting a board at a serial port: ways that are tried in turn, each judged by what the chip says when it starts.
//!
//! What enters: the ways that `rig.toml` names, an open port, and the ear of its console. What leaves: a chip in the wanted mode, or what
//! came of each way. (ESP32-C3 Technical Reference Manual, "Chip Boot Control"; the auto-reset circuit of Espressif's boards.)

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use espflash::command::Command as LoaderCommand;
use espflash::connection::{Connection, ResetAfterOperation, ResetBeforeOperation};
use espflash::target::Chip;
use rustix::process::{Pid, Signal, kill_process_group};
use serialport::{SerialPort, TTYPort, UsbPortInfo};

use super::console::{BAUD, ConsoleError, ConsoleHandle};
use super::flash::{NO_USB, USB_JTAG};
use super::probe::DebugProbe;
use super::{BoardError, BootMode, Console};
use crate::deadline::Deadline;
use crate::rig::ResetWay;

/// How long EN is held low.
const EN_LOW: Duration = Duration::from_millis(100);
/// How long IO0 is held low after EN has risen: until the chip has sampled it.
const IO0_LOW: Duration = Duration::from_millis(50);
/// How long a board may take from reset to its first line.
const FIRST_LINE: Duration = Duration::from_secs(3);
/// How long a board must be silent before it is reset.
const QUIET: Duration = Duration::from_millis(50);
/// How long a program may take that resets a board: a hub that switches power waits for the supply to fall.
const RESET_COMMAND: Duration = Duration::from_secs(30);
/// How long a port may be away after that: some hubs give power late, and behind several of them a device is enumerated late.
const POWERED_UP: Duration = Duration::from_secs(10);
/// How often the loader is greeted, when nobody listens whether it answers.
const SYNCS: usize = 5;
/// What opens the watchdog's registers (`RTC_CNTL_WDTWPROTECT_REG`).
const WATCHDOG_KEY: u32 = 0x50D8_3AA1;
/// After this many slow clock cycles the watchdog bites: a hundredth of a second or so.
const WATCHDOG_TIME: u32 = 2000;
/// Enabled; its first stage resets everything, the strapping latch included (`RTC_CNTL_WDTCONFIG0_REG`).
const WATCHDOG_ON: u32 = 1 << 31 | 4 << 28 | 1 << 8 | 1 << 2;

/// What can be pulled to reset a board.
pub(super) struct Lines<'a> {
    /// Its port.
    pub(super) tty: &'a Path,
    /// The same, open.
    pub(super) port: &'a mut TTYPort,
    /// Its debug probe, if it has one.
    pub(super) probe: Option<&'a DebugProbe>,
}

/// A board that is to be reset, and how it is heard.
pub(super) struct Ladder<'a> {
    /// The ways to reset it, in the order in which they are tried.
    pub(super) ways: &'a [ResetWay],
    /// Its debug probe, if it has one.
    pub(super) probe: Option<&'a DebugProbe>,
    /// Its console.
    pub(super) heard: &'a ConsoleHandle,
    /// What its firmware's first line has in it: a chip whose ROM speaks at another speed than the firmware is judged by that.
    pub(super) ready: &'a str,
}

impl Ladder<'_> {
    /// Resets the board by the first of its ways after which it says that it starts in `mode`.
    ///
    /// # Errors
    /// What came of each way.
    pub(super) fn climb(&self, mode: BootMode) -> Result<(), String> {
        let mut tried = Vec::new();
        for way in self.ways {
            match self.step(way, mode) {
                Ok(()) => return Ok(()),
                Err(why) => tried.push(format!("{}: {why}", name_of(way))),
            }
        }
        Err(tried.join("; "))
    }

    fn step(&self, way: &ResetWay, mode: BootMode) -> Result<(), String> {
        // What a port has kept from before, or a board is about to finish, is not what it says after its reset.
        let silence = Deadline::after("the board to be silent", FIRST_LINE);
        self.heard.wait_for_silence(QUIET, &silence);
        let from = self.heard.skip_lines();
        // The way before may have taken the port away and back.
        let tty = self.heard.tty();
        let mut port = self.heard.port().map_err(|error| error.to_string())?;
        let mut lines = Lines {
            tty: &tty,
            port: &mut port,
            probe: self.probe,
        };
        let returns = self.heard.returns();
        let by_program = matches!(way, ResetWay::Command(_));
        if by_program {
            self.heard
                .let_be_away(Deadline::after("the command of `reset`", RESET_COMMAND));
        }
        let pulled = pull(way, mode, &mut lines);
        if by_program {
            self.heard.let_be_away(powered_up());
        }
        pulled.map_err(|error| error.to_string())?;
        let deadline = Deadline::after("the board's first line after reset", FIRST_LINE);
        let tells = |line: &str| boot_mode(line).is_some() || line.contains(self.ready);
        let lines = self.heard.lines_from(from, &deadline, tells);
        if lines.is_empty() && self.heard.returns() > returns {
            // What it said at first was lost while its port was away; who speaks to it will see.
            return Ok(());
        }
        judge(mode, &lines)
    }
}

/// Waits until the chip at an open port has said that it waits for a flasher, or could have: its words may be lost.
pub(super) fn hear_loader(tty: &Path, port: &TTYPort) -> Result<(), BoardError> {
    let ear = port.try_clone_native().map_err(|cause| ConsoleError::Open {
        tty: tty.to_owned(),
        cause,
    })?;
    let deadline = Deadline::after("the loader's first line", FIRST_LINE);
    let waits = |line: &str| boot_mode(line) == Some(BootMode::Download);
    // Whoever speaks to the loader finds out whether it is there.
    let _lines = Console::on(tty, ear)?.handle().lines_from(0, &deadline, waits);
    Ok(())
}

/// Until when a port may be away whose power a program has switched.
pub(super) fn powered_up() -> Deadline {
    Deadline::after("the port to come back", POWERED_UP)
}

/// Whether what a board has said since its reset is what it says when it starts in this mode.
fn judge(wanted: BootMode, lines: &[String]) -> Result<(), String> {
    let Some(last) = lines.last() else {
        let first = Deadline::after("the board's first line after reset", FIRST_LINE);
        return Err(first.timeout().to_string());
    };
    match lines.iter().find_map(|line| boot_mode(line)) {
        Some(mode) if mode == wanted => Ok(()),
        Some(BootMode::Download) => Err(format!("it waits for a flasher: `{last}`")),
        Some(BootMode::Flash) => Err(format!("it starts from flash: `{last}`")),
        // The ROM's line may be lost where a USB port comes and goes with the reset; the ready line will tell.
        None => Ok(()),
    }
}

/// The mode in the ROM's line: `rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)`, or an ESP8266's `rst cause:2, boot mode:(3,6)`.
fn boot_mode(line: &str) -> Option<BootMode> {
    let download = if let Some((_, strapping)) = line.split_once("boot mode:(") {
        // Strapping pins MTDO, GPIO0 and GPIO2: 1 is the UART, 3 the flash (ESP8266EX datasheet, "Strapping Pins").
        strapping.starts_with("1,")
    } else {
        let (_, boot) = line.split_once("boot:0x")?;
        let (_, name) = boot.split_once('(')?;
        name.starts_with("DOWNLOAD")
    };
    Some(if download { BootMode::Download } else { BootMode::Flash })
}

/// Resets a board in one way.
///
/// # Errors
/// When the port has no such lines, the program fails, or the way does not lead to this mode.
pub(super) fn pull(way: &ResetWay, mode: BootMode, pulled: &mut Lines<'_>) -> Result<(), io::Error> {
    let Lines { tty, port, probe } = pulled;
    let download = mode == BootMode::Download;
    let lines = |port: &mut TTYPort, dtr: bool, rts: bool| -> Result<(), io::Error> {
        port.write_data_terminal_ready(dtr)?;
        port.write_request_to_send(rts)?;
        Ok(())
    };
    match way {
        ResetWay::ClassicTight | ResetWay::UsbJtag if download => {
            let usb = if *way == ResetWay::UsbJtag { USB_JTAG } else { NO_USB };
            loader(port, usb)?.reset_to_flash(false).map_err(io::Error::other)
        }
        // EN is low while RTS is on and DTR is not, IO0 while DTR is on and RTS is not. Without IO0 only RTS moves, and neither line has
        // to wait for the other.
        ResetWay::Classic | ResetWay::ClassicTight => {
            lines(port, false, true)?;
            hold(EN_LOW);
            if download {
                // EN rises slowly, so that IO0 is low before the chip looks.
                lines(port, true, false)?;
                hold(IO0_LOW);
            }
            lines(port, false, false)
        }
        // RTS alone resets, neither takes a wish for download mode back. Both are on in a port that was just opened: DTR must not go first.
        ResetWay::UsbJtag => {
            port.write_request_to_send(false)?;
            port.write_data_terminal_ready(false)?;
            hold(EN_LOW);
            port.write_request_to_send(true)?;
            hold(EN_LOW);
            port.write_request_to_send(false)?;
            Ok(())
        }
        ResetWay::Command(words) => by_program(words, tty, mode),
        ResetWay::Watchdog if download => Err(unsupported("the watchdog leads out of the loader, not into it")),
        ResetWay::Watchdog => bite(port),
        ResetWay::ProbeRs if download => Err(unsupported(
            "a debug probe leads into the firmware, not into the loader",
        )),
        ResetWay::ProbeRs => match probe {
            Some(probe) => probe.reset().map_err(io::Error::other),
            None => Err(unsupported("the board has no `probe` in rig.toml")),
        },
    }
}

/// Resets a board by a program that the rig names.
///
/// # Errors
/// As [`run`].
pub(super) fn by_program(words: &[String], tty: &Path, mode: BootMode) -> Result<(), io::Error> {
    let places = [("{port}", &*tty.to_string_lossy()), ("{mode}", mode.name())];
    let deadline = Deadline::after("the command of `reset`", RESET_COMMAND);
    run(words, &places, &deadline)
}

/// Lets the RTC watchdog reset a chip that waits for a flasher. The loader's answers are not waited for: somebody else reads the port.
fn bite(port: &TTYPort) -> Result<(), io::Error> {
    let chip = Chip::Esp32c3;
    let registers = [chip.wdt_wprotect(), chip.wdt_config1(), chip.wdt_config0()];
    let [Some(protect), Some(time), Some(control)] = registers else {
        return Err(unsupported("espflash knows no watchdog of this chip"));
    };
    let mut loader = loader(port, NO_USB)?;
    let writes = [
        (protect, WATCHDOG_KEY),
        (time, WATCHDOG_TIME),
        (control, WATCHDOG_ON),
        (protect, 0),
    ];
    let writes = writes.map(|(address, value)| LoaderCommand::WriteReg {
        address,
        value,
        mask: None,
    });
    // The loader measures the speed by the first of them and may hear none before the third.
    let syncs = std::iter::repeat_n(LoaderCommand::Sync, SYNCS);
    for command in syncs.chain(writes) {
        loader.write_command(command).map_err(io::Error::other)?;
        // The loader's buffer is short, and nobody hears when it is done.
        hold(IO0_LOW);
    }
    Ok(())
}

/// espflash's end of a loader that is at this port, or is to come there; it knows the timing of common boards best.
fn loader(port: &TTYPort, usb: UsbPortInfo) -> Result<Connection, io::Error> {
    Ok(Connection::new(
        port.try_clone_native()?,
        usb,
        ResetAfterOperation::NoReset,
        ResetBeforeOperation::NoReset,
        BAUD,
    ))
}

/// Lets time pass while a line is held: the chip's circuits need it.
#[expect(
    clippy::disallowed_methods,
    reason = "what a line is held for is time itself, and no event"
)]
fn hold(time: Duration) {
    std::thread::sleep(time);
}

/// Runs a program that the rig names, and fills in the places in its words.
///
/// # Errors
/// When it cannot be started, does not end in time, or ends with anything but success: then with what it said.
pub(super) fn run(words: &[String], places: &[(&str, &str)], deadline: &Deadline) -> Result<(), io::Error> {
    let fill = |word: &String| {
        let mut word = word.clone();
        for (place, value) in places {
            word = word.replace(place, value);
        }
        word
    };
    let mut words = words.iter().map(fill);
    let program = words
        .next()
        .ok_or_else(|| io::Error::other("the command has no words"))?;
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("{program}: {error}"));
    let child = Command::new(&program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: what it has started ends with it.
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let group = Pid::from_child(&child);
    let (done, ended) = channel();
    thread::spawn(move || done.send(child.wait_with_output()));
    let output = match ended.recv_timeout(deadline.left()) {
        Ok(output) => output.map_err(failed)?,
        Err(_) => {
            // It may just have ended by itself.
            let _gone = kill_process_group(group, Signal::KILL);
            let text = format!("{program}: {}", deadline.timeout());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
    };
    if output.status.success() {
        return Ok(());
    }
    // Tools write what went wrong to either.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let last: Vec<&str> = said
        .lines()
        .rev()
        .filter(|line| !line.trim().is_empty())
        .take(3)
        .collect();
    let last: Vec<&str> = last.into_iter().rev().map(str::trim).collect();
    Err(io::Error::other(format!(
        "{program} ended with {}: {}",
        output.status,
        last.join("; ")
    )))
}

/// What a way is called in `rig.toml`.
pub(super) fn name_of(way: &ResetWay) -> &'static str {
    match way {
        ResetWay::Classic => "classic",
        ResetWay::ClassicTight => "classic-tight",
        ResetWay::UsbJtag => "usb-jtag",
        ResetWay::Watchdog => "watchdog",
        ResetWay::ProbeRs => "probe-rs",
        ResetWay::Command(_) => "command",
    }
}

fn unsupported(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_believed_to_be_in_the_mode_that_the_rom_names() {
        let judged = |mode, lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
            judge(mode, &lines)
        };
        let flash = ["ESP-ROM:esp32c3", "rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)"];
        let download = ["rst:0x1 (POWERON),boot:0x4 (DOWNLOAD(USB/UART0/1))"];
        assert_eq!(judged(BootMode::Flash, &flash), Ok(()));
        assert_eq!(judged(BootMode::Download, &download), Ok(()));
        assert!(judged(BootMode::Flash, &download).unwrap_err().contains("flasher"));
        assert!(judged(BootMode::Download, &flash).unwrap_err().contains("from flash"));
        assert!(
            judged(BootMode::Flash, &[])
                .unwrap_err()
                .contains("timed out after 3 s")
        );
        assert_eq!(judged(BootMode::Flash, &["@- ready"]), Ok(()));
        let old = [" ets Jan  8 2013,rst cause:2, boot mode:(1,6)"];
        assert!(judged(BootMode::Flash, &old).unwrap_err().contains("flasher"));
        assert_eq!(judged(BootMode::Flash, &["rst cause:2, boot mode:(3,6)"]), Ok(()));
    }

    #[test]
    fn a_program_that_fails_says_why_and_one_that_is_missing_is_named() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let places = [("{port}", "/dev/ttyX"), ("{mode}", "flash")];
        let soon = Deadline::after("the test's program", Duration::from_secs(20));
        let failed = run(
            &words(&["sh", "-c", "echo no {port} in {mode} mode; exit 3"]),
            &places,
            &soon,
        );
        let failed = failed.unwrap_err().to_string();
        assert!(
            failed.contains("no /dev/ttyX in flash mode") && failed.contains('3'),
            "{failed}"
        );
        let missing = run(&words(&["no-such-program"]), &places, &soon)
            .unwrap_err()
            .to_string();
        assert!(missing.contains("no-such-program"), "{missing}");
        run(&words(&["true"]), &places, &soon).unwrap();
        let now = Deadline::after("a program that hangs", Duration::from_millis(50));
        let hangs = run(&words(&["sh", "-c", "sleep 600"]), &places, &now)
            .unwrap_err()
            .to_string();
        assert!(hangs.contains("a program that hangs"), "{hangs}");
    }

    #[test]
    fn what_a_program_has_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pid.display());
        let words = ["sh", "-c", &script].map(str::to_owned);
        let now = Deadline::after("a program that hangs", Duration::from_secs(1));
        run(&words, &[], &now).unwrap_err();
        let pid = std::fs::read_to_string(pid).unwrap();
        let status = Path::new("/proc").join(pid.trim()).join("status");
        // Nobody may have taken notice of its end yet.
        let lives = || std::fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ"));
        let soon = Deadline::after("the program's end", Duration::from_secs(10));
        while lives() {
            assert!(!soon.left().is_zero(), "it still runs");
            thread::yield_now();
        }
    }
}
