//! What a network keeps about its life: events and frames, both bounded.
//!
//! Enters: events and frames, in order. Leaves: copies of them, and the capture as a pcap file. Must not know: what
//! they mean.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    clock::Clock,
    crossings::{Standing, Standstill},
    event::{LanEvent, What},
    fate::Fates,
    faults::Faults,
    sight::{Sight, Sights},
};

/// Shared between the network's thread, which writes, and the handle, which reads.
#[derive(Debug)]
pub(crate) struct Record {
    clock: Clock,
    /// The faults in force, and what they have done so far.
    fates: Mutex<Fates>,
    kept: Mutex<Kept>,
    /// What the board has sent since that was last taken.
    sights: Mutex<Sights>,
    /// Notified when an event is added.
    grown: Condvar,
    /// Frames that the board has put on the wire.
    frames_sent: AtomicU64,
    /// Where the gateway stands while it waits; `None` while it works.
    standing: Mutex<Option<Standing>>,
}

#[derive(Debug, Default)]
struct Kept {
    events: Vec<LanEvent>,
    frames: VecDeque<(Duration, Box<[u8]>)>,
    frame_bytes: usize,
    capture_limit: usize,
}

impl Record {
    pub(crate) fn new(capture_limit: usize, faults: Faults, clock: Clock) -> Self {
        Self {
            fates: Mutex::new(Fates::new(faults, clock.now())),
            clock,
            kept: Mutex::new(Kept {
                capture_limit,
                ..Kept::default()
            }),
            sights: Mutex::default(),
            grown: Condvar::new(),
            frames_sent: AtomicU64::new(0),
            standing: Mutex::default(),
        }
    }

    /// The board has put a frame on the wire.
    pub(crate) fn sighted(&self, frame: &[u8]) {
        self.sights.lock().unwrap_or_else(PoisonError::into_inner).add(frame);
    }

    pub(crate) fn take_sights(&self) -> Vec<Sight> {
        self.sights.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn frame_sent(&self) {
        self.frames_sent.fetch_add(1, Ordering::SeqCst);
    }

    /// The gateway reports that it waits, or that it works (`None`).
    pub(crate) fn settle(&self, standing: Option<Standing>) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    pub(crate) fn settled(&self) -> Option<Standstill> {
        let standing = *self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing?.judge(self.frames_sent.load(Ordering::SeqCst), self.clock.now())
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The faults in force. The caller holds them for one decision only, since the other thread may wait for them.
    pub(crate) fn fates(&self) -> MutexGuard<'_, Fates> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn event(&self, what: What) {
        let mut kept = self.kept();
        let what = match kept.events.len() {
            0..MAX_EVENTS => what,
            MAX_EVENTS => What::RecordFull,
            _ => return,
        };
        kept.events.push(LanEvent {
            at: self.clock.now(),
            what,
        });
        self.grown.notify_all();
    }

    pub(crate) fn frame(&self, frame: &[u8]) {
        let mut kept = self.kept();
        kept.frames.push_back((self.clock.now(), frame.into()));
        kept.frame_bytes += frame.len();
        while kept.frame_bytes > kept.capture_limit {
            let Some((_, oldest)) = kept.frames.pop_front() else {
                break;
            };
            kept.frame_bytes -= oldest.len();
        }
    }

    pub(crate) fn events(&self) -> Vec<LanEvent> {
        self.kept().events.clone()
    }

    pub(crate) fn wait_for(&self, limit: Duration, mut wanted: impl FnMut(&LanEvent) -> bool) -> Option<LanEvent> {
        let deadline = Instant::now() + limit;
        let mut seen = 0;
        let mut kept = self.kept();
        loop {
            if let Some(found) = kept.events[seen..].iter().find(|event| wanted(event)) {
                return Some(found.clone());
            }
            seen = kept.events.len();
            let left = deadline
                .checked_duration_since(Instant::now())
                .filter(|left| !left.is_zero())?;
            (kept, _) = self
                .grown
                .wait_timeout(kept, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The frames as a pcap file (the classic format, little-endian, microseconds since the network's start).
    pub(crate) fn pcap(&self) -> Vec<u8> {
        let kept = self.kept();
        let mut file = Vec::with_capacity(24 + kept.frame_bytes + 16 * kept.frames.len());
        file.extend(0xa1b2_c3d4_u32.to_le_bytes());
        file.extend(2_u16.to_le_bytes()); // version 2.4
        file.extend(4_u16.to_le_bytes());
        file.extend([0; 8]); // time zone and accuracy, both always 0
        file.extend(65535_u32.to_le_bytes()); // longest frame
        file.extend(1_u32.to_le_bytes()); // LINKTYPE_ETHERNET
        for (at, frame) in &kept.frames {
            let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
            file.extend(u32::try_from(at.as_secs()).unwrap_or(u32::MAX).to_le_bytes());
            file.extend(at.subsec_micros().to_le_bytes());
            file.extend(length.to_le_bytes()); // bytes that follow
            file.extend(length.to_le_bytes()); // bytes on the wire
            file.extend(&frame[..]);
        }
        file
    }

    /// A thread that panicked with the lock left nothing half-written, so poison is ignored.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// More events than any run has. The limit keeps a board that asks for names in a loop from filling the memory.
const MAX_EVENTS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TimeSource;

    fn record(capture_limit: usize) -> Record {
        Record::new(capture_limit, Faults::default(), Clock::new(TimeSource::Host))
    }

    #[test]
    fn the_capture_is_a_pcap_file_of_the_newest_frames() {
        let record = record(100);
        for byte in 1..=4 {
            record.frame(&[byte; 40]);
        }
        let file = record.pcap();
        assert_eq!(file.len(), 24 + 2 * (16 + 40), "two frames fit into 100 bytes");
        assert_eq!(file[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
        assert_eq!(file[20..24], [1, 0, 0, 0]);
        assert_eq!(file[32..40], [40, 0, 0, 0, 40, 0, 0, 0]);
        assert_eq!(file[40..80], [3; 40]);
        assert_eq!(file[96..], [4; 40]);
    }

    #[test]
    fn a_full_record_says_so_and_grows_no_further() {
        let record = record(0);
        for _ in 0..MAX_EVENTS + 10 {
            record.event(What::FrameLost);
        }
        let events = record.events();
        assert_eq!(events.len(), MAX_EVENTS + 1);
        assert_eq!(events[MAX_EVENTS].what, What::RecordFull);
    }

    #[test]
    fn waiting_finds_past_events_and_ends_at_its_limit() {
        let record = record(0);
        record.event(What::FrameLost);
        assert!(
            record
                .wait_for(Duration::ZERO, |event| event.what == What::FrameLost)
                .is_some()
        );
        assert!(
            record
                .wait_for(Duration::from_millis(5), |event| event.what == What::RecordFull)
                .is_none()
        );
    }
}
