//! The two clocks that peripherals go by. The hart's clock and the times at which the chip falls asleep and wakes
//! enter; the time of each domain leaves. It knows no peripheral.
//! (ESP32-C3 Technical Reference Manual, chapter "Low-power Management".)

/// The parts of the chip with clocks and resets of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    /// The clock stands still while the chip sleeps. Every reset but one of the processor alone reaches it.
    Digital,
    /// The clock is the hart's and goes on in sleep. Only some resets reach it.
    Rtc,
}

/// How long the digital clock has stood still.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clocks {
    /// When the chip fell asleep, by the hart's clock, while it sleeps.
    asleep_since: Option<u64>,
    /// Cycles that the chip has slept before.
    slept: u64,
}

impl Clocks {
    pub(super) fn asleep(&self) -> bool {
        self.asleep_since.is_some()
    }

    /// The clock of a domain when the hart's stands at `time`.
    pub(super) fn now(&self, domain: Domain, time: u64) -> u64 {
        match domain {
            Domain::Rtc => time,
            Domain::Digital => self.asleep_since.unwrap_or(time).saturating_sub(self.slept),
        }
    }

    /// The hart's time of an event in the digital domain; `u64::MAX` while the digital clock stands still.
    pub(super) fn time_of(&self, event: u64) -> u64 {
        if self.asleep() {
            u64::MAX
        } else {
            event.saturating_add(self.slept)
        }
    }

    /// Stops the digital clock.
    pub(super) fn stop(&mut self, time: u64) {
        self.asleep_since.get_or_insert(time);
    }

    /// Lets the digital clock go on.
    pub(super) fn start(&mut self, time: u64) {
        if let Some(since) = self.asleep_since.take() {
            self.slept += time.saturating_sub(since);
        }
    }
}
