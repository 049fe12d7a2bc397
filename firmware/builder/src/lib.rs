//! Builds the board's images and keeps their provenance, so that a test never judges firmware other than the sources
//! beside it.
//!
//! What enters: the sources under `firmware/`. What leaves: ELF files and `provenance.toml` in `fixtures/firmware`. The crate
//! knows no board and no scenario.
//!
//! - [`image`]: which images there are.
//! - [`source`]: the hash of the sources that an image is built from.
//! - [`toolchain`]: the compilers that can build for the chip.
//! - [`provenance`]: what was built from what, and whether it still is.
//! - [`build`]: one build.
//! - [`mutant`]: mistakes that a programmer could have made, as data.
//! - `program`: the client as a program on this machine, built by itself.
//! - [`workshop`]: builds the firmware with one of them.

pub mod image;
mod error;
pub mod source;
pub mod toolchain;
pub mod provenance;
pub mod build;
pub mod mutant;
mod program;
pub mod workshop;

use std::path::{Path, PathBuf};

pub use error::Error;
pub use mutant::{Mutant, Witness};
pub use provenance::Provenance;
pub use source::source_hash;
pub use workshop::{Product, Workshop};

/// The root of the repository that this crate was compiled in.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("the crate lies two folders below the root")
        .to_owned()
}
