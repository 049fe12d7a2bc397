//! The eFuses, as they are burnt: MAC address and chip revision, everything else blank. Burning is not modelled.
//! (ESP32-C3 Technical Reference Manual, chapter "eFuse Controller".)

use super::registers::Registers;
use super::{Context, Peripheral};

/// Version 1.3 of the block's contents, as current chips have.
const BLOCK_MAJOR: u32 = 1;
const BLOCK_MINOR: u32 = 3;

#[derive(Debug, Clone)]
pub(crate) struct Efuse {
    registers: Registers,
    mac: [u8; 6],
    revision: (u8, u8),
}

impl Efuse {
    pub(crate) fn new(base: u32, mac: [u8; 6], revision: (u8, u8)) -> Self {
        let mut efuse = Self {
            registers: Registers::new(base, 0x200),
            mac,
            revision,
        };
        efuse.reset(0);
        efuse
    }
}

impl Peripheral for Efuse {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            // Controller idle, no command under way.
            0x1D0 => 1,
            0x1D4 => 0,
            0x00..=0x1FC => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        const READ_CMD: u32 = 1;
        match offset {
            0x1D4 if value & !READ_CMD == 0 => {}
            0x1C8 | 0x1CC | 0x1D8..=0x1FC | 0x00..=0x28 => self.registers.set(offset, value),
            0x2C..=0x1C4 => {}
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _now: u64) {
        self.registers.reset();
        let [a, b, c, d, e, f] = self.mac;
        let (major, minor) = (u32::from(self.revision.0), u32::from(self.revision.1));
        self.registers.set(0x44, u32::from_be_bytes([c, d, e, f]));
        self.registers.set(0x48, u32::from_be_bytes([0, 0, a, b]));
        // WAFER_VERSION_MINOR_LO, then _HI and _MAJOR; BLK_VERSION_MINOR and _MAJOR.
        self.registers.set(0x50, (minor & 7) << 18 | BLOCK_MINOR << 24);
        self.registers.set(0x58, (minor >> 3 & 1) << 23 | (major & 3) << 24);
        self.registers.set(0x6C, BLOCK_MAJOR);
    }
}
