//! Verdicts: whether what was seen is what was expected, from both witnesses.
//!
//! What enters: an [`Expectation`] and the [`Evidence`] of device and server. What leaves: a [`Verdict`]. "Refused"
//! needs the device to say so *and* the server to have seen no application byte; no evidence is never a pass. A failing
//! scenario is a verdict, not an error.

use std::fmt;

use serde::Serialize;

use crate::evidence::ServerEvidence;
use crate::language::Fields;
use crate::scenario::{Build, Expectation, Name, Pin};

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

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The device's.
    pub device: DeviceEvidence,
    /// The server's.
    pub server: ServerEvidence,
}

/// What the device said.
#[derive(Clone, Debug, Default)]
pub struct DeviceEvidence {
    /// The human lines of the transcript.
    pub said: Vec<String>,
    /// The result line of `run`.
    pub result: Option<Fields>,
    /// The command that the console refused, and its error.
    pub rejected: Option<(String, Fields)>,
}

/// Judges `evidence` by `expectation`.
#[must_use]
pub fn judge(expectation: &Expectation, evidence: &Evidence) -> Verdict {
    let mut checks = Checks::default();
    let server = evidence.server;
    match expectation {
        Expectation::Accepted { build, pin, name } => {
            let (outcome, line) = match build {
                Build::Success => ("success", "esp8266/Arduino CI successfull!"),
                Build::Failed => ("failed", "esp8266/Arduino CI has failed"),
            };
            checks.result(&evidence.device, "outcome", outcome);
            checks.pin(&evidence.device, *pin);
            checks.name(&evidence.device, *name);
            checks.said(&evidence.device, line);
            checks.said(&evidence.device, "closing connection");
            checks.that(server.handshakes > 0, || {
                format!("the server should have completed a handshake; it saw {server}")
            });
            checks.that(server.requests == 1, || {
                format!("the server should have seen one request; it saw {server}")
            });
        }
        Expectation::Refused { reason, pin, name } => {
            checks.result(&evidence.device, "outcome", "refused");
            checks.result(&evidence.device, "reason", reason);
            // People are told the same of a wrong pin, a wrong name and wrong dates, and nothing of a certificate without proof.
            let by_certificate = *pin == Pin::Mismatch
                || *name == Name::Mismatch
                || matches!(reason.as_str(), "expired" | "not-yet-valid");
            let spoken = if by_certificate { Pin::Mismatch } else { Pin::Unchecked };
            checks.result(&evidence.device, "pin", pin.as_str());
            checks.lines(&evidence.device, spoken);
            checks.name(&evidence.device, *name);
            checks.connection_without_data(server);
        }
        Expectation::HandshakeFailed { reason, pin } => {
            checks.result(&evidence.device, "outcome", "handshake-failed");
            checks.result(&evidence.device, "reason", reason);
            checks.said(&evidence.device, "connection failed");
            checks.result(&evidence.device, "pin", pin.as_str());
            // To people nothing is said of a certificate before the handshake is over.
            checks.lines(&evidence.device, Pin::Unchecked);
            checks.connection_without_data(server);
        }
        Expectation::ResponseFailed { reason, pin } => {
            checks.result(&evidence.device, "outcome", "response-failed");
            checks.result(&evidence.device, "reason", reason);
            checks.pin(&evidence.device, *pin);
            checks.that(server.connections > 0, || {
                "the server should have seen a connection; it saw none".to_owned()
            });
        }
        Expectation::Unreachable { reason } => {
            checks.result(&evidence.device, "outcome", "connection-failed");
            checks.result(&evidence.device, "reason", reason);
            checks.said(&evidence.device, "connection failed");
            checks.pin(&evidence.device, Pin::Unchecked);
            checks.nothing(server);
        }
        Expectation::NoNetwork { reason } => {
            checks.result(&evidence.device, "outcome", "network-failed");
            checks.result(&evidence.device, "reason", reason);
            checks.nothing(server);
        }
        Expectation::CommandRejected { command, code } => {
            match &evidence.device.rejected {
                Some((_, fields)) => checks.that(fields.get("code") == Some(code), || {
                    format!(
                        "the console should have refused `{command}` with code={code}; it gave code={}",
                        fields.get("code").unwrap_or("(none)")
                    )
                }),
                None => checks.that(false, || {
                    format!("the console should have refused `{command}`; it took it")
                }),
            }
            checks.nothing(server);
        }
    }
    checks.verdict(&evidence.device)
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

    fn result(&mut self, device: &DeviceEvidence, key: &str, expected: &str) {
        let Some(result) = &device.result else {
            if self.findings.is_empty() {
                self.findings.push("the device gave no result line".to_owned());
            }
            return;
        };
        self.that(result.get(key) == Some(expected), || {
            format!(
                "the device should have ended with {key}={expected}; it ended with {key}={}",
                result.get(key).unwrap_or("(none)")
            )
        });
    }

    /// The device leaves the word out where it has not compared the name.
    fn name(&mut self, device: &DeviceEvidence, expected: Name) {
        let said = device.result.as_ref().and_then(|result| result.get("name"));
        let said = said.unwrap_or(Name::Unchecked.as_str());
        self.that(said == expected.as_str(), || {
            format!(
                "the device should have ended with name={}; it ended with name={said}",
                expected.as_str()
            )
        });
    }

    fn nothing(&mut self, server: ServerEvidence) {
        self.that(server == ServerEvidence::default(), || {
            format!("the server should have seen nothing; it saw {server}")
        });
    }

    fn connection_without_data(&mut self, server: ServerEvidence) {
        self.that(server.connections > 0, || {
            "the server should have seen the connection that came to nothing; it saw none".to_owned()
        });
        self.that(server.application_bytes == 0 && server.requests == 0, || {
            format!("the server should have seen no application byte; it saw {server}")
        });
    }

    fn said(&mut self, device: &DeviceEvidence, line: &str) {
        self.that(device.said.iter().any(|said| said == line), || {
            format!("the device should have printed `{line}`; it did not")
        });
    }

    /// The device speaks of the pin twice, for people and for machines: both must say the same, and the expected.
    fn pin(&mut self, device: &DeviceEvidence, expected: Pin) {
        self.result(device, "pin", expected.as_str());
        self.lines(device, expected);
    }

    fn lines(&mut self, device: &DeviceEvidence, expected: Pin) {
        const LINES: [(Pin, &str); 2] = [
            (Pin::Match, "certificate matches"),
            (Pin::Mismatch, "certificate doesn't match"),
        ];
        for (pin, line) in LINES {
            let said = device.said.iter().any(|said| said == line);
            self.that(said == (pin == expected), || {
                if said {
                    format!("the device should not have printed `{line}`; it did")
                } else {
                    format!("the device should have printed `{line}`; it did not")
                }
            });
        }
    }

    fn verdict(self, device: &DeviceEvidence) -> Verdict {
        if self.findings.is_empty() {
            return Verdict::Passed;
        }
        let no_network = device
            .result
            .as_ref()
            .is_some_and(|result| result.get("outcome") == Some("network-failed"));
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
            result: MachineLine::parse(&format!("@x ok run {result}")).map(|line| line.fields),
            rejected: None,
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
        silent.device.result = None;
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
