//! The wire between the board and the gateway.
//!
//! Enters: frames of either side. Leaves: frames for the other side, and for the capture. Must not know: their contents.

use std::{collections::VecDeque, sync::Arc};

use smoltcp::{
    phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken},
    time::Instant,
};

use crate::record::Record;

/// Both ends of the wire. To the gateway's TCP/IP stack it is the network card.
pub(crate) struct Wire {
    to_board: Box<dyn FnMut(Vec<u8>) + Send>,
    /// Frames from the board that the stack is yet to take.
    to_stack: VecDeque<Vec<u8>>,
    record: Arc<Record>,
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    FromBoard,
    ToBoard,
}

impl Wire {
    pub(crate) fn new(to_board: Box<dyn FnMut(Vec<u8>) + Send>, record: Arc<Record>) -> Self {
        Self {
            to_board,
            to_stack: VecDeque::new(),
            record,
        }
    }

    /// Every frame of either direction passes here, once: the place for whatever a bad wire does to frames. Returns what
    /// arrives at the gateway.
    pub(crate) fn cross(&mut self, direction: Direction, mut frame: Vec<u8>) -> Option<Vec<u8>> {
        if direction == Direction::ToBoard && frame.len() < SHORTEST {
            frame.resize(SHORTEST, 0);
        }
        self.record.frame(&frame);
        match direction {
            Direction::FromBoard => Some(frame),
            Direction::ToBoard => {
                (self.to_board)(frame);
                None
            }
        }
    }

    /// Hands a frame that has crossed to the stack.
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

/// Leave to put one frame on the wire.
pub(crate) struct Transmit<'a>(&'a mut Wire);

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = vec![0; length];
        let result = fill(&mut frame);
        self.0.cross(Direction::ToBoard, frame);
        result
    }
}

/// Longest frame: an MTU of 1500 bytes behind the Ethernet header.
pub(crate) const LONGEST: usize = 1514;

/// Shortest frame that a network card puts on the wire, without its check sequence (IEEE 802.3 clause 4.2.3.3); receivers
/// drop shorter ones as runts.
const SHORTEST: usize = 60;
