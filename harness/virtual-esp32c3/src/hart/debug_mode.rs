//! Debug mode in the hart: dcsr, dpc and the scratch registers. Reasons to halt and register values enter; whether the
//! hart is to stop leaves. It knows no debug module and no transport.
//!
//! Source: RISC-V External Debug Support 0.13.2, chapter 4; ESP32-C3 Technical Reference Manual, chapter 1, "Debug".
//! Where they differ, this follows a real chip: dcsr is 0x000000c3 after a halt request, with no version, no stopcount
//! and no stoptime.

use super::privilege::Privilege;

const DCSR: u16 = 0x7B0;
const DPC: u16 = 0x7B1;
const DSCRATCH0: u16 = 0x7B2;
const DSCRATCH1: u16 = 0x7B3;

const EBREAKM: u32 = 1 << 15;
const EBREAKU: u32 = 1 << 12;
const STEPIE: u32 = 1 << 11;
const CAUSE: u32 = 7 << 6;
const STEP: u32 = 1 << 2;
const PRV: u32 = 3;
const WRITABLE: u32 = EBREAKM | EBREAKU | STEPIE | STEP | PRV;

/// Why a hart entered debug mode, numbered as dcsr.cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HaltCause {
    /// An `ebreak`, for which dcsr asks for debug mode. It has not been executed.
    Ebreak = 1,
    /// A trigger with the action "debug mode". The instruction that it matched has not been executed.
    Trigger = 2,
    /// The debugger asked for it.
    Request = 3,
    /// One instruction after a resume with dcsr.step.
    Step = 4,
    /// The debugger asked for it before the reset.
    Reset = 5,
}

/// The debug registers of the hart.
#[derive(Debug, Clone)]
pub(super) struct DebugMode {
    /// The hart is in debug mode, in which it executes only what the debugger hands it.
    pub(super) active: bool,
    /// There was an exception in debug mode since this was last cleared. It changes nothing else.
    pub(super) fault: bool,
    dcsr: u32,
    dpc: u32,
    scratch: [u32; 2],
}

impl DebugMode {
    pub(super) fn new() -> Self {
        Self {
            active: false,
            fault: false,
            dcsr: PRV,
            dpc: 0,
            scratch: [0; 2],
        }
    }

    pub(super) fn read(&self, number: u16) -> Option<u32> {
        Some(match number {
            DCSR => self.dcsr,
            DPC => self.dpc,
            DSCRATCH0 => self.scratch[0],
            DSCRATCH1 => self.scratch[1],
            _ => return None,
        })
    }

    /// Writes a register. Returns false if there is none of that number.
    pub(super) fn write(&mut self, number: u16, value: u32) -> bool {
        match number {
            DCSR => {
                // Supervisor mode does not exist. prv keeps its value then.
                let privilege = if matches!(value & PRV, 0 | 3) { value } else { self.dcsr } & PRV;
                self.dcsr = self.dcsr & !WRITABLE | value & WRITABLE & !PRV | privilege;
            }
            DPC => self.dpc = value & !1,
            DSCRATCH0 => self.scratch[0] = value,
            DSCRATCH1 => self.scratch[1] = value,
            _ => return false,
        }
        true
    }

    /// Enters debug mode. `pc` is the address of the next instruction.
    pub(super) fn enter(&mut self, cause: HaltCause, pc: u32, privilege: Privilege) {
        self.active = true;
        self.dpc = pc;
        self.dcsr = self.dcsr & !(CAUSE | PRV) | (cause as u32) << 6 | privilege as u32;
    }

    /// Leaves debug mode. Returns the address and the privilege with which the hart goes on.
    pub(super) fn leave(&mut self) -> (u32, Privilege) {
        self.active = false;
        let privilege = if self.dcsr & PRV == PRV {
            Privilege::Machine
        } else {
            Privilege::User
        };
        (self.dpc, privilege)
    }

    /// Whether an `ebreak` at this privilege enters debug mode. In debug mode it ends the debugger's program.
    pub(super) fn takes_ebreak(&self, privilege: Privilege) -> bool {
        let bit = match privilege {
            Privilege::Machine => EBREAKM,
            Privilege::User => EBREAKU,
        };
        self.active || self.dcsr & bit != 0
    }

    /// Whether the hart has to halt after one instruction.
    pub(super) fn steps(&self) -> bool {
        !self.active && self.dcsr & STEP != 0
    }

    /// Whether interrupts have to wait.
    pub(super) fn masks_interrupts(&self) -> bool {
        self.active || self.dcsr & STEP != 0 && self.dcsr & STEPIE == 0
    }
}
