//! Peripherals with little or no behaviour: settings that firmware writes and reads back and that make no difference to
//! what it can observe here (clocks, pads, permissions, analog trims), the random number generator, GPIO levels.

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

    pub(crate) fn get(&self, offset: u32) -> u32 {
        self.registers.get(offset)
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
            0x00 | 0x04 => {
                let command = self.registers.get(offset);
                let byte = self.bytes.get(&(command as u16)).copied().unwrap_or(0);
                command & 0xFFFF | u32::from(byte) << 16
            }
            0x40 => self.registers.get(offset) | BBPLL_CAL_DONE,
            0x44 | 0x48 => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        const WRITE: u32 = 1 << 24;
        match offset {
            0x00 | 0x04 => {
                self.registers.set(offset, value);
                if value & WRITE != 0 {
                    self.bytes.insert(value as u16, (value >> 16) as u8);
                }
            }
            0x40..=0x48 => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _now: u64) {
        self.registers.reset();
        self.bytes.clear();
    }
}

/// APB control, with the random number generator's data register and the mark by which firmware knows an emulator.
#[derive(Debug, Clone)]
pub(crate) struct ApbControl {
    registers: Registers,
    random: u64,
}

impl ApbControl {
    /// Random numbers come from `seed` alone.
    pub(crate) fn new(base: u32, seed: u64) -> Self {
        Self {
            registers: Registers::new(base, 0x400),
            random: seed,
        }
    }

    /// The next number of Steele, Lea and Flood's SplitMix64.
    fn random(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) as u32
    }
}

impl Peripheral for ApbControl {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            0xB0 => self.random(),
            // "QEMU", where Espressif's emulator shows it.
            0x3F8 => 0x5145_4D55,
            0x00..=0xD0 | 0x3FC => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            0xB0 | 0x3F8 => {}
            0x00..=0xD0 | 0x3FC => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _now: u64) {
        self.registers.reset();
    }
}

/// GPIO: output levels, strapping, and inputs that read as pulled up or as they are driven. No interrupts.
#[derive(Debug, Clone)]
pub(crate) struct Gpio {
    registers: Registers,
    /// GPIO9, the boot button's pin.
    boot: bool,
    strapping: u32,
}

/// GPIO8 is pulled up on the board, GPIO2 is not.
const STRAPPING_GPIO8: u32 = 1 << 2;
const STRAPPING_GPIO9: u32 = 1 << 3;

impl Gpio {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            registers: Registers::new(base, 0xFFC),
            boot: true,
            strapping: 0,
        }
    }

    /// The level on GPIO9.
    pub(crate) fn set_boot(&mut self, level: bool) {
        self.boot = level;
    }

    /// Samples the strapping pins.
    pub(crate) fn strap(&mut self) {
        self.strapping = STRAPPING_GPIO8 | (u32::from(self.boot) * STRAPPING_GPIO9);
    }

    /// Whether the strapping says to start from flash.
    pub(crate) fn boots_from_flash(&self) -> bool {
        self.strapping & STRAPPING_GPIO9 != 0
    }

    /// Levels of the outputs.
    pub(crate) fn out(&self) -> u32 {
        self.registers.get(0x04)
    }

    /// Which pins are outputs.
    pub(crate) fn enabled(&self) -> u32 {
        self.registers.get(0x20)
    }

    pub(crate) fn set_out(&mut self, value: u32) {
        self.registers.set(0x04, value);
    }

    pub(crate) fn set_enabled(&mut self, value: u32) {
        self.registers.set(0x20, value);
    }

    /// Levels at the pins.
    pub(crate) fn levels(&self) -> u32 {
        const PINS: u32 = (1 << 22) - 1;
        let pulled = PINS & !(1 << 9) | u32::from(self.boot) << 9;
        self.out() & self.enabled() | pulled & !self.enabled()
    }
}

impl Peripheral for Gpio {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            0x38 => self.strapping,
            0x3C => self.levels(),
            // No pin raises an interrupt.
            0x44 | 0x5C | 0x60 | 0x64 | 0x14C => 0,
            0x00..=0x1C | 0x20 | 0x74..=0xD8 | 0x154..=0x62C | 0xF20 => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            0x08 => self.set_out(self.out() | value),
            0x0C => self.set_out(self.out() & !value),
            0x24 => self.set_enabled(self.enabled() | value),
            0x28 => self.set_enabled(self.enabled() & !value),
            0x38 | 0x3C | 0x44..=0x4C => {}
            0x00..=0x1C | 0x20 | 0x74..=0xD8 | 0x154..=0x62C | 0xF20 => {
                self.registers.set(offset, value);
            }
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _now: u64) {
        self.registers.reset();
    }
}
