//! Execution while a trigger watches loads: one instruction at a time, each looked at before it runs. A hart and a deadline
//! enter; the reason why it stopped leaves. It knows how loads are encoded and no other instruction.
//!
//! Loads of compiled code go straight to memory, with no mark to stop at as stores have. Watching them is rare enough to pay
//! with speed, and only while it lasts.

use super::triggers::Action;
use super::{Exit, Hart, execute};
use crate::bus::Bus;
use crate::memory::Memory;

/// Runs as [`execute::run`] does, until no load is watched any more.
pub(super) fn run<B: Bus>(hart: &mut Hart, memory: &mut Memory, bus: &mut B, until: u64) -> Exit {
    while hart.watches_loads() && hart.now < until {
        // Interrupts first, so that the instruction looked at is the one that runs.
        let exit = execute::run(hart, memory, bus, hart.now);
        if exit != Exit::Deadline {
            return exit;
        }
        let hit = load_at(hart, memory).and_then(|(address, size)| hart.csrs.load_hit(address, size));
        match hit {
            Some(Action::Debug) => return Exit::Trigger,
            Some(Action::Trap) => {
                if let Some(exit) = execute::take_breakpoint(hart) {
                    return exit;
                }
                continue;
            }
            None => {}
        }
        let exit = execute::run(hart, memory, bus, hart.now + 1);
        if exit != Exit::Deadline {
            return exit;
        }
    }
    if hart.now < until { Exit::Yield } else { Exit::Deadline }
}

/// What the instruction at the hart's pc loads: address and size in bytes, if it is a load.
fn load_at(hart: &Hart, memory: &Memory) -> Option<(u32, u32)> {
    const STACK_POINTER: u8 = 2;
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
