//! What the debug module works on.

use crate::hart::Hart;
use crate::memory::Memory;
use crate::peripherals::Peripherals;

/// The parts of the chip that the debug module reaches, borrowed for one access.
pub(crate) struct Target<'a> {
    pub(crate) hart: &'a mut Hart,
    pub(crate) memory: &'a mut Memory,
    pub(crate) bus: &'a mut Peripherals,
}
