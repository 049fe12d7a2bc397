//! A selection of scenarios that selects none: is it a mistake?
//!
//! `cargo test NAME` gives the same filter to every test program, and most of them have no such test. That is right, and no failure.
//! So an empty selection is refused where nothing but a scenario can be meant: the filter has a character that no test function's name
//! has, or this program is the only one that was asked for.
//!
//! What enters: the arguments of the test program, its trials, and the command line of the process that has started it. What leaves: why
//! the selection is refused.

#![allow(dead_code, reason = "each test target uses its own part of this module")]

use std::path::Path;

use libtest_mimic::{Arguments, Trial};
use pinrig::scenario::{self, Scenario};

/// The name of the test target.
const TARGET: &str = "scenarios";

/// Why these arguments are refused, if they are.
pub(crate) fn refusal(arguments: &Arguments, trials: &[Trial], all: &[Scenario], parent: &[String]) -> Option<String> {
    let is_listed = |trial: &&Trial| !arguments.is_filtered_out(trial);
    let is_run = |trial: &&Trial| is_listed(trial) && (arguments.list || !arguments.is_ignored(trial));
    if trials.iter().any(|trial| is_run(&trial)) {
        return None;
    }
    // A test runner asks for both lists before it chooses.
    if arguments.list && arguments.filter.is_none() {
        return None;
    }
    let can_be_elsewhere = arguments.filter.as_deref().is_none_or(is_name_of_function);
    if can_be_elsewhere && other_targets_are_asked_for(parent, TARGET) {
        return None;
    }
    let ignored: Vec<&str> = trials.iter().filter(is_listed).map(Trial::name).collect();
    let why = match (&ignored[..], &arguments.filter) {
        ([], Some(filter)) => match scenario::select(all, std::slice::from_ref(filter)) {
            Err(unknown) => unknown.to_string(),
            Ok(_) => format!("there are scenarios that `{filter}` names, and the other arguments leave none of them"),
        },
        ([], None) => "the arguments leave no scenario".to_owned(),
        (ignored, _) => format!(
            "these boards are not asked to run {}; see `skip` in rig.toml, or add --include-ignored",
            ignored.join(", ")
        ),
    };
    Some(format!("nothing was tested with {}: {why}", words(arguments)))
}

/// The arguments that select.
fn words(arguments: &Arguments) -> String {
    let flag = |set: bool, name: &str| set.then(|| format!("`{name}`"));
    let skip = arguments.skip.iter().map(|skip| format!("`--skip {skip}`"));
    let words: Vec<String> = arguments
        .filter
        .iter()
        .map(|filter| format!("the filter `{filter}`"))
        .chain(flag(arguments.exact, "--exact"))
        .chain(flag(arguments.ignored, "--ignored"))
        .chain(flag(arguments.bench, "--bench"))
        .chain(skip)
        .collect();
    if words.is_empty() {
        return "these boards".to_owned();
    }
    words.join(", ")
}

/// Whether a filter can be a part of the path of a test function, which another test program may have.
fn is_name_of_function(filter: &str) -> bool {
    filter.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':')
}

/// Whether the process with this command line is `cargo test` for more targets than `this`. Any other process, a cargo with an alias
/// for example, has asked for this one.
pub(crate) fn other_targets_are_asked_for(parent: &[String], this: &str) -> bool {
    let Some((program, arguments)) = parent.split_first() else {
        return false;
    };
    let mut arguments = arguments.iter().map(String::as_str).take_while(|word| *word != "--");
    let is_cargo = Path::new(program).file_name().is_some_and(|name| name == "cargo");
    if !is_cargo || !arguments.any(|word| matches!(word, "test" | "t")) {
        return false;
    }
    let mut targets = Vec::new();
    while let Some(word) = arguments.next() {
        match word.strip_prefix("--test") {
            Some("") => targets.extend(arguments.next()),
            Some(value) => targets.extend(value.strip_prefix('=')),
            None => {}
        }
    }
    targets.is_empty() || targets.iter().any(|target| *target != this)
}

/// The command line of the process that has started this one; empty where the system does not show it.
pub(crate) fn parent() -> Vec<String> {
    let id = std::os::unix::process::parent_id();
    let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let words = line
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned());
    words.filter(|word| !word.is_empty()).collect()
}
