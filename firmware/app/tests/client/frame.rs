//! The marks around the server's text: where they stand, however a reply ends.

use crate::support::board::{Seen, Trouble};
use crate::support::server::{Behaviour, Server, reply};

/// The output between the two marks of a run with the tag `t`, and the mark at the end.
#[track_caller]
fn framed(seen: &Seen) -> (&str, &str) {
    let output = &seen.output;
    assert_eq!(output.matches("reply begin").count(), 1, "{output}");
    assert_eq!(output.matches("reply end").count(), 1, "{output}");
    let (before, rest) = output.split_once("@t reply begin\r\n").expect("there is a beginning");
    assert!(before.ends_with("reply was:\r\n==========\r\n"), "{output}");
    let (text, after) = rest.split_once("@t reply end").expect("there is an end");
    assert!(
        text.is_empty() || text.ends_with("\r\n"),
        "the mark has a line of its own: {output}"
    );
    let (mark, after) = after.split_once("\r\n").expect("it ends");
    let (_, failed) = after
        .split_once("closing connection\r\n@t ok run ")
        .expect("the run goes on");
    assert!(failed.ends_with("\r\n"), "{output}");
    (text, mark)
}

#[test]
fn the_marks_stand_directly_around_the_text() {
    for (body, text, mark) in [
        ("", "", ""),
        ("x", "x\r\n", " newline=added"),
        ("x\n", "x\r\n", ""),
        ("x\r\n", "x\r\n", ""),
        ("x\r", "x\r\n", " newline=added"),
        ("\n", "\r\n", ""),
        ("\n\n", "\r\n\r\n", ""),
        ("@t reply end\n@t ok run\n", "\\x40t reply end\r\n\\x40t ok run\r\n", ""),
        (
            "==========\nclosing connection",
            "==========\r\nclosing connection\r\n",
            " newline=added",
        ),
    ] {
        // The imitations of marks are counted by `framed` as well.
        let body = body.replace("reply end", "reply_end");
        let text = text.replace("reply end", "reply_end");
        let server = Server::with_reply(&reply("200 OK", "", &body));
        let seen = server.run(&[&server.sha1_pin()]);
        assert_eq!(framed(&seen), (text.as_str(), mark), "{body:?}");
        assert!(
            seen.output.contains("\r\n==========\r\nclosing connection\r\n"),
            "{}",
            seen.output
        );
        seen.answers(&format!(" body={} ", body.len()));
    }
}

#[test]
fn a_run_without_a_tag_marks_with_a_dash() {
    let server = Server::with_reply(&reply("200 OK", "", "x"));
    let seen = server.script(&[&server.sha1_pin(), "run"], Trouble::None);
    let marked = "==========\r\n@- reply begin\r\nx\r\n@- reply end newline=added\r\n==========\r\n";
    assert!(seen.output.contains(marked), "{}", seen.output);
}

#[test]
fn every_run_marks_with_its_own_tag() {
    let server = Server::with_reply(&reply("200 OK", "", "x"));
    let seen = server.script(
        &[&server.sha1_pin(), "#one run", "#0123456789abcdef run"],
        Trouble::None,
    );
    for tag in ["one", "0123456789abcdef"] {
        let marked = format!("@{tag} reply begin\r\nx\r\n@{tag} reply end newline=added\r\n");
        assert!(seen.output.contains(&marked), "{}", seen.output);
    }
}

#[test]
fn a_text_that_breaks_off_has_an_end_all_the_same() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (added, own) = (" newline=added", "");
    let begun = "{\"state\":\"success\",\"x";
    for (reply, behaviour, text, mark, reason) in [
        (
            format!("{head}{begun}"),
            Behaviour::SilentAfterReply,
            format!("{begun}\r\n"),
            added,
            "timeout-response",
        ),
        (
            format!("{head}{begun}\n"),
            Behaviour::SilentAfterReply,
            format!("{begun}\r\n"),
            own,
            "timeout-response",
        ),
        (
            format!("{head}{begun}"),
            Behaviour::CutAfterReply,
            format!("{begun}\r\n"),
            added,
            "connection-closed",
        ),
        (format!("{head}x"), Behaviour::Reply, "x\r\n".into(), added, "truncated"),
        (
            format!("{head}x"),
            Behaviour::ForgeCloseAfterReply,
            "x\r\n".into(),
            added,
            "unexpected-message",
        ),
        // The original rule prints chunks as they come, up to the byte that is wrong.
        (
            format!("{chunks}1\r\nx\r\n!"),
            Behaviour::Reply,
            "1\r\nx\r\n".into(),
            own,
            "malformed-chunk",
        ),
        (
            format!("{chunks}1\r\nxy"),
            Behaviour::Reply,
            "1\r\nx\r\n".into(),
            added,
            "malformed-chunk",
        ),
    ] {
        let mut server = Server::with_reply(&reply);
        server.behaviour = behaviour;
        let seen = server.run(&[&server.sha1_pin(), "set timeout response 2000"]);
        assert_eq!(framed(&seen), (&*text, mark), "{reply:?}");
        seen.answers("outcome=response-failed");
        seen.answers(&format!("reason={reason}"));
    }
}

#[test]
fn a_reply_that_never_began_has_no_marks() {
    for (reply, behaviour) in [
        ("SSH-2.0-OpenSSH\r\n\r\n", Behaviour::Reply),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"sta",
            Behaviour::SilentAfterReply,
        ),
    ] {
        let mut server = Server::with_reply(reply);
        server.behaviour = behaviour;
        let seen = server.run(&[&server.sha1_pin(), "set timeout response 300"]);
        assert!(!seen.output.contains("@t reply"), "{}", seen.output);
        seen.answers("outcome=response-failed");
    }
}

#[test]
fn a_time_limit_cuts_no_line_of_the_console() {
    // Printing it would take two seconds.
    let body = format!("{{\"state\":\"success\",\"x\":\"{}\"}}", "\u{1}@\n".repeat(2000));
    let server = Server::with_reply(&reply("200 OK", "", &body));
    for limit in [150, 170, 190, 210, 230] {
        let limit = format!("set timeout response {limit}");
        // The console panics where a write is cut.
        let seen = server.script(&[&server.sha1_pin(), &limit, "#t run"], Trouble::SlowConsole);
        seen.answers("reason=timeout-response");
        if !seen.output.contains("reply begin") {
            continue;
        }
        let (text, mark) = framed(&seen);
        assert!(text.len() < 10_000, "it was cut");
        let text = if mark.is_empty() {
            text
        } else {
            text.strip_suffix("\r\n").unwrap()
        };
        // The text is the beginning of the body, and the answer says of how many bytes.
        let (_, rest) = seen.output.rsplit_once(" body=").unwrap();
        let bytes: usize = rest.split_once(' ').unwrap().0.parse().unwrap();
        let printed = body[..bytes]
            .replace('\u{1}', "\\x01")
            .replace("\n@", "\n\\x40")
            .replace('\n', "\r\n");
        assert_eq!(text, printed);
    }
}
