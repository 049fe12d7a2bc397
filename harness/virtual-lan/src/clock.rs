//! The network's clock: the host's, or one that the board drives.
//!
//! Enters: the host's clock, or steps of the board's clock. Leaves: the time since the start, and a wake-up when an
//! alarm is due. Must not know: what the alarms are for.
//!
//! A virtual board runs at its own pace and skips its idle time. If the network kept the host's time meanwhile, a frame
//! that is held back for three seconds would cost three seconds, and on a slow host the gateway's TCP would repeat
//! segments that are not lost. The board may therefore drive the clock: then no time passes on the network but what it
//! reports.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::{Duration, Instant},
};

/// Whose time passes on a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TimeSource {
    /// The host's time.
    #[default]
    Host,
    /// The time that [`Lan::advance`](crate::Lan::advance) is called with, and no other.
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

    /// Lets time pass on a driven clock; does nothing on the host's.
    pub(crate) fn advance(&self, by: Duration) {
        if let Some(mut driven) = self.driven() {
            driven.now = driven.now.saturating_add(by);
            let now = driven.now;
            if let Some((_, waker)) = driven.alarm.take_if(|(at, _)| *at <= now) {
                waker.wake();
            }
        }
    }

    /// Sets the only alarm: `waker` is woken at the time `at`. Returns whether that time has come already, in which
    /// case no alarm is set. `None` for the host's clock, since the runtime has the alarms of that one.
    pub(crate) fn set_alarm(&self, at: Option<Duration>, waker: &Waker) -> Option<bool> {
        let mut driven = self.driven()?;
        let rings = at.is_some_and(|at| at <= driven.now);
        driven.alarm = at.filter(|_| !rings).map(|at| (at, waker.clone()));
        Some(rings)
    }

    /// The host's time at which the network's clock shows `at`, for a network with the host's clock.
    pub(crate) fn host_time(&self, at: Duration) -> Instant {
        self.started + at
    }

    /// A thread that panicked with the lock left nothing half-written, so poison is ignored.
    fn driven(&self) -> Option<MutexGuard<'_, Driven>> {
        let driven = self.driven.as_ref()?;
        Some(driven.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
