//! The wire between the board and the gateway. It brings about what the faults in force do to frames.
//!
//! Enters: frames of either side. Leaves: frames for the other side, now or later, and for the capture. Must not know:
//! what the frames say.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use smoltcp::{
    phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken},
    time::Instant,
};

use crate::{
    event::{Effect, What},
    faults::Direction,
    packet::{LONGEST, SHORTEST, cut_segment},
    record::Record,
};

/// Both ends of the wire. The gateway's TCP/IP stack uses it as its network card.
pub(crate) struct Wire {
    to_board: Box<dyn FnMut(Vec<u8>) + Send>,
    /// Frames from the board that have crossed, in the order of their arrival.
    arrived: VecDeque<Vec<u8>>,
    /// Frames that are held back, by the time at which they arrive and then by the order in which they were sent.
    held: BTreeMap<(Duration, u64), (Direction, Vec<u8>)>,
    /// How many frames have been held back so far.
    held_so_far: u64,
    /// Frames from the board that the stack has yet to take.
    to_stack: VecDeque<Vec<u8>>,
    /// When the last piece of a segment arrives that was cut, for each direction.
    pieces_until: [Duration; 2],
    record: Arc<Record>,
}

impl Wire {
    pub(crate) fn new(to_board: Box<dyn FnMut(Vec<u8>) + Send>, record: Arc<Record>) -> Self {
        Self {
            to_board,
            arrived: VecDeque::new(),
            held: BTreeMap::new(),
            held_so_far: 0,
            to_stack: VecDeque::new(),
            pieces_until: [Duration::ZERO; 2],
            record,
        }
    }

    /// Puts a frame on the wire. Every frame of either direction comes through here once, so that the capture has what
    /// was sent. The faults in force decide what arrives, and at least `late` passes before it does.
    pub(crate) fn cross(&mut self, direction: Direction, mut frame: Vec<u8>, late: Duration) {
        if direction == Direction::ToBoard && frame.len() < SHORTEST {
            frame.resize(SHORTEST, 0);
        }
        self.record.frame(&frame);
        let now = self.record.clock().now();
        let fate = self.record.fates().of_frame(direction, &frame, now);
        let mut copies = 1;
        let mut piece = None;
        let mut overtakes = false;
        let mut after = late;
        for effect in fate.effects {
            self.record.event(What::Disturbed {
                direction,
                frame: fate.number,
                effect,
            });
            match effect {
                Effect::Lost | Effect::LinkDown | Effect::Corrupted => return,
                Effect::ChecksumBroken { bit } => {
                    if let Some(byte) = frame.get_mut(bit / 8) {
                        *byte ^= 0x80 >> (bit % 8);
                    }
                }
                Effect::Delayed(by) => after += by,
                Effect::Reordered => overtakes = true,
                Effect::Duplicated => copies = 2,
                Effect::Cut(size) => piece = Some(size),
            }
        }
        let pieces = match piece {
            Some(size) => cut_segment(&frame, size.get().into()),
            None => vec![frame],
        };
        // What follows a segment that was cut comes behind its last piece, as on a slow line.
        let line = direction as usize;
        if !overtakes {
            after = after.max(self.pieces_until[line].saturating_sub(now));
        }
        for _ in 0..copies {
            let mut after = after;
            for frame in &pieces {
                self.send(direction, frame.clone(), now, after);
                after += BETWEEN_PIECES;
            }
            if piece.is_some() {
                self.pieces_until[line] = self.pieces_until[line].max(now.saturating_add(after));
            }
        }
    }

    fn send(&mut self, direction: Direction, frame: Vec<u8>, now: Duration, after: Duration) {
        if after.is_zero() {
            self.arrive(direction, frame);
        } else {
            self.held_so_far += 1;
            let due = now.saturating_add(after);
            self.held.insert((due, self.held_so_far), (direction, frame));
        }
    }

    fn arrive(&mut self, direction: Direction, frame: Vec<u8>) {
        match direction {
            Direction::FromBoard => self.arrived.push_back(frame),
            Direction::ToBoard => (self.to_board)(frame),
        }
    }

    /// Lets the held frames arrive whose time has come. Returns whether there were any.
    pub(crate) fn deliver_due(&mut self) -> bool {
        let now = self.record.clock().now();
        let mut any = false;
        while let Some(first) = self.held.first_entry()
            && first.key().0 <= now
        {
            let (direction, frame) = first.remove();
            self.arrive(direction, frame);
            any = true;
        }
        any
    }

    /// When the next of the held frames arrives.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.held.keys().next().map(|&(due, _)| due)
    }

    /// Takes the next frame from the board that has crossed.
    pub(crate) fn take_arrived(&mut self) -> Option<Vec<u8>> {
        self.arrived.pop_front()
    }

    /// Hands the stack a frame that has crossed.
    pub(crate) fn admit(&mut self, frame: Vec<u8>) {
        self.to_stack.push_back(frame);
    }
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received, Transmit<'_>)> {
        let frame = self.to_stack.pop_front()?;
        Some((Received(frame), Transmit(self)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Transmit<'_>> {
        Some(Transmit(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = LONGEST;
        capabilities
    }
}

/// A frame on its way into the stack.
pub(crate) struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

/// Permission for the stack to put one frame on the wire.
pub(crate) struct Transmit<'a>(&'a mut Wire);

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = vec![0; length];
        let result = fill(&mut frame);
        self.0.cross(Direction::ToBoard, frame, Duration::ZERO);
        result
    }
}

/// Time between the pieces of a segment. A board has room for a few frames only, and needs time to take them.
const BETWEEN_PIECES: Duration = Duration::from_micros(200);
