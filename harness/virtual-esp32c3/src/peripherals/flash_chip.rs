//! The SPI NOR flash chip beside the ESP32-C3, a Winbond W25Q of 2 to 16 MB. Commands enter with the time; bytes leave.
//! The contents are in the memory. It knows no controller and no cache.
//!
//! A program or erase changes the contents at its beginning, so that pages that the MMU maps show the new contents at
//! once. Reads over SPI are ignored until the operation is over.
//! (W25Q32JV data sheet, chapters "Status and Configuration Registers" and "Instructions".)

use std::ops::Range;
use std::time::Duration;

use super::opcode;
use super::peripheral::Context;
use super::sfdp;
use crate::clock::CYCLES_PER_SECOND;
use crate::flash_timing::FlashTiming;
use crate::log::HardwareEvent;

/// The first two bytes of the JEDEC identification: Winbond, and memory type SPI. The third is the capacity.
const MANUFACTURER: u8 = 0xEF;
const TYPE: u8 = 0x40;
const PAGE: usize = 0x100;
const SECTOR: usize = 0x1000;
const HALF_BLOCK: usize = 0x8000;
const BLOCK: usize = 0x1_0000;

// Status register 1.
const WIP: u8 = 1 << 0;
const WEL: u8 = 1 << 1;
const TB: u8 = 1 << 5;
const SEC: u8 = 1 << 6;
// Status register 2.
const SRL: u8 = 1 << 0;
const QE: u8 = 1 << 1;
const LB: u8 = 7 << 3;
const CMP: u8 = 1 << 6;
const SUS: u8 = 1 << 7;
/// Bits of the three status registers that a write sets. The others are read-only or do not exist.
const WRITABLE: [u8; 3] = [0xFC, SRL | QE | LB | CMP, 0x64];
/// The status registers of a new chip: no protection, quad lines off, the weakest driver.
const STATUS: [u8; 3] = [0, 0, 0x60];

/// One transaction on the SPI bus. It has no dummy cycles: the controller takes the bytes after them.
#[derive(Debug, Default)]
pub(crate) struct Transaction<'a> {
    pub(crate) opcode: u8,
    pub(crate) address: u32,
    /// Bytes that go to the chip.
    pub(crate) data: &'a [u8],
    /// The number of bytes that the chip answers.
    pub(crate) length: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct FlashChip {
    timing: FlashTiming,
    /// The status registers that are in effect, and those that are kept without power. Both are without WIP, WEL and
    /// SUS.
    status: [u8; 3],
    kept: [u8; 3],
    write_enabled: bool,
    /// Whether the next write of a status register is volatile.
    write_volatile: bool,
    reset_enabled: bool,
    powered_down: bool,
    busy: Option<Operation>,
    suspended: Option<Operation>,
    /// The first address of the sector that is worn out.
    worn: Option<usize>,
    /// The state of the random numbers for interrupted operations.
    random: u64,
}

/// A program, erase or status write that is not over. Its result is in memory already. The previous contents are kept,
/// since a power failure leaves a mixture of both.
#[derive(Debug, Clone)]
struct Operation {
    start: usize,
    before: Vec<u8>,
    kept: Option<[u8; 3]>,
    ends: u64,
    total: u64,
    suspension: Suspension,
}

/// Whether the suspend command stops an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspension {
    Allowed,
    Ignored,
}

impl FlashChip {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            timing: FlashTiming::default(),
            status: STATUS,
            kept: STATUS,
            write_enabled: false,
            write_volatile: false,
            reset_enabled: false,
            powered_down: false,
            busy: None,
            suspended: None,
            worn: None,
            // Xorshift needs a state other than zero.
            random: seed ^ 0x9E37_79B9_7F4A_7C15 | 1,
        }
    }

    pub(crate) fn set_timing(&mut self, timing: FlashTiming) {
        self.timing = timing;
    }

    /// Wears out the sector at this address: from now on the first byte of each of its pages cannot be programmed.
    pub(crate) fn wear_out(&mut self, address: u32) {
        self.worn = Some(address as usize / SECTOR * SECTOR);
    }

    /// The supply fails at this moment and comes back later. An operation that is not over stays half done.
    pub(crate) fn power_cut(&mut self, context: &mut Context<'_>) {
        self.settle(context.time);
        self.interrupt(context);
        self.restart();
    }

    /// Ends the present operation, since the ESP32-C3 has been held in reset for long enough.
    pub(crate) fn wait(&mut self) {
        self.settle(u64::MAX);
    }

    /// Does one transaction. Returns the bytes that the chip answers.
    pub(crate) fn transfer(&mut self, transaction: &Transaction<'_>, context: &mut Context<'_>) -> Vec<u8> {
        self.settle(context.time);
        // The line is pulled up, so that it is high while the chip does not drive it.
        let silence = vec![0xFF; transaction.length];
        let size = context.memory.flash_size().max(1);
        let address = transaction.address as usize % size;
        let accepted = match transaction.opcode {
            opcode::RELEASE_POWER_DOWN => true,
            _ if self.powered_down => false,
            // A busy chip accepts these only.
            opcode::READ_STATUS_1
            | opcode::READ_STATUS_2
            | opcode::READ_STATUS_3
            | opcode::SUSPEND
            | opcode::ENABLE_RESET
            | opcode::RESET_DEVICE => true,
            _ => self.busy.is_none(),
        };
        if !accepted {
            return silence;
        }
        let reset_enabled = std::mem::take(&mut self.reset_enabled);
        match transaction.opcode {
            opcode::WRITE_ENABLE => self.write_enabled = true,
            opcode::WRITE_DISABLE => self.write_enabled = false,
            opcode::VOLATILE_STATUS_WRITE_ENABLE => self.write_volatile = true,
            opcode::READ_STATUS_1 => return vec![self.status_1(); transaction.length],
            opcode::READ_STATUS_2 => return vec![self.status_2(); transaction.length],
            opcode::READ_STATUS_3 => return vec![self.status[2]; transaction.length],
            opcode::WRITE_STATUS_1 => self.write_status(0, transaction.data, context.time),
            opcode::WRITE_STATUS_2 => self.write_status(1, transaction.data, context.time),
            opcode::WRITE_STATUS_3 => self.write_status(2, transaction.data, context.time),
            opcode::PAGE_PROGRAM => self.program(address, transaction.data, context),
            opcode::QUAD_INPUT_PAGE_PROGRAM if self.quad() => self.program(address, transaction.data, context),
            opcode::SECTOR_ERASE => self.erase(address, SECTOR, self.timing.sector_erase, context),
            opcode::HALF_BLOCK_ERASE => self.erase(address, HALF_BLOCK, self.timing.half_block_erase, context),
            opcode::BLOCK_ERASE => self.erase(address, BLOCK, self.timing.block_erase, context),
            opcode::CHIP_ERASE | opcode::CHIP_ERASE_TOO => {
                let megabytes = (size >> 20).max(1) as u32;
                self.erase(0, size, self.timing.chip_erase * megabytes, context);
            }
            opcode::SUSPEND => self.suspend(context.time),
            opcode::RESUME => self.resume(context.time),
            opcode::ENABLE_RESET => self.reset_enabled = true,
            opcode::RESET_DEVICE if reset_enabled => {
                self.interrupt(context);
                self.restart();
            }
            opcode::RESET_DEVICE | opcode::QUAD_INPUT_PAGE_PROGRAM => {}
            opcode::POWER_DOWN => self.powered_down = true,
            opcode::READ_DATA | opcode::FAST_READ | opcode::FAST_READ_DUAL_OUTPUT | opcode::FAST_READ_DUAL_IO => {
                return read(context, address, transaction.length);
            }
            opcode::FAST_READ_QUAD_OUTPUT | opcode::FAST_READ_QUAD_IO => match self.quad() {
                true => return read(context, address, transaction.length),
                // Without QE the two lines are /WP and /HOLD.
                false => return silence,
            },
            opcode::JEDEC_ID => return repeat(&[MANUFACTURER, TYPE, capacity(size)], transaction.length),
            opcode::RELEASE_POWER_DOWN => {
                self.powered_down = false;
                return vec![capacity(size) - 1; transaction.length];
            }
            // The lowest bit of the address selects which of the two comes first.
            opcode::MANUFACTURER_DEVICE_ID if address & 1 == 0 => {
                return repeat(&[MANUFACTURER, capacity(size) - 1], transaction.length);
            }
            opcode::MANUFACTURER_DEVICE_ID => return repeat(&[capacity(size) - 1, MANUFACTURER], transaction.length),
            opcode::READ_UNIQUE_ID => return repeat(&unique_id(size), transaction.length),
            opcode::READ_SFDP => {
                let table = sfdp::table(size as u64, &self.timing);
                let bytes = (address..).map(|at| table.get(at & 0xFF).copied().unwrap_or(0xFF));
                return bytes.take(transaction.length).collect();
            }
            unknown => context.once_for_flash_command(unknown),
        }
        silence
    }

    fn status_1(&self) -> u8 {
        let wip = if self.busy.is_some() { WIP } else { 0 };
        let wel = if self.write_enabled { WEL } else { 0 };
        self.status[0] | wip | wel
    }

    fn status_2(&self) -> u8 {
        self.status[1] | if self.suspended.is_some() { SUS } else { 0 }
    }

    fn quad(&self) -> bool {
        self.status[1] & QE != 0
    }

    /// Ends the present operation if it is over by now.
    fn settle(&mut self, now: u64) {
        if self.busy.as_ref().is_some_and(|operation| operation.ends <= now) {
            self.busy = None;
            self.write_enabled = false;
        }
    }

    /// Stops all operations that are not over, and leaves them half done.
    fn interrupt(&mut self, context: &mut Context<'_>) {
        for operation in [self.busy.take(), self.suspended.take()].into_iter().flatten() {
            if let Some(kept) = operation.kept {
                self.kept = kept;
            }
            self.tear(&operation, context);
        }
    }

    /// Returns the chip to its state after power-on.
    fn restart(&mut self) {
        self.status = self.kept;
        self.status[1] &= !SRL;
        self.kept[1] &= !SRL;
        self.write_enabled = false;
        self.write_volatile = false;
        self.reset_enabled = false;
        self.powered_down = false;
    }

    /// Undoes the part of an operation for which there was no time. The share of the changed bits that stays is the
    /// share of the time that has passed; which bits stay is random.
    fn tear(&mut self, operation: &Operation, context: &mut Context<'_>) {
        if operation.before.is_empty() {
            return;
        }
        let left = operation.ends.saturating_sub(context.time).min(operation.total);
        let done = 256 * (operation.total - left) / operation.total.max(1);
        let range = operation.start..operation.start + operation.before.len();
        let random = &mut self.random;
        context.memory.flash_modify(range, |bytes| {
            for (byte, before) in bytes.iter_mut().zip(&operation.before) {
                let mut changed = *byte ^ before;
                if changed != 0 {
                    let draws = next(random).to_le_bytes();
                    for (bit, draw) in draws.into_iter().enumerate() {
                        if u64::from(draw) >= done {
                            changed &= !(1 << bit);
                        }
                    }
                    *byte = before ^ changed;
                }
            }
        });
        context.event(HardwareEvent::FlashInterrupted {
            address: operation.start as u32,
            length: operation.before.len() as u32,
        });
    }

    /// Whether a program or erase of this range may begin. If not, write enable is cleared.
    fn may_write(&mut self, size: usize, range: &Range<usize>) -> bool {
        let suspended = self.suspended.as_ref().is_some_and(|operation| {
            let end = operation.start + operation.before.len();
            operation.start < range.end && range.start < end
        });
        let allowed = self.write_enabled && !suspended && !self.protects(size, range);
        if !allowed {
            self.write_enabled = false;
        }
        allowed
    }

    /// Whether the block protection bits cover any of the range.
    fn protects(&self, size: usize, range: &Range<usize>) -> bool {
        let [first, second, _] = self.status;
        let level = first >> 2 & 7;
        let length = match level {
            0 => 0,
            7 => size,
            _ if first & SEC != 0 => SECTOR << (level - 1).min(3),
            // From a 64th to a half of the chip, but never less than a block.
            _ if size <= 32 * BLOCK => BLOCK << (level - 1),
            _ => size >> (7 - level),
        };
        let length = length.min(size);
        let protected = if first & TB != 0 {
            0..length
        } else {
            size - length..size
        };
        let touches = range.start < protected.end && protected.start < range.end;
        let reaches_out = range.start < protected.start || protected.end < range.end;
        if second & CMP == 0 { touches } else { reaches_out }
    }

    fn program(&mut self, address: usize, data: &[u8], context: &mut Context<'_>) {
        let start = address / PAGE * PAGE;
        let range = start..start + PAGE;
        if !self.may_write(context.memory.flash_size(), &range) {
            return;
        }
        // The chip collects the bytes in a buffer of one page, at whose end they wrap around. The last 256 bytes count.
        let mut page = [0xFF; PAGE];
        for (offset, byte) in data.iter().enumerate() {
            page[(address + offset) % PAGE] = *byte;
        }
        if self.worn.is_some_and(|sector| range.start / SECTOR * SECTOR == sector) {
            page[0] = 0xFF;
        }
        let change = |bytes: &mut [u8]| {
            for (byte, programmed) in bytes.iter_mut().zip(page) {
                *byte &= programmed;
            }
        };
        self.start(range, self.timing.page_program, Suspension::Allowed, change, context);
    }

    fn erase(&mut self, address: usize, length: usize, time: Duration, context: &mut Context<'_>) {
        let size = context.memory.flash_size();
        let start = address / length * length;
        let range = start..(start + length).min(size);
        // An erase cannot begin while an operation is suspended.
        if self.suspended.is_some() || !self.may_write(size, &range) {
            return;
        }
        // Erasing what is erased already must not copy it out of the image that boards share.
        let erased = context
            .memory
            .flash_part(range.clone())
            .iter()
            .all(|byte| *byte == 0xFF);
        let range = if erased { start..start } else { range };
        let suspension = if length < size {
            Suspension::Allowed
        } else {
            Suspension::Ignored
        };
        self.start(range, time, suspension, |bytes| bytes.fill(0xFF), context);
    }

    fn start(
        &mut self,
        range: Range<usize>,
        time: Duration,
        suspension: Suspension,
        change: impl FnOnce(&mut [u8]),
        context: &mut Context<'_>,
    ) {
        let before = context.memory.flash_part(range.clone()).into_owned();
        context.memory.flash_modify(range.clone(), change);
        let total = cycles(time);
        self.busy = Some(Operation {
            start: range.start,
            before,
            kept: None,
            ends: context.time + total,
            total,
            suspension,
        });
    }

    fn write_status(&mut self, first: usize, data: &[u8], now: u64) {
        let volatile = std::mem::take(&mut self.write_volatile);
        let locked = self.status[1] & SRL != 0;
        if !(volatile || self.write_enabled) || locked || self.suspended.is_some() {
            return;
        }
        let kept = self.kept;
        for (register, value) in (first..self.status.len()).zip(data) {
            let writable = WRITABLE[register];
            let mut value = value & writable;
            if register == 1 {
                // These bits can only be set.
                value |= self.status[1] & LB;
            }
            self.status[register] = value;
            if !volatile {
                self.kept[register] = value;
            }
        }
        if !volatile {
            let total = cycles(self.timing.write_status);
            self.busy = Some(Operation {
                start: 0,
                before: Vec::new(),
                kept: Some(kept),
                ends: now + total,
                total,
                suspension: Suspension::Ignored,
            });
        }
    }

    fn suspend(&mut self, now: u64) {
        if self.suspended.is_some() {
            return;
        }
        if let Some(mut operation) = self
            .busy
            .take_if(|operation| operation.suspension == Suspension::Allowed)
        {
            // Until it is resumed, its end is the time that is left.
            operation.ends -= now;
            self.suspended = Some(operation);
            self.write_enabled = false;
        }
    }

    fn resume(&mut self, now: u64) {
        if let Some(mut operation) = self.suspended.take() {
            operation.ends += now;
            self.busy = Some(operation);
        }
    }
}

fn read(context: &Context<'_>, address: usize, length: usize) -> Vec<u8> {
    let size = context.memory.flash_size().max(1);
    let mut read = Vec::with_capacity(length);
    while read.len() < length {
        // After the last address, reading goes on at the first.
        let at = (address + read.len()) % size;
        let part = context.memory.flash_part(at..at + length - read.len());
        if part.is_empty() {
            break;
        }
        read.extend_from_slice(&part);
    }
    read
}

fn repeat(bytes: &[u8], length: usize) -> Vec<u8> {
    bytes.iter().cycle().take(length).copied().collect()
}

/// The capacity byte of the JEDEC identification: the binary logarithm of the size.
fn capacity(size: usize) -> u8 {
    size.ilog2().max(1) as u8
}

/// The unique identification. It differs between sizes and is the same in every run.
fn unique_id(size: usize) -> [u8; 8] {
    [0xD2, 0x66, 0x50, 0x49, 0x4E, 0x52, 0x47, capacity(size)]
}

fn cycles(time: Duration) -> u64 {
    (time.as_nanos() * u128::from(CYCLES_PER_SECOND) / 1_000_000_000) as u64
}

/// Xorshift64 (Marsaglia, "Xorshift RNGs").
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
