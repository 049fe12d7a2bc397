//! `pinrig-host` built by itself: the client as a program on this machine.
//!
//! What enters: the repository's manifests. What leaves: a workspace of two packages, the client and the program, and the command that
//! builds it. In the repository the program belongs to the harness, which takes minutes to compile.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use toml::{Table, Value};

use crate::error::Error;
use crate::toolchain::cleared;

/// The package, and its program.
const NAME: &str = "pinrig-host";

/// The package that has the program in the repository, and the feature that lists what the program needs.
const OWNER: &str = "harness/Cargo.toml";
const FEATURE: &str = "host";

/// Writes the workspace's manifest and the program's to `folder`, made from those below `root`.
///
/// # Errors
/// A manifest that cannot be read or written, or is not as this module knows it.
pub(crate) fn write_manifests(root: &Path, folder: &Path) -> Result<(), Error> {
    let mut workspace = table(&root.join("Cargo.toml"))?;
    let owner = root.join(OWNER);
    let package = package(&table(&owner)?).ok_or_else(|| Error::file(&owner)(unknown_form()))?;
    let members = workspace.get_mut("workspace").and_then(Value::as_table_mut);
    let members = members.ok_or_else(|| Error::file(&root.join("Cargo.toml"))(unknown_form()))?;
    members.insert("members".into(), strings(["firmware/app", "firmware/host"]));
    members.remove("exclude");
    workspace.insert("profile".into(), profile());
    for (path, manifest) in [("Cargo.toml", workspace), ("firmware/host/Cargo.toml", package)] {
        let path = folder.join(path);
        fs::write(&path, manifest.to_string()).map_err(Error::file(&path))?;
    }
    Ok(())
}

/// The command that builds the program from what lies in `folder`. It asks no registry: what it needs has been compiled for the
/// harness.
pub(crate) fn cargo(folder: &Path, target: &Path) -> Command {
    let mut cargo = cleared(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).as_ref());
    cargo
        .current_dir(folder)
        .args(["build", "--offline", "--package", NAME, "--target-dir"])
        .arg(target);
    cargo
}

/// Where that command leaves the program, until the next one.
pub(crate) fn built_elf(target: &Path) -> PathBuf {
    target.join("debug").join(NAME)
}

/// The program's manifest: of what its owner depends on, that which the feature turns on.
fn package(owner: &Table) -> Option<Table> {
    let needed = owner.get("features")?.get(FEATURE)?.as_array()?;
    let mut dependencies = Table::new();
    for feature in needed {
        let name = feature.as_str()?.strip_prefix("dep:")?;
        let mut dependency = owner.get("dependencies")?.get(name)?.as_table()?.clone();
        dependency.remove("optional");
        dependencies.insert(name.to_owned(), Value::Table(dependency));
    }
    let text = |text: &str| Value::String(text.to_owned());
    let program = [("name", text(NAME)), ("path", text("main.rs"))];
    let program = program.map(|(name, value)| (name.to_owned(), value));
    let mut package = owner.get("package")?.as_table()?.clone();
    package.insert("name".into(), text(NAME));
    package.remove("default-run");
    let mut manifest = Table::new();
    manifest.insert("package".into(), Value::Table(package));
    manifest.insert("dependencies".into(), Value::Table(dependencies));
    manifest.insert(
        "bin".into(),
        Value::Array(vec![Value::Table(Table::from_iter(program))]),
    );
    Some(manifest)
}

/// As the image is built in what the code does, and as quickly as can be.
fn profile() -> Value {
    let settings = [
        ("debug", Value::Boolean(false)),
        ("debug-assertions", Value::Boolean(false)),
        ("overflow-checks", Value::Boolean(true)),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value));
    let dev = [("dev".to_owned(), Value::Table(Table::from_iter(settings)))];
    Value::Table(Table::from_iter(dev))
}

fn strings(texts: [&str; 2]) -> Value {
    Value::Array(texts.map(|text| Value::String(text.to_owned())).to_vec())
}

fn table(path: &Path) -> Result<Table, Error> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    let parsed = text.parse();
    parsed.map_err(|error: toml::de::Error| Error::file(path)(io::Error::new(io::ErrorKind::InvalidData, error)))
}

fn unknown_form() -> io::Error {
    let message = format!("it does not list the workspace's members, or what the feature `{FEATURE}` needs");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it compiles, `pinrig mutants` shows.
    #[test]
    fn the_program_needs_what_the_feature_of_its_owner_lists() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("firmware/host")).unwrap();
        write_manifests(&crate::repository(), folder.path()).unwrap();
        let program = table(&folder.path().join("firmware/host/Cargo.toml")).unwrap();
        let dependencies = program["dependencies"].as_table().unwrap();
        assert!(dependencies.contains_key("pinrig-app") && dependencies.contains_key("tokio"));
        assert!(
            dependencies
                .values()
                .all(|dependency| dependency.get("optional").is_none())
        );
        assert!(
            !dependencies.contains_key("espflash"),
            "the harness is not compiled again"
        );
        let workspace = table(&folder.path().join("Cargo.toml")).unwrap();
        assert_eq!(workspace["workspace"]["members"].as_array().unwrap().len(), 2);
    }
}
