//! Runs scenarios: server up, board up, settings in, `run`, evidence out.
//!
//! What enters: scenarios, a [`Bench`] and an [`Image`]. What leaves: [`Event`]s while it goes on, and an [`Outcome`] for
//! each scenario. Whatever happens, an outcome holds what both sides had said so far, and a failure leaves a bundle of
//! files. `attempt` is one scenario on one board, `drive` the device's side of one run, `soak` its many repetitions. `secrets` hides the
//! network's password in all of it, and `time_limit` says what the board's clock makes of a run that must reach a limit.

mod secrets;
mod drive;
mod time_limit;
mod soak;
mod attempt;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::board::BoardError;
use crate::board::flash::FlashReport;
use crate::bundle;
use crate::image::Image;
use crate::interrupt;
use crate::outcome::{Event, Outcome};
use crate::randomness::Randomness;
use crate::scenario::Scenario;
use crate::verdict::{Blame, Failure, Verdict};
use attempt::Attempt;

/// How long each wait for the device may take.
#[derive(Clone, Copy, Debug)]
pub struct RunLimits {
    /// From reset to the ready line.
    pub boot: Duration,
    /// One setting.
    pub setting: Duration,
    /// One `run`. Longer than the sum of the firmware's own time limits, which should end it first.
    pub run: Duration,
    /// From the end of `run` until the server has seen the connection close.
    pub close: Duration,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            boot: Duration::from_secs(30),
            setting: Duration::from_secs(10),
            run: Duration::from_secs(90),
            close: Duration::from_secs(10),
        }
    }
}

/// Runs scenarios on one bench.
pub struct Runner<'a> {
    /// Where boards come from.
    pub bench: &'a dyn Bench,
    /// What they run.
    pub image: &'a Image,
    /// How long each wait may take.
    pub limits: RunLimits,
    /// The folder for the evidence of failures.
    pub out: &'a Path,
    /// Keep the evidence of passes too.
    pub keep: bool,
    /// What virtual boards draw at random, and what all boards have drawn so far: one for all runners of a process.
    pub randomness: Arc<Randomness>,
    /// Gets every event; called from several threads.
    pub observer: &'a (dyn Fn(Event<'_>) + Sync),
}

impl std::fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Runner<'_> {
    /// Puts the image into flash.
    ///
    /// # Errors
    /// When the board cannot be flashed; then no scenario can run.
    pub fn flash(&self) -> Result<FlashReport, BoardError> {
        if !self.bench.takes_images() {
            return self.bench.prepare(self.image, &|_| {});
        }
        for (board, image) in self.bench.images(self.image) {
            (self.observer)(Event::Flashing { board: &board, image });
        }
        let report = self
            .bench
            .prepare(self.image, &|step| (self.observer)(Event::FlashProgress(step)))?;
        (self.observer)(Event::Flashed(&report));
        Ok(report)
    }

    /// Runs `scenarios`, `jobs` at a time, and gives the outcomes in the order of `scenarios`. Once the process is
    /// [interrupted](interrupt), none begins, and those that were cut off are left out.
    #[must_use]
    pub fn run_all(&self, scenarios: &[Scenario], jobs: NonZeroUsize) -> Vec<Outcome> {
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(vec![None; scenarios.len()]);
        thread::scope(|scope| {
            for _ in 0..jobs.get().min(scenarios.len()) {
                scope.spawn(|| {
                    while !interrupt::is_asked()
                        && let Some((index, scenario)) = {
                            let index = next.fetch_add(1, Ordering::Relaxed);
                            scenarios.get(index).map(|scenario| (index, scenario))
                        }
                    {
                        let outcome = self.run(scenario);
                        if is_cut_off(&outcome) {
                            continue;
                        }
                        outcomes.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(outcome);
                    }
                });
            }
        });
        let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.into_iter().flatten().collect()
    }

    /// Runs one scenario on a board of its own.
    #[must_use]
    pub fn run(&self, scenario: &Scenario) -> Outcome {
        (self.observer)(Event::Started(scenario));
        let began = Instant::now();
        let mut attempt = Attempt::new(self, scenario);
        let mut verdict = match attempt.run() {
            Ok(()) => Verdict::Passed,
            Err(failure) => Verdict::Failed(failure),
        };
        if let Verdict::Failed(failure) = &mut verdict {
            failure.findings.append(&mut attempt.remarks);
            if interrupt::is_asked() {
                failure.blame = Blame::Rig;
                failure
                    .findings
                    .insert(0, "the user interrupted it before its end".to_owned());
            }
        }
        attempt.secrets.hide_in_outcome(
            std::mem::take(&mut attempt.told),
            &mut attempt.files,
            &mut attempt.transcript,
            &mut verdict,
        );
        let mut outcome = Outcome {
            scenario: scenario.clone(),
            board: attempt.board.take(),
            verdict,
            transcript: attempt.transcript,
            server: attempt.server,
            network: attempt.network,
            took: began.elapsed(),
            skipped: attempt.skipped,
            bundle: None,
        };
        if self.keep || !outcome.passed() {
            let image = attempt.image.as_deref().unwrap_or(self.image);
            match bundle::write(self.out, image, &outcome, &attempt.files) {
                Ok(folder) => outcome.bundle = Some(folder),
                Err(error) => {
                    let finding = format!("the evidence could not be kept: {error}");
                    match &mut outcome.verdict {
                        Verdict::Failed(failure) => failure.findings.push(finding),
                        passed @ Verdict::Passed => *passed = Verdict::Failed(Failure::new(Blame::Rig, finding)),
                    }
                }
            }
        }
        (self.observer)(if is_cut_off(&outcome) {
            Event::Interrupted(&outcome)
        } else {
            Event::Finished(&outcome)
        });
        outcome
    }
}

/// Whether the user has interrupted the process before the scenario's end. What came of it then says nothing.
fn is_cut_off(outcome: &Outcome) -> bool {
    interrupt::is_asked() && !outcome.passed()
}
