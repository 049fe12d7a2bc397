//! The bench that a user asks for: virtual boards, or boards of the rig.
//!
//! What enters: a choice, and the rig. What leaves: a [`Bench`] whose boards this process holds, and the scenarios that
//! it is not asked to run.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

use super::{Bench, ProcessBench, SerialBench, Start, VirtualBench};
use crate::board::{Claim, ClaimError, Claimed, LeftOut, Take};
use crate::deadline::Deadline;
use crate::rig::{BoardName, Choice, ChoiceError, Kind, LockError, Rig, ScenarioPattern};
use crate::scenario::{Scenario, ScenarioError, is_meant, select};

/// Why there is no bench.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The choice leads to no board.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// This process holds none of the boards.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The inventory skips a scenario that does not exist.
    #[error("{path}: `skip` of board `{board}`: {cause}", path = .path.display())]
    Skip {
        /// The inventory.
        path: PathBuf,
        /// The board.
        board: BoardName,
        /// The name that does not exist.
        cause: ScenarioError,
    },
}

/// The bench for `choice`. Boards that other processes hold are waited for at most `wait`; `waiting` is told before.
///
/// # Errors
/// When the choice leads to no board, or none of its boards can be used.
pub fn bench_for(
    choice: &Choice,
    rig: &Rig,
    start: Start,
    wait: Duration,
    waiting: impl FnOnce(&LockError),
) -> Result<Box<dyn Bench>, BenchError> {
    if choice.is_virtual() {
        return Ok(Box::new(VirtualBench::new(start)));
    }
    if let [entry] = choice.all(rig.inventory.as_ref())?[..]
        && let Kind::Process(process) = &entry.kind
    {
        let bench = ProcessBench::new(entry, process);
        let bench = bench.map_err(|error| ClaimError::None(vec![LeftOut::because(entry.name.as_str(), error)]))?;
        return Ok(Box::new(bench));
    }
    Ok(Box::new(SerialBench::new(claim(choice, rig, wait, waiting)?)))
}

/// Scenarios that boards are not asked to run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Skipped(BTreeMap<String, String>);

impl Skipped {
    /// Why the scenario with this name is skipped, if it is.
    #[must_use]
    pub fn why(&self, scenario: &str) -> Option<&str> {
        self.0.get(scenario).map(String::as_str)
    }
}

/// Those of `scenarios` that the boards for `choice` are not asked to run. The boards of a pool share the work, so what
/// one of them skips is skipped.
///
/// # Errors
/// When the choice leads to no board, or a board skips a scenario that does not exist.
pub fn skipped(choice: &Choice, rig: &Rig, scenarios: &[Scenario]) -> Result<Skipped, BenchError> {
    let mut skipped = BTreeMap::new();
    if choice.is_virtual() {
        return Ok(Skipped(skipped));
    }
    for entry in choice.all(rig.inventory.as_ref())? {
        for skip in &entry.skip {
            for patterns in [&skip.scenarios, &skip.except] {
                // A pattern that fits no scenario is a mistake in the inventory.
                let names: Vec<String> = patterns.iter().map(ToString::to_string).collect();
                select(scenarios, &names).map_err(|cause| BenchError::Skip {
                    path: rig
                        .inventory
                        .as_ref()
                        .map_or_else(PathBuf::new, |inventory| inventory.path.clone()),
                    board: entry.name.clone(),
                    cause,
                })?;
            }
            let fits = |patterns: &[ScenarioPattern], name: &str| {
                patterns.iter().any(|pattern| is_meant(pattern.as_str(), name))
            };
            for Scenario { name, .. } in scenarios {
                if fits(&skip.scenarios, name) && !fits(&skip.except, name) {
                    skipped.insert(name.clone(), skip.why.to_string());
                }
            }
        }
    }
    // pinrig cannot disturb a real network.
    for scenario in scenarios.iter().filter(|scenario| scenario.disturbs_network()) {
        let why = "only a virtual board's network can be disturbed";
        skipped.insert(scenario.name.clone(), why.to_owned());
    }
    Ok(Skipped(skipped))
}

/// The boards of the rig for `choice`, taken for this process. Boards that other processes hold are waited for at most
/// `wait`; `waiting` is told before.
///
/// # Errors
/// When the choice leads to no board, or none of its boards can be used.
pub fn claim(
    choice: &Choice,
    rig: &Rig,
    wait: Duration,
    waiting: impl FnOnce(&LockError),
) -> Result<Claimed, BenchError> {
    // nextest runs each test in a process of its own: one that took all boards would leave none to the others.
    let take = if env::var_os("NEXTEST").is_some() {
        Take::One
    } else {
        Take::All
    };
    let claim = Claim {
        entries: &choice.all(rig.inventory.as_ref())?,
        take,
        images: choice.images,
    };
    let deadline = Deadline::after("a board that another process holds", wait);
    Ok(claim.hold(rig, &deadline, waiting)?)
}
