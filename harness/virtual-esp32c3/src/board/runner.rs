//! The board's thread: runs the chip in slices of a millisecond of its time, and between them moves bytes between chip
//! and tty, frames from the chip to the network, and carries out commands. The host's clock is read here and nowhere
//! else in the board. It knows no serial protocol.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::control::{Command, Commands};
use super::state::{BoardStats, Shared, Snapshot};
use super::surroundings::{FrameSink, Outlook, Surroundings};
use crate::cable::PoorCable;
use crate::chip::{Chip, Pause};
use crate::clock::{CYCLES_PER_SECOND, cycles, duration};
use crate::spin::is_spinning;

/// Cycles that the chip runs before tty and commands are served again: a millisecond of its time.
const SLICE: u64 = CYCLES_PER_SECOND / 1000;
/// Bytes that may wait at the chip. While more wait, the tty is not read, so that its writer has to wait.
const WAITING: usize = 1024;
/// How often a board that may skip its idle time asks its surroundings whether they are quiet.
const LOOK_AROUND: Duration = Duration::from_millis(1);
/// How long nothing must have gone in or out before idle time is skipped. The reader of the board's last output may be
/// about to answer it.
const CALM: Duration = Duration::from_millis(5);
/// For how long the clock of a board may stand still while nothing comes in or goes out. Something may be said to be
/// under way that waits for the board itself, such as bytes for which the board has no room.
const STANDSTILL: Duration = Duration::from_secs(2);
/// When the tty has taken nothing for this long, no program reads it. The board then drops its output, as a real
/// board's output is lost, instead of waiting for ever in the middle of a line.
const UNREAD: Duration = Duration::from_secs(2);

/// What [`Runner::obey`] has done.
enum Obeyed {
    /// There was no command.
    Nothing,
    /// It has carried out one or more commands.
    Something,
    /// It was told to end the thread.
    Stop,
}

/// The board's thread.
pub(super) struct Runner {
    chip: Chip,
    tty: OwnedFd,
    commands: Commands,
    ethernet: Option<FrameSink>,
    shared: Arc<Mutex<Shared>>,
    /// Sent by the chip, not yet taken by the tty.
    outgoing: VecDeque<u8>,
    /// Bytes that the tty has taken since the board was started.
    said: u64,
    cable: Option<PoorCable>,
    /// Since when the tty has taken none of the bytes that wait for it.
    unread_since: Option<Instant>,
    /// Slices in a row that ended in a busy-waiting loop while nothing went in or out.
    spins: u32,
    surroundings: Option<Box<dyn Surroundings>>,
    /// The chip's clock, in cycles, when the surroundings were last told the time.
    told: u64,
    /// When something last went in or out.
    stirred: Instant,
    /// Cycles of sleep that were skipped.
    skipped: u64,
}

impl Runner {
    /// Slices of busy waiting before the hart rests.
    const PATIENCE: u32 = 20;
    /// Cycles of one rest.
    const REST: u64 = 40 * SLICE;

    pub(super) fn new(
        snapshot: Snapshot,
        tty: OwnedFd,
        commands: Commands,
        ethernet: Option<FrameSink>,
        shared: Arc<Mutex<Shared>>,
    ) -> Self {
        let Snapshot {
            chip, outgoing, cable, ..
        } = snapshot;
        Self {
            chip,
            tty,
            commands,
            ethernet,
            shared,
            outgoing,
            said: 0,
            cable,
            unread_since: None,
            spins: 0,
            surroundings: None,
            told: 0,
            stirred: Instant::now(),
            skipped: 0,
        }
    }

    pub(super) fn run(&mut self) {
        loop {
            let mut pause = self.chip.run(self.chip.now() + SLICE);
            self.publish();
            self.tell_time();
            let sent = self.send_frames();
            let written = self.write_tty();
            if sent || written {
                self.spins = 0;
            } else if pause == Pause::Deadline {
                pause = self.rest();
            }
            let wait = match pause {
                Pause::Deadline => Some(Duration::ZERO),
                // Room in the transmit FIFO raises an interrupt, for which the hart may have gone to sleep.
                Pause::Asleep(_) if written => Some(Duration::ZERO),
                Pause::Held => None,
                Pause::Asleep(until) => self.idle_time(until),
            };
            let slept = Instant::now();
            self.wait(wait);
            if let Pause::Asleep(until) = pause
                && !self.stands_still()
            {
                self.wake(slept.elapsed(), until);
                self.tell_time();
            }
            let received = self.read_tty();
            if received {
                self.spins = 0;
            }
            if sent || written || received {
                self.stirred = Instant::now();
            }
            // The surroundings are asked before the commands are taken: what was on its way while they were asked has
            // become a command by then, and prevents the skip.
            let wakes = match pause {
                Pause::Asleep(until) => self.quiet_until(until),
                _ => None,
            };
            match (self.obey(), wakes) {
                (Obeyed::Nothing, Some(until)) => self.skip(until),
                (Obeyed::Nothing, None) => {}
                (Obeyed::Something, _) => self.stirred = Instant::now(),
                (Obeyed::Stop, _) => return,
            }
        }
    }

    /// The time up to which a sleep until `until` may be skipped; `None` if it may not be skipped.
    fn quiet_until(&self, until: u64) -> Option<u64> {
        let surroundings = self.surroundings.as_ref()?;
        if !self.outgoing.is_empty() || self.chip.waiting() > 0 || self.stirred.elapsed() < CALM {
            return None;
        }
        let Outlook::Quiet(quiet) = surroundings.outlook(self.said) else {
            return None;
        };
        let quiet = cycles(quiet);
        let until = until.min(self.chip.now().saturating_add(quiet));
        (until != u64::MAX).then_some(until)
    }

    /// Skips the chip's sleep up to `until`.
    fn skip(&mut self, until: u64) {
        self.skipped += until.saturating_sub(self.chip.now());
        self.chip.sleep_until(until);
        self.tell_time();
    }

    /// Tells the surroundings how much time has passed on the chip's clock.
    fn tell_time(&mut self) {
        let now = self.chip.now();
        if let Some(surroundings) = &self.surroundings {
            surroundings.advance(duration(now).saturating_sub(duration(self.told)));
        }
        self.told = now;
    }

    /// Treats a hart that has been busy waiting for [`PATIENCE`](Self::PATIENCE) slices as asleep for up to
    /// [`REST`](Self::REST), since it would keep one of the host's processors busy for nothing. Input ends the rest at
    /// once, and so does the chip's next timer.
    fn rest(&mut self) -> Pause {
        self.spins = if is_spinning(&mut self.chip) { self.spins + 1 } else { 0 };
        if self.spins < Self::PATIENCE {
            return Pause::Deadline;
        }
        Pause::Asleep(self.chip.next_event().min(self.chip.now() + Self::REST))
    }

    /// How long the thread waits for input while the hart sleeps until `until`. The chip's idle time passes as the
    /// host's time does, or [stands still](Self::stands_still). A board that may skip it waits for [`LOOK_AROUND`] at most, and then asks its surroundings
    /// again.
    fn idle_time(&self, until: u64) -> Option<Duration> {
        let time = (until != u64::MAX).then(|| duration(until.saturating_sub(self.chip.now())));
        let look = self.surroundings.as_ref().map(|_| LOOK_AROUND);
        time.into_iter().chain(look).min()
    }

    /// Whether the thread waits for other threads of this machine, and not for time to pass.
    fn stands_still(&self) -> bool {
        let under_way = |surroundings: &dyn Surroundings| surroundings.outlook(self.said) == Outlook::UnderWay;
        self.stirred.elapsed() < STANDSTILL && self.surroundings.as_deref().is_some_and(under_way)
    }

    /// Lets the time that the thread has waited pass on the chip's clock, but not beyond `until`.
    fn wake(&mut self, slept: Duration, until: u64) {
        let now = self.chip.now().saturating_add(cycles(slept));
        self.chip.sleep_until(now.min(until));
    }

    /// Waits for a command or the tty, and for `time` at most. While the chip is held in reset there is no limit, since
    /// only a command can end that.
    fn wait(&self, time: Option<Duration>) {
        if time == Some(Duration::ZERO) {
            return;
        }
        let mut flags = PollFlags::empty();
        let mut time = time;
        if self.chip.waiting() < WAITING {
            flags |= PollFlags::IN;
        }
        if !self.outgoing.is_empty() {
            flags |= PollFlags::OUT;
            let unread = self.unread_since.map(|since| UNREAD.saturating_sub(since.elapsed()));
            time = [time, unread].into_iter().flatten().min();
        }
        let mut files = [
            PollFd::new(&*self.commands.bell, PollFlags::IN),
            PollFd::new(&self.tty, flags),
        ];
        // An interrupted wait needs no care: the caller measures how much time has passed.
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        let _ready = poll(&mut files, time.as_ref());
    }

    /// Moves bytes from the tty to the chip, as many as it has room for. Returns whether there were any.
    fn read_tty(&mut self) -> bool {
        let mut bytes = [0; 512];
        let mut taken = false;
        while self.chip.waiting() < WAITING {
            match rustix::io::read(&self.tty, &mut bytes) {
                Ok(length) if length > 0 => {
                    let bytes = &mut bytes[..length];
                    if let Some(cable) = &mut self.cable {
                        cable.carry(&mut self.chip, bytes.iter_mut());
                    }
                    self.chip.receive(bytes);
                    taken = true;
                }
                Err(Errno::INTR) => {}
                _ => break,
            }
        }
        taken
    }

    /// Moves what the chip has sent to the tty, as much as it takes. Returns whether anything was moved or dropped.
    fn write_tty(&mut self) -> bool {
        let mut written = false;
        loop {
            if self.outgoing.is_empty() {
                self.outgoing.append(self.chip.sent());
                if let Some(cable) = &mut self.cable {
                    cable.carry(&mut self.chip, self.outgoing.iter_mut());
                }
                self.chip.taken();
            }
            let (bytes, _) = self.outgoing.as_slices();
            if bytes.is_empty() {
                return written;
            }
            match rustix::io::write(&self.tty, bytes) {
                Ok(length) => {
                    drop(self.outgoing.drain(..length));
                    self.said += length as u64;
                    self.unread_since = None;
                    written = true;
                }
                Err(Errno::INTR) => {}
                Err(_) => {
                    let since = *self.unread_since.get_or_insert_with(Instant::now);
                    if since.elapsed() < UNREAD {
                        return written;
                    }
                    self.outgoing.clear();
                    written = true;
                }
            }
        }
    }

    /// Hands the frames that have left the chip to the network. Returns whether there were any.
    fn send_frames(&mut self) -> bool {
        let mut sent = false;
        while let Some(frame) = self.chip.sent_frame() {
            if let Some(ethernet) = &mut self.ethernet {
                ethernet(&frame);
            }
            sent = true;
        }
        sent
    }

    fn snapshot(&mut self) -> Snapshot {
        self.publish();
        Snapshot {
            chip: self.chip.clone(),
            log: self.shared.lock().unwrap_or_else(PoisonError::into_inner).log.clone(),
            outgoing: self.outgoing.clone(),
            cable: self.cable.clone(),
        }
    }

    fn restore(&mut self, snapshot: Snapshot, said: Vec<u8>) {
        self.chip = snapshot.chip;
        self.cable = snapshot.cable;
        // The new chip's clock shows another time. The surroundings' clock goes on from where it stood.
        self.told = self.chip.now();
        self.outgoing = said.into();
        self.outgoing.extend(snapshot.outgoing);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.add(snapshot.log);
    }

    fn publish(&mut self) {
        let log = self.chip.take_log();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.add(log);
        shared.stats = BoardStats {
            instructions: self.chip.now() - self.chip.idle(),
            time: duration(self.chip.now()),
            idle: duration(self.chip.idle()),
            skipped: duration(self.skipped),
        };
    }

    /// Carries out the commands that have arrived.
    fn obey(&mut self) -> Obeyed {
        let mut obeyed = Obeyed::Nothing;
        let mut count = [0; 8];
        // Silences the bell; if it has not rung there is nothing to read.
        let _silent = rustix::io::read(&*self.commands.bell, &mut count);
        while let Ok(command) = self.commands.queue.try_recv() {
            match command {
                Command::Lines { enable, boot } => self.chip.set_lines(enable, boot),
                Command::Frame(frame) => self.chip.receive_frame(frame),
                // The caller may have given up waiting.
                Command::Snapshot(reply) => drop(reply.send(self.snapshot())),
                Command::Restore { snapshot, said } => self.restore(*snapshot, said),
                Command::AtChip(work) => {
                    self.spins = 0;
                    work(&mut self.chip);
                }
                Command::SkipIdleTime(surroundings) => self.surroundings = Some(surroundings),
                Command::Stop => return Obeyed::Stop,
            }
            obeyed = Obeyed::Something;
        }
        obeyed
    }
}
