//! The product of a refusal and the ways in which a device can be told to check: each digest of the pin, with each policy.
//!
//! What enters: a scenario as its file describes it. What leaves: the [`Variant`]s in which it must end the same. What a file itself
//! says of digest and policy stays as it says.

use super::device::{Digest, OnMismatch, Open};
use super::expect::{Expectation, Name, Pin};
use super::model::{Scenario, Variant};

/// The folders whose refusals are about the server's identity.
const FOLDERS: [&str; 5] = ["auth", "name", "pin", "server", "validity"];

/// The reasons that the policy decides about: under `continue` the device goes on.
const POLICY_REASONS: [&str; 4] = ["pin-mismatch", "name-mismatch", "expired", "not-yet-valid"];

/// The variants of a scenario: none unless it expects a refusal and is in one of the [`FOLDERS`].
pub(super) fn variants(scenario: &Scenario, open: Open) -> Vec<Variant> {
    let folder = scenario.name.split('/').next().unwrap_or_default();
    let refuses = |expect: &Expectation| {
        matches!(
            expect,
            Expectation::Refused { .. } | Expectation::HandshakeFailed { .. }
        )
    };
    let runs = &scenario.runs;
    if !FOLDERS.contains(&folder) || !runs.iter().any(|run| refuses(&run.expect)) {
        return Vec::new();
    }
    let own = runs.first().map_or(OnMismatch::Abort, |run| run.device.on_mismatch);
    let policies = if open.policy && !runs.iter().any(|run| is_decided_by_policy(&run.expect)) {
        &[OnMismatch::Abort, OnMismatch::Continue][..]
    } else {
        &[own]
    };
    let digests = match &open.digest {
        None => &[Digest::Sha1, Digest::Sha256][..],
        Some(digest) => std::slice::from_ref(digest),
    };
    let own_digest = open.digest.unwrap_or(Digest::Sha1);
    let all = policies
        .iter()
        .flat_map(|&on_mismatch| digests.iter().map(move |&digest| Variant { on_mismatch, digest }));
    all.filter(|variant| variant.on_mismatch != own || variant.digest != own_digest)
        .collect()
}

/// Whether the other policy would have the device end otherwise.
fn is_decided_by_policy(expect: &Expectation) -> bool {
    match expect {
        Expectation::Refused { reason, .. } => POLICY_REASONS.contains(&reason.as_str()),
        Expectation::Accepted { pin, name, .. } => *pin == Pin::Mismatch || *name == Name::Mismatch,
        _ => false,
    }
}
