//! Lines to requests: the grammar of the console's commands.
//!
//! `[#<tag> ]<command>[ <arguments>]`, where the value of a setting is the rest of the line after one space, verbatim.
//! A line that is wrong in any way becomes an error that changes nothing.

use alloc::string::String;
use core::net::{Ipv4Addr, SocketAddrV4};

use embassy_time::Duration;

use crate::clock::{Clock, UnixTime};
use crate::fingerprint::Fingerprint;
use crate::line::{LineError, MAX_LINE};
use crate::settings::{OnMismatch, RuleKind, Settings};

/// One line, read.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The tag that the answer must carry; `-` where the line has none.
    pub tag: &'a str,
    /// What to do, or why it cannot be done.
    pub command: Result<Command<'a>, CommandError>,
}

/// What a line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command<'a> {
    /// `hello`: says who the board is.
    Hello,
    /// `set <name> <value>`.
    Set(Setting<'a>),
    /// `clear password`.
    ClearPassword,
    /// `show`: every setting.
    Show,
    /// `run`: one run with the present settings.
    Run,
    /// `status`: memory and time.
    Status,
    /// `reboot`.
    Reboot,
    /// `test panic`.
    #[cfg(feature = "test-commands")]
    TestPanic,
    /// `test hang`.
    #[cfg(feature = "test-commands")]
    TestHang,
}

/// A value for a setting, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting<'a> {
    /// `network <ssid>`
    Network(&'a str),
    /// `password <text>`
    Password(&'a str),
    /// `host <name>`
    Host(&'a str),
    /// `connect-to <ipv4>:<port>` or `connect-to none`
    ConnectTo(Option<SocketAddrV4>),
    /// `port <n>`
    Port(u16),
    /// `path </...>`
    Path(&'a str),
    /// `pin <fingerprint>`
    Pin(Fingerprint),
    /// `on-mismatch abort|continue`
    OnMismatch(OnMismatch),
    /// `rule original|robust`
    Rule(RuleKind),
    /// `check-name on|off`
    CheckName(bool),
    /// `check-dates on|off`
    CheckDates(bool),
    /// `clock <YYYY-MM-DDTHH:MM:SSZ>` or `clock none`
    Clock(Option<UnixTime>),
    /// `timeout <phase> <milliseconds>`
    Timeout(Phase, Duration),
}

/// A phase that has a time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Joining the network.
    Network,
    /// DNS and TCP.
    Connect,
    /// TLS.
    Handshake,
    /// Request and reply.
    Response,
    /// The whole run.
    Total,
}

impl Setting<'_> {
    /// Puts the value into `settings`.
    pub fn apply(self, settings: &mut Settings) {
        match self {
            Self::Network(name) => settings.network = Some(name.into()),
            Self::Password(password) => settings.password = Some(password.into()),
            Self::Host(host) => settings.host = host.into(),
            Self::ConnectTo(to) => settings.connect_to = to,
            Self::Port(port) => settings.port = port,
            Self::Path(path) => settings.path = path.into(),
            Self::Pin(pin) => settings.pin = Some(pin),
            Self::OnMismatch(policy) => settings.on_mismatch = policy,
            Self::Rule(rule) => settings.rule = rule,
            Self::CheckName(on) => settings.check_name = on,
            Self::CheckDates(on) => settings.check_dates = on,
            Self::Clock(time) => settings.clock = time.map(Clock::set),
            Self::Timeout(phase, limit) => {
                let timeouts = &mut settings.timeouts;
                *match phase {
                    Phase::Network => &mut timeouts.network,
                    Phase::Connect => &mut timeouts.connect,
                    Phase::Handshake => &mut timeouts.handshake,
                    Phase::Response => &mut timeouts.response,
                    Phase::Total => &mut timeouts.total,
                } = limit;
            }
        }
    }
}

/// Why a line is no command: for the `error` answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError {
    /// The command that it was meant to be, as far as it can be told; else `line`.
    pub command: &'static str,
    /// A kebab-case code for machines.
    pub code: &'static str,
    /// What to do, for people.
    pub detail: String,
}

impl From<LineError> for CommandError {
    fn from(error: LineError) -> Self {
        match error {
            LineError::TooLong => fail(
                "line",
                "too-long",
                alloc::format!("a line has at most {MAX_LINE} bytes"),
            ),
            LineError::Lost => fail("line", "input-lost", "bytes of this line were lost; send it again"),
            LineError::Closed => fail("line", "closed", "the console has ended"),
        }
    }
}

impl<'a> Request<'a> {
    /// Reads a line; `None` for an empty one, which asks for nothing.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        if line.is_empty() {
            return None;
        }
        let tag = Self::tag_of(line);
        let Ok(line) = core::str::from_utf8(line) else {
            return Some(Self {
                tag,
                command: Err(fail("line", "not-utf8", "send UTF-8")),
            });
        };
        let command = match line.strip_prefix('#') {
            None => command(line),
            Some(_) if tag == "-" => Err(fail("line", "bad-tag", "a tag is 1-16 of 0-9 and a-z")),
            Some(tagged) => command(tagged.split_once(' ').map_or("", |(_, rest)| rest)),
        };
        Some(Self { tag, command })
    }

    /// The tag of a line, or of its beginning; `-` where it has none.
    #[must_use]
    pub fn tag_of(line: &'a [u8]) -> &'a str {
        let tag = line
            .strip_prefix(b"#")
            .and_then(|tagged| tagged.split(|byte| *byte == b' ').next());
        let is_letter = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
        tag.filter(|tag| (1..=16).contains(&tag.len()) && tag.iter().all(is_letter))
            .and_then(|tag| core::str::from_utf8(tag).ok())
            .unwrap_or("-")
    }
}

fn command(line: &str) -> Result<Command<'_>, CommandError> {
    let (word, rest) = line
        .split_once(' ')
        .map_or((line, None), |(word, rest)| (word, Some(rest)));
    let (name, bare) = match word {
        "hello" => ("hello", Command::Hello),
        "show" => ("show", Command::Show),
        "run" => ("run", Command::Run),
        "status" => ("status", Command::Status),
        "reboot" => ("reboot", Command::Reboot),
        "set" => return setting(rest.unwrap_or_default()).map(Command::Set),
        "clear" => {
            return match rest {
                Some("password") => Ok(Command::ClearPassword),
                _ => Err(fail("clear", "unknown-setting", "use: clear password")),
            };
        }
        #[cfg(feature = "test-commands")]
        "test" => {
            return match rest {
                Some("panic") => Ok(Command::TestPanic),
                Some("hang") => Ok(Command::TestHang),
                _ => Err(fail("test", "unknown-test", "use: test panic|hang")),
            };
        }
        _ => {
            return Err(fail(
                "line",
                "unknown-command",
                "use hello, set, clear, show, run, status or reboot",
            ));
        }
    };
    match rest {
        None => Ok(bare),
        Some(_) => Err(fail(name, "unexpected-argument", "this command takes none")),
    }
}

fn setting(text: &str) -> Result<Setting<'_>, CommandError> {
    let (name, value) = text.split_once(' ').unwrap_or((text, ""));
    match name {
        "network" if (1..=32).contains(&value.len()) && !has_control(value) => Ok(Setting::Network(value)),
        "network" => Err(bad("network: 1-32 bytes without control characters")),
        "password" if (8..=63).contains(&value.len()) && !has_control(value) => Ok(Setting::Password(value)),
        "password" => Err(bad("password: 8-63 bytes without control characters")),
        "host" => match wrong_with_host(value) {
            None => Ok(Setting::Host(value)),
            Some(detail) => Err(bad(detail)),
        },
        "connect-to" if value == "none" => Ok(Setting::ConnectTo(None)),
        "connect-to" => match value.parse::<SocketAddrV4>() {
            Ok(to) if to.port() != 0 => Ok(Setting::ConnectTo(Some(to))),
            _ => Err(bad("connect-to: <ipv4>:<port> or none")),
        },
        "port" => match number(value).map(u16::try_from) {
            Some(Ok(port @ 1..)) => Ok(Setting::Port(port)),
            _ => Err(bad("port: 1-65535")),
        },
        "path" if is_path(value) => Ok(Setting::Path(value)),
        "path" => Err(bad("path: starts with /, printable ASCII without spaces")),
        "pin" => Fingerprint::parse(value)
            .map(Setting::Pin)
            .map_err(|error| fail("set", "bad-pin", alloc::format!("pin: {error}"))),
        "on-mismatch" => match value {
            "abort" => Ok(Setting::OnMismatch(OnMismatch::Abort)),
            "continue" => Ok(Setting::OnMismatch(OnMismatch::Continue)),
            _ => Err(bad("on-mismatch: abort or continue")),
        },
        "rule" => match value {
            "original" => Ok(Setting::Rule(RuleKind::Original)),
            "robust" => Ok(Setting::Rule(RuleKind::Robust)),
            _ => Err(bad("rule: original or robust")),
        },
        "check-name" => match value {
            "on" => Ok(Setting::CheckName(true)),
            "off" => Ok(Setting::CheckName(false)),
            _ => Err(bad("check-name: on or off")),
        },
        "check-dates" => match value {
            "on" => Ok(Setting::CheckDates(true)),
            "off" => Ok(Setting::CheckDates(false)),
            _ => Err(bad("check-dates: on or off")),
        },
        "clock" if value == "none" => Ok(Setting::Clock(None)),
        "clock" => match UnixTime::parse(value) {
            Some(time) => Ok(Setting::Clock(Some(time))),
            None => Err(bad("clock: YYYY-MM-DDTHH:MM:SSZ or none")),
        },
        "timeout" => timeout(value),
        _ => Err(fail(
            "set",
            "unknown-setting",
            "use network, password, host, connect-to, port, path, pin, on-mismatch, rule, check-name, check-dates, clock or timeout",
        )),
    }
}

fn timeout(value: &str) -> Result<Setting<'_>, CommandError> {
    const LONGEST_MS: u64 = 3_600_000;
    let (phase, limit) = value.split_once(' ').unwrap_or((value, ""));
    let phase = match phase {
        "network" => Phase::Network,
        "connect" => Phase::Connect,
        "handshake" => Phase::Handshake,
        "response" => Phase::Response,
        "total" => Phase::Total,
        _ => {
            return Err(bad(
                "timeout: network, connect, handshake, response or total, then milliseconds",
            ));
        }
    };
    match number(limit) {
        Some(limit @ 1..=LONGEST_MS) => Ok(Setting::Timeout(phase, Duration::from_millis(limit))),
        _ => Err(bad("timeout: 1-3600000 milliseconds")),
    }
}

/// A number in decimal digits, without a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// Why a text is neither a host name nor an IPv4 address; `None` where it is one.
fn wrong_with_host(text: &str) -> Option<&'static str> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !text.is_ascii() {
        return Some("host: ASCII only; write other letters in punycode, as in xn--mnchen-3ya.example");
    }
    if text.contains([':', '[', ']']) {
        return Some("host: an IPv4 address or a name; no IPv6 address, and the port is set by `set port`");
    }
    if !text.bytes().all(is_letter) {
        return Some("host: labels of letters, digits, - and _, with dots between them");
    }
    if !(1..=253).contains(&text.len()) {
        return Some("host: 1-253 bytes");
    }
    if !text.split('.').all(|label| (1..=63).contains(&label.len())) {
        return Some("host: labels of 1-63 bytes, with one dot between two and none at an end");
    }
    let last = text.rsplit('.').next().unwrap_or_default();
    if is_number(last) && text.parse::<Ipv4Addr>().is_err() {
        return Some("host: not an IPv4 address, and the last label of a name is not a number");
    }
    None
}

/// Whether a label is a number in any of the forms that some resolvers take for a part of an address.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

fn bad(detail: &str) -> CommandError {
    fail("set", "bad-value", detail)
}

fn fail(command: &'static str, code: &'static str, detail: impl Into<String>) -> CommandError {
    CommandError {
        command,
        code,
        detail: detail.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command<'_>, CommandError> {
        Request::parse(line.as_bytes()).unwrap().command
    }

    fn set(line: &str) -> Settings {
        let mut settings = Settings::default();
        let Ok(Command::Set(setting)) = read(line) else {
            panic!("{line} is refused")
        };
        setting.apply(&mut settings);
        settings
    }

    #[test]
    fn tags_are_carried_and_bad_ones_refused() {
        for (line, tag, good) in [
            ("hello", "-", true),
            ("#a1 hello", "a1", true),
            ("#0123456789abcdef hello", "0123456789abcdef", true),
            ("#0123456789abcdef0 hello", "-", false),
            ("# hello", "-", false),
            ("#A hello", "-", false),
            ("#- hello", "-", false),
            ("#a1  hello", "a1", false),
            ("#a1", "a1", false),
            (" hello", "-", false),
        ] {
            let request = Request::parse(line.as_bytes()).unwrap();
            assert_eq!(request.tag, tag, "{line}");
            assert_eq!(request.command.is_ok(), good, "{line}");
        }
        assert!(Request::parse(b"").is_none());
        let request = Request::parse(b"#a1 set host \xff").unwrap();
        assert_eq!(request.command.unwrap_err().code, "not-utf8");
    }

    #[test]
    fn the_value_is_the_rest_of_the_line_verbatim() {
        assert_eq!(set("set network  two  words ").network.as_deref(), Some(" two  words "));
        assert_eq!(set("set password pass word").password.as_deref(), Some("pass word"));
    }

    #[test]
    fn settings_reach_their_places() {
        assert_eq!(
            set("set connect-to 10.13.37.10:8443").connect_to,
            "10.13.37.10:8443".parse().ok()
        );
        assert_eq!(set("set connect-to none").connect_to, None);
        assert_eq!(set("set on-mismatch continue").on_mismatch, OnMismatch::Continue);
        assert_eq!(set("set rule robust").rule, RuleKind::Robust);
        assert!(set("set check-name on").check_name);
        for (phase, get) in [
            ("network", (|t| t.network) as fn(crate::settings::Timeouts) -> Duration),
            ("connect", |t| t.connect),
            ("handshake", |t| t.handshake),
            ("response", |t| t.response),
            ("total", |t| t.total),
        ] {
            let settings = set(&std::format!("set timeout {phase} 1234"));
            assert_eq!(get(settings.timeouts), Duration::from_millis(1234), "{phase}");
        }
    }

    #[test]
    fn malformed_commands_are_refused_with_a_code() {
        for (line, command, code) in [
            ("nonsense", "line", "unknown-command"),
            ("HELLO", "line", "unknown-command"),
            ("hello ", "hello", "unexpected-argument"),
            ("run now", "run", "unexpected-argument"),
            ("set", "set", "unknown-setting"),
            ("set colour red", "set", "unknown-setting"),
            ("set network", "set", "bad-value"),
            ("set network 123456789012345678901234567890123", "set", "bad-value"),
            ("set password 1234567", "set", "bad-value"),
            ("set host", "set", "bad-value"),
            ("set host a..b", "set", "bad-value"),
            ("set host a b", "set", "bad-value"),
            ("set host a\r\nX: y", "set", "bad-value"),
            ("set port 0", "set", "bad-value"),
            ("set port 65536", "set", "bad-value"),
            ("set path status", "set", "bad-value"),
            ("set path /a b", "set", "bad-value"),
            ("set connect-to localhost:1", "set", "bad-value"),
            ("set connect-to 10.0.0.1", "set", "bad-value"),
            ("set connect-to 10.0.0.1:0", "set", "bad-value"),
            ("set pin none", "set", "bad-pin"),
            ("set on-mismatch ignore", "set", "bad-value"),
            ("set rule", "set", "bad-value"),
            ("set check-name yes", "set", "bad-value"),
            ("set timeout total 0", "set", "bad-value"),
            ("set timeout total 3600001", "set", "bad-value"),
            ("set timeout lunch 10", "set", "bad-value"),
            ("clear", "clear", "unknown-setting"),
            ("clear host", "clear", "unknown-setting"),
        ] {
            let error = read(line).unwrap_err();
            assert_eq!((error.command, error.code), (command, code), "{line}");
        }
    }

    #[test]
    fn nothing_shows_the_password() {
        let settings = set("set password correct horse");
        let shown = std::format!("{settings:?}");
        assert!(shown.contains("password=set") && !shown.contains("horse"), "{shown}");
    }
}
