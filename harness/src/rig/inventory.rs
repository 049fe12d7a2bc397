//! The inventory: `rig.toml`, which says which boards there are and how each is reached.
//!
//! What enters: a folder, or the path of the file. What leaves: an [`Inventory`] of checked entries, or a [`FileError`]
//! with the line and column of the value that is wrong. The ports of this machine are not looked at here.

use std::path::{Path, PathBuf};
use std::{env, fs};

use super::entry::Entry;
use super::form;
use crate::file_error::FileError;

/// The name of the file.
const FILE: &str = "rig.toml";

/// The boards of a rig.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inventory {
    /// The file from which it was read.
    pub path: PathBuf,
    /// The boards, in the order of the file.
    pub boards: Vec<Entry>,
}

impl Inventory {
    /// The inventory for `folder`: the file that `PINRIG_RIG` names, else the nearest `rig.toml` upward, else the one
    /// in the user's configuration folder. Having none is not a mistake: then there is only the virtual board.
    ///
    /// # Errors
    /// When the file cannot be read or is wrong.
    pub fn find(folder: &Path) -> Result<Option<Self>, FileError> {
        let configured = env::var_os("PINRIG_RIG").map(PathBuf::from);
        Self::find_in(folder, configured, configuration_folder())
    }

    fn find_in(
        folder: &Path,
        configured: Option<PathBuf>,
        configuration: Option<PathBuf>,
    ) -> Result<Option<Self>, FileError> {
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
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let text = fs::read_to_string(path).map_err(FileError::read(path))?;
        Self::parse(path, &text)
    }

    /// The inventory with this text. Its entries' paths are relative to the folder of `path`.
    ///
    /// # Errors
    /// When the text is wrong.
    pub fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let form: form::Inventory = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            FileError::invalid(path, text, offset, error.message())
        })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let boards = form
            .check(folder.unwrap_or(Path::new(".")))
            .map_err(|mistake| FileError::invalid(path, text, mistake.offset, mistake.message))?;
        Ok(Self {
            path: path.to_owned(),
            boards,
        })
    }
}

/// The user's configuration folder, by the XDG base directory specification.
fn configuration_folder() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))
}

/// The JSON schema of `rig.toml`, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(form::Inventory).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{Flasher, Kind, ResetWay, SerialEntry};

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

    const PROCESS: &str = r#"
[[board]]
name = "host"
kind = "process"
command = ["./host"]
"#;

    fn load(text: &str) -> Result<Inventory, FileError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, text).unwrap();
        Inventory::load(&path)
    }

    fn serial(entry: &Entry) -> &SerialEntry {
        match &entry.kind {
            Kind::Serial(serial) => serial,
            Kind::Process(process) => panic!("{process:?}"),
        }
    }

    #[test]
    fn an_inventory_is_read_with_the_usual_ways_to_reset() {
        let inventory = load(GOOD).unwrap();
        let [desk, shelf] = &inventory.boards[..] else {
            panic!("{inventory:?}")
        };
        assert_eq!(serial(desk).flasher, Flasher::Espflash(espflash::target::Chip::Esp32c3));
        assert_eq!(serial(desk).reset.len(), 3);
        let ResetWay::Command(command) = &serial(shelf).reset[1] else {
            panic!("{shelf:?}")
        };
        assert_eq!(command.words().collect::<Vec<_>>(), ["hub", "cycle"]);
        assert!(desk.tags.contains("wifi"));
    }

    #[test]
    fn paths_are_relative_to_the_inventorys_folder() {
        let good = GOOD.replace("chip = \"esp32c3\"", "chip = \"esp32c3\"\nfirmware = \"build/app.elf\"");
        let inventory = Inventory::parse(Path::new("/rigs/lab/rig.toml"), &(good + PROCESS)).unwrap();
        let firmware = serial(&inventory.boards[0]).firmware.as_deref();
        assert_eq!(firmware, Some(Path::new("/rigs/lab/build/app.elf")));
        let Kind::Process(process) = &inventory.boards[2].kind else {
            panic!("{inventory:?}")
        };
        assert_eq!(process.folder, Path::new("/rigs/lab"));
    }

    /// A mistake in [`GOOD`]: what is replaced, by what, the line and column of the value that is wrong then, and a
    /// part of the message.
    #[test]
    fn a_mistake_is_found_at_the_value_that_is_wrong() {
        for (from, to, line, column, wanted) in [
            // What TOML's reader finds.
            ("chip = \"esp8266\"", "chipp = 1", 11, 1, "unknown field `chipp`"),
            ("port.path", "port.pth", 5, 6, "unknown variant `pth`"),
            ("password.env", "password.text", 6, 36, "unknown variant `text`"),
            (
                "tags = [\"wifi\"]",
                "skip = [{ scenarios = [\"auth\"] }]",
                7,
                9,
                "missing field `why`",
            ),
            // Values that are wrong by themselves.
            (
                "\"desk\"",
                "\"my desk\"",
                3,
                8,
                "`my desk` is not a valid name for a board",
            ),
            (
                "\"desk\"",
                "\"\"",
                3,
                8,
                "`` is not a valid name for a board; use letters",
            ),
            ("\"esp32c3\"", "\"\"", 4, 8, "as in `esp32c3`"),
            ("\"/dev/ttyUSB0\"", "\"\"", 5, 13, "`` is not a path"),
            (
                "port.path = \"/dev/ttyUSB0\"",
                "port.usb-serial = \"\"",
                5,
                19,
                "as in `0123456789abcdef`",
            ),
            (
                "port.path = \"/dev/ttyUSB0\"",
                "port.by-id = \"/dev/serial/by-id/x\"",
                5,
                14,
                "without the folder",
            ),
            (
                "\"7c-df-a1-00-00-01\"",
                "\"7c-df\"",
                12,
                12,
                "`7c-df` is not a MAC address; write six bytes",
            ),
            (
                "tags =",
                "baud = 0\ntags =",
                7,
                8,
                "`0` is not the speed of a serial port",
            ),
            ("[\"wifi\"]", "[\"wifi\", \"\"]", 7, 17, "`` is not a valid tag"),
            (
                "\"lab\"",
                "\"123456789012345678901234567890123\"",
                6,
                20,
                "write 1 to 32 bytes",
            ),
            (
                "\"PINRIG_TEST_NO_SUCH_VARIABLE\"",
                "\"\"",
                6,
                42,
                "as in `PINRIG_WIFI_PASSWORD`",
            ),
            (
                "\"192.0.2.1\"",
                "\"here\"",
                15,
                18,
                "`here` is not the address of one machine",
            ),
            (
                "\"192.0.2.1\"",
                "\"0.0.0.0\"",
                15,
                18,
                "`0.0.0.0` is not the address of one machine",
            ),
            ("[\"hub\", \"cycle\"]", "[]", 14, 33, "the command is empty"),
            (
                "[\"hub\", \"cycle\"]",
                "[\"\", \"cycle\"]",
                14,
                34,
                "`` is not a program",
            ),
            (
                "tags =",
                "probe = \"303a\"\ntags =",
                7,
                9,
                "`303a` is not a debug probe",
            ),
            (
                "tags =",
                "skip = [{ scenarios = [\"\"], why = \"x\" }]\ntags =",
                7,
                24,
                "`` is not a scenario",
            ),
            (
                "tags =",
                "skip = [{ scenarios = [\"auth\"], why = \" \" }]\ntags =",
                7,
                39,
                "is not a reason",
            ),
            (
                "tags =",
                "dialect = { ready = \"\", end = \"y\", send = { run = \"z\" } }\ntags =",
                7,
                21,
                "at least one character",
            ),
            // Values that do not fit others.
            (
                "name = \"shelf\"",
                "name = \"desk\"",
                10,
                8,
                "another board is called `desk`",
            ),
            ("port.path = \"/dev/ttyUSB0\"", "", 2, 1, "the board has no `port`"),
            ("chip = \"esp8266\"", "", 9, 1, "the board has no `chip`"),
            (
                "\"esp32c3\"",
                "\"esp8266\"",
                4,
                8,
                "espflash does not know the chip `esp8266`",
            ),
            (
                "[\"classic\", { command = [\"hub\", \"cycle\"] }]",
                "[]",
                14,
                9,
                "no way to reset",
            ),
            (
                "{ command = [\"hub\", \"cycle\"] }",
                "\"probe-rs\"",
                14,
                21,
                "needs the board's `probe`",
            ),
            (
                "tags =",
                "flasher = \"probe-rs\"\ntags =",
                7,
                11,
                "needs the board's `probe`",
            ),
            (
                "tags =",
                "command = [\"y\"]\ntags =",
                7,
                11,
                "belongs to `kind = \"process\"`",
            ),
            (
                "tags =",
                "skip = [{ scenarios = [], why = \"x\" }]\ntags =",
                7,
                23,
                "nothing is skipped",
            ),
            (
                "tags =",
                "dialect = { ready = \"x\", end = \"y\", send = {} }\ntags =",
                7,
                44,
                "what to send for `run`",
            ),
        ] {
            mistake(GOOD, from, to, (line, column), wanted);
        }
        for (from, to, line, column, wanted) in [
            ("command = [\"./host\"]", "", 2, 1, "a process needs its `command`"),
            (
                "command =",
                "port.path = \"x\"\ncommand =",
                5,
                1,
                "a process has no `port`",
            ),
            ("command =", "baud = 115200\ncommand =", 5, 8, "a process has no `baud`"),
            (
                "command =",
                "flasher = \"espflash\"\ncommand =",
                5,
                11,
                "a process has no `flasher`",
            ),
            (
                "command =",
                "reset = [\"classic\"]\ncommand =",
                5,
                9,
                "a process has no `reset`",
            ),
        ] {
            mistake(PROCESS, from, to, (line, column), wanted);
        }
    }

    fn mistake(good: &str, from: &str, to: &str, (line, column): (usize, usize), wanted: &str) {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let error = load(&text).unwrap_err().to_string();
        assert!(error.contains(&format!("{FILE}:{line}:{column}: ")), "{to}: {error}");
        assert!(error.contains(wanted), "{to}: {error}");
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
}
