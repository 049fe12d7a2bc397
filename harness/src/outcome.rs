//! Outcomes of scenarios, and the events on the way there.
//!
//! Plain values: [`run`](crate::run) makes them; bundles, reports and the command consume them.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::board::console::Line;
use crate::board::flash::{FlashReport, FlashStep};
use crate::evidence::ServerEvidence;
use crate::image::Image;
use crate::scenario::Scenario;
use crate::transcript::{DeviceLine, Transcript};
use crate::verdict::Verdict;

/// What happens while scenarios run.
#[derive(Debug)]
pub enum Event<'a> {
    /// The image is about to be flashed.
    Flashing {
        /// The board's name.
        board: &'a str,
        /// The image.
        image: &'a Image,
    },
    /// More of one part of the image has been written.
    FlashProgress(FlashStep<'a>),
    /// The image is in flash.
    Flashed(&'a FlashReport),
    /// A scenario begins.
    Started(&'a Scenario),
    /// The board printed something before the firmware was ready.
    Boot(&'a Scenario, &'a Line),
    /// A line was added to the device's lane. It is shown as it was said, before redaction; only the network's
    /// password is hidden.
    Device(&'a Scenario, &'a DeviceLine),
    /// A scenario ended.
    Finished(&'a Outcome),
    /// A scenario was cut off, because the user has interrupted the process. Its verdict says nothing.
    Interrupted(&'a Outcome),
    /// These scenarios are not run on these boards.
    Skipped {
        /// Why.
        why: &'a str,
        /// Their names.
        scenarios: &'a [&'a str],
    },
}

/// How one scenario ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scenario.
    pub scenario: Scenario,
    /// The board on which it ran; `None` where there was none to run it on.
    pub board: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// What both sides said.
    pub transcript: Transcript,
    /// The server's counts over all runs of the scenario.
    pub server: ServerEvidence,
    /// What the device sent on its network in the scenario's own runs, a line for each kind of thing; `None` where nothing
    /// watches it.
    pub network: Option<Vec<String>>,
    /// How long it took.
    pub took: Duration,
    /// Waiting that a virtual board skipped: by the device's clock the scenario took that much longer.
    pub skipped: Duration,
    /// The folder with the evidence; always there for a failure.
    pub bundle: Option<PathBuf>,
}

impl Outcome {
    /// Whether the scenario passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Passed
    }

    /// All of it as one JSON object; durations are in seconds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (verdict, blame, findings) = match &self.verdict {
            Verdict::Passed => ("passed", Value::Null, Vec::new()),
            Verdict::Failed(failure) => ("failed", json!(failure.blame), failure.findings.clone()),
        };
        json!({
            "scenario": self.scenario.name,
            "about": self.scenario.about,
            "board": self.board,
            "verdict": verdict,
            "blame": blame,
            "findings": findings,
            "seconds": self.took.as_secs_f64(),
            "skipped_seconds": self.skipped.as_secs_f64(),
            "runs": self.transcript.runs.iter().map(|lanes| json!({
                "device": lanes.device.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "server": lanes.server,
            })).collect::<Vec<_>>(),
            "afterwards": self.transcript.afterwards,
            "server_saw": self.server,
            "network_saw": self.network,
            "bundle": self.bundle.as_ref().map(|folder| folder.display().to_string()),
        })
    }
}
