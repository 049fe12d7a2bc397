//! The SPI NOR flash chip next to the ESP32-C3: JEDEC identification, status, read, program, erase. Commands enter, bytes
//! leave; the contents are the memory's. Program and erase take no time. It knows no controller.
//! (XMC XM25QH32C data sheet; JEDEC JESD216 for the parameter table.)

use crate::memory::Memory;

/// Manufacturer XMC, type 0x40.
const MANUFACTURER: u8 = 0x20;
const TYPE: u8 = 0x40;
const PAGE: usize = 256;
const WEL: u8 = 1 << 1;

#[derive(Debug, Clone, Default)]
pub(crate) struct FlashChip {
    status: [u8; 3],
    reset_enabled: bool,
}

impl FlashChip {
    /// One transaction: the opcode, an address, bytes to the chip, then `length` bytes from it.
    pub(crate) fn transfer(
        &mut self,
        memory: &mut Memory,
        opcode: u8,
        address: u32,
        data: &[u8],
        length: usize,
    ) -> Vec<u8> {
        let size = memory.flash_size();
        let address = address as usize % size.max(1);
        let reset_enabled = std::mem::take(&mut self.reset_enabled);
        match opcode {
            0x06 => self.status[0] |= WEL,
            0x04 => self.status[0] &= !WEL,
            0x05 | 0x35 | 0x15 => {
                let register = match opcode {
                    0x05 => 0,
                    0x35 => 1,
                    _ => 2,
                };
                return vec![self.status[register]; length];
            }
            0x01 | 0x31 | 0x11 if self.status[0] & WEL != 0 => {
                let first = match opcode {
                    0x01 => 0,
                    0x31 => 1,
                    _ => 2,
                };
                for (register, value) in self.status.iter_mut().skip(first).zip(data) {
                    *register = *value;
                }
                self.status[0] &= !3;
            }
            0x9F => {
                let capacity = size.max(1).ilog2() as u8;
                return [MANUFACTURER, TYPE, capacity]
                    .into_iter()
                    .cycle()
                    .take(length)
                    .collect();
            }
            0x5A => return (0..length).map(|at| parameter(address + at, size)).collect(),
            0x03 | 0x0B | 0x3B | 0x6B | 0xBB | 0xEB => {
                let mut read = Vec::with_capacity(length);
                while read.len() < length {
                    // Beyond the end it begins again.
                    let at = (address + read.len()) % size;
                    read.extend_from_slice(&memory.flash_part(at..at + length - read.len()));
                }
                return read;
            }
            0x02 | 0x32 if self.take_write_enable() => program(memory, address, data),
            0x20 if self.take_write_enable() => erase(memory, address, 0x1000),
            0x52 if self.take_write_enable() => erase(memory, address, 0x8000),
            0xD8 if self.take_write_enable() => erase(memory, address, 0x1_0000),
            0xC7 | 0x60 if self.take_write_enable() => erase(memory, 0, size),
            0x66 => self.reset_enabled = true,
            0x99 if reset_enabled => self.status[0] &= !WEL,
            _ => {}
        }
        // Nobody drives the line: it is pulled up.
        vec![0xFF; length]
    }

    fn take_write_enable(&mut self) -> bool {
        let enabled = self.status[0] & WEL != 0;
        self.status[0] &= !WEL;
        enabled
    }
}

/// Programming clears bits, and wraps around within its page.
fn program(memory: &mut Memory, address: usize, data: &[u8]) {
    let start = address / PAGE * PAGE;
    memory.flash_modify(start..start + PAGE, |page| {
        for (at, byte) in data.iter().enumerate() {
            if let Some(cell) = page.get_mut((address + at) % PAGE) {
                *cell &= byte;
            }
        }
    });
}

fn erase(memory: &mut Memory, address: usize, size: usize) {
    let start = address / size * size;
    // A block that is erased already need not be copied from the image that boards share.
    let range = start..start + size;
    if memory.flash_part(range.clone()).iter().all(|byte| *byte == 0xFF) {
        return;
    }
    memory.flash_modify(range, |block| block.fill(0xFF));
}

/// A byte of the serial flash discoverable parameters: header, one parameter header, and the table's density.
fn parameter(at: usize, size: usize) -> u8 {
    const HEADER: [u8; 16] = [
        b'S', b'F', b'D', b'P', 0x00, 0x01, 0x00, 0xFF, 0x00, 0x00, 0x01, 0x09, 0x30, 0x00, 0x00, 0xFF,
    ];
    const TABLE: usize = 0x30;
    let bits = (size as u32).wrapping_mul(8).wrapping_sub(1).to_le_bytes();
    let erase_4k = [0xE5, 0x20, 0xF1, 0xFF];
    match at {
        0..16 => HEADER[at],
        TABLE..0x34 => erase_4k[at - TABLE],
        0x34..0x38 => bits[at - 0x34],
        _ => 0xFF,
    }
}
