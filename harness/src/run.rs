//! Runs scenarios: server up, board up, settings in, `run`, evidence out.
//!
//! What enters: scenarios, a [`Bench`] and an [`Image`]. What leaves: [`Event`]s while it goes on, and an [`Outcome`]
//! for each scenario. Whatever happens, an outcome holds what both sides had said so far, and a failure leaves a bundle
//! of files.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::board::console::Line;
use crate::board::flash::{FlashProgress, FlashReport};
use crate::board::{Bench, Board, BoardError, BootMode, LinkSettings, RecordedFile, Route};
use crate::bundle;
use crate::deadline::Deadline;
use crate::device::{Answer, Device, DeviceError, Said};
use crate::image::Image;
use crate::scenario::{Expectation, Scenario};
use crate::service::{Running, ServiceLog};
use crate::traffic::Settled;
use crate::transcript::{DeviceLine, Redactor, Transcript, without_tag};
use crate::verdict::{self, Blame, DeviceEvidence, Evidence, Failure, ServerEvidence, Verdict};

/// The port that the device connects to: the scenario's server stands behind it, wherever it really listens.
const HTTPS: u16 = 443;

/// How long each wait may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From reset to the ready line.
    pub boot: Duration,
    /// One setting.
    pub setting: Duration,
    /// One `run`; longer than the sum of the firmware's own time limits, which should speak first.
    pub run: Duration,
    /// From the end of `run` until the server has seen the connection close.
    pub close: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            boot: Duration::from_secs(30),
            setting: Duration::from_secs(10),
            run: Duration::from_secs(90),
            close: Duration::from_secs(10),
        }
    }
}

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
    /// Blocks of one part are written.
    FlashProgress {
        /// Where in flash.
        address: u32,
        /// Blocks written.
        done: usize,
        /// Blocks in all.
        total: usize,
    },
    /// The image is in flash.
    Flashed(&'a FlashReport),
    /// A scenario begins.
    Started(&'a Scenario),
    /// The board printed something before the firmware was ready.
    Boot(&'a Scenario, &'a Line),
    /// The device's lane grew by this line, shown as it was said, before the redactor saw it.
    Device(&'a Scenario, &'a DeviceLine),
    /// A scenario ended.
    Finished(&'a Outcome),
}

/// How one scenario ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scenario.
    pub scenario: Scenario,
    /// The verdict.
    pub verdict: Verdict,
    /// What both sides said.
    pub transcript: Transcript,
    /// What the server saw, in numbers.
    pub server: ServerEvidence,
    /// How long it took.
    pub took: Duration,
    /// How much longer the device believes that it took: waiting that a virtual board skipped.
    pub skipped: Duration,
    /// Where the evidence was kept: always for a failure.
    pub bundle: Option<PathBuf>,
}

impl Outcome {
    /// Whether the scenario passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Passed
    }
}

/// Runs scenarios on one bench.
pub struct Runner<'a> {
    /// Where boards come from.
    pub bench: &'a dyn Bench,
    /// What they run.
    pub image: &'a Image,
    /// How long each wait may take.
    pub limits: Limits,
    /// The folder for the evidence of failures.
    pub out: &'a Path,
    /// Keep the evidence of passes too.
    pub keep: bool,
    /// Is told what happens; called from several threads.
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
        (self.observer)(Event::Flashing {
            board: &self.bench.name(),
            image: self.image,
        });
        let report = self.bench.prepare(self.image, &mut Progress(self.observer))?;
        (self.observer)(Event::Flashed(&report));
        Ok(report)
    }

    /// Runs `scenarios`, `jobs` at a time, and gives the outcomes in the order of `scenarios`.
    #[must_use]
    pub fn run_all(&self, scenarios: &[Scenario], jobs: NonZeroUsize) -> Vec<Outcome> {
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(vec![None; scenarios.len()]);
        thread::scope(|scope| {
            for _ in 0..jobs.get().min(scenarios.len()) {
                scope.spawn(|| {
                    while let Some((index, scenario)) = {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        scenarios.get(index).map(|scenario| (index, scenario))
                    } {
                        let outcome = self.run(scenario);
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
        let mut sitting = Sitting {
            runner: self,
            scenario,
            transcript: Transcript::default(),
            evidence: DeviceEvidence::default(),
            server: ServerEvidence::default(),
            files: Vec::new(),
            remarks: Vec::new(),
            skipped: Duration::ZERO,
        };
        let mut verdict = sitting.run().unwrap_or_else(Verdict::Failed);
        if let Verdict::Failed(failure) = &mut verdict {
            failure.findings.append(&mut sitting.remarks);
        }
        let mut outcome = Outcome {
            scenario: scenario.clone(),
            verdict,
            transcript: sitting.transcript,
            server: sitting.server,
            took: began.elapsed(),
            skipped: sitting.skipped,
            bundle: None,
        };
        if self.keep || !outcome.passed() {
            match bundle::write(self.out, self.image, &outcome, &sitting.files) {
                Ok(folder) => outcome.bundle = Some(folder),
                Err(error) => {
                    let finding = format!("the evidence could not be kept: {error}");
                    match &mut outcome.verdict {
                        Verdict::Failed(failure) => failure.findings.push(finding),
                        passed @ Verdict::Passed => *passed = Verdict::Failed(rig(finding)),
                    }
                }
            }
        }
        (self.observer)(Event::Finished(&outcome));
        outcome
    }
}

/// One scenario under way.
struct Sitting<'a> {
    runner: &'a Runner<'a>,
    scenario: &'a Scenario,
    transcript: Transcript,
    evidence: DeviceEvidence,
    server: ServerEvidence,
    files: Vec<RecordedFile>,
    /// What the board's network or hardware did not allow: it may explain a failure.
    remarks: Vec<String>,
    skipped: Duration,
}

impl Sitting<'_> {
    fn run(&mut self) -> Result<Verdict, Failure> {
        let service = Running::start(&self.scenario.service).map_err(|error| rig(error.to_string()))?;
        let driven = self.drive(service.address(), service.settled());
        // The server's side is evidence too when the device's side broke down: it is closed and read in any case.
        let closed = Deadline::after("the server's last connection to close", self.runner.limits.close);
        let log = service.finish(&closed);
        self.files.extend(log.files());
        self.transcript.server = log.lines();
        self.server = log.evidence();
        driven?;
        self.judge(&log)
    }

    fn judge(&self, log: &ServiceLog) -> Result<Verdict, Failure> {
        if let Some(problem) = log.problem() {
            return Err(Failure {
                blame: Blame::Hang,
                findings: vec![problem],
            });
        }
        let evidence = Evidence {
            device: self.evidence.clone(),
            server: self.server,
        };
        Ok(verdict::judge(&self.scenario.expect, &evidence))
    }

    /// The device's side, from power-on to the result line.
    fn drive(&mut self, server: SocketAddr, settled: Settled) -> Result<(), Failure> {
        let route = Route {
            host: self.scenario.device.host.clone(),
            port: HTTPS,
            server,
            settled,
        };
        let Board {
            console,
            link,
            patience,
            mut reset,
            recorder,
        } = self
            .runner
            .bench
            .board(&route)
            .map_err(|error| rig(error.to_string()))?;
        let mut device = Device::new(console);
        let result = reset
            .reset(BootMode::Flash)
            .map_err(|error| rig(error.to_string()))
            .and_then(|()| self.talk(&mut device, &link, &patience));
        if let Err(Failure {
            blame: Blame::Crash, ..
        }) = result
        {
            // The panic's backtrace and the next boot follow: they belong to the evidence.
            let crash = Deadline::after("the rest of a crash", Duration::from_secs(2));
            let mut rest = Vec::new();
            device.drain(&crash, Duration::from_millis(300), |line| rest.push(line.text.clone()));
            for text in rest {
                self.grow(DeviceLine::Said(text));
            }
        }
        self.files.push(RecordedFile {
            name: "console.raw",
            contents: device
                .console()
                .chunks()
                .into_iter()
                .flat_map(|chunk| chunk.bytes)
                .collect(),
        });
        self.files.push(RecordedFile {
            name: "console.log",
            contents: bundle::timed_console(&device.console().chunks()).into_bytes(),
        });
        self.files.extend(recorder.files());
        self.skipped = recorder.skipped();
        self.remarks = recorder.remarks();
        result
    }

    fn talk(&mut self, device: &mut Device, link: &LinkSettings, patience: &AtomicBool) -> Result<(), Failure> {
        let limits = self.runner.limits;
        let observer = self.runner.observer;
        let scenario = self.scenario;
        let boot = Deadline::after("the firmware's ready line", limits.boot);
        let identity = device
            .wait_ready(&boot, |line| observer(Event::Boot(scenario, line)))
            .map_err(|error| blamed(&error))?;
        let wanted = self.runner.image.identity();
        if identity.image != wanted {
            return Err(rig(format!(
                "the board runs image {}, but {} is image {wanted}; flash it again",
                identity.image,
                self.runner.image.path().display()
            )));
        }

        // Facts of the bench: they differ from bench to bench and stay out of the transcript.
        let mut bench_settings = vec![format!("set network {}", link.network)];
        bench_settings.extend(link.connect_to.map(|address| format!("set connect-to {address}")));
        for setting in bench_settings {
            let deadline = Deadline::after("the answer to a setting of the bench", limits.setting);
            match device
                .command(&setting, &deadline, |_| {})
                .map_err(|error| blamed(&error))?
            {
                Answer::Ok(_) => {}
                Answer::Error(fields) => {
                    return Err(rig(format!(
                        "the firmware refused `{setting}`: {}",
                        fields.get("detail").unwrap_or("no detail")
                    )));
                }
            }
        }

        let mut redactor = Redactor::default().with(&link.network, "[NETWORK]");
        let settings = &scenario.device;
        let on_mismatch = match settings.on_mismatch {
            crate::scenario::OnMismatch::Abort => "abort",
            crate::scenario::OnMismatch::Continue => "continue",
        };
        let rule = match settings.rule {
            crate::scenario::Rule::Original => "original",
            crate::scenario::Rule::Robust => "robust",
        };
        for setting in [
            format!("set host {}", settings.host),
            format!("set path {}", settings.path),
            format!("set on-mismatch {on_mismatch}"),
            format!("set rule {rule}"),
            format!("set pin {}", settings.pin),
        ] {
            let deadline = Deadline::after("the answer to a setting", limits.setting);
            if let Answer::Error(fields) = self.command(device, &mut redactor, &setting, &deadline)? {
                if setting.starts_with("set pin ") && matches!(scenario.expect, Expectation::PinRejected { .. }) {
                    self.evidence.pin_rejected = Some(fields);
                    return Ok(());
                }
                return Err(Failure {
                    blame: Blame::Assertion,
                    findings: vec![format!(
                        "the firmware refused `{setting}`: {}",
                        fields.get("detail").unwrap_or("no detail")
                    )],
                });
            }
        }

        let deadline = Deadline::after("the result of `run`", limits.run);
        patience.store(true, Ordering::SeqCst);
        let answer = self.command(device, &mut redactor, "run", &deadline);
        patience.store(false, Ordering::SeqCst);
        self.evidence.said = self.transcript.said().map(str::to_owned).collect();
        match answer? {
            Answer::Ok(fields) => {
                self.evidence.result = Some(fields);
                Ok(())
            }
            Answer::Error(fields) => Err(Failure {
                blame: Blame::Assertion,
                findings: vec![format!(
                    "the firmware refused `run`: {}",
                    fields.get("detail").unwrap_or("no detail")
                )],
            }),
        }
    }

    /// Sends one command of the scenario and writes all that is said into the device's lane.
    fn command(
        &mut self,
        device: &mut Device,
        redactor: &mut Redactor,
        command: &str,
        deadline: &Deadline,
    ) -> Result<Answer, Failure> {
        self.grow(DeviceLine::Sent(command.to_owned()));
        device
            .command(command, deadline, |said| {
                let (shown, kept) = match said {
                    Said::Line(line) => (
                        DeviceLine::Said(line.text.clone()),
                        DeviceLine::Said(redactor.said(&line.text)),
                    ),
                    Said::Answer(line) => (
                        DeviceLine::Answer(without_tag(&line.text).to_owned()),
                        DeviceLine::Answer(redactor.answer(&line.text)),
                    ),
                };
                (self.runner.observer)(Event::Device(self.scenario, &shown));
                self.transcript.device.push(kept);
            })
            .map_err(|error| blamed(&error))
    }

    fn grow(&mut self, line: DeviceLine) {
        (self.runner.observer)(Event::Device(self.scenario, &line));
        self.transcript.device.push(line);
    }
}

fn rig(finding: String) -> Failure {
    Failure {
        blame: Blame::Rig,
        findings: vec![finding],
    }
}

fn blamed(error: &DeviceError) -> Failure {
    let blame = match error {
        DeviceError::Crashed { .. } => Blame::Crash,
        DeviceError::Silent(_) | DeviceError::NotBooted(_) => Blame::Hang,
        DeviceError::Console(_) | DeviceError::Board(_) | DeviceError::Greeting { .. } => Blame::Rig,
    };
    Failure {
        blame,
        findings: vec![error.to_string()],
    }
}

struct Progress<'a>(&'a (dyn Fn(Event<'_>) + Sync));

impl FlashProgress for Progress<'_> {
    fn progress(&mut self, address: u32, done: usize, total: usize) {
        (self.0)(Event::FlashProgress { address, done, total });
    }
}
