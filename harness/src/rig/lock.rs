//! Locks: one process at a time holds a board, and the others learn which process that is.
//!
//! What enters: a board's identity, which does not change when the board is plugged in again. What leaves: a
//! [`BoardLock`]. The lock is the kernel's (flock(2)), on a file for each board. It ends with the process that has it,
//! even if that is killed. The file's text names the process, for people.
//!
//! The folder may lie where every user can write. So it must be this user's own, and nothing in it is followed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::{env, process, thread};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::ports::Identity;
use super::values::BoardName;
use crate::deadline::{Deadline, Timeout};
use crate::private::{PrivateFolder, Untrusted};

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
    /// The folder or a file in it is not such that only this user can have made it.
    #[error(
        "cannot hold boards in {path}: {cause}; remove it, or set XDG_RUNTIME_DIR to a folder of your own",
        path = .path.display()
    )]
    Untrusted {
        /// The folder or the file.
        path: PathBuf,
        /// What is wrong with it.
        cause: Untrusted,
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
        let mut file = self.open(&board.identity)?;
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
            let file = self.open(&board.identity)?;
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

    fn open(&self, identity: &Identity) -> Result<File, LockError> {
        let wrong = |path: &Path| {
            let path = path.to_owned();
            |cause| match cause {
                Untrusted::System(cause) => LockError::File { path, cause },
                cause => LockError::Untrusted { path, cause },
            }
        };
        let folder = PrivateFolder::make(&self.folder).map_err(wrong(&self.folder))?;
        let name = file_name(identity);
        folder.file(&name, true).map_err(wrong(&self.folder.join(&name)))
    }

    /// The process that holds the board with this identity now.
    #[must_use]
    pub fn holder(&self, identity: &Identity) -> Option<Holder> {
        let folder = PrivateFolder::open(&self.folder).ok()?;
        let mut file = folder.file(&file_name(identity), false).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => read(&mut file),
            // The board is free, and the file names its last holder.
            _ => None,
        }
    }

    fn path(&self, identity: &Identity) -> PathBuf {
        self.folder.join(file_name(identity))
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

/// The file of a board's lock.
fn file_name(identity: &Identity) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = identity.as_str().chars().map(safe).collect();
    format!("{name}.lock")
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
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

    /// What another user can put into a temporary folder that all share, before this user's first lock.
    #[test]
    fn what_others_have_put_in_place_is_neither_followed_nor_changed() {
        let shared = tempfile::tempdir().unwrap();
        let victims = shared.path().join("victims");
        fs::create_dir(&victims).unwrap();
        let victim = victims.join(file_name(&BOARD.into()));
        fs::write(&victim, "precious").unwrap();
        let folder = shared.path().join("pinrig-1000");
        let locks = Locks::in_folder(&folder);
        let refused = |why: &str| {
            let error = locks.take(&desk()).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("pinrig-1000"), "{why}: {error}");
            let deadline = Deadline::after("a free board", Duration::ZERO);
            locks.wait_for_any(&[desk()], &deadline).unwrap_err();
            assert_eq!(locks.holder(&BOARD.into()), None);
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        };
        // In the folder's place.
        symlink(&victims, &folder).unwrap();
        refused("it is not a folder but a symbolic link");
        fs::remove_file(&folder).unwrap();
        symlink(shared.path().join("nowhere"), &folder).unwrap();
        refused("it is not a folder but a symbolic link");
        assert!(!shared.path().join("nowhere").exists());
        fs::remove_file(&folder).unwrap();
        fs::write(&folder, "").unwrap();
        refused("it is not a folder but a file");
        fs::remove_file(&folder).unwrap();
        // A folder into which others can write.
        fs::create_dir(&folder).unwrap();
        for mode in [0o777, 0o770, 0o1777] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            refused("so that others can write into it");
        }
        // In a file's place.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let file = folder.join(file_name(&BOARD.into()));
        symlink(&victim, &file).unwrap();
        refused("it is not a file but a symbolic link");
        fs::remove_file(&file).unwrap();
        fs::hard_link(&victim, &file).unwrap();
        refused("it has 2 names");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        refused("it is not a file but a folder");
        fs::remove_dir(&file).unwrap();
        let made = Command::new("mkfifo").args(["-m", "600"]).arg(&file).status().unwrap();
        assert!(made.success());
        refused("it is not a file but a device or a pipe");
        fs::remove_file(&file).unwrap();
        locks.take(&desk()).unwrap();
    }

    #[test]
    fn only_this_user_can_enter_the_folder_and_read_the_locks() {
        let shared = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let new = Locks::in_folder(shared.path().join("new"));
        let _held = new.take(&desk()).unwrap();
        assert_eq!(mode(&new.folder), 0o700);
        assert_eq!(mode(&new.path(&BOARD.into())), 0o600);
        // Of an earlier version.
        let old = Locks::in_folder(shared.path().join("old"));
        fs::create_dir(&old.folder).unwrap();
        fs::set_permissions(&old.folder, fs::Permissions::from_mode(0o755)).unwrap();
        let _held = old.take(&desk()).unwrap();
        assert_eq!(mode(&old.folder), 0o700);
    }

    /// Only root can give a folder to another user.
    #[test]
    fn a_folder_of_another_user_is_refused() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let shared = tempfile::tempdir().unwrap();
        let folder = shared.path().join("pinrig-0");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&folder, Some(12_345), None).unwrap();
        let error = Locks::in_folder(&folder).take(&desk()).unwrap_err().to_string();
        assert!(
            error.contains("it belongs to user 12345, and you are user 0"),
            "{error}"
        );
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
