//! Folders and files that only this user can read and write, also below a folder that others write into.
//!
//! What enters: paths. What leaves: open files, or what is wrong with what is there already. Nothing that another user has put in place
//! is followed, truncated or written to.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat, fchmod, fstat, open, openat};
use rustix::io::Errno;
use rustix::process::geteuid;

/// What a folder may allow: everything to its owner, nothing to others.
const FOLDER: u32 = 0o700;
/// What a file may allow.
const FILE: u32 = 0o600;
/// The right of anybody but the owner to write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Why a folder or a file cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    /// There is something else where a folder should be.
    #[error("it is not a folder but {0}")]
    NotAFolder(&'static str),
    /// There is something else where a file should be.
    #[error("it is not a file but {0}")]
    NotAFile(&'static str),
    /// Another user has made it.
    #[error("it belongs to user {owner}, and you are user {user}")]
    Foreign {
        /// Its owner.
        owner: u32,
        /// The user of this process.
        user: u32,
    },
    /// Others can write into it.
    #[error("its mode is {0:03o}, so that others can write into it")]
    Writable(u32),
    /// The file has another name, and may be another program's.
    #[error("it has {0} names")]
    Linked(u64),
    /// The system does not give it.
    #[error("{0}")]
    System(#[from] io::Error),
}

impl From<Errno> for Untrusted {
    fn from(error: Errno) -> Self {
        Self::System(error.into())
    }
}

/// A folder that only this user can write into. It stays the same one, whatever is put in its path's place.
#[derive(Debug)]
pub(crate) struct PrivateFolder(OwnedFd);

impl PrivateFolder {
    /// The folder at `path`; it is made, with mode 0700, where there is none. A folder of this user's that others can only read is
    /// closed to them.
    pub(crate) fn make(path: &Path) -> Result<Self, Untrusted> {
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(FOLDER).create(parent)?;
        }
        match DirBuilder::new().mode(FOLDER).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
            _ => Self::open(path),
        }
    }

    /// The folder at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, Untrusted> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = open(path, flags, Mode::empty()).map_err(|error| match error {
            // The system says of a link only that it is not a folder.
            Errno::NOTDIR | Errno::LOOP => match fs::symlink_metadata(path) {
                Ok(data) if data.is_symlink() => Untrusted::NotAFolder("a symbolic link"),
                Ok(_) => Untrusted::NotAFolder("a file"),
                Err(error) => error.into(),
            },
            error => error.into(),
        })?;
        let stat = fstat(&folder)?;
        own(&stat)?;
        if stat.st_mode & 0o777 != FOLDER {
            fchmod(&folder, Mode::from_raw_mode(FOLDER))?;
        }
        Ok(Self(folder))
    }

    /// A file in the folder, to read and write; it is made where there is none, and its contents stay.
    pub(crate) fn file(&self, name: &str, create: bool) -> Result<File, Untrusted> {
        // A named pipe without a reader would block.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let flags = if create { flags | OFlags::CREATE } else { flags };
        let file = openat(&self.0, name, flags, Mode::from_raw_mode(FILE)).map_err(|error| match error {
            Errno::LOOP => Untrusted::NotAFile("a symbolic link"),
            Errno::ISDIR => Untrusted::NotAFile("a folder"),
            error => error.into(),
        })?;
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Untrusted::NotAFile("a device or a pipe"));
        }
        own(&stat)?;
        if stat.st_nlink != 1 {
            return Err(Untrusted::Linked(stat.st_nlink as u64));
        }
        Ok(file.into())
    }
}

/// Whether this user has made it, and others cannot write into it.
fn own(stat: &Stat) -> Result<(), Untrusted> {
    let user = geteuid().as_raw();
    if stat.st_uid != user {
        return Err(Untrusted::Foreign {
            owner: stat.st_uid,
            user,
        });
    }
    if stat.st_mode & WRITABLE_BY_OTHERS != 0 {
        return Err(Untrusted::Writable(stat.st_mode & 0o777));
    }
    Ok(())
}

/// Makes a folder that only this user can enter. There must be nothing at `path`.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER).create(path)
}

/// Writes a file that only this user can read. There must be nothing at `path`, not even a link.
pub(crate) fn write_file(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE).open(path)?;
    file.write_all(contents)
}
