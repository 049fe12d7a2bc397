//! Time limits: each phase has its own, the run has one for all, and none is longer or shorter than it was set.

use crate::support::board::{Seen, Trouble};
use crate::support::server::{Behaviour, Server, reply};

/// A run that hangs in the phase of this name, with a limit for the phase and one for the run, in milliseconds.
fn hanging_in(phase: &str, limit: u32, total: u32) -> Seen {
    let mut server = Server::with_reply("");
    let trouble = match phase {
        "network" => Trouble::NoNetwork,
        "connect" => Trouble::NoConnection,
        _ => Trouble::None,
    };
    server.behaviour = match phase {
        "handshake" => Behaviour::SilentAfterTcp,
        _ => Behaviour::SilentAfterHandshake,
    };
    let (limit, total) = (
        format!("set timeout {phase} {limit}"),
        format!("set timeout total {total}"),
    );
    server.script(&[&server.sha1_pin(), &limit, &total, "#t run"], trouble)
}

const PHASES: [(&str, &str); 4] = [
    ("network", "outcome=network-failed pin=unchecked guard=unchecked"),
    ("connect", "outcome=connection-failed pin=unchecked guard=unchecked"),
    ("handshake", "outcome=handshake-failed pin=unchecked guard=unchecked"),
    ("response", "outcome=response-failed pin=match guard=passed"),
];

// The limits are told by each other and not by a clock of the test: the earlier one names itself.

#[test]
fn a_phase_ends_at_its_own_limit_where_that_is_the_earlier_one() {
    for (phase, outcome) in PHASES {
        hanging_in(phase, 500, 1100).answers(&format!("{outcome} reason=timeout-{phase}"));
    }
}

#[test]
fn a_phase_ends_at_the_runs_limit_where_that_is_the_earlier_one() {
    for (phase, outcome) in PHASES {
        hanging_in(phase, 1100, 800).answers(&format!("{outcome} reason=timeout-total"));
    }
}

#[test]
fn a_phase_lasts_as_long_as_it_may() {
    for (phase, _) in PHASES {
        let began = std::time::Instant::now();
        hanging_in(phase, 400, 60_000);
        assert!(began.elapsed().as_millis() >= 400, "{phase}: {:?}", began.elapsed());
    }
}

#[test]
fn a_server_that_always_says_a_little_more_has_no_more_time() {
    for (rule, again, limit) in [
        // A head without end, and a body without end, with a verdict and without.
        ("robust", "HTTP/1.1 200 OK\r\n", "response"),
        ("robust", "HTTP/1.1 200 OK\r\n\r\n ", "total"),
        ("original", "HTTP/1.1 200 OK\r\n\r\n{\"state\":\"success\"", "response"),
    ] {
        for behaviour in [Behaviour::Drips, Behaviour::Floods] {
            let mut server = Server::with_reply(again);
            server.behaviour = behaviour;
            let (rule, time) = (format!("set rule {rule}"), format!("set timeout {limit} 600"));
            let seen = server.run(&[&server.sha1_pin(), &rule, &time]);
            let answer = seen.answers_to_runs().pop().unwrap();
            assert!(answer.starts_with("outcome=response-failed "), "{answer}");
            // What comes first of all that is too much.
            let is_long = behaviour == Behaviour::Floods && answer.contains("reason=head-too-long");
            let is_late = answer.contains(&format!("reason=timeout-{limit}"));
            assert!(is_long || is_late, "{again:?}: {answer}");
        }
    }
}

#[test]
fn a_connection_whose_end_is_not_acknowledged_holds_the_client_for_two_seconds_at_most() {
    let server = Server::with_reply(&reply("200 OK", "", r#"{"state":"success"}"#));
    let began = std::time::Instant::now();
    let seen = server.script(&[&server.sha1_pin(), "#t run"], Trouble::NoEnd);
    seen.answers("outcome=success");
    assert!(began.elapsed().as_millis() >= 2000, "{:?}", began.elapsed());
}
