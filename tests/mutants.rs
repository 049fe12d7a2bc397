//! The mutants as data: each must still fit the sources, and name scenarios that exist. Whether the scenarios catch them takes a compiler
//! for the chip and some minutes; `pinrig mutants` finds that out.

mod support;

use std::process::Command;

use pinrig::scenario;
use pinrig_builder::Mutant;

fn mutants() -> Vec<Mutant> {
    Mutant::load_all(&support::fixtures().join("mutants")).unwrap_or_else(|error| panic!("{error}"))
}

/// Otherwise `pinrig mutants` would find a patch that no longer applies only after some minutes.
#[test]
fn every_mutant_changes_one_place_of_todays_sources() {
    let mutants = mutants();
    assert!(mutants.len() >= 110, "only {} mutants", mutants.len());
    for mutant in &mutants {
        if let Err(error) = mutant.apply(support::root()) {
            panic!("{error}");
        }
    }
}

#[test]
fn every_mutant_names_scenarios_that_exist() {
    let catalogue = scenario::load_all(&support::fixtures()).unwrap();
    for mutant in mutants() {
        let named = scenario::select(&catalogue, &mutant.scenarios);
        if let Err(error) = named {
            panic!("{}: {error}", mutant.path.display());
        }
    }
}

/// A second mutant with the same mistake would measure nothing more.
#[test]
fn no_two_mutants_are_the_same() {
    let mutants = mutants();
    for (index, mutant) in mutants.iter().enumerate() {
        let changed = mutant.apply(support::root()).unwrap();
        for other in &mutants[..index] {
            let same = other.source == mutant.source && other.apply(support::root()).unwrap() == changed;
            assert!(!same, "{} is {}", mutant.name, other.name);
        }
    }
}

#[test]
fn a_wrong_command_line_is_refused_before_anything_is_built() {
    for (arguments, message) in [
        (
            &["mutants", "pin-ignord"][..],
            "there is no mutant `pin-ignord`; did you mean `pin-ignored`?",
        ),
        (&["mutants", "--firmware", "x.elf"], "leave --firmware"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_pinrig"))
            .current_dir(support::root())
            .args(arguments)
            .env_remove("PINRIG_FIRMWARE")
            .output()
            .unwrap();
        let said = support::text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(message), "{said}");
    }
}
