//! The AES accelerator: single blocks from the processor, which the manual calls "typical", and runs of blocks by DMA
//! in the modes ECB, CBC, OFB, CTR, CFB8 and CFB128. Keys and blocks enter in the order in which they lie in memory;
//! blocks and an interrupt leave.
//! (ESP32-C3 Technical Reference Manual, chapter "AES Accelerator"; FIPS 197; NIST SP 800-38A.)
//!
//! A block takes no time. The registers for GCM, which the manual does not describe, are not modelled.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};

use super::dma_port::{BUDGET, DmaPort, Part};
use super::peripheral::{Context, Peripheral, Reach};
use super::registers::{Registers, offsets};

offsets! { AES:
    KEY0 = 0x00,
    KEY7 = 0x1C,
    TEXT_IN0 = 0x20,
    TEXT_IN3 = 0x2C,
    TEXT_OUT0 = 0x30,
    TEXT_OUT3 = 0x3C,
    MODE = 0x40,
    TRIGGER = 0x48,
    STATE = 0x4C,
    IV_MEM0 = 0x50,
    IV_MEM3 = 0x5C,
    DMA_ENABLE = 0x90,
    BLOCK_MODE = 0x94,
    BLOCK_NUM = 0x98,
    INC_SEL = 0x9C,
    INT_CLR = 0xAC,
    INT_ENA = 0xB0,
    DATE = 0xB4,
    DMA_EXIT = 0xB8,
}

/// MODE: bit 2 is the direction, and the two bits below it are the length of the key.
const MODE_DECRYPT: u32 = 1 << 2;
const MODE_KEY: u32 = 3;
const MODE_KEY_128: u32 = 0;
const MODE_KEY_256: u32 = 2;

/// Values of BLOCK_MODE; 0 is ECB.
const BLOCK_MODE_CBC: u32 = 1;
const BLOCK_MODE_OFB: u32 = 2;
const BLOCK_MODE_CTR: u32 = 3;
const BLOCK_MODE_CFB8: u32 = 4;
const BLOCK_MODE_CFB128: u32 = 5;

type Block = [u8; 16];

#[derive(Debug, Clone)]
pub(crate) struct Aes {
    registers: Registers,
    state: State,
    interrupt: bool,
    job: Option<Job>,
}

/// Values of STATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle = 0,
    Work = 1,
    Done = 2,
}

/// Which way a block goes through the cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Encrypt,
    Decrypt,
}

/// A run of blocks by DMA that has not ended.
#[derive(Debug, Clone, Default)]
struct Job {
    /// Blocks that have not been taken yet.
    blocks: u32,
    input: Block,
    /// Bytes of the input that have been taken.
    received: usize,
    output: Block,
    /// Bytes of the output that have not been given yet.
    waiting: usize,
}

impl Aes {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            registers: Registers::new(base, 0xC0),
            state: State::Idle,
            interrupt: false,
            job: None,
        }
    }

    fn start(&mut self, context: &mut Context<'_>) {
        // The chip has no 192-bit keys.
        if !matches!(self.registers.get(MODE) & MODE_KEY, MODE_KEY_128 | MODE_KEY_256) {
            context.report(self.registers.base() + MODE, Some(self.registers.get(MODE)));
        }
        if self.registers.get(DMA_ENABLE) & 1 == 0 {
            let output = self.cipher(self.block(TEXT_IN0), self.direction());
            self.set_block(TEXT_OUT0, output);
            return;
        }
        if self.registers.get(BLOCK_MODE) > BLOCK_MODE_CFB128 {
            let mode = self.registers.get(BLOCK_MODE);
            context.report(self.registers.base() + BLOCK_MODE, Some(mode));
        }
        self.state = State::Work;
        self.job = Some(Job {
            blocks: self.registers.get(BLOCK_NUM),
            ..Job::default()
        });
    }

    /// Ciphers one block in the mode of operation in BLOCK_MODE, and leaves in IV_MEM what the next block needs.
    fn chained(&mut self, input: Block) -> Block {
        let direction = self.direction();
        let iv = self.block(IV_MEM0);
        let (output, next) = match self.registers.get(BLOCK_MODE) {
            BLOCK_MODE_CBC => match direction {
                Direction::Decrypt => (xor(self.cipher(input, Direction::Decrypt), iv), input),
                Direction::Encrypt => {
                    let output = self.cipher(xor(input, iv), Direction::Encrypt);
                    (output, output)
                }
            },
            BLOCK_MODE_OFB => {
                let stream = self.cipher(iv, Direction::Encrypt);
                (xor(input, stream), stream)
            }
            BLOCK_MODE_CTR => (xor(input, self.cipher(iv, Direction::Encrypt)), self.incremented(iv)),
            BLOCK_MODE_CFB8 => self.cfb8(input, iv, direction),
            BLOCK_MODE_CFB128 => {
                let output = xor(input, self.cipher(iv, Direction::Encrypt));
                let fed_back = match direction {
                    Direction::Encrypt => output,
                    Direction::Decrypt => input,
                };
                (output, fed_back)
            }
            _ => (self.cipher(input, direction), iv),
        };
        self.set_block(IV_MEM0, next);
        output
    }

    /// Sixteen steps of cipher feedback with one byte each. Returns the output and the next shift register.
    fn cfb8(&self, input: Block, mut shift: Block, direction: Direction) -> (Block, Block) {
        let output = input.map(|byte| {
            let [stream, ..] = self.cipher(shift, Direction::Encrypt);
            let out = byte ^ stream;
            shift.rotate_left(1);
            shift[15] = match direction {
                Direction::Encrypt => out,
                Direction::Decrypt => byte,
            };
            out
        });
        (output, shift)
    }

    /// The counter's next value. INC_SEL selects whether its last 32 bits or all 128 bits count.
    fn incremented(&self, counter: Block) -> Block {
        let counter = u128::from_be_bytes(counter);
        let counting = if self.registers.get(INC_SEL) & 1 != 0 {
            u128::MAX
        } else {
            u128::from(u32::MAX)
        };
        (counter & !counting | counter.wrapping_add(1) & counting).to_be_bytes()
    }

    fn cipher(&self, block: Block, direction: Direction) -> Block {
        let mut key = [0; 32];
        for (n, word) in key.chunks_exact_mut(4).enumerate() {
            word.copy_from_slice(&self.registers.get(KEY0 + 4 * n as u32).to_le_bytes());
        }
        let mut block = block.into();
        match (
            key.first_chunk::<16>(),
            self.registers.get(MODE) & MODE_KEY >= MODE_KEY_256,
        ) {
            (Some(key), false) => {
                let cipher = Aes128::new(key.into());
                match direction {
                    Direction::Encrypt => cipher.encrypt_block(&mut block),
                    Direction::Decrypt => cipher.decrypt_block(&mut block),
                }
            }
            _ => {
                let cipher = Aes256::new(&key.into());
                match direction {
                    Direction::Encrypt => cipher.encrypt_block(&mut block),
                    Direction::Decrypt => cipher.decrypt_block(&mut block),
                }
            }
        }
        block.into()
    }

    fn direction(&self) -> Direction {
        if self.registers.get(MODE) & MODE_DECRYPT == 0 {
            Direction::Encrypt
        } else {
            Direction::Decrypt
        }
    }

    fn block(&self, offset: u32) -> Block {
        let mut block = [0; 16];
        for (n, word) in block.chunks_exact_mut(4).enumerate() {
            word.copy_from_slice(&self.registers.get(offset + 4 * n as u32).to_le_bytes());
        }
        block
    }

    fn set_block(&mut self, offset: u32, block: Block) {
        for (n, word) in block.as_chunks().0.iter().enumerate() {
            self.registers.set(offset + 4 * n as u32, u32::from_le_bytes(*word));
        }
    }
}

fn xor(block: Block, with: Block) -> Block {
    (u128::from_ne_bytes(block) ^ u128::from_ne_bytes(with)).to_ne_bytes()
}

impl Peripheral for Aes {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            STATE => self.state as u32,
            TRIGGER | INT_CLR | DMA_EXIT => 0,
            KEY0..=MODE | IV_MEM0..=IV_MEM3 | DMA_ENABLE..=INC_SEL | INT_ENA | DATE => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            TRIGGER if value & 1 != 0 => self.start(context),
            INT_CLR if value & 1 != 0 => self.interrupt = false,
            DMA_EXIT if value & 1 != 0 => self.state = State::Idle,
            TRIGGER | INT_CLR | DMA_EXIT | STATE | TEXT_OUT0..=TEXT_OUT3 => {}
            MODE => self.registers.set(offset, value & 7),
            KEY0..=KEY7 | TEXT_IN0..=TEXT_IN3 | IV_MEM0..=IV_MEM3 | DMA_ENABLE..=INC_SEL | INT_ENA | DATE => {
                self.registers.set(offset, value);
            }
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
        loop {
            if job.waiting != 0 {
                let from = &job.output[16 - job.waiting..];
                let part = if job.blocks == 0 { Part::Last } else { Part::Inner };
                job.waiting -= port.give(from, part);
                if job.waiting != 0 {
                    break;
                }
            }
            if job.blocks == 0 {
                self.state = State::Done;
                self.interrupt = true;
                return false;
            }
            if moved >= BUDGET {
                self.job = Some(job);
                return true;
            }
            while job.received < 16 {
                let taken = port.take(&mut job.input[job.received..]);
                if taken.bytes == 0 {
                    self.job = Some(job);
                    return false;
                }
                job.received += taken.bytes;
            }
            job.output = self.chained(job.input);
            (job.received, job.waiting) = (0, 16);
            job.blocks -= 1;
            moved += 16;
        }
        self.job = Some(job);
        false
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.interrupt && self.registers.get(INT_ENA) & 1 != 0)
    }
}
