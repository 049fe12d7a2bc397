//! RTC control: reset causes and software reset, the registers that outlive a reset, the slow clock's counter, the RTC
//! watchdog and the super watchdog. The hart's clock enters; reset requests leave. Sleep is not modelled.
//! (ESP32-C3 Technical Reference Manual, chapters "Low-power Management", "Reset and Clock", "Watchdog Timers".)

use super::registers::Registers;
use super::watchdog::{Action, Watchdog};
use super::{Context, Peripheral};
use crate::chip::{CYCLES_PER_SECOND, RTC_SLOW_HZ};
use crate::log::ResetCause;

const SW_SYS_RST: u32 = 1 << 31;
const SW_PROCPU_RST: u32 = 1 << 5;
const TIME_UPDATE: u32 = 1 << 31;
const SLEEP_EN: u32 = 1 << 31;

const WDT_EN: u32 = 1 << 31;
const WDT_FLASHBOOT_MOD_EN: u32 = 1 << 12;
const WDT_KEY: u32 = 0x50D8_3AA1;
/// After reset the first stage holds for twice its setting, shifted by an eFuse that is not burnt.
const WDT_STAGE0_SHIFT: u32 = 1;

const SWD_AUTO_FEED_EN: u32 = 1 << 31;
const SWD_DISABLE: u32 = 1 << 30;
const SWD_FEED: u32 = 1 << 29;
const SWD_KEY: u32 = 0x8F1D_312A;
/// The super watchdog's period: under a second, says the manual.
const SWD_PERIOD: u64 = CYCLES_PER_SECOND;

const INT_WDT: u32 = 1 << 3;
const INT_MAIN_TIMER: u32 = 1 << 10;
const MAIN_TIMER_ALARM_EN: u32 = 1 << 16;

#[derive(Debug, Clone)]
pub(crate) struct RtcControl {
    registers: Registers,
    raw: u32,
    cause: ResetCause,
    requested: Option<ResetCause>,
    watchdog: Watchdog,
    super_watchdog: Option<u64>,
    main_alarm: Option<u64>,
    /// The hart's clock when the slow counter stood at zero.
    started: u64,
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
            main_alarm: None,
            started: 0,
        }
    }

    /// What the reset does here. The RTC domain outlives all but the deepest; the watchdogs' settings go with each.
    pub(crate) fn after_reset(&mut self, cause: ResetCause, flash_boot: bool, now: u64) {
        self.cause = cause;
        self.requested = None;
        if cause.is_cpu_only() {
            return;
        }
        if cause.reaches_rtc() {
            self.reset(now);
        }
        for offset in [0x90, 0x94, 0x98, 0x9C, 0xA0, 0xA8, 0xAC, 0xB0] {
            let fresh = Registers::new(self.registers.base(), 0x200);
            self.registers.set(offset, fresh.get(offset));
        }
        self.registers
            .set(0x00, self.registers.get(0x00) & !(SW_SYS_RST | SW_PROCPU_RST));
        self.watchdog.stop();
        self.super_watchdog = None;
        if flash_boot {
            if self.registers.get(0x90) & WDT_FLASHBOOT_MOD_EN != 0 {
                self.start_watchdog(true, now);
            }
            self.super_watchdog = Some(now + SWD_PERIOD);
        }
    }

    /// The reset that software or a watchdog asks for, once.
    pub(crate) fn take_reset(&mut self) -> Option<ResetCause> {
        if let Some(action) = self.watchdog.take_action() {
            self.requested = match action {
                Action::None => self.requested,
                Action::Interrupt => {
                    self.raw |= INT_WDT;
                    self.requested
                }
                Action::Cpu => Some(ResetCause::RtcWatchdogCpu),
                Action::System => Some(ResetCause::RtcWatchdogSystem),
                Action::Rtc => Some(ResetCause::RtcWatchdogRtc),
            };
        }
        self.requested.take()
    }

    fn counts(&self, now: u64) -> u64 {
        u128::from(now - self.started)
            .saturating_mul(u128::from(RTC_SLOW_HZ))
            .wrapping_div(u128::from(CYCLES_PER_SECOND)) as u64
    }

    fn cycles(counts: u64) -> u64 {
        (u128::from(counts) * u128::from(CYCLES_PER_SECOND) / u128::from(RTC_SLOW_HZ)) as u64
    }

    fn start_watchdog(&mut self, flash_boot: bool, now: u64) {
        let config = self.registers.get(0x90);
        let mut stages = [28, 25, 22, 19].map(|at| Action::from_bits(config >> at & 7));
        if flash_boot {
            stages = [Action::Rtc, Action::None, Action::None, Action::None];
        }
        let mut holds = [0x94, 0x98, 0x9C, 0xA0].map(|at| Self::cycles(u64::from(self.registers.get(at))));
        holds[0] <<= WDT_STAGE0_SHIFT;
        self.watchdog.configure(stages, holds, now);
    }

    fn write_options(&mut self, value: u32) {
        if value & SW_SYS_RST != 0 {
            self.requested = Some(ResetCause::SoftwareSystem);
        } else if value & SW_PROCPU_RST != 0 {
            self.requested = Some(ResetCause::SoftwareCpu);
        }
        self.registers.set(0, value & !(SW_SYS_RST | SW_PROCPU_RST));
    }

    fn write_super_watchdog(&mut self, value: u32, now: u64) {
        self.registers.set(0xAC, value & !SWD_FEED);
        if value & (SWD_AUTO_FEED_EN | SWD_DISABLE) != 0 {
            self.super_watchdog = None;
        } else if value & SWD_FEED != 0 || self.super_watchdog.is_none() {
            self.super_watchdog = Some(now + SWD_PERIOD);
        }
    }
}

impl Peripheral for RtcControl {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            // Both vector selections point to the ROM.
            0x38 => self.cause as u32 | (self.cause as u32) << 6 | 0x3000,
            0x44 => self.raw,
            0x48 => self.raw & self.registers.get(0x40),
            0xA4 | 0x4C | 0x100 | 0x104 => 0,
            0x00..=0x3C | 0x40 | 0x50..=0xA0 | 0xA8..=0xFC | 0x108..=0x124 | 0x1FC => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        let now = context.now;
        let unlocked = self.registers.get(0xA8) == WDT_KEY;
        match offset {
            0x00 => self.write_options(value),
            0x04 => self.registers.set(offset, value),
            0x08 => {
                self.registers.set(offset, value);
                let alarm = u64::from(self.registers.get(4)) | u64::from(value & 0xFFFF) << 32;
                self.main_alarm =
                    (value & MAIN_TIMER_ALARM_EN != 0).then(|| self.started.saturating_add(Self::cycles(alarm)));
            }
            0x0C => {
                if value & TIME_UPDATE != 0 {
                    let counts = self.counts(now);
                    self.registers.set(0x10, counts as u32);
                    self.registers.set(0x14, (counts >> 32) as u32 & 0xFFFF);
                }
                self.registers.set(offset, value & !TIME_UPDATE);
            }
            0x18 if value & SLEEP_EN != 0 => {
                context.unmodelled_write(&mut self.registers, offset, value);
            }
            0x4C => self.raw &= !value,
            0x90..=0xA0 if unlocked => {
                let before = self.registers.get(offset);
                self.registers.set(offset, value);
                if self.registers.get(0x90) & WDT_EN == 0 {
                    // Before software has said a word, only flash boot protection may run: it ends when it is cleared.
                    if self.registers.get(0x90) & WDT_FLASHBOOT_MOD_EN == 0 {
                        self.watchdog.stop();
                    }
                } else if before != value {
                    self.start_watchdog(false, now);
                }
            }
            0xA4 if unlocked => self.watchdog.feed(now),
            0x90..=0xA4 => {}
            0xAC if self.registers.get(0xB0) == SWD_KEY => self.write_super_watchdog(value, now),
            0xAC => {}
            0x100 => self.registers.set(0x40, self.registers.get(0x40) | value),
            0x104 => self.registers.set(0x40, self.registers.get(0x40) & !value),
            0x10 | 0x14 | 0x44 | 0x48 => {}
            // The reset flags that can be cleared here are not kept.
            0x38 => {}
            0x18..=0x3C | 0x40 | 0x50..=0xFC | 0x108..=0x124 | 0x1FC => {
                self.registers.set(offset, value);
            }
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, now: u64) {
        self.registers.reset();
        self.raw = 0;
        self.main_alarm = None;
        self.started = now;
    }

    fn update(&mut self, now: u64) {
        self.watchdog.update(now);
        if self.super_watchdog.is_some_and(|at| at <= now) {
            self.super_watchdog = None;
            self.requested = Some(ResetCause::SuperWatchdog);
        }
        if self.main_alarm.is_some_and(|at| at <= now) {
            self.main_alarm = None;
            self.raw |= INT_MAIN_TIMER;
        }
    }

    fn next_event(&self) -> Option<u64> {
        [self.watchdog.due(), self.super_watchdog, self.main_alarm]
            .into_iter()
            .flatten()
            .min()
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.raw & self.registers.get(0x40) != 0)
    }
}
