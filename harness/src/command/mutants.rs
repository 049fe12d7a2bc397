//! `pinrig mutants`: tests the tests.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use clap::Args;
use pinrig::bench::{Start, VirtualBench};
use pinrig::mutants::{Event, Judgement, Survey};
use pinrig::scenario;
use pinrig_builder::{Mutant, Workshop};
use serde_json::Value;

use super::mutants_table::{TerminalReport, event_as_json, summary_as_json};
use super::{CommandResult, Common, run, scenarios};

#[derive(Args, Debug)]
pub(super) struct Mutants {
    /// Mutants: `pin-ignored`; without any, all of them
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Let each mutant meet every scenario, and not only those that must notice it
    #[arg(long)]
    all_scenarios: bool,
    /// Print the JSON schema of mutant files, for editors, and nothing else
    #[arg(long)]
    schema: bool,
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
    let mut workshop = Workshop::open(fixtures.parent().unwrap_or(&fixtures))?;

    let began = Instant::now();
    let report = if common.json {
        Report::Json
    } else {
        Report::Terminal(TerminalReport::new(mutants.len()))
    };
    // As for `run`: the first error of the output ends the command when the survey has ended.
    let output = Mutex::new(Ok(()));
    let observer = |event: Event<'_>| {
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        if output.is_ok() {
            *output = report.event(&event);
        }
    };
    let start = if options.cold { Start::Cold } else { Start::Forked };
    let survey = Survey {
        catalogue: &catalogue,
        all_scenarios: arguments.all_scenarios,
        bench: &|| Box::new(VirtualBench::new(start)),
        jobs: options
            .jobs
            .unwrap_or_else(|| thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
        out: &options.out.join("mutants"),
        observer: &observer,
    };
    let judgements = survey.run(&mut workshop, &mutants);
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
    if let Ok(judgements) = &judgements {
        report.summary(judgements, code, began)?;
    }
    if code == 0 {
        workshop.clear()?;
    } else {
        let folder = workshop.folder().display();
        writeln!(
            anstream::stderr(),
            "the images and what they were built from are in {folder}"
        )?;
    }
    Ok(code)
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
