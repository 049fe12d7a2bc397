//! The eFuses and their controller: eleven blocks of bits that can be burnt from 0 to 1 and never back, and the
//! registers that show them. The MAC address and the revision enter when the chip is made, and commands through the
//! registers; the fuses' bits and keys leave. Burnt bits outlive every reset and power cycle.
//! (ESP32-C3 Technical Reference Manual, chapter "eFuse Controller".)
//!
//! The check symbols of blocks 1 to 10 are kept as software burns them. Where they are not the Reed-Solomon code of the
//! data, the block counts as failed, and its data are shown as they were burnt. The chip would correct up to six wrong
//! bytes. A command takes no time, and timing settings have no effect.

use super::key::BurntKey;
use super::peripheral::{Context, Peripheral};
use super::reed_solomon;
use super::registers::{Registers, offsets};

/// Version 1.3 of the fuses' layout, as current chips have.
const BLOCK_MAJOR: u32 = 1;
const BLOCK_MINOR: u32 = 3;

const BLOCKS: usize = 11;
/// Bytes of the data of blocks 2 to 10.
const BLOCK_BYTES: u32 = 32;

offsets! { EFUSE:
    PGM_DATA0 = 0x00,
    PGM_CHECK_VALUE0 = 0x20,
    PGM_CHECK_VALUE2 = 0x28,
    RD_WR_DIS = 0x2C,
    RD_REPEAT_DATA1 = 0x34,
    RD_MAC_SPI_SYS_0 = 0x44,
    RD_SYS_PART1_DATA0 = 0x5C,
    RD_SYS_PART2_DATA7 = 0x178,
    RD_REPEAT_ERR0 = 0x17C,
    RD_REPEAT_ERR4 = 0x190,
    RD_RS_ERR0 = 0x1C0,
    RD_RS_ERR1 = 0x1C4,
    CLK = 0x1C8,
    CONF = 0x1CC,
    STATUS = 0x1D0,
    CMD = 0x1D4,
    INT_RAW = 0x1D8,
    INT_ST = 0x1DC,
    INT_ENA = 0x1E0,
    INT_CLR = 0x1E4,
    DAC_CONF = 0x1E8,
    WR_TIM_CONF2 = 0x1F4,
    DATE = 0x1FC,
}

const CONF_PROGRAM: u32 = 0x5A5A;
const CONF_READ: u32 = 0x5AA5;
const CMD_READ: u32 = 1 << 0;
const CMD_PROGRAM: u32 = 1 << 1;
const INT_READ_DONE: u32 = 1 << 0;
const INT_PROGRAM_DONE: u32 = 1 << 1;
const STATUS_IDLE: u32 = 1;

/// The burnt bits of one block.
#[derive(Debug, Clone, Copy, Default)]
struct Block {
    data: [u32; 8],
    check: [u32; 3],
}

impl Block {
    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (part, word) in bytes.chunks_exact_mut(4).zip(self.data) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The check symbols that belong to the data.
    fn code(&self) -> [u32; 3] {
        let symbols = reed_solomon::check_symbols(&self.bytes());
        std::array::from_fn(|n| {
            let at = |byte: usize| symbols[4 * n + byte];
            u32::from_le_bytes([at(0), at(1), at(2), at(3)])
        })
    }

    /// The block's field in RD_RS_ERR0 or RD_RS_ERR1: the number of wrong bytes, and a bit that is set if there are
    /// any.
    fn errors(&self) -> u32 {
        const FAILED: u32 = 1 << 3;
        let differs = |n: usize| (self.check[n] ^ self.code()[n]).to_le_bytes();
        let count = (0..3).flat_map(differs).filter(|byte| *byte != 0).count() as u32;
        count.min(7) | if count != 0 { FAILED } else { 0 }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Efuse {
    registers: Registers,
    blocks: [Block; BLOCKS],
    interrupts: u32,
}

impl Efuse {
    pub(crate) fn new(base: u32, mac: [u8; 6], revision: (u8, u8)) -> Self {
        let [a, b, c, d, e, f] = mac;
        let (major, minor) = (u32::from(revision.0), u32::from(revision.1));
        let mut blocks = [Block::default(); BLOCKS];
        blocks[1].data[0] = u32::from_be_bytes([c, d, e, f]);
        blocks[1].data[1] = u32::from_be_bytes([0, 0, a, b]);
        // WAFER_VERSION_MINOR_LO, then _HI and _MAJOR; BLK_VERSION_MINOR and _MAJOR.
        blocks[1].data[3] = (minor & 7) << 18 | BLOCK_MINOR << 24;
        blocks[1].data[5] = (minor >> 3 & 1) << 23 | (major & 3) << 24;
        blocks[2].data[4] = BLOCK_MAJOR;
        for block in &mut blocks[1..] {
            block.check = block.code();
        }
        let mut efuse = Self {
            registers: Registers::new(base, 0x200),
            blocks,
            interrupts: 0,
        };
        efuse.show();
        efuse
    }

    /// Key 0 to 5 as the accelerators get it, whether it is read-protected or not.
    pub(super) fn key(&self, number: u32) -> BurntKey {
        let purposes = u64::from(self.blocks[0].data[2] >> 24) | u64::from(self.blocks[0].data[3] & 0xFFFF) << 8;
        let block = self.blocks.get(4 + number as usize).filter(|_| number < 6);
        BurntKey {
            key: block.map_or([0; 32], Block::bytes),
            purpose: (purposes >> (4 * number)) as u32 & 15,
        }
    }

    /// Loads the registers from the fuses. Read-protected keys show zeros.
    fn show(&mut self) {
        let hidden = self.blocks[0].data[1] & 0x7F;
        for (n, block) in self.blocks.into_iter().enumerate() {
            let is_hidden = n >= 4 && hidden >> (n - 4) & 1 != 0;
            for (word, value) in block.data.into_iter().enumerate().take(words(n)) {
                let shown = if is_hidden { 0 } else { value };
                self.registers.set(read_register(n) + 4 * word as u32, shown);
            }
        }
        let errors = |n: usize| u64::from(self.blocks[n].errors());
        let all = (1..BLOCKS).fold(0, |all, n| all | errors(n) << (4 * (n - 1)));
        self.registers.set(RD_RS_ERR0, all as u32);
        self.registers.set(RD_RS_ERR1, (all >> 32) as u32);
    }

    /// Burns the bits in the PGM registers into block `n`, as far as they are not write-protected.
    fn program(&mut self, n: usize) {
        let protected = self.blocks[0].data[0];
        let Some(block) = self.blocks.get_mut(n) else { return };
        let is_locked = n != 0 && protected >> (19 + n) & 1 != 0;
        if !is_locked {
            for (word, value) in block.data.iter_mut().enumerate().take(words(n)) {
                let kept = if n == 0 { locked(word, protected) } else { 0 };
                *value |= self.registers.get(PGM_DATA0 + 4 * word as u32) & !kept;
            }
            for (word, value) in block.check.iter_mut().enumerate() {
                *value |= self.registers.get(PGM_CHECK_VALUE0 + 4 * word as u32);
            }
        }
        self.interrupts |= INT_PROGRAM_DONE;
    }

    fn command(&mut self, value: u32, context: &mut Context<'_>) {
        let operation = self.registers.get(CONF) & 0xFFFF;
        if value & CMD_READ != 0 && operation == CONF_READ {
            self.show();
            self.interrupts |= INT_READ_DONE;
        } else if value & CMD_PROGRAM != 0 && operation == CONF_PROGRAM {
            self.program((value >> 2 & 15) as usize);
            let crypt_count = self.blocks[0].data[2] >> 18 & 7;
            if matches!(crypt_count.count_ones(), 1 | 3) {
                // An odd number of bits switches flash encryption on, and nothing here decrypts.
                let address = self.registers.base() + RD_REPEAT_DATA1;
                context.report(address, Some(self.blocks[0].data[2]));
            }
        }
    }
}

/// The number of words of a block's data.
fn words(block: usize) -> usize {
    if block < 2 { 6 } else { 8 }
}

/// The register that shows a block's first word.
fn read_register(block: usize) -> u32 {
    match block {
        0 => RD_WR_DIS,
        1 => RD_MAC_SPI_SYS_0,
        _ => RD_SYS_PART1_DATA0 + BLOCK_BYTES * (block as u32 - 2),
    }
}

/// The bits of a word of block 0 that WR_DIS, whose value is `protected`, protects from being burnt.
fn locked(word: usize, protected: u32) -> u32 {
    /// Word, bits, and the bit of WR_DIS that protects them.
    const LOCKS: [(usize, u32, u32); 23] = [
        (1, 0x0000_007F, 0),
        (1, 0x0000_0080, 1),
        (1, 0x0018_DF00, 2),
        (1, 0xE000_0000, 3),
        (1, 0x1FE0_0000, 30),
        (1, 0x0007_0000, 31),
        (2, 0x0003_0000, 3),
        (2, 0x001C_0000, 4),
        (2, 0x0020_0000, 5),
        (2, 0x0040_0000, 6),
        (2, 0x0080_0000, 7),
        (2, 0x0F00_0000, 8),
        (2, 0xF000_0000, 9),
        (3, 0x0000_000F, 10),
        (3, 0x0000_00F0, 11),
        (3, 0x0000_0F00, 12),
        (3, 0x0000_F000, 13),
        (3, 0x0010_0000, 15),
        (3, 0x0020_0000, 16),
        (3, 0xF000_0000, 18),
        (4, 0x3FFF_FFFF, 18),
        (4, 0x8000_0000, 19),
        (5, 0x0000_0003, 19),
    ];
    LOCKS
        .iter()
        .filter(|(at, _, lock)| *at == word && protected >> lock & 1 != 0)
        .fold(0, |bits, (_, field, _)| bits | field)
}

impl Peripheral for Efuse {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            STATUS => STATUS_IDLE,
            // A command ends at once.
            CMD | INT_CLR => 0,
            INT_RAW => self.interrupts,
            INT_ST => self.interrupts & self.registers.get(INT_ENA),
            // Block 0 is burnt four times, and the copies never differ.
            RD_REPEAT_ERR0..=RD_REPEAT_ERR4 => 0,
            PGM_DATA0..=RD_SYS_PART2_DATA7 | RD_RS_ERR0..=CONF | INT_ENA | DAC_CONF..=WR_TIM_CONF2 | DATE => {
                self.registers.get(offset)
            }
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            CMD => self.command(value, context),
            INT_CLR => self.interrupts &= !value,
            INT_ENA => self.registers.set(offset, value & (INT_READ_DONE | INT_PROGRAM_DONE)),
            PGM_DATA0..=PGM_CHECK_VALUE2 | CLK | CONF | DAC_CONF..=WR_TIM_CONF2 | DATE => {
                self.registers.set(offset, value);
            }
            RD_WR_DIS..=RD_RS_ERR1 | STATUS..=INT_ST => {}
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    /// The controller forgets what it was about to burn, and reads the fuses again.
    fn reset(&mut self, _context: &mut Context<'_>) {
        self.registers.reset();
        self.interrupts = 0;
        self.show();
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.interrupts & self.registers.get(INT_ENA) != 0)
    }
}
