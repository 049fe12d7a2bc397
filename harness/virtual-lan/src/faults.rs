//! What is wrong with a network. Where Linux's netem(8) has a word for it, that word is used.
//!
//! Enters: the caller's settings. Leaves: [`Faults`] that were checked once. Must not know: how the faults are brought
//! about.
//!
//! All random numbers come from the seed: with the same faults and seed, the n-th frame of a direction always meets the
//! same fate.

use std::{num::NonZeroU16, time::Duration};

/// All that is wrong with a network. [`Default`] is a good network.
///
/// Frames, bytes, queries and time are counted from the moment at which the faults were put in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// Seed of the random numbers.
    pub seed: u64,
    /// What happens to frames on their way to the board.
    pub to_board: Impairment,
    /// What happens to frames on their way from the board.
    pub from_board: Impairment,
    /// When the cable is unplugged, so that every frame of both directions is lost. The board cannot notice it by
    /// anything else, since its emulated MAC has no PHY that reports the state of the link.
    pub outages: Vec<Outage>,
    /// How many of the board's ARP requests stay unanswered.
    pub arp_ignore_first: u32,
    /// What is wrong with the DHCP server.
    pub dhcp: DhcpFaults,
    /// What is wrong with the DNS server.
    pub dns: DnsFaults,
    /// What happens to the board's attempts to connect.
    pub syn: SynFaults,
}

/// What happens to the frames of one direction. Probabilities are from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Impairment {
    /// Probability that a frame is lost.
    pub loss: f64,
    /// How much later each frame arrives.
    pub delay: Duration,
    /// By how much the delay varies: it is evenly distributed from `delay - jitter` to `delay + jitter`, and at least
    /// zero. Frames may then overtake each other.
    pub jitter: Duration,
    /// Probability that a frame is not delayed, so that it overtakes those before it. Needs a `delay`.
    pub reorder: f64,
    /// Probability that a frame arrives twice.
    pub duplicate: f64,
    /// Probability that a bit is flipped on the wire. The receiving MAC sees that the frame check sequence is wrong and
    /// drops the frame.
    pub corrupt: f64,
    /// Probability that a bit is flipped before the frame check sequence is computed, as in the memory of a faulty
    /// switch. Only the checksums of IP, TCP and UDP can reveal it. Frames without IPv4 are spared, since they have no
    /// checksum.
    pub corrupt_checksum: f64,
    /// The most bytes of TCP payload that one frame carries. Longer segments are cut, and their pieces arrive 0.2 ms
    /// apart, so that a message which was sent at once arrives in many parts. `None`: as many bytes as fit a frame.
    pub segment: Option<NonZeroU16>,
    /// How many frames in scope are spared at first.
    pub after: u64,
    /// How many frames in scope are affected after those; later ones are spared again. `None`: all.
    pub frames: Option<u64>,
    /// Which frames are in scope.
    pub only: Scope,
}

/// Which frames an [`Impairment`] affects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    #[default]
    All,
    /// Those that carry TCP over IPv4.
    Tcp,
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the board to the network.
    FromBoard,
    /// From the network to the board.
    ToBoard,
}

/// A time for which the cable is unplugged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When it begins. The frame with which a count is reached still passes.
    pub from: Moment,
    /// How long it lasts. `None`: as long as the faults are in force.
    pub lasts: Option<Duration>,
}

/// A moment in a network's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// When this much time has passed.
    Elapsed(Duration),
    /// When this many frames have gone this way.
    Frames(Direction, u64),
    /// When this many bytes of TCP payload have gone this way, repeated ones included.
    Bytes(Direction, u64),
}

/// What is wrong with the DHCP server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DhcpFaults {
    /// How many DHCPDISCOVERs stay unanswered. [`u32::MAX`]: all of them.
    pub ignore_first: u32,
    /// How many DHCPREQUESTs are answered with DHCPNAK.
    pub refuse_first: u32,
    /// How late each answer is.
    pub delay: Duration,
}

/// What is wrong with the DNS server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DnsFaults {
    /// How many queries stay unanswered. [`u32::MAX`]: all of them.
    pub ignore_first: u32,
    /// The error that every query is answered with, in place of an address.
    pub answer: Option<NameError>,
    /// How late each answer is.
    pub delay: Duration,
    /// A forged answer that arrives before the server's own. A resolver must not accept it.
    pub decoy: Option<Decoy>,
}

/// An error in place of an address (RFC 1035 section 4.1.1, RCODE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// NXDOMAIN: there is no such name.
    NxDomain,
    /// SERVFAIL: the server is unable to answer.
    ServFail,
    /// REFUSED: the server declines to answer.
    Refused,
}

/// A forged answer. It gives an address of TEST-NET-3 at which there is nothing, so that a board which accepts it fails
/// to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoy {
    /// Its transaction ID is not the query's.
    WrongId,
    /// Its question and answer are about another name.
    OtherName,
}

/// What happens to the board's SYNs to endpoints that exist. The first ones are ignored, the next ones refused, and all
/// others delayed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SynFaults {
    /// How many are dropped, repeated ones included. [`u32::MAX`]: all of them.
    pub ignore_first: u32,
    /// How many of the following are answered with a reset, although a server listens.
    pub refuse_first: u32,
    /// How late the others reach the server, and so how late its answer is.
    pub delay: Duration,
}

/// Why [`Faults`] cannot be put in force.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// A probability lies outside 0 to 1.
    #[error("{name} is {value}, which is not a probability; use 0 to 1")]
    Probability {
        /// The name of the setting, such as "loss".
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// `reorder` is set without a `delay`, so that no frame can overtake another.
    #[error("reorder has no effect without a delay; set the delay that reordered frames do not have")]
    ReorderWithoutDelay,
}

impl Faults {
    /// Whether nothing is wrong with the network, whatever the seed.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self
            == Self {
                seed: self.seed,
                ..Self::default()
            }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// For the first setting that is wrong.
    pub fn check(&self) -> Result<(), FaultError> {
        for impairment in [&self.to_board, &self.from_board] {
            for (name, value) in [
                ("loss", impairment.loss),
                ("reorder", impairment.reorder),
                ("duplicate", impairment.duplicate),
                ("corrupt", impairment.corrupt),
                ("corrupt-checksum", impairment.corrupt_checksum),
            ] {
                if !(0.0..=1.0).contains(&value) {
                    return Err(FaultError::Probability { name, value });
                }
            }
            if impairment.reorder > 0.0 && impairment.delay.is_zero() {
                return Err(FaultError::ReorderWithoutDelay);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_outside_0_to_1_is_refused_by_name() {
        for value in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let mut faults = Faults::default();
            faults.from_board.duplicate = value;
            assert!(
                matches!(faults.check(), Err(FaultError::Probability { name: "duplicate", .. })),
                "{value}"
            );
        }
        let mut faults = Faults::default();
        faults.to_board.reorder = 0.5;
        assert_eq!(faults.check(), Err(FaultError::ReorderWithoutDelay));
        faults.to_board.delay = Duration::from_millis(1);
        assert_eq!(faults.check(), Ok(()));
    }

    #[test]
    fn a_seed_alone_is_not_a_fault() {
        let mut faults = Faults {
            seed: 7,
            ..Faults::default()
        };
        assert!(faults.are_none());
        faults.dns.answer = Some(NameError::ServFail);
        assert!(!faults.are_none());
    }
}
