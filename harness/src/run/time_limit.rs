//! A time limit that a run must reach, measured by the board's own clock.
//!
//! What enters: what the board's `status` said of its uptime before and after `run`. What leaves: a failure where the board gave up too
//! early or too late. A virtual board skips the time that it waits, and its clock with it; a busy machine does not slow that clock.

use std::time::Duration;

use super::drive::{BootedBoard, blamed};
use crate::deadline::Deadline;
use crate::device::Answer;
use crate::scenario::{Expectation, Run};
use crate::verdict::{Blame, Failure};

/// What a run may take beyond its limit: the phases before the one that takes too long, and at most two seconds for each of an alert,
/// a close_notify and the end of the connection.
const BEYOND: Duration = Duration::from_secs(6);

/// A run under way that must reach a time limit.
pub(super) struct TimeLimit {
    name: String,
    limit: Duration,
    /// How long the run may take at most. On a bad network, what follows the limit may take longer.
    longest: Option<Duration>,
    began: Duration,
}

impl TimeLimit {
    /// For a run that has not begun; `None` where it must reach no time limit, or the firmware has no `status` that tells the time.
    pub(super) fn begin(run: &Run, board: &mut BootedBoard<'_>, wait: Duration) -> Result<Option<Self>, Failure> {
        let Some((name, limit)) = limit_of(run) else {
            return Ok(None);
        };
        let longest = run.network.are_none().then_some(limit + BEYOND);
        let began = uptime(board, wait)?;
        Ok(began.map(|began| Self {
            name,
            limit,
            longest,
            began,
        }))
    }

    /// Judges the run, which has ended.
    pub(super) fn end(self, board: &mut BootedBoard<'_>, wait: Duration) -> Result<(), Failure> {
        let now = uptime(board, wait)?;
        let took = now.and_then(|now| now.checked_sub(self.began));
        let Some(took) = took else {
            let finding = "the firmware's `status` no longer tells the time, or its clock was set back during the run";
            return Err(Failure::new(Blame::Assertion, finding));
        };
        match self.finding(took) {
            None => Ok(()),
            Some(finding) => Err(Failure::new(Blame::Assertion, finding)),
        }
    }

    /// What is wrong with a run that took so long by the board's clock.
    fn finding(&self, took: Duration) -> Option<String> {
        let Self { name, limit, .. } = self;
        let gave_up = format!("the device gave up with {name} after {:.1} s", took.as_secs_f64());
        if took < *limit {
            return Some(format!("{gave_up}, and the limit is {:.1} s", limit.as_secs_f64()));
        }
        let longest = self.longest.filter(|longest| took > *longest)?;
        Some(format!(
            "{gave_up}; the limit is {:.1} s, and it should have ended within {:.1} s",
            limit.as_secs_f64(),
            longest.as_secs_f64()
        ))
    }
}

/// The limit that a run must reach, and the reason that the device then gives.
fn limit_of(run: &Run) -> Option<(String, Duration)> {
    let (Expectation::HandshakeFailed { reason, .. }
    | Expectation::ResponseFailed { reason, .. }
    | Expectation::Unreachable { reason }
    | Expectation::NoNetwork { reason }) = &run.expect
    else {
        return None;
    };
    let limits = run.device.timeouts;
    let milliseconds = match reason.strip_prefix("timeout-")? {
        "network" => limits.network,
        "connect" => limits.connect,
        "handshake" => limits.handshake,
        "response" => limits.response,
        "total" => limits.total,
        _ => return None,
    };
    Some((reason.clone(), Duration::from_millis(milliseconds.into())))
}

/// The board's uptime; `None` where its firmware has another console language, or does not tell.
fn uptime(board: &mut BootedBoard<'_>, wait: Duration) -> Result<Option<Duration>, Failure> {
    if board.device.has_dialect() {
        return Ok(None);
    }
    let deadline = Deadline::after("the answer to `status`", wait);
    let answer = board.device.command("status", &deadline, |_| {});
    Ok(match answer.map_err(|error| blamed(&error))? {
        Answer::Ok(fields) => fields
            .get("uptime-ms")
            .and_then(|milliseconds| milliseconds.parse().ok())
            .map(Duration::from_millis),
        Answer::Error(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_reached_neither_before_nor_long_after() {
        let limit = Duration::from_secs(15);
        let limit = TimeLimit {
            name: "timeout-response".to_owned(),
            limit,
            longest: Some(limit + BEYOND),
            began: Duration::ZERO,
        };
        let found = |milliseconds| limit.finding(Duration::from_millis(milliseconds));
        for good in [15_000, 15_400, 21_000] {
            assert_eq!(found(good), None, "{good}");
        }
        let early = found(14_999).unwrap();
        assert!(early.contains("timeout-response after 15.0 s"), "{early}");
        let late = found(21_001).unwrap();
        assert!(late.contains("after 21.0 s; the limit is 15.0 s"), "{late}");
    }

    #[test]
    fn the_limit_is_the_one_that_the_device_was_told() {
        let mut run = Run::honest();
        assert_eq!(limit_of(&run), None);
        run.device.timeouts.handshake = 3_000;
        for (reason, limit) in [
            ("timeout-handshake", Some(3)),
            ("timeout-response", Some(15)),
            ("timeout-total", Some(60)),
            ("alert-internal-error", None),
        ] {
            let reason = reason.to_owned();
            run.expect = Expectation::ResponseFailed {
                reason: reason.clone(),
                pin: crate::scenario::Pin::Match,
            };
            let expected = limit.map(|seconds| (reason, Duration::from_secs(seconds)));
            assert_eq!(limit_of(&run), expected);
        }
    }
}
