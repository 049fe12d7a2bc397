//! Debug triggers that the program itself may set: the watchpoints that firmware puts at the end of its stacks. Register
//! values enter, address ranges to watch leave. It knows no memory.
//!
//! Source: ESP32-C3 Technical Reference Manual, chapter 1, "Trigger Module"; RISC-V External Debug Support 0.13.2, 5.2.
//! Eight triggers of type "match" exist. Those that match stores are enforced; those that match loads or instruction
//! fetches are only kept.

use std::ops::Range;

use super::csr::Privilege;

pub(super) const TSELECT: u16 = 0x7A0;
pub(super) const TDATA1: u16 = 0x7A1;
pub(super) const TDATA2: u16 = 0x7A2;
pub(super) const TCONTROL: u16 = 0x7A5;

const COUNT: usize = 8;
const TYPE_MATCH: u32 = 2 << 28;
const HIT: u32 = 1 << 20;
const MATCH_RANGE: u32 = 1 << 7;
const MACHINE: u32 = 1 << 6;
const USER: u32 = 1 << 3;
const EXECUTE: u32 = 1 << 2;
const STORE: u32 = 1 << 1;
const LOAD: u32 = 1;
const WRITABLE: u32 = HIT | MATCH_RANGE | MACHINE | USER | EXECUTE | STORE | LOAD;
const MTE: u32 = 1 << 3;
const MPTE: u32 = 1 << 7;

/// The trigger registers.
#[derive(Debug, Clone)]
pub(super) struct Triggers {
    select: usize,
    tdata1: [u32; COUNT],
    tdata2: [u32; COUNT],
    tcontrol: u32,
}

impl Triggers {
    pub(super) fn new() -> Self {
        Self {
            select: 0,
            tdata1: [0; COUNT],
            tdata2: [0; COUNT],
            tcontrol: 0,
        }
    }

    pub(super) fn read(&self, number: u16) -> Option<u32> {
        Some(match number {
            TSELECT => self.select as u32,
            TDATA1 => self.tdata1[self.select] | TYPE_MATCH,
            TDATA2 => self.tdata2[self.select],
            TCONTROL => self.tcontrol,
            _ => return None,
        })
    }

    /// False if there is no such register.
    pub(super) fn write(&mut self, number: u16, value: u32) -> bool {
        match number {
            TSELECT => self.select = value as usize % COUNT,
            // A larger match value is cut to the largest that exists.
            TDATA1 if value >> 7 & 0xF > 1 => self.tdata1[self.select] = value & WRITABLE | MATCH_RANGE,
            TDATA1 => self.tdata1[self.select] = value & WRITABLE,
            TDATA2 => self.tdata2[self.select] = value,
            TCONTROL => self.tcontrol = value & (MTE | MPTE),
            _ => return false,
        }
        true
    }

    /// A trap into machine mode switches machine-mode triggers off, so that the handler does not hit them again.
    pub(super) fn enter_trap(&mut self) {
        self.tcontrol = if self.tcontrol & MTE != 0 { MPTE } else { 0 };
    }

    /// `mret` restores them.
    pub(super) fn leave_trap(&mut self) {
        let enabled = if self.tcontrol & MPTE != 0 { MTE } else { 0 };
        self.tcontrol = self.tcontrol & MPTE | enabled;
    }

    /// The addresses whose stores trap now.
    pub(super) fn watched(&self, privilege: Privilege) -> Vec<Range<u32>> {
        let armed = match privilege {
            Privilege::Machine if self.tcontrol & MTE == 0 => return Vec::new(),
            Privilege::Machine => MACHINE,
            Privilege::User => USER,
        };
        let triggers = self.tdata1.iter().zip(&self.tdata2);
        let watching = triggers.filter(|(tdata1, _)| *tdata1 & STORE != 0 && *tdata1 & armed != 0);
        watching.map(|(&tdata1, &tdata2)| range(tdata1, tdata2)).collect()
    }

    /// Notes which triggers a store of `size` bytes to `address` hit.
    pub(super) fn hit(&mut self, address: u32, size: u32) {
        for (tdata1, &tdata2) in self.tdata1.iter_mut().zip(&self.tdata2) {
            let range = range(*tdata1, tdata2);
            if *tdata1 & STORE != 0 && address < range.end && range.start < address.saturating_add(size) {
                *tdata1 |= HIT;
            }
        }
    }
}

/// A naturally aligned power of two: the trailing ones of the address tell its size.
fn range(tdata1: u32, tdata2: u32) -> Range<u32> {
    let size = match tdata1 & MATCH_RANGE {
        0 => 1,
        _ => 2u32.checked_shl(tdata2.trailing_ones()).unwrap_or(0x8000_0000),
    };
    let start = tdata2 & !(size - 1);
    start..start.saturating_add(size)
}
