//! The ESP8266 sketch's client, built for this machine and run as a board: it must hold to the catalogue as the chip would.
//!
//! Where no C++ compiler or no BearSSL is installed the test says so and ends; with `PINRIG_REQUIRE_CLIENTS` set, it fails.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What applies to TLS 1.2, as `firmware/esp8266/HTTPSRequest/README.md` has it.
const APPLY: [&str; 18] = [
    "http",
    "name",
    "network",
    "pin",
    "auth/replayed-certificate",
    "server/many-tickets",
    "server/no-tickets",
    "server/nothing-but-an-end",
    "server/records-of-2-kilobytes",
    "soak/hundred-connections",
    "soak/twenty-broken-replies",
    "soak/twenty-refusals",
    "validity/expired",
    "validity/last-second",
    "validity/long-chain",
    "validity/no-certificate",
    "validity/one-second-early",
    "validity/one-second-late",
];

#[test]
fn the_sketch_holds_to_what_applies_to_it() {
    let Some(program) = built() else { return };
    let (output, said) = run(&program, &APPLY);
    assert!(output, "{said}");
    assert!(said.contains(" passed, 0 failed"), "{said}");
    // What only a transcript shows.
    let (output, said) = run(&program, &["http/machine-line-in-body"]);
    assert!(
        output && said.contains("\\x40"),
        "a reply must not imitate the console: {said}"
    );
    // The servers of the handshake's scenarios speak TLS 1.3 alone: what does not apply must not pass by chance.
    let (output, said) = run(&program, &["server/tls-1-3-only"]);
    assert!(
        !output && said.contains("alert-protocol-version"),
        "a client of TLS 1.2 cannot pass: {said}"
    );
}

/// Builds the process, or says why that cannot be done here.
fn built() -> Option<PathBuf> {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sketch");
    let tools = [("make", "--version"), ("c++", "--version")];
    let missing = tools
        .iter()
        .find(|(tool, argument)| Command::new(tool).arg(argument).output().is_err());
    let missing = missing.map(|(tool, _)| *tool);
    let header = ["/usr/include/bearssl/bearssl.h", "/usr/local/include/bearssl/bearssl.h"];
    let bearssl = header.iter().any(|path| Path::new(path).exists());
    if let Some(missing) = missing.or((!bearssl).then_some("BearSSL")) {
        assert!(
            env::var_os("PINRIG_REQUIRE_CLIENTS").is_none(),
            "{missing} is not installed, and PINRIG_REQUIRE_CLIENTS is set"
        );
        eprintln!("skipped: {missing} is not installed");
        return None;
    }
    let made = Command::new("make")
        .arg("-C")
        .arg(support::root().join("firmware/esp8266"))
        .arg(format!("OUT={}", out.display()))
        .arg("CXXFLAGS=-O1 -Werror")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(out.join("https-request"))
}

fn run(program: &Path, scenarios: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let inventory = folder.path().join("rig.toml");
    let entry = format!("[[board]]\nname = \"sketch\"\nkind = \"process\"\ncommand = [{program:?}]\n");
    fs::write(&inventory, entry).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pinrig"))
        .current_dir(support::root())
        .env("PINRIG_RIG", &inventory)
        .args(["run", "--board", "sketch", "--jobs", "4", "--out"])
        .arg(folder.path().join("out"))
        .args(scenarios)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    // One line per scenario is enough where all is well.
    let fails = said
        .lines()
        .filter(|line| !line.starts_with('@') && !line.starts_with("PASS"));
    (output.status.success(), fails.collect::<Vec<_>>().join("\n"))
}
