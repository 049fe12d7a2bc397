//! The ESP8266 sketch's client, built for this machine and run as a board: it must pass every scenario that applies to the chip.
//!
//! Where no C++ compiler or no BearSSL is installed, the test says so and ends. With `PINRIG_REQUIRE_CLIENTS` set, it fails.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_sketch_passes_what_applies_to_it_and_nothing_else_by_chance() {
    let Some(program) = built() else { return };
    // The example's own entry says which scenarios do not apply. All others must pass.
    let text = fs::read_to_string(support::fixtures().join("rig/rig.toml")).unwrap();
    let example = "../../firmware/esp8266/build/https-request";
    assert!(text.contains(example), "the example is the sketch's own");
    let (passed, said) = run(&text.replace(example, program.to_str().unwrap()), &[]);
    assert!(passed, "{said}");
    assert!(
        said.contains(" passed, 0 failed, ") && said.contains(" skipped"),
        "{said}"
    );
    // A scenario that is named is skipped, too. A run that tests nothing is not a success.
    let (passed, said) = run(
        &text.replace(example, program.to_str().unwrap()),
        &["server/tls-1-3-only"],
    );
    assert!(
        !passed && said.contains("BearSSL's TLS 1.2") && said.contains("nothing was tested"),
        "{said}"
    );
    // An entry that skips nothing.
    let plain = format!("[[board]]\nname = \"sketch\"\nkind = \"process\"\ncommand = [{program:?}]\n");
    let (passed, said) = run(&plain, &["http/machine-line-in-body"]);
    assert!(
        passed && said.contains("\\x40"),
        "a reply must not imitate the console: {said}"
    );
    // This server speaks TLS 1.3 only. A scenario that does not apply must not pass by chance.
    let (passed, said) = run(&plain, &["server/tls-1-3-only"]);
    assert!(
        !passed && said.contains("alert-protocol-version"),
        "a client of TLS 1.2 cannot pass: {said}"
    );
    // `skip` names a scenario that does not exist.
    let wrong = format!("{plain}skip = [{{ scenarios = [\"server/tls-1-3\"], why = \"it is old\" }}]\n");
    let (passed, said) = run(&wrong, &["pin/matches"]);
    assert!(
        !passed && said.contains("rig.toml: `skip` of board `sketch`") && said.contains("server/tls-1-3-only"),
        "{said}"
    );
}

/// Builds the process. `None` where something is missing, which it prints.
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
        support::skip(&format!("{missing} is not installed"));
        return None;
    }
    let made = Command::new("make")
        .arg("-C")
        .arg(support::root().join("firmware/esp8266"))
        .arg(format!("OUT={}", out.display()))
        .arg("CXXFLAGS=-O1 -Werror")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", support::text(&made.stderr));
    Some(out.join("https-request"))
}

/// Runs scenarios on the board `sketch` of this inventory. Gives whether all passed, and what was printed about the others.
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
    let said = support::said(&output);
    // The transcripts and passes would hide what failed.
    let fails = said
        .lines()
        .filter(|line| !line.starts_with('@') && !line.starts_with("PASS"));
    (output.status.success(), fails.collect::<Vec<_>>().join("\n"))
}
