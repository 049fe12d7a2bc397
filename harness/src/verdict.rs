//! Verdicts: whether what was seen is what was expected, from both witnesses.
//!
//! What enters: an [`Expectation`] and the [`Evidence`] of device and server. What leaves: a [`Verdict`]. "Refused"
//! needs the device to say so *and* the server to have seen no application byte. Missing evidence is never a pass. A
//! failing scenario is a verdict, not an error.

use std::fmt;

use serde::Serialize;

use crate::evidence::{DeviceAnswer, DeviceEvidence, Evidence, ServerEvidence};
use crate::run_result::{DeviceOutcome, Name, Pin, RunResult};
use crate::scenario::{Build, Expectation};

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

/// Judges `evidence` by `expectation`.
#[must_use]
pub fn judge(expectation: &Expectation, evidence: &Evidence) -> Verdict {
    let mut checks = Checks::default();
    let Evidence { device, server } = evidence;
    let server = *server;
    match expectation {
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
            checks.that(server.handshakes > 0, || {
                format!("the server should have completed a handshake; it saw {server}")
            });
            checks.that(server.requests == 1, || {
                format!("the server should have seen one request; it saw {server}")
            });
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
            checks.that(server.connections > 0, || {
                "the server should have seen a connection; it saw none".to_owned()
            });
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
        self.that(server.connections > 0, || {
            "the server should have seen the connection that the device gave up; it saw none".to_owned()
        });
        self.that(server.application_bytes == 0 && server.requests == 0, || {
            format!("the server should have seen no application byte; it saw {server}")
        });
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
    use crate::language::MachineLine;

    fn device(result: &str, said: &[&str]) -> DeviceEvidence {
        DeviceEvidence {
            said: said.iter().map(|&line| line.to_owned()).collect(),
            answer: MachineLine::parse(&format!("@x ok run {result}"))
                .map(|line| DeviceAnswer::Result(RunResult::read(&line.fields).unwrap())),
        }
    }

    const REFUSED: Expectation = Expectation::Refused {
        reason: String::new(),
        pin: Pin::Mismatch,
        name: Name::Unchecked,
    };

    fn refused_evidence() -> Evidence {
        Evidence {
            device: device(
                "outcome=refused reason= pin=mismatch name=unchecked",
                &["certificate doesn't match"],
            ),
            server: ServerEvidence {
                connections: 1,
                handshakes: 0,
                requests: 0,
                application_bytes: 0,
            },
        }
    }

    #[test]
    fn a_refusal_needs_both_witnesses() {
        assert_eq!(judge(&REFUSED, &refused_evidence()), Verdict::Passed);

        let mut leaked = refused_evidence();
        leaked.server.application_bytes = 1;
        let mut unseen = refused_evidence();
        unseen.server.connections = 0;
        let mut silent = refused_evidence();
        silent.device.answer = None;
        let mut unsaid = refused_evidence();
        unsaid.device.said.clear();
        for (name, evidence) in [
            ("leaked", leaked),
            ("unseen", unseen),
            ("silent", silent),
            ("unsaid", unsaid),
        ] {
            assert!(matches!(judge(&REFUSED, &evidence), Verdict::Failed(_)), "{name}");
        }
    }

    #[test]
    fn no_evidence_is_never_a_pass() {
        let nothing = Evidence::default();
        for expectation in [
            Expectation::Accepted {
                build: Build::Success,
                pin: Pin::Match,
                name: Name::Unchecked,
            },
            REFUSED,
            Expectation::HandshakeFailed {
                reason: "eof".into(),
                pin: Pin::Unchecked,
            },
            Expectation::ResponseFailed {
                reason: "eof".into(),
                pin: Pin::Match,
            },
            Expectation::NoNetwork { reason: "dhcp".into() },
            Expectation::Unreachable {
                reason: "tcp-refused".into(),
            },
            Expectation::CommandRejected {
                command: "set pin".into(),
                code: "bad-pin".into(),
            },
        ] {
            assert!(
                matches!(judge(&expectation, &nothing), Verdict::Failed(_)),
                "{expectation:?}"
            );
        }
    }

    #[test]
    fn two_voices_that_differ_are_found() {
        let expectation = Expectation::Accepted {
            build: Build::Success,
            pin: Pin::Match,
            name: Name::Unchecked,
        };
        let evidence = Evidence {
            device: device(
                "outcome=success pin=match name=unchecked",
                &[
                    "certificate doesn't match",
                    "esp8266/Arduino CI successfull!",
                    "closing connection",
                ],
            ),
            server: ServerEvidence {
                connections: 1,
                handshakes: 1,
                requests: 1,
                application_bytes: 90,
            },
        };
        let Verdict::Failed(failure) = judge(&expectation, &evidence) else {
            panic!("must fail")
        };
        assert_eq!(failure.findings.len(), 2, "{:?}", failure.findings);
    }

    #[test]
    fn a_board_without_network_is_not_an_assertion() {
        let expectation = Expectation::Accepted {
            build: Build::Success,
            pin: Pin::Match,
            name: Name::Unchecked,
        };
        let evidence = Evidence {
            device: device("outcome=network-failed", &[]),
            ..Evidence::default()
        };
        let Verdict::Failed(failure) = judge(&expectation, &evidence) else {
            panic!("must fail")
        };
        assert_eq!(failure.blame, Blame::Network);
    }
}
