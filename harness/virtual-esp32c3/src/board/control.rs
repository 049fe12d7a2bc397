//! The queue of commands into the board's thread. Commands come from any thread; the board's thread executes them in
//! order, between two slices of the chip's time.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::state::Snapshot;
use super::surroundings::Surroundings;
use crate::chip::Chip;

/// How long an answer of the board's thread may take. It comes within a millisecond of the board's time. The limit only
/// ends the wait for a thread that is stuck: a host that is overloaded must never reach it.
const ANSWER: Duration = Duration::from_secs(600);

/// The board's thread did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The board was dropped.
    #[error("the virtual board has ended and cannot give {what}; keep the board as long as what refers to it")]
    Ended {
        /// What it was asked for.
        what: &'static str,
    },
    /// The board's thread runs and does not answer.
    #[error("timed out after {limit:?} waiting for the virtual board to give {what}; is this machine overloaded?")]
    TimedOut {
        /// What it was asked for.
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
}

/// What the board's thread is to do.
pub(super) enum Command {
    /// Set the levels of EN and GPIO9.
    Lines { enable: bool, boot: bool },
    /// Receive this frame.
    Frame(Vec<u8>),
    /// Copy the board.
    Snapshot(Sender<Snapshot>),
    /// Go on from a copy, and write `said` to the tty first.
    Restore { snapshot: Box<Snapshot>, said: Vec<u8> },
    /// Call this with the chip.
    AtChip(Box<dyn FnOnce(&mut Chip) + Send>),
    /// Skip idle time from now on while these are quiet.
    SkipIdleTime(Box<dyn Surroundings>),
    /// End the thread.
    Stop,
}

/// The sending end of the queue, with a bell (an eventfd) that wakes the board's thread.
#[derive(Debug, Clone)]
pub(super) struct Control {
    queue: Sender<Command>,
    bell: Arc<OwnedFd>,
}

/// The end of the queue that the board's thread has.
#[derive(Debug)]
pub(super) struct Commands {
    pub(super) queue: Receiver<Command>,
    pub(super) bell: Arc<OwnedFd>,
}

impl Control {
    /// A queue, with the end for the board's thread.
    pub(super) fn new() -> std::io::Result<(Self, Commands)> {
        use rustix::event::{EventfdFlags, eventfd};

        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (queue, commands) = channel();
        let commands = Commands {
            queue: commands,
            bell: Arc::clone(&bell),
        };
        Ok((Self { queue, bell }, commands))
    }

    /// Queues a command. A board that has ended ignores it.
    pub(super) fn send(&self, command: Command) {
        if self.queue.send(command).is_ok() {
            // The write fails only when the bell's count is full, and then the bell rings already.
            let _already_ringing = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
        }
    }

    /// Has the board's thread call `work` with the chip.
    pub(super) fn at_chip(&self, work: impl FnOnce(&mut Chip) + Send + 'static) {
        self.send(Command::AtChip(Box::new(work)));
    }

    /// Has the board's thread call `work` with the chip, and waits for the result, which errors call `what`.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Chip) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (reply, answer) = channel();
        self.at_chip(move |chip| {
            // The caller may have given up waiting.
            let _received = reply.send(work(chip));
        });
        wait(what, &answer, ANSWER)
    }

    /// A copy of the board as it stands when the command's turn comes.
    pub(super) fn snapshot(&self) -> Result<Snapshot, NoAnswer> {
        let (reply, answer) = channel();
        self.send(Command::Snapshot(reply));
        wait("a snapshot", &answer, ANSWER)
    }
}

fn wait<T>(what: &'static str, answer: &Receiver<T>, limit: Duration) -> Result<T, NoAnswer> {
    answer.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => NoAnswer::TimedOut { what, limit },
        RecvTimeoutError::Disconnected => NoAnswer::Ended { what },
    })
}

/// Puts frames on the board's wire.
#[derive(Debug, Clone)]
pub struct FrameSender {
    control: Control,
}

impl FrameSender {
    pub(super) fn new(control: Control) -> Self {
        Self { control }
    }

    /// Puts a frame, without its check sequence, on the board's wire. The frame is lost when the board has no room for
    /// it or has ended.
    pub fn send(&self, frame: Vec<u8>) {
        self.control.send(Command::Frame(frame));
    }
}

/// The board's EN and GPIO9, and the lines of its USB serial port, for a circuit that moves them from any thread. Once
/// the board has ended nothing happens.
#[derive(Debug, Clone)]
pub struct BoardLines {
    control: Control,
}

impl BoardLines {
    pub(super) fn new(control: Control) -> Self {
        Self { control }
    }

    /// Sets the level of EN, which holds the chip in reset while it is low, and of GPIO9: see
    /// [`VirtualBoard::set_lines`](crate::VirtualBoard::set_lines).
    pub fn set(&self, enable: bool, boot: bool) {
        self.control.send(Command::Lines { enable, boot });
    }

    /// Moves the lines of the USB serial port: see [`Chip::set_usb_lines`].
    pub fn set_usb(&self, dtr: bool, rts: bool) {
        self.control.at_chip(move |chip| chip.set_usb_lines(dtr, rts));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_ends_when_its_time_is_over_or_the_board_has_ended() {
        let (control, commands) = Control::new().expect("a queue");
        let (reply, answer) = channel();
        control.send(Command::Snapshot(reply));
        let late = wait("a snapshot", &answer, Duration::from_millis(10)).expect_err("the queue is not read");
        let text = late.to_string();
        assert!(
            text.starts_with("timed out after 10ms waiting for the virtual board to give a snapshot"),
            "{text}"
        );
        drop(commands);
        let gone = control
            .ask("its clock", |chip| chip.now())
            .expect_err("the queue is gone");
        assert_eq!(gone, NoAnswer::Ended { what: "its clock" });
    }
}
