//! What has been set over the console: one run's parameters, held in RAM only.
//!
//! Values are checked once, when they are set: the code that reads a setting need not check it again.

use alloc::string::String;
use core::fmt::Display;
use core::net::SocketAddrV4;

use embassy_time::Duration;

use crate::answer::Answer;
use crate::clock::Clock;
use crate::fingerprint::Fingerprint;

/// The parameters of a run. The defaults are those of the original sketch.
#[derive(Clone)]
pub struct Settings {
    /// Name of the network to join (SSID), 1-32 bytes.
    pub network: Option<String>,
    /// Its password, 8-63 bytes; `None` joins an open network. Never printed.
    pub password: Option<String>,
    /// Name of the server: for DNS, SNI, the `Host` header, and the name check.
    pub host: String,
    /// TCP port of the server.
    pub port: u16,
    /// Where TCP goes instead of the host's address, as with `curl --connect-to`.
    pub connect_to: Option<SocketAddrV4>,
    /// Path and query of the request.
    pub path: String,
    /// What the server's certificate must hash to.
    pub pin: Option<Fingerprint>,
    /// What to do where the certificate is another one.
    pub on_mismatch: OnMismatch,
    /// When the build counts as successful.
    pub rule: RuleKind,
    /// Whether the certificate must also bear the host's name.
    pub check_name: bool,
    /// Whether the certificate must also be valid by the clock.
    pub check_dates: bool,
    /// The date, once it has been set.
    pub clock: Option<Clock>,
    /// How long each phase may take.
    pub timeouts: Timeouts,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            network: None,
            password: None,
            host: "api.github.com".into(),
            port: 443,
            connect_to: None,
            path: "/repos/esp8266/Arduino/commits/master/status".into(),
            pin: None,
            on_mismatch: OnMismatch::Abort,
            rule: RuleKind::Original,
            check_name: false,
            check_dates: false,
            clock: None,
            timeouts: Timeouts::default(),
        }
    }
}

/// Everything but the password, which is only said to be there.
impl core::fmt::Debug for Settings {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.describe(Answer::event("settings")).finish().trim_end())
    }
}

impl Settings {
    /// Adds every setting to an answer; the password only as `set` or `unset`.
    #[must_use]
    pub fn describe(&self, answer: Answer) -> Answer {
        answer
            .field("network", self.network.as_deref().unwrap_or("none"))
            .field("password", if self.password.is_some() { "set" } else { "unset" })
            .field("host", &self.host)
            .field("port", self.port)
            .field("connect-to", OrNone(self.connect_to))
            .field("path", &self.path)
            .field("pin", OrNone(self.pin))
            .field(
                "on-mismatch",
                match self.on_mismatch {
                    OnMismatch::Abort => "abort",
                    OnMismatch::Continue => "continue",
                },
            )
            .field(
                "rule",
                match self.rule {
                    RuleKind::Original => "original",
                    RuleKind::Robust => "robust",
                },
            )
            .field("check-name", if self.check_name { "on" } else { "off" })
            .field("check-dates", if self.check_dates { "on" } else { "off" })
            .field("clock", OrNone(self.clock))
            .field("timeout-network", self.timeouts.network.as_millis())
            .field("timeout-connect", self.timeouts.connect.as_millis())
            .field("timeout-handshake", self.timeouts.handshake.as_millis())
            .field("timeout-response", self.timeouts.response.as_millis())
            .field("timeout-total", self.timeouts.total.as_millis())
    }
}

/// What to do where the certificate is not the pinned one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMismatch {
    /// Say so and stop before a byte of the request is sent.
    Abort,
    /// Say so and go on, as the original sketch did.
    Continue,
}

/// When a reply counts as a successful build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// The first line of the body starts with `{"state":"success"`, byte for byte.
    Original,
    /// Status 200, chunks decoded, and the JSON object's own `state` is `success`.
    Robust,
}

/// The time limit of each phase of a run, and of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Joining the network and getting an address.
    pub network: Duration,
    /// DNS and TCP.
    pub connect: Duration,
    /// TLS, up to the proof that the server holds the certificate's key.
    pub handshake: Duration,
    /// Request and reply, the reply's printing included.
    pub response: Duration,
    /// All of these together.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            network: Duration::from_secs(30),
            connect: Duration::from_secs(10),
            // The ESP8266 core's own limit.
            handshake: Duration::from_secs(15),
            response: Duration::from_secs(15),
            total: Duration::from_secs(60),
        }
    }
}

struct OrNone<T>(Option<T>);

impl<T: Display> Display for OrNone<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("none"),
        }
    }
}
