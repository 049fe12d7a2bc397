//! What a scenario tells the device: `[device]` and `[then.device]`.
//!
//! What enters: the table as it was read. What leaves: [`DeviceSettings`], complete and checked, and the console commands that make a
//! device have them.

use pinrig_certs::{CertifiedChain, Recipe};
use serde::Deserialize;
use toml::Spanned;

use super::text::{Problem, recipe};
use super::{DEFAULT_HOST, DEFAULT_PATH};

/// What the device is told before it runs. The default is the original sketch's, with the right pin.
#[derive(Clone, Debug, Eq, PartialEq)]
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
    /// Whether the certificate must also bear the host's name.
    pub check_name: bool,
    /// Whether it must also be valid by the clock.
    pub check_dates: bool,
    /// The device's date, as `set clock` takes it.
    pub clock: Option<String>,
    /// How long it may take.
    pub timeouts: Timeouts,
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

/// The device's time limits, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Timeouts {
    /// To join the network and get an address.
    pub network: u32,
    /// DNS and TCP.
    pub connect: u32,
    /// TLS.
    pub handshake: u32,
    /// Request and reply.
    pub response: u32,
    /// All of these together.
    pub total: u32,
}

impl Default for Timeouts {
    /// The firmware's own.
    fn default() -> Self {
        Self {
            network: 30_000,
            connect: 10_000,
            handshake: 15_000,
            response: 15_000,
            total: 60_000,
        }
    }
}

impl Default for DeviceSettings {
    fn default() -> Self {
        Self {
            host: DEFAULT_HOST.to_owned(),
            path: DEFAULT_PATH.to_owned(),
            pin: Recipe::Github.issue().sha1().to_string(),
            on_mismatch: OnMismatch::default(),
            rule: Rule::default(),
            check_name: false,
            check_dates: false,
            clock: None,
            timeouts: Timeouts::default(),
        }
    }
}

impl DeviceSettings {
    /// The console commands for a device that has just booted: the five settings that every transcript shows, and whatever is not as
    /// the firmware has it by itself.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let own = Self::default().all();
        let shown = ["host", "path", "on-mismatch", "rule", "pin"];
        let wanted = self.all().into_iter().zip(own);
        wanted
            .filter(|(setting, own)| shown.contains(&setting.0) || setting != own)
            .map(|(setting, _)| command(&setting))
            .collect()
    }

    /// The console commands for a device that has the settings `earlier`.
    #[must_use]
    pub fn commands_after(&self, earlier: &Self) -> Vec<String> {
        let changes = self.all().into_iter().zip(earlier.all());
        changes
            .filter(|(setting, earlier)| setting != earlier)
            .map(|(setting, _)| command(&setting))
            .collect()
    }

    /// The console commands for a device of which nothing is known.
    #[must_use]
    pub fn all_commands(&self) -> Vec<String> {
        self.all().iter().map(command).collect()
    }

    /// Every setting with its value, in the order in which they are sent. The pin is the last: the console may refuse it.
    fn all(&self) -> [(&'static str, String); 13] {
        let on = |on| if on { "on" } else { "off" }.to_owned();
        let Timeouts {
            network,
            connect,
            handshake,
            response,
            total,
        } = self.timeouts;
        [
            ("host", self.host.clone()),
            ("path", self.path.clone()),
            (
                "on-mismatch",
                match self.on_mismatch {
                    OnMismatch::Abort => "abort".to_owned(),
                    OnMismatch::Continue => "continue".to_owned(),
                },
            ),
            (
                "rule",
                match self.rule {
                    Rule::Original => "original".to_owned(),
                    Rule::Robust => "robust".to_owned(),
                },
            ),
            ("check-name", on(self.check_name)),
            ("clock", self.clock.clone().unwrap_or_else(|| "none".to_owned())),
            ("check-dates", on(self.check_dates)),
            ("timeout network", network.to_string()),
            ("timeout connect", connect.to_string()),
            ("timeout handshake", handshake.to_string()),
            ("timeout response", response.to_string()),
            ("timeout total", total.to_string()),
            ("pin", self.pin.clone()),
        ]
    }
}

fn command((setting, value): &(&str, String)) -> String {
    format!("set {setting} {value}")
}

/// The table. What is left out stays as it was; in the first run, as the firmware has it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawDevice {
    host: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    pin: Option<RawPin>,
    on_mismatch: Option<OnMismatch>,
    rule: Option<Rule>,
    check_name: Option<bool>,
    check_dates: Option<bool>,
    clock: Option<Spanned<String>>,
    timeout: Option<Timeouts>,
}

/// Either `{ of = "github", digest = "sha1" }` or `{ text = "..." }`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawPin {
    of: Option<Spanned<String>>,
    /// Which certificate of the chain, from 0.
    certificate: Option<Spanned<usize>>,
    digest: Option<Digest>,
    flip_bit: Option<Spanned<BitPosition>>,
    /// What stands between the bytes.
    separator: Option<Spanned<String>>,
    case: Option<Case>,
    text: Option<Spanned<String>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Digest {
    Sha1,
    Sha256,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Case {
    Upper,
    Lower,
    Mixed,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct BitPosition {
    byte: usize,
    bit: usize,
}

impl RawDevice {
    pub(super) fn check(self, earlier: DeviceSettings) -> Result<DeviceSettings, Problem> {
        Ok(DeviceSettings {
            host: one_line(self.host)?.unwrap_or(earlier.host),
            path: one_line(self.path)?.unwrap_or(earlier.path),
            pin: match self.pin {
                Some(pin) => pin.check()?,
                None => earlier.pin,
            },
            on_mismatch: self.on_mismatch.unwrap_or(earlier.on_mismatch),
            rule: self.rule.unwrap_or(earlier.rule),
            check_name: self.check_name.unwrap_or(earlier.check_name),
            check_dates: self.check_dates.unwrap_or(earlier.check_dates),
            clock: one_line(self.clock)?.or(earlier.clock),
            timeouts: self.timeout.unwrap_or(earlier.timeouts),
        })
    }
}

/// The text, unless it would end the console command.
fn one_line(text: Option<Spanned<String>>) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if text.get_ref().contains(['\r', '\n']) => {
            Err(Problem::at(&text, "a line break would end the console command"))
        }
        text => Ok(text.map(Spanned::into_inner)),
    }
}

impl RawPin {
    fn check(self) -> Result<String, Problem> {
        match (&self.of, &self.text) {
            (Some(of), None) => self.digest_of(recipe(of)?.issue()),
            (None, Some(text)) => {
                if self.certificate.is_some()
                    || self.digest.is_some()
                    || self.flip_bit.is_some()
                    || self.separator.is_some()
                    || self.case.is_some()
                {
                    return Err(Problem::at(
                        text,
                        "`certificate`, `digest`, `flip-bit`, `separator` and `case` go with `of`, not with `text`",
                    ));
                }
                Ok(one_line(self.text)?.unwrap_or_default())
            }
            (Some(of), Some(_)) => Err(Problem::at(of, "give either `of` or `text`")),
            (None, None) => Err(Problem {
                span: None,
                message: "[device] pin: give `of` (a certificate) or `text`".to_owned(),
            }),
        }
    }

    fn digest_of(&self, chain: CertifiedChain) -> Result<String, Problem> {
        let certificates = &chain.chain;
        let index = self.certificate.as_ref().map_or(0, |index| *index.get_ref());
        let Some(der) = certificates.get(index) else {
            let message = format!("this chain has the certificates 0 to {}", certificates.len() - 1);
            return Err(Problem {
                span: self.certificate.as_ref().map(Spanned::span),
                message,
            });
        };
        let mut pin = match self.digest.unwrap_or(Digest::Sha1) {
            Digest::Sha1 => pinrig_certs::Fingerprint::sha1_of(der),
            Digest::Sha256 => pinrig_certs::Fingerprint::sha256_of(der),
        };
        if let Some(position) = &self.flip_bit {
            let BitPosition { byte, bit } = *position.get_ref();
            let length = pin.as_bytes().len();
            if byte >= length || bit > 7 {
                return Err(Problem::at(
                    position,
                    format!("this digest has bytes 0 to {} of bits 0 to 7", length - 1),
                ));
            }
            pin = pin.with_bit_flipped(byte, bit);
        }
        let separator = match &self.separator {
            Some(separator) if separator.get_ref().contains(['\r', '\n']) => {
                return Err(Problem::at(separator, "a line break would end the console command"));
            }
            Some(separator) => separator.get_ref(),
            None => ":",
        };
        let text = pin.to_string().replace(':', separator);
        Ok(match self.case.unwrap_or(Case::Upper) {
            Case::Upper => text,
            Case::Lower => text.to_lowercase(),
            Case::Mixed => text
                .char_indices()
                .map(|(at, digit)| if at % 2 == 0 { digit } else { digit.to_ascii_lowercase() })
                .collect(),
        })
    }
}
