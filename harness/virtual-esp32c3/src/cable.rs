//! A poor cable between the board and its tty. Bytes enter and leave, some of them damaged if they are too fast. It
//! knows the speed of the chip's UART, but not what the bytes mean.

use crate::chip::{Chip, UartPort};

/// A cable that is too long, or a USB bridge that is too slow, for speeds above a limit.
#[derive(Debug, Clone)]
pub(crate) struct PoorCable {
    /// Bit/s.
    limit: u32,
    /// Bytes that it has carried at speeds above its limit.
    carried: u64,
}

impl PoorCable {
    /// One of this many bytes is damaged. Each packet of a flasher is longer, so that every packet is damaged.
    const DAMAGED: u64 = 7;

    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, carried: 0 }
    }

    /// Damages some of these bytes if the chip's UART is faster than the cable.
    pub(crate) fn carry<'a>(&mut self, chip: &mut Chip, bytes: impl Iterator<Item = &'a mut u8>) {
        // A UART's divider meets a speed to within a few percent only, so that much more than the limit is allowed.
        if chip.baud(UartPort::Uart0) <= self.limit.saturating_add(self.limit / 32) {
            return;
        }
        for byte in bytes {
            self.carried += 1;
            if self.carried.is_multiple_of(Self::DAMAGED) {
                // As if one bit had been sampled too late, and so had its neighbour's value.
                *byte ^= 0b100;
            }
        }
    }
}
