//! The processor: one RV32IMC hart with machine and user mode, as in the ESP32-C3. Memory, a bus and a time limit enter
//! [`Hart::run`]; the reason why it stopped leaves. It knows no peripheral and no host: same memory, same answers from the
//! bus, same instruction count.
//!
//! Instructions are decoded once into pages of operations (`decode`, `code`) and executed from there (`execute`). Stores
//! into decoded code, MMU changes and flash writes take effect at once, with or without `fence.i`.
//!
//! Physical memory protection (`pmp`) is armed when it changes (`protection`), and costs the run loop nothing.
//!
//! A debugger stops the hart (`debug_mode`) and sets triggers (`triggers`). Neither costs the run loop anything: slots of
//! instructions under a breakpoint stay undecoded, watched bytes bear marks, and while loads are watched the hart takes a
//! slow path (`load_watch`).

mod chain;
mod code;
mod csr;
mod debug_mode;
mod decode;
mod execute;
mod load_watch;
mod plain;
mod pmp;
mod protection;
mod step;
mod triggers;

use crate::bus::Bus;
use crate::memory::{Memory, SRAM_CODE};
use code::DecodedCode;
use csr::{Csrs, Privilege};
pub(crate) use debug_mode::HaltCause;
use decode::SINK;
use execute::Loads;
use protection::Protection;

/// Registers are indexed by a byte, so that no access needs a bounds check; those beyond [`SINK`] do not exist.
type Registers = [u32; 256];

/// A hart and what it has decoded.
#[derive(Debug, Clone)]
pub struct Hart {
    registers: Box<Registers>,
    pc: u32,
    csrs: Csrs,
    now: u64,
    asleep: bool,
    stop_at_ebreak: bool,
    plainly: bool,
    /// Instructions that write the stack pointer are not kept decoded, so that each is looked at. Once it is on it stays so until reset,
    /// since an operating system switches its guard off and on at every turn.
    guards_stack: bool,
    reset_vector: u32,
    code: DecodedCode,
    protection: Protection,
}

/// Why [`Hart::run`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The clock stands at `until`.
    Deadline,
    /// A store to a register asked for it.
    Yield,
    /// Asleep in `wfi`, and the bus presents no interrupt. [`Hart::advance`] skips the time until one comes.
    Wfi,
    /// At an `ebreak` at this address, which has not been executed. Only after [`Hart::stop_at_ebreak`], or where a debugger
    /// has set dcsr so.
    Breakpoint(u32),
    /// A debugger's trigger matches the instruction at pc, or what it accesses. It has not been executed.
    Trigger,
    /// An exception whose handler cannot be fetched: the hart is stuck until it is reset. mepc and mcause tell more.
    DoubleTrap,
}

/// Causes of traps, by their names in the chip's manual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    InstructionAccessFault,
    IllegalInstruction,
    Breakpoint,
    LoadAccessFault,
    StoreAccessFault,
    EcallFromUser,
    EcallFromMachine,
    /// The interrupt matrix's line.
    Interrupt(u8),
}

impl Cause {
    /// The value of mcause.
    fn code(self) -> u32 {
        match self {
            Self::InstructionAccessFault => 1,
            Self::IllegalInstruction => 2,
            Self::Breakpoint => 3,
            Self::LoadAccessFault => 5,
            Self::StoreAccessFault => 7,
            Self::EcallFromUser => 8,
            Self::EcallFromMachine => 11,
            Self::Interrupt(line) => 1 << 31 | u32::from(line & 31),
        }
    }
}

impl Hart {
    /// A hart that has just been powered on, about to execute at `reset_vector`.
    #[must_use]
    pub fn new(reset_vector: u32) -> Self {
        Self {
            registers: Box::new([0; 256]),
            pc: reset_vector & !1,
            csrs: Csrs::new(),
            now: 0,
            asleep: false,
            stop_at_ebreak: false,
            plainly: false,
            guards_stack: false,
            reset_vector,
            code: DecodedCode::new(),
            protection: Protection::default(),
        }
    }

    /// Executes until the clock stands at `until` or something else stops the hart. An interrupt that the bus presents is
    /// taken on entry, and after instructions that enable interrupts; whoever changes interrupt lines between two runs need
    /// do no more. An entry into a handler takes no time; an instruction that traps takes one cycle.
    pub fn run(&mut self, memory: &mut Memory, bus: &mut impl Bus, until: u64) -> Exit {
        loop {
            let exit = if self.watches_loads() {
                load_watch::run(self, memory, bus, until)
            } else {
                execute::run(self, memory, bus, until, Loads::Unseen)
            };
            if let Some(exit) = exit {
                return exit;
            }
        }
    }

    /// The board's clock: cycles since power-on, one to an instruction. A reset does not turn it back.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Lets time pass without instructions: the idle time that is skipped while the hart sleeps.
    pub fn advance(&mut self, cycles: u64) {
        self.now = self.now.saturating_add(cycles);
    }

    /// Resets everything but the clock.
    pub fn reset(&mut self) {
        self.registers.fill(0);
        self.pc = self.reset_vector & !1;
        self.csrs = Csrs::new();
        self.protection.reset();
        self.guards_stack = false;
        self.asleep = false;
    }

    /// Whether the hart sleeps in `wfi`.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// Whether `ebreak` stops [`Hart::run`] with [`Exit::Breakpoint`], as with a debugger attached, or traps to the program.
    pub fn stop_at_ebreak(&mut self, stop: bool) {
        self.stop_at_ebreak = stop;
    }

    /// Whether [`Hart::run`] executes one instruction after the other in the plainest way, or as fast as it can. What
    /// happens is the same; the plain way is there to be compared with.
    pub fn run_plainly(&mut self, plainly: bool) {
        self.plainly = plainly;
    }

    /// Address of the next instruction.
    #[must_use]
    pub fn pc(&self) -> u32 {
        self.pc
    }

    /// Goes on at `pc` (bit 0 is dropped), awake.
    pub fn set_pc(&mut self, pc: u32) {
        self.pc = pc & !1;
        self.asleep = false;
    }

    /// Register x`number`, 0..=31; others read as zero.
    #[must_use]
    pub fn register(&self, number: u8) -> u32 {
        if number < SINK {
            self.registers[usize::from(number)]
        } else {
            0
        }
    }

    /// Sets register x`number`, 1..=31; others are ignored.
    pub fn set_register(&mut self, number: u8, value: u32) {
        if (1..SINK).contains(&number) {
            self.registers[usize::from(number)] = value;
        }
    }

    /// Reads a control and status register, whatever the privilege; `None` if the hart has none of that number (the GPIO
    /// registers are the bus's).
    #[must_use]
    pub fn csr(&self, number: u16) -> Option<u32> {
        self.csrs.read(number, self.now)
    }

    /// Writes a control and status register, whatever the privilege; false if the hart has none of that number.
    pub fn set_csr(&mut self, number: u16, value: u32) -> bool {
        self.csrs.write(number, value, self.now)
    }

    /// Whether the hart is in debug mode: it executes nothing but what the debugger hands it.
    pub(crate) fn is_halted(&self) -> bool {
        self.csrs.debug.active
    }

    /// Whether a debugger wants the hart to halt after the next instruction.
    pub(crate) fn is_stepping(&self) -> bool {
        self.csrs.debug.steps()
    }

    /// Enters debug mode, if the hart is not there already. A sleeping hart is awake when it goes on.
    pub(crate) fn halt(&mut self, cause: HaltCause) {
        if !self.csrs.debug.active {
            self.csrs.debug.enter(cause, self.pc, self.csrs.privilege);
            self.csrs.privilege = Privilege::Machine;
            self.asleep = false;
        }
    }

    /// Leaves debug mode: the hart goes on at dpc.
    pub(crate) fn resume(&mut self) {
        if self.csrs.debug.active {
            (self.pc, self.csrs.privilege) = self.csrs.debug.leave();
        }
    }

    /// Executes a debugger's program in debug mode, up to its `ebreak` or its end, in no more than `limit` instructions.
    ///
    /// It runs where the chip keeps what its instruction cache has fetched (SRAM0), which is nobody's data; what lies there
    /// is put back afterwards.
    pub(crate) fn run_program(
        &mut self,
        program: &[u32],
        memory: &mut Memory,
        bus: &mut impl Bus,
        limit: u64,
    ) -> Result<(), ProgramError> {
        const EBREAK: u32 = 0x0010_0073;
        let code: Vec<u8> = program
            .iter()
            .chain(&[EBREAK])
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let mut kept = vec![0; code.len()];
        if !(memory.read_bytes(SRAM_CODE, &mut kept) && memory.write_bytes(SRAM_CODE, &code)) {
            return Err(ProgramError::Exception);
        }
        let result = self.run_at(SRAM_CODE, memory, bus, limit);
        memory.write_bytes(SRAM_CODE, &kept);
        result
    }

    fn run_at(&mut self, start: u32, memory: &mut Memory, bus: &mut impl Bus, limit: u64) -> Result<(), ProgramError> {
        let pc = std::mem::replace(&mut self.pc, start);
        self.csrs.debug.fault = false;
        let end = self.now.saturating_add(limit);
        let result = loop {
            // One at a time, since an exception has to end it and not to go on anywhere.
            let exit = execute::run(self, memory, bus, self.now + 1, Loads::Seen);
            self.asleep = false;
            if self.csrs.debug.fault || exit == Some(Exit::DoubleTrap) {
                break Err(ProgramError::Exception);
            }
            if matches!(exit, Some(Exit::Breakpoint(_))) {
                break Ok(());
            }
            if self.now >= end {
                break Err(ProgramError::Endless);
            }
        };
        self.pc = pc;
        self.csrs.privilege = Privilege::Machine;
        result
    }

    /// From now on looks at each instruction that writes the stack pointer.
    fn guard_stack(&mut self) {
        self.guards_stack = true;
        self.code = DecodedCode::new();
    }

    /// Whether loads have to be looked at one by one.
    fn watches_loads(&self) -> bool {
        !self.csrs.debug.active
            && (self.protection.guards_loads() || self.csrs.triggers.watches_loads(self.csrs.privilege))
    }

    /// Arms memory protection and the triggers as they are now: marks what they watch, and empties the slots of the
    /// instructions that they match. True if loads have to be looked at.
    fn arm(&mut self, memory: &mut Memory) -> bool {
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
}

/// Why a debugger's program did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgramError {
    /// An exception.
    Exception,
    /// It runs on and on.
    Endless,
}
