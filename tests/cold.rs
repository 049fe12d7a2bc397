//! A board that is copied from one that has booted behaves as one that boots by itself. One scenario of each folder of
//! `fixtures/scenarios` is run on both.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod support;

use std::collections::BTreeMap;

use pinrig::board::{Start, VirtualBench};
use pinrig::image::Image;
use pinrig::scenario::{self, Scenario};

/// Runs the first scenario of each folder on boards that start in this way. Gives their names and transcripts.
fn transcripts(start: Start) -> Vec<(String, String)> {
    let mut folders = BTreeMap::new();
    for scenario in scenario::load_all(&support::fixtures()).unwrap() {
        let folder = scenario.name.split('/').next().unwrap().to_owned();
        folders.entry(folder).or_insert(scenario);
    }
    let scenarios: Vec<Scenario> = folders.into_values().collect();
    let image = Image::load(&support::firmware()).unwrap();
    let bench = VirtualBench::new(start);
    let out = support::out();
    let runner = support::runner(&bench, &image, &out);
    runner.flash().unwrap();
    scenarios
        .iter()
        .map(|scenario| {
            let outcome = runner.run(scenario);
            assert!(outcome.passed(), "{}: {:?}", scenario.name, outcome.verdict);
            (scenario.name.clone(), outcome.transcript.snapshot())
        })
        .collect()
}

#[test]
fn a_copied_board_and_one_that_boots_say_the_same() {
    let (forked, cold) = (transcripts(Start::Forked), transcripts(Start::Cold));
    assert!(forked.len() > 2, "{forked:?}");
    assert_eq!(forked, cold);
}
