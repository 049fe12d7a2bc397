//! A desk with virtual boards on it, and an inventory that names them. Each board is another process, reached by its tty as any board is.

#![allow(dead_code, reason = "each test target uses its own part of this module")]
#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

pub(crate) mod cable;
pub(crate) mod command_rig;
pub(crate) mod library_rig;
pub(crate) mod system;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;
use virtual_esp32c3::{BoardConfig, ConsolePort, FrameSender, VirtualBoard};
use virtual_lan::{Lan, LanConfig};

use crate::support::process::Running;

/// The network's password, in the environment variable `TEST_PASSWORD`.
pub(crate) const PASSWORD: &str = "correct-horse-battery";

/// A board on a desk. It is unplugged when this is dropped.
pub(crate) struct Desk {
    process: Running,
    /// A link to its tty, which goes away with the board. The kernel gives the tty's own name to the next board at once, so that what
    /// looks for a board that is gone would find the board of another test.
    pub(crate) tty: String,
    _folder: TempDir,
}

impl Desk {
    /// A board on a network that leads to this machine.
    pub(crate) fn new() -> Self {
        Self::with(&["--network"])
    }

    /// A board with these options of `pinrig virtual`.
    pub(crate) fn with(options: &[&str]) -> Self {
        let process = Running::start(&[&["virtual"], options].concat());
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("tty");
        symlink(process.text("tty"), &link).unwrap();
        Self {
            process,
            tty: link.to_str().unwrap().to_owned(),
            _folder: folder,
        }
    }

    /// Its debug port as a selector for probe-rs; the board was started with `--debug`.
    pub(crate) fn debug(&self) -> String {
        self.process.text("debug")
    }

    /// Ends it as Ctrl-C does, which saves its flash.
    pub(crate) fn put_away(mut self) {
        self.unlink();
        self.process.end_by("INT");
    }

    /// Done before the process ends, which frees the tty's name.
    fn unlink(&self) {
        // It is gone already when a board that was put away is dropped.
        let _gone = fs::remove_file(&self.tty);
    }

    /// Its process, for signals that reset it.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// A way to reset it for `rig.toml`: these signals start it from flash and in download mode.
    pub(crate) fn reset_by(&self, flash: &str, download: &str) -> String {
        let pid = self.pid();
        format!(
            r#"{{ command = ["sh", "-c", "case {{mode}} in flash) kill -{flash} {pid};; download) kill -{download} {pid};; esac"] }}"#
        )
    }

    /// The way to reset it that works.
    pub(crate) fn reset(&self) -> String {
        self.reset_by("USR1", "USR2")
    }

    /// Its entry in the inventory, with the way to reset it that works.
    pub(crate) fn entry(&self, name: &str) -> String {
        self.entry_with(name, &self.reset())
    }

    /// Its entry in the inventory, with these ways to reset it.
    pub(crate) fn entry_with(&self, name: &str, reset: &str) -> String {
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
        self.unlink();
    }
}

/// The entry with one more line.
pub(crate) fn with_line(entry: &str, line: &str) -> String {
    entry.replacen("[[board]]", &format!("[[board]]\n{line}"), 1)
}

/// A virtual board in this process, on a network on which 203.0.113.2 is this machine.
pub(crate) fn board_on_a_network(console: ConsolePort) -> (VirtualBoard, Lan) {
    let to_board = Arc::new(Mutex::new(None::<FrameSender>));
    let door = Arc::clone(&to_board);
    let config = LanConfig {
        host: Some([203, 0, 113, 2].into()),
        ..LanConfig::default()
    };
    let deliver = Box::new(move |frame| {
        if let Some(board) = &*door.lock().unwrap_or_else(PoisonError::into_inner) {
            board.send(frame);
        }
    });
    let lan = Lan::start(config, deliver).unwrap();
    let port = lan.port();
    let sink = Box::new(move |frame: &[u8]| port.send(frame));
    let board = BoardConfig {
        console,
        ..BoardConfig::default()
    };
    let board = VirtualBoard::start(board, Some(sink)).unwrap();
    *to_board.lock().unwrap() = Some(board.ethernet());
    (board, lan)
}

/// The entry of a virtual board in this process, with more lines.
pub(crate) fn port_entry(name: &str, board: &VirtualBoard, more: &str) -> String {
    format!(
        r#"
        [[board]]
        name = "{name}"
        chip = "esp32c3"
        port.path = "{}"
        server-address = "203.0.113.2"
        {more}
        "#,
        board.tty().display()
    )
}
