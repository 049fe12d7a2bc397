//! The plain inner loop: it executes one instruction after the other. Tests compare `chain` with it.

use super::chain::code_of;
use super::cursor::{Cursor, Leave};
use super::page::Page;
use super::registers::Registers;
use super::step::step;
use crate::memory::Memory;

/// Executes instructions of one page until control leaves the page, the deadline is reached, or an instruction needs
/// more than registers and unmarked memory.
#[inline(never)]
pub(super) fn run(mut cursor: Cursor, page: &Page, x: &mut Registers, memory: &mut Memory) -> (Cursor, Leave) {
    while cursor.left > 0 {
        let Some(&op) = page.get(cursor.slot as usize) else {
            break;
        };
        let Some(next) = step::<false>(code_of(op), op, cursor.slot, x, memory) else {
            return (cursor, Leave::Whole);
        };
        cursor.slot = next;
        cursor.left -= 1;
    }
    (cursor, Leave::Page)
}
