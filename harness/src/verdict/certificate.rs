//! What the device says of the certificate, against the leaf that the harness has made.
//!
//! What enters: a run with the leaf that its server shows, and the device's result. What leaves: a finding for a
//! fingerprint of another certificate, and for a guard that says something else than the outcome.

use pinrig_certs::Fingerprint;

use super::checks::{Checks, NONE};
use crate::evidence::Evidence;
use crate::run_result::{Dates, GuardResult, Name, Pin, RunResult};
use crate::scenario::{Expectation, Run};

/// Checks the fields `fingerprint` and `guard` of the device's result.
pub(super) fn judge(checks: &mut Checks, run: &Run, evidence: &Evidence) {
    let Some(result) = evidence.device.result() else { return };
    fingerprint(checks, run, result, evidence.device.reply.is_some());
    // Other firmware may have no such checks, and then says nothing of them.
    if let (Some(said), Some(wanted)) = (result.guard, guard(&run.expect)) {
        checks.that(said == wanted, || {
            format!("the device should have ended with guard={wanted}; it ended with guard={said}")
        });
    }
}

fn fingerprint(checks: &mut Checks, run: &Run, result: &RunResult, required: bool) {
    let compared = matches!(result.pin, Some(Pin::Match | Pin::Mismatch));
    match (&result.fingerprint, run.shown_leaf()) {
        (Some(said), Some(leaf)) => {
            let digests = [Fingerprint::sha1_of(&leaf), Fingerprint::sha256_of(&leaf)].map(|digest| hex(&digest));
            checks.that(digests.contains(said), || {
                let [sha1, sha256] = &digests;
                format!(
                    "the device should have ended with fingerprint={sha1} or {sha256}; it ended with fingerprint={said}"
                )
            });
        }
        (None, _) => checks.that(!(compared && required), || {
            format!("the device has compared a fingerprint; it ended with fingerprint={NONE}")
        }),
        (Some(said), None) => {
            let unseen = matches!(
                run.expect,
                Expectation::Unreachable { .. } | Expectation::NoNetwork { .. }
            );
            checks.that(!unseen, || {
                format!("the device has seen no certificate, but it ended with fingerprint={said}")
            });
        }
    }
}

/// What the device says of its own checks where this is expected.
fn guard(expect: &Expectation) -> Option<GuardResult> {
    match expect {
        Expectation::Accepted { .. } | Expectation::ResponseFailed { .. } => Some(GuardResult::Passed),
        Expectation::Refused { reason, pin, name } => Some(if by_certificate(reason, *pin, *name) {
            GuardResult::Unchecked
        } else {
            GuardResult::Refused
        }),
        Expectation::HandshakeFailed { .. } | Expectation::Unreachable { .. } | Expectation::NoNetwork { .. } => {
            Some(GuardResult::Unchecked)
        }
        Expectation::CommandRejected { .. } => None,
    }
}

/// Whether a refusal is by what the certificate says, and not by its proof. The transcript prints a line for the first.
pub(super) fn by_certificate(reason: &str, pin: Pin, name: Name) -> bool {
    pin == Pin::Mismatch || name == Name::Mismatch || matches!(reason, "expired" | "not-yet-valid")
}

/// What the transcript for people says of a certificate that was accepted: one line for a wrong pin, name or date.
pub(super) fn spoken(pin: Pin, name: Name, dates: Dates) -> Pin {
    let wrong = pin == Pin::Mismatch || name == Name::Mismatch || matches!(dates, Dates::Expired | Dates::NotYetValid);
    if wrong { Pin::Mismatch } else { pin }
}

fn hex(digest: &Fingerprint) -> String {
    digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
