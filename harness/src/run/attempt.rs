//! One scenario on one board, from the server's start to the evidence.
//!
//! What enters: a [`Scenario`] and its runner. What leaves: the transcript, the server's counts and the recorded files,
//! and a [`Failure`] where something was not as it should be. Whatever was recorded before a failure is kept.

use std::sync::Arc;
use std::time::Duration;

use super::Runner;
use super::drive::{BootedBoard, KnownSettings, blamed};
use super::secrets::{Secrets, Told};
use super::time_limit::TimeLimit;
use crate::bench::{Route, Seat};
use crate::board::console::Line;
use crate::board::{Board, BootMode, LinkSettings, NetworkWitness, Secret};
use crate::bundle;
use crate::deadline::Deadline;
use crate::device::{Answer, Device};
use crate::evidence::{Client, DeviceEvidence, Evidence, PrintedReply, RecordedFile, Rejection, ServerEvidence};
use crate::image::Image;
use crate::interrupt;
use crate::outcome::Event;
use crate::postmortem;
use crate::randomness::Repeated;
use crate::run_result::DeviceOutcome;
use crate::scenario::{DEFAULT_HOST, Expectation, Run, Scenario, is_host_name};
use crate::service::Running;
use crate::transcript::{DeviceLine, Lanes, Redactor, Transcript};
use crate::verdict::{self, Blame, Failure, Verdict};

/// The port that the device connects to: the scenario's server stands behind it, wherever it really listens.
const HTTPS: u16 = 443;

/// How long to listen for what follows a crash, and the pause that ends it.
const AFTER_CRASH: Duration = Duration::from_secs(2);
const AFTER_CRASH_PAUSE: Duration = Duration::from_millis(300);

/// One scenario under way.
pub(super) struct Attempt<'a> {
    pub(super) runner: &'a Runner<'a>,
    pub(super) scenario: &'a Scenario,
    /// The board's name, once there is one.
    pub(super) board: Option<String>,
    /// The board's own image, if it has one.
    pub(super) image: Option<Arc<Image>>,
    pub(super) transcript: Transcript,
    pub(super) server: ServerEvidence,
    /// What the device has printed of the server's reply in the run under way.
    pub(super) reply: PrintedReply,
    /// What the board's network saw, if it is watched.
    pub(super) network: Option<Vec<String>>,
    pub(super) files: Vec<RecordedFile>,
    /// What the board's network or hardware did not allow: it may explain a failure.
    pub(super) remarks: Vec<String>,
    /// How much time the board has skipped.
    pub(super) skipped: Duration,
    /// What the board was told in confidence.
    pub(super) secrets: Secrets,
    /// Where it has told that on.
    pub(super) told: Told,
    /// Connections so far.
    connections: usize,
    /// The device has accepted the server of the last run.
    accepted: bool,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(runner: &'a Runner<'a>, scenario: &'a Scenario) -> Self {
        Self {
            runner,
            scenario,
            board: None,
            image: None,
            transcript: Transcript::default(),
            server: ServerEvidence::default(),
            reply: PrintedReply::default(),
            network: None,
            files: Vec::new(),
            remarks: Vec::new(),
            skipped: Duration::ZERO,
            secrets: Secrets::default(),
            told: Told::default(),
            connections: 0,
            accepted: false,
        }
    }

    /// What the board runs.
    fn image(&self) -> &Image {
        self.image.as_deref().unwrap_or(self.runner.image)
    }

    /// Does all of it.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        let first = self.scenario.runs.first();
        let first = first.ok_or_else(|| rig("the scenario has no run"))?;
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
        let Board {
            name,
            image,
            console,
            dialect,
            link,
            patience,
            debugger,
            network,
            witness,
            mut reset,
            recorder,
        } = seat
            .board(&self.route(service))
            .map_err(|error| rig(error.to_string()))?;
        (self.board, self.image) = (Some(name), image);
        self.secrets = Secrets::of(link.password.as_ref());
        let mut device = Device::speaking(console, dialect);
        self.transcript.runs.push(Lanes::default());
        let mut result = reset
            .reset(BootMode::Flash)
            .map_err(|error| rig(error.to_string()))
            .and_then(|()| self.boot(&mut device, &link))
            .and_then(|()| {
                let board = BootedBoard {
                    device: &mut device,
                    redactor: Redactor::new(&link.network),
                    patience: &patience,
                    network: network.as_deref(),
                    witness: witness.as_deref(),
                    link: &link,
                    has: KnownSettings::Defaults,
                };
                self.all_runs(board, service)
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
            let crash = Deadline::after("the rest of a crash", AFTER_CRASH);
            let mut rest = Vec::new();
            device.drain(&crash, AFTER_CRASH_PAUSE, |line| {
                rest.push(self.secrets.hide(&line.text));
            });
            failure.findings.extend(postmortem::of_crash(&rest, self.image()));
            for text in rest {
                self.grow(DeviceLine::Said(text));
            }
        }
        let mut chunks = device.console().chunks();
        self.secrets.hide_in_console(&mut chunks, &mut self.told);
        self.files.push(RecordedFile {
            name: "console.log",
            contents: bundle::timed_console(&chunks).into_bytes(),
        });
        self.files.push(RecordedFile {
            name: "console.raw",
            contents: chunks.into_iter().flat_map(|chunk| chunk.bytes).collect(),
        });
        // The console is closed before the board goes back to its bench; and a program that is a board has said everything
        // once it has ended.
        drop(device);
        drop(reset);
        self.files.extend(recorder.files());
        self.skipped = recorder.skipped();
        self.remarks = recorder.remarks();
        result
    }

    /// Where the board finds the server, under every name that the scenario uses.
    fn route(&self, service: &Running) -> Route {
        let hosts = self.scenario.runs.iter().map(|run| run.device.host.as_str());
        // In DNS the root's dot is always there, written or not, and capitals make no difference (RFC 4343). A name that
        // DNS cannot hold has no address: no device can ask for it.
        let hosts = hosts.map(|host| host.trim_end_matches('.').to_ascii_lowercase());
        let mut hosts: Vec<String> = hosts.filter(|host| is_host_name(host)).collect();
        hosts.push(DEFAULT_HOST.to_owned());
        hosts.sort();
        hosts.dedup();
        Route {
            hosts,
            port: HTTPS,
            server: service.address(),
            settled: service.settled(),
            seed: self.runner.randomness.seed_of(&self.scenario.name),
        }
    }

    /// Waits for the firmware, makes sure that it is the right one, and tells it the facts of the bench. They differ from
    /// bench to bench and stay out of the transcript.
    fn boot(&mut self, device: &mut Device, link: &LinkSettings) -> Result<(), Failure> {
        let limits = self.runner.limits;
        let observer = self.runner.observer;
        let scenario = self.scenario;
        let boot = Deadline::after("the firmware's ready line", limits.boot);
        let identity = device
            .wait_ready(&boot, |line| {
                let line = Line {
                    at: line.at,
                    text: self.secrets.hide(&line.text),
                };
                observer(Event::Boot(scenario, &line));
            })
            .map_err(|error| blamed(&error))?;
        let wanted = self.image().identity();
        if self.runner.bench.takes_images() && identity.image != wanted {
            return Err(rig(format!(
                "the board runs image {}, but {} is image {wanted}; flash it again",
                identity.image,
                self.image().path().display()
            )));
        }
        for setting in bench_settings(link) {
            let deadline = Deadline::after("the answer to a setting of the bench", limits.setting);
            let answer = device.command(&setting.command, &deadline, |_| {});
            if let Answer::Error(fields) = answer.map_err(|error| blamed(&error))? {
                return Err(rig(Rejection::read(&setting.shown, &fields).to_string()));
            }
        }
        Ok(())
    }

    /// The scenario's runs. Where the last was not to be accepted, the same device must then accept an honest server.
    fn all_runs(&mut self, mut board: BootedBoard<'_>, service: &mut Running) -> Result<(), Failure> {
        let scenario = self.scenario;
        for (index, run) in scenario.runs.iter().enumerate() {
            if index > 0 {
                service.change(&run.service).map_err(|error| rig(error.to_string()))?;
                self.transcript.runs.push(Lanes::default());
            }
            self.one_run(run, &mut board, service)
                .map_err(|failure| match scenario.runs.len() {
                    1 => failure,
                    _ => failure.within(&format!("run {}", index + 1)),
                })?;
        }
        // What server and network see from here on is not part of the scenario's own runs.
        let (saw, network_saw) = (self.server, self.network.clone());
        if let Some(last) = scenario.runs.last() {
            self.repeat(last, &mut board, service)?;
            (self.server, self.network) = (saw, network_saw.clone());
        }
        if self.accepted {
            return Ok(());
        }
        let honest = Run::honest();
        service
            .change(&honest.service)
            .map_err(|error| rig(error.to_string()))?;
        self.transcript.runs.push(Lanes::default());
        self.one_run(&honest, &mut board, service)
            .map_err(|failure| failure.within("afterwards, with an honest server"))?;
        // Its lanes are those of `pin/matches`: only that it went well is worth a line.
        self.transcript.runs.pop();
        (self.server, self.network) = (saw, network_saw);
        let line = "the same device accepts an honest server";
        self.transcript.afterwards.push(line.to_owned());
        Ok(())
    }

    /// One run: the device is driven, the server is asked what it saw, and both are judged.
    pub(super) fn one_run(
        &mut self,
        run: &Run,
        board: &mut BootedBoard<'_>,
        service: &mut Running,
    ) -> Result<(), Failure> {
        self.reply = PrintedReply::default();
        let wait = self.runner.limits.setting;
        let time_limit = TimeLimit::begin(run, board, wait)?;
        let driven = self.drive(run, board);
        // The server's side is evidence too when the device's side broke off.
        let limit = if interrupt::is_asked() {
            // The device is still there, and so is its connection.
            Duration::ZERO
        } else {
            self.runner.limits.close
        };
        let closed = Deadline::after("the server's last connection to close", limit);
        let seen = service.seen(&closed);
        self.server += seen.evidence;
        let network = board.witness.map(NetworkWitness::sent);
        if let Some(network) = &network {
            let lines = network.sent.iter().map(ToString::to_string);
            self.network.get_or_insert_default().extend(lines);
        }
        let lanes = self.transcript.runs.last_mut().expect("the run has begun");
        lanes.server = seen.lines;
        let said = lanes.said().map(str::to_owned).collect();
        if let Some(failure) = seen.failure {
            return Err(rig(failure));
        }
        let answer = driven?;
        lanes.answer = Some(answer.clone());
        if let Some(problem) = seen.problem {
            return Err(Failure::new(Blame::Hang, problem));
        }
        let evidence = Evidence {
            device: DeviceEvidence {
                said,
                answer: Some(answer),
                reply: board.device.marks_replies().then(|| std::mem::take(&mut self.reply)),
            },
            server: seen.evidence,
            requests: seen.requests,
            repeated: self.repeated(&seen.clients),
            clients: seen.clients,
            strays: seen.strays,
            network,
        };
        match verdict::judge(run, &evidence) {
            Verdict::Passed => {
                let limit = verdict::limit_shown(run, &evidence);
                self.accepted = limit.is_none() && matches!(run.expect, Expectation::Accepted { .. });
                if let Some(limit) = limit {
                    if let Some(lanes) = self.transcript.runs.last_mut() {
                        lanes.left_early = true;
                    }
                    let line = format!("within a limit of this device: {}", limit.why);
                    // Once, however often the run is repeated.
                    if !self.transcript.afterwards.contains(&line) {
                        self.transcript.afterwards.push(line);
                    }
                }
                time_limit.map_or(Ok(()), |limit| limit.end(board, wait))
            }
            Verdict::Failed(failure) => Err(with_advice(failure, run, &evidence, board.link)),
        }
    }

    /// What the device drew on these connections that this process had seen before.
    fn repeated(&mut self, clients: &[Client]) -> Vec<Repeated> {
        let Self {
            runner,
            scenario,
            board,
            connections,
            ..
        } = self;
        let noted = clients.iter().flat_map(|client| {
            *connections += 1;
            let board = board.as_deref().unwrap_or("a board");
            let place = format!("{}, connection {connections}, on {board}", scenario.name);
            runner.randomness.note(&place, &client.drawn)
        });
        noted.collect()
    }

    /// Adds a line to the device's lane, and shows it.
    pub(super) fn grow(&mut self, line: DeviceLine) {
        self.show(&line);
        self.keep(line);
    }

    /// Shows a line of the device's lane as it was said.
    pub(super) fn show(&self, line: &DeviceLine) {
        (self.runner.observer)(Event::Device(self.scenario, line));
    }

    /// Adds a line to the device's lane.
    pub(super) fn keep(&mut self, line: DeviceLine) {
        if let Some(lanes) = self.transcript.runs.last_mut() {
            lanes.device.push(line);
        }
    }
}

/// A setting of the bench, and the words of it that may be shown.
struct BenchSetting {
    command: String,
    shown: String,
}

/// The console commands that tell a device about the network that it is on.
fn bench_settings(link: &LinkSettings) -> Vec<BenchSetting> {
    let public = |command: String| BenchSetting {
        shown: command.clone(),
        command,
    };
    let mut settings = vec![public(format!("set network {}", link.network))];
    settings.extend(
        link.connect_to
            .map(|address| public(format!("set connect-to {address}"))),
    );
    settings.extend(link.password.as_ref().map(|Secret(password)| BenchSetting {
        command: format!("set password {password}"),
        shown: "set password ...".to_owned(),
    }));
    settings
}

/// Adds what to look at on a bench whose board did not come as far as the server.
fn with_advice(mut failure: Failure, run: &Run, evidence: &Evidence, link: &LinkSettings) -> Failure {
    // Here the device should not reach it.
    if matches!(run.expect, Expectation::Unreachable { .. }) {
        return failure;
    }
    let outcome = evidence.device.result().map(|result| result.outcome);
    match (link.connect_to, outcome) {
        (Some(address), Some(DeviceOutcome::ConnectionFailed)) if evidence.server.connections == 0 => {
            failure.blame = Blame::Network;
            failure.findings.push(format!(
                "the board did not reach this machine at {address}: look at `server-address` in rig.toml, at this machine's \
                 firewall, and whether the board's network leads here"
            ));
        }
        (Some(_), Some(DeviceOutcome::NetworkFailed)) => failure.findings.push(format!(
            "the board did not join `{}`: look at `network` in rig.toml and at its password, whether that is on 2.4 GHz, and \
             whether the image is one for the board's radio (`firmware`)",
            link.network
        )),
        _ => {}
    }
    failure
}

fn rig(finding: impl Into<String>) -> Failure {
    Failure::new(Blame::Rig, finding)
}
