//! The server that keeps to the RFCs.

use std::io::Write;

use pinrig_certs::Recipe;

use super::client::{Client, REQUEST, body_of};
use super::{assert_lane, github, lane, start};
use crate::{Handshake, Honest, Reply, TicketCount, TlsVersion};

const REQUEST_LINE: &str = "#1 request: GET /repos/esp8266/Arduino/commits/master/status HTTP/1.1 | Host: api.github.com | \
     User-Agent: BuildFailureDetectorESP8266 | Connection: close";

#[test]
fn a_whole_exchange_in_tls_1_3() {
    let server = start(github());
    let response = Client::new().get(&server, REQUEST).unwrap();
    assert_eq!(body_of(&response), Reply::github("success").unwrap().body());
    assert_lane(
        &server,
        &[
            "#1 connected",
            "#1 client hello: name api.github.com; versions TLS 1.3, TLS 1.2; suites TLS_AES_256_GCM_SHA384, \
             TLS_AES_128_GCM_SHA256, TLS_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, \
             TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, \
             TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, \
             TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS_EMPTY_RENEGOTIATION_INFO_SCSV; groups x25519, secp256r1, \
             secp384r1; key shares x25519; signatures ecdsa_secp384r1_sha384, ecdsa_secp256r1_sha256, ed25519, \
             rsa_pss_rsae_sha512, rsa_pss_rsae_sha384, rsa_pss_rsae_sha256, rsa_pkcs1_sha512, rsa_pkcs1_sha384, \
             rsa_pkcs1_sha256",
            "#1 handshake complete: TLS 1.3, TLS_AES_256_GCM_SHA384, x25519",
            REQUEST_LINE,
            "#1 reply sent: 200 OK, content-length",
            "#1 close_notify sent",
            "#1 close_notify received",
            "#1 connection closed by the client; application data received",
        ],
    );
    assert_eq!(server.application_bytes_received(), REQUEST.len() as u64);
}

#[test]
fn a_whole_exchange_in_tls_1_2() {
    let mut config = github();
    config.handshake = Handshake::Honest(Honest {
        versions: vec![TlsVersion::Tls12],
        tickets: TicketCount::MIN,
        ..Honest::default()
    });
    let server = start(config);
    let response = Client::new().get(&server, REQUEST).unwrap();
    assert_eq!(body_of(&response), Reply::github("success").unwrap().body());
    assert_lane(
        &server,
        &[
            "#1 connected",
            "#1 client hello: ...",
            "#1 client key exchange",
            "#1 handshake complete: TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, x25519",
            REQUEST_LINE,
            "#1 reply sent: 200 OK, content-length",
            "#1 close_notify sent",
            "#1 close_notify received",
            "#1 connection closed by the client; application data received",
        ],
    );
}

#[test]
fn a_server_of_tls_1_2_alone_tells_a_client_of_tls_1_3_alone() {
    let mut config = github();
    config.handshake = Handshake::Honest(Honest {
        versions: vec![TlsVersion::Tls12],
        tickets: TicketCount::MIN,
        ..Honest::default()
    });
    let server = start(config);
    let refused = Client::new().version(&rustls::version::TLS13).get(&server, REQUEST);
    assert!(refused.unwrap_err().contains("ProtocolVersion"));
    assert_lane(
        &server,
        &[
            "#1 connected",
            "#1 client hello: ...",
            "#1 alert sent: protocol_version (in clear)",
            "#1 handshake failed: ...",
            "#1 connection closed by the client; no application data received",
        ],
    );
}

/// Such a run says nothing about its client.
#[test]
fn a_server_that_cannot_change_its_keys_says_that_it_has_failed() {
    let mut config = github();
    config.handshake = Handshake::Honest(Honest {
        key_update: true,
        ..Honest::default()
    });
    let server = start(config);
    let client = Client::new().version(&rustls::version::TLS12);
    client.get(&server, REQUEST).unwrap_err();
    let lane = lane(&server);
    let failed = lane
        .iter()
        .filter(|line| line.starts_with("#1 the server failed: cannot change its keys") && line.contains("TLS 1.2"));
    assert_eq!(failed.count(), 1, "{lane:?}");
}

#[test]
fn a_client_that_does_not_know_the_issuer_says_so() {
    let server = start(github());
    let stranger = Recipe::SelfSigned.issue().leaf().to_vec();
    Client::new().trusting(stranger).get(&server, REQUEST).unwrap_err();
    assert_lane(
        &server,
        &[
            "#1 connected",
            "#1 client hello: ...",
            "#1 alert received: unknown_ca",
            "#1 handshake failed: the client sent alert unknown_ca",
            "#1 connection closed by the client; no application data received",
        ],
    );
    assert_eq!(server.application_bytes_received(), 0);
}

#[test]
fn a_replayed_certificate_with_another_key_fails_at_the_signature() {
    for (version, in_clear) in [(&rustls::version::TLS13, ""), (&rustls::version::TLS12, " (in clear)")] {
        let mut config = github();
        config.identity = Recipe::Github.issue().with_key_of(&Recipe::GithubRekeyed.issue());
        let server = start(config);
        Client::new().version(version).get(&server, REQUEST).unwrap_err();
        assert_lane(
            &server,
            &[
                "#1 connected",
                "#1 client hello: ...",
                &format!("#1 alert received: decrypt_error{in_clear}"),
                "#1 handshake failed: the client sent alert decrypt_error",
                "#1 connection closed by the client; no application data received",
            ],
        );
    }
}

#[test]
fn an_alert_in_clear_after_the_handshake_is_heard() {
    let server = start(github());
    let mut stream = Client::new().connect(&server);
    while stream.conn.is_handshaking() || stream.conn.wants_write() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream.sock.write_all(&[0x15, 3, 3, 0, 2, 2, 0x2a]).unwrap();
    drop(stream);
    assert_lane(
        &server,
        &[
            "#1 connected",
            "#1 client hello: ...",
            "#1 handshake complete: ...",
            "#1 alert received: bad_certificate (in clear)",
            "#1 connection closed by the client; no application data received",
        ],
    );
}

#[test]
fn other_paths_and_nameless_clients_get_the_errors_of_github() {
    let nameless = "GET /repos/esp8266/Arduino/commits/master/status HTTP/1.1\r\nHost: api.github.com\r\n\r\n";
    for (request, status) in [
        (REQUEST.replace("master", "main"), "404 Not Found"),
        (REQUEST.replace("GET", "POST"), "404 Not Found"),
        (nameless.to_owned(), "403 Forbidden"),
        ("hello\r\n\r\n".to_owned(), "400 Bad Request"),
    ] {
        let server = start(github());
        let response = Client::new().get(&server, &request).unwrap();
        let beginning = format!("HTTP/1.1 {status}\r\n");
        assert!(response.starts_with(beginning.as_bytes()), "{request}");
        let lane = super::lane(&server);
        assert!(
            lane.contains(&format!("#1 reply sent: {status}, content-length")),
            "{lane:?}"
        );
    }
}

#[test]
fn half_a_request_is_recorded_as_such() {
    let server = start(github());
    let mut stream = Client::new().connect(&server);
    stream.write_all(b"GET /repos").unwrap();
    stream.flush().unwrap();
    drop(stream);
    assert_lane(
        &server,
        &[
            "#1 connected",
            "#1 client hello: ...",
            "#1 handshake complete: ...",
            "#1 request incomplete",
            // Dropping the client's socket with unread session tickets resets the connection on some systems.
            "#1 connection ...",
        ],
    );
    assert_eq!(server.application_bytes_received(), 10);
}

#[test]
fn a_client_without_tls_is_told_apart() {
    let server = start(github());
    let mut socket = std::net::TcpStream::connect(server.address()).unwrap();
    socket.write_all(REQUEST.as_bytes()).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let lane = super::lane(&server);
    assert!(
        lane[1..].iter().any(|line| line.starts_with("#1 handshake failed: ")),
        "{lane:?}"
    );
    assert_eq!(server.application_bytes_received(), 0);
}
