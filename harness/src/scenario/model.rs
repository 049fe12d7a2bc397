//! A scenario: what is served, what the device is told, and what both must then show.
//!
//! Plain values, which the reader of scenario files makes and the rest of the harness reads.

use std::fmt;

use pinrig_server::{Close, Fault, FaultKind, Handshake, Message, PlannedStep, RogueHandshake, When};
use virtual_lan::Faults;

use super::device::{DeviceSettings, Digest, OnMismatch};
use super::expect::{Build, Expectation, Name, Pin};
use super::limit::Limit;
use super::server::{Service, TlsService};

/// How many runs of a soak test a device may take to reach its usual use of memory.
pub const SOAK_WARM_UP: u32 = 10;

/// One test.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's path below the scenarios folder without its ending: `pin/matches`. That of a variant has it behind an `@`:
    /// `auth/no-certificate@continue-sha256`.
    pub name: String,
    /// What is other than in the file.
    pub variant: Option<Variant>,
    /// What it shows, in one sentence.
    pub about: String,
    /// What is done, in order, without a restart of the board: at least one run.
    pub runs: Vec<Run>,
    /// How often the last run is made in all: more than once in a soak test.
    pub repeat: u32,
}

impl Scenario {
    /// Reports whether a run of it asks for a bad network, which only a virtual board can have.
    #[must_use]
    pub fn disturbs_network(&self) -> bool {
        self.runs.iter().any(|run| !run.network.are_none())
    }
}

/// Another way to check a certificate than the one that a scenario's file describes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Variant {
    /// What the device does when the certificate is another one.
    pub on_mismatch: OnMismatch,
    /// The digest of its pin.
    pub digest: Digest,
}

/// As it stands behind the scenario's name and an `@`: `continue-sha256`.
impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = match self.on_mismatch {
            OnMismatch::Abort => "abort",
            OnMismatch::Continue => "continue",
        };
        let digest = match self.digest {
            Digest::Sha1 => "sha1",
            Digest::Sha256 => "sha256",
        };
        write!(f, "{policy}-{digest}")
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
    /// What they may show instead, where this firmware cannot do what is right.
    pub limit: Option<Limit>,
}

impl Run {
    /// What is expected, in the words of reports: with the limit, if the firmware has one here.
    #[must_use]
    pub fn expected(&self) -> String {
        match &self.limit {
            Some(limit) => format!("{} (limit: {})", self.expect.as_str(), limit.expect.as_str()),
            None => self.expect.as_str().to_owned(),
        }
    }

    /// The same run, which expects what the limit is. `None` where there is no limit.
    #[must_use]
    pub fn at_its_limit(&self) -> Option<Self> {
        let limit = self.limit.as_ref()?;
        Some(Self {
            expect: limit.expect.clone(),
            limit: None,
            ..self.clone()
        })
    }

    /// Whether the server performs its handshake as the RFCs say. Another server may be the one that does not complete it.
    #[must_use]
    pub fn has_honest_handshake(&self) -> bool {
        matches!(&self.service, Service::Tls(tls) if matches!(tls.handshake, Handshake::Honest(_)))
    }

    /// The leaf that the server shows, as DER; `None` where the scenario shows none, another one or a spoilt one.
    #[must_use]
    pub fn shown_leaf(&self) -> Option<Vec<u8>> {
        let Service::Tls(tls) = &self.service else { return None };
        let whole = |plan: &RogueHandshake| {
            let mut steps = plan.steps().iter().filter_map(|step| match step {
                PlannedStep::Message(planned) if planned.message == Message::Certificate => Some(planned),
                _ => None,
            });
            steps
                .next()
                .is_some_and(|planned| planned.flip_bit.is_none() && planned.cut.is_none())
                && steps.next().is_none()
        };
        let shown = match &tls.handshake {
            Handshake::Honest(_) => true,
            Handshake::Rogue(plan) => whole(plan),
            Handshake::NoTls(_) => false,
        };
        shown.then(|| tls.certificate.issue().leaf().to_vec())
    }

    /// Whether the scenario spoils the connection: what the client sends may then be lost.
    #[must_use]
    pub fn is_disturbed(&self) -> bool {
        !self.network.are_none() || matches!(&self.service, Service::Tls(tls) if tls.fault.is_some())
    }

    /// Whether the client can tell where the reply ends before the server says that it sends no more.
    #[must_use]
    pub fn reply_says_its_end(&self) -> bool {
        match &self.service {
            Service::Closed => false,
            Service::Tls(tls) => matches!(tls.close, Close::Notify | Close::Wait) && tls.reply.says_its_end(),
        }
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

    /// The run that a working device passes: the right server, the right pin, the usual reply.
    #[must_use]
    pub fn honest() -> Self {
        Self {
            service: Service::Tls(Box::new(TlsService::honest())),
            device: DeviceSettings::default(),
            network: Faults::default(),
            expect: Expectation::Accepted {
                build: Build::Success,
                pin: Pin::Match,
                name: Name::Unchecked,
                dates: None,
            },
            limit: None,
        }
    }
}
