//! The processor: one RV32IMC hart with machine and user mode, as in the ESP32-C3. Memory, a bus and a time limit enter
//! [`Hart::run`]; the reason why it stopped leaves. It knows no peripheral and no host. With the same memory and the
//! same answers from the bus it executes the same instructions.
//!
//! Instructions are decoded once (`decode`) and kept in pages of operations (`code`). An inner loop executes the
//! operations that need registers and plain memory only (`chain`, or `plain` to compare with). `execute` is the outer
//! loop: it handles everything else. Stores into decoded code, MMU changes and flash writes take effect at once, with
//! or without `fence.i`.
//!
//! Memory protection (`pmp`, `protection`) and a debugger's triggers (`triggers`) cost the inner loop nothing. They are
//! armed when they change (`arm`): slots of instructions under a breakpoint stay undecoded, watched bytes are marked,
//! and while loads are watched the hart runs in a slow way (`load_watch`). A debugger stops the hart (`debug_mode`) and
//! hands it programs (`program`).

mod privilege;
mod cause;
mod exit;
mod registers;
mod decode;
mod page;
mod cursor;
mod step;
mod plain;
mod chain;
mod code;
mod pmp;
mod protection;
mod triggers;
mod debug_mode;
mod csr;
mod arm;
mod execute;
mod load_watch;
mod run;
mod program;

use code::DecodedCode;
use csr::Csrs;
pub(crate) use debug_mode::HaltCause;
pub use exit::Exit;
pub(crate) use exit::ProgramError;
use privilege::Privilege;
use protection::Protection;
use registers::{Registers, SINK};

/// How [`Hart::run`] executes instructions that need registers and plain memory only. The results are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpreter {
    /// As fast as it can, several instructions at a time (`chain`).
    #[default]
    Fast,
    /// One instruction after the other (`plain`), for tests to compare with.
    Plain,
}

/// What an `ebreak` does outside debug mode, unless a debugger has asked for it (dcsr).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AtEbreak {
    /// It raises a breakpoint exception, as on the chip.
    #[default]
    Trap,
    /// It ends [`Hart::run`] with [`Exit::Breakpoint`].
    Stop,
}

/// A hart and what it has decoded.
#[derive(Debug, Clone)]
pub struct Hart {
    registers: Box<Registers>,
    pc: u32,
    csrs: Csrs,
    now: u64,
    asleep: bool,
    at_ebreak: AtEbreak,
    interpreter: Interpreter,
    /// Instructions that write the stack pointer are not kept decoded, so that each is checked. Once this is on it
    /// stays on until reset, since an operating system switches its stack guard off and on again at each change of
    /// tasks.
    guards_stack: bool,
    reset_vector: u32,
    code: DecodedCode,
    protection: Protection,
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
            at_ebreak: AtEbreak::default(),
            interpreter: Interpreter::default(),
            guards_stack: false,
            reset_vector,
            code: DecodedCode::new(),
            protection: Protection::default(),
        }
    }

    /// The hart's clock: cycles since power-on, one for each instruction. A reset does not set it back.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Lets this many cycles pass without instructions, while the hart sleeps.
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

    /// Sets what an `ebreak` does. A reset does not change it.
    pub fn set_at_ebreak(&mut self, at_ebreak: AtEbreak) {
        self.at_ebreak = at_ebreak;
    }

    /// Sets how instructions are executed. A reset does not change it.
    pub fn set_interpreter(&mut self, interpreter: Interpreter) {
        self.interpreter = interpreter;
    }

    /// The address of the next instruction.
    #[must_use]
    pub fn pc(&self) -> u32 {
        self.pc
    }

    /// Wakes the hart and lets it go on at `pc`, without its bit 0.
    pub fn set_pc(&mut self, pc: u32) {
        self.pc = pc & !1;
        self.asleep = false;
    }

    /// The value of register x`number`, 0..=31. Other numbers read as zero.
    #[must_use]
    pub fn register(&self, number: u8) -> u32 {
        if number < SINK {
            self.registers[usize::from(number)]
        } else {
            0
        }
    }

    /// Sets register x`number`, 1..=31. Other numbers are ignored.
    pub fn set_register(&mut self, number: u8, value: u32) {
        if (1..SINK).contains(&number) {
            self.registers[usize::from(number)] = value;
        }
    }

    /// Reads a control and status register (CSR), whatever the privilege. `None` if the hart has none of that number;
    /// the GPIO registers among the CSRs belong to the bus.
    #[must_use]
    pub fn csr(&self, number: u16) -> Option<u32> {
        self.csrs.read(number, self.now)
    }

    /// Writes a control and status register, whatever the privilege. Returns false if the hart has none of that number.
    pub fn set_csr(&mut self, number: u16, value: u32) -> bool {
        self.csrs.write(number, value, self.now)
    }

    /// Whether the hart is in debug mode, in which it executes only what the debugger hands it.
    pub(crate) fn is_halted(&self) -> bool {
        self.csrs.debug.active
    }

    /// Whether a debugger wants the hart to halt after the next instruction.
    pub(crate) fn is_stepping(&self) -> bool {
        self.csrs.debug.steps()
    }

    /// Enters debug mode, unless the hart is in it already. A sleeping hart is awake when it leaves debug mode.
    pub(crate) fn halt(&mut self, cause: HaltCause) {
        if !self.csrs.debug.active {
            self.csrs.debug.enter(cause, self.pc, self.csrs.privilege);
            self.csrs.privilege = Privilege::Machine;
            self.asleep = false;
        }
    }

    /// Leaves debug mode. The hart goes on at dpc.
    pub(crate) fn resume(&mut self) {
        if self.csrs.debug.active {
            (self.pc, self.csrs.privilege) = self.csrs.debug.leave();
        }
    }
}
