//! Accesses to the registers of the debug module.

/// One access over the debug module interface. Addresses have 7 bits (RISC-V External Debug Support 0.13.2, 3.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmiAccess {
    /// Reads the register at this address.
    Read(u8),
    /// Writes a value to the register at this address.
    Write(u8, u32),
}
