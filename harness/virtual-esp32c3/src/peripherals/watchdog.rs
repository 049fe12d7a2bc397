//! The part that all of the chip's watchdogs have in common: four stages. Each stage lasts for a time, then does its
//! action, and the next stage begins. Settings, feeding and the clock enter; the actions that are due leave. It knows
//! no register.
//! (ESP32-C3 Technical Reference Manual, chapter "Watchdog Timers".)

/// What happens when a stage's time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Action {
    #[default]
    None,
    Interrupt,
    /// Resets the processor.
    Cpu,
    /// Resets the digital system.
    System,
    /// Resets the whole chip.
    Rtc,
}

impl Action {
    /// The action by its number in a stage's field.
    pub(crate) fn from_bits(bits: u32) -> Self {
        match bits {
            1 => Self::Interrupt,
            2 => Self::Cpu,
            3 => Self::System,
            // The manual has 4. esptool and espflash write 5, and chips are reset by it.
            4 | 5 => Self::Rtc,
            _ => Self::None,
        }
    }
}

/// One of the four stages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stage {
    /// What happens when its time is over.
    pub(crate) action: Action,
    /// How long it lasts, in cycles of its clock.
    pub(crate) hold: u64,
}

/// The two bits of its configuration that let a watchdog run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Switches {
    /// WDT_EN: software has started it.
    pub(crate) enabled: bool,
    /// WDT_FLASHBOOT_MOD_EN: it runs from the reset on when the chip boots from flash.
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
    /// In a stage that began at the time `since`.
    Runs { stage: usize, since: u64 },
    /// Stopped in a stage of which `over` cycles have passed.
    Paused { stage: usize, over: u64 },
}

impl Watchdog {
    /// Starts, changes or stops after a store to its configuration. `before` and `after` are the switches around the
    /// store.
    pub(crate) fn follow(&mut self, before: Switches, after: Switches, stages: [Stage; 4], now: u64) {
        match (before.enabled, after.enabled) {
            (false, true) => self.start(stages, now),
            (true, true) => self.change(stages),
            (true, false) => self.stop(),
            // Until software enables it, only the guard of the boot from flash may run. Clearing that bit stops it.
            (false, false) if !after.guards_flash_boot => self.stop(),
            (false, false) => {}
        }
    }

    /// Starts as the hardware does to guard a boot from flash: the first stage ends in `action`, the others in nothing.
    pub(crate) fn guard_flash_boot(&mut self, action: Action, stages: [Stage; 4], now: u64) {
        let mut stages = stages.map(|stage| Stage {
            action: Action::None,
            ..stage
        });
        stages[0].action = action;
        self.start(stages, now);
    }

    /// Starts at the first stage.
    fn start(&mut self, stages: [Stage; 4], now: u64) {
        self.change(stages);
        self.state = State::Runs { stage: 0, since: now };
    }

    /// Changes the settings. The time that has passed of the running stage still counts.
    pub(crate) fn change(&mut self, stages: [Stage; 4]) {
        self.stages = stages;
    }

    pub(crate) fn stop(&mut self) {
        self.state = State::Stopped;
        self.action = None;
    }

    /// Begins again with the first stage, unless the watchdog is stopped.
    pub(crate) fn feed(&mut self, now: u64) {
        match &mut self.state {
            State::Stopped => {}
            State::Runs { stage, since } => (*stage, *since) = (0, now),
            State::Paused { stage, over } => (*stage, *over) = (0, 0),
        }
    }

    /// Stops the time, as sleep does.
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

    /// When the running stage is over.
    pub(crate) fn due(&self) -> Option<u64> {
        match self.state {
            State::Runs { stage, since } => {
                // Stages without length would follow each other in the same cycle without end.
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

    /// The action that has become due since the last call.
    pub(crate) fn take_action(&mut self) -> Option<Action> {
        self.action.take()
    }
}
