//! Other people's TLS clients against `pinrig serve`: what it prints must be what they see.
//!
//! Where a client is not installed its test says so and ends; with `PINRIG_REQUIRE_CLIENTS` set, it fails.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

#[test]
fn openssl_sees_the_printed_fingerprints() {
    let Some(()) = installed("openssl", "version") else {
        return;
    };
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
        let text = String::from_utf8_lossy(&output.stdout);
        let seen = text.trim().split('=').next_back().unwrap_or_default();
        assert_eq!(seen, expected, "{digest}: {text}");
    }
}

#[test]
fn curl_takes_the_printed_public_key_and_no_other() {
    let Some(()) = installed("curl", "--version") else {
        return;
    };
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
    let body: Value = serde_json::from_slice(&right.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&right.stderr)));
    assert_eq!(body["state"], "success");

    let wrong = fetch("sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    // CURLE_SSL_PINNEDPUBKEYNOTMATCH
    assert_eq!(
        wrong.status.code(),
        Some(90),
        "{}",
        String::from_utf8_lossy(&wrong.stderr)
    );
}

#[test]
fn the_fingerprint_command_agrees_with_the_server() {
    let server = Serve::start("pin/matches");
    let output = Command::new(env!("CARGO_BIN_EXE_pinrig"))
        .args(["fingerprint", "--json", "--name", "api.github.com", &server.address])
        .output()
        .unwrap();
    let prints: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(prints["sha1"], server.sha1.as_str());
    assert_eq!(prints["sha256"], server.sha256.as_str());
    assert_eq!(prints["public_key"], server.public_key.as_str());
}

/// A running `pinrig serve`, killed on drop.
struct Serve {
    child: Child,
    // Held open, or the server would lose its standard output.
    _stdout: BufReader<ChildStdout>,
    address: String,
    sha1: String,
    sha256: String,
    public_key: String,
}

impl Serve {
    fn start(scenario: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pinrig"))
            .args(["serve", "--json", scenario])
            .current_dir(support::root())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let serving: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |key: &str| {
            serving[key]
                .as_str()
                .unwrap_or_else(|| panic!("no {key} in {line}"))
                .to_owned()
        };
        Self {
            child,
            _stdout: stdout,
            address: text("address"),
            sha1: text("sha1"),
            sha256: text("sha256"),
            public_key: text("public_key"),
        }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn installed(program: &str, argument: &str) -> Option<()> {
    if Command::new(program).arg(argument).output().is_ok() {
        return Some(());
    }
    assert!(
        std::env::var_os("PINRIG_REQUIRE_CLIENTS").is_none(),
        "`{program}` is not installed, and PINRIG_REQUIRE_CLIENTS is set"
    );
    eprintln!("skipped: `{program}` is not installed");
    None
}
