//! A board: a console, a way to reset it, and the network that it is on.
//!
//! What enters: an entry of the rig, or the path of a tty and an object that moves the reset lines behind it. What
//! leaves: a [`Console`] that captures from before reset is released, and an image in flash. Real boards and virtual
//! boards differ only in what lies behind the tty and in which [`Reset`] moves the lines. This module knows no server,
//! no scenario and no command of the firmware.

mod boot_mode;
mod left_out;
pub(crate) mod group;
mod program;
pub mod console;
pub mod flash;
pub mod probe;
pub(crate) mod debug_module;
mod reset;
pub mod error;
mod serial_board;
mod claim;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use virtual_lan::Faults;

pub use boot_mode::BootMode;
pub use claim::{Claim, ClaimError, Claimed, Take};
pub use console::Console;
pub use error::BoardError;
pub use left_out::LeftOut;
pub use serial_board::SerialBoard;

pub use crate::rig::Secret;

use crate::evidence::{NetworkEvidence, RecordedFile};
use crate::image::Image;
use crate::rig::{Credentials, Dialect};
use probe::Debugger;

/// What a wired board gets as the name of its network, because the firmware asks for one. The transcript shows it.
const WIRED: &str = "pinrig";

/// Moves a board's reset and strapping lines.
pub trait Reset: Send {
    /// Holds the chip in reset, sets the strapping for `mode`, and releases reset.
    ///
    /// # Errors
    /// When the lines cannot be moved.
    fn reset(&mut self, mode: BootMode) -> Result<(), BoardError>;
}

/// A board that holds the image and is about to boot.
pub struct Board {
    /// What people call it.
    pub name: String,
    /// The image that it holds, if that is its own and not the run's.
    pub image: Option<Arc<Image>>,
    /// Its console, which captures from before reset is released.
    pub console: Console,
    /// What the firmware must be told about the network.
    pub link: LinkSettings,
    /// The console language of its firmware, if that is not pinrig's.
    pub dialect: Option<Dialect>,
    /// Set while the harness waits for the board to speak, and says nothing to it before. A virtual board may then skip
    /// the time for which it sleeps. Other boards take no notice.
    pub patience: Arc<AtomicBool>,
    /// Moves its lines.
    pub reset: Box<dyn Reset>,
    /// A debugger at it, if it has one, to look at firmware that hangs.
    pub debugger: Option<Box<dyn Debugger>>,
    /// Its network, if that can be disturbed.
    pub network: Option<Box<dyn DisturbableNetwork>>,
    /// What watches its network, if anything does.
    pub witness: Option<Box<dyn NetworkWitness>>,
    /// What the board's surroundings recorded: frames, a hardware log.
    pub recorder: Box<dyn Recorder>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

/// What the firmware is told about the network that it is on. It depends on the bench, not on the scenario.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LinkSettings {
    /// The name of the Wi-Fi network; for a wired board a fixed name, since the firmware asks for one. The transcript
    /// shows it.
    pub network: String,
    /// The network's password, if it has one.
    pub password: Option<Secret>,
    /// Where the server is, if the board's resolver does not know: `set connect-to`.
    pub connect_to: Option<SocketAddr>,
}

impl LinkSettings {
    /// The settings of a board that joins this network, or of a wired board, which joins none.
    pub(crate) fn of(credentials: Option<&Credentials>, connect_to: Option<SocketAddr>) -> Self {
        Self {
            network: credentials.map_or(WIRED, |credentials| &credentials.ssid).to_owned(),
            password: credentials.and_then(|credentials| credentials.password.clone()),
            connect_to,
        }
    }
}

/// A network between board and server that can be disturbed.
pub trait DisturbableNetwork: Send {
    /// Puts these faults in force, in place of all earlier ones.
    ///
    /// # Errors
    /// When they contradict each other.
    fn disturb(&self, faults: &Faults) -> Result<(), BoardError>;

    /// Lifts all faults, and ends the connections that were left behind because the frames that ended them were lost.
    fn calm(&self);
}

/// Watches all that a board sends on its network.
pub trait NetworkWitness: Send {
    /// What the board has sent since the last call.
    fn sent(&self) -> NetworkEvidence;
}

/// What the board's surroundings recorded during a run. The surroundings of most boards record nothing.
pub trait Recorder: Send {
    /// Named files for the failure bundle.
    fn files(&self) -> Vec<RecordedFile> {
        Vec::new()
    }

    /// How much time the board has skipped.
    fn skipped(&self) -> Duration {
        Duration::ZERO
    }

    /// Lines about what the board did that its network or hardware did not allow.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}
