//! The debug module: abstract commands on the registers of one hart, a program buffer, and system bus access. Accesses
//! to its registers enter; values leave, and the resets that a debugger asks for. It knows no transport.
//!
//! Source: RISC-V External Debug Support 0.13.2, chapter 3. The sizes are the ESP32-C3's: one hart, 2 data words, and a
//! program buffer of 16 words without an implicit ebreak.

use super::dmi::DmiAccess;
use super::system_bus::SystemBus;
use super::target::Target;
use crate::bus::Bus;
use crate::hart::{HaltCause, Hart, ProgramError};

const DATA0: u8 = 0x04;
const DATA1: u8 = 0x05;
const DMCONTROL: u8 = 0x10;
const DMSTATUS: u8 = 0x11;
const HARTINFO: u8 = 0x12;
const ABSTRACTCS: u8 = 0x16;
const COMMAND: u8 = 0x17;
const ABSTRACTAUTO: u8 = 0x18;
const PROGBUF0: u8 = 0x20;
const PROGBUF15: u8 = 0x2F;
const SBCS: u8 = 0x38;
const SBADDRESS0: u8 = 0x39;
const SBDATA0: u8 = 0x3C;
const HALTSUM0: u8 = 0x40;

const HALTREQ: u32 = 1 << 31;
const RESUMEREQ: u32 = 1 << 30;
const HARTRESET: u32 = 1 << 29;
const ACKHAVERESET: u32 = 1 << 28;
const SETRESETHALTREQ: u32 = 1 << 3;
const CLRRESETHALTREQ: u32 = 1 << 2;
const NDMRESET: u32 = 1 << 1;
const DMACTIVE: u32 = 1;

/// Two dscratch registers; no data register is mapped into memory.
const HARTINFO_VALUE: u32 = 2 << 20;
const DATA_WORDS: usize = 2;
const PROGRAM_WORDS: usize = 16;
/// The bits of abstractauto that exist: one for each word of data and of the program buffer.
const ABSTRACTAUTO_WRITABLE: u32 = 0xFFFF << 16 | 0b11;
/// Instructions after which a program is ended. No program of 16 words needs as many, unless it is an endless loop.
const PROGRAM_LIMIT: u64 = 1 << 20;

/// A reset that the debugger asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DebugReset {
    /// Everything but the debug module (dmcontrol.ndmreset).
    System,
    /// The hart (dmcontrol.hartreset).
    Hart,
}

/// Why an abstract command failed, numbered as abstractcs.cmderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CommandError {
    NotSupported = 2,
    Exception = 3,
    HaltResume = 4,
    Other = 7,
}

/// The module's state.
#[derive(Debug, Clone, Default)]
pub(crate) struct DebugModule {
    active: bool,
    halt_requested: bool,
    halt_after_reset: bool,
    hart_reset: bool,
    system_reset: bool,
    resume_acknowledged: bool,
    have_reset: bool,
    data: [u32; DATA_WORDS],
    program: [u32; PROGRAM_WORDS],
    command: u32,
    error: Option<CommandError>,
    auto: u32,
    system_bus: SystemBus,
}

impl DebugModule {
    /// Serves one access. Returns the value read, or zero for a write, and a reset if the access begins one.
    pub(crate) fn access(&mut self, access: DmiAccess, target: &mut Target<'_>) -> (u32, Option<DebugReset>) {
        match access {
            DmiAccess::Read(address) => (self.read(address, target), None),
            DmiAccess::Write(address, value) => (0, self.write(address, value, target)),
        }
    }

    /// Halts the hart after a reset if it was halted before, or if the debugger has asked for that.
    ///
    /// The chip's reset does not reset the module. probe-rs relies on this: it halts the hart, withdraws the request,
    /// resets the chip by RTC_CNTL, and expects a halted hart.
    pub(crate) fn after_reset(&mut self, was_halted: bool, hart: &mut Hart) {
        self.have_reset = true;
        if self.halt_after_reset {
            hart.halt(HaltCause::Reset);
        } else if self.halt_requested || was_halted {
            hart.halt(HaltCause::Request);
        }
    }

    /// Whether the debugger holds the whole chip in reset.
    pub(crate) fn holds_system(&self) -> bool {
        self.system_reset
    }

    /// Whether the debugger holds the hart in reset.
    pub(crate) fn holds_hart(&self) -> bool {
        self.hart_reset
    }

    fn read(&mut self, address: u8, target: &mut Target<'_>) -> u32 {
        match address {
            DATA0 | DATA1 => {
                let word = usize::from(address - DATA0);
                let value = self.data[word];
                self.execute_automatically(1 << word, target);
                value
            }
            PROGBUF0..=PROGBUF15 => {
                let word = usize::from(address - PROGBUF0);
                let value = self.program[word];
                self.execute_automatically(1 << (16 + word), target);
                value
            }
            DMCONTROL => {
                flag(self.hart_reset, HARTRESET) | flag(self.system_reset, NDMRESET) | flag(self.active, DMACTIVE)
            }
            DMSTATUS => self.status(target.hart),
            HARTINFO => HARTINFO_VALUE,
            ABSTRACTCS => {
                let error = self.error.map_or(0, |error| error as u32);
                (PROGRAM_WORDS as u32) << 24 | error << 8 | DATA_WORDS as u32
            }
            ABSTRACTAUTO => self.auto,
            SBCS => self.system_bus.control(),
            SBADDRESS0 => self.system_bus.address(),
            SBDATA0 => self.system_bus.read_data(target),
            HALTSUM0 => u32::from(target.hart.is_halted()),
            // The other registers do not exist. nextdm is among them, since this is the only module.
            _ => 0,
        }
    }

    fn write(&mut self, address: u8, value: u32, target: &mut Target<'_>) -> Option<DebugReset> {
        if address == DMCONTROL {
            return self.control(value, target.hart);
        }
        if !self.active {
            // An inactive module ignores writes to all other registers.
            return None;
        }
        match address {
            DATA0 | DATA1 => {
                let word = usize::from(address - DATA0);
                self.data[word] = value;
                self.execute_automatically(1 << word, target);
            }
            PROGBUF0..=PROGBUF15 => {
                let word = usize::from(address - PROGBUF0);
                self.program[word] = value;
                self.execute_automatically(1 << (16 + word), target);
            }
            // Writing ones clears cmderr. Any of its bits clears the whole field.
            ABSTRACTCS if value >> 8 & 7 != 0 => self.error = None,
            COMMAND if self.error.is_none() => {
                self.command = value;
                self.execute(target);
            }
            ABSTRACTAUTO => self.auto = value & ABSTRACTAUTO_WRITABLE,
            SBCS => self.system_bus.set_control(value),
            SBADDRESS0 => self.system_bus.set_address(value, target),
            SBDATA0 => self.system_bus.write_data(value, target),
            _ => {}
        }
        None
    }

    fn control(&mut self, value: u32, hart: &mut Hart) -> Option<DebugReset> {
        let is_set = |bit: u32| value & bit != 0;
        if !is_set(DMACTIVE) {
            // This resets the module; the hart stays as it is.
            *self = Self {
                have_reset: self.have_reset,
                ..Self::default()
            };
            return None;
        }
        self.active = true;
        if is_set(SETRESETHALTREQ) {
            self.halt_after_reset = true;
        }
        if is_set(CLRRESETHALTREQ) {
            self.halt_after_reset = false;
        }
        self.halt_requested = is_set(HALTREQ);
        // If the same write begins a reset, this still acknowledges the one before.
        if is_set(ACKHAVERESET) {
            self.have_reset = false;
        }
        let begins = (
            is_set(NDMRESET) && !self.system_reset,
            is_set(HARTRESET) && !self.hart_reset,
        );
        self.system_reset = is_set(NDMRESET);
        self.hart_reset = is_set(HARTRESET);
        match begins {
            (true, _) => return Some(DebugReset::System),
            (_, true) => return Some(DebugReset::Hart),
            _ => {}
        }
        if self.halt_requested {
            hart.halt(HaltCause::Request);
        } else if is_set(RESUMEREQ) && hart.is_halted() {
            hart.resume();
            self.resume_acknowledged = true;
        }
        None
    }

    fn status(&self, hart: &Hart) -> u32 {
        const BOTH: u32 = 0b11;
        const AUTHENTICATED: u32 = 1 << 7;
        const HASRESETHALTREQ: u32 = 1 << 5;
        const VERSION_0_13: u32 = 2;
        let in_reset = self.system_reset || self.hart_reset;
        flag(self.have_reset, BOTH << 18)
            | flag(self.resume_acknowledged, BOTH << 16)
            | flag(in_reset, BOTH << 12)
            | flag(!in_reset && !hart.is_halted(), BOTH << 10)
            | flag(!in_reset && hart.is_halted(), BOTH << 8)
            | AUTHENTICATED
            | HASRESETHALTREQ
            | VERSION_0_13
    }

    fn execute_automatically(&mut self, word: u32, target: &mut Target<'_>) {
        if self.auto & word != 0 && self.error.is_none() {
            self.execute(target);
        }
    }

    /// Executes the command in the command register. It is done at once, so a debugger never sees the module busy.
    fn execute(&mut self, target: &mut Target<'_>) {
        self.error = self.access_register(target).err();
    }

    /// The command "access register", which is the only one.
    fn access_register(&mut self, target: &mut Target<'_>) -> Result<(), CommandError> {
        const POSTEXEC: u32 = 1 << 18;
        const TRANSFER: u32 = 1 << 17;
        const WRITE: u32 = 1 << 16;
        const POSTINCREMENT: u32 = 1 << 19;
        const SIZE_32: u32 = 2;
        const REGISTER: u32 = 0xFFFF;
        let command = self.command;
        if command >> 24 != 0 || command & TRANSFER != 0 && command >> 20 & 7 != SIZE_32 {
            return Err(CommandError::NotSupported);
        }
        if !target.hart.is_halted() {
            return Err(CommandError::HaltResume);
        }
        if command & TRANSFER != 0 {
            let register = command & REGISTER;
            if command & WRITE != 0 {
                write_register(register, self.data[0], target)?;
            } else {
                self.data[0] = read_register(register, target)?;
            }
            if command & POSTINCREMENT != 0 {
                self.command = command & !REGISTER | register.wrapping_add(1) & REGISTER;
            }
        }
        if command & POSTEXEC == 0 {
            return Ok(());
        }
        let program = target
            .hart
            .run_program(&self.program, target.memory, target.bus, PROGRAM_LIMIT);
        program.map_err(|error| match error {
            ProgramError::Exception => CommandError::Exception,
            ProgramError::Endless => CommandError::Other,
        })
    }
}

/// A register of the hart.
enum Register {
    General(u8),
    Csr(u16),
}

/// The register with this number in an abstract command. CSRs come first, and the general registers follow from 0x1000
/// on.
fn register(number: u32) -> Result<Register, CommandError> {
    match number {
        0..=0xFFF => Ok(Register::Csr(number as u16)),
        0x1000..=0x101F => Ok(Register::General((number & 31) as u8)),
        _ => Err(CommandError::NotSupported),
    }
}

/// Whether a CSR is one of the GPIO registers, which the chip has outside its hart.
fn is_gpio(csr: u16) -> bool {
    (0x803..=0x805).contains(&csr)
}

fn read_register(number: u32, target: &mut Target<'_>) -> Result<u32, CommandError> {
    match register(number)? {
        Register::General(number) => Ok(target.hart.register(number)),
        Register::Csr(csr) if is_gpio(csr) => Ok(target.bus.gpio_csr_read(target.hart.now(), csr)),
        Register::Csr(csr) => target.hart.csr(csr).ok_or(CommandError::Exception),
    }
}

fn write_register(number: u32, value: u32, target: &mut Target<'_>) -> Result<(), CommandError> {
    match register(number)? {
        Register::General(number) => target.hart.set_register(number, value),
        Register::Csr(csr) if is_gpio(csr) => target.bus.gpio_csr_write(target.hart.now(), csr, value),
        Register::Csr(csr) => {
            let read_only = csr >> 10 == 3;
            if read_only || !target.hart.set_csr(csr, value) {
                return Err(CommandError::Exception);
            }
        }
    }
    Ok(())
}

fn flag(is_set: bool, bits: u32) -> u32 {
    if is_set { bits } else { 0 }
}
