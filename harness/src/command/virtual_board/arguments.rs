//! The options of `pinrig virtual`, checked.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use virtual_esp32c3::Strapping;

pub(super) const MEGABYTE: usize = 1 << 20;

#[derive(Args, Debug)]
pub(in super::super) struct Virtual {
    /// A symbolic link to the tty, for tools that want the same path each time; removed at the end
    #[arg(long, value_name = "PATH")]
    pub(super) tty_link: Option<PathBuf>,
    /// Keep the flash in this file: read at the start, made when missing, written when the board ends
    #[arg(long, value_name = "FILE")]
    pub(super) flash: Option<PathBuf>,
    /// Size of the flash in megabytes: 2, 4, 8 or 16; without it that of the file, or 4
    #[arg(long, value_name = "MB")]
    pub(super) flash_size: Option<FlashSize>,
    /// The MAC address in the eFuses
    #[arg(long, value_name = "ADDRESS", default_value = "02:00:00:c3:00:01")]
    pub(super) mac: Mac,
    /// The chip's revision: 0.3 or 0.4
    #[arg(long, value_name = "REVISION", default_value = "0.3")]
    pub(super) revision: Revision,
    /// The tty is the chip's own USB serial/JTAG, not UART0
    #[arg(long, conflicts_with = "rfc2217")]
    pub(super) usb_jtag: bool,
    /// How the board starts: from its flash, or waiting for a flasher
    #[arg(long, value_enum, default_value_t = Boot::Flash)]
    pub(super) boot: Boot,
    /// Serve the board over TCP as well, with reset lines (RFC 2217); without an address, at a free port of 127.0.0.1
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    pub(super) rfc2217: Option<SocketAddr>,
    /// Serve the board to debuggers over TCP, as a Black Magic Probe; without an address, at a free port of 127.0.0.1
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    pub(super) debug: Option<SocketAddr>,
    /// How long the flash chip takes to program and to erase
    #[arg(long, value_enum, default_value_t = FlashTimes::Fast)]
    pub(super) flash_times: FlashTimes,
    /// Wear out the sector of 4 KB at this address of the flash, to see what a flasher makes of it
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(super) worn_sector: Option<u32>,
    /// Give UART0 a cable that damages what is sent faster than this many bit/s, to see a flasher slow down
    #[arg(long, value_name = "BAUD", conflicts_with_all = ["rfc2217", "usb_jtag"])]
    pub(super) cable_limit: Option<u32>,
    /// Put the board on a network of its own, on which 203.0.113.2 is this machine: each port there leads to the same port of 127.0.0.1
    #[arg(long)]
    pub(super) network: bool,
    /// Print hardware events as they happen: resets, registers that are not modelled, bus errors
    #[arg(long)]
    pub(super) log: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Boot {
    Flash,
    Download,
}

impl From<Boot> for Strapping {
    fn from(boot: Boot) -> Self {
        match boot {
            Boot::Flash => Self::Flash,
            Boot::Download => Self::Download,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FlashTimes {
    /// A few microseconds, so that a flasher does not wait
    Fast,
    /// The typical times of the data sheet
    Typical,
}

/// Megabytes of flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlashSize(pub(super) usize);

impl FlashSize {
    pub(super) fn new(megabytes: usize) -> Option<Self> {
        matches!(megabytes, 2 | 4 | 8 | 16).then_some(Self(megabytes))
    }

    pub(super) fn bytes(self) -> usize {
        self.0 * MEGABYTE
    }
}

impl FromStr for FlashSize {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let megabytes = text.parse().ok().and_then(Self::new);
        megabytes.ok_or("the flash has 2, 4, 8 or 16 megabytes")
    }
}

/// An address in flash, decimal or with `0x`.
fn address(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "an address is a number, as 65536 or 0x10000".to_owned())
}

/// A board's address: six bytes, of which the first says that it is one board's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mac(pub(super) [u8; 6]);

impl FromStr for Mac {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const GROUP: u8 = 1;
        let octet = |part: &str| {
            let hex = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            hex.then(|| u8::from_str_radix(part, 16).ok()).flatten()
        };
        let bytes: Option<Vec<u8>> = text.split(':').map(octet).collect();
        let bytes = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
        let bytes = bytes.ok_or("a MAC address has six bytes, as in 02:00:00:c3:00:01")?;
        if bytes[0] & GROUP != 0 {
            return Err("this is the address of a group; a board's first byte is even, as in 02:00:00:c3:00:01");
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// The chip's revision, major and minor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Revision(pub(super) (u8, u8));

impl FromStr for Revision {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "0.3" => Ok(Self((0, 3))),
            "0.4" => Ok(Self((0, 4))),
            _ => Err("the mask ROM is known for revisions 0.3 and 0.4 only"),
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.0.0, self.0.1)
    }
}
