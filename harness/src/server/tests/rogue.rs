//! The server that can leave out handshake messages.

use pinrig_certs::Recipe;

use super::super::{Framing, Handshake, Reply, RogueHandshake, RunningServer, Step};
use super::client::{Client, REQUEST, body_of};
use super::{assert_lane, github, start};

fn rogue(plan: RogueHandshake) -> RunningServer {
    let mut config = github();
    config.handshake = Handshake::Rogue(plan);
    start(config)
}

#[test]
fn the_unedited_list_is_an_honest_server() {
    let mut config = github();
    config.handshake = Handshake::Rogue(RogueHandshake::honest());
    // More than fits into one record.
    let body = vec![b'x'; 40_000];
    config.reply = Reply::json(body.clone());
    let server = start(config);
    let response = Client::new().only_p256().get(&server, REQUEST).unwrap();
    assert_eq!(body_of(&response), body);
    assert_lane(
        &server,
        &[
            "#1 connected",
            "#1 client hello: name api.github.com; ...",
            "#1 handshake complete: TLS 1.3, TLS_AES_128_GCM_SHA256, secp256r1",
            "#1 request: GET /repos/esp8266/Arduino/commits/master/status HTTP/1.1 | ...",
            "#1 reply sent: 200 OK, content-length",
            "#1 close_notify sent",
            "#1 close_notify received",
            "#1 connection closed by the client; application data received",
        ],
    );
    assert_eq!(server.application_bytes_received(), REQUEST.len() as u64);
}

#[test]
fn a_chunked_reply_arrives_in_chunks() {
    let mut config = github();
    config.handshake = Handshake::Rogue(RogueHandshake::honest());
    config.reply = Reply::github("success").unwrap().framed(Framing::Chunked);
    let server = start(config);
    let response = Client::new().only_p256().get(&server, REQUEST).unwrap();
    assert!(body_of(&response).starts_with(b"800\r\n{\"state\":\"success\""));
    assert!(response.ends_with(b"\r\n0\r\n\r\n"));
}

#[test]
fn rustls_refuses_every_list_that_leaves_out_a_message() {
    for (left_out, alert) in [
        (&[Step::Certificate, Step::CertificateVerify][..], "unexpected_message"),
        (&[Step::CertificateVerify], "unexpected_message"),
        (&[Step::Certificate], "unexpected_message"),
        (&[Step::EncryptedExtensions], "unexpected_message"),
    ] {
        let plan = left_out
            .iter()
            .fold(RogueHandshake::honest(), |plan, step| plan.omit(*step));
        let server = rogue(plan);
        Client::new().only_p256().get(&server, REQUEST).unwrap_err();
        let mut expected = vec!["#1 connected".to_owned(), "#1 client hello: ...".to_owned()];
        expected.extend(left_out.iter().map(|step| format!("#1 left out: {}", step.message())));
        expected.push(format!("#1 alert received: {alert}"));
        expected.push(format!("#1 handshake failed: the client sent alert {alert}"));
        expected.push("#1 connection closed by the client; no application data received".to_owned());
        assert_lane(&server, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn a_list_without_server_hello_is_refused_in_clear() {
    let server = rogue(RogueHandshake::of([Step::EncryptedExtensions]));
    Client::new().only_p256().get(&server, REQUEST).unwrap_err();
    let lane = super::lane(&server);
    assert!(
        lane.contains(&"#1 alert received: unexpected_message (in clear)".to_owned()),
        "{lane:?}"
    );
}

#[test]
fn a_replayed_certificate_with_another_key_fails_at_the_signature() {
    let mut config = github();
    config.identity = Recipe::Github.issue().with_key_of(&Recipe::SelfSigned.issue());
    config.handshake = Handshake::Rogue(RogueHandshake::honest());
    let server = start(config);
    Client::new().only_p256().get(&server, REQUEST).unwrap_err();
    let lane = super::lane(&server);
    assert!(
        lane.contains(&"#1 alert received: decrypt_error".to_owned()),
        "{lane:?}"
    );
    assert_eq!(server.application_bytes_received(), 0);
}

#[test]
fn a_client_with_nothing_in_common_is_told_why() {
    let cases = [
        (
            Client::new(),
            "handshake_failure",
            "the client sent no secp256r1 key share",
        ),
        (
            Client::new().version(&rustls::version::TLS12),
            "protocol_version",
            "the client does not offer TLS 1.3",
        ),
    ];
    for (client, alert, why) in cases {
        let server = rogue(RogueHandshake::honest());
        client.get(&server, REQUEST).unwrap_err();
        assert_lane(
            &server,
            &[
                "#1 connected",
                "#1 client hello: ...",
                &format!("#1 alert sent: {alert} (in clear)"),
                &format!("#1 handshake failed: {why}..."),
                "#1 connection closed by the client; no application data received",
            ],
        );
    }
}

#[test]
fn an_impossible_list_fails_without_a_panic() {
    for plan in [
        RogueHandshake::of([Step::Finished]),
        RogueHandshake::of([
            Step::CertificateVerify,
            Step::ServerHello,
            Step::ServerHello,
            Step::Finished,
        ]),
        RogueHandshake::of([]),
    ] {
        let mut config = github();
        config.handshake = Handshake::Rogue(plan);
        config.limits.handshake = std::time::Duration::from_millis(300);
        let server = start(config);
        let mut stream = Client::new().only_p256().connect(&server);
        stream
            .sock
            .set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .unwrap();
        stream.conn.complete_io(&mut stream.sock).unwrap_err();
        drop(stream);
        let lane = super::lane(&server);
        assert!(
            lane.iter().any(|line| line.starts_with("#1 handshake failed: ")),
            "{lane:?}"
        );
    }
}
