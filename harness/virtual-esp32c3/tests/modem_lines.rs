//! espflash resets the board by DTR and RTS of the tty, through the two transistors of a development board.
//!
//! A pty has no modem lines. A library that is preloaded into espflash's process adds them (`modem_lines/shim.c`,
//! compiled here), and this process moves EN and GPIO9 as they say. Without a C compiler the tests print that and pass,
//! or fail if `PINRIG_REQUIRE_CLIENTS` is set.
#![cfg(target_os = "linux")]

#[path = "modem_lines/mod.rs"]
mod lines;
mod support;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use espflash::connection::{ResetAfterOperation, ResetBeforeOperation};
use espflash::target::Chip;
use lines::{SINGLE, SOCKET, TTY, compiled, pull, scratch};
use support::{Console, Flashed, connect_with, firmware, image};
use virtual_esp32c3::{BoardConfig, Strapping, VirtualBoard};

const LIMIT: Duration = Duration::from_secs(60);
/// How often the flashing process connects.
const CONNECTIONS: usize = 4;

#[test]
fn both_lines_at_once_lead_to_the_loader_and_back_to_the_firmware() {
    flashes_and_resets(false);
}

#[test]
fn one_line_at_a_time_leads_to_the_loader_and_back_to_the_firmware() {
    flashes_and_resets(true);
}

fn flashes_and_resets(single: bool) {
    let folder = scratch(if single { "single" } else { "tight" });
    let Some(shim) = compiled(&folder) else { return };
    let socket = folder.join("lines");
    let listener = UnixListener::bind(&socket).expect("a socket");
    // Its flash is erased, so that it restarts for ever. A flasher can connect only if it resets the board.
    let board = VirtualBoard::start(BoardConfig::default(), None).expect("a board");
    board.power_cycle(Strapping::Flash);
    let lines = board.lines();
    let circuit = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the shim connects");
        pull(stream, &lines)
    });

    let mut flasher = Command::new(std::env::current_exe().expect("the test's own path"));
    flasher
        .args(["--exact", "the_process_that_flashes", "--ignored", "--nocapture"])
        .env("LD_PRELOAD", &shim)
        .env(TTY, board.tty())
        .env(SOCKET, &socket)
        .env_remove(SINGLE);
    if single {
        flasher.env(SINGLE, "1");
    }
    let output = flasher.output().expect("the test runs again");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");

    let mut console = Console::open(board.tty());
    let deadline = Instant::now() + LIMIT;
    while !console.has("@m ok hello firmware=pinrig-esp32c3") {
        assert!(
            Instant::now() < deadline,
            "timed out after {LIMIT:?} waiting for the firmware"
        );
        console.send("\n#m hello\n");
    }
    // One reset into the loader and one into the firmware for each connection, each at the first attempt.
    let falls = circuit.join().expect("the circuit ends with the process");
    assert_eq!(falls, 2 * CONNECTIONS, "how often EN was pulled low");
    std::fs::remove_dir_all(&folder).expect("the folder goes");
}

/// Uses espflash as a person would, in a process into which the library is preloaded.
#[test]
#[ignore = "is run by the other tests, with the shim"]
fn the_process_that_flashes() {
    let Some(tty) = std::env::var_os(TTY) else { return };
    const ADDRESS: u32 = 0x20_0000;
    let elf = firmware();
    let resets = (ResetBeforeOperation::DefaultReset, ResetAfterOperation::HardReset);
    let connect = || connect_with(Path::new(&tty), true, resets);
    // espflash starts the firmware at the end of each of these.
    for expected in [(3, 0), (0, 3)] {
        let mut flashed = Flashed::default();
        connect()
            .load_image_to_flash(&mut flashed, image(&elf))
            .expect("it flashes");
        assert_eq!((flashed.written, flashed.skipped), expected);
        assert_eq!(flashed.verified, expected.0, "what is written is verified");
    }
    let data: Vec<u8> = (0..0x2000u32).map(|number| ((number * 7) >> 3) as u8).collect();
    connect()
        .write_bin_to_flash(ADDRESS, &data, &mut Flashed::default())
        .expect("it writes");

    let mut flasher = connect();
    flasher.erase_region(ADDRESS + 0x1000, 0x1000).expect("it erases");
    let read = Path::new(&std::env::var_os(SOCKET).expect("a socket")).with_extension("bin");
    flasher
        .read_flash(ADDRESS, data.len() as u32, 0x1000, 64, read.clone())
        .expect("it reads");
    let mut expected = data;
    expected[0x1000..].fill(0xFF);
    assert!(std::fs::read(read).expect("what was read") == expected);
    flasher
        .connection()
        .reset_after(true, Chip::Esp32c3)
        .expect("it resets");
}
