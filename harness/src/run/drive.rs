//! The device's side of one run: its settings, then `run`.
//!
//! What enters: a booted board and a [`Run`]. What leaves: the device's answer; every line goes into the transcript's
//! lane. Nothing is judged here.

use std::sync::atomic::{AtomicBool, Ordering};

use super::attempt::Attempt;
use crate::board::{DisturbableNetwork, LinkSettings, NetworkWitness};
use crate::deadline::Deadline;
use crate::device::{Answer, Device, DeviceError, Said};
use crate::evidence::{DeviceAnswer, Rejection};
use crate::run_result::RunResult;
use crate::scenario::{DeviceSettings, Expectation, Run};
use crate::transcript::{DeviceLine, Redactor, shortened, without_tag};
use crate::verdict::{Blame, Failure};

/// A booted board, as the runs of one scenario find it.
pub(super) struct BootedBoard<'a> {
    pub(super) device: &'a mut Device,
    pub(super) redactor: Redactor,
    /// Set while the harness only waits for the device: a virtual board may then skip time.
    pub(super) patience: &'a AtomicBool,
    /// The board's network, if it can be disturbed.
    pub(super) network: Option<&'a dyn DisturbableNetwork>,
    /// What watches the board's network, if anything does.
    pub(super) witness: Option<&'a dyn NetworkWitness>,
    pub(super) link: &'a LinkSettings,
    pub(super) has: KnownSettings,
}

/// What is known of the settings that a device has.
pub(super) enum KnownSettings {
    /// The firmware's own: it has just booted.
    Defaults,
    /// These.
    These(DeviceSettings),
    /// Nothing: it refused one of those that it was sent.
    Unknown,
}

impl Attempt<'_> {
    /// Sends the settings of `run` that the device does not have yet, then `run`, and gives the device's answer.
    pub(super) fn drive(&mut self, run: &Run, board: &mut BootedBoard<'_>) -> Result<DeviceAnswer, Failure> {
        let limits = self.runner.limits;
        let settings = match std::mem::replace(&mut board.has, KnownSettings::Unknown) {
            KnownSettings::Defaults => run.device.commands(),
            KnownSettings::These(settings) => run.device.commands_after(&settings),
            KnownSettings::Unknown => run.device.all_commands(),
        };
        for setting in settings {
            let deadline = Deadline::after("the answer to a setting", limits.setting);
            if let Answer::Error(fields) = self.command(board, &setting, &deadline)? {
                return rejected(run, Rejection::read(&setting, &fields));
            }
        }
        board.has = KnownSettings::These(run.device.clone());

        let deadline = Deadline::after("the result of `run`", limits.run);
        let disturbed = match (run.network.are_none(), board.network) {
            (true, _) => None,
            (false, Some(network)) => Some(network),
            (false, None) => {
                let finding = "the bench cannot disturb this board's network: run the scenario on a virtual board";
                return Err(Failure::new(Blame::Rig, finding));
            }
        };
        if let Some(network) = disturbed {
            network
                .disturb(&run.network)
                .map_err(|error| Failure::new(Blame::Rig, error.to_string()))?;
        }
        board.patience.store(true, Ordering::SeqCst);
        let answer = self.command(board, "run", &deadline);
        board.patience.store(false, Ordering::SeqCst);
        // Before the server is asked what it saw: what it waits for may have been lost.
        if let Some(network) = disturbed {
            network.calm();
        }
        match answer? {
            Answer::Ok(fields) => RunResult::read(&fields)
                .map(DeviceAnswer::Result)
                .map_err(|error| Failure::new(Blame::Assertion, error.to_string())),
            Answer::Error(fields) => rejected(run, Rejection::read("run", &fields)),
        }
    }

    /// Sends one command of the scenario and writes all that is said into the device's lane.
    fn command(&mut self, board: &mut BootedBoard<'_>, command: &str, deadline: &Deadline) -> Result<Answer, Failure> {
        self.grow(DeviceLine::Sent(command.to_owned()));
        let redactor = &mut board.redactor;
        board
            .device
            .command(command, deadline, |said| match said {
                // The observer is shown what was said, without secrets; the transcript keeps what is the same on every bench.
                Said::Line(line) => {
                    let text = self.secrets.hide(&line.text);
                    self.keep(DeviceLine::Said(redactor.said(&text)));
                    self.show(&DeviceLine::Said(text));
                }
                Said::Reply(line) => {
                    self.reply.text.push_str(&line.text);
                    let text = self.secrets.hide(&line.text);
                    self.keep(DeviceLine::Reply(shortened(&text)));
                    self.show(&DeviceLine::Reply(text));
                }
                Said::Mark(mark) => self.reply.marks.push(mark),
                Said::Answer(line) => {
                    let text = self.secrets.hide(without_tag(&line.text));
                    self.grow(DeviceLine::Answer(text));
                }
            })
            .map_err(|error| blamed(&error))
    }
}

/// A refused command is the answer where the scenario expects just that, and a failure elsewhere.
fn rejected(run: &Run, rejection: Rejection) -> Result<DeviceAnswer, Failure> {
    match &run.expect {
        Expectation::CommandRejected { command, .. } if rejection.command.starts_with(command.as_str()) => {
            Ok(DeviceAnswer::Rejected(rejection))
        }
        _ => Err(Failure::new(Blame::Assertion, rejection.to_string())),
    }
}

/// The failure of a device that gave no answer.
pub(super) fn blamed(error: &DeviceError) -> Failure {
    let blame = match error {
        DeviceError::Crashed { .. } | DeviceError::BootLoop { .. } => Blame::Crash,
        DeviceError::Silent(_) | DeviceError::NotBooted(_) => Blame::Hang,
        DeviceError::Console(_) | DeviceError::Board(_) | DeviceError::Greeting { .. } => Blame::Rig,
    };
    Failure::new(blame, error.to_string())
}
