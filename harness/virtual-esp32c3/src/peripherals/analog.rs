//! The bus to the analog parts (regi2c). Commands that read or write a byte of a part enter; the byte leaves. The parts
//! keep their bytes and do nothing.
//! (I2C_ANA_MST in the `esp32c3` description. The manual leaves it out.)

use super::peripheral::{Context, Peripheral};
use super::registers::Registers;

/// Commands on the parts' two buses. The description leaves them out; ESP-IDF has these names for later chips of the
/// family (i2c_ana_mst_reg.h).
const I2C0_CTRL: u32 = 0x00;
const I2C1_CTRL: u32 = 0x04;
/// The registers that the description has, which begin 0x40 bytes after this base.
const ANA_CONF0: u32 = 0x40;
const ANA_CONFIG: u32 = 0x44;
const ANA_CONFIG2: u32 = 0x48;

#[derive(Debug, Clone)]
pub(crate) struct AnalogBus {
    registers: Registers,
    /// The bytes that have been written, by part and register as in a command.
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
