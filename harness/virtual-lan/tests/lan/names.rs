//! Addresses and names: the lease, DNS, and endpoints that do not exist.

use std::{io::Read, net::Ipv4Addr};

use smoltcp::socket::tcp;
use virtual_lan::{LanConfig, NameAnswer, RefusedReason, Unreachable, What};

use crate::{
    board::{Board, LIMIT, MAC},
    server::{SERVER, joined, refusing, serve},
};

#[test]
fn the_board_gets_a_lease() {
    let (lan, mut board) = Board::without_address(LanConfig::default());
    let lease = board.lease();
    assert_eq!(lease.address.to_string(), "10.13.37.2/24");
    assert_eq!(lease.router, Some(Ipv4Addr::new(10, 13, 37, 1)));
    assert_eq!(lease.dns, [Ipv4Addr::new(10, 13, 37, 1)]);
    let events: Vec<_> = lan.events().into_iter().map(|event| event.what).collect();
    assert_eq!(
        events,
        [What::LeaseGiven {
            mac: MAC,
            address: Ipv4Addr::new(10, 13, 37, 2)
        }]
    );
}

#[test]
fn stations_of_the_network_answer_arp_but_none_claims_the_boards_address() {
    let (lan, board) = Board::without_address(LanConfig::default());
    let ask = |target: [u8; 4]| {
        let mut frame = vec![0xff; 6];
        frame.extend(MAC);
        frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
        frame.extend(MAC);
        frame.extend([10, 13, 37, 2]);
        frame.extend([0; 6]);
        frame.extend(target);
        board.port.send(&frame);
    };
    // They are answered in order: once the last is answered, the others would have been.
    for target in [[10, 13, 37, 2], [192, 0, 2, 1], [10, 13, 37, 255], SERVER] {
        ask(target);
    }
    let answer = board.next_frame();
    assert_eq!(answer[..6], MAC);
    assert_eq!(
        (&answer[20..22], &answer[28..32]),
        (&[0, 2][..], &SERVER[..]),
        "an answer for another station"
    );
    assert_eq!(lan.events(), []);
}

#[test]
fn a_configured_name_resolves_and_another_does_not() {
    let names = vec![("api.github.com".into(), SERVER.into())];
    let (lan, mut board) = Board::new(LanConfig {
        names,
        ..LanConfig::default()
    });
    assert_eq!(
        board.resolve("API.github.com"),
        Some(vec![Ipv4Addr::from(SERVER).into()])
    );
    assert_eq!(board.resolve("example.org"), None);
    let asked: Vec<_> = lan
        .events()
        .into_iter()
        .filter_map(|event| match event.what {
            What::NameAsked { name, kind: 1, answer } => Some((name, answer)),
            _ => None,
        })
        .collect();
    let known = ("API.github.com".to_owned(), NameAnswer::Address(SERVER.into()));
    assert_eq!(asked, [known, ("example.org".to_owned(), NameAnswer::Unknown)]);
}

#[test]
fn a_refusing_server_refuses_the_board() {
    let (target, _held) = refusing();
    let (lan, mut board) = Board::new(joined(target));
    let handle = board.dial(SERVER, 443);
    board.until("a reset", |board| {
        (board.tcp(handle).state() == tcp::State::Closed).then_some(())
    });
    let refused = lan
        .wait_for(LIMIT, |event| matches!(event.what, What::Refused { .. }))
        .unwrap();
    let What::Refused {
        to,
        reason: RefusedReason::Host(reason),
        ..
    } = refused.what
    else {
        panic!("{refused}")
    };
    assert_eq!(to, "10.13.37.10:443".parse().unwrap());
    assert!(reason.contains("refused"), "{reason}");
}

#[test]
fn endpoints_that_are_not_joined_are_unreachable_and_recorded() {
    let (target, server) = serve(|mut stream| stream.read(&mut [0]).unwrap());
    let (lan, mut board) = Board::new(joined(target));
    // Another port, another station, the gateway, and a real address far beyond it.
    for (address, port) in [
        (SERVER, 80),
        ([10, 13, 37, 77], 443),
        ([10, 13, 37, 1], 443),
        ([192, 0, 2, 1], 443),
    ] {
        let handle = board.dial(address, port);
        board.until("a reset", |board| {
            (board.tcp(handle).state() == tcp::State::Closed).then_some(())
        });
        let to = format!("{}:{port}", Ipv4Addr::from(address)).parse().unwrap();
        let wanted = What::Unreachable {
            protocol: Unreachable::Tcp,
            to,
        };
        assert!(lan.wait_for(LIMIT, |event| event.what == wanted).is_some(), "{wanted}");
    }
    board.datagram(([192, 0, 2, 53], 53), b"a resolver that is not the gateway");
    let to = "192.0.2.53:53".parse().unwrap();
    let wanted = What::Unreachable {
        protocol: Unreachable::Udp,
        to,
    };
    assert!(lan.wait_for(LIMIT, |event| event.what == wanted).is_some(), "{wanted}");
    // The joined endpoint still works.
    let handle = board.connect(SERVER, 443);
    board.send(handle, b"x");
    assert_eq!(server.join().unwrap(), 1);
}

#[test]
fn the_board_is_refused_when_the_server_does_not_answer_in_time() {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    use std::{
        net::{SocketAddr, TcpStream},
        time::Duration,
    };
    // A queue for one connection, full: the next SYN gets no answer.
    let held = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&held, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    listen(&held, 0).unwrap();
    let target = SocketAddr::try_from(getsockname(&held).unwrap()).unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&target, Duration::from_millis(200)) {
        queued.push(stream);
        assert!(queued.len() < 16, "the queue of waiting connections never fills");
    }
    let connect_timeout = Duration::from_millis(100);
    let (lan, mut board) = Board::new(LanConfig {
        connect_timeout,
        ..joined(target)
    });
    let handle = board.dial(SERVER, 443);
    board.until("a reset", |board| {
        (board.tcp(handle).state() == tcp::State::Closed).then_some(())
    });
    let reason = RefusedReason::Timeout(connect_timeout);
    assert!(
        lan.events()
            .iter()
            .any(|event| matches!(&event.what, What::Refused { reason: r, .. } if *r == reason))
    );
}
