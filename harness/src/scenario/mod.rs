//! Scenarios: one TOML file is one test.
//!
//! What enters: a file below `fixtures/scenarios`. What leaves: a [`Scenario`] in which everything has been checked
//! once (certificates exist, replies exist, the combination makes sense), so that nothing checks again later. A mistake
//! is a [`ScenarioError`] with file, line and column. The file's language is in `text`, `server`, `device` and `network`. This module knows no
//! board.

mod device;
mod index;
mod network;
mod server;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use pinrig_certs::Recipe;
use serde::Deserialize;
use virtual_lan::Faults;

pub use device::{DeviceSettings, OnMismatch, Rule, Timeouts};
pub use index::index;

pub use crate::run_result::{Name, Pin};

use crate::file_error::position;
use pinrig_server::{Close, Fault, FaultKind, Handshake, Reply, When};

/// The name that the device connects to unless the scenario says otherwise.
pub const DEFAULT_HOST: &str = "api.github.com";
/// The path that the device asks for unless the scenario says otherwise.
pub const DEFAULT_PATH: &str = "/repos/esp8266/Arduino/commits/master/status";

/// How many runs of a soak test a device may take to reach its usual use of memory.
pub const SOAK_WARM_UP: u32 = 10;

/// One test: what is served, what the device is told, and what both must then show.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's path below the scenarios folder without its ending: `pin/matches`.
    pub name: String,
    /// One sentence in plain words.
    pub about: String,
    /// What is done, in order, without a restart of the board: at least one run.
    pub runs: Vec<Run>,
    /// How often the last run is made in all: more than once in a soak test.
    pub repeat: u32,
}

impl Scenario {
    /// Whether a run of it asks for a bad network, which only a virtual board can have.
    #[must_use]
    pub fn disturbs_network(&self) -> bool {
        self.runs.iter().any(|run| !run.network.are_none())
    }
}

/// One run of the device.
#[derive(Clone, Debug)]
pub struct Run {
    /// What stands at the server's address.
    pub service: Service,
    /// What the device is told over its console.
    pub device: DeviceSettings,
    /// What is wrong with the network between them.
    pub network: Faults,
    /// What device and server must show.
    pub expect: Expectation,
}

/// What stands at the server's address.
#[derive(Clone, Debug)]
pub enum Service {
    /// A port at which nothing listens.
    Closed,
    /// A TLS server.
    Tls(Box<TlsService>),
}

/// A TLS server's certificate, reply and misbehaviour.
#[derive(Clone, Debug)]
pub struct TlsService {
    /// The chain it presents.
    pub certificate: Recipe,
    /// The recipe whose key signs the handshake: another one's when a public certificate is replayed.
    pub signing_key: Recipe,
    /// The HTTP reply.
    pub reply: Reply,
    /// How it behaves in the handshake.
    pub handshake: Handshake,
    /// How it ends a connection on which it has replied.
    pub close: Close,
    /// What it does to its connection on purpose.
    pub fault: Option<Fault>,
}

impl Run {
    /// Whether the server performs its handshake as the RFCs say. Another server may be the one that does not complete it.
    #[must_use]
    pub fn has_honest_handshake(&self) -> bool {
        matches!(&self.service, Service::Tls(tls) if matches!(tls.handshake, Handshake::Honest(_)))
    }

    /// Whether the server resets the connection before the client can say anything.
    #[must_use]
    pub fn resets_at_once(&self) -> bool {
        let fault = match &self.service {
            Service::Closed => None,
            Service::Tls(tls) => tls.fault,
        };
        fault
            == Some(Fault {
                when: When::Connected,
                what: FaultKind::Reset,
            })
    }

    /// What shows that a device is well: the right server, the right pin, the usual reply.
    #[must_use]
    pub fn honest() -> Self {
        Self {
            service: Service::Tls(Box::new(TlsService {
                certificate: Recipe::Github,
                signing_key: Recipe::Github,
                reply: Reply::github("success").expect("the default reply exists"),
                handshake: Handshake::default(),
                close: Close::default(),
                fault: None,
            })),
            device: DeviceSettings::default(),
            network: Faults::default(),
            expect: Expectation::Accepted {
                build: Build::Success,
                pin: Pin::Match,
                name: Name::Unchecked,
            },
        }
    }
}

/// What device and server must both show.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Expectation {
    /// The device accepts the server, which then sees the request and answers it.
    Accepted {
        /// What the device then says of the build.
        build: Build,
        /// What it says of the fingerprint.
        #[serde(default)]
        pin: Pin,
        /// What it says of the certificate's name.
        #[serde(default)]
        name: Name,
    },
    /// The device refuses the server, which sees no application byte.
    Refused {
        /// The reason that the device gives: `pin-mismatch`, ...
        reason: String,
        /// What it says of the fingerprint.
        pin: Pin,
        /// What it says of the certificate's name.
        #[serde(default)]
        name: Name,
    },
    /// The handshake comes to no end, and the server sees no application byte.
    HandshakeFailed {
        /// The reason that the device gives: `timeout-handshake`, ...
        reason: String,
        /// What it says of the fingerprint: a match only where the server had proved to hold the certificate's key.
        #[serde(default = "unchecked")]
        pin: Pin,
    },
    /// The device accepts the server, but gets no reply that it can use.
    ResponseFailed {
        /// The reason that the device gives: `timeout-response`, ...
        reason: String,
        /// What it says of the fingerprint.
        #[serde(default)]
        pin: Pin,
    },
    /// The device finds no server: nothing was connected.
    Unreachable {
        /// The reason that the device gives: `tcp-refused`, ...
        reason: String,
    },
    /// The device has no network: nothing was connected.
    NoNetwork {
        /// The reason that the device gives: `dhcp`, ...
        reason: String,
    },
    /// The console refuses a command, and nothing is connected.
    CommandRejected {
        /// How the command begins: `set pin`, `run`.
        command: String,
        /// The error code that the console gives.
        code: String,
    },
}

fn unchecked() -> Pin {
    Pin::Unchecked
}

impl Expectation {
    /// How people call it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Refused { .. } => "refused",
            Self::HandshakeFailed { .. } => "handshake failed",
            Self::ResponseFailed { .. } => "response failed",
            Self::Unreachable { .. } => "unreachable",
            Self::NoNetwork { .. } => "no network",
            Self::CommandRejected { .. } => "command rejected",
        }
    }
}

/// What the device says of the build.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Build {
    /// `esp8266/Arduino CI successfull!`
    Success,
    /// `esp8266/Arduino CI has failed`
    Failed,
}

/// A scenario that cannot be used, and where.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The folder or a file in it cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    Read {
        /// The folder or file.
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
    /// No scenario has that name.
    #[error("no scenario matches `{pattern}`; `pinrig list` shows all {count}{}", .nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// What was asked for.
        pattern: String,
        /// How many there are.
        count: usize,
        /// The most similar name, if one is close.
        nearest: Option<String>,
    },
    /// The folder holds no scenario at all.
    #[error("{path}: no scenario (*.toml) in this folder", path = .0.display())]
    Empty(PathBuf),
}

/// Reads every scenario below `scenarios` in the folder `fixtures`, sorted by name.
///
/// # Errors
/// The first folder or file that cannot be read or is not a valid scenario.
pub fn load_all(fixtures: &Path) -> Result<Vec<Scenario>, ScenarioError> {
    let folder = fixtures.join("scenarios");
    let mut files = Vec::new();
    collect(&folder, &mut files)?;
    if files.is_empty() {
        return Err(ScenarioError::Empty(folder));
    }
    let mut scenarios = files
        .iter()
        .map(|file| load(&folder, file))
        .collect::<Result<Vec<_>, _>>()?;
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(scenarios)
}

/// The scenarios that `patterns` name: each an exact name, or a folder (`pin` or `pin/`). None: all of them.
///
/// # Errors
/// [`ScenarioError::Unknown`] for a pattern that names nothing.
pub fn select(all: &[Scenario], patterns: &[String]) -> Result<Vec<Scenario>, ScenarioError> {
    if patterns.is_empty() {
        return Ok(all.to_vec());
    }
    for pattern in patterns {
        if !all.iter().any(|scenario| is_meant(pattern, &scenario.name)) {
            return Err(ScenarioError::Unknown {
                pattern: pattern.clone(),
                count: all.len(),
                nearest: nearest(pattern, all),
            });
        }
    }
    Ok(all
        .iter()
        .filter(|scenario| patterns.iter().any(|pattern| is_meant(pattern, &scenario.name)))
        .cloned()
        .collect())
}

/// Whether `pattern`, a scenario's name or a folder's, means the scenario `name`.
#[must_use]
pub fn is_meant(pattern: &str, name: &str) -> bool {
    name == pattern
        || name
            .strip_prefix(pattern.trim_end_matches('/'))
            .is_some_and(|rest| rest.starts_with('/'))
}

/// Reads one scenario; its name is the path below `folder`.
///
/// # Errors
/// When the file cannot be read or is not a valid scenario.
pub fn load(folder: &Path, file: &Path) -> Result<Scenario, ScenarioError> {
    let text = fs::read_to_string(file).map_err(|source| ScenarioError::Read {
        path: file.to_owned(),
        source,
    })?;
    let name = file
        .strip_prefix(folder)
        .unwrap_or(file)
        .with_extension("")
        .to_string_lossy()
        .replace(std::path::MAIN_SEPARATOR, "/");
    text::parse(&name, &text).map_err(|problem| {
        let (line, column) = position(&text, problem.span.map_or(0, |span| span.start));
        ScenarioError::Invalid {
            path: file.to_owned(),
            line,
            column,
            message: problem.message,
        }
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), ScenarioError> {
    let failed = |source| ScenarioError::Read {
        path: folder.to_owned(),
        source,
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(path);
        }
    }
    Ok(())
}

/// The name that shares most of its letter pairs with `pattern`, when at least half are shared.
fn nearest(pattern: &str, all: &[Scenario]) -> Option<String> {
    let pairs = |text: &str| -> Vec<(char, char)> { text.chars().zip(text.chars().skip(1)).collect() };
    let wanted = pairs(pattern);
    all.iter()
        .map(|scenario| {
            let found = pairs(&scenario.name);
            let shared = wanted.iter().filter(|pair| found.contains(pair)).count();
            (2 * shared * 100 / (wanted.len() + found.len()).max(1), &scenario.name)
        })
        .filter(|(similarity, _)| *similarity >= 50)
        .max_by_key(|(similarity, _)| *similarity)
        .map(|(_, name)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
about = "The pin is the server's."
[server]
certificate = "github"
[device]
pin = { of = "github" }
[expect.accepted]
build = "success"
"#;

    fn error(text: &str) -> (usize, String) {
        let problem = text::parse("x", text).expect_err("must be refused");
        let (line, _) = position(text, problem.span.map_or(0, |span| span.start));
        (line, problem.message)
    }

    #[test]
    fn a_scenario_is_read_with_the_originals_defaults() {
        let scenario = text::parse("pin/matches", GOOD).map_err(|p| p.message).unwrap();
        assert_eq!(scenario.runs[0].device.host, "api.github.com");
        assert_eq!(scenario.runs[0].device.path, DEFAULT_PATH);
        assert_eq!(scenario.runs[0].device.on_mismatch, OnMismatch::Abort);
        assert_eq!(
            scenario.runs[0].expect,
            Expectation::Accepted {
                build: Build::Success,
                pin: Pin::Match,
                name: Name::Unchecked,
            }
        );
        assert_eq!(
            scenario.runs[0].device.pin.split(':').count(),
            20,
            "{}",
            scenario.runs[0].device.pin
        );
    }

    #[test]
    fn mistakes_are_found_on_their_line() {
        let unknown_field = GOOD.replace("[device]", "speling = 1\n[device]");
        let (line, message) = error(&unknown_field);
        assert_eq!(line, 5);
        assert!(message.contains("unknown field `speling`"), "{message}");

        let (line, message) = error(&GOOD.replace("certificate = \"github\"", "certificate = \"gihtub\""));
        assert_eq!(line, 4);
        assert!(message.contains("gihtub") && message.contains("github"), "{message}");

        let (line, message) =
            error(&GOOD.replace("of = \"github\"", "of = \"github\", flip-bit = { byte = 20, bit = 0 }"));
        assert_eq!(line, 6);
        assert!(message.contains("bytes 0 to 19"), "{message}");

        let (line, _) = error(&GOOD.replace("certificate =", "listening = false\ncertificate ="));
        assert_eq!(line, 4);

        let (line, message) = error(&GOOD.replace("build =", "bild = 1\nbuild ="));
        assert_eq!(line, 8);
        assert!(message.contains("bild"), "{message}");
    }

    #[test]
    fn mistakes_in_the_servers_table_are_found_on_their_line() {
        let with = |line: &str| error(&GOOD.replace("certificate = \"github\"", line));
        for (line, wanted) in [
            ("handshake = [\"server-hello\", \"finnished\"]", "finnished"),
            ("handshake = [{ step = \"finished\", flip = 1 }]", "flip"),
            ("reply = \"sucess\"", "sucess"),
            ("reply = { of = \"success\", body = \"{}\" }", "one of"),
            ("reply = { body-hex = \"4x\" }", "4x"),
            ("reply = { cut-body-to = 99999 }", "cannot be cut"),
            ("reply = { padded-to = 10 }", "cannot be padded"),
            ("suites = [\"TLS_NULL\"]", "TLS_AES_128_GCM_SHA256"),
            ("versions = []", "1.2"),
            ("record-size = 16", "32"),
            ("tickets = 1\nsays = \"SSH-2.0\"", "one of"),
            ("omit = []", "names no step"),
            ("fault = { what = \"stall\", when = \"never\" }", "never"),
        ] {
            let (at, message) = with(line);
            assert_eq!(at, 4 + line.matches('\n').count(), "{line}: {message}");
            assert!(message.contains(wanted), "{line}: {message}");
        }
    }

    #[test]
    fn further_runs_keep_what_they_do_not_say() {
        let text = GOOD.to_owned()
            + "[[then]]\ndevice.rule = \"robust\"\nexpect.accepted.build = \"success\"\n\
               [[then]]\nserver.certificate = \"expired\"\nexpect.accepted.build = \"success\"\n";
        let scenario = text::parse("x", &text).map_err(|p| p.message).unwrap();
        let [first, second, third] = &scenario.runs[..] else {
            panic!("{:?}", scenario.runs)
        };
        assert_eq!(second.device.commands_after(&first.device), ["set rule robust"]);
        assert_eq!(third.device, second.device);
        let Service::Tls(server) = &third.service else {
            panic!("{third:?}")
        };
        assert_eq!(server.certificate, Recipe::Expired);
        let closed = text.replace("server.certificate = \"expired\"", "server.listening = false");
        let (line, message) = error(&closed);
        assert_eq!((line, message.contains("listened")), (12, true), "{message}");
    }

    #[test]
    fn a_soak_test_goes_on_beyond_its_warm_up() {
        let soak = |times: u32| format!("repeat = {times}\n{}", GOOD.trim_start());
        assert_eq!(text::parse("x", &soak(100)).map_err(|p| p.message).unwrap().repeat, 100);
        assert_eq!(text::parse("x", GOOD).map_err(|p| p.message).unwrap().repeat, 1);
        let (line, message) = error(&soak(SOAK_WARM_UP));
        assert_eq!((line, message.contains("after 10 runs")), (1, true), "{message}");
    }

    #[test]
    fn a_pin_is_written_as_the_scenario_says() {
        let pin = |more: &str| {
            let text = GOOD.replace("of = \"github\"", &format!("of = \"github\"{more}"));
            text::parse("x", &text).map_err(|p| p.message).unwrap().runs[0]
                .device
                .pin
                .clone()
        };
        let usual = pin("");
        assert_eq!(
            pin(", separator = \"\", case = \"lower\""),
            usual.replace(':', "").to_lowercase()
        );
        let mixed = pin(", case = \"mixed\"");
        assert!(
            mixed != usual && mixed != usual.to_lowercase() && mixed.eq_ignore_ascii_case(&usual),
            "{mixed}"
        );
        assert_ne!(pin(", certificate = 1"), usual);
        let (_, message) = error(&GOOD.replace("of = \"github\"", "of = \"github\", certificate = 2"));
        assert!(message.contains("0 to 1"), "{message}");
    }

    #[test]
    fn a_flipped_bit_changes_one_digit() {
        let right = text::parse("x", GOOD).map_err(|p| p.message).unwrap().runs[0]
            .device
            .pin
            .clone();
        let flipped = GOOD.replace("of = \"github\"", "of = \"github\", flip-bit = { byte = 0, bit = 0 }");
        let wrong = text::parse("x", &flipped).map_err(|p| p.message).unwrap().runs[0]
            .device
            .pin
            .clone();
        let different = right.chars().zip(wrong.chars()).filter(|(a, b)| a != b).count();
        assert_eq!(different, 1, "{right} / {wrong}");
    }

    #[test]
    fn names_and_folders_select() {
        let scenario = |name: &str| Scenario {
            name: name.into(),
            ..text::parse("x", GOOD).map_err(|p| p.message).unwrap()
        };
        let all = [scenario("pin/matches"), scenario("pin/wrong"), scenario("pinned/other")];
        let names = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|&p| p.to_owned()).collect();
            select(&all, &patterns).map(|found| found.into_iter().map(|s| s.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["pin"]).unwrap(), ["pin/matches", "pin/wrong"]);
        assert_eq!(names(&["pin/wrong"]).unwrap(), ["pin/wrong"]);
        assert_eq!(names(&[]).unwrap().len(), 3);
        let message = names(&["pin/mathces"]).unwrap_err().to_string();
        assert!(message.contains("did you mean `pin/matches`"), "{message}");
    }
}
