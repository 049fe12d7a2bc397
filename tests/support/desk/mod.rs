//! A desk with virtual boards on it: each in another process, reached by its tty as any board is, and an inventory that names them.

#![allow(dead_code, reason = "each test target uses its own part of this module")]
#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::fs::OFlags;
use serde_json::Value;
use serialport::{SerialPort, TTYPort};
use virtual_esp32c3::{BoardConfig, ConsolePort, FrameSender, VirtualBoard};
use virtual_lan::{Lan, LanConfig};

use crate::support;

/// A board on a desk. It is unplugged when this is dropped.
pub(crate) struct Desk {
    process: Child,
    pub(crate) tty: String,
    /// Its debug port, with `--debug`: a selector for probe-rs.
    pub(crate) debug: Option<String>,
}

impl Desk {
    /// A board on a network that leads to this machine.
    pub(crate) fn new() -> Self {
        Self::with(&["--network"])
    }

    /// A board with these options of `pinrig virtual`.
    pub(crate) fn with(options: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_pinrig"))
            .args(["virtual", "--json"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command was built");
        let mut opening = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut opening)
            .unwrap();
        let opening: Value = serde_json::from_str(&opening).unwrap();
        let tty = opening["tty"].as_str().unwrap().to_owned();
        let debug = opening["debug"].as_str().map(str::to_owned);
        Self { process, tty, debug }
    }

    /// Pulls the plug.
    pub(crate) fn unplug(&mut self) {
        // It may have ended by itself.
        let _ended = self.process.kill();
        let _waited = self.process.wait();
    }

    /// Ends it as Ctrl-C does, which saves its flash.
    pub(crate) fn put_away(mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.process.wait().unwrap();
    }

    /// Its process, for signals that reset it.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Words that reset it, with the signals for a start from flash and for download mode.
    pub(crate) fn reset(&self, flash: &str, download: &str) -> String {
        let pid = self.process.id();
        format!(
            r#"{{ command = ["sh", "-c", "case {{mode}} in flash) kill -{flash} {pid};; download) kill -{download} {pid};; esac"] }}"#
        )
    }

    /// Its entry in the inventory, with these ways to reset it.
    pub(crate) fn entry(&self, name: &str, reset: &str) -> String {
        let tty = &self.tty;
        format!(
            r#"
            [[board]]
            name = "{name}"
            chip = "esp32c3"
            port.path = "{tty}"
            reset = [{reset}]
            server-address = "203.0.113.2"
            network = {{ ssid = "lab", password.env = "TEST_PASSWORD" }}
            tags = ["desk"]
            "#
        )
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.unplug();
    }
}

/// A virtual board in this process, on a network on which 203.0.113.2 is this machine.
pub(crate) fn board_on_a_network(console: ConsolePort) -> (VirtualBoard, Lan) {
    let to_board = Arc::new(Mutex::new(None::<FrameSender>));
    let door = Arc::clone(&to_board);
    let config = LanConfig {
        host: Some([203, 0, 113, 2].into()),
        ..LanConfig::default()
    };
    let deliver = Box::new(move |frame| {
        if let Some(board) = &*door.lock().unwrap_or_else(PoisonError::into_inner) {
            board.send(frame);
        }
    });
    let lan = Lan::start(config, deliver).unwrap();
    let port = lan.port();
    let sink = Box::new(move |frame: &[u8]| port.send(frame));
    let board = BoardConfig {
        console,
        ..BoardConfig::default()
    };
    let board = VirtualBoard::start(board, Some(sink)).unwrap();
    *to_board.lock().unwrap() = Some(board.ethernet());
    (board, lan)
}

/// A system's `/sys` and `/dev`, in which boards come and go under changing names.
pub(crate) struct System(tempfile::TempDir);

impl System {
    pub(crate) const SERIAL: &str = "7C:DF:A1:00:00:01";

    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A USB device's folder below `/sys/devices`, and that of its interface.
    pub(crate) fn device(&self, name: &str) -> PathBuf {
        let device = self.path("sys/devices/usb1").join(name);
        fs::create_dir_all(device.join("interface")).unwrap();
        for (file, contents) in [("idVendor", "303a"), ("idProduct", "1001"), ("serial", Self::SERIAL)] {
            fs::write(device.join(file), contents).unwrap();
        }
        device.join("interface")
    }

    pub(crate) fn plug_in(&self, name: &str, desk: &Desk) {
        let interface = self.device(name);
        let class = self.path("sys/class/tty").join(name);
        fs::create_dir_all(&class).unwrap();
        symlink(interface, class.join("device")).unwrap();
        fs::create_dir_all(self.path("dev")).unwrap();
        symlink(&desk.tty, self.path("dev").join(name)).unwrap();
        // Whoever resets it finds it by this.
        fs::write(self.path("pid"), desk.pid().to_string()).unwrap();
    }

    pub(crate) fn unplug(&self, name: &str) {
        fs::remove_dir_all(self.path("sys/class/tty").join(name)).unwrap();
        fs::remove_file(self.path("dev").join(name)).unwrap();
    }

    pub(crate) fn entry(&self) -> String {
        let pid = self.path("pid");
        let pid = pid.display();
        self.entry_with(&format!(
            "case {{mode}} in flash) kill -USR1 $(cat {pid});; download) kill -USR2 $(cat {pid});; esac"
        ))
    }

    /// The board's entry, with the words that a shell does to reset it.
    pub(crate) fn entry_with(&self, reset: &str) -> String {
        format!(
            r#"
            [[board]]
            name = "xiao"
            chip = "esp32c3"
            port.mac = "{}"
            reset = [{{ command = ["sh", "-c", {reset:?}] }}]
            server-address = "203.0.113.2"
            "#,
            Self::SERIAL
        )
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }
}

/// A cable between a board and its port, on the way of which a command of the harness can become another one: for what firmware does
/// that no scenario can ask of it.
pub(crate) struct Cable {
    pub(crate) tty: String,
    /// A command, and what arrives in its place.
    swap: Arc<Mutex<Option<(&'static str, &'static str)>>>,
    cut: Arc<AtomicBool>,
    carriers: Vec<JoinHandle<()>>,
    /// Kept open, so that the cable's end is there while nobody uses it.
    _open: File,
}

impl Cable {
    pub(crate) fn to(desk: &Desk) -> Self {
        let (mut near, port) = TTYPort::pair().unwrap();
        let tty = port.name().unwrap();
        let mut open = OpenOptions::new();
        let terminal = OFlags::NOCTTY.bits().cast_signed();
        let open = open.read(true).custom_flags(terminal).open(&tty).unwrap();
        // Whoever uses it wants it alone.
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

    /// From now on, this command arrives as that one.
    pub(crate) fn swap(&self, command: &'static str, other: &'static str) {
        *self.swap.lock().unwrap() = Some((command, other));
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
        // An end that has gone takes nothing, which is what cables are like.
        if let Ok(count) = from.read(&mut bytes) {
            let _lost = to(&bytes[..count]);
        }
    }
}

/// What arrives of `bytes`: a command, which begins with `#` and a tag, is held in `command` until it is whole. What comes in its place
/// has no tag, so that its answer is none to the command.
fn swapped(command: &mut Vec<u8>, bytes: &[u8], swap: Option<(&str, &str)>) -> Vec<u8> {
    let Some((from, to)) = swap else {
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
            if command.ends_with(format!(" {from}\n").as_bytes()) {
                *command = format!("{to}\n").into_bytes();
            }
            arrives.append(command);
        }
    }
    arrives
}

/// An inventory, locks and evidence in a folder of their own.
pub(crate) struct Rig {
    folder: tempfile::TempDir,
}

/// The network's password, in `TEST_PASSWORD`.
pub(crate) const PASSWORD: &str = "correct-horse-battery";

impl Rig {
    pub(crate) fn new(entries: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("rig.toml"), entries.concat()).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `pinrig run` with these arguments.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.pinrig("run");
        command.args(arguments).arg("--out").arg(self.path("out"));
        command
    }

    /// Any other command, in the same surroundings.
    pub(crate) fn pinrig(&self, subcommand: &str) -> Command {
        let mut command = self.program(Path::new(env!("CARGO_BIN_EXE_pinrig")));
        command.arg(subcommand);
        command
    }

    /// Any program, in the same surroundings.
    pub(crate) fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(support::root())
            .env_remove("PINRIG_BOARD")
            .env_remove("PINRIG_TAGS")
            .env("PINRIG_RIG", self.path("rig.toml"))
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env("TEST_PASSWORD", PASSWORD);
        command
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn contains(folder: &Path, needle: &[u8]) -> Option<PathBuf> {
    fs::read_dir(folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return contains(&path, needle);
        }
        let contents = fs::read(&path).unwrap();
        contents
            .windows(needle.len())
            .any(|bytes| bytes == needle)
            .then_some(path)
    })
}
