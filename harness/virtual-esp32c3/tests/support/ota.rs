//! Flash contents with two slots for applications, entries that select one of them, and a chip that boots it without a
//! board. It runs in the chip's time only, so that every run is the same.

use std::path::Path;
use std::sync::Arc;

use espflash::flasher::{FlashData, FlashSettings, FlashSize};
use espflash::image_format::ImageFormat;
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::target::{Chip as Target, XtalFrequency};
use virtual_esp32c3::ConsolePort;
use virtual_esp32c3::chip::{Chip, ChipOptions, Pause};
use virtual_esp32c3::clock::CYCLES_PER_SECOND;

/// Address of `otadata` in the partition tables of these tests: two sectors, each with an entry at its start.
pub const OTADATA: usize = 0xD000;
pub const SECTOR: usize = 0x1000;

/// States of an entry (`esp_ota_img_states_t` of ESP-IDF).
pub const NEW: u32 = 0;
pub const PENDING_VERIFY: u32 = 1;
pub const VALID: u32 = 2;
pub const INVALID: u32 = 3;
pub const ABORTED: u32 = 4;
pub const UNDEFINED: u32 = u32::MAX;

/// Flash with the bootloader, the partition table `table` (a file of this folder), and the firmware in each of `slots`.
pub fn flash_with_slots(elf: &[u8], table: &str, slots: &[&str]) -> Vec<u8> {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(table);
    let settings = FlashSettings::new(None, Some(FlashSize::_4Mb), None);
    let data = FlashData::new(settings, 0, None, Target::Esp32c3, XtalFrequency::_40Mhz);
    let mut flash = vec![0xFF; 4 << 20];
    for slot in slots {
        let image = IdfBootloaderFormat::new(elf, &data, Some(&table), None, None, Some(slot)).expect("an image");
        for segment in ImageFormat::from(image).flash_segments() {
            let start = segment.addr as usize;
            flash[start..start + segment.data().len()].copy_from_slice(segment.data());
        }
    }
    flash
}

/// An entry that selects slot (`sequence` - 1) modulo the number of slots (`esp_ota_select_entry_t`).
pub fn entry(sequence: u32, state: u32) -> [u8; 32] {
    let mut bytes = [0xFF; 32];
    bytes[..4].copy_from_slice(&sequence.to_le_bytes());
    bytes[24..28].copy_from_slice(&state.to_le_bytes());
    bytes[28..].copy_from_slice(&crc(&sequence.to_le_bytes()).to_le_bytes());
    bytes
}

/// The state in an entry of the flash.
pub fn state(flash: &[u8], sector: usize) -> u32 {
    let at = OTADATA + sector * SECTOR + 24;
    u32::from_le_bytes([flash[at], flash[at + 1], flash[at + 2], flash[at + 3]])
}

/// CRC-32 as the mask ROM's `esp_rom_crc32_le` gives it for a start value of all ones, which it inverts.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = 0;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xEDB8_8320 };
        }
    }
    !crc
}

/// A chip that is held in reset.
pub fn chip(flash: Arc<[u8]>) -> Chip {
    Chip::new(ChipOptions {
        flash,
        mac: [2, 0, 0, 0, 0, 1],
        revision: (0, 3),
        seed: 7,
        console: ConsolePort::Uart0,
    })
    .expect("a chip")
}

/// Runs the chip until its console shows `marker` and the rest of that line. Adds the output to `console`. Returns
/// false if the marker does not come within `seconds` of the chip's time.
pub fn run_until(chip: &mut Chip, console: &mut String, marker: &str, seconds: u64) -> bool {
    let end = chip.now() + seconds * CYCLES_PER_SECOND;
    while chip.now() < end {
        let until = chip.now() + CYCLES_PER_SECOND / 1000;
        if let Pause::Asleep(_) | Pause::Held = chip.run(until) {
            chip.sleep_until(until);
        }
        let sent: Vec<u8> = chip.sent().drain(..).collect();
        chip.taken();
        console.push_str(&String::from_utf8_lossy(&sent));
        if console.find(marker).is_some_and(|at| console[at..].contains('\n')) {
            return true;
        }
    }
    false
}

/// The result of a start from flash.
pub struct Boot {
    /// Address in flash of the application that was started, if any was.
    pub slot: Option<u32>,
    pub console: String,
    /// The chip, with the application just started.
    pub chip: Chip,
}

/// Switches a chip on and lets the bootloader start an application.
pub fn boot(mut chip: Chip) -> Boot {
    const LOADED: &str = "Loaded app from partition at offset 0x";
    let mut console = String::new();
    chip.set_lines(false, true);
    chip.set_lines(true, true);
    let slot = run_until(&mut chip, &mut console, LOADED, 2).then(|| {
        let text = console
            .split(LOADED)
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next());
        u32::from_str_radix(text.expect("an offset"), 16).expect("a number")
    });
    Boot { slot, console, chip }
}
