//! The bench of boards that are programs on this machine: emulators, or firmware built for it.
//!
//! What enters: the program's words. What leaves: a process for each scenario, whose standard input and output are the console, on the
//! loopback. It ends with its scenario, and whatever it has started with it.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serialport::{SerialPort, TTYPort};

use super::serial_bench::is_ours;
use super::{Bench, Route, Seat};
use crate::board::console::ConsoleError;
use crate::board::flash::{FlashProgress, FlashReport};
use crate::board::{Board, BoardError, BootMode, Console, LinkSettings, Recorder, Reset, Secret};
use crate::evidence::RecordedFile;
use crate::image::Image;
use crate::rig::{Dialect, Entry, PasswordError};

/// The name of a network that has none; the firmware wants one.
const WIRED: &str = "pinrig";

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Boards that are programs.
pub struct ProcessBench {
    name: String,
    words: Vec<String>,
    folder: PathBuf,
    network: Option<(String, Option<Secret>)>,
    server: Option<IpAddr>,
    dialect: Option<Dialect>,
}

impl fmt::Debug for ProcessBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessBench")
            .field("name", &self.name)
            .field("words", &self.words)
            .finish_non_exhaustive()
    }
}

impl ProcessBench {
    /// The program of `entry`, which stands in the file `inventory`.
    ///
    /// # Errors
    /// When its network's password is not where the inventory says.
    pub fn new(entry: &Entry, inventory: &Path) -> Result<Self, PasswordError> {
        let network = match &entry.network {
            Some(network) => Some((network.ssid.clone(), network.password(inventory)?.map(Secret))),
            None => None,
        };
        let folder = inventory.parent().filter(|folder| !folder.as_os_str().is_empty());
        Ok(Self {
            name: entry.name.clone(),
            words: entry.command.clone(),
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
            network,
            server: entry.server_address,
            dialect: entry.dialect.clone(),
        })
    }
}

impl Bench for ProcessBench {
    fn name(&self) -> String {
        format!("{} (`{}`)", self.name, self.words.join(" "))
    }

    fn prepare(&self, _: &Image, _: FlashProgress<'_>) -> Result<FlashReport, BoardError> {
        Ok(FlashReport::default())
    }

    fn seat(&self) -> Result<Box<dyn Seat + '_>, BoardError> {
        Ok(Box::new(ProcessSeat(self)))
    }

    fn takes_images(&self) -> bool {
        false
    }
}

/// There is always one more.
struct ProcessSeat<'a>(&'a ProcessBench);

impl Seat for ProcessSeat<'_> {
    fn server_address(&self) -> IpAddr {
        // An emulator's network has an address for this machine that leads to the loopback here.
        self.0.server.filter(|address| is_ours(*address)).unwrap_or(LOOPBACK)
    }

    fn board(self: Box<Self>, route: &Route) -> Result<Board, BoardError> {
        let bench = self.0;
        let program = bench.words.first().cloned().unwrap_or_default();
        let no_tty = |cause| ConsoleError::Open {
            tty: "/dev/ptmx".into(),
            cause,
        };
        let (port, far_end) = TTYPort::pair().map_err(no_tty)?;
        let tty = PathBuf::from(far_end.name().unwrap_or_default());
        let console = Console::on(&tty, port)?;
        let (network, password) = bench.network.clone().unwrap_or_else(|| (WIRED.to_owned(), None));
        let errors = Arc::new(Errors::default());
        // Beside the inventory first: `./host` and `target/debug/host` are meant from there.
        let beside = bench.folder.join(&program);
        let path = if beside.is_file() {
            fs::canonicalize(&beside)
        } else {
            Ok(program.clone().into())
        };
        let path = path.map_err(|source| BoardError::Program {
            program: program.clone(),
            source,
        })?;
        Ok(Board {
            name: bench.name.clone(),
            image: None,
            dialect: bench.dialect.clone(),
            debugger: None,
            console,
            link: LinkSettings {
                network,
                password,
                connect_to: Some(SocketAddr::new(bench.server.unwrap_or(LOOPBACK), route.server.port())),
            },
            patience: Arc::new(AtomicBool::new(false)),
            reset: Box::new(Process {
                path,
                arguments: bench.words.iter().skip(1).cloned().collect(),
                folder: bench.folder.clone(),
                tty,
                far_end: Some(far_end),
                errors: Arc::clone(&errors),
                running: None,
            }),
            network: None,
            recorder: Box::new(Said(errors)),
        })
    }
}

/// A program, started at its reset.
struct Process {
    path: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    tty: PathBuf,
    /// Keeps the pseudo terminal alive until the program has it.
    far_end: Option<TTYPort>,
    /// What it writes to its standard error.
    errors: Arc<Errors>,
    running: Option<Child>,
}

impl Process {
    fn start(&self) -> std::io::Result<Child> {
        let console = OpenOptions::new().read(true).write(true).open(&self.tty)?;
        let mut child = Command::new(&self.path)
            .args(&self.arguments)
            .current_dir(&self.folder)
            .stdin(console.try_clone()?)
            .stdout(console)
            .stderr(Stdio::piped())
            // A group of its own: what it has started ends with it.
            .process_group(0)
            .spawn()?;
        if let Some(mut said) = child.stderr.take() {
            let errors = Arc::clone(&self.errors);
            errors.change(|errors| errors.open += 1);
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = said.read(&mut bytes) {
                    errors.change(|errors| errors.bytes.extend_from_slice(&bytes[..count]));
                }
                errors.change(|errors| errors.open -= 1);
            });
        }
        Ok(child)
    }

    fn end(&mut self) {
        if let Some(mut child) = self.running.take() {
            // It may have ended by itself.
            let _gone = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _status = child.wait();
        }
    }
}

impl Reset for Process {
    fn reset(&mut self, _: BootMode) -> Result<(), BoardError> {
        self.end();
        let child = self.start().map_err(|source| BoardError::Program {
            program: self.path.display().to_string(),
            source,
        })?;
        self.running = Some(child);
        // From here on the program alone holds the far end, so that the console ends with it.
        self.far_end = None;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// So long the standard error is waited for of a program that has ended: what it started may have kept it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a program writes to its standard error.
#[derive(Default)]
struct Errors {
    written: Mutex<Written>,
    changed: Condvar,
}

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    /// How many programs still have it.
    open: usize,
}

impl Errors {
    fn change(&self, change: impl FnOnce(&mut Written)) {
        change(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// All of it, once the program has ended.
    fn all(&self) -> Vec<u8> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self
            .changed
            .wait_timeout_while(written, LAST_WORDS, |written| written.open > 0);
        ended.unwrap_or_else(PoisonError::into_inner).0.bytes.clone()
    }
}

/// What a program wrote to its standard error, asked when the program has been ended.
struct Said(Arc<Errors>);

impl Recorder for Said {
    fn files(&self) -> Vec<RecordedFile> {
        vec![RecordedFile {
            name: "stderr.log",
            contents: self.0.all(),
        }]
    }

    fn skipped(&self) -> Duration {
        Duration::ZERO
    }

    fn remarks(&self) -> Vec<String> {
        let errors = self.0.all();
        let last = String::from_utf8_lossy(&errors).lines().last().map(str::to_owned);
        last.map(|line| format!("the last line of its standard error: {line}"))
            .into_iter()
            .collect()
    }
}
