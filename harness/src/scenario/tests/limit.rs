//! `[limit]`: what this firmware shows instead of what is right.

use super::super::*;
use super::{GOOD, error};

const LIMIT: &str = r#"
[limit]
why = "it cannot"
expect.handshake-failed = { reason = "fragmented-message" }
"#;

#[test]
fn a_limit_stands_beside_what_is_right() {
    let scenario = text::parse("x", &format!("{GOOD}{LIMIT}"))
        .map_err(|p| p.message)
        .unwrap();
    let run = &scenario.runs[0];
    assert_eq!(run.expected(), "accepted (limit: handshake failed)");
    assert_eq!(run.limit.as_ref().unwrap().why, "it cannot");
    let limited = run.at_its_limit().unwrap();
    assert_eq!(limited.expected(), "handshake failed");
    assert!(limited.at_its_limit().is_none());
}

#[test]
fn a_limit_lets_no_device_accept_a_server_and_says_something() {
    let refused = GOOD.replace(
        "[expect.accepted]\nbuild = \"success\"",
        "[expect.refused]\nreason = \"pin-mismatch\"\npin = \"mismatch\"",
    );
    for (text, line, wanted) in [
        (
            format!("{refused}\n[limit]\nwhy = \"x\"\nexpect.accepted = {{ build = \"success\" }}\n"),
            13,
            "never lets a device accept",
        ),
        (
            format!(
                "{refused}\n[limit]\nwhy = \"x\"\nexpect.refused = {{ reason = \"pin-mismatch\", pin = \"mismatch\" }}\n"
            ),
            13,
            "expected anyway",
        ),
        (
            format!("{GOOD}{}", LIMIT.replace("it cannot", " ")),
            11,
            "in one sentence",
        ),
        (
            format!("{GOOD}{}", LIMIT.replace("why", "because")),
            11,
            "unknown field `because`",
        ),
    ] {
        let (at, message) = error(&text);
        assert!(message.contains(wanted), "{message}");
        assert_eq!(at, line, "{message}");
    }
}

#[test]
fn a_further_run_has_a_limit_of_its_own() {
    let text = format!("{GOOD}{LIMIT}\n[[then]]\nexpect.accepted = {{ build = \"success\" }}\n");
    let scenario = text::parse("x", &text).map_err(|p| p.message).unwrap();
    assert_eq!(scenario.runs[1].limit, None);
}
