//! What the doctor says: what was looked at, what was found, and what to do about it.
//!
//! Plain values, which the checks make and the command shows.

use std::fmt;

use serde::{Serialize, Serializer};

/// How bad an observation is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Good,
    /// It may go wrong.
    Doubtful,
    /// It will not work.
    Bad,
}

/// The checks and their names: one list.
macro_rules! checks {
    ($($(#[$doc:meta])* $check:ident = $name:literal,)*) => {
        /// What was looked at.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Check {
            $($(#[$doc])* $check,)*
        }

        impl Check {
            /// Its name in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$check => $name,)*
                }
            }
        }
    };
}

checks! {
    /// Whether there is an inventory.
    Inventory = "inventory",
    /// This machine's clock.
    Clock = "clock",
    /// The command of a board that is a process.
    Process = "process",
    /// Whether the board's port is there.
    Port = "port",
    /// Whether this user may open the port.
    Permission = "permission",
    /// A program that has the port open.
    Holder = "holder",
    /// The process that holds the board's lock.
    Lock = "lock",
    /// A program that opens ports of this kind by itself.
    Meddler = "meddler",
    /// The board's debug probe.
    Probe = "probe",
    /// The image of the board's firmware; or what the firmware does, when the board is tried.
    Firmware = "firmware",
    /// The board's Wi-Fi network and its password.
    Network = "network",
    /// The address of this machine as the board sees it.
    ServerAddress = "server-address",
    /// Whether the board can be held, to be tried.
    Claim = "claim",
    /// Whether the board takes an image.
    Loader = "loader",
    /// Whether the firmware starts.
    Boot = "boot",
    /// Whether the firmware joins its network.
    Wifi = "wifi",
    /// Whether the firmware fetches from a server of this machine.
    Server = "server",
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What to do about an observation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Advice {
    /// This, in words.
    Do(String),
    /// Install the rig's rules for udev, for this reason. [`System::udev_rules`](super::System::udev_rules) makes them;
    /// the caller says how its user gets them.
    UdevRules(String),
}

/// What a check found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Observation {
    /// How bad it is.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub advice: Option<Advice>,
}

impl Observation {
    /// All is well.
    #[must_use]
    pub fn good(found: impl Into<String>) -> Self {
        Self {
            health: Health::Good,
            found: found.into(),
            advice: None,
        }
    }

    /// It may go wrong.
    #[must_use]
    pub fn doubtful(found: impl Into<String>, advice: impl Into<Advice>) -> Self {
        Self {
            health: Health::Doubtful,
            found: found.into(),
            advice: Some(advice.into()),
        }
    }

    /// It will not work.
    #[must_use]
    pub fn bad(found: impl Into<String>, advice: impl Into<Advice>) -> Self {
        Self {
            health: Health::Bad,
            found: found.into(),
            advice: Some(advice.into()),
        }
    }
}

impl From<&str> for Advice {
    fn from(text: &str) -> Self {
        Self::Do(text.to_owned())
    }
}

impl From<String> for Advice {
    fn from(text: String) -> Self {
        Self::Do(text)
    }
}

/// One observation on the machine or on a board.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnosis {
    /// The board; none for the machine.
    pub board: Option<String>,
    /// What was looked at.
    pub check: Check,
    /// What was found.
    pub observation: Observation,
}

impl Diagnosis {
    /// On the machine.
    pub(super) fn of_machine(check: Check, observation: Observation) -> Self {
        Self {
            board: None,
            check,
            observation,
        }
    }

    /// On a board.
    #[must_use]
    pub fn of_board(board: &str, check: Check, observation: Observation) -> Self {
        Self {
            board: Some(board.to_owned()),
            check,
            observation,
        }
    }
}
