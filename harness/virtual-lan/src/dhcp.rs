//! The DHCP server (RFC 2131). It has one lease, for the one board.
//!
//! Enters: the payload of a datagram to port 67. Leaves: the answer and where it goes. Must not know: frames.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress};

use crate::{config::LanConfig, event::What};

/// An answer on its way to the board.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) mac: EthernetAddress,
    pub(crate) to: SocketAddrV4,
    pub(crate) payload: Vec<u8>,
    /// The event to record; `None` for an answer that neither gives nor refuses the lease.
    pub(crate) event: Option<What>,
}

/// What a DHCP message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// DHCPDISCOVER.
    Offer,
    /// DHCPREQUEST.
    Lease,
}

/// What is done with the board's requests for its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requests {
    /// They get a DHCPACK.
    Granted,
    /// They get a DHCPNAK, on purpose.
    Refused,
}

/// What a DHCP message asks for; `None` if it is neither of these.
pub(crate) fn asks_for(message: &[u8]) -> Option<Asked> {
    let packet = DhcpPacket::new_checked(message).ok()?;
    match DhcpRepr::parse(&packet).ok()?.message_type {
        DhcpMessageType::Discover => Some(Asked::Offer),
        DhcpMessageType::Request => Some(Asked::Lease),
        _ => None,
    }
}

/// Answers a DHCP message; `None` if it needs no answer or is for another server. A request is granted if it is for the
/// board's lease and `requests` does not refuse it.
pub(crate) fn answer(config: &LanConfig, message: &[u8], requests: Requests) -> Option<Answer> {
    let packet = DhcpPacket::new_checked(message).ok()?;
    let asked = DhcpRepr::parse(&packet).ok()?;
    if asked.server_identifier.is_some_and(|server| server != config.gateway) {
        return None;
    }
    let mac = asked.client_hardware_address.0;
    let (message_type, event) = match asked.message_type {
        DhcpMessageType::Discover => (DhcpMessageType::Offer, None),
        DhcpMessageType::Inform => (DhcpMessageType::Ack, None),
        DhcpMessageType::Request => {
            // Option 50 while selecting or after a reboot, ciaddr while renewing (RFC 2131 table 4).
            let wanted = asked.requested_ip.unwrap_or(asked.client_ip);
            if wanted == config.lease && requests == Requests::Granted {
                (DhcpMessageType::Ack, Some(What::LeaseGiven { mac, address: wanted }))
            } else {
                (DhcpMessageType::Nak, Some(What::LeaseRefused { mac, asked: wanted }))
            }
        }
        _ => return None, // a release or a decline; the board keeps its lease all the same
    };
    let refused = message_type == DhcpMessageType::Nak;
    let informed = asked.message_type == DhcpMessageType::Inform;
    let leases = !refused && !informed;
    let reply = DhcpRepr {
        message_type,
        transaction_id: asked.transaction_id,
        secs: 0,
        client_hardware_address: asked.client_hardware_address,
        client_ip: if refused {
            Ipv4Addr::UNSPECIFIED
        } else {
            asked.client_ip
        },
        your_ip: if leases { config.lease } else { Ipv4Addr::UNSPECIFIED },
        server_ip: Ipv4Addr::UNSPECIFIED,
        router: (!refused).then_some(config.gateway),
        subnet_mask: (!refused).then(|| config.netmask()),
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: asked.broadcast,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(config.gateway),
        parameter_request_list: None,
        dns_servers: (!refused).then(|| [config.gateway].into_iter().collect()),
        max_size: None,
        lease_duration: leases.then(|| u32::try_from(config.lease_time.as_secs()).unwrap_or(u32::MAX)),
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    let mut payload = vec![0; reply.buffer_len()];
    reply.emit(&mut DhcpPacket::new_unchecked(&mut payload[..])).ok()?;
    // RFC 2131 section 4.1. A refusal is broadcast. A client that has an address is answered there. Any other client is
    // answered at the address that it is about to have, or by broadcast if it says by the flag that it cannot receive
    // there yet.
    let (mac, address) = if refused {
        (EthernetAddress::BROADCAST, Ipv4Addr::BROADCAST)
    } else if !asked.client_ip.is_unspecified() {
        (asked.client_hardware_address, asked.client_ip)
    } else if asked.broadcast {
        (EthernetAddress::BROADCAST, Ipv4Addr::BROADCAST)
    } else {
        (asked.client_hardware_address, config.lease)
    };
    Some(Answer {
        mac,
        to: SocketAddrV4::new(address, CLIENT_PORT),
        payload,
        event,
    })
}

/// UDP port of DHCP servers.
pub(crate) const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

    fn message(change: impl FnOnce(&mut DhcpRepr<'_>)) -> Vec<u8> {
        let mut repr = DhcpRepr {
            message_type: DhcpMessageType::Request,
            transaction_id: 0x1234_5678,
            secs: 0,
            client_hardware_address: EthernetAddress(MAC),
            client_ip: Ipv4Addr::UNSPECIFIED,
            your_ip: Ipv4Addr::UNSPECIFIED,
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: false,
            requested_ip: None,
            client_identifier: None,
            server_identifier: None,
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        };
        change(&mut repr);
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..])).unwrap();
        bytes
    }

    fn reply_type(answer: &Answer) -> DhcpMessageType {
        DhcpRepr::parse(&DhcpPacket::new_checked(&answer.payload[..]).unwrap())
            .unwrap()
            .message_type
    }

    #[test]
    fn a_request_for_another_address_is_refused_by_broadcast() {
        let config = LanConfig::default();
        let asked = Ipv4Addr::new(192, 168, 4, 2);
        let answer = answer(&config, &message(|m| m.requested_ip = Some(asked)), Requests::Granted).unwrap();
        assert_eq!(reply_type(&answer), DhcpMessageType::Nak);
        assert_eq!(answer.to, "255.255.255.255:68".parse().unwrap());
        assert_eq!(answer.event, Some(What::LeaseRefused { mac: MAC, asked }));
    }

    #[test]
    fn a_renewal_is_answered_at_the_address_that_it_comes_from() {
        let config = LanConfig::default();
        let answer = answer(&config, &message(|m| m.client_ip = config.lease), Requests::Granted).unwrap();
        assert_eq!(reply_type(&answer), DhcpMessageType::Ack);
        assert_eq!(answer.to, "10.13.37.2:68".parse().unwrap());
    }

    #[test]
    fn the_broadcast_flag_is_honoured() {
        let config = LanConfig::default();
        let discover = |broadcast| {
            message(move |m| {
                m.message_type = DhcpMessageType::Discover;
                m.broadcast = broadcast;
            })
        };
        let unicast = answer(&config, &discover(false), Requests::Granted).unwrap();
        assert_eq!((unicast.mac, *unicast.to.ip()), (EthernetAddress(MAC), config.lease));
        let broadcast = answer(&config, &discover(true), Requests::Granted).unwrap();
        assert_eq!(
            (broadcast.mac, *broadcast.to.ip()),
            (EthernetAddress::BROADCAST, Ipv4Addr::BROADCAST)
        );
        assert_eq!(reply_type(&broadcast), DhcpMessageType::Offer);
        assert_eq!(broadcast.event, None, "an offer is not recorded");
    }

    #[test]
    fn messages_to_other_servers_and_releases_are_left_alone() {
        let config = LanConfig::default();
        let elsewhere = message(|m| m.server_identifier = Some(Ipv4Addr::new(10, 13, 37, 9)));
        assert!(answer(&config, &elsewhere, Requests::Granted).is_none());
        assert!(
            answer(
                &config,
                &message(|m| m.message_type = DhcpMessageType::Release),
                Requests::Granted
            )
            .is_none()
        );
        assert!(answer(&config, b"not DHCP at all", Requests::Granted).is_none());
    }
}
