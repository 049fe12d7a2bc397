//! What a debugger sees of the chip: the debug module behind its register interface (DMI), and the JTAG TAP in front of it.
//! Register accesses and JTAG clocks enter; values leave, and the hart halts, steps and runs. It knows no debugger, no probe
//! and no socket.
//!
//! Both are part of the chip's deterministic core: an access is served at once, between two instructions, and takes no time
//! of the chip's clock beyond the instructions that it lets the hart execute. While the hart is halted the chip's clock runs
//! on, as on the chip, whose watchdogs do not know of debuggers: those switch them off. Only the counters of the system timer
//! that are told to stall with the processor do (SYSTIMER_CONF, TIMER_UNITn_CORE0_STALL_EN).

mod dmi;
mod target;
mod system_bus;
mod module;
mod tap;

pub use dmi::DmiAccess;
pub(crate) use module::{DebugModule, DebugReset};
pub use tap::{JtagClock, JtagTap};
pub(crate) use target::Target;
