//! What a scenario tells the device: `[device]` and `[then.device]`.
//!
//! What enters: the table as it was read. What leaves: [`DeviceSettings`], complete and checked, and the console commands
//! that give a device these settings.

use std::ops::Range;

use pinrig_certs::{Fingerprint, Recipe};
use pinrig_server::Bounded;
use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::{At, Given, Line, Problem, given};
use super::recipe::RecipeName;

/// The name that the device connects to unless the scenario says otherwise.
pub const DEFAULT_HOST: &str = "api.github.com";
/// The path that the device asks for unless the scenario says otherwise.
pub const DEFAULT_PATH: &str = "/repos/esp8266/Arduino/commits/master/status";

/// The longest line that the console takes, in bytes (`firmware/README.md`, "The console").
pub(super) const CONSOLE_LINE: usize = 1024;
/// What stands before each command: a tag of twelve digits, as the harness chooses it.
const TAG: usize = "#0123456789ab ".len();

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

/// What a scenario's file leaves open, so that its variants can differ in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    /// It names no policy.
    pub(super) policy: bool,
    /// The digest that it insists on; without one, its pins can be of any.
    pub(super) digest: Option<Digest>,
}

impl Open {
    /// What both leave open.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            policy: self.policy && other.policy,
            digest: self.digest.or(other.digest),
        }
    }
}

/// What the device does when the certificate's fingerprint is not the pinned one.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum OnMismatch {
    /// Close the connection before the first application byte.
    #[default]
    Abort,
    /// Say so and go on, as the original sketch does.
    Continue,
}

/// How the device decides that a build has succeeded.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The original's: the body's first line starts with `{"state":"success"`.
    #[default]
    Original,
    /// Chunks are decoded and the JSON is parsed.
    Robust,
}

/// The device's time limits, in milliseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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
    /// Whether the device asks DNS for the host: it is a name, and one that DNS can hold.
    #[must_use]
    pub fn host_is_asked_for(&self) -> bool {
        let host = self.host.trim_end_matches('.');
        host.parse::<std::net::IpAddr>().is_err() && is_host_name(host)
    }

    /// The default, with another policy and with the pin as another digest.
    pub(super) fn varied(on_mismatch: OnMismatch, digest: Digest) -> Self {
        let github = Recipe::Github.issue();
        Self {
            on_mismatch,
            pin: match digest {
                Digest::Sha1 => github.sha1().to_string(),
                Digest::Sha256 => github.sha256().to_string(),
            },
            ..Self::default()
        }
    }

    /// The console commands for a device that has just booted: the five settings that every transcript shows, and those
    /// that differ from the firmware's own.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let own = Self::default().all();
        let shown = ["host", "path", "on-mismatch", "rule", "pin"];
        let wanted = self.all().into_iter().zip(own);
        wanted
            .filter(|(setting, own)| shown.contains(&setting.name) || setting != own)
            .map(|(setting, _)| setting.command())
            .collect()
    }

    /// The console commands for a device that has the settings `earlier`.
    #[must_use]
    pub fn commands_after(&self, earlier: &Self) -> Vec<String> {
        let changes = self.all().into_iter().zip(earlier.all());
        changes
            .filter(|(setting, earlier)| setting != earlier)
            .map(|(setting, _)| setting.command())
            .collect()
    }

    /// The console commands for a device whose settings are not known.
    #[must_use]
    pub fn all_commands(&self) -> Vec<String> {
        self.all().iter().map(Setting::command).collect()
    }

    /// The names of the settings, as the console has them.
    pub(super) fn names() -> [&'static str; 13] {
        Self::default().all().map(|setting| setting.name)
    }

    /// Every setting with its value, in the order in which they are sent. The pin is last, since the console may refuse it.
    fn all(&self) -> [Setting; 13] {
        let setting = |name, value: &str| Setting {
            name,
            value: value.to_owned(),
        };
        let switch = |name, on| setting(name, if on { "on" } else { "off" });
        let limit = |name, milliseconds: u32| setting(name, &milliseconds.to_string());
        let on_mismatch = match self.on_mismatch {
            OnMismatch::Abort => "abort",
            OnMismatch::Continue => "continue",
        };
        let rule = match self.rule {
            Rule::Original => "original",
            Rule::Robust => "robust",
        };
        [
            setting("host", &self.host),
            setting("path", &self.path),
            setting("on-mismatch", on_mismatch),
            setting("rule", rule),
            switch("check-name", self.check_name),
            setting("clock", self.clock.as_deref().unwrap_or("none")),
            switch("check-dates", self.check_dates),
            limit("timeout network", self.timeouts.network),
            limit("timeout connect", self.timeouts.connect),
            limit("timeout handshake", self.timeouts.handshake),
            limit("timeout response", self.timeouts.response),
            limit("timeout total", self.timeouts.total),
            setting("pin", &self.pin),
        ]
    }
}

/// A setting of the console, and its value there.
#[derive(PartialEq)]
struct Setting {
    name: &'static str,
    value: String,
}

impl Setting {
    fn command(&self) -> String {
        format!("set {} {}", self.name, self.value)
    }
}

/// What a scenario tells the device. A setting that is left out stays as it was; in the first run, as the firmware has
/// it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawDevice {
    /// The server's name, for DNS, SNI and the `Host` header; `api.github.com` by default.
    host: Option<At<Line>>,
    /// The path of the request.
    path: Option<At<Line>>,
    /// The fingerprint that the certificate must have.
    pin: Option<At<RawPin>>,
    /// What to do when the fingerprint is another one.
    on_mismatch: Option<OnMismatch>,
    /// How the reply is judged.
    rule: Option<Rule>,
    /// Whether the certificate must also bear the host's name.
    check_name: Option<bool>,
    /// Whether the certificate must also be valid by the device's clock.
    check_dates: Option<bool>,
    /// The device's date: `2026-11-05T09:30:00Z`, or `none`.
    clock: Option<At<Line>>,
    /// The device's time limits.
    timeout: Option<RawTimeouts>,
}

/// A time limit in milliseconds: the console takes up to an hour.
type Limit = Bounded<1, 3_600_000>;

/// Time limits in milliseconds. One that is left out stays as it was.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawTimeouts {
    /// To join the network and get an address; 30000 by default.
    network: Option<Limit>,
    /// For DNS and TCP; 10000 by default.
    connect: Option<Limit>,
    /// For TLS; 15000 by default.
    handshake: Option<Limit>,
    /// For request and reply; 15000 by default.
    response: Option<Limit>,
    /// For all of these together; 60000 by default.
    total: Option<Limit>,
}

/// A fingerprint: of a certificate (`of`), or any text (`text`).
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawPin {
    /// The recipe of the chain whose fingerprint it is.
    of: Option<At<RecipeName>>,
    /// Which certificate of the chain, from 0: the leaf.
    certificate: Option<At<Bounded<0, 255>>>,
    /// The hash; SHA-1 by default.
    digest: Option<At<Digest>>,
    /// One bit that is wrong.
    flip_bit: Option<At<BitPosition>>,
    /// What stands between the bytes; `:` by default.
    separator: Option<At<Line>>,
    /// The case of the digits; upper by default.
    case: Option<At<Case>>,
    /// The text that `set pin` is given, right or wrong.
    text: Option<At<Line>>,
    /// In a variant of the scenario: its hash.
    #[serde(skip)]
    varied: Option<Digest>,
}

/// The hash that a pin is made with.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Digest {
    /// 20 bytes, as the original sketch has it.
    Sha1,
    /// 32 bytes.
    Sha256,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Case {
    Upper,
    Lower,
    /// Upper and lower in turn.
    Mixed,
}

/// A bit of a digest.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BitPosition {
    /// The byte, from 0.
    byte: At<Bounded<0, 255>>,
    /// The bit, from 0, the least significant.
    bit: Bounded<0, 7>,
}

impl RawDevice {
    /// What the table leaves to the variants of its scenario.
    pub(super) fn open(&self) -> Open {
        let (policy, digest) = match self.pin.as_ref().map(At::get) {
            None => (true, None),
            // A text has the digest that it has.
            Some(RawPin { of: None, .. }) => (false, Some(Digest::Sha1)),
            Some(RawPin { digest, .. }) => {
                let named = digest.as_ref().map(|digest| *digest.get());
                (true, named.filter(|digest| *digest != Digest::Sha1))
            }
        };
        Open {
            policy: policy && self.on_mismatch.is_none(),
            digest,
        }
    }

    /// The same table, with the pin of another digest.
    pub(super) fn vary(&mut self, digest: Digest) {
        if let Some(pin) = &mut self.pin {
            pin.get_mut().varied = Some(digest);
        }
    }

    /// The settings after `earlier`. `rejected` is the command that the console must refuse, if the run expects that.
    pub(super) fn check(self, earlier: DeviceSettings, rejected: Option<&str>) -> Result<DeviceSettings, Problem> {
        let setting = |name: &str, value: Option<At<Line>>| match value {
            Some(value) => {
                console_line(name, value.get().as_str(), value.span(), rejected)?;
                Ok(Some(value.into_inner().into_string()))
            }
            None => Ok(None),
        };
        let timeouts = self.timeout.map_or(earlier.timeouts, |raw| raw.after(earlier.timeouts));
        Ok(DeviceSettings {
            host: setting("host", self.host)?.unwrap_or(earlier.host),
            path: setting("path", self.path)?.unwrap_or(earlier.path),
            pin: match self.pin {
                Some(pin) => {
                    let text = pin.get().check(pin.span())?;
                    console_line("pin", &text, pin.get().place().unwrap_or(pin.span()), rejected)?;
                    text
                }
                None => earlier.pin,
            },
            on_mismatch: self.on_mismatch.unwrap_or(earlier.on_mismatch),
            rule: self.rule.unwrap_or(earlier.rule),
            check_name: self.check_name.unwrap_or(earlier.check_name),
            check_dates: self.check_dates.unwrap_or(earlier.check_dates),
            clock: setting("clock", self.clock)?.or(earlier.clock),
            timeouts,
        })
    }
}

/// Checks that the console takes a line with this setting. Its answer to a line that is too long has no tag, so the
/// harness would wait for its own answer until the time is over. It refuses every empty value.
fn console_line(setting: &str, value: &str, span: Range<usize>, rejected: Option<&str>) -> Result<(), Problem> {
    let command = format!("set {setting}");
    let expected = rejected == Some(&command);
    // A line that is too long is lawful where it is there to be refused, as long as the console can pass over it in time.
    let longest = if expected { 4 * CONSOLE_LINE } else { CONSOLE_LINE };
    let room = longest - TAG - command.len() - 1;
    if value.len() > room {
        let message = format!(
            "this has {} bytes, and a line of the console has room for {room} after `{command}`",
            value.len()
        );
        return Err(Problem::new(span, message));
    }
    if value.is_empty() && !expected {
        let message =
            format!("the console refuses an empty {setting}; give one, or expect that `{command}` is rejected");
        return Err(Problem::new(span, message));
    }
    Ok(())
}

impl RawTimeouts {
    fn after(self, earlier: Timeouts) -> Timeouts {
        let limit = |new: Option<Limit>, earlier: u32| {
            new.map_or(earlier, |limit| u32::try_from(limit.get()).unwrap_or(u32::MAX))
        };
        Timeouts {
            network: limit(self.network, earlier.network),
            connect: limit(self.connect, earlier.connect),
            handshake: limit(self.handshake, earlier.handshake),
            response: limit(self.response, earlier.response),
            total: limit(self.total, earlier.total),
        }
    }
}

impl RawPin {
    /// The text after `set pin`; `whole` is the place of the table.
    fn check(&self, whole: Range<usize>) -> Result<String, Problem> {
        let text = match (&self.of, &self.text) {
            (Some(of), None) => return self.digest_of(of.get().0, whole),
            (Some(_), Some(text)) => return Err(text.problem("give either `of` or `text`")),
            (None, None) => {
                let message = "a pin needs `of`, a certificate's recipe, or `text`";
                return Err(Problem::new(whole, message));
            }
            (None, Some(text)) => text,
        };
        let others = [
            given("certificate", &self.certificate),
            given("digest", &self.digest),
            given("flip-bit", &self.flip_bit),
            given("separator", &self.separator),
            given("case", &self.case),
        ];
        for Given { key, span } in others {
            if let Some(span) = span {
                return Err(Problem::new(span, format!("`{key}` goes with `of`, not with `text`")));
            }
        }
        Ok(text.get().as_str().to_owned())
    }

    /// The part of it that decides how long the text is, if there is one.
    fn place(&self) -> Option<Range<usize>> {
        let text = self.text.as_ref().map(At::span);
        text.or_else(|| self.separator.as_ref().map(At::span))
    }

    fn digest_of(&self, recipe: Recipe, whole: Range<usize>) -> Result<String, Problem> {
        let certificates = recipe.issue().chain;
        let index = self.certificate.as_ref().map_or(0, |index| index.get().size());
        let Some(der) = certificates.get(index) else {
            let last = certificates.len().saturating_sub(1);
            let span = self.certificate.as_ref().map_or(whole, At::span);
            return Err(Problem::new(
                span,
                format!("this chain has the certificates 0 to {last}"),
            ));
        };
        let own = self.digest.as_ref().map_or(Digest::Sha1, |digest| *digest.get());
        let digest = self.varied.unwrap_or(own);
        let mut pin = match digest {
            Digest::Sha1 => Fingerprint::sha1_of(der),
            Digest::Sha256 => Fingerprint::sha256_of(der),
        };
        if let Some(position) = &self.flip_bit {
            let BitPosition { byte, bit } = position.get();
            let last = pin.as_bytes().len() - 1;
            if byte.get().size() > last {
                return Err(byte.problem(format!("this digest has the bytes 0 to {last}")));
            }
            pin = pin.with_bit_flipped(byte.get().size(), bit.size());
        }
        let separator = self
            .separator
            .as_ref()
            .map_or(":", |separator| separator.get().as_str());
        let text = pin.to_string().replace(':', separator);
        Ok(match self.case.as_ref().map_or(Case::Upper, |case| *case.get()) {
            Case::Upper => text,
            Case::Lower => text.to_lowercase(),
            Case::Mixed => text
                .char_indices()
                .map(|(at, digit)| if at % 2 == 0 { digit } else { digit.to_ascii_lowercase() })
                .collect(),
        })
    }
}

/// Whether DNS can hold this name (RFC 1035 section 2.3.4).
#[must_use]
pub fn is_host_name(host: &str) -> bool {
    let in_label = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(in_label);
    host.len() <= 253 && host.split('.').all(is_label)
}
