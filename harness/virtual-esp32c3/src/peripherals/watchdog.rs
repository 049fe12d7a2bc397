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
            4 => Self::Rtc,
            _ => Self::None,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Watchdog {
    stages: [Action; 4],
    /// How long each stage holds, in cycles of the hart.
    holds: [u64; 4],
    stage: usize,
    /// When the stage ends, while the watchdog runs.
    ends: Option<u64>,
    action: Option<Action>,
}

impl Watchdog {
    /// Starts with these settings, at the first stage.
    pub(crate) fn configure(&mut self, stages: [Action; 4], holds: [u64; 4], now: u64) {
        self.stages = stages;
        self.holds = holds;
        self.begin(0, now);
    }

    pub(crate) fn stop(&mut self) {
        self.ends = None;
        self.action = None;
    }

    /// Starts the first stage anew, if the watchdog runs.
    pub(crate) fn feed(&mut self, now: u64) {
        if self.ends.is_some() {
            self.begin(0, now);
        }
    }

    pub(crate) fn due(&self) -> Option<u64> {
        self.ends
    }

    pub(crate) fn update(&mut self, now: u64) {
        if self.ends.is_some_and(|ends| ends <= now) {
            self.action = self.stages.get(self.stage).copied();
            self.begin((self.stage + 1) % self.stages.len(), now);
        }
    }

    /// What has become due since this was last asked.
    pub(crate) fn take_action(&mut self) -> Option<Action> {
        self.action.take()
    }

    fn begin(&mut self, stage: usize, now: u64) {
        self.stage = stage;
        // A stage of no length would end for ever in the same cycle.
        let hold = self.holds.get(stage).copied().unwrap_or(0).max(1);
        self.ends = Some(now.saturating_add(hold));
    }
}
