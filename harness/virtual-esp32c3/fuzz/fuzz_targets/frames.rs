//! `cargo fuzz run frames`: see `bodies.rs`.
#![no_main]

use std::sync::{Arc, OnceLock};

use espflash::flasher::{FlashData, FlashSettings};
use espflash::image_format::ImageFormat;
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::target::{Chip as Target, XtalFrequency};
use virtual_esp32c3::chip::Chip;

#[path = "../bodies.rs"]
#[allow(dead_code)]
mod bodies;

static BOARD: OnceLock<Chip> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    bodies::frames(BOARD.get_or_init(|| bodies::on_the_network(firmware())), input);
});

/// Flash with the project's firmware for the virtual board.
fn firmware() -> Arc<[u8]> {
    let elf = include_bytes!("../../../../fixtures/firmware/pinrig-esp32c3-virtual.elf");
    let data = FlashData::new(FlashSettings::default(), 0, None, Target::Esp32c3, XtalFrequency::_40Mhz);
    let image = IdfBootloaderFormat::new(elf, &data, None, None, None, None).expect("an image");
    let mut flash = vec![0xFF; 4 << 20];
    for segment in ImageFormat::from(image).flash_segments() {
        let start = segment.addr as usize;
        flash[start..start + segment.data().len()].copy_from_slice(segment.data());
    }
    flash.into()
}
