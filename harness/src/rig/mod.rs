//! The rig: which boards there are, which of them a user asks for, and which process holds them.
//!
//! What enters: a file `rig.toml`, the ports that the system shows, and the name or tags that a user gives. What
//! leaves: entries of boards, their ports, and locks that this process holds. This module opens no port, and knows
//! neither boards nor scenarios.

mod values;
mod wifi;
mod entry;
mod form;
mod inventory;
mod choice;
mod ports;
mod lock;

use std::path::Path;

pub use choice::{Choice, ChoiceError, Images, VIRTUAL};
pub use entry::{Dialect, Entry, Flasher, Kind, Pattern, Port, ProcessEntry, ResetWay, SerialEntry, Skip};
pub use inventory::{Inventory, schema};
pub use lock::{BoardLock, Candidate, Held, Holder, LockError, Locks};
pub use ports::{Identity, PortError, Ports, SerialPort, UsbDevice};
pub use values::{
    BoardName, Chip, CommandLine, InvalidValue, LinkName, Mac, ProbeSelector, Program, Reason, ScenarioPattern,
    SerialNumber, Ssid, Tag, Variable,
};
pub use wifi::{Credentials, PasswordError, PasswordSource, Secret, WifiNetwork};

use crate::file_error::FileError;

/// The inventory, and the system on which its boards are looked for and held.
#[derive(Clone, Debug, Default)]
pub struct Rig {
    /// The boards; none where there is no `rig.toml`.
    pub inventory: Option<Inventory>,
    /// Where ports are looked for.
    pub ports: Ports,
    /// Where locks are kept.
    pub locks: Locks,
}

impl Rig {
    /// The rig of this machine, with the inventory for `folder` as [`Inventory::find`] finds it.
    ///
    /// # Errors
    /// When the inventory cannot be read or is wrong.
    pub fn find(folder: &Path) -> Result<Self, FileError> {
        Ok(Self {
            inventory: Inventory::find(folder)?,
            ..Self::default()
        })
    }

    /// The rig of this machine that `choice` needs. The virtual board needs no inventory: a mistake in one does not
    /// keep it from running.
    ///
    /// # Errors
    /// When the inventory is needed, and cannot be read or is wrong.
    pub fn for_choice(choice: &Choice, folder: &Path) -> Result<Self, FileError> {
        if choice.is_virtual() {
            return Ok(Self::default());
        }
        Self::find(folder)
    }
}
