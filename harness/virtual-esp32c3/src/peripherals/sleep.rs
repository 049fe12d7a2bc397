//! The part of RTC control that starts, rejects and ends light and deep sleep. The controller's registers, the pads and
//! the wake-up sources of other peripherals enter; wake-up and reject causes leave.
//! (ESP32-C3 Technical Reference Manual, chapter "Low-power Management", sections "Wakeup Source", "Reject Sleep".)

use super::registers::{Registers, offsets};

offsets! { RTC_CNTL:
    TIMER5 = 0x2C,
    WAKEUP_STATE = 0x3C,
    SLP_REJECT_CONF = 0x68,
    DIG_PWC = 0x88,
    SLP_REJECT_CAUSE = 0xF0,
    SLP_WAKEUP_CAUSE = 0xF8,
    GPIO_WAKEUP = 0x110,
}

/// The digital system loses its power in sleep. That is what makes a sleep deep.
const DG_WRAP_PD_EN: u32 = 1 << 31;
const DEEP_REJECT_EN: u32 = 1 << 31;
const LIGHT_REJECT_EN: u32 = 1 << 30;
const PAD_STATUS_CLEAR: u32 = 1 << 6;
/// The pads of the RTC domain, GPIO0 to GPIO5.
const PADS: u32 = 6;

/// Wake-up and reject sources, by their bits in WAKEUP_ENA, SLEEP_REJECT_ENA and the two causes.
const SOURCE_GPIO: u32 = 1 << 2;
const SOURCE_TIMER: u32 = 1 << 3;
const SOURCE_BROWN_OUT: u32 = 1 << 16;

/// How deep the chip sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The digital clock stands still. Everything continues from there afterwards.
    Light,
    /// Only the RTC domain has power. The chip is reset afterwards.
    Deep,
}

/// What the rest of the chip tells RTC control.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WakeInputs {
    /// The sources in the digital domain that ask to wake the chip.
    pub(crate) sources: u32,
    /// Levels of the pads.
    pub(crate) pads: u32,
}

/// Which events of RTC control itself software has not acknowledged yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    pub(crate) timer: bool,
    pub(crate) brown_out: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Sleep {
    /// The present sleep, and the time before which it does not end.
    under_way: Option<(Kind, u64)>,
    inputs: WakeInputs,
}

impl Sleep {
    /// The kind of the present sleep.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.under_way.map(|(kind, _)| kind)
    }

    /// Software asks for sleep (SLEEP_EN) at the time `now`. `slow_clock` is the period of the slow clock in cycles.
    /// Returns false if a source that is enabled to do so rejects the sleep; SLP_REJECT_CAUSE tells which.
    pub(crate) fn request(&mut self, registers: &mut Registers, pending: Pending, now: u64, slow_clock: u64) -> bool {
        let (kind, reject_enabled) = if registers.get(DIG_PWC) & DG_WRAP_PD_EN == 0 {
            (Kind::Light, LIGHT_REJECT_EN)
        } else {
            (Kind::Deep, DEEP_REJECT_EN)
        };
        let conf = registers.get(SLP_REJECT_CONF);
        let rejecting = self.sources(registers, kind, pending) & conf >> 12 & 0x3_FFFF;
        if conf & reject_enabled != 0 && rejecting != 0 {
            registers.set(SLP_REJECT_CAUSE, rejecting);
            return false;
        }
        let shortest = u64::from(registers.get(TIMER5) >> 8 & 0xFF) * slow_clock;
        self.under_way = Some((kind, now.saturating_add(shortest)));
        true
    }

    /// Ends the sleep if a source that is enabled to do so asks for it. Returns the kind of the sleep that has ended;
    /// SLP_WAKEUP_CAUSE tells the source.
    pub(crate) fn end(&mut self, registers: &mut Registers, pending: Pending, now: u64) -> Option<Kind> {
        let (kind, earliest) = self.under_way?;
        let waking = self.waking(registers, kind, pending);
        if waking == 0 || now < earliest {
            return None;
        }
        registers.set(SLP_WAKEUP_CAUSE, waking);
        self.under_way = None;
        Some(kind)
    }

    /// When the sleep ends, if a source asks for that already.
    pub(crate) fn ends(&self, registers: &Registers, pending: Pending) -> Option<u64> {
        let (kind, earliest) = self.under_way?;
        (self.waking(registers, kind, pending) != 0).then_some(earliest)
    }

    /// Ends the sleep without a cause, because the chip is reset.
    pub(crate) fn abandon(&mut self) {
        self.under_way = None;
    }

    /// Takes over what the rest of the chip tells, and latches the RTC's pads that do what GPIO_WAKEUP waits for.
    pub(crate) fn observe(&mut self, registers: &mut Registers, inputs: WakeInputs) {
        let before = std::mem::replace(&mut self.inputs, inputs).pads;
        let config = registers.get(GPIO_WAKEUP);
        // The bits that enable pads, GPIO0 at the top.
        if config >> 26 == 0 {
            return;
        }
        let mut status = 0;
        for pad in 0..PADS {
            let high = inputs.pads >> pad & 1 != 0;
            let changed = (inputs.pads ^ before) >> pad & 1 != 0;
            let matches = match config >> (23 - 3 * pad) & 7 {
                1 => changed && high,
                2 => changed && !high,
                3 => changed,
                4 => !high,
                5 => high,
                _ => false,
            };
            let enabled = config >> (31 - pad) & 1 != 0;
            status |= u32::from(enabled && matches) << pad;
        }
        if status != 0 {
            registers.set(GPIO_WAKEUP, config | status);
        }
    }

    /// Stores to GPIO_WAKEUP. Its status bits are read-only, but one bit clears them all.
    pub(crate) fn write_gpio_wakeup(registers: &mut Registers, value: u32) {
        let status = match value & PAD_STATUS_CLEAR {
            0 => registers.get(GPIO_WAKEUP) & 0x3F,
            _ => 0,
        };
        registers.set(GPIO_WAKEUP, value & !0x3F | status);
    }

    fn waking(&self, registers: &Registers, kind: Kind, pending: Pending) -> u32 {
        self.sources(registers, kind, pending) & registers.get(WAKEUP_STATE) >> 15
    }

    /// The sources that are active. In deep sleep only those of the RTC domain can be.
    fn sources(&self, registers: &Registers, kind: Kind, pending: Pending) -> u32 {
        let pads = registers.get(GPIO_WAKEUP) & 0x3F != 0;
        let digital = match kind {
            Kind::Light => self.inputs.sources,
            Kind::Deep => 0,
        };
        [
            (pads, SOURCE_GPIO),
            (pending.timer, SOURCE_TIMER),
            (pending.brown_out, SOURCE_BROWN_OUT),
        ]
        .iter()
        .filter(|(active, _)| *active)
        .fold(digital, |sources, (_, bit)| sources | bit)
    }
}
