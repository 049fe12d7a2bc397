//! The flash chip's description of itself: serial flash discoverable parameters. Size and times enter, the table's bytes
//! leave. It knows no commands beyond the numbers that it lists.
//! (JEDEC JESD216B: header, one parameter header, the basic flash parameter table of 16 words.)

use std::time::Duration;

use crate::flash_timing::FlashTiming;

/// Where the parameter table begins, and how many words it has.
const TABLE: u8 = 0x30;
const WORDS: u8 = 16;

/// The bytes from address 0 on, for a chip of `size` bytes.
pub(super) fn table(size: u64, timing: &FlashTiming) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(usize::from(TABLE) + 4 * usize::from(WORDS));
    bytes.extend(b"SFDP");
    // Revision 1.6; parameter headers beyond the first: none.
    bytes.extend([6, 1, 0, 0xFF]);
    // The basic table: identity 0xFF00, revision 1.6.
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
        // Erase of 4 KB by 0x20, write granularity of a page, volatile status by 0x50; 1-1-2, 1-2-2, 1-4-4, 1-1-4 reads.
        0xFFF1_20E5,
        (size * 8 - 1) as u32,
        // 1-4-4 by 0xEB: 2 mode and 4 wait clocks. 1-1-4 by 0x6B: 8 wait clocks.
        0x6B08_EB44,
        // 1-1-2 by 0x3B: 8 wait clocks. 1-2-2 by 0xBB: 4 mode clocks.
        0xBB80_3B08,
        // Neither 2-2-2 nor 4-4-4.
        0xFFFF_FFEE,
        0xFF00_FFFF,
        0xFF00_FFFF,
        // Erase types: 4 KB by 0x20, 32 KB by 0x52, 64 KB by 0xD8, no fourth.
        0x520F_200C,
        0xFF00_D810,
        // Typical times of the erase types; the longest take up to eight times as long.
        3 | count(timing.sector_erase, &ERASE_UNITS, 5) << 4
            | count(timing.half_block_erase, &ERASE_UNITS, 5) << 11
            | count(timing.block_erase, &ERASE_UNITS, 5) << 18,
        // Pages of 256 bytes; a byte takes a tenth of a page's time at most. At most eight times the typical.
        3 | 8 << 4
            | count(timing.page_program, &PROGRAM_UNITS, 5) << 8
            | count(timing.page_program / 10, &BYTE_UNITS, 4) << 14
            | count(timing.page_program / 200, &BYTE_UNITS, 4) << 19
            | count(timing.chip_erase * megabytes, &CHIP_UNITS, 5) << 24
            | 1 << 31,
        // While a program is suspended neither program nor erase; while an erase is, no erase. Suspended within 20 us.
        0xC | 0xE << 4 | 1 << 8 | (1 << 5 | 19) << 13 | (1 << 5 | 19) << 24,
        0x757A_757A,
        // Deep power-down by 0xB9, out of it by 0xAB within 3 us; busy is bit 0 of status register 1.
        0xB9 << 23 | 0xAB << 15 | (1 << 5 | 2) << 8 | 1 << 2,
        // Quad enable is bit 1 of status register 2, which the two-byte write 0x01 sets and 0x35 reads; no 0-4-4 mode.
        0xFF << 24 | 5 << 20,
        // Status register 1 is kept, or volatile after 0x50; reset by 0x66 and 0x99; addresses have three bytes.
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

/// A time as the table has it: a count, less one, of `bits` bits, and above it the number of the unit; rounded up.
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
