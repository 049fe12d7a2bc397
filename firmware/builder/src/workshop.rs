//! Builds the firmware from a copy of its sources, with one mutant's mistake at a time.
//!
//! What enters: mutants. What leaves: ELF files. The copy always lies at the same place and the target folder is that of
//! the honest images, so that a mutant costs what it changes: its crate, the image's, and the link. A second place has a copy of
//! that folder too, and works beside the first.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::build::{built_elf, cargo, start};
use crate::error::Error;
use crate::image::{IMAGES, Image, TARGET, target_dir};
use crate::mutant::Mutant;
use crate::toolchain::Toolchain;

/// The place where mutants are built.
#[derive(Debug)]
pub struct Workshop {
    root: PathBuf,
    folder: PathBuf,
    /// Where it compiles to.
    target: PathBuf,
    toolchain: Toolchain,
    /// The image without any mistake, once it has been built here.
    honest: Option<Vec<u8>>,
    /// Held open: it is locked.
    _lock: Arc<File>,
}

/// What an image is built from. The workspace's manifest is what that of `firmware/app` refers to.
const COPIED: [&str; 6] = [
    "Cargo.toml",
    "firmware/app",
    "firmware/esp32c3/.cargo",
    "firmware/esp32c3/Cargo.lock",
    "firmware/esp32c3/Cargo.toml",
    "firmware/esp32c3/src",
];

impl Workshop {
    /// Copies the sources of the repository at `root`.
    ///
    /// # Errors
    /// No compiler, a file that cannot be copied, or another process that works there.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let toolchain = Toolchain::find()?;
        let folder = target_dir(root).join("mutants");
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        let lock = folder.with_extension("lock");
        // Not truncated: only its lock matters, whatever is there.
        let options = File::options().write(true).create(true).truncate(false).open(&lock);
        let lock = options.map_err(Error::file(&lock))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { path: folder }),
            Err(TryLockError::Error(error)) => return Err(Error::file(&folder)(error)),
        }
        fs::remove_dir_all(&folder).map_err(Error::file(&folder))?;
        for name in COPIED {
            copy(&root.join(name), &folder.join(name), Dates::New)?;
        }
        Ok(Self {
            root: root.to_owned(),
            folder,
            target: target_dir(root),
            toolchain,
            honest: None,
            _lock: Arc::new(lock),
        })
    }

    /// A second place inside this one, which works at the same time: with the same sources, and with what has been compiled so far. Other
    /// places make other bytes, so it has to build an honest image of its own.
    ///
    /// # Errors
    /// A file that cannot be copied.
    pub fn second(&self) -> Result<Self, Error> {
        let folder = self.folder.join("second");
        let target = folder.join("target");
        for name in COPIED {
            copy(&self.folder.join(name), &folder.join(name), Dates::New)?;
        }
        // What is compiled for the chip, and what for this machine: macros and build scripts.
        for name in [TARGET, "release"] {
            copy(&self.target.join(name), &target.join(name), Dates::Kept)?;
        }
        Ok(Self {
            root: self.root.clone(),
            folder,
            target,
            toolchain: self.toolchain.clone(),
            honest: None,
            _lock: Arc::clone(&self._lock),
        })
    }

    /// Where the copied sources and the images lie, until [`Workshop::clear`].
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the image without any mistake has been built here.
    #[must_use]
    pub fn has_honest(&self) -> bool {
        self.honest.is_some()
    }

    /// Builds the virtual board's image, with a mutant's mistake or without any. Returns where it lies.
    ///
    /// # Errors
    /// [`Error::Rejected`] with what the compiler says; [`Error::NoDifference`] where the mistake makes the same image
    /// as none, which must have been built before.
    pub fn build(&mut self, mutant: Option<&Mutant>) -> Result<PathBuf, Error> {
        let Some(mutant) = mutant else {
            let elf = self.compile(&self.folder)?;
            let path = self.keep("honest", &elf)?;
            self.honest = Some(elf);
            return Ok(path);
        };
        // All from the copy, so that an edit of the sources meanwhile does not mix two states of them.
        let changed = mutant.apply(&self.folder)?;
        let source = self.folder.join(&mutant.source);
        let original = fs::read(&source).map_err(Error::file(&source))?;
        fs::write(&source, changed).map_err(Error::file(&source))?;
        let elf = self.compile(&mutant.path);
        // Also where it did not compile: the next mutant must not inherit the mistake.
        fs::write(&source, original).map_err(Error::file(&source))?;
        let elf = elf?;
        if self.honest.as_ref() == Some(&elf) {
            return Err(Error::NoDifference {
                path: mutant.path.clone(),
            });
        }
        self.keep(&mutant.name, &elf)
    }

    /// Removes the copied sources and the images.
    ///
    /// # Errors
    /// The folder cannot be removed.
    pub fn clear(self) -> Result<(), Error> {
        fs::remove_dir_all(&self.folder).map_err(Error::file(&self.folder))
    }

    /// Compiles what lies in the folder now; `path` is what the compiler's messages are about.
    fn compile(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let image: Image = IMAGES[0];
        let mut cargo = cargo(&self.root, &self.folder, &self.target, &image, &self.toolchain);
        cargo.arg("--quiet");
        let output = cargo.output().map_err(|source| start(&cargo, source))?;
        if !output.status.success() {
            return Err(Error::Rejected {
                path: path.to_owned(),
                messages: String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
            });
        }
        let elf = built_elf(&self.target);
        fs::read(&elf).map_err(Error::file(&elf))
    }

    fn keep(&self, name: &str, elf: &[u8]) -> Result<PathBuf, Error> {
        let path = self.folder.join(name).with_extension("elf");
        fs::write(&path, elf).map_err(Error::file(&path))?;
        Ok(path)
    }
}

/// The dates of copies, which Cargo looks at.
#[derive(Clone, Copy)]
enum Dates {
    /// New: sources that have changed.
    New,
    /// The times of the originals, so that cargo compiles nothing again.
    Kept,
}

/// Copies a file or a folder.
fn copy(from: &Path, to: &Path, dates: Dates) -> Result<(), Error> {
    if from.is_dir() {
        fs::create_dir_all(to).map_err(Error::file(to))?;
        for entry in fs::read_dir(from).map_err(Error::file(from))? {
            let entry = entry.map_err(Error::file(from))?;
            copy(&entry.path(), &to.join(entry.file_name()), dates)?;
        }
        return Ok(());
    }
    let write = || -> io::Result<()> {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        fs::copy(from, to)?;
        match dates {
            Dates::New => Ok(()),
            Dates::Kept => {
                let modified = fs::metadata(from)?.modified()?;
                File::options().append(true).open(to)?.set_modified(modified)
            }
        }
    };
    write().map_err(Error::file(to))
}
