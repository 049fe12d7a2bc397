//! The flash chip's commands, named after their sections in the data sheet.
//! (W25Q32JV data sheet, chapter "Instructions".)

pub(super) const WRITE_ENABLE: u8 = 0x06;
pub(super) const VOLATILE_STATUS_WRITE_ENABLE: u8 = 0x50;
pub(super) const WRITE_DISABLE: u8 = 0x04;
pub(super) const READ_STATUS_1: u8 = 0x05;
pub(super) const READ_STATUS_2: u8 = 0x35;
pub(super) const READ_STATUS_3: u8 = 0x15;
pub(super) const WRITE_STATUS_1: u8 = 0x01;
pub(super) const WRITE_STATUS_2: u8 = 0x31;
pub(super) const WRITE_STATUS_3: u8 = 0x11;
pub(super) const READ_DATA: u8 = 0x03;
pub(super) const FAST_READ: u8 = 0x0B;
pub(super) const FAST_READ_DUAL_OUTPUT: u8 = 0x3B;
pub(super) const FAST_READ_QUAD_OUTPUT: u8 = 0x6B;
pub(super) const FAST_READ_DUAL_IO: u8 = 0xBB;
pub(super) const FAST_READ_QUAD_IO: u8 = 0xEB;
pub(super) const PAGE_PROGRAM: u8 = 0x02;
pub(super) const QUAD_INPUT_PAGE_PROGRAM: u8 = 0x32;
/// Erases 4 KB.
pub(super) const SECTOR_ERASE: u8 = 0x20;
/// Erases 32 KB.
pub(super) const HALF_BLOCK_ERASE: u8 = 0x52;
/// Erases 64 KB.
pub(super) const BLOCK_ERASE: u8 = 0xD8;
pub(super) const CHIP_ERASE: u8 = 0xC7;
/// The second number of the same command.
pub(super) const CHIP_ERASE_TOO: u8 = 0x60;
/// Suspends a program or erase.
pub(super) const SUSPEND: u8 = 0x75;
pub(super) const RESUME: u8 = 0x7A;
pub(super) const POWER_DOWN: u8 = 0xB9;
/// Answers the device identification as well.
pub(super) const RELEASE_POWER_DOWN: u8 = 0xAB;
pub(super) const MANUFACTURER_DEVICE_ID: u8 = 0x90;
pub(super) const READ_UNIQUE_ID: u8 = 0x4B;
pub(super) const JEDEC_ID: u8 = 0x9F;
/// Reads the table of `sfdp.rs`.
pub(super) const READ_SFDP: u8 = 0x5A;
pub(super) const ENABLE_RESET: u8 = 0x66;
pub(super) const RESET_DEVICE: u8 = 0x99;
