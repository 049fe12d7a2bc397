//! Several networks at once, hostile frames, boards that vanish, and the end of a network.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    path::Path,
    sync::mpsc,
    time::Duration,
};

use smoltcp::socket::tcp::RecvError;
use virtual_lan::{ClosedReason, Lan, LanConfig, What};

use crate::{
    board::{Board, LIMIT},
    server::{SERVER, joined, pattern, serve},
};

#[test]
fn networks_side_by_side_do_not_interfere() {
    let sessions: Vec<_> = (0..4_u8)
        .map(|number| {
            std::thread::spawn(move || {
                let (target, server) = serve(move |mut stream| stream.write_all(&vec![number; 300_000]).unwrap());
                // The same addresses on every network.
                let (lan, mut board) = Board::new(joined(target));
                let handle = board.connect(SERVER, 443);
                let (data, end) = board.read_to_end(handle);
                assert!(data == vec![number; 300_000], "network {number} carried something else");
                assert_eq!(end, RecvError::Finished);
                server.join().unwrap();
                assert_eq!(
                    lan.events()
                        .iter()
                        .filter(|e| matches!(e.what, What::Opened { .. }))
                        .count(),
                    1
                );
            })
        })
        .collect();
    sessions.into_iter().for_each(|session| session.join().unwrap());
}

#[test]
fn connections_of_one_board_are_kept_apart() {
    let servers: Vec<_> = (0..8_u8)
        .map(|number| serve(move |mut stream| stream.write_all(&[number; 50_000])))
        .collect();
    let mut config = joined(servers[0].0);
    let join = config.joins[0];
    config.joins = (0..8)
        .map(|number| virtual_lan::Join {
            port: 1000 + number,
            target: servers[usize::from(number)].0,
            ..join
        })
        .collect();
    let (_lan, mut board) = Board::new(config);
    let handles: Vec<_> = (0..8).map(|number| board.dial(SERVER, 1000 + number)).collect();
    for (number, handle) in (0_u8..).zip(handles) {
        board.until("a handshake", |board| board.tcp(handle).may_recv().then_some(()));
        assert!(board.read_to_end(handle).0 == [number; 50_000]);
    }
    servers
        .into_iter()
        .for_each(|(_, server)| server.join().unwrap().unwrap());
}

#[test]
fn random_frames_do_no_harm() {
    let (target, server) = serve(|mut stream| stream.write_all(b"still here").unwrap());
    let (lan, mut board) = Board::new(joined(target));
    // Frames that the gateway would accept, cut and with flipped bits, mixed with random bytes.
    let seeds = seed_frames(&lan);
    assert!(seeds.len() >= 4, "the exchange for the lease was not captured");
    let noise = pattern(1 << 20);
    let eights = noise
        .chunks_exact(8)
        .map(|eight| u64::from_le_bytes(eight.try_into().unwrap()));
    let mut numbers = eights.cycle();
    let mut random = move |below: usize| (numbers.next().unwrap() >> 8) as usize % below;
    for round in 0..20_000 {
        let mut frame = match round % 4 {
            0 => (0..random(200)).map(|_| random(256) as u8).collect(),
            _ => seeds[random(seeds.len())].clone(),
        };
        for _ in 0..random(4) {
            let at = random(frame.len().max(1));
            frame.get_mut(at).into_iter().for_each(|byte| *byte = random(256) as u8);
        }
        if round % 7 == 0 {
            frame.truncate(random(64));
        }
        repair_checksum(&mut frame);
        board.port.send(&frame);
    }
    let handle = board.connect(SERVER, 443);
    assert_eq!(board.read_to_end(handle), (b"still here".to_vec(), RecvError::Finished));
    server.join().unwrap();
}

/// The frames of both directions so far, with addresses as if the board had sent all of them to the gateway.
fn seed_frames(lan: &Lan) -> Vec<Vec<u8>> {
    let capture = lan.pcap();
    let mut rest = &capture[24..];
    let mut frames = Vec::new();
    while let Some((header, tail)) = rest.split_at_checked(16) {
        let length = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
        let mut frame = tail[..length].to_vec();
        frame[..6].copy_from_slice(&[0xff; 6]);
        frames.push(frame);
        rest = &tail[length..];
    }
    frames
}

/// Repairs the IPv4 header's checksum and removes the UDP one, so that the damage behind them is looked at.
fn repair_checksum(frame: &mut [u8]) {
    if frame.len() < 42 || frame[12..14] != [8, 0] || frame[14] != 0x45 {
        return;
    }
    frame[24..26].fill(0);
    let sum: u32 = frame[14..34]
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    if frame[23] == 17 {
        frame[40..42].fill(0);
    }
}

#[test]
fn the_connection_of_a_board_that_vanishes_is_reset_at_the_server() {
    let (target, server) = serve(|mut stream| {
        stream.write_all(&pattern(200_000)).unwrap();
        stream.read(&mut [0]).map_err(|error| error.kind())
    });
    let board_timeout = Duration::from_millis(300);
    let (lan, mut board) = Board::new(LanConfig {
        board_timeout,
        ..joined(target)
    });
    board.connect(SERVER, 443);
    // The board's stack does not run from here on.
    assert_eq!(server.join().unwrap(), Err(ErrorKind::ConnectionReset));
    let closed = lan
        .wait_for(LIMIT, |event| matches!(event.what, What::Closed { .. }))
        .unwrap();
    assert!(
        matches!(
            closed.what,
            What::Closed {
                reason: ClosedReason::BoardSilent,
                ..
            }
        ),
        "{closed}"
    );
}

#[test]
fn an_idle_connection_stays_open() {
    let (go, gone) = mpsc::channel();
    let (target, server) = serve(move |mut stream| {
        gone.recv_timeout(LIMIT).unwrap();
        stream.write_all(b"at last").unwrap();
    });
    let board_timeout = Duration::from_millis(100);
    let (lan, mut board) = Board::new(LanConfig {
        board_timeout,
        ..joined(target)
    });
    let handle = board.connect(SERVER, 443);
    let closed = |event: &virtual_lan::LanEvent| matches!(event.what, What::Closed { .. });
    assert_eq!(lan.wait_for(Duration::from_millis(400), closed), None);
    go.send(()).unwrap();
    assert_eq!(board.read_to_end(handle), (b"at last".to_vec(), RecvError::Finished));
    server.join().unwrap();
}

#[test]
fn dropping_the_network_resets_its_connections() {
    let (target, server) = serve(|mut stream| stream.read(&mut [0]).map_err(|error| error.kind()));
    let (lan, mut board) = Board::new(joined(target));
    board.connect(SERVER, 443);
    let port = lan.port();
    drop(lan);
    assert_eq!(server.join().unwrap(), Err(ErrorKind::ConnectionReset));
    port.send(&[0; 60]); // the network has ended, so this does nothing
}

#[test]
fn waiting_costs_no_time_of_the_processor() {
    let (target, server) = serve(|mut stream| stream.read(&mut [0]).map_err(|error| error.kind()));
    let (lan, mut board) = Board::new(joined(target));
    let handle = board.connect(SERVER, 443);
    let thread = board.lan_thread.get().unwrap().clone();
    let before = ticks(&thread);
    let never = lan.wait_for(Duration::from_secs(1), |event| {
        matches!(event.what, What::Closed { .. })
    });
    assert_eq!(never, None);
    let spent = ticks(&thread) - before;
    assert!(spent < 10, "{spent} of 100 ticks went into waiting");
    board.send(handle, b"x");
    assert_eq!(server.join().unwrap(), Ok(1));
}

/// Clock ticks (10 ms each) that a thread has run so far: fields 14 and 15 of proc_pid_stat(5).
fn ticks(thread: &Path) -> u64 {
    let stat = fs::read_to_string(Path::new("/proc").join(thread).join("stat")).unwrap();
    let fields: Vec<_> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
    fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
}
