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
use object::{Object as _, ObjectSection as _};
use serialport::{SerialPort, TTYPort, UsbPortInfo};

use super::console::BAUD;
use crate::image::Image;

/// How far flashing has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlashStep<'a> {
    /// The board.
    pub board: &'a str,
    /// Where in flash the part lies that is being written.
    pub address: u32,
    /// How many of its bytes are written.
    pub done: u64,
    /// Its size in bytes.
    pub total: u64,
}

/// Is told how far flashing has come; of several boards at once, by several threads.
pub type FlashProgress<'a> = &'a (dyn Fn(FlashStep<'_>) + Sync);

/// What flashing did.
#[derive(Clone, Debug, Default)]
pub struct FlashReport {
    /// Parts (bootloader, partition table, application) that were written.
    pub written: usize,
    /// Parts that were in flash already.
    pub skipped: usize,
    /// How long it took.
    pub took: Duration,
    /// For each board that did not take its image at the first try: what was tried in vain.
    pub remarks: Vec<String>,
}

/// How the loader is spoken to.
#[derive(Clone, Copy, Debug)]
pub struct Loader {
    /// The chip that must answer.
    pub chip: Chip,
    /// How it is brought into its loader; `NoReset` when it is there.
    pub before: ResetBeforeOperation,
    /// The speed at which the image is sent, in bit/s; the loader itself begins with [`BAUD`].
    pub baud: u32,
}

/// Why an image is not in flash.
#[derive(Debug)]
pub enum FlashFailure {
    /// No loader answered: another way to reset the board may bring it there.
    NoLoader(String),
    /// A loader answered, and did not take the image: another speed may help.
    Refused(String),
    /// It never will: another chip, or no image for it.
    Wrong(String),
}

/// Writes `image` to the board `name` behind `port`, and gives the open port back.
///
/// # Errors
/// When no such chip answers, or the image does not arrive whole.
pub fn flash(
    name: &str,
    port: TTYPort,
    image: &Image,
    loader: Loader,
    progress: FlashProgress<'_>,
) -> Result<(FlashReport, TTYPort), FlashFailure> {
    let began = Instant::now();
    let Loader { chip, before, baud } = loader;
    let elf = image.elf().map_err(|error| FlashFailure::Wrong(error.to_string()))?;
    let wrong = |error: espflash::Error| FlashFailure::Wrong(chain(&error));
    let refused = |error: espflash::Error| FlashFailure::Refused(chain(&error));
    // Resets are pulled by whoever holds the lines; afterwards the loader itself pulls none.
    let connection = Connection::new(port, NO_USB, ResetAfterOperation::NoReset, before, BAUD);
    let mut flasher =
        Flasher::connect(connection, true, true, true, Some(chip), None).map_err(|error| match error {
            espflash::Error::ChipMismatch(..) => FlashFailure::Wrong(chain(&error)),
            error => FlashFailure::NoLoader(chain(&error)),
        })?;
    is_for(chip, image.path(), elf)?;
    let data = FlashData::new(FlashSettings::default(), 0, None, chip, XtalFrequency::_40Mhz);
    let format = IdfBootloaderFormat::new(elf, &data, None, None, None, None).map_err(wrong)?;
    let format = ImageFormat::from(format);
    let sizes = format.clone().flash_segments();
    let sizes = sizes.iter().map(|part| (part.addr, part.data.len() as u64)).collect();

    if baud != BAUD {
        flasher.change_baud(baud).map_err(refused)?;
    }
    let mut counter = Counter {
        name,
        progress,
        sizes,
        address: 0,
        total: 0,
        report: FlashReport::default(),
    };
    flasher.load_image_to_flash(&mut counter, format).map_err(refused)?;
    let report = FlashReport {
        took: began.elapsed(),
        ..counter.report
    };
    let mut port = flasher.into_connection().into_serial();
    port.set_baud_rate(BAUD)
        .map_err(|error| FlashFailure::Refused(format!("back to {BAUD} bit/s: {error}")))?;
    Ok((report, port))
}

/// Whether an image is one for this chip: espflash takes that for granted.
fn is_for(chip: Chip, path: &Path, elf: &[u8]) -> Result<(), FlashFailure> {
    const DESCRIPTOR: &str = ".flash.appdesc";
    let path = path.display();
    let file = object::File::parse(elf).map_err(|error| FlashFailure::Wrong(format!("{path}: {error}")))?;
    match file.section_by_name(DESCRIPTOR).map(|section| section.address()) {
        Some(address) if u32::try_from(address).is_ok_and(|address| chip.addr_is_flash(address)) => Ok(()),
        Some(address) => Err(FlashFailure::Wrong(format!(
            "{path} is no image for the {chip}: its descriptor is linked to {address:#010x}, which is not flash there"
        ))),
        None => Err(FlashFailure::Wrong(format!(
            "{path} has no application descriptor ({DESCRIPTOR}); esp-bootloader-esp-idf's `esp_app_desc!` adds one"
        ))),
    }
}

/// espflash looks at the product id only, to choose a reset strategy: this one says nothing.
pub(super) const NO_USB: UsbPortInfo = usb_device(0);
/// The chip's own USB serial/JTAG.
pub(super) const USB_JTAG: UsbPortInfo = usb_device(0x1001);

const fn usb_device(pid: u16) -> UsbPortInfo {
    UsbPortInfo {
        vid: 0,
        pid,
        serial_number: None,
        manufacturer: None,
        product: None,
        interface: None,
    }
}

struct Counter<'a> {
    name: &'a str,
    progress: FlashProgress<'a>,
    /// Address and size of each part.
    sizes: Vec<(u32, u64)>,
    address: u32,
    /// Blocks of the present part.
    total: usize,
    report: FlashReport,
}

impl Counter<'_> {
    fn tell(&self, blocks: usize) {
        let size = self.sizes.iter().find(|(address, _)| *address == self.address);
        let total = size.map_or(0, |(_, size)| *size);
        let done = (total * blocks as u64).checked_div(self.total as u64);
        (self.progress)(FlashStep {
            board: self.name,
            address: self.address,
            done: done.unwrap_or(total).min(total),
            total,
        });
    }
}

impl ProgressCallbacks for Counter<'_> {
    fn init(&mut self, address: u32, total: usize) {
        (self.address, self.total) = (address, total);
        self.tell(0);
    }

    fn update(&mut self, current: usize) {
        self.tell(current);
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
