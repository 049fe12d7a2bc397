//! System bus access of the debug module: reads and writes memory and registers of the chip without the hart, whether
//! that is halted or not. Values of sbcs, sbaddress0 and sbdata0 enter and leave. It executes nothing on the hart.
//!
//! Source: RISC-V External Debug Support 0.13.2, 3.10 and 3.12.18 ff. Accesses have 8, 16 or 32 bits and are over at
//! once, so the bus is never busy. Accesses to memory may be misaligned, as the hart's may: probe-rs 0.32 reads words
//! around a two-byte `ebreak` at addresses that are not a word's.

use super::target::Target;
use crate::bus::{Bus, Width};

const VERSION: u32 = 1 << 29;
const BUSY_ERROR: u32 = 1 << 22;
const READ_ON_ADDRESS: u32 = 1 << 20;
const ACCESS: u32 = 7 << 17;
const AUTOINCREMENT: u32 = 1 << 16;
const READ_ON_DATA: u32 = 1 << 15;
const ERROR: u32 = 7 << 12;
const ADDRESS_BITS: u32 = 32 << 5;
const WIDTHS: u32 = 0b111;
const WRITABLE: u32 = READ_ON_ADDRESS | ACCESS | AUTOINCREMENT | READ_ON_DATA;

/// Why an access failed, numbered as sbcs.sberror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BusError {
    Address = 2,
    Alignment = 3,
    Size = 4,
}

/// The registers' state.
#[derive(Debug, Clone)]
pub(super) struct SystemBus {
    control: u32,
    address: u32,
    data: u32,
    error: Option<BusError>,
}

impl Default for SystemBus {
    /// 32 bits wide, with nothing read or incremented automatically.
    fn default() -> Self {
        Self {
            control: 2 << 17,
            address: 0,
            data: 0,
            error: None,
        }
    }
}

impl SystemBus {
    pub(super) fn control(&self) -> u32 {
        let error = self.error.map_or(0, |error| error as u32);
        VERSION | self.control | error << 12 | ADDRESS_BITS | WIDTHS
    }

    pub(super) fn set_control(&mut self, value: u32) {
        self.control = value & WRITABLE;
        // Writing ones clears sberror; debuggers write all three bits. Here, clearing sbbusyerror also clears it, which
        // the specification does not say. probe-rs 0.32 only clears sbbusyerror before an access. Without this, one
        // access to a wrong address, as happens when a stack is unwound, would make all later ones fail.
        if value & (ERROR | BUSY_ERROR) != 0 {
            self.error = None;
        }
    }

    pub(super) fn address(&self) -> u32 {
        self.address
    }

    pub(super) fn set_address(&mut self, value: u32, target: &mut Target<'_>) {
        self.address = value;
        if self.control & READ_ON_ADDRESS != 0 {
            self.read(target);
        }
    }

    /// The value that the last read has fetched. Reading it may start the next read.
    pub(super) fn read_data(&mut self, target: &mut Target<'_>) -> u32 {
        let value = self.data;
        if self.control & READ_ON_DATA != 0 {
            self.read(target);
        }
        value
    }

    pub(super) fn write_data(&mut self, value: u32, target: &mut Target<'_>) {
        if self.error.is_some() {
            return;
        }
        self.data = value;
        match store(self.width(), self.address, value, target) {
            Ok(()) => self.advance(),
            Err(error) => self.error = Some(error),
        }
    }

    fn read(&mut self, target: &mut Target<'_>) {
        if self.error.is_some() {
            return;
        }
        match load(self.width(), self.address, target) {
            Ok(value) => {
                self.data = value;
                self.advance();
            }
            Err(error) => self.error = Some(error),
        }
    }

    fn advance(&mut self) {
        if self.control & AUTOINCREMENT != 0
            && let Ok(width) = self.width()
        {
            self.address = self.address.wrapping_add(width.bytes());
        }
    }

    fn width(&self) -> Result<Width, BusError> {
        match (self.control & ACCESS) >> 17 {
            0 => Ok(Width::Byte),
            1 => Ok(Width::Half),
            2 => Ok(Width::Word),
            _ => Err(BusError::Size),
        }
    }
}

fn load(width: Result<Width, BusError>, address: u32, target: &mut Target<'_>) -> Result<u32, BusError> {
    let width = width?;
    if let Some(value) = target.memory.load(address, width) {
        return Ok(value);
    }
    let width = aligned(width, address)?;
    let value = target.bus.load(target.memory, target.hart.now(), address, width);
    let value = value.map_err(|_| BusError::Address)?;
    Ok(match width {
        Width::Byte => value & 0xFF,
        Width::Half => value & 0xFFFF,
        Width::Word => value,
    })
}

fn store(width: Result<Width, BusError>, address: u32, value: u32, target: &mut Target<'_>) -> Result<(), BusError> {
    let width = width?;
    if target.memory.store(address, width, value) {
        return Ok(());
    }
    if target.memory.load(address, width).is_some() {
        // This is ROM, or flash as the cache shows it, which cannot be written.
        return Err(BusError::Address);
    }
    let width = aligned(width, address)?;
    let value = match width {
        Width::Byte => value & 0xFF,
        Width::Half => value & 0xFFFF,
        Width::Word => value,
    };
    let stored = target
        .bus
        .store(target.memory, target.hart.now(), address, width, value);
    stored.map(drop).map_err(|_| BusError::Address)
}

fn aligned(width: Width, address: u32) -> Result<Width, BusError> {
    if address.is_multiple_of(width.bytes()) {
        Ok(width)
    } else {
        Err(BusError::Alignment)
    }
}
