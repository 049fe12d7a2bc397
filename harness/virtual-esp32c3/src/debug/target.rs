//! The parts of the chip that the debug module reaches.

use crate::hart::Hart;
use crate::memory::Memory;
use crate::peripherals::Peripherals;

/// What the module works on, borrowed from the chip for one access.
pub(crate) struct Target<'a> {
    pub(crate) hart: &'a mut Hart,
    pub(crate) memory: &'a mut Memory,
    pub(crate) bus: &'a mut Peripherals,
}
