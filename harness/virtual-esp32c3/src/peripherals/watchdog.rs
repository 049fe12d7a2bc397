//! The four stages that the chip's watchdogs share: each holds for a time, then acts, and the next one begins. Settings,
//! feeding and the clock enter; what is due leaves. It knows no register.
//! (ESP32-C3 Technical Reference Manual, chapter "Watchdog Timers".)

/// What a stage does when its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Action {
    #[default]
    None,
    Interrupt,
    Cpu,
    System,
    Rtc,
}

impl Action {
    /// The action by its number in a stage's field.
    pub(crate) fn from_bits(bits: u32) -> Self {
        match bits {
            1 => Self::Interrupt,
            2 => Self::Cpu,
            3 => Self::System,
            // The manual has 4; esptool and espflash write 5, and chips are reset by it.
            4 | 5 => Self::Rtc,
            _ => Self::None,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Watchdog {
    stages: [Action; 4],
    /// How long each stage holds, in cycles of the hart.
    holds: [u64; 4],
    state: State,
    action: Option<Action>,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Stopped,
    /// In a stage since some time.
    Runs { stage: usize, since: u64 },
    /// Held up in a stage, of which so much is over.
    Paused { stage: usize, over: u64 },
}

impl Watchdog {
    /// Starts with these settings, at the first stage.
    pub(crate) fn start(&mut self, stages: [Action; 4], holds: [u64; 4], now: u64) {
        self.change(stages, holds);
        self.state = State::Runs { stage: 0, since: now };
    }

    /// Takes over other settings, without a change to what is over of the stage that runs.
    pub(crate) fn change(&mut self, stages: [Action; 4], holds: [u64; 4]) {
        self.stages = stages;
        self.holds = holds;
    }

    pub(crate) fn stop(&mut self) {
        self.state = State::Stopped;
        self.action = None;
    }

    /// Starts the first stage anew, unless the watchdog is stopped.
    pub(crate) fn feed(&mut self, now: u64) {
        match &mut self.state {
            State::Stopped => {}
            State::Runs { stage, since } => (*stage, *since) = (0, now),
            State::Paused { stage, over } => (*stage, *over) = (0, 0),
        }
    }

    /// Holds the time up.
    pub(crate) fn pause(&mut self, now: u64) {
        if let State::Runs { stage, since } = self.state {
            let over = now.saturating_sub(since);
            self.state = State::Paused { stage, over };
        }
    }

    /// Goes on after a pause.
    pub(crate) fn go_on(&mut self, now: u64) {
        if let State::Paused { stage, over } = self.state {
            let since = now.saturating_sub(over);
            self.state = State::Runs { stage, since };
        }
    }

    /// When the stage that runs is over.
    pub(crate) fn due(&self) -> Option<u64> {
        match self.state {
            State::Runs { stage, since } => {
                // A stage of no length would end for ever in the same cycle.
                let hold = self.holds.get(stage).copied().unwrap_or(0).max(1);
                Some(since.saturating_add(hold))
            }
            State::Stopped | State::Paused { .. } => None,
        }
    }

    pub(crate) fn update(&mut self, now: u64) {
        if let State::Runs { stage, .. } = self.state
            && let Some(since) = self.due().filter(|due| *due <= now)
        {
            self.action = self.stages.get(stage).copied();
            let stage = (stage + 1) % self.stages.len();
            self.state = State::Runs { stage, since };
        }
    }

    /// What has become due since this was last asked.
    pub(crate) fn take_action(&mut self) -> Option<Action> {
        self.action.take()
    }
}
