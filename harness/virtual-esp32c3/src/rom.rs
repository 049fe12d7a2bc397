//! The chip's mask ROM, rebuilt from the ELF file that espflash carries. A revision enters; the 384 KB leave that the
//! chip has at 0x4000_0000. It knows no hart and no board.
//!
//! The ELF file has initialised data only at the address where it is used. The ROM keeps it at another address, from
//! which it copies the data at start. A table in the ROM lists both addresses, and is used here to put each section in
//! its place.

use std::sync::{Arc, OnceLock};

use espflash::flasher::{DeviceInfo, FlashSize};
use espflash::target::{Chip, XtalFrequency};
use object::{Object, ObjectSection};

use crate::memory::{ROM, ROM_SIZE};

/// Why there is no ROM.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RomError {
    /// The revision has another ROM than v0.3.
    #[error("no mask ROM is known for ESP32-C3 revision v{0}.{1}; use v0.3 or v0.4")]
    Missing(u8, u8),
    /// The ELF file cannot be read.
    #[error("cannot read the mask ROM's ELF file in espflash: {0}")]
    Elf(object::Error),
}

/// The ROM of an ESP32-C3 of this revision, major and minor. v0.3 and v0.4 have the same one.
///
/// # Errors
/// If the revision has another ROM, or espflash carries none.
pub fn mask_rom(revision: (u8, u8)) -> Result<Arc<[u8]>, RomError> {
    static ROM: OnceLock<Arc<[u8]>> = OnceLock::new();
    // Later ROMs have their table of initialised data at another place.
    if !matches!(revision, (0, 3 | 4)) {
        return Err(RomError::Missing(revision.0, revision.1));
    }
    if let Some(rom) = ROM.get() {
        return Ok(Arc::clone(rom));
    }
    let rom = rebuild()?;
    Ok(Arc::clone(ROM.get_or_init(|| rom)))
}

/// The address of the ROM's second bank on the data bus, and its offset in the ROM.
const DATA_BUS: u64 = 0x3FF0_0000;
const DATA_BANK: u64 = 0x4_0000;
/// The ROM's table of initialised data: one entry of three words, then entries of four words up to the end.
const FIRST_ENTRY: usize = 0x5_91F4;
const ENTRIES: std::ops::Range<usize> = 0x5_9200..0x5_9400;

fn rebuild() -> Result<Arc<[u8]>, RomError> {
    // espflash wants v0.3 as (3, 0), since it compares major * 100 + minor with 300.
    let device = DeviceInfo {
        chip: Chip::Esp32c3,
        revision: Some((3, 0)),
        crystal_frequency: XtalFrequency::_40Mhz,
        flash_size: FlashSize::_4Mb,
        features: Vec::new(),
        mac_address: None,
    };
    let elf = device.rom().ok_or(RomError::Missing(0, 3))?;
    let elf = object::File::parse(elf.as_slice()).map_err(RomError::Elf)?;
    let mut rom = vec![0; ROM_SIZE as usize];
    for section in elf.sections() {
        let address = section.address();
        let offset = match address {
            0x3FF0_0000..0x3FF2_0000 => address - DATA_BUS + DATA_BANK,
            0x4000_0000..0x4006_0000 => address - u64::from(ROM),
            _ => continue,
        };
        place(&mut rom, offset as usize, section.data().map_err(RomError::Elf)?);
    }
    let mut entries: Vec<[u32; 3]> = vec![words(&rom, FIRST_ENTRY)];
    entries.extend(ENTRIES.step_by(16).map(|offset| words(&rom, offset)));
    for [start, end, load] in entries {
        if end <= start {
            continue;
        }
        let range = u64::from(start)..u64::from(end);
        for section in elf.sections() {
            let data = section.data().map_err(RomError::Elf)?;
            let Some(skip) = range.start.checked_sub(section.address()) else {
                continue;
            };
            let length = (range.end - range.start) as usize;
            if let Some(bytes) = data.get(skip as usize..skip as usize + length) {
                let offset = load.wrapping_sub(ROM);
                place(&mut rom, offset as usize, bytes);
                break;
            }
        }
    }
    Ok(rom.into())
}

fn place(rom: &mut [u8], offset: usize, bytes: &[u8]) {
    if let Some(into) = rom.get_mut(offset..offset + bytes.len()) {
        into.copy_from_slice(bytes);
    }
}

fn words(rom: &[u8], offset: usize) -> [u32; 3] {
    [0, 4, 8].map(|at| {
        rom.get(offset + at..)
            .and_then(|bytes| bytes.first_chunk())
            .map_or(0, |bytes| u32::from_le_bytes(*bytes))
    })
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    #[test]
    fn the_rebuilt_rom_is_the_dumped_one() {
        let rom = super::mask_rom((0, 3)).expect("the ROM");
        let hash: String = Sha256::digest(&rom).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(rom.len(), 0x6_0000);
        assert_eq!(hash, "0de1e65020e803bea0d7443dca149d61895e01fca3bb9c82d073234eebd73f99");
    }
}
