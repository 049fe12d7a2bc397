//! ClientHellos that are long, in pieces, or never end.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use pinrig_certs::Recipe;
use rustls::crypto::ring::{default_provider, kx_group};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::{github, lane, start};
use crate::{EventKind, Handshake, RogueHandshake, RunningServer};

/// Both kinds of server.
fn servers() -> [RunningServer; 2] {
    let mut rogue = github();
    rogue.handshake = Handshake::Rogue(RogueHandshake::honest());
    [start(github()), start(rogue)]
}

/// A client that names this many application protocols of 255 bytes each.
fn client(protocols: usize) -> ClientConnection {
    let mut provider = default_provider();
    provider.kx_groups = vec![kx_group::SECP256R1];
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(Recipe::authority())).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = (0..protocols).map(|number| vec![number as u8; 255]).collect();
    ClientConnection::new(Arc::new(config), ServerName::try_from("api.github.com").unwrap()).unwrap()
}

/// A record of the handshake with this fragment.
fn record(fragment: &[u8]) -> Vec<u8> {
    let length = u16::try_from(fragment.len()).unwrap();
    [&[22, 3, 1][..], &length.to_be_bytes(), fragment].concat()
}

fn connect(server: &RunningServer) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

#[test]
fn a_client_hello_may_come_in_pieces_and_be_long() {
    for server in servers() {
        for (protocols, piece) in [(0, 1), (0, 7), (0, 1 << 14), (200, 1000), (200, 1 << 14)] {
            let mut client = client(protocols);
            let mut flight = Vec::new();
            client.write_tls(&mut flight).unwrap();
            let mut message = Vec::new();
            while let Some((header, rest)) = flight.split_first_chunk::<5>() {
                let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
                message.extend_from_slice(&rest[..length]);
                flight = rest[length..].to_vec();
            }
            assert!(message.len() > 256 * protocols, "{} bytes", message.len());
            let mut stream = connect(&server);
            for fragment in message.chunks(piece) {
                stream.write_all(&record(fragment)).unwrap();
            }
            // This server knows none of the protocols, and takes no notice of them or refuses them after it has read all of them.
            let finished = client.complete_io(&mut stream);
            assert!(protocols > 0 || finished.is_ok(), "{piece}: {finished:?}");
        }
        let lane = lane(&server);
        let hellos = lane
            .iter()
            .filter(|line| line.contains("client hello: name api.github.com"));
        assert_eq!(hellos.count(), 5, "{lane:#?}");
    }
}

/// It is refused by its length, before its content has come, and not one byte of that is kept.
#[test]
fn a_client_hello_that_never_ends_is_refused_at_once() {
    for server in servers() {
        let mut stream = connect(&server);
        let begun = [&[1, 0xFF, 0xFF, 0xFF, 3, 3][..], &[7; 1000]].concat();
        stream.write_all(&record(&begun)).unwrap();
        let mut alert = [0; 7];
        stream.read_exact(&mut alert).unwrap();
        assert_eq!((alert[0], &alert[3..]), (21, &[0, 2, 2, 50][..]), "decode_error");
        // The client goes on as if nothing had been said, until the server has closed its side and has waited long enough.
        let more = record(&[7; 1 << 14]);
        for _ in 0..1200 {
            match stream.write_all(&more) {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => break,
                Err(error) => panic!("{error}"),
            }
        }
        drop(stream);
        let lane = lane(&server);
        assert!(
            lane.contains(&"#1 alert sent: decode_error (in clear)".to_owned()),
            "{lane:#?}"
        );
        let events = server.events();
        let failed = events
            .iter()
            .filter(|event| matches!(event.kind, EventKind::HandshakeFailed { .. }));
        assert_eq!(failed.count(), 1, "{lane:#?}");
        assert!(!lane.iter().any(|line| line.contains("client hello")), "{lane:#?}");
    }
}

/// The longest that the RFC allows is waited for; one byte more is not.
#[test]
fn the_bound_is_the_longest_client_hello_that_can_be_written_down() {
    let mut config = github();
    config.handshake = Handshake::Rogue(RogueHandshake::honest());
    let server = start(config);
    for (length, refused) in [(131_396u32, false), (131_397, true)] {
        let mut stream = connect(&server);
        let [_, a, b, c] = length.to_be_bytes();
        stream.write_all(&record(&[1, a, b, c])).unwrap();
        if refused {
            let mut alert = [0; 7];
            stream.read_exact(&mut alert).unwrap();
            assert_eq!(alert[6], 50);
        } else {
            // The rest, which is nonsense, is read before it is refused.
            let rest = vec![0xFF; length as usize];
            for fragment in rest.chunks(1 << 14) {
                stream.write_all(&record(fragment)).unwrap();
            }
            let mut alert = [0; 7];
            stream.read_exact(&mut alert).unwrap();
        }
    }
    let lane = lane(&server);
    let reasons: Vec<&String> = lane.iter().filter(|line| line.contains("handshake failed")).collect();
    assert!(
        reasons[0].ends_with("the client's ClientHello cannot be read"),
        "{reasons:?}"
    );
    assert!(reasons[1].contains("131397 bytes long"), "{reasons:?}");
}
