//! Locks: one process at a time holds a board, and the others learn which process that is.
//!
//! What enters: a board's identity, which does not change when the board is plugged in again. What leaves: a
//! [`BoardLock`]. The lock is the kernel's (flock(2)), on a file for each board. It ends with the process that has it,
//! even if that is killed. The file's text names the process, for people.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::{env, fs, process, thread};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::ports::Identity;
use super::values::BoardName;
use crate::deadline::{Deadline, Timeout};

/// The locks of all boards that this user can hold: a folder of files.
#[derive(Clone, Debug)]
pub struct Locks {
    folder: PathBuf,
}

/// The lock of a board, which this process holds until this is dropped.
#[derive(Debug)]
pub struct BoardLock {
    file: File,
}

/// The process that holds a board.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// The words with which it was started.
    pub command: String,
}

/// A board that is to be held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// What people call it.
    pub board: BoardName,
    /// By which its lock is found.
    pub identity: Identity,
}

/// A board that another process holds, or another lock of this process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Held {
    /// The board.
    pub board: BoardName,
    /// The process, if the lock's file names it.
    pub by: Option<Holder>,
}

/// Why a board cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is held already.
    #[error("{0}")]
    Held(Held),
    /// None of several boards became free in time.
    #[error("{timeout}: {}", joined(.held))]
    Timeout {
        /// The wait that took too long.
        timeout: Timeout,
        /// The boards.
        held: Vec<Held>,
    },
    /// The lock's file cannot be used.
    #[error("cannot lock {path}: {cause}; make its folder writable, to hold boards there", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl Held {
    /// The process in words.
    #[must_use]
    pub fn holder(&self) -> String {
        let holder = self.by.as_ref().map(ToString::to_string);
        holder.unwrap_or_else(|| "another process".to_owned())
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is held by {}", self.board, self.holder())
    }
}

impl Default for Locks {
    /// In the user's runtime folder, or where temporary files are.
    fn default() -> Self {
        let runtime = env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
        let folder = match runtime {
            Some(folder) => PathBuf::from(folder).join("pinrig"),
            None => env::temp_dir().join(format!("pinrig-{}", rustix::process::getuid().as_raw())),
        };
        Self { folder }
    }
}

impl Locks {
    /// Locks that are kept in `folder`.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Takes a board, if it is free.
    ///
    /// # Errors
    /// [`LockError::Held`] while another process, or another lock of this one, has it.
    pub fn take(&self, board: &Candidate) -> Result<BoardLock, LockError> {
        let path = self.path(&board.identity);
        let mut file = self.open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => BoardLock::signed(file).map_err(file_error(&path)),
            Err(Errno::WOULDBLOCK) => Err(LockError::Held(Held {
                board: board.board.clone(),
                by: read(&mut file),
            })),
            Err(error) => Err(file_error(&path)(error.into())),
        }
    }

    /// Takes the first of these boards that becomes free, and tells its index.
    ///
    /// # Errors
    /// [`LockError::Timeout`] when none becomes free before the deadline.
    pub fn wait_for_any(&self, boards: &[Candidate], deadline: &Deadline) -> Result<(usize, BoardLock), LockError> {
        let (sender, receiver) = channel();
        for (index, board) in boards.iter().enumerate() {
            let path = self.path(&board.identity);
            let file = self.open(&path)?;
            let sender = sender.clone();
            // The kernel wakes this thread. If that happens after the deadline, the receiver is gone, and the lock ends
            // as it is dropped.
            thread::spawn(move || {
                let locked = loop {
                    match flock(&file, FlockOperation::LockExclusive) {
                        Err(Errno::INTR) => {}
                        locked => break locked,
                    }
                };
                let locked = locked.map_err(io::Error::from);
                let lock = locked.and_then(|()| BoardLock::signed(file));
                let _late = sender.send((index, lock.map_err(file_error(&path))));
            });
        }
        match receiver.recv_timeout(deadline.left()) {
            Ok((index, lock)) => Ok((index, lock?)),
            Err(_) => Err(LockError::Timeout {
                timeout: deadline.timeout(),
                held: boards
                    .iter()
                    .map(|board| Held {
                        board: board.board.clone(),
                        by: self.holder(&board.identity),
                    })
                    .collect(),
            }),
        }
    }

    fn open(&self, path: &Path) -> Result<File, LockError> {
        fs::create_dir_all(&self.folder).map_err(file_error(path))?;
        open(path).map_err(file_error(path))
    }

    /// The process that holds the board with this identity now.
    #[must_use]
    pub fn holder(&self, identity: &Identity) -> Option<Holder> {
        let mut file = File::open(self.path(identity)).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => read(&mut file),
            // The board is free, and the file names its last holder.
            _ => None,
        }
    }

    fn path(&self, identity: &Identity) -> PathBuf {
        let safe = |c: char| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        };
        let name: String = identity.as_str().chars().map(safe).collect();
        self.folder.join(format!("{name}.lock"))
    }
}

impl BoardLock {
    /// The lock of a locked file, into which this process writes its name.
    fn signed(mut file: File) -> io::Result<Self> {
        let holder = Holder::this_process();
        let text = serde_json::to_string(&holder).expect("a holder is plain data");
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(text.as_bytes())?;
        Ok(Self { file })
    }
}

impl Drop for BoardLock {
    fn drop(&mut self) {
        // Closing the file is not enough where a copy of it is open elsewhere.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl Holder {
    fn this_process() -> Self {
        let command: Vec<String> = env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        Self {
            pid: process::id(),
            command: command.join(" "),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} (`{}`)", self.pid, self.command)
    }
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> LockError {
    let path = path.to_owned();
    |cause| LockError::File { path, cause }
}

fn joined(held: &[Held]) -> String {
    held.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    const BOARD: &str = "usb-7C:DF:A1:00:00:01";

    fn desk() -> Candidate {
        candidate("desk", BOARD)
    }

    fn candidate(board: &str, identity: &str) -> Candidate {
        Candidate {
            board: board.parse().unwrap(),
            identity: identity.into(),
        }
    }

    #[test]
    fn a_board_is_held_once_and_the_holder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::in_folder(folder.path().join("new"));
        assert_eq!(locks.holder(&BOARD.into()), None);
        let held = locks.take(&desk()).unwrap();
        let error = locks.take(&desk()).unwrap_err().to_string();
        let me = format!("desk is held by process {}", process::id());
        assert!(error.starts_with(&me), "{error}");
        let holder = locks.holder(&BOARD.into());
        assert_eq!(holder.map(|holder| holder.pid), Some(process::id()));
        let other = locks.take(&candidate("shelf", "usb-0001")).unwrap();
        drop(held);
        assert_eq!(
            locks.holder(&BOARD.into()),
            None,
            "the file still names the last holder"
        );
        locks.take(&desk()).unwrap();
        drop(other);
    }

    #[test]
    fn a_process_that_waits_gets_the_first_board_that_becomes_free() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::in_folder(folder.path());
        let boards = [desk(), candidate("shelf", "usb-0001")];
        let [desk, shelf] = boards.each_ref().map(|board| locks.take(board).unwrap());
        let short = Deadline::after("a free board", Duration::from_millis(20));
        let error = locks.wait_for_any(&boards, &short).unwrap_err().to_string();
        assert!(
            error.starts_with("timed out after 0.02 s waiting for a free board: desk is held by process"),
            "{error}"
        );
        assert!(error.contains("shelf is held by process"), "{error}");
        let long = Deadline::after("a free board", Duration::from_secs(60));
        let (index, lock) = thread::scope(|scope| {
            let waits = scope.spawn(|| locks.wait_for_any(&boards, &long).unwrap());
            drop(shelf);
            waits.join().unwrap()
        });
        assert_eq!(index, 1);
        assert!(matches!(locks.take(&boards[1]), Err(LockError::Held(_))));
        drop((desk, lock));
    }

    #[test]
    fn the_lock_of_a_process_that_is_killed_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::in_folder(folder.path());
        let path = locks.path(&BOARD.into());
        drop(locks.take(&desk()).unwrap());
        // util-linux's flock takes the same lock, and becomes the program that says so.
        let mut child = Command::new("flock")
            .args([
                "--no-fork",
                path.to_str().unwrap(),
                "sh",
                "-c",
                "echo held; exec sleep 600",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert!(matches!(locks.take(&desk()), Err(LockError::Held(_))));
        // Without a chance to clean up.
        child.kill().unwrap();
        child.wait().unwrap();
        locks.take(&desk()).unwrap();
    }
}
