//! What the test targets share: where the project's files lie.

use std::path::{Path, PathBuf};

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the harness lies one folder below the top")
}

/// The project's scenarios, replies and images.
pub(crate) fn fixtures() -> PathBuf {
    root().join("fixtures")
}

/// The image that runs: another one where `PINRIG_FIRMWARE` names it, as for the `pinrig` command.
#[allow(dead_code, reason = "each test target uses its own part of this module")]
pub(crate) fn firmware() -> PathBuf {
    std::env::var_os("PINRIG_FIRMWARE").map_or_else(
        || fixtures().join("firmware/pinrig-esp32c3-virtual.elf"),
        |path| root().join(path),
    )
}

/// A folder for the evidence of failures.
#[allow(dead_code, reason = "each test target uses its own part of this module")]
pub(crate) fn out() -> PathBuf {
    root().join("target/pinrig")
}
