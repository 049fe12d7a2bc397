//! Machine and user mode.

/// Privilege of the code that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Privilege {
    User = 0,
    Machine = 3,
}
