//! The ESP8266 sketch's client, built for this machine and run as a board: it must hold to the catalogue as the chip would.
//!
//! Where no C++ compiler or no BearSSL is installed the test says so and ends; with `PINRIG_REQUIRE_CLIENTS` set, it fails.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

#[test]
fn the_sketch_holds_to_what_applies_to_it() {
    let Some(program) = built() else { return };
    // The example's own entry says what does not apply: all else must pass.
    let text = fs::read_to_string(support::fixtures().join("rig/rig.toml")).unwrap();
    let example = "../../firmware/esp8266/build/https-request";
    assert!(text.contains(example), "the example is the sketch's own");
    let (passed, said) = run(&text.replace(example, program.to_str().unwrap()), &[]);
    assert!(passed, "{said}");
    assert!(
        said.contains(" passed, 0 failed, ") && said.contains(" skipped"),
        "{said}"
    );
    // Skipped by name, too, and said so: a run that tests nothing is not a success.
    let (passed, said) = run(
        &text.replace(example, program.to_str().unwrap()),
        &["server/tls-1-3-only"],
    );
    assert!(
        !passed && said.contains("BearSSL's TLS 1.2") && said.contains("nothing was tested"),
        "{said}"
    );
    // Without them.
    let plain = format!("[[board]]\nname = \"sketch\"\nkind = \"process\"\ncommand = [{program:?}]\n");
    let (passed, said) = run(&plain, &["http/machine-line-in-body"]);
    assert!(
        passed && said.contains("\\x40"),
        "a reply must not imitate the console: {said}"
    );
    // The servers of the handshake's scenarios speak TLS 1.3 alone: what does not apply must not pass by chance.
    let (passed, said) = run(&plain, &["server/tls-1-3-only"]);
    assert!(
        !passed && said.contains("alert-protocol-version"),
        "a client of TLS 1.2 cannot pass: {said}"
    );
    // A name that no scenario has was meant to skip something.
    let wrong = format!("{plain}skip = [{{ scenarios = [\"server/tls-1-3\"], why = \"it is old\" }}]\n");
    let (passed, said) = run(&wrong, &["pin/matches"]);
    assert!(
        !passed && said.contains("rig.toml: `skip` of board `sketch`") && said.contains("server/tls-1-3-only"),
        "{said}"
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

/// Runs scenarios on the board `sketch` of this inventory.
fn run(rig: &str, scenarios: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let inventory = folder.path().join("rig.toml");
    fs::write(&inventory, rig).unwrap();
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
