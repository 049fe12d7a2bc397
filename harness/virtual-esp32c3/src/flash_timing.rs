//! How long the flash chip takes to program and to erase.

use std::time::Duration;

/// How long each operation of the flash chip takes, by the chip's clock. Software polls the flash chip's busy bit
/// meanwhile, which costs the host about the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlashTiming {
    /// A page of up to 256 bytes (tPP).
    pub page_program: Duration,
    /// A sector of 4 KB (tSE).
    pub sector_erase: Duration,
    /// A block of 32 KB (tBE1).
    pub half_block_erase: Duration,
    /// A block of 64 KB (tBE2).
    pub block_erase: Duration,
    /// The whole chip (tCE), for each megabyte.
    pub chip_erase: Duration,
    /// The status registers (tW).
    pub write_status: Duration,
}

impl FlashTiming {
    /// What the data sheet of the W25Q32JV calls typical, at AC electrical characteristics.
    pub const TYPICAL: Self = Self {
        page_program: Duration::from_micros(400),
        sector_erase: Duration::from_millis(45),
        half_block_erase: Duration::from_millis(120),
        block_erase: Duration::from_millis(150),
        chip_erase: Duration::from_millis(2500),
        write_status: Duration::from_millis(10),
    };

    /// Short enough not to be noticed when an image is flashed, long enough for software to see the chip busy.
    pub const FAST: Self = Self {
        page_program: Duration::from_micros(2),
        sector_erase: Duration::from_micros(10),
        half_block_erase: Duration::from_micros(20),
        block_erase: Duration::from_micros(20),
        chip_erase: Duration::from_micros(20),
        write_status: Duration::from_micros(2),
    };
}

impl Default for FlashTiming {
    fn default() -> Self {
        Self::FAST
    }
}
