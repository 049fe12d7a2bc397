//! Why the hart stopped executing.

/// Why [`Hart::run`](super::Hart::run) returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The clock stands at `until`.
    Deadline,
    /// A store to a register asked for it.
    Yield,
    /// Asleep in `wfi`, and the bus presents no interrupt. [`Hart::advance`](super::Hart::advance) skips the time until one comes.
    Wfi,
    /// At an `ebreak` at this address, which has not been executed. Only after [`Hart::stop_at_ebreak`](super::Hart::stop_at_ebreak), or where a debugger
    /// has set dcsr so.
    Breakpoint(u32),
    /// A debugger's trigger matches the instruction at pc, or what it accesses. It has not been executed.
    Trigger,
    /// An exception whose handler cannot be fetched: the hart is stuck until it is reset. mepc and mcause tell more.
    DoubleTrap,
}

/// Why a debugger's program did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgramError {
    /// An exception.
    Exception,
    /// It runs on and on.
    Endless,
}
