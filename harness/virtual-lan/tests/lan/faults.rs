//! What a board notices of each fault of a network, and that delays cost time on the board's clock only.

use std::{
    io::{ErrorKind, Read, Write},
    net::Ipv4Addr,
    num::NonZeroU16,
    time::{Duration, Instant},
};

use smoltcp::{
    socket::{dhcpv4, tcp},
    wire::IpAddress,
};
use virtual_lan::{
    ClosedReason, Decoy, DhcpFaults, Direction, DnsFaults, Effect, Faults, Impairment, LanConfig, LanEvent, Moment,
    NameAnswer, NameError, Outage, RefusedReason, Scope, SynFaults, Unanswered, What,
};

use crate::{
    board::Board,
    server::{SERVER, joined, pattern, refusing, serve},
};

const NAME: &str = "api.github.com";

/// Time of the host that a test may take. The waits in the tests are longer, and pass on the board's clock.
const MOMENT: Duration = Duration::from_secs(3);

/// A network with these faults, on which port 443 of the server leads to a port that never answers.
fn bad(faults: Faults) -> LanConfig {
    LanConfig {
        faults,
        ..joined("127.0.0.1:9".parse().unwrap())
    }
}

fn dns(dns: DnsFaults) -> Faults {
    Faults {
        dns,
        ..Faults::default()
    }
}

fn syn(syn: SynFaults) -> Faults {
    Faults {
        syn,
        ..Faults::default()
    }
}

fn both_ways(seed: u64, impairment: Impairment) -> Faults {
    Faults {
        seed,
        to_board: impairment,
        from_board: impairment,
        ..Faults::default()
    }
}

fn count(events: &[LanEvent], wanted: impl Fn(&What) -> bool) -> usize {
    events.iter().filter(|event| wanted(&event.what)).count()
}

fn effects(events: &[LanEvent], wanted: impl Fn(Effect) -> bool) -> usize {
    count(
        events,
        |what| matches!(what, What::Disturbed { effect, .. } if wanted(*effect)),
    )
}

/// How long `wait` takes on the board's clock.
fn timed<T>(board: &mut Board, wait: impl FnOnce(&mut Board) -> T) -> (T, Duration) {
    let before = board.passed;
    let result = wait(board);
    (result, board.passed - before)
}

fn the_server() -> Option<Vec<IpAddress>> {
    Some(vec![Ipv4Addr::from(SERVER).into()])
}

#[test]
fn a_late_answer_comes_at_its_time_on_the_boards_clock() {
    let late = Duration::from_secs(3);
    let started = Instant::now();
    let mut board = Board::driven(bad(dns(DnsFaults {
        delay: late,
        ..DnsFaults::default()
    })));
    let (addresses, took) = timed(&mut board, |board| board.resolve(NAME));
    assert_eq!(addresses, the_server());
    assert!(took >= late && took < late + Duration::from_millis(50), "{took:?}");
    assert!(started.elapsed() < late, "{:?}", started.elapsed());
}

#[test]
fn the_network_says_when_what_it_holds_back_is_due() {
    let late = Duration::from_millis(1500);
    let mut board = Board::driven(bad(dns(DnsFaults {
        delay: late,
        ..DnsFaults::default()
    })));
    // A query that is sent as a frame, since the board's stack would drive the clock.
    board.datagram(
        ([10, 13, 37, 1], 53),
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03api\x06github\x03com\x00\x00\x01\x00\x01",
    );
    let lan = board.lan();
    lan.wait_for(MOMENT, |event| matches!(event.what, What::NameAsked { .. }))
        .expect("the query arrived");
    assert_eq!(board.settled().lasts, Some(late));
    lan.advance(late - Duration::from_nanos(1));
    assert_eq!(board.settled().lasts, Some(Duration::from_nanos(1)));
    assert!(board.no_frame(), "it came too early");
    lan.advance(Duration::from_nanos(1));
    let answer = board.next_frame();
    assert_eq!(answer[answer.len() - 4..], SERVER);
    assert_eq!(board.settled().lasts, None);
}

#[test]
fn a_name_server_answers_with_the_chosen_error() {
    for error in [NameError::NxDomain, NameError::ServFail, NameError::Refused] {
        let mut board = Board::driven(bad(dns(DnsFaults {
            answer: Some(error),
            ..DnsFaults::default()
        })));
        board.resolve(NAME);
        let events = board.lan().events();
        let told = count(
            &events,
            |what| matches!(what, What::NameAsked { answer: NameAnswer::Error(e), .. } if *e == error),
        );
        assert!(told > 0, "{events:?}");
    }
}

#[test]
fn a_name_server_answers_the_query_after_those_that_it_ignores() {
    let unanswered = |what: &What| matches!(what, What::Unanswered(Unanswered::Query));
    let mut board = Board::driven(bad(dns(DnsFaults {
        ignore_first: 2,
        ..DnsFaults::default()
    })));
    assert_eq!(board.resolve(NAME), the_server());
    assert_eq!(count(&board.lan().events(), unanswered), 2);

    let started = Instant::now();
    let mut board = Board::driven(bad(dns(DnsFaults {
        ignore_first: u32::MAX,
        ..DnsFaults::default()
    })));
    let (addresses, took) = timed(&mut board, |board| board.resolve(NAME));
    assert_eq!(addresses, None);
    assert!(took > Duration::from_secs(5), "{took:?}");
    assert!(started.elapsed() < MOMENT, "{:?}", started.elapsed());
    assert!(count(&board.lan().events(), unanswered) > 2);
}

#[test]
fn a_forged_answer_comes_first_and_a_correct_resolver_waits_for_the_true_one() {
    for decoy in [Decoy::WrongId, Decoy::OtherName] {
        let faults = |ignore_first| DnsFaults {
            decoy: Some(decoy),
            ignore_first,
            ..DnsFaults::default()
        };
        assert_eq!(
            Board::driven(bad(dns(faults(0)))).resolve(NAME),
            the_server(),
            "{decoy:?}"
        );
        let mut board = Board::driven(bad(dns(faults(u32::MAX))));
        assert_eq!(board.resolve(NAME), None, "{decoy:?}");
    }
}

#[test]
fn a_dhcp_server_ignores_delays_or_refuses_as_chosen() {
    let with = |dhcp| {
        let faults = Faults {
            dhcp,
            ..Faults::default()
        };
        let mut board = Board::driven_without_address(bad(faults));
        let (_, took) = timed(&mut board, Board::lease);
        (board.lan().events(), took)
    };
    let ignores = DhcpFaults {
        ignore_first: 2,
        ..DhcpFaults::default()
    };
    let (events, _) = with(ignores);
    assert_eq!(
        count(&events, |what| matches!(what, What::Unanswered(Unanswered::Discover))),
        2
    );
    let refuses = DhcpFaults {
        refuse_first: 1,
        ..DhcpFaults::default()
    };
    let (events, _) = with(refuses);
    assert_eq!(count(&events, |what| matches!(what, What::LeaseRefused { .. })), 1);
    assert_eq!(count(&events, |what| matches!(what, What::LeaseGiven { .. })), 1);
    let late = DhcpFaults {
        delay: Duration::from_millis(700),
        ..DhcpFaults::default()
    };
    let (_, took) = with(late);
    assert!(
        took >= Duration::from_millis(1400),
        "an offer and an acknowledgement: {took:?}"
    );
}

#[test]
fn a_dhcp_server_that_is_silent_for_ever_never_leases() {
    let faults = Faults {
        dhcp: DhcpFaults {
            ignore_first: u32::MAX,
            ..DhcpFaults::default()
        },
        ..Faults::default()
    };
    let mut board = Board::driven_without_address(bad(faults));
    let handle = board.sockets.add(dhcpv4::Socket::new());
    board.until("two minutes to pass", |board| {
        let leased = board.sockets.get_mut::<dhcpv4::Socket<'_>>(handle).poll();
        assert!(!matches!(leased, Some(dhcpv4::Event::Configured(_))));
        (board.passed > Duration::from_secs(120)).then_some(())
    });
    assert!(
        count(&board.lan().events(), |what| matches!(
            what,
            What::Unanswered(Unanswered::Discover)
        )) > 2
    );
}

#[test]
fn unanswered_arp_requests_only_delay() {
    let faults = Faults {
        arp_ignore_first: 2,
        ..Faults::default()
    };
    let mut board = Board::driven(bad(faults));
    let (addresses, took) = timed(&mut board, |board| board.resolve(NAME));
    assert_eq!(addresses, the_server());
    assert!(took >= Duration::from_secs(1), "{took:?}");
    let arp = |what: &What| matches!(what, What::Unanswered(Unanswered::Arp(address)) if *address == Ipv4Addr::new(10, 13, 37, 1));
    assert_eq!(count(&board.lan().events(), arp), 2);
}

#[test]
fn a_syn_is_ignored_or_late() {
    let connect = |faults| {
        let (target, server) = serve(drop);
        let mut board = Board::driven(LanConfig {
            faults: syn(faults),
            ..joined(target)
        });
        let (handle, took) = timed(&mut board, |board| board.connect(SERVER, 443));
        server.join().unwrap();
        board.read_to_end(handle);
        board.finish(handle);
        // Frames that are still delayed arrive meanwhile.
        let end = board.passed + Duration::from_secs(15);
        board.until("fifteen seconds to pass", |board| (board.passed > end).then_some(()));
        (board.lan().events(), took)
    };
    let ignored = SynFaults {
        ignore_first: 2,
        ..SynFaults::default()
    };
    let (events, took) = connect(ignored);
    let unanswered = |what: &What| matches!(what, What::Unanswered(Unanswered::Syn(to)) if to.port() == 443);
    assert_eq!(count(&events, unanswered), 2);
    assert!(took >= Duration::from_secs(1), "{took:?}");

    let late = Duration::from_secs(2);
    let (events, took) = connect(SynFaults {
        delay: late,
        ..SynFaults::default()
    });
    assert!(took >= late && took < late + Duration::from_millis(50), "{took:?}");
    let opened = |what: &What| matches!(what, What::Opened { .. } | What::Refused { .. });
    assert_eq!(count(&events, opened), 1, "the repeated SYN is the same connection's");
}

#[test]
fn every_syn_is_dropped_or_refused_as_chosen() {
    let (target, _held) = refusing();
    let hole = SynFaults {
        ignore_first: u32::MAX,
        ..SynFaults::default()
    };
    let mut board = Board::driven(LanConfig {
        faults: syn(hole),
        ..joined(target)
    });
    let handle = board.dial(SERVER, 443);
    board.until("half a minute to pass", |board| {
        assert_eq!(board.tcp(handle).state(), tcp::State::SynSent);
        (board.passed > Duration::from_secs(30)).then_some(())
    });

    // Nothing connects to the server, although it listens.
    let (target, _server) = serve(drop);
    let refused = SynFaults {
        refuse_first: 1,
        ..SynFaults::default()
    };
    let mut board = Board::driven(LanConfig {
        faults: syn(refused),
        ..joined(target)
    });
    let handle = board.dial(SERVER, 443);
    board.until("a reset", |board| {
        (board.tcp(handle).state() == tcp::State::Closed).then_some(())
    });
    let events = board.lan().events();
    let reasons = |what: &What| {
        matches!(
            what,
            What::Refused {
                reason: RefusedReason::Fault,
                ..
            }
        )
    };
    assert_eq!(count(&events, reasons), 1, "{events:?}");
    assert_eq!(count(&events, |what| matches!(what, What::Opened { .. })), 0);
    assert_eq!(
        board.connect_again(handle, SERVER, 443),
        tcp::State::Established,
        "the second SYN gets through"
    );
}

/// Sends `size` bytes to a server that returns them, on a network with these faults.
fn echo(faults: Faults, size: usize) -> Vec<LanEvent> {
    let (target, server) = serve(|mut stream| {
        let mut writer = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut writer).map(drop)
    });
    let seed = faults.seed;
    let mut board = Board::driven(LanConfig {
        faults,
        ..joined(target)
    });
    let handle = board.connect(SERVER, 443);
    let data = pattern(size);
    let (mut sent, mut received) = (0, Vec::new());
    board.until("the echo", |board| {
        let socket = board.tcp(handle);
        sent += socket.send_slice(&data[sent..]).unwrap();
        while socket.can_recv() {
            socket
                .recv(|bytes| (bytes.len(), received.extend_from_slice(bytes)))
                .unwrap();
        }
        (received.len() >= size).then_some(())
    });
    assert!(received == data, "seed {seed}: the echo differs");
    let events = board.lan().events();
    drop(board);
    drop(server.join().unwrap());
    events
}

const ECHO: usize = 60_000;

#[test]
fn lost_and_repeated_frames_lose_and_repeat_no_byte() {
    for seed in 1..4 {
        let events = echo(
            both_ways(
                seed,
                Impairment {
                    loss: 0.08,
                    duplicate: 0.1,
                    ..Impairment::default()
                },
            ),
            ECHO,
        );
        assert!(effects(&events, |effect| effect == Effect::Lost) > 0);
        assert!(effects(&events, |effect| effect == Effect::Duplicated) > 0);
    }
}

#[test]
fn frames_that_overtake_each_other_are_put_in_order() {
    let impairment = Impairment {
        delay: Duration::from_millis(40),
        jitter: Duration::from_millis(30),
        reorder: 0.1,
        ..Impairment::default()
    };
    let events = echo(both_ways(5, impairment), ECHO);
    assert!(effects(&events, |effect| effect == Effect::Reordered) > 0);
    let mut delays = events.iter().filter_map(|event| match event.what {
        What::Disturbed {
            effect: Effect::Delayed(by),
            ..
        } => Some(by),
        _ => None,
    });
    let first = delays.next().unwrap();
    let (least, most) = delays.fold((first, first), |(least, most), by| (least.min(by), most.max(by)));
    assert!(
        least >= Duration::from_millis(10) && least < Duration::from_millis(20),
        "{least:?}"
    );
    assert!(
        most <= Duration::from_millis(70) && most > Duration::from_millis(60),
        "{most:?}"
    );
}

#[test]
fn data_in_cut_segments_arrives_complete() {
    for size in [1, 7, 500] {
        let length = usize::from(size) * 100;
        let (target, server) = serve(move |mut stream| {
            let mut request = vec![0; length];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(&pattern(length)).unwrap();
            request
        });
        let impairment = Impairment {
            segment: NonZeroU16::new(size),
            ..Impairment::default()
        };
        let mut board = Board::driven(LanConfig {
            faults: both_ways(0, impairment),
            ..joined(target)
        });
        let handle = board.connect(SERVER, 443);
        // One direction after the other, since smoltcp drops data with an acknowledgement that another frame has
        // overtaken.
        board.send(handle, &pattern(length));
        let (data, _) = board.read_to_end(handle);
        assert!(data == pattern(length), "{size}");
        assert!(server.join().unwrap() == pattern(length), "{size}");
        let events = board.lan().events();
        assert!(
            effects(&events, |effect| matches!(effect, Effect::Cut(_))) > 1,
            "{size}"
        );
    }
}

/// Else the pieces of one segment would come between those of the one before, and its sender would repeat them.
#[test]
fn a_cut_segment_arrives_whole_before_the_next_begins() {
    let (target, _server) = serve(|mut stream| {
        stream.write_all(&pattern(8000)).unwrap();
        stream.read(&mut [0])
    });
    let faults = Faults {
        to_board: Impairment {
            segment: NonZeroU16::new(5),
            ..Impairment::default()
        },
        ..Faults::default()
    };
    let mut board = Board::driven(LanConfig {
        faults,
        ..joined(target)
    });
    let handle = board.connect(SERVER, 443);
    board.until("the data", |board| {
        (board.tcp(handle).recv_queue() == 8000).then_some(())
    });
    let first = board.data_from[0];
    let order: Vec<u32> = board.data_from.iter().map(|from| from.wrapping_sub(first)).collect();
    assert_eq!(order, (0..8000).step_by(5).collect::<Vec<_>>());
}

#[test]
fn no_frame_carries_more_than_a_piece() {
    let (target, _server) = serve(|mut stream| {
        stream.write_all(&pattern(1000)).unwrap();
        stream.read(&mut [0])
    });
    let faults = Faults {
        to_board: Impairment {
            segment: NonZeroU16::new(64),
            ..Impairment::default()
        },
        ..Faults::default()
    };
    let mut board = Board::driven(LanConfig {
        faults,
        ..joined(target)
    });
    board.longest_frame = 0;
    let handle = board.connect(SERVER, 443);
    board.until("the data", |board| {
        (board.tcp(handle).recv_queue() == 1000).then_some(())
    });
    assert_eq!(board.longest_frame, 14 + 20 + 20 + 64);
}

#[test]
fn corrupted_frames_are_lost_and_broken_checksums_are_found() {
    let below = Impairment {
        corrupt: 0.08,
        ..Impairment::default()
    };
    assert!(effects(&echo(both_ways(6, below), ECHO), |effect| effect == Effect::Corrupted) > 0);
    for seed in 7..10 {
        let above = Impairment {
            corrupt_checksum: 0.08,
            ..Impairment::default()
        };
        let events = echo(both_ways(seed, above), ECHO);
        assert!(effects(&events, |effect| matches!(effect, Effect::ChecksumBroken { .. })) > 0);
    }
}

#[test]
fn the_flipped_bit_is_in_the_frame_and_the_receiver_drops_it() {
    let mut board = Board::driven(bad(Faults::default()));
    let wrong = Impairment {
        corrupt_checksum: 1.0,
        ..Impairment::default()
    };
    for faults in [
        Faults {
            to_board: wrong,
            ..Faults::default()
        },
        Faults {
            from_board: wrong,
            ..Faults::default()
        },
    ] {
        board.lan().set_faults(faults).unwrap();
        assert_eq!(
            board.resolve(NAME),
            None,
            "the query or its answer is damaged every time"
        );
    }
    board.lan().set_faults(Faults::default()).unwrap();
    assert_eq!(board.resolve(NAME), the_server());
}

#[test]
fn only_what_is_in_scope_is_impaired_and_only_after_the_frames_that_are_spared() {
    let dead_tcp = Impairment {
        loss: 1.0,
        only: Scope::Tcp,
        after: 1,
        frames: Some(2),
        ..Impairment::default()
    };
    let (target, _server) = serve(|mut stream| {
        stream.write_all(b"data").unwrap();
        stream.read(&mut [0])
    });
    let mut board = Board::driven(LanConfig {
        faults: both_ways(1, dead_tcp),
        ..joined(target)
    });
    assert_eq!(board.resolve(NAME), the_server(), "DNS is out of scope");
    let handle = board.connect(SERVER, 443); // one frame each way: the board's acknowledgement is lost
    board.until("the network to lose something", |board| {
        let lost = effects(&board.lan().events(), |effect| effect == Effect::Lost);
        (lost > 1).then_some(())
    });
    assert_eq!(board.tcp(handle).state(), tcp::State::Established);
    assert_eq!(board.settled().crossings.from_host, 0);
    board.until("the data, when frames get through again", |board| {
        board.tcp(handle).can_recv().then_some(())
    });
    let lost_from = |from| move |what: &What| matches!(what, What::Disturbed { direction, effect: Effect::Lost, .. } if *direction == from);
    assert_eq!(count(&board.lan().events(), lost_from(Direction::ToBoard)), 2);
}

#[test]
fn a_cable_that_is_unplugged_for_a_while_only_delays() {
    let down = Duration::from_secs(5);
    for (from, size) in [
        (Moment::Bytes(Direction::ToBoard, 20_000), ECHO),
        (Moment::Bytes(Direction::FromBoard, 1), ECHO),
        (Moment::Frames(Direction::FromBoard, 6), ECHO),
        (Moment::Elapsed(Duration::ZERO), 1),
    ] {
        let faults = Faults {
            outages: vec![Outage {
                from,
                lasts: Some(down),
            }],
            ..Faults::default()
        };
        let started = Instant::now();
        let events = echo(faults, size);
        assert!(
            effects(&events, |effect| effect == Effect::LinkDown) > 0,
            "{from:?}: {events:?}"
        );
        let last = events.last().unwrap().at;
        assert!(last >= down || size > 1, "{from:?}: {last:?}");
        assert!(started.elapsed() < down, "{from:?}");
    }
}

#[test]
fn the_frame_that_begins_an_outage_passes_and_the_next_does_not() {
    let faults = Faults {
        outages: vec![Outage {
            from: Moment::Frames(Direction::FromBoard, 1),
            lasts: None,
        }],
        ..Faults::default()
    };
    // The board's first frame passes. Its answer is lost, since it is sent when the cable is unplugged already.
    let board = Board::driven_without_address(bad(faults));
    let frame = [&[0xff; 6][..], &crate::board::MAC, &[0x08, 0x06], &arp_request()].concat();
    board.port.send(&frame);
    board.port.send(&frame);
    let lost = |direction, frame| What::Disturbed {
        direction,
        frame,
        effect: Effect::LinkDown,
    };
    for lost in [lost(Direction::FromBoard, 2), lost(Direction::ToBoard, 1)] {
        board
            .lan()
            .wait_for(MOMENT, |event| event.what == lost)
            .expect("the board's second frame and the answer to the first are lost");
    }
    let events = board.lan().events();
    let first = lost(Direction::FromBoard, 1);
    assert_eq!(count(&events, |what| *what == first), 0, "{events:?}");
}

/// An ARP request of a board at 10.13.37.2 for the gateway's address.
fn arp_request() -> Vec<u8> {
    let mut request = vec![0, 1, 8, 0, 6, 4, 0, 1];
    request.extend(crate::board::MAC);
    request.extend([10, 13, 37, 2, 0, 0, 0, 0, 0, 0, 10, 13, 37, 1]);
    request
}

#[test]
fn the_same_seed_gives_the_same_fates() {
    let fates = |seed| {
        let impairment = Impairment {
            loss: 0.2,
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(15),
            reorder: 0.1,
            duplicate: 0.1,
            corrupt: 0.1,
            corrupt_checksum: 0.1,
            ..Impairment::default()
        };
        let board = Board::driven_without_address(bad(both_ways(seed, impairment)));
        let frame = [&[0xff; 6][..], &crate::board::MAC, &[0x08, 0x06], &arp_request()].concat();
        for _ in 0..100 {
            board.port.send(&frame);
        }
        // Frames cross in order, so all have crossed when the hundredth has.
        let crossed = |what: &What| {
            matches!(
                what,
                What::Disturbed {
                    direction: Direction::FromBoard,
                    frame: 98..,
                    ..
                }
            )
        };
        board
            .lan()
            .wait_for(MOMENT, |event| crossed(&event.what))
            .expect("the frames cross");
        let of_the_board = |event: LanEvent| match event.what {
            What::Disturbed {
                direction: Direction::FromBoard,
                frame: frame @ ..98,
                effect,
            } => Some((frame, effect)),
            _ => None,
        };
        board
            .lan()
            .events()
            .into_iter()
            .filter_map(of_the_board)
            .collect::<Vec<_>>()
    };
    let first = fates(42);
    assert!(first.len() > 90, "almost every frame is delayed or worse: {first:?}");
    assert_eq!(first, fates(42));
    assert_ne!(first, fates(43));
}

#[test]
fn faults_can_be_removed_and_open_connections_can_be_cut() {
    let (target, server) = serve(|mut stream| stream.read(&mut [0]).map_err(|error| error.kind()));
    let mut board = Board::driven(joined(target));
    let handle = board.connect(SERVER, 443);
    let dead = Impairment {
        loss: 1.0,
        ..Impairment::default()
    };
    board.lan().set_faults(both_ways(0, dead)).unwrap();
    board.tcp(handle).send_slice(b"x").unwrap();
    board.until("ten seconds to pass", |board| {
        (board.passed > Duration::from_secs(10)).then_some(())
    });
    assert_eq!(board.settled().crossings.to_host, 0);
    board.lan().cut_connections();
    assert_eq!(server.join().unwrap(), Err(ErrorKind::ConnectionReset));
    board
        .lan()
        .wait_for(MOMENT, |event| {
            matches!(
                event.what,
                What::Closed {
                    reason: ClosedReason::Cut,
                    ..
                }
            )
        })
        .expect("the cut is recorded");

    board.lan().set_faults(Faults::default()).unwrap();
    board.until("the board to learn of it", |board| {
        (!board.tcp(handle).is_open()).then_some(())
    });
    assert_eq!(board.resolve(NAME), the_server());
    let wrong = both_ways(0, Impairment { loss: 2.0, ..dead });
    assert!(board.lan().set_faults(wrong).is_err());
}
