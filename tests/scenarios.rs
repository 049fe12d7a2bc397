//! Every scenario is one named test on a board of its own. Its verdict must be a pass, and its transcript must be the snapshot in
//! `tests/snapshots`, but for variants, of which only the verdict counts. `cargo test --test scenarios pin/` runs those about pins.
//!
//! Where nothing can be tested, or nothing is, the program fails: it would look like a success.
//!
//! They run on virtual boards, or on the boards of the rig that `PINRIG_BOARD` or `PINRIG_TAGS` name. The image is flashed once for all
//! tests of the process, when the first of them runs, so that listing the tests takes no board.

#[path = "support/selection.rs"]
mod selection;
mod support;

use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use pinrig::bench::{Bench, Start, bench_for, skipped};
use pinrig::image::Image;
use pinrig::outcome::Outcome;
use pinrig::randomness::Randomness;
use pinrig::rig::{self, Choice, Images};
use pinrig::run::Runner;
use pinrig::scenario::{self, Scenario};
use pinrig::verdict::Verdict;

/// How long to wait for boards that other processes hold: another run of these tests may take that long.
const WAIT: Duration = Duration::from_secs(1800);

/// The exit code of a test program of which a test has failed.
const FAILED: u8 = 101;

fn main() -> ExitCode {
    match tests() {
        Ok(code) => code,
        // Not a test that fails: a filter would hide it.
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "error: {message}");
            ExitCode::from(FAILED)
        }
    }
}

/// Runs the tests that the arguments ask for.
fn tests() -> Result<ExitCode, String> {
    let mut arguments = Arguments::from_args();
    let choice = choice();
    let scenarios = scenario::load_all(&fixtures()).map_err(|error| error.to_string())?;
    let known = rig::Rig::for_choice(&choice, support::root()).map_err(|error| error.to_string())?;
    let skipped = skipped(&choice, &known, &scenarios).map_err(|error| error.to_string())?;
    let known = Arc::new(known);
    if !choice.is_virtual() {
        // One thread for each board: more would only wait.
        let boards = choice.all(known.inventory.as_ref()).map_or(1, |boards| boards.len());
        arguments.test_threads.get_or_insert(boards);
    }
    let bench = Arc::new(OnceLock::new());
    let trials = scenarios
        .iter()
        .cloned()
        .map(|scenario| {
            let bench = Arc::clone(&bench);
            let beyond = skipped.why(&scenario.name).is_some();
            let (choice, known) = (choice.clone(), Arc::clone(&known));
            let trial = Trial::test(scenario.name.clone(), move || {
                let bench = bench
                    .get_or_init(|| FlashedBench::set_up(&choice, &known))
                    .as_ref()
                    .map_err(Failed::from)?;
                check(&scenario, &bench.run(&scenario))
            });
            trial.with_ignored_flag(beyond)
        })
        .collect::<Vec<_>>();
    if let Some(why) = selection::refusal(&arguments, &trials, &scenarios, &selection::parent()) {
        return Err(why);
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// The folder with the scenarios, which the environment may name as for the `pinrig` command.
fn fixtures() -> PathBuf {
    env::var_os("PINRIG_FIXTURES").map_or_else(support::fixtures, |folder| support::root().join(folder))
}

/// The boards that the environment names, as for the `pinrig` command.
fn choice() -> Choice {
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let tags = variable("PINRIG_TAGS").unwrap_or_default();
    Choice {
        board: variable("PINRIG_BOARD"),
        tags: tags.split_whitespace().map(str::to_owned).collect(),
        images: match variable("PINRIG_FIRMWARE") {
            Some(_) => Images::Common,
            None => Images::Own,
        },
    }
}

/// The bench, whose boards have the image in their flash.
struct FlashedBench {
    bench: Box<dyn Bench>,
    image: Image,
    /// What all boards of all scenarios have drawn.
    randomness: Arc<Randomness>,
}

impl FlashedBench {
    fn set_up(choice: &Choice, known: &rig::Rig) -> Result<Self, String> {
        let image = Image::load(&support::firmware()).map_err(|error| error.to_string())?;
        let bench = bench_for(choice, known, Start::Forked, WAIT, |held| {
            // Not captured by the test framework: the user must see which process the tests wait for.
            let _ = writeln!(std::io::stderr(), "{held}; waiting, {} s at most", WAIT.as_secs());
        });
        let bench = bench.map_err(|error| error.to_string())?;
        let flashed = support::runner(&*bench, &image, &support::out()).flash();
        flashed.map_err(|error| error.to_string())?;
        Ok(Self {
            bench,
            image,
            randomness: Arc::default(),
        })
    }

    fn run(&self, scenario: &Scenario) -> Outcome {
        let out = support::out();
        let runner = Runner {
            randomness: Arc::clone(&self.randomness),
            ..support::runner(&*self.bench, &self.image, &out)
        };
        runner.run(scenario)
    }
}

fn check(scenario: &Scenario, outcome: &Outcome) -> Result<(), Failed> {
    if let Verdict::Failed(failure) = &outcome.verdict {
        let evidence = outcome.bundle.as_deref().map(|folder| folder.display().to_string());
        return Err(Failed::from(format!(
            "{}: {}\n\n{}\nevidence: {}",
            failure.blame,
            failure.findings.join("\n  "),
            outcome.transcript.snapshot(),
            evidence.as_deref().unwrap_or("none")
        )));
    }
    if scenario.variant.is_some() {
        // It has no snapshot: what is other in it, a command for the device, is no news.
        return Ok(());
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(support::root().join("tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(&scenario.about);
    settings.bind(|| insta::assert_snapshot!(scenario.name.as_str(), outcome.transcript.snapshot()));
    Ok(())
}
