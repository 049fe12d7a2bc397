//! Which accesses memory protection denies to the code that runs now. The protection's registers ([`Pmp`]) and a
//! privilege enter; ranges of addresses leave, which `arm` turns into marks on memory, emptied slots of decoded code
//! and the slow way for loads. The run loop itself therefore pays nothing for memory protection.

use std::ops::Range;

use super::decode;
use super::pmp::{Access, Denied, Pmp};
use super::privilege::Privilege;
use crate::memory::{self, Memory};

/// What is denied to the code that runs now.
#[derive(Debug, Clone, Default)]
pub(super) struct Protection {
    /// What `denied` was derived from: the privilege, which is `None` for a debugger's program, and the version of the
    /// registers.
    key: Option<(Option<Privilege>, u32)>,
    denied: Denied,
    /// Some memory may not be read. The run loop reads memory without a check, so it must not execute loads then.
    guards_loads: bool,
}

impl Protection {
    /// Forgets what the ranges were derived from, since a reset has changed the registers.
    pub(super) fn reset(&mut self) {
        self.key = None;
    }

    /// Whether each load has to be checked before it is executed.
    pub(super) fn guards_loads(&self) -> bool {
        self.guards_loads
    }

    /// Whether an access of the present privilege is denied.
    #[inline]
    pub(super) fn denies(&self, access: Access, address: u32, size: u32) -> bool {
        self.denied.denies(access, address, size)
    }

    /// The address at which protection keeps the instruction at `pc` from being fetched, if it does.
    pub(super) fn denied_fetch(&self, pc: u32, memory: &Memory) -> Option<u32> {
        let denies = |address: u32| self.denies(Access::Execute, address, 2);
        if denies(pc) {
            return Some(pc);
        }
        let next = pc.wrapping_add(2);
        (memory.fetch(pc).is_some_and(decode::is_long) && denies(next)).then_some(next)
    }

    /// Takes over what the registers deny to `privilege`; `None` stands for a debugger's program, to which nothing is
    /// denied, since it lies where the program may have denied execution. Returns the ranges if they have changed.
    pub(super) fn update(&mut self, privilege: Option<Privilege>, pmp: &Pmp) -> Option<&Denied> {
        let key = Some((privilege, pmp.version()));
        if self.key == key {
            return None;
        }
        self.key = key;
        let denied = privilege.map_or_else(Denied::default, |privilege| pmp.denied(privilege));
        if denied == self.denied {
            return None;
        }
        self.guards_loads = denied.reads.iter().any(|range| {
            memory::READABLE
                .iter()
                .any(|&(start, size)| overlap(range, start, size))
        });
        self.denied = denied;
        Some(&self.denied)
    }
}

fn overlap(range: &Range<u64>, start: u32, size: u32) -> bool {
    let (start, size) = (u64::from(start), u64::from(size));
    range.start < start + size && start < range.end
}
