//! SPI1, the SPI controller with which software programs, erases and reads the flash chip. Commands enter through its
//! registers and go to the flash chip at once; answers return to the registers. It knows no cache.
//! (ESP32-C3 Technical Reference Manual, chapter "SPI Controller"; SPI_MEM registers of the `esp32c3` description.)

use super::flash_chip::{FlashChip, Transaction};
use super::opcode;
use super::peripheral::{Context, Peripheral, Reach};
use super::registers::{Registers, offsets};

offsets! { SPI1:
    CMD = 0x00,
    ADDR = 0x04,
    CTRL = 0x08,
    USER = 0x18,
    USER1 = 0x1C,
    USER2 = 0x20,
    MOSI_DLEN = 0x24,
    MISO_DLEN = 0x28,
    RD_STATUS = 0x2C,
    CACHE_FCTRL = 0x3C,
    W0 = 0x58,
    W15 = 0x94,
    FLASH_WAITI_CTRL = 0x98,
    FLASH_SUS_CTRL = 0x9C,
    FLASH_SUS_CMD = 0xA0,
    INT_RAW = 0xC8,
    DATE = 0x3FC,
}
/// Settings around CLOCK_GATE that the description does not name, first and last.
const UNNAMED_FIRST: u32 = 0xD4;
const UNNAMED_LAST: u32 = 0xE0;
use crate::flash_timing::FlashTiming;

const CMD_READ: u32 = 1 << 31;
const CMD_WREN: u32 = 1 << 30;
const CMD_WRDI: u32 = 1 << 29;
const CMD_RDID: u32 = 1 << 28;
const CMD_RDSR: u32 = 1 << 27;
const CMD_WRSR: u32 = 1 << 26;
const CMD_PP: u32 = 1 << 25;
const CMD_SE: u32 = 1 << 24;
const CMD_BE: u32 = 1 << 23;
const CMD_CE: u32 = 1 << 22;
const CMD_DP: u32 = 1 << 21;
const CMD_RES: u32 = 1 << 20;
const CMD_USR: u32 = 1 << 18;

const CTRL_WRSR_2B: u32 = 1 << 22;
const USER_COMMAND: u32 = 1 << 31;
const USER_ADDR: u32 = 1 << 30;
const USER_MISO: u32 = 1 << 28;
const USER_MOSI: u32 = 1 << 27;
const USER_MOSI_HIGHPART: u32 = 1 << 25;
const USER_MISO_HIGHPART: u32 = 1 << 24;

const FLASH_PER: u32 = 1 << 0;
const FLASH_PES: u32 = 1 << 1;

const BUFFER: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct SpiFlash {
    registers: Registers,
    chip: FlashChip,
}

impl SpiFlash {
    pub(crate) fn new(base: u32, seed: u64) -> Self {
        Self {
            registers: Registers::new(base, 0x400),
            chip: FlashChip::new(seed),
        }
    }

    /// Sets how long the flash chip's operations take.
    pub(crate) fn set_flash_timing(&mut self, timing: FlashTiming) {
        self.chip.set_timing(timing);
    }

    /// Wears out the flash chip's sector at this address.
    pub(crate) fn wear_out(&mut self, address: u32) {
        self.chip.wear_out(address);
    }

    /// The flash chip loses power.
    pub(crate) fn power_cut(&mut self, context: &mut Context<'_>) {
        self.chip.power_cut(context);
    }

    /// Enough time passes for the flash chip to finish what it does.
    pub(crate) fn wait(&mut self) {
        self.chip.wait();
    }

    /// Sends a command that has a bit of its own in CMD. The controller sends no write enable before it, and does not
    /// wait until the flash chip is ready.
    fn command(&mut self, command: u32, context: &mut Context<'_>) {
        let address = self.registers.get(ADDR);
        let bytes = match command & CMD_PP {
            0 => [0; BUFFER],
            _ => self.buffer(0),
        };
        let status = self.registers.get(RD_STATUS).to_le_bytes();
        let mut transaction = Transaction {
            address: address & 0xFF_FFFF,
            ..Transaction::default()
        };
        if command & CMD_USR != 0 {
            return self.user(context);
        }
        transaction.opcode = if command & CMD_READ != 0 {
            let length = (self.registers.get(MISO_DLEN) & 0x3FF) as usize / 8 + 1;
            transaction.length = length.min(BUFFER);
            opcode::READ_DATA
        } else if command & CMD_WREN != 0 {
            opcode::WRITE_ENABLE
        } else if command & CMD_WRDI != 0 {
            opcode::WRITE_DISABLE
        } else if command & CMD_RDID != 0 {
            transaction.length = 3;
            opcode::JEDEC_ID
        } else if command & CMD_RDSR != 0 {
            transaction.length = 1;
            opcode::READ_STATUS_1
        } else if command & CMD_WRSR != 0 {
            let length = 1 + usize::from(self.registers.get(CTRL) & CTRL_WRSR_2B != 0);
            transaction.data = &status[..length];
            opcode::WRITE_STATUS_1
        } else if command & CMD_PP != 0 {
            // The top byte of ADDR is the length, and the data are in the buffer.
            let length = match (address >> 24) as usize {
                0 => BUFFER,
                length => length.min(BUFFER),
            };
            transaction.data = &bytes[..length];
            opcode::PAGE_PROGRAM
        } else if command & CMD_SE != 0 {
            opcode::SECTOR_ERASE
        } else if command & CMD_BE != 0 {
            opcode::BLOCK_ERASE
        } else if command & CMD_CE != 0 {
            opcode::CHIP_ERASE
        } else if command & CMD_DP != 0 {
            opcode::POWER_DOWN
        } else if command & CMD_RES != 0 {
            opcode::RELEASE_POWER_DOWN
        } else {
            // High performance mode is a command of another vendor's chips.
            return;
        };
        let answer = self.chip.transfer(&transaction, context);
        match transaction.opcode {
            opcode::READ_DATA | opcode::JEDEC_ID => self.fill(0, &answer),
            opcode::READ_STATUS_1 => self
                .registers
                .set(RD_STATUS, answer.first().copied().map_or(0, u32::from)),
            _ => {}
        }
    }

    /// Sends a transaction with the phases that USER selects.
    fn user(&mut self, context: &mut Context<'_>) {
        let user = self.registers.get(USER);
        let opcode = match user & USER_COMMAND {
            0 => 0,
            _ => self.registers.get(USER2) as u8,
        };
        let address = match user & USER_ADDR {
            0 => 0,
            _ => {
                // The address is right-aligned in ADDR. A phase of more than 24 bits has mode bits below it.
                let bits = (self.registers.get(USER1) >> 26) + 1;
                self.registers.get(ADDR) >> bits.saturating_sub(24).min(8) & 0xFF_FFFF
            }
        };
        let length = |bits: u32| ((bits & 0x3FF) as usize + 8) / 8;
        let high = |bit: u32| if user & bit == 0 { 0 } else { BUFFER / 2 };
        let mut data = Vec::new();
        if user & USER_MOSI != 0 {
            let from = self.buffer(high(USER_MOSI_HIGHPART));
            let length = length(self.registers.get(MOSI_DLEN));
            data.extend(from.iter().take(length));
        }
        let answer = match user & USER_MISO {
            0 => 0,
            _ => length(self.registers.get(MISO_DLEN)).min(BUFFER),
        };
        let transaction = Transaction {
            opcode,
            address,
            data: &data,
            length: answer,
        };
        let bytes = self.chip.transfer(&transaction, context);
        self.fill(high(USER_MISO_HIGHPART), &bytes);
    }

    /// Sends the flash chip the suspend or resume command that a store to FLASH_SUS_CTRL asks for.
    fn suspend_or_resume(&mut self, value: u32, context: &mut Context<'_>) {
        let commands = self.registers.get(FLASH_SUS_CMD);
        let opcode = match value {
            _ if value & FLASH_PES != 0 => commands >> 8,
            _ if value & FLASH_PER != 0 => commands,
            _ => return,
        };
        let transaction = Transaction {
            opcode: opcode as u8,
            ..Transaction::default()
        };
        self.chip.transfer(&transaction, context);
    }

    fn buffer(&self, start: usize) -> [u8; BUFFER] {
        let mut bytes = [0; BUFFER];
        for (offset, byte) in bytes.iter_mut().enumerate() {
            let at = start + offset;
            let word = self.registers.get(W0 + at as u32 / 4 * 4);
            *byte = if at < BUFFER { word.to_le_bytes()[at % 4] } else { 0 };
        }
        bytes
    }

    fn fill(&mut self, start: usize, bytes: &[u8]) {
        for (at, byte) in (start..BUFFER).zip(bytes) {
            let offset = W0 + at as u32 / 4 * 4;
            let mut word = self.registers.get(offset).to_le_bytes();
            word[at % 4] = *byte;
            self.registers.set(offset, u32::from_le_bytes(word));
        }
    }
}

/// Whether a register reads as software has written it.
fn is_setting(offset: u32) -> bool {
    matches!(
        offset,
        ADDR..=CACHE_FCTRL | W0..=W15 | FLASH_WAITI_CTRL..=INT_RAW | UNNAMED_FIRST..=UNNAMED_LAST | DATE
    )
}

impl Peripheral for SpiFlash {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            // A command ends with the store that starts it.
            CMD => 0,
            _ if is_setting(offset) => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            CMD => self.command(value, context),
            FLASH_SUS_CTRL => {
                self.registers.set(offset, value & !(FLASH_PER | FLASH_PES));
                self.suspend_or_resume(value, context);
            }
            _ if is_setting(offset) => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        self.registers.reset();
    }

    fn reach(&self) -> Reach {
        Reach::Hart
    }
}
