//! What the board itself puts on the wire, counted before any fault and any answer.
//!
//! Enters: frames as they leave the board. Leaves: a short list of [`Sight`]s, one for each kind of thing that was sent,
//! with the number of its frames. Nothing is left out: a frame that cannot be read is a sight, too. Must not know: what
//! becomes of a frame, and whether the board ought to have sent it.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddrV4},
};

use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, EthernetFrame};

use crate::{
    dhcp, dns,
    packet::{Packet, Segment},
};

/// Frames of the board that say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// What they say.
    pub sent: Sent,
    /// Their number.
    pub frames: u64,
}

/// What a frame of the board says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// An ARP request or announcement for this address.
    Arp(Ipv4Addr),
    /// A message to a DHCP server.
    Dhcp {
        /// Where it was sent.
        to: SocketAddrV4,
        /// Its type (option 53): 1 is DHCPDISCOVER, 3 is DHCPREQUEST.
        kind: u8,
    },
    /// A DNS query with one question.
    Question {
        /// The resolver that was asked.
        to: SocketAddrV4,
        /// The name as the board wrote it, without the dot at the end.
        name: String,
        /// The record type: 1 is A, 28 is AAAA.
        kind: u16,
    },
    /// Any other UDP datagram.
    Datagram {
        /// Where it was sent.
        to: SocketAddrV4,
        /// Bytes of its payload.
        bytes: usize,
        /// The first of them, at most [`SHOWN`].
        beginning: Vec<u8>,
    },
    /// The segments of one TCP connection. They are one sight, whatever their number.
    Tcp {
        /// Endpoint of the board.
        from: SocketAddrV4,
        /// Endpoint that the board wants to reach.
        to: SocketAddrV4,
        /// Segments that ask for the connection (SYN without ACK).
        opened: u64,
        /// Bytes of payload, repetitions included.
        bytes: u64,
    },
    /// Another protocol of IPv4.
    Ip {
        /// Where it was sent.
        to: Ipv4Addr,
        /// The protocol's number: 1 is ICMP.
        protocol: u8,
        /// The first byte of its payload: for ICMP, the message's type.
        first: Option<u8>,
    },
    /// A frame that is neither ARP nor valid IPv4: IPv6, a fragment, a wrong checksum.
    Frame {
        /// Its EtherType: 0x86dd is IPv6. `None` if it is too short to have one.
        kind: Option<u16>,
        /// Its bytes, with the Ethernet header.
        bytes: usize,
    },
    /// More kinds of things than the record holds.
    More,
}

/// The most bytes of a datagram that a sight keeps.
pub const SHOWN: usize = 64;

/// The most sights that are kept until they are taken. A run has about ten.
const MOST: usize = 1000;

/// The sights since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct Sights(Vec<Sight>);

impl Sights {
    /// Adds a frame that leaves the board.
    pub(crate) fn add(&mut self, frame: &[u8]) {
        let sent = Sent::of(frame);
        for sight in &mut self.0 {
            if sight.sent.absorbs(&sent) {
                sight.frames += 1;
                return;
            }
        }
        let sent = if self.0.len() < MOST { sent } else { Sent::More };
        self.0.push(Sight { sent, frames: 1 });
    }

    pub(crate) fn take(&mut self) -> Vec<Sight> {
        std::mem::take(&mut self.0)
    }
}

impl Sent {
    fn of(frame: &[u8]) -> Self {
        let ethernet = EthernetFrame::new_checked(frame).ok();
        // A frame for any station counts, whichever station it is.
        let station = ethernet.as_ref().map(EthernetFrame::dst_addr);
        let Some(packet) = station.and_then(|station| Packet::parse(frame, station)) else {
            return Self::Frame {
                kind: ethernet.map(|ethernet| ethernet.ethertype().into()),
                bytes: frame.len(),
            };
        };
        match packet {
            Packet::Arp { target } => Self::Arp(target),
            Packet::Udp { to, payload, .. } => Self::datagram(to, payload),
            Packet::Tcp { from, to, kind, bytes } => Self::Tcp {
                from,
                to,
                opened: u64::from(kind == Segment::Open),
                bytes: bytes as u64,
            },
            Packet::Other {
                to, protocol, first, ..
            } => Self::Ip { to, protocol, first },
        }
    }

    fn datagram(to: SocketAddrV4, payload: &[u8]) -> Self {
        let dhcp = || {
            let packet = DhcpPacket::new_checked(payload).ok()?;
            Some(DhcpRepr::parse(&packet).ok()?.message_type.into())
        };
        if to.port() == dhcp::SERVER_PORT
            && let Some(kind) = dhcp()
        {
            return Self::Dhcp { to, kind };
        }
        if to.port() == dns::PORT
            && let Some((name, kind)) = dns::asks_for(payload)
        {
            return Self::Question { to, name, kind };
        }
        Self::Datagram {
            to,
            bytes: payload.len(),
            beginning: payload[..payload.len().min(SHOWN)].to_vec(),
        }
    }

    /// Adds `other` to this, if both are the same thing.
    fn absorbs(&mut self, other: &Self) -> bool {
        match (&mut *self, other) {
            (
                Self::Tcp {
                    from,
                    to,
                    opened,
                    bytes,
                },
                Self::Tcp {
                    from: other_from,
                    to: other_to,
                    opened: more_opened,
                    bytes: more_bytes,
                },
            ) => {
                let same = (*from, *to) == (*other_from, *other_to);
                if same {
                    *opened += more_opened;
                    *bytes += more_bytes;
                }
                same
            }
            (Self::More, _) => true,
            (one, other) => *one == *other,
        }
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.sent)?;
        match self.frames {
            1 => Ok(()),
            frames => write!(f, " ({frames} frames)"),
        }
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arp(target) => write!(f, "ARP for {target}"),
            Self::Dhcp { to, kind } => {
                let name = match DhcpMessageType::from(*kind) {
                    DhcpMessageType::Discover => "DHCPDISCOVER",
                    DhcpMessageType::Request => "DHCPREQUEST",
                    _ => return write!(f, "DHCP message of type {kind} to {to}"),
                };
                write!(f, "{name} to {to}")
            }
            Self::Question { to, name, kind } => {
                write!(f, "DNS question to {to} for {}, type {kind}", name.escape_debug())
            }
            Self::Datagram { to, bytes, beginning } => {
                write!(
                    f,
                    "UDP datagram of {bytes} bytes to {to}: `{}`",
                    beginning.escape_ascii()
                )
            }
            Self::Tcp {
                from,
                to,
                opened,
                bytes,
            } => write!(f, "TCP from {from} to {to}, {opened} SYN(s), {bytes} bytes of payload"),
            Self::Ip { to, protocol, first } => {
                match protocol {
                    1 => write!(f, "ICMP to {to}")?,
                    _ => write!(f, "IP protocol {protocol} to {to}")?,
                }
                match (protocol, first) {
                    (1, Some(kind)) => write!(f, ", type {kind}"),
                    _ => Ok(()),
                }
            }
            Self::Frame {
                kind: Some(0x86dd),
                bytes,
            } => write!(f, "IPv6 frame of {bytes} bytes"),
            Self::Frame {
                kind: Some(kind),
                bytes,
            } => {
                write!(f, "frame of EtherType {kind:#06x}, {bytes} bytes, that is not valid")
            }
            Self::Frame { kind: None, bytes } => write!(f, "frame of {bytes} bytes, too short for Ethernet"),
            Self::More => f.write_str("more than the record of the network holds"),
        }
    }
}

#[cfg(test)]
mod tests {
    use smoltcp::wire::EthernetAddress;

    use super::*;
    use crate::packet::udp_frame;

    const BOARD: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
    const GATEWAY: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);

    fn seen(frames: &[Vec<u8>]) -> Vec<String> {
        let mut sights = Sights::default();
        frames.iter().for_each(|frame| sights.add(frame));
        sights.take().iter().map(ToString::to_string).collect()
    }

    fn datagram(port: u16, payload: &[u8]) -> Vec<u8> {
        let from = "10.13.37.2:50000".parse().unwrap();
        let to = SocketAddrV4::new(Ipv4Addr::new(10, 13, 37, 1), port);
        udp_frame((BOARD, from), (GATEWAY, to), payload)
    }

    #[test]
    fn a_datagram_is_quoted_and_the_same_one_is_counted() {
        let seen = seen(&[datagram(514, b"hello"), datagram(514, b"hello"), datagram(515, b"x")]);
        assert_eq!(
            seen,
            [
                "UDP datagram of 5 bytes to 10.13.37.1:514: `hello` (2 frames)",
                "UDP datagram of 1 bytes to 10.13.37.1:515: `x`"
            ]
        );
    }

    #[test]
    fn what_only_pretends_to_be_dns_or_dhcp_is_a_datagram() {
        for port in [53, 67] {
            let seen = seen(&[datagram(port, b"the pin is wrong")]);
            assert!(seen[0].contains("datagram of 16 bytes"), "{seen:?}");
        }
    }

    #[test]
    fn a_frame_that_cannot_be_read_is_seen() {
        let mut ipv6 = vec![0; 60];
        ipv6[12..14].copy_from_slice(&[0x86, 0xdd]);
        let mut spoilt = datagram(514, b"hello");
        spoilt[45] ^= 1;
        let seen = seen(&[ipv6, spoilt, vec![0; 5]]);
        assert_eq!(seen[0], "IPv6 frame of 60 bytes");
        assert!(seen[1].starts_with("frame of EtherType 0x0800"), "{seen:?}");
        assert_eq!(seen[2], "frame of 5 bytes, too short for Ethernet");
    }

    #[test]
    fn the_record_is_bounded_and_says_so() {
        let mut sights = Sights::default();
        for number in 0..2 * MOST {
            sights.add(&datagram(514, number.to_string().as_bytes()));
        }
        let taken = sights.take();
        assert_eq!(taken.len(), MOST + 1);
        assert_eq!((&taken[MOST].sent, taken[MOST].frames), (&Sent::More, MOST as u64));
        assert!(sights.take().is_empty(), "taken once");
    }
}
