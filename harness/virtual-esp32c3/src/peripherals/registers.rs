//! The catalogue of the chip's registers (`registers.txt`) with their names and values after reset, and the storage in
//! which every peripheral keeps its registers. It knows no behaviour.

use std::sync::LazyLock;

/// The peripherals in the chip's description, in the order of their addresses.
static CATALOGUE: LazyLock<Vec<Block>> = LazyLock::new(parse);

#[derive(Debug)]
struct Block {
    base: u32,
    name: &'static str,
    /// Offset, name and value after reset, in the order of their offsets.
    registers: Vec<(u32, &'static str, u32)>,
}

/// Declares offsets of registers, under the names that the chip's description gives them in this block of the
/// catalogue: `offsets! { UART0: FIFO = 0x00, }`. A test that comes with them compares the two.
macro_rules! offsets {
    ($visibility:vis $block:ident: $($name:ident = $offset:literal,)+) => {
        $($visibility const $name: u32 = $offset;)+

        #[cfg(test)]
        #[test]
        fn registers_are_named_as_in_the_chips_description() {
            let described = |offset| crate::peripherals::registers::name_in(stringify!($block), offset);
            $(assert_eq!(described($offset), Some(stringify!($name)));)+
        }
    };
}
pub(super) use offsets;

/// Storage for a peripheral's registers.
#[derive(Debug, Clone)]
pub(crate) struct Registers {
    base: u32,
    words: Box<[u32]>,
}

impl Registers {
    /// `size` bytes of registers of the peripheral at `base`, with their values after reset.
    pub(crate) fn new(base: u32, size: u32) -> Self {
        let mut registers = Self {
            base,
            words: vec![0; size as usize / 4].into(),
        };
        registers.reset();
        registers
    }

    pub(crate) fn base(&self) -> u32 {
        self.base
    }

    /// Returns every register to its value after reset.
    pub(crate) fn reset(&mut self) {
        self.words.fill(0);
        let end = self.base + 4 * self.words.len() as u32;
        for block in CATALOGUE.iter() {
            for &(offset, _, value) in &block.registers {
                let address = block.base + offset;
                if (self.base..end).contains(&address) && value != 0 {
                    self.set(address - self.base, value);
                }
            }
        }
    }

    /// The value of the register at `offset`; zero beyond the end.
    pub(crate) fn get(&self, offset: u32) -> u32 {
        self.words.get(offset as usize / 4).copied().unwrap_or(0)
    }

    /// Writes the register at `offset`. Beyond the end nothing happens.
    pub(crate) fn set(&mut self, offset: u32, value: u32) {
        if let Some(word) = self.words.get_mut(offset as usize / 4) {
            *word = value;
        }
    }
}

/// Peripheral and register at an address, as `UART0.INT_RAW`; as `UART0+0x123` where the description names no register.
pub(crate) fn name(address: u32) -> String {
    let Some(block) = CATALOGUE.iter().rev().find(|block| block.base <= address) else {
        return format!("{address:#010x}");
    };
    let offset = address - block.base;
    match block.registers.iter().find(|(at, ..)| *at == offset) {
        Some((_, register, _)) => format!("{}.{register}", block.name),
        None if offset < 0x1000 => format!("{}+{offset:#x}", block.name),
        None => format!("{address:#010x}"),
    }
}

/// The name of a register by its block's name and its offset there.
#[cfg(test)]
pub(super) fn name_in(block: &str, offset: u32) -> Option<&'static str> {
    let block = CATALOGUE.iter().find(|known| known.name == block)?;
    let register = block.registers.iter().find(|(at, ..)| *at == offset);
    register.map(|(_, name, _)| *name)
}

/// The address of a register by its name, as `UART0.STATUS`.
#[cfg(test)]
pub(super) fn address(name: &str) -> u32 {
    let (block, register) = name.split_once('.').unwrap();
    let block = CATALOGUE.iter().find(|known| known.name == block).unwrap();
    let offset = block.registers.iter().find(|(_, known, _)| *known == register);
    block.base + offset.unwrap().0
}

fn parse() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in include_str!("registers.txt").lines() {
        let mut words = line.split(' ');
        let (Some(first), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        let hexadecimal = |text| u32::from_str_radix(text, 16).ok();
        if let Some(base) = first.strip_prefix('@').and_then(hexadecimal) {
            blocks.push(Block {
                base,
                name,
                registers: Vec::new(),
            });
        } else if let (Some(offset), Some(block)) = (hexadecimal(first), blocks.last_mut()) {
            let value = words.next().and_then(hexadecimal).unwrap_or(0);
            block.registers.push((offset, name, value));
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::{Registers, name};

    #[test]
    fn registers_have_names_and_values_after_reset() {
        assert_eq!(name(0x6000_0004), "UART0.INT_RAW");
        assert_eq!(name(0x6000_8044), "RTC_CNTL.INT_RAW");
        assert_eq!(name(0x6001_F054), "TIMG0.WDTCONFIG3");
        assert_eq!(name(0x6000_00F4), "UART0+0xf4");
        assert_eq!(name(0x600D_2000), "0x600d2000");
        assert_eq!(Registers::new(0x6001_F000, 0x100).get(0x50), 0x018C_BA80);
        assert_eq!(Registers::new(0x6002_0000, 0x100).get(0x50), 0x018C_BA80);
    }
}
