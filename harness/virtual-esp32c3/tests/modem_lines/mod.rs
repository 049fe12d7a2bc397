//! Modem lines for a pty: a library that is preloaded into a program (`shim.c`, compiled here), and the board's end of
//! it. Without a C compiler the tests print that and pass, or fail if `PINRIG_REQUIRE_CLIENTS` is set.
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use virtual_esp32c3::{AutoReset, BoardLines};

/// How long EN of a development board takes to rise, with 10 kOhm and 1 uF.
const RISE: Duration = Duration::from_millis(10);
/// The environment variables that tell the library the tty and the socket of the board's end.
pub(crate) const TTY: &str = "MODEM_LINES_TTY";
pub(crate) const SOCKET: &str = "MODEM_LINES_SOCKET";
/// If this environment variable is set, the library moves one line at a time only.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) const SINGLE: &str = "MODEM_LINES_SINGLE";

/// Moves EN and GPIO9 as the modem lines say, until the program has gone and EN has risen. Returns how often it pulled
/// EN low.
pub(crate) fn pull(stream: UnixStream, lines: &BoardLines) -> usize {
    pull_with(RISE, stream, lines)
}

/// Like [`pull`], with another time in which EN rises.
pub(crate) fn pull_with(rise: Duration, mut stream: UnixStream, lines: &BoardLines) -> usize {
    let mut circuit = AutoReset::new(rise);
    let (mut falls, mut was_pulled) = (0, false);
    let mut gone = false;
    while !gone || circuit.due().is_some() {
        let left = circuit.due().map(|due| due.saturating_duration_since(Instant::now()));
        // A timeout of zero would mean none.
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
                // Without a capacitor EN rises at once, and not only at the next change.
                if let Some(levels) = circuit.update(Instant::now()) {
                    lines.set(levels.enable, levels.boot);
                }
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

/// Moves the lines of the chip's own USB serial port, until the program has gone. Returns how often it reset the chip.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn pull_usb(mut stream: UnixStream, lines: &BoardLines) -> usize {
    let (mut resets, mut was) = (0, None);
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() {
        let now = (byte[0] & 1 != 0, byte[0] & 2 != 0);
        // The kernel sends the device changes only.
        if was.replace(now) != Some(now) {
            resets += usize::from(now == (false, true));
            lines.set_usb(now.0, now.1);
        }
        let _gone = stream.write_all(&byte);
    }
    // The port is closed, and the kernel releases both lines.
    lines.set_usb(false, false);
    resets
}

/// An empty folder with a short path, since the path of a socket has to be short.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("modem-lines-{}-{name}", std::process::id()));
    // Not one that is there already: others may have made it.
    std::fs::create_dir(&folder).expect("a folder");
    folder
}

pub(crate) fn compiled(folder: &Path) -> Option<PathBuf> {
    let source = folder.join("shim.c");
    std::fs::write(&source, include_str!("shim.c")).expect("the folder takes a file");
    let library = folder.join("shim.so");
    let compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-O1", "-o"])
        .args([library.as_path(), source.as_path()])
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
