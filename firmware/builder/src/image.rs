//! The images.

use std::path::{Path, PathBuf};

/// The chip's target.
pub const TARGET: &str = "riscv32imc-unknown-none-elf";

/// One way to build the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name on the command line and in `provenance.toml`.
    pub name: &'static str,
    /// The Cargo features of `firmware/esp32c3` that make it.
    pub features: &'static [&'static str],
    /// The name of its file in `fixtures/firmware`, where it is kept there.
    pub fixture: Option<&'static str>,
}

/// Every image, in the order in which they are built.
pub const IMAGES: [Image; 3] = [
    Image {
        name: "virtual",
        features: &["test-commands", "virtual"],
        fixture: Some("pinrig-esp32c3-virtual.elf"),
    },
    // Its client can be fooled: a harness that does not notice is broken.
    Image {
        name: "unguarded",
        features: &["test-commands", "unguarded", "virtual"],
        fixture: Some("pinrig-esp32c3-virtual-unguarded.elf"),
    },
    // Not kept: it only runs on a chip with a radio, and is built by the owner of one.
    Image {
        name: "wifi",
        features: &["test-commands", "wifi"],
        fixture: None,
    },
];

impl Image {
    /// The image of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        IMAGES.into_iter().find(|image| image.name == name)
    }

    /// Where the finished image lies.
    #[must_use]
    pub fn path(&self, root: &Path) -> PathBuf {
        match self.fixture {
            Some(file) => fixtures(root).join(file),
            None => target_dir(root).join(format!("pinrig-esp32c3-{}.elf", self.name)),
        }
    }
}

/// The folder of the images that are kept.
#[must_use]
pub fn fixtures(root: &Path) -> PathBuf {
    root.join("fixtures/firmware")
}

/// Where the images are built.
pub(crate) fn target_dir(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("firmware")
}
