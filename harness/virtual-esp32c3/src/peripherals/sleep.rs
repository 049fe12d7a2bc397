//! Light and deep sleep as the RTC controller grants, refuses and ends them. The controller's settings and what the pads
//! and UARTs do enter; wake-up and reject causes leave. It knows no clock but the time that it is given.
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

/// The digital system loses its power in sleep: deep sleep.
const DG_WRAP_PD_EN: u32 = 1 << 31;
const DEEP_REJECT_EN: u32 = 1 << 31;
const LIGHT_REJECT_EN: u32 = 1 << 30;
const PAD_STATUS_CLEAR: u32 = 1 << 6;
/// The pads of the RTC domain, GPIO0 to GPIO5.
const PADS: u32 = 6;

/// Wake-up and reject sources by their bits in WAKEUP_ENA, SLEEP_REJECT_ENA and the causes.
const SOURCE_GPIO: u32 = 1 << 2;
const SOURCE_TIMER: u32 = 1 << 3;
const SOURCE_BROWN_OUT: u32 = 1 << 16;

/// How deep the chip sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All clocks but the RTC's stand still; everything goes on where it was.
    Light,
    /// Only the RTC domain has power; the chip starts anew.
    Deep,
}

/// What the rest of the chip tells the RTC controller.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WakeInputs {
    /// The sources of the digital domain that ask to wake the chip.
    pub(crate) sources: u32,
    /// Levels of the pads.
    pub(crate) pads: u32,
}

/// Which of the controller's own events wait to be acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    pub(crate) timer: bool,
    pub(crate) brown_out: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Sleep {
    /// The sleep under way, and before when it does not end.
    under_way: Option<(Kind, u64)>,
    inputs: WakeInputs,
}

impl Sleep {
    /// The sleep under way.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.under_way.map(|(kind, _)| kind)
    }

    /// Software asks for sleep (SLEEP_EN) at time `now`; a slow clock takes so many cycles. False if a source that is
    /// enabled for it rejects that: its cause is in the register then.
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

    /// Ends the sleep if a source that is enabled for it asks. The kind of sleep that ended; its cause is in the register.
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

    /// When the sleep ends, if what is to end it has come already.
    pub(crate) fn ends(&self, registers: &Registers, pending: Pending) -> Option<u64> {
        let (kind, earliest) = self.under_way?;
        (self.waking(registers, kind, pending) != 0).then_some(earliest)
    }

    /// Forgets the sleep under way: the chip is reset.
    pub(crate) fn abandon(&mut self) {
        self.under_way = None;
    }

    /// Takes over what the rest of the chip tells, and notes which of the RTC's pads are at what GPIO_WAKEUP waits for.
    pub(crate) fn observe(&mut self, registers: &mut Registers, inputs: WakeInputs) {
        let before = std::mem::replace(&mut self.inputs, inputs).pads;
        let config = registers.get(GPIO_WAKEUP);
        // The enables, PIN0 at the top.
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

    /// A store to GPIO_WAKEUP: the status is read-only, but can be cleared.
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

    /// The sources that are active. Deep sleep leaves only the RTC domain's.
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
