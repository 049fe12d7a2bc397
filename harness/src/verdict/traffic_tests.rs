//! What a network's record and stray bytes do to a verdict.

use std::net::{Ipv4Addr, SocketAddrV4};

use pinrig_server::StrayPlace;
use virtual_lan::{Sent, Sight};

use super::tests::{expecting, fulfilled};
use super::{Verdict, judge};
use crate::evidence::{Evidence, NetworkEvidence, StrayBytes};
use crate::scenario::{Expectation, Run};

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 10), 443);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 13, 37, 1);

fn sight(sent: Sent) -> Sight {
    Sight { sent, frames: 1 }
}

fn question(name: &str) -> Sight {
    sight(Sent::Question {
        to: SocketAddrV4::new(GATEWAY, 53),
        name: name.to_owned(),
        kind: 1,
    })
}

fn connection(port: u16, to: SocketAddrV4) -> Sight {
    sight(Sent::Tcp {
        from: SocketAddrV4::new(Ipv4Addr::new(10, 13, 37, 2), port),
        to,
        opened: 1,
        bytes: 500,
    })
}

fn discover() -> Sight {
    sight(Sent::Dhcp {
        to: SocketAddrV4::new(Ipv4Addr::BROADCAST, 67),
        kind: 1,
    })
}

/// Each expectation with evidence that fulfils it, of the network too.
fn watched() -> Vec<(Run, Evidence)> {
    let cases = fulfilled().into_iter().map(|(expect, mut evidence)| {
        let run = expecting(expect);
        let mut sent = vec![discover(), sight(Sent::Arp(GATEWAY))];
        match &run.expect {
            Expectation::NoNetwork { .. } => sent.truncate(1),
            Expectation::CommandRejected { .. } => sent.clear(),
            _ => sent.extend([
                question(&run.device.host.to_ascii_uppercase()),
                connection(50_000, SERVER),
            ]),
        }
        evidence.network = Some(NetworkEvidence {
            server: SERVER,
            gateway: GATEWAY,
            asked_for_address: !sent.is_empty(),
            sent,
        });
        (run, evidence)
    });
    cases.collect()
}

fn sent(evidence: &mut Evidence) -> &mut Vec<Sight> {
    &mut evidence.network.as_mut().expect("these cases are watched").sent
}

#[track_caller]
fn fails(run: &Run, evidence: &Evidence, quote: &str) {
    let Verdict::Failed(failure) = judge(run, evidence) else {
        panic!("{quote}: passed for {:?}", run.expect)
    };
    assert!(
        failure.findings.iter().any(|finding| finding.contains(quote)),
        "{:?}: {:?}",
        run.expect,
        failure.findings
    );
}

#[test]
fn what_the_scenario_needs_passes() {
    for (run, evidence) in watched() {
        assert_eq!(judge(&run, &evidence), Verdict::Passed, "{:?}", run.expect);
    }
}

#[test]
fn everything_else_on_the_network_is_a_finding_that_quotes_it() {
    let elsewhere = |address: &str| address.parse().expect("an address of the test");
    let foreign = [
        (connection(50_001, elsewhere("192.0.2.10:80")), "192.0.2.10:80"),
        (connection(50_001, elsewhere("198.51.100.7:443")), "198.51.100.7:443"),
        (question("telemetry.example.net"), "telemetry.example.net"),
        (
            sight(Sent::Question {
                to: elsewhere("8.8.8.8:53"),
                name: "api.github.com".to_owned(),
                kind: 1,
            }),
            "8.8.8.8:53",
        ),
        (
            sight(Sent::Dhcp {
                to: elsewhere("10.13.37.9:67"),
                kind: 3,
            }),
            "10.13.37.9:67",
        ),
        (
            sight(Sent::Datagram {
                to: elsewhere("10.13.37.1:514"),
                bytes: 5,
                beginning: b"hello".to_vec(),
            }),
            "10.13.37.1:514: `hello`",
        ),
        (
            sight(Sent::Ip {
                to: GATEWAY,
                protocol: 1,
                first: Some(8),
            }),
            "ICMP to 10.13.37.1, type 8",
        ),
        (
            sight(Sent::Frame {
                kind: Some(0x86dd),
                bytes: 86,
            }),
            "IPv6 frame of 86 bytes",
        ),
        (sight(Sent::More), "more than the record"),
    ];
    for (run, evidence) in watched() {
        for (more, quote) in &foreign {
            let mut evidence = evidence.clone();
            sent(&mut evidence).push(more.clone());
            fails(&run, &evidence, quote);
        }
    }
}

#[test]
fn a_second_connection_fails_wherever_one_is_expected_or_none() {
    for (run, mut evidence) in watched() {
        sent(&mut evidence).push(connection(50_001, SERVER));
        fails(&run, &evidence, "TCP from 10.13.37.2:50001");
    }
}

#[test]
fn a_device_that_found_nothing_must_have_looked() {
    for (run, evidence) in watched() {
        let quote = match &run.expect {
            Expectation::Unreachable { .. } => "sent nothing to look for it",
            Expectation::NoNetwork { .. } => "never asked for an address",
            _ => continue,
        };
        let mut silent = evidence.clone();
        silent
            .network
            .as_mut()
            .expect("these cases are watched")
            .asked_for_address = false;
        sent(&mut silent).clear();
        fails(&run, &silent, quote);
    }
}

#[test]
fn a_name_that_was_not_found_must_have_been_asked_for() {
    for (mut run, mut evidence) in watched() {
        let Expectation::Unreachable { reason } = &mut run.expect else {
            continue;
        };
        *reason = "dns".to_owned();
        if let Some(crate::evidence::DeviceAnswer::Result(result)) = &mut evidence.device.answer {
            result.reason = Some("dns".to_owned());
        }
        fails(&run, &evidence, "TCP from 10.13.37.2:50000");
        sent(&mut evidence).pop();
        assert_eq!(judge(&run, &evidence), Verdict::Passed);
        sent(&mut evidence).pop();
        fails(&run, &evidence, "never asked for that name");
    }
}

#[test]
fn bytes_that_nothing_asked_for_fail_everywhere() {
    for (run, mut evidence) in watched() {
        evidence.strays.push(StrayBytes {
            place: StrayPlace::AfterAlert,
            line: "#1 6 bytes after the client's alert: secret".to_owned(),
        });
        fails(&run, &evidence, "secret");
    }
}
