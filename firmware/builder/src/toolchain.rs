//! Finds a compiler for the chip: rustup's, where its target is installed, else a distribution's, which brings the
//! library's sources instead of a compiled library.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::image::TARGET;

const DISTRIBUTION_CARGO: &str = "/usr/bin/cargo";
const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";

/// A way to compile for [`TARGET`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// A toolchain with a compiled `core` for the target.
    Ready {
        /// `cargo` of that toolchain.
        cargo: PathBuf,
        /// `rustc` of that toolchain.
        rustc: PathBuf,
    },
    /// A toolchain with the sources of `core`, which are compiled along; and a linker from elsewhere.
    FromSource {
        /// `cargo` of that toolchain.
        cargo: PathBuf,
        /// `rustc` of that toolchain.
        rustc: PathBuf,
        /// `rust-lld` or `ld.lld`.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// The first toolchain that will do.
    ///
    /// # Errors
    /// [`Error::NoToolchain`] says what to install.
    pub fn find() -> Result<Self, Error> {
        let default = PathBuf::from("rustc");
        let sysroot = sysroot(&default);
        if let Some(sysroot) = &sysroot
            && sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
        {
            return Ok(Self::Ready {
                cargo: "cargo".into(),
                rustc: default,
            });
        }
        let (cargo, rustc) = (PathBuf::from(DISTRIBUTION_CARGO), PathBuf::from(DISTRIBUTION_RUSTC));
        let has_source = self::sysroot(&rustc)
            .is_some_and(|sysroot| sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file());
        match sysroot.and_then(|sysroot| linker_of(&sysroot)).or_else(linker_on_path) {
            Some(linker) if cargo.is_file() && has_source => Ok(Self::FromSource { cargo, rustc, linker }),
            _ => Err(Error::NoToolchain),
        }
    }

    /// `rustc --version`: what goes into the provenance.
    ///
    /// # Errors
    /// The compiler cannot be started.
    pub fn version(&self) -> Result<String, Error> {
        let (Self::Ready { rustc, .. } | Self::FromSource { rustc, .. }) = self;
        let output = Command::new(rustc)
            .arg("--version")
            .output()
            .map_err(|source| Error::Start {
                program: rustc.display().to_string(),
                source,
            })?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A `cargo build` for the target with this toolchain, without what the surroundings would put in.
    #[must_use]
    pub fn cargo_build(&self) -> Command {
        let (Self::Ready { cargo, .. } | Self::FromSource { cargo, .. }) = self;
        let mut command = cleared(cargo);
        command.args(["build", "--release", "--locked", "--target", TARGET]);
        if let Self::FromSource { rustc, linker, .. } = self {
            command
                .env("RUSTC", rustc)
                // -Zbuild-std is not stable; the compiler of the distribution is.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_RISCV32IMC_UNKNOWN_NONE_ELF_LINKER", linker)
                .arg("-Zbuild-std=core,alloc");
        }
        command
    }

    /// The folder of the standard library's sources, as it appears in the places of panics.
    pub(crate) fn core_source(&self) -> Option<PathBuf> {
        match self {
            Self::Ready { .. } => None,
            Self::FromSource { rustc, .. } => sysroot(rustc).map(|sysroot| sysroot.join("lib/rustlib/src/rust")),
        }
    }
}

/// The program, a `cargo`, without what the surroundings would put in: settings of another build that runs it.
pub(crate) fn cleared(cargo: &Path) -> Command {
    let mut command = Command::new(cargo);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let keep = matches!(&*text, "CARGO_HOME" | "RUSTUP_HOME" | "RUSTUP_TOOLCHAIN");
        let steers = ["CARGO", "RUST", "ESP_"].iter().any(|prefix| text.starts_with(prefix));
        if steers && !keep {
            command.env_remove(&name);
        }
    }
    command
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
    output
        .status
        .success()
        .then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// rustup's toolchains bring a linker for every target, under the host's own.
fn linker_of(sysroot: &Path) -> Option<PathBuf> {
    std::fs::read_dir(sysroot.join("lib/rustlib"))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/rust-lld")))
        .find(|path| path.is_file())
}

fn linker_on_path() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .flat_map(|folder| ["rust-lld", "ld.lld"].map(|name| folder.join(name)))
        .find(|path| path.is_file())
}
