//! Control and status registers, privilege and traps. Register numbers and values enter and leave. The GPIO registers
//! among the CSRs belong to the bus and are not here.
//!
//! Source: ESP32-C3 Technical Reference Manual, chapter 1 "ESP-RISC-V CPU", and The RISC-V Instruction Set Manual,
//! volume II. The chip has no mie, no mip and no mcycle. Its interrupt matrix decides which interrupts are enabled.

use super::cause::Cause;
use super::debug_mode::DebugMode;
use super::pmp::{PMPADDR0, PMPADDR15, PMPCFG0, PMPCFG3, Pmp};
use super::privilege::Privilege;
use super::triggers::{Action, Triggers};

const MSTATUS: u16 = 0x300;
const MTVEC: u16 = 0x305;
const MISA: u16 = 0x301;
const MSCRATCH: u16 = 0x340;
const MTVAL: u16 = 0x343;
const MEPC: u16 = 0x341;
const MCAUSE: u16 = 0x342;
/// The user-mode view of mstatus; the mask ROM writes it, though the chip has no user-mode interrupts.
const USTATUS: u16 = 0x000;
const USTATUS_MASK: u32 = 0x11;
/// The registers of the performance counter, and their numbers for user mode and the mask ROM.
const MPCER: u16 = 0x7E0;
const MPCMR: u16 = 0x7E1;
const MPCCR: u16 = 0x7E2;
const UPCER: u16 = 0x800;
const UPCMR: u16 = 0x801;
const UPCCR: u16 = 0x802;

const MIE: u32 = 1 << 3;
const MPIE: u32 = 1 << 7;
const MPP: u32 = 3 << 11;
const TW: u32 = 1 << 21;
const MSTATUS_WRITABLE: u32 = 1 | MIE | 1 << 4 | MPIE | MPP | TW;

/// The events of mpcer that are counted: cycles and instructions. Both have the same count here.
const COUNTED_EVENTS: u32 = 0b11;
const COUNT_ENABLE: u32 = 1;
const COUNT_SATURATE: u32 = 2;

/// The registers' state.
#[derive(Debug, Clone)]
pub(super) struct Csrs {
    pub(super) privilege: Privilege,
    mstatus: u32,
    mtvec: u32,
    mepc: u32,
    mcause: u32,
    mtval: u32,
    mscratch: u32,
    pub(super) triggers: Triggers,
    pub(super) debug: DebugMode,
    pub(super) pmp: Pmp,
    mpcer: u32,
    mpcmr: u32,
    /// While the counter stands still, its count. While it runs, the value of the clock at which the count was zero.
    count: u64,
}

impl Csrs {
    pub(super) fn new() -> Self {
        Self {
            privilege: Privilege::Machine,
            mstatus: 0,
            mtvec: 1,
            mepc: 0,
            mcause: 0,
            mtval: 0,
            mscratch: 0,
            triggers: Triggers::new(),
            debug: DebugMode::new(),
            pmp: Pmp::new(),
            mpcer: 0,
            mpcmr: COUNT_SATURATE | COUNT_ENABLE,
            count: 0,
        }
    }

    /// Reads a register at the time `now`. `None` if there is none of that number.
    pub(super) fn read(&self, number: u16, now: u64) -> Option<u32> {
        Some(match number {
            0xF11 => 0x612,
            0xF12 => 0x8000_0001,
            0xF13 => 1,
            0xF14 => 0,
            MSTATUS => self.mstatus,
            // MXL = 32 bits; C, I, M, U
            MISA => 0x4010_1104,
            MTVEC => self.mtvec,
            MSCRATCH => self.mscratch,
            MEPC => self.mepc,
            MCAUSE => self.mcause,
            MTVAL => self.mtval,
            PMPCFG0..=PMPCFG3 | PMPADDR0..=PMPADDR15 => return self.pmp.read(number),
            USTATUS => self.mstatus & USTATUS_MASK,
            MPCER | UPCER => self.mpcer,
            MPCMR | UPCMR => self.mpcmr,
            MPCCR | UPCCR => self.count_at(now),
            _ => return self.triggers.read(number).or_else(|| self.debug.read(number)),
        })
    }

    /// Writes a register at the time `now`, dropping bits that it cannot hold. Returns false if there is none of that
    /// number.
    pub(super) fn write(&mut self, number: u16, value: u32, now: u64) -> bool {
        match number {
            MSTATUS => {
                self.mstatus = value & MSTATUS_WRITABLE;
                // Supervisor mode and the reserved mode do not exist. MPP reads back as user mode then.
                if self.mstatus & MPP != MPP {
                    self.mstatus &= !MPP;
                }
            }
            USTATUS => {
                self.mstatus = self.mstatus & !USTATUS_MASK | value & USTATUS_MASK;
            }
            MISA => {}
            // Vectored is the only mode, and the table of vectors is aligned to 256 bytes.
            MTVEC => self.mtvec = value & !0xFF | 1,
            MSCRATCH => self.mscratch = value,
            MEPC => self.mepc = value & !1,
            MCAUSE => self.mcause = value & 0x8000_001F,
            MTVAL => self.mtval = value,
            PMPCFG0..=PMPCFG3 | PMPADDR0..=PMPADDR15 => return self.pmp.write(number, value),
            MPCER | UPCER => self.recount(now, |csrs| csrs.mpcer = value & 0x7FF),
            MPCMR | UPCMR => self.recount(now, |csrs| csrs.mpcmr = value & 3),
            MPCCR | UPCCR => {
                self.count = if self.counts() {
                    now.wrapping_sub(u64::from(value))
                } else {
                    u64::from(value)
                };
            }
            _ => return self.triggers.write(number, value, self.debug.active) || self.debug.write(number, value),
        }
        true
    }

    /// Whether code of the present privilege may read the register, and also write it if `write`.
    pub(super) fn permits(&self, number: u16, write: bool) -> bool {
        let read_only = number >> 10 == 3;
        let needs = number >> 8 & 3;
        // dcsr, dpc and the scratch registers can be accessed in debug mode only.
        let debug_only = (0x7B0..=0x7BF).contains(&number) && !self.debug.active;
        !(debug_only || write && read_only) && self.privilege as u16 >= needs
    }

    /// Whether the hart takes an interrupt now, if the bus presents one.
    pub(super) fn interrupts_enabled(&self) -> bool {
        (self.mstatus & MIE != 0 || self.privilege == Privilege::User) && !self.debug.masks_interrupts()
    }

    /// Whether an `ebreak` stops the hart for its debugger.
    pub(super) fn ebreak_halts(&self) -> bool {
        self.debug.takes_ebreak(self.privilege)
    }

    /// The action of the triggers that a store hits. In debug mode no trigger fires.
    pub(super) fn store_hit(&mut self, address: u32, size: u32) -> Option<Action> {
        let hit = self.triggers.store_hit(address, size, self.privilege);
        hit.filter(|_| !self.debug.active)
    }

    /// The action of the triggers that a load hits.
    pub(super) fn load_hit(&mut self, address: u32, size: u32) -> Option<Action> {
        self.triggers.load_hit(address, size, self.privilege)
    }

    /// The action of the triggers that the instruction at `pc` hits. In debug mode no trigger fires.
    pub(super) fn code_hit(&mut self, pc: u32) -> Option<Action> {
        let hit = self.triggers.code_hit(pc, self.privilege);
        hit.filter(|_| !self.debug.active)
    }

    /// Whether `wfi` is allowed.
    pub(super) fn permits_wfi(&self) -> bool {
        self.privilege == Privilege::Machine || self.mstatus & TW == 0
    }

    /// Enters a trap from `pc`. Returns the address at which the hart goes on.
    pub(super) fn enter_trap(&mut self, cause: Cause, value: u32, pc: u32) -> u32 {
        if self.debug.active {
            // An exception ends the debugger's program, but changes no register.
            self.debug.fault = true;
            return pc;
        }
        self.mepc = pc;
        self.mcause = cause.code();
        self.mtval = value;
        let enabled = self.mstatus & MIE != 0;
        self.mstatus &= !(MIE | MPIE | MPP);
        if enabled {
            self.mstatus |= MPIE;
        }
        if self.privilege == Privilege::Machine {
            self.mstatus |= MPP;
        }
        self.privilege = Privilege::Machine;
        self.triggers.enter_trap();
        match cause {
            Cause::Interrupt(line) => self.trap_base() + 4 * u32::from(line & 31),
            _ => self.trap_base(),
        }
    }

    /// Leaves a trap (`mret`). Returns the address at which the hart goes on.
    pub(super) fn leave_trap(&mut self) -> u32 {
        self.triggers.leave_trap();
        let enabled = self.mstatus & MPIE != 0;
        self.privilege = if self.mstatus & MPP == MPP {
            Privilege::Machine
        } else {
            Privilege::User
        };
        self.mstatus &= !(MIE | MPP);
        self.mstatus |= MPIE;
        if enabled {
            self.mstatus |= MIE;
        }
        self.mepc
    }

    /// The address of the exception handler.
    pub(super) fn trap_base(&self) -> u32 {
        self.mtvec & !0xFF
    }

    fn counts(&self) -> bool {
        self.mpcmr & COUNT_ENABLE != 0 && self.mpcer & COUNTED_EVENTS != 0
    }

    fn count_at(&self, now: u64) -> u32 {
        let count = if self.counts() {
            now.wrapping_sub(self.count)
        } else {
            self.count
        };
        if self.mpcmr & COUNT_SATURATE != 0 {
            u32::try_from(count).unwrap_or(u32::MAX)
        } else {
            count as u32
        }
    }

    /// Changes what is counted, and keeps the count.
    fn recount(&mut self, now: u64, change: impl FnOnce(&mut Self)) {
        let count = u64::from(self.count_at(now));
        change(self);
        self.count = if self.counts() { now.wrapping_sub(count) } else { count };
    }
}
