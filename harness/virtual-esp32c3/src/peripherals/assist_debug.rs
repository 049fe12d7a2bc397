//! ASSIST_DEBUG: the monitor of the stack pointer, which operating systems use as a stack guard, and the record of
//! where the hart was when it was reset, which the ROM prints as `Saved PC`. Stores, stack pointers and addresses
//! enter; an interrupt leaves.
//!
//! The monitors of memory areas and buses are not modelled. Enabling one of them is logged.
//! (ESP32-C3 Technical Reference Manual, chapter "Debug Assistant".)

use super::peripheral::{Context, Peripheral, Reach};
use super::registers::{Registers, offsets};
use crate::log::ResetCause;

offsets! { ASSIST_DEBUG:
    CORE_0_MONTR_ENA = 0x00,
    CORE_0_INTR_RAW = 0x04,
    CORE_0_INTR_ENA = 0x08,
    CORE_0_INTR_CLR = 0x0C,
    CORE_0_SP_MIN = 0x38,
    CORE_0_SP_MAX = 0x3C,
    CORE_0_SP_PC = 0x40,
    CORE_0_RCD_EN = 0x44,
    CORE_0_RCD_PDEBUGPC = 0x48,
    CORE_0_RCD_PDEBUGSP = 0x4C,
    CORE_0_DEBUG_MODE = 0x98,
    DATE = 0x1FC,
}

const SPILL_MIN: u32 = 1 << 8;
const SPILL_MAX: u32 = 1 << 9;
const SPILLS: u32 = SPILL_MIN | SPILL_MAX;
const RECORD_EN: u32 = 1;

#[derive(Debug, Clone)]
pub(crate) struct AssistDebug {
    registers: Registers,
    raw: u32,
    spilled_at: u32,
    recorded: (u32, u32),
    halted: bool,
}

impl AssistDebug {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            registers: Registers::new(base, 0x200),
            raw: 0,
            spilled_at: 0,
            recorded: (0, 0),
            halted: false,
        }
    }

    /// Whether the hart has to pass on changes of its stack pointer.
    pub(crate) fn guards_stack(&self) -> bool {
        self.registers.get(CORE_0_MONTR_ENA) & SPILLS != 0
    }

    /// The instruction at `pc` has moved the stack pointer.
    pub(crate) fn stack_pointer(&mut self, value: u32, pc: u32) {
        let mut spilled = 0;
        if value < self.registers.get(CORE_0_SP_MIN) {
            spilled |= SPILL_MIN;
        }
        if value > self.registers.get(CORE_0_SP_MAX) {
            spilled |= SPILL_MAX;
        }
        spilled &= self.registers.get(CORE_0_MONTR_ENA);
        if spilled != 0 {
            self.raw |= spilled;
            self.spilled_at = pc;
        }
    }

    /// The hart is reset while it stands at `pc`, with this stack pointer.
    pub(crate) fn before_reset(&mut self, cause: ResetCause, pc: u32, stack_pointer: u32) {
        if cause == ResetCause::PowerOn {
            self.recorded = (0, 0);
        } else if self.registers.get(CORE_0_RCD_EN) & RECORD_EN != 0 {
            self.recorded = (pc, stack_pointer);
        }
    }
}

impl Peripheral for AssistDebug {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            CORE_0_INTR_RAW => self.raw,
            CORE_0_SP_PC => self.spilled_at,
            CORE_0_RCD_PDEBUGPC => self.recorded.0,
            CORE_0_RCD_PDEBUGSP => self.recorded.1,
            // Two bits: the hart is in debug mode, and the debug module is active.
            CORE_0_DEBUG_MODE => 3 * u32::from(self.halted),
            CORE_0_INTR_CLR => 0,
            CORE_0_MONTR_ENA | CORE_0_INTR_ENA | CORE_0_SP_MIN..=CORE_0_SP_MAX | CORE_0_RCD_EN | DATE => {
                self.registers.get(offset)
            }
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            CORE_0_MONTR_ENA if value & !SPILLS != 0 => context.unmodelled_write(&mut self.registers, offset, value),
            CORE_0_INTR_CLR => self.raw &= !value,
            CORE_0_INTR_RAW | CORE_0_SP_PC | CORE_0_RCD_PDEBUGPC | CORE_0_RCD_PDEBUGSP | CORE_0_DEBUG_MODE => {}
            CORE_0_MONTR_ENA | CORE_0_INTR_ENA | CORE_0_SP_MIN..=CORE_0_SP_MAX | CORE_0_RCD_EN | DATE => {
                self.registers.set(offset, value);
            }
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        self.registers.reset();
        self.raw = 0;
        self.spilled_at = 0;
    }

    fn reach(&self) -> Reach {
        Reach::Hart
    }

    fn set_halted(&mut self, halted: bool, _now: u64) {
        self.halted = halted;
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.raw & self.registers.get(CORE_0_INTR_ENA) != 0)
    }
}
