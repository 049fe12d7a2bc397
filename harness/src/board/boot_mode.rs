//! What a chip does when its reset is released.

/// What a chip does when its reset is released (strapping pin GPIO9 of the ESP32-C3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BootMode {
    /// It starts the program in flash.
    Flash,
    /// It waits for the serial loader's commands.
    Download,
}

impl BootMode {
    /// Its name in commands of `rig.toml`: `flash` or `download`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Flash => "flash",
            Self::Download => "download",
        }
    }
}
