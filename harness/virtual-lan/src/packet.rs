//! Takes frames apart as far as the gateway needs, and puts UDP datagrams into frames.
//!
//! Enters: frames of the board. Leaves: what they ask for, and frames for the board. Must not know: what the answers
//! say.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::{
    phy::ChecksumCapabilities,
    wire::{
        ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Packet,
        Ipv4Repr, TcpControl, TcpPacket, TcpRepr, UdpPacket, UdpRepr,
    },
};

/// Longest frame in bytes: an MTU of 1500 behind the Ethernet header.
pub(crate) const LONGEST: usize = 1514;

/// Shortest frame in bytes that a network card puts on the wire, without its check sequence (IEEE 802.3 clause
/// 4.2.3.3). Receivers drop shorter ones as runts.
pub(crate) const SHORTEST: usize = 60;

/// A frame of the board whose lengths and checksums are right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// The board asks for a station's hardware address, or announces one.
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
        /// Bytes of payload.
        bytes: usize,
    },
    /// ICMP, or a protocol that this network does not have.
    Other {
        from: Ipv4Addr,
        to: Ipv4Addr,
        protocol: u8,
        /// The first byte of the payload; for ICMP, the message's type.
        first: Option<u8>,
    },
}

/// What a TCP segment does to its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment {
    /// A SYN without ACK asks for a new connection.
    Open,
    /// A RST.
    Reset,
    /// Any other segment.
    Other,
}

impl<'a> Packet<'a> {
    /// Takes a frame apart. `None` for frames to other stations, other protocols, fragments and malformed frames, which
    /// a real network card or stack would drop too.
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
    // Cut from the frame's own bytes, so that the payload lives as long as the frame and not only as long as `ipv4`.
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
                bytes: tcp.payload.len(),
            }
        }
        other => Packet::Other {
            from,
            to,
            protocol: other.into(),
            first: payload.first().copied(),
        },
    })
}

/// A frame with a UDP datagram, checksums included. The payload must fit one frame.
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
    // `emit` writes the header only, so it needs no more than the header's bytes.
    ipv4.emit(&mut Ipv4Packet::new_unchecked(ipv4_header), &checksums);
    frame
}

/// Cuts a frame's TCP segment into pieces of at most `size` bytes of payload, each in a frame of its own. `size` must
/// not be zero. Returns the frame as it is if it carries no TCP or its checksums are wrong.
pub(crate) fn cut_segment(frame: &[u8], size: usize) -> Vec<Vec<u8>> {
    pieces(frame, size).unwrap_or_else(|| vec![frame.to_vec()])
}

fn pieces(frame: &[u8], size: usize) -> Option<Vec<Vec<u8>>> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    let ipv4 = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
    if ethernet.ethertype() != EthernetProtocol::Ipv4 || ipv4.next_header() != IpProtocol::Tcp {
        return None;
    }
    let (from, to) = (ipv4.src_addr().into(), ipv4.dst_addr().into());
    let tcp = TcpPacket::new_checked(ipv4.payload()).ok()?;
    if !ipv4.verify_checksum() || !tcp.verify_checksum(&from, &to) {
        return None;
    }
    let payload = tcp.payload();
    let headers = EthernetFrame::<&[u8]>::header_len() + usize::from(ipv4.header_len()) + usize::from(tcp.header_len());
    let count = payload.len().div_ceil(size);
    let piece = |(index, bytes): (usize, &[u8])| {
        let mut piece = [frame.get(..headers)?, bytes].concat();
        let mut ethernet = EthernetFrame::new_unchecked(&mut piece[..]);
        let mut ipv4 = Ipv4Packet::new_unchecked(ethernet.payload_mut());
        let length = u16::from(ipv4.header_len()) + u16::from(tcp.header_len()) + u16::try_from(bytes.len()).ok()?;
        ipv4.set_total_len(length);
        ipv4.fill_checksum();
        let mut segment = TcpPacket::new_unchecked(ipv4.payload_mut());
        segment.set_seq_number(tcp.seq_number() + index * size);
        if index + 1 < count {
            segment.set_fin(false);
            segment.set_psh(false);
        }
        segment.fill_checksum(&from, &to);
        let shortest = SHORTEST.max(piece.len());
        piece.resize(shortest, 0);
        Some(piece)
    };
    payload.chunks(size).enumerate().map(piece).collect()
}

const UDP_HEADER: usize = 8;

#[cfg(test)]
mod tests {
    use smoltcp::wire::TcpSeqNumber;

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
    fn a_datagram_is_taken_apart_into_what_it_was_put_together_from() {
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

    /// A segment of the board's with this payload, PSH and FIN.
    fn segment(payload: &[u8]) -> Vec<u8> {
        let (from, to) = (Ipv4Addr::new(10, 13, 37, 2), Ipv4Addr::new(10, 13, 37, 10));
        let mut frame = vec![0; 54 + payload.len()];
        EthernetRepr {
            src_addr: BOARD,
            dst_addr: GATEWAY,
            ethertype: EthernetProtocol::Ipv4,
        }
        .emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
        Ipv4Repr {
            src_addr: from,
            dst_addr: to,
            next_header: IpProtocol::Tcp,
            payload_len: 20 + payload.len(),
            hop_limit: 64,
        }
        .emit(
            &mut Ipv4Packet::new_unchecked(&mut frame[14..]),
            &ChecksumCapabilities::default(),
        );
        let mut tcp = TcpPacket::new_unchecked(&mut frame[34..]);
        tcp.set_src_port(5000);
        tcp.set_dst_port(443);
        tcp.set_seq_number(TcpSeqNumber(-3));
        tcp.set_header_len(20);
        tcp.set_ack(true);
        tcp.set_fin(true);
        tcp.set_psh(true);
        tcp.payload_mut().copy_from_slice(payload);
        tcp.fill_checksum(&from.into(), &to.into());
        frame
    }

    #[test]
    fn the_pieces_of_a_segment_carry_the_same_stream() {
        let whole = segment(b"abcdefg");
        let pieces = cut_segment(&whole, 3);
        let seen: Vec<_> = pieces
            .iter()
            .map(|piece| {
                assert!(
                    matches!(Packet::parse(piece, GATEWAY), Some(Packet::Tcp { .. })),
                    "{piece:x?}"
                );
                assert_eq!(piece.len(), SHORTEST);
                let ipv4 = Ipv4Packet::new_checked(&piece[14..]).unwrap();
                let tcp = TcpPacket::new_checked(ipv4.payload()).unwrap();
                (tcp.seq_number().0, tcp.payload().to_vec(), tcp.psh(), tcp.fin())
            })
            .collect();
        let expected = [(-3, &b"abc"[..], false), (0, b"def", false), (3, b"g", true)];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(seq, bytes, last)| (seq, bytes.to_vec(), last, last))
            .collect();
        assert_eq!(seen, expected);
        assert_eq!(cut_segment(&datagram(), 3), [datagram()], "UDP is not cut");
        let mut broken = whole;
        broken[60] ^= 1;
        assert_eq!(
            cut_segment(&broken, 3),
            [broken.clone()],
            "a frame with a wrong checksum stays as it is"
        );
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
    fn frames_for_other_stations_and_frames_of_wrong_length_are_dropped() {
        assert_eq!(Packet::parse(&datagram(), BOARD), None);
        for length in 0..datagram().len() {
            assert_eq!(Packet::parse(&datagram()[..length], GATEWAY), None, "{length} bytes");
        }
        let mut long = datagram();
        long.resize(LONGEST + 1, 0);
        assert_eq!(Packet::parse(&long, GATEWAY), None);
    }
}
