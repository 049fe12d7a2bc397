//! The entries of an inventory: each board of a rig, checked.
//!
//! Plain values: [`Inventory`](super::Inventory) makes them from the form of the file, and nothing checks them again.
//! Paths have been joined with the inventory's folder already.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use super::values::{
    BoardName, Chip, CommandLine, LinkName, Mac, ProbeSelector, Reason, ScenarioPattern, SerialNumber, Tag,
};
use super::wifi::WifiNetwork;

/// One board.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// What people call it.
    pub name: BoardName,
    /// Words by which users ask for it.
    pub tags: BTreeSet<Tag>,
    /// The Wi-Fi network that it joins; a wired board joins none.
    pub network: Option<WifiNetwork>,
    /// The address of this machine as the board sees it. Without one, the board gets this machine's address on the
    /// default route.
    pub server_address: Option<IpAddr>,
    /// Scenarios that do not apply to its firmware.
    pub skip: Vec<Skip>,
    /// The console language of its firmware, if that is not pinrig's.
    pub dialect: Option<Dialect>,
    /// What it is, and how it is used.
    pub kind: Kind,
}

/// What a board is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A chip at a serial port.
    Serial(SerialEntry),
    /// A program on this machine.
    Process(ProcessEntry),
}

/// A chip at a serial port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SerialEntry {
    /// The chip.
    pub chip: Chip,
    /// How its port is found.
    pub port: Port,
    /// The speed of its firmware's console in bit/s; without one, the usual speed.
    pub baud: Option<NonZeroU32>,
    /// The file of its own image. Without one, the board gets the run's image.
    pub firmware: Option<PathBuf>,
    /// How an image gets into its flash.
    pub flasher: Flasher,
    /// The ways to reset it, at least one, in the order in which they are tried.
    pub reset: Vec<ResetWay>,
    /// The debug probe at it.
    pub probe: Option<ProbeSelector>,
}

/// A program on this machine that is used as a board.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProcessEntry {
    /// The program, whose standard input and output are the console.
    pub command: CommandLine,
    /// The folder in which it runs: the inventory's.
    pub folder: PathBuf,
}

/// Scenarios that a board is not asked to run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Skip {
    /// Scenarios and folders of scenarios.
    pub scenarios: Vec<ScenarioPattern>,
    /// Those among them that the board runs all the same.
    pub except: Vec<ScenarioPattern>,
    /// Why, for readers of reports.
    pub why: Reason,
}

/// How to find a board's serial port. Port numbers change as boards come and go; what a USB device says of itself does
/// not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Port {
    /// By the name of the link in `/dev/serial/by-id`.
    ById(LinkName),
    /// By the serial number of the USB device.
    UsbSerial(SerialNumber),
    /// By the chip's MAC address, which its own USB port has as its serial number.
    Mac(Mac),
    /// A device file, whatever is plugged in there.
    Path(PathBuf),
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ById(name) => write!(f, "/dev/serial/by-id/{name}"),
            Self::UsbSerial(number) => write!(f, "USB serial number {number}"),
            Self::Mac(mac) => write!(f, "MAC {mac}"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How an image gets into flash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Flasher {
    /// By espflash, through the serial loader of this chip.
    Espflash(espflash::target::Chip),
    /// By probe-rs, through this debug probe.
    ProbeRs(ProbeSelector),
    /// By any program. `{port}` and `{image}` in its words are replaced by the paths of the port and of the image.
    Command(CommandLine),
}

/// A way to reset a board.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ResetWay {
    /// DTR and RTS over the two transistors of common boards.
    Classic,
    /// The same, with both lines moved at once, for bridges with slow lines.
    ClassicTight,
    /// The chip's own USB port.
    UsbJtag,
    /// The RTC watchdog, set through the loader.
    Watchdog,
    /// This debug probe.
    ProbeRs(ProbeSelector),
    /// Any program. `{port}` and `{mode}` in its words are replaced by the path of the port, and by `flash` or
    /// `download`.
    Command(CommandLine),
}

impl ResetWay {
    /// What it is called in `rig.toml`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::ClassicTight => "classic-tight",
            Self::UsbJtag => "usb-jtag",
            Self::Watchdog => "watchdog",
            Self::ProbeRs(_) => "probe-rs",
            Self::Command(_) => "command",
        }
    }
}

/// The console language of firmware that does not speak pinrig's. Scenarios cannot ask such firmware for a setting that
/// it has no words for, and cannot learn what it does not print.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dialect {
    /// The firmware is ready when a line contains this.
    pub ready: String,
    /// What to send for `run`, and for a setting by the setting's name (`host`, `pin`, `connect-to`, `timeout network`,
    /// ...), with `{value}` in the place of its value.
    pub send: BTreeMap<String, String>,
    /// Settings that the firmware does not have, and that make no difference to it.
    pub without: BTreeSet<String>,
    /// What lines mean for the result. Later entries count more.
    pub expect: Vec<Pattern>,
    /// A run ends with a line that contains this.
    pub end: String,
}

/// A line, and what it means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern {
    /// What the line contains. Without it, the meaning holds before any line has come.
    pub line: Option<String>,
    /// Words of the result and their values: `outcome = "success"`, `pin = "match"`.
    pub means: BTreeMap<String, String>,
}

impl Pattern {
    /// Whether `line` contains what the pattern wants. Without a line, whether the pattern holds before any line has
    /// come.
    #[must_use]
    pub fn matches(&self, line: Option<&str>) -> bool {
        match (&self.line, line) {
            (Some(part), Some(line)) => line.contains(part),
            (None, None) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_line_is_not_the_time_before_any_line() {
        let dialect: Dialect = toml::from_str(
            r#"
            ready = "ready"
            end = "bye"
            send = { run = "go" }
            expect = [{ means = { pin = "unchecked" } }, { line = "fine", means = { pin = "match" } }]
            "#,
        )
        .unwrap();
        let matching = |line| -> Vec<&str> {
            let patterns = dialect.expect.iter().filter(|pattern| pattern.matches(line));
            patterns.map(|pattern| pattern.means["pin"].as_str()).collect()
        };
        assert_eq!(matching(None), ["unchecked"]);
        assert_eq!(matching(Some("all is fine")), ["match"]);
        assert_eq!(matching(Some("")), [""; 0]);
    }
}
