//! Several runs of one shell: each is made with the settings of its own, and is as the first would be.

use crate::support::board::Trouble;
use crate::support::server::{Behaviour, Server, key, reply};

const BODY: &str = r#"{"state":"success"}"#;

#[test]
fn settings_of_an_earlier_run_do_not_stay() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let (pin, wrong) = (server.sha1_pin(), format!("set pin {}", "ab".repeat(20)));
    let expired = "set clock 5000-01-01T00:00:00Z";
    for (first, first_result, then, result) in [
        (
            &["set check-name on", "set host evil.example"][..],
            "name-mismatch",
            &["set check-name off"][..],
            "outcome=success",
        ),
        (
            &["set check-name on", "set host evil.example"],
            "name-mismatch",
            &["set host api.github.com"],
            "name=match",
        ),
        (
            &["set check-name off"],
            "outcome=success",
            &["set check-name on", "set host evil.example"],
            "name-mismatch",
        ),
        (
            &[expired, "set check-dates on"],
            "expired",
            &["set check-dates off"],
            "outcome=success",
        ),
        (
            &[expired, "set check-dates on"],
            "expired",
            &["set clock 2026-11-05T09:30:00Z"],
            "dates=valid",
        ),
        (
            &["set clock 2026-11-05T09:30:00Z", "set check-dates on"],
            "dates=valid",
            &[expired],
            "expired",
        ),
        (
            &[expired, "set check-name on"],
            "name=match",
            &["set host evil.example"],
            "name-mismatch",
        ),
        (&[&wrong], "pin-mismatch", &[&pin], "pin=match"),
        (&[], "pin=match", &[&wrong], "pin-mismatch"),
        (
            &[&wrong, "set on-mismatch continue"],
            "outcome=success pin=mismatch",
            &["set on-mismatch abort"],
            "pin-mismatch",
        ),
        (
            &["set rule robust"],
            "outcome=success",
            &["set rule original"],
            "outcome=success",
        ),
        (
            &["set connect-to 127.0.0.1:1"],
            "tcp-refused",
            &["set connect-to none", "set host nowhere.example"],
            "reason=dns",
        ),
        (
            &["set timeout network 1", "set timeout total 1"],
            "outcome",
            &["set timeout network 9000", "set timeout total 9000"],
            "outcome=success",
        ),
    ] {
        let mut lines = vec![pin.as_str()];
        lines.extend(first);
        lines.push("#t run");
        lines.extend(then);
        lines.push("#t run");
        let seen = server.script(&lines, Trouble::None);
        let answers = seen.answers_to_runs();
        assert_eq!(answers.len(), 2, "{}", seen.output);
        assert!(
            answers[0].contains(first_result),
            "{first:?}: {first_result} is not in {}",
            answers[0]
        );
        assert!(
            answers[1].contains(result),
            "{first:?}, {then:?}: {result} is not in {}",
            answers[1]
        );
    }
}

#[test]
fn a_run_is_what_it_would_be_after_any_other() {
    // Each of these ends in its own way; a run like the first follows, which must not have changed.
    let mut server = Server::with_reply(&reply("200 OK", "", BODY));
    let pin = server.sha1_pin();
    let first = server.script(&[&pin, "#t run"], Trouble::None);
    let lines_of = |output: &str| {
        output
            .rsplit_once("connecting to wired network")
            .map(|(_, rest)| rest.to_owned())
            .unwrap()
    };
    let expected = lines_of(&first.output);
    let wrong = format!("set pin {}", "ab".repeat(20));
    for between in [
        &[&*wrong, "#t run", &pin][..],
        &[
            "set host evil.example",
            "set check-name on",
            "#t run",
            "set check-name off",
            "set host api.github.com",
        ],
        &[
            "set path /elsewhere?a=b",
            "#t run",
            "set path /repos/esp8266/Arduino/commits/master/status",
        ],
        &["set rule robust", "#t run", "set rule original"],
        &["#t run", "#t run"],
        &["set timeout handshake 1", "#t run", "set timeout handshake 15000"],
        &[
            "#t run now",
            "set path nowhere",
            "set pin 00",
            "set clock yesterday",
            "nonsense",
        ],
    ] {
        let mut lines = vec![pin.as_str()];
        lines.extend(between);
        lines.push("#t run");
        let seen = server.script(&lines, Trouble::None);
        assert_eq!(lines_of(&seen.output), expected, "after {between:?}");
        assert_eq!(
            seen.served.last().unwrap().request,
            first.request(),
            "after {between:?}"
        );
    }
    // A server that breaks the rules does not change what is asked of the next.
    server.key = key();
    let seen = server.script(&[&pin, "#t run", "#t run"], Trouble::None);
    for answer in seen.answers_to_runs() {
        assert!(
            answer.starts_with("outcome=refused pin=unchecked guard=refused reason=bad-signature "),
            "{answer}"
        );
    }
}

#[test]
fn a_run_asks_once_over_one_connection_and_closes_it_in_order() {
    for (reply, behaviour) in [
        (reply("200 OK", "", BODY), Behaviour::Reply),
        (reply("200 OK", "", BODY), Behaviour::SilentAfterReply),
        (reply("404 Not Found", "", "{}"), Behaviour::SilentAfterReply),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".into(),
            Behaviour::SilentAfterReply,
        ),
        ("nonsense\r\n\r\n".into(), Behaviour::SilentAfterReply),
    ] {
        let mut server = Server::with_reply(&reply);
        server.behaviour = behaviour;
        let seen = server.run(&[&server.sha1_pin(), "set timeout response 300"]);
        assert_eq!(
            seen.request(),
            "GET /repos/esp8266/Arduino/commits/master/status HTTP/1.1\r\nHost: api.github.com\r\n\
             User-Agent: BuildFailureDetectorESP8266\r\nConnection: close\r\n\r\n"
        );
        let served = seen.served();
        assert!(
            served.closed_in_order || behaviour == Behaviour::Reply,
            "{reply}: {served:?}"
        );
    }
}

#[test]
fn the_servers_name_is_sent_and_an_address_is_not() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let pin = server.sha1_pin();
    let seen = server.run(&[&pin]);
    assert_eq!(seen.served().server_name.as_deref(), Some("api.github.com"));
    let seen = server.run(&[&pin, "set host other.example", "set path /a?b"]);
    assert_eq!(seen.served().server_name.as_deref(), Some("other.example"));
    assert!(
        seen.request()
            .starts_with("GET /a?b HTTP/1.1\r\nHost: other.example\r\n")
    );
    let seen = server.run(&[&pin, "set host 192.0.2.1"]);
    assert_eq!(seen.served().server_name, None);
    // Nor is it sent as a name that a server passes over.
    let hello = &seen.served().hello;
    assert!(
        hello.len() > 100 && !hello.windows(9).any(|bytes| bytes == b"192.0.2.1"),
        "{hello:x?}"
    );
    assert!(seen.request().contains("\r\nHost: 192.0.2.1\r\n"));
}

#[test]
fn the_longest_path_and_host_reach_the_server() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let path = format!("/{}", "p".repeat(1024 - "set path /".len()));
    let label = "h".repeat(63);
    let host = format!("{label}.{label}.{label}.{}", "h".repeat(61));
    let seen = server.run(&[
        &server.sha1_pin(),
        &format!("set path {path}"),
        &format!("set host {host}"),
    ]);
    seen.answers("outcome=success");
    assert!(
        seen.request()
            .starts_with(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n"))
    );
    assert_eq!(seen.served().server_name.as_deref(), Some(&*host));
}

#[test]
fn name_and_dates_are_checked_together_and_apart() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let pin = server.sha1_pin();
    let (good, late) = ("set clock 2026-11-05T09:30:00Z", "set clock 5000-01-01T00:00:00Z");
    let both = ["set check-name on", "set check-dates on"];
    for (lines, result) in [
        (
            &[good][..],
            "outcome=success pin=match guard=passed name=match dates=valid ",
        ),
        (
            &[late],
            "outcome=refused pin=unchecked guard=unchecked name=match dates=expired reason=expired ",
        ),
        (
            &[good, "set host evil.example"],
            "outcome=refused pin=unchecked guard=unchecked name=mismatch reason=name-mismatch ",
        ),
        (
            &[late, "set host evil.example"],
            "outcome=refused pin=unchecked guard=unchecked name=mismatch reason=name-mismatch ",
        ),
        (
            &[late, "set host evil.example", "set on-mismatch continue"],
            "outcome=success pin=match guard=passed name=mismatch dates=expired ",
        ),
    ] {
        let seen = server.run(&[&[&*pin][..], &both, lines].concat());
        seen.answers(result);
    }
    // Without a clock there is no answer to the question.
    let seen = server.run(&[&pin, "set check-dates on"]);
    assert!(
        seen.output
            .ends_with("@t error run code=not-configured detail=\"use: set clock <YYYY-MM-DDTHH:MM:SSZ>\"\r\n")
    );
    assert!(seen.served.is_empty());
}

#[test]
fn a_refusal_is_told_to_the_server_by_its_own_alert() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let pin = server.sha1_pin();
    let wrong = format!("set pin {}", "ab".repeat(20));
    for (lines, alert) in [
        (&[&*wrong][..], "BadCertificate"),
        (&[&pin, "set check-name on", "set host evil.example"], "BadCertificate"),
        (
            &[&pin, "set check-dates on", "set clock 5000-01-01T00:00:00Z"],
            "CertificateExpired",
        ),
        (
            &[&pin, "set check-dates on", "set clock 1960-01-01T00:00:00Z"],
            "CertificateExpired",
        ),
    ] {
        let seen = server.run(lines);
        assert!(seen.served().error.contains(alert), "{lines:?}: {:?}", seen.served);
        assert_eq!(seen.request(), "");
    }
}

#[test]
fn replies_are_told_by_their_own_status_and_length() {
    for (status, result) in [
        ("200 OK", "outcome=success pin=match guard=passed status=200 body=19 "),
        (
            "201 Created",
            "outcome=failed pin=match guard=passed reason=build-not-successful status=201 body=19 ",
        ),
        (
            "204 No Content",
            "outcome=failed pin=match guard=passed reason=build-not-successful status=204 body=0 ",
        ),
        (
            "304 Not Modified",
            "outcome=failed pin=match guard=passed reason=build-not-successful status=304 body=0 ",
        ),
        (
            "101 Switching Protocols",
            "outcome=failed pin=match guard=passed reason=build-not-successful status=101 body=0 ",
        ),
        (
            "503 Service Unavailable",
            "outcome=failed pin=match guard=passed reason=build-not-successful status=503 body=19 ",
        ),
    ] {
        let mut server = Server::with_reply(&reply(status, "", BODY));
        // Where there is no body, none is waited for.
        server.behaviour = Behaviour::SilentAfterReply;
        server
            .run(&[&server.sha1_pin(), "set rule robust", "set timeout response 5000"])
            .answers(result);
    }
}

#[test]
fn some_interim_replies_are_passed_over_and_more_are_not() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\n\r\n";
    for (count, result) in [
        (1, "outcome=success"),
        (8, "outcome=success"),
        (9, "reason=too-many-interim-replies"),
    ] {
        let server = Server::with_reply(&(interim.repeat(count) + &reply("200 OK", "", BODY)));
        server.run(&[&server.sha1_pin(), "set rule robust"]).answers(result);
    }
}

#[test]
fn a_head_of_8192_bytes_is_taken_and_a_longer_one_is_not() {
    for (bytes, result) in [(8192, "outcome=success"), (8193, "reason=head-too-long")] {
        let start = "HTTP/1.1 200 OK\r\nContent-Length: 19\r\nX: ";
        let head = format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4));
        assert_eq!(head.len(), bytes);
        // Head and body are one record.
        let server = Server::with_reply(&(head + BODY));
        server.run(&[&server.sha1_pin(), "set rule robust"]).answers(result);
    }
}

#[test]
fn a_network_by_radio_is_joined_with_the_settings_of_its_run() {
    let server = Server::with_reply(&reply("200 OK", "", BODY));
    let seen = server.script(
        &[
            &server.sha1_pin(),
            "#t run",
            "set network lab",
            "#t run",
            "set password correct horse",
            "#t run",
            "clear password",
            "#t run",
            "set network elsewhere",
            "#t run",
        ],
        Trouble::Wireless,
    );
    assert!(
        seen.output
            .contains("@t error run code=not-configured detail=\"use: set network <ssid>\"\r\n")
    );
    let results = seen.answers_to_runs();
    assert_eq!(results.len(), 4, "{}", seen.output);
    assert!(results[0].starts_with("outcome=network-failed ") && results[0].contains("reason=network-refused"));
    assert!(results[1].starts_with("outcome=success "), "{}", results[1]);
    assert!(
        results[2].contains("reason=network-refused"),
        "the password is gone: {}",
        results[2]
    );
    assert!(results[3].contains("reason=network-not-found"), "{}", results[3]);
    // A dot for each half second, on one line.
    let (_, joining) = seen.output.split_once("connecting to lab\r\n").unwrap();
    let (dots, _) = joining.split_once("\r\n").unwrap();
    assert!(!dots.is_empty() && dots.bytes().all(|byte| byte == b'.'), "{dots}");
    assert!(!seen.output.contains("horse"), "{}", seen.output);
}
