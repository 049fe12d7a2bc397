//! A network for one board, in user mode and without privileges. It takes the board's Ethernet frames and connects them
//! to sockets of this machine.
//!
//! Enters: frames that leave the board (14-byte header, no preamble, no frame check sequence) and a [`LanConfig`].
//! Leaves: frames for the board, connections to the loopback sockets that the configuration names, [`LanEvent`]s, a
//! capture. Must not know: TLS, boards, scenarios. In particular it does not know `virtual-esp32c3`: the caller connects
//! the two.
//!
//! The network is one gateway that plays every other station on the wire. It leases the board its address (DHCP),
//! answers for every address (ARP), resolves the configured names (DNS) and joins the configured pairs of address and
//! port to sockets of this machine. Everything else is unreachable: the board is told so, and the attempt is recorded.
//! [`Faults`] make it a bad network.

mod faults;
mod event;
mod clock;
mod config;
mod packet;
mod crossings;
mod dhcp;
mod dns;
mod sight;
mod fate;
mod record;
mod wire;
mod connection;
mod gateway;
mod lan;

pub use clock::TimeSource;
pub use config::{Join, LanConfig, LanError};
pub use crossings::{Crossings, Standstill};
pub use event::{ClosedReason, Effect, LanEvent, NameAnswer, RefusedReason, Unanswered, Unreachable, What};
pub use faults::{
    Decoy, DhcpFaults, Direction, DnsFaults, FaultError, Faults, Impairment, Moment, NameError, Outage, Scope,
    SynFaults,
};
pub use lan::{FramePort, Lan};
pub use sight::{SHOWN, Sent, Sight};
