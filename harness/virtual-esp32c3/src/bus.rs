//! The interface between the hart and the chip around it. Accesses to registers, the interrupt line and the GPIO
//! registers go out through [`Bus`]; values and faults come back. With it the hart knows no peripheral, and a
//! peripheral knows no instruction.

use crate::memory::Memory;
pub use crate::width::Width;

/// What the hart does after a store to a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterStore {
    /// Execute the next instruction.
    Continue,
    /// Leave [`Hart::run`](crate::hart::Hart::run) after this instruction, since timers, interrupt lines, the MMU or
    /// the power state may have changed.
    Yield,
}

/// The access ended in a bus error: nothing answers at the address, or it may not be accessed in this way. The hart
/// takes a load or store access fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessFault;

/// Everything outside [`Memory`]: the peripherals at 0x6000_0000 to 0x6010_0000, and every address where nothing is.
///
/// `now` is the hart's clock: cycles since power-on, one for each instruction. Addresses are aligned to the width of
/// the access; the hart itself takes a fault for a misaligned one.
pub trait Bus {
    /// Reads the register at `address`. Bytes and halves are returned in the low bits; the hart ignores the others.
    ///
    /// # Errors
    /// [`AccessFault`] becomes a load access fault (mcause 5) with mtval = `address`.
    fn load(&mut self, memory: &mut Memory, now: u64, address: u32, width: Width) -> Result<u32, AccessFault>;

    /// Writes the register at `address`. Bytes and halves are in the low bits of `value`, and its other bits are zero.
    ///
    /// # Errors
    /// [`AccessFault`] becomes a store access fault (mcause 7) with mtval = `address`.
    fn store(
        &mut self,
        memory: &mut Memory,
        now: u64,
        address: u32,
        width: Width,
        value: u32,
    ) -> Result<AfterStore, AccessFault>;

    /// The interrupt line (1..=31) that the interrupt matrix presents now: enabled, and of the highest priority above
    /// the threshold. Whether the hart takes it (mstatus.MIE) is decided in the hart.
    fn interrupt(&self) -> Option<u8>;

    /// Whether [`Bus::stack_pointer`] is to be called. The hart asks after each store that made it yield.
    fn guards_stack(&self) -> bool {
        false
    }

    /// Called when the instruction at `pc` has given x2, the stack pointer, this new value.
    fn stack_pointer(&mut self, _value: u32, _pc: u32) {}

    /// Reads one of the GPIO CSRs 0x803 (output enable), 0x804 (input), 0x805 (output).
    fn gpio_csr_read(&mut self, now: u64, csr: u16) -> u32;

    /// Writes one of the GPIO CSRs 0x803, 0x804, 0x805.
    fn gpio_csr_write(&mut self, now: u64, csr: u16, value: u32);
}
