//! The interrupt matrix: 62 sources, each routed to one of 31 lines of the hart, with a type and a priority per line and a
//! threshold for all. Levels of the sources enter, the line to present leaves.
//! (ESP32-C3 Technical Reference Manual, chapter "Interrupt Matrix" and section "Interrupt Controller" of chapter 1.)

use super::registers::Registers;
use super::{Context, Peripheral};

const SOURCES: u32 = 62;

#[derive(Debug, Clone)]
pub(crate) struct InterruptMatrix {
    registers: Registers,
    /// Raw levels, one bit a source.
    levels: u64,
    /// The sources routed to each line.
    routes: [u64; 32],
    /// Lines whose level is high, and edges that have not been cleared.
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

    /// The line that the hart sees: enabled, pending, of the highest priority not below the threshold.
    pub(crate) fn presented(&self) -> Option<u8> {
        self.presented
    }

    /// Takes over the sources' levels of now.
    pub(crate) fn set_levels(&mut self, levels: u64) {
        if levels != self.levels {
            self.levels = levels;
            self.evaluate();
        }
    }

    fn route(&mut self) {
        self.routes = [0; 32];
        for source in 0..SOURCES {
            let line = self.registers.get(4 * source) & 31;
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
        self.edges |= lines & !self.lines & self.registers.get(0x108);
        self.lines = lines;
        let pending = self.pending() & self.registers.get(0x104);
        let threshold = self.registers.get(0x194) & 15;
        self.presented = None;
        let mut highest = 0;
        for line in 1..32 {
            let priority = self.registers.get(0x114 + 4 * line) & 15;
            if pending & 1 << line != 0 && priority > highest && priority >= threshold {
                highest = priority;
                self.presented = Some(line as u8);
            }
        }
    }

    fn pending(&self) -> u32 {
        let edge = self.registers.get(0x108);
        self.lines & !edge | self.edges & edge
    }
}

impl Peripheral for InterruptMatrix {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            0xF8 => self.levels as u32,
            0xFC => (self.levels >> 32) as u32,
            0x10C => 0,
            0x110 => self.pending(),
            0x00..=0xF4 | 0x100..=0x108 | 0x114..=0x194 | 0x7FC => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            0x00..=0xF4 => {
                self.registers.set(offset, value & 31);
                self.route();
            }
            0x10C => self.edges &= !value,
            0xF8 | 0xFC | 0x110 => {}
            0x100..=0x108 | 0x114..=0x194 | 0x7FC => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
        self.evaluate();
    }

    fn reset(&mut self, _now: u64) {
        self.registers.reset();
        self.edges = 0;
        self.route();
        self.evaluate();
    }
}
