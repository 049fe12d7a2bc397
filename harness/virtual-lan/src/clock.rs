//! The network's time: the host's, or that of the board on it.
//!
//! Enters: the host's clock, or steps of the board's. Leaves: the time since the start, and a wake-up when an alarm is due. Must not
//! know: what the alarms are for.
//!
//! A virtual board computes at its own pace and skips its waiting. If the network kept the host's time meanwhile, a frame that is held
//! back for three seconds would cost three seconds, and a slow host would make the gateway's TCP repeat what is not lost. So the board
//! may drive the clock: no time passes but what it says.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::{Duration, Instant},
};

/// Whose time passes on a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TimeSource {
    /// The host's.
    #[default]
    Host,
    /// That of whoever calls [`Lan::advance`](crate::Lan::advance).
    Driven,
}

#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    driven: Option<Mutex<Driven>>,
}

#[derive(Debug, Default)]
struct Driven {
    now: Duration,
    alarm: Option<(Duration, Waker)>,
}

impl Clock {
    pub(crate) fn new(source: TimeSource) -> Self {
        Self {
            started: Instant::now(),
            driven: match source {
                TimeSource::Host => None,
                TimeSource::Driven => Some(Mutex::default()),
            },
        }
    }

    /// Time since the network started.
    pub(crate) fn now(&self) -> Duration {
        self.driven()
            .map_or_else(|| self.started.elapsed(), |driven| driven.now)
    }

    /// Lets time pass; nothing on the host's clock, which nobody drives.
    pub(crate) fn advance(&self, by: Duration) {
        if let Some(mut driven) = self.driven() {
            driven.now = driven.now.saturating_add(by);
            let now = driven.now;
            if let Some((_, waker)) = driven.alarm.take_if(|(at, _)| *at <= now) {
                waker.wake();
            }
        }
    }

    /// Has `waker` woken at this time, and no longer at an earlier one: whether that is now. `None` when the host's clock is
    /// in force, whose alarms are the runtime's.
    pub(crate) fn set_alarm(&self, at: Option<Duration>, waker: &Waker) -> Option<bool> {
        let mut driven = self.driven()?;
        let rings = at.is_some_and(|at| at <= driven.now);
        driven.alarm = at.filter(|_| !rings).map(|at| (at, waker.clone()));
        Some(rings)
    }

    /// The host's time at which this one is reached, on the host's clock.
    pub(crate) fn host_time(&self, at: Duration) -> Instant {
        self.started + at
    }

    /// A panic elsewhere leaves nothing half-written here.
    fn driven(&self) -> Option<MutexGuard<'_, Driven>> {
        let driven = self.driven.as_ref()?;
        Some(driven.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
