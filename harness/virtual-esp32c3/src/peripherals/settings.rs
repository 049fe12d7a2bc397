//! Peripherals without behaviour: settings that firmware writes and reads back, and that make no difference to what it can
//! observe here (clocks, pads, permissions, analog trims). Offsets and values enter and leave; what is not on the list of
//! known settings is reported.

use super::registers::Registers;
use super::{Context, Peripheral};

/// A peripheral whose listed registers are settings only.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    registers: Registers,
    known: &'static [std::ops::RangeInclusive<u32>],
}

impl Settings {
    /// The peripheral at `base`, `size` bytes, of which the registers at the offsets `known` are harmless to store.
    pub(crate) fn new(base: u32, size: u32, known: &'static [std::ops::RangeInclusive<u32>]) -> Self {
        Self {
            registers: Registers::new(base, size),
            known,
        }
    }

    fn knows(&self, offset: u32) -> bool {
        self.known.iter().any(|range| range.contains(&offset))
    }
}

impl Peripheral for Settings {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        if self.knows(offset) {
            self.registers.get(offset)
        } else {
            context.unmodelled_read(&self.registers, offset)
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        if self.knows(offset) {
            self.registers.set(offset, value);
        } else {
            context.unmodelled_write(&mut self.registers, offset, value);
        }
    }

    fn reset(&mut self, _now: u64) {
        self.registers.reset();
    }
}
