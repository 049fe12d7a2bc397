//! A debug probe at a board: the real probe-rs, at a virtual board in another process, as over any Black Magic Probe.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

#[path = "support/desk.rs"]
mod desk;
mod support;

use std::fs;
use std::time::Duration;

use desk::{Desk, Rig, text};
use pinrig::board::{Bench, Claim, SerialBench, SerialBoard};
use pinrig::deadline::Deadline;
use pinrig::image::Image;
use pinrig::rig::{Inventory, Locks, Ports};
use pinrig::run::{Limits, Runner};
use pinrig::scenario;
use pinrig::verdict::{Blame, Verdict};

/// A board with a probe at it, and more lines of its entry.
fn entry(desk: &Desk, reset: &str, more: &str) -> String {
    let probe = desk.debug.as_ref().unwrap();
    let entry = desk.entry("probed", reset);
    entry.replace("[[board]]", &format!("[[board]]\nprobe = \"{probe}\"\n{more}"))
}

#[test]
fn a_probe_flashes_and_resets() {
    let desk = Desk::with(&["--network", "--debug"]);
    let rig = Rig::new(&[entry(&desk, "\"probe-rs\"", "flasher = \"probe-rs\"")]);
    let output = rig.run(&["--board", "probed", "pin/matches", "pin/one-bit-off"]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("1 part written"), "{said}");
}

#[test]
fn firmware_that_hangs_is_halted_and_its_functions_are_named() {
    let desk = Desk::with(&["--network", "--debug"]);
    let entry = entry(&desk, &desk.reset("USR1", "USR2"), "");
    let rig = Rig::new(&[entry.replace("password.env = \"TEST_PASSWORD\"", "password.file = \"password\"")]);
    fs::write(rig.path("password"), desk::PASSWORD).unwrap();
    let inventory = Inventory::load(&rig.path("rig.toml")).unwrap();
    let locks = Locks::in_folder(rig.path("locks"));
    let now = Deadline::after("a free board", Duration::ZERO);
    let system = (&Ports::default(), &locks);
    let entries = [&inventory.boards[0]];
    let claimed = SerialBoard::claim(&entries, &inventory.path, system, Claim::All, &now, |_| {}).unwrap();
    let bench = SerialBench::new(claimed);
    let image = Image::load(&support::firmware()).unwrap();
    bench.prepare(&image, &|_| {}).unwrap();
    let all = scenario::load_all(&support::fixtures()).unwrap();
    let stalled = all
        .iter()
        .find(|scenario| scenario.name == "network/stall-in-place-of-the-reply");
    let runner = Runner {
        bench: &bench,
        image: &image,
        limits: Limits {
            // Long before the device's own limit.
            run: Duration::from_secs(3),
            ..Limits::default()
        },
        out: &rig.path("out"),
        keep: false,
        observer: &|_| {},
    };
    let outcome = runner.run(stalled.unwrap());
    let Verdict::Failed(failure) = &outcome.verdict else {
        panic!("it passed")
    };
    assert_eq!(failure.blame, Blame::Hang, "{failure:?}");
    let named = |what: &str| failure.findings.iter().any(|finding| finding.contains(what));
    assert!(named("it stands in 0x4"), "{failure:#?}");
    let kept = fs::read_to_string(outcome.bundle.unwrap().join("hang.txt")).unwrap();
    assert!(kept.contains("sp   0x3fc") && kept.contains("it stands in"), "{kept}");
}
