//! Rules of the repository that no compiler checks.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod support;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use pinrig::scenario;

/// A snapshot without a scenario would be kept for ever; a scenario without one is never compared.
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

/// The catalogue is browsed before anything is built.
#[test]
fn the_page_of_the_catalogue_is_current() {
    let page = scenario::index(&scenario::load_all(&support::fixtures()).unwrap());
    let kept = fs::read_to_string(support::fixtures().join("scenarios/README.md")).unwrap_or_default();
    assert!(
        kept == page,
        "write it anew: cargo run -- list --markdown > fixtures/scenarios/README.md"
    );
}

/// The image in the tree is what the sources build, or a fresh machine would test something else.
#[test]
fn the_images_in_the_tree_are_built_from_the_sources_in_the_tree() {
    pinrig_builder::Provenance::load(support::root())
        .and_then(|provenance| provenance.verify(support::root()))
        .unwrap_or_else(|problem| panic!("{problem}"));
}

/// The examples are what people copy: each of them is valid, and the schema beside them is the one that editors should have.
#[test]
fn the_example_inventory_is_valid_and_its_schema_current() {
    let folder = support::fixtures().join("rig");
    let inventory = pinrig::rig::Inventory::load(&folder.join("rig.toml")).unwrap();
    assert!(inventory.boards.len() > 3, "{inventory:?}");
    let schema = pinrig::rig::schema();
    let kept = fs::read_to_string(folder.join("rig.schema.json")).unwrap_or_default();
    assert!(
        kept == format!("{schema:#}\n"),
        "write it anew: cargo run -- boards --schema > fixtures/rig/rig.schema.json"
    );
    let text = fs::read_to_string(folder.join("rig.toml")).unwrap();
    let valid = |text: &str| {
        let value: toml::Value = toml::from_str(text).unwrap();
        jsonschema::is_valid(&schema, &serde_json::to_value(value).unwrap())
    };
    assert!(valid(&text));
    assert!(!valid(&text.replace("flasher = \"probe-rs\"", "flasher = \"probe\"")));
}

/// Editors check scenarios and mutants by the schemas beside them, which must be the current ones and fit every file.
#[test]
fn every_scenario_and_mutant_is_valid_by_the_schema_beside_them() {
    let [scenarios, mutants] = [scenario::schema(), pinrig_builder::mutant::schema().to_value()];
    for (folder, name, schema, command) in [
        ("scenarios", "scenario", &scenarios, "list"),
        ("mutants", "mutant", &mutants, "mutants"),
    ] {
        let folder = support::fixtures().join(folder);
        let path = folder.join(name).with_extension("schema.json");
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == format!("{schema:#}\n"),
            "{} is not current; run: cargo run -- {command} --schema > {}",
            path.display(),
            path.strip_prefix(support::root()).unwrap_or(&path).display()
        );
        let validator = jsonschema::validator_for(schema).unwrap();
        for file in files(&folder, "toml") {
            let text = fs::read_to_string(&file).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&as_json(&text))
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert_eq!(errors, Vec::<String>::new(), "{}", file.display());
        }
    }
}

/// What an editor should mark.
#[test]
fn mistakes_are_not_valid_by_the_schemas() {
    let scenario = r#"
about = "x"
server = { reply = { padded-to = 9000 }, handshake = ["server-hello", { step = "alert", description = "bad_certificate" }] }
device = { pin = { of = "github", flip-bit = { byte = 0, bit = 7 } }, timeout = { total = 1 } }
network = { both-ways = { loss = 0.5, frames = 3 }, arp.ignore-first = "all" }
expect.refused = { reason = "pin-mismatch", pin = "mismatch" }
"#;
    let mutant = r#"
about = "x"
file = "app/src/guard.rs"
find = "a"
replace = "b"
scenarios = ["pin"]
"#;
    let (scenarios, mutants) = (scenario::schema(), pinrig_builder::mutant::schema().to_value());
    for (schema, text, mistakes) in [
        (
            &scenarios,
            scenario,
            &[
                ("about", "abuot"),
                ("\"x\"", "\"\"\"x\ny\"\"\""),
                ("9000", "99999999"),
                ("9000", "\"9000\""),
                ("\"server-hello\"", "\"server-hullo\""),
                ("bad_certificate", "bad-certificate"),
                ("\"bad_certificate\"", "256"),
                ("description", "descripton"),
                ("\"github\"", "\"gihtub\""),
                ("bit = 7", "bit = 8"),
                ("total = 1", "total = 0"),
                ("0.5", "1.5"),
                ("frames = 3", "frames = -3"),
                ("\"all\"", "\"some\""),
                ("pin-mismatch", "pin mismatch"),
                ("refused", "refuesd"),
                (", pin = \"mismatch\"", ""),
            ][..],
        ),
        (
            &mutants,
            mutant,
            &[
                ("\"x\"", "\"\""),
                ("app/src/guard.rs", "../harness/src/lib.rs"),
                ("find = \"a\"", "find = \"\""),
                ("replace", "raplace"),
                ("[\"pin\"]", "[]"),
            ][..],
        ),
    ] {
        assert!(jsonschema::is_valid(schema, &as_json(text)), "{text}");
        for (right, wrong) in mistakes {
            let text = text.replacen(right, wrong, 1);
            assert!(!jsonschema::is_valid(schema, &as_json(&text)), "{text}");
        }
    }
}

fn as_json(text: &str) -> serde_json::Value {
    let value: toml::Value = toml::from_str(text).unwrap();
    serde_json::to_value(value).unwrap()
}

/// A module says what enters it and what leaves it before anything else.
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

/// Whoever opens the bundle of a failure must be able to trust that no key of a person is in it: none is in the tree.
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

/// The files below `folder` with this ending, without what is built or not ours.
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
