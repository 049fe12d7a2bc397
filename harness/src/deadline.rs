//! Deadlines that name themselves when they expire.

use std::fmt;
use std::time::{Duration, Instant};

/// The end of one wait, and what was waited for.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    what: &'static str,
    limit: Duration,
    end: Instant,
}

impl Deadline {
    /// A wait for `what` that starts now and may take `limit`.
    #[must_use]
    pub fn after(what: &'static str, limit: Duration) -> Self {
        Self {
            what,
            limit,
            end: Instant::now() + limit,
        }
    }

    /// The time that is left: zero once it has expired.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// The earlier of this and a wait of `limit` from now, under this one's name.
    #[must_use]
    pub fn at_most(&self, limit: Duration) -> Self {
        Self {
            end: self.end.min(Instant::now() + limit),
            ..*self
        }
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (limit {} s)", self.what, self.limit.as_secs_f32())
    }
}
