//! Shared by the tests of the probes: boards, the firmware and its symbols, and a console that waits with a deadline.
#![allow(dead_code, unreachable_pub, reason = "each test target uses a part of it")]

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use espflash::flasher::{FlashData, FlashSettings, FlashSize};
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::target::{Chip, XtalFrequency};
use object::{Object, ObjectSymbol};
use virtual_esp32c3::{BoardConfig, Strapping, VirtualBoard};

/// The project's firmware for the virtual board.
pub const FIRMWARE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../fixtures/firmware/pinrig-esp32c3-virtual.elf"
);

/// A program with DWARF, for RAM; see tests/programs/README.md.
pub const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/stack.elf");
/// The source of [`PROGRAM`].
pub const PROGRAM_SOURCE: &str = include_str!("../programs/stack/src/main.rs");

/// Address of a function in an ELF.
pub fn symbol(elf: &str, name: &str) -> u64 {
    let bytes = std::fs::read(elf).expect("the ELF");
    let file = object::File::parse(&*bytes).expect("an ELF");
    let symbol = file.symbol_by_name(name);
    symbol.unwrap_or_else(|| panic!("{elf} has no {name}")).address()
}

/// A board that runs from this flash.
pub fn booted(flash: Arc<[u8]>) -> VirtualBoard {
    let config = BoardConfig {
        flash,
        ..BoardConfig::default()
    };
    let board = VirtualBoard::start(config, None).expect("a board");
    board.power_cycle(Strapping::Flash);
    board
}

pub fn erased() -> Arc<[u8]> {
    vec![0xFF; 4 << 20].into()
}

/// Flash contents with the firmware in place, without a flasher.
pub fn flash_contents() -> Arc<[u8]> {
    let elf = std::fs::read(FIRMWARE).expect("the firmware; run `cargo firmware build virtual`");
    let settings = FlashSettings::new(None, Some(FlashSize::_4Mb), None);
    let data = FlashData::new(settings, 0, None, Chip::Esp32c3, XtalFrequency::_40Mhz);
    let image = IdfBootloaderFormat::new(&elf, &data, None, None, None, None).expect("an image");
    let mut flash = vec![0xFF; 4 << 20];
    for segment in image.flash_segments() {
        let start = segment.addr as usize;
        let data = segment.data();
        flash[start..start + data.len()].copy_from_slice(data);
    }
    flash.into()
}

/// The board's tty, read by a thread.
pub struct Console {
    chunks: Receiver<Vec<u8>>,
    text: String,
}

impl Console {
    pub fn open(tty: &Path) -> Self {
        let mut reader = File::open(tty).expect("the tty opens");
        let (sender, chunks) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                match reader.read(&mut bytes) {
                    Ok(0) => return,
                    Ok(length) if sender.send(bytes[..length].to_vec()).is_ok() => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // The test, or the board, has ended.
                    _ => return,
                }
            }
        });
        Self {
            chunks,
            text: String::new(),
        }
    }

    pub fn wait_for(&mut self, marker: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        while !self.text.contains(marker) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.chunks.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!(
                    "timed out after {limit:?} waiting for {marker:?} on the console ({error}); so far:\n{}",
                    self.text
                ),
            }
        }
    }
}
