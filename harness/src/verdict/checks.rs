//! The single checks that verdicts are made of.
//!
//! What enters: one part of the evidence, and what it should be. What leaves: a finding for each thing that is not as
//! expected. Nothing here knows which expectation asks.

use super::{Blame, Failure, Verdict};
use crate::evidence::{DeviceEvidence, Evidence, ServerEvidence};
use crate::run_result::{DeviceOutcome, Name, Pin, RunResult};
use crate::scenario::DeviceSettings;

/// Stands for a field that the result does not have.
pub(super) const NONE: &str = "(none)";

/// One field of the result: `None` if it is as expected, else what is wrong.
pub(super) type FieldCheck = Option<String>;

pub(super) fn outcome_is(result: &RunResult, expected: DeviceOutcome) -> FieldCheck {
    field_is("outcome", Some(result.outcome.as_str()), expected.as_str())
}

pub(super) fn reason_is(result: &RunResult, expected: &str) -> FieldCheck {
    field_is("reason", result.reason.as_deref(), expected)
}

pub(super) fn pin_is(result: &RunResult, expected: Pin) -> FieldCheck {
    field_is("pin", result.pin.map(Pin::as_str), expected.as_str())
}

pub(super) fn name_is(result: &RunResult, expected: Name) -> FieldCheck {
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

/// Collects what was not as expected.
#[derive(Default)]
pub(super) struct Checks {
    findings: Vec<String>,
}

impl Checks {
    pub(super) fn that(&mut self, holds: bool, finding: impl FnOnce() -> String) {
        if !holds {
            self.findings.push(finding());
        }
    }

    /// Checks fields of the device's result, which must be there.
    pub(super) fn result(&mut self, device: &DeviceEvidence, fields: impl FnOnce(&RunResult) -> Vec<FieldCheck>) {
        match device.result() {
            Some(result) => self.findings.extend(fields(result).into_iter().flatten()),
            None => self.findings.push("the device gave no result line".to_owned()),
        }
    }

    pub(super) fn nothing_seen(&mut self, server: ServerEvidence) {
        self.that(server == ServerEvidence::default(), || {
            format!("the server should have seen nothing; it saw {server}")
        });
    }

    pub(super) fn connection_without_data(&mut self, server: ServerEvidence) {
        self.one_connection(server);
        self.that(server.application_bytes == 0 && server.requests == 0, || {
            format!("the server should have seen no application byte; it saw {server}")
        });
    }

    /// The device neither stays away nor tries again.
    pub(super) fn one_connection(&mut self, server: ServerEvidence) {
        self.that(server.connections == 1, || {
            format!("the server should have seen one connection; it saw {server}")
        });
    }

    /// A device that has said nothing in TLS cannot have seen a certificate.
    pub(super) fn hello(&mut self, server: ServerEvidence) {
        self.that(server.client_hellos > 0, || {
            format!("the server should have seen a ClientHello; it saw {server}")
        });
    }

    /// Every request asks for what the device was told to ask for, and no application data follows one.
    pub(super) fn requests(&mut self, wanted: &DeviceSettings, evidence: &Evidence) {
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

    pub(super) fn printed(&mut self, device: &DeviceEvidence, line: &str) {
        self.that(device.said.iter().any(|said| said == line), || {
            format!("the device should have printed `{line}`; it did not")
        });
    }

    /// The device speaks of the pin twice, for people and for machines: here, that it prints the line of `expected`
    /// and no other.
    pub(super) fn lines_about(&mut self, device: &DeviceEvidence, expected: Pin) {
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

    pub(super) fn verdict(self, device: &DeviceEvidence) -> Verdict {
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
