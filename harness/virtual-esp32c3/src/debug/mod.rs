//! What a debugger sees of the chip: the debug module behind its register interface (DMI), and the JTAG TAP in front of it.
//! Register accesses and JTAG clocks enter; values leave, and the hart halts, steps and runs. It knows no debugger, no probe
//! and no socket.
//!
//! Both are part of the chip's deterministic core: an access is served at once, between two instructions, and takes no time
//! of the chip's clock beyond the instructions that it lets the hart execute. While the hart is halted the chip's clock runs
//! on, as on the chip, whose watchdogs do not know of debuggers: those switch them off. Only the counters of the system timer
//! that are told to stall with the processor do (SYSTIMER_CONF, TIMER_UNITn_CORE0_STALL_EN).

mod module;
mod system_bus;
mod tap;

pub(crate) use module::{DebugModule, DebugReset, Target};
pub use tap::JtagTap;

/// One access over the debug module interface. Addresses have 7 bits (RISC-V External Debug Support 0.13.2, 3.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmiAccess {
    /// Reads the register at this address.
    Read(u8),
    /// Writes a value to the register at this address.
    Write(u8, u32),
}

/// One period of TCK: the levels at the TAP's inputs when TCK rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JtagClock {
    /// Test mode select: where the TAP's state machine goes.
    pub tms: bool,
    /// Test data in.
    pub tdi: bool,
}
