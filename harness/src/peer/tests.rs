//! Servers that no TLS library makes: each sends bytes that a test has chosen, and keeps what it received.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::cursor::{vector8, vector16, vector24};
use super::hello::{ClientHello, Offer, ServerHello};
use super::{AllFailed, Failure, PeerError, Presented, ServerAddress, ServerAddressError, ServerName};
use crate::deadline::Deadline;

const LEAF: &[u8] = b"the leaf, which this module does not look into";
const ISSUER: &[u8] = b"its issuer";
const TLS_1_2: [u8; 2] = [3, 3];
const UNRECOGNIZED_NAME: u8 = 112;

#[test]
fn a_certificate_counts_as_soon_as_it_was_sent() {
    let flight = [server_hello(TLS_1_2), certificates(&[LEAF, ISSUER])].concat();
    let message_by_message = [
        record(22, &server_hello(TLS_1_2)),
        record(22, &certificates(&[LEAF, ISSUER])),
    ];
    let byte_by_byte: Vec<u8> = flight.iter().flat_map(|byte| record(22, &[*byte])).collect();
    let warning = record(21, &[1, UNRECOGNIZED_NAME]);
    let alert = record(21, &[2, 40]);
    for (how, answer) in [
        ("in one record", record(22, &flight)),
        ("in two records", message_by_message.concat()),
        ("in a record for each byte", byte_by_byte),
        ("behind a warning", [warning, record(22, &flight)].concat()),
        ("before an alert", [record(22, &flight), alert].concat()),
    ] {
        let server = Fake::start(move |stream| stream.write_all(&answer));
        let presented = server.look(Duration::from_secs(10)).unwrap();
        assert_eq!(presented.leaf, LEAF, "{how}");
        assert_eq!(presented.issuers, [ISSUER], "{how}");
        assert_eq!(presented.version, "TLS 1.2", "{how}");
        assert_eq!(presented.broken_off, None, "{how}");
    }
}

#[test]
fn a_leaf_counts_though_the_chain_behind_it_breaks_off() {
    let flight = [server_hello(TLS_1_2), certificates(&[LEAF, ISSUER])].concat();
    let whole = record(22, &flight);
    let without_issuer = whole.len() - ISSUER.len();
    for (sent, leaf) in [
        (without_issuer + 4, true),
        (without_issuer - 3, true),
        (without_issuer - 4, false),
    ] {
        let answer = whole[..sent].to_vec();
        let server = Fake::start(move |stream| stream.write_all(&answer));
        match server.look(Duration::from_secs(10)) {
            Ok(presented) => {
                assert!(leaf, "{sent}: {presented:?}");
                assert_eq!(presented.leaf, LEAF);
                assert_eq!(presented.issuers, Vec::<Vec<u8>>::new());
                assert_eq!(presented.broken_off, Some(Failure::Closed));
            }
            Err(error) => assert!(!leaf, "{sent}: {error}"),
        }
    }
}

#[test]
fn a_leaf_counts_though_the_rest_does_not_come_within_the_limit() {
    let flight = [server_hello(TLS_1_2), certificates(&[LEAF, ISSUER])].concat();
    let whole = record(22, &flight);
    let beginning = whole[..whole.len() - 1].to_vec();
    let server = Fake::start(move |stream| {
        stream.write_all(&beginning)?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    let presented = server.look(Duration::from_millis(500)).unwrap();
    assert_eq!(presented.leaf, LEAF);
    assert_eq!(presented.broken_off, Some(Failure::TooLate));
}

#[test]
fn every_version_in_clear_is_read() {
    for (minor, name) in [(0, "SSL 3.0"), (1, "TLS 1.0"), (2, "TLS 1.1"), (3, "TLS 1.2")] {
        let flight = [server_hello([3, minor]), certificates(&[LEAF])].concat();
        let server = Fake::start(move |stream| stream.write_all(&record(22, &flight)));
        let presented = server.look(Duration::from_secs(10)).unwrap();
        assert_eq!((presented.version.as_str(), &presented.leaf[..]), (name, LEAF));
    }
}

#[test]
fn a_second_hello_has_the_cookie_and_the_share_that_the_server_asked_for() {
    let cookie = b"a cookie of the server's";
    let share = [0, 51, 0, 2, 0, 24];
    let extensions = [&[0, 43, 0, 2, 3, 4][..], &share, &[0, 44], &vector16(&vector16(cookie))];
    let parts = [
        &TLS_1_2[..],
        &super::hello::RETRY,
        &vector8(&[]),
        &[0x13, 1, 0],
        &vector16(&extensions.concat()),
    ];
    let retry = record(22, &message(2, &parts.concat()));
    let server = Fake::start(move |stream| {
        stream.write_all(&retry)?;
        let second = read_record(stream)?;
        let has_cookie = contains(&second, cookie);
        // One share of P-384, a point of 97 bytes.
        let has_share = contains(&second, &[0, 51, 0, 103, 0, 101, 0, 24, 0, 97, 4]);
        stream.write_all(&record(21, &[2, if has_cookie && has_share { 80 } else { 47 }]))
    });
    match server.look(Duration::from_secs(10)) {
        Err(PeerError::Failed { failures, .. }) => assert_eq!(failures[0].1, Failure::Alert(80)),
        other => panic!("{other:?}"),
    }
}

/// Servers on small boards, and old ones, end the connection on a hello that they do not accept.
#[test]
fn a_server_that_accepts_only_a_small_or_an_old_hello_gets_one() {
    type Accepts = fn(&[u8]) -> bool;
    let accepts: [(&str, Accepts); 5] = [
        ("no TLS 1.3", |hello| !contains(hello, &[0, 43, 0, 9, 8, 3, 4])),
        // TLS_RSA_WITH_NULL_MD5 and the next.
        ("broken suites", |hello| contains(hello, &[0, 1, 0, 2, 0, 3])),
        ("TLS 1.2 in 300 bytes", |hello| {
            hello.len() <= 300 && hello[9..11] == TLS_1_2
        }),
        ("no extensions", |hello| hello.len() < 100),
        ("TLS 1.0 at most", |hello| hello[9..11] <= [3, 1][..]),
    ];
    for (what, accepts) in accepts {
        let flight = record(22, &[server_hello([3, 1]), certificates(&[LEAF])].concat());
        let server = Fake::answering(move |hello| {
            if accepts(hello) {
                flight.clone()
            } else {
                record(21, &[2, 47])
            }
        });
        let presented = server.look(Duration::from_secs(10));
        assert_eq!(presented.unwrap_or_else(|error| panic!("{what}: {error}")).leaf, LEAF);
    }
}

#[test]
fn failures_say_what_the_server_did() {
    let key_exchange = [server_hello(TLS_1_2), message(12, b"anonymous")].concat();
    for (answer, expected) in [
        (Vec::new(), Failure::Closed),
        (record(21, &[2, 40]), Failure::Alert(40)),
        (record(21, &[1, 0]), Failure::Alert(0)),
        (
            b"220 mail.example ESMTP\r\n".to_vec(),
            Failure::NotTls("220 mail.example ESMTP".to_owned()),
        ),
        (b"+OK\n".to_vec(), Failure::NotTls("+OK".to_owned())),
        (b"\0\x07\x02".to_vec(), Failure::NotTls("\\x00\\x07\\x02".to_owned())),
        (record(22, &key_exchange), Failure::NoCertificate),
        (
            record(22, &[server_hello(TLS_1_2), certificates(&[])].concat()),
            Failure::NoCertificate,
        ),
        (record(22, &server_hello([3, 5])), Failure::Version(0x0305)),
        (record(22, &message(2, b"short")), Failure::Malformed("ServerHello")),
        (
            [record(22, &server_hello(TLS_1_2)), b"nonsense".to_vec()].concat(),
            Failure::Malformed("record"),
        ),
    ] {
        let server = Fake::start(move |stream| stream.write_all(&answer));
        match server.look(Duration::from_secs(10)) {
            Err(PeerError::Failed { failures, .. }) => assert_eq!(failures, [(server.address, expected)]),
            other => panic!("{expected:?}: {other:?}"),
        }
    }
}

#[test]
fn a_server_that_never_comes_to_its_certificate_ends_at_the_limit() {
    type Answer = fn(&mut TcpStream) -> io::Result<()>;
    let answers: [(&str, Answer); 4] = [
        ("silent", |_| Ok(())),
        ("half a header", |stream| stream.write_all(&[22, 3])),
        ("a byte at a time", |stream| {
            let flight = record(22, &[server_hello(TLS_1_2), certificates(&[LEAF])].concat());
            dribble(stream, &flight)
        }),
        ("warnings without end", |stream| {
            dribble(stream, &record(21, &[1, 90]).repeat(1000))
        }),
    ];
    let limit = Duration::from_millis(700);
    for (how, answer) in answers {
        let server = Fake::start(move |stream| {
            answer(stream)?;
            // Until the client leaves.
            stream.read_to_end(&mut Vec::new()).map(drop)
        });
        let began = Instant::now();
        let error = server.look(limit).unwrap_err();
        let took = began.elapsed();
        assert!(
            took >= limit && took < limit + Duration::from_secs(5),
            "{how}: {took:?}"
        );
        let address = server.address;
        assert_eq!(
            error.to_string(),
            format!("{address}: timed out after 0.7 s waiting for its certificate"),
            "{how}"
        );
    }
}

#[test]
fn every_address_is_tried_and_the_first_that_presents_a_certificate_wins() {
    let silent = Fake::start(|stream| stream.read_to_end(&mut Vec::new()).map(drop));
    let refusing = Fake::start(|stream| stream.write_all(&record(21, &[2, 40])));
    let flight = record(22, &[server_hello(TLS_1_2), certificates(&[LEAF])].concat());
    let right = Fake::start(move |stream| stream.write_all(&flight));
    let closed = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let limit = Duration::from_secs(10);
    let try_all = |addresses: &[SocketAddr], limit| {
        let deadline = Deadline::after("the server's certificate", limit);
        super::first_to_present(addresses.to_vec(), &ServerName(None), limit, &deadline)
    };

    let began = Instant::now();
    let addresses = [silent.address, refusing.address, closed, right.address];
    let presented = try_all(&addresses, limit).unwrap();
    assert_eq!((presented.address, &presented.leaf[..]), (right.address, LEAF));
    assert!(began.elapsed() < limit / 2, "the silent one has only a head start");

    match try_all(&[refusing.address, closed], limit) {
        Err(AllFailed::InTime(failures)) => {
            assert_eq!(failures[0], (refusing.address, Failure::Alert(40)));
            assert!(matches!(failures[1], (address, Failure::Connect(_)) if address == closed));
        }
        other => panic!("{other:?}"),
    }
    match try_all(&[silent.address, refusing.address], limit / 10) {
        Err(AllFailed::TooLate(failures)) => assert_eq!(failures, [(refusing.address, Failure::Alert(40))]),
        other => panic!("{other:?}"),
    }
    assert!(matches!(try_all(&[], limit), Err(AllFailed::InTime(failures)) if failures.is_empty()));
}

#[test]
fn the_name_is_asked_for_and_an_address_is_not() {
    for (name, asked) in [
        ("lamp.test", Some("lamp.test")),
        ("lamp.test.", Some("lamp.test")),
        ("under_score", Some("under_score")),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
        ("fe80::1%eth0", None),
    ] {
        let name: ServerName = name.parse().unwrap();
        let server = Fake::start(|stream| stream.write_all(&record(21, &[2, 40])));
        let address = server.address.to_string().parse().unwrap();
        super::look(&address, Some(&name), Duration::from_secs(10)).unwrap_err();
        let hello = server.hellos.recv().unwrap();
        let extension = asked.map(|asked| {
            let entry = [&[0], &vector16(asked.as_bytes())[..]].concat();
            [&[0, 0][..], &vector16(&vector16(&entry))].concat()
        });
        match extension {
            Some(extension) => assert!(contains(&hello, &extension), "{name:?}"),
            None => assert!(!contains(&hello, &[0, 0, 0, 14]), "{name:?}"),
        }
    }
    for wrong in ["", ".", "two..dots", "with space", "sch\u{f6}n.test", &"a".repeat(64)] {
        assert!(wrong.parse::<ServerName>().is_err(), "{wrong:?}");
    }
}

#[test]
fn each_hello_is_as_small_as_its_servers_need_it() {
    for (offer, largest) in [
        (Offer::Modern, 512),
        (Offer::Everything, 1200),
        (Offer::Small, 200),
        (Offer::Bare, 100),
    ] {
        let hello = ClientHello {
            offer,
            name: Some("a.name.of.usual.length.test"),
            random: [1; 32],
            session_id: [2; 32],
            shares: &[],
            cookie: None,
        };
        let length = hello.message().len();
        assert!(length <= largest, "{offer:?}: {length}");
    }
}

#[test]
fn an_address_is_a_host_and_a_port() {
    for (text, host, port) in [
        ("lamp.test:443", "lamp.test", 443),
        ("192.0.2.1:65535", "192.0.2.1", 65535),
        ("[2001:db8::1]:443", "2001:db8::1", 443),
        ("[fe80::1%eth0]:443", "fe80::1%eth0", 443),
    ] {
        let address: ServerAddress = text.parse().unwrap();
        assert_eq!((address.host.as_str(), address.port), (host, port));
        assert_eq!(address.to_string(), text);
    }
    let form = |text: &str| Err(ServerAddressError::Form(text.to_owned()));
    for text in [
        "lamp.test",
        ":443",
        "lamp.test:",
        "lamp.test:0",
        "lamp.test:65536",
        "lamp.test:https",
        "https://lamp.test",
        "https://lamp.test:443",
        "",
    ] {
        assert_eq!(text.parse::<ServerAddress>(), form(text));
    }
    let bare = "2001:db8::1:443";
    assert_eq!(
        bare.parse::<ServerAddress>(),
        Err(ServerAddressError::Brackets(bare.to_owned()))
    );
}

#[test]
fn no_answer_makes_the_client_panic() {
    let retry = [&super::hello::RETRY[..], &[0, 0x13, 1, 0]].concat();
    let extensions = [
        &[0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0, 24, 0, 44][..],
        &vector16(&vector16(b"cookie")),
    ]
    .concat();
    let retry = [&TLS_1_2[..], &retry, &vector16(&extensions)].concat();
    assert!(ServerHello::read(&retry).is_some_and(|hello| hello.is_retry));
    let list = certificates(&[LEAF, ISSUER])[4..].to_vec();
    let mut random = Random(1);
    for _ in 0..50_000 {
        let mut bytes = if random.below(2) == 0 {
            retry.clone()
        } else {
            list.clone()
        };
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.next();
        }
        bytes.truncate(random.below(bytes.len()) + random.below(2) * bytes.len());
        let _ = ServerHello::read(&bytes);
        for version in [0x0303, 0x0304] {
            let (found, is_whole) = super::handshake::list(&bytes, version);
            let size: usize = found.iter().map(Vec::len).sum();
            assert!(size <= bytes.len() && (!is_whole || size < bytes.len()));
        }
    }
}

/// A server on loopback that does the same on every connection, once a ClientHello has come.
struct Fake {
    address: SocketAddr,
    /// Each record with a ClientHello.
    hellos: Receiver<Vec<u8>>,
}

impl Fake {
    fn start(answer: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + Clone + 'static) -> Self {
        Self::serve(move |_, stream| answer(stream))
    }

    fn answering(answer: impl Fn(&[u8]) -> Vec<u8> + Send + Clone + 'static) -> Self {
        Self::serve(move |hello, stream| stream.write_all(&answer(hello)))
    }

    fn serve(answer: impl Fn(&[u8], &mut TcpStream) -> io::Result<()> + Send + Clone + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, hellos) = channel();
        // The threads end with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, sender) = (answer.clone(), sender.clone());
                thread::spawn(move || {
                    let mut stream = stream?;
                    let hello = read_record(&mut stream)?;
                    let _ = sender.send(hello.clone());
                    answer(&hello, &mut stream)
                });
            }
        });
        Self { address, hellos }
    }

    fn look(&self, limit: Duration) -> Result<Presented, PeerError> {
        let address = self.address.to_string().parse().unwrap();
        super::look(&address, None, limit)
    }
}

/// A record with its header.
fn read_record(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut record = vec![0; 5];
    stream.read_exact(&mut record)?;
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(5 + length, 0);
    stream.read_exact(&mut record[5..])?;
    Ok(record)
}

/// Sends a byte every 50 ms, with TCP's own clock: nothing is there to be waited for but time.
fn dribble(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    for byte in bytes {
        stream.write_all(&[*byte])?;
        if matches!(stream.read(&mut [0; 16]), Ok(0)) {
            break;
        }
    }
    stream.set_read_timeout(None)
}

fn server_hello(version: [u8; 2]) -> Vec<u8> {
    let parts = [&version[..], &[7; 32], &vector8(&[]), &[0, 0x2F], &[0]];
    message(2, &parts.concat())
}

/// Certificate up to TLS 1.2.
fn certificates(chain: &[&[u8]]) -> Vec<u8> {
    let entries: Vec<u8> = chain.iter().flat_map(|certificate| vector24(certificate)).collect();
    message(11, &vector24(&entries))
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &vector24(body)[..]].concat()
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1], &vector16(body)[..]].concat()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Numbers that are the same in each run (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u8
    }

    fn below(&mut self, limit: usize) -> usize {
        let wide = usize::from(self.next()) << 8 | usize::from(self.next());
        wide % limit.max(1)
    }
}
