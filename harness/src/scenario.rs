//! Scenarios: one TOML file is one test.
//!
//! What enters: a file below `fixtures/scenarios`. What leaves: a [`Scenario`] in which everything has been checked
//! once (certificates exist, replies exist, the combination makes sense), so that nothing checks again later. A mistake
//! is a [`ScenarioError`] with file, line and column. This module knows no board.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pinrig_certs::Recipe;
use serde::Deserialize;
use toml::Spanned;

use crate::server::{Framing, Reply, Step};

/// The name that the device connects to unless the scenario says otherwise.
pub const DEFAULT_HOST: &str = "api.github.com";
/// The path that the device asks for unless the scenario says otherwise.
pub const DEFAULT_PATH: &str = "/repos/esp8266/Arduino/commits/master/status";

/// One test: what is served, what the device is told, and what both must then show.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's path below the scenarios folder without its ending: `pin/matches`.
    pub name: String,
    /// One sentence in plain words.
    pub about: String,
    /// What stands at the server's address.
    pub service: Service,
    /// What the device is told over its console.
    pub device: DeviceSettings,
    /// What device and server must show.
    pub expect: Expectation,
}

/// What stands at the server's address.
#[derive(Clone, Debug)]
pub enum Service {
    /// A port at which nothing listens.
    Closed,
    /// A TLS server.
    Tls(TlsService),
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
    /// Handshake steps that are left out. Not empty: the rogue server serves, since no honest library can.
    pub omit: Vec<Step>,
}

/// What the device is told before it runs.
#[derive(Clone, Debug)]
pub struct DeviceSettings {
    /// The server's name: for SNI, the `Host` header and the transcript.
    pub host: String,
    /// The request's path.
    pub path: String,
    /// The text after `set pin`.
    pub pin: String,
    /// What to do when the fingerprint differs.
    pub on_mismatch: OnMismatch,
    /// How a reply is judged.
    pub rule: Rule,
}

/// What the device does when the certificate's fingerprint is not the pinned one.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum OnMismatch {
    /// Close the connection before any application byte.
    #[default]
    Abort,
    /// Say so and go on, as the original sketch does.
    Continue,
}

/// How the device decides that a build has succeeded.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The original's: the body's first line starts with `{"state":"success"`.
    #[default]
    Original,
    /// Chunks are decoded and the JSON is parsed.
    Robust,
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
    },
    /// The device refuses the server, which sees no application byte.
    Refused {
        /// The reason that the device gives: `pin-mismatch`, ...
        reason: String,
        /// What it says of the fingerprint.
        pin: Pin,
    },
    /// The device finds no server: nothing was connected.
    Unreachable {
        /// The reason that the device gives: `tcp-refused`, ...
        reason: String,
    },
    /// The console refuses the scenario's pin, and nothing is connected.
    PinRejected {
        /// The error code that the console gives.
        code: String,
    },
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

/// What the device says of the certificate's fingerprint.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Pin {
    /// It is the pinned one.
    #[default]
    Match,
    /// It is another one.
    Mismatch,
    /// No certificate was compared.
    Unchecked,
}

impl Pin {
    /// The word that the device's result line has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Mismatch => "mismatch",
            Self::Unchecked => "unchecked",
        }
    }
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
    let matches = |pattern: &str, name: &str| {
        name == pattern
            || name
                .strip_prefix(pattern.trim_end_matches('/'))
                .is_some_and(|rest| rest.starts_with('/'))
    };
    for pattern in patterns {
        if !all.iter().any(|scenario| matches(pattern, &scenario.name)) {
            return Err(ScenarioError::Unknown {
                pattern: pattern.clone(),
                count: all.len(),
                nearest: nearest(pattern, all),
            });
        }
    }
    Ok(all
        .iter()
        .filter(|scenario| patterns.iter().any(|pattern| matches(pattern, &scenario.name)))
        .cloned()
        .collect())
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
    parse(&name, &text).map_err(|problem| {
        let (line, column) = position(&text, problem.span.map_or(0, |span| span.start));
        ScenarioError::Invalid {
            path: file.to_owned(),
            line,
            column,
            message: problem.message,
        }
    })
}

fn parse(name: &str, text: &str) -> Result<Scenario, Problem> {
    let raw: RawScenario = toml::from_str(text).map_err(|error| Problem {
        span: error.span(),
        message: error.message().to_owned(),
    })?;
    let service = raw.server.check()?;
    let device = raw.device.check()?;
    if raw.about.get_ref().trim().is_empty() {
        return Err(Problem::at(&raw.about, "say in one sentence what the scenario shows"));
    }
    Ok(Scenario {
        name: name.to_owned(),
        about: raw.about.into_inner(),
        service,
        device,
        expect: raw.expect,
    })
}

/// What is wrong, and at which bytes of the file.
#[derive(Debug)]
struct Problem {
    span: Option<Range<usize>>,
    message: String,
}

impl Problem {
    fn at<T>(value: &Spanned<T>, message: impl Into<String>) -> Self {
        Self {
            span: Some(value.span()),
            message: message.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawScenario {
    about: Spanned<String>,
    server: RawServer,
    device: RawDevice,
    expect: Expectation,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawServer {
    listening: Option<Spanned<bool>>,
    certificate: Option<Spanned<String>>,
    signing_key: Option<Spanned<String>>,
    reply: Option<Spanned<String>>,
    transfer: Option<Framing>,
    omit: Option<Spanned<Vec<Step>>>,
}

impl RawServer {
    fn check(self) -> Result<Service, Problem> {
        if let Some(listening) = self.listening {
            let others = self.certificate.is_some()
                || self.signing_key.is_some()
                || self.reply.is_some()
                || self.transfer.is_some()
                || self.omit.is_some();
            return match (listening.get_ref(), others) {
                (false, false) => Ok(Service::Closed),
                (false, true) => Err(Problem::at(
                    &listening,
                    "a server that is not listening has no certificate, reply or handshake: leave them out",
                )),
                (true, _) => Err(Problem::at(
                    &listening,
                    "a server listens unless told otherwise: leave this out",
                )),
            };
        }
        let certificate = match &self.certificate {
            Some(name) => recipe(name)?,
            None => Recipe::Github,
        };
        let signing_key = match &self.signing_key {
            Some(name) => recipe(name)?,
            None => certificate,
        };
        let reply = match &self.reply {
            Some(name) => Reply::github(name.get_ref()).map_err(|error| Problem::at(name, error.to_string()))?,
            None => Reply::github("success").expect("the default reply exists"),
        };
        let reply = reply.framed(self.transfer.unwrap_or_default());
        let omit = match self.omit {
            Some(steps) if steps.get_ref().is_empty() => {
                return Err(Problem::at(&steps, "names no step: leave it out"));
            }
            Some(steps) => steps.into_inner(),
            None => Vec::new(),
        };
        Ok(Service::Tls(TlsService {
            certificate,
            signing_key,
            reply,
            omit,
        }))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawDevice {
    host: Option<String>,
    path: Option<String>,
    pin: RawPin,
    #[serde(default)]
    on_mismatch: OnMismatch,
    #[serde(default)]
    rule: Rule,
}

/// Either `{ of = "github", digest = "sha1" }` or `{ text = "..." }`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawPin {
    of: Option<Spanned<String>>,
    digest: Option<Digest>,
    flip_bit: Option<Spanned<BitPosition>>,
    text: Option<Spanned<String>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Digest {
    Sha1,
    Sha256,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct BitPosition {
    byte: usize,
    bit: usize,
}

impl RawDevice {
    fn check(self) -> Result<DeviceSettings, Problem> {
        Ok(DeviceSettings {
            host: self.host.unwrap_or_else(|| DEFAULT_HOST.to_owned()),
            path: self.path.unwrap_or_else(|| DEFAULT_PATH.to_owned()),
            pin: self.pin.check()?,
            on_mismatch: self.on_mismatch,
            rule: self.rule,
        })
    }
}

impl RawPin {
    fn check(self) -> Result<String, Problem> {
        match (self.of, self.text) {
            (Some(of), None) => {
                let leaf = recipe(&of)?.issue();
                let mut pin = match self.digest.unwrap_or(Digest::Sha1) {
                    Digest::Sha1 => leaf.sha1(),
                    Digest::Sha256 => leaf.sha256(),
                };
                if let Some(position) = self.flip_bit {
                    let BitPosition { byte, bit } = *position.get_ref();
                    let length = pin.as_bytes().len();
                    if byte >= length || bit > 7 {
                        return Err(Problem::at(
                            &position,
                            format!("this digest has bytes 0 to {} of bits 0 to 7", length - 1),
                        ));
                    }
                    pin = pin.with_bit_flipped(byte, bit);
                }
                Ok(pin.to_string())
            }
            (None, Some(text)) => {
                if self.digest.is_some() || self.flip_bit.is_some() {
                    return Err(Problem::at(
                        &text,
                        "`digest` and `flip-bit` go with `of`, not with `text`",
                    ));
                }
                if text.get_ref().contains(['\r', '\n']) {
                    return Err(Problem::at(&text, "a line break would end the console command"));
                }
                Ok(text.into_inner())
            }
            (Some(of), Some(_)) => Err(Problem::at(&of, "give either `of` or `text`")),
            (None, None) => Err(Problem {
                span: None,
                message: "[device] pin: give `of` (a certificate) or `text`".to_owned(),
            }),
        }
    }
}

fn recipe(name: &Spanned<String>) -> Result<Recipe, Problem> {
    name.get_ref()
        .parse()
        .map_err(|error: pinrig_certs::UnknownRecipe| Problem::at(name, error.to_string()))
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

/// Line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset.min(text.len()))];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
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
        let problem = parse("x", text).expect_err("must be refused");
        let (line, _) = position(text, problem.span.map_or(0, |span| span.start));
        (line, problem.message)
    }

    #[test]
    fn a_scenario_is_read_with_the_originals_defaults() {
        let scenario = parse("pin/matches", GOOD).map_err(|p| p.message).unwrap();
        assert_eq!(scenario.device.host, "api.github.com");
        assert_eq!(scenario.device.path, DEFAULT_PATH);
        assert_eq!(scenario.device.on_mismatch, OnMismatch::Abort);
        assert_eq!(
            scenario.expect,
            Expectation::Accepted {
                build: Build::Success,
                pin: Pin::Match
            }
        );
        assert_eq!(scenario.device.pin.split(':').count(), 20, "{}", scenario.device.pin);
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
    fn a_flipped_bit_changes_one_digit() {
        let right = parse("x", GOOD).map_err(|p| p.message).unwrap().device.pin;
        let flipped = GOOD.replace("of = \"github\"", "of = \"github\", flip-bit = { byte = 0, bit = 0 }");
        let wrong = parse("x", &flipped).map_err(|p| p.message).unwrap().device.pin;
        let different = right.chars().zip(wrong.chars()).filter(|(a, b)| a != b).count();
        assert_eq!(different, 1, "{right} / {wrong}");
    }

    #[test]
    fn names_and_folders_select() {
        let scenario = |name: &str| Scenario {
            name: name.into(),
            ..parse("x", GOOD).map_err(|p| p.message).unwrap()
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
