//! Why the hart stopped executing.

/// Why [`Hart::run`] returned.
///
/// [`Hart::run`]: super::Hart::run
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The clock stands at the requested time.
    Deadline,
    /// A store to a register asked for it: see [`AfterStore::Yield`](crate::bus::AfterStore::Yield).
    Yield,
    /// The hart sleeps in `wfi`, and the bus presents no interrupt. [`Hart::advance`] lets time pass until it does.
    ///
    /// [`Hart::advance`]: super::Hart::advance
    Wfi,
    /// The next instruction is an `ebreak` at this address, which has not been executed. Only if
    /// [`AtEbreak::Stop`] or a debugger (dcsr) has asked for it.
    ///
    /// [`AtEbreak::Stop`]: super::AtEbreak::Stop
    Breakpoint(u32),
    /// A debugger's trigger matches the next instruction, or what it accesses. The instruction has not been executed.
    Trigger,
    /// The handler of an exception cannot be fetched. The hart is stuck until it is reset; mepc and mcause tell where
    /// and why.
    DoubleTrap,
}

/// Why a debugger's program did not reach its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgramError {
    /// It raised an exception.
    Exception,
    /// It has executed as many instructions as it may.
    Endless,
}
