//! What is wrong with a network, in the words of Linux's netem(8) where it has one.
//!
//! Enters: the caller's wishes. Leaves: [`Faults`] that were checked once. Must not know: how they are brought about.
//!
//! Everything that is left to chance comes from the seed: the n-th frame of a direction always meets the same fate.

use std::{num::NonZeroU16, time::Duration};

/// All that is wrong with a network. [`Default`] is a good one.
///
/// Frames, bytes, queries and time are counted from the moment at which the faults were put in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// Where chance begins.
    pub seed: u64,
    /// What befalls frames on their way to the board.
    pub to_board: Impairment,
    /// What befalls frames on their way from the board.
    pub from_board: Impairment,
    /// When the cable is out: every frame of both directions is lost. Neither the board's MAC nor its driver can see it, since
    /// the emulated MAC has no PHY that would tell.
    pub outages: Vec<Outage>,
    /// How many of the board's ARP requests stay unanswered.
    pub arp_ignore_first: u32,
    /// What is wrong with the DHCP server.
    pub dhcp: DhcpFaults,
    /// What is wrong with the DNS server.
    pub dns: DnsFaults,
    /// What befalls the board's attempts to connect.
    pub syn: SynFaults,
}

/// What befalls the frames of one direction. Probabilities are from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Impairment {
    /// Probability that a frame is lost.
    pub loss: f64,
    /// How much later each frame arrives.
    pub delay: Duration,
    /// By how much `delay` varies, both ways, evenly; not below zero. Frames overtake each other then.
    pub jitter: Duration,
    /// Probability that a frame is not delayed and so overtakes those before it. Needs a `delay`.
    pub reorder: f64,
    /// Probability that a frame arrives twice.
    pub duplicate: f64,
    /// Probability that a bit is flipped on the wire. The receiving MAC finds the frame check sequence wrong and drops the frame.
    pub corrupt: f64,
    /// Probability that a bit is flipped where the frame check sequence is right again afterwards, as in the memory of a faulty
    /// switch: only the checksums of IP, TCP and UDP can tell. Frames without IPv4, which have none, are spared.
    pub corrupt_checksum: f64,
    /// The most bytes of TCP's payload that one frame carries: longer segments are cut, and the pieces follow each other at 0.2 ms.
    /// What was sent at once then arrives bit by bit. `None`: as many as fit.
    pub segment: Option<NonZeroU16>,
    /// The first so many frames in scope are spared.
    pub after: u64,
    /// It befalls so many frames behind those, and no later ones. `None`: all.
    pub frames: Option<u64>,
    /// Which frames are in scope.
    pub only: Scope,
}

/// Which frames an [`Impairment`] is about.
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

/// A time for which the cable is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When it begins. The frame that brings the moment about still passes.
    pub from: Moment,
    /// How long it lasts; `None`: as long as the faults are in force.
    pub lasts: Option<Duration>,
}

/// A moment in a network's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After this time.
    Elapsed(Duration),
    /// When so many frames have gone this way.
    Frames(Direction, u64),
    /// When so many bytes of TCP's payload have gone this way, repeated ones included.
    Bytes(Direction, u64),
}

/// What is wrong with the DHCP server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DhcpFaults {
    /// How many DHCPDISCOVERs stay unanswered; [`u32::MAX`]: all, the server is silent.
    pub ignore_first: u32,
    /// How many DHCPREQUESTs are answered with DHCPNAK.
    pub refuse_first: u32,
    /// How late each answer is.
    pub delay: Duration,
}

/// What is wrong with the DNS server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DnsFaults {
    /// How many queries stay unanswered; [`u32::MAX`]: all, the server is silent.
    pub ignore_first: u32,
    /// What every name is answered with, in place of its address.
    pub answer: Option<NameError>,
    /// How late each answer is.
    pub delay: Duration,
    /// A forged answer that comes before the server's own. Resolvers must not take it.
    pub decoy: Option<Decoy>,
}

/// An answer that is no address (RFC 1035 section 4.1.1, RCODE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// NXDOMAIN: there is no such name.
    NxDomain,
    /// SERVFAIL: the server is unable to say.
    ServFail,
    /// REFUSED: the server will not say.
    Refused,
}

/// A forged answer. It names an address of TEST-NET-3 at which there is nothing, so that a board that takes it is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoy {
    /// Its transaction ID is not the query's.
    WrongId,
    /// Its question and answer are about another name.
    OtherName,
}

/// What befalls the board's SYNs to endpoints that exist. The first ones are ignored, the next refused, all others late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SynFaults {
    /// How many are lost in a black hole, repeated ones included; [`u32::MAX`]: all.
    pub ignore_first: u32,
    /// How many are answered with a reset, although something listens.
    pub refuse_first: u32,
    /// How late those that get through reach the server, and so how late the answer is.
    pub delay: Duration,
}

/// Why [`Faults`] make no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// A probability is none.
    #[error("{name} is {value}, which is no probability; use 0 to 1")]
    Probability {
        /// Which.
        name: &'static str,
        /// What it is.
        value: f64,
    },
    /// Nothing can be overtaken where nothing is delayed.
    #[error("reorder without a delay changes no order; give the delay that a reordered frame escapes")]
    ReorderWithoutDelay,
}

impl Faults {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self
            == Self {
                seed: self.seed,
                ..Self::default()
            }
    }

    /// Whether they make sense.
    ///
    /// # Errors
    /// The first thing that does not.
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
    fn what_is_no_probability_is_named() {
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
    fn a_seed_alone_is_no_fault() {
        let mut faults = Faults {
            seed: 7,
            ..Faults::default()
        };
        assert!(faults.are_none());
        faults.dns.answer = Some(NameError::ServFail);
        assert!(!faults.are_none());
    }
}
