//! Nothing tested is never a success: neither where the set-up is wrong, nor where a filter, a name or a folder selects nothing.
//!
//! The test program of the scenarios runs as a process, as cargo runs it. It is the one that was built last: to run these tests alone,
//! build it too, with `cargo test --test selection --test scenarios ...`.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::text;

/// Selections of libtest, of which each could hide a test that fails.
const SELECTIONS: [&[&str]; 7] = [
    &[],
    &["pin/"],
    &["a_test_of_another_program"],
    &["--skip", "e"],
    &["--exact", "pin/matches"],
    &["--ignored"],
    &["--list"],
];

/// The test program of the scenarios.
fn scenarios() -> Option<PathBuf> {
    let program = support::newest_test_program("scenarios");
    if program.is_none() {
        support::skip("the scenarios' tests were not built");
    }
    program
}

/// The program, with nothing of this process's environment that chooses boards or scenarios.
fn program(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in [
        "PINRIG_BOARD",
        "PINRIG_TAGS",
        "PINRIG_RIG",
        "PINRIG_FIXTURES",
        "PINRIG_FIRMWARE",
    ] {
        command.env_remove(name);
    }
    command.current_dir(support::root());
    command
}

/// Each selection fails, and says this.
fn fails_whatever_is_selected(environment: &[(&str, &str)], said: &[&str]) {
    let Some(tests) = scenarios() else { return };
    for selection in SELECTIONS {
        let output = program(&tests)
            .args(selection)
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        failed(&output, said, &format!("{environment:?} {selection:?}"));
    }
    let whole = started_by(&["cargo", "test", "--workspace", "a_test_of_another_program"], &tests)
        .arg("a_test_of_another_program")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    failed(&whole, said, &format!("{environment:?} for every test program"));
}

fn failed(output: &Output, said: &[&str], what: &str) {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(101), "{what}: {}", support::said(output));
    for said in said {
        assert!(error.contains(said), "{what}: {error}");
    }
}

/// The program, started by a process with this command line.
fn started_by(parent: &[&str], tests: &Path) -> Command {
    // The shell takes the words behind its script as `$0` and so on, and stays, since it has something to do afterwards.
    let script = r#"until [ "$1" = %% ]; do shift; done; shift; "$@"; exit $?"#;
    let mut command = program(Path::new("bash"));
    command
        .args(["-c", r#"exec -a "$0" bash -c "$@""#, parent[0], script])
        .args(parent)
        .arg("%%")
        .arg(tests);
    command
}

#[test]
fn a_board_that_does_not_exist_fails_whatever_is_selected() {
    let folder = tempfile::tempdir().unwrap();
    let rig = folder.path().join("rig.toml");
    fs::write(
        &rig,
        "[[board]]\nname = \"desk\"\nkind = \"process\"\ncommand = [\"true\"]\n",
    )
    .unwrap();
    let rig = rig.to_str().unwrap();
    let said = ["no board of the rig is typo; there are desk"];
    fails_whatever_is_selected(&[("PINRIG_RIG", rig), ("PINRIG_BOARD", "typo")], &said);
    let said = ["no board of the rig is tagged typo"];
    fails_whatever_is_selected(&[("PINRIG_RIG", rig), ("PINRIG_TAGS", "typo")], &said);
}

#[test]
fn a_broken_inventory_fails_whatever_is_selected() {
    let folder = tempfile::tempdir().unwrap();
    let rig = folder.path().join("rig.toml");
    fs::write(&rig, "[[board]]\nname = \"desk\"\nkind = \"proces\"\n").unwrap();
    let rig = rig.to_str().unwrap();
    fails_whatever_is_selected(&[("PINRIG_RIG", rig), ("PINRIG_BOARD", "desk")], &["rig.toml:3:"]);
    let missing = [("PINRIG_RIG", "no-such-rig.toml"), ("PINRIG_BOARD", "desk")];
    fails_whatever_is_selected(&missing, &["no-such-rig.toml"]);
}

#[test]
fn a_broken_or_missing_catalogue_fails_whatever_is_selected() {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = folder.path().to_str().unwrap();
    fails_whatever_is_selected(&[("PINRIG_FIXTURES", fixtures)], &["scenarios"]);
    let scenarios = folder.path().join("scenarios");
    fs::create_dir(&scenarios).unwrap();
    fails_whatever_is_selected(&[("PINRIG_FIXTURES", fixtures)], &["there is no scenario"]);
    fs::write(scenarios.join("broken.toml"), "about = 5\n").unwrap();
    fails_whatever_is_selected(&[("PINRIG_FIXTURES", fixtures)], &["broken.toml:1:"]);
}

#[test]
fn a_selection_of_no_scenario_fails_and_names_what_is_near() {
    let Some(tests) = scenarios() else { return };
    for (arguments, said) in [
        (&["pin/mathces"][..], "did you mean `pin/matches`?"),
        (&["pinn/"], "no scenario matches `pinn/`"),
        (&["mathces"], "no scenario matches `mathces`"),
        (
            &["a_test_of_another_program"],
            "no scenario matches `a_test_of_another_program`",
        ),
        (&["--exact", "pin"], "the filter `pin`, `--exact`"),
        (&["pin/", "--skip", "pin"], "`--skip pin`"),
        (&["--ignored"], "nothing was tested with `--ignored`"),
        (&["--bench"], "nothing was tested with `--bench`"),
        (&["--list", "pinn/"], "no scenario matches `pinn/`"),
    ] {
        let output = program(&tests).args(arguments).output().unwrap();
        failed(&output, &[said], &format!("{arguments:?}"));
    }
    // As a test runner asks before it runs one test by name.
    for arguments in [
        &["--list", "--format", "terse"][..],
        &["--list", "--format", "terse", "--ignored"],
    ] {
        let output = program(&tests).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", support::said(&output));
    }
}

#[test]
fn a_board_that_is_asked_to_run_none_of_the_selected_scenarios_fails() {
    let Some(tests) = scenarios() else { return };
    let folder = tempfile::tempdir().unwrap();
    let rig = folder.path().join("rig.toml");
    fs::write(
        &rig,
        "[[board]]\nname = \"desk\"\nkind = \"process\"\ncommand = [\"true\"]\n",
    )
    .unwrap();
    let output = program(&tests)
        .arg("network/cable-out-at-first")
        .envs([("PINRIG_RIG", rig.to_str().unwrap()), ("PINRIG_BOARD", "desk")])
        .output()
        .unwrap();
    let said = ["these boards are not asked to run network/cable-out-at-first"];
    failed(&output, &said, "a scenario that needs a virtual board");
}

/// `cargo test NAME` runs every test program with the same filter, and most of them have no such test.
#[test]
fn a_test_of_another_program_can_be_asked_for_by_name() {
    let Some(tests) = scenarios() else { return };
    if !Command::new("bash")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return support::skip("`bash` is not installed");
    }
    let code = |parent: &[&str], arguments: &[&str]| {
        let output = started_by(parent, &tests).args(arguments).output().unwrap();
        output.status.code()
    };
    let name = "a_test_of_another_program";
    for (parent, arguments, green) in [
        (&["cargo", "test", name][..], &[name][..], true),
        (
            &["cargo", "test", "--workspace", "--", "--ignored"],
            &["--ignored"],
            true,
        ),
        (
            &[
                "/usr/bin/cargo",
                "--locked",
                "t",
                "--test",
                "rig",
                "--test=scenarios",
                name,
            ],
            &[name],
            true,
        ),
        (&["cargo", "test", "--test", "scenarios", name], &[name], false),
        (&["cargo", "test", "--test=scenarios", name], &[name], false),
        // An alias.
        (&["cargo", "scenarios", name], &[name], false),
        (&["cargo", "scenarios", "--", "test"], &[name], false),
        (&["cargo-nextest", "test"], &[name], false),
        // Only a scenario has such a name.
        (&["cargo", "test", "pin/mathces"], &["pin/mathces"], false),
        (&["cargo", "test", "one-byte-of"], &["one-byte-of"], false),
    ] {
        let expected = if green { 0 } else { 101 };
        assert_eq!(code(parent, arguments), Some(expected), "{parent:?} {arguments:?}");
    }
}

#[test]
fn the_command_refuses_a_selection_of_nothing() {
    for (arguments, said) in [
        (&["run", "pins"][..], "no scenario matches `pins`"),
        (&["run", "pin", "pin/mathces"], "did you mean `pin/matches`?"),
        (&["run", "networks"], "did you mean `network`?"),
        (&["run", ""], "no scenario matches ``"),
        (&["list", "pin/mathces"], "did you mean `pin/matches`?"),
        (&["mutants", "pin-ignord"], "did you mean `pin-ignored`?"),
        (&["serve", "pin/mathces"], "did you mean `pin/matches`?"),
    ] {
        let output = program(Path::new(env!("CARGO_BIN_EXE_pinrig")))
            .args(arguments)
            .output()
            .unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["scenarios", "mutants"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let scenario = support::fixtures().join("scenarios/auth/no-certificate.toml");
    fs::copy(scenario, folder.path().join("scenarios/one.toml")).unwrap();
    let output = program(Path::new(env!("CARGO_BIN_EXE_pinrig")))
        .args(["mutants", "--fixtures", folder.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", support::said(&output));
    assert!(
        text(&output.stderr).contains("there is no mutant (*.toml)"),
        "{}",
        text(&output.stderr)
    );
}
