//! A cable between a board and its port that can swap one command for another, for faults of firmware that a scenario cannot ask for.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::fs::OFlags;
use serialport::{SerialPort, TTYPort};

use super::Desk;

/// Carries bytes between a board's tty and a tty of its own, until it is dropped.
pub(crate) struct Cable {
    pub(crate) tty: String,
    swap: Arc<Mutex<Option<Swap>>>,
    cut: Arc<AtomicBool>,
    carriers: Vec<JoinHandle<()>>,
    /// Kept open, so that the cable's end exists while no program uses it.
    _open: File,
}

/// The harness sends `sent`, and the board receives `received`.
#[derive(Clone, Copy)]
struct Swap {
    sent: &'static str,
    received: &'static str,
}

impl Cable {
    pub(crate) fn to(desk: &Desk) -> Self {
        let (mut near, port) = TTYPort::pair().unwrap();
        let tty = port.name().unwrap();
        let mut open = OpenOptions::new();
        let terminal = OFlags::NOCTTY.bits().cast_signed();
        let open = open.read(true).custom_flags(terminal).open(&tty).unwrap();
        // The harness opens it exclusively.
        drop(port);
        let mut far = serialport::new(&desk.tty, 115_200).open_native().unwrap();
        let (mut near_writer, mut far_writer) = (near.try_clone_native().unwrap(), far.try_clone_native().unwrap());
        for port in [&mut near, &mut far] {
            port.set_timeout(Duration::from_millis(50)).unwrap();
        }
        for port in [&mut near_writer, &mut far_writer] {
            port.set_timeout(Duration::from_secs(5)).unwrap();
        }
        let swap = Arc::new(Mutex::new(None));
        let cut = Arc::new(AtomicBool::new(false));
        let there = thread::spawn({
            let (cut, swap) = (Arc::clone(&cut), Arc::clone(&swap));
            let mut command = Vec::new();
            move || {
                carry(&mut near, &cut, |bytes| {
                    far_writer.write_all(&swapped(&mut command, bytes, *swap.lock().unwrap()))
                });
            }
        });
        let back = thread::spawn({
            let cut = Arc::clone(&cut);
            move || carry(&mut far, &cut, |bytes| near_writer.write_all(bytes))
        });
        Self {
            tty,
            swap,
            cut,
            carriers: vec![there, back],
            _open: open,
        }
    }

    /// From now on, the board receives `received` where the harness sends the command `sent`.
    pub(crate) fn swap(&self, sent: &'static str, received: &'static str) {
        *self.swap.lock().unwrap() = Some(Swap { sent, received });
    }

    pub(crate) fn swap_nothing(&self) {
        *self.swap.lock().unwrap() = None;
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.cut.store(true, Ordering::Relaxed);
        for carrier in self.carriers.drain(..) {
            // Its panic was shown already.
            let _panicked = carrier.join();
        }
    }
}

fn carry(from: &mut TTYPort, cut: &AtomicBool, mut to: impl FnMut(&[u8]) -> io::Result<()>) {
    let mut bytes = [0; 4096];
    while !cut.load(Ordering::Relaxed) {
        // Bytes to an end that has gone are lost, as in any cable.
        if let Ok(count) = from.read(&mut bytes) {
            let _lost = to(&bytes[..count]);
        }
    }
}

/// What arrives of `bytes`. A command begins with `#` and a tag; it is collected in `command` until its line is complete. The command
/// that replaces it has no tag, so its answer does not count as an answer to the command that was sent.
fn swapped(command: &mut Vec<u8>, bytes: &[u8], swap: Option<Swap>) -> Vec<u8> {
    let Some(Swap { sent, received }) = swap else {
        return bytes.to_vec();
    };
    let mut arrives = Vec::new();
    for &byte in bytes {
        if command.is_empty() && byte != b'#' {
            arrives.push(byte);
            continue;
        }
        command.push(byte);
        if byte == b'\n' {
            if command.ends_with(format!(" {sent}\n").as_bytes()) {
                *command = format!("{received}\n").into_bytes();
            }
            arrives.append(command);
        }
    }
    arrives
}
