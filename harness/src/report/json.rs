//! The report for machines: one JSON object a line, each with an `event` key.
//!
//! `flashed`, `started`, `finished` (verdict, findings, both lanes), `interrupted` (what `finished` has), `skipped` (names and why) and `summary`. Durations are in seconds.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::outcome::{Event, Outcome};

/// Writes events as JSON lines.
#[derive(Debug)]
pub struct JsonReport<W> {
    out: Mutex<W>,
}

impl<W: Write> JsonReport<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out: Mutex::new(out) }
    }

    /// Writes what `event` says, if it is one that machines are told.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn event(&self, event: &Event<'_>) -> io::Result<()> {
        let value = match event {
            Event::Flashed(report) => json!({
                "event": "flashed",
                "written": report.written,
                "skipped": report.skipped,
                "seconds": report.took.as_secs_f64(),
                "remarks": report.remarks,
            }),
            Event::Started(scenario) => json!({ "event": "started", "scenario": scenario.name }),
            Event::Finished(outcome) => {
                let mut value = outcome.to_json();
                value["event"] = "finished".into();
                value
            }
            Event::Interrupted(outcome) => {
                let mut value = outcome.to_json();
                value["event"] = "interrupted".into();
                value["verdict"] = "interrupted".into();
                value["blame"] = Value::Null;
                value
            }
            Event::Skipped { why, scenarios } => json!({ "event": "skipped", "why": why, "scenarios": scenarios }),
            Event::Flashing { .. } | Event::FlashProgress(_) | Event::Boot(..) | Event::Device(..) => return Ok(()),
        };
        self.line(&value)
    }

    /// Writes the closing line. Of the scenarios that were `asked` for, those without an outcome have not run to their end.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn summary(&self, outcomes: &[Outcome], asked: usize, exit_code: u8) -> io::Result<()> {
        let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
        self.line(&json!({
            "event": "summary",
            "scenarios": outcomes.len(),
            "passed": passed,
            "failed": outcomes.len() - passed,
            "not_run": asked.saturating_sub(outcomes.len()),
            "exit_code": exit_code,
        }))
    }

    fn line(&self, value: &Value) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(out, "{value}")?;
        out.flush()
    }
}
