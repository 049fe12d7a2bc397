//! The cable between the board and its tty: one that cannot carry every speed. Bytes enter and leave, some of them damaged. It knows the
//! speed of the chip's UART, and nothing of what the bytes mean.

use crate::chip::{Chip, UartPort};

/// A cable that is too long, or a bridge that is too slow, for speeds above a limit.
#[derive(Debug, Clone)]
pub(crate) struct PoorCable {
    /// Bit/s.
    limit: u32,
    /// Bytes that it has carried above its limit.
    carried: u64,
}

impl PoorCable {
    /// Every so many bytes one is damaged: at least one of each packet, so that nobody takes the cable for a good one.
    const DAMAGED: u64 = 7;

    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, carried: 0 }
    }

    /// Damages what it cannot carry at the speed that the chip has set.
    pub(crate) fn carry<'a>(&mut self, chip: &mut Chip, bytes: impl Iterator<Item = &'a mut u8>) {
        // A divider meets a speed to some percent only, which a UART bears.
        if chip.baud(UartPort::Uart0) <= self.limit.saturating_add(self.limit / 32) {
            return;
        }
        for byte in bytes {
            self.carried += 1;
            if self.carried.is_multiple_of(Self::DAMAGED) {
                // A bit that was sampled too late is its neighbour's.
                *byte ^= 0b100;
            }
        }
    }
}
