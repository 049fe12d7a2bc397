//! What the chip does when reset is released.

/// The level of the strapping pin GPIO9 when EN rises, by what it makes the chip do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strapping {
    /// High: the chip starts the program in flash.
    Flash,
    /// Low: the mask ROM's loader waits for a flasher's commands.
    Download,
}

impl Strapping {
    /// The level of GPIO9: true is high.
    #[must_use]
    pub const fn boot_level(self) -> bool {
        match self {
            Self::Flash => true,
            Self::Download => false,
        }
    }
}
