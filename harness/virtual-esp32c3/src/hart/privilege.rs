//! Machine and user mode.

/// The privilege of the code that runs, numbered as in mstatus.MPP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Privilege {
    User = 0,
    Machine = 3,
}
