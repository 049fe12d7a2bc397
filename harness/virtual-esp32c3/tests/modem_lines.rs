//! espflash resets the board by itself: DTR and RTS of the tty, through the two transistors of a development board.
//!
//! A pty has no modem lines. A library that is preloaded into espflash's process gives it some (`modem_lines/shim.c`, compiled
//! here); this process pulls EN and GPIO9 as they say. Where there is no C compiler the tests say so and end; with
//! `PINRIG_REQUIRE_CLIENTS` set, they fail.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use espflash::connection::{ResetAfterOperation, ResetBeforeOperation};
use espflash::target::Chip;
use support::{Console, Flashed, connect_with, firmware, image};
use virtual_esp32c3::{AutoReset, BoardConfig, BoardLines, VirtualBoard};

const LIMIT: Duration = Duration::from_secs(60);
/// 10 kOhm and 1 uF at the EN of a development board.
const RISE: Duration = Duration::from_millis(10);
/// How often the process that flashes connects.
const CONNECTIONS: usize = 4;
/// The tty, for the process that flashes.
const TTY: &str = "MODEM_LINES_TTY";
const SOCKET: &str = "MODEM_LINES_SOCKET";
const SINGLE: &str = "MODEM_LINES_SINGLE";

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
    // Erased, and started from its flash: it restarts for ever, so that no flasher connects unless it resets the board.
    let board = VirtualBoard::start(BoardConfig::default(), None).expect("a board");
    board.power_cycle(true);
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
        assert!(Instant::now() < deadline, "no firmware in {LIMIT:?}");
        console.send("\n#m hello\n");
    }
    // Into the loader, and into the firmware: each time at the first attempt.
    let falls = circuit.join().expect("the circuit ends with the process");
    assert_eq!(falls, 2 * CONNECTIONS, "how often EN was pulled low");
    std::fs::remove_dir_all(&folder).expect("the folder goes");
}

/// What a person does with espflash, in a process that has the shim.
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

/// Pulls EN and GPIO9 as the modem lines say, until the other end has gone and EN has risen. How often it pulled EN low.
fn pull(mut stream: UnixStream, lines: &BoardLines) -> usize {
    let mut circuit = AutoReset::new(RISE);
    let (mut falls, mut was_pulled) = (0, false);
    let mut gone = false;
    while !gone || circuit.due().is_some() {
        let left = circuit.due().map(|due| due.saturating_duration_since(Instant::now()));
        // Zero would be no limit.
        let left = left.map(|left| left.max(Duration::from_micros(100)));
        stream.set_read_timeout(left).expect("a socket takes a limit");
        let mut byte = [0];
        let levels = match stream.read(&mut byte) {
            Ok(1..) => {
                let (dtr, rts) = (byte[0] & 1 != 0, byte[0] & 2 != 0);
                let pulled = rts && !dtr;
                falls += usize::from(pulled && !was_pulled);
                was_pulled = pulled;
                let levels = circuit.set(dtr, rts, Instant::now());
                lines.set(levels.enable, levels.boot);
                let _gone = stream.write_all(&byte);
                None
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                circuit.update(Instant::now())
            }
            Ok(0) | Err(_) if gone => circuit.update(Instant::now()),
            Ok(0) | Err(_) => {
                gone = true;
                Some(circuit.release(Instant::now()))
            }
        };
        if let Some(levels) = levels {
            lines.set(levels.enable, levels.boot);
        }
    }
    falls
}

/// An empty folder. The path of a socket has to be short.
fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("modem-lines-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn compiled(folder: &Path) -> Option<PathBuf> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/modem_lines/shim.c");
    let library = folder.join("shim.so");
    let compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-O1", "-o"])
        .args([library.as_path(), Path::new(source)])
        .output();
    match compiler {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{errors}");
            Some(library)
        }
        Err(error) => {
            let reason = format!("there is no C compiler (`cc`): {error}");
            assert!(
                std::env::var_os("PINRIG_REQUIRE_CLIENTS").is_none(),
                "{reason}, and PINRIG_REQUIRE_CLIENTS is set"
            );
            eprintln!("skipped: {reason}");
            None
        }
    }
}
