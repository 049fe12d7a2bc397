//! `pinrig mutants`: tests the tests.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use clap::{Args, ValueEnum};
use pinrig::bench::Start;
use pinrig::image::Image;
use pinrig::interrupt;
use pinrig::mutants::{Accepted, Event, Judgement, Place, Plan, Seed, Survey, SurveyError};
use pinrig::scenario;
use pinrig_builder::{Mutant, Workshop};
use serde_json::Value;

use super::mutants_table::{TerminalReport, event_as_json, summary_as_json};
use super::{CommandResult, Common, run, scenarios, signals};

#[derive(Args, Debug)]
pub(super) struct Mutants {
    /// Mutants: `pin-ignored`; without any, all of them
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Let each mutant meet every scenario, and not only those that must notice it
    #[arg(long)]
    all_scenarios: bool,
    /// Where mutants meet their scenarios
    #[arg(long, value_enum, default_value_t = On::Both)]
    on: On,
    /// How many of the mutants that this machine can show meet their scenarios on the virtual board, too
    #[arg(long, value_name = "N", default_value_t = 6)]
    sample: usize,
    /// Take the same sample as a run that printed this seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print the JSON schema of mutant files, for editors, and nothing else
    #[arg(long)]
    schema: bool,
}

/// The places of a survey.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum On {
    /// Each where it takes the least time, and a sample at both places.
    Both,
    /// All on the virtual board.
    Virtual,
    /// Only those that this machine can show, as processes. Needs no compiler for the chip.
    Host,
}

impl On {
    fn only(self) -> Option<Place> {
        match self {
            Self::Both => None,
            Self::Virtual => Some(Place::Virtual),
            Self::Host => Some(Place::Host),
        }
    }
}

pub(super) fn mutants(common: &Common, options: &run::Options, arguments: &Mutants) -> CommandResult {
    if arguments.schema {
        writeln!(
            anstream::stdout().lock(),
            "{:#}",
            pinrig_builder::mutant::schema().to_value()
        )?;
        return Ok(0);
    }
    if options.firmware.is_some() {
        return Err("mutants are built from the firmware's sources: leave --firmware and PINRIG_FIRMWARE out".into());
    }
    let fixtures = common.fixtures()?;
    let catalogue = scenarios(&fixtures)?;
    let mutants = select(Mutant::load_all(&fixtures.join("mutants"))?, &arguments.names)?;
    let fixtures = fixtures.canonicalize()?;
    let root = fixtures.parent().unwrap_or(&fixtures);

    let began = Instant::now();
    let report = if common.json {
        Report::Json
    } else {
        Report::Terminal(TerminalReport::new())
    };
    // As for `run`: the first error of the output ends the command when the survey has ended.
    let output = Mutex::new(Ok(()));
    let observer = |event: Event<'_>| {
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        if output.is_ok() {
            *output = report.event(&event);
        }
    };
    let survey = Survey {
        catalogue: &catalogue,
        accepted: &Accepted::in_folder(&root.join("tests/snapshots")),
        all_scenarios: arguments.all_scenarios,
        image: &Image::load(&fixtures.join("firmware/pinrig-esp32c3-virtual.elf"))?,
        start: if options.cold { Start::Cold } else { Start::Forked },
        jobs: options
            .jobs
            .unwrap_or_else(|| thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
        out: &options.out.join("mutants"),
        observer: &observer,
    };
    let seed = arguments.seed.map_or_else(Seed::random, Seed);
    let plan = Plan::new(survey.meetings(mutants)?, arguments.on.only(), arguments.sample, seed);
    if plan.host.is_empty() && plan.on_virtual.is_empty() {
        return Err(
            "none of these mutants can meet its scenarios there, so nothing would be tested; leave --on out".into(),
        );
    }
    observer(Event::Planned { plan: &plan, seed });
    signals::watch()?;
    let (judgements, workshops) = everywhere(&survey, root, &plan);
    output.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    let code = match &judgements {
        Ok(judgements) => judgements
            .iter()
            .map(|judgement| judgement.fate.exit_code())
            .max()
            .unwrap_or(0),
        Err(error) => {
            writeln!(anstream::stderr(), "error: {error}")?;
            error.exit_code()
        }
    };
    let code = if interrupt::is_asked() {
        let judged = judgements.as_ref().map_or(0, Vec::len);
        writeln!(
            anstream::stderr(),
            "interrupted: {judged} of {} meetings are judged",
            plan.host.len() + plan.on_virtual.len()
        )?;
        signals::INTERRUPTED
    } else {
        code
    };
    if let Ok(judgements) = &judgements {
        report.summary(judgements, code, began)?;
    }
    for workshop in workshops {
        if code == 0 {
            workshop.clear()?;
        } else {
            let folder = workshop.folder().display();
            writeln!(anstream::stderr(), "what was built, and from what, is in {folder}")?;
        }
    }
    Ok(code)
}

/// Surveys one place after the other, the quicker one first, and gives back the workshops that were needed.
fn everywhere(survey: &Survey<'_>, root: &Path, plan: &Plan) -> (Result<Vec<Judgement>, SurveyError>, Vec<Workshop>) {
    let mut workshops = Vec::new();
    let mut judgements = Vec::new();
    for place in [Place::Host, Place::Virtual] {
        let meetings = plan.at(place);
        if meetings.is_empty() || interrupt::is_asked() {
            continue;
        }
        let mut workshop = match Workshop::open(root, place.product()) {
            Ok(workshop) => workshop,
            Err(error) => return (Err(error.into()), workshops),
        };
        // What the client passes on this machine it must pass on the board.
        let also = match place {
            Place::Host => &[][..],
            Place::Virtual => &plan.host[..],
        };
        let judged = survey.run(place, &mut workshop, meetings, also);
        workshops.push(workshop);
        match judged {
            Ok(judged) => judgements.extend(judged),
            // Those of the other place are told.
            Err(_) if interrupt::is_asked() => {}
            Err(error) => return (Err(error), workshops),
        }
    }
    (Ok(judgements), workshops)
}

fn select(all: Vec<Mutant>, names: &[String]) -> Result<Vec<Mutant>, String> {
    if all.is_empty() {
        return Err(
            "there is no mutant (*.toml) in the folder `mutants` of the fixtures, so nothing would be tested".into(),
        );
    }
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|mutant| mutant.name != **name)) {
        let known: Vec<String> = all.into_iter().map(|mutant| mutant.name).collect();
        let near = scenario::near(unknown, known.iter().cloned());
        let near = near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        return Err(format!(
            "there is no mutant `{unknown}`{near}; there are: {}",
            known.join(", ")
        ));
    }
    let wanted = |mutant: &Mutant| names.is_empty() || names.contains(&mutant.name);
    Ok(all.into_iter().filter(wanted).collect())
}

enum Report {
    Json,
    Terminal(TerminalReport),
}

impl Report {
    fn event(&self, event: &Event<'_>) -> io::Result<()> {
        match self {
            Self::Json => event_as_json(event).map_or(Ok(()), |value| line(&value)),
            Self::Terminal(report) => report.event(event),
        }
    }

    fn summary(&self, judgements: &[Judgement], code: u8, began: Instant) -> io::Result<()> {
        match self {
            Self::Json => line(&summary_as_json(judgements, code)),
            Self::Terminal(report) => report.summary(judgements, began.elapsed()),
        }
    }
}

fn line(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}
