//! Transcripts: what device and server each saw, in two lanes.
//!
//! What enters: console lines and server events. What leaves: the text that a snapshot holds. The lanes are never merged by
//! time, since time differs from run to run. One [`Redactor`] replaces what differs from bench to bench.

use std::fmt::{self, Write as _};

use sha2::{Digest, Sha256};

use crate::evidence::DeviceAnswer;

/// What both sides said, run by run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Transcript {
    /// The scenario's runs, including one that broke off.
    pub runs: Vec<Lanes>,
    /// The results of repeating the last run, and of meeting an honest server afterwards, where that was tried.
    pub afterwards: Vec<String>,
}

/// Both lanes of one run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lanes {
    /// What was said on the console, in its order.
    pub device: Vec<DeviceLine>,
    /// How the device said that the run ended; `None` where it broke off before that.
    pub answer: Option<DeviceAnswer>,
    /// What the server recorded, in its order.
    pub server: Vec<String>,
    /// The device went away at a limit of its firmware, while a lawful server was still sending.
    pub left_early: bool,
}

/// One line of the device's lane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DeviceLine {
    /// A command that was sent.
    Sent(String),
    /// A line that the device prints for people.
    Said(String),
    /// A line of the server's text, which the device prints and which is not its word.
    Reply(String),
    /// The machine-readable answer, without its tag.
    Answer(String),
}

impl fmt::Display for DeviceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(text) => write!(f, "> {text}"),
            Self::Said(text) | Self::Reply(text) => write!(f, "  {text}"),
            Self::Answer(text) => write!(f, "@ {text}"),
        }
    }
}

impl Transcript {
    /// The text of the snapshot.
    #[must_use]
    pub fn snapshot(&self) -> String {
        let mut text = String::new();
        for (index, lanes) in self.runs.iter().enumerate() {
            let of = match self.runs.len() {
                1 => String::new(),
                _ => format!(", run {}", index + 1),
            };
            if index > 0 {
                text.push('\n');
            }
            text.push_str(&lanes.titled(&of));
        }
        if !self.afterwards.is_empty() {
            text.push_str("\nafterwards\n");
        }
        for line in &self.afterwards {
            let _ = writeln!(text, "  {line}");
        }
        text
    }
}

impl Lanes {
    /// What the device itself says to people: without the server's text.
    pub fn said(&self) -> impl Iterator<Item = &str> {
        self.device.iter().filter_map(|line| match line {
            DeviceLine::Said(text) => Some(text.as_str()),
            DeviceLine::Sent(_) | DeviceLine::Reply(_) | DeviceLine::Answer(_) => None,
        })
    }

    fn titled(&self, of: &str) -> String {
        let mut text = format!("device{of}\n");
        for line in &self.device {
            text.push_str(line.to_string().trim_end());
            text.push('\n');
        }
        let _ = writeln!(text, "\nserver{of}");
        if self.server.is_empty() {
            text.push_str("  (nothing connected)\n");
        }
        for line in &self.server {
            // How far a server came whose client goes away meanwhile is a matter of chance.
            if self.left_early && line.ends_with(" close_notify sent") {
                continue;
            }
            let line = match line.split_once(" reset by the client") {
                Some((connection, rest)) if self.left_early => format!("{connection} closed by the client{rest}"),
                _ => line.clone(),
            };
            let _ = writeln!(text, "  {line}");
        }
        text
    }
}

/// Replaces what differs between benches by named placeholders.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    /// The line in which the device names its network. The name alone is not enough: `lab` is also part of `label` in a
    /// reply.
    joining: String,
    address_follows: bool,
}

impl Redactor {
    /// For a device on the network of this name, which stands as `[NETWORK]`.
    #[must_use]
    pub fn new(network: &str) -> Self {
        Self {
            joining: format!("connecting to {network}"),
            address_follows: false,
        }
    }

    /// A line of the human transcript. The one after `IP address:` is the board's address; a line of dots is progress.
    pub fn said(&mut self, line: &str) -> String {
        if std::mem::take(&mut self.address_follows) {
            return "[ADDRESS]".to_owned();
        }
        self.address_follows = line == "IP address:";
        if !line.is_empty() && line.bytes().all(|byte| byte == b'.') {
            return "........".to_owned();
        }
        if line == self.joining {
            return "connecting to [NETWORK]".to_owned();
        }
        shortened(line)
    }
}

/// A line short enough to read. A long one, such as a reply's body, becomes its beginning, its length and the SHA-256 of
/// all of it.
pub(crate) fn shortened(line: &str) -> String {
    const LONGEST: usize = 200;
    const SHOWN: usize = 72;
    if line.len() <= LONGEST {
        return line.to_owned();
    }
    let digest: String = Sha256::digest(line)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let shown = &line[..line.floor_char_boundary(SHOWN)];
    format!("{shown}[... {} bytes in all, SHA-256 {digest}...]", line.len())
}

/// A machine line without `@` and its tag, which is random; any other line as it is.
#[must_use]
pub fn without_tag(line: &str) -> &str {
    line.strip_prefix('@')
        .and_then(|rest| rest.split_once(' '))
        .map_or(line, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_benches_becomes_a_placeholder() {
        let mut redactor = Redactor::new("lab");
        let lines = [
            "connecting to lab",
            "{\"label\":\"lab\"}",
            "connecting to lab.example.org",
            ".....................",
            "IP address:",
            "192.168.4.20",
            "192.168.4.20",
        ];
        let redacted: Vec<String> = lines.iter().map(|line| redactor.said(line)).collect();
        assert_eq!(
            redacted,
            [
                "connecting to [NETWORK]",
                "{\"label\":\"lab\"}",
                "connecting to lab.example.org",
                "........",
                "IP address:",
                "[ADDRESS]",
                "192.168.4.20"
            ]
        );
        assert_eq!(without_tag("@0f3a ok run outcome=success"), "ok run outcome=success");
    }

    fn lanes() -> Lanes {
        Lanes {
            device: vec![
                DeviceLine::Sent("run".into()),
                DeviceLine::Said("connection failed".into()),
                DeviceLine::Answer("ok run outcome=connection-failed".into()),
            ],
            ..Lanes::default()
        }
    }

    #[test]
    fn the_snapshot_has_two_lanes() {
        let transcript = Transcript {
            runs: vec![lanes()],
            afterwards: Vec::new(),
        };
        assert_eq!(
            transcript.snapshot(),
            "device\n> run\n  connection failed\n@ ok run outcome=connection-failed\n\nserver\n  (nothing connected)\n"
        );
    }

    #[test]
    fn several_runs_are_numbered() {
        let transcript = Transcript {
            runs: vec![lanes(), lanes()],
            afterwards: vec!["accepted".into()],
        };
        let text = transcript.snapshot();
        let titles: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_lowercase()))
            .collect();
        assert_eq!(
            titles,
            [
                "device, run 1",
                "server, run 1",
                "device, run 2",
                "server, run 2",
                "afterwards"
            ]
        );
    }

    #[test]
    fn two_long_lines_of_the_same_length_stay_different() {
        let mut redactor = Redactor::default();
        let (long, other) = ("x".repeat(5000), "x".repeat(4999) + "y");
        let (long, other) = (redactor.said(&long), redactor.said(&other));
        assert!(long.contains("5000 bytes") && long.len() < 200, "{long}");
        assert_ne!(long, other);
        let edge = "y".repeat(200);
        assert_eq!(redactor.said(&edge), edge);
    }
}
