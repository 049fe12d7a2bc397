//! Rules of the repository that the compiler does not check.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod support;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fmt, fs};

use pinrig::scenario;

/// A snapshot without a scenario would stay for ever. A scenario without a snapshot would never be compared.
#[test]
fn every_scenario_has_a_snapshot_and_every_snapshot_a_scenario() {
    let scenarios: BTreeSet<String> = scenario::load_all(&support::fixtures())
        .unwrap()
        .into_iter()
        // The verdict alone judges variants: what they say is what their scenario says.
        .filter(|scenario| scenario.variant.is_none())
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

/// `lib.rs` lists the modules of a package from the ground up, and each imports only from those above it in the list. A small type
/// that two modules need belongs below both.
#[test]
fn imports_only_go_down() {
    for package in [
        "harness",
        "harness/server",
        "harness/virtual-esp32c3",
        "harness/virtual-lan",
        "harness/virtual-probe",
        "certs",
        "firmware/builder",
    ] {
        let source = support::root().join(package).join("src");
        let floors = modules(&fs::read_to_string(source.join("lib.rs")).unwrap());
        assert!(floors.len() > 2, "{package}: {floors:?}");
        let upward: Vec<String> = imports(&source)
            .into_iter()
            .filter(|import| {
                let floor = |module: &str| floors.iter().position(|known| known == module);
                // What is not a module is re-exported by `lib.rs`, which is above them all.
                floor(&import.of).is_some_and(|of| floor(&import.from).is_none_or(|from| from > of))
            })
            .map(|import| import.to_string())
            .collect();
        assert_eq!(
            upward,
            Vec::<String>::new(),
            "{package}: these arrows point upward in lib.rs"
        );
    }
}

/// What a module must not know, even where the order of `lib.rs` would let it.
#[test]
fn modules_do_not_know_what_they_must_not() {
    let imports = imports(&support::root().join("harness/src"));
    for (of, must_not_know) in [
        ("board", &["scenario", "device", "bench", "verdict"][..]),
        ("rig", &["scenario", "board", "bench", "device"]),
        ("device", &["scenario", "verdict"]),
        ("run", &["report"]),
        ("report", &["rig", "run"]),
        ("transcript", &["scenario", "board"]),
        ("verdict", &["board", "bench", "rig"]),
    ] {
        let found: Vec<String> = imports
            .iter()
            .filter(|import| import.of == of && must_not_know.contains(&import.from.as_str()))
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, Vec::<String>::new());
    }
    let scenario_in_bench: BTreeSet<&Path> = imports
        .iter()
        .filter(|import| import.of == "bench" && import.from == "scenario")
        .map(|import| import.file.as_path())
        .collect();
    assert_eq!(
        scenario_in_bench,
        BTreeSet::from([Path::new("bench/choose.rs")]),
        "only this file of `bench` knows scenarios"
    );
}

/// Which of our packages each may depend on, tests and benches included.
#[test]
fn packages_depend_only_on_those_below_them() {
    for (package, may_know) in [
        ("certs", &[][..]),
        ("harness/virtual-esp32c3", &[]),
        ("harness/virtual-lan", &[]),
        ("harness/server", &["pinrig-certs"]),
        ("harness/virtual-probe", &["virtual-esp32c3"]),
        ("firmware/app", &[]),
        ("firmware/builder", &[]),
    ] {
        let text = fs::read_to_string(support::root().join(package).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let known: Vec<&String> = ["dependencies", "dev-dependencies", "build-dependencies"]
            .iter()
            .filter_map(|kind| manifest.get(*kind)?.as_table())
            .flat_map(toml::Table::keys)
            .filter(|name| name.starts_with("pinrig") || name.starts_with("virtual-"))
            .filter(|name| !may_know.contains(&name.as_str()))
            .collect();
        assert_eq!(known, Vec::<&String>::new(), "{package} must not depend on these");
    }
}

/// Without its default features the library has neither a command line nor the firmware's client.
#[test]
fn the_library_alone_needs_no_command_line() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "pinrig",
            "--no-default-features",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args(["--locked", "--offline"])
        .current_dir(support::root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("rustls v"), "{tree}");
    for unwanted in [
        "clap",
        "indicatif",
        "anstream",
        "embassy-time",
        "pinrig-app",
        "virtual-probe",
    ] {
        let found = tree.lines().find(|line| line.split(' ').next() == Some(unwanted));
        assert_eq!(found, None);
    }
}

/// One reference of a file to a module of its own package.
struct Import {
    /// The file, below the package's `src`.
    file: PathBuf,
    /// The top-level module that the file belongs to.
    of: String,
    /// The top-level module that it refers to.
    from: String,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: crate::{}", self.file.display(), self.from)
    }
}

/// The modules that a `lib.rs` declares, in its order.
fn modules(lib: &str) -> Vec<String> {
    let declared = lib.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    declared.filter(|name| *name != "tests").map(str::to_owned).collect()
}

/// Every `crate::module` in the code of a package, its comments left out.
fn imports(source: &Path) -> Vec<Import> {
    let mut found = Vec::new();
    for path in files(source, "rs") {
        let file = path.strip_prefix(source).unwrap().to_owned();
        let first = file.iter().next().unwrap().to_string_lossy();
        let of = first.trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        let code: Vec<&str> = code.take_while(|line| *line != "mod tests {").collect();
        // From a file beside `lib.rs`, `super` is the same as `crate`.
        let root = if file.iter().count() == 1 {
            ["crate::", "super::"]
        } else {
            ["crate::", "crate::"]
        };
        let code = code.join("\n");
        for root in BTreeSet::from(root) {
            for from in code.split(root).skip(1).flat_map(first_names) {
                if from != of {
                    found.push(Import {
                        file: file.clone(),
                        of: of.clone(),
                        from,
                    });
                }
            }
        }
    }
    found
}

/// The names that a path goes on with: one, or those of a `{list}`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let Some(list) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let mut depth = 1_usize;
    let mut names = vec![String::new()];
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(String::new()),
            _ if depth == 1 => names.last_mut().unwrap().push(character),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
        .iter()
        .map(|text| name(text.trim()))
        .filter(|name: &String| !name.is_empty())
        .collect()
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
