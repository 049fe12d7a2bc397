//! Resetting a board at a serial port, in one of the ways that `rig.toml` names, judged by what the chip says when it
//! starts.
//!
//! What enters: a way, an open port, and the console's handle. What leaves: a chip in the wanted mode, or a
//! [`ResetError`] that says what the way came to. (ESP32-C3 Technical Reference Manual, "Chip Boot Control"; the
//! auto-reset circuit of Espressif's boards.)

use std::path::Path;
use std::time::Duration;

use espflash::command::Command as LoaderCommand;
use espflash::connection::{Connection, ResetAfterOperation, ResetBeforeOperation};
use espflash::target::Chip;
use serialport::{SerialPort, TTYPort, UsbPortInfo};

use super::boot_mode::BootMode;
use super::console::{BAUD, Console, ConsoleError, ConsoleHandle};
use super::flash::{EspflashError, NO_USB, USB_JTAG};
use super::probe::{self, ProbeError};
use super::program::{self, Placeholder, ProgramError};
use crate::deadline::{Deadline, Timeout};
use crate::rig::{CommandLine, ResetWay};

/// How long EN is held low.
const EN_LOW: Duration = Duration::from_millis(100);
/// How long IO0 is held low after EN has risen: until the chip has sampled it.
const IO0_LOW: Duration = Duration::from_millis(50);
/// How long a board may take from reset to its first line.
const FIRST_LINE: Duration = Duration::from_secs(3);
/// How long a board must be silent before it is reset.
const QUIET: Duration = Duration::from_millis(50);
/// How long a program may take that resets a board: one that switches a hub's power waits for the supply to fall.
const RESET_COMMAND: Duration = Duration::from_secs(30);
/// How long a port may be away after that: some hubs give power late, and behind several of them a device is enumerated
/// late.
const POWERED_UP: Duration = Duration::from_secs(10);
/// How often the loader is greeted where its answers are not read.
const SYNCS: usize = 5;
/// What opens the watchdog's registers (`RTC_CNTL_WDTWPROTECT_REG`).
const WATCHDOG_KEY: u32 = 0x50D8_3AA1;
/// After this many slow clock cycles the watchdog resets the chip: about a hundredth of a second.
const WATCHDOG_TIME: u32 = 2000;
/// Enabled; its first stage resets everything, the strapping latch included (`RTC_CNTL_WDTCONFIG0_REG`).
const WATCHDOG_ON: u32 = 1 << 31 | 4 << 28 | 1 << 8 | 1 << 2;

/// Why a board was not reset, or not into the wanted mode.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The port has no modem lines, or gives no other handle.
    #[error("its port cannot do that: {0}")]
    Lines(serialport::Error),
    /// The loader's commands cannot be written.
    #[error("its loader cannot be reached: {0}")]
    Loader(#[from] EspflashError),
    /// Its console cannot be opened.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// The program that resets it failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The debug probe that resets it failed.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The watchdog was to lead into the loader.
    #[error("the watchdog leads out of the loader, not into it")]
    WatchdogIntoLoader,
    /// A debug probe was to lead into the loader.
    #[error("a debug probe leads into the firmware, not into the loader")]
    ProbeIntoLoader,
    /// espflash does not know where the chip's watchdog is.
    #[error("espflash knows no watchdog of this chip")]
    NoWatchdog,
    /// The board said nothing.
    #[error(transparent)]
    Silent(#[from] Timeout),
    /// The board is in its loader, and was to start its firmware.
    #[error("it waits for a flasher: `{last}`")]
    InLoader {
        /// The last line that it said.
        last: String,
    },
    /// The board starts its firmware, and was to wait for a flasher.
    #[error("it starts from flash: `{last}`")]
    InFirmware {
        /// The last line that it said.
        last: String,
    },
}

/// Resets a board in one way, and judges by its console whether it starts in `mode`. A chip whose ROM speaks at another
/// speed than the firmware is judged by a line that contains `ready`.
pub(super) fn reset(way: &ResetWay, mode: BootMode, console: &ConsoleHandle, ready: &str) -> Result<(), ResetError> {
    // What the port has kept from before, or the board is about to finish, is not what the board says after its reset.
    let silence = Deadline::after("the board to be silent", FIRST_LINE);
    console.wait_for_silence(QUIET, &silence);
    let from = console.skip_lines();
    // The way before may have taken the port away and back.
    let tty = console.tty();
    let mut port = console.port().map_err(ResetError::Lines)?;
    let returns = console.returns();
    let by_program = matches!(way, ResetWay::Command(_));
    if by_program {
        console.let_be_away(Deadline::after("the command of `reset`", RESET_COMMAND));
    }
    let pulled = pull(way, mode, &tty, &mut port);
    if by_program {
        console.let_be_away(powered_up());
    }
    pulled?;
    let deadline = Deadline::after("the board's first line after reset", FIRST_LINE);
    let tells = |line: &str| boot_mode(line).is_some() || line.contains(ready);
    let lines = console.lines_from(from, &deadline, tells);
    if lines.is_empty() && console.returns() > returns {
        // What the board said first was lost while its port was away. The caller will see whether the board answers.
        return Ok(());
    }
    judge(mode, &lines, deadline.timeout())
}

/// Waits until the chip at an open port has said that it waits for a flasher, or could have: its line may be lost.
pub(super) fn hear_loader(tty: &Path, port: &TTYPort) -> Result<(), ResetError> {
    let heard = port.try_clone_native().map_err(ResetError::Lines)?;
    let deadline = Deadline::after("the loader's first line", FIRST_LINE);
    let waits = |line: &str| boot_mode(line) == Some(BootMode::Download);
    // Whether the loader is there shows when it is spoken to.
    let _lines = Console::on(tty, heard)?.handle().lines_from(0, &deadline, waits);
    Ok(())
}

/// Until when a port may be away whose power a program has switched.
pub(super) fn powered_up() -> Deadline {
    Deadline::after("the port to come back", POWERED_UP)
}

/// Whether what a board has said since its reset is what it says when it starts in this mode. `timeout` is the error if
/// it has said nothing.
fn judge(wanted: BootMode, lines: &[String], timeout: Timeout) -> Result<(), ResetError> {
    let last = lines.last().ok_or(timeout)?.clone();
    match lines.iter().find_map(|line| boot_mode(line)) {
        Some(mode) if mode == wanted => Ok(()),
        Some(BootMode::Download) => Err(ResetError::InLoader { last }),
        Some(BootMode::Flash) => Err(ResetError::InFirmware { last }),
        // The ROM's line may be lost where a USB port goes away with the reset. The ready line will tell.
        None => Ok(()),
    }
}

/// The mode in the ROM's line: `rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)`, or an ESP8266's `rst cause:2, boot
/// mode:(3,6)`.
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

/// Does what resets a board in one way. `port` is the open tty.
///
/// # Errors
/// When the port has no such lines, the program fails, or the way does not lead to this mode.
pub(super) fn pull(way: &ResetWay, mode: BootMode, tty: &Path, port: &mut TTYPort) -> Result<(), ResetError> {
    match (way, mode) {
        (ResetWay::Classic, BootMode::Download) => {
            set_lines(port, Dtr(false), Rts(true))?;
            hold(EN_LOW);
            // EN rises slowly, so that IO0 is low before the chip samples it.
            set_lines(port, Dtr(true), Rts(false))?;
            hold(IO0_LOW);
            set_lines(port, Dtr(false), Rts(false))
        }
        (ResetWay::ClassicTight, BootMode::Download) => into_loader(port, NO_USB),
        (ResetWay::UsbJtag, BootMode::Download) => into_loader(port, USB_JTAG),
        // Without IO0 only RTS moves, and neither line has to wait for the other.
        (ResetWay::Classic | ResetWay::ClassicTight, BootMode::Flash) => {
            set_lines(port, Dtr(false), Rts(true))?;
            hold(EN_LOW);
            set_lines(port, Dtr(false), Rts(false))
        }
        // RTS alone resets the chip; with both lines off, an earlier request for download mode is taken back. Both are
        // on in a port that was just opened: if DTR went off first, RTS alone would be on.
        (ResetWay::UsbJtag, BootMode::Flash) => {
            port.write_request_to_send(false).map_err(ResetError::Lines)?;
            port.write_data_terminal_ready(false).map_err(ResetError::Lines)?;
            hold(EN_LOW);
            port.write_request_to_send(true).map_err(ResetError::Lines)?;
            hold(EN_LOW);
            port.write_request_to_send(false).map_err(ResetError::Lines)
        }
        (ResetWay::Watchdog, BootMode::Flash) => let_watchdog_bite(port),
        (ResetWay::Watchdog, BootMode::Download) => Err(ResetError::WatchdogIntoLoader),
        (ResetWay::ProbeRs(selector), BootMode::Flash) => Ok(probe::reset(selector)?),
        (ResetWay::ProbeRs(_), BootMode::Download) => Err(ResetError::ProbeIntoLoader),
        (ResetWay::Command(command), mode) => by_program(command, tty, mode),
    }
}

/// Whether the line DTR is on. IO0 is low while DTR is on and RTS is not.
struct Dtr(bool);
/// Whether the line RTS is on. EN is low while RTS is on and DTR is not.
struct Rts(bool);

fn set_lines(port: &mut TTYPort, Dtr(dtr): Dtr, Rts(rts): Rts) -> Result<(), ResetError> {
    port.write_data_terminal_ready(dtr)
        .and_then(|()| port.write_request_to_send(rts))
        .map_err(ResetError::Lines)
}

/// Brings a chip into its loader as espflash does it, which knows the timing of common boards best. Its function is
/// called `reset_to_flash` for "reset, to be flashed".
fn into_loader(port: &TTYPort, usb: UsbPortInfo) -> Result<(), ResetError> {
    let done = loader(port, usb)?.reset_to_flash(false);
    Ok(done.map_err(EspflashError::from)?)
}

/// Resets a board by a program that the rig names.
///
/// # Errors
/// When the program fails.
pub(super) fn by_program(command: &CommandLine, tty: &Path, mode: BootMode) -> Result<(), ResetError> {
    let tty = tty.to_string_lossy();
    let placeholders = [("port", &*tty), ("mode", mode.name())].map(|(name, value)| Placeholder { name, value });
    let deadline = Deadline::after("the command of `reset`", RESET_COMMAND);
    Ok(program::run(command, &placeholders, &deadline)?)
}

/// Lets the RTC watchdog reset a chip that waits for a flasher. The loader's answers are not waited for, since the
/// console's reader thread reads them.
fn let_watchdog_bite(port: &TTYPort) -> Result<(), ResetError> {
    let chip = Chip::Esp32c3;
    let registers = [chip.wdt_wprotect(), chip.wdt_config1(), chip.wdt_config0()];
    let [Some(protect), Some(time), Some(control)] = registers else {
        return Err(ResetError::NoWatchdog);
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
    // The loader measures the speed by the first greetings, and may understand none before the third.
    let syncs = std::iter::repeat_n(LoaderCommand::Sync, SYNCS);
    for command in syncs.chain(writes) {
        loader.write_command(command).map_err(EspflashError::from)?;
        // The loader's buffer is short, and its answers are not read here.
        hold(IO0_LOW);
    }
    Ok(())
}

/// espflash's side of a loader that is at this port, or is about to be.
fn loader(port: &TTYPort, usb: UsbPortInfo) -> Result<Connection, ResetError> {
    Ok(Connection::new(
        port.try_clone_native().map_err(ResetError::Lines)?,
        usb,
        ResetAfterOperation::NoReset,
        ResetBeforeOperation::NoReset,
        BAUD,
    ))
}

/// Lets time pass while a line is held: the chip's circuits need it.
#[expect(
    clippy::disallowed_methods,
    reason = "a line is held for a time, and no event marks its end"
)]
fn hold(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_believed_to_be_in_the_mode_that_the_rom_names() {
        let timeout = Deadline::after("a line", Duration::from_secs(3)).timeout();
        let judged = |mode, lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
            judge(mode, &lines, timeout).map_err(|error| error.to_string())
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
}
