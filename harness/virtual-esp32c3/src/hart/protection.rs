//! Arms memory protection: what [`Pmp`](super::pmp::Pmp) denies to the present privilege becomes marks on memory, emptied
//! slots of decoded code, and the slow path for loads, so that the run loop pays nothing for it. A hart and its memory enter;
//! whether an access is denied leaves.

use std::ops::Range;

use super::csr::Privilege;
use super::pmp::{Access, Denied};
use super::{Hart, decode};
use crate::memory::{self, Memory};

/// What is armed.
#[derive(Debug, Clone, Default)]
pub(super) struct Protection {
    /// For which privilege, if not for a debugger's program, and which version of the registers.
    key: Option<(Option<Privilege>, u32)>,
    denied: Denied,
    /// Some memory may not be read, which the run loop would read without a look.
    guards_loads: bool,
}

impl Protection {
    /// The registers are as after reset.
    pub(super) fn reset(&mut self) {
        self.key = None;
    }

    pub(super) fn guards_loads(&self) -> bool {
        self.guards_loads
    }

    /// Whether an access of the present privilege is denied.
    #[inline]
    pub(super) fn denies(&self, access: Access, address: u32, size: u32) -> bool {
        self.denied.denies(access, address, size)
    }
}

impl Hart {
    /// Takes over what the protection's registers say for the present privilege.
    pub(super) fn arm_protection(&mut self, memory: &mut Memory) {
        // A debugger's program lies where the program may have denied execution, and sees everything.
        let privilege = Some(self.csrs.privilege).filter(|_| !self.csrs.debug.active);
        let key = Some((privilege, self.csrs.pmp.version()));
        if self.protection.key == key {
            return;
        }
        self.protection.key = key;
        let denied = privilege.map_or_else(Denied::default, |privilege| self.csrs.pmp.denied(privilege));
        if denied == self.protection.denied {
            return;
        }
        for range in &denied.execution {
            // An instruction of four bytes that begins before the range reaches into it.
            self.code.forget(&within(range.start.saturating_sub(2)..range.end));
        }
        memory.protect(denied.writes.iter().cloned().map(within).collect());
        self.protection.guards_loads = denied.reads.iter().any(|range| {
            memory::READABLE
                .iter()
                .any(|&(start, size)| overlap(range, start, size))
        });
        self.protection.denied = denied;
    }

    /// The address at which protection keeps the instruction at pc from being fetched, if it does.
    pub(super) fn denied_fetch(&self, memory: &Memory) -> Option<u32> {
        let denies = |address: u32| self.protection.denies(Access::Execute, address, 2);
        if denies(self.pc) {
            return Some(self.pc);
        }
        let next = self.pc.wrapping_add(2);
        (memory.fetch(self.pc).is_some_and(decode::is_long) && denies(next)).then_some(next)
    }
}

fn within(range: Range<u64>) -> Range<u32> {
    let cut = |border: u64| u32::try_from(border).unwrap_or(u32::MAX);
    cut(range.start)..cut(range.end)
}

fn overlap(range: &Range<u64>, start: u32, size: u32) -> bool {
    let (start, size) = (u64::from(start), u64::from(size));
    range.start < start + size && start < range.end
}
