//! The virtual board's debug module, driven register by register: a debugger that every build has, for firmware that
//! hangs.
//!
//! What enters: the board's debug port. What leaves: a halted hart's registers and callers. (RISC-V External Debug
//! Support 0.13, chapters "Debug Module" and "System Bus Access".)

use virtual_esp32c3::{DebugPort, DmiAccess};

use super::probe::{DebugError, Debugger, HALT, Halted};
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
/// Words of 32 bits, each read when its address is written.
const SBREADONADDR: u32 = 1 << 20 | 2 << 17;
/// The errors of the system bus, which are cleared by writing ones.
const SBERROR: u32 = 7 << 12;

/// A debugger at a virtual board.
pub(crate) struct DebugModule(pub(crate) DebugPort);

impl Debugger for DebugModule {
    fn look(&self) -> Result<Halted, DebugError> {
        self.write(DMCONTROL, DMACTIVE | HALTREQ)?;
        self.wait_for(ALLHALTED, "the hart to halt")?;
        self.write(DMCONTROL, DMACTIVE)?;
        let halted = Halted::read(|number| self.register(number), |address| self.word(address));
        // Whatever was seen, the hart goes on.
        self.write(DMCONTROL, DMACTIVE | RESUMEREQ)?;
        self.wait_for(ALLRESUMEACK, "the hart to go on")?;
        self.write(DMCONTROL, 0)?;
        halted
    }
}

impl DebugModule {
    fn write(&self, address: u8, value: u32) -> Result<(), DebugError> {
        Ok(self.0.write_dmi(address, value)?)
    }

    fn read(&self, address: u8) -> Result<u32, DebugError> {
        Ok(self.0.read_dmi(address)?)
    }

    /// Reads the status until one of these bits is set. Each read takes as long as the board needs to serve it.
    fn wait_for(&self, status: u32, what: &'static str) -> Result<(), DebugError> {
        let deadline = Deadline::after(what, HALT);
        while self.read(DMSTATUS)? & status == 0 {
            if deadline.has_expired() {
                return Err(deadline.timeout().into());
            }
        }
        Ok(())
    }

    fn register(&self, number: u16) -> Result<u32, DebugError> {
        let command = TRANSFER | u32::from(number);
        let accesses = [
            DmiAccess::Write(COMMAND, command),
            DmiAccess::Read(ABSTRACTCS),
            DmiAccess::Read(DATA0),
        ];
        match self.0.access(&accesses)?[..] {
            [_, status, value] if status & CMDERR == 0 => Ok(value),
            _ => Err(DebugError::Register(number)),
        }
    }

    fn word(&self, address: u32) -> Result<u32, DebugError> {
        let accesses = [
            DmiAccess::Write(SBCS, SBREADONADDR | SBERROR),
            DmiAccess::Write(SBADDRESS0, address),
            DmiAccess::Read(SBCS),
            DmiAccess::Read(SBDATA0),
        ];
        match self.0.access(&accesses)?[..] {
            [_, _, status, value] if status & SBERROR == 0 => Ok(value),
            _ => Err(DebugError::Memory(address)),
        }
    }
}
