//! Shared by the tests of the board: an image for the flash, espflash at the tty, and a console that waits with a
//! deadline.
#![allow(dead_code, unreachable_pub, reason = "each test target uses a part of it")]

pub mod loader;
pub mod ota;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use espflash::connection::{Connection, ResetAfterOperation, ResetBeforeOperation};
use espflash::flasher::{FlashData, FlashSettings, FlashSize, Flasher};
use espflash::image_format::ImageFormat;
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::target::{Chip, ProgressCallbacks, XtalFrequency};
use serialport::{TTYPort, UsbPortInfo};
use virtual_esp32c3::{Strapping, VirtualBoard};

/// The project's firmware for the virtual board.
pub fn firmware() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/firmware/pinrig-esp32c3-virtual.elf"
    );
    std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}; run `cargo firmware build virtual`"))
}

/// The image as espflash writes it: bootloader, partition table, application.
pub fn image(elf: &[u8]) -> ImageFormat<'_> {
    image_for(elf, FlashSettings::new(None, Some(FlashSize::_4Mb), None))
}

/// The image with other settings in its headers.
pub fn image_for(elf: &[u8], settings: FlashSettings) -> ImageFormat<'_> {
    let data = FlashData::new(settings, 0, None, Chip::Esp32c3, XtalFrequency::_40Mhz);
    IdfBootloaderFormat::new(elf, &data, None, None, None, None)
        .expect("an image")
        .into()
}

/// Flash contents with the firmware's image in place, without a flasher.
pub fn flash_contents(elf: &[u8]) -> Arc<[u8]> {
    flash_with(image(elf))
}

/// Flash contents with an image in place.
pub fn flash_with(image: ImageFormat<'_>) -> Arc<[u8]> {
    let mut flash = vec![0xFF; 4 << 20];
    for segment in image.flash_segments() {
        let start = segment.addr as usize;
        let data = segment.data();
        flash[start..start + data.len()].copy_from_slice(data);
    }
    flash.into()
}

/// How many segments espflash wrote, verified and skipped.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flashed {
    pub written: usize,
    pub skipped: usize,
    pub verified: usize,
}

impl ProgressCallbacks for Flashed {
    fn init(&mut self, _address: u32, _total: usize) {}
    fn update(&mut self, _current: usize) {}
    fn verifying(&mut self) {
        self.verified += 1;
    }
    fn finish(&mut self, skipped: bool) {
        if skipped {
            self.skipped += 1;
        } else {
            self.written += 1;
        }
    }
}

/// Restarts a board in its loader and connects to it. espflash gives one command 50 ms, which a busy machine may exceed,
/// so this is repeated from the restart on.
pub fn connect(board: &VirtualBoard, stub: bool) -> Flasher {
    const ATTEMPTS: usize = 20;
    let resets = (ResetBeforeOperation::NoReset, ResetAfterOperation::NoReset);
    for _ in 1..ATTEMPTS {
        board.power_cycle(Strapping::Download);
        if let Ok(flasher) = try_to_connect(board.tty(), stub, resets) {
            return flasher;
        }
    }
    board.power_cycle(Strapping::Download);
    connect_with(board.tty(), stub, resets)
}

/// Connects to the ROM's loader, with these resets before and after.
pub fn connect_with(tty: &Path, stub: bool, resets: (ResetBeforeOperation, ResetAfterOperation)) -> Flasher {
    try_to_connect(tty, stub, resets).expect("espflash connects")
}

fn try_to_connect(
    tty: &Path,
    stub: bool,
    resets: (ResetBeforeOperation, ResetAfterOperation),
) -> Result<Flasher, espflash::Error> {
    let port = TTYPort::open(&serialport::new(tty.to_string_lossy(), 115_200).timeout(Duration::from_secs(3)))
        .expect("the tty opens");
    let usb = UsbPortInfo {
        vid: 0,
        pid: 0,
        serial_number: None,
        manufacturer: None,
        product: None,
        interface: None,
    };
    let connection = Connection::new(port, usb, resets.1, resets.0, 115_200);
    Flasher::connect(connection, stub, true, true, Some(Chip::Esp32c3), Some(921_600))
}

/// The board's tty, which a thread reads. Opened before the board is switched on, it gets all of the board's output.
pub struct Console {
    port: TTYPort,
    chunks: Receiver<Vec<u8>>,
    reader: JoinHandle<()>,
    text: String,
}

impl Console {
    pub fn open(tty: &Path) -> Self {
        let port = TTYPort::open(&serialport::new(tty.to_string_lossy(), 115_200).timeout(Duration::from_millis(100)))
            .expect("the tty opens");
        let mut reader = port.try_clone_native().expect("the port clones");
        let (sender, chunks) = channel();
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                match reader.read(&mut bytes) {
                    Ok(0) => return,
                    Ok(length) => {
                        if sender.send(bytes[..length].to_vec()).is_err() {
                            return;
                        }
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                        // Sending fails once the console is dropped, and so ends the thread.
                        if sender.send(Vec::new()).is_err() {
                            return;
                        }
                    }
                    Err(_) => return,
                }
            }
        });
        Self {
            port,
            chunks,
            reader,
            text: String::new(),
        }
    }

    pub fn send(&mut self, text: &str) {
        self.port.write_all(text.as_bytes()).expect("the tty takes bytes");
        self.port.flush().expect("the tty takes bytes");
    }

    /// Whether the output so far has `marker`, with 200 ms for it to come.
    pub fn has(&mut self, marker: &str) -> bool {
        while let Ok(bytes) = self.chunks.recv_timeout(Duration::from_millis(200)) {
            self.text.push_str(&String::from_utf8_lossy(&bytes));
            if bytes.is_empty() {
                break;
            }
        }
        self.text.contains(marker)
    }

    /// Closes the tty, so that a flasher can have it.
    pub fn close(self) {
        let Self {
            port, chunks, reader, ..
        } = self;
        drop((port, chunks));
        // The thread notices within its timeout that the channel is closed, and closes the tty.
        reader.join().expect("the reader ends");
    }

    /// Waits for `marker`. Takes the output up to its first occurrence from the console, and returns it.
    pub fn wait_for(&mut self, marker: &str, limit: Duration) -> String {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = self.text.find(marker) {
                let rest = self.text.split_off(at + marker.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.chunks.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error @ (RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) => panic!(
                    "timed out after {limit:?} waiting for {marker:?} on the console ({error}); it shows:\n{}",
                    self.text
                ),
            }
        }
    }
}
