//! Causes of traps.

/// Why the hart takes a trap, named as in the chip's manual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    InstructionAccessFault,
    IllegalInstruction,
    Breakpoint,
    LoadAccessFault,
    StoreAccessFault,
    EcallFromUser,
    EcallFromMachine,
    /// An interrupt on this line of the interrupt matrix.
    Interrupt(u8),
}

impl Cause {
    /// The value of mcause.
    pub(super) fn code(self) -> u32 {
        match self {
            Self::InstructionAccessFault => 1,
            Self::IllegalInstruction => 2,
            Self::Breakpoint => 3,
            Self::LoadAccessFault => 5,
            Self::StoreAccessFault => 7,
            Self::EcallFromUser => 8,
            Self::EcallFromMachine => 11,
            Self::Interrupt(line) => 1 << 31 | u32::from(line & 31),
        }
    }
}
