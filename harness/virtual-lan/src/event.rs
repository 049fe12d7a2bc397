//! What happened on the network, told so that a reader finds the cause of a failure.
//!
//! Enters: nothing. Leaves: the events that other modules record, and their texts. Must not know: frames, sockets.

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
    /// Time since the network's start.
    pub at: Duration,
    /// What happened.
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
    /// The board asked for an address that it cannot have, or was refused on purpose (DHCPNAK).
    LeaseRefused {
        /// Hardware address of the board.
        mac: [u8; 6],
        /// The address that it asked for.
        asked: Ipv4Addr,
    },
    /// The board asked for a name (DNS).
    NameAsked {
        /// The name as the board wrote it, without the dot at the end. Bytes that are not graphic ASCII are written
        /// `\DDD` (RFC 1035 section 5.1).
        name: String,
        /// Type of the question: 1 is A, 28 is AAAA.
        kind: u16,
        /// The answer that it got.
        answer: NameAnswer,
    },
    /// A connection of the board reached a socket of this machine.
    Opened {
        /// Number of the connection, counted from 1.
        connection: u64,
        /// Endpoint of the board.
        board: SocketAddrV4,
        /// Endpoint that the board connected to.
        to: SocketAddrV4,
        /// The socket of this machine.
        target: SocketAddr,
        /// The gateway's end of the connection to `target`, which the server sees as its peer.
        from: SocketAddr,
    },
    /// A connection of the board was answered with a reset, although its endpoint is joined to a socket.
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
        /// Why it ended.
        reason: ClosedReason,
        /// Bytes that the board sent and the socket of this machine took.
        from_board: u64,
        /// Bytes that the socket of this machine sent. After a reset, not all of them need have reached the board.
        to_board: u64,
    },
    /// The board tried to reach an address or port at which there is nothing.
    Unreachable {
        /// The protocol that it tried.
        protocol: Unreachable,
        /// Endpoint that it tried; the port is 0 where the protocol has none.
        to: SocketAddrV4,
    },
    /// A fault has changed what became of a frame.
    Disturbed {
        /// Which way it went.
        direction: Direction,
        /// Its number among the frames that went this way since the faults were put in force, counted from 1.
        frame: u64,
        /// What became of it.
        effect: Effect,
    },
    /// A request of the board stayed unanswered, on purpose.
    Unanswered(Unanswered),
    /// A frame was lost because the board sent faster than the network takes frames.
    FrameLost,
    /// The record is full: no event after this one is kept.
    RecordFull,
}

/// The answer to a question for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameAnswer {
    /// The address of the name.
    Address(Ipv4Addr),
    /// The name is known, but has no record of the type that was asked for.
    NoData,
    /// There is no such name (NXDOMAIN).
    Unknown,
    /// An error, on purpose.
    Error(NameError),
}

/// What a fault did to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It was lost.
    Lost,
    /// It was lost because the cable was unplugged.
    LinkDown,
    /// A bit was flipped on the wire, and the receiver's MAC dropped it.
    Corrupted,
    /// A bit of the frame was flipped, and the frame check sequence still matches: only a checksum of IP, TCP or UDP
    /// can reveal it.
    ChecksumBroken {
        /// The bit's number, counted from the first bit of the destination's address.
        bit: usize,
    },
    /// It arrived this much later.
    Delayed(Duration),
    /// It was not delayed, unlike the frames around it, and so overtook them.
    Reordered,
    /// It arrived twice.
    Duplicated,
    /// It arrived in pieces, each with at most this many bytes of TCP payload.
    Cut(NonZeroU16),
}

/// A request that stayed unanswered on purpose.
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
    /// The socket of this machine refused. The text is the operating system's.
    Host(String),
    /// The socket of this machine did not answer in time.
    Timeout(Duration),
    /// The board has as many connections open as the network allows, which is this number.
    TooMany(usize),
    /// A fault that is in force.
    Fault,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedReason {
    /// Both sides finished (FIN).
    Finished,
    /// The board reset it (RST).
    BoardReset,
    /// The socket of this machine reset it (RST).
    HostReset,
    /// The board stopped answering, and the connection was reset on both sides.
    BoardSilent,
    /// The network cut it, on both sides.
    Cut,
}

/// The protocol of an attempt to reach an endpoint at which there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// A TCP SYN, answered with a reset.
    Tcp,
    /// A UDP datagram, answered with "port unreachable" unless it was a broadcast or multicast.
    Udp,
    /// Another protocol of IPv4, by its number. The network does not answer it.
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
            Self::LeaseGiven { mac, address } => write!(f, "lease of {address} given to {}", Mac(mac)),
            Self::LeaseRefused { mac, asked } => write!(f, "lease of {asked} refused to {}", Mac(mac)),
            Self::NameAsked { name, kind, answer } => {
                write!(f, "name {name} asked for (type {kind}): ")?;
                match answer {
                    NameAnswer::Address(address) => write!(f, "{address}"),
                    NameAnswer::NoData => f.write_str("no record of this type"),
                    NameAnswer::Unknown => f.write_str("unknown name"),
                    NameAnswer::Error(NameError::NxDomain) => f.write_str("unknown name, on purpose"),
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
                    RefusedReason::Timeout(limit) => write!(f, "no answer within {limit:?}"),
                    RefusedReason::TooMany(limit) => {
                        write!(f, "the board has {limit} connections open, the most it may have")
                    }
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
                    ClosedReason::BoardSilent => "reset since the board is silent",
                    ClosedReason::Cut => "cut by the network",
                };
                write!(
                    f,
                    "connection {connection} {reason}: {from_board} bytes from the board, {to_board} bytes to it"
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
                    Effect::LinkDown => f.write_str("lost: the cable is unplugged"),
                    Effect::Corrupted => f.write_str("corrupted, and dropped by the receiver"),
                    Effect::ChecksumBroken { bit } => write!(
                        f,
                        "corrupted at bit {bit}; only a checksum of IP, TCP or UDP can reveal it"
                    ),
                    Effect::Delayed(by) => write!(f, "delayed by {by:?}"),
                    Effect::Reordered => f.write_str("not delayed, so that it overtakes others"),
                    Effect::Duplicated => f.write_str("duplicated"),
                    Effect::Cut(size) => write!(f, "cut into pieces of at most {size} bytes of TCP payload"),
                }
            }
            Self::Unanswered(what) => {
                f.write_str("not answered, on purpose: ")?;
                match what {
                    Unanswered::Arp(address) => write!(f, "ARP request for {address}"),
                    Unanswered::Discover => f.write_str("DHCPDISCOVER"),
                    Unanswered::Query => f.write_str("DNS query"),
                    Unanswered::Syn(to) => write!(f, "SYN to {to}"),
                }
            }
            Self::FrameLost => f.write_str("a frame of the board lost: it sends faster than the network takes frames"),
            Self::RecordFull => f.write_str("the record is full: later events are not kept"),
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
