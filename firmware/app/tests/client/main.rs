//! The whole client on a host, against a real TLS server: what a user types, what is printed, and what the server saw.
#![cfg(not(feature = "unguarded"))]
#![expect(clippy::unwrap_used, reason = "in a test it is the shortest assertion")]

mod frame;
mod limits;
mod lines;
mod runs;
mod sketch;
#[path = "../support/mod.rs"]
mod support;

use sha1::Digest as _;
use support::board::console;
use support::server::{Behaviour, Server, hex, key, reply};

const BODY: &str = r#"{"state":"success","statuses":[]}"#;

#[test]
fn a_matching_pin_prints_the_original_transcript() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let seen = server.run(&[&server.sha1_pin()]);
    assert_eq!(
        seen.transcript(),
        [
            "connecting to wired network",
            "........",
            "WiFi connected",
            "IP address:",
            "127.0.0.1",
            "connecting to api.github.com",
            "certificate matches",
            "requesting URL: /repos/esp8266/Arduino/commits/master/status",
            "request sent",
            "headers received",
            "esp8266/Arduino CI successfull!",
            "reply was:",
            "==========",
            BODY,
            "==========",
            "closing connection",
        ]
    );
    seen.answers("outcome=success pin=match guard=passed status=200 body=33");
    assert_eq!(
        seen.request(),
        "GET /repos/esp8266/Arduino/commits/master/status HTTP/1.1\r\nHost: api.github.com\r\n\
         User-Agent: BuildFailureDetectorESP8266\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn a_sha256_pin_works_as_well() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    server
        .run(&[&format!("set pin {}", hex(&sha2::Sha256::digest(&server.leaf)))])
        .answers("outcome=success pin=match");
}

#[test]
fn a_mismatch_aborts_before_a_byte_is_sent() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let seen = server.run(&[&format!("set pin {}", "ab".repeat(20))]);
    assert_eq!(
        seen.transcript()[6..],
        ["certificate doesn't match", "closing connection"]
    );
    seen.answers("outcome=refused pin=mismatch guard=unchecked reason=pin-mismatch");
    seen.answers(&format!("fingerprint={}", hex(&sha1::Sha1::digest(&server.leaf))));
    assert_eq!(seen.request(), "", "the server got application data");
    assert!(
        seen.served().error.contains("BadCertificate"),
        "the server was not told: {:?}",
        seen.served
    );
}

#[test]
fn a_mismatch_goes_on_where_the_policy_says_so() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let seen = server.run(&[&format!("set pin {}", "ab".repeat(20)), "set on-mismatch continue"]);
    assert_eq!(seen.transcript()[6], "certificate doesn't match");
    seen.answers("outcome=success pin=mismatch guard=passed status=200");
    assert!(seen.request().starts_with("GET /repos/"));
}

#[test]
fn names_are_checked_where_asked() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let pin = server.sha1_pin();
    server
        .run(&[&pin, "set check-name on"])
        .answers("outcome=success pin=match guard=passed name=match");
    let seen = server.run(&[&pin, "set check-name on", "set host evil.example"]);
    seen.answers("outcome=refused pin=unchecked guard=unchecked name=mismatch reason=name-mismatch");
    assert_eq!(seen.request(), "");
    server
        .run(&[&pin, "set host evil.example"])
        .answers("outcome=success pin=match");
}

#[test]
fn another_key_behind_the_pinned_certificate_is_refused() {
    let mut server = Server::with_reply(&reply("200 OK", "", BODY));
    server.key = key();
    let seen = server.run(&[&server.sha1_pin()]);
    seen.answers("outcome=refused pin=unchecked guard=refused reason=bad-signature");
    assert_eq!(seen.transcript().last(), Some(&"connection failed"));
    assert_eq!(seen.request(), "");
}

#[test]
fn replies_are_judged_by_the_rule_that_was_set() {
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        &BODY[..5],
        BODY.len() - 5,
        &BODY[5..]
    );
    let pretty = reply("200 OK", "", "{\n  \"state\": \"success\"\n}\n");
    for (reply, rule, answer) in [
        (&chunked, "original", "outcome=failed pin=match"),
        (&chunked, "robust", "outcome=success pin=match"),
        (&pretty, "original", "outcome=failed pin=match"),
        (&pretty, "robust", "outcome=success pin=match"),
        (&reply("403 Forbidden", "", BODY), "robust", "outcome=failed pin=match"),
        (
            &reply("200 OK", "", r#"{"state":"failure"}"#),
            "original",
            "outcome=failed",
        ),
    ] {
        let server = Server::with_reply(reply);
        server
            .run(&[&server.sha1_pin(), &format!("set rule {rule}")])
            .answers(answer);
    }
    let server = Server::with_reply(&chunked);
    let seen = server.run(&[&server.sha1_pin(), "set rule original"]);
    assert_eq!(
        seen.transcript()[10..14],
        ["esp8266/Arduino CI has failed", "reply was:", "==========", "5"]
    );
}

#[test]
fn a_long_reply_is_printed_whole() {
    let body = format!(
        "{{\"statuses\":[{}],\"state\":\"success\"}}",
        vec!["{\"state\":\"failure\"}"; 4000].join(",")
    );
    let server = Server::with_reply(&reply("200 OK", "", &body));
    let seen = server.run(&[&server.sha1_pin()]);
    assert_eq!(seen.transcript()[13], body);
    seen.answers(&format!(
        "outcome=failed pin=match guard=passed reason=build-not-successful status=200 body={}",
        body.len()
    ));
    // The state comes later than the client can wait for before it starts to print.
    server
        .run(&[&server.sha1_pin(), "set rule robust"])
        .answers("outcome=failed");
}

#[test]
fn broken_replies_are_named() {
    for (reply, reason) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"state\":\"success\"}",
            "truncated",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
            "ambiguous-length",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense",
            "malformed-chunk",
        ),
        ("SSH-2.0-OpenSSH\r\n\r\n", "malformed-head"),
        ("HTTP/1.1 200", "truncated"),
        (&format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(9000)), "head-too-long"),
    ] {
        let server = Server::with_reply(reply);
        let seen = server.run(&[&server.sha1_pin()]);
        seen.answers("outcome=response-failed pin=match guard=passed");
        seen.answers(&format!("reason={reason}"));
        assert_eq!(seen.transcript().last(), Some(&"closing connection"));
    }
}

#[test]
fn the_end_of_a_reply_must_be_announced_by_the_server_itself() {
    // No close_notify behind a body that ends with the connection: anyone on the path could have cut it.
    let mut server = Server::with_reply("HTTP/1.1 200 OK\r\n\r\n{\"state\":\"success\"}");
    server.run(&[&server.sha1_pin()]).answers("outcome=success");
    server.behaviour = Behaviour::CutAfterReply;
    server
        .run(&[&server.sha1_pin()])
        .answers("outcome=response-failed pin=match guard=passed reason=connection-closed");
    server.behaviour = Behaviour::ForgeCloseAfterReply;
    server
        .run(&[&server.sha1_pin()])
        .answers("outcome=response-failed pin=match guard=passed reason=unexpected-message");
}

#[test]
fn every_wait_has_a_limit_that_names_itself() {
    let mut server = Server::with_reply("");
    let pin = server.sha1_pin();
    server.behaviour = Behaviour::SilentAfterTcp;
    server
        .run(&[&pin, "set timeout handshake 100"])
        .answers("outcome=handshake-failed pin=unchecked guard=unchecked reason=timeout-handshake");
    server
        .run(&[&pin, "set timeout total 100"])
        .answers("outcome=handshake-failed pin=unchecked guard=unchecked reason=timeout-total");
    server.behaviour = Behaviour::SilentAfterHandshake;
    server
        .run(&[&pin, "set timeout response 300"])
        .answers("outcome=response-failed pin=match guard=passed reason=timeout-response");
}

#[test]
fn failures_before_tls_are_told_apart() {
    let server = Server::with_reply("");
    let pin = server.sha1_pin();
    server
        .run(&[&pin, "set connect-to none", "set host nowhere.example"])
        .answers("outcome=connection-failed pin=unchecked guard=unchecked reason=dns");
    server
        .run(&[&pin, "set connect-to 127.0.0.1:1"])
        .answers("outcome=connection-failed pin=unchecked guard=unchecked reason=tcp-refused");
}

#[test]
fn a_server_without_tls_1_3_says_so_by_alert() {
    let mut server = Server::with_reply(&reply("200 OK", "", BODY));
    server.versions = vec![&rustls::version::TLS12];
    server
        .run(&[&server.sha1_pin()])
        .answers("outcome=handshake-failed pin=unchecked guard=unchecked reason=alert-protocol-version");
}

#[test]
fn a_hostile_body_cannot_imitate_machine_lines() {
    let server = Server::with_reply(&reply(
        "200 OK",
        "",
        "x\n@- panic message=\"no\"\n@t reply end\n\r@t ok run outcome=success\n",
    ));
    let seen = server.run(&[&server.sha1_pin()]);
    let machine_lines: Vec<_> = seen.output.lines().filter(|line| line.starts_with('@')).collect();
    assert_eq!(machine_lines.len(), 6, "{}", seen.output);
    assert_eq!(machine_lines[3..5], ["@t reply begin", "@t reply end"]);
    seen.answers("outcome=failed");
}

#[test]
fn the_console_answers_with_tags_and_survives_nonsense() {
    let mut input = b"#a1 hello\n#a1 set pin zz\n\xff\xfe\n".to_vec();
    input.extend_from_slice(&[b'x'; 2000]);
    input.extend_from_slice(b"\n#b2 set password hunter2hunter2\n#b3 show\n#b4 run\n#b5 reboot\nhello\n");
    let output = console(&input);
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(
        lines[0],
        "@- ready firmware=pinrig-host version=0 image=0123456789abcdef board=host console=2 reset=power-on"
    );
    assert_eq!(
        lines[1],
        "@a1 ok hello firmware=pinrig-host version=0 image=0123456789abcdef board=host console=2 reset=power-on"
    );
    assert_eq!(
        lines[2],
        "@a1 error set code=bad-pin detail=\"pin: expected two hexadecimal digits at position 1\""
    );
    assert!(lines[3].starts_with("@- error line code=not-utf8 "));
    assert_eq!(
        lines[4],
        "@- error line code=too-long detail=\"a line has at most 1024 bytes\""
    );
    assert_eq!(lines[5], "@b2 ok set");
    assert!(
        lines[6].starts_with("@b3 ok show network=none password=set host=api.github.com port=443 connect-to=none ")
    );
    assert_eq!(
        lines[7],
        "@b4 error run code=not-configured detail=\"use: set pin <fingerprint>\""
    );
    assert_eq!(lines[8..], ["@b5 ok reboot"], "the board went on after its reset");
    assert!(!output.contains("hunter2"));
}
