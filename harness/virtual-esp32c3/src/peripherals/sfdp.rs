//! The flash chip's serial flash discoverable parameters (SFDP), by which it describes itself. Size and times enter;
//! the table's bytes leave.
//! (JEDEC JESD216B: header, one parameter header, the basic flash parameter table of 16 words.)

use std::time::Duration;

use crate::flash_timing::FlashTiming;

/// The address of the basic parameter table, and its number of words.
const TABLE: u8 = 0x30;
const WORDS: u8 = 16;

/// The bytes from address 0 on, for a chip of `size` bytes.
pub(super) fn table(size: u64, timing: &FlashTiming) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(usize::from(TABLE) + 4 * usize::from(WORDS));
    bytes.extend(b"SFDP");
    // Revision 1.6, and no parameter headers after the first.
    bytes.extend([6, 1, 0, 0xFF]);
    // The header of the basic table: identity 0xFF00, revision 1.6.
    bytes.extend([0x00, 6, 1, WORDS, TABLE, 0, 0, 0xFF]);
    bytes.resize(usize::from(TABLE), 0xFF);
    for word in words(size, timing) {
        bytes.extend(word.to_le_bytes());
    }
    bytes
}

fn words(size: u64, timing: &FlashTiming) -> [u32; WORDS as usize] {
    let megabytes = (size >> 20).max(1) as u32;
    [
        // Erase of 4 KB by 0x20; programs of a page; volatile status by 0x50; reads 1-1-2, 1-2-2, 1-4-4 and 1-1-4.
        0xFFF1_20E5,
        (size * 8 - 1) as u32,
        // 1-4-4 by 0xEB: 2 mode and 4 wait clocks. 1-1-4 by 0x6B: 8 wait clocks.
        0x6B08_EB44,
        // 1-1-2 by 0x3B: 8 wait clocks. 1-2-2 by 0xBB: 4 mode clocks.
        0xBB80_3B08,
        // No reads 2-2-2 and 4-4-4.
        0xFFFF_FFEE,
        0xFF00_FFFF,
        0xFF00_FFFF,
        // Erase types: 4 KB by 0x20, 32 KB by 0x52, 64 KB by 0xD8, and no fourth.
        0x520F_200C,
        0xFF00_D810,
        // Typical times of the erase types. The maximum is eight times as long.
        3 | count(timing.sector_erase, &ERASE_UNITS, 5) << 4
            | count(timing.half_block_erase, &ERASE_UNITS, 5) << 11
            | count(timing.block_erase, &ERASE_UNITS, 5) << 18,
        // Pages of 256 bytes. The first byte takes a tenth of a page's time. The maximum is eight times the typical
        // time.
        3 | 8 << 4
            | count(timing.page_program, &PROGRAM_UNITS, 5) << 8
            | count(timing.page_program / 10, &BYTE_UNITS, 4) << 14
            | count(timing.page_program / 200, &BYTE_UNITS, 4) << 19
            | count(timing.chip_erase * megabytes, &CHIP_UNITS, 5) << 24
            | 1 << 31,
        // No program or erase while a program is suspended; no erase while an erase is. Suspended within 20 us.
        0xC | 0xE << 4 | 1 << 8 | (1 << 5 | 19) << 13 | (1 << 5 | 19) << 24,
        0x757A_757A,
        // Deep power-down by 0xB9, and out of it by 0xAB within 3 us. The busy bit is bit 0 of status register 1.
        0xB9 << 23 | 0xAB << 15 | (1 << 5 | 2) << 8 | 1 << 2,
        // Quad enable is bit 1 of status register 2: set by 0x01 with two bytes, read by 0x35. No 0-4-4 mode.
        0xFF << 24 | 5 << 20,
        // Status register 1 is kept, or volatile after 0x50. Reset by 0x66 and 0x99. Addresses have three bytes.
        1 << 12 | 1 << 3,
    ]
}

const ERASE_UNITS: [Duration; 4] = [
    Duration::from_millis(1),
    Duration::from_millis(16),
    Duration::from_millis(128),
    Duration::from_secs(1),
];
const PROGRAM_UNITS: [Duration; 2] = [Duration::from_micros(8), Duration::from_micros(64)];
const BYTE_UNITS: [Duration; 2] = [Duration::from_micros(1), Duration::from_micros(8)];
const CHIP_UNITS: [Duration; 4] = [
    Duration::from_millis(16),
    Duration::from_millis(256),
    Duration::from_secs(4),
    Duration::from_secs(64),
];

/// A time in the table's format, rounded up: a count of units less one in `bits` bits, and the number of the unit above
/// it.
fn count(time: Duration, units: &[Duration], bits: u32) -> u32 {
    let largest = 1 << bits;
    for (number, unit) in units.iter().enumerate() {
        let count = time.as_nanos().div_ceil(unit.as_nanos()).max(1);
        if count <= largest {
            return (count - 1) as u32 | (number as u32) << bits;
        }
    }
    (largest - 1) as u32 | (units.len() as u32 - 1) << bits
}
