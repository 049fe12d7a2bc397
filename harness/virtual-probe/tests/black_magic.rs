//! The Black Magic Probe as its clients see it: the bytes that a client sends, and the bytes of the replies.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use support::{booted, erased};
use virtual_esp32c3::{HardwareEvent, ResetCause, VirtualBoard};
use virtual_probe::BmpServer;

const PATIENCE: Duration = Duration::from_secs(10);

fn server(board: &VirtualBoard) -> BmpServer {
    BmpServer::start(board, (Ipv4Addr::LOCALHOST, 0).into()).expect("a server")
}

struct Client(TcpStream);

impl Client {
    fn connect(server: &BmpServer) -> Self {
        let stream = TcpStream::connect(server.address()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        Self(stream)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("it takes bytes");
    }

    /// One reply, from `&` to `#`.
    fn reply(&mut self) -> String {
        let mut reply = String::new();
        while !reply.ends_with('#') {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap_or_else(|error| {
                panic!("timed out after {PATIENCE:?} waiting for a reply: {error}; so far {reply:?}")
            });
            reply.push(char::from(byte[0]));
        }
        reply
    }

    fn ask(&mut self, request: &str) -> String {
        self.send(request.as_bytes());
        self.reply()
    }

    /// What a request answers as a number.
    fn number(&mut self, request: &str) -> u64 {
        let reply = self.ask(request);
        let digits = reply.strip_prefix("&K").and_then(|rest| rest.strip_suffix('#'));
        u64::from_str_radix(digits.unwrap_or_else(|| panic!("{request} -> {reply}")), 16).expect("a number")
    }

    fn go(&mut self, tms: &[u8]) {
        for tms in tms {
            self.number(&format!("!JN{tms}0#"));
        }
    }
}

#[test]
fn a_client_asks_for_name_and_version_and_reads_the_idcode() {
    let board = booted(erased());
    let server = server(&board);
    let mut client = Client::connect(&server);
    assert_eq!(client.ask("+#!GA#"), "&Kpinrig virtual ESP32-C3#");
    assert_eq!(client.ask("!HC#"), "&K4#");
    assert_eq!(client.ask("!GF003d0900#"), "&K0#");
    assert_eq!(client.ask("!Gf#"), "&K00093d00#");
    assert_eq!(client.ask("+#!JS#"), "&K0#");
    assert_eq!(client.ask("+#!JR#"), "&K0#");
    client.go(&[1, 0, 0]);
    assert_eq!(client.number("!JD200#"), 0x5C25);
    client.go(&[1, 0]);
    // The same in two requests, of which the first leaves the TAP in its shift state.
    client.go(&[1, 0, 0]);
    assert_eq!(client.number("!Jd080#"), 0x25);
    assert_eq!(client.number("!JD180#"), 0x5C);
    assert_eq!(client.ask("!HJ000000050000ffffffff#"), "&K0#");
}

#[test]
fn malformed_requests_are_answered_and_the_next_client_is_served() {
    let board = booted(erased());
    let server = server(&board);
    let mut client = Client::connect(&server);
    client.send(b"GET / HTTP/1.1\r\n");
    assert_eq!(client.reply(), "&E1#");
    client.send(b"\x00\xFF\x80!JD20");
    assert_eq!(client.reply(), "&E1#");
    client.send(b"zz#");
    assert_eq!(client.reply(), "&P0#");
    assert_eq!(client.ask("!JN1#"), "&E2#");
    assert_eq!(client.ask("!SS#"), "&N0#");
    // A client that disconnects in the middle of a request, with replies unread.
    client.send(&b"!HC#".repeat(1000));
    client.send(b"!JD");
    drop(client);
    let mut next = Client::connect(&server);
    assert_eq!(next.ask("!HC#"), "&K4#");
    // Random bytes from a fixed seed, every value among them. Each reply must be complete.
    let mut seed = 1u32;
    let mut noise: Vec<u8> = (0..20_000)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let byte = (seed >> 24) as u8;
            if byte < 64 {
                b"!#JDNdTCGHZ01a"[usize::from(byte) % 14]
            } else {
                byte
            }
        })
        .collect();
    // The bytes may have pulled EN low and end in the middle of a request, so both are ended.
    noise.extend(b"#!GZ0#!GA#");
    next.send(&noise);
    loop {
        let reply = next.reply();
        assert!(reply.starts_with('&') && reply.is_ascii(), "{reply:?}");
        if reply.contains("pinrig") {
            break;
        }
    }
    assert_eq!(next.ask("!HC#"), "&K4#");
}

#[test]
fn a_client_pulls_the_boards_reset_line_which_rises_when_the_client_has_gone() {
    let board = booted(erased());
    let server = server(&board);
    let log = board.watch_log();
    let power_on = || {
        let reset = |event| matches!(event, HardwareEvent::Reset(ResetCause::PowerOn));
        while !reset(log.recv_timeout(PATIENCE).expect("a reset in the board's log").event) {}
    };
    power_on();
    let mut client = Client::connect(&server);
    assert_eq!(client.ask("!GZ0#"), "&K0#");
    assert_eq!(client.ask("!GZ1#"), "&K0#");
    assert_eq!(client.ask("!Gz#"), "&K1#");
    // The debug module is in reset with the chip, so the access fails. The two lowest bits report it.
    client.ask("!JR#");
    client.go(&[1, 1, 0, 0]);
    client.number("!JD0511#");
    client.go(&[1, 0, 1, 0, 0]);
    client.number("!Jd2000000001#");
    client.number("!JD0944#");
    client.go(&[1, 0, 1, 0, 0]);
    assert_eq!(client.number("!JD200#") & 3, 2);
    drop(client);
    power_on();
}

#[test]
fn a_server_that_is_dropped_disconnects_its_client() {
    let board = booted(erased());
    let server = server(&board);
    let mut client = Client::connect(&server);
    assert_eq!(client.ask("!HC#"), "&K4#");
    drop(server);
    let mut rest = Vec::new();
    assert_eq!(client.0.read_to_end(&mut rest).expect("it ends"), 0);
}
