//! TCP through the network: every byte, FIN and RST is passed on, in both directions.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    sync::mpsc,
    time::Instant,
};

use smoltcp::socket::tcp::RecvError;
use virtual_lan::{ClosedReason, Lan, What};

use crate::{
    board::{Board, LIMIT},
    server::{SERVER, joined, pattern, reset, serve},
};

/// Why the only connection ended, with the bytes from the board and to it.
#[track_caller]
fn end_of_connection(lan: &Lan) -> (ClosedReason, u64, u64) {
    let closed = lan
        .wait_for(LIMIT, |event| matches!(event.what, What::Closed { .. }))
        .expect("no end was recorded");
    let What::Closed {
        connection: 1,
        reason,
        from_board,
        to_board,
    } = closed.what
    else {
        panic!("{closed}")
    };
    (reason, from_board, to_board)
}

#[test]
fn a_megabyte_comes_back_byte_for_byte() {
    const SIZE: usize = 1 << 20;
    let (target, server) = serve(|mut stream| {
        let mut writer = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut writer).unwrap();
    });
    let (lan, mut board) = Board::new(joined(target));
    let handle = board.connect(SERVER, 443);
    let data = pattern(SIZE);
    let (mut sent, mut received) = (0, Vec::new());
    let started = Instant::now();
    board.until("the echo", |board| {
        let socket = board.tcp(handle);
        sent += socket.send_slice(&data[sent..]).unwrap();
        while socket.can_recv() {
            socket
                .recv(|bytes| (bytes.len(), received.extend_from_slice(bytes)))
                .unwrap();
        }
        (received.len() >= SIZE).then_some(())
    });
    let seconds = started.elapsed().as_secs_f64();
    assert!(received == data, "the echo differs");
    writeln!(
        std::io::stderr(),
        "echo: {:.1} MB/s each way",
        SIZE as f64 / seconds / 1e6
    )
    .unwrap();
    board.tcp(handle).close();
    assert_eq!(board.read_to_end(handle), (vec![], RecvError::Finished));
    assert_eq!(
        end_of_connection(&lan),
        (ClosedReason::Finished, SIZE as u64, SIZE as u64)
    );
    server.join().unwrap();
    assert_eq!(lan.pcap()[20..24], [1, 0, 0, 0]);
    assert!(lan.pcap().len() > 2 * SIZE);
}

#[test]
fn the_servers_fin_arrives_behind_its_data() {
    let (target, server) = serve(|mut stream| stream.write_all(&pattern(100_000)).unwrap());
    let (lan, mut board) = Board::new(joined(target));
    let handle = board.connect(SERVER, 443);
    let (data, end) = board.read_to_end(handle);
    assert!(data == pattern(100_000));
    assert_eq!(end, RecvError::Finished);
    server.join().unwrap();
    board.finish(handle);
    assert_eq!(end_of_connection(&lan), (ClosedReason::Finished, 0, 100_000));
}

#[test]
fn the_servers_rst_arrives_behind_its_data() {
    let (go, gone) = mpsc::channel();
    let (target, server) = serve(move |mut stream| {
        stream.write_all(b"half an ans").unwrap();
        gone.recv_timeout(LIMIT).unwrap();
        reset(stream);
    });
    let (lan, mut board) = Board::new(joined(target));
    let handle = board.connect(SERVER, 443);
    board.until("the data", |board| (board.tcp(handle).recv_queue() == 11).then_some(()));
    go.send(()).unwrap();
    assert_eq!(
        board.read_to_end(handle),
        (b"half an ans".to_vec(), RecvError::InvalidState)
    );
    assert_eq!(end_of_connection(&lan), (ClosedReason::HostReset, 0, 11));
    server.join().unwrap();
}

#[test]
fn a_rst_does_not_overtake_data_that_the_board_has_no_room_for() {
    // More than the board's window, less than the gateway's buffer.
    let (target, server) = serve(|mut stream| {
        stream.write_all(&pattern(50_000)).unwrap();
        reset(stream);
    });
    let (lan, mut board) = Board::new(joined(target));
    let handle = board.connect(SERVER, 443);
    server.join().unwrap();
    board.until("the window to shut", |board| {
        let socket = board.tcp(handle);
        (socket.recv_queue() == socket.recv_capacity()).then_some(())
    });
    let (data, end) = board.read_to_end(handle);
    assert_eq!((data.len(), end), (50_000, RecvError::InvalidState));
    assert!(data == pattern(50_000));
    assert_eq!(end_of_connection(&lan), (ClosedReason::HostReset, 0, 50_000));
}

#[test]
fn a_server_that_resets_at_once_is_not_taken_for_one_that_refuses() {
    // Whether the RST comes before or after the gateway's first look differs from run to run, so it is tried several
    // times.
    for _ in 0..100 {
        let (target, server) = serve(reset);
        let (lan, mut board) = Board::new(joined(target));
        board.connect(SERVER, 443);
        assert_eq!(end_of_connection(&lan), (ClosedReason::HostReset, 0, 0));
        server.join().unwrap();
    }
}

#[test]
fn a_server_that_reads_after_the_end_of_the_connection_still_gets_everything() {
    const SIZE: usize = 3 << 20;
    let (go, gone) = mpsc::channel();
    let (target, server) = serve(move |mut stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        gone.recv_timeout(LIMIT).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).map(|_| all)
    });
    let (lan, mut board) = Board::new(joined(target));
    let handle = board.connect(SERVER, 443);
    assert_eq!(board.read_to_end(handle), (vec![], RecvError::Finished));
    // The kernel's buffers take all of it, so that the connection ends before the server has read a byte.
    board.send(handle, &pattern(SIZE));
    board.finish(handle);
    assert_eq!(end_of_connection(&lan), (ClosedReason::Finished, SIZE as u64, 0));
    go.send(()).unwrap();
    assert!(server.join().unwrap().expect("the server was reset") == pattern(SIZE));
}

#[test]
fn the_servers_rst_arrives_even_behind_its_fin() {
    let (go, gone) = mpsc::channel();
    let (target, server) = serve(move |stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        gone.recv_timeout(LIMIT).unwrap();
        reset(stream);
    });
    let (lan, mut board) = Board::new(joined(target));
    let handle = board.connect(SERVER, 443);
    assert_eq!(board.read_to_end(handle), (vec![], RecvError::Finished));
    assert!(board.tcp(handle).may_send());
    go.send(()).unwrap();
    board.until("a reset", |board| (!board.tcp(handle).is_open()).then_some(()));
    assert_eq!(end_of_connection(&lan), (ClosedReason::HostReset, 0, 0));
    server.join().unwrap();
}

#[test]
fn data_for_a_server_that_has_gone_is_answered_with_a_rst() {
    let (target, server) = serve(drop);
    let (lan, mut board) = Board::new(joined(target));
    let handle = board.connect(SERVER, 443);
    server.join().unwrap();
    assert_eq!(board.read_to_end(handle), (vec![], RecvError::Finished));
    board.tcp(handle).send_slice(b"too late").unwrap();
    board.until("a reset", |board| (!board.tcp(handle).is_open()).then_some(()));
    assert_eq!(end_of_connection(&lan).0, ClosedReason::HostReset);
}

#[test]
fn the_boards_rst_arrives_at_the_server() {
    let (target, server) = serve(|mut stream| {
        let mut first = [0; 5];
        stream.read_exact(&mut first).unwrap();
        (first, stream.read(&mut [0; 16]).map_err(|error| error.kind()))
    });
    let (lan, mut board) = Board::new(joined(target));
    let handle = board.connect(SERVER, 443);
    board.send(handle, b"hello");
    board.until("an acknowledgement", |board| {
        (board.tcp(handle).send_queue() == 0).then_some(())
    });
    board.tcp(handle).abort();
    board.until("the RST to leave", |board| {
        board.tcp(handle).remote_endpoint().is_none().then_some(())
    });
    assert_eq!(server.join().unwrap(), (*b"hello", Err(ErrorKind::ConnectionReset)));
    assert_eq!(end_of_connection(&lan), (ClosedReason::BoardReset, 5, 0));
}

#[test]
fn a_half_closed_connection_still_answers() {
    let (target, server) = serve(|mut stream| {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        stream.write_all(&pattern(200_000)).unwrap();
        request
    });
    let (lan, mut board) = Board::new(joined(target));
    let handle = board.connect(SERVER, 443);
    board.send(handle, b"GET / HTTP/1.0\r\n\r\n");
    board.tcp(handle).close();
    let (data, end) = board.read_to_end(handle);
    assert!(data == pattern(200_000));
    assert_eq!(end, RecvError::Finished);
    board.finish(handle);
    assert_eq!(server.join().unwrap(), b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(end_of_connection(&lan), (ClosedReason::Finished, 18, 200_000));
}

#[test]
fn a_server_that_does_not_read_stops_the_board_and_loses_nothing() {
    const SIZE: usize = 32 << 20;
    let (go, gone) = mpsc::channel();
    let (target, server) = serve(move |mut stream| {
        gone.recv_timeout(LIMIT).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    });
    let (lan, mut board) = Board::new(joined(target));
    let handle = board.connect(SERVER, 443);
    let data = pattern(SIZE);
    let mut sent = 0;
    // The kernel's buffers take some megabytes. After that the board's window stays closed.
    let mut stalled = Instant::now();
    board.until("the window to shut", |board| {
        let taken = board.tcp(handle).send_slice(&data[sent..]).unwrap();
        sent += taken;
        if taken > 0 {
            stalled = Instant::now();
        }
        (stalled.elapsed().as_millis() > 300).then_some(())
    });
    assert!(sent < SIZE, "buffers took 32 MiB, so they are not bounded");
    go.send(()).unwrap();
    board.send(handle, &data[sent..]);
    board.tcp(handle).close();
    assert_eq!(board.read_to_end(handle).1, RecvError::Finished);
    board.finish(handle);
    assert!(server.join().unwrap() == data, "the server read something else");
    assert_eq!(end_of_connection(&lan), (ClosedReason::Finished, SIZE as u64, 0));
}

#[test]
fn a_board_that_does_not_read_stops_the_server_and_loses_nothing() {
    const SIZE: usize = 32 << 20;
    let (shut, is_shut) = mpsc::channel();
    let (target, server) = serve(move |mut stream| {
        stream.set_nonblocking(true).unwrap();
        let data = pattern(SIZE);
        let mut sent = 0;
        let mut stalled = Instant::now();
        while stalled.elapsed().as_millis() < 300 {
            match stream.write(&data[sent..]) {
                Ok(count) => (sent, stalled) = (sent + count, Instant::now()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(sent < SIZE, "buffers took 32 MiB, so they are not bounded");
        shut.send(()).unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.write_all(&data[sent..]).unwrap();
    });
    let (lan, mut board) = Board::new(joined(target));
    let handle = board.connect(SERVER, 443);
    board.until("the window to shut", |board| {
        let socket = board.tcp(handle);
        (socket.recv_queue() == socket.recv_capacity()).then_some(())
    });
    is_shut.recv_timeout(LIMIT).expect("the server never had to wait");
    let (data, end) = board.read_to_end(handle);
    server.join().unwrap();
    assert!(data == pattern(SIZE), "the board read something else");
    assert_eq!(end, RecvError::Finished);
    board.finish(handle);
    assert_eq!(end_of_connection(&lan), (ClosedReason::Finished, 0, SIZE as u64));
}
