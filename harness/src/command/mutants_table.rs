//! The reports of `pinrig mutants`, for people and for machines.
//!
//! What enters: a survey's events and judgements. What leaves: a line for each mutant when it has been judged and a table of
//! all, or one JSON object a line: `plan`, `honest`, `mutant` and `summary`, with durations in seconds. They decide nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use anstyle::Style;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::style::{BAD, DIM, GOOD, TITLE};
use super::terminal::{grid, seconds};
use pinrig::mutants::{Event, Fate, Judgement, Plan, Seed};
use pinrig_builder::Witness;

/// The most scenarios that are named in a line of the table; the others are counted.
const NAMED: usize = 3;

/// Shows a survey to a person.
#[derive(Debug)]
pub(super) struct TerminalReport {
    bar: ProgressBar,
}

impl TerminalReport {
    /// A report on what begins now.
    #[must_use]
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new_spinner().with_message("building the firmware as it is");
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }

    /// Shows `event`.
    ///
    /// # Errors
    /// When standard output does not take it.
    pub(super) fn event(&self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Planned { plan, seed } => self.print(&planned(plan, *seed)),
            Event::Testing { mutant, scenarios, .. } => {
                let name = mutant.map_or("the firmware as it is", |mutant| mutant.name.as_str());
                self.bar
                    .set_message(format!("{name}: {}", count(*scenarios, "scenario")));
                Ok(())
            }
            Event::Honest {
                place,
                scenarios,
                built,
                tested,
            } => self.print(&format!(
                "{GOOD}PASS{GOOD:#} without any mistake, {place}: {} {DIM}built in {}, tested in {}{DIM:#}",
                count(*scenarios, "scenario"),
                seconds(*built),
                seconds(*tested)
            )),
            Event::Judged(judgement) => self.print(&judged(judgement)),
        }
    }

    /// Prints the table of all mutants, and what to do about those that were not caught.
    ///
    /// # Errors
    /// When standard output does not take it.
    pub(super) fn summary(&self, judgements: &[Judgement], took: Duration) -> io::Result<()> {
        self.bar.finish_and_clear();
        let rows: Vec<[String; 5]> = judgements
            .iter()
            .map(|judgement| {
                [
                    judgement.mutant.name.clone(),
                    judgement.mutant.about.clone(),
                    noticed(&judgement.fate),
                    judgement.place.to_string(),
                    seconds(judgement.built + judgement.tested),
                ]
            })
            .collect();
        let style = |row: usize, column: usize| match (&judgements[row].fate, column) {
            (Fate::Caught(_), 2) => GOOD,
            (_, 2) => BAD,
            _ => Style::new(),
        };
        self.print(&grid(
            ["mutant", "what was broken", "caught by", "board", "time"],
            &rows,
            style,
        ))?;
        for judgement in judgements {
            if let Some(text) = advice(judgement) {
                self.print(&text)?;
            }
        }
        let counts = Counts::of(judgements);
        let style = if counts.caught == counts.mutants { GOOD } else { BAD };
        self.print(&format!(
            "\n{style}{} of {} caught{style:#} {DIM}in {}{DIM:#}",
            counts.caught,
            count(counts.mutants, "mutant"),
            seconds(took)
        ))
    }

    fn print(&self, text: &str) -> io::Result<()> {
        self.bar.suspend(|| {
            let mut out = anstream::stdout().lock();
            writeln!(out, "{text}")?;
            out.flush()
        })
    }
}

/// The JSON object for `event`; `None` for events that only people are shown.
#[must_use]
pub(super) fn event_as_json(event: &Event<'_>) -> Option<Value> {
    match event {
        Event::Testing { .. } => None,
        Event::Planned { plan, seed } => Some(json!({
            "event": "plan",
            "host": plan.host.len(),
            "virtual": plan.on_virtual.len(),
            "sample": plan.sample,
            "seed": seed.0,
            "left_out": plan.left_out,
        })),
        Event::Honest {
            place,
            scenarios,
            built,
            tested,
        } => Some(json!({
            "event": "honest",
            "board": place.to_string(),
            "scenarios": scenarios,
            "build_seconds": built.as_secs_f64(),
            "test_seconds": tested.as_secs_f64(),
        })),
        Event::Judged(judgement) => {
            let (fate, caught_by, missed_by, detail) = match &judgement.fate {
                Fate::Caught(caught_by) => ("caught", &caught_by[..], &[][..], Value::Null),
                Fate::Missed { by, caught_by } => ("missed", &caught_by[..], &by[..], Value::Null),
                Fate::NotBuilt(why) => ("not-built", &[][..], &[][..], json!(why)),
                Fate::BenchBroke(why) => ("bench-broke", &[][..], &[][..], json!(why)),
            };
            Some(json!({
                "event": "mutant",
                "mutant": judgement.mutant.name,
                "about": judgement.mutant.about,
                "fate": fate,
                "caught_by": caught_by,
                "missed_by": missed_by,
                "detail": detail,
                "board": judgement.place.to_string(),
                "seen_by": match judgement.mutant.seen_by {
                    Witness::Verdict => "verdict",
                    Witness::Snapshot => "snapshot",
                },
                "build_seconds": judgement.built.as_secs_f64(),
                "test_seconds": judgement.tested.as_secs_f64(),
            }))
        }
    }
}

/// The closing line for machines.
#[must_use]
pub(super) fn summary_as_json(judgements: &[Judgement], exit_code: u8) -> Value {
    let counts = Counts::of(judgements);
    json!({
        "event": "summary",
        "mutants": counts.mutants,
        "caught": counts.caught,
        "exit_code": exit_code,
    })
}

/// Mutants, and not meetings: one that is in the sample is counted once, and is caught where both boards caught it.
struct Counts {
    mutants: usize,
    caught: usize,
}

impl Counts {
    fn of(judgements: &[Judgement]) -> Self {
        let mut caught: BTreeMap<&str, bool> = BTreeMap::new();
        for judgement in judgements {
            let all = caught.entry(&judgement.mutant.name).or_insert(true);
            *all &= matches!(judgement.fate, Fate::Caught(_));
        }
        Self {
            mutants: caught.len(),
            caught: caught.values().filter(|caught| **caught).count(),
        }
    }
}

fn planned(plan: &Plan, seed: Seed) -> String {
    let mut text = format!(
        "{} on this machine, {} on the virtual board",
        count(plan.host.len(), "mutant"),
        plan.on_virtual.len()
    );
    if !plan.sample.is_empty() {
        let _ = write!(
            text,
            "; at both: {} {DIM}(--seed {}){DIM:#}",
            plan.sample.join(", "),
            seed.0
        );
    }
    if !plan.left_out.is_empty() {
        let _ = write!(text, "; only the virtual board can show {}", plan.left_out.join(", "));
    }
    text
}

fn judged(judgement: &Judgement) -> String {
    let (style, word) = match &judgement.fate {
        Fate::Caught(_) => (GOOD, "CAUGHT"),
        Fate::Missed { .. } => (BAD, "MISSED"),
        Fate::NotBuilt(_) => (BAD, "NOT BUILT"),
        Fate::BenchBroke(_) => (BAD, "BENCH BROKE"),
    };
    let by = match &judgement.fate {
        Fate::Caught(_) => format!(" by {}", noticed(&judgement.fate)),
        Fate::Missed { by, .. } => format!(" by {}", by.join(", ")),
        Fate::NotBuilt(_) | Fate::BenchBroke(_) => String::new(),
    };
    let (name, place) = (&judgement.mutant.name, judgement.place);
    let (built, tested) = (seconds(judgement.built), seconds(judgement.tested));
    format!(
        "{style}{word}{style:#} {TITLE}{name}{TITLE:#}{by} {DIM}{place}, built in {built}, tested in {tested}{DIM:#}"
    )
}

/// The scenarios that caught a mutant, or that should have.
fn noticed(fate: &Fate) -> String {
    match fate {
        Fate::Caught(by) if by.len() > NAMED => {
            format!("{} and {} more", by[..NAMED].join(", "), by.len() - NAMED)
        }
        Fate::Caught(by) => by.join(", "),
        Fate::Missed { by, .. } => format!("not by {}", by.join(", ")),
        Fate::NotBuilt(_) => "not built".to_owned(),
        Fate::BenchBroke(_) => "the bench broke".to_owned(),
    }
}

/// What is wrong with a mutant that was not caught.
fn advice(judgement: &Judgement) -> Option<String> {
    let Judgement { mutant, fate, .. } = judgement;
    let mut text = format!("\n{BAD}{}{BAD:#}\n", mutant.name);
    match fate {
        Fate::Caught(_) => return None,
        Fate::Missed { by, caught_by } => {
            let noticed = match &caught_by[..] {
                [] => "no scenario noticed it".to_owned(),
                names => format!("noticed by {}", names.join(", ")),
            };
            let _ = write!(
                text,
                "  {}: passed, and should have failed with the mistake in {}; {noticed}\n  \
                 write the scenario that notices, or name another in {}",
                by.join(", "),
                mutant.source.display(),
                mutant.path.display()
            );
        }
        Fate::NotBuilt(why) | Fate::BenchBroke(why) => text.push_str(why),
    }
    Some(text)
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
