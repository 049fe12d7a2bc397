//! Flashing: an image into a board through the chip's serial loader, by espflash.
//!
//! What enters: a tty whose board waits in download mode, and an image. What leaves: a [`FlashReport`], and the open
//! port, so that no console byte is lost between flashing and the first boot. Segments that are in flash already are
//! skipped by MD5; each one written is read back by MD5.

use std::path::Path;
use std::time::{Duration, Instant};

use espflash::connection::{Connection, ResetAfterOperation, ResetBeforeOperation};
use espflash::flasher::{FlashData, FlashSettings, Flasher};
use espflash::image_format::ImageFormat;
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::target::{Chip, ProgressCallbacks, XtalFrequency};
use serialport::{TTYPort, UsbPortInfo};

use super::BoardError;
use super::console::{BAUD, open_port};
use crate::image::Image;

/// Is told how far flashing has come.
pub trait FlashProgress {
    /// `done` of `total` blocks of the part at `address` are written.
    fn progress(&mut self, address: u32, done: usize, total: usize);
}

/// What flashing did.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlashReport {
    /// Parts (bootloader, partition table, application) that were written.
    pub written: usize,
    /// Parts that were in flash already.
    pub skipped: usize,
    /// How long it took.
    pub took: Duration,
}

/// Writes `image` to the board behind `tty`, which must wait in download mode, and gives the open port back.
///
/// # Errors
/// When the port cannot be opened, no ESP32-C3 answers, or the image does not arrive whole.
pub fn flash(
    tty: &Path,
    image: &Image,
    progress: &mut dyn FlashProgress,
) -> Result<(FlashReport, TTYPort), BoardError> {
    flash_on(tty, open_port(tty)?, image, progress)
}

/// As [`flash`], over a port that is open already.
///
/// # Errors
/// When no ESP32-C3 answers, or the image does not arrive whole.
pub fn flash_on(
    tty: &Path,
    port: TTYPort,
    image: &Image,
    progress: &mut dyn FlashProgress,
) -> Result<(FlashReport, TTYPort), BoardError> {
    let began = Instant::now();
    let failed = |error: espflash::Error| BoardError::Flash {
        tty: tty.to_owned(),
        message: chain(&error),
    };
    // Resets are pulled by whoever holds the lines; the loader itself pulls none.
    let connection = Connection::new(
        port,
        NO_USB,
        ResetAfterOperation::NoReset,
        ResetBeforeOperation::NoReset,
        BAUD,
    );
    let mut flasher = Flasher::connect(connection, true, true, true, Some(Chip::Esp32c3), None).map_err(failed)?;
    let data = FlashData::new(FlashSettings::default(), 0, None, Chip::Esp32c3, XtalFrequency::_40Mhz);
    let format = IdfBootloaderFormat::new(image.elf(), &data, None, None, None, None).map_err(failed)?;
    let mut counter = Counter {
        progress,
        address: 0,
        total: 0,
        report: FlashReport::default(),
    };
    flasher
        .load_image_to_flash(&mut counter, ImageFormat::from(format))
        .map_err(failed)?;
    let report = FlashReport {
        took: began.elapsed(),
        ..counter.report
    };
    Ok((report, flasher.into_connection().into_serial()))
}

/// espflash looks at the product id only, to choose a reset strategy, and none is used.
const NO_USB: UsbPortInfo = UsbPortInfo {
    vid: 0,
    pid: 0,
    serial_number: None,
    manufacturer: None,
    product: None,
    interface: None,
};

struct Counter<'a> {
    progress: &'a mut dyn FlashProgress,
    address: u32,
    total: usize,
    report: FlashReport,
}

impl ProgressCallbacks for Counter<'_> {
    fn init(&mut self, address: u32, total: usize) {
        (self.address, self.total) = (address, total);
        self.progress.progress(address, 0, total);
    }

    fn update(&mut self, current: usize) {
        self.progress.progress(self.address, current, self.total);
    }

    fn verifying(&mut self) {}

    fn finish(&mut self, skipped: bool) {
        if skipped {
            self.report.skipped += 1;
        } else {
            self.report.written += 1;
        }
    }
}

/// An error and everything that caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
