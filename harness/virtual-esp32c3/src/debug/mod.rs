//! The chip's debug hardware: the debug module behind its register interface (DMI), and the JTAG TAP in front of it.
//! Accesses to registers and JTAG clocks enter; values leave, and the hart halts, steps and runs. It knows no debugger,
//! no probe and no socket.
//!
//! Both are part of the deterministic chip. An access is served at once, between two instructions, and takes no time of
//! the chip's clock beyond the instructions that the hart executes for it. The clock runs on while the hart is halted,
//! as on the chip. Watchdogs run on too, and debuggers switch them off. Only those counters of the system timer stand
//! still that software has told to stall with the processor (SYSTIMER_CONF, TIMER_UNITn_CORE0_STALL_EN).

mod dmi;
mod target;
mod system_bus;
mod module;
mod tap;

pub use dmi::DmiAccess;
pub(crate) use module::{DebugModule, DebugReset};
pub use tap::{JtagClock, JtagTap};
pub(crate) use target::Target;
