//! The bench that a user means: virtual boards, or those of the rig.
//!
//! What enters: a choice and the folder in which it is made. What leaves: a [`Bench`] whose boards this process holds, and which
//! scenarios it is not asked to run.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Bench, ProcessBench, SerialBench, Start, VirtualBench};
use crate::board::{Claim, ClaimError, Claimed, SerialBoard};
use crate::deadline::Deadline;
use crate::rig::{Choice, ChoiceError, Entry, Inventory, InventoryError, Kind, LockError, Locks, Ports};
use crate::scenario::{Scenario, ScenarioError, is_meant, select};

/// Why there is no bench.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The inventory is wrong.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// No board is meant.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// None that is meant can be had.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The inventory skips what no scenario is called.
    #[error("{path}: `skip` of board `{board}`: {source}", path = .path.display())]
    Skip {
        /// The inventory.
        path: PathBuf,
        /// The board.
        board: String,
        /// What is not there.
        source: ScenarioError,
    },
}

/// The bench for `choice`, made in `folder`. Boards that other processes hold are waited for at most `wait`; `waiting` is told first.
///
/// # Errors
/// When no board is meant, or none that is can be had.
pub fn bench_for(
    choice: &Choice,
    folder: &Path,
    start: Start,
    wait: Duration,
    waiting: impl FnOnce(&LockError),
) -> Result<Box<dyn Bench>, BenchError> {
    if choice.is_virtual() {
        return Ok(Box::new(VirtualBench::new(start)));
    }
    let inventory = Inventory::find(folder)?;
    let entries = choice.all(inventory.as_ref())?;
    if let [entry] = entries[..]
        && entry.kind == Kind::Process
    {
        let path = inventory.as_ref().map_or(Path::new(""), |inventory| &inventory.path);
        let bench = ProcessBench::new(entry, path).map_err(ClaimError::from)?;
        return Ok(Box::new(bench));
    }
    Ok(Box::new(SerialBench::new(claim(choice, folder, wait, waiting)?)))
}

/// The names of those of `scenarios` that the boards for `choice` are not asked to run, and why. The boards of a pool share the work, so
/// what one of them skips is skipped.
///
/// # Errors
/// When no board is meant, or a board skips what no scenario is called.
pub fn skipped(choice: &Choice, folder: &Path, scenarios: &[Scenario]) -> Result<BTreeMap<String, String>, BenchError> {
    let mut reasons = BTreeMap::new();
    if choice.is_virtual() {
        return Ok(reasons);
    }
    let inventory = Inventory::find(folder)?;
    let path = inventory.as_ref().map_or(Path::new(""), |inventory| &inventory.path);
    for entry in choice.all(inventory.as_ref())? {
        for skip in &entry.skip {
            for names in [&skip.scenarios, &skip.except] {
                // A name that means nothing was meant to mean something.
                select(scenarios, names).map_err(|source| BenchError::Skip {
                    path: path.to_owned(),
                    board: entry.name.clone(),
                    source,
                })?;
            }
            let means = |patterns: &[String], name: &str| patterns.iter().any(|pattern| is_meant(pattern, name));
            for Scenario { name, .. } in scenarios {
                if means(&skip.scenarios, name) && !means(&skip.except, name) {
                    reasons.insert(name.clone(), skip.why.clone());
                }
            }
        }
    }
    // A real network is as good or bad as it is.
    for scenario in scenarios.iter().filter(|scenario| scenario.disturbs_network()) {
        let why = "only a virtual board's network can be disturbed";
        reasons.insert(scenario.name.clone(), why.to_owned());
    }
    Ok(reasons)
}

/// The boards of the rig for `choice`, made in `folder`, in the hands of this process.
///
/// # Errors
/// When no board is meant, or none that is can be had.
pub fn claim(
    choice: &Choice,
    folder: &Path,
    wait: Duration,
    waiting: impl FnOnce(&LockError),
) -> Result<Claimed, BenchError> {
    let inventory = Inventory::find(folder)?;
    let entries = choice.all(inventory.as_ref())?;
    let path = inventory.as_ref().map_or(Path::new(""), |inventory| &inventory.path);
    // nextest runs each test in a process of its own: whoever took all boards there would leave none to the others.
    let claim = if env::var_os("NEXTEST").is_some() {
        Claim::One
    } else {
        Claim::All
    };
    let deadline = Deadline::after("a board that another process holds", wait);
    let system = (&Ports::default(), &Locks::default());
    let mut entries: Vec<Entry> = entries.into_iter().cloned().collect();
    if choice.one_image {
        entries.iter_mut().for_each(|entry| entry.firmware = None);
    }
    let entries: Vec<&Entry> = entries.iter().collect();
    Ok(SerialBoard::claim(&entries, path, system, claim, &deadline, waiting)?)
}
