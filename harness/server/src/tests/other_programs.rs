//! Clients that others wrote. Where one is not installed its test says so and passes.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use pinrig_certs::Recipe;

use super::client::{REQUEST, body_of};
use super::{github, start};
use crate::{Framing, Handshake, Honest, Message, RecordSize, Reply, RogueHandshake, RunningServer, TicketCount};

#[test]
fn curl_takes_the_reply_of_both_kinds_of_server() {
    for handshake in both() {
        for framing in [Framing::ContentLength, Framing::Chunked, Framing::Close] {
            let mut config = github();
            config.handshake = handshake.clone();
            config.reply = Reply::github("success").unwrap().framed(framing);
            let server = start(config);
            let Some(output) = curl(&server) else { return };
            assert!(output.status.success(), "{output:?}");
            assert_eq!(output.stdout, Reply::github("success").unwrap().body());
        }
    }
}

#[test]
fn openssl_verifies_the_chain_and_reads_to_close_notify() {
    for handshake in both() {
        let mut config = github();
        config.handshake = handshake;
        let server = start(config);
        let Some(output) = s_client(&server, "-tls1_3") else {
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
        let response = &output.stdout[text.find("HTTP/1.1 200 OK").unwrap()..];
        let body = Reply::github("success").unwrap();
        assert!(body_of(response).starts_with(body.body()), "{text}");
    }
}

#[test]
fn openssl_refuses_a_handshake_without_its_proof() {
    let plan = RogueHandshake::honest();
    for plan in [
        plan.clone().omit(Message::CertificateVerify),
        plan.omit(Message::Certificate).omit(Message::CertificateVerify),
    ] {
        let mut config = github();
        config.handshake = Handshake::Rogue(plan);
        let server = start(config);
        let Some(output) = s_client(&server, "-tls1_3") else {
            return;
        };
        assert!(!output.status.success());
        let lane = super::lane(&server);
        // openssl sends it in clear, since it has not taken its own handshake keys into use yet.
        let alert = "#1 alert received: unexpected_message (in clear)";
        assert!(lane.contains(&alert.to_owned()), "{lane:?}");
        assert_eq!(server.application_bytes_received(), 0);
    }
}

#[test]
fn openssl_speaks_tls_1_2_with_the_honest_server() {
    let server = start(github());
    let Some(output) = s_client(&server, "-tls1_2") else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("Verify return code: 0 (ok)") && text.contains("HTTP/1.1 200 OK"),
        "{text}"
    );
    let lane = super::lane(&server);
    assert!(
        lane.iter()
            .any(|line| line.starts_with("#1 handshake complete: TLS 1.2, ")),
        "{lane:?}"
    );
}

#[test]
fn gnutls_verifies_the_chain_and_takes_the_reply_of_both_kinds_of_server() {
    for handshake in both() {
        let mut config = github();
        config.handshake = handshake;
        let server = start(config);
        let authority = authority();
        let output = run(
            Command::new("gnutls-cli")
                .args([
                    "--sni-hostname",
                    "api.github.com",
                    "--verify-hostname",
                    "api.github.com",
                ])
                .args(["--priority", "NORMAL:-GROUP-ALL:+GROUP-SECP256R1"])
                .args([
                    "--port",
                    &server.address().port().to_string(),
                    "127.0.0.1",
                    "--x509cafile",
                ])
                .arg(authority.path()),
            REQUEST,
        );
        let Some(output) = output else { return };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("Status: The certificate is trusted."), "{text}");
        assert!(text.contains("Handshake was completed"), "{text}");
        assert!(
            text.contains("HTTP/1.1 200 OK") && text.contains(r#"{"state":"success""#),
            "{text}"
        );
        let lane = super::lane(&server);
        assert!(
            lane.contains(&"#1 reply sent: 200 OK, content-length".to_owned()),
            "{lane:?}"
        );
    }
}

#[test]
fn gnutls_refuses_a_handshake_without_its_proof() {
    let mut config = github();
    config.handshake = Handshake::Rogue(RogueHandshake::honest().omit(Message::CertificateVerify));
    let server = start(config);
    let output = run(
        Command::new("gnutls-cli")
            .args(["--insecure", "--sni-hostname", "api.github.com"])
            .args(["--priority", "NORMAL:-GROUP-ALL:+GROUP-SECP256R1"])
            .args(["--port", &server.address().port().to_string(), "127.0.0.1"]),
        REQUEST,
    );
    let Some(output) = output else { return };
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(server.application_bytes_received(), 0);
}

/// What openssl prints of each message and record of a whole exchange with an honest server.
fn messages(offer: Honest, more: &[&str]) -> Option<(Output, String)> {
    let mut config = github();
    config.handshake = Handshake::Honest(offer);
    let server = start(config);
    let authority = authority();
    let output = run(
        Command::new("openssl")
            .args([
                "s_client",
                "-msg",
                "-ign_eof",
                "-tls1_3",
                "-servername",
                "api.github.com",
                "-connect",
            ])
            .arg(server.address().to_string())
            .arg("-CAfile")
            .arg(authority.path())
            .args(more),
        REQUEST,
    )?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output, text))
}

#[test]
fn openssl_gets_what_an_honest_server_is_told_to_offer() {
    for tickets in [0, 2, 5].map(|count| TicketCount::new(count).unwrap()) {
        let offer = Honest {
            tickets,
            ..Honest::default()
        };
        let Some((_, text)) = messages(offer, &[]) else { return };
        let received = text
            .lines()
            .filter(|line| line.starts_with("<<<") && line.contains("NewSessionTicket"));
        assert_eq!(received.count(), tickets.size(), "{text}");
    }
    let key_update = Honest {
        key_update: true,
        ..Honest::default()
    };
    let Some((_, text)) = messages(key_update, &[]) else {
        return;
    };
    let (before, after) = text.split_once("KeyUpdate").unwrap_or_else(|| panic!("{text}"));
    assert!(
        before.contains("HTTP/1.1 200 OK"),
        "keys change within the reply: {before}"
    );
    assert!(
        after.contains("pinrig") || after.len() > 1000,
        "the reply goes on: {after}"
    );
}

#[test]
fn openssl_gets_records_of_the_size_that_was_asked_for() {
    let offer = Honest {
        record_size: RecordSize::new(100),
        ..Honest::default()
    };
    let Some((_, text)) = messages(offer, &[]) else { return };
    let mut lines = text.lines();
    let mut longest = 0;
    while let Some(line) = lines.next() {
        if line.starts_with("<<<") && line.contains("RecordHeader") {
            let header: Vec<u8> = lines
                .next()
                .unwrap()
                .split_whitespace()
                .map(|byte| u8::from_str_radix(byte, 16).unwrap())
                .collect();
            longest = longest.max(u16::from_be_bytes([header[3], header[4]]));
        }
    }
    // The content, its type, and the tag.
    assert!((80..=100 + 1 + 16).contains(&longest), "{longest}");
}

#[test]
fn openssl_finds_the_groups_and_suites_that_were_asked_for_and_no_others() {
    let narrow = || Honest {
        groups: vec!["x25519".parse().unwrap()],
        suites: vec!["TLS_CHACHA20_POLY1305_SHA256".parse().unwrap()],
        ..Honest::default()
    };
    let right = ["-groups", "X25519", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"];
    let Some((output, text)) = messages(narrow(), &right) else {
        return;
    };
    assert!(output.status.success() && text.contains("HTTP/1.1 200 OK"), "{text}");
    for wrong in [
        ["-groups", "P-256", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
        ["-groups", "X25519", "-ciphersuites", "TLS_AES_128_GCM_SHA256"],
    ] {
        let Some((output, text)) = messages(narrow(), &wrong) else {
            return;
        };
        assert!(
            !output.status.success() && !text.contains("HTTP/1.1"),
            "{wrong:?}: {text}"
        );
    }
}

fn both() -> [Handshake; 2] {
    [Handshake::default(), Handshake::Rogue(RogueHandshake::honest())]
}

fn curl(server: &RunningServer) -> Option<Output> {
    let port = server.address().port();
    let authority = authority();
    run(
        Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "20",
                "--curves",
                "P-256",
                "--noproxy",
                "*",
            ])
            .arg("--cacert")
            .arg(authority.path())
            .args(["--connect-to", &format!("::127.0.0.1:{port}")])
            .arg(format!("https://api.github.com{}", Reply::PATH)),
        "",
    )
}

fn s_client(server: &RunningServer, version: &str) -> Option<Output> {
    let authority = authority();
    run(
        Command::new("openssl")
            .args([
                "s_client",
                "-groups",
                "P-256",
                "-servername",
                "api.github.com",
                "-verify_hostname",
                "api.github.com",
            ])
            .args([
                "-ign_eof",
                "-verify_return_error",
                version,
                "-connect",
                &server.address().to_string(),
                "-CAfile",
            ])
            .arg(authority.path()),
        REQUEST,
    )
}

/// The authority's certificate in a file that lives as long as the returned value.
fn authority() -> tempfile::NamedTempFile {
    let mut chain = Recipe::Github.issue();
    chain.chain.remove(0);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(chain.to_pem().as_bytes()).unwrap();
    file
}

/// Runs a program with `input`; `None`, with a note, where it is not installed.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn run(command: &mut Command, input: &str) -> Option<Output> {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            assert!(
                std::env::var_os("PINRIG_REQUIRE_CLIENTS").is_none(),
                "{} cannot be run ({error}), and PINRIG_REQUIRE_CLIENTS is set",
                command.get_program().display()
            );
            eprintln!("skipped: {} cannot be run ({error})", command.get_program().display());
            return None;
        }
    };
    // A client that refuses may not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Some(child.wait_with_output().unwrap())
}
