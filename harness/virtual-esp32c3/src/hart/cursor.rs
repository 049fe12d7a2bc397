//! Where the inner loop (`chain` or `plain`) is, and why it left a page.

/// Where the inner loop is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    /// The slot of the next instruction in the page. A slot outside the page stands for an address outside it.
    pub(super) slot: u32,
    /// How many instructions may be executed before the deadline.
    pub(super) left: u64,
}

/// Why the inner loop left a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// The next instruction lies in another page, or as many instructions as allowed have been executed.
    Page,
    /// The instruction at the slot needs more than registers and unmarked memory, or is not decoded. It has not been
    /// executed.
    Whole,
}
