//! The debug port of a running board. Accesses to the debug module and JTAG clocks enter; values leave, in order, each
//! call with a deadline. It knows the board's queue and no debugger.

use super::control::{Control, NoAnswer};
use crate::chip::Chip;
use crate::debug::{DmiAccess, JtagClock};
use crate::strapping::Strapping;

/// Why a debug port does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DebugPortError {
    /// EN is low, which holds the debug module in reset with the chip.
    #[error("the chip is held in reset and its debug module with it; let EN rise first")]
    InReset,
    /// The board was dropped, or its thread does not answer.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

/// A board's debug port. Several may be used at once: the accesses of one call are made together.
#[derive(Debug, Clone)]
pub struct DebugPort {
    control: Control,
}

impl DebugPort {
    pub(super) fn new(control: Control) -> Self {
        Self { control }
    }

    /// Makes these accesses to the debug module, in order and with no time of the chip between them. Returns the values
    /// read, with zero for a write.
    ///
    /// # Errors
    /// If EN is low, or if the board has ended or does not answer in time. Accesses before the one that failed have
    /// been made.
    pub fn access(&self, accesses: &[DmiAccess]) -> Result<Vec<u32>, DebugPortError> {
        let accesses = accesses.to_vec();
        let work = move |chip: &mut Chip| accesses.into_iter().map(|access| chip.dmi(access)).collect();
        let values: Option<Vec<u32>> = self.control.ask("answers of its debug module", work)?;
        values.ok_or(DebugPortError::InReset)
    }

    /// Reads the debug module's register at this address (7 bits).
    ///
    /// # Errors
    /// As [`DebugPort::access`].
    pub fn read_dmi(&self, address: u8) -> Result<u32, DebugPortError> {
        let values = self.access(&[DmiAccess::Read(address)])?;
        Ok(values.first().copied().unwrap_or_default())
    }

    /// Writes the debug module's register at this address (7 bits).
    ///
    /// # Errors
    /// As [`DebugPort::access`].
    pub fn write_dmi(&self, address: u8, value: u32) -> Result<(), DebugPortError> {
        self.access(&[DmiAccess::Write(address, value)]).map(drop)
    }

    /// Clocks the chip's JTAG TAP, and returns the level of TDO before each rise of TCK.
    ///
    /// # Errors
    /// If the board has ended or does not answer in time. While EN is low the TAP works, and reports that accesses have
    /// failed.
    pub fn jtag(&self, clocks: &[JtagClock]) -> Result<Vec<bool>, DebugPortError> {
        let clocks = clocks.to_vec();
        let work = move |chip: &mut Chip| clocks.into_iter().map(|clock| chip.jtag(clock)).collect();
        Ok(self.control.ask("the levels of its TDO", work)?)
    }

    /// Pulls EN low (`asserted`), or lets it rise for a start from flash.
    pub fn set_reset(&self, asserted: bool) {
        let boot = Strapping::Flash.boot_level();
        self.control.at_chip(move |chip| chip.set_lines(!asserted, boot));
    }
}
