//! Cache control (EXTMEM) and the MMU table. Stores enter; the table's entries leave to the memory. The memory's view
//! of the flash is always current, so that the cache keeps nothing and its operations are done at once.
//! (EXTMEM in the `esp32c3` description. The manual and the description leave the MMU table out.)

use super::peripheral::{Context, Peripheral, Reach};
use super::registers::{Registers, offsets};
use crate::memory::MMU_ENTRIES;

offsets! { EXTMEM:
    ICACHE_CTRL = 0x00,
    ICACHE_LOCK_CTRL = 0x1C,
    ICACHE_SYNC_CTRL = 0x28,
    ICACHE_PRELOAD_CTRL = 0x34,
    ICACHE_AUTOLOAD_CTRL = 0x40,
    CACHE_STATE = 0xB0,
    ICACHE_FREEZE = 0xCC,
    CLOCK_GATE = 0x100,
    REG_DATE = 0x3FC,
}

/// Bits of the control registers that start an operation, and those that tell that it is done.
const LOCK_ENA: u32 = 3;
const LOCK_DONE: u32 = 1 << 2;
const INVALIDATE_ENA: u32 = 1 << 0;
const SYNC_DONE: u32 = 1 << 1;
const PRELOAD_ENA: u32 = 1 << 0;
const PRELOAD_DONE: u32 = 1 << 1;
const AUTOLOAD_DONE: u32 = 1 << 3;
const FREEZE_ENA: u32 = 1 << 0;
const FREEZE_MODE: u32 = 1 << 1;
const FREEZE_DONE: u32 = 1 << 2;
const STATE_IDLE: u32 = 1;

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
            ICACHE_LOCK_CTRL => value & !LOCK_ENA | LOCK_DONE,
            ICACHE_SYNC_CTRL => value & !INVALIDATE_ENA | SYNC_DONE,
            ICACHE_PRELOAD_CTRL => value & !PRELOAD_ENA | PRELOAD_DONE,
            ICACHE_AUTOLOAD_CTRL => value | AUTOLOAD_DONE,
            ICACHE_FREEZE if value & FREEZE_ENA != 0 => value & FREEZE_MODE | FREEZE_ENA | FREEZE_DONE,
            ICACHE_FREEZE => value & FREEZE_MODE,
            CACHE_STATE => STATE_IDLE,
            ICACHE_CTRL..=CLOCK_GATE | REG_DATE => value,
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            ICACHE_CTRL..=CLOCK_GATE | REG_DATE => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        self.registers.reset();
    }
}

/// The MMU table as registers. After reset it maps nothing.
#[derive(Debug, Clone)]
pub(crate) struct MmuTable {
    entries: [u32; MMU_ENTRIES],
}

impl MmuTable {
    /// The table needs no base, since it reports no register.
    pub(crate) fn new(_base: u32) -> Self {
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

    fn reset(&mut self, context: &mut Context<'_>) {
        self.entries = [INVALID; MMU_ENTRIES];
        for entry in 0..MMU_ENTRIES {
            context.memory.map(entry, None);
        }
    }

    fn reach(&self) -> Reach {
        Reach::Hart
    }
}
