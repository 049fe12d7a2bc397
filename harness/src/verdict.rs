//! Verdicts: whether what was seen is what was expected, from both witnesses.
//!
//! What enters: a [`Run`] with its expectation, and the [`Evidence`] of device and server. What leaves: a [`Verdict`]. "Refused"
//! needs the device to say so *and* the server to have seen no application byte. Missing evidence is never a pass. A
//! failing scenario is a verdict, not an error.

use std::fmt;

use serde::Serialize;

use crate::evidence::{DeviceAnswer, DeviceEvidence, Evidence, ServerEvidence};
use crate::run_result::{DeviceOutcome, Name, Pin, RunResult};
use crate::scenario::{Build, DeviceSettings, Expectation, Run};

/// How a scenario ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Both witnesses showed what was expected.
    Passed,
    /// They did not, or could not be heard.
    Failed(Failure),
}

/// Why a scenario failed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Failure {
    /// Whose fault it is.
    pub blame: Blame,
    /// Each thing that was not as expected: what was expected, what was seen.
    pub findings: Vec<String>,
}

/// Whose fault a failure is; each kind has an exit code of its own.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// The firmware did something else than it should.
    Assertion,
    /// The firmware panicked or the chip reset.
    Crash,
    /// The firmware did not answer in time.
    Hang,
    /// The image could not be put on the board.
    Flash,
    /// The bench broke: tty, server, board, files; or another firmware runs than was flashed.
    Rig,
    /// The board did not come onto its network.
    Network,
}

impl Failure {
    /// A failure with one finding.
    #[must_use]
    pub fn new(blame: Blame, finding: impl Into<String>) -> Self {
        Self {
            blame,
            findings: vec![finding.into()],
        }
    }

    /// The same failure, each of whose findings begins with `part`: `run 2: ...`.
    #[must_use]
    pub fn within(mut self, part: &str) -> Self {
        for finding in &mut self.findings {
            *finding = format!("{part}: {finding}");
        }
        self
    }
}

impl Blame {
    /// The exit code of the `pinrig` command. 0 is a pass and 2 a mistake on the command line.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Assertion => 1,
            Self::Crash => 3,
            Self::Hang => 4,
            Self::Flash => 5,
            Self::Rig => 6,
            Self::Network => 7,
        }
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Assertion => "assertion",
            Self::Crash => "crash",
            Self::Hang => "hang",
            Self::Flash => "flash",
            Self::Rig => "rig",
            Self::Network => "network",
        })
    }
}

/// Judges `evidence` by what `run` expects.
#[must_use]
pub fn judge(run: &Run, evidence: &Evidence) -> Verdict {
    let mut checks = Checks::default();
    let Evidence { device, server, .. } = evidence;
    let server = *server;
    match &run.expect {
        Expectation::Accepted { build, pin, name } => {
            let (outcome, line) = match build {
                Build::Success => (DeviceOutcome::Success, "esp8266/Arduino CI successfull!"),
                Build::Failed => (DeviceOutcome::Failed, "esp8266/Arduino CI has failed"),
            };
            checks.result(device, |result| {
                vec![
                    outcome_is(result, outcome),
                    pin_is(result, *pin),
                    name_is(result, *name),
                ]
            });
            checks.lines_about(device, *pin);
            checks.printed(device, line);
            checks.printed(device, "closing connection");
            checks.one_connection(server);
            checks.that(server.handshakes == 1, || {
                format!("the server should have completed one handshake; it saw {server}")
            });
            checks.that(server.requests == 1, || {
                format!("the server should have seen one request; it saw {server}")
            });
            checks.requests(&run.device, evidence);
        }
        Expectation::Refused { reason, pin, name } => {
            checks.result(device, |result| {
                vec![
                    outcome_is(result, DeviceOutcome::Refused),
                    reason_is(result, reason),
                    pin_is(result, *pin),
                    name_is(result, *name),
                ]
            });
            // The transcript prints one line for a wrong pin, name or date, and none for a certificate without proof.
            let by_certificate = *pin == Pin::Mismatch
                || *name == Name::Mismatch
                || matches!(reason.as_str(), "expired" | "not-yet-valid");
            let spoken = if by_certificate { Pin::Mismatch } else { Pin::Unchecked };
            checks.lines_about(device, spoken);
            checks.connection_without_data(server);
            checks.hello(server);
        }
        Expectation::HandshakeFailed { reason, pin } => {
            checks.result(device, |result| {
                vec![
                    outcome_is(result, DeviceOutcome::HandshakeFailed),
                    reason_is(result, reason),
                    pin_is(result, *pin),
                ]
            });
            checks.printed(device, "connection failed");
            // The transcript prints nothing about a certificate before the handshake is over.
            checks.lines_about(device, Pin::Unchecked);
            checks.connection_without_data(server);
            if !run.resets_at_once() {
                checks.hello(server);
            }
        }
        Expectation::ResponseFailed { reason, pin } => {
            checks.result(device, |result| {
                vec![
                    outcome_is(result, DeviceOutcome::ResponseFailed),
                    reason_is(result, reason),
                    pin_is(result, *pin),
                ]
            });
            checks.lines_about(device, *pin);
            checks.one_connection(server);
            if run.has_honest_handshake() {
                checks.that(server.handshakes == 1, || {
                    format!("the server should have completed one handshake; it saw {server}")
                });
            } else {
                checks.hello(server);
            }
            checks.that(server.requests <= 1, || {
                format!("the server should have seen one request at most; it saw {server}")
            });
            checks.requests(&run.device, evidence);
        }
        Expectation::Unreachable { reason } => {
            checks.result(device, |result| {
                vec![
                    outcome_is(result, DeviceOutcome::ConnectionFailed),
                    reason_is(result, reason),
                    pin_is(result, Pin::Unchecked),
                ]
            });
            checks.printed(device, "connection failed");
            checks.lines_about(device, Pin::Unchecked);
            checks.nothing_seen(server);
        }
        Expectation::NoNetwork { reason } => {
            checks.result(device, |result| {
                vec![
                    outcome_is(result, DeviceOutcome::NetworkFailed),
                    reason_is(result, reason),
                ]
            });
            checks.nothing_seen(server);
        }
        Expectation::CommandRejected { command, code } => {
            match &device.answer {
                Some(DeviceAnswer::Rejected(rejection)) => checks.that(rejection.code.as_ref() == Some(code), || {
                    format!(
                        "the console should have refused `{command}` with code={code}; it gave code={}",
                        rejection.code.as_deref().unwrap_or(NONE)
                    )
                }),
                Some(DeviceAnswer::Result(_)) | None => checks.that(false, || {
                    format!("the console should have refused `{command}`; it took it")
                }),
            }
            checks.nothing_seen(server);
        }
    }
    checks.verdict(device)
}

/// Stands for a field that the result does not have.
const NONE: &str = "(none)";

/// One field of the result: `None` if it is as expected, else what is wrong.
type FieldCheck = Option<String>;

fn outcome_is(result: &RunResult, expected: DeviceOutcome) -> FieldCheck {
    field_is("outcome", Some(result.outcome.as_str()), expected.as_str())
}

fn reason_is(result: &RunResult, expected: &str) -> FieldCheck {
    field_is("reason", result.reason.as_deref(), expected)
}

fn pin_is(result: &RunResult, expected: Pin) -> FieldCheck {
    field_is("pin", result.pin.map(Pin::as_str), expected.as_str())
}

fn name_is(result: &RunResult, expected: Name) -> FieldCheck {
    field_is("name", Some(result.name.as_str()), expected.as_str())
}

fn field_is(key: &str, said: Option<&str>, expected: &str) -> FieldCheck {
    (said != Some(expected)).then(|| {
        let said = said.unwrap_or(NONE);
        format!("the device should have ended with {key}={expected}; it ended with {key}={said}")
    })
}

/// The value of a header line, if it has this name.
fn header<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (found, value) = line.split_once(':')?;
    found.eq_ignore_ascii_case(name).then(|| value.trim())
}

#[derive(Default)]
struct Checks {
    findings: Vec<String>,
}

impl Checks {
    fn that(&mut self, holds: bool, finding: impl FnOnce() -> String) {
        if !holds {
            self.findings.push(finding());
        }
    }

    /// Checks fields of the device's result, which must be there.
    fn result(&mut self, device: &DeviceEvidence, fields: impl FnOnce(&RunResult) -> Vec<FieldCheck>) {
        match device.result() {
            Some(result) => self.findings.extend(fields(result).into_iter().flatten()),
            None => self.findings.push("the device gave no result line".to_owned()),
        }
    }

    fn nothing_seen(&mut self, server: ServerEvidence) {
        self.that(server == ServerEvidence::default(), || {
            format!("the server should have seen nothing; it saw {server}")
        });
    }

    fn connection_without_data(&mut self, server: ServerEvidence) {
        self.one_connection(server);
        self.that(server.application_bytes == 0 && server.requests == 0, || {
            format!("the server should have seen no application byte; it saw {server}")
        });
    }

    /// The device neither stays away nor tries again.
    fn one_connection(&mut self, server: ServerEvidence) {
        self.that(server.connections == 1, || {
            format!("the server should have seen one connection; it saw {server}")
        });
    }

    /// A device that has said nothing in TLS cannot have seen a certificate.
    fn hello(&mut self, server: ServerEvidence) {
        self.that(server.client_hellos > 0, || {
            format!("the server should have seen a ClientHello; it saw {server}")
        });
    }

    /// Every request asks for what the device was told to ask for, and no application data follows one.
    fn requests(&mut self, wanted: &DeviceSettings, evidence: &Evidence) {
        let request_line = format!("GET {} HTTP/1.1", wanted.path);
        for lines in &evidence.requests {
            let first = lines.first().map_or(NONE, String::as_str);
            self.that(first == request_line, || {
                format!("the server should have seen the request `{request_line}`; it saw `{first}`")
            });
            let hosts: Vec<&str> = lines.iter().filter_map(|line| header(line, "host")).collect();
            self.that(hosts == [wanted.host.as_str()], || {
                format!(
                    "the request should have named the host `{}` once; it named `{}`",
                    wanted.host,
                    hosts.join("`, `")
                )
            });
        }
        let server = evidence.server;
        self.that(
            server.requests == 0 || server.application_bytes == server.request_bytes,
            || {
                format!(
                    "the device should have sent nothing but its request of {} bytes; it sent {}",
                    server.request_bytes, server.application_bytes
                )
            },
        );
    }

    fn printed(&mut self, device: &DeviceEvidence, line: &str) {
        self.that(device.said.iter().any(|said| said == line), || {
            format!("the device should have printed `{line}`; it did not")
        });
    }

    /// The device speaks of the pin twice, for people and for machines: here, that it prints the line of `expected`
    /// and no other.
    fn lines_about(&mut self, device: &DeviceEvidence, expected: Pin) {
        const LINES: [(Pin, &str); 2] = [
            (Pin::Match, "certificate matches"),
            (Pin::Mismatch, "certificate doesn't match"),
        ];
        for (pin, line) in LINES {
            if pin == expected {
                self.printed(device, line);
            } else {
                self.that(!device.said.iter().any(|said| said == line), || {
                    format!("the device should not have printed `{line}`; it did")
                });
            }
        }
    }

    fn verdict(self, device: &DeviceEvidence) -> Verdict {
        if self.findings.is_empty() {
            return Verdict::Passed;
        }
        let no_network = device
            .result()
            .is_some_and(|result| result.outcome == DeviceOutcome::NetworkFailed);
        Verdict::Failed(Failure {
            blame: if no_network { Blame::Network } else { Blame::Assertion },
            findings: self.findings,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Rejection;
    use crate::language::MachineLine;

    fn expecting(expect: Expectation) -> Run {
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
        }
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
    fn fulfilled() -> Vec<(Expectation, Evidence)> {
        let case = |expect, device, (server, requests)| {
            (
                expect,
                Evidence {
                    device,
                    server,
                    requests,
                },
            )
        };
        vec![
            case(
                Expectation::Accepted {
                    build: Build::Success,
                    pin: Pin::Match,
                    name: Name::Match,
                },
                device(
                    "outcome=success pin=match name=match",
                    &[
                        "certificate matches",
                        "esp8266/Arduino CI successfull!",
                        "closing connection",
                    ],
                ),
                server(1, 1, 1, 1),
            ),
            case(
                Expectation::Refused {
                    reason: "pin-mismatch".into(),
                    pin: Pin::Mismatch,
                    name: Name::Match,
                },
                device(
                    "outcome=refused reason=pin-mismatch pin=mismatch name=match",
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
                    "outcome=handshake-failed reason=bad-finished pin=match",
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
                    "outcome=response-failed reason=truncated pin=match",
                    &["certificate matches"],
                ),
                server(1, 1, 1, 1),
            ),
            case(
                Expectation::Unreachable {
                    reason: "tcp-refused".into(),
                },
                device(
                    "outcome=connection-failed reason=tcp-refused pin=unchecked",
                    &["connection failed"],
                ),
                server(0, 0, 0, 0),
            ),
            case(
                Expectation::NoNetwork { reason: "dhcp".into() },
                device("outcome=network-failed reason=dhcp", &[]),
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

    const SPOILS: [Spoil; 18] = [
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
}
