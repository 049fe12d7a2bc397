//! Rules of the repository that the compiler does not check.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod support;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use pinrig::scenario;

/// A snapshot without a scenario would stay for ever. A scenario without a snapshot would never be compared.
#[test]
fn every_scenario_has_a_snapshot_and_every_snapshot_a_scenario() {
    let scenarios: BTreeSet<String> = scenario::load_all(&support::fixtures())
        .unwrap()
        .into_iter()
        .map(|scenario| scenario.name.replace('/', "__"))
        .collect();
    let snapshots: BTreeSet<String> = files(&support::root().join("tests/snapshots"), "snap")
        .iter()
        .filter_map(|path| path.file_stem())
        .map(|stem| stem.to_string_lossy().into_owned())
        .collect();
    assert_eq!(scenarios, snapshots);
}

/// People read the catalogue before they build anything.
#[test]
fn the_page_of_the_catalogue_is_current() {
    let page = scenario::index(&scenario::load_all(&support::fixtures()).unwrap());
    let kept = fs::read_to_string(support::fixtures().join("scenarios/README.md")).unwrap_or_default();
    assert!(
        kept == page,
        "write it again: cargo run -- list --markdown > fixtures/scenarios/README.md"
    );
}

/// Otherwise a machine without the embedded toolchain would test other firmware than the sources show.
#[test]
fn the_images_in_the_tree_are_built_from_the_sources_in_the_tree() {
    pinrig_builder::Provenance::load(support::root())
        .and_then(|provenance| provenance.verify(support::root()))
        .unwrap_or_else(|problem| panic!("{problem}"));
}

/// People copy the examples, and their editors read the schema.
#[test]
fn the_example_inventory_is_valid_and_its_schema_current() {
    let folder = support::fixtures().join("rig");
    let inventory = pinrig::rig::Inventory::load(&folder.join("rig.toml")).unwrap();
    assert!(inventory.boards.len() > 3, "{inventory:?}");
    let schema = pinrig::rig::schema();
    let kept = fs::read_to_string(folder.join("rig.schema.json")).unwrap_or_default();
    assert!(
        kept == format!("{schema:#}\n"),
        "write it again: cargo run -- boards --schema > fixtures/rig/rig.schema.json"
    );
    let text = fs::read_to_string(folder.join("rig.toml")).unwrap();
    let valid = |text: &str| {
        let value: toml::Value = toml::from_str(text).unwrap();
        jsonschema::is_valid(&schema, &serde_json::to_value(value).unwrap())
    };
    assert!(valid(&text));
    assert!(!valid(&text.replace("flasher = \"probe-rs\"", "flasher = \"probe\"")));
}

/// A file says what it is for before anything else.
#[test]
fn every_source_file_opens_with_its_documentation() {
    let bare: Vec<PathBuf> = files(support::root(), "rs")
        .into_iter()
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            let first = text.lines().find(|line| !line.starts_with("#!") && !line.is_empty());
            !first.is_some_and(|line| line.starts_with("//!"))
        })
        .collect();
    assert_eq!(bare, Vec::<PathBuf>::new(), "these files do not open with `//!`");
}

/// The evidence of a failure is shared, and may hold anything from the tree. So no person's key may be in it.
#[test]
fn no_private_key_is_in_the_tree() {
    // In two parts, so that this file does not find itself.
    let marker = ["PRIVATE", "KEY-----"].join(" ");
    let found: Vec<PathBuf> = ["rs", "toml", "json", "md", "pem", "key", "snap", "txt"]
        .iter()
        .flat_map(|ending| files(support::root(), ending))
        .filter(|path| fs::read_to_string(path).unwrap_or_default().contains(&marker))
        .collect();
    assert_eq!(found, Vec::<PathBuf>::new());
}

/// The files below `folder` with this ending, without those in `target` and `.git`.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            if ![OsStr::new("target"), OsStr::new(".git")].contains(&name) {
                found.extend(files(&path, ending));
            }
        } else if path.extension() == Some(OsStr::new(ending)) {
            found.push(path);
        }
    }
    found.sort();
    found
}
