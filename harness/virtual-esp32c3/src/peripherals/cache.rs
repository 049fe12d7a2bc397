//! Cache control (EXTMEM) and the MMU table. The table's entries go to the memory, whose view of flash is always current, so
//! the cache itself has nothing to keep: every operation is done at once.
//! (ESP32-C3 `esp32c3` description: EXTMEM; MMU table at 0x600C_5000.)

use super::registers::Registers;
use super::{Context, Peripheral};
use crate::memory::MMU_ENTRIES;

/// An entry with this bit maps nothing.
const INVALID: u32 = 1 << 8;

#[derive(Debug, Clone)]
pub(crate) struct Cache {
    registers: Registers,
}

impl Cache {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            registers: Registers::new(base, 0x400),
        }
    }
}

impl Peripheral for Cache {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        let value = self.registers.get(offset);
        match offset {
            // Lock, invalidate, preload, autoload, freeze: each with its "done" bit.
            0x1C => value & !3 | 1 << 2,
            0x28 => value & !1 | 1 << 1,
            0x34 => value & !1 | 1 << 1,
            0x40 => value | 1 << 3,
            0xCC => value & 3 | (value & 1) << 2,
            0xB0 => 1,
            0x00..=0x100 | 0x3FC => value,
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            0x00..=0x100 | 0x3FC => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _now: u64) {
        self.registers.reset();
    }
}

/// The MMU table as registers. After reset it maps nothing.
#[derive(Debug, Clone)]
pub(crate) struct MmuTable {
    entries: [u32; MMU_ENTRIES],
}

impl MmuTable {
    pub(crate) fn new() -> Self {
        Self {
            entries: [INVALID; MMU_ENTRIES],
        }
    }
}

impl Peripheral for MmuTable {
    fn read(&mut self, offset: u32, _context: &mut Context<'_>) -> u32 {
        self.entries.get(offset as usize / 4).copied().unwrap_or(INVALID)
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        let index = offset as usize / 4;
        if let Some(entry) = self.entries.get_mut(index) {
            *entry = value & 0x1FF;
            let page = (value & INVALID == 0).then_some(value as u16 & 0xFF);
            context.memory.map(index, page);
        }
    }

    fn reset(&mut self, _now: u64) {
        self.entries = [INVALID; MMU_ENTRIES];
    }
}
