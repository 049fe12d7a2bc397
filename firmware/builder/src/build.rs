//! Builds one image.
//!
//! What enters: sources, the name of an image, a toolchain. What leaves: an ELF file, in the image's place where it has one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::error::Error;
use crate::image::{Image, TARGET, target_dir};
use crate::provenance::{Built, Provenance};
use crate::source::{FLAGS, source_hash};
use crate::toolchain::Toolchain;

/// Builds an image, puts it into its place, and, where it is kept, notes its provenance. Returns where it lies.
///
/// # Errors
/// [`Error::Build`] where the compiler says no; what it says goes to the terminal.
pub fn build(root: &Path, image: &Image, toolchain: &Toolchain) -> Result<PathBuf, Error> {
    // Taken first: sources that change during the build must leave the image stale.
    let source = source_hash(root)?;
    let target = target_dir(root);
    let mut cargo = cargo(root, root, &target, image, toolchain);
    let status = cargo.status().map_err(|source| start(&cargo, source))?;
    if !status.success() {
        return Err(Error::Build { image: image.name });
    }

    let elf = built_elf(&target);
    let path = image.path(root);
    let bytes = fs::read(&elf).map_err(Error::file(&elf))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    fs::write(&path, &bytes).map_err(Error::file(&path))?;
    if image.fixture.is_some() {
        let mut provenance = Provenance::load_or_default(root)?;
        provenance.insert(image, Built::new(image, toolchain.version()?, source, &bytes));
        provenance.store(root)?;
    }
    Ok(path)
}

/// The command that builds `image` into the folder `target` from the sources below `sources`, which may be another folder than the
/// repository's `root`: what they have in common is then compiled once.
pub(crate) fn cargo(root: &Path, sources: &Path, target: &Path, image: &Image, toolchain: &Toolchain) -> Command {
    let mut cargo = toolchain.cargo_build();
    cargo
        .current_dir(sources.join("firmware/esp32c3"))
        .arg("--target-dir")
        .arg(target)
        .args(["--features", &image.features.join(",")])
        .arg("--config")
        .arg(remap(root, toolchain));
    cargo
}

/// Where that command leaves its ELF file, until the next one.
pub(crate) fn built_elf(target: &Path) -> PathBuf {
    target.join(TARGET).join("release/pinrig-esp32c3")
}

pub(crate) fn start(command: &Command, source: io::Error) -> Error {
    Error::Start {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    }
}

/// A Cargo setting, joined with the `build.rustflags` of `.cargo/config.toml`.
fn remap(root: &Path, toolchain: &Toolchain) -> String {
    let mut prefixes = vec![(root.to_owned(), "/pinrig")];
    if let Some(registry) = cargo_home().map(|home| home.join("registry/src")) {
        // Each registry has a folder with a hash in its name; the crates lie below.
        let folders = fs::read_dir(&registry)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()));
        prefixes.extend(folders.map(|folder| (folder, "/cargo")));
    }
    if let Some(source) = toolchain.core_source() {
        // The compiler follows links, the debug information tells where they lead.
        prefixes.extend(source.canonicalize().map(|real| (real, "/rustc")));
        prefixes.push((source, "/rustc"));
    }
    let flags: Vec<_> = prefixes
        .iter()
        .map(|(from, to)| toml::Value::from(format!("{}={}={to}", FLAGS[0], from.display())))
        .collect();
    format!("build.rustflags={}", toml::Value::from(flags))
}

fn cargo_home() -> Option<PathBuf> {
    let default = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(default)
}
