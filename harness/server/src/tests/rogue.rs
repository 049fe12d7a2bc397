//! The server that can leave out handshake messages.

use pinrig_certs::Recipe;

use super::client::{Client, REQUEST, body_of};
use super::{assert_lane, github, start};
use crate::{Framing, Handshake, PlannedStep, Reply, RogueHandshake, RunningServer, Step};

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
        expected.extend(left_out.iter().map(|step| format!("#1 left out: {step:?}")));
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
        RogueHandshake::of([] as [Step; 0]),
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

#[test]
fn a_clients_finished_over_another_handshake_is_refused() {
    // The server counts a message that the client never gets: the client's proof is then over another handshake.
    let mut unsent = PlannedStep::from(Step::UnknownMessage);
    unsent.unsent = true;
    let mut steps = RogueHandshake::honest().steps().to_vec();
    steps.push(unsent);
    let server = rogue(RogueHandshake::of(steps));
    Client::new().only_p256().get(&server, REQUEST).unwrap_err();
    assert_lane(
        &server,
        &[
            "#1 connected",
            "#1 client hello: ...",
            "#1 handshake by: server-hello, encrypted-extensions, certificate, certificate-verify, finished, \
             unknown-message (not sent)",
            "#1 alert sent: decrypt_error",
            "#1 handshake failed: the client's Finished does not fit the handshake",
            "#1 connection closed by the client; no application data received",
        ],
    );
    assert_eq!(server.application_bytes_received(), 0);
}

#[test]
fn lawful_oddities_do_not_disturb_rustls() {
    let steps = |list: &[&str]| RogueHandshake::of(list.iter().map(|name| name.parse::<Step>().unwrap()));
    let mut together = RogueHandshake::honest().steps().to_vec();
    for step in &mut together[1..4] {
        step.with_next = true;
    }
    let mut in_pieces = RogueHandshake::honest().steps().to_vec();
    in_pieces[2].fragment = Some(100);
    for plan in [
        steps(&[
            "server-hello",
            "change-cipher-spec",
            "encrypted-extensions",
            "certificate",
            "certificate-verify",
            "finished",
        ]),
        steps(&[
            "server-hello",
            "encrypted-extensions",
            "certificate-request",
            "certificate",
            "certificate-verify",
            "finished",
        ]),
        steps(&[
            "server-hello",
            "encrypted-extensions",
            "certificate",
            "certificate-verify",
            "finished",
            "client-finished",
            "new-session-ticket",
            "new-session-ticket",
        ]),
        RogueHandshake::of(together),
        RogueHandshake::of(in_pieces),
    ] {
        let server = rogue(plan.clone());
        let response = Client::new().only_p256().get(&server, REQUEST);
        assert!(response.is_ok(), "{plan:?}: {response:?}");
    }
}

#[test]
fn rustls_refuses_every_unlawful_step() {
    let honest = [
        "server-hello",
        "encrypted-extensions",
        "certificate",
        "certificate-verify",
        "finished",
    ];
    let mut wrong = Vec::new();
    // Replaced, by what, and the alert that a careful client sends.
    for (at, step, alert) in [
        (0, "older-server-hello", "protocol_version"),
        (0, "downgraded-server-hello", "protocol_version"),
        (0, "future-server-hello", "protocol_version"),
        (0, "other-suite-server-hello", "handshake_failure"),
        (0, "other-group-server-hello", "illegal_parameter"),
        (0, "psk-server-hello", "unsupported_extension"),
        (0, "no-share-server-hello", "missing_extension"),
        (1, "unasked-extensions", "unsupported_extension"),
        (3, "mislabelled-verify", "decrypt_error"),
        (3, "client-verify", "decrypt_error"),
        (3, "stale-verify", "decrypt_error"),
        (4, "reflected-finished", "decrypt_error"),
        (4, "unknown-message", "unexpected_message"),
        (4, "application-data", "unexpected_message"),
    ] {
        let mut list = honest;
        list[at] = step;
        let server = rogue(RogueHandshake::of(list.map(|name| name.parse::<Step>().unwrap())));
        let client = Client::new().only_p256().version(&rustls::version::TLS13);
        if client.get(&server, REQUEST).is_ok() {
            wrong.push(format!("{step} is taken"));
            continue;
        }
        let lane = super::lane(&server);
        let alert_line = format!("#1 alert received: {alert}");
        if !lane.iter().any(|line| line.starts_with(&alert_line)) {
            wrong.push(format!("{step}, not {alert}: {:?}", &lane[3..]));
        }
        assert_eq!(server.application_bytes_received(), 0, "{step}");
    }
    assert_eq!(wrong, Vec::<String>::new());
}
