//! The hart's registers, as decoded instructions index them.

/// Registers are indexed by a byte, so that no access needs a bounds check; those beyond [`SINK`] do not exist.
pub(super) type Registers = [u32; 256];

/// Index of the register that takes what is written to x0. Reading x0 reads index 0, which nothing writes.
pub(super) const SINK: u8 = 32;

/// Index in [`Registers`] of the address of the page that is executed.
pub(super) const BASE: usize = 33;

/// Index of x2, the stack pointer by convention.
pub(super) const STACK_POINTER: u8 = 2;
