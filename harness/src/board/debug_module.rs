//! The virtual board's debug module, driven register by register: a debugger that every build has, for firmware that hangs.
//!
//! What enters: the board's debug port. What leaves: where its hart stands. (RISC-V External Debug Support 0.13, chapters "Debug Module"
//! and "System Bus Access".)

use std::time::Duration;

use virtual_esp32c3::{DebugPort, DebugPortError, DmiAccess};

use super::probe::{Debugger, HALT, Halted};
use crate::deadline::Deadline;

const DATA0: u8 = 0x04;
const DMCONTROL: u8 = 0x10;
const DMSTATUS: u8 = 0x11;
const ABSTRACTCS: u8 = 0x16;
const COMMAND: u8 = 0x17;
const SBCS: u8 = 0x38;
const SBADDRESS0: u8 = 0x39;
const SBDATA0: u8 = 0x3C;

const DMACTIVE: u32 = 1;
const HALTREQ: u32 = 1 << 31;
const RESUMEREQ: u32 = 1 << 30;
const ALLHALTED: u32 = 1 << 9;
const ALLRESUMEACK: u32 = 1 << 17;
/// An abstract command: transfer a register of 32 bits, whose number is in the low half.
const TRANSFER: u32 = 2 << 20 | 1 << 17;
const CMDERR: u32 = 7 << 8;
/// Words of 32 bits, each read when its address is written; the errors, which are cleared by ones.
const SBREADONADDR: u32 = 1 << 20 | 2 << 17;
const SBERROR: u32 = 7 << 12;

/// A debugger at a virtual board.
pub(crate) struct DebugModule(pub(crate) DebugPort);

impl Debugger for DebugModule {
    fn look(&self) -> Result<Halted, String> {
        self.write(DMCONTROL, DMACTIVE | HALTREQ)?;
        self.wait_for(ALLHALTED, "the hart to halt")?;
        self.write(DMCONTROL, DMACTIVE)?;
        let halted = Halted::new(|number| self.register(number), |address| self.word(address));
        // Whatever was seen, it goes on.
        self.write(DMCONTROL, DMACTIVE | RESUMEREQ)?;
        self.wait_for(ALLRESUMEACK, "the hart to go on")?;
        self.write(DMCONTROL, 0)?;
        halted
    }
}

impl DebugModule {
    fn write(&self, address: u8, value: u32) -> Result<(), String> {
        self.0.write_dmi(address, value).map_err(said)
    }

    fn read(&self, address: u8) -> Result<u32, String> {
        self.0.read_dmi(address).map_err(said)
    }

    fn wait_for(&self, status: u32, what: &'static str) -> Result<(), String> {
        let deadline = Deadline::after(what, HALT);
        while self.read(DMSTATUS)? & status == 0 {
            if deadline.left() == Duration::ZERO {
                return Err(deadline.timeout().to_string());
            }
        }
        Ok(())
    }

    fn register(&self, number: u16) -> Result<u32, String> {
        let command = TRANSFER | u32::from(number);
        let accesses = [
            DmiAccess::Write(COMMAND, command),
            DmiAccess::Read(ABSTRACTCS),
            DmiAccess::Read(DATA0),
        ];
        let values = self.0.access(&accesses).map_err(said)?;
        match values[..] {
            [_, status, value] if status & CMDERR == 0 => Ok(value),
            _ => Err(format!("the debug module does not give register {number:#x}")),
        }
    }

    fn word(&self, address: u32) -> Result<u32, String> {
        let accesses = [
            DmiAccess::Write(SBCS, SBREADONADDR | SBERROR),
            DmiAccess::Write(SBADDRESS0, address),
            DmiAccess::Read(SBCS),
            DmiAccess::Read(SBDATA0),
        ];
        let values = self.0.access(&accesses).map_err(said)?;
        match values[..] {
            [_, _, status, value] if status & SBERROR == 0 => Ok(value),
            _ => Err(format!("the system bus does not give {address:#010x}")),
        }
    }
}

fn said(error: DebugPortError) -> String {
    error.to_string()
}
