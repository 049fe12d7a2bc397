//! The hart's general registers, as decoded instructions index them.

/// The values of the registers, by their numbers. There are as many as a byte can index, so that no access needs a
/// bounds check; the hart has those up to x31 only.
pub(super) type Registers = [u32; 256];

/// Index of the register that takes the values written to x0. Reading x0 reads index 0, which is never written.
pub(super) const SINK: u8 = 32;

/// Index in [`Registers`] at which the inner loop finds the address of the page that it executes.
pub(super) const BASE: usize = 33;

/// Index of x2, the stack pointer by convention.
pub(super) const STACK_POINTER: u8 = 2;
