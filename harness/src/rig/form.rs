//! The form of `rig.toml`: its tables as they stand in the file, for TOML's reader and for the JSON schema.
//!
//! What enters: the text of a file. What leaves: checked [`entry`](super::entry) values, or a [`Mistake`] with its
//! offset in the text. A value that is wrong by itself is refused by its type in [`values`](super::values); what must
//! fit together is checked here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::entry;
use super::values::{
    Baud, BoardName, Chip, CommandLine, FilePath, LinkName, Mac, Phrase, ProbeSelector, Reason, ScenarioPattern,
    SerialNumber, ServerAddress, Ssid, Tag, Variable,
};
use super::wifi::{PasswordSource, WifiNetwork};

/// A part of the file that does not fit the rest.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Mistake {
    /// Where it begins, in bytes.
    pub(super) offset: usize,
    /// What is wrong, and what to write.
    pub(super) message: String,
}

impl Mistake {
    fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            offset: span.start,
            message: message.into(),
        }
    }
}

/// The boards of a rig.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Inventory {
    /// The boards, in the order of the file.
    #[serde(default, rename = "board")]
    #[schemars(with = "Vec<Entry>")]
    boards: Vec<Spanned<Entry>>,
}

/// One board.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    /// What people call it: letters, digits, `-`, `_` and `.`.
    #[schemars(with = "String")]
    name: Spanned<BoardName>,
    /// What kind of board it is.
    #[serde(default)]
    kind: Kind,
    /// The chip: `esp32c3`, ...; a process has none.
    #[schemars(with = "Option<String>")]
    chip: Option<Spanned<Chip>>,
    /// Where it is plugged in; a process has no port.
    #[schemars(with = "Option<Port>")]
    port: Option<Spanned<Port>>,
    /// For a process: the program and its arguments. It runs in the inventory's folder, and its standard input and
    /// output are the console.
    #[schemars(with = "Option<Vec<String>>")]
    command: Option<Spanned<CommandLine>>,
    /// The speed of its firmware's console in bit/s. Defaults to 115200. Has no influence on the speed at which the
    /// chip's loader is used.
    #[schemars(with = "Option<NonZeroU32>")]
    baud: Option<Spanned<Baud>>,
    /// The console language of its firmware, if that is not pinrig's.
    dialect: Option<Dialect>,
    /// The image of its firmware, relative to the inventory's folder: an ELF, or what the command of its flasher takes.
    /// Defaults to the run's image. An image that is given for the run overrides it.
    #[schemars(with = "Option<String>")]
    firmware: Option<Spanned<FilePath>>,
    /// How an image gets into its flash.
    #[schemars(with = "Flasher", default = "usual_flasher")]
    flasher: Option<Spanned<Flasher>>,
    /// The ways to reset it, in the order in which they are tried.
    #[schemars(with = "Vec<ResetWay>", default = "usual_ways")]
    reset: Option<Spanned<Vec<Spanned<ResetWay>>>>,
    /// The debug probe at it, as probe-rs lists it: `303a:1001:7C:DF:A1:00:00:01`. It is used by the flasher and the
    /// reset `probe-rs`, and to look at firmware that hangs.
    #[schemars(with = "Option<String>")]
    probe: Option<Spanned<ProbeSelector>>,
    /// The Wi-Fi network that it joins.
    network: Option<Network>,
    /// The address of this machine as the board sees it. Defaults to this machine's address on the default route.
    #[schemars(with = "Option<IpAddr>")]
    server_address: Option<ServerAddress>,
    /// Words by which users ask for it.
    #[serde(default)]
    tags: BTreeSet<Tag>,
    /// Scenarios that do not apply to its firmware.
    #[serde(default)]
    #[schemars(default = "nothing")]
    skip: Vec<Skip>,
}

/// Scenarios that a board is not asked to run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Skip {
    /// Scenarios, or folders of scenarios: `auth`, `server/tls-1-3-only`.
    #[schemars(with = "Vec<String>")]
    scenarios: Spanned<Vec<ScenarioPattern>>,
    /// Those among them that the board runs all the same.
    #[serde(default)]
    except: Vec<ScenarioPattern>,
    /// Why, for readers of the report: `the client speaks TLS 1.2`.
    why: Reason,
}

/// What kind of board an entry is.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// A chip at a serial port.
    #[default]
    Serial,
    /// A program on this machine: an emulator, or a build of the firmware for this machine.
    Process,
}

/// The console language of firmware that does not speak pinrig's. Scenarios cannot ask such firmware for a setting that
/// it has no words for, and cannot learn what it does not print.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Dialect {
    /// The firmware is ready when a line contains this.
    ready: Phrase,
    /// What to send for a setting, by the setting's name (`host`, `pin`, `connect-to`, `timeout network`, ...), with
    /// `{value}` in the place of its value; and what to send for `run`.
    #[schemars(with = "BTreeMap<String, String>")]
    send: Spanned<BTreeMap<Phrase, String>>,
    /// Settings that the firmware does not have, and that make no difference to it.
    #[serde(default)]
    without: BTreeSet<Phrase>,
    /// What lines mean for the result.
    #[serde(default)]
    #[schemars(default = "nothing")]
    expect: Vec<Pattern>,
    /// A run ends with a line that contains this.
    end: Phrase,
}

/// A line, and what it means.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Pattern {
    /// What the line contains. Without it, the meaning holds before any line has come.
    line: Option<Phrase>,
    /// Words of the result and their values: `outcome = "success"`, `pin = "match"`. Later entries count more.
    means: BTreeMap<Phrase, String>,
}

/// How to find a board's serial port. Port numbers change as boards come and go; what a USB device says of itself does
/// not.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Port {
    /// The name of the link in `/dev/serial/by-id`.
    ById(LinkName),
    /// The serial number of the USB device.
    UsbSerial(SerialNumber),
    /// The chip's MAC address, which its own USB port has as its serial number: `7C:DF:A1:00:00:01`.
    Mac(Mac),
    /// A device file, whatever is plugged in there.
    Path(FilePath),
}

/// How an image gets into flash.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Flasher {
    /// By espflash, through the chip's serial loader.
    Espflash,
    /// By probe-rs, through the board's debug probe.
    ProbeRs,
    /// By any program. `{port}` and `{image}` in its words are replaced by the paths of the port and of the image.
    Command(CommandLine),
}

/// A way to reset a board.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum ResetWay {
    /// DTR and RTS over the two transistors of common boards.
    Classic,
    /// The same, with both lines moved at once, for bridges with slow lines.
    ClassicTight,
    /// The chip's own USB port.
    UsbJtag,
    /// The RTC watchdog, set through the loader.
    Watchdog,
    /// The board's debug probe.
    ProbeRs,
    /// Any program, for example one that switches the power of a hub's port. `{port}` and `{mode}` in its words are
    /// replaced by the path of the port, and by `flash` or `download`.
    Command(CommandLine),
}

/// The Wi-Fi network that a board joins. Its password is never in the inventory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Network {
    /// Its name: 1 to 32 bytes.
    ssid: Ssid,
    /// Where its password is; an open network has none.
    password: Option<Password>,
}

/// Where a password is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Password {
    /// In this environment variable.
    Env(Variable),
    /// In the first line of this file, relative to the inventory's folder.
    File(FilePath),
}

impl Inventory {
    /// The boards, checked. Their paths are relative to `folder`.
    pub(super) fn check(self, folder: &Path) -> Result<Vec<entry::Entry>, Mistake> {
        let mut names = BTreeSet::new();
        let mut boards = Vec::new();
        for board in self.boards {
            let (span, name) = (board.span(), &board.as_ref().name);
            if !names.insert(name.as_ref().clone()) {
                let message = format!(
                    "another board is called `{}` already; give each a name of its own",
                    name.as_ref()
                );
                return Err(Mistake::at(name.span(), message));
            }
            boards.push(board.into_inner().check(span, folder)?);
        }
        Ok(boards)
    }
}

impl Entry {
    /// The entry, checked. `table` is where its table stands in the file.
    fn check(self, table: Range<usize>, folder: &Path) -> Result<entry::Entry, Mistake> {
        let kind = match self.kind {
            Kind::Serial => entry::Kind::Serial(self.check_serial(table, folder)?),
            Kind::Process => entry::Kind::Process(self.check_process(table, folder)?),
        };
        Ok(entry::Entry {
            name: self.name.into_inner(),
            tags: self.tags,
            network: self.network.map(|network| network.resolve(folder)),
            server_address: self.server_address.map(|ServerAddress(address)| address),
            skip: self.skip.into_iter().map(Skip::check).collect::<Result<_, _>>()?,
            dialect: self.dialect.map(entry::Dialect::try_from).transpose()?,
            kind,
        })
    }

    fn check_serial(&self, table: Range<usize>, folder: &Path) -> Result<entry::SerialEntry, Mistake> {
        if let Some(command) = &self.command {
            let message = "a board at a serial port has no `command`; it belongs to `kind = \"process\"`";
            return Err(Mistake::at(command.span(), message));
        }
        let missing = |message: &str| Mistake::at(table.clone(), message);
        let port = self.port.as_ref().ok_or_else(|| {
            missing("the board has no `port`; write how it is found, as in `port.usb-serial = \"0123456789abcdef\"`")
        })?;
        let chip = self
            .chip
            .as_ref()
            .ok_or_else(|| missing("the board has no `chip`; write its name, as in `chip = \"esp32c3\"`"))?;
        let reset = match &self.reset {
            None => USUAL_WAYS.to_vec(),
            Some(ways) if ways.as_ref().is_empty() => {
                let message = "`reset` has no way to reset the board; leave it out for the usual ways";
                return Err(Mistake::at(ways.span(), message));
            }
            Some(ways) => ways
                .as_ref()
                .iter()
                .map(|way| self.check_reset(way))
                .collect::<Result<_, _>>()?,
        };
        Ok(entry::SerialEntry {
            flasher: self.check_flasher(chip)?,
            chip: chip.as_ref().clone(),
            port: match port.as_ref() {
                Port::ById(link) => entry::Port::ById(link.clone()),
                Port::UsbSerial(number) => entry::Port::UsbSerial(number.clone()),
                Port::Mac(mac) => entry::Port::Mac(*mac),
                Port::Path(FilePath(path)) => entry::Port::Path(path.clone()),
            },
            baud: self.baud.as_ref().map(|baud| baud.as_ref().0),
            firmware: self.firmware.as_ref().map(|path| beside(folder, path.as_ref())),
            reset,
            probe: self.probe.as_ref().map(|probe| probe.as_ref().clone()),
        })
    }

    fn check_flasher(&self, chip: &Spanned<Chip>) -> Result<entry::Flasher, Mistake> {
        match self.flasher.as_ref().map(|flasher| (flasher.span(), flasher.as_ref())) {
            None | Some((_, Flasher::Espflash)) => {
                let known = chip.as_ref().known_to_espflash().ok_or_else(|| {
                    let message = format!(
                        "espflash does not know the chip `{}`; give the command of another flasher, as in \
                         `flasher.command = [\"esptool\", \"--port\", \"{{port}}\", ...]`",
                        chip.as_ref()
                    );
                    Mistake::at(chip.span(), message)
                })?;
                Ok(entry::Flasher::Espflash(known))
            }
            Some((span, Flasher::ProbeRs)) => Ok(entry::Flasher::ProbeRs(self.its_probe(span)?)),
            Some((_, Flasher::Command(command))) => Ok(entry::Flasher::Command(command.clone())),
        }
    }

    fn check_reset(&self, way: &Spanned<ResetWay>) -> Result<entry::ResetWay, Mistake> {
        Ok(match way.as_ref() {
            ResetWay::Classic => entry::ResetWay::Classic,
            ResetWay::ClassicTight => entry::ResetWay::ClassicTight,
            ResetWay::UsbJtag => entry::ResetWay::UsbJtag,
            ResetWay::Watchdog => entry::ResetWay::Watchdog,
            ResetWay::ProbeRs => entry::ResetWay::ProbeRs(self.its_probe(way.span())?),
            ResetWay::Command(command) => entry::ResetWay::Command(command.clone()),
        })
    }

    /// The board's probe, for what stands at `user`.
    fn its_probe(&self, user: Range<usize>) -> Result<ProbeSelector, Mistake> {
        let probe = self.probe.as_ref().map(|probe| probe.as_ref().clone());
        probe.ok_or_else(|| {
            let message = "`probe-rs` needs the board's `probe`; write it as `probe-rs list` shows it, as in \
                           `probe = \"303a:1001:7C:DF:A1:00:00:01\"`";
            Mistake::at(user, message)
        })
    }

    fn check_process(&self, table: Range<usize>, folder: &Path) -> Result<entry::ProcessEntry, Mistake> {
        let of_a_chip = [
            ("chip", self.chip.as_ref().map(Spanned::span)),
            ("port", self.port.as_ref().map(Spanned::span)),
            ("baud", self.baud.as_ref().map(Spanned::span)),
            ("firmware", self.firmware.as_ref().map(Spanned::span)),
            ("flasher", self.flasher.as_ref().map(Spanned::span)),
            ("reset", self.reset.as_ref().map(Spanned::span)),
            ("probe", self.probe.as_ref().map(Spanned::span)),
        ];
        for (key, span) in of_a_chip {
            if let Some(span) = span {
                let message = format!("a process has no `{key}`; leave it out, or leave `kind` out for a chip");
                return Err(Mistake::at(span, message));
            }
        }
        let command = self.command.as_ref().ok_or_else(|| {
            let message = "a process needs its `command`; write the program and its arguments, as in \
                           `command = [\"target/debug/pinrig-host\"]`";
            Mistake::at(table, message)
        })?;
        Ok(entry::ProcessEntry {
            command: command.as_ref().clone(),
            folder: folder.to_owned(),
        })
    }
}

impl Skip {
    fn check(self) -> Result<entry::Skip, Mistake> {
        if self.scenarios.as_ref().is_empty() {
            let message = "`scenarios` is empty, so nothing is skipped; name scenarios, or leave the whole `skip` out";
            return Err(Mistake::at(self.scenarios.span(), message));
        }
        Ok(entry::Skip {
            scenarios: self.scenarios.into_inner(),
            except: self.except,
            why: self.why,
        })
    }
}

impl Network {
    fn resolve(self, folder: &Path) -> WifiNetwork {
        WifiNetwork {
            ssid: self.ssid,
            password: self.password.map(|password| match password {
                Password::Env(variable) => PasswordSource::Env(variable),
                Password::File(path) => PasswordSource::File(beside(folder, &path)),
            }),
        }
    }
}

impl TryFrom<Dialect> for entry::Dialect {
    type Error = Mistake;

    fn try_from(form: Dialect) -> Result<Self, Mistake> {
        let strings = |map: BTreeMap<Phrase, String>| map.into_iter().map(|(key, value)| (key.into(), value)).collect();
        if !form.send.as_ref().contains_key("run") {
            let message = "the dialect does not say what to send for `run`; add it, as in `run = \"go\"`";
            return Err(Mistake::at(form.send.span(), message));
        }
        Ok(Self {
            ready: form.ready.into(),
            send: strings(form.send.into_inner()),
            without: form.without.into_iter().map(Phrase::into).collect(),
            expect: form
                .expect
                .into_iter()
                .map(|pattern| entry::Pattern {
                    line: pattern.line.map(Phrase::into),
                    means: strings(pattern.means),
                })
                .collect(),
            end: form.end.into(),
        })
    }
}

/// A dialect by itself has the form that it has in an inventory.
impl<'de> Deserialize<'de> for entry::Dialect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form: Dialect = Deserialize::deserialize(deserializer)?;
        form.try_into().map_err(de::Error::custom)
    }
}

/// The ways to reset a board whose entry names none.
const USUAL_WAYS: [entry::ResetWay; 3] = [
    entry::ResetWay::Classic,
    entry::ResetWay::ClassicTight,
    entry::ResetWay::UsbJtag,
];

/// Their names, for the schema.
fn usual_ways() -> [&'static str; 3] {
    USUAL_WAYS.map(|way| way.name())
}

/// The flasher of a board whose entry names none, for the schema.
fn usual_flasher() -> &'static str {
    "espflash"
}

/// An empty list, for the schema.
fn nothing() -> [&'static str; 0] {
    []
}

/// A path of the inventory, which is relative to its folder.
fn beside(folder: &Path, path: &FilePath) -> PathBuf {
    folder.join(&path.0)
}
