//! With the same image, seed, and input at the same times, the chip executes the same instructions and sends the same
//! bytes, however the run is cut into pieces and whether or not the chip is copied in between.

mod support;

use std::fmt::Write as _;

use support::{firmware, flash_contents};
use virtual_esp32c3::ConsolePort;
use virtual_esp32c3::chip::{Chip, ChipOptions, Pause};

/// What a run ends with: the clock, idle time, the hart's registers, and everything that the chip has sent.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    now: u64,
    idle: u64,
    pc: u32,
    registers: Vec<u32>,
    said: String,
    log: String,
}

/// Input, and the chip's time at which it comes.
const INPUT: [(u64, &[u8]); 3] = [
    (4_000_000, b"#a hello\n"),
    (4_100_000, b"#b set pin 00112233445566778899aabbccddeeff00112233\n"),
    (5_000_000, b"#c status\n#d reboot\n"),
];
const END: u64 = 12_000_000;

fn chip(seed: u64) -> Chip {
    let mut chip = Chip::new(ChipOptions {
        flash: flash_contents(&firmware()),
        mac: [2, 0, 0, 0xC3, 0, 1],
        revision: (0, 3),
        seed,
        console: ConsolePort::Uart0,
    })
    .expect("a chip");
    chip.set_lines(true, true);
    chip
}

/// Runs a chip to the end in pieces of `slice` cycles. After every `copy` pieces, a copy takes its place.
fn run(mut chip: Chip, slice: u64, copy: Option<u64>) -> Trace {
    let mut said = Vec::new();
    let mut input = INPUT.iter().peekable();
    let mut pieces = 0;
    while chip.now() < END {
        let next_input = input.peek().map_or(END, |(time, _)| *time);
        let until = (chip.now() + slice).min(next_input).min(END);
        if let Pause::Asleep(wake) = chip.run(until) {
            chip.sleep_until(wake.min(until));
        }
        said.extend(chip.sent().drain(..));
        chip.taken();
        if chip.now() == next_input
            && let Some((_, bytes)) = input.next()
        {
            chip.receive(bytes);
        }
        pieces += 1;
        if copy.is_some_and(|copy| pieces % copy == 0) {
            chip = chip.clone();
        }
    }
    let mut log = String::new();
    for entry in chip.take_log() {
        writeln!(log, "{entry:?}").expect("writing to a String cannot fail");
    }
    Trace {
        now: chip.now(),
        idle: chip.idle(),
        pc: chip.hart().pc(),
        registers: (0..32).map(|number| chip.hart().register(number)).collect(),
        said: String::from_utf8_lossy(&said).into_owned(),
        log,
    }
}

#[test]
fn two_runs_execute_the_same_instructions() {
    let first = run(chip(1), 160_000, None);
    assert_eq!(first.said.matches("@- ready ").count(), 2, "{}", first.said);
    assert!(first.said.contains("@c ok status "), "{}", first.said);
    assert_eq!(first, run(chip(1), 160_000, None));
}

#[test]
fn a_run_does_not_depend_on_how_it_is_cut_into_pieces() {
    let whole = run(chip(1), END, None);
    for slice in [977, 12_345, 1_000_000] {
        assert_eq!(whole, run(chip(1), slice, None), "pieces of {slice} cycles");
    }
}

#[test]
fn a_copy_goes_on_as_the_chip_would_have() {
    assert_eq!(run(chip(1), 50_000, None), run(chip(1), 50_000, Some(7)));
}
