//! A desk with virtual boards on it: each in another process, reached by its tty as any board is, and an inventory that names them.

#![allow(dead_code, reason = "each test target uses its own part of this module")]
#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::support;

/// A board on a desk. It is unplugged when this is dropped.
pub(crate) struct Desk {
    process: Child,
    pub(crate) tty: String,
    /// Its debug port, with `--debug`: a selector for probe-rs.
    pub(crate) debug: Option<String>,
}

impl Desk {
    /// A board on a network that leads to this machine.
    pub(crate) fn new() -> Self {
        Self::with(&["--network"])
    }

    /// A board with these options of `pinrig virtual`.
    pub(crate) fn with(options: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_pinrig"))
            .args(["virtual", "--json"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command was built");
        let mut opening = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut opening)
            .unwrap();
        let opening: Value = serde_json::from_str(&opening).unwrap();
        let tty = opening["tty"].as_str().unwrap().to_owned();
        let debug = opening["debug"].as_str().map(str::to_owned);
        Self { process, tty, debug }
    }

    /// Pulls the plug.
    pub(crate) fn unplug(&mut self) {
        // It may have ended by itself.
        let _ended = self.process.kill();
        let _waited = self.process.wait();
    }

    /// Ends it as Ctrl-C does, which saves its flash.
    pub(crate) fn put_away(mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.process.wait().unwrap();
    }

    /// Its process, for signals that reset it.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Words that reset it, with the signals for a start from flash and for download mode.
    pub(crate) fn reset(&self, flash: &str, download: &str) -> String {
        let pid = self.process.id();
        format!(
            r#"{{ command = ["sh", "-c", "case {{mode}} in flash) kill -{flash} {pid};; download) kill -{download} {pid};; esac"] }}"#
        )
    }

    /// Its entry in the inventory, with these ways to reset it.
    pub(crate) fn entry(&self, name: &str, reset: &str) -> String {
        let tty = &self.tty;
        format!(
            r#"
            [[board]]
            name = "{name}"
            chip = "esp32c3"
            port.path = "{tty}"
            reset = [{reset}]
            server-address = "203.0.113.2"
            network = {{ ssid = "lab", password.env = "TEST_PASSWORD" }}
            tags = ["desk"]
            "#
        )
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.unplug();
    }
}

/// An inventory, locks and evidence in a folder of their own.
pub(crate) struct Rig {
    folder: tempfile::TempDir,
}

/// The network's password, in `TEST_PASSWORD`.
pub(crate) const PASSWORD: &str = "correct-horse-battery";

impl Rig {
    pub(crate) fn new(entries: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("rig.toml"), entries.concat()).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `pinrig run` with these arguments.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.pinrig("run");
        command.args(arguments).arg("--out").arg(self.path("out"));
        command
    }

    /// Any other command, in the same surroundings.
    pub(crate) fn pinrig(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinrig"));
        command
            .arg(subcommand)
            .current_dir(support::root())
            .env_remove("PINRIG_BOARD")
            .env_remove("PINRIG_TAGS")
            .env("PINRIG_RIG", self.path("rig.toml"))
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env("TEST_PASSWORD", PASSWORD);
        command
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn contains(folder: &Path, needle: &[u8]) -> Option<PathBuf> {
    fs::read_dir(folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return contains(&path, needle);
        }
        let contents = fs::read(&path).unwrap();
        contents
            .windows(needle.len())
            .any(|bytes| bytes == needle)
            .then_some(path)
    })
}
