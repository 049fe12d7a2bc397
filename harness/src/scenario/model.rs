//! A scenario: what is served, what the device is told, and what both must then show.
//!
//! Plain values, which the reader of scenario files makes and the rest of the harness reads.

use pinrig_server::{Fault, FaultKind, Handshake, Message, PlannedStep, RogueHandshake, When};
use virtual_lan::Faults;

use super::device::DeviceSettings;
use super::expect::{Build, Expectation, Name, Pin};
use super::server::{Service, TlsService};

/// How many runs of a soak test a device may take to reach its usual use of memory.
pub const SOAK_WARM_UP: u32 = 10;

/// One test.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's path below the scenarios folder without its ending: `pin/matches`.
    pub name: String,
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

impl Run {
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
        }
    }
}
