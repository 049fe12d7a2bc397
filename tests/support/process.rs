//! A `pinrig` that stays: `pinrig virtual` and `pinrig serve` print one JSON object when they are ready, and go on until they are ended.

#![allow(dead_code, reason = "each test target uses its own part of this module")]
#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use serde_json::Value;

/// A running `pinrig`, which is killed on drop.
pub(crate) struct Running {
    child: Child,
    /// What it prints after its first line. Held open, or the process would lose its standard output.
    pub(crate) stdout: BufReader<ChildStdout>,
    /// The object on its first line: where to reach it.
    pub(crate) opening: Value,
}

impl Running {
    /// Starts `pinrig` with these arguments and `--json`, and waits for its first line.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pinrig"))
            .args(arguments)
            .arg("--json")
            .current_dir(super::root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command was built");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let opening = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Self { child, stdout, opening }
    }

    /// A text in the object on its first line, such as the path of its tty.
    pub(crate) fn text(&self, key: &str) -> String {
        let text = self.opening[key].as_str();
        text.unwrap_or_else(|| panic!("no {key} in {}", self.opening))
            .to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Sends it a signal by name, and waits for its end.
    pub(crate) fn end_by(&mut self, signal: &str) -> ExitStatus {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([format!("-{signal}"), pid]).status();
        assert!(sent.unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}
