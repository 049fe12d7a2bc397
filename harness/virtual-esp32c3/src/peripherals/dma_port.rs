//! The DMA controller as a peripheral sees it: its own channels as a source and a sink of bytes. It knows no
//! controller.
//! (ESP32-C3 Technical Reference Manual, chapter "GDMA Controller".)

/// The bytes that one call of [`DmaPort::take`] has fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Their number. They are at the front of the buffer.
    pub(crate) bytes: usize,
    /// [`Part::Last`] if their descriptor has the bit suc_eof.
    pub(crate) part: Part,
}

/// Which part of a frame some bytes are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// More of the frame follows.
    #[default]
    Inner,
    /// The last of the bytes ends the frame.
    Last,
}

/// Bytes that a peripheral moves at most in one go. It goes on when the time for them has passed.
pub(crate) const BUDGET: usize = 1 << 16;

/// The channels that are joined to a peripheral, one inward and one outward.
pub(crate) trait DmaPort {
    /// Fetches bytes from memory, up to the end of a frame. Fetches fewer than the buffer holds if the list has no
    /// more.
    fn take(&mut self, into: &mut [u8]) -> Taken;

    /// Stores bytes in memory. Returns how many of them found room.
    fn give(&mut self, from: &[u8], part: Part) -> usize;
}
