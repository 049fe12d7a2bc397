//! What the reader thread of a console shares with the console and its handles.
//!
//! What enters: changes by either side. What leaves: the state, and a wake-up for those who wait for a change.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::capture::Capture;
use crate::deadline::Deadline;

/// Why a capture has ended.
#[derive(Clone, Debug)]
pub enum EndOfCapture {
    /// The port was closed at its other end.
    EndOfFile,
    /// The port could not be read.
    Read(Arc<io::Error>),
    /// The user has interrupted this process.
    Interrupted,
    /// The board has sent more bytes than are kept.
    TooMuch {
        /// How many are kept.
        most: u64,
    },
}

impl fmt::Display for EndOfCapture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndOfFile => f.write_str("end of file"),
            Self::Read(cause) => cause.fmt(f),
            Self::Interrupted => f.write_str("interrupted by the user"),
            Self::TooMuch { most } => write!(f, "the board has sent more than {} MiB", most >> 20),
        }
    }
}

/// The state of a console.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What the board has sent.
    pub(super) capture: Capture,
    /// Why nothing more comes.
    pub(super) ended: Option<EndOfCapture>,
    /// How often the port has come back.
    pub(super) returns: usize,
    /// Until then the port may be away.
    pub(super) may_be_away: Option<Deadline>,
    /// The number of lines that came before the board's last reset: the console does not give them.
    pub(super) skipped: usize,
    /// The index of the line for which the console waits, while it waits.
    pub(super) waited_for: Option<usize>,
}

/// The state, and what both sides need to change it.
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
    began: Instant,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            began: Instant::now(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // What was captured stays true even if a thread died while it held the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes those who wait for a change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits for a change, for at most this long.
    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>, limit: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, limit);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The time since the capture began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Asks the reader thread to stop.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the reader thread should stop.
    pub(super) fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
