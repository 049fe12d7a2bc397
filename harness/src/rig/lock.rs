//! Locks: a board is held by one process at a time, and whoever waits is told by whom.
//!
//! What enters: a board's identity, which does not change when it is plugged in again. What leaves: a [`BoardLock`]. The lock is the
//! kernel's (flock(2)): it ends with the process that has it, however that dies. The file beside it says who that is, for people.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::{env, fs, process, thread};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;

/// The locks of all boards that this user can hold.
#[derive(Clone, Debug)]
pub struct Locks {
    folder: PathBuf,
}

/// A board that this process holds until this is dropped.
#[derive(Debug)]
pub struct BoardLock {
    file: File,
}

/// Who holds a board.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// What it was started as.
    pub command: String,
}

/// Why a board cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{board} is held by {}", .holder.as_ref().map_or_else(|| "another process".to_owned(), ToString::to_string))]
    Held {
        /// The board.
        board: String,
        /// By whom, if that could be read.
        holder: Option<Holder>,
    },
    /// The lock's file cannot be used.
    #[error("{path}: {source}; the folder must be writable to hold a board", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
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

    /// Takes the board `name` with this identity.
    ///
    /// # Errors
    /// [`LockError::Held`] while another process, or another lock of this one, has it.
    pub fn take(&self, name: &str, identity: &str) -> Result<BoardLock, LockError> {
        let path = self.path(identity);
        let failed = |source| file_error(&path, source);
        let mut file = self.open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(LockError::Held {
                    board: name.to_owned(),
                    holder: read(&mut file),
                });
            }
            Err(error) => return Err(failed(error.into())),
        }
        BoardLock::signed(file).map_err(failed)
    }

    /// Takes the first of these boards, given by name and identity, that becomes free; its number among them.
    ///
    /// # Errors
    /// [`LockError::Held`] when none does before the deadline.
    pub fn wait_for_any(
        &self,
        boards: &[(String, String)],
        deadline: &Deadline,
    ) -> Result<(usize, BoardLock), LockError> {
        let (sender, receiver) = channel();
        for (index, (_, identity)) in boards.iter().enumerate() {
            let path = self.path(identity);
            let file = self.open(&path)?;
            let sender = sender.clone();
            // The kernel wakes whoever waits. A thread that comes too late lets go again: nobody takes what it sends.
            thread::spawn(move || {
                let locked = loop {
                    match flock(&file, FlockOperation::LockExclusive) {
                        Err(Errno::INTR) => {}
                        locked => break locked,
                    }
                };
                let locked = locked.map_err(io::Error::from);
                let lock = locked.and_then(|()| BoardLock::signed(file));
                let _late = sender.send((index, lock.map_err(|source| file_error(&path, source))));
            });
        }
        match receiver.recv_timeout(deadline.left()) {
            Ok((index, lock)) => Ok((index, lock?)),
            Err(_) => {
                let names: Vec<&str> = boards.iter().map(|(name, _)| name.as_str()).collect();
                Err(LockError::Held {
                    board: names.join(", "),
                    holder: boards.iter().find_map(|(_, identity)| self.holder(identity)),
                })
            }
        }
    }

    fn open(&self, path: &Path) -> Result<File, LockError> {
        fs::create_dir_all(&self.folder).map_err(|source| file_error(path, source))?;
        open(path).map_err(|source| file_error(path, source))
    }

    /// Who holds the board with this identity now.
    #[must_use]
    pub fn holder(&self, identity: &str) -> Option<Holder> {
        let mut file = File::open(self.path(identity)).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => read(&mut file),
            // Nobody does: what the file says is of the last one.
            _ => None,
        }
    }

    fn path(&self, identity: &str) -> PathBuf {
        let name: String = identity
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        self.folder.join(format!("{name}.lock"))
    }
}

impl BoardLock {
    /// Writes into a locked file who holds it.
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
        // Closing the file would do as well, unless a copy of it is open elsewhere.
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

fn file_error(path: &Path, source: io::Error) -> LockError {
    LockError::File {
        path: path.to_owned(),
        source,
    }
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

    #[test]
    fn a_board_is_held_once_and_the_holder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::in_folder(folder.path().join("new"));
        assert_eq!(locks.holder(BOARD), None);
        let held = locks.take("desk", BOARD).unwrap();
        let error = locks.take("desk", BOARD).unwrap_err().to_string();
        let me = format!("desk is held by process {}", process::id());
        assert!(error.starts_with(&me), "{error}");
        assert_eq!(locks.holder(BOARD).map(|holder| holder.pid), Some(process::id()));
        let other = locks.take("shelf", "usb-0001").unwrap();
        drop(held);
        assert_eq!(locks.holder(BOARD), None, "what the file says is of the last holder");
        locks.take("desk", BOARD).unwrap();
        drop(other);
    }

    #[test]
    fn whoever_waits_gets_the_first_board_that_becomes_free() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::in_folder(folder.path());
        let boards = [("desk", BOARD), ("shelf", "usb-0001")].map(|(name, id)| (name.to_owned(), id.to_owned()));
        let desk = locks.take("desk", BOARD).unwrap();
        let shelf = locks.take("shelf", "usb-0001").unwrap();
        let short = Deadline::after("a free board", Duration::from_millis(20));
        let error = locks.wait_for_any(&boards, &short).unwrap_err().to_string();
        assert!(error.starts_with("desk, shelf is held by process"), "{error}");
        let long = Deadline::after("a free board", Duration::from_secs(60));
        let (index, lock) = thread::scope(|scope| {
            let waits = scope.spawn(|| locks.wait_for_any(&boards, &long).unwrap());
            drop(shelf);
            waits.join().unwrap()
        });
        assert_eq!(index, 1);
        assert!(matches!(locks.take("shelf", "usb-0001"), Err(LockError::Held { .. })));
        drop((desk, lock));
    }

    #[test]
    fn the_lock_of_a_process_that_is_killed_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::in_folder(folder.path());
        let path = locks.path(BOARD);
        drop(locks.take("desk", BOARD).unwrap());
        // util-linux's flock holds the same lock, and becomes the program that says so.
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
        assert!(matches!(locks.take("desk", BOARD), Err(LockError::Held { .. })));
        // Without a chance to clean up.
        child.kill().unwrap();
        child.wait().unwrap();
        locks.take("desk", BOARD).unwrap();
    }
}
