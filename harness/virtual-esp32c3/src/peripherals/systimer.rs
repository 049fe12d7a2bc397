//! The system timer: two counters of 52 bits at 16 MHz, and three comparators with alarms. Stores and the digital clock
//! enter; interrupts leave.
//! (ESP32-C3 Technical Reference Manual, chapter "System Timer".)

use super::peripheral::{Context, Peripheral};
use super::registers::{Registers, offsets};

/// Cycles of the hart in one count.
const CYCLES_PER_COUNT: u64 = 10;
const COUNTER: u64 = (1 << 52) - 1;

offsets! { SYSTIMER:
    CONF = 0x00,
    UNIT_OP0 = 0x04,
    UNIT_OP1 = 0x08,
    UNITLOAD0_HI = 0x0C,
    TRGT0_HI = 0x1C,
    TARGET_CONF0 = 0x34,
    TARGET_CONF2 = 0x3C,
    UNIT_VALUE0_HI = 0x40,
    UNIT_VALUE0_LO = 0x44,
    UNIT_VALUE1_HI = 0x48,
    UNIT_VALUE1_LO = 0x4C,
    COMP_LOAD0 = 0x50,
    COMP_LOAD2 = 0x58,
    UNIT_LOAD0 = 0x5C,
    UNIT_LOAD1 = 0x60,
    INT_ENA = 0x64,
    INT_RAW = 0x68,
    INT_CLR = 0x6C,
    INT_ST = 0x70,
    DATE = 0xFC,
}

const CONF_UNIT_WORK_EN: [u32; 2] = [1 << 30, 1 << 29];
const CONF_UNIT_CORE0_STALL_EN: [u32; 2] = [1 << 28, 1 << 26];
const CONF_TARGET_WORK_EN: [u32; 3] = [1 << 24, 1 << 23, 1 << 22];
const OP_UPDATE: u32 = 1 << 30;
const OP_VALUE_VALID: u32 = 1 << 29;
const TARGET_UNIT_SEL: u32 = 1 << 31;
const TARGET_PERIOD_MODE: u32 = 1 << 30;
const PERIOD: u32 = (1 << 26) - 1;

#[derive(Debug, Clone)]
pub(crate) struct SystemTimer {
    registers: Registers,
    counters: [Counter; 2],
    /// The value that each comparator waits for, in counts of its counter.
    alarms: [Option<u64>; 3],
    raw: u32,
    /// Whether a debugger has halted the hart.
    halted: bool,
}

/// A counter (the manual's UNIT0 and UNIT1): its value at the time `since`. While running it counts on from there.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    value: u64,
    since: u64,
    running: bool,
    latched: u64,
    valid: bool,
}

impl Counter {
    fn at(self, now: u64) -> u64 {
        if self.running {
            self.value.wrapping_add((now - self.since) / CYCLES_PER_COUNT) & COUNTER
        } else {
            self.value
        }
    }

    /// Lets it count on from where it was stopped.
    fn start(&mut self, now: u64) {
        if !self.running {
            self.load(self.value, now);
            self.running = true;
        }
    }

    fn stop(&mut self, now: u64) {
        self.value = self.at(now);
        self.running = false;
    }

    /// Sets its value, from which it counts on if it runs.
    fn load(&mut self, value: u64, now: u64) {
        self.value = value;
        // A count begins at an edge of the 16 MHz clock.
        self.since = now / CYCLES_PER_COUNT * CYCLES_PER_COUNT;
    }
}

impl SystemTimer {
    pub(crate) fn new(base: u32) -> Self {
        let mut timer = Self {
            registers: Registers::new(base, 0x100),
            counters: [Counter::default(); 2],
            alarms: [None; 3],
            raw: 0,
            halted: false,
        };
        timer.restart(0);
        timer
    }

    /// Brings everything to its state after a reset.
    fn restart(&mut self, now: u64) {
        self.registers.reset();
        self.raw = 0;
        self.alarms = [None; 3];
        self.counters = [Counter::default(); 2];
        // Unit 0 counts from the reset on: its TIMER_UNIT0_WORK_EN is set then.
        self.counters[0].start(now);
    }

    /// Starts and stops the counters as CONF and the hart's state say.
    fn start_and_stop(&mut self, now: u64) {
        let conf = self.registers.get(CONF);
        for (index, unit) in self.counters.iter_mut().enumerate() {
            let stalls = self.halted && conf & CONF_UNIT_CORE0_STALL_EN[index] != 0;
            if conf & CONF_UNIT_WORK_EN[index] != 0 && !stalls {
                unit.start(now);
            } else {
                unit.stop(now);
            }
        }
    }

    fn load(&self, offset: u32) -> u64 {
        u64::from(self.registers.get(offset)) << 32 | u64::from(self.registers.get(offset + 4))
    }

    fn unit_of(&self, target: usize) -> Counter {
        let conf = self.registers.get(TARGET_CONF0 + 4 * target as u32);
        self.counters[usize::from(conf & TARGET_UNIT_SEL != 0)]
    }

    /// Sets a comparator's alarm by its registers: after a store to COMPn_LOAD, or when it starts to work.
    fn arm(&mut self, target: usize, now: u64) {
        let conf = self.registers.get(TARGET_CONF0 + 4 * target as u32);
        self.alarms[target] = Some(if conf & TARGET_PERIOD_MODE != 0 {
            self.unit_of(target).at(now) + u64::from((conf & PERIOD).max(1))
        } else {
            self.load(TRGT0_HI + 8 * target as u32) & COUNTER
        });
    }

    fn works(&self, target: usize) -> bool {
        self.registers.get(CONF) & CONF_TARGET_WORK_EN[target] != 0
    }

    /// When the comparator's alarm is due.
    fn due(&self, target: usize) -> Option<u64> {
        let unit = self.unit_of(target);
        let alarm = self.alarms[target].filter(|_| self.works(target) && unit.running)?;
        // An alarm that the counter has passed by less than half of its range is due at once.
        let ahead = alarm.wrapping_sub(unit.value) & COUNTER;
        let counts = if ahead > COUNTER / 2 { 0 } else { ahead };
        Some(unit.since.saturating_add(counts * CYCLES_PER_COUNT))
    }
}

impl Peripheral for SystemTimer {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        let index = |first: u32, stride: u32| ((offset - first) / stride) as usize;
        match offset {
            UNIT_OP0 | UNIT_OP1 => u32::from(self.counters[index(UNIT_OP0, 4)].valid) * OP_VALUE_VALID,
            UNIT_VALUE0_HI | UNIT_VALUE1_HI => (self.counters[index(UNIT_VALUE0_HI, 8)].latched >> 32) as u32,
            UNIT_VALUE0_LO | UNIT_VALUE1_LO => self.counters[index(UNIT_VALUE0_LO, 8)].latched as u32,
            INT_RAW => self.raw,
            INT_ST => self.raw & self.registers.get(INT_ENA),
            INT_CLR | COMP_LOAD0..=UNIT_LOAD1 => 0,
            CONF | UNITLOAD0_HI..=TARGET_CONF2 | INT_ENA | DATE => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        let now = context.now;
        let index = |first: u32, stride: u32| ((offset - first) / stride) as usize;
        match offset {
            CONF => {
                let before = self.registers.get(CONF);
                self.registers.set(CONF, value);
                self.start_and_stop(now);
                for (target, bit) in CONF_TARGET_WORK_EN.into_iter().enumerate() {
                    if value & !before & bit != 0 && self.alarms[target].is_none() {
                        self.arm(target, now);
                    }
                }
            }
            UNIT_OP0 | UNIT_OP1 => {
                let counter = &mut self.counters[index(UNIT_OP0, 4)];
                if value & OP_UPDATE != 0 {
                    counter.latched = counter.at(now);
                    counter.valid = true;
                }
            }
            COMP_LOAD0..=COMP_LOAD2 => self.arm(index(COMP_LOAD0, 4), now),
            UNIT_LOAD0 | UNIT_LOAD1 => {
                let unit = index(UNIT_LOAD0, 4);
                let value = self.load(UNITLOAD0_HI + 8 * unit as u32) & COUNTER;
                self.counters[unit].load(value, now);
            }
            INT_CLR => self.raw &= !value,
            UNIT_VALUE0_HI..=UNIT_VALUE1_LO | INT_RAW | INT_ST => {}
            UNITLOAD0_HI..=TARGET_CONF2 | INT_ENA | DATE => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, context: &mut Context<'_>) {
        self.restart(context.now);
    }

    /// Counters with CORE0_STALL_EN stop while the hart is halted.
    fn set_halted(&mut self, halted: bool, now: u64) {
        self.halted = halted;
        self.start_and_stop(now);
    }

    fn update(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        for target in 0..3 {
            if self.due(target).is_none_or(|due| due > now) {
                continue;
            }
            self.raw |= 1 << target;
            let conf = self.registers.get(TARGET_CONF0 + 4 * target as u32);
            let period = u64::from((conf & PERIOD).max(1));
            let count = self.unit_of(target).at(now);
            self.alarms[target] = self.alarms[target]
                .filter(|_| conf & TARGET_PERIOD_MODE != 0)
                .map(|alarm| alarm + (count.saturating_sub(alarm) / period + 1) * period);
        }
    }

    fn next_event(&self) -> Option<u64> {
        (0..3).filter_map(|target| self.due(target)).min()
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.raw & self.registers.get(INT_ENA))
    }
}
