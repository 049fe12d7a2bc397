//! What happened on the network, in the terms of someone who looks for the cause of a failure.
//!
//! Must not know: frames, sockets.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    num::NonZeroU16,
    time::Duration,
};

use crate::faults::{Direction, NameError};

/// Something that happened on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LanEvent {
    /// Time since the network started.
    pub at: Duration,
    /// What it was.
    pub what: What,
}

/// What a [`LanEvent`] reports.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The board was given its address (DHCPACK).
    LeaseGiven {
        /// Hardware address of the board.
        mac: [u8; 6],
        /// The address.
        address: Ipv4Addr,
    },
    /// The board insisted on an address that it cannot have (DHCPNAK).
    LeaseRefused {
        /// Hardware address of the board.
        mac: [u8; 6],
        /// The address that it asked for.
        asked: Ipv4Addr,
    },
    /// The board asked for a name (DNS).
    NameAsked {
        /// The name as asked, without the dot at the end; bytes that are not graphic ASCII as `\DDD` (RFC 1035 section 5.1).
        name: String,
        /// Type of the question: 1 is A, 28 is AAAA.
        kind: u16,
        /// What it was told.
        answer: NameAnswer,
    },
    /// A connection of the board was let through to a socket of this machine.
    Opened {
        /// Number of the connection, from 1.
        connection: u64,
        /// Endpoint of the board.
        board: SocketAddrV4,
        /// Endpoint that the board connected to.
        to: SocketAddrV4,
        /// The socket of this machine.
        target: SocketAddr,
        /// This end of the connection to `target`: what the server sees as its peer.
        from: SocketAddr,
    },
    /// A connection of the board was answered with a reset although its endpoint is joined.
    Refused {
        /// Endpoint of the board.
        board: SocketAddrV4,
        /// Endpoint that the board connected to.
        to: SocketAddrV4,
        /// The socket of this machine.
        target: SocketAddr,
        /// Why.
        reason: RefusedReason,
    },
    /// A connection ended.
    Closed {
        /// Number of the connection, as in [`What::Opened`].
        connection: u64,
        /// How it ended.
        reason: ClosedReason,
        /// Bytes that the board sent and the socket of this machine took.
        from_board: u64,
        /// Bytes that the socket of this machine sent; not all need to have reached the board when it was reset.
        to_board: u64,
    },
    /// The board tried to reach something that is not there.
    Unreachable {
        /// What it tried.
        protocol: Unreachable,
        /// Endpoint that it tried (port 0 where the protocol has none).
        to: SocketAddrV4,
    },
    /// A frame fared worse than on a good network.
    Disturbed {
        /// Which way it went.
        direction: Direction,
        /// Its number among those that went this way, from 1, since the faults were put in force.
        frame: u64,
        /// What befell it.
        effect: Effect,
    },
    /// The board asked for something and was not answered, on purpose.
    Unanswered(Unanswered),
    /// The board sent frames faster than the network takes them, and one was lost.
    FrameLost,
    /// So much has happened that nothing further is recorded.
    RecordFull,
}

/// What a question for a name was answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameAnswer {
    /// The address of the name.
    Address(Ipv4Addr),
    /// The name is known, but has nothing of the type that was asked for.
    NoData,
    /// There is no such name (NXDOMAIN).
    Unknown,
    /// An error, on purpose.
    Error(NameError),
}

/// What befell a frame on a bad network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It was lost.
    Lost,
    /// The cable was out.
    LinkDown,
    /// A bit was flipped on the wire, and the receiver's MAC dropped it.
    Corrupted,
    /// This bit of the frame was flipped, and the frame check sequence is right: only a checksum of IP, TCP or UDP can tell.
    ChecksumBroken {
        /// Counted from the first bit of the destination's address.
        bit: usize,
    },
    /// It arrived this much later.
    Delayed(Duration),
    /// It was not delayed, unlike those around it.
    Reordered,
    /// It arrived twice.
    Duplicated,
    /// It arrived in pieces with at most so many bytes of TCP's payload.
    Cut(NonZeroU16),
}

/// What stayed unanswered on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// An ARP request for this address.
    Arp(Ipv4Addr),
    /// A DHCPDISCOVER.
    Discover,
    /// A DNS query.
    Query,
    /// A SYN to this endpoint.
    Syn(SocketAddrV4),
}

/// Why a connection was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusedReason {
    /// The socket of this machine refused, in the words of the operating system.
    Host(String),
    /// The socket of this machine did not answer in time.
    Timeout(Duration),
    /// The board has too many connections open: the number is the limit.
    TooMany(usize),
    /// On purpose.
    Fault,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedReason {
    /// Both sides finished (FIN).
    Finished,
    /// The board reset it (RST).
    BoardReset,
    /// The socket of this machine reset it (RST).
    HostReset,
    /// The board stopped to answer, and the connection was reset on both sides.
    BoardSilent,
    /// The network cut it, on both sides.
    Cut,
}

/// What an attempt to reach nothing was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// A TCP SYN, answered with a reset.
    Tcp,
    /// A UDP datagram, answered with "port unreachable" unless it was a broadcast or multicast.
    Udp,
    /// Another protocol of IPv4 (its number), not answered.
    Other(u8),
}

impl fmt::Display for LanEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s {}", self.at.as_secs_f64(), self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaseGiven { mac, address } => write!(f, "lease {address} to {}", Mac(mac)),
            Self::LeaseRefused { mac, asked } => write!(f, "lease {asked} refused to {}", Mac(mac)),
            Self::NameAsked { name, kind, answer } => {
                write!(f, "name {name} (type {kind}): ")?;
                match answer {
                    NameAnswer::Address(address) => write!(f, "{address}"),
                    NameAnswer::NoData => f.write_str("no such record"),
                    NameAnswer::Unknown => f.write_str("unknown"),
                    NameAnswer::Error(NameError::NxDomain) => f.write_str("unknown, on purpose"),
                    NameAnswer::Error(NameError::ServFail) => f.write_str("server failure, on purpose"),
                    NameAnswer::Error(NameError::Refused) => f.write_str("refused, on purpose"),
                }
            }
            Self::Opened {
                connection,
                board,
                to,
                target,
                from,
            } => {
                write!(
                    f,
                    "connection {connection} opened: {board} to {to}, from {from} to {target}"
                )
            }
            Self::Refused {
                board,
                to,
                target,
                reason,
            } => {
                write!(f, "connection refused: {board} to {to}, joined to {target}: ")?;
                match reason {
                    RefusedReason::Host(reason) => f.write_str(reason),
                    RefusedReason::Timeout(limit) => write!(f, "no answer in {limit:?}"),
                    RefusedReason::TooMany(limit) => write!(f, "{limit} connections are open"),
                    RefusedReason::Fault => f.write_str("on purpose"),
                }
            }
            Self::Closed {
                connection,
                reason,
                from_board,
                to_board,
            } => {
                let reason = match reason {
                    ClosedReason::Finished => "finished",
                    ClosedReason::BoardReset => "reset by the board",
                    ClosedReason::HostReset => "reset by this machine",
                    ClosedReason::BoardSilent => "given up, the board is silent",
                    ClosedReason::Cut => "cut",
                };
                write!(
                    f,
                    "connection {connection} {reason}: {from_board} bytes from the board, {to_board} to it"
                )
            }
            Self::Unreachable {
                protocol: Unreachable::Tcp,
                to,
            } => write!(f, "unreachable: TCP {to}"),
            Self::Unreachable {
                protocol: Unreachable::Udp,
                to,
            } => write!(f, "unreachable: UDP {to}"),
            Self::Unreachable {
                protocol: Unreachable::Other(number),
                to,
            } => {
                write!(f, "unreachable: protocol {number} {}", to.ip())
            }
            Self::Disturbed {
                direction,
                frame,
                effect,
            } => {
                let direction = match direction {
                    Direction::FromBoard => "from",
                    Direction::ToBoard => "to",
                };
                write!(f, "frame {frame} {direction} the board ")?;
                match effect {
                    Effect::Lost => f.write_str("lost"),
                    Effect::LinkDown => f.write_str("lost: the cable is out"),
                    Effect::Corrupted => f.write_str("corrupted and dropped"),
                    Effect::ChecksumBroken { bit } => write!(f, "corrupted: bit {bit}, which only a checksum can tell"),
                    Effect::Delayed(by) => write!(f, "delayed by {by:?}"),
                    Effect::Reordered => f.write_str("not delayed, ahead of others"),
                    Effect::Duplicated => f.write_str("duplicated"),
                    Effect::Cut(size) => write!(f, "cut into pieces of {size} bytes"),
                }
            }
            Self::Unanswered(what) => {
                f.write_str("on purpose unanswered: ")?;
                match what {
                    Unanswered::Arp(address) => write!(f, "ARP request for {address}"),
                    Unanswered::Discover => f.write_str("DHCPDISCOVER"),
                    Unanswered::Query => f.write_str("DNS query"),
                    Unanswered::Syn(to) => write!(f, "SYN to {to}"),
                }
            }
            Self::FrameLost => f.write_str("a frame was lost: the board sends too fast"),
            Self::RecordFull => f.write_str("the record is full"),
        }
    }
}

struct Mac<'a>(&'a [u8; 6]);

impl fmt::Display for Mac<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
