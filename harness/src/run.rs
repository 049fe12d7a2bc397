//! Runs scenarios: server up, board up, settings in, `run`, evidence out.
//!
//! What enters: scenarios, a [`Bench`] and an [`Image`]. What leaves: [`Event`]s while it goes on, and an [`Outcome`]
//! for each scenario. Whatever happens, an outcome holds what both sides had said so far, and a failure leaves a bundle
//! of files.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Route, Seat};
use crate::board::flash::FlashReport;
use crate::board::{Board, BoardError, BootMode, LinkSettings, Network, Secret};
use crate::bundle;
use crate::deadline::Deadline;
use crate::device::{Answer, Device, DeviceError, Said};
use crate::evidence::{RecordedFile, ServerEvidence};
use crate::image::Image;
use crate::language::Fields;
use crate::outcome::{Event, Outcome};
use crate::postmortem;
use crate::scenario::{DEFAULT_HOST, DeviceSettings, Expectation, Run, SOAK_WARM_UP, Scenario};
use crate::service::Running;
use crate::transcript::{DeviceLine, Lanes, Redactor, Transcript, without_tag};
use crate::verdict::{self, Blame, DeviceEvidence, Evidence, Failure, Verdict};

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
        if !self.bench.takes_images() {
            return self.bench.prepare(self.image, &|_| {});
        }
        for (board, image) in self.bench.images(self.image) {
            (self.observer)(Event::Flashing { board: &board, image });
        }
        let report = self
            .bench
            .prepare(self.image, &|step| (self.observer)(Event::FlashProgress(step)))?;
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
        let mut attempt = Attempt {
            runner: self,
            scenario,
            board: None,
            image: None,
            transcript: Transcript::default(),
            server: ServerEvidence::default(),
            files: Vec::new(),
            remarks: Vec::new(),
            skipped: Duration::ZERO,
        };
        let mut verdict = match attempt.run() {
            Ok(()) => Verdict::Passed,
            Err(failure) => Verdict::Failed(failure),
        };
        if let Verdict::Failed(failure) = &mut verdict {
            failure.findings.append(&mut attempt.remarks);
        }
        let mut outcome = Outcome {
            scenario: scenario.clone(),
            board: attempt.board.take(),
            verdict,
            transcript: attempt.transcript,
            server: attempt.server,
            took: began.elapsed(),
            skipped: attempt.skipped,
            bundle: None,
        };
        if self.keep || !outcome.passed() {
            let image = attempt.image.as_deref().unwrap_or(self.image);
            match bundle::write(self.out, image, &outcome, &attempt.files) {
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

/// How much deeper the stack may be found when an interrupt has come at an unlucky moment, in bytes.
const INTERRUPT_STACK: u64 = 1024;

/// One scenario under way.
struct Attempt<'a> {
    runner: &'a Runner<'a>,
    scenario: &'a Scenario,
    board: Option<String>,
    /// The board's own image, if it has one.
    image: Option<Arc<Image>>,
    transcript: Transcript,
    server: ServerEvidence,
    files: Vec<RecordedFile>,
    /// What the board's network or hardware did not allow: it may explain a failure.
    remarks: Vec<String>,
    skipped: Duration,
}

impl Attempt<'_> {
    /// What the board runs.
    fn image(&self) -> &Image {
        self.image.as_deref().unwrap_or(self.runner.image)
    }

    fn run(&mut self) -> Result<(), Failure> {
        let first = self.scenario.runs.first();
        let first = first.ok_or_else(|| rig("the scenario has no run".to_owned()))?;
        let seat = self.runner.bench.seat().map_err(|error| rig(error.to_string()))?;
        let address = seat.server_address();
        let mut service =
            Running::start(&first.service, address).map_err(|error| rig(format!("a server at {address}: {error}")))?;
        let result = self.with_board(seat, &mut service);
        self.files.extend(service.finish());
        result
    }

    /// All that is done with one board, from power-on.
    fn with_board(&mut self, seat: Box<dyn Seat + '_>, service: &mut Running) -> Result<(), Failure> {
        let hosts = self.scenario.runs.iter().map(|run| run.device.host.as_str());
        // In DNS the root's dot is always there, written or not.
        let mut hosts: Vec<String> = hosts.map(|host| host.trim_end_matches('.').to_owned()).collect();
        hosts.push(DEFAULT_HOST.to_owned());
        hosts.sort();
        hosts.dedup();
        let route = Route {
            hosts,
            port: HTTPS,
            server: service.address(),
            settled: service.settled(),
        };
        let Board {
            name,
            image,
            console,
            dialect,
            link,
            patience,
            debugger,
            network,
            mut reset,
            recorder,
        } = seat.board(&route).map_err(|error| rig(error.to_string()))?;
        (self.board, self.image) = (Some(name), image);
        let mut device = Device::speaking(console, dialect);
        self.transcript.runs.push(Lanes::default());
        let mut result = reset
            .reset(BootMode::Flash)
            .map_err(|error| rig(error.to_string()))
            .and_then(|()| self.boot(&mut device, &link))
            .and_then(|()| {
                let bench = RunBench {
                    device: &mut device,
                    redactor: Redactor::new(&link.network),
                    patience: &patience,
                    network: network.as_deref(),
                    link: &link,
                    has: Has::ItsOwn,
                };
                self.all_runs(bench, service)
            });
        if let (Err(failure), Some(debugger)) = (&mut result, &debugger)
            && failure.blame == Blame::Hang
        {
            let (findings, registers) = postmortem::of_hang(&**debugger, self.image());
            failure.findings.extend(findings);
            self.files.extend(registers);
        }
        if let Err(failure) = &mut result
            && failure.blame == Blame::Crash
        {
            // The panic's backtrace and the next boot follow: they belong to the evidence.
            let crash = Deadline::after("the rest of a crash", Duration::from_secs(2));
            let mut rest = Vec::new();
            device.drain(&crash, Duration::from_millis(300), |line| rest.push(line.text.clone()));
            failure.findings.extend(postmortem::of_crash(&rest, self.image()));
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
        // The console goes before the board is free for others; and a program that is a board has said all when it has ended.
        drop(device);
        drop(reset);
        self.files.extend(recorder.files());
        self.skipped = recorder.skipped();
        self.remarks = recorder.remarks();
        result
    }

    /// Waits for the firmware, makes sure that it is the right one, and tells it the facts of the bench: they differ from bench to bench
    /// and stay out of the transcript.
    fn boot(&mut self, device: &mut Device, link: &LinkSettings) -> Result<(), Failure> {
        let limits = self.runner.limits;
        let observer = self.runner.observer;
        let scenario = self.scenario;
        let boot = Deadline::after("the firmware's ready line", limits.boot);
        let identity = device
            .wait_ready(&boot, |line| observer(Event::Boot(scenario, line)))
            .map_err(|error| blamed(&error))?;
        let wanted = self.image().identity();
        if self.runner.bench.takes_images() && identity.image != wanted {
            return Err(rig(format!(
                "the board runs image {}, but {} is image {wanted}; flash it again",
                identity.image,
                self.image().path().display()
            )));
        }
        let mut settings = vec![format!("set network {}", link.network)];
        settings.extend(link.connect_to.map(|address| format!("set connect-to {address}")));
        // The words of a setting that may be shown, and all of it.
        let mut settings: Vec<(String, String)> =
            settings.into_iter().map(|setting| (setting.clone(), setting)).collect();
        if let Some(Secret(password)) = &link.password {
            settings.push(("set password ...".to_owned(), format!("set password {password}")));
        }
        for (shown, setting) in settings {
            let deadline = Deadline::after("the answer to a setting of the bench", limits.setting);
            let answer = device.command(&setting, &deadline, |_| {});
            if let Answer::Error(fields) = answer.map_err(|error| blamed(&error))? {
                return Err(rig(refused(&shown, &fields)));
            }
        }
        Ok(())
    }

    /// The scenario's runs, and, where the last was not to be accepted, the proof that the device is none the worse for it.
    fn all_runs(&mut self, mut bench: RunBench<'_>, service: &mut Running) -> Result<(), Failure> {
        let scenario = self.scenario;
        for (index, run) in scenario.runs.iter().enumerate() {
            if index > 0 {
                service.change(&run.service).map_err(|error| rig(error.to_string()))?;
                self.transcript.runs.push(Lanes::default());
            }
            self.one_run(run, &mut bench, service).map_err(|mut failure| {
                if scenario.runs.len() > 1 {
                    for finding in &mut failure.findings {
                        *finding = format!("run {}: {finding}", index + 1);
                    }
                }
                failure
            })?;
        }
        // What is seen from here on says nothing of the scenario's own runs.
        let saw = self.server;
        if let Some(last) = scenario.runs.last() {
            self.repeat(last, &mut bench, service)?;
            self.server = saw;
        }
        let accepted = |run: &Run| matches!(run.expect, Expectation::Accepted { .. });
        if scenario.runs.last().is_some_and(accepted) {
            return Ok(());
        }
        let honest = Run::honest();
        service
            .change(&honest.service)
            .map_err(|error| rig(error.to_string()))?;
        self.transcript.runs.push(Lanes::default());
        self.one_run(&honest, &mut bench, service).map_err(|mut failure| {
            for finding in &mut failure.findings {
                *finding = format!("afterwards, with an honest server: {finding}");
            }
            failure
        })?;
        // Its lanes are those of `pin/matches`: only that it went well is worth a line.
        self.transcript.runs.pop();
        self.server = saw;
        let line = "the same device accepts an honest server";
        self.transcript.afterwards.push(line.to_owned());
        Ok(())
    }

    /// The further runs of a soak test: each like the first, and none with more memory than a device in its stride needs.
    fn repeat(&mut self, run: &Run, bench: &mut RunBench<'_>, service: &mut Running) -> Result<(), Failure> {
        let times = self.scenario.repeat;
        if times <= 1 {
            return Ok(());
        }
        let said = |lanes: &Lanes| -> Vec<String> { lanes.said().map(str::to_owned).collect() };
        let first = self.transcript.runs.last().map(said);
        let mut in_its_stride = None;
        for time in 2..=times {
            self.transcript.runs.push(Lanes::default());
            self.one_run(run, bench, service).map_err(|mut failure| {
                for finding in &mut failure.findings {
                    *finding = format!("repetition {time} of {times}: {finding}");
                }
                failure
            })?;
            if self.transcript.runs.last().map(said) != first {
                return Err(assertion(format!(
                    "repetition {time} of {times} should have been like the first; the device said something else"
                )));
            }
            self.transcript.runs.pop();
            if time == SOAK_WARM_UP {
                in_its_stride = Some(self.memory(bench)?);
            }
        }
        let (before, after) = (in_its_stride.unwrap_or_default(), self.memory(bench)?);
        let grown: Vec<String> = before
            .iter()
            .zip(&after)
            .filter(|((name, before), (_, after))| {
                let chance = if *name == "stack-peak" { INTERRUPT_STACK } else { 0 };
                *after > before + chance
            })
            .map(|((name, before), (_, after))| {
                format!("{name} was {before} bytes after {SOAK_WARM_UP} runs and {after} after {times}: memory is lost")
            })
            .collect();
        if !grown.is_empty() {
            return Err(Failure {
                blame: Blame::Assertion,
                findings: grown,
            });
        }
        let line = format!("the same {times} times in all, with no more memory after {SOAK_WARM_UP}");
        self.transcript.afterwards.push(line);
        Ok(())
    }

    /// The device's use of memory, in bytes: by name, what is in use or has been at most.
    fn memory(&self, bench: &mut RunBench<'_>) -> Result<Vec<(&'static str, u64)>, Failure> {
        let deadline = Deadline::after("the answer to `status`", self.runner.limits.setting);
        let answer = bench.device.command("status", &deadline, |_| {});
        let Answer::Ok(fields) = answer.map_err(|error| blamed(&error))? else {
            return Err(assertion("the firmware refused `status`".to_owned()));
        };
        ["heap-used", "heap-peak", "stack-peak"]
            .into_iter()
            .map(|name| {
                let bytes = fields.get(name).and_then(|bytes| bytes.parse().ok());
                let bytes = bytes.ok_or_else(|| assertion(format!("the firmware's `status` has no {name}")))?;
                Ok((name, bytes))
            })
            .collect()
    }

    /// One run, and what both sides say of it.
    fn one_run(&mut self, run: &Run, bench: &mut RunBench<'_>, service: &mut Running) -> Result<(), Failure> {
        let driven = self.drive(run, bench);
        // The server's side is evidence too when the device's side broke down.
        let closed = Deadline::after("the server's last connection to close", self.runner.limits.close);
        let seen = service.seen(&closed);
        self.server += seen.evidence;
        let lanes = self.transcript.runs.last_mut().expect("the run has begun");
        lanes.server = seen.lines;
        let said = lanes.said().map(str::to_owned).collect();
        if let Some(failure) = seen.failure {
            return Err(rig(failure));
        }
        let answered = driven?;
        if let Some(problem) = seen.problem {
            return Err(Failure {
                blame: Blame::Hang,
                findings: vec![problem],
            });
        }
        let mut device = DeviceEvidence {
            said,
            ..DeviceEvidence::default()
        };
        match answered {
            Answered::Result(fields) => device.result = Some(fields),
            Answered::Rejected(command, fields) => device.rejected = Some((command, fields)),
        }
        let evidence = Evidence {
            device,
            server: seen.evidence,
        };
        match verdict::judge(&run.expect, &evidence) {
            Verdict::Passed => Ok(()),
            Verdict::Failed(mut failure) => {
                let outcome = evidence.device.result.as_ref().and_then(|result| result.get("outcome"));
                match (bench.link.connect_to, outcome) {
                    (Some(address), Some("connection-failed")) if evidence.server.connections == 0 => {
                        failure.blame = Blame::Network;
                        failure.findings.push(format!(
                            "the board did not reach this machine at {address}: look at `server-address` in rig.toml, at this machine's \
                             firewall, and whether the board's network leads here"
                        ));
                    }
                    (Some(_), Some("network-failed")) => failure.findings.push(format!(
                        "the board did not join `{}`: look at `network` in rig.toml and at its password, whether that is on 2.4 GHz, and \
                         whether the image is one for the board's radio (`firmware`)",
                        bench.link.network
                    )),
                    _ => {}
                }
                Err(failure)
            }
        }
    }

    /// The device's side of one run: settings, then `run`.
    fn drive(&mut self, run: &Run, bench: &mut RunBench<'_>) -> Result<Answered, Failure> {
        let limits = self.runner.limits;
        let settings = match std::mem::replace(&mut bench.has, Has::Some) {
            Has::ItsOwn => run.device.commands(),
            Has::Settings(settings) => run.device.commands_after(&settings),
            Has::Some => run.device.all_commands(),
        };
        for setting in settings {
            let deadline = Deadline::after("the answer to a setting", limits.setting);
            if let Answer::Error(fields) = self.command(bench, &setting, &deadline)? {
                if let Expectation::CommandRejected { command, .. } = &run.expect
                    && setting.starts_with(command.as_str())
                {
                    return Ok(Answered::Rejected(setting, fields));
                }
                return Err(assertion(refused(&setting, &fields)));
            }
        }
        bench.has = Has::Settings(run.device.clone());

        let deadline = Deadline::after("the result of `run`", limits.run);
        let disturbed = match (run.network.are_none(), bench.network) {
            (true, _) => None,
            (false, Some(network)) => Some(network),
            (false, None) => {
                let finding = "the bench cannot disturb this board's network: run the scenario on a virtual board";
                return Err(rig(finding.to_owned()));
            }
        };
        if let Some(network) = disturbed {
            network.disturb(&run.network).map_err(|error| rig(error.to_string()))?;
        }
        bench.patience.store(true, Ordering::SeqCst);
        let answer = self.command(bench, "run", &deadline);
        bench.patience.store(false, Ordering::SeqCst);
        // Before the server is heard: what it waits for may have been lost.
        if let Some(network) = disturbed {
            network.calm();
        }
        match answer? {
            Answer::Ok(fields) => Ok(Answered::Result(fields)),
            Answer::Error(fields) => match &run.expect {
                Expectation::CommandRejected { command, .. } if command == "run" => {
                    Ok(Answered::Rejected("run".to_owned(), fields))
                }
                _ => Err(assertion(refused("run", &fields))),
            },
        }
    }

    /// Sends one command of the scenario and writes all that is said into the device's lane.
    fn command(&mut self, bench: &mut RunBench<'_>, command: &str, deadline: &Deadline) -> Result<Answer, Failure> {
        self.grow(DeviceLine::Sent(command.to_owned()));
        let redactor = &mut bench.redactor;
        bench
            .device
            .command(command, deadline, |said| {
                let (shown, kept) = match said {
                    Said::Line(line) => (
                        DeviceLine::Said(line.text.clone()),
                        DeviceLine::Said(redactor.said(&line.text)),
                    ),
                    Said::Answer(line) => (
                        DeviceLine::Answer(without_tag(&line.text).to_owned()),
                        DeviceLine::Answer(without_tag(&line.text).to_owned()),
                    ),
                };
                (self.runner.observer)(Event::Device(self.scenario, &shown));
                self.keep(kept);
            })
            .map_err(|error| blamed(&error))
    }

    fn grow(&mut self, line: DeviceLine) {
        (self.runner.observer)(Event::Device(self.scenario, &line));
        self.keep(line);
    }

    fn keep(&mut self, line: DeviceLine) {
        if let Some(lanes) = self.transcript.runs.last_mut() {
            lanes.device.push(line);
        }
    }
}

/// A booted board, as the runs of one scenario find it.
struct RunBench<'a> {
    device: &'a mut Device,
    redactor: Redactor,
    patience: &'a AtomicBool,
    network: Option<&'a dyn Network>,
    link: &'a LinkSettings,
    has: Has,
}

/// The settings that a device has.
enum Has {
    /// The firmware's own: it has just booted.
    ItsOwn,
    /// These.
    Settings(DeviceSettings),
    /// Some of those that it was told: it refused one.
    Some,
}

/// What the device answered in the end.
enum Answered {
    Result(Fields),
    Rejected(String, Fields),
}

fn refused(command: &str, fields: &Fields) -> String {
    let detail = fields.get("detail").unwrap_or("no detail");
    format!("the firmware refused `{command}`: {detail}")
}

fn assertion(finding: String) -> Failure {
    Failure {
        blame: Blame::Assertion,
        findings: vec![finding],
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
        DeviceError::Crashed { .. } | DeviceError::BootLoop { .. } => Blame::Crash,
        DeviceError::Silent(_) | DeviceError::NotBooted(_) => Blame::Hang,
        DeviceError::Console(_) | DeviceError::Board(_) | DeviceError::Greeting { .. } => Blame::Rig,
    };
    Failure {
        blame,
        findings: vec![error.to_string()],
    }
}
