//! Traffic that is not the scenario's: whatever else the device sent, on its network and to the server.
//!
//! What enters: a run, the record of the device's network where there is one, and the server's lines about bytes without
//! a reason. What leaves: a finding for each thing that the run does not allow, which quotes it. A device that says that
//! it found no server, or no network, must be seen to have looked for one.

use pinrig_server::StrayPlace;
use virtual_lan::{Sent, Sight};

use super::checks::Checks;
use crate::evidence::{Evidence, NetworkEvidence, StrayBytes};
use crate::scenario::{Expectation, Run};

/// ICMP and its message "destination unreachable", with which a station answers a datagram that it did not wait for
/// (RFC 1122 section 3.2.2.1).
const ICMP: (u8, u8) = (1, 3);

/// Checks all that the device sent in a run.
pub(super) fn judge(checks: &mut Checks, run: &Run, evidence: &Evidence) {
    for stray in evidence.strays.iter().filter(|stray| !may_come(stray, run, evidence)) {
        checks.that(false, || {
            format!("the device sent bytes that nothing asked for: `{}`", stray.line)
        });
    }
    // No network, no second witness. A report says that it is missing.
    let Some(network) = &evidence.network else { return };
    let judged = Judged::of(run, network);
    for sight in &judged.foreign {
        checks.that(false, || {
            format!("the device sent what the scenario does not have: {sight}")
        });
    }
    if evidence.device.result().is_some() {
        judged.agrees(checks, run);
    }
}

/// A server that has spoilt its own handshake cannot read the request of a device that had every reason to send one.
fn may_come(stray: &StrayBytes, run: &Run, evidence: &Evidence) -> bool {
    matches!(run.expect, Expectation::ResponseFailed { .. })
        && !run.has_honest_handshake()
        && evidence.server.handshakes == 0
        && stray.place == StrayPlace::AfterFailure
}

/// A network's record, sorted.
#[derive(Default)]
struct Judged<'a> {
    /// Not allowed.
    foreign: Vec<&'a Sight>,
    /// Connections to the scenario's server that were asked for.
    connections: Vec<&'a Sight>,
    /// Questions for the scenario's host.
    questions: usize,
    /// Whether the device has asked for an address, now or before.
    asked_for_address: bool,
    /// Any frame that looks for the resolver or the server.
    looked: bool,
}

impl<'a> Judged<'a> {
    fn of(run: &Run, network: &'a NetworkEvidence) -> Self {
        let mut judged = Self {
            asked_for_address: network.asked_for_address,
            ..Self::default()
        };
        // In DNS the root's dot is always there, written or not, and capitals make no difference (RFC 4343).
        let host = run.device.host.trim_end_matches('.');
        let may_connect = !matches!(
            run.expect,
            Expectation::NoNetwork { .. } | Expectation::CommandRejected { .. }
        );
        let of_gateway = |to: &std::net::SocketAddrV4| *to.ip() == network.gateway;
        for sight in &network.sent {
            let allowed = match &sight.sent {
                Sent::Arp(_) => {
                    judged.looked = true;
                    true
                }
                Sent::Dhcp { to, .. } => of_gateway(to) || to.ip().is_broadcast(),
                Sent::Question { to, name, .. } => {
                    let for_host = run.device.host_is_asked_for() && name.eq_ignore_ascii_case(host);
                    judged.questions += usize::from(for_host);
                    judged.looked |= for_host;
                    may_connect && for_host && of_gateway(to)
                }
                Sent::Tcp { to, opened, .. } => {
                    let to_server = *to == network.server;
                    if to_server && *opened > 0 {
                        judged.connections.push(sight);
                        judged.looked = true;
                    }
                    // The last segments of an earlier run's connection may come in this one.
                    to_server && (may_connect || *opened == 0)
                }
                Sent::Ip {
                    protocol,
                    first: Some(kind),
                    to,
                } => (*protocol, *kind) == ICMP && *to == network.gateway,
                Sent::Ip { .. } | Sent::Datagram { .. } | Sent::Frame { .. } | Sent::More => false,
            };
            if !allowed {
                judged.foreign.push(sight);
            }
        }
        judged
    }

    /// Checks that the device did what its result says.
    fn agrees(&self, checks: &mut Checks, run: &Run) {
        let wanted = match &run.expect {
            Expectation::Accepted { .. }
            | Expectation::Refused { .. }
            | Expectation::HandshakeFailed { .. }
            | Expectation::ResponseFailed { .. } => 1..=1,
            Expectation::Unreachable { reason } => match reason.as_str() {
                "dns" => 0..=0,
                "tcp-refused" | "tcp-reset" => 1..=1,
                // What came too late may be the answer of the resolver or of the server.
                _ => 0..=1,
            },
            Expectation::NoNetwork { .. } | Expectation::CommandRejected { .. } => 0..=0,
        };
        checks.that(wanted.contains(&self.connections.len()), || {
            let list: Vec<String> = self.connections.iter().map(ToString::to_string).collect();
            format!(
                "the network should have seen {} connection(s) to the server; it saw {}: {}",
                wanted.end(),
                list.len(),
                list.join("; ")
            )
        });
        match &run.expect {
            Expectation::Unreachable { reason } if reason == "dns" && run.device.host_is_asked_for() => {
                checks.that(self.questions > 0, || {
                    format!(
                        "the device says that it did not find `{}`, but it never asked for that name",
                        run.device.host
                    )
                });
            }
            Expectation::Unreachable { .. } => checks.that(self.looked, || {
                "the device says that it did not reach the server, but it sent nothing to look for it".to_owned()
            }),
            Expectation::NoNetwork { .. } => checks.that(self.asked_for_address, || {
                "the device says that it has no network, but it never asked for an address".to_owned()
            }),
            _ => {}
        }
    }
}
