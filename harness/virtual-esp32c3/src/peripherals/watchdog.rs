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

/// One of the four stages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stage {
    /// What it does when its time is over.
    pub(crate) action: Action,
    /// How long it lasts, in cycles of the hart.
    pub(crate) hold: u64,
}

/// The two bits of its configuration by which a watchdog runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Switches {
    /// WDT_EN: software has started it.
    pub(crate) enabled: bool,
    /// WDT_FLASHBOOT_MOD_EN: it runs from reset on when the chip starts from flash.
    pub(crate) guards_flash_boot: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Watchdog {
    stages: [Stage; 4],
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
    /// Follows its configuration after a store to it.
    pub(crate) fn follow(&mut self, before: Switches, after: Switches, stages: [Stage; 4], now: u64) {
        match (before.enabled, after.enabled) {
            (false, true) => self.start(stages, now),
            (true, true) => self.change(stages),
            (true, false) => self.stop(),
            // Until software starts it, only the guard of the boot from flash may run. It ends when its bit is cleared.
            (false, false) if !after.guards_flash_boot => self.stop(),
            (false, false) => {}
        }
    }

    /// Guards the boot from flash: the first stage does this, and the others do nothing.
    pub(crate) fn guard_flash_boot(&mut self, action: Action, stages: [Stage; 4], now: u64) {
        let mut stages = stages.map(|stage| Stage {
            action: Action::None,
            ..stage
        });
        stages[0].action = action;
        self.start(stages, now);
    }

    /// Starts with these settings, at the first stage.
    fn start(&mut self, stages: [Stage; 4], now: u64) {
        self.change(stages);
        self.state = State::Runs { stage: 0, since: now };
    }

    /// Takes over other settings, without a change to what is over of the stage that runs.
    pub(crate) fn change(&mut self, stages: [Stage; 4]) {
        self.stages = stages;
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
                let hold = self.stages.get(stage).map_or(0, |stage| stage.hold).max(1);
                Some(since.saturating_add(hold))
            }
            State::Stopped | State::Paused { .. } => None,
        }
    }

    pub(crate) fn update(&mut self, now: u64) {
        if let State::Runs { stage, .. } = self.state
            && let Some(since) = self.due().filter(|due| *due <= now)
        {
            self.action = self.stages.get(stage).map(|stage| stage.action);
            let stage = (stage + 1) % self.stages.len();
            self.state = State::Runs { stage, since };
        }
    }

    /// What has become due since this was last asked.
    pub(crate) fn take_action(&mut self) -> Option<Action> {
        self.action.take()
    }
}
