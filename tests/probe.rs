//! A debug probe at a board: the real probe-rs, at virtual boards.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

#[path = "support/desk.rs"]
mod desk;
mod support;

use std::fs;
use std::time::Duration;

use desk::{Cable, Desk, Rig, board_on_a_network};
use pinrig::bench::{Bench, SerialBench};
use pinrig::board::{Claim, Take};
use pinrig::deadline::Deadline;
use pinrig::image::Image;
use pinrig::outcome::Outcome;
use pinrig::rig::{self, Images, Inventory, Locks, Ports};
use pinrig::run::{Limits, Runner};
use pinrig::scenario;
use pinrig::verdict::{Blame, Verdict};
use virtual_esp32c3::ConsolePort;
use virtual_probe::driver::Offer;

/// A board of this process, whose probe stands in probe-rs' list: over TCP flashing takes ten times as long.
#[test]
fn a_probe_flashes_and_resets_and_leaves_what_is_there() {
    let (board, _lan) = board_on_a_network(ConsolePort::Uart0);
    board.power_cycle(true);
    let offer = Offer::new("flashes", board.debug_port()).unwrap();
    let rig = Rig::new(&[format!(
        r#"
        [[board]]
        name = "probed"
        chip = "esp32c3"
        port.path = "{}"
        probe = "{}"
        flasher = "probe-rs"
        reset = ["probe-rs"]
        server-address = "203.0.113.2"
        "#,
        board.tty().display(),
        offer.selector(),
    )]);
    let bench = claimed(&rig);
    let image = Image::load(&support::firmware()).unwrap();
    let report = bench.prepare(&image, &|_| {}).unwrap();
    assert_eq!((report.written, report.skipped), (1, 0));
    let outcome = run(&rig, &bench, &image, Limits::default());
    assert!(matches!(outcome.verdict, Verdict::Passed), "{:?}", outcome.verdict);
    let report = bench.prepare(&image, &|_| {}).unwrap();
    assert_eq!((report.written, report.skipped), (0, 1));
    let outcome = run(&rig, &bench, &image, Limits::default());
    assert!(matches!(outcome.verdict, Verdict::Passed), "{:?}", outcome.verdict);
}

/// A board of another process, as over any Black Magic Probe.
#[test]
fn firmware_that_hangs_is_halted_and_its_functions_are_named() {
    let desk = Desk::with(&["--network", "--debug"]);
    let cable = Cable::to(&desk);
    let probe = format!("[[board]]\nprobe = \"{}\"", desk.debug.as_ref().unwrap());
    let entry = desk.entry("probed", &desk.reset("USR1", "USR2"));
    let entry = entry
        .replace("[[board]]", &probe)
        .replace(&desk.tty, &cable.tty)
        .replace("password.env = \"TEST_PASSWORD\"", "password.file = \"password\"");
    let rig = Rig::new(&[entry]);
    fs::write(rig.path("password"), desk::PASSWORD).unwrap();
    let bench = claimed(&rig);
    let image = Image::load(&support::firmware()).unwrap();
    bench.prepare(&image, &|_| {}).unwrap();
    cable.swap("run", "test hang");
    // Before the firmware's own watchdog notices.
    let limits = Limits {
        run: Duration::from_millis(500),
        ..Limits::default()
    };
    let outcome = run(&rig, &bench, &image, limits);
    let Verdict::Failed(failure) = &outcome.verdict else {
        panic!("it passed")
    };
    assert_eq!(failure.blame, Blame::Hang, "{failure:?}");
    let named = |words: [&str; 3]| {
        let mut findings = failure.findings.iter();
        findings.any(|finding| words.iter().all(|word| finding.contains(word)))
    };
    let stands = ["it stands in 0x4", "hang", "/pinrig/firmware/esp32c3/src/board.rs:"];
    assert!(named(stands), "{failure:#?}");
    let called = [
        "called from 0x4",
        "pinrig_app::shell::Shell<",
        "/pinrig/firmware/app/src/shell.rs:",
    ];
    assert!(named(called), "{failure:#?}");
    let kept = fs::read_to_string(outcome.bundle.unwrap().join("hang.txt")).unwrap();
    assert!(kept.contains("sp   0x3fc") && kept.contains("it stands in"), "{kept}");
}

/// The rig's only board.
fn claimed(rig: &Rig) -> SerialBench {
    let inventory = Inventory::load(&rig.path("rig.toml")).unwrap();
    let known = rig::Rig {
        inventory: Some(inventory.clone()),
        ports: Ports::default(),
        locks: Locks::in_folder(rig.path("locks")),
    };
    let claim = Claim {
        entries: &[&inventory.boards[0]],
        take: Take::All,
        images: Images::Own,
    };
    let now = Deadline::after("a free board", Duration::ZERO);
    SerialBench::new(claim.hold(&known, &now, |_| {}).unwrap())
}

fn run(rig: &Rig, bench: &SerialBench, image: &Image, limits: Limits) -> Outcome {
    let all = scenario::load_all(&support::fixtures()).unwrap();
    let matches = all.iter().find(|scenario| scenario.name == "pin/matches").unwrap();
    let runner = Runner {
        bench,
        image,
        limits,
        out: &rig.path("out"),
        keep: false,
        observer: &|_| {},
    };
    runner.run(matches)
}
