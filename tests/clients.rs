//! Other people's TLS clients against `pinrig serve`: what it prints must be what they see.
//!
//! Where a client is not installed, its test says so and ends. With `PINRIG_REQUIRE_CLIENTS` set, it fails.

mod support;

use std::process::Command;

use serde_json::Value;
use support::process::Running;
use support::text;

#[test]
fn openssl_sees_the_printed_fingerprints() {
    if !installed("openssl", "version") {
        return;
    }
    let server = Serve::start("pin/matches");
    let script = format!(
        "openssl s_client -connect {} -servername api.github.com </dev/null 2>/dev/null | openssl x509 -noout -fingerprint",
        server.address
    );
    for (digest, expected) in [("sha1", &server.sha1), ("sha256", &server.sha256)] {
        let output = Command::new("sh")
            .args(["-c", &format!("{script} -{digest}")])
            .output()
            .unwrap();
        let text = text(&output.stdout);
        let seen = text.trim().split('=').next_back().unwrap_or_default();
        assert_eq!(seen, expected, "{digest}: {text}");
    }
}

#[test]
fn curl_takes_the_printed_public_key_and_no_other() {
    if !installed("curl", "--version") {
        return;
    }
    let server = Serve::start("pin/matches");
    let port = server.address.rsplit(':').next().unwrap();
    let fetch = |pin: &str| {
        Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--insecure",
                "--max-time",
                "20",
                "--noproxy",
                "*",
            ])
            .args(["--user-agent", "BuildFailureDetectorESP8266", "--pinnedpubkey", pin])
            .args(["--resolve", &format!("api.github.com:{port}:127.0.0.1")])
            .arg(format!(
                "https://api.github.com:{port}/repos/esp8266/Arduino/commits/master/status"
            ))
            .output()
            .unwrap()
    };
    let right = fetch(&server.public_key);
    let body: Value =
        serde_json::from_slice(&right.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&right.stderr)));
    assert_eq!(body["state"], "success");

    let wrong = fetch("sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    // CURLE_SSL_PINNEDPUBKEYNOTMATCH
    assert_eq!(wrong.status.code(), Some(90), "{}", text(&wrong.stderr));
}

#[test]
fn the_fingerprint_command_agrees_with_the_server() {
    let server = Serve::start("pin/matches");
    let output = Command::new(env!("CARGO_BIN_EXE_pinrig"))
        .args(["fingerprint", "--json", "--name", "api.github.com", &server.address])
        .output()
        .unwrap();
    let prints: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    assert_eq!(prints["sha1"], server.sha1.as_str());
    assert_eq!(prints["sha256"], server.sha256.as_str());
    assert_eq!(prints["public_key"], server.public_key.as_str());
}

/// A running `pinrig serve` and what it printed.
struct Serve {
    address: String,
    sha1: String,
    sha256: String,
    public_key: String,
    _process: Running,
}

impl Serve {
    fn start(scenario: &str) -> Self {
        let process = Running::start(&["serve", scenario]);
        Self {
            address: process.text("address"),
            sha1: process.text("sha1"),
            sha256: process.text("sha256"),
            public_key: process.text("public_key"),
            _process: process,
        }
    }
}

/// Whether this client can be run; says so if it cannot.
fn installed(program: &str, argument: &str) -> bool {
    let found = Command::new(program).arg(argument).output().is_ok();
    if !found {
        support::skip(&format!("`{program}` is not installed"));
    }
    found
}
