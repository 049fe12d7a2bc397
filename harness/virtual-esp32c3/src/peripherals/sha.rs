//! The SHA accelerator: SHA-1, SHA-224 and SHA-256 over blocks of 64 bytes, fed by the processor. Words enter and leave as
//! they lie in memory. Its DMA mode is not modelled.
//! (ESP32-C3 Technical Reference Manual, chapter "SHA Accelerator".)

use super::registers::Registers;
use super::{Context, Peripheral};

const SHA1: [u32; 8] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0, 0, 0, 0];
const SHA224: [u32; 8] = [
    0xC105_9ED8,
    0x367C_D507,
    0x3070_DD17,
    0xF70E_5939,
    0xFFC0_0B31,
    0x6858_1511,
    0x64F9_8FA7,
    0xBEFA_4FA4,
];
const SHA256: [u32; 8] = [
    0x6A09_E667,
    0xBB67_AE85,
    0x3C6E_F372,
    0xA54F_F53A,
    0x510E_527F,
    0x9B05_688C,
    0x1F83_D9AB,
    0x5BE0_CD19,
];

#[derive(Debug, Clone)]
pub(crate) struct Sha {
    registers: Registers,
}

impl Sha {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            registers: Registers::new(base, 0xC0),
        }
    }

    fn digest(&mut self, first: bool) {
        let mode = self.registers.get(0);
        let mut state: [u32; 8] = match (first, mode) {
            (true, 0) => SHA1,
            (true, 1) => SHA224,
            (true, _) => SHA256,
            (false, _) => std::array::from_fn(|n| self.registers.get(0x40 + 4 * n as u32).swap_bytes()),
        };
        let mut block = [0; 64];
        for (n, word) in block.chunks_exact_mut(4).enumerate() {
            word.copy_from_slice(&self.registers.get(0x80 + 4 * n as u32).to_le_bytes());
        }
        if mode == 0 {
            if let Some(state) = state.first_chunk_mut() {
                sha1::block_api::compress(state, &[block]);
            }
        } else {
            sha2::block_api::compress256(&mut state, &[block]);
        }
        for (n, word) in state.iter().enumerate() {
            self.registers.set(0x40 + 4 * n as u32, word.swap_bytes());
        }
    }
}

impl Peripheral for Sha {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            0x18 => 0,
            0x00 | 0x2C | 0x40..=0x5C | 0x80..=0xBC => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            0x10 if value & 1 != 0 => self.digest(true),
            0x14 if value & 1 != 0 => self.digest(false),
            0x10 | 0x14 => {}
            0x00 | 0x2C | 0x40..=0x5C | 0x80..=0xBC => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _now: u64) {
        self.registers.reset();
    }
}
