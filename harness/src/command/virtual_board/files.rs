//! What `pinrig virtual` leaves on the disk: a link to the tty and the contents of the flash.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::arguments::{FlashSize, MEGABYTE};

const ERASED: u8 = 0xFF;

/// A link to the tty, as long as this lives.
pub(super) struct Link {
    pub(super) path: PathBuf,
    tty: PathBuf,
}

impl Link {
    pub(super) fn make(path: &Path, tty: &Path) -> Result<Self, String> {
        let failed = |error: &dyn fmt::Display| format!("cannot make the link {}: {error}", path.display());
        if path.is_symlink() && !path.exists() {
            // The tty of a board that was killed.
            std::fs::remove_file(path).map_err(|error| failed(&error))?;
        }
        std::os::unix::fs::symlink(tty, path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                failed(&"something is there, perhaps another board's; name a path that is free")
            }
            _ => failed(&error),
        })?;
        Ok(Self {
            path: path.to_owned(),
            tty: tty.to_owned(),
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if std::fs::read_link(&self.path).is_ok_and(|target| target == self.tty) {
            // It dangles at worst, and the next board replaces it.
            let _removed = std::fs::remove_file(&self.path);
        }
    }
}

/// The file that keeps the flash. Its lock keeps other boards away.
pub(super) struct FlashFile {
    path: PathBuf,
    lock: std::fs::File,
}

impl FlashFile {
    /// The file, if one is named, and what the flash holds at the start.
    pub(super) fn open(path: Option<&Path>, size: Option<FlashSize>) -> Result<(Option<Self>, Arc<[u8]>), String> {
        let erased = || vec![ERASED; size.unwrap_or(FlashSize(4)).bytes()];
        let Some(path) = path else {
            return Ok((None, erased().into()));
        };
        let failed = |error: &dyn fmt::Display| format!("the flash file {}: {error}", path.display());
        if !path.exists() {
            // Not through a link that leads nowhere: what it names may be another user's choice.
            let made = std::fs::File::create_new(path).and_then(|mut file| file.write_all(&erased()));
            made.map_err(|error| failed(&error))?;
        }
        // A link stays one: what it names is replaced.
        let path = path.canonicalize().map_err(|error| failed(&error))?;
        let lock = std::fs::File::open(&path).map_err(|error| failed(&error))?;
        lock.try_lock()
            .map_err(|_| failed(&"another board has it; give each board a file of its own"))?;
        let contents = std::fs::read(&path).map_err(|error| failed(&error))?;
        let megabytes = contents.len() / MEGABYTE;
        let known = FlashSize::new(megabytes).filter(|size| size.bytes() == contents.len());
        match (known, size) {
            (None, _) => Err(failed(&format_args!(
                "{} bytes are no flash: it has to have 2, 4, 8 or 16 MB; without the file an erased one is made",
                contents.len()
            ))),
            (Some(known), Some(size)) if known != size => Err(failed(&format_args!(
                "it has {} MB, not {} MB; leave out --flash-size, or name another file",
                known.0, size.0
            ))),
            _ => Ok((Some(Self { path, lock }), contents.into())),
        }
    }

    /// Replaces the file as a whole: it has the old contents or the new ones, whatever happens meanwhile.
    pub(super) fn save(self, contents: &[u8]) -> Result<(), String> {
        let replace = || -> io::Result<()> {
            let folder = self.path.parent().unwrap_or(Path::new("/"));
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(contents)?;
            file.as_file().set_permissions(self.lock.metadata()?.permissions())?;
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            Ok(())
        };
        replace().map_err(|error| format!("cannot keep the flash in {}: {error}", self.path.display()))
    }
}
