//! What a virtual board draws at random: the same from the same seed, other values for each scenario, and never twice in a process.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod support;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use pinrig::bench::{Start, VirtualBench};
use pinrig::image::Image;
use pinrig::outcome::Outcome;
use pinrig::randomness::Randomness;
use pinrig::run::Runner;
use pinrig::verdict::{Blame, Verdict};

/// Boards that are copies of one that has booted, with its image.
struct Boards {
    bench: VirtualBench,
    image: Image,
}

impl Boards {
    fn flashed() -> Self {
        let image = Image::load(&support::firmware()).unwrap();
        let bench = VirtualBench::new(Start::Forked);
        support::runner(&bench, &image, Path::new("unused")).flash().unwrap();
        Self { bench, image }
    }

    fn run(&self, name: &str, randomness: &Arc<Randomness>, out: &Path) -> Outcome {
        let runner = Runner {
            keep: true,
            randomness: Arc::clone(randomness),
            ..support::runner(&self.bench, &self.image, out)
        };
        runner.run(&support::scenario(name))
    }

    /// What the board draws in a process with this seed, in the order of its connections.
    fn drawn(&self, name: &str, seed: u64) -> Vec<String> {
        let out = tempfile::tempdir().unwrap();
        let outcome = self.run(name, &Arc::new(Randomness::new(seed)), out.path());
        assert_eq!(outcome.verdict, Verdict::Passed);
        let record = fs::read_to_string(outcome.bundle.unwrap().join("server.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let events = record.as_array().unwrap().iter();
        let drawn = events.filter_map(|event| event["drawn"].as_array()).flatten();
        drawn.map(|drawn| drawn.to_string()).collect()
    }
}

#[test]
fn copies_of_one_board_draw_by_their_seed_and_scenario() {
    let boards = Boards::flashed();
    // Two runs of the same board: a random and a key share each; and one more after the refusal.
    let first = boards.drawn("pin/exchanged-between-connections", 0);
    assert!(first.len() >= 4, "{first:?}");
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), first.len(), "{first:?}");
    assert_eq!(
        boards.drawn("pin/exchanged-between-connections", 0),
        first,
        "the same again"
    );
    let others = [
        boards.drawn("pin/exchanged-between-connections", 1),
        boards.drawn("pin/corrected", 0),
    ];
    for other in others {
        assert!(other.iter().all(|value| !first.contains(value)), "{other:?}\n{first:?}");
    }
}

#[test]
fn a_board_that_draws_what_another_has_drawn_fails() {
    let boards = Boards::flashed();
    let out = tempfile::tempdir().unwrap();
    let randomness = Arc::new(Randomness::new(0));
    let first = boards.run("pin/matches", &randomness, out.path());
    assert_eq!(first.verdict, Verdict::Passed);
    // The second board has the first one's seed: it stands for two boards that start from the same numbers.
    let second = boards.run("pin/matches", &randomness, out.path());
    let Verdict::Failed(failure) = second.verdict else {
        panic!("it must fail")
    };
    assert_eq!(failure.blame, Blame::Assertion);
    let [random, key_share] = &failure.findings[..] else {
        panic!("{:?}", failure.findings)
    };
    assert!(random.contains("a random of its own") && random.contains("pin/matches, connection 1, on virtual"));
    assert!(key_share.contains("secp256r1 key share"), "{key_share}");
}
