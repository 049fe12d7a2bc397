//! Tests the tests: the catalogue against firmware with mistakes that were put in on purpose.
//!
//! What enters: [`Mutant`]s, a [`Workshop`] that builds them, scenarios, and a bench for each image. What leaves: [`Event`]s
//! while it goes on, and a [`Judgement`] of each mutant. The firmware without any mistake comes first: a scenario that it
//! fails says nothing about a mutant. This module does not know what a mistake is about.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use pinrig_builder::{Mutant, Workshop};

use crate::bench::Bench;
use crate::board::BoardError;
use crate::image::{Image, ImageError};
use crate::interrupt;
use crate::outcome::Outcome;
use crate::run::{RunLimits, Runner};
use crate::scenario::{self, Scenario, ScenarioError};
use crate::verdict::{Blame, Verdict};

/// What a survey of mutants works with.
pub struct Survey<'a> {
    /// The whole catalogue.
    pub catalogue: &'a [Scenario],
    /// Every mutant is run against every scenario, instead of only those that must notice it.
    pub all_scenarios: bool,
    /// Makes a bench for one image.
    pub bench: &'a (dyn Fn() -> Box<dyn Bench> + Sync),
    /// How many boards run at once.
    pub jobs: NonZeroUsize,
    /// The folder for the evidence of mutants that were not caught.
    pub out: &'a Path,
    /// Gets every event.
    pub observer: &'a (dyn Fn(Event<'_>) + Sync),
}

impl std::fmt::Debug for Survey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Survey")
            .field("all_scenarios", &self.all_scenarios)
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

/// What happens during a survey.
#[derive(Debug)]
pub enum Event<'a> {
    /// An image has been built, and its scenarios run now. Without a mutant it is the firmware as it is.
    Testing {
        /// The mistake in it.
        mutant: Option<&'a Mutant>,
        /// The number of scenarios.
        scenarios: usize,
    },
    /// The firmware as it is has passed every scenario that is needed.
    Honest {
        /// The number of those scenarios.
        scenarios: usize,
        /// The image's identity.
        image: &'a str,
        /// How long it took to build.
        built: Duration,
        /// How long the scenarios took.
        tested: Duration,
    },
    /// A mutant has been judged.
    Judged(&'a Judgement),
}

/// What the scenarios made of one mutant.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The mutant.
    pub mutant: Mutant,
    /// Whether it was noticed.
    pub fate: Fate,
    /// The identity of its image; `None` where it could not be built.
    pub image: Option<String>,
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
    /// Its image could not be built, for this reason.
    NotBuilt(String),
    /// The bench broke, for this reason, so the mutant is not judged.
    BenchBroke(String),
}

/// Why a survey has no result.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The firmware cannot be built as it is.
    #[error(transparent)]
    Build(#[from] pinrig_builder::Error),
    /// A mutant names a scenario that does not exist.
    #[error("{}: {cause}", path.display())]
    Scenario {
        /// The mutant's file.
        path: PathBuf,
        /// Which name.
        cause: ScenarioError,
    },
    /// What was built is not an image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A board cannot be flashed.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// The user has interrupted it before the firmware without any mistake had passed.
    #[error("interrupted before any mutant was judged")]
    Interrupted,
    /// The firmware fails without any mistake in it, so a mutant that fails proves nothing.
    #[error("the firmware without any mistake fails {}; look at them first: pinrig run {}", .0.join(", "), .0.join(" "))]
    Honest(Vec<String>),
}

impl SurveyError {
    /// The exit code of the `pinrig` command.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Honest(_) => Blame::Assertion.exit_code(),
            Self::Board(_) => Blame::Flash.exit_code(),
            Self::Build(_) | Self::Scenario { .. } | Self::Image(_) | Self::Interrupted => 2,
        }
    }
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
}

/// How long a mutant may take for a run. One whose time limits were removed must not cost minutes.
const RUN: Duration = Duration::from_secs(20);

/// From this number of mutants on, preparing a second workshop takes less time than it saves.
const WORTH_A_SECOND: usize = 6;

struct Built {
    image: Result<Image, SurveyError>,
    took: Duration,
}

impl Survey<'_> {
    /// Builds and judges `mutants`; while the scenarios of one run, the next are built. Judgements come in the order of
    /// `mutants`, events in the order in which they were built.
    ///
    /// # Errors
    /// Where no mutant can be judged.
    pub fn run(&self, workshop: &mut Workshop, mutants: &[Mutant]) -> Result<Vec<Judgement>, SurveyError> {
        let wanted: Vec<Vec<Scenario>> = mutants
            .iter()
            .map(|mutant| self.wanted(mutant))
            .collect::<Result<_, _>>()?;
        self.honest(workshop, &wanted)?;
        // Compiling one image keeps one processor busy.
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut second = if mutants.len() >= WORTH_A_SECOND && processors > 1 {
            Some(workshop.second()?)
        } else {
            None
        };
        let next = AtomicUsize::new(0);
        let (send, receive) = mpsc::sync_channel(1);
        let mut judgements: Vec<(usize, Judgement)> = thread::scope(|scope| {
            for workshop in [Some(workshop), second.as_mut()].into_iter().flatten() {
                let (send, next) = (send.clone(), &next);
                scope.spawn(move || build_in(workshop, mutants, next, &send));
            }
            drop(send);
            // Once the user interrupts it, a mutant whose scenarios were cut off is not judged.
            let judged = receive.iter().filter_map(|(index, built)| {
                let judgement = self.judge(&mutants[index], built, &wanted[index]);
                if interrupt::is_asked() {
                    return None;
                }
                (self.observer)(Event::Judged(&judgement));
                Some((index, judgement))
            });
            judged.collect()
        });
        judgements.sort_by_key(|(index, _)| *index);
        Ok(judgements.into_iter().map(|(_, judgement)| judgement).collect())
    }

    fn wanted(&self, mutant: &Mutant) -> Result<Vec<Scenario>, SurveyError> {
        let named = scenario::select(self.catalogue, &mutant.scenarios).map_err(|cause| SurveyError::Scenario {
            path: mutant.path.clone(),
            cause,
        })?;
        Ok(if self.all_scenarios {
            self.catalogue.to_vec()
        } else {
            named
        })
    }

    /// Runs the firmware without any mistake against every scenario that a mutant needs; it must pass them all.
    fn honest(&self, workshop: &mut Workshop, wanted: &[Vec<Scenario>]) -> Result<(), SurveyError> {
        let began = Instant::now();
        let image = Image::load(&workshop.build(None)?)?;
        let built = began.elapsed();
        let is_wanted = |scenario: &&Scenario| wanted.iter().flatten().any(|other| other.name == scenario.name);
        let scenarios: Vec<Scenario> = self.catalogue.iter().filter(is_wanted).cloned().collect();
        (self.observer)(Event::Testing {
            mutant: None,
            scenarios: scenarios.len(),
        });
        let began = Instant::now();
        let outcomes = self.outcomes(&image, &scenarios, &self.out.join("honest"))?;
        let failed: Vec<String> = outcomes
            .into_iter()
            .filter(|outcome| !outcome.passed())
            .map(|outcome| outcome.scenario.name)
            .collect();
        if interrupt::is_asked() {
            return Err(SurveyError::Interrupted);
        }
        if !failed.is_empty() {
            return Err(SurveyError::Honest(failed));
        }
        (self.observer)(Event::Honest {
            scenarios: scenarios.len(),
            image: image.identity(),
            built,
            tested: began.elapsed(),
        });
        Ok(())
    }

    fn judge(&self, mutant: &Mutant, built: Built, scenarios: &[Scenario]) -> Judgement {
        let judgement = |fate, image, tested| Judgement {
            mutant: mutant.clone(),
            fate,
            image,
            built: built.took,
            tested,
        };
        let image = match &built.image {
            Ok(image) => image,
            Err(error) => return judgement(Fate::NotBuilt(error.to_string()), None, Duration::ZERO),
        };
        (self.observer)(Event::Testing {
            mutant: Some(mutant),
            scenarios: scenarios.len(),
        });
        let began = Instant::now();
        let out = self.out.join(&mutant.name);
        let fate = match self.outcomes(image, scenarios, &out) {
            Ok(outcomes) => fate(&outcomes, &mutant.scenarios),
            Err(error) => Fate::BenchBroke(error.to_string()),
        };
        if let Fate::Caught(_) = fate {
            // There is nothing to look into. A folder that cannot be removed does no harm.
            let _ = fs::remove_dir_all(&out);
        }
        judgement(fate, Some(image.identity().to_owned()), began.elapsed())
    }

    fn outcomes(&self, image: &Image, scenarios: &[Scenario], out: &Path) -> Result<Vec<Outcome>, BoardError> {
        let bench = (self.bench)();
        let runner = Runner {
            bench: &*bench,
            image,
            limits: RunLimits {
                run: RUN,
                ..RunLimits::default()
            },
            out,
            keep: false,
            observer: &|_| {},
        };
        runner.flash()?;
        Ok(runner.run_all(scenarios, self.jobs))
    }
}

/// Builds mutants one after the other, each that the other workshop has not begun, until none is left.
fn build_in(workshop: &mut Workshop, mutants: &[Mutant], next: &AtomicUsize, send: &SyncSender<(usize, Built)>) {
    // The second workshop has not built the firmware as it is. If it cannot, the first one builds all mutants.
    if !workshop.has_honest() && workshop.build(None).is_err() {
        return;
    }
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(mutant) = mutants.get(index).filter(|_| !interrupt::is_asked()) else {
            return;
        };
        let began = Instant::now();
        let path = workshop.build(Some(mutant)).map_err(SurveyError::from);
        let image = path.and_then(|path| Ok(Image::load(&path)?));
        let took = began.elapsed();
        if send.send((index, Built { image, took })).is_err() {
            return;
        }
    }
}

/// Whether a mutant was noticed, by the outcomes of its scenarios. Only failures of the firmware count.
fn fate(outcomes: &[Outcome], must_notice: &[String]) -> Fate {
    let mut caught_by = Vec::new();
    for outcome in outcomes {
        let Verdict::Failed(failure) = &outcome.verdict else {
            continue;
        };
        match failure.blame {
            Blame::Assertion | Blame::Crash | Blame::Hang => caught_by.push(outcome.scenario.name.clone()),
            Blame::Flash | Blame::Rig | Blame::Network => {
                let findings = failure.findings.join("; ");
                return Fate::BenchBroke(format!("{}: {findings}", outcome.scenario.name));
            }
        }
    }
    let has_noticed = |pattern: &str| caught_by.iter().any(|name| scenario::is_meant(pattern, name));
    let by: Vec<String> = must_notice
        .iter()
        .filter(|pattern| !has_noticed(pattern))
        .cloned()
        .collect();
    if by.is_empty() {
        Fate::Caught(caught_by)
    } else {
        Fate::Missed { by, caught_by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::ServerEvidence;
    use crate::scenario::Run;
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
                about: String::new(),
                runs: vec![Run::honest()],
                repeat: 1,
            },
            verdict: blame.map_or(Verdict::Passed, failed),
            transcript: Transcript::default(),
            server: ServerEvidence::default(),
            took: Duration::ZERO,
            skipped: Duration::ZERO,
            bundle: None,
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn each_named_scenario_and_one_of_each_named_folder_must_notice() {
        let outcomes = [
            outcome("pin/a", None),
            outcome("pin/b", Some(Blame::Assertion)),
            outcome("pins/c", Some(Blame::Hang)),
        ];
        let fate = |must_notice: &[&str]| fate(&outcomes, &names(must_notice));
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
            assert_eq!(
                fate(&broken, &names(&["a"])),
                Fate::BenchBroke("b: what was seen".to_owned())
            );
        }
    }
}
