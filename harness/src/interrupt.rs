//! Whether the user has asked this process to end, as by Ctrl-C.
//!
//! A signal is for the whole process, and so is this flag. What enters: a request, from the command. What leaves: the flag. Those who
//! begin something look at it before, and those who wait for a board end the wait. What has been seen until then is reported.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Asks this process to end as soon as it can, without beginning anything more. There is no way back.
pub fn ask() {
    ASKED.store(true, Ordering::SeqCst);
}

/// Whether it has been asked.
#[must_use]
pub fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
