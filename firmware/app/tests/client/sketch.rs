//! The client of the Arduino sketch, as a process on this machine, beside this one: both must say the same, byte for
//! byte.
//!
//! Where no C++ compiler or no BearSSL is installed these tests say so and end; with `PINRIG_REQUIRE_CLIENTS` set, they
//! fail.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::lines::{REFUSED, SETTINGS};
use crate::support::board::{Seen, Trouble, console, typed};
use crate::support::documents::{below, object, spoilt};
use crate::support::random::TestRandom;
use crate::support::server::{Behaviour, Server};

/// The sketch's client, built once; `None` where that cannot be done here.
fn sketch() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    let tools = ["make", "c++"];
    let missing = tools
        .into_iter()
        .find(|tool| Command::new(tool).arg("--version").output().is_err());
    let headers = ["/usr/include/bearssl/bearssl.h", "/usr/local/include/bearssl/bearssl.h"];
    let has_library = headers.iter().any(|path| Path::new(path).exists());
    if let Some(missing) = missing.or((!has_library).then_some("BearSSL")) {
        let required = std::env::var_os("PINRIG_REQUIRE_CLIENTS").is_some();
        assert!(
            !required,
            "{missing} is not installed, and PINRIG_REQUIRE_CLIENTS is set"
        );
        return None;
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sketch");
    let made = Command::new("make")
        .arg("-C")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../esp8266"))
        .arg(format!("OUT={}", out.display()))
        .arg("CXXFLAGS=-O1 -Werror")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(out.join("https-request"))
}

/// The output behind the ready line, in which each says who it is.
fn without_ready(output: &str) -> &str {
    output.split_once('\n').unwrap().1
}

#[test]
fn both_answer_the_console_alike() {
    let Some(sketch) = sketch() else { return };
    let mut lines = vec!["show".to_owned()];
    for (name, values) in SETTINGS.iter().chain(REFUSED) {
        for value in *values {
            for line in [
                format!("set {name} {value}"),
                format!("#tag9 set {name} {value}"),
                format!("set {name}{value}"),
            ] {
                lines.extend([line, "show".into()]);
            }
        }
    }
    for line in [
        "",
        " ",
        "#",
        "# ",
        "#a",
        "#a ",
        "#a  show",
        "#A show",
        "#0123456789abcdef show",
        "#0123456789abcdefg show",
        "##a show",
        "#a\tshow",
        "SHOW",
        "show ",
        " show",
        "show all",
        "run",
        "run now",
        "#a run",
        "clear",
        "clear host",
        "clear password",
        "clear password ",
        "set",
        "set ",
        "set  port 1",
        "set\tport 1",
        "hello there",
        "reboot now",
        "statu",
        "@- ready",
        "set path /\u{7f}",
        "set network \u{fffd}",
        "set password \u{e4}\u{e4}\u{e4}\u{e4}",
    ] {
        lines.extend([line.into(), "show".into()]);
    }
    for bytes in [1023, 1024, 1025, 5000] {
        for start in [
            "set path /",
            "#tag9 set path /",
            "#0123456789abcdef set path /",
            "#0123456789abcdefg set path /",
            "#",
        ] {
            let line = format!("{start}{}", "x".repeat(bytes - start.len()));
            lines.extend([line, "show".into()]);
        }
    }
    let mut input = (lines.join("\r\n") + "\n").into_bytes();
    // Bytes that are no UTF-8, with a tag and without.
    for start in [&b""[..], b"#tag9 ", b"#tag9", b"#"] {
        for bytes in [
            &b"set host \xff"[..],
            b"\xc0\xaf",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xe2\x82",
            b"\x80",
        ] {
            input.extend([start, bytes, b"\nshow\n"].concat());
        }
    }
    let (ours, theirs) = (console(&input), typed(sketch, &input));
    for (number, (ours, theirs)) in without_ready(&ours)
        .lines()
        .zip(without_ready(&theirs).lines())
        .enumerate()
    {
        assert_eq!(ours, theirs, "line {number} of the answers");
    }
    assert_eq!(without_ready(&ours), without_ready(&theirs));
}

/// Has both clients run once for each of these replies, and compares all that they print.
#[track_caller]
fn compare(replies: Vec<Vec<u8>>, behaviour: Behaviour, rule: &str) -> Option<Seen> {
    let sketch = sketch()?;
    let mut server = Server::with_reply("");
    // The sketch's TLS ends where this client's begins.
    server.versions = vec![&rustls::version::TLS12, &rustls::version::TLS13];
    server.behaviour = behaviour;
    server.replies = replies;
    let pin = server.sha1_pin();
    let rule = format!("set rule {rule}");
    let mut lines = vec![pin.as_str(), &rule, "set timeout response 2000"];
    lines.extend(server.replies.iter().map(|_| "#t run"));
    let ours = server.script(&lines, Trouble::None);
    let theirs = server.script_of(sketch, &lines);
    let runs = |seen: &Seen| -> Vec<String> {
        seen.output
            .split("connecting to wired network")
            .skip(1)
            .map(str::to_owned)
            .collect()
    };
    let (our_runs, their_runs) = (runs(&ours), runs(&theirs));
    assert_eq!(
        (our_runs.len(), their_runs.len()),
        (server.replies.len(), server.replies.len()),
        "{}",
        theirs.output
    );
    for ((ours, theirs), reply) in our_runs.iter().zip(&their_runs).zip(&server.replies) {
        assert_eq!(ours, theirs, "{rule}, {}", reply.escape_ascii());
    }
    for (ours, theirs) in ours.served.iter().zip(&theirs.served) {
        assert_eq!(
            (&ours.request, &ours.server_name),
            (&theirs.request, &theirs.server_name)
        );
    }
    Some(ours)
}

/// Heads that are lawful or not, each before a body of 19 bytes.
const HEADS: &[&str] = &[
    "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.0 200\r\n\r\n",
    "HTTP/1.1 200 \r\n\r\n",
    "HTTP/1.1 2000\r\n\r\n",
    "HTTP/1.1  200\r\n\r\n",
    "HTTP/1.1 99\r\n\r\n",
    "HTTP/1.1 099 x\r\n\r\n",
    "HTTP/1.1 600 x\r\n\r\n",
    "HTTP/1.x 200 OK\r\n\r\n",
    "http/1.1 200 OK\r\n\r\n",
    "HTTP/2 200\r\n\r\n",
    "\r\n\r\n",
    "\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\n\n",
    "HTTP/1.1 200 OK\r\nX: y\n\r\n",
    "HTTP/1.1 200 OK\r\nX: y\r\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
    "HTTP/1.1 200 O\rK\r\n\r\n",
    "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\tc\r\n \r\nContent-Length: 19\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length:\r\n 19\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 9\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 19, 19\r\ncontent-length:0019\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 19,,\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 19, 18\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 19\r\nContent-Length: 18\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: +19\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: \u{c}19\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length : 19\r\n\r\n",
    "HTTP/1.1 200 OK\r\n: 19\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX\u{e4}: 1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX@: 1\r\n\r\n",
    "HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~: 1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 19\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nContent-Length: 19\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nX\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 19\r\n\r\n",
    "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 19\r\n\r\n",
];

/// Chunks that are lawful or not.
const CHUNKS: &[&str] = &[
    "13\r\n{\"state\":\"success\"}\r\n0\r\n\r\n",
    "0000000000000000000013\r\n{\"state\":\"success\"}\r\n000000000000\r\n\r\n",
    "10000000000000013\r\n{\"state\":\"success\"}\r\n0\r\n\r\n",
    "100000013\r\n{\"state\":\"success\"}\r\n0\r\n\r\n",
    "1 \r\n{\r\n1\t;a\r\n}\r\n0;b=\"c\"\r\nX: y\r\nX: z\r\n\r\nmore",
    "1 1\r\n{\r\n0\r\n\r\n",
    "1;\0\r\n{\r\n0\r\n\r\n",
    "1\n{\r\n0\r\n\r\n",
    "1\r{\r\n0\r\n\r\n",
    "1\r\n{\n0\r\n\r\n",
    "1\r\n{0\r\n\r\n",
    "1\r\n{}\r\n0\r\n\r\n",
    "2\r\n{}\r\n0\n\n",
    "2\r\n{}\r\n0\r\n",
    "2\r\n{}\r\n0\r\n\r",
    "2\r\n{}\r\n0\r\nX: \u{7f}\r\n\r\n",
    "2\r\n{}\r\n",
    "2\r\n{",
    "\r\n",
    ";a\r\n",
    "-1\r\n",
    "",
];

#[test]
fn both_read_heads_alike() {
    for rule in ["original", "robust"] {
        let replies = HEADS
            .iter()
            .map(|head| [head.as_bytes(), br#"{"state":"success"}"#].concat());
        compare(replies.collect(), Behaviour::Reply, rule);
    }
}

#[test]
fn both_read_chunks_alike() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for rule in ["original", "robust"] {
        let replies = CHUNKS.iter().map(|chunks| format!("{head}{chunks}").into_bytes());
        compare(replies.collect(), Behaviour::Reply, rule);
    }
    // Lines around chunks, up to their limit and beyond.
    let long = [255, 256, 257].map(|bytes| "0".repeat(bytes - 1));
    let replies = long.iter().flat_map(|zeros| {
        [
            format!("{head}{zeros}1\r\n{{\r\n{zeros}0\r\n\r\n").into_bytes(),
            format!("{head}1\r\n{{\r\n0\r\n{zeros}X\r\n\r\n").into_bytes(),
        ]
    });
    compare(replies.collect(), Behaviour::Reply, "robust");
}

#[test]
fn both_read_json_alike() {
    let mut random = TestRandom(3);
    let replies = (0..250).map(|index| {
        let text = object(&mut random);
        let text = if index % 3 == 0 {
            text
        } else {
            spoilt(text, &mut random)
        };
        [
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len()).as_bytes(),
            &text,
        ]
        .concat()
    });
    let Some(seen) = compare(replies.collect(), Behaviour::Reply, "robust") else {
        return;
    };
    for result in ["outcome=success ", "outcome=failed ", "reason=malformed-json "] {
        assert!(seen.output.matches(result).count() > 4, "{result}");
    }
    // Nested as deep as may be, and one deeper.
    let nested = [511, 512].map(|depth| {
        let text = format!(
            "{{\"x\":{}{},\"state\":\"success\"}}",
            "[".repeat(depth),
            "]".repeat(depth)
        );
        format!("HTTP/1.1 200 OK\r\n\r\n{text}").into_bytes()
    });
    compare(nested.to_vec(), Behaviour::Reply, "robust");
}

#[test]
fn both_print_a_body_alike_however_it_ends() {
    let mut random = TestRandom(4);
    for (behaviour, runs) in [
        (Behaviour::Reply, 20),
        (Behaviour::CutAfterReply, 20),
        // It takes all of the time that there is.
        (Behaviour::SilentAfterReply, 1),
    ] {
        for rule in ["original", "robust"] {
            let replies = (0..runs).map(|_| {
                const BYTES: &[u8] = b"@@\n\n\r\t\x00\x1b\x7f\x80\xff\\ a=";
                let body: Vec<u8> = (0..below(&mut random, 200))
                    .map(|_| BYTES[below(&mut random, BYTES.len())])
                    .collect();
                let length = body.len() + if behaviour == Behaviour::Reply { 0 } else { 1 };
                [
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
                    &body,
                ]
                .concat()
            });
            compare(replies.collect(), behaviour, rule);
        }
    }
}

#[test]
fn a_server_that_always_says_more_holds_neither_of_them() {
    let Some(sketch) = sketch() else { return };
    let mut server = Server::with_reply("HTTP/1.1 200 OK\r\n\r\n ");
    server.versions = vec![&rustls::version::TLS12, &rustls::version::TLS13];
    for behaviour in [Behaviour::Drips, Behaviour::Floods] {
        server.behaviour = behaviour;
        for (limit, reason) in [("response", "timeout-response"), ("total", "timeout-total")] {
            let lines = [&server.sha1_pin(), &format!("set timeout {limit} 700"), "#t run"];
            for seen in [server.script(&lines, Trouble::None), server.script_of(sketch, &lines)] {
                seen.answers(&format!(
                    "outcome=response-failed pin=match guard=passed reason={reason} "
                ));
            }
        }
    }
}
