//! Verdicts: whether what was seen is what was expected, from both witnesses.
//!
//! What enters: a [`Run`] with its expectation, and the [`Evidence`] of device and server. What leaves: a [`Verdict`]. "Refused"
//! needs the device to say so *and* the server to have seen no application byte. Missing evidence is never a pass. A
//! failing scenario is a verdict, not an error.

mod checks;
mod certificate;
mod handshake;
mod randomness;
mod reply;
mod request;
mod traffic;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod traffic_tests;

use std::fmt;

use serde::Serialize;

use crate::evidence::{DeviceAnswer, Evidence};
use crate::run_result::{Dates, DeviceOutcome, Pin};
use crate::scenario::{Build, Expectation, Limit, Run};
use checks::{Checks, NONE, dates_is, name_is, outcome_is, pin_is, reason_is};

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

/// Judges `evidence` by what `run` expects, or by the limit that it allows.
#[must_use]
pub fn judge(run: &Run, evidence: &Evidence) -> Verdict {
    match (judge_right(run, evidence), run.at_its_limit()) {
        (Verdict::Failed(right), Some(limited)) => match judge_right(&limited, evidence) {
            // What the device has come closer to says more about what is wrong.
            Verdict::Failed(limited) if limited.findings.len() < right.findings.len() => Verdict::Failed(limited),
            Verdict::Failed(_) => Verdict::Failed(right),
            Verdict::Passed => Verdict::Passed,
        },
        (verdict, _) => verdict,
    }
}

/// The limit of the device that `evidence` shows, if a run passes only because of it.
#[must_use]
pub fn limit_shown<'a>(run: &'a Run, evidence: &Evidence) -> Option<&'a Limit> {
    let failed = matches!(judge_right(run, evidence), Verdict::Failed(_));
    run.limit.as_ref().filter(|_| failed)
}

/// Judges `evidence` by what `run` expects, without its limit.
fn judge_right(run: &Run, evidence: &Evidence) -> Verdict {
    let mut checks = Checks::default();
    let Evidence { device, server, .. } = evidence;
    let server = *server;
    match &run.expect {
        Expectation::Accepted {
            build,
            pin,
            name,
            dates,
        } => {
            let (outcome, line) = match build {
                Build::Success => (DeviceOutcome::Success, "esp8266/Arduino CI successfull!"),
                Build::Failed => (DeviceOutcome::Failed, "esp8266/Arduino CI has failed"),
            };
            let dates = dates.unwrap_or(if run.device.check_dates {
                Dates::Valid
            } else {
                Dates::Unchecked
            });
            checks.result(device, |result| {
                vec![
                    outcome_is(result, outcome),
                    pin_is(result, *pin),
                    name_is(result, *name),
                    dates_is(result, dates),
                ]
            });
            checks.lines_about(device, certificate::spoken(*pin, *name, dates));
            checks.printed(device, line);
            checks.printed(device, "closing connection");
            checks.one_connection(server);
            checks.that(server.handshakes == 1, || {
                format!("the server should have completed one handshake; it saw {server}")
            });
            checks.that(server.requests == 1, || {
                format!("the server should have seen one request; it saw {server}")
            });
            request::judge(&mut checks, &run.device, evidence);
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
            let spoken = if certificate::by_certificate(reason, *pin, *name) {
                Pin::Mismatch
            } else {
                Pin::Unchecked
            };
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
            request::judge(&mut checks, &run.device, evidence);
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
    certificate::judge(&mut checks, run, evidence);
    reply::judge(&mut checks, run, evidence);
    traffic::judge(&mut checks, run, evidence);
    handshake::judge(run, evidence, &mut checks);
    randomness::judge(evidence, &mut checks);
    checks.verdict(device)
}
