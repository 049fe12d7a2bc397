//! Starting, waiting, stopping; and what must not leak.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use pinrig_certs::Recipe;

use super::client::{Client, REQUEST};
use super::{assert_lane, github, start};
use crate::{Fault, FaultKind, Handshake, Honest, RogueHandshake, StartError, TicketCount, TlsServer, When};

#[test]
fn the_port_is_free_and_the_client_cut_off_once_the_server_is_dropped() {
    let server = start(github());
    let address = server.address();
    let mut stream = Client::new().connect(&server);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    drop(server);
    TcpStream::connect(address).unwrap_err();
    let mut rest = Vec::new();
    // Cut without close_notify.
    std::io::Read::read_to_end(&mut stream, &mut rest).unwrap_err();
}

#[test]
fn waiting_for_the_end_has_a_deadline_that_names_itself() {
    let server = start(github());
    let _held = TcpStream::connect(server.address()).unwrap();
    let begun = Instant::now();
    let error = server.wait_idle(Duration::from_millis(200)).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(error.open, 1);
    let text = error.to_string();
    assert!(
        text.contains("1 connection(s) still open 200ms") && text.contains("#1 connected"),
        "{text}"
    );
    let log = server.stop();
    let last = log.events.last().unwrap().to_string();
    assert_eq!(
        last,
        "#1 connection cut: the server was stopped; no application data received"
    );
}

#[test]
fn a_connection_is_in_the_record_as_soon_as_the_client_has_one() {
    let server = start(github());
    for number in 1..=50 {
        drop(TcpStream::connect(server.address()).unwrap());
        server.wait_idle(Duration::from_secs(20)).unwrap();
        assert_eq!(server.events().last().unwrap().connection, number);
    }
}

#[test]
fn a_watcher_sees_every_event_and_then_the_end_of_the_server() {
    let server = start(github());
    let from_the_start = server.watch();
    Client::new().get(&server, REQUEST).unwrap();
    server.wait_idle(Duration::from_secs(20)).unwrap();
    let from_the_end = server.watch();
    let log = server.stop();
    assert_eq!(from_the_start.iter().collect::<Vec<_>>(), log.events);
    assert_eq!(from_the_end.iter().collect::<Vec<_>>(), log.events);
    assert!(!log.events.is_empty());
}

#[test]
fn a_silent_client_is_given_up() {
    let mut config = github();
    config.limits.handshake = Duration::from_millis(100);
    let server = start(config);
    let _silent = TcpStream::connect(server.address()).unwrap();
    assert_lane(
        &server,
        &[
            "#1 connected",
            "#1 handshake failed: time ran out, waiting for the end of the handshake",
            "#1 connection given up, waiting for the end of the handshake; no application data received",
        ],
    );
}

#[test]
fn a_reset_is_told_from_an_orderly_end() {
    let server = start(github());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        socket.set_zero_linger().unwrap();
    });
    assert_lane(
        &server,
        &[
            "#1 connected",
            "#1 handshake failed: the client reset the connection",
            "#1 connection reset by the client; no application data received",
        ],
    );
}

#[test]
fn two_clients_are_served_at_once() {
    let server = start(github());
    let mut slow = Client::new().connect(&server);
    slow.write_all(b"GET ").unwrap();
    Client::new().get(&server, REQUEST).unwrap();
    slow.write_all(&REQUEST.as_bytes()[4..]).unwrap();
    let mut response = Vec::new();
    std::io::Read::read_to_end(&mut slow, &mut response).unwrap();
    assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn the_key_log_has_the_secrets_of_both_kinds_of_server_and_no_other_text_has_them() {
    for handshake in [Handshake::default(), Handshake::Rogue(RogueHandshake::honest())] {
        let mut config = github();
        config.handshake = handshake;
        let private_key = config.identity.key.pkcs8_der().to_vec();
        let mut told = format!("{config:?}");
        let server = start(config);
        Client::new().only_p256().get(&server, REQUEST).unwrap();
        server.wait_idle(Duration::from_secs(20)).unwrap();
        let key_log = server.key_log();
        for label in [
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            "CLIENT_TRAFFIC_SECRET_0",
            "SERVER_TRAFFIC_SECRET_0",
        ] {
            let line = key_log.lines().find(|line| line.starts_with(label)).unwrap();
            let fields: Vec<_> = line.split(' ').collect();
            assert_eq!((fields.len(), fields[1].len()), (3, 64), "{line}");
            assert!(matches!(fields[2].len(), 64 | 96), "{line}");
        }
        let log = server.stop();
        told += &format!("{log:?} {}", serde_json::to_string(&log.events).unwrap());
        let decimal = format!("{:?}", &private_key[40..48]);
        assert!(!told.contains(decimal.trim_matches(['[', ']'])));
        for line in key_log.lines() {
            let (_, secret) = line.rsplit_once(' ').unwrap();
            assert!(!told.contains(secret));
        }
    }
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = github();
    config.bind = taken.local_addr().unwrap();
    let error = TlsServer::start(config.clone()).unwrap_err();
    assert!(error.to_string().contains(&config.bind.to_string()), "{error}");

    let mut config = github();
    config.identity.key = pinrig_certs::PrivateKey::from_pkcs8_der(vec![0x30, 0]);
    assert!(matches!(TlsServer::start(config.clone()), Err(StartError::Key(_))));
    config.handshake = Handshake::Rogue(RogueHandshake::honest());
    assert!(matches!(TlsServer::start(config), Err(StartError::Key(_))));

    let mut config = github();
    config.handshake = Handshake::Honest(Honest {
        versions: vec![],
        tickets: TicketCount::MIN,
        ..Honest::default()
    });
    assert!(matches!(TlsServer::start(config), Err(StartError::Versions(_))));
}

#[test]
fn every_recipe_can_be_served_by_both_kinds_of_server() {
    const TRUSTED: &[Recipe] = &[
        Recipe::Github,
        Recipe::GithubRenewed,
        Recipe::GithubRekeyed,
        Recipe::Wildcard,
        Recipe::MixedCase,
        Recipe::ThirdName,
        Recipe::FarFuture,
        Recipe::LongChain,
        Recipe::ExtraCertificate,
        Recipe::LeafAlone,
        Recipe::FourKilobytes,
        Recipe::OneRecord,
        Recipe::TwoRecords,
        Recipe::Rsa,
        Recipe::P384,
        Recipe::Ed25519,
    ];
    for recipe in Recipe::ALL {
        let other_key = [Recipe::Rsa, Recipe::P384, Recipe::Ed25519].contains(recipe);
        for handshake in [Handshake::default(), Handshake::Rogue(RogueHandshake::honest())] {
            if other_key && handshake != Handshake::default() {
                continue;
            }
            let mut config = github();
            config.identity = recipe.issue();
            config.handshake = handshake;
            let server = start(config);
            let outcome = Client::new().only_p256().get(&server, REQUEST);
            let trusted = TRUSTED.contains(recipe);
            assert_eq!(outcome.is_ok(), trusted, "{recipe}: {outcome:?}");
            assert_eq!(server.application_bytes_received() > 0, trusted, "{recipe}");
        }
    }
}

#[test]
fn one_bit_is_changed_at_the_moment_that_was_asked_for() {
    let moments = [
        (When::Connected, ", right at the start"),
        (When::Sent(200), ", 200 bytes sent"),
        (When::Records(1), ", 1 records sent"),
        (When::Request, ", in place of the reply"),
    ];
    for (when, told) in moments {
        let mut config = github();
        config.fault = Some(Fault {
            when,
            what: FaultKind::Corrupt,
        });
        let server = start(config);
        // In TLS 1.2, since rustls does not look at the outer content type of TLS 1.3.
        let outcome = Client::new().version(&rustls::version::TLS12).get(&server, REQUEST);
        assert!(outcome.is_err(), "{when:?}");
        let lane = super::lane(&server);
        let line = format!("#1 on purpose: one bit is changed{told}");
        assert_eq!(lane.iter().filter(|told| **told == line).count(), 1, "{lane:?}");
    }
}
