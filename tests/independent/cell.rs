//! One client against one scenario's server: what it must do, whether it can take part, and what it did.
//!
//! What enters: a [`Scenario`] and a [`Client`]. What leaves: a verdict on both witnesses, the client and the
//! server's record.

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pinrig::certificate::Certificate;
use pinrig::scenario::{Expectation, Run, Scenario, Service, TlsService};
use pinrig::service;
use pinrig_certs::{CertifiedChain, Fingerprint, Recipe};
use pinrig_server::{Ending, EventKind, Handshake, Limits, ServerEvent, TlsServer, TlsVersion};

use super::client::{Client, Installed, Said, Task};

/// How long a server waits for a client that is expected to wait, too. A client that does something else needs no
/// time for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a server may take to notice that its client has gone. It reports the end of a connection at once.
const NOTICES: Duration = Duration::from_secs(60);

/// What a client does at a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Does {
    /// It takes the whole reply, and the end of the connection for its end.
    Accepts,
    /// It ends the connection without an application byte.
    Refuses,
    /// It ends the connection without the whole reply. It may have sent its request before it noticed.
    BreaksOff,
    /// It waits for the server until that gives up.
    Waits,
}

impl fmt::Display for Does {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepts => "accepts",
            Self::Refuses => "refuses",
            Self::BreaksOff => "breaks off",
            Self::Waits => "waits",
        })
    }
}

impl Does {
    /// What the scenario's device must do. `None` where it connects to no server.
    pub(crate) fn of(expect: &Expectation) -> Option<Self> {
        // The firmware's word for a time limit that has passed.
        let waits = |reason: &str| reason.starts_with("timeout-");
        match expect {
            Expectation::Accepted { .. } => Some(Self::Accepts),
            Expectation::HandshakeFailed { reason, .. } | Expectation::ResponseFailed { reason, .. }
                if waits(reason) =>
            {
                Some(Self::Waits)
            }
            Expectation::Refused { .. } | Expectation::HandshakeFailed { .. } => Some(Self::Refuses),
            Expectation::ResponseFailed { .. } => Some(Self::BreaksOff),
            Expectation::Unreachable { .. } | Expectation::NoNetwork { .. } | Expectation::CommandRejected { .. } => {
                None
            }
        }
    }
}

/// The server of a scenario that a client can connect to, and its only run.
pub(crate) struct Offer<'a> {
    run: &'a Run,
    tls: &'a TlsService,
    pub(crate) device_does: Does,
}

impl<'a> Offer<'a> {
    /// `Err` says why the scenario is about something else than a server.
    pub(crate) fn of(scenario: &'a Scenario) -> Result<Self, &'static str> {
        let [run] = &scenario.runs[..] else {
            return Err("it is about several runs of one board");
        };
        let Some(device_does) = Does::of(&run.expect) else {
            return Err("its device connects to no server");
        };
        match &run.service {
            Service::Tls(tls) if run.network.are_none() => Ok(Self { run, tls, device_does }),
            Service::Tls(_) => Err("it is about a bad network"),
            Service::Closed => Err("nothing listens"),
        }
    }

    /// Why this client cannot take part.
    pub(crate) fn beyond(&self, client: Client) -> Option<&'static str> {
        let tls_1_3_only = match &self.tls.handshake {
            Handshake::Honest(offer) => !offer.versions.contains(&TlsVersion::Tls12),
            Handshake::Rogue(_) => true,
            Handshake::NoTls(_) => false,
        };
        if tls_1_3_only && !client.speaks_tls_1_3() {
            return Some("the server speaks TLS 1.3 only, and the client TLS 1.2");
        }
        let changes_keys = matches!(&self.tls.handshake, Handshake::Honest(offer) if offer.key_update);
        if changes_keys && !client.speaks_tls_1_3() {
            return Some("the server changes its keys, which TLS 1.2 cannot");
        }
        if client == Client::BearSsl && self.tls.certificate == Recipe::Ed25519 {
            return Some("the client knows no Ed25519 keys, not even as ones to trust");
        }
        if client == Client::GnuTls && self.tls.certificate == Recipe::TwoListsOfNames {
            return Some("the client takes no certificate with two lists of names, not even as one to trust");
        }
        if self.date().is_some() && !client.takes_a_date() {
            return Some("the scenario has a date, and the client takes the machine's");
        }
        None
    }

    /// The date by which the certificate is judged, in seconds since 1970.
    fn date(&self) -> Option<i64> {
        let clock = self.run.device.clock.as_deref().filter(|_| self.run.device.check_dates);
        clock.map(|clock| seconds_since_1970(clock).unwrap_or_else(|| panic!("`{clock}` is not a date")))
    }

    /// The certificate that the device pins: where no client could trust that, since it is not a certificate, the
    /// authority.
    fn trusted(&self) -> Vec<u8> {
        let pin = Fingerprint::parse(&self.run.device.pin).expect("the device takes this pin");
        let mut all = Recipe::ALL.iter().flat_map(|recipe| recipe.issue().chain);
        let pinned = all
            .find(|der| pin.matches(der))
            .expect("a recipe's certificate is pinned");
        match Certificate::read(&pinned) {
            Ok(_) => pinned,
            Err(_) => Recipe::authority(),
        }
    }

    /// Lets the client connect. Gives what it did, and a report of both witnesses; or why they contradict each other.
    pub(crate) fn meet(&self, client: Client, expected: Does, installed: &Installed) -> Result<(Does, String), String> {
        let mut config = service::configuration(self.tls, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        if expected == Does::Waits {
            config.limits = Limits {
                handshake: PATIENCE,
                request: PATIENCE,
                reply: PATIENCE,
                close: PATIENCE,
            };
        }
        let server = TlsServer::start(config).map_err(|error| error.to_string())?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let device = &self.run.device;
        let said = installed.exchange(
            client,
            &Task {
                port: server.address().port(),
                host: &device.host,
                check_name: device.check_name,
                path: &device.path,
                trusted: &kept(folder.path(), self.trusted()),
                date: self.date(),
            },
        );
        server.wait_idle(NOTICES).map_err(|error| error.to_string())?;
        let log = server.stop();
        let lane: Vec<String> = log.events.iter().map(ToString::to_string).collect();
        let report = format!("{client} said: {}\nserver:\n  {}", said.words, lane.join("\n  "));
        match self.judge(&said, &log.events, log.application_bytes_received) {
            Ok(does) => Ok((does, report)),
            Err(why) => Err(format!("{why}\n{report}")),
        }
    }

    fn judge(&self, said: &Said, events: &[ServerEvent], application_bytes: u64) -> Result<Does, String> {
        let count = |wanted: fn(&EventKind) -> bool| events.iter().filter(|event| wanted(&event.kind)).count();
        if count(|kind| matches!(kind, EventKind::ServerFailed { .. })) > 0 {
            return Err("the server could not do its part".to_owned());
        }
        // Otherwise the client may have stumbled over its own arguments, and its refusal says nothing about the server.
        if count(|kind| matches!(kind, EventKind::ClientHello(_))) == 0 {
            return Err("the client sent no ClientHello".to_owned());
        }
        let whole = said.reply == self.tls.reply.render();
        let answered = count(|kind| matches!(kind, EventKind::ReplySent { .. }));
        let timed_out = |kind: &EventKind| {
            matches!(
                kind,
                EventKind::Ended {
                    how: Ending::TimedOut(_),
                    ..
                }
            )
        };
        match (said.success, whole, answered) {
            (true, true, 1) => Ok(Does::Accepts),
            // gnutls-cli calls it a success when the server has gone while it waited.
            _ if !whole && events.iter().any(|event| timed_out(&event.kind)) => Ok(Does::Waits),
            (true, ..) => Err(format!(
                "the client calls it a success without the whole reply: {:?}",
                String::from_utf8_lossy(&said.reply)
            )),
            (false, ..) if application_bytes == 0 => Ok(Does::Refuses),
            (false, ..) => Ok(Does::BreaksOff),
        }
    }
}

/// A certificate as two files, PEM and DER. Gives the path of the first.
fn kept(folder: &Path, der: Vec<u8>) -> PathBuf {
    let path = folder.join("trusted.pem");
    fs::write(path.with_extension("der"), &der).unwrap();
    let chain = CertifiedChain {
        chain: vec![der],
        key: Recipe::Github.issue().key,
    };
    fs::write(&path, chain.to_pem()).unwrap();
    path
}

/// `2026-11-05T09:30:00Z` as seconds since 1970.
fn seconds_since_1970(date: &str) -> Option<i64> {
    let numbers: Option<Vec<i64>> = date
        .strip_suffix('Z')?
        .split(['-', 'T', ':'])
        .map(|number| number.parse().ok())
        .collect();
    let [year, month, day, hour, minute, second] = numbers?[..] else {
        return None;
    };
    // Years that begin in March: the leap day is the last of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}
