//! What can go wrong in this package.

use std::path::{Path, PathBuf};

use crate::image::TARGET;

/// Why an image cannot be built or trusted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No compiler here can build for the chip.
    #[error(
        "no compiler for {target}; install one of:\n  rustup target add {target}\n  \
         apt-get install rustc cargo rust-src (or rustc-web cargo-web rust-web-src), and lld",
        target = TARGET
    )]
    NoToolchain,
    /// A program cannot be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Which one.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The compiler reported errors, which it has printed itself.
    #[error("building the image `{image}` failed: see the compiler's messages above")]
    Build {
        /// Which image.
        image: &'static str,
    },
    /// A mutant's file is wrong, or the sources have changed since it was written.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Mutant {
        /// Which file.
        path: PathBuf,
        /// The line that is wrong, from 1.
        line: usize,
        /// Its column that is wrong, from 1, in characters.
        column: usize,
        /// What is wrong, and what to do.
        message: String,
    },
    /// The compiler does not take changed sources.
    #[error("{}: the change does not compile:\n{messages}", path.display())]
    Rejected {
        /// The file with the change; the copied sources where nothing was changed.
        path: PathBuf,
        /// What the compiler said.
        messages: String,
    },
    /// A change made no other image.
    #[error("{}: the image is the same as without the change: the compiler sees no difference", path.display())]
    NoDifference {
        /// The file with the change.
        path: PathBuf,
    },
    /// Two at once would build from each other's sources.
    #[error("{}: another process builds there: wait until it has ended", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The provenance file is not what `cargo firmware build` writes.
    #[error("{}: {source}; run: cargo firmware build", path.display())]
    Provenance {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// The provenance file has no entry for an image that is kept.
    #[error("{}: the image `{image}` is missing; run: cargo firmware build {image}", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
        /// Which image.
        image: &'static str,
    },
    /// The sources have changed since the image was built.
    #[error("the image `{image}` was built from other sources; run: cargo firmware build {image}")]
    Stale {
        /// Which image.
        image: &'static str,
    },
    /// The ELF file is not the one that was built.
    #[error("{}: not the file that provenance.toml tells of; run: cargo firmware build {image}", path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
        /// Which image.
        image: &'static str,
    },
}

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        |source| Self::File {
            path: path.to_owned(),
            source,
        }
    }
}
