//! A timer group: one 54-bit timer, the main watchdog, and the counter that measures slow clocks against the crystal.
//! Stores and the digital clock enter; interrupts and reset requests leave.
//! (ESP32-C3 Technical Reference Manual, chapters "Timer Group" and "Watchdog Timers".)

use super::peripheral::{Context, Peripheral};
use super::registers::{Registers, offsets};
use super::watchdog::{Action, Stage, Switches, Watchdog};
use crate::clock::{CYCLES_PER_MICROSECOND, RTC_SLOW_HZ};
use crate::log::ResetCause;

/// Cycles of the hart in one cycle of the 80 MHz APB clock, and in one of the 40 MHz crystal.
const CYCLES_PER_APB: u64 = 2;
const CYCLES_PER_XTAL: u64 = 4;
const COUNTER: u64 = (1 << 54) - 1;

offsets! { TIMG0:
    T_CONFIG = 0x00,
    T_LO = 0x04,
    T_HI = 0x08,
    T_UPDATE = 0x0C,
    T_ALARMLO = 0x10,
    T_LOADLO = 0x18,
    T_LOADHI = 0x1C,
    T_LOAD = 0x20,
    WDTCONFIG0 = 0x48,
    WDTCONFIG1 = 0x4C,
    WDTCONFIG2 = 0x50,
    WDTCONFIG3 = 0x54,
    WDTCONFIG4 = 0x58,
    WDTCONFIG5 = 0x5C,
    WDTFEED = 0x60,
    WDTWPROTECT = 0x64,
    RTCCALICFG = 0x68,
    RTCCALICFG1 = 0x6C,
    INT_ENA = 0x70,
    INT_RAW = 0x74,
    INT_ST = 0x78,
    INT_CLR = 0x7C,
    RTCCALICFG2 = 0x80,
    NTIMG_DATE = 0xF8,
    REGCLK = 0xFC,
}

const T_EN: u32 = 1 << 31;
const T_INCREASE: u32 = 1 << 30;
const T_AUTORELOAD: u32 = 1 << 29;
const T_DIVIDER_RESET: u32 = 1 << 12;
const T_ALARM_EN: u32 = 1 << 10;
const DIVIDER: u32 = 0xFFFF << 13;
const T_USE_XTAL: u32 = 1 << 9;

const WDT_EN: u32 = 1 << 31;
/// The lowest bits of the fields for the stages' actions, which have two bits each.
const WDT_STG0: u32 = 29;
const WDT_STG1: u32 = 27;
const WDT_STG2: u32 = 25;
const WDT_STG3: u32 = 23;
const WDT_USE_XTAL: u32 = 1 << 21;
const WDT_FLASHBOOT_MOD_EN: u32 = 1 << 14;
const WDT_PROCPU_RESET_EN: u32 = 1 << 13;
const WDT_KEY: u32 = 0x50D8_3AA1;

const CALI_START: u32 = 1 << 31;
const CALI_START_CYCLING: u32 = 1 << 12;
const CALI_RDY: u32 = 1 << 15;
/// RTC_CALI_CYCLING_DATA_VLD of RTCCALICFG1.
const CALI_CYCLING_DATA_VLD: u32 = 1 << 0;
/// RTC_CALI_TIMEOUT of RTCCALICFG2.
const CALI_TIMEOUT: u32 = 1 << 0;
/// The fast RC oscillator of 17.5 MHz divided by 256, which RTC_CALI_CLK_SEL = 1 selects.
const FAST_DIVIDED_HZ: u64 = 68_359;

const INT_TIMER: u32 = 1 << 0;
const INT_WDT: u32 = 1 << 1;

/// The reset causes of a group's watchdog.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WatchdogResets {
    system: ResetCause,
    cpu: ResetCause,
}

pub(super) const GROUP0: WatchdogResets = WatchdogResets {
    system: ResetCause::TimerGroup0System,
    cpu: ResetCause::TimerGroup0Cpu,
};
pub(super) const GROUP1: WatchdogResets = WatchdogResets {
    system: ResetCause::TimerGroup1System,
    cpu: ResetCause::TimerGroup1Cpu,
};

#[derive(Debug, Clone)]
pub(crate) struct TimerGroup {
    registers: Registers,
    raw: u32,
    /// The counter's value at the time `since`. While enabled it counts on from there.
    value: u64,
    since: u64,
    watchdog: Watchdog,
    resets: WatchdogResets,
    /// The frequency of the RTC's slow clock, in hertz; 0 if it does not run.
    slow_hz: u64,
    /// When the running measurement is done.
    measured: Option<u64>,
}

impl TimerGroup {
    pub(crate) fn new(base: u32, resets: WatchdogResets) -> Self {
        let mut group = Self {
            registers: Registers::new(base, 0x100),
            raw: 0,
            value: 0,
            since: 0,
            watchdog: Watchdog::default(),
            resets,
            slow_hz: RTC_SLOW_HZ,
            measured: None,
        };
        group.restart(0);
        group
    }

    /// Starts the watchdog as the hardware does when the chip boots from flash.
    pub(crate) fn guard_flash_boot(&mut self, now: u64) {
        if self.watchdog_switches().guards_flash_boot {
            let stages = self.watchdog_stages();
            self.watchdog.guard_flash_boot(Action::System, stages, now);
        }
    }

    /// Brings everything to its state after a reset.
    fn restart(&mut self, now: u64) {
        self.registers.reset();
        self.raw = 0;
        self.set(0, now);
        self.watchdog.stop();
        // The chip measures a slow clock from the reset on: RTC_CALI_START_CYCLING is set then.
        self.measure(self.registers.get(RTCCALICFG), now);
    }

    fn period(&self) -> u64 {
        let config = self.registers.get(T_CONFIG);
        let divider = match config >> 13 & 0xFFFF {
            0 => 0x1_0000,
            1 => 2,
            divider => divider,
        };
        let clock = if config & T_USE_XTAL == 0 {
            CYCLES_PER_APB
        } else {
            CYCLES_PER_XTAL
        };
        clock * u64::from(divider)
    }

    fn at(&self, now: u64) -> u64 {
        let config = self.registers.get(T_CONFIG);
        if config & T_EN == 0 {
            return self.value;
        }
        let counts = (now - self.since) / self.period();
        let value = if config & T_INCREASE == 0 {
            self.value.wrapping_sub(counts)
        } else {
            self.value.wrapping_add(counts)
        };
        value & COUNTER
    }

    fn set(&mut self, value: u64, now: u64) {
        self.value = value & COUNTER;
        self.since = now;
    }

    /// Changes the timer's settings. The part of a count that has passed still counts, unless the divider changes or is
    /// reset.
    fn write_config(&mut self, value: u32, now: u64) {
        let before = self.registers.get(T_CONFIG);
        let same = (before ^ value) & (T_EN | T_USE_XTAL | DIVIDER) == 0 && value & T_DIVIDER_RESET == 0;
        let over = if before & T_EN == 0 {
            0
        } else {
            (now - self.since) % self.period()
        };
        self.set(self.at(now), if same { now - over } else { now });
        self.registers.set(T_CONFIG, value & !T_DIVIDER_RESET);
    }

    fn pair(&self, low: u32) -> u64 {
        u64::from(self.registers.get(low)) | u64::from(self.registers.get(low + 4) & 0x3F_FFFF) << 32
    }

    /// When the alarm is due. An alarm that the counter has passed already is due at once.
    fn due(&self) -> Option<u64> {
        let config = self.registers.get(T_CONFIG);
        if config & T_EN == 0 || config & T_ALARM_EN == 0 {
            return None;
        }
        let alarm = self.pair(T_ALARMLO);
        let counts = if config & T_INCREASE == 0 {
            self.value.saturating_sub(alarm)
        } else {
            alarm.saturating_sub(self.value)
        };
        Some(self.since.saturating_add(counts.saturating_mul(self.period())))
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
        let clock = if config & WDT_USE_XTAL == 0 {
            CYCLES_PER_APB
        } else {
            CYCLES_PER_XTAL
        };
        let tick = clock * u64::from((self.registers.get(WDTCONFIG1) >> 16).max(1));
        let stage = |action: u32, hold: u32| Stage {
            action: Action::from_bits(config >> action & 3),
            hold: u64::from(self.registers.get(hold)) * tick,
        };
        [
            stage(WDT_STG0, WDTCONFIG2),
            stage(WDT_STG1, WDTCONFIG3),
            stage(WDT_STG2, WDTCONFIG4),
            stage(WDT_STG3, WDTCONFIG5),
        ]
    }

    fn write_watchdog(&mut self, offset: u32, value: u32, now: u64) {
        let before = self.watchdog_switches();
        self.registers.set(offset, value);
        let (after, stages) = (self.watchdog_switches(), self.watchdog_stages());
        self.watchdog.follow(before, after, stages, now);
    }

    /// Starts a measurement with these settings of RTCCALICFG. A cycling measurement counts as done after its first
    /// round.
    fn measure(&mut self, value: u32, now: u64) {
        let cycles = u64::from(value >> 16 & 0x7FFF);
        let hz = match value >> 13 & 3 {
            0 if self.slow_hz != 0 => self.slow_hz,
            1 => FAST_DIVIDED_HZ,
            // The 32 kHz crystal is not fitted, so that the measurement times out.
            _ => {
                self.measured = None;
                self.registers
                    .set(RTCCALICFG2, self.registers.get(RTCCALICFG2) | CALI_TIMEOUT);
                return;
            }
        };
        self.registers
            .set(RTCCALICFG2, self.registers.get(RTCCALICFG2) & !CALI_TIMEOUT);
        let micros = cycles * 1_000_000 / hz;
        self.measured = Some(now + micros * CYCLES_PER_MICROSECOND);
        let counts = cycles * 40_000_000 / hz;
        self.registers
            .set(RTCCALICFG1, (counts as u32) << 7 | CALI_CYCLING_DATA_VLD);
    }
}

impl Peripheral for TimerGroup {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            RTCCALICFG => {
                let config = self.registers.get(offset) & !CALI_RDY;
                let done = self.measured.is_some_and(|at| at <= context.now);
                config | (u32::from(done) * CALI_RDY)
            }
            INT_RAW => self.raw,
            INT_ST => self.raw & self.registers.get(INT_ENA),
            T_CONFIG..=T_LOADHI
            | WDTCONFIG0..=WDTCONFIG5
            | WDTWPROTECT
            | RTCCALICFG1
            | INT_ENA
            | RTCCALICFG2
            | NTIMG_DATE
            | REGCLK => self.registers.get(offset),
            T_LOAD | WDTFEED | INT_CLR => 0,
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        let now = context.now;
        let unlocked = self.registers.get(WDTWPROTECT) == WDT_KEY;
        match offset {
            T_CONFIG => self.write_config(value, now),
            T_UPDATE => {
                let counter = self.at(now);
                self.registers.set(T_LO, counter as u32);
                self.registers.set(T_HI, (counter >> 32) as u32);
            }
            T_LOAD => self.set(self.pair(T_LOADLO), now),
            WDTCONFIG0..=WDTCONFIG5 if unlocked => self.write_watchdog(offset, value, now),
            WDTFEED if unlocked => self.watchdog.feed(now),
            WDTCONFIG0..=WDTFEED => {}
            RTCCALICFG => {
                let started = value & !self.registers.get(offset) & CALI_START != 0;
                self.registers.set(offset, value);
                if started || value & CALI_START_CYCLING != 0 {
                    self.measure(value, now);
                }
            }
            INT_CLR => self.raw &= !value,
            T_LO | T_HI | RTCCALICFG1 | INT_RAW | INT_ST => {}
            RTCCALICFG2 => {
                let timeout = self.registers.get(offset) & CALI_TIMEOUT;
                self.registers.set(offset, value & !CALI_TIMEOUT | timeout);
            }
            T_ALARMLO..=T_LOADHI | WDTWPROTECT | INT_ENA | NTIMG_DATE | REGCLK => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, context: &mut Context<'_>) {
        self.restart(context.now);
    }

    fn update(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        if self.due().is_some_and(|due| due <= now) {
            self.raw |= INT_TIMER;
            let config = self.registers.get(T_CONFIG);
            if config & T_AUTORELOAD != 0 {
                self.set(self.pair(T_LOADLO), now);
            }
            // An alarm disables itself.
            self.registers.set(T_CONFIG, config & !T_ALARM_EN);
        }
        self.watchdog.update(now);
    }

    fn next_event(&self) -> Option<u64> {
        [self.due(), self.watchdog.due()].into_iter().flatten().min()
    }

    fn take_reset(&mut self) -> Option<ResetCause> {
        match self.watchdog.take_action()? {
            Action::None => None,
            Action::Interrupt => {
                self.raw |= INT_WDT;
                None
            }
            Action::Cpu => (self.registers.get(WDTCONFIG0) & WDT_PROCPU_RESET_EN != 0).then_some(self.resets.cpu),
            Action::System | Action::Rtc => Some(self.resets.system),
        }
    }

    fn set_slow_clock(&mut self, hz: u64) {
        self.slow_hz = hz;
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.raw & self.registers.get(INT_ENA))
    }
}
