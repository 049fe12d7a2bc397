//! `pinrig run`, which is also what `pinrig` alone does.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use clap::Args;
use pinrig::bench::{Bench, BenchError, Start, bench_for, skipped};
use pinrig::board::LeftOut;
use pinrig::image::Image;
use pinrig::interrupt;
use pinrig::outcome::{Event, Outcome};
use pinrig::randomness::Randomness;
use pinrig::report::json::JsonReport;
use pinrig::rig::{Choice, Images, LockError, Rig};
use pinrig::run::{RunLimits, Runner};
use pinrig::scenario;
use pinrig::verdict::{Blame, Verdict};

use super::terminal::{Detail, TerminalReport};
use super::{CommandResult, Common, signals};

/// The image that the project holds, below the fixtures.
const IMAGE: &str = "firmware/pinrig-esp32c3-virtual.elf";

#[derive(Args, Debug)]
pub(super) struct Names {
    /// Scenarios or folders of scenarios: `pin/matches`, `pin`
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct Options {
    /// The firmware's ELF file; without it, that of a board's entry in rig.toml, else the image that the project holds
    #[arg(long, global = true, value_name = "FILE", env = "PINRIG_FIRMWARE")]
    pub(super) firmware: Option<PathBuf>,
    /// How many boards run at once; without it, two for each processor, or one where the transcript is printed
    #[arg(long, global = true, value_name = "N")]
    pub(super) jobs: Option<NonZeroUsize>,
    /// Where the evidence of failures goes
    #[arg(long, global = true, value_name = "DIR", default_value = "target/pinrig")]
    pub(super) out: PathBuf,
    /// Keep the evidence of passes too
    #[arg(long, global = true)]
    keep: bool,
    /// The board of the rig (rig.toml) to run on; `virtual` needs none
    #[arg(long, global = true, value_name = "NAME", env = "PINRIG_BOARD")]
    board: Option<String>,
    /// Run on the boards of the rig that have this tag, all at once; several tags: those that have them all
    #[arg(
        long = "tag",
        global = true,
        value_name = "TAG",
        env = "PINRIG_TAGS",
        value_delimiter = ' '
    )]
    tags: Vec<String>,
    /// How long to wait for boards that other processes hold
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 0,
        env = "PINRIG_WAIT"
    )]
    wait: u64,
    /// Boot each virtual board by itself, instead of copying one that has booted
    #[arg(long, global = true)]
    pub(super) cold: bool,
    /// Seed of what virtual boards draw at random: the same seed gives the same again. Without it `run` takes 0, `virtual` a new one
    #[arg(long, global = true, value_name = "N")]
    pub(super) seed: Option<u64>,
}

pub(super) fn run(common: &Common, options: &Options, names: &[String]) -> CommandResult {
    let fixtures = common.fixtures()?;
    let all = super::scenarios(&fixtures)?;
    let scenarios = scenario::select(&all, names)?;
    let image = options.image(common)?;
    let detail = if names.is_empty() {
        Detail::Results
    } else {
        Detail::Transcripts
    };
    let report = if common.json {
        Report::json()
    } else {
        Report::terminal(detail)
    };
    let choice = options.choice();
    let rig = Rig::for_choice(&choice, &env::current_dir().unwrap_or_default())?;
    let reasons = skipped(&choice, &rig, &all)?;
    let (skipped, scenarios): (Vec<_>, Vec<_>) = scenarios
        .into_iter()
        .partition(|scenario| reasons.why(&scenario.name).is_some());
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for scenario in &skipped {
        if let Some(why) = reasons.why(&scenario.name) {
            by_reason.entry(why).or_default().push(&scenario.name);
        }
    }
    for (why, scenarios) in &by_reason {
        report.event(&Event::Skipped { why, scenarios })?;
    }
    if scenarios.is_empty() {
        return Err("every scenario that was asked for is skipped on these boards, so nothing was tested; the reasons are above".into());
    }
    let start = if options.cold { Start::Cold } else { Start::Forked };
    let bench = match bench(&choice, &rig, start, options.wait()) {
        Ok(bench) => bench,
        Err(BenchError::Claim(error)) => {
            writeln!(anstream::stderr(), "error: {error}")?;
            return Ok(Blame::Rig.exit_code());
        }
        Err(error) => return Err(error.into()),
    };
    let jobs = options.jobs.or(bench.capacity()).unwrap_or_else(|| {
        if detail == Detail::Transcripts && !common.json {
            NonZeroUsize::MIN
        } else {
            // A third of a scenario is waiting, so two for each processor.
            let processors = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
            processors.saturating_mul(NonZeroUsize::MIN.saturating_add(1))
        }
    });
    let result = run_on(&*bench, &image, &scenarios, jobs, options, &report);
    for LeftOut { board, why } in bench.left_out() {
        writeln!(anstream::stderr(), "{board} was left out: {why}")?;
    }
    result
}

fn bench(choice: &Choice, rig: &Rig, start: Start, wait: Duration) -> Result<Box<dyn Bench>, BenchError> {
    bench_for(choice, rig, start, wait, |held| {
        tell_waiting(held, wait);
    })
}

/// Says which process holds the board that is waited for.
pub(super) fn tell_waiting(held: &LockError, wait: Duration) {
    // Without standard error there is nothing to print to.
    let _ = writeln!(
        anstream::stderr(),
        "{held}; waiting for it, {} s at most",
        wait.as_secs()
    );
}

impl Options {
    /// The boards that the options name.
    pub(super) fn choice(&self) -> Choice {
        Choice {
            board: self.board.clone(),
            tags: self.tags.clone(),
            images: match self.firmware {
                Some(_) => Images::Common,
                None => Images::Own,
            },
        }
    }

    /// How long to wait for boards that other processes hold.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs(self.wait)
    }

    /// The image that the options name, or else the one that the project holds.
    pub(super) fn image(&self, common: &Common) -> Result<Image, Box<dyn Error>> {
        let path = match &self.firmware {
            Some(path) => path.clone(),
            None => common.fixtures()?.join(IMAGE),
        };
        Ok(Image::load(&path)?)
    }
}

fn run_on(
    bench: &dyn Bench,
    image: &Image,
    scenarios: &[scenario::Scenario],
    jobs: NonZeroUsize,
    options: &Options,
    report: &Report,
) -> CommandResult {
    let began = Instant::now();
    // The observer cannot return an error: the first one is kept and ends the command when the run has ended.
    let output = Mutex::new(Ok(()));
    let observer = |event: Event<'_>| {
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        if output.is_ok() {
            *output = report.event(&event);
        }
    };
    let runner = Runner {
        bench,
        image,
        limits: RunLimits::default(),
        out: &options.out,
        keep: options.keep,
        randomness: Arc::new(Randomness::new(options.seed.unwrap_or_default())),
        observer: &observer,
    };
    signals::watch()?;
    if let Err(error) = runner.flash() {
        writeln!(anstream::stderr(), "error: {error}")?;
        return Ok(Blame::Flash.exit_code());
    }
    let outcomes = runner.run_all(scenarios, jobs);
    output.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    let code = if interrupt::is_asked() {
        signals::INTERRUPTED
    } else {
        exit_code(&outcomes)
    };
    match report {
        Report::Json(report) => report.summary(&outcomes, scenarios.len(), code)?,
        Report::Terminal(report) => report.summary(&outcomes, scenarios.len(), began.elapsed())?,
    }
    Ok(code)
}

/// Where the events of a run are shown.
pub(super) enum Report {
    Json(JsonReport<io::Stdout>),
    Terminal(TerminalReport),
}

impl Report {
    pub(super) fn json() -> Self {
        Self::Json(JsonReport::new(io::stdout()))
    }

    pub(super) fn terminal(detail: Detail) -> Self {
        Self::Terminal(TerminalReport::new(detail))
    }

    pub(super) fn event(&self, event: &Event<'_>) -> io::Result<()> {
        match self {
            Self::Json(report) => report.event(event),
            Self::Terminal(report) => report.event(event),
        }
    }
}

fn exit_code(outcomes: &[Outcome]) -> u8 {
    outcomes
        .iter()
        .filter_map(|outcome| match &outcome.verdict {
            Verdict::Passed => None,
            Verdict::Failed(failure) => Some(failure.blame.exit_code()),
        })
        .max()
        .unwrap_or(0)
}
