//! Builds the firmware from a copy of its sources, with one mutant's mistake at a time.
//!
//! What enters: mutants, and which product to build. What leaves: ELF files. The copy always lies at the same place, and what has been
//! compiled is kept, so that a mutant costs what it changes: its crate, the product's, and the link. A second place has a copy of
//! what has been compiled, and works beside the first.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::build::{built_elf, cargo, start};
use crate::error::Error;
use crate::image::{IMAGES, TARGET, target_dir};
use crate::mutant::Mutant;
use crate::program;
use crate::toolchain::Toolchain;

/// What the sources are built into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// The virtual board's image: everything that runs on the chip.
    Image,
    /// `pinrig-host`: the client alone, as a program on this machine.
    Program,
}

/// The place where mutants are built.
#[derive(Debug)]
pub struct Workshop {
    root: PathBuf,
    folder: PathBuf,
    /// Where it compiles to.
    target: PathBuf,
    compiler: Compiler,
    /// What was built without any mistake, once it has been built here.
    honest: Option<Vec<u8>>,
    /// Held open: it is locked.
    _lock: Arc<File>,
}

/// What compiles a product.
#[derive(Clone, Debug)]
enum Compiler {
    /// The virtual board's image, with a compiler for the chip.
    Image(Toolchain),
    /// The program, with this machine's own compiler.
    Program,
}

/// What an image is built from. The workspace's manifest is what that of `firmware/app` refers to.
const IMAGE_SOURCES: [&str; 6] = [
    "Cargo.toml",
    "firmware/app",
    "firmware/esp32c3/.cargo",
    "firmware/esp32c3/Cargo.lock",
    "firmware/esp32c3/Cargo.toml",
    "firmware/esp32c3/src",
];

/// What the program is built from, beside the manifests that `program` makes.
const PROGRAM_SOURCES: [&str; 3] = ["Cargo.lock", "firmware/app", "firmware/host"];

impl Compiler {
    fn sources(&self) -> &'static [&'static str] {
        match self {
            Self::Image(_) => &IMAGE_SOURCES,
            Self::Program => &PROGRAM_SOURCES,
        }
    }

    /// The folders of what has been compiled, below the target folder.
    fn compiled(&self) -> &'static [&'static str] {
        match self {
            // What is compiled for the chip, and what for this machine: macros and build scripts.
            Self::Image(_) => &[TARGET, "release"],
            Self::Program => &["debug"],
        }
    }
}

impl Workshop {
    /// Copies the sources of the repository at `root`, to build `product` from them.
    ///
    /// # Errors
    /// No compiler for the product, a file that cannot be copied, or another process that works there.
    pub fn open(root: &Path, product: Product) -> Result<Self, Error> {
        let (compiler, name, target) = match product {
            Product::Image => (Compiler::Image(Toolchain::find()?), "mutants", target_dir(root)),
            Product::Program => (Compiler::Program, "mutants-host", target_dir(root).join("host")),
        };
        let folder = target_dir(root).join(name);
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
        for name in compiler.sources() {
            copy(&root.join(name), &folder.join(name), Dates::New)?;
        }
        if product == Product::Program {
            program::write_manifests(root, &folder)?;
        }
        Ok(Self {
            root: root.to_owned(),
            folder,
            target,
            compiler,
            honest: None,
            _lock: Arc::new(lock),
        })
    }

    /// A second place inside this one, which works at the same time: with the same sources, and with what has been compiled so far. Other
    /// places make other bytes, so it has to build the honest product itself.
    ///
    /// # Errors
    /// A file that cannot be copied.
    pub fn second(&self) -> Result<Self, Error> {
        let folder = self.folder.join("second");
        let target = folder.join("target");
        let manifests: &[&str] = match self.compiler {
            Compiler::Image(_) => &[],
            Compiler::Program => &["Cargo.toml"],
        };
        for name in self.compiler.sources().iter().chain(manifests) {
            copy(&self.folder.join(name), &folder.join(name), Dates::New)?;
        }
        for name in self.compiler.compiled() {
            copy(&self.target.join(name), &target.join(name), Dates::Kept)?;
        }
        Ok(Self {
            root: self.root.clone(),
            folder,
            target,
            compiler: self.compiler.clone(),
            honest: None,
            _lock: Arc::clone(&self._lock),
        })
    }

    /// Where the copied sources and the products lie, until [`Workshop::clear`].
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the product without any mistake has been built here.
    #[must_use]
    pub fn has_honest(&self) -> bool {
        self.honest.is_some()
    }

    /// Builds the product, with a mutant's mistake or without any. Returns where it lies.
    ///
    /// # Errors
    /// [`Error::Rejected`] with what the compiler says; [`Error::NoDifference`] where the mistake makes the same product
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

    /// Removes the copied sources and the products.
    ///
    /// # Errors
    /// The folder cannot be removed.
    pub fn clear(self) -> Result<(), Error> {
        fs::remove_dir_all(&self.folder).map_err(Error::file(&self.folder))
    }

    /// Compiles what lies in the folder now; `path` is what the compiler's messages are about.
    fn compile(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let (mut cargo, elf): (Command, PathBuf) = match &self.compiler {
            Compiler::Image(toolchain) => (
                cargo(&self.root, &self.folder, &self.target, &IMAGES[0], toolchain),
                built_elf(&self.target),
            ),
            Compiler::Program => (
                program::cargo(&self.folder, &self.target),
                program::built_elf(&self.target),
            ),
        };
        cargo.arg("--quiet");
        let output = cargo.output().map_err(|source| start(&cargo, source))?;
        if !output.status.success() {
            return Err(Error::Rejected {
                path: path.to_owned(),
                messages: String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
            });
        }
        fs::read(&elf).map_err(Error::file(&elf))
    }

    /// Keeps what was built under a name of its own: the next build overwrites it.
    fn keep(&self, name: &str, elf: &[u8]) -> Result<PathBuf, Error> {
        let path = self.folder.join(name).with_extension("elf");
        fs::write(&path, elf).map_err(Error::file(&path))?;
        if let Compiler::Program = self.compiler {
            // A new file cannot be run otherwise.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&path, mode).map_err(Error::file(&path))?;
        }
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
