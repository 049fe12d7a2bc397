//! The limits of a device: `[limit]` and `[then.limit]`.
//!
//! What enters: the table as it was read, and what the run should show. What leaves: a [`Limit`], which never lets a device
//! accept what it should refuse. This module judges nothing.

use schemars::JsonSchema;
use serde::Deserialize;

use super::expect::Expectation;
use super::problem::{At, Line, Problem};

/// What a device may show instead of what is right, because it cannot do what a lawful server asks of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limit {
    /// What it cannot do, in one sentence.
    pub why: String,
    /// What it shows then: a failure that says why.
    pub expect: Expectation,
}

/// What this firmware shows instead of what is right, because it cannot do what a lawful server asks of it. A device that
/// shows what is right passes, too.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawLimit {
    /// What the firmware cannot do, in one sentence.
    why: At<Line>,
    /// What it shows then.
    expect: At<Expectation>,
}

impl RawLimit {
    /// Checks it against `right`, what the run should show.
    pub(super) fn check(self, right: &Expectation) -> Result<Limit, Problem> {
        if self.why.get().as_str().trim().is_empty() {
            return Err(self.why.problem("say in one sentence what the firmware cannot do"));
        }
        let shown = self.expect.get();
        let is_failure = matches!(
            shown,
            Expectation::Refused { .. } | Expectation::HandshakeFailed { .. } | Expectation::ResponseFailed { .. }
        );
        if !is_failure {
            let message = "a limit makes a run fail, and never lets a device accept a server or stay away; \
                           expect `refused`, `handshake-failed` or `response-failed`";
            return Err(self.expect.problem(message));
        }
        if shown == right {
            let message = "this is what is expected anyway; say in `expect` what a device without the limit shows";
            return Err(self.expect.problem(message));
        }
        Ok(Limit {
            why: self.why.into_inner().into_string(),
            expect: self.expect.into_inner(),
        })
    }
}
