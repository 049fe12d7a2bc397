//! The bus to the analog parts (regi2c): commands enter, a byte of one of the parts leaves. The parts themselves do nothing.

use super::peripheral::{Context, Peripheral};
use super::registers::Registers;

/// Commands to the parts' two buses. The manual has no names for them; these are ESP-IDF's for the ROM's regi2c functions.
const I2C0_CTRL: u32 = 0x00;
const I2C1_CTRL: u32 = 0x04;
/// I2C_ANA_MST.ANA_CONF0 and what follows it.
const ANA_CONF0: u32 = 0x40;
const ANA_CONFIG: u32 = 0x44;
const ANA_CONFIG2: u32 = 0x48;

/// The bus to the analog parts (regi2c): each command reads or writes a byte of one of them.
#[derive(Debug, Clone)]
pub(crate) struct AnalogBus {
    registers: Registers,
    bytes: std::collections::HashMap<u16, u8>,
}

impl AnalogBus {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            registers: Registers::new(base, 0x100),
            bytes: std::collections::HashMap::new(),
        }
    }
}

impl Peripheral for AnalogBus {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        const BBPLL_CAL_DONE: u32 = 1 << 24;
        match offset {
            I2C0_CTRL | I2C1_CTRL => {
                let command = self.registers.get(offset);
                let byte = self.bytes.get(&(command as u16)).copied().unwrap_or(0);
                command & 0xFFFF | u32::from(byte) << 16
            }
            ANA_CONF0 => self.registers.get(offset) | BBPLL_CAL_DONE,
            ANA_CONFIG | ANA_CONFIG2 => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        const WRITE: u32 = 1 << 24;
        match offset {
            I2C0_CTRL | I2C1_CTRL => {
                self.registers.set(offset, value);
                if value & WRITE != 0 {
                    self.bytes.insert(value as u16, (value >> 16) as u8);
                }
            }
            ANA_CONF0..=ANA_CONFIG2 => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        self.registers.reset();
        self.bytes.clear();
    }
}
