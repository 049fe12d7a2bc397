//! The report for people: progress while it runs, transcripts as they grow, a table at the end.
//!
//! Bars and spinners are drawn on standard error, and only where that is a terminal. Results go to standard output, in
//! colour where that is a terminal and `NO_COLOR` is not set.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use pinrig::evidence::DeviceAnswer;
use pinrig::outcome::{Event, Outcome};
use pinrig::rig::VIRTUAL;
use pinrig::scenario::{Run, Scenario};
use pinrig::transcript::DeviceLine;
use pinrig::verdict::Verdict;

use super::style::{BAD, DIM, GOOD, TITLE};

const SENT: Style = AnsiColor::Cyan.on_default();

/// How much of each scenario is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Detail {
    /// A line with its result.
    Results,
    /// Its transcript too, while it runs.
    Transcripts,
}

/// Shows events to a person.
#[derive(Debug)]
pub(super) struct TerminalReport {
    detail: Detail,
    bars: MultiProgress,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connecting: Option<ProgressBar>,
    /// A bar for each board that is being flashed.
    flashing: BTreeMap<String, ProgressBar>,
    running: Vec<(String, ProgressBar)>,
    /// The number of scenarios that are not run on these boards.
    left_out: usize,
}

impl TerminalReport {
    /// A report that has shown nothing yet.
    #[must_use]
    pub(super) fn new(detail: Detail) -> Self {
        Self {
            detail,
            bars: MultiProgress::new(),
            state: Mutex::default(),
        }
    }

    fn shows_transcripts(&self) -> bool {
        self.detail == Detail::Transcripts
    }

    fn clear_flashing(&self) {
        let mut state = self.state();
        let bars = std::mem::take(&mut state.flashing).into_values();
        for bar in bars.chain(state.connecting.take()) {
            bar.finish_and_clear();
        }
    }

    /// Shows `event`.
    ///
    /// # Errors
    /// When standard output does not take it.
    pub(super) fn event(&self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Flashing { board, image } => {
                let bar = self.bars.add(ProgressBar::new_spinner());
                bar.set_message("connecting to the chip's loader");
                self.state().connecting = Some(bar);
                let name = image.path().file_name().unwrap_or_default().to_string_lossy();
                self.print(&format!(
                    "{TITLE}flashing{TITLE:#} {name} {DIM}({}){DIM:#} onto {board}",
                    image.identity()
                ))
            }
            Event::FlashProgress(step) => {
                let mut state = self.state();
                if let Some(bar) = state.connecting.take() {
                    bar.finish_and_clear();
                }
                let bar = state.flashing.entry(step.board.to_owned()).or_insert_with(|| {
                    let bar = self.bars.add(ProgressBar::new(step.total).with_style(flash_style()));
                    bar.set_prefix(step.board.to_owned());
                    bar
                });
                if step.done == 0 {
                    // Another part: rate and remaining time are its own.
                    bar.reset();
                }
                bar.set_length(step.total);
                bar.set_position(step.done);
                bar.set_message(format!("{:#08x}", step.address));
                Ok(())
            }
            Event::Flashed(report) => {
                self.clear_flashing();
                let written = match report.written {
                    0 => "nothing to write".to_owned(),
                    1 => "1 part written and verified".to_owned(),
                    parts => format!("{parts} parts written and verified"),
                };
                let skipped = match report.skipped {
                    0 => String::new(),
                    skipped => format!(", {skipped} already there, as their contents say"),
                };
                self.print(&format!(
                    "{GOOD}flashed{GOOD:#}  {written}{skipped} {DIM}in {}{DIM:#}",
                    seconds(report.took)
                ))?;
                let remarks = report.remarks.iter();
                remarks
                    .map(|remark| format!("{DIM}         {remark}{DIM:#}"))
                    .try_for_each(|remark| self.print(&remark))
            }
            Event::Started(scenario) => {
                let bar = self
                    .bars
                    .add(ProgressBar::new_spinner().with_message(scenario.name.clone()));
                bar.enable_steady_tick(Duration::from_millis(100));
                self.state().running.push((scenario.name.clone(), bar));
                if self.shows_transcripts() {
                    self.print(&format!(
                        "\n{TITLE}{}{TITLE:#}\n{DIM}{}{DIM:#}",
                        scenario.name, scenario.about
                    ))?;
                }
                Ok(())
            }
            Event::Boot(_, line) if self.shows_transcripts() => self.print(&format!("{DIM}{}{DIM:#}", line.text)),
            Event::Device(_, line) if self.shows_transcripts() => self.print(&device_line(line)),
            Event::Boot(..) | Event::Device(..) => Ok(()),
            Event::Skipped { why, scenarios } => {
                self.state().left_out += scenarios.len();
                self.print(&format!(
                    "{TITLE}skipped{TITLE:#}  {}: {why} {DIM}({}){DIM:#}",
                    scenarios.len(),
                    scenarios.join(", ")
                ))
            }
            Event::Finished(outcome) | Event::Interrupted(outcome) => {
                let mut state = self.state();
                state.running.retain(|(name, bar)| {
                    let other = *name != outcome.scenario.name;
                    if !other {
                        bar.finish_and_clear();
                    }
                    other
                });
                drop(state);
                if self.shows_transcripts() {
                    let mut text = String::new();
                    for lanes in &outcome.transcript.runs {
                        let _ = writeln!(text, "{DIM}server:{DIM:#}");
                        if lanes.server.is_empty() {
                            let _ = writeln!(text, "  {DIM}(nothing connected){DIM:#}");
                        }
                        for line in &lanes.server {
                            let _ = writeln!(text, "  {line}");
                        }
                    }
                    for line in &outcome.transcript.afterwards {
                        let _ = writeln!(text, "{DIM}afterwards:{DIM:#}\n  {line}");
                    }
                    self.print(text.trim_end())?;
                }
                if matches!(event, Event::Interrupted(_)) {
                    let bundle = outcome.bundle.as_deref();
                    let evidence = bundle.map_or_else(String::new, |folder| format!(": {}", folder.display()));
                    let name = &outcome.scenario.name;
                    return self.print(&format!("{BAD}CUT OFF{BAD:#} {name}{DIM}{evidence}{DIM:#}"));
                }
                self.print(&result_line(outcome))
            }
        }
    }

    /// Prints the table of all outcomes and what went wrong in each failure. Of the scenarios that were `asked` for, those
    /// without an outcome have not run to their end.
    ///
    /// # Errors
    /// When standard output does not take it.
    pub(super) fn summary(&self, outcomes: &[Outcome], asked: usize, took: Duration) -> io::Result<()> {
        self.print(&table(outcomes))?;
        for outcome in outcomes {
            if let Some(text) = failure(outcome) {
                self.print(&text)?;
            }
        }
        let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
        let failed = outcomes.len() - passed;
        let style = if failed == 0 { GOOD } else { BAD };
        let left_out = match self.state().left_out {
            0 => String::new(),
            count => format!(", {count} skipped"),
        };
        let not_run = match asked.saturating_sub(outcomes.len()) {
            0 => String::new(),
            count => format!(", {BAD}{count} not run to the end{BAD:#}"),
        };
        let skipped: Duration = outcomes.iter().map(|outcome| outcome.skipped).sum();
        let skipped = if skipped > Duration::from_secs(1) {
            format!(", and {} of waiting skipped", seconds(skipped))
        } else {
            String::new()
        };
        self.print(&format!(
            "\n{style}{passed} passed, {failed} failed{style:#}{not_run}{left_out} {DIM}in {}{skipped}{DIM:#}",
            seconds(took)
        ))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a line above the bars.
    fn print(&self, text: &str) -> io::Result<()> {
        self.bars.suspend(|| {
            let mut out = anstream::stdout().lock();
            writeln!(out, "{text}")?;
            out.flush()
        })
    }
}

/// The scenarios and what each shows, in two columns.
#[must_use]
pub(super) fn list(scenarios: &[Scenario]) -> String {
    let width = scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    scenarios.iter().fold(String::new(), |mut text, scenario| {
        let _ = writeln!(text, "{TITLE}{:width$}{TITLE:#}  {}", scenario.name, scenario.about);
        for limit in scenario.runs.iter().filter_map(|run| run.limit.as_ref()) {
            let shown = limit.expect.as_str();
            let _ = writeln!(text, "{:width$}  {DIM}limit: {} ({shown}){DIM:#}", "", limit.why);
        }
        text
    })
}

/// One line of the device's lane, with a colour for each speaker.
fn device_line(line: &DeviceLine) -> String {
    match line {
        DeviceLine::Sent(text) => format!("{SENT}> {text}{SENT:#}"),
        DeviceLine::Answer(text) => format!("{DIM}@ {text}{DIM:#}"),
        DeviceLine::Reply(text) => format!("  {text}"),
        DeviceLine::Said(text) => {
            let style = match text.as_str() {
                "certificate matches" => GOOD,
                "certificate doesn't match" | "connection failed" => BAD,
                _ => Style::new(),
            };
            format!("  {style}{text}{style:#}")
        }
    }
}

fn result_line(outcome: &Outcome) -> String {
    let (style, word) = match &outcome.verdict {
        Verdict::Passed => (GOOD, "PASS".to_owned()),
        Verdict::Failed(failure) => (BAD, format!("FAIL ({})", failure.blame)),
    };
    format!(
        "{style}{word}{style:#} {} {DIM}{}{}{DIM:#}",
        outcome.scenario.name,
        seconds(outcome.took),
        on_board(outcome)
    )
}

/// ` on NAME` for a board of the rig; empty for a virtual one.
fn on_board(outcome: &Outcome) -> String {
    let board = outcome.board.as_ref().filter(|board| *board != VIRTUAL);
    board.map_or_else(String::new, |board| format!(" on {board}"))
}

/// The most scenarios that are shown one by one. Of more, the table has each folder, and those that failed.
const MOST_ROWS: usize = 40;

fn table(outcomes: &[Outcome]) -> String {
    if outcomes.len() <= MOST_ROWS {
        return scenarios(outcomes);
    }
    let failed: Vec<Outcome> = outcomes.iter().filter(|outcome| !outcome.passed()).cloned().collect();
    if failed.is_empty() || failed.len() > MOST_ROWS {
        return folders(outcomes);
    }
    format!("{}\n{}", folders(outcomes), scenarios(&failed))
}

/// A row for each folder of scenarios, in the order of the outcomes.
fn folders(outcomes: &[Outcome]) -> String {
    fn folder(outcome: &Outcome) -> &str {
        outcome.scenario.name.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
    let rows: Vec<[String; 5]> = outcomes
        .chunk_by(|a, b| folder(a) == folder(b))
        .map(|its| {
            let passed = its.iter().filter(|outcome| outcome.passed()).count();
            [
                folder(&its[0]).to_owned(),
                its.len().to_string(),
                passed.to_string(),
                (its.len() - passed).to_string(),
                seconds(its.iter().map(|outcome| outcome.took).sum()),
            ]
        })
        .collect();
    let style = |row: usize, column| match column {
        3 if rows[row][3] != "0" => BAD,
        _ => Style::new(),
    };
    grid(["folder", "scenarios", "passed", "failed", "time"], &rows, style)
}

fn scenarios(outcomes: &[Outcome]) -> String {
    let rows: Vec<[String; 6]> = outcomes
        .iter()
        .map(|outcome| {
            [
                outcome.scenario.name.clone(),
                expected(outcome),
                device_said(outcome),
                server_saw(outcome),
                match &outcome.verdict {
                    Verdict::Passed => "pass".to_owned(),
                    Verdict::Failed(failure) => failure.blame.to_string(),
                },
                seconds(outcome.took),
            ]
        })
        .collect();
    let style = |row: usize, column| match (column, &outcomes[row].verdict) {
        (4, Verdict::Passed) => GOOD,
        (4, Verdict::Failed(_)) => BAD,
        _ => Style::new(),
    };
    let header = ["scenario", "expected", "device said", "server saw", "verdict", "time"];
    grid(header, &rows, style)
}

/// Rows in columns under a header; `style` is asked with row and column.
pub(super) fn grid<const N: usize>(
    header: [&str; N],
    rows: &[[String; N]],
    style: impl Fn(usize, usize) -> Style,
) -> String {
    let header = header.map(str::to_owned);
    let mut widths = [0; N];
    for row in std::iter::once(&header).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::from("\n");
    let line = |text: &mut String, row: &[String; N], style: &dyn Fn(usize) -> Style| {
        for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
            let style = style(index);
            let padding = " ".repeat(width - cell.chars().count() + 2);
            let _ = write!(text, "{style}{cell}{style:#}{padding}");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    };
    line(&mut text, &header, &|_| DIM);
    for (index, row) in rows.iter().enumerate() {
        line(&mut text, row, &|column| style(index, column));
    }
    text.trim_end().to_owned()
}

fn expected(outcome: &Outcome) -> String {
    let runs = outcome.scenario.runs.iter().map(Run::expected);
    runs.collect::<Vec<_>>().join(", ")
}

/// The results in the device's own words: `outcome`, and the reason where it gave one.
fn device_said(outcome: &Outcome) -> String {
    let runs = outcome.transcript.runs.iter().map(|lanes| match &lanes.answer {
        None => "no result".to_owned(),
        Some(DeviceAnswer::Rejected(rejection)) => rejection.code.clone().unwrap_or_else(|| "rejected".to_owned()),
        Some(DeviceAnswer::Result(result)) => match &result.reason {
            Some(reason) => format!("{}: {reason}", result.outcome),
            None => result.outcome.to_string(),
        },
    });
    let said = runs.collect::<Vec<_>>().join(", ");
    if said.is_empty() { "nothing".to_owned() } else { said }
}

/// How far the device came, by the server's counts: the second witness that a refusal needs.
fn server_saw(outcome: &Outcome) -> String {
    let saw = outcome.server;
    let far = match (saw.connections, saw.handshakes, saw.requests) {
        (0, ..) => return "nothing".to_owned(),
        (_, _, 1) => "1 request".to_owned(),
        (_, _, requests @ 2..) => format!("{requests} requests"),
        (_, 1.., 0) => "a handshake".to_owned(),
        (_, 0, 0) => "a connection".to_owned(),
    };
    match saw.application_bytes {
        0 => format!("{far}, no data"),
        bytes => format!("{far}, {bytes} bytes"),
    }
}

/// What went wrong, and where the evidence is.
fn failure(outcome: &Outcome) -> Option<String> {
    let Verdict::Failed(failure) = &outcome.verdict else {
        return None;
    };
    let name = &outcome.scenario.name;
    let mut text = format!("\n{BAD}{name}{BAD:#} ({}{})\n", failure.blame, on_board(outcome));
    for finding in &failure.findings {
        let _ = writeln!(text, "  - {finding}");
    }
    if let Some(folder) = &outcome.bundle {
        let _ = writeln!(text, "  evidence: {}", folder.display());
    }
    Some(text.trim_end().to_owned())
}

pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

fn flash_style() -> ProgressStyle {
    ProgressStyle::with_template("  {prefix} {msg} [{bar:30}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left")
        .expect("the template is a constant and well-formed")
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinrig::evidence::ServerEvidence;
    use pinrig::scenario::Run;
    use pinrig::transcript::Transcript;
    use pinrig::verdict::{Blame, Failure};

    fn outcome(name: &str, passed: bool) -> Outcome {
        let failure = Failure {
            blame: Blame::Assertion,
            findings: Vec::new(),
        };
        Outcome {
            board: None,
            scenario: Scenario {
                name: name.to_owned(),
                variant: None,
                about: String::new(),
                runs: vec![Run::honest()],
                repeat: 1,
            },
            verdict: if passed {
                Verdict::Passed
            } else {
                Verdict::Failed(failure)
            },
            transcript: Transcript::default(),
            server: ServerEvidence::default(),
            network: None,
            took: Duration::from_millis(250),
            skipped: Duration::ZERO,
            bundle: None,
        }
    }

    #[test]
    fn many_scenarios_are_shown_by_folder_and_failures_by_name() {
        let mut outcomes: Vec<Outcome> = (0..40).map(|number| outcome(&format!("pin/{number}"), true)).collect();
        let few = table(&outcomes);
        assert_eq!(few.lines().count(), 42, "a line, the header, and one each: {few}");
        outcomes.push(outcome("auth/replayed", false));
        let many = anstream::adapter::strip_str(&table(&outcomes)).to_string();
        let rows: Vec<Vec<&str>> = many.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(rows.contains(&vec!["pin", "40", "40", "0", "10.00", "s"]), "{many}");
        assert!(rows.contains(&vec!["auth", "1", "0", "1", "0.25", "s"]), "{many}");
        assert_eq!(
            rows.iter().filter(|row| row.first() == Some(&"auth/replayed")).count(),
            1,
            "{many}"
        );
        assert!(!many.contains("pin/7"), "{many}");
    }
}
