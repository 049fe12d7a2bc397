//! What runs leave on the heap: nothing, however they end. This is a program of its own: other tests would disturb the count.
#![cfg(not(feature = "unguarded"))]
#![expect(clippy::unwrap_used, reason = "in a test it is the shortest assertion")]

#[expect(dead_code, reason = "other tests use the rest")]
mod support;

use allocation_counter::measure;
use support::board::{Trouble, runtime};
use support::server::{Behaviour, Server, key, reply};

/// The bytes that are left behind by this many runs of one shell, the shell's own included.
fn left_by(runs: usize, server: &Server, lines: &[&str], trouble: Trouble) -> i64 {
    let lines = [lines, &vec!["#t run"; runs]].concat();
    // Timers that are over keep hold of it, so it is not counted.
    let runtime = runtime();
    let counted = measure(|| {
        let seen = server.script_on(&runtime, &lines, trouble);
        assert_eq!(seen.answers_to_runs().len(), runs, "{}", seen.output);
    });
    counted.bytes_current
}

#[test]
fn more_runs_leave_no_more_on_the_heap() {
    let body = r#"{"state":"success"}"#;
    let server = |text: &str, behaviour| {
        let mut server = Server::with_reply(text);
        server.behaviour = behaviour;
        server
    };
    let good = reply("200 OK", "", body);
    let chunks = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n{body}\r\n0\r\n\r\n");
    let unfinished = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"state\":\"success\"";
    let mut another_key = server(&good, Behaviour::Reply);
    another_key.key = key();
    let wrong = format!("set pin {}", "ab".repeat(20));
    let cases: [(&str, Server, &[&str], Trouble); 16] = [
        ("outcome=success", server(&good, Behaviour::Reply), &[], Trouble::None),
        (
            "outcome=success",
            server(&chunks, Behaviour::Reply),
            &["set rule robust"],
            Trouble::None,
        ),
        (
            "outcome=failed",
            server(&chunks, Behaviour::Reply),
            &["set rule original"],
            Trouble::None,
        ),
        (
            "malformed-chunk",
            server(&chunks.replace("13", "x"), Behaviour::Reply),
            &["set rule robust"],
            Trouble::None,
        ),
        (
            "malformed-json",
            server(&good.replace('{', "{,"), Behaviour::Reply),
            &["set rule robust"],
            Trouble::None,
        ),
        (
            "malformed-head",
            server("nonsense\r\n\r\n", Behaviour::Reply),
            &[],
            Trouble::None,
        ),
        (
            "connection-closed",
            server(unfinished, Behaviour::CutAfterReply),
            &[],
            Trouble::None,
        ),
        (
            "timeout-response",
            server(unfinished, Behaviour::SilentAfterReply),
            &["set timeout response 150"],
            Trouble::None,
        ),
        (
            "timeout-handshake",
            server("", Behaviour::SilentAfterTcp),
            &["set timeout handshake 50"],
            Trouble::None,
        ),
        (
            "pin-mismatch",
            server(&good, Behaviour::Reply),
            &[&wrong],
            Trouble::None,
        ),
        (
            "outcome=success pin=mismatch",
            server(&good, Behaviour::Reply),
            &[&wrong, "set on-mismatch continue"],
            Trouble::None,
        ),
        (
            "name-mismatch",
            server(&good, Behaviour::Reply),
            &["set check-name on", "set host evil.example"],
            Trouble::None,
        ),
        ("bad-signature", another_key, &[], Trouble::None),
        (
            "tcp-refused",
            server("", Behaviour::Reply),
            &["set connect-to 127.0.0.1:1"],
            Trouble::None,
        ),
        (
            "reason=dns",
            server("", Behaviour::Reply),
            &["set connect-to none", "set host nowhere.example"],
            Trouble::None,
        ),
        (
            "timeout-network",
            server("", Behaviour::Reply),
            &["set timeout network 20"],
            Trouble::NoNetwork,
        ),
    ];
    for (result, server, lines, trouble) in &cases {
        let pin = server.sha1_pin();
        let lines = [&[pin.as_str()], *lines].concat();
        let once = server.script(&[&lines[..], &["#t run"]].concat(), *trouble);
        assert!(once.answers_to_runs()[0].contains(result), "{result}: {}", once.output);
        // What the first runs leave for all others, such as the server's caches, comes and goes.
        let mut differences = Vec::new();
        while !differences.contains(&0) {
            assert!(
                differences.len() < 4,
                "{result}: bytes more after four more runs: {differences:?}"
            );
            let (few, many) = (
                left_by(2, server, &lines, *trouble),
                left_by(6, server, &lines, *trouble),
            );
            differences.push(many - few);
        }
    }
}
