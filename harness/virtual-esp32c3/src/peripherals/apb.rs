//! APB control, with the random number generator's data register. A seed and settings enter; random words leave. The
//! words follow from the seed alone.
//! (ESP32-C3 Technical Reference Manual, chapter "Random Number Generator"; APB_CTRL in the `esp32c3` description.)

use super::peripheral::{Context, Peripheral};
use super::registers::{Registers, offsets};

offsets! { APB_CTRL:
    SYSCLK_CONF = 0x00,
    RND_DATA = 0xB0,
    PERI_BACKUP_INT_CLR = 0xD0,
    DATE = 0x3FC,
}
/// The offset and the value by which firmware recognizes Espressif's emulator. The chip has no register there.
const EMULATOR: u32 = 0x3F8;
const QEMU: u32 = u32::from_be_bytes(*b"QEMU");

#[derive(Debug, Clone)]
pub(crate) struct ApbControl {
    registers: Registers,
    random: u64,
}

impl ApbControl {
    /// APB control whose random numbers follow from `seed`.
    pub(crate) fn new(base: u32, seed: u64) -> Self {
        Self {
            registers: Registers::new(base, 0x400),
            random: seed,
        }
    }

    /// Starts the random numbers again, from `seed`.
    pub(crate) fn reseed(&mut self, seed: u64) {
        self.random = seed;
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
            RND_DATA => self.random(),
            EMULATOR => QEMU,
            SYSCLK_CONF..=PERI_BACKUP_INT_CLR | DATE => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            RND_DATA | EMULATOR => {}
            SYSCLK_CONF..=PERI_BACKUP_INT_CLR | DATE => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        self.registers.reset();
    }
}
