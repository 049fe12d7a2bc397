//! The RSA accelerator: modular exponentiation and multiplication of up to 3072 bits, multiplication of up to 1536
//! bits. Numbers enter and leave through its memory; an interrupt leaves. It knows no key and no padding.
//! (ESP32-C3 Technical Reference Manual, chapter "RSA Accelerator".)
//!
//! An operation takes no time, so that CONSTANT_TIME has no effect.

use super::montgomery::{Modulus, multiply};
use super::peripheral::{Context, Peripheral};
use super::registers::{Registers, offsets};

/// Words of the largest number.
const WORDS: usize = 96;
/// Bytes from one number's memory to the next number's.
const STRIDE: u32 = 0x200;
offsets! { RSA:
    M_MEM0 = 0x000,
    Z_MEM0 = 0x200,
    Y_MEM0 = 0x400,
    X_MEM0 = 0x600,
    M_PRIME = 0x800,
    MODE = 0x804,
    QUERY_CLEAN = 0x808,
    SET_START_MODEXP = 0x80C,
    SET_START_MODMULT = 0x810,
    SET_START_MULT = 0x814,
    QUERY_IDLE = 0x818,
    INT_CLR = 0x81C,
    CONSTANT_TIME = 0x820,
    SEARCH_ENABLE = 0x824,
    SEARCH_POS = 0x828,
    INT_ENA = 0x82C,
    DATE = 0x830,
}

#[derive(Debug, Clone)]
pub(crate) struct Rsa {
    registers: Registers,
    interrupt: bool,
    /// Whether the memory for the numbers has power.
    memory: bool,
}

impl Rsa {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            registers: Registers::new(base, 0x834),
            interrupt: false,
            memory: false,
        }
    }

    /// Takes the power from the memory for the numbers.
    pub(super) fn switch_memory_off(&mut self) {
        self.memory = false;
    }

    /// Gives power to the memory for the numbers. If it had none, it contains zeros afterwards.
    pub(super) fn switch_memory_on(&mut self) {
        if !std::mem::replace(&mut self.memory, true) {
            for offset in (0..M_PRIME).step_by(4) {
                self.registers.set(offset, 0);
            }
        }
    }

    /// Z = X^Y mod M.
    fn exponentiate(&mut self) {
        let length = self.length();
        // With the search enabled, bits above the position count as zero.
        let bits = if self.registers.get(SEARCH_ENABLE) & 1 != 0 {
            (self.registers.get(SEARCH_POS) as usize & 0xFFF) + 1
        } else {
            32 * length
        };
        let (base, exponent) = (self.number(X_MEM0, length), self.number(Y_MEM0, length));
        let result = self.with_modulus(length, |modulus| modulus.power(&base, &exponent, bits));
        self.finish(&result);
    }

    /// Z = X * Y mod M.
    fn multiply_modulo(&mut self) {
        let length = self.length();
        let (a, b) = (self.number(X_MEM0, length), self.number(Y_MEM0, length));
        let result = self.with_modulus(length, |modulus| modulus.multiply(&a, &b));
        self.finish(&result);
    }

    /// Z = X * Y. MODE contains the length of the product, and Y lies in the upper half of the product's words in Z's
    /// memory.
    fn multiply(&mut self) {
        let length = self.length() / 2;
        let b = self.number(Z_MEM0 + 4 * length as u32, length);
        let result = multiply(&self.number(X_MEM0, length), &b);
        self.finish(&result);
    }

    /// Words of each number, from MODE.
    fn length(&self) -> usize {
        (self.registers.get(MODE) as usize + 1).min(WORDS)
    }

    /// Does `work` with the modulus. Software puts R^2 into Z's memory.
    fn with_modulus<T>(&self, length: usize, work: impl FnOnce(Modulus<'_>) -> T) -> T {
        work(Modulus {
            words: &self.number(M_MEM0, length),
            inverse: self.registers.get(M_PRIME),
            r_squared: &self.number(Z_MEM0, length),
        })
    }

    fn number(&self, memory: u32, length: usize) -> Vec<u32> {
        (0..length as u32).map(|n| self.registers.get(memory + 4 * n)).collect()
    }

    fn finish(&mut self, result: &[u32]) {
        for (n, word) in result.iter().enumerate().take(WORDS) {
            self.registers.set(Z_MEM0 + 4 * n as u32, *word);
        }
        self.interrupt = true;
    }
}

/// Whether an offset lies in the memory for a number.
fn is_number(offset: u32) -> bool {
    offset < M_PRIME && offset % STRIDE < 4 * WORDS as u32
}

impl Peripheral for Rsa {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            QUERY_CLEAN => u32::from(self.memory),
            QUERY_IDLE => 1,
            SET_START_MODEXP..=SET_START_MULT | INT_CLR => 0,
            M_PRIME | MODE | CONSTANT_TIME..=DATE => self.registers.get(offset),
            _ if is_number(offset) && self.memory => self.registers.get(offset),
            _ if is_number(offset) => 0,
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            SET_START_MODEXP if value & 1 != 0 => self.exponentiate(),
            SET_START_MODMULT if value & 1 != 0 => self.multiply_modulo(),
            SET_START_MULT if value & 1 != 0 => self.multiply(),
            INT_CLR if value & 1 != 0 => self.interrupt = false,
            SET_START_MODEXP..=SET_START_MULT | INT_CLR | QUERY_CLEAN | QUERY_IDLE => {}
            MODE => self.registers.set(offset, value & 0x7F),
            M_PRIME | CONSTANT_TIME..=DATE => self.registers.set(offset, value),
            _ if is_number(offset) && self.memory => self.registers.set(offset, value),
            _ if is_number(offset) => {}
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        *self = Self {
            memory: self.memory,
            ..Self::new(self.registers.base())
        };
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.interrupt && self.registers.get(INT_ENA) & 1 != 0)
    }
}
