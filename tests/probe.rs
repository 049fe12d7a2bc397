//! A debug probe at a board of a rig: the real probe-rs, at virtual boards.

#[path = "support/desk/mod.rs"]
mod desk;
mod support;

use std::fs;
use std::time::Duration;

use desk::cable::Cable;
use desk::library_rig::{LibraryRig, blame, failure, finds};
use desk::{Desk, board_on_a_network, port_entry, with_line};
use pinrig::bench::Bench;
use pinrig::verdict::Blame;
use virtual_esp32c3::{ConsolePort, Strapping};
use virtual_probe::driver::Offer;

/// The board is in this process, and its probe is in probe-rs' own list: over TCP, flashing takes ten times as long.
#[test]
fn a_probe_flashes_a_board_and_resets_it_and_skips_what_is_already_there() {
    let (board, _lan) = board_on_a_network(ConsolePort::Uart0);
    board.power_cycle(Strapping::Flash);
    let offer = Offer::new("flashes", board.debug_port()).unwrap();
    let lines = format!(
        "probe = \"{}\"\nflasher = \"probe-rs\"\nreset = [\"probe-rs\"]",
        offer.selector()
    );
    let rig = LibraryRig::with_own_ports(&[port_entry("probed", &board, &lines)]);
    let bench = rig.bench();
    for (written, skipped) in [(1, 0), (0, 1)] {
        let report = bench.prepare(&rig.image, &|_| {}).unwrap();
        assert_eq!((report.written, report.skipped), (written, skipped));
        let outcome = rig.run(&bench, "pin/matches");
        assert_eq!(blame(&outcome), None, "{:?}", outcome.verdict);
    }
}

/// The board is another process, whose probe is reached over TCP, as any Black Magic Probe is.
#[test]
fn firmware_that_hangs_is_halted_and_its_functions_are_named() {
    let desk = Desk::with(&["--network", "--debug"]);
    let cable = Cable::to(&desk);
    let entry = with_line(&desk.entry("probed"), &format!("probe = \"{}\"", desk.debug()));
    let rig = LibraryRig::with_own_ports(&[entry.replace(&desk.tty, &cable.tty)]);
    let bench = rig.flashed_bench();
    cable.swap("run", "test hang");
    // Before the firmware's own watchdog notices.
    let soon = Duration::from_millis(500);
    let outcome = rig.run_within(&bench, "pin/matches", soon, |_| {});
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Hang, "{failure:?}");
    let stands = ["it stands in 0x4", "hang", "/pinrig/firmware/esp32c3/src/board.rs:"];
    assert!(finds(failure, &stands), "{failure:#?}");
    let called = [
        "called from 0x4",
        "pinrig_app::shell::Shell<",
        "/pinrig/firmware/app/src/shell.rs:",
    ];
    assert!(finds(failure, &called), "{failure:#?}");
    let kept = fs::read_to_string(outcome.bundle.as_ref().unwrap().join("hang.txt")).unwrap();
    assert!(kept.contains("sp   0x3fc") && kept.contains("it stands in"), "{kept}");
}
