//! The decoded code that the hart keeps: pages of [`Op`]s, with one slot for every even address. Addresses enter, pages
//! leave. Changes of memory empty slots again.

use std::ops::Range;
use std::sync::Arc;

use super::chain::{self, code_of};
use super::decode::{Code, Op};
use super::page::{PAGE, Page, SLOTS};
use crate::memory::{FLASH_CODE, FLASH_WINDOW, MMU_PAGE, ROM, ROM_SIZE, RTC, RTC_SIZE, SRAM_CODE, SRAM_SIZE, Stale};

/// The memories on the instruction bus: first address, size in bytes, and the number of the first page.
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

/// All decoded code. Clones share pages until one of them decodes or forgets something in a page.
#[derive(Debug, Clone)]
pub(super) struct DecodedCode {
    pages: Vec<Option<Arc<Page>>>,
}

impl DecodedCode {
    pub(super) fn new() -> Self {
        Self {
            pages: vec![None; PAGES],
        }
    }

    /// The page that holds `pc`; `None` if there is no memory for code at that address.
    #[inline]
    pub(super) fn page(&mut self, pc: u32) -> Option<&Page> {
        let page = self.pages.get_mut(index(pc)?)?;
        Some(page.get_or_insert_with(empty_page))
    }

    /// Keeps the instruction at `pc`.
    #[cold]
    pub(super) fn keep(&mut self, pc: u32, op: Op) {
        if let Some(page) = index(pc).and_then(|index| self.pages.get_mut(index)) {
            put(page.get_or_insert_with(empty_page), slot(pc), op);
        }
    }

    /// Empties the slots of a range, so that its instructions are checked and decoded again before they are executed.
    #[cold]
    pub(super) fn forget(&mut self, range: &Range<u32>) {
        for (base, size, first) in REGIONS {
            let (start, end) = (range.start.max(base), range.end.min(base + size));
            let mut address = start;
            while address < end {
                let next = (address | (PAGE - 1)) + 1;
                let page = first + ((address - base) / PAGE) as usize;
                if let Some(Some(page)) = self.pages.get_mut(page) {
                    (slot(address)..=slot(next.min(end) - 1)).for_each(|slot| forget(page, slot));
                }
                address = next;
            }
        }
    }

    /// Forgets the instructions that lie where memory has changed.
    #[cold]
    pub(super) fn invalidate(&mut self, stale: &Stale) {
        if stale.all_ram {
            self.pages[SRAM_PAGES..FLASH_PAGES].fill(None);
        }
        for range in &stale.ranges {
            // An instruction of four bytes that begins up to three bytes before the range reaches into it.
            let mut address = range.start.wrapping_sub(3) & !1;
            while address < range.end {
                if let Some(page) = index(address).and_then(|index| self.pages.get_mut(index)?.as_mut()) {
                    forget(page, slot(address));
                }
                address += 2;
            }
        }
        const PAGES_OF_ENTRY: usize = MMU_PAGE / PAGE as usize;
        // Most calls have no entry at all, so only the set bits are visited.
        let mut entries = stale.entries;
        while entries != 0 {
            let entry = entries.trailing_zeros() as usize;
            entries &= entries - 1;
            let first = FLASH_PAGES + entry * PAGES_OF_ENTRY;
            self.pages[first..first + PAGES_OF_ENTRY].fill(None);
            // The page before may end with the first half of an instruction that ends in this one.
            if entry > 0
                && let Some(before) = &mut self.pages[first - 1]
            {
                forget(before, SLOTS - 1);
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

/// The slot of an address in its page.
fn slot(pc: u32) -> usize {
    (pc % PAGE / 2) as usize
}

/// Empties a slot. A page whose slot is empty already stays shared with clones.
fn forget(page: &mut Arc<Page>, slot: usize) {
    if page[slot] != Op::EMPTY {
        put(page, slot, Op::EMPTY);
    }
}

/// Changes a slot, and the forms of those before it that may include it.
fn put(page: &mut Arc<Page>, slot: usize, op: Op) {
    let page = Arc::make_mut(page);
    page[slot] = op;
    for slot in slot.saturating_sub(2 * (chain::MOST - 1))..=slot {
        page[slot].form = form(page, slot);
    }
}

/// The form of the operation at a slot, given those that follow.
fn form(page: &Page, mut slot: usize) -> u8 {
    let mut codes = [Code::Empty; chain::MOST];
    for code in &mut codes {
        let Some(&op) = page.get(slot) else { break };
        *code = code_of(op);
        if *code == Code::Empty {
            break;
        }
        slot += code.slots();
    }
    chain::form(&codes)
}

#[cold]
fn empty_page() -> Arc<Page> {
    Arc::new([Op::EMPTY; SLOTS])
}
