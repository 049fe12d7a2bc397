//! Where the inner loop of an interpreter is, and why it left a page.

/// Where the inner loop is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    /// The next instruction's slot in the page; beyond its end, an instruction elsewhere.
    pub(super) slot: u32,
    /// Instructions until the deadline.
    pub(super) left: u64,
}

/// Why the inner loop left a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// The next instruction lies elsewhere, or some time is over.
    Page,
    /// The instruction at the slot needs more than registers and unmarked memory. It has not been executed.
    Whole,
}
