//! Flashing: an image into a board through the chip's serial loader, by espflash.
//!
//! What enters: an open port whose board waits in its loader, or a way for espflash to bring it there, and an image.
//! What leaves: a [`FlashReport`], and the open port, so that no byte of the console is lost between flashing and the
//! first boot. Parts that are in flash already, by their MD5, are skipped; each part that is written is verified by its
//! MD5.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use espflash::connection::{Connection, ResetAfterOperation, ResetBeforeOperation};
use espflash::flasher::{FlashData, FlashSettings, Flasher};
use espflash::image_format::ImageFormat;
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::target::{Chip, ProgressCallbacks, XtalFrequency};
use object::{Object as _, ObjectSection as _};
use serialport::{SerialPort, TTYPort, UsbPortInfo};

use super::console::BAUD;
use crate::image::{FlashImage, Image};

/// How far flashing has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlashStep<'a> {
    /// The board.
    pub board: &'a str,
    /// Where the part that is being written begins in flash.
    pub address: u32,
    /// How many of its bytes are written.
    pub done: u64,
    /// Its size in bytes.
    pub total: u64,
}

/// Is told how far flashing has come; by several threads, where several boards are flashed at once.
pub type FlashProgress<'a> = &'a (dyn Fn(FlashStep<'_>) + Sync);

/// What flashing did.
#[derive(Clone, Debug, Default)]
pub struct FlashReport {
    /// How many parts (bootloader, partition table, application) were written.
    pub written: usize,
    /// How many parts were in flash already.
    pub skipped: usize,
    /// How long it took.
    pub took: Duration,
    /// For each board that did not take its image at the first try: what failed before.
    pub remarks: Vec<String>,
}

/// How the loader is spoken to.
#[derive(Clone, Copy, Debug)]
pub struct Loader {
    /// The chip that must answer.
    pub chip: Chip,
    /// How espflash brings it into its loader; `NoReset` if it is there.
    pub before: ResetBeforeOperation,
    /// The speed at which the image is sent, in bit/s; the loader itself begins with [`BAUD`].
    pub baud: u32,
}

/// Why an image is not in flash.
#[derive(Debug, thiserror::Error)]
pub enum LoaderError {
    /// No loader answered.
    #[error("{0}")]
    NoAnswer(EspflashError),
    /// The loader answered, and a later answer did not come within espflash's limit for it.
    #[error("{0}; if this machine is busy, run it again when it is not")]
    Late(EspflashError),
    /// The loader of another chip answered.
    #[error("the board is an {found}, but `chip` in rig.toml is `{wanted}`; correct the entry")]
    OtherChip {
        /// The chip that the entry names.
        wanted: String,
        /// The chip that answered.
        found: String,
    },
    /// The loader did not take the image, or the flash does not hold it.
    #[error("{0}")]
    Refused(EspflashError),
    /// The port does not return to the console's speed.
    #[error("cannot set the port back to {BAUD} bit/s: {0}")]
    Speed(serialport::Error),
    /// The image is not an ELF.
    #[error(transparent)]
    FlashImage(#[from] FlashImage),
    /// The image cannot be read as an ELF.
    #[error("cannot read {path}: {cause}", path = .path.display())]
    Elf {
        /// The image.
        path: PathBuf,
        /// What is wrong with it.
        cause: object::Error,
    },
    /// espflash can make no flash image of the ELF.
    #[error("cannot make a flash image of {path}: {cause}", path = .path.display())]
    Format {
        /// The image.
        path: PathBuf,
        /// What espflash said.
        cause: EspflashError,
    },
    /// The image is one for another chip.
    #[error(
        "{path} is not an image for the {chip}: its descriptor is linked to {address:#010x}, which is not flash there",
        path = .path.display()
    )]
    OtherChipsImage {
        /// The image.
        path: PathBuf,
        /// The board's chip.
        chip: Chip,
        /// Where the descriptor is.
        address: u64,
    },
    /// The image does not say what it is.
    #[error(
        "{path} has no application descriptor ({DESCRIPTOR}); add one with esp-bootloader-esp-idf's `esp_app_desc!`",
        path = .path.display()
    )]
    NoDescriptor {
        /// The image.
        path: PathBuf,
    },
}

/// How often a board is reset and flashed again whose loader answers too late. espflash gives one command 50 ms, which is
/// less than a busy machine may need to run the thread of a virtual board or the driver of a real one.
pub(crate) const PATIENCE: usize = 20;

/// What may help after a [`LoaderError`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Remedy {
    /// The same again, from a reset on.
    Again,
    /// Another way to reset the board may bring it into its loader.
    OtherReset,
    /// The loader may take the image at another speed.
    OtherSpeed,
    /// It will never work: this is another chip, or the image is not one for it.
    None,
}

impl LoaderError {
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Late(_) => Remedy::Again,
            Self::NoAnswer(_) => Remedy::OtherReset,
            Self::Refused(_) | Self::Speed(_) => Remedy::OtherSpeed,
            Self::OtherChip { .. }
            | Self::FlashImage(_)
            | Self::Elf { .. }
            | Self::Format { .. }
            | Self::OtherChipsImage { .. }
            | Self::NoDescriptor { .. } => Remedy::None,
        }
    }
}

/// What espflash said, with everything that caused it on one line: espflash's errors do not print their causes.
#[derive(Debug)]
pub struct EspflashError(Box<espflash::Error>);

impl From<espflash::Error> for EspflashError {
    fn from(error: espflash::Error) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for EspflashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let error_text = error.to_string();
            if !text.contains(&error_text) {
                text = format!("{text}: {error_text}");
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}

// The causes are printed already.
impl Error for EspflashError {}

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
) -> Result<(FlashReport, TTYPort), LoaderError> {
    let began = Instant::now();
    let Loader { chip, before, baud } = loader;
    let elf = image.elf()?;
    let refused = |error: espflash::Error| LoaderError::Refused(error.into());
    // The caller resets the board: espflash leaves it in its loader.
    let connection = Connection::new(port, NO_USB, ResetAfterOperation::NoReset, before, BAUD);
    let mut flasher =
        Flasher::connect(connection, true, true, true, Some(chip), None).map_err(|error| match error {
            espflash::Error::ChipMismatch(wanted, found) => LoaderError::OtherChip { wanted, found },
            error if ran_out_of_time(&error) => LoaderError::Late(error.into()),
            error => LoaderError::NoAnswer(error.into()),
        })?;
    check_chip(chip, image.path(), elf)?;
    let data = FlashData::new(FlashSettings::default(), 0, None, chip, XtalFrequency::_40Mhz);
    let format = IdfBootloaderFormat::new(elf, &data, None, None, None, None);
    let format = ImageFormat::from(format.map_err(|error| LoaderError::Format {
        path: image.path().to_owned(),
        cause: error.into(),
    })?);
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
    port.set_baud_rate(BAUD).map_err(LoaderError::Speed)?;
    Ok((report, port))
}

/// Whether a command of the loader got no answer in time. A loader that is not there at all is another error.
fn ran_out_of_time(error: &espflash::Error) -> bool {
    let (espflash::Error::Connection(cause) | espflash::Error::Flashing(cause)) = error else {
        return false;
    };
    // The type of the cause is private to espflash.
    cause.to_string().starts_with("Timeout while running")
}

/// The section of an ELF in which an application says what it is (`esp_app_desc_t` of ESP-IDF).
const DESCRIPTOR: &str = ".flash.appdesc";

/// Checks that an image is one for this chip, which espflash takes for granted.
fn check_chip(chip: Chip, path: &Path, elf: &[u8]) -> Result<(), LoaderError> {
    let file = object::File::parse(elf).map_err(|cause| LoaderError::Elf {
        path: path.to_owned(),
        cause,
    })?;
    match file.section_by_name(DESCRIPTOR).map(|section| section.address()) {
        Some(address) if u32::try_from(address).is_ok_and(|address| chip.addr_is_flash(address)) => Ok(()),
        Some(address) => Err(LoaderError::OtherChipsImage {
            path: path.to_owned(),
            chip,
            address,
        }),
        None => Err(LoaderError::NoDescriptor { path: path.to_owned() }),
    }
}

/// For a bridge: espflash looks at the product id only, to choose how it resets the chip.
pub(super) const NO_USB: UsbPortInfo = usb_device(0);
/// For the chip's own USB serial/JTAG port.
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
    /// The number of blocks of the part that is being written.
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
