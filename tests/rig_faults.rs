//! What can go wrong with boards at ports, one thing at a time. Each fault ends with a verdict that says what is to blame, and the next
//! scenario runs. The boards are virtual, behind their ttys; a device that is not an ESP32-C3 is a pseudo terminal of this process.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

#[path = "support/desk/mod.rs"]
mod desk;
mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use desk::cable::Cable;
use desk::library_rig::{LibraryRig, blame, failure, finds};
use desk::system::{Hub, System};
use desk::{Desk, with_line};
use object::{Object, ObjectSection};
use pinrig::board::console::{BAUD, open_port};
use pinrig::board::{Bench, BoardError};
use pinrig::image::Image;
use pinrig::run::{Event, Limits, Outcome};
use pinrig::transcript::DeviceLine;
use pinrig::verdict::Blame;
use serialport::{SerialPort, TTYPort};

#[test]
fn a_board_that_is_unplugged_while_it_is_flashed_is_left_out() {
    let (good, bad) = (Desk::new(), Desk::new());
    let rig = LibraryRig::new(&[bad.entry("bad"), good.entry("good")]);
    let bench = rig.bench();
    let plug = Mutex::new(Some(bad));
    let report = bench.prepare(&rig.image, &|step| {
        if step.board == "bad" && step.done > 0 {
            drop(plug.lock().unwrap().take());
        }
    });
    assert_eq!(report.unwrap().written, 3, "the other board has its image");
    let left_out = bench.left_out();
    let [(name, why)] = &left_out[..] else {
        panic!("{left_out:?}")
    };
    assert!(name == "bad" && why.contains("bit/s"), "{name}: {why}");
    assert_eq!(blame(&rig.run(&bench, "pin/matches")), None);
}

#[test]
fn a_board_that_is_unplugged_while_it_boots_is_left_out_and_the_others_go_on() {
    let (desk, other) = (Desk::new(), Desk::new());
    let rig = LibraryRig::new(&[desk.entry("desk"), other.entry("other")]);
    let bench = rig.flashed_bench();
    let plug = Mutex::new(Some(desk));
    let outcome = rig.run_watched(&bench, "pin/matches", |event| {
        if let Event::Boot(..) = event {
            drop(plug.lock().unwrap().take());
        }
    });
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Rig, "{failure:?}");
    assert!(failure.findings[0].contains("was the board unplugged?"), "{failure:?}");
    // It can no longer be opened. The next scenario that gets it finds that out, and the other board goes on.
    let next: Vec<_> = (0..2).map(|_| blame(&rig.run(&bench, "pin/matches"))).collect();
    assert!(next.contains(&None), "{next:?}");
    assert_eq!(bench.left_out().len(), 1, "{:?}", bench.left_out());
}

/// The board's USB port goes away with its power. What the ROM says when both are back tells what has happened.
#[test]
fn a_board_that_loses_its_power_while_it_runs_has_crashed_and_is_found_again() {
    let system = System::new();
    let desk = system.plug_in_board("ttyACM0");
    let rig = LibraryRig::on(&system, &[system.entry()]);
    let bench = rig.flashed_bench();
    let (plug, again) = (Mutex::new(Some(desk)), Mutex::new(None));
    // Its server never answers: the device waits for fifteen seconds.
    let outcome = rig.run_watched(&bench, "network/stall-in-place-of-the-reply", |event| {
        if let Event::Device(_, DeviceLine::Said(line)) = event
            && line == "request sent"
            && let Some(desk) = plug.lock().unwrap().take()
        {
            system.unplug("ttyACM0");
            desk.put_away();
            *again.lock().unwrap() = Some(system.plug_in_board("ttyACM1"));
        }
    });
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Crash, "{failure:?}");
    assert!(failure.findings[0].contains("the chip was reset"), "{failure:?}");
    assert_eq!(blame(&rig.run(&bench, "pin/matches")), None);
}

#[test]
fn a_board_that_is_plugged_in_again_is_found_under_its_new_name() {
    let system = System::new();
    let desk = system.plug_in_board("ttyACM0");
    let rig = LibraryRig::on(&system, &[system.entry()]);
    let bench = rig.flashed_bench();
    assert_eq!(blame(&rig.run(&bench, "pin/matches")), None);
    system.unplug("ttyACM0");
    desk.put_away();
    let _desk = system.plug_in_board("ttyACM1");
    let outcome = rig.run(&bench, "pin/one-bit-off");
    assert_eq!(blame(&outcome), None, "{:?}", outcome.verdict);
    // While it is away, the failure says so.
    system.unplug("ttyACM1");
    let outcome = rig.run(&bench, "pin/matches");
    assert_eq!(blame(&outcome), Some(Blame::Rig));
    assert!(failure(&outcome).findings[0].contains("no port has"), "{outcome:?}");
}

/// The hub takes the power of the board and of its port. The ROM's first words are lost, since the port comes back later, under another
/// name.
#[test]
fn a_board_whose_power_a_hub_switches_is_flashed_and_runs() {
    let system = System::new();
    let hub = Hub::new(&system);
    let rig = LibraryRig::on(&system, &[system.entry_with(&hub.script)]);
    let bench = rig.bench();
    let report = bench.prepare(&rig.image, &|_| {}).unwrap();
    assert_eq!(report.written, 3);
    for _ in 0..2 {
        let outcome = rig.run(&bench, "pin/matches");
        assert_eq!(blame(&outcome), None, "{:?}", outcome.verdict);
    }
    assert_eq!(bench.left_out(), []);
    let switched = hub.switched();
    assert!(
        switched >= 4,
        "on, into the loader, and off and on for each of two scenarios: {switched}"
    );
}

#[test]
fn a_chip_that_resets_again_and_again_has_crashed() {
    let desk = Desk::new();
    // Its flash is erased, and this flasher writes nothing.
    let rig = LibraryRig::new(&[with_line(&desk.entry("desk"), "flasher.command = [\"true\"]")]);
    let outcome = rig.run(&rig.flashed_bench(), "pin/matches");
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Crash, "{failure:?}");
    assert!(
        failure.findings[0].contains("the chip has reset 5 times")
            && failure.findings[0].contains("invalid header: 0xffffff"),
        "{failure:?}"
    );
    is_well(&desk);
}

#[test]
fn firmware_that_panics_has_crashed_and_its_functions_are_named() {
    let outcome = firmware_that_receives("test panic", Limits::default().run);
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Crash, "{failure:?}");
    assert!(failure.findings[0].contains("asked for by the command"), "{failure:#?}");
    // The function that serves commands is among the callers, by name, file and line. It was compiled elsewhere, under another path.
    let served = [
        "called from 0x42",
        "pinrig_app::shell::Shell<",
        " at /pinrig/firmware/app/src/shell.rs:",
    ];
    assert!(finds(failure, &served), "{failure:#?}");
    let snapshot = outcome.transcript.snapshot();
    assert!(!snapshot.contains("called from"), "{snapshot}");
}

#[test]
fn firmware_that_hangs_is_reported_and_the_next_scenario_runs() {
    // Before the firmware's own watchdog notices.
    let outcome = firmware_that_receives("test hang", Duration::from_millis(500));
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Hang, "{failure:?}");
    assert!(failure.findings[0].contains("the result of `run`"), "{failure:#?}");
}

/// Runs `pin/matches` on firmware that receives this command in place of `run`, and waits this long for the result. Afterwards the same
/// board must pass.
fn firmware_that_receives(command: &'static str, limit: Duration) -> Outcome {
    let desk = Desk::new();
    let cable = Cable::to(&desk);
    let rig = LibraryRig::at(&cable, &desk);
    let bench = rig.flashed_bench();
    cable.swap("run", command);
    let outcome = rig.run_within(&bench, "pin/matches", limit, |_| {});
    cable.swap_nothing();
    assert_eq!(blame(&rig.run(&bench, "pin/matches")), None);
    outcome
}

#[test]
fn a_board_that_says_nothing_is_the_rigs_fault() {
    let (_far, port) = TTYPort::pair().unwrap();
    let rig = LibraryRig::new(&[at(&port)]);
    drop(port);
    let bench = rig.flashed_bench();
    let outcome = rig.run(&bench, "pin/matches");
    assert_eq!(blame(&outcome), Some(Blame::Rig), "{outcome:?}");
    assert!(
        failure(&outcome).findings[0].contains("no line within 3 s"),
        "{outcome:?}"
    );
    let again = rig.run(&bench, "pin/matches");
    assert!(failure(&again).findings[0].contains("no board is left"), "{again:?}");
}

#[test]
fn a_board_that_babbles_at_full_rate_is_stopped_and_what_it_said_is_kept() {
    let (mut far, port) = TTYPort::pair().unwrap();
    let rig = LibraryRig::new(&[at(&port)]);
    drop(port);
    let bench = rig.flashed_bench();
    let over = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            far.set_timeout(Duration::from_millis(20)).unwrap();
            let noise: Vec<u8> = (0..=255).chain(*b"\n\x00\xff@- rea \n").cycle().take(4096).collect();
            while !over.load(Ordering::Relaxed) {
                // The port may not be open yet.
                let _lost = far.write(&noise);
                pause(AT_3_MBAUD);
            }
        });
        let outcome = rig.run(&bench, "pin/matches");
        over.store(true, Ordering::Relaxed);
        outcome
    });
    let failure = failure(&outcome);
    assert!(
        matches!(failure.blame, Blame::Hang | Blame::Rig),
        "not the firmware's behaviour: {failure:?}"
    );
    let kept = fs::metadata(outcome.bundle.unwrap().join("console.raw")).unwrap();
    assert!(kept.len() > 4096, "what it said is kept: {} bytes", kept.len());
}

#[test]
fn a_chip_that_is_not_the_one_in_the_inventory_is_not_flashed() {
    let desk = Desk::new();
    let entry = desk.entry("desk");
    let rig = LibraryRig::new(&[entry.replace("esp32c3", "esp32c6")]);
    let error = rig.bench().prepare(&rig.image, &|_| {}).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, BoardError::Flash { .. }), "{message}");
    assert!(message.contains("esp32c6") && message.contains("esp32c3"), "{message}");
    is_well(&desk);
}

#[test]
fn an_image_for_another_chip_is_refused() {
    let desk = Desk::new();
    let mut rig = LibraryRig::new(&[desk.entry("desk")]);
    let mut elf = rig.image.elf().unwrap().to_vec();
    // In the ELF's header: where the sections' headers begin. In each of them: the section's address (gABI, chapter 4).
    let word = |elf: &[u8], at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let file = object::File::parse(&*elf).unwrap();
    let descriptor = file.section_by_name(".flash.appdesc").unwrap();
    let (index, address) = (descriptor.index().0, descriptor.address());
    let at = word(&elf, 0x20) as usize + index * 40 + 12;
    assert_eq!(u64::from(word(&elf, at)), address);
    // This address is in RAM, not in flash.
    elf[at..at + 4].copy_from_slice(&0x4038_0000_u32.to_le_bytes());
    let path = rig.path("other.elf");
    fs::write(&path, elf).unwrap();
    rig.image = Image::load(&path).unwrap();
    let error = rig.bench().prepare(&rig.image, &|_| {}).unwrap_err().to_string();
    assert!(error.contains("other.elf is no image for the esp32c3"), "{error}");
    is_well(&desk);
}

#[test]
fn a_board_that_runs_another_image_is_not_judged() {
    let desk = Desk::new();
    let entry = desk.entry("desk");
    let mut rig = LibraryRig::new(std::slice::from_ref(&entry));
    let right = rig.image.clone();
    rig.image = Image::load(&support::unguarded_firmware()).unwrap();
    drop(rig.flashed_bench());
    // This flasher reports success and writes nothing.
    let mut rig = LibraryRig::new(&[with_line(&entry, "flasher.command = [\"true\"]")]);
    rig.image = right;
    let outcome = rig.run(&rig.flashed_bench(), "pin/matches");
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Rig, "{failure:?}");
    assert!(failure.findings[0].contains("flash it again"), "{failure:?}");
    is_well(&desk);
}

/// A flash image of another chip is not an ELF, so that pinrig cannot split it into parts. It belongs to the vendor's tool.
#[test]
fn a_flash_image_is_only_given_to_a_flasher_that_is_a_command() {
    let desk = Desk::new();
    let entry = desk.entry("desk");
    let mut rig = LibraryRig::new(std::slice::from_ref(&entry));
    let (image, copy) = (rig.path("sketch.bin"), rig.path("copy.bin"));
    fs::write(&image, [&[0xE9, 1][..], &[0; 62]].concat()).unwrap();
    rig.image = Image::load(&image).unwrap();
    let error = rig.bench().prepare(&rig.image, &|_| {}).unwrap_err().to_string();
    assert!(error.contains("sketch.bin is a flash image"), "{error}");

    let flasher = format!("flasher.command = [\"cp\", \"{{image}}\", {copy:?}]");
    let mut other = LibraryRig::new(&[with_line(&entry, &flasher)]);
    other.image = rig.image.clone();
    drop(other.flashed_bench());
    assert_eq!(fs::read(&copy).unwrap(), fs::read(&image).unwrap());
}

#[test]
fn flash_that_does_not_hold_what_is_written_is_tried_at_every_speed() {
    let desk = Desk::with(&["--network", "--worn-sector", "0x12000"]);
    let rig = LibraryRig::new(&[desk.entry("desk")]);
    let error = rig.bench().prepare(&rig.image, &|_| {}).unwrap_err();
    assert!(matches!(error, BoardError::Flash { .. }), "{error}");
    let message = error.to_string().to_lowercase();
    assert!(
        message.contains("verif") && message.contains("921600 bit/s") && message.contains("115200 bit/s"),
        "{message}"
    );
}

/// At the first two speeds the loader's packets arrive damaged. The third speed is slow enough.
#[test]
fn a_cable_that_is_too_poor_for_the_usual_speeds_is_used_at_a_slower_one() {
    let desk = Desk::with(&["--network", "--cable-limit", "115200"]);
    let rig = LibraryRig::new(&[desk.entry("desk")]);
    let bench = rig.bench();
    let report = bench.prepare(&rig.image, &|_| {}).unwrap();
    assert_eq!(report.written, 3);
    let [remark] = &report.remarks[..] else {
        panic!("{report:?}")
    };
    assert!(
        remark.starts_with("desk took its image by command at 115200 bit/s, after command, 921600 bit/s: ")
            && remark.contains("460800 bit/s: "),
        "{remark}"
    );
    assert_eq!(blame(&rig.run(&bench, "pin/matches")), None);
}

/// A pseudo terminal carries everything at any speed, and reports the one that was set.
#[test]
fn a_console_has_the_speed_of_its_entry() {
    let (_far, port) = TTYPort::pair().unwrap();
    let rig = LibraryRig::new(&[with_line(&at(&port), "baud = 460800")]);
    drop(port);
    let bench = rig.bench();
    let console = bench.boards()[0].console().unwrap();
    assert_eq!(console.attention().port().unwrap().baud_rate().unwrap(), 460_800);
}

#[test]
fn a_port_that_another_program_holds_is_the_rigs_fault_until_it_is_free() {
    let desk = Desk::new();
    let rig = LibraryRig::new(&[desk.entry("desk")]);
    let bench = rig.flashed_bench();
    let terminal = open_port(Path::new(&desk.tty), BAUD).unwrap();
    let outcome = rig.run(&bench, "pin/matches");
    assert_eq!(blame(&outcome), Some(Blame::Rig), "{outcome:?}");
    let finding = &failure(&outcome).findings[0];
    assert!(finding.contains("no other program holds it"), "{finding}");
    drop(terminal);
    let again = rig.flashed_bench_after(bench);
    assert_eq!(blame(&rig.run(&again, "pin/matches")), None);
}

#[test]
fn a_board_that_cannot_join_its_network_is_the_networks_fault() {
    // Without `--network`, its network leads nowhere.
    let desk = Desk::with(&[]);
    let rig = LibraryRig::new(&[desk.entry("desk")]);
    let outcome = rig.run(&rig.flashed_bench(), "pin/matches");
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Network, "{failure:?}");
    assert!(finds(failure, &["did not join `lab`"]), "{failure:?}");
}

#[test]
fn a_server_that_the_board_cannot_reach_is_the_networks_fault() {
    let desk = Desk::new();
    let entry = desk.entry("desk");
    // The board's network has no host at this address.
    let rig = LibraryRig::new(&[entry.replace("203.0.113.2", "203.0.113.77")]);
    let outcome = rig.run(&rig.flashed_bench(), "pin/matches");
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Network, "{failure:?}");
    assert!(finds(failure, &["203.0.113.77", "server-address"]), "{failure:?}");
    is_well(&desk);
}

#[test]
fn a_password_that_is_missing_keeps_the_board_out() {
    let desk = Desk::new();
    let entry = desk.entry("desk");
    let rig = LibraryRig::new(&[entry.replace("TEST_PASSWORD", "PINRIG_TEST_NO_SUCH_VARIABLE")]);
    let error = rig.claim().unwrap_err().to_string();
    assert!(error.contains("PINRIG_TEST_NO_SUCH_VARIABLE"), "{error}");
    is_well(&desk);
}

/// How long 4096 bytes take at 3 Mbit/s: ten bits each.
const AT_3_MBAUD: Duration = Duration::from_micros(13_653);

#[expect(
    clippy::disallowed_methods,
    reason = "a line has a speed, and a pseudo terminal has none"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}

/// Checks that the board itself has taken no harm: with a correct entry it passes.
fn is_well(desk: &Desk) {
    let rig = LibraryRig::new(&[desk.entry("desk")]);
    let bench = rig.flashed_bench();
    assert_eq!(blame(&rig.run(&bench, "pin/matches")), None);
}

/// The entry of a device at a pseudo terminal that ignores resets and images.
fn at(port: &TTYPort) -> String {
    format!(
        r#"
        [[board]]
        name = "thing"
        chip = "esp32c3"
        port.path = "{}"
        flasher.command = ["true"]
        reset = [{{ command = ["true"] }}]
        server-address = "127.0.0.1"
        "#,
        port.name().unwrap()
    )
}
