//! The inventory: `rig.toml`, which says what boards there are and how each is reached.
//!
//! What enters: the file. What leaves: an [`Inventory`], or an [`InventoryError`] with line and column. Nothing is looked for on this
//! machine's ports here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::file_error::position;

/// The name of the file.
const FILE: &str = "rig.toml";

/// The boards of a rig.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Inventory {
    /// Where it was read.
    #[serde(skip)]
    pub path: PathBuf,
    /// The boards, in the order of the file.
    #[serde(default, rename = "board")]
    pub boards: Vec<Entry>,
}

/// One board.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Entry {
    /// What people call it: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What kind of board it is.
    #[serde(default)]
    pub kind: Kind,
    /// The chip: `esp32c3`, ...; a process has none.
    #[serde(default)]
    pub chip: String,
    /// Where it is plugged in; a process is nowhere.
    #[serde(default)]
    pub port: Port,
    /// Of a process: the program and its arguments. It runs in the inventory's folder, and its standard input and output are the console.
    #[serde(default)]
    pub command: Vec<String>,
    /// The speed of its firmware's console in bit/s, 115200 if left out. The chip's own loader is spoken to as it wants.
    pub baud: Option<NonZeroU32>,
    /// How its firmware is spoken to, if that is not pinrig's console language.
    pub dialect: Option<Dialect>,
    /// The image of its firmware, relative to the inventory's folder: an ELF, or what its flasher takes where that is a command. Left out,
    /// it is that of the run, and so it is where a run is given one.
    pub firmware: Option<PathBuf>,
    /// How an image gets into its flash.
    #[serde(default)]
    pub flasher: Flasher,
    /// The ways to reset it, in the order in which they are tried.
    #[serde(default = "default_reset")]
    pub reset: Vec<ResetWay>,
    /// The debug probe at it, as probe-rs lists it: `303a:1001:7C:DF:A1:00:00:01`. It serves the flasher and the reset `probe-rs`, and looks at
    /// firmware that hangs.
    pub probe: Option<String>,
    /// The Wi-Fi network that it is to join.
    pub network: Option<Network>,
    /// The address under which the board reaches this machine; found by the route to it, if left out.
    pub server_address: Option<IpAddr>,
    /// Words by which it can be asked for.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// Scenarios that do not apply to its firmware.
    #[serde(default)]
    pub skip: Vec<Skip>,
}

/// Scenarios that a board is not asked to run.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Skip {
    /// Scenarios, or folders of scenarios: `auth`, `server/tls-1-3-only`.
    pub scenarios: Vec<String>,
    /// Of these, those that do apply.
    #[serde(default)]
    pub except: Vec<String>,
    /// Why, for whoever reads the report: `the client speaks TLS 1.2`.
    pub why: String,
}

/// What kind of board an entry is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A chip at a serial port.
    #[default]
    Serial,
    /// A program on this machine: an emulator, a build of the firmware for this machine.
    Process,
}

/// How firmware is spoken to that has a console language of its own. What it cannot be told, or does not tell, no scenario can ask of it.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Dialect {
    /// A line that has this in it says that the firmware is ready.
    pub ready: String,
    /// What to send for a setting, by the setting's name (`host`, `pin`, `connect-to`, `timeout network`, ...), with `{value}` in its
    /// place; and for `run`.
    pub send: BTreeMap<String, String>,
    /// Settings that it does not have and that make no difference to it.
    #[serde(default)]
    pub without: BTreeSet<String>,
    /// Lines that say something of the result.
    #[serde(default)]
    pub expect: Vec<Pattern>,
    /// A line that has this in it is the last of a run.
    pub end: String,
}

/// A line, and what it means.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pattern {
    /// A line that has this in it; without it, what holds before any line has come.
    #[serde(default)]
    pub line: String,
    /// Words of the result and their values: `outcome = "success"`, `pin = "match"`. Later lines count more.
    pub means: BTreeMap<String, String>,
}

/// How to find a board's serial port. Port numbers change as boards come and go; what the board says of itself does not.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Port {
    /// The name of the link in `/dev/serial/by-id`.
    ById(String),
    /// The serial number of the USB device.
    UsbSerial(String),
    /// The chip's MAC, which its own USB port has as serial number: `7C:DF:A1:00:00:01`.
    Mac(String),
    /// A device file, whatever is plugged in there.
    Path(PathBuf),
}

impl Default for Port {
    /// No port.
    fn default() -> Self {
        Self::Path(PathBuf::new())
    }
}

/// How an image gets into flash.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flasher {
    /// The serial loader, by espflash.
    #[default]
    Espflash,
    /// A debug probe, by probe-rs.
    ProbeRs,
    /// Any program: its words, in which `{port}` and `{image}` are filled in.
    Command(Vec<String>),
}

/// A way to reset a board.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetWay {
    /// DTR and RTS over the two transistors of common boards.
    Classic,
    /// The same, with both lines moved at once: for bridges with slow lines.
    ClassicTight,
    /// The chip's own USB port.
    UsbJtag,
    /// The RTC watchdog, set through the loader.
    Watchdog,
    /// A debug probe.
    ProbeRs,
    /// Any program: its words, in which `{port}` and `{mode}` (`flash` or `download`) are filled in. A hub that switches power, for example.
    Command(Vec<String>),
}

/// The Wi-Fi network that a board joins. Its password is never in the inventory.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Network {
    /// Its name.
    pub ssid: String,
    /// Where its password is; an open network has none.
    pub password: Option<Password>,
}

/// Where a password is.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Password {
    /// In this environment variable.
    Env(String),
    /// In the first line of this file; relative to the inventory's folder.
    File(PathBuf),
}

/// An inventory that cannot be used, and where.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The file cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file's text is wrong at one place.
    #[error("{path}:{line}:{column}: {message}", path = .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// A password that is not where the inventory says.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The environment variable is not set.
    #[error("the password of network `{ssid}` should be in the environment variable {variable}, which is not set")]
    Env {
        /// The network.
        ssid: String,
        /// The variable.
        variable: String,
    },
    /// The file cannot be read.
    #[error("the password of network `{ssid}` should be in {path}: {source}", path = .path.display())]
    File {
        /// The network.
        ssid: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn default_reset() -> Vec<ResetWay> {
    vec![ResetWay::Classic, ResetWay::ClassicTight, ResetWay::UsbJtag]
}

impl Inventory {
    /// The inventory that holds for `folder`: the file that `PINRIG_RIG` names, else the nearest `rig.toml` upward, else the one in the
    /// user's configuration folder. None is no mistake: then there is only the virtual board.
    ///
    /// # Errors
    /// When the file cannot be read or is wrong.
    pub fn find(folder: &Path) -> Result<Option<Self>, InventoryError> {
        let configured = env::var_os("PINRIG_RIG").map(PathBuf::from);
        Self::find_in(folder, configured, configuration_folder())
    }

    fn find_in(
        folder: &Path,
        configured: Option<PathBuf>,
        configuration: Option<PathBuf>,
    ) -> Result<Option<Self>, InventoryError> {
        if let Some(path) = configured.filter(|path| !path.as_os_str().is_empty()) {
            return Self::load(&path).map(Some);
        }
        let upward = folder.ancestors().map(|folder| folder.join(FILE));
        let configuration = configuration.map(|folder| folder.join("pinrig").join(FILE));
        let found = upward.chain(configuration).find(|path| path.is_file());
        found.map(|path| Self::load(&path)).transpose()
    }

    /// Reads an inventory.
    ///
    /// # Errors
    /// When the file cannot be read or is wrong.
    pub fn load(path: &Path) -> Result<Self, InventoryError> {
        let text = fs::read_to_string(path).map_err(|source| InventoryError::Read {
            path: path.to_owned(),
            source,
        })?;
        let invalid = |offset: usize, message: String| {
            let (line, column) = position(&text, offset);
            InventoryError::Invalid {
                path: path.to_owned(),
                line,
                column,
                message,
            }
        };
        let mut inventory: Self = toml::from_str(&text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            invalid(offset, error.message().to_owned())
        })?;
        path.clone_into(&mut inventory.path);
        let mut names = BTreeSet::new();
        for (index, board) in inventory.boards.iter().enumerate() {
            // The tables stand in the file in this order.
            let offset = text.match_indices("[[board]]").nth(index).map_or(0, |(at, _)| at);
            board.check().map_err(|message| invalid(offset, message))?;
            if !names.insert(board.name.as_str()) {
                return Err(invalid(offset, format!("a second board is called `{}`", board.name)));
            }
        }
        Ok(inventory)
    }
}

/// A path of the inventory, which is meant from its folder.
fn beside(inventory: &Path, path: &Path) -> PathBuf {
    inventory.parent().unwrap_or(Path::new(".")).join(path)
}

impl Entry {
    /// Where its own image lies, if it has one. `inventory` is the file that has the entry.
    #[must_use]
    pub fn firmware_path(&self, inventory: &Path) -> Option<PathBuf> {
        self.firmware.as_ref().map(|path| beside(inventory, path))
    }

    fn check(&self) -> Result<(), String> {
        let word =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !word(&self.name) {
            return Err(format!(
                "`{}` is no name for a board: use letters, digits, `-`, `_` and `.`",
                self.name
            ));
        }
        if let Some(tag) = self.tags.iter().find(|tag| !word(tag)) {
            return Err(format!("`{tag}` is no tag: use letters, digits, `-`, `_` and `.`"));
        }
        if let Port::Mac(mac) = &self.port
            && normal_mac(mac).is_none()
        {
            return Err(format!("`{mac}` is no MAC: six bytes as in 7C:DF:A1:00:00:01"));
        }
        match self.kind {
            Kind::Process if self.command.is_empty() => {
                return Err("a process needs its `command`".to_owned());
            }
            Kind::Process
                if self.port != Port::default()
                    || !self.chip.is_empty()
                    || self.baud.is_some()
                    || self.firmware.is_some() =>
            {
                return Err("a process has no `port`, `chip`, `baud` or `firmware`".to_owned());
            }
            Kind::Serial if self.port == Port::default() => {
                return Err("the board has no `port`: say where it is plugged in".to_owned());
            }
            Kind::Serial if self.chip.is_empty() => {
                return Err("the board has no `chip`: `esp32c3`, for example".to_owned());
            }
            Kind::Serial if !self.command.is_empty() => {
                return Err("`command` belongs to `kind = \"process\"`".to_owned());
            }
            Kind::Process | Kind::Serial => {}
        }
        let by_probe = self.flasher == Flasher::ProbeRs || self.reset.contains(&ResetWay::ProbeRs);
        if by_probe && self.probe.is_none() {
            return Err("`probe-rs` needs the board's `probe`: `probe-rs list` shows what is plugged in".to_owned());
        }
        if let Some(dialect) = &self.dialect
            && !dialect.send.contains_key("run")
        {
            return Err("the dialect does not say what to send for `run`".to_owned());
        }
        if self.skip.iter().any(|skip| skip.why.trim().is_empty()) {
            return Err("`skip` has an empty `why`: say why the scenarios do not apply".to_owned());
        }
        if self.reset.is_empty() {
            return Err("`reset` has no way to reset the board: leave it out for the usual ones".to_owned());
        }
        let commands = self.reset.iter().filter_map(|way| match way {
            ResetWay::Command(words) => Some(("reset", words)),
            _ => None,
        });
        let flasher = match &self.flasher {
            Flasher::Command(words) => Some(("flasher", words)),
            Flasher::Espflash | Flasher::ProbeRs => None,
        };
        for (what, words) in commands.chain(flasher) {
            if words.is_empty() {
                return Err(format!("the command of `{what}` has no words"));
            }
        }
        Ok(())
    }
}

impl Network {
    /// Its password; none for an open network. `inventory` is the file that names the network.
    ///
    /// # Errors
    /// When it is not where the inventory says.
    pub fn password(&self, inventory: &Path) -> Result<Option<String>, PasswordError> {
        match &self.password {
            None => Ok(None),
            Some(Password::Env(variable)) => env::var(variable).map(Some).map_err(|_| PasswordError::Env {
                ssid: self.ssid.clone(),
                variable: variable.clone(),
            }),
            Some(Password::File(file)) => {
                let path = beside(inventory, file);
                let text = fs::read_to_string(&path).map_err(|source| PasswordError::File {
                    ssid: self.ssid.clone(),
                    path: path.clone(),
                    source,
                })?;
                Ok(text.lines().next().map(str::to_owned))
            }
        }
    }
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

/// A MAC's twelve digits in upper case, without what stands between them.
pub(super) fn normal_mac(mac: &str) -> Option<String> {
    let digits: String = mac.chars().filter(|c| !matches!(c, ':' | '-')).collect();
    (digits.len() == 12 && digits.chars().all(|c| c.is_ascii_hexdigit())).then(|| digits.to_uppercase())
}

/// By the XDG base directory specification.
fn configuration_folder() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))
}

/// The JSON schema of `rig.toml`, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Inventory).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[[board]]
name = "desk"
chip = "esp32c3"
port.path = "/dev/ttyUSB0"
network = { ssid = "lab", password.env = "PINRIG_TEST_NO_SUCH_VARIABLE" }
tags = ["wifi"]

[[board]]
name = "shelf"
chip = "esp8266"
port.mac = "7c-df-a1-00-00-01"
flasher.command = ["esptool", "--port", "{port}", "write-flash", "0", "{image}"]
reset = ["classic", { command = ["hub", "cycle"] }]
server-address = "192.0.2.1"
"#;

    fn load(text: &str) -> Result<Inventory, InventoryError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, text).unwrap();
        Inventory::load(&path)
    }

    #[test]
    fn an_inventory_is_read_with_the_usual_ways_to_reset() {
        let inventory = load(GOOD).unwrap();
        let [desk, shelf] = &inventory.boards[..] else {
            panic!("{inventory:?}")
        };
        assert_eq!((desk.flasher.clone(), desk.reset.len()), (Flasher::Espflash, 3));
        assert_eq!(shelf.reset[1], ResetWay::Command(vec!["hub".into(), "cycle".into()]));
        assert!(desk.tags.contains("wifi"));
    }

    #[test]
    fn mistakes_are_found_on_their_line() {
        for (from, to, line, wanted) in [
            ("chip = \"esp8266\"", "chipp = 1", 11, "unknown field `chipp`"),
            (
                "port.path = \"/dev/ttyUSB0\"",
                "port.pth = \"x\"",
                5,
                "unknown variant `pth`",
            ),
            ("name = \"shelf\"", "name = \"desk\"", 9, "second board"),
            ("name = \"desk\"", "name = \"my desk\"", 2, "no name for a board"),
            ("7c-df-a1-00-00-01", "7c-df", 9, "no MAC"),
            (
                "reset = [\"classic\", { command = [\"hub\", \"cycle\"] }]",
                "reset = []",
                9,
                "no way to reset",
            ),
            ("password.env", "password.text", 6, "unknown variant `text`"),
            ("[\"wifi\"]", "[\"\"]", 2, "no tag"),
            ("port.path = \"/dev/ttyUSB0\"", "", 2, "no `port`"),
            (
                "[\"classic\", { command = [\"hub\", \"cycle\"] }]",
                "[\"probe-rs\"]",
                9,
                "needs the board's `probe`",
            ),
            ("chip = \"esp32c3\"", "kind = \"process\"", 2, "needs its `command`"),
            (
                "tags = [\"wifi\"]",
                "skip = [{ scenarios = [\"auth\"] }]",
                7,
                "missing field `why`",
            ),
            (
                "tags = [\"wifi\"]",
                "skip = [{ scenarios = [\"auth\"], why = \" \" }]",
                2,
                "an empty `why`",
            ),
            ("chip = \"esp32c3\"", "chip = \"x\"\ncommand = [\"y\"]", 2, "belongs to"),
            (
                "tags = [\"wifi\"]",
                "dialect = { ready = \"x\", end = \"y\", send = {} }",
                2,
                "what to send for `run`",
            ),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            let error = load(&text).unwrap_err().to_string();
            assert!(error.contains(&format!("{FILE}:{line}:")), "{to}: {error}");
            assert!(error.contains(wanted), "{to}: {error}");
        }
    }

    #[test]
    fn the_nearest_inventory_counts_unless_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (project, configuration) = (folder.path().join("a"), folder.path().join("config"));
        fs::create_dir_all(project.join("b/c")).unwrap();
        fs::create_dir_all(configuration.join("pinrig")).unwrap();
        let find = |named: Option<&Path>| {
            let named = named.map(Path::to_owned);
            let found = Inventory::find_in(&project.join("b/c"), named, Some(configuration.clone()));
            found.map(|found| found.map(|inventory| inventory.path))
        };
        assert_eq!(find(None).unwrap(), None);
        let far = configuration.join("pinrig").join(FILE);
        fs::write(&far, "").unwrap();
        assert_eq!(find(None).unwrap(), Some(far.clone()));
        let near = project.join(FILE);
        fs::write(&near, "").unwrap();
        assert_eq!(find(None).unwrap(), Some(near));
        assert_eq!(find(Some(&far)).unwrap(), Some(far));
        let error = find(Some(&project.join("missing.toml"))).unwrap_err().to_string();
        assert!(error.contains("missing.toml"), "{error}");
    }

    #[test]
    fn a_password_is_read_where_it_is_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "correct horse\nsecond line\n").unwrap();
        let network = |password| Network {
            ssid: "lab".into(),
            password,
        };
        let rig = folder.path().join(FILE);
        let from_file = network(Some(Password::File("secret".into())));
        assert_eq!(from_file.password(&rig).unwrap().as_deref(), Some("correct horse"));
        assert_eq!(network(None).password(&rig).unwrap(), None);
        let missing = network(Some(Password::Env("PINRIG_TEST_NO_SUCH_VARIABLE".into())));
        let error = missing.password(&rig).unwrap_err().to_string();
        assert!(
            error.contains("PINRIG_TEST_NO_SUCH_VARIABLE") && error.contains("lab"),
            "{error}"
        );
    }
}
