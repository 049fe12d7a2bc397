//! The interrupt matrix: 62 sources, each routed to one of the hart's 31 lines. Each line has a type and a priority,
//! and there is one threshold for all. Stores and levels of the sources enter; the line that the hart sees leaves.
//! (ESP32-C3 Technical Reference Manual, chapter "Interrupt Matrix" and section "Interrupt Controller" of chapter 1.)

use super::peripheral::{Context, Peripheral};
use super::registers::{Registers, offsets};

const SOURCES: u32 = 62;

offsets! { INTERRUPT_CORE0:
    CORE_0_INTR_MAP0 = 0x00,
    CORE_0_INTR_MAP61 = 0xF4,
    CORE_0_INTR_STATUS0 = 0xF8,
    CORE_0_INTR_STATUS1 = 0xFC,
    CLOCK_GATE = 0x100,
    CPU_INT_ENABLE = 0x104,
    CPU_INT_TYPE = 0x108,
    CPU_INT_CLEAR = 0x10C,
    CPU_INT_EIP_STATUS = 0x110,
    CPU_INT_PRI0 = 0x114,
    CPU_INT_THRESH = 0x194,
    INTERRUPT_REG_DATE = 0x7FC,
}

#[derive(Debug, Clone)]
pub(crate) struct InterruptMatrix {
    registers: Registers,
    /// Levels of the sources, a bit each.
    levels: u64,
    /// The sources routed to each line.
    routes: [u64; 32],
    /// Lines whose level is high, and lines with an edge that software has not cleared.
    lines: u32,
    edges: u32,
    presented: Option<u8>,
}

impl InterruptMatrix {
    pub(crate) fn new(base: u32) -> Self {
        let mut matrix = Self {
            registers: Registers::new(base, 0x800),
            levels: 0,
            routes: [0; 32],
            lines: 0,
            edges: 0,
            presented: None,
        };
        matrix.route();
        matrix
    }

    /// The line that the hart sees: of those that are enabled and pending the one of the highest priority, unless that
    /// is below the threshold.
    pub(crate) fn presented(&self) -> Option<u8> {
        self.presented
    }

    /// Takes over the levels of the sources.
    pub(crate) fn set_levels(&mut self, levels: u64) {
        if levels != self.levels {
            self.levels = levels;
            self.evaluate();
        }
    }

    fn route(&mut self) {
        self.routes = [0; 32];
        for source in 0..SOURCES {
            let line = self.registers.get(CORE_0_INTR_MAP0 + 4 * source) & 31;
            self.routes[line as usize] |= 1 << source;
        }
    }

    fn evaluate(&mut self) {
        let mut lines = 0;
        for (line, sources) in self.routes.iter().enumerate().skip(1) {
            if sources & self.levels != 0 {
                lines |= 1 << line;
            }
        }
        self.edges |= lines & !self.lines & self.registers.get(CPU_INT_TYPE);
        self.lines = lines;
        let pending = self.pending() & self.registers.get(CPU_INT_ENABLE);
        let threshold = self.registers.get(CPU_INT_THRESH) & 15;
        self.presented = None;
        let mut highest = 0;
        for line in 1..32 {
            let priority = self.registers.get(CPU_INT_PRI0 + 4 * line) & 15;
            if pending & 1 << line != 0 && priority > highest && priority >= threshold {
                highest = priority;
                self.presented = Some(line as u8);
            }
        }
    }

    fn pending(&self) -> u32 {
        let edge = self.registers.get(CPU_INT_TYPE);
        self.lines & !edge | self.edges & edge
    }
}

impl Peripheral for InterruptMatrix {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            CORE_0_INTR_STATUS0 => self.levels as u32,
            CORE_0_INTR_STATUS1 => (self.levels >> 32) as u32,
            CPU_INT_CLEAR => 0,
            CPU_INT_EIP_STATUS => self.pending(),
            CORE_0_INTR_MAP0..=CORE_0_INTR_MAP61
            | CLOCK_GATE..=CPU_INT_TYPE
            | CPU_INT_PRI0..=CPU_INT_THRESH
            | INTERRUPT_REG_DATE => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            CORE_0_INTR_MAP0..=CORE_0_INTR_MAP61 => {
                self.registers.set(offset, value & 31);
                self.route();
            }
            CPU_INT_CLEAR => self.edges &= !value,
            CORE_0_INTR_STATUS0 | CORE_0_INTR_STATUS1 | CPU_INT_EIP_STATUS => {}
            CLOCK_GATE..=CPU_INT_TYPE | CPU_INT_PRI0..=CPU_INT_THRESH | INTERRUPT_REG_DATE => {
                self.registers.set(offset, value);
            }
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
        self.evaluate();
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        self.registers.reset();
        self.edges = 0;
        self.route();
        self.evaluate();
    }
}
