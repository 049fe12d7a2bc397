//! Every scenario is one named test on a board of its own: its verdict must be a pass, and its transcript must be the
//! snapshot in `tests/snapshots`. `cargo test --test scenarios pin/` runs those about pins.
//!
//! The image is flashed once for all tests of the process, when the first of them runs: listing tests takes no board.

mod support;

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};
use pinrig::board::{Start, VirtualBench};
use pinrig::image::Image;
use pinrig::run::{Limits, Outcome, Runner};
use pinrig::scenario::{self, Scenario};
use pinrig::verdict::Verdict;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let scenarios = match scenario::load_all(&support::fixtures()) {
        Ok(scenarios) => scenarios,
        // A scenario that cannot be read is a failed test, with the file and line, not an empty list.
        Err(error) => {
            let message = error.to_string();
            let trial = Trial::test("scenarios can be read", move || Err(Failed::from(message)));
            return libtest_mimic::run(&arguments, vec![trial]).exit_code();
        }
    };
    let rig = Arc::new(OnceLock::new());
    let trials = scenarios
        .into_iter()
        .map(|scenario| {
            let rig = Arc::clone(&rig);
            Trial::test(scenario.name.clone(), move || {
                let rig = rig.get_or_init(Rig::set_up).as_ref().map_err(Failed::from)?;
                check(&scenario, &rig.run(&scenario))
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The bench with the image in flash.
struct Rig {
    bench: VirtualBench,
    image: Image,
}

impl Rig {
    fn set_up() -> Result<Self, String> {
        let image = Image::load(&support::firmware()).map_err(|error| error.to_string())?;
        let rig = Self {
            bench: VirtualBench::new(Start::Forked),
            image,
        };
        rig.runner(&support::out()).flash().map_err(|error| error.to_string())?;
        Ok(rig)
    }

    fn run(&self, scenario: &Scenario) -> Outcome {
        self.runner(&support::out()).run(scenario)
    }

    fn runner<'a>(&'a self, out: &'a Path) -> Runner<'a> {
        Runner {
            bench: &self.bench,
            image: &self.image,
            limits: Limits::default(),
            out,
            keep: false,
            observer: &|_| {},
        }
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
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(support::root().join("tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(&scenario.about);
    settings.bind(|| insta::assert_snapshot!(scenario.name.as_str(), outcome.transcript.snapshot()));
    Ok(())
}
