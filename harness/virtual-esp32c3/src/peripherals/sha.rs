//! The SHA accelerator: SHA-1, SHA-224 and SHA-256 over blocks of 64 bytes, from the processor, which the manual calls
//! "typical", or by DMA. Blocks and states enter in the order in which they lie in memory; states and an interrupt
//! leave.
//! (ESP32-C3 Technical Reference Manual, chapter "SHA Accelerator"; FIPS 180-4.)
//!
//! A block takes no time.

use super::dma_port::{BUDGET, DmaPort};
use super::peripheral::{Context, Peripheral, Reach};
use super::registers::{Registers, offsets};
use super::sha_states::{SHA1, SHA224, SHA256};

offsets! { SHA:
    MODE = 0x00,
    DMA_BLOCK_NUM = 0x0C,
    START = 0x10,
    CONTINUE = 0x14,
    BUSY = 0x18,
    DMA_START = 0x1C,
    DMA_CONTINUE = 0x20,
    CLEAR_IRQ = 0x24,
    IRQ_ENA = 0x28,
    DATE = 0x2C,
    H_MEM0 = 0x40,
    H_MEM7 = 0x5C,
    M_MEM0 = 0x80,
    M_MEM15 = 0xBC,
}

/// Values of MODE; 2 is SHA-256.
const MODE_SHA1: u32 = 0;
const MODE_SHA224: u32 = 1;

#[derive(Debug, Clone)]
pub(crate) struct Sha {
    registers: Registers,
    interrupt: bool,
    job: Option<Job>,
}

/// Where a block stands in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    First,
    Later,
}

/// A run of blocks by DMA that has not ended.
#[derive(Debug, Clone)]
struct Job {
    blocks: u32,
    /// Of the next block.
    position: Position,
    input: [u8; 64],
    /// Bytes of the input that have been taken.
    received: usize,
}

impl Sha {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            registers: Registers::new(base, 0xC0),
            interrupt: false,
            job: None,
        }
    }

    fn start_dma(&mut self, position: Position) {
        self.job = Some(Job {
            blocks: self.registers.get(DMA_BLOCK_NUM),
            position,
            input: [0; 64],
            received: 0,
        });
    }

    /// Hashes the block of 64 bytes in M_MEM0 to M_MEM15.
    fn digest_typical(&mut self, position: Position) {
        let mut block = [0; 64];
        for (n, word) in block.chunks_exact_mut(4).enumerate() {
            word.copy_from_slice(&self.registers.get(M_MEM0 + 4 * n as u32).to_le_bytes());
        }
        self.digest(position, block);
    }

    fn digest(&mut self, position: Position, block: [u8; 64]) {
        let mode = self.registers.get(MODE);
        let mut state: [u32; 8] = match (position, mode) {
            (Position::First, MODE_SHA1) => SHA1,
            (Position::First, MODE_SHA224) => SHA224,
            (Position::First, _) => SHA256,
            (Position::Later, _) => std::array::from_fn(|n| self.registers.get(H_MEM0 + 4 * n as u32).swap_bytes()),
        };
        if mode == MODE_SHA1 {
            if let Some(state) = state.first_chunk_mut() {
                sha1::block_api::compress(state, &[block]);
            }
        } else {
            sha2::block_api::compress256(&mut state, &[block]);
        }
        for (n, word) in state.iter().enumerate() {
            self.registers.set(H_MEM0 + 4 * n as u32, word.swap_bytes());
        }
    }
}

impl Peripheral for Sha {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            BUSY => u32::from(self.job.is_some()),
            START | CONTINUE | DMA_START | DMA_CONTINUE | CLEAR_IRQ => 0,
            MODE | DMA_BLOCK_NUM | IRQ_ENA | DATE | H_MEM0..=H_MEM7 | M_MEM0..=M_MEM15 => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            START if value & 1 != 0 => self.digest_typical(Position::First),
            CONTINUE if value & 1 != 0 => self.digest_typical(Position::Later),
            DMA_START if value & 1 != 0 => self.start_dma(Position::First),
            DMA_CONTINUE if value & 1 != 0 => self.start_dma(Position::Later),
            CLEAR_IRQ if value & 1 != 0 => self.interrupt = false,
            START | CONTINUE | DMA_START | DMA_CONTINUE | CLEAR_IRQ | BUSY => {}
            MODE => self.registers.set(offset, value & 7),
            DMA_BLOCK_NUM => self.registers.set(offset, value & 0x3F),
            IRQ_ENA | DATE | H_MEM0..=H_MEM7 | M_MEM0..=M_MEM15 => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        *self = Self::new(self.registers.base());
    }

    fn reach(&self) -> Reach {
        Reach::Dma
    }

    fn transfer(&mut self, port: &mut dyn DmaPort) -> bool {
        let Some(mut job) = self.job.take() else { return false };
        let mut moved = 0;
        while job.blocks != 0 {
            let left = moved >= BUDGET;
            let taken = if left {
                0
            } else {
                port.take(&mut job.input[job.received..]).bytes
            };
            if taken == 0 {
                self.job = Some(job);
                return left;
            }
            moved += taken;
            job.received += taken;
            if job.received == job.input.len() {
                self.digest(job.position, job.input);
                job.blocks -= 1;
                job.received = 0;
                job.position = Position::Later;
            }
        }
        self.interrupt = true;
        false
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.interrupt && self.registers.get(IRQ_ENA) & 1 != 0)
    }
}
