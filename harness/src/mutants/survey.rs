//! A survey: mutants are built, one after the other, and meet their scenarios.
//!
//! What enters: mutants, and a [`Workshop`] for each place. What leaves: [`Event`]s while it goes on, and a [`Judgement`] of each
//! meeting. While the scenarios of one mutant run, the next are built.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pinrig_builder::{Mutant, Witness, Workshop};

use super::accepted::Accepted;
use super::judgement::{Fate, Judgement, differs};
use super::place::{Meeting, Place, Plan, Seed};
use crate::bench::{Bench, ProcessBench, Start, VirtualBench};
use crate::board::BoardError;
use crate::file_error::FileError;
use crate::image::{Image, ImageError};
use crate::interrupt;
use crate::outcome::Outcome;
use crate::rig::{Inventory, Kind, PasswordError};
use crate::run::{RunLimits, Runner};
use crate::scenario::{self, Scenario, ScenarioError};
use crate::verdict::Blame;

/// What a survey of mutants works with.
pub struct Survey<'a> {
    /// The whole catalogue.
    pub catalogue: &'a [Scenario],
    /// The transcripts that people have accepted.
    pub accepted: &'a Accepted,
    /// Every mutant is run against every scenario that its place can show, instead of only those that must notice it.
    pub all_scenarios: bool,
    /// The image without any mistake that is kept. A process does not run it; its evidence names it.
    pub image: &'a Image,
    /// How virtual boards begin.
    pub start: Start,
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
    /// Which mutants meet their scenarios where.
    Planned {
        /// All meetings.
        plan: &'a Plan,
        /// What decided which mutants are in the sample.
        seed: Seed,
    },
    /// The firmware has been built, and its scenarios run now. Without a mutant it is the firmware as it is.
    Testing {
        /// Where.
        place: Place,
        /// The mistake in it.
        mutant: Option<&'a Mutant>,
        /// The number of scenarios.
        scenarios: usize,
    },
    /// The firmware as it is has passed every scenario that is needed.
    Honest {
        /// Where.
        place: Place,
        /// The number of those scenarios.
        scenarios: usize,
        /// How long it took to build.
        built: Duration,
        /// How long the scenarios took.
        tested: Duration,
    },
    /// A mutant has been judged.
    Judged(&'a Judgement),
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
    /// What was built cannot be a board.
    #[error(transparent)]
    Program(#[from] FileError),
    /// A process board has no network that asks for a password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// A board cannot be flashed.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// An accepted transcript cannot be read.
    #[error(transparent)]
    Snapshot(#[from] std::io::Error),
    /// The user has interrupted it before the firmware without any mistake had passed.
    #[error("interrupted before any mutant was judged")]
    Interrupted,
    /// The firmware fails without any mistake in it, so a mutant that fails proves nothing.
    #[error(
        "the firmware without any mistake fails on the {place} board: {}; look at them first: pinrig run {}",
        .scenarios.join(", "), .scenarios.join(" ")
    )]
    Honest {
        /// Where.
        place: Place,
        /// Which scenarios it fails, or shows another transcript than the accepted one.
        scenarios: Vec<String>,
    },
}

impl SurveyError {
    /// The exit code of the `pinrig` command.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Honest { .. } => Blame::Assertion.exit_code(),
            Self::Board(_) => Blame::Flash.exit_code(),
            Self::Build(_)
            | Self::Scenario { .. }
            | Self::Image(_)
            | Self::Program(_)
            | Self::Password(_)
            | Self::Snapshot(_)
            | Self::Interrupted => 2,
        }
    }
}

/// How long a mutant may take for a run. One whose time limits were removed must not cost minutes.
const RUN: Duration = Duration::from_secs(20);

/// From this number of mutants on, preparing a second workshop takes less time than it saves.
const WORTH_A_SECOND: usize = 6;

/// How many mutants meet their scenarios at once. A process that waits for a reply which does not come keeps no processor busy; a virtual
/// board does not wait.
fn judges(place: Place) -> usize {
    match place {
        Place::Host => 4,
        Place::Virtual => 1,
    }
}

struct Built {
    path: Result<PathBuf, pinrig_builder::Error>,
    took: Duration,
}

impl Survey<'_> {
    /// Each of `mutants` with the scenarios that it has to meet.
    ///
    /// # Errors
    /// A mutant names a scenario that does not exist.
    pub fn meetings(&self, mutants: Vec<Mutant>) -> Result<Vec<Meeting>, SurveyError> {
        let meeting = |mutant: Mutant| {
            let scenarios =
                scenario::select(self.catalogue, &mutant.scenarios).map_err(|cause| SurveyError::Scenario {
                    path: mutant.path.clone(),
                    cause,
                })?;
            Ok(Meeting { mutant, scenarios })
        };
        mutants.into_iter().map(meeting).collect()
    }

    /// Builds and judges the mutants of a plan at one place. `also` are scenarios that the firmware without any mistake must pass there
    /// as well: it has passed them elsewhere. Judgements come in the order of the meetings, events in the order in which the mutants
    /// were built.
    ///
    /// # Errors
    /// Where no mutant can be judged.
    pub fn run(
        &self,
        place: Place,
        workshop: &mut Workshop,
        meetings: &[Meeting],
        also: &[Meeting],
    ) -> Result<Vec<Judgement>, SurveyError> {
        let meetings: Vec<Meeting> = meetings.iter().map(|meeting| self.whole(place, meeting)).collect();
        self.honest(place, workshop, &[&meetings[..], also].concat())?;
        // The compiler keeps one processor busy for most of its time.
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut second = if meetings.len() >= WORTH_A_SECOND && processors > 1 {
            Some(workshop.second()?)
        } else {
            None
        };
        let next = AtomicUsize::new(0);
        let (send, receive) = mpsc::sync_channel(1);
        let receive = Mutex::new(receive);
        let judgements = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for workshop in [Some(workshop), second.as_mut()].into_iter().flatten() {
                let (send, next, meetings) = (send.clone(), &next, &meetings[..]);
                scope.spawn(move || build_in(workshop, meetings, next, &send));
            }
            drop(send);
            let judge = || {
                let receive = || receive.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok((index, built)) = receive() {
                    let judgement = self.judge(place, &meetings[index], built);
                    if interrupt::is_asked() {
                        // Its scenarios may have been cut off.
                        continue;
                    }
                    (self.observer)(Event::Judged(&judgement));
                    let mut judgements = judgements.lock().unwrap_or_else(PoisonError::into_inner);
                    judgements.push((index, judgement));
                }
            };
            for _ in 0..judges(place) {
                scope.spawn(judge);
            }
        });
        let mut judgements = judgements.into_inner().unwrap_or_else(PoisonError::into_inner);
        judgements.sort_by_key(|(index, _)| *index);
        Ok(judgements.into_iter().map(|(_, judgement)| judgement).collect())
    }

    /// The meeting with every scenario that is asked for.
    fn whole(&self, place: Place, meeting: &Meeting) -> Meeting {
        let mut meeting = meeting.clone();
        if self.all_scenarios {
            let shown = self.catalogue.iter().filter(|scenario| place.shows(scenario));
            meeting.scenarios = shown.cloned().collect();
        }
        meeting
    }

    /// Runs the firmware without any mistake against every scenario that a mutant needs; it must pass them all.
    fn honest(&self, place: Place, workshop: &mut Workshop, meetings: &[Meeting]) -> Result<(), SurveyError> {
        let began = Instant::now();
        let path = workshop.build(None)?;
        let built = began.elapsed();
        let meets = |meeting: &Meeting, name: &str| meeting.scenarios.iter().any(|other| other.name == name);
        let scenarios: Vec<Scenario> = self
            .catalogue
            .iter()
            .filter(|scenario| meetings.iter().any(|meeting| meets(meeting, &scenario.name)))
            .cloned()
            .collect();
        (self.observer)(Event::Testing {
            place,
            mutant: None,
            scenarios: scenarios.len(),
        });
        let began = Instant::now();
        let outcomes = self.outcomes(place, &path, &scenarios, &self.out.join("honest"))?;
        let mut failed = Vec::new();
        for outcome in &outcomes {
            let name = &outcome.scenario.name;
            let by_snapshot = |meeting: &Meeting| meeting.mutant.seen_by == Witness::Snapshot && meets(meeting, name);
            if !outcome.passed() || (meetings.iter().any(by_snapshot) && differs(outcome, self.accepted)?) {
                failed.push(name.clone());
            }
        }
        if interrupt::is_asked() {
            return Err(SurveyError::Interrupted);
        }
        if !failed.is_empty() {
            return Err(SurveyError::Honest {
                place,
                scenarios: failed,
            });
        }
        (self.observer)(Event::Honest {
            place,
            scenarios: scenarios.len(),
            built,
            tested: began.elapsed(),
        });
        Ok(())
    }

    fn judge(&self, place: Place, meeting: &Meeting, built: Built) -> Judgement {
        let Meeting { mutant, scenarios } = meeting;
        let judgement = |fate, tested| Judgement {
            mutant: mutant.clone(),
            place,
            fate,
            built: built.took,
            tested,
        };
        let path = match &built.path {
            Ok(path) => path,
            Err(error) => return judgement(Fate::NotBuilt(error.to_string()), Duration::ZERO),
        };
        (self.observer)(Event::Testing {
            place,
            mutant: Some(mutant),
            scenarios: scenarios.len(),
        });
        let began = Instant::now();
        let out = self.out.join(format!("{}-{place}", mutant.name));
        let fate = match self.outcomes(place, path, scenarios, &out) {
            Ok(outcomes) => Fate::of(mutant, &outcomes, self.accepted),
            Err(error) => Fate::BenchBroke(error.to_string()),
        };
        if let Fate::Caught(_) = fate {
            // There is nothing to look into. A folder that cannot be removed does no harm.
            let _ = fs::remove_dir_all(&out);
        }
        judgement(fate, began.elapsed())
    }

    /// What scenarios make of what was built.
    fn outcomes(
        &self,
        place: Place,
        path: &Path,
        scenarios: &[Scenario],
        out: &Path,
    ) -> Result<Vec<Outcome>, SurveyError> {
        let (image, bench): (Image, Box<dyn Bench>) = match place {
            Place::Virtual => (Image::load(path)?, Box::new(VirtualBench::new(self.start))),
            Place::Host => (self.image.clone(), Box::new(process(path)?)),
        };
        let runner = Runner {
            bench: &*bench,
            image: &image,
            limits: RunLimits {
                run: RUN,
                ..RunLimits::default()
            },
            out,
            keep: false,
            randomness: Arc::default(),
            observer: &|_| {},
        };
        runner.flash()?;
        Ok(runner.run_all(scenarios, self.jobs))
    }
}

/// The bench of the program at `path`.
fn process(path: &Path) -> Result<ProcessBench, SurveyError> {
    let program = path.to_string_lossy();
    let board = toml::Table::from_iter([
        ("name".to_owned(), toml::Value::from("host")),
        ("kind".to_owned(), toml::Value::from("process")),
        ("command".to_owned(), toml::Value::from(vec![&*program])),
    ]);
    let rig = toml::Table::from_iter([("board".to_owned(), toml::Value::from(vec![board]))]);
    let inventory = Inventory::parse(&path.with_extension("rig.toml"), &rig.to_string())?;
    let [entry] = &inventory.boards[..] else {
        unreachable!("the text names one board")
    };
    let Kind::Process(process) = &entry.kind else {
        unreachable!("the text names a process")
    };
    Ok(ProcessBench::new(entry, process)?)
}

/// Builds mutants one after the other, each that the other workshop has not begun, until none is left.
fn build_in(workshop: &mut Workshop, meetings: &[Meeting], next: &AtomicUsize, send: &SyncSender<(usize, Built)>) {
    // The second workshop has not built the firmware as it is. If it cannot, the first one builds all mutants.
    if !workshop.has_honest() && workshop.build(None).is_err() {
        return;
    }
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(meeting) = meetings.get(index).filter(|_| !interrupt::is_asked()) else {
            return;
        };
        let began = Instant::now();
        let path = workshop.build(Some(&meeting.mutant));
        let took = began.elapsed();
        if send.send((index, Built { path, took })).is_err() {
            return;
        }
    }
}
