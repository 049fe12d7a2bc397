//! Bytes that a client sends where it has nothing to say: both kinds of server record them and quote them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use super::client::{Client, REQUEST};
use super::{github, lane, start};
use crate::{Handshake, RogueHandshake, RunningServer};

/// A fatal alert in clear: bad_certificate.
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 42];

/// A record of application data with these six bytes, which no key protects.
const LEAK: &[u8] = b"\x17\x03\x03\x00\x06secret";

fn servers() -> [RunningServer; 2] {
    let mut rogue = github();
    rogue.handshake = Handshake::Rogue(RogueHandshake::honest());
    [start(github()), start(rogue)]
}

/// Sends a ClientHello, waits for the server's answer to begin, then sends `bytes` and ends.
fn after_the_hello(server: &RunningServer, bytes: &[u8]) {
    let (mut connection, mut socket) = Client::new().only_p256().connect(server).into_parts();
    connection.write_tls(&mut socket).unwrap();
    socket.read_exact(&mut [0]).unwrap();
    socket.write_all(bytes).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    drain(&mut socket);
}

/// Takes what the server still sends, so that the connection ends in order.
fn drain(socket: &mut TcpStream) {
    // The server may reset it: it has nothing more to say to such a client.
    let _ = socket.read_to_end(&mut Vec::new());
}

#[track_caller]
fn assert_stray(server: &RunningServer, wanted: &str) {
    let lane = lane(server);
    assert!(lane.iter().any(|line| line == wanted), "no `{wanted}` in {lane:#?}");
}

#[track_caller]
fn assert_no_stray(server: &RunningServer) {
    let lane = lane(server);
    let stray = |line: &&String| line.starts_with("#1") && line.contains(" bytes ");
    assert_eq!(lane.iter().find(stray), None, "{lane:#?}");
}

#[test]
fn what_follows_an_alert_is_quoted() {
    for server in servers() {
        after_the_hello(&server, &[&ALERT, LEAK].concat());
        assert_stray(
            &server,
            "#1 11 bytes after the client's alert: \\x17\\x03\\x03\\x00\\x06secret",
        );
    }
}

#[test]
fn a_second_alert_is_one_too_many() {
    for server in servers() {
        after_the_hello(&server, &[ALERT, ALERT].concat());
        assert_stray(
            &server,
            "#1 7 bytes after the client's alert: \\x15\\x03\\x03\\x00\\x02\\x02*",
        );
    }
}

#[test]
fn what_comes_in_place_of_the_clients_finished_is_quoted() {
    for server in servers() {
        after_the_hello(&server, LEAK);
        assert_stray(&server, "#1 11 bytes out of place: \\x17\\x03\\x03\\x00\\x06secret");
    }
}

#[test]
fn a_change_of_ciphers_carries_nothing() {
    for server in servers() {
        after_the_hello(&server, b"\x14\x03\x03\x00\x06secret");
        assert_stray(&server, "#1 11 bytes out of place: \\x14\\x03\\x03\\x00\\x06secret");
    }
}

#[test]
fn a_part_of_a_record_is_quoted() {
    for server in servers() {
        after_the_hello(&server, b"\x17\x03\x03\x00\x50pin");
        assert_stray(
            &server,
            "#1 8 bytes of a record that is cut off: \\x17\\x03\\x03\\x00Ppin",
        );
    }
}

#[test]
fn what_follows_close_notify_is_quoted() {
    for server in servers() {
        let mut stream = Client::new().only_p256().connect(&server);
        stream.write_all(REQUEST.as_bytes()).unwrap();
        stream.flush().unwrap();
        stream.read_exact(&mut [0; 100]).unwrap();
        stream.conn.send_close_notify();
        let (mut connection, mut socket) = stream.into_parts();
        while connection.wants_write() {
            connection.write_tls(&mut socket).unwrap();
        }
        socket.write_all(LEAK).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        drain(&mut socket);
        assert_stray(
            &server,
            "#1 11 bytes after the client's close_notify: \\x17\\x03\\x03\\x00\\x06secret",
        );
    }
}

#[test]
fn a_client_that_refuses_in_order_sends_nothing_stray() {
    for server in servers() {
        after_the_hello(&server, &ALERT);
        assert_no_stray(&server);
    }
    for server in servers() {
        Client::new().only_p256().get(&server, REQUEST).unwrap();
        assert_no_stray(&server);
    }
}
