//! The slow run loop, for the time while a trigger watches loads or memory protection denies some. It checks each
//! instruction before it is executed. A hart, its memory, a bus and a deadline enter; the reason why it stopped leaves.
//! It knows how loads are encoded, and no other instruction.
//!
//! The inner loop executes loads without checking marks, unlike stores. Loads are rarely watched, so that they may be
//! slow meanwhile.

use super::execute::Loads;
use super::pmp::Access;
use super::registers::STACK_POINTER;
use super::triggers::Action;
use super::{Exit, Hart, execute};
use crate::bus::Bus;
use crate::memory::Memory;

/// Runs as [`execute::run`] does. `None` means that loads need not be checked any more.
pub(super) fn run<B: Bus>(hart: &mut Hart, memory: &mut Memory, bus: &mut B, until: u64) -> Option<Exit> {
    while hart.watches_loads() && hart.now < until {
        // Interrupts are taken first, so that the instruction that is checked is the one that is executed.
        let exit = execute::run(hart, memory, bus, hart.now, Loads::Seen);
        if exit != Some(Exit::Deadline) {
            return exit;
        }
        let load = load_at(hart, memory);
        let hit = load.and_then(|(address, size)| hart.csrs.load_hit(address, size));
        match hit {
            Some(Action::Debug) => return Some(Exit::Trigger),
            Some(Action::Trap) => {
                if let Some(exit) = execute::take_breakpoint(hart) {
                    return Some(exit);
                }
                continue;
            }
            None => {}
        }
        if let Some((address, size)) = load
            && hart.protection.denies(Access::Read, address, size)
            && hart.protection.denied_fetch(hart.pc, memory).is_none()
        {
            if let Some(exit) = execute::take_load_fault(hart, address) {
                return Some(exit);
            }
            continue;
        }
        let exit = execute::run(hart, memory, bus, hart.now + 1, Loads::Seen);
        if exit != Some(Exit::Deadline) {
            return exit;
        }
    }
    (hart.now >= until).then_some(Exit::Deadline)
}

/// The address and the size in bytes of what the instruction at the hart's pc loads; `None` if it is not a load.
fn load_at(hart: &Hart, memory: &Memory) -> Option<(u32, u32)> {
    let low = u32::from(memory.fetch(hart.pc)?);
    let field = |at: u32, bits: u32| low >> at & ((1 << bits) - 1);
    // RISC-V Instruction Set Manual, volume I, chapters "RV32I" and "C".
    match (low & 3, low >> 13) {
        (0, 0b010) => {
            let offset = field(10, 3) << 3 | field(6, 1) << 2 | field(5, 1) << 6;
            let base = hart.register(8 + field(7, 3) as u8);
            Some((base.wrapping_add(offset), 4))
        }
        (2, 0b010) => {
            let offset = field(12, 1) << 5 | field(4, 3) << 2 | field(2, 2) << 6;
            Some((hart.register(STACK_POINTER).wrapping_add(offset), 4))
        }
        (3, _) if low & 0x7F == 0x03 => {
            let word = u32::from(memory.fetch(hart.pc.wrapping_add(2))?) << 16 | low;
            let base = hart.register((word >> 15 & 31) as u8);
            let size = match word >> 12 & 3 {
                0 => 1,
                1 => 2,
                _ => 4,
            };
            Some((base.wrapping_add((word as i32 >> 20) as u32), size))
        }
        _ => None,
    }
}
