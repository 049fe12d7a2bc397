//! The bench of boards that are programs on this machine: emulators, or firmware that was built for it.
//!
//! What enters: an entry of `rig.toml`. What leaves: for each scenario a process on the loopback, whose standard input
//! and output are the console. The process ends with its scenario or with this process, and so do the processes that it
//! has started.

use std::fmt;
use std::fs;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Signal;

use super::{Bench, Route, Seat, address};
use crate::board::console::{ConsoleError, Pty, Terminal};
use crate::board::flash::{FlashProgress, FlashReport};
use crate::board::group::ProcessGroup;
use crate::board::{Board, BoardError, BootMode, Console, LinkSettings, Recorder, Reset};
use crate::evidence::RecordedFile;
use crate::image::Image;
use crate::rig::{Credentials, Dialect, Entry, PasswordError, ProcessEntry, WifiNetwork};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Boards that are programs.
pub struct ProcessBench {
    name: String,
    process: ProcessEntry,
    credentials: Option<Credentials>,
    /// The address of this machine as the program's network has it.
    reached: IpAddr,
    dialect: Option<Dialect>,
}

impl fmt::Debug for ProcessBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessBench")
            .field("name", &self.name)
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

impl ProcessBench {
    /// The program `process` of `entry`.
    ///
    /// # Errors
    /// When its network's password is not where the inventory says.
    pub fn new(entry: &Entry, process: &ProcessEntry) -> Result<Self, PasswordError> {
        let network = entry.network.as_ref();
        Ok(Self {
            name: entry.name.to_string(),
            process: process.clone(),
            credentials: network.map(WifiNetwork::credentials).transpose()?,
            reached: entry.server_address.unwrap_or(LOOPBACK),
            dialect: entry.dialect.clone(),
        })
    }
}

impl Bench for ProcessBench {
    fn name(&self) -> String {
        format!("{} (`{}`)", self.name, self.process.command)
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

/// A process that is to be started. There is no limit to their number.
struct ProcessSeat<'a>(&'a ProcessBench);

impl Seat for ProcessSeat<'_> {
    fn server_address(&self) -> IpAddr {
        address::server_for(self.0.reached)
    }

    fn board(self: Box<Self>, route: &Route) -> Result<Board, BoardError> {
        let bench = self.0;
        let no_tty = |cause: std::io::Error| ConsoleError::Open {
            tty: "/dev/ptmx".into(),
            cause: cause.into(),
        };
        let (pty, terminal) = Pty::open().map_err(no_tty)?;
        let console = Console::on(&terminal.path, pty)?;
        let errors = Arc::new(StandardError::default());
        let ProcessEntry { command, folder } = &bench.process;
        let program = command.program.as_str();
        // The inventory's folder comes first: `./host` and `target/debug/host` are relative to it.
        let beside = folder.join(program);
        let path = if beside.is_file() {
            fs::canonicalize(&beside)
        } else {
            Ok(program.into())
        };
        let path = path.map_err(|cause| BoardError::Program {
            program: program.to_owned(),
            cause,
        })?;
        let connect_to = SocketAddr::new(bench.reached, route.server.port());
        Ok(Board {
            name: bench.name.clone(),
            image: None,
            dialect: bench.dialect.clone(),
            debugger: None,
            console,
            link: LinkSettings::of(bench.credentials.as_ref(), Some(connect_to)),
            patience: Arc::new(AtomicBool::new(false)),
            reset: Box::new(Process {
                path,
                arguments: command.arguments.clone(),
                folder: folder.clone(),
                terminal: Some(terminal),
                errors: Arc::clone(&errors),
                running: None,
            }),
            network: None,
            witness: None,
            recorder: Box::new(LastWords(errors)),
        })
    }
}

/// A program, which a reset starts.
struct Process {
    path: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    /// The program's end of the console, until the program has it. Then the program alone holds it, so that the console ends with it.
    terminal: Option<Terminal>,
    /// What it writes to its standard error.
    errors: Arc<StandardError>,
    running: Option<Running>,
}

/// A program that has been started, with everything that it has started.
struct Running {
    group: Arc<ProcessGroup>,
    /// Set when it is ended from here, and not by itself.
    is_ended: Arc<AtomicBool>,
    waiter: JoinHandle<()>,
}

impl Process {
    fn start(&mut self) -> std::io::Result<Running> {
        let terminal = self.terminal.take();
        let terminal = terminal.ok_or_else(|| std::io::Error::other("it has been started before"))?;
        let group = Arc::new(ProcessGroup::new()?);
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .current_dir(&self.folder)
            .stdin(terminal.end.try_clone()?)
            .stdout(terminal.end)
            .stderr(Stdio::piped());
        let mut child = group.spawn(&mut command)?;
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
        let is_ended = Arc::new(AtomicBool::new(false));
        let waiter = {
            let (group, is_ended, errors) = (Arc::clone(&group), Arc::clone(&is_ended), Arc::clone(&self.errors));
            thread::spawn(move || {
                // It may have ended by itself just before it was killed: then its status says so.
                let by_itself = |status: &ExitStatus| {
                    !is_ended.load(Ordering::SeqCst) || status.signal() != Some(Signal::KILL.as_raw())
                };
                let status = child.wait().ok().filter(by_itself);
                errors.change(|errors| errors.status = status);
                // What it has started would keep its console open, and the harness would wait for a board that is gone.
                group.end();
            })
        };
        Ok(Running {
            group,
            is_ended,
            waiter,
        })
    }

    fn end(&mut self) {
        if let Some(running) = self.running.take() {
            running.is_ended.store(true, Ordering::SeqCst);
            running.group.end();
            // A panic of the thread has been shown by the panic hook already.
            let _waited = running.waiter.join();
        }
    }
}

impl Reset for Process {
    fn reset(&mut self, _: BootMode) -> Result<(), BoardError> {
        self.end();
        let running = self.start().map_err(|cause| BoardError::Program {
            program: self.path.display().to_string(),
            cause,
        })?;
        self.running = Some(running);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// How long the end of a program's standard error is waited for when the program has ended: a process that it has
/// started may have kept it open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a program writes to its standard error.
#[derive(Default)]
struct StandardError {
    written: Mutex<Written>,
    changed: Condvar,
}

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    /// How many programs still have it open.
    open: usize,
    /// How the program has ended, if it has ended by itself.
    status: Option<ExitStatus>,
}

impl StandardError {
    fn change(&self, change: impl FnOnce(&mut Written)) {
        change(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// All of it, and how the program has ended by itself, once it has ended.
    fn all(&self) -> (Vec<u8>, Option<ExitStatus>) {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self
            .changed
            .wait_timeout_while(written, LAST_WORDS, |written| written.open > 0);
        let written = ended.unwrap_or_else(PoisonError::into_inner).0;
        (written.bytes.clone(), written.status)
    }
}

/// Records the standard error of a program that has ended.
struct LastWords(Arc<StandardError>);

impl Recorder for LastWords {
    fn files(&self) -> Vec<RecordedFile> {
        vec![RecordedFile {
            name: "stderr.log",
            contents: self.0.all().0,
        }]
    }

    fn remarks(&self) -> Vec<String> {
        let (errors, status) = self.0.all();
        let status = status.map(|status| format!("the program ended by itself with {status}"));
        let last = String::from_utf8_lossy(&errors).lines().last().map(str::to_owned);
        let last = last.map(|line| format!("the last line of its standard error: {line}"));
        status.into_iter().chain(last).collect()
    }
}
