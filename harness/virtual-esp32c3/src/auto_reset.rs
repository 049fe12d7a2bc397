//! The auto-reset circuit of a development board: two transistors between the USB-UART bridge and the chip, by which
//! the host resets the chip. The host's DTR and RTS enter with the time; the levels of EN and GPIO9 leave. It knows
//! neither chip nor host.
//!
//! RTS alone pulls EN low, DTR alone pulls GPIO9 low, and both together pull neither (ESP32-C3-DevKitM-1 schematic,
//! "Auto program"). EN falls at once but rises late, since a capacitor charges through the pull-up resistor.

use std::time::{Duration, Instant};

/// The circuit. Both lines of the host are idle at first.
#[derive(Debug)]
pub struct AutoReset {
    /// How long EN takes to rise.
    rise: Duration,
    dtr: bool,
    rts: bool,
    /// EN is low, or has not risen far enough yet.
    low: bool,
    /// When EN will have risen, if it is rising.
    rises: Option<Instant>,
}

/// The levels at the chip's pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// Level of EN. The chip is in reset while it is low.
    pub enable: bool,
    /// Level of GPIO9. If it is low when EN rises, the chip enters download mode.
    pub boot: bool,
}

impl AutoReset {
    /// A circuit whose EN takes this long to rise. On a development board, with 10 kOhm and 1 uF, it is about 10 ms.
    #[must_use]
    pub fn new(rise: Duration) -> Self {
        Self {
            rise,
            dtr: false,
            rts: false,
            low: false,
            rises: None,
        }
    }

    /// The host sets DTR. Returns the levels from now on.
    pub fn set_dtr(&mut self, dtr: bool, now: Instant) -> Levels {
        self.set(dtr, self.rts, now)
    }

    /// The host sets RTS. Returns the levels from now on.
    pub fn set_rts(&mut self, rts: bool, now: Instant) -> Levels {
        self.set(self.dtr, rts, now)
    }

    /// The host goes away, which releases both lines. Returns the levels from now on.
    pub fn release(&mut self, now: Instant) -> Levels {
        self.set(false, false, now)
    }

    /// When [`AutoReset::update`] is to be called next.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.rises
    }

    /// Returns the new levels if EN has risen by `now`; each rise is reported once.
    pub fn update(&mut self, now: Instant) -> Option<Levels> {
        self.rises.filter(|rises| *rises <= now)?;
        self.rises = None;
        self.low = false;
        Some(self.levels())
    }

    /// The host sets both lines at once. Returns the levels from now on, which hold until [`AutoReset::update`] returns
    /// others.
    pub fn set(&mut self, dtr: bool, rts: bool, now: Instant) -> Levels {
        (self.dtr, self.rts) = (dtr, rts);
        if rts && !dtr {
            self.low = true;
            self.rises = None;
        } else if self.low && self.rises.is_none() {
            self.rises = Some(now + self.rise);
        }
        self.levels()
    }

    fn levels(&self) -> Levels {
        Levels {
            enable: !self.low,
            boot: !self.dtr || self.rts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(50);
    const RISE: Duration = Duration::from_millis(100);

    #[test]
    fn the_bootloader_sequence_leads_to_download_mode_one_line_at_a_time() {
        let start = Instant::now();
        let mut circuit = AutoReset::new(RISE);
        circuit.set_dtr(false, start);
        assert_eq!(
            circuit.set_rts(true, start),
            Levels {
                enable: false,
                boot: true
            }
        );
        let let_go = start + 2 * STEP;
        // Both lines: EN is released, but has not risen yet.
        assert_eq!(
            circuit.set_dtr(true, let_go),
            Levels {
                enable: false,
                boot: true
            }
        );
        assert_eq!(circuit.update(let_go + STEP), None);
        assert_eq!(
            circuit.set_rts(false, let_go + STEP),
            Levels {
                enable: false,
                boot: false
            }
        );
        assert_eq!(circuit.due(), Some(let_go + RISE));
        assert_eq!(
            circuit.update(let_go + RISE),
            Some(Levels {
                enable: true,
                boot: false
            })
        );
        assert_eq!(
            circuit.set_dtr(false, let_go + 4 * STEP),
            Levels {
                enable: true,
                boot: true
            }
        );
        assert_eq!(circuit.due(), None);
    }

    #[test]
    fn rts_alone_starts_from_flash() {
        let start = Instant::now();
        let mut circuit = AutoReset::new(RISE);
        assert!(!circuit.set_rts(true, start).enable);
        assert_eq!(circuit.due(), None, "EN stays low until the host releases it");
        circuit.set_rts(false, start + STEP);
        assert_eq!(
            circuit.update(start + STEP + RISE),
            Some(Levels {
                enable: true,
                boot: true
            })
        );
    }

    #[test]
    fn a_port_that_is_opened_or_closed_resets_nothing() {
        let start = Instant::now();
        let mut circuit = AutoReset::new(RISE);
        assert!(circuit.set_dtr(true, start).enable);
        assert!(circuit.set_rts(true, start).enable);
        assert!(circuit.release(start).enable);
        assert_eq!(circuit.due(), None);
    }

    #[test]
    fn a_host_that_vanishes_during_reset_leaves_a_running_board() {
        let start = Instant::now();
        let mut circuit = AutoReset::new(RISE);
        circuit.set_rts(true, start);
        circuit.release(start);
        assert_eq!(
            circuit.update(start + RISE),
            Some(Levels {
                enable: true,
                boot: true
            })
        );
    }
}
