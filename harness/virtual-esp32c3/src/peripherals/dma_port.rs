//! What a peripheral sees of the DMA controller: its own channels, as a source and a sink of bytes. It knows no controller.

/// What one call of [`DmaPort::take`] fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Bytes, from the front of the buffer.
    pub(crate) bytes: usize,
    /// [`Part::Last`] if their descriptor has suc_eof.
    pub(crate) part: Part,
}

/// What a run of bytes is of its frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// More of the frame follows.
    #[default]
    Inner,
    /// The last of the bytes ends the frame.
    Last,
}

/// Bytes that a peripheral moves at most in one go. The controller lets it go on later.
pub(crate) const BUDGET: usize = 1 << 16;

/// The channels that are joined to a peripheral.
pub(crate) trait DmaPort {
    /// Fetches bytes from memory, up to the end of a frame. Fetches fewer than the buffer holds if the list has no more.
    fn take(&mut self, into: &mut [u8]) -> Taken;

    /// Stores bytes in memory. Returns how many of them found room.
    fn give(&mut self, from: &[u8], part: Part) -> usize;
}
