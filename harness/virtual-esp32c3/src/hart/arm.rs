//! Arms what interrupts the run loop: memory protection, a debugger's triggers and the stack guard. Their state in a
//! hart enters; marks on memory, emptied slots of decoded code and the slow way for loads leave. The run loop then
//! stops at marks and at empty slots, as it does anyway, and needs no check of its own.

use std::ops::Range;

use super::Hart;
use super::code::DecodedCode;
use crate::memory::Memory;

impl Hart {
    /// Keeps instructions that write the stack pointer undecoded from now on, so that each of them stops the run loop.
    pub(super) fn guard_stack(&mut self) {
        self.guards_stack = true;
        self.code = DecodedCode::new();
    }

    /// Whether each load has to be checked before it is executed.
    pub(super) fn watches_loads(&self) -> bool {
        !self.csrs.debug.active
            && (self.protection.guards_loads() || self.csrs.triggers.watches_loads(self.csrs.privilege))
    }

    /// Arms memory protection and the triggers as they are now: marks what they watch, and empties the slots of the
    /// instructions that they match. Returns whether each load has to be checked.
    pub(super) fn arm(&mut self, memory: &mut Memory) -> bool {
        self.arm_protection(memory);
        if self.csrs.debug.active {
            memory.watch(Vec::new());
            return false;
        }
        let privilege = self.csrs.privilege;
        memory.watch(self.csrs.triggers.watched_stores(privilege));
        for range in self.csrs.triggers.watched_code(privilege) {
            self.code.forget(&range);
        }
        self.watches_loads()
    }

    fn arm_protection(&mut self, memory: &mut Memory) {
        let privilege = Some(self.csrs.privilege).filter(|_| !self.csrs.debug.active);
        let Some(denied) = self.protection.update(privilege, &self.csrs.pmp) else {
            return;
        };
        for range in &denied.execution {
            // An instruction of four bytes that begins before the range reaches into it.
            self.code.forget(&within(range.start.saturating_sub(2)..range.end));
        }
        memory.protect(denied.writes.iter().cloned().map(within).collect());
    }
}

/// Cuts a range of 33-bit addresses to 32 bits.
fn within(range: Range<u64>) -> Range<u32> {
    let cut = |border: u64| u32::try_from(border).unwrap_or(u32::MAX);
    cut(range.start)..cut(range.end)
}
