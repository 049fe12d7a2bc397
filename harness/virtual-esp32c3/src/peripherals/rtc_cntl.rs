//! RTC control: reset causes and software reset, registers that outlive a reset, the counter of the slow clock with its
//! alarm, sleep, the RTC watchdog, the super watchdog, and the brown-out detector. Stores, the hart's clock, dips of
//! the supply and wake-up sources enter; interrupts, reset requests and the state of sleep leave.
//! (ESP32-C3 Technical Reference Manual, chapters "Low-power Management", "Reset and Clock", "Watchdog Timers".)

use super::clocks::Domain;
use super::peripheral::{Context, Peripheral};
use super::registers::{Registers, offsets};
use super::sleep::{Kind, Pending, Sleep, WakeInputs};
use super::watchdog::{Action, Stage, Switches, Watchdog};
use crate::clock::{CYCLES_PER_SECOND, RTC_SLOW_HZ};
use crate::log::ResetCause;

offsets! { RTC_CNTL:
    OPTIONS0 = 0x00,
    SLP_TIMER0 = 0x04,
    SLP_TIMER1 = 0x08,
    TIME_UPDATE = 0x0C,
    TIME_LOW0 = 0x10,
    TIME_HIGH0 = 0x14,
    STATE0 = 0x18,
    TIMER1 = 0x1C,
    RESET_STATE = 0x38,
    WAKEUP_STATE = 0x3C,
    INT_ENA = 0x40,
    INT_RAW = 0x44,
    INT_ST = 0x48,
    INT_CLR = 0x4C,
    STORE0 = 0x50,
    CLK_CONF = 0x70,
    WDTCONFIG0 = 0x90,
    WDTCONFIG1 = 0x94,
    WDTCONFIG2 = 0x98,
    WDTCONFIG3 = 0x9C,
    WDTCONFIG4 = 0xA0,
    WDTFEED = 0xA4,
    WDTWPROTECT = 0xA8,
    SWD_CONF = 0xAC,
    SWD_WPROTECT = 0xB0,
    BROWN_OUT = 0xD8,
    SLP_REJECT_CAUSE = 0xF0,
    SLP_WAKEUP_CAUSE = 0xF8,
    ULP_CP_TIMER_1 = 0xFC,
    INT_ENA_RTC_W1TS = 0x100,
    INT_ENA_RTC_W1TC = 0x104,
    RETENTION_CTRL = 0x108,
    GPIO_WAKEUP = 0x110,
    PG_CTRL = 0x124,
    DATE = 0x1FC,
}

/// The watchdogs' registers. Every reset but one of the processor alone returns them to their values after reset.
const WATCHDOGS: [u32; 8] = [
    WDTCONFIG0,
    WDTCONFIG1,
    WDTCONFIG2,
    WDTCONFIG3,
    WDTCONFIG4,
    WDTWPROTECT,
    SWD_CONF,
    SWD_WPROTECT,
];

/// STAT_VECTOR_SEL_PROCPU and _APPCPU of RESET_STATE.
const STAT_VECTOR_SEL: u32 = 3 << 12;
const SW_SYS_RST: u32 = 1 << 31;
const SW_PROCPU_RST: u32 = 1 << 5;
const UPDATE: u32 = 1 << 31;
const SLEEP_EN: u32 = 1 << 31;
const SLP_REJECT_CAUSE_CLR: u32 = 1 << 1;
const SW_CPU_INT: u32 = 1 << 0;

const WDT_EN: u32 = 1 << 31;
/// The lowest bits of the fields for the stages' actions, which have three bits each.
const WDT_STG0: u32 = 28;
const WDT_STG1: u32 = 25;
const WDT_STG2: u32 = 22;
const WDT_STG3: u32 = 19;
const WDT_FLASHBOOT_MOD_EN: u32 = 1 << 12;
const WDT_PROCPU_RESET_EN: u32 = 1 << 11;
const WDT_PAUSE_IN_SLEEP: u32 = 1 << 9;
const WDT_KEY: u32 = 0x50D8_3AA1;
/// The first stage lasts for its setting shifted left by 1 + WDT_DELAY_SEL, an eFuse field that is not burnt here.
const WDT_STAGE0_SHIFT: u32 = 1;

const SWD_AUTO_FEED_EN: u32 = 1 << 31;
const SWD_DISABLE: u32 = 1 << 30;
const SWD_FEED: u32 = 1 << 29;
const SWD_RESET_FLAG_CLEAR: u32 = 1 << 28;
const SWD_FEED_INT: u32 = 1 << 1;
const SWD_RESET_FLAG: u32 = 1 << 0;
const SWD_KEY: u32 = 0x8F1D_312A;
/// The super watchdog's period. The manual says that it is less than a second. It also says that the watchdog asks to
/// be fed before that, but not how long before.
const SWD_PERIOD: u64 = CYCLES_PER_SECOND;
const SWD_WARNING: u64 = SWD_PERIOD / 8;

const BROWN_OUT_DET: u32 = 1 << 31;
const BROWN_OUT_ENA: u32 = 1 << 30;
const BROWN_OUT_COUNT_CLEAR: u32 = 1 << 29;
const BROWN_OUT_ANALOG_RESET: u32 = 1 << 28;
const BROWN_OUT_RESET: u32 = 1 << 26;

const INT_SLEEP_WAKEUP: u32 = 1 << 0;
const INT_SLEEP_REJECT: u32 = 1 << 1;
const INT_WDT: u32 = 1 << 3;
const INT_BROWN_OUT: u32 = 1 << 9;
const INT_MAIN_TIMER: u32 = 1 << 10;
const INT_SWD: u32 = 1 << 15;
const MAIN_TIMER_ALARM_EN: u32 = 1 << 16;

/// The slow clocks that CLK_CONF.ANA_CLK_RTC_SEL selects, in hertz: the RC oscillator, the 32 kHz crystal, which is not
/// fitted, and the fast RC oscillator of 17.5 MHz divided by 256.
const SLOW_CLOCKS: [u64; 4] = [RTC_SLOW_HZ, 0, 17_500_000 / 256, 0];

#[derive(Debug, Clone)]
pub(crate) struct RtcControl {
    registers: Registers,
    raw: u32,
    cause: ResetCause,
    requested: Option<ResetCause>,
    watchdog: Watchdog,
    super_watchdog: Option<SuperWatchdog>,
    sleep: Sleep,
    /// When the counter of the slow clock reaches its alarm.
    main_alarm: Option<u64>,
    /// When a dip of the supply raises its interrupt, and when it resets the chip.
    brown_out_interrupt: Option<u64>,
    brown_out_reset: Option<u64>,
    /// The slow clock in hertz, and its counter's value at the time `since`.
    slow_hz: u64,
    counted: u64,
    since: u64,
}

#[derive(Debug, Clone, Copy)]
struct SuperWatchdog {
    ends: u64,
    warned: bool,
}

impl SuperWatchdog {
    fn started(now: u64) -> Self {
        Self {
            ends: now + SWD_PERIOD,
            warned: false,
        }
    }

    fn next_event(self) -> u64 {
        self.ends - if self.warned { 0 } else { SWD_WARNING }
    }
}

impl RtcControl {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            registers: Registers::new(base, 0x200),
            raw: 0,
            cause: ResetCause::PowerOn,
            requested: None,
            watchdog: Watchdog::default(),
            super_watchdog: None,
            sleep: Sleep::default(),
            main_alarm: None,
            brown_out_interrupt: None,
            brown_out_reset: None,
            slow_hz: RTC_SLOW_HZ,
            counted: 0,
            since: 0,
        }
    }

    /// Does what every reset does here: notes the cause, ends a sleep, and returns the watchdogs to their state after
    /// reset unless only the processor is reset. The rest of the RTC domain outlives most resets.
    pub(crate) fn after_reset(&mut self, cause: ResetCause) {
        self.cause = cause;
        self.requested = None;
        self.sleep.abandon();
        if cause.is_cpu_only() {
            return;
        }
        let fresh = Registers::new(self.registers.base(), 0x200);
        for offset in WATCHDOGS {
            self.registers.set(offset, fresh.get(offset));
        }
        if cause == ResetCause::SuperWatchdog {
            self.registers.set(SWD_CONF, fresh.get(SWD_CONF) | SWD_RESET_FLAG);
        }
        let options = self.registers.get(OPTIONS0) & !(SW_SYS_RST | SW_PROCPU_RST);
        self.registers.set(OPTIONS0, options);
        self.watchdog.stop();
        self.super_watchdog = None;
    }

    /// Starts the watchdogs as the hardware does when the chip boots from flash.
    pub(crate) fn guard_flash_boot(&mut self, now: u64) {
        if self.watchdog_switches().guards_flash_boot {
            let stages = self.watchdog_stages();
            self.watchdog.guard_flash_boot(Action::Rtc, stages, now);
        }
        self.super_watchdog = Some(SuperWatchdog::started(now));
    }

    /// The kind of the present sleep.
    pub(crate) fn sleeping(&self) -> Option<Kind> {
        self.sleep.kind()
    }

    /// Takes over what may wake the chip.
    pub(crate) fn observe(&mut self, inputs: WakeInputs) {
        self.sleep.observe(&mut self.registers, inputs);
    }

    /// The supply dips below the detector's threshold.
    pub(crate) fn brown_out(&mut self, now: u64) {
        let config = self.registers.get(BROWN_OUT);
        if config & BROWN_OUT_ENA == 0 {
            return;
        }
        if config & BROWN_OUT_ANALOG_RESET != 0 {
            self.requested = Some(ResetCause::BrownOut);
            return;
        }
        let [interrupt, reset] = [4, 16].map(|at| now.saturating_add(self.cycles(u64::from(config >> at & 0x3FF))));
        self.brown_out_interrupt = Some(interrupt);
        self.brown_out_reset = (config & BROWN_OUT_RESET != 0).then_some(reset);
    }

    /// The frequency of the selected slow clock, in hertz; 0 if it does not run.
    pub(crate) fn slow_hz(&self) -> u64 {
        self.slow_hz
    }

    fn counts(&self, now: u64) -> u64 {
        let cycles = u128::from(now.saturating_sub(self.since));
        let counts = cycles * u128::from(self.slow_hz) / u128::from(CYCLES_PER_SECOND);
        self.counted.wrapping_add(counts as u64)
    }

    /// Cycles of the hart in which the slow clock counts `counts`.
    fn cycles(&self, counts: u64) -> u64 {
        if self.slow_hz == 0 {
            return u64::MAX;
        }
        let cycles = (u128::from(counts) * u128::from(CYCLES_PER_SECOND)).div_ceil(u128::from(self.slow_hz));
        u64::try_from(cycles).unwrap_or(u64::MAX)
    }

    /// Sets the alarm by SLP_TIMER0 and SLP_TIMER1. An alarm that the counter has passed already is due at once.
    fn set_main_alarm(&mut self) {
        let high = self.registers.get(SLP_TIMER1);
        let alarm = u64::from(self.registers.get(SLP_TIMER0)) | u64::from(high & 0xFFFF) << 32;
        let left = alarm.saturating_sub(self.counted);
        self.main_alarm = (high & MAIN_TIMER_ALARM_EN != 0).then(|| self.since.saturating_add(self.cycles(left)));
    }

    /// Selects the slow clock by a value of CLK_CONF. The counter goes on from its value.
    fn select_slow_clock(&mut self, value: u32, now: u64) {
        let hz = SLOW_CLOCKS[(value >> 30) as usize];
        if hz == self.slow_hz {
            return;
        }
        self.counted = self.counts(now);
        self.since = now;
        self.slow_hz = hz;
        if self.main_alarm.is_some() {
            self.set_main_alarm();
        }
        let stages = self.watchdog_stages();
        self.watchdog.change(stages);
    }

    fn watchdog_switches(&self) -> Switches {
        let config = self.registers.get(WDTCONFIG0);
        Switches {
            enabled: config & WDT_EN != 0,
            guards_flash_boot: config & WDT_FLASHBOOT_MOD_EN != 0,
        }
    }

    fn watchdog_stages(&self) -> [Stage; 4] {
        let config = self.registers.get(WDTCONFIG0);
        let stage = |action: u32, hold: u32| Stage {
            action: Action::from_bits(config >> action & 7),
            hold: self.cycles(u64::from(self.registers.get(hold))),
        };
        let mut stages = [
            stage(WDT_STG0, WDTCONFIG1),
            stage(WDT_STG1, WDTCONFIG2),
            stage(WDT_STG2, WDTCONFIG3),
            stage(WDT_STG3, WDTCONFIG4),
        ];
        stages[0].hold = stages[0].hold.saturating_mul(1 << WDT_STAGE0_SHIFT);
        stages
    }

    fn write_watchdog(&mut self, offset: u32, value: u32, now: u64) {
        let before = self.watchdog_switches();
        self.registers.set(offset, value);
        let (after, stages) = (self.watchdog_switches(), self.watchdog_stages());
        self.watchdog.follow(before, after, stages, now);
    }

    fn write_options(&mut self, value: u32) {
        if value & SW_SYS_RST != 0 {
            self.requested = Some(ResetCause::SoftwareSystem);
        } else if value & SW_PROCPU_RST != 0 {
            self.requested = Some(ResetCause::SoftwareCpu);
        }
        self.registers.set(OPTIONS0, value & !(SW_SYS_RST | SW_PROCPU_RST));
    }

    fn write_super_watchdog(&mut self, value: u32, now: u64) {
        let mut flags = self.registers.get(SWD_CONF) & (SWD_RESET_FLAG | SWD_FEED_INT);
        if value & SWD_RESET_FLAG_CLEAR != 0 {
            flags &= !SWD_RESET_FLAG;
        }
        if value & (SWD_AUTO_FEED_EN | SWD_DISABLE) != 0 {
            self.super_watchdog = None;
            flags &= !SWD_FEED_INT;
        } else if value & SWD_FEED != 0 || self.super_watchdog.is_none() {
            self.super_watchdog = Some(SuperWatchdog::started(now));
            flags &= !SWD_FEED_INT;
        }
        let kept = value & !(SWD_FEED | SWD_RESET_FLAG | SWD_FEED_INT);
        self.registers.set(SWD_CONF, kept | flags);
    }

    fn update_super_watchdog(&mut self, now: u64) {
        let Some(watchdog) = &mut self.super_watchdog else {
            return;
        };
        if watchdog.ends <= now {
            self.super_watchdog = None;
            self.requested = Some(ResetCause::SuperWatchdog);
        } else if watchdog.next_event() <= now {
            watchdog.warned = true;
            self.raw |= INT_SWD;
            self.registers
                .set(SWD_CONF, self.registers.get(SWD_CONF) | SWD_FEED_INT);
        }
    }

    fn pending(&self) -> Pending {
        Pending {
            timer: self.raw & INT_MAIN_TIMER != 0,
            brown_out: self.raw & INT_BROWN_OUT != 0,
        }
    }

    fn write_state(&mut self, value: u32, now: u64) {
        if value & SLP_REJECT_CAUSE_CLR != 0 {
            self.registers.set(SLP_REJECT_CAUSE, 0);
        }
        self.registers
            .set(STATE0, value & !(SLEEP_EN | SLP_REJECT_CAUSE_CLR | SW_CPU_INT));
        if value & SLEEP_EN == 0 {
            return;
        }
        let slow_clock = self.cycles(1);
        let pending = self.pending();
        if self.sleep.request(&mut self.registers, pending, now, slow_clock) {
            if self.registers.get(WDTCONFIG0) & WDT_PAUSE_IN_SLEEP != 0 {
                self.watchdog.pause(now);
            }
        } else {
            self.raw |= INT_SLEEP_REJECT;
        }
    }

    fn update_sleep(&mut self, now: u64) {
        let pending = self.pending();
        let Some(kind) = self.sleep.end(&mut self.registers, pending, now) else {
            return;
        };
        self.raw |= INT_SLEEP_WAKEUP;
        self.watchdog.go_on(now);
        if kind == Kind::Deep {
            self.requested = Some(ResetCause::DeepSleep);
        }
    }
}

impl Peripheral for RtcControl {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            // Both vector selections point to the ROM, as after reset.
            RESET_STATE => self.cause as u32 | (self.cause as u32) << 6 | STAT_VECTOR_SEL,
            INT_RAW => self.raw,
            INT_ST => self.raw & self.registers.get(INT_ENA),
            WDTFEED | INT_CLR | INT_ENA_RTC_W1TS | INT_ENA_RTC_W1TC => 0,
            OPTIONS0..=INT_ENA
            | STORE0..=WDTCONFIG4
            | WDTWPROTECT..=ULP_CP_TIMER_1
            | RETENTION_CTRL..=PG_CTRL
            | DATE => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        let now = context.now;
        let unlocked = self.registers.get(WDTWPROTECT) == WDT_KEY;
        match offset {
            OPTIONS0 => self.write_options(value),
            SLP_TIMER0 => self.registers.set(offset, value),
            SLP_TIMER1 => {
                self.registers.set(offset, value);
                self.set_main_alarm();
            }
            TIME_UPDATE => {
                if value & UPDATE != 0 {
                    let counts = self.counts(now);
                    self.registers.set(TIME_LOW0, counts as u32);
                    self.registers.set(TIME_HIGH0, (counts >> 32) as u32 & 0xFFFF);
                }
                self.registers.set(offset, value & !UPDATE);
            }
            STATE0 => self.write_state(value, now),
            INT_CLR => self.raw &= !value,
            CLK_CONF => {
                self.registers.set(offset, value);
                self.select_slow_clock(value, now);
            }
            WDTCONFIG0..=WDTCONFIG4 if unlocked => self.write_watchdog(offset, value, now),
            WDTFEED if unlocked => self.watchdog.feed(now),
            WDTCONFIG0..=WDTFEED => {}
            SWD_CONF if self.registers.get(SWD_WPROTECT) == SWD_KEY => self.write_super_watchdog(value, now),
            SWD_CONF => {}
            // The detector's flag is read-only, and low again after a dip.
            BROWN_OUT => self
                .registers
                .set(offset, value & !(BROWN_OUT_COUNT_CLEAR | BROWN_OUT_DET)),
            GPIO_WAKEUP => Sleep::write_gpio_wakeup(&mut self.registers, value),
            INT_ENA_RTC_W1TS => self.registers.set(INT_ENA, self.registers.get(INT_ENA) | value),
            INT_ENA_RTC_W1TC => self.registers.set(INT_ENA, self.registers.get(INT_ENA) & !value),
            // Read-only. The reset flags of RESET_STATE, which software could clear, are not kept.
            TIME_LOW0 | TIME_HIGH0 | INT_RAW | INT_ST | RESET_STATE | SLP_REJECT_CAUSE | SLP_WAKEUP_CAUSE => {}
            TIMER1..=WAKEUP_STATE | INT_ENA | STORE0..=ULP_CP_TIMER_1 | RETENTION_CTRL..=PG_CTRL | DATE => {
                self.registers.set(offset, value);
            }
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, context: &mut Context<'_>) {
        self.registers.reset();
        self.raw = 0;
        self.main_alarm = None;
        self.brown_out_interrupt = None;
        self.brown_out_reset = None;
        self.slow_hz = RTC_SLOW_HZ;
        self.counted = 0;
        self.since = context.now;
    }

    fn domain(&self) -> Domain {
        Domain::Rtc
    }

    fn take_reset(&mut self) -> Option<ResetCause> {
        if let Some(action) = self.watchdog.take_action() {
            let may_reset_cpu = self.registers.get(WDTCONFIG0) & WDT_PROCPU_RESET_EN != 0;
            match action {
                Action::Interrupt => self.raw |= INT_WDT,
                Action::Cpu if may_reset_cpu => self.requested = Some(ResetCause::RtcWatchdogCpu),
                Action::System => self.requested = Some(ResetCause::RtcWatchdogSystem),
                Action::Rtc => self.requested = Some(ResetCause::RtcWatchdogRtc),
                Action::Cpu | Action::None => {}
            }
        }
        self.requested.take()
    }

    fn update(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        let due = |at: &mut Option<u64>| at.take_if(|at| *at <= now).is_some();
        if due(&mut self.main_alarm) {
            self.raw |= INT_MAIN_TIMER;
        }
        if due(&mut self.brown_out_interrupt) {
            self.raw |= INT_BROWN_OUT;
        }
        if due(&mut self.brown_out_reset) {
            self.requested = Some(ResetCause::BrownOut);
        }
        self.watchdog.update(now);
        self.update_super_watchdog(now);
        self.update_sleep(now);
    }

    fn next_event(&self) -> Option<u64> {
        [
            self.watchdog.due(),
            self.super_watchdog.map(SuperWatchdog::next_event),
            self.main_alarm,
            self.brown_out_interrupt,
            self.brown_out_reset,
            self.sleep.ends(&self.registers, self.pending()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.raw & self.registers.get(INT_ENA) != 0)
    }
}
