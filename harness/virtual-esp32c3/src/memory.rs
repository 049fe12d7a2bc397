//! The ESP32-C3's plain memory: mask ROM, SRAM, RTC fast RAM, and flash as the cache and its MMU show it. Addresses
//! enter, bytes leave. It knows no register and no instruction. It only remembers which bytes the hart has decoded, so
//! that it can report when they change.
//!
//! | address | what |
//! |---|---|
//! | 0x3C00_0000, 8 MB | flash, data bus, through the MMU |
//! | 0x3FC8_0000, 384 KB | SRAM1, data bus |
//! | 0x3FF0_0000, 128 KB | the last 128 KB of the ROM, data bus |
//! | 0x4000_0000, 384 KB | ROM, instruction bus |
//! | 0x4037_C000, 16 + 384 KB | SRAM0 then SRAM1, instruction bus |
//! | 0x4200_0000, 8 MB | flash, instruction bus, through the same MMU entries |
//! | 0x5000_0000, 8 KB | RTC fast RAM |
//!
//! Misaligned loads and stores work in all of them. They do on the chip, whose table of exceptions has no causes for
//! misaligned accesses (ESP32-C3 Technical Reference Manual, chapter 1, "Exception Causes").

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::width::Width;

/// First address of the mask ROM on the instruction bus.
pub const ROM: u32 = 0x4000_0000;
/// Size of the mask ROM in bytes.
pub const ROM_SIZE: u32 = 0x6_0000;
/// First address of SRAM0, and after it SRAM1, on the instruction bus.
pub const SRAM_CODE: u32 = 0x4037_C000;
/// Size of SRAM0 and SRAM1 together in bytes.
pub const SRAM_SIZE: u32 = SRAM0_SIZE + SRAM1_SIZE;
/// First address of SRAM1 on the data bus.
pub const SRAM_DATA: u32 = 0x3FC8_0000;
/// First address of flash on the instruction bus.
pub const FLASH_CODE: u32 = 0x4200_0000;
/// First address of flash on the data bus.
pub const FLASH_DATA: u32 = 0x3C00_0000;
/// Size of the window through which each bus sees flash, in bytes.
pub const FLASH_WINDOW: u32 = 0x80_0000;
/// First address of RTC fast RAM.
pub const RTC: u32 = 0x5000_0000;
/// Size of RTC fast RAM in bytes.
pub const RTC_SIZE: u32 = 0x2000;
/// Entries of the MMU table, shared by both buses.
pub const MMU_ENTRIES: usize = 128;
/// Size of what one MMU entry maps, in bytes.
pub const MMU_PAGE: usize = 0x1_0000;

/// The ranges that plain loads reach: first address and size in bytes.
pub(crate) const READABLE: [(u32, u32); 7] = [
    (FLASH_DATA, FLASH_WINDOW),
    (SRAM_DATA, SRAM1_SIZE),
    (ROM_DATA, ROM_SIZE - ROM_DATA_OFFSET),
    (ROM, ROM_SIZE),
    (SRAM_CODE, SRAM_SIZE),
    (FLASH_CODE, FLASH_WINDOW),
    (RTC, RTC_SIZE),
];

const SRAM0_SIZE: u32 = 0x4000;
const SRAM1_SIZE: u32 = 0x6_0000;
const ROM_DATA: u32 = 0x3FF0_0000;
const ROM_DATA_OFFSET: u32 = 0x4_0000;
/// Base of an MMU entry that maps nothing. It lies beyond any flash.
const UNMAPPED: usize = usize::MAX / 2;
/// Bytes of RAM that share one mark. A mark says that stores there need a closer look, since the hart has decoded code
/// there or watches it.
const GRANULE: usize = 256;
/// If more ranges than this change, they are not listed one by one.
const MANY_RANGES: usize = 64;

/// Bytes of flash that are copied when one of them changes. It equals [`MMU_PAGE`], so that a mapped page is one block.
const FLASH_BLOCK: usize = MMU_PAGE;

/// The chip's memories. Contents of RAM are zero at power-on, flash is erased (0xFF).
#[derive(Clone)]
pub struct Memory {
    rom: Arc<[u8]>,
    sram: Box<[u8; SRAM_SIZE as usize]>,
    rtc: Box<[u8; RTC_SIZE as usize]>,
    /// The contents at the start. All memories that were made from it share it, and none changes it.
    flash: Arc<[u8]>,
    /// One entry for each [`FLASH_BLOCK`]: the block's contents, if they were changed. Clones share a block until one
    /// changes it.
    changed: Vec<Option<Arc<[u8]>>>,
    /// Offset in flash of what each entry maps, or [`UNMAPPED`].
    mmu: [usize; MMU_ENTRIES],
    sram_marks: Box<[bool; SRAM_SIZE as usize / GRANULE]>,
    rtc_marks: [bool; RTC_SIZE as usize / GRANULE],
    /// One bit for each MMU entry: the hart has decoded code that the entry maps.
    flash_code: u128,
    stale: Stale,
    /// Addresses at which a trigger of the hart watches stores. They are marked too.
    watched: Vec<Range<u32>>,
    /// Addresses that may not be written. They are marked too.
    protected: Vec<Range<u32>>,
}

/// Where memory has changed under decoded code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stale {
    /// Changed bytes, as addresses on the instruction bus.
    pub(crate) ranges: Vec<Range<u32>>,
    /// MMU entries that map something else now, one bit each.
    pub(crate) entries: u128,
    /// All of RAM may have changed.
    pub(crate) all_ram: bool,
}

/// The result of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The bytes are written.
    Done,
    /// Nothing is written yet, since the bytes are marked. [`Memory::write_marked`] writes them.
    Marked,
    /// There is no plain memory at the address, or none that can be written.
    Elsewhere,
}

impl Memory {
    /// Memory with this ROM and erased flash of `flash_size` bytes. The ROM has 384 KB; addresses behind the end of a
    /// shorter one do not answer.
    #[must_use]
    pub fn new(rom: Arc<[u8]>, flash_size: usize) -> Self {
        Self::with_flash(rom, vec![0xFF; flash_size].into())
    }

    /// Memory with this ROM and these contents of the flash. The contents stay shared; a change of a byte copies the 64
    /// KB around it.
    #[must_use]
    pub fn with_flash(rom: Arc<[u8]>, flash: Arc<[u8]>) -> Self {
        Self {
            rom,
            sram: boxed(0),
            rtc: boxed(0),
            changed: vec![None; flash.len().div_ceil(FLASH_BLOCK)],
            flash,
            mmu: [UNMAPPED; MMU_ENTRIES],
            sram_marks: boxed(false),
            rtc_marks: [false; RTC_SIZE as usize / GRANULE],
            flash_code: 0,
            stale: Stale::default(),
            watched: Vec::new(),
            protected: Vec::new(),
        }
    }

    /// Reads plain memory, little-endian and zero-extended. `None` if there is none at the address.
    #[must_use]
    pub fn load(&self, address: u32, width: Width) -> Option<u32> {
        match width {
            Width::Byte => self.read::<1>(address).map(|[byte]| u32::from(byte)),
            Width::Half => self.read(address).map(|bytes| u32::from(u16::from_le_bytes(bytes))),
            Width::Word => self.read(address).map(u32::from_le_bytes),
        }
    }

    /// Writes plain memory. Returns false, and writes nothing, if there is none at the address or it cannot be written
    /// (ROM, flash).
    pub fn store(&mut self, address: u32, width: Width, value: u32) -> bool {
        self.write_bytes(address, &value.to_le_bytes()[..width.bytes() as usize])
    }

    /// Reads RAM as a DMA engine does: SRAM and RTC fast RAM, through either bus. Returns false, and leaves `into` as
    /// it is, if any of the bytes lies elsewhere.
    #[must_use]
    pub fn read_bytes(&self, address: u32, into: &mut [u8]) -> bool {
        let from = match self.ram(address, into.len()) {
            Some(Ram::Sram(range)) => self.sram.get(range),
            Some(Ram::Rtc(range)) => self.rtc.get(range),
            None => None,
        };
        let Some(from) = from else { return false };
        into.copy_from_slice(from);
        true
    }

    /// Writes RAM as a DMA engine does. Returns false, and writes nothing, if any of the bytes lies elsewhere.
    pub fn write_bytes(&mut self, address: u32, from: &[u8]) -> bool {
        let (into, marks, base, start) = match self.ram(address, from.len()) {
            Some(Ram::Sram(range)) => {
                let start = range.start;
                let into = self.sram.get_mut(range);
                (into, self.sram_marks.as_slice(), SRAM_CODE, start)
            }
            Some(Ram::Rtc(range)) => {
                let start = range.start;
                let into = self.rtc.get_mut(range);
                (into, self.rtc_marks.as_slice(), RTC, start)
            }
            None => return false,
        };
        let Some(into) = into else { return false };
        into.copy_from_slice(from);
        if !from.is_empty() {
            let granules = start / GRANULE..=(start + from.len() - 1) / GRANULE;
            if marks.get(granules).is_some_and(|marks| marks.contains(&true)) {
                let address = base + start as u32;
                self.stale.add(address..address + from.len() as u32);
            }
        }
        true
    }

    /// Sets an entry of the MMU table: it maps this flash page of 64 KB, or nothing. Entries from 128 on do not exist
    /// and are ignored. A page beyond the flash does not answer.
    pub fn map(&mut self, entry: usize, page: Option<u16>) {
        let base = page.map_or(UNMAPPED, |page| usize::from(page) * MMU_PAGE);
        if let Some(slot) = self.mmu.get_mut(entry)
            && *slot != base
        {
            *slot = base;
            self.stale.entries |= self.flash_code & (1 << entry);
        }
    }

    /// Size of the flash chip in bytes.
    #[must_use]
    pub fn flash_size(&self) -> usize {
        self.flash.len()
    }

    /// A part of the flash's contents, cut to the flash's size. It is copied only if it crosses a boundary of 64 KB.
    #[must_use]
    pub fn flash_part(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        let end = range.end.min(self.flash.len());
        let start = range.start.min(end);
        if start == end {
            return Cow::default();
        }
        if start / FLASH_BLOCK == (end - 1) / FLASH_BLOCK {
            return Cow::Borrowed(self.flash_within_block(start..end));
        }
        let mut part = Vec::with_capacity(end - start);
        for range in blocks(start..end) {
            part.extend_from_slice(self.flash_within_block(range));
        }
        Cow::Owned(part)
    }

    /// The flash's contents. They are copied only if they have changed.
    #[must_use]
    pub fn flash_image(&self) -> Arc<[u8]> {
        if self.changed.iter().all(Option::is_none) {
            return Arc::clone(&self.flash);
        }
        self.flash_part(0..self.flash.len()).into()
    }

    /// Programs or erases flash: calls `change` with `range` of the flash, cut to its size. The MMU shows the new
    /// contents at once.
    pub fn flash_modify(&mut self, range: Range<usize>, change: impl FnOnce(&mut [u8])) {
        let end = range.end.min(self.flash.len());
        let start = range.start.min(end);
        if start == end {
            return;
        }
        if start / FLASH_BLOCK == (end - 1) / FLASH_BLOCK {
            change(self.flash_within_block_mut(start..end));
        } else {
            let mut part = self.flash_part(start..end).into_owned();
            change(&mut part);
            for range in blocks(start..end) {
                let from = &part[range.start - start..range.end - start];
                self.flash_within_block_mut(range).copy_from_slice(from);
            }
        }
        for (entry, &base) in self.mmu.iter().enumerate() {
            if base < end && start < base.saturating_add(MMU_PAGE) {
                self.stale.entries |= self.flash_code & (1 << entry);
            }
        }
    }

    fn flash_within_block(&self, range: Range<usize>) -> &[u8] {
        match &self.changed[range.start / FLASH_BLOCK] {
            Some(block) => {
                let base = range.start / FLASH_BLOCK * FLASH_BLOCK;
                &block[range.start - base..range.end - base]
            }
            None => &self.flash[range],
        }
    }

    fn flash_within_block_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        let index = range.start / FLASH_BLOCK;
        let base = index * FLASH_BLOCK;
        let end = self.flash.len().min(base + FLASH_BLOCK);
        let block = self.changed[index].get_or_insert_with(|| Arc::from(&self.flash[base..end]));
        &mut Arc::make_mut(block)[range.start - base..range.end - base]
    }

    /// Clears what a power cycle loses: RAM and the MMU table. Flash stays.
    pub fn power_cycle(&mut self) {
        self.rtc.fill(0);
        self.deep_sleep();
    }

    /// Clears what deep sleep loses: SRAM and the MMU table. RTC fast RAM and flash stay.
    pub fn deep_sleep(&mut self) {
        self.sram.fill(0);
        self.mmu = [UNMAPPED; MMU_ENTRIES];
        self.stale.all_ram = true;
        self.stale.entries = self.flash_code;
    }

    /// Reads `N` bytes from SRAM1 on the data bus, which compiled code reads most; `None` for other addresses.
    #[inline(always)]
    pub(crate) fn read_near<const N: usize>(&self, address: u32) -> Option<[u8; N]> {
        let offset = address.wrapping_sub(SRAM_DATA) as usize;
        if offset > SRAM1_SIZE as usize - N {
            return None;
        }
        chunk(self.sram.as_slice(), offset + SRAM0_SIZE as usize)
    }

    /// Reads `N` bytes from any memory, on either bus.
    #[inline(always)]
    pub(crate) fn read<const N: usize>(&self, address: u32) -> Option<[u8; N]> {
        // The two regions that compiled code reads most come first, and are inlined.
        if let Some(bytes) = self.read_near(address) {
            return Some(bytes);
        }
        let offset = address.wrapping_sub(FLASH_DATA) as usize;
        if offset < FLASH_WINDOW as usize && offset % MMU_PAGE <= MMU_PAGE - N {
            return self.read_mapped(self.mmu[offset / MMU_PAGE], offset % MMU_PAGE);
        }
        self.read_elsewhere(address)
    }

    #[inline(never)]
    fn read_elsewhere<const N: usize>(&self, address: u32) -> Option<[u8; N]> {
        let within = |base: u32, size: u32| {
            let offset = address.wrapping_sub(base);
            (offset < size).then_some(offset as usize)
        };
        if let Some(offset) = within(SRAM_CODE, SRAM_SIZE) {
            chunk(self.sram.as_slice(), offset)
        } else if let Some(offset) = within(ROM, ROM_SIZE) {
            chunk(&self.rom, offset)
        } else if let Some(offset) = within(ROM_DATA, ROM_SIZE - ROM_DATA_OFFSET) {
            chunk(&self.rom, offset + ROM_DATA_OFFSET as usize)
        } else if let Some(offset) = within(RTC, RTC_SIZE) {
            chunk(self.rtc.as_slice(), offset)
        } else if let Some(offset) = within(FLASH_CODE, FLASH_WINDOW).or_else(|| within(FLASH_DATA, FLASH_WINDOW)) {
            self.read_flash(offset)
        } else {
            None
        }
    }

    /// Reads flash at `offset` in the page that begins at `base`. All bytes must lie in that page.
    #[inline(always)]
    fn read_mapped<const N: usize>(&self, base: usize, offset: usize) -> Option<[u8; N]> {
        match self.changed.get(base / FLASH_BLOCK)? {
            None => chunk(&self.flash, base + offset),
            Some(block) => chunk(block, offset),
        }
    }

    /// Reads flash byte by byte, since a misaligned access may begin in one MMU page and end in the next.
    fn read_flash<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        for (offset, byte) in (offset..).zip(&mut bytes) {
            let base = *self.mmu.get(offset / MMU_PAGE)?;
            [*byte] = self.read_mapped(base, offset % MMU_PAGE)?;
        }
        Some(bytes)
    }

    /// Writes `N` bytes to SRAM1 on the data bus, unless they are marked.
    #[inline(always)]
    pub(crate) fn write_near<const N: usize>(&mut self, address: u32, bytes: [u8; N]) -> Stored {
        let offset = address.wrapping_sub(SRAM_DATA) as usize;
        if offset > SRAM1_SIZE as usize - N {
            return Stored::Elsewhere;
        }
        let offset = offset + SRAM0_SIZE as usize;
        if self.sram_marks[offset / GRANULE] {
            return Stored::Marked;
        }
        if let Some(into) = self.sram[offset..].first_chunk_mut() {
            *into = bytes;
        }
        Stored::Done
    }

    /// Writes `N` bytes to RAM, on either bus, unless they are marked.
    #[inline(always)]
    pub(crate) fn write<const N: usize>(&mut self, address: u32, bytes: [u8; N]) -> Stored {
        match self.write_near(address, bytes) {
            Stored::Elsewhere => self.write_elsewhere(address, bytes),
            stored => stored,
        }
    }

    #[inline(never)]
    fn write_elsewhere<const N: usize>(&mut self, address: u32, bytes: [u8; N]) -> Stored {
        if overlaps(&self.protected, address, N) {
            return Stored::Marked;
        }
        let (into, marked) = match self.ram(address, N) {
            Some(Ram::Sram(range)) => (&mut self.sram[range.clone()], self.sram_marks[range.start / GRANULE]),
            Some(Ram::Rtc(range)) => (&mut self.rtc[range.clone()], self.rtc_marks[range.start / GRANULE]),
            None => return Stored::Elsewhere,
        };
        if marked {
            return Stored::Marked;
        }
        into.copy_from_slice(&bytes);
        Stored::Done
    }

    /// Whether an access lies in RAM.
    pub(crate) fn is_ram(&self, address: u32, width: Width) -> bool {
        self.ram(address, width.bytes() as usize).is_some()
    }

    /// Writes to marked RAM, and notes that decoded code may have changed. Returns false, and writes nothing, if a
    /// trigger watches any of the bytes.
    #[cold]
    pub(crate) fn write_marked(&mut self, address: u32, bytes: &[u8]) -> bool {
        let end = address.wrapping_add(bytes.len() as u32);
        if self
            .watched
            .iter()
            .any(|range| address < range.end && range.start < end)
        {
            return false;
        }
        self.write_bytes(address, bytes)
    }

    /// Sets the addresses at which stores are watched.
    pub(crate) fn watch(&mut self, ranges: Vec<Range<u32>>) {
        if ranges != self.watched {
            self.watched = ranges;
            self.mark_watched();
        }
    }

    /// Sets the addresses that may not be written. Stores there return [`Stored::Marked`], and the hart decides what
    /// they become.
    pub(crate) fn protect(&mut self, ranges: Vec<Range<u32>>) {
        if ranges != self.protected {
            // Marks for the old ranges would slow stores down for ever, so all marks are made again.
            self.stale.all_ram |= !self.protected.is_empty();
            self.protected = ranges;
            self.mark_watched();
        }
    }

    fn mark_watched(&mut self) {
        // `write_elsewhere` checks stores over the instruction bus itself. Marks for them would also slow the data bus
        // down.
        for range in &self.protected {
            mark(self.sram_marks.as_mut_slice(), SRAM_DATA - SRAM0_SIZE, range);
        }
        for range in &self.watched {
            mark(self.sram_marks.as_mut_slice(), SRAM_DATA - SRAM0_SIZE, range);
            mark(self.sram_marks.as_mut_slice(), SRAM_CODE, range);
            mark(&mut self.rtc_marks, RTC, range);
        }
    }

    /// Where in RAM `length` bytes from `address` lie; `None` if any of them lies elsewhere.
    fn ram(&self, address: u32, length: usize) -> Option<Ram> {
        let within = |base: u32, size: u32| {
            let start = address.wrapping_sub(base) as usize;
            let size = size as usize;
            (start < size && length <= size - start).then(|| start..start + length)
        };
        let shifted = |range: Range<usize>| range.start + SRAM0_SIZE as usize..range.end + SRAM0_SIZE as usize;
        within(SRAM_DATA, SRAM1_SIZE)
            .map(shifted)
            .or_else(|| within(SRAM_CODE, SRAM_SIZE))
            .map(Ram::Sram)
            .or_else(|| within(RTC, RTC_SIZE).map(Ram::Rtc))
    }

    /// Two bytes of code at an even address on the instruction bus.
    pub(crate) fn fetch(&self, address: u32) -> Option<u16> {
        // The data bus cannot be fetched from.
        if !(ROM..RTC + RTC_SIZE).contains(&address) {
            return None;
        }
        self.read_elsewhere(address).map(u16::from_le_bytes)
    }

    /// Notes that the hart holds a decoded instruction of up to four bytes at `address` on the instruction bus.
    pub(crate) fn mark_code(&mut self, address: u32) {
        // A store checks the mark of its first byte only, so an instruction also marks the byte three bytes before it.
        for address in [address.wrapping_sub(3), address, address.wrapping_add(3)] {
            let sram = address.wrapping_sub(SRAM_CODE) as usize / GRANULE;
            let rtc = address.wrapping_sub(RTC) as usize / GRANULE;
            let entry = address.wrapping_sub(FLASH_CODE) as usize / MMU_PAGE;
            if let Some(mark) = self.sram_marks.get_mut(sram) {
                *mark = true;
            } else if let Some(mark) = self.rtc_marks.get_mut(rtc) {
                *mark = true;
            } else if entry < MMU_ENTRIES {
                self.flash_code |= 1 << entry;
            }
        }
    }

    /// Whether memory has changed under decoded code since [`Memory::take_stale`] was last called.
    #[inline]
    pub(crate) fn has_stale(&self) -> bool {
        self.stale.entries != 0 || self.stale.all_ram || !self.stale.ranges.is_empty()
    }

    /// Takes the list of what has changed under decoded code. A change in a granule makes all of its code stale and
    /// removes its mark. Otherwise memory that held the bootloader's code and now holds data would be slow for ever.
    pub(crate) fn take_stale(&mut self) -> Stale {
        let mut stale = std::mem::take(&mut self.stale);
        self.flash_code &= !stale.entries;
        if stale.all_ram {
            self.sram_marks.fill(false);
            self.rtc_marks.fill(false);
        }
        for range in &mut stale.ranges {
            let first = range.start & !(GRANULE as u32 - 1);
            let end = range.end.next_multiple_of(GRANULE as u32);
            for address in (first..end).step_by(GRANULE) {
                let sram = address.wrapping_sub(SRAM_CODE) as usize / GRANULE;
                let rtc = address.wrapping_sub(RTC) as usize / GRANULE;
                if let Some(mark) = self.sram_marks.get_mut(sram) {
                    *mark = false;
                } else if let Some(mark) = self.rtc_marks.get_mut(rtc) {
                    *mark = false;
                }
            }
            // An instruction up to three bytes behind the granule has marked it too: see `mark_code`.
            *range = first..end + 3;
        }
        if stale.all_ram || !stale.ranges.is_empty() {
            self.mark_watched();
        }
        stale
    }
}

impl Stale {
    fn add(&mut self, range: Range<u32>) {
        if self.ranges.len() < MANY_RANGES {
            self.ranges.push(range);
        } else {
            self.all_ram = true;
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Memory")
            .field("rom", &self.rom.len())
            .field("flash", &self.flash.len())
            .finish_non_exhaustive()
    }
}

/// A range of one of the RAMs.
enum Ram {
    Sram(Range<usize>),
    Rtc(Range<usize>),
}

/// Whether any of `length` bytes from `address` lies in one of these ranges.
fn overlaps(ranges: &[Range<u32>], address: u32, length: usize) -> bool {
    let end = address.saturating_add(length as u32);
    ranges.iter().any(|range| address < range.end && range.start < end)
}

/// Marks the part of `range` that lies in the memory at `base`.
fn mark(marks: &mut [bool], base: u32, range: &Range<u32>) {
    let end = base + (marks.len() * GRANULE) as u32;
    // A store that begins up to three bytes before the range reaches into it.
    let (first, last) = (range.start.saturating_sub(3), range.end.saturating_sub(1));
    if first < end && base <= last {
        let granule = |address: u32| (address.clamp(base, end - 1) - base) as usize / GRANULE;
        marks[granule(first)..=granule(last)].fill(true);
    }
}

/// Cuts a range of flash at the boundaries of its blocks.
fn blocks(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let first = range.start / FLASH_BLOCK;
    (first..range.end.div_ceil(FLASH_BLOCK))
        .map(move |block| range.start.max(block * FLASH_BLOCK)..range.end.min((block + 1) * FLASH_BLOCK))
}

#[inline(always)]
fn chunk<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// An array on the heap, made without putting it on the stack first.
fn boxed<T: Clone, const N: usize>(value: T) -> Box<[T; N]> {
    match vec![value; N].into_boxed_slice().try_into() {
        Ok(array) => array,
        Err(_) => unreachable!("the vector was made with N elements"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: u32 = SRAM_CODE + 0x8000;
    const DATA: u32 = SRAM_DATA + 0x8000 - SRAM0_SIZE;

    fn memory() -> Memory {
        Memory::new(vec![0; 4].into(), 0x1_0000)
    }

    #[test]
    fn a_store_over_code_unmarks_its_granule() {
        let mut memory = memory();
        memory.mark_code(CODE + 0x40);
        assert_eq!(memory.write(DATA + 0x80, [1; 4]), Stored::Marked);
        assert!(memory.write_marked(DATA + 0x80, &[1; 4]));
        let stale = memory.take_stale();
        assert_eq!(memory.write(DATA + 0x80, [2; 4]), Stored::Done);
        // The mark is gone, so all of the granule's code must be forgotten.
        assert!(
            stale.ranges.iter().any(|range| range.contains(&(CODE + 0x40))),
            "{stale:?}"
        );
    }

    #[test]
    fn code_that_reaches_into_a_granule_becomes_stale_with_it() {
        let boundary = CODE + GRANULE as u32;
        for (instruction, store) in [(boundary, boundary - 2), (boundary - 2, boundary)] {
            let mut memory = memory();
            memory.mark_code(instruction);
            let store = store - CODE + DATA;
            assert_eq!(memory.write(store, [1; 4]), Stored::Marked, "{instruction:#x}");
            assert!(memory.write_marked(store, &[1; 4]));
            let stale = memory.take_stale();
            // The hart also forgets instructions that begin up to three bytes before each range.
            let forgotten = |range: &Range<u32>| range.start - 3 <= instruction && instruction < range.end;
            assert!(stale.ranges.iter().any(forgotten), "{instruction:#x} {stale:?}");
        }
    }

    #[test]
    fn bytes_that_a_trigger_watches_stay_marked() {
        let mut memory = memory();
        memory.watch(std::iter::once(DATA + 0x90..DATA + 0x94).collect());
        memory.mark_code(CODE + 0x40);
        assert!(memory.write_marked(DATA + 0x40, &[1; 4]));
        memory.take_stale();
        assert_eq!(memory.write(DATA + 0x90, [1; 4]), Stored::Marked);
    }
}
