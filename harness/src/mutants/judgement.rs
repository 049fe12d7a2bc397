//! What scenarios made of a mutant.
//!
//! What enters: the outcomes of the scenarios that a mutant met. What leaves: its [`Fate`].

use std::io;
use std::time::Duration;

use pinrig_builder::{Mutant, Witness};

use super::accepted::Accepted;
use super::place::Place;
use crate::outcome::Outcome;
use crate::scenario;
use crate::verdict::{Blame, Verdict};

/// What the scenarios made of one mutant at one place.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The mutant.
    pub mutant: Mutant,
    /// Where it met its scenarios.
    pub place: Place,
    /// Whether it was noticed.
    pub fate: Fate,
    /// How long it took to build.
    pub built: Duration,
    /// How long its scenarios took.
    pub tested: Duration,
}

/// Whether a mutant was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Noticed by all scenarios that must notice it; these are all that did.
    Caught(Vec<String>),
    /// Not noticed by all scenarios that must notice it.
    Missed {
        /// The scenarios and folders that should have noticed.
        by: Vec<String>,
        /// The scenarios that have.
        caught_by: Vec<String>,
    },
    /// It could not be built, for this reason.
    NotBuilt(String),
    /// The bench broke, for this reason, so the mutant is not judged.
    BenchBroke(String),
}

impl Fate {
    /// The exit code of the `pinrig` command; the highest of all mutants' decides.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Caught(_) => 0,
            Self::Missed { .. } => Blame::Assertion.exit_code(),
            Self::NotBuilt(_) => 2,
            Self::BenchBroke(_) => Blame::Rig.exit_code(),
        }
    }

    /// Whether a mutant was noticed, by the outcomes of its scenarios. Of the failures only those of the firmware count. For a mutant
    /// that no verdict sees, another transcript than the accepted one counts as well.
    pub(super) fn of(mutant: &Mutant, outcomes: &[Outcome], accepted: &Accepted) -> Self {
        let mut caught_by = Vec::new();
        for outcome in outcomes {
            let name = &outcome.scenario.name;
            let Verdict::Failed(failure) = &outcome.verdict else {
                if mutant.seen_by == Witness::Snapshot {
                    match differs(outcome, accepted) {
                        Ok(true) => caught_by.push(name.clone()),
                        Ok(false) => {}
                        Err(error) => return Self::BenchBroke(error.to_string()),
                    }
                }
                continue;
            };
            match failure.blame {
                Blame::Assertion | Blame::Crash | Blame::Hang => caught_by.push(name.clone()),
                Blame::Flash | Blame::Rig | Blame::Network => {
                    return Self::BenchBroke(format!("{name}: {}", failure.findings.join("; ")));
                }
            }
        }
        let has_noticed = |pattern: &str| caught_by.iter().any(|name| scenario::is_meant(pattern, name));
        let by: Vec<String> = mutant
            .scenarios
            .iter()
            .filter(|pattern| !has_noticed(pattern))
            .cloned()
            .collect();
        if by.is_empty() {
            Self::Caught(caught_by)
        } else {
            Self::Missed { by, caught_by }
        }
    }
}

/// Whether the transcript of a scenario that has passed is another one than the accepted.
pub(super) fn differs(outcome: &Outcome, accepted: &Accepted) -> io::Result<bool> {
    if outcome.scenario.variant.is_some() {
        // It has no snapshot.
        return Ok(false);
    }
    let is_accepted = accepted.is(&outcome.scenario.name, &outcome.transcript.snapshot())?;
    Ok(!is_accepted)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::evidence::ServerEvidence;
    use crate::scenario::{Run, Scenario};
    use crate::transcript::Transcript;
    use crate::verdict::Failure;

    fn outcome(name: &str, blame: Option<Blame>) -> Outcome {
        let failed = |blame| {
            Verdict::Failed(Failure {
                blame,
                findings: vec!["what was seen".to_owned()],
            })
        };
        Outcome {
            board: None,
            scenario: Scenario {
                name: name.to_owned(),
                variant: None,
                about: String::new(),
                runs: vec![Run::honest()],
                repeat: 1,
            },
            verdict: blame.map_or(Verdict::Passed, failed),
            transcript: Transcript::default(),
            server: ServerEvidence::default(),
            network: None,
            took: Duration::ZERO,
            skipped: Duration::ZERO,
            bundle: None,
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// A mutant that these must notice.
    fn mutant(seen_by: &str, must_notice: &[&str]) -> Mutant {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mutant.toml");
        let file = "about = \"x\"\nfile = \"app/src/a.rs\"\nfind = \"a\"\nreplace = \"b\"";
        fs::write(
            &path,
            format!("{file}\nseen-by = {seen_by:?}\nscenarios = {must_notice:?}\n"),
        )
        .unwrap();
        Mutant::load(&path).unwrap()
    }

    fn fate(outcomes: &[Outcome], must_notice: &[&str]) -> Fate {
        let accepted = Accepted::in_folder(Path::new("/nonexistent"));
        Fate::of(&mutant("verdict", must_notice), outcomes, &accepted)
    }

    #[test]
    fn each_named_scenario_and_one_of_each_named_folder_must_notice() {
        let outcomes = [
            outcome("pin/a", None),
            outcome("pin/b", Some(Blame::Assertion)),
            outcome("pins/c", Some(Blame::Hang)),
        ];
        let fate = |must_notice: &[&str]| fate(&outcomes, must_notice);
        for must_notice in [&["pin"][..], &["pin/b"], &["pin/b", "pins"]] {
            assert_eq!(
                fate(must_notice),
                Fate::Caught(names(&["pin/b", "pins/c"])),
                "{must_notice:?}"
            );
        }
        for (must_notice, by) in [
            (&["pin/a"][..], "pin/a"),
            (&["pin", "pi"], "pi"),
            (&["pins/c", "pin/a"], "pin/a"),
        ] {
            let missed = Fate::Missed {
                by: names(&[by]),
                caught_by: names(&["pin/b", "pins/c"]),
            };
            assert_eq!(fate(must_notice), missed, "{must_notice:?}");
        }
    }

    #[test]
    fn a_failure_of_the_bench_catches_no_mutant() {
        for blame in [Blame::Rig, Blame::Flash, Blame::Network] {
            let broken = [outcome("a", Some(Blame::Crash)), outcome("b", Some(blame))];
            assert_eq!(fate(&broken, &["a"]), Fate::BenchBroke("b: what was seen".to_owned()));
        }
    }

    #[test]
    fn a_transcript_that_differs_is_noticed_only_where_the_mutant_asks_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let accepted = Accepted::in_folder(folder.path());
        let outcomes = [outcome("pin/a", None), outcome("pin/b", None)];
        fs::write(folder.path().join("pin__a.snap"), "---\nsource: x\n---\n").unwrap();
        fs::write(folder.path().join("pin__b.snap"), "---\nsource: x\n---\nother words\n").unwrap();
        let by_snapshot = |must_notice| Fate::of(&mutant("snapshot", must_notice), &outcomes, &accepted);
        assert_eq!(by_snapshot(&["pin/b"]), Fate::Caught(names(&["pin/b"])));
        let missed = |by| Fate::Missed {
            by: names(&["pin/a"]),
            caught_by: names(by),
        };
        assert_eq!(by_snapshot(&["pin/a"]), missed(&["pin/b"]));
        assert_eq!(
            Fate::of(&mutant("verdict", &["pin/a"]), &outcomes, &accepted),
            missed(&[])
        );
        fs::remove_file(folder.path().join("pin__b.snap")).unwrap();
        assert!(matches!(by_snapshot(&["pin/b"]), Fate::BenchBroke(_)));
    }
}
