//! The server that can leave out handshake messages.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use p256::elliptic_curve::Generate;
use p256::elliptic_curve::sec1::ToSec1Point;
use pinrig_certs::Recipe;

use super::client::{Client, REQUEST, body_of};
use super::{assert_lane, github, start};
use crate::{
    Bit, BitNumber, DataSize, Delivery, Encryption, EventKind, FragmentSize, Framing, Handshake, Honest, Message,
    MessageSize, PlannedMessage, PlannedStep, Reply, RogueHandshake, RunningServer,
};

fn rogue(plan: RogueHandshake) -> RunningServer {
    let mut config = github();
    config.handshake = Handshake::Rogue(plan);
    start(config)
}

/// A step by its name, with nothing set.
fn step(name: &str) -> PlannedStep {
    PlannedStep::plain(name.parse().unwrap()).unwrap()
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
fn keys_change_on_both_sides_and_rustls_follows() {
    let update = || vec![PlannedStep::ClientFinished, step("key-update"), step("key-update")];
    let steps = Message::HONEST.into_iter().map(PlannedStep::from).chain(update());
    let server = rogue(RogueHandshake::of(steps));
    let mut stream = Client::new().only_p256().connect(&server);
    stream.flush().unwrap();
    // The client changes its keys, and asks the server to change its own once more.
    stream.conn.refresh_traffic_keys().unwrap();
    stream.write_all(REQUEST.as_bytes()).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    assert_eq!(body_of(&response), Reply::github("success").unwrap().body());
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    drop(stream);
    let lane = super::lane(&server);
    assert!(lane.contains(&"#1 close_notify received".to_owned()), "{lane:?}");
    assert_eq!(server.application_bytes_received(), REQUEST.len() as u64);
}

#[test]
fn an_honest_server_that_changes_its_keys_understands_the_answer() {
    let mut config = github();
    config.handshake = Handshake::Honest(Honest {
        key_update: true,
        ..Honest::default()
    });
    let server = start(config);
    let mut stream = Client::new().connect(&server);
    stream.write_all(REQUEST.as_bytes()).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    assert_eq!(body_of(&response), Reply::github("success").unwrap().body());
    // The server has asked for other keys: the client's own KeyUpdate goes before this.
    stream.write_all(b"more").unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    drop(stream);
    let lane = super::lane(&server);
    assert!(lane.contains(&"#1 close_notify received".to_owned()), "{lane:?}");
    assert_eq!(server.application_bytes_received(), REQUEST.len() as u64 + 4);
}

#[test]
fn rustls_refuses_every_list_that_leaves_out_a_message() {
    for (left_out, alert) in [
        (
            &[Message::Certificate, Message::CertificateVerify][..],
            "unexpected_message",
        ),
        (&[Message::CertificateVerify], "unexpected_message"),
        (&[Message::Certificate], "unexpected_message"),
        (&[Message::EncryptedExtensions], "unexpected_message"),
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
    let server = rogue(RogueHandshake::of([Message::EncryptedExtensions]));
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
        RogueHandshake::of([Message::Finished]),
        RogueHandshake::of([
            Message::CertificateVerify,
            Message::ServerHello,
            Message::ServerHello,
            Message::Finished,
        ]),
        RogueHandshake::of([] as [Message; 0]),
    ] {
        let mut config = github();
        config.handshake = Handshake::Rogue(plan);
        config.limits.handshake = Duration::from_millis(300);
        let server = start(config);
        let mut stream = Client::new().only_p256().connect(&server);
        stream.sock.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
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
    let unsent = PlannedMessage {
        delivery: Delivery::Unsent,
        ..Message::UnknownMessage.into()
    };
    let mut steps = RogueHandshake::honest().steps().to_vec();
    steps.push(unsent.into());
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
            // The request, which the client sends before it can know.
            "#1 165 bytes after the session had failed",
            "#1 connection closed by the client; no application data received",
        ],
    );
    assert_eq!(server.application_bytes_received(), 0);
}

#[test]
fn lawful_oddities_do_not_disturb_rustls() {
    let steps = |list: &[&str]| RogueHandshake::of(list.iter().map(|name| step(name)));
    let together = Message::HONEST.map(|message| PlannedMessage {
        delivery: match message {
            Message::ServerHello | Message::Finished => Delivery::default(),
            _ => Delivery::WithNext,
        },
        ..message.into()
    });
    let in_pieces = Message::HONEST.map(|message| PlannedMessage {
        delivery: Delivery::Records {
            fragment: FragmentSize::new(100).filter(|_| message == Message::Certificate),
            encryption: Encryption::AsDue,
        },
        ..message.into()
    });
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
    let honest = Message::HONEST.map(Message::name);
    let mut wrong = Vec::new();
    // Replaced, by what, and the alert that a careful client sends.
    for (at, name, alert) in [
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
        list[at] = name;
        let server = rogue(RogueHandshake::of(list.map(step)));
        let client = Client::new().only_p256().version(&rustls::version::TLS13);
        if client.get(&server, REQUEST).is_ok() {
            wrong.push(format!("{name} is taken"));
            continue;
        }
        let lane = super::lane(&server);
        let alert_line = format!("#1 alert received: {alert}");
        if !lane.iter().any(|line| line.starts_with(&alert_line)) {
            wrong.push(format!("{name}, not {alert}: {:?}", &lane[3..]));
        }
        assert_eq!(server.application_bytes_received(), 0, "{name}");
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_step_that_turns_out_to_be_impossible_is_the_servers_own_failure() {
    // The signature's length differs from handshake to handshake, and rustls sends a session id of 32 bytes.
    let flipped = |message: Message, byte| PlannedMessage {
        flip_bit: Some(Bit {
            byte,
            bit: BitNumber::MIN,
        }),
        ..message.into()
    };
    let cut = |message: Message, length| PlannedMessage {
        cut: MessageSize::new(length),
        ..message.into()
    };
    for (at, planned, why) in [
        (
            0,
            flipped(Message::ServerHello, 155),
            "there is no byte 155 to change, the message has 155 bytes",
        ),
        (
            4,
            flipped(Message::Finished, -37),
            "there is no byte -37 to change, the message has 36 bytes",
        ),
        (
            4,
            cut(Message::Finished, 36),
            "it cannot be cut to 36 bytes, the message has 36 bytes",
        ),
        (
            4,
            PlannedMessage {
                delivery: Delivery::WithNext,
                ..Message::Finished.into()
            },
            "no later message is sent in whose record it could go",
        ),
    ] {
        let mut steps = RogueHandshake::honest().steps().to_vec();
        steps[at] = planned.into();
        let server = rogue(RogueHandshake::of(steps));
        Client::new().only_p256().get(&server, REQUEST).unwrap_err();
        let reason = format!("step {}, `{}`: {why}", at + 1, planned.message);
        assert_lane(
            &server,
            &[
                "#1 connected",
                "#1 client hello: ...",
                "#1 handshake by: ...",
                &format!("#1 the server failed: {reason}"),
                &format!("#1 handshake failed: {reason}"),
                "#1 connection closed by the client; no application data received",
            ],
        );
    }
}

#[test]
fn the_last_byte_of_a_message_can_be_changed_from_either_end() {
    for byte in [35, -1] {
        let spoilt = PlannedMessage {
            flip_bit: Some(Bit {
                byte,
                bit: BitNumber::MAX,
            }),
            ..Message::Finished.into()
        };
        let mut steps = RogueHandshake::honest().steps().to_vec();
        steps[4] = spoilt.into();
        let server = rogue(RogueHandshake::of(steps));
        Client::new().only_p256().get(&server, REQUEST).unwrap_err();
        let lane = super::lane(&server);
        assert!(
            lane.contains(&"#1 alert received: decrypt_error".to_owned()),
            "{lane:?}"
        );
    }
}

#[test]
fn application_data_of_any_size_is_sent_without_a_panic() {
    for encryption in [Encryption::AsDue, Encryption::Off] {
        for size in [DataSize::MIN, DataSize::MAX] {
            let mut steps = RogueHandshake::honest().steps().to_vec();
            steps.push(PlannedStep::ClientFinished);
            steps.push(PlannedStep::ApplicationData { size, encryption });
            let server = rogue(RogueHandshake::of(steps));
            let outcome = Client::new().only_p256().get(&server, REQUEST);
            let lane = super::lane(&server);
            assert!(!lane.iter().any(|line| line.contains("the server failed")), "{lane:?}");
            // A record without content is lawful; rustls takes it for nothing.
            let lawful = size == DataSize::MIN && encryption == Encryption::AsDue;
            assert_eq!(outcome.is_ok(), lawful, "{size} {encryption:?}: {outcome:?}");
        }
    }
}

#[test]
fn what_is_not_a_client_hello_is_refused_at_once() {
    for (record, alert, why) in [
        // A ClientHello whose session id is longer than the message.
        (
            [&[22, 3, 1, 0, 39, 1, 0, 0, 35, 3, 3][..], &[7; 32], &[200]].concat(),
            50,
            "the client's ClientHello cannot be read",
        ),
        (
            vec![23, 3, 3, 0, 1, 0],
            10,
            "the client did not begin with a ClientHello",
        ),
    ] {
        let server = rogue(RogueHandshake::honest());
        let mut socket = TcpStream::connect(server.address()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.write_all(&record).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        drop(socket);
        assert_eq!(answer, [21, 3, 3, 0, 2, 2, alert]);
        let lane = super::lane(&server);
        assert!(lane.contains(&format!("#1 handshake failed: {why}")), "{lane:?}");
    }
}

/// A ClientHello that the server can answer, with a session id of this length.
fn client_hello(session_id: u8) -> Vec<u8> {
    let share = p256::SecretKey::generate();
    let point = share.public_key().to_sec1_point(false);
    let key_share = [&[0, 51, 0, 71, 0, 69, 0, 23, 0, 65][..], point.as_bytes()].concat();
    let extensions = [&[0, 43, 0, 3, 2, 3, 4][..], &key_share].concat();
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(session_id);
    body.extend(vec![9; session_id.into()]);
    body.extend([0, 2, 0x13, 0x01, 1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u16::try_from(body.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let mut record = vec![22, 3, 1];
    record.extend((length + 4).to_be_bytes());
    record.extend([1, 0, high, low]);
    record.extend(body);
    record
}

#[test]
fn a_session_id_that_is_longer_than_the_rfc_allows_is_answered() {
    for session_id in [0, 33, 255] {
        let server = rogue(RogueHandshake::honest());
        let mut socket = TcpStream::connect(server.address()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.write_all(&client_hello(session_id)).unwrap();
        let mut header = [0; 5];
        socket.read_exact(&mut header).unwrap();
        let mut message = vec![0; u16::from_be_bytes([header[3], header[4]]).into()];
        socket.read_exact(&mut message).unwrap();
        assert_eq!((header[0], message[0], message[38]), (22, 2, session_id));
        drop(socket);
        let lane = super::lane(&server);
        assert!(!lane.iter().any(|line| line.contains("the server failed")), "{lane:?}");
    }
}

#[test]
fn no_bytes_of_a_client_make_the_server_panic() {
    let whole = client_hello(32);
    let mut inputs: Vec<Vec<u8>> = vec![
        vec![0; 5],
        vec![22, 3, 3, 0, 0],
        vec![22, 3, 3, 0xff, 0xff],
        [&whole[..], &[22, 3, 3, 0, 4, 20, 0xff, 0xff, 0xff]].concat(),
        [&whole[..], &[21, 3, 3, 0, 1, 0]].concat(),
        [&whole[..], &[23, 3, 3, 0, 0]].concat(),
        [&whole[..], &[20, 3, 3, 0, 0]].concat(),
        [&whole[..], &whole[..]].concat(),
    ];
    // Each byte of the ClientHello is changed once; and it is cut at each place.
    inputs.extend((0..whole.len()).map(|at| {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        changed
    }));
    inputs.extend((0..whole.len()).step_by(7).map(|end| whole[..end].to_vec()));
    let servers = [start(github()), rogue(RogueHandshake::honest())];
    for server in servers {
        for input in &inputs {
            let mut socket = TcpStream::connect(server.address()).unwrap();
            // The server may have closed before it has read everything.
            let _ = socket.write_all(input);
            let _ = socket.shutdown(Shutdown::Write);
            let _ = socket.read_to_end(&mut Vec::new());
        }
        server.wait_idle(Duration::from_secs(20)).unwrap();
        let failed = server
            .events()
            .into_iter()
            .find(|event| matches!(event.kind, EventKind::ServerFailed { .. }));
        assert_eq!(failed, None);
    }
}
