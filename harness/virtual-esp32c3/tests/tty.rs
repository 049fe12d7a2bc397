//! The board's tty: it need not be read, a slow reader loses nothing, and a board that only waits leaves the processor
//! to others.

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serialport::TTYPort;
use support::{Console, firmware, flash_contents};
use virtual_esp32c3::{BoardConfig, HardwareEvent, ResetCause, Strapping, VirtualBoard};

const LIMIT: Duration = Duration::from_secs(60);
/// The answers to this many commands, of some 400 bytes each, are more than tty and FIFO hold.
const COMMANDS: usize = 400;

fn board(config: BoardConfig) -> VirtualBoard {
    VirtualBoard::start(config, None).expect("a board")
}

/// A board whose firmware is ready, and its tty, which nothing reads yet.
fn ready() -> (VirtualBoard, TTYPort) {
    let board = board(BoardConfig {
        flash: flash_contents(&firmware()),
        ..BoardConfig::default()
    });
    let mut port =
        TTYPort::open(&serialport::new(board.tty().to_string_lossy(), 115_200).timeout(LIMIT)).expect("the tty opens");
    board.power_cycle(Strapping::Flash);
    read_until(&mut port, "@- ready ", 512);
    (board, port)
}

/// Reads pieces of up to `piece` bytes until `marker` is among them.
fn read_until(port: &mut TTYPort, marker: &str, piece: usize) -> String {
    let deadline = Instant::now() + LIMIT;
    let mut text = String::new();
    let mut bytes = vec![0; piece];
    while !text.contains(marker) {
        assert!(
            Instant::now() < deadline,
            "timed out after {LIMIT:?} waiting for {marker}: {text}"
        );
        let length = port.read(&mut bytes).expect("the console goes on");
        text.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    text
}

fn ask_often(mut port: TTYPort, last: &str) {
    for number in 0..COMMANDS {
        port.write_all(format!("#n{number} show\n").as_bytes())
            .expect("the tty takes commands");
    }
    port.write_all(last.as_bytes()).expect("the tty takes commands");
}

#[test]
fn a_board_whose_tty_is_not_read_runs_on() {
    let (board, port) = ready();
    let log = board.watch_log();
    ask_often(port, "#z reboot\n");
    let deadline = Instant::now() + LIMIT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let entry = log.recv_timeout(left).expect("the firmware comes to the last command");
        if entry.event == HardwareEvent::Reset(ResetCause::SoftwareSystem) {
            break;
        }
    }
    // A program that opens the tty later can talk to the board. It has to read what the tty still holds first: until
    // the tty has room, the board goes on dropping its output.
    let mut console = Console::open(board.tty());
    console.wait_for("ok show", LIMIT);
    board.power_cycle(Strapping::Download);
    console.wait_for("waiting for download", LIMIT);
}

#[test]
fn a_slow_reader_loses_nothing() {
    let (_board, mut port) = ready();
    let writer = port.try_clone_native().expect("the port clones");
    let sender = std::thread::spawn(move || ask_often(writer, ""));
    let text = read_until(&mut port, &format!("@n{} ok show", COMMANDS - 1), 61);
    sender.join().expect("all commands are sent");
    let missing = (0..COMMANDS).find(|number| !text.contains(&format!("@n{number} ok show")));
    assert_eq!(missing, None, "an answer is lost: {text}");
}

#[test]
fn a_board_that_waits_for_a_flasher_rests() {
    let board = board(BoardConfig::default());
    let mut console = Console::open(board.tty());
    board.power_cycle(Strapping::Download);
    console.wait_for("waiting for download", LIMIT);
    // The ROM never sleeps. It waits in a loop that checks whether a byte has come, and the board counts that as idle.
    let deadline = Instant::now() + LIMIT;
    let rested = |at_least: Duration| {
        while board.stats().idle < at_least {
            let stats = board.stats();
            assert!(
                Instant::now() < deadline,
                "timed out after {LIMIT:?} waiting for {at_least:?} of idle time: {stats:?}"
            );
            std::thread::yield_now();
        }
        board.stats()
    };
    let before = rested(Duration::from_millis(300));
    let after = rested(Duration::from_millis(1300));
    let passed = after.time - before.time;
    assert!(
        passed < Duration::from_secs(2),
        "it takes {passed:?} of waiting to rest for a second"
    );
}
