//! Frames taken apart as far as the gateway has to see, and datagrams put together.
//!
//! Enters: frames of the board. Leaves: what they ask for; frames for the board. Must not know: what is answered.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::{
    phy::ChecksumCapabilities,
    wire::{
        ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Packet,
        Ipv4Repr, TcpControl, TcpPacket, TcpRepr, UdpPacket, UdpRepr,
    },
};

use crate::wire::LONGEST;

/// A frame of the board whose lengths and checksums hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// Somebody is asked for, or announced.
    Arp { target: Ipv4Addr },
    Udp {
        mac: EthernetAddress,
        from: SocketAddrV4,
        to: SocketAddrV4,
        payload: &'a [u8],
    },
    Tcp {
        from: SocketAddrV4,
        to: SocketAddrV4,
        kind: Segment,
    },
    /// ICMP, or a protocol that nobody here speaks.
    Other { from: Ipv4Addr, to: Ipv4Addr, protocol: u8 },
}

/// What a TCP segment does to its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment {
    /// SYN without ACK: asks for a new connection.
    Open,
    Reset,
    Other,
}

impl<'a> Packet<'a> {
    /// Takes a frame apart. `None` for frames to other stations, other protocols, fragments, and whatever is malformed: a real
    /// network card or stack would drop them too.
    pub(crate) fn parse(frame: &'a [u8], gateway: EthernetAddress) -> Option<Self> {
        if frame.len() > LONGEST {
            return None;
        }
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        let destination = ethernet.dst_addr();
        if destination != gateway && !destination.is_broadcast() && !destination.is_multicast() {
            return None;
        }
        match ethernet.ethertype() {
            EthernetProtocol::Arp => parse_arp(ethernet.payload()),
            EthernetProtocol::Ipv4 => parse_ipv4(ethernet.src_addr(), ethernet.payload()),
            _ => None,
        }
    }
}

fn parse_arp(payload: &[u8]) -> Option<Packet<'_>> {
    match ArpRepr::parse(&ArpPacket::new_checked(payload).ok()?).ok()? {
        ArpRepr::EthernetIpv4 {
            target_protocol_addr, ..
        } => Some(Packet::Arp {
            target: target_protocol_addr,
        }),
        _ => None,
    }
}

fn parse_ipv4(mac: EthernetAddress, payload: &[u8]) -> Option<Packet<'_>> {
    let checksums = ChecksumCapabilities::default();
    let ipv4 = Ipv4Packet::new_checked(payload).ok()?;
    let Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header,
        ..
    } = Ipv4Repr::parse(&ipv4, &checksums).ok()?;
    if ipv4.more_frags() || ipv4.frag_offset() != 0 {
        return None;
    }
    // The payload's lifetime is the frame's, not the view's.
    let payload = payload.get(usize::from(ipv4.header_len())..usize::from(ipv4.total_len()))?;
    Some(match next_header {
        IpProtocol::Udp => {
            let packet = UdpPacket::new_checked(payload).ok()?;
            let udp = UdpRepr::parse(&packet, &from.into(), &to.into(), &checksums).ok()?;
            Packet::Udp {
                mac,
                from: SocketAddrV4::new(from, udp.src_port),
                to: SocketAddrV4::new(to, udp.dst_port),
                payload: payload.get(UDP_HEADER..usize::from(packet.len()))?,
            }
        }
        IpProtocol::Tcp => {
            let packet = TcpPacket::new_checked(payload).ok()?;
            let tcp = TcpRepr::parse(&packet, &from.into(), &to.into(), &checksums).ok()?;
            Packet::Tcp {
                from: SocketAddrV4::new(from, tcp.src_port),
                to: SocketAddrV4::new(to, tcp.dst_port),
                kind: match (tcp.control, tcp.ack_number) {
                    (TcpControl::Syn, None) => Segment::Open,
                    (TcpControl::Rst, _) => Segment::Reset,
                    _ => Segment::Other,
                },
            }
        }
        other => Packet::Other {
            from,
            to,
            protocol: other.into(),
        },
    })
}

/// A UDP datagram in a frame, checksums filled in. The payload must fit one frame.
pub(crate) fn udp_frame(
    (from_mac, from): (EthernetAddress, SocketAddrV4),
    (to_mac, to): (EthernetAddress, SocketAddrV4),
    payload: &[u8],
) -> Vec<u8> {
    let checksums = ChecksumCapabilities::default();
    let ethernet = EthernetRepr {
        src_addr: from_mac,
        dst_addr: to_mac,
        ethertype: EthernetProtocol::Ipv4,
    };
    let udp = UdpRepr {
        src_port: from.port(),
        dst_port: to.port(),
    };
    let ipv4 = Ipv4Repr {
        src_addr: *from.ip(),
        dst_addr: *to.ip(),
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: 64,
    };
    let mut frame = vec![0; ethernet.buffer_len() + ipv4.buffer_len() + ipv4.payload_len];
    let (ethernet_header, rest) = frame.split_at_mut(ethernet.buffer_len());
    let (ipv4_header, datagram) = rest.split_at_mut(ipv4.buffer_len());
    udp.emit(
        &mut UdpPacket::new_unchecked(datagram),
        &(*from.ip()).into(),
        &(*to.ip()).into(),
        payload.len(),
        |body| body.copy_from_slice(payload),
        &checksums,
    );
    ethernet.emit(&mut EthernetFrame::new_unchecked(ethernet_header));
    // The stack's view of a header wants to see the whole packet only when it reads, so the header alone can be written.
    ipv4.emit(&mut Ipv4Packet::new_unchecked(ipv4_header), &checksums);
    frame
}

const UDP_HEADER: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
    const BOARD: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);

    fn datagram() -> Vec<u8> {
        udp_frame(
            (BOARD, "10.13.37.2:5000".parse().unwrap()),
            (GATEWAY, "10.13.37.1:53".parse().unwrap()),
            b"question",
        )
    }

    #[test]
    fn a_datagram_survives_being_put_together_and_taken_apart() {
        let mut frame = datagram();
        frame.resize(60, 0xee); // padding, as a network card adds it
        let expected = Packet::Udp {
            mac: BOARD,
            from: "10.13.37.2:5000".parse().unwrap(),
            to: "10.13.37.1:53".parse().unwrap(),
            payload: b"question",
        };
        assert_eq!(Packet::parse(&frame, GATEWAY), Some(expected));
    }

    #[test]
    fn any_flipped_bit_behind_the_ethernet_header_is_noticed() {
        for bit in 14 * 8..datagram().len() * 8 {
            let mut frame = datagram();
            frame[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Packet::parse(&frame, GATEWAY), None, "bit {bit}");
        }
    }

    #[test]
    fn frames_for_others_and_cut_frames_are_dropped() {
        assert_eq!(Packet::parse(&datagram(), BOARD), None);
        for length in 0..datagram().len() {
            assert_eq!(Packet::parse(&datagram()[..length], GATEWAY), None, "{length} bytes");
        }
        let mut long = datagram();
        long.resize(LONGEST + 1, 0);
        assert_eq!(Packet::parse(&long, GATEWAY), None);
    }
}
