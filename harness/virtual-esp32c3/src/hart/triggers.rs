//! Debug triggers: a debugger's breakpoints and watchpoints, and the watchpoints that firmware puts at the ends of its
//! stacks. Register values enter; the ranges of addresses to watch and the actions of hits leave. It knows no memory.
//!
//! Source: ESP32-C3 Technical Reference Manual, chapter 1, "Trigger Module"; RISC-V External Debug Support 0.13.2, 5.2.
//! There are eight triggers, all of type "match". They fire before the instruction that they match.

use std::ops::Range;

use super::privilege::Privilege;

pub(super) const TSELECT: u16 = 0x7A0;
pub(super) const TDATA1: u16 = 0x7A1;
pub(super) const TDATA2: u16 = 0x7A2;
pub(super) const TCONTROL: u16 = 0x7A5;

const COUNT: usize = 8;
const TYPE_MATCH: u32 = 2 << 28;
const DMODE: u32 = 1 << 27;
const HIT: u32 = 1 << 20;
const ACTION: u32 = 0xF << 12;
const ACTION_DEBUG: u32 = 1 << 12;
const MATCH_RANGE: u32 = 1 << 7;
const MACHINE: u32 = 1 << 6;
const USER: u32 = 1 << 3;
const EXECUTE: u32 = 1 << 2;
const STORE: u32 = 1 << 1;
const LOAD: u32 = 1;
const WRITABLE: u32 = HIT | MATCH_RANGE | MACHINE | USER | EXECUTE | STORE | LOAD;
const MTE: u32 = 1 << 3;
const MPTE: u32 = 1 << 7;

/// What a hit does. If several triggers are hit, the greatest action is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// A breakpoint exception.
    Trap,
    /// Debug mode.
    Debug,
}

/// The trigger registers.
#[derive(Debug, Clone)]
pub(super) struct Triggers {
    select: usize,
    tdata1: [u32; COUNT],
    tdata2: [u32; COUNT],
    tcontrol: u32,
    /// The kinds of access that at least one trigger matches, as bits of tdata1. Most programs use none.
    kinds: u32,
}

impl Triggers {
    pub(super) fn new() -> Self {
        Self {
            select: 0,
            tdata1: [0; COUNT],
            tdata2: [0; COUNT],
            tcontrol: 0,
            kinds: 0,
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

    /// Writes a register. Returns false if there is none of that number. Triggers that the debugger has reserved
    /// (dmode) are written only if `debugger`, which is to say in debug mode.
    pub(super) fn write(&mut self, number: u16, value: u32, debugger: bool) -> bool {
        let locked = !debugger && self.tdata1[self.select] & DMODE != 0;
        match number {
            TSELECT => self.select = value as usize % COUNT,
            TDATA1 | TDATA2 if locked => {}
            TDATA1 => {
                let mut kept = value & WRITABLE;
                // A match mode that does not exist becomes the one with the largest number.
                if value >> 7 & 0xF > 1 {
                    kept |= MATCH_RANGE;
                }
                if debugger && value & DMODE != 0 {
                    kept |= DMODE;
                    // Every other action is a trap. Only a debugger can ask for debug mode.
                    if value & ACTION == ACTION_DEBUG {
                        kept |= ACTION_DEBUG;
                    }
                }
                self.tdata1[self.select] = kept;
                let kinds = self.tdata1.iter().fold(0, |kinds, tdata1| kinds | tdata1);
                self.kinds = kinds & (EXECUTE | STORE | LOAD);
            }
            TDATA2 => self.tdata2[self.select] = value,
            TCONTROL => self.tcontrol = value & (MTE | MPTE),
            _ => return false,
        }
        true
    }

    /// Disables machine-mode triggers on entry into a trap, so that the handler does not hit them again.
    pub(super) fn enter_trap(&mut self) {
        self.tcontrol = if self.tcontrol & MTE != 0 { MPTE } else { 0 };
    }

    /// Enables them again on `mret`, if they were enabled before the trap.
    pub(super) fn leave_trap(&mut self) {
        let enabled = if self.tcontrol & MPTE != 0 { MTE } else { 0 };
        self.tcontrol = self.tcontrol & MPTE | enabled;
    }

    /// The addresses at which a store hits a trigger now.
    pub(super) fn watched_stores(&self, privilege: Privilege) -> Vec<Range<u32>> {
        self.armed(STORE, privilege).collect()
    }

    /// The addresses at which an instruction hits a trigger now.
    pub(super) fn watched_code(&self, privilege: Privilege) -> impl Iterator<Item = Range<u32>> {
        self.armed(EXECUTE, privilege)
    }

    /// Whether any load can hit a trigger now.
    pub(super) fn watches_loads(&self, privilege: Privilege) -> bool {
        self.armed(LOAD, privilege).next().is_some()
    }

    /// The action of the triggers that a store of `size` bytes to `address` hits.
    pub(super) fn store_hit(&mut self, address: u32, size: u32, privilege: Privilege) -> Option<Action> {
        self.hit(STORE, address, size, privilege)
    }

    /// The action of the triggers that a load of `size` bytes from `address` hits.
    pub(super) fn load_hit(&mut self, address: u32, size: u32, privilege: Privilege) -> Option<Action> {
        self.hit(LOAD, address, size, privilege)
    }

    /// The action of the triggers that the instruction at `pc` hits. Only its first byte counts.
    pub(super) fn code_hit(&mut self, pc: u32, privilege: Privilege) -> Option<Action> {
        self.hit(EXECUTE, pc, 1, privilege)
    }

    /// The ranges of the triggers that match this kind of access at this privilege.
    fn armed(&self, access: u32, privilege: Privilege) -> impl Iterator<Item = Range<u32>> {
        let count = if self.kinds & access == 0 { 0 } else { COUNT };
        let triggers = self.tdata1.iter().zip(&self.tdata2).take(count);
        let armed = triggers.filter(move |(tdata1, _)| **tdata1 & access != 0 && self.is_armed(**tdata1, privilege));
        armed.map(|(&tdata1, &tdata2)| range(tdata1, tdata2))
    }

    /// Whether a trigger fires at this privilege. In machine mode tcontrol holds back triggers that trap, since their
    /// handler could hit them again and again. Those that enter debug mode fire in any case.
    fn is_armed(&self, tdata1: u32, privilege: Privilege) -> bool {
        let (mode, held) = match privilege {
            Privilege::Machine => (MACHINE, self.tcontrol & MTE == 0 && tdata1 & ACTION_DEBUG == 0),
            Privilege::User => (USER, false),
        };
        tdata1 & mode != 0 && !held
    }

    /// Notes which triggers an access hits, and returns their action.
    fn hit(&mut self, access: u32, address: u32, size: u32, privilege: Privilege) -> Option<Action> {
        if self.kinds & access == 0 {
            return None;
        }
        let mut action = None;
        for index in 0..COUNT {
            let (tdata1, range) = (self.tdata1[index], range(self.tdata1[index], self.tdata2[index]));
            let meets = address < range.end && range.start < address.saturating_add(size);
            if tdata1 & access != 0 && meets && self.is_armed(tdata1, privilege) {
                self.tdata1[index] |= HIT;
                let own = if tdata1 & ACTION_DEBUG != 0 {
                    Action::Debug
                } else {
                    Action::Trap
                };
                action = action.max(Some(own));
            }
        }
        action
    }
}

/// The addresses that a trigger matches: one, or a naturally aligned power of two of them, whose size is given by the
/// number of trailing ones.
fn range(tdata1: u32, tdata2: u32) -> Range<u32> {
    let size = match tdata1 & MATCH_RANGE {
        0 => 1,
        _ => 2u32.checked_shl(tdata2.trailing_ones()).unwrap_or(0x8000_0000),
    };
    let start = tdata2 & !(size - 1);
    start..start.saturating_add(size)
}
