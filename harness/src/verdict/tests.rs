//! Each expectation with evidence that fulfils it, and with one thing of it spoilt.

use super::*;
use crate::evidence::{Client, DeviceAnswer, DeviceEvidence, PrintedReply, Rejection, ReplyMark, ServerEvidence};
use crate::language::MachineLine;
use crate::run_result::{GuardResult, Name, RunResult};

pub(super) fn expecting(expect: Expectation) -> Run {
    Run {
        expect,
        ..Run::honest()
    }
}

fn device(result: &str, said: &[&str]) -> DeviceEvidence {
    DeviceEvidence {
        said: said.iter().map(|&line| line.to_owned()).collect(),
        answer: MachineLine::parse(&format!("@x ok run {result}"))
            .map(|line| DeviceAnswer::Result(RunResult::read(&line.fields).unwrap())),
        reply: Some(PrintedReply::default()),
    }
}

/// The result with the fingerprint of the leaf that an honest server shows.
fn leaf(result: &str) -> String {
    let leaf = Run::honest().shown_leaf().expect("an honest server shows its leaf");
    let digits: String = pinrig_certs::Fingerprint::sha1_of(&leaf)
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{result} fingerprint={digits}")
}

/// The device has printed the honest server's reply.
fn with_reply(mut device: DeviceEvidence) -> DeviceEvidence {
    let crate::scenario::Service::Tls(tls) = Run::honest().service else {
        panic!("an honest run has a server")
    };
    let body = tls.reply.received_body(false).expect("the reply is whole");
    if let Some(DeviceAnswer::Result(result)) = &mut device.answer {
        result.body = Some(body.len() as u64);
    }
    device.reply = Some(PrintedReply {
        marks: vec![ReplyMark::Begin, ReplyMark::End],
        text: String::from_utf8(body)
            .expect("GitHub replies in UTF-8")
            .replace('\n', ""),
    });
    device
}

/// A server that has seen so much, with the request that an honest device sends.
fn server(
    connections: usize,
    client_hellos: usize,
    handshakes: usize,
    requests: usize,
) -> (ServerEvidence, Vec<Vec<String>>) {
    let run = Run::honest();
    let lines = vec![
        format!("GET {} HTTP/1.1", run.device.path),
        format!("Host: {}", run.device.host),
        "User-Agent: BuildFailureDetectorESP8266".to_owned(),
        "Connection: close".to_owned(),
    ];
    let bytes = 90 * requests as u64;
    let counts = ServerEvidence {
        connections,
        client_hellos,
        handshakes,
        requests,
        request_bytes: bytes,
        application_bytes: bytes,
    };
    (counts, vec![lines; requests])
}

/// Each of the seven expectations, with evidence that fulfils it.
pub(super) fn fulfilled() -> Vec<(Expectation, Evidence)> {
    let case = |expect, device, (server, requests): (ServerEvidence, _)| {
        let client = Client {
            server_names: vec![Some(Run::honest().device.host)],
            alerts: match &expect {
                Expectation::Refused { .. } => vec!["bad_certificate".to_owned()],
                _ => Vec::new(),
            },
            offers_tls_1_3: true,
            close_notify: matches!(expect, Expectation::Accepted { .. }),
            ..Client::default()
        };
        (
            expect,
            Evidence {
                device,
                clients: vec![client; server.client_hellos],
                server,
                requests,
                ..Evidence::default()
            },
        )
    };
    vec![
        case(
            Expectation::Accepted {
                build: Build::Success,
                pin: Pin::Match,
                name: Name::Match,
                dates: None,
            },
            with_reply(device(
                &leaf("outcome=success pin=match name=match guard=passed"),
                &[
                    "certificate matches",
                    "esp8266/Arduino CI successfull!",
                    "closing connection",
                ],
            )),
            server(1, 1, 1, 1),
        ),
        case(
            Expectation::Refused {
                reason: "pin-mismatch".into(),
                pin: Pin::Mismatch,
                name: Name::Match,
            },
            device(
                &leaf("outcome=refused reason=pin-mismatch pin=mismatch name=match guard=unchecked"),
                &["certificate doesn't match"],
            ),
            server(1, 1, 0, 0),
        ),
        case(
            Expectation::HandshakeFailed {
                reason: "bad-finished".into(),
                pin: Pin::Match,
            },
            device(
                &leaf("outcome=handshake-failed reason=bad-finished pin=match guard=unchecked"),
                &["connection failed"],
            ),
            server(1, 1, 0, 0),
        ),
        case(
            Expectation::ResponseFailed {
                reason: "truncated".into(),
                pin: Pin::Match,
            },
            device(
                &leaf("outcome=response-failed reason=truncated pin=match guard=passed"),
                &["certificate matches"],
            ),
            server(1, 1, 1, 1),
        ),
        case(
            Expectation::Unreachable {
                reason: "tcp-refused".into(),
            },
            device(
                "outcome=connection-failed reason=tcp-refused pin=unchecked guard=unchecked",
                &["connection failed"],
            ),
            server(0, 0, 0, 0),
        ),
        case(
            Expectation::NoNetwork { reason: "dhcp".into() },
            device("outcome=network-failed reason=dhcp guard=unchecked", &[]),
            server(0, 0, 0, 0),
        ),
        case(
            Expectation::CommandRejected {
                command: "set pin".into(),
                code: "bad-pin".into(),
            },
            DeviceEvidence {
                said: Vec::new(),
                answer: Some(DeviceAnswer::Rejected(Rejection {
                    command: "set pin 00".into(),
                    code: Some("bad-pin".into()),
                    detail: None,
                })),
                reply: Some(PrintedReply::default()),
            },
            server(0, 0, 0, 0),
        ),
    ]
}

/// A way to spoil evidence, by name; `false` where there is nothing to spoil.
type Spoil = (&'static str, fn(&mut Evidence) -> bool);

fn result(evidence: &mut Evidence) -> Option<&mut RunResult> {
    match &mut evidence.device.answer {
        Some(DeviceAnswer::Result(result)) => Some(result),
        _ => None,
    }
}

const SPOILS: [Spoil; 28] = [
    ("no answer", |evidence| evidence.device.answer.take().is_some()),
    ("another outcome", |evidence| {
        let Some(result) = result(evidence) else { return false };
        result.outcome = match result.outcome {
            DeviceOutcome::Refused => DeviceOutcome::HandshakeFailed,
            _ => DeviceOutcome::Refused,
        };
        true
    }),
    ("another reason", |evidence| {
        let Some(reason) = result(evidence).and_then(|result| result.reason.as_mut()) else {
            return false;
        };
        reason.push('x');
        true
    }),
    ("another pin", |evidence| {
        let Some(pin) = result(evidence).and_then(|result| result.pin.as_mut()) else {
            return false;
        };
        *pin = if *pin == Pin::Match { Pin::Mismatch } else { Pin::Match };
        true
    }),
    ("no pin", |evidence| {
        result(evidence).is_some_and(|result| result.pin.take().is_some())
    }),
    ("another name", |evidence| {
        let Some(result) = result(evidence).filter(|result| result.name == Name::Match) else {
            return false;
        };
        result.name = Name::Unchecked;
        true
    }),
    ("another code", |evidence| match &mut evidence.device.answer {
        Some(DeviceAnswer::Rejected(rejection)) => rejection.code.replace("bad-value".into()).is_some(),
        _ => false,
    }),
    ("nothing for people", |evidence| {
        let spoken = !evidence.device.said.is_empty();
        evidence.device.said.clear();
        spoken
    }),
    ("a line that is not true", |evidence| {
        let Some(pin) = result(evidence).and_then(|result| result.pin) else {
            return false;
        };
        let line = if pin == Pin::Match {
            "certificate doesn't match"
        } else {
            "certificate matches"
        };
        evidence.device.said.push(line.into());
        true
    }),
    ("another fingerprint", |evidence| {
        let digits = result(evidence).and_then(|result| result.fingerprint.as_mut());
        digits.map(|digits| *digits = "00".repeat(20)).is_some()
    }),
    ("no fingerprint", |evidence| {
        result(evidence).is_some_and(|result| result.fingerprint.take().is_some())
    }),
    ("another guard", |evidence| {
        let Some(result) = result(evidence).filter(|result| result.guard.is_some()) else {
            return false;
        };
        result.guard = Some(match result.guard {
            Some(GuardResult::Passed) => GuardResult::Unchecked,
            _ => GuardResult::Passed,
        });
        true
    }),
    ("no end mark", |evidence| {
        evidence
            .device
            .reply
            .as_mut()
            .is_some_and(|reply| reply.marks.pop().is_some())
    }),
    ("no marks", |evidence| {
        evidence
            .device
            .reply
            .as_mut()
            .is_some_and(|reply| !std::mem::take(&mut reply.marks).is_empty())
    }),
    ("marks the wrong way round", |evidence| {
        let Some(reply) = evidence.device.reply.as_mut() else {
            return false;
        };
        reply.marks.reverse();
        !reply.marks.is_empty()
    }),
    ("another text between the marks", |evidence| {
        let reply = evidence.device.reply.as_mut();
        reply.is_some_and(|reply| reply.text.pop().is_some())
    }),
    ("another size of the body", |evidence| {
        let body = result(evidence).and_then(|result| result.body.as_mut());
        body.map(|body| *body += 1).is_some()
    }),
    ("one header more", |evidence| {
        let lines = evidence.requests.first_mut();
        lines.map(|lines| lines.push("X-Serial: 0123".into())).is_some()
    }),
    ("one header less", |evidence| {
        let lines = evidence.requests.first_mut();
        lines.map(|lines| lines.truncate(3)).is_some()
    }),
    ("one connection more", |evidence| {
        evidence.server.connections += 1;
        true
    }),
    ("no connection", |evidence| {
        std::mem::take(&mut evidence.server.connections) > 0
    }),
    ("no ClientHello", |evidence| {
        // With a handshake there has been one.
        evidence.server.handshakes == 0 && std::mem::take(&mut evidence.server.client_hellos) > 0
    }),
    ("no handshake", |evidence| {
        std::mem::take(&mut evidence.server.handshakes) > 0
    }),
    ("one request more", |evidence| {
        evidence.server.requests += 1;
        true
    }),
    ("one byte more", |evidence| {
        evidence.server.application_bytes += 1;
        true
    }),
    ("another path", |evidence| {
        let line = evidence.requests.first_mut().and_then(|lines| lines.first_mut());
        line.map(|line| *line = "GET / HTTP/1.1".into()).is_some()
    }),
    ("another method", |evidence| {
        let line = evidence.requests.first_mut().and_then(|lines| lines.first_mut());
        line.map(|line| *line = line.replace("GET", "POST")).is_some()
    }),
    ("another host", |evidence| {
        let line = evidence.requests.first_mut().and_then(|lines| lines.get_mut(1));
        line.map(|line| line.push('x')).is_some()
    }),
];

#[test]
fn evidence_that_fulfils_an_expectation_passes_and_fails_with_one_thing_spoilt() {
    let mut spoilt = [0; SPOILS.len()];
    for (expect, evidence) in fulfilled() {
        let run = expecting(expect);
        assert_eq!(judge(&run, &evidence), Verdict::Passed, "{:?}", run.expect);
        for ((name, spoil), count) in SPOILS.iter().zip(&mut spoilt) {
            let mut evidence = evidence.clone();
            if spoil(&mut evidence) {
                *count += 1;
                assert!(
                    matches!(judge(&run, &evidence), Verdict::Failed(_)),
                    "{name}: {:?}",
                    run.expect
                );
            }
        }
    }
    assert!(spoilt.iter().all(|count| *count > 0), "{spoilt:?}");
}

#[test]
fn no_evidence_is_never_a_pass() {
    for (expect, _) in fulfilled() {
        let run = expecting(expect);
        assert!(
            matches!(judge(&run, &Evidence::default()), Verdict::Failed(_)),
            "{:?}",
            run.expect
        );
    }
}

#[test]
fn a_response_can_fail_before_the_request_is_there() {
    let (expect, mut evidence) = fulfilled().swap_remove(3);
    (evidence.server, evidence.requests) = server(1, 1, 1, 0);
    assert_eq!(judge(&expecting(expect), &evidence), Verdict::Passed);
}

#[test]
fn two_voices_that_differ_are_two_findings() {
    let (expect, mut evidence) = fulfilled().swap_remove(0);
    evidence.device.said[0] = "certificate doesn't match".into();
    let Verdict::Failed(failure) = judge(&expecting(expect), &evidence) else {
        panic!("must fail")
    };
    assert_eq!(failure.findings.len(), 2, "{:?}", failure.findings);
}

#[test]
fn a_board_without_network_is_not_an_assertion() {
    let (expect, _) = fulfilled().swap_remove(0);
    let evidence = Evidence {
        device: device("outcome=network-failed", &[]),
        ..Evidence::default()
    };
    let Verdict::Failed(failure) = judge(&expecting(expect), &evidence) else {
        panic!("must fail")
    };
    assert_eq!(failure.blame, Blame::Network);
}

#[test]
fn a_right_pin_with_wrong_dates_is_told_to_people_and_to_machines() {
    let (mut expect, mut evidence) = fulfilled().swap_remove(0);
    let Expectation::Accepted { dates, .. } = &mut expect else {
        panic!("the first case is accepted")
    };
    *dates = Some(Dates::Expired);
    let run = expecting(expect);
    assert!(
        matches!(judge(&run, &evidence), Verdict::Failed(_)),
        "it says nothing of dates"
    );
    result(&mut evidence).expect("there is a result").dates = Dates::Expired;
    assert!(
        matches!(judge(&run, &evidence), Verdict::Failed(_)),
        "people are told that it matches"
    );
    evidence.device.said[0] = "certificate doesn't match".into();
    assert_eq!(judge(&run, &evidence), Verdict::Passed);
}

#[test]
fn a_limit_passes_beside_what_is_right_and_nothing_else_does() {
    let run = |accepted: Expectation, failed: Expectation| Run {
        limit: Some(Limit {
            why: "it cannot".into(),
            expect: failed,
        }),
        ..expecting(accepted)
    };
    let cases = fulfilled();
    let [accepted, refused, failed] = &cases[..3] else {
        panic!("three are expected")
    };
    let run = run(accepted.0.clone(), failed.0.clone());
    assert_eq!(judge(&run, &accepted.1), Verdict::Passed);
    assert_eq!(limit_shown(&run, &accepted.1), None);
    assert_eq!(judge(&run, &failed.1), Verdict::Passed);
    assert_eq!(limit_shown(&run, &failed.1), run.limit.as_ref());
    assert!(matches!(judge(&run, &refused.1), Verdict::Failed(_)));
    assert!(matches!(judge(&run, &Evidence::default()), Verdict::Failed(_)));
}
