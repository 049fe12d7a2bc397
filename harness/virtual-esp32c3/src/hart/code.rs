//! The decoded code that the hart keeps: pages of [`Op`]s, one slot for every even address. Addresses enter, pages leave;
//! what changed in memory empties slots again.

use super::decode::Op;
use crate::memory::{FLASH_CODE, FLASH_WINDOW, MMU_PAGE, ROM, ROM_SIZE, RTC, RTC_SIZE, SRAM_CODE, SRAM_SIZE, Stale};

/// Bytes of code in one page.
pub(super) const PAGE: u32 = 4096;
/// Slots in one page.
pub(super) const SLOTS: usize = PAGE as usize / 2;

/// The decoded instructions of one page, [`Op::EMPTY`] where none is decoded.
pub(super) type Page = [Op; SLOTS];

/// What the instruction bus reaches: first address, size, and where its pages begin in the table.
const REGIONS: [(u32, u32, usize); 4] = [
    (FLASH_CODE, FLASH_WINDOW, FLASH_PAGES),
    (SRAM_CODE, SRAM_SIZE, SRAM_PAGES),
    (ROM, ROM_SIZE, 0),
    (RTC, RTC_SIZE, RTC_PAGES),
];
const SRAM_PAGES: usize = (ROM_SIZE / PAGE) as usize;
const RTC_PAGES: usize = SRAM_PAGES + (SRAM_SIZE / PAGE) as usize;
const FLASH_PAGES: usize = RTC_PAGES + (RTC_SIZE / PAGE) as usize;
const PAGES: usize = FLASH_PAGES + (FLASH_WINDOW / PAGE) as usize;

/// All decoded code.
#[derive(Debug, Clone)]
pub(super) struct DecodedCode {
    pages: Vec<Option<Box<Page>>>,
}

impl DecodedCode {
    pub(super) fn new() -> Self {
        Self {
            pages: vec![None; PAGES],
        }
    }

    /// The page that holds `pc`; `None` where nothing can be executed.
    #[inline]
    pub(super) fn page(&mut self, pc: u32) -> Option<&mut Page> {
        let slot = self.pages.get_mut(index(pc)?)?;
        if slot.is_none() {
            *slot = Some(empty_page());
        }
        slot.as_deref_mut()
    }

    /// Forgets what no longer agrees with memory.
    #[cold]
    pub(super) fn invalidate(&mut self, stale: &Stale) {
        if stale.all_ram {
            self.pages[SRAM_PAGES..FLASH_PAGES].fill(None);
        }
        for range in &stale.ranges {
            // An instruction of four bytes that begins up to three bytes earlier reaches into the range.
            let mut address = range.start.wrapping_sub(3) & !1;
            while address < range.end {
                if let Some(page) = index(address).and_then(|index| self.pages.get_mut(index)?.as_mut()) {
                    page[(address % PAGE / 2) as usize] = Op::EMPTY;
                }
                address += 2;
            }
        }
        const PAGES_OF_ENTRY: usize = MMU_PAGE / PAGE as usize;
        // Most calls have no entry at all: walk the set bits, not the table.
        let mut entries = stale.entries;
        while entries != 0 {
            let entry = entries.trailing_zeros() as usize;
            entries &= entries - 1;
            let first = FLASH_PAGES + entry * PAGES_OF_ENTRY;
            self.pages[first..first + PAGES_OF_ENTRY].fill(None);
            // The page before may end in the first half of an instruction that ends here.
            if entry > 0
                && let Some(before) = &mut self.pages[first - 1]
            {
                before[SLOTS - 1] = Op::EMPTY;
            }
        }
    }
}

#[inline]
fn index(pc: u32) -> Option<usize> {
    REGIONS.iter().find_map(|&(base, size, first)| {
        let offset = pc.wrapping_sub(base);
        (offset < size).then(|| first + (offset / PAGE) as usize)
    })
}

#[cold]
fn empty_page() -> Box<Page> {
    match vec![Op::EMPTY; SLOTS].into_boxed_slice().try_into() {
        Ok(page) => page,
        Err(_) => unreachable!("the vector was made with that many slots"),
    }
}
