//! What a board's thread hands out about the board: its counts, its hardware events and copies of it.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::cable::PoorCable;
use crate::chip::Chip;
use crate::log::LogEntry;

/// How much a board has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BoardStats {
    /// Instructions executed.
    pub instructions: u64,
    /// Time that has passed on the chip's clock since the board was started, whether EN was high or low.
    pub time: Duration,
    /// How much of that time the hart slept.
    pub idle: Duration,
    /// How much of the sleep was skipped: it passed on the chip's clock only.
    pub skipped: Duration,
}

/// A board as it stood at one moment: the chip with its memories and peripherals, and what it had logged. Boards that
/// are restored from it share its memory until they write.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) chip: Chip,
    pub(super) log: Vec<LogEntry>,
    /// Sent by the chip, not yet taken by the tty.
    pub(super) outgoing: VecDeque<u8>,
    pub(super) cable: Option<PoorCable>,
}

impl Snapshot {
    /// The same board with another source of random numbers. Boards that are restored from one snapshot draw the same
    /// numbers, as no two real boards do; with seeds of their own each draws others.
    #[must_use]
    pub fn with_seed(&self, seed: u64) -> Self {
        let mut reseeded = self.clone();
        reseeded.chip.reseed(seed);
        reseeded
    }
}

/// Shared between the board's thread, which writes, and the handle, which reads.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) log: Vec<LogEntry>,
    /// Receive each entry as it is logged.
    pub(super) watchers: Vec<Sender<LogEntry>>,
    pub(super) stats: BoardStats,
}

impl Shared {
    /// Keeps these entries and hands them to the watchers that still listen.
    pub(super) fn add(&mut self, entries: Vec<LogEntry>) {
        for entry in &entries {
            self.watchers.retain(|watcher| watcher.send(entry.clone()).is_ok());
        }
        self.log.extend(entries);
    }
}
