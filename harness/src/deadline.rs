//! Deadlines that say what they waited for when they expire.
//!
//! What enters: what is waited for, and a limit. What leaves: the time that is left, and a [`Timeout`] for errors.

use std::time::{Duration, Instant};

/// The end of one wait, and what is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    timeout: Timeout,
    end: Instant,
}

/// A wait that took too long: "timed out after 30 s waiting for the ready line".
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("timed out after {} s waiting for {what}", .limit.as_secs_f32())]
pub struct Timeout {
    what: &'static str,
    limit: Duration,
}

impl Deadline {
    /// A wait that starts now and may take `limit`. `what` is waited for: it ends the sentence "timed out waiting for".
    #[must_use]
    pub fn after(what: &'static str, limit: Duration) -> Self {
        Self {
            timeout: Timeout { what, limit },
            end: Instant::now() + limit,
        }
    }

    /// The time that is left: zero once it has expired.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    #[must_use]
    pub fn has_expired(&self) -> bool {
        self.left().is_zero()
    }

    /// The error for a wait that ends without what it waited for.
    #[must_use]
    pub fn timeout(&self) -> Timeout {
        self.timeout
    }

    /// The earlier of this deadline and one in `limit` from now. Its error names this one's wait and limit.
    #[must_use]
    pub fn at_most(&self, limit: Duration) -> Self {
        Self {
            end: self.end.min(Instant::now() + limit),
            ..*self
        }
    }
}
