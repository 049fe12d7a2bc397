//! Scenarios on boards of a rig: virtual boards behind their ttys, in another process, reached as any board is.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use pinrig::rig::{Locks, Ports};
use serde_json::Value;

/// A board on a desk. It is unplugged when this is dropped.
struct Desk {
    process: Child,
    tty: String,
}

impl Desk {
    fn new() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_pinrig"))
            .args(["virtual", "--json", "--network"])
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
        Self { process, tty }
    }

    /// Words that reset it, with the signals for a start from flash and for download mode.
    fn reset(&self, flash: &str, download: &str) -> String {
        let pid = self.process.id();
        format!(
            r#"{{ command = ["sh", "-c", "case {{mode}} in flash) kill -{flash} {pid};; download) kill -{download} {pid};; esac"] }}"#
        )
    }

    /// Its entry in the inventory, with these ways to reset it.
    fn entry(&self, name: &str, reset: &str) -> String {
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
        // It may have ended by itself.
        let _ended = self.process.kill();
        let _waited = self.process.wait();
    }
}

/// An inventory, locks and evidence in a folder of their own.
struct Rig {
    folder: tempfile::TempDir,
}

const PASSWORD: &str = "correct-horse-battery";

impl Rig {
    fn new(entries: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("rig.toml"), entries.concat()).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinrig"));
        command
            .arg("run")
            .args(arguments)
            .arg("--out")
            .arg(self.path("out"))
            .current_dir(support::root())
            .env_remove("PINRIG_BOARD")
            .env_remove("PINRIG_TAGS")
            .env("PINRIG_RIG", self.path("rig.toml"))
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env("TEST_PASSWORD", PASSWORD);
        command
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The verdicts in a report of JSON lines, by scenario.
fn verdicts(output: &Output) -> Vec<(String, bool)> {
    text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["event"] == "finished")
        .map(|line| {
            (
                line["scenario"].as_str().unwrap_or_default().to_owned(),
                line["passed"] == true || line["verdict"] == "passed",
            )
        })
        .collect()
}

fn contains(folder: &Path, needle: &[u8]) -> Option<PathBuf> {
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

#[test]
fn scenarios_run_on_a_board_at_a_port() {
    let desk = Desk::new();
    // Nobody has modem lines at a pseudo terminal: the first way fails, the next one is taken.
    let reset = format!(r#""classic", {}"#, desk.reset("USR1", "USR2"));
    let rig = Rig::new(&[desk.entry("desk", &reset)]);
    let output = rig.run(&[
        "--board",
        "desk",
        "--json",
        "--keep",
        "pin/matches",
        "pin/one-bit-off",
        "network/cable-out-at-first",
    ]);
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    let verdicts = verdicts(&output);
    assert_eq!(verdicts.len(), 2, "{said}");
    assert!(verdicts.iter().all(|(_, passed)| *passed), "{said}");
    assert!(!said.contains(PASSWORD), "a password is never printed");
    assert_eq!(contains(&rig.path("out"), PASSWORD.as_bytes()), None);
    assert!(
        said.contains("network/cable-out-at-first"),
        "what was skipped is said: {said}"
    );
}

#[test]
fn a_board_that_does_not_start_is_left_out_and_the_others_go_on() {
    let (good, bad) = (Desk::new(), Desk::new());
    let rig = Rig::new(&[
        // It comes into its loader, and never out of it.
        bad.entry("stuck", &bad.reset("USR2", "USR2")),
        good.entry("good", &good.reset("USR1", "USR2")),
    ]);
    let output = rig.run(&[
        "--tag",
        "desk",
        "--json",
        "pin/matches",
        "pin/one-bit-off",
        "pin/malformed",
    ]);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("stuck was left out"), "{stderr}");
    assert!(stderr.contains("waits for a flasher"), "{stderr}");
    assert_eq!(
        output.status.code(),
        Some(6),
        "the scenario that met it says that the rig failed"
    );
    let verdicts = verdicts(&output);
    assert_eq!(verdicts.len(), 3, "{verdicts:?}");
    assert_eq!(verdicts.iter().filter(|(_, passed)| *passed).count(), 2, "{verdicts:?}");
}

#[test]
fn a_board_that_is_held_or_silent_or_gone_is_the_rigs_fault() {
    let desk = Desk::new();
    let silent = desk.entry("desk", r#"{ command = ["true"] }"#);
    let rig = Rig::new(&[silent]);
    let port = Ports::default()
        .find(&pinrig::rig::Port::Path(desk.tty.clone().into()))
        .unwrap();
    let locks = Locks::in_folder(rig.path("pinrig"));
    let lock = locks.take("desk", &port.identity()).unwrap();
    let output = rig.run(&["--board", "desk", "pin/matches"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(
        stderr.contains("desk is held by") && stderr.contains(&std::process::id().to_string()),
        "{stderr}"
    );
    drop(lock);
    let other = rig.run(&["--board", "other", "pin/matches"]);
    assert_eq!(other.status.code(), Some(2), "there is no such board");
    assert!(
        text(&other.stderr).contains("there are desk"),
        "{}",
        text(&other.stderr)
    );
    drop(desk);
    let gone = rig.run(&["--board", "desk", "pin/matches"]);
    assert_ne!(gone.status.code(), Some(0));
}

#[test]
fn a_board_that_is_unplugged_while_it_runs_is_the_rigs_fault_and_its_words_are_kept() {
    let desk = Desk::new();
    let rig = Rig::new(&[desk.entry("desk", &desk.reset("USR1", "USR2"))]);
    let mut run = rig
        // Its server never answers: the device waits for fifteen seconds.
        .command(&["--board", "desk", "network/stall-in-place-of-the-reply"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = String::new();
    let mut stdout = BufReader::new(run.stdout.take().unwrap());
    while !seen.contains("connecting to api.github.com") {
        assert_ne!(stdout.read_line(&mut seen).unwrap(), 0, "{seen}");
    }
    drop(desk);
    stdout.read_to_string(&mut seen).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(6), "{seen}");
    assert!(seen.contains("was the board unplugged?"), "{seen}");
    let kept = contains(&rig.path("out"), b"connecting to api.github.com");
    assert!(kept.is_some(), "the console's bytes are kept");
}
