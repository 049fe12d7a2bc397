//! The system timer: two counters of 52 bits at 16 MHz and three comparators. The hart's clock enters, alarms leave.
//! (ESP32-C3 Technical Reference Manual, chapter "System Timer".)

use super::registers::Registers;
use super::{Context, Peripheral};

/// Cycles of the hart to one count.
const CYCLES_PER_COUNT: u64 = 10;
const COUNTER: u64 = (1 << 52) - 1;

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
    units: [Unit; 2],
    /// What each comparator waits for, in counts of its unit.
    alarms: [Option<u64>; 3],
    raw: u32,
    /// A debugger holds the hart.
    halted: bool,
}

/// A counter: its value at some time, from where it counts on.
#[derive(Debug, Clone, Copy, Default)]
struct Unit {
    value: u64,
    since: u64,
    running: bool,
    latched: u64,
    valid: bool,
}

impl Unit {
    fn at(self, now: u64) -> u64 {
        if self.running {
            self.value.wrapping_add((now - self.since) / CYCLES_PER_COUNT) & COUNTER
        } else {
            self.value
        }
    }

    /// Stops or goes on, at its value of now.
    fn set(&mut self, value: u64, running: bool, now: u64) {
        self.value = value;
        // A count begins on the clock's own edge.
        self.since = now / CYCLES_PER_COUNT * CYCLES_PER_COUNT;
        self.running = running;
    }
}

impl SystemTimer {
    pub(crate) fn new(base: u32) -> Self {
        let mut timer = Self {
            registers: Registers::new(base, 0x100),
            units: [Unit::default(); 2],
            alarms: [None; 3],
            raw: 0,
            halted: false,
        };
        timer.reset(0);
        timer
    }

    /// A debugger has halted the hart, or let go of it: counters that are told so stop with it.
    pub(crate) fn set_halted(&mut self, halted: bool, now: u64) {
        self.halted = halted;
        self.start_and_stop(now);
    }

    /// Lets the counters run that should.
    fn start_and_stop(&mut self, now: u64) {
        let conf = self.registers.get(0);
        for (index, unit) in self.units.iter_mut().enumerate() {
            let stalls = self.halted && conf & CONF_UNIT_CORE0_STALL_EN[index] != 0;
            let running = conf & CONF_UNIT_WORK_EN[index] != 0 && !stalls;
            if unit.running != running {
                unit.set(unit.at(now), running, now);
            }
        }
    }

    fn load(&self, offset: u32) -> u64 {
        u64::from(self.registers.get(offset)) << 32 | u64::from(self.registers.get(offset + 4))
    }

    fn unit_of(&self, target: usize) -> Unit {
        let conf = self.registers.get(0x34 + 4 * target as u32);
        self.units[usize::from(conf & TARGET_UNIT_SEL != 0)]
    }

    /// The comparator takes its settings over (COMPn_LOAD), or starts to work.
    fn arm(&mut self, target: usize, now: u64) {
        let conf = self.registers.get(0x34 + 4 * target as u32);
        self.alarms[target] = Some(if conf & TARGET_PERIOD_MODE != 0 {
            self.unit_of(target).at(now) + u64::from((conf & PERIOD).max(1))
        } else {
            self.load(0x1C + 8 * target as u32) & COUNTER
        });
    }

    fn works(&self, target: usize) -> bool {
        self.registers.get(0) & CONF_TARGET_WORK_EN[target] != 0
    }

    /// The hart's clock when the comparator's alarm is due.
    fn due(&self, target: usize) -> Option<u64> {
        let unit = self.unit_of(target);
        let alarm = self.alarms[target].filter(|_| self.works(target) && unit.running)?;
        // An alarm that lies behind the counter, by less than half of its range, is due at once.
        let ahead = alarm.wrapping_sub(unit.value) & COUNTER;
        let counts = if ahead > COUNTER / 2 { 0 } else { ahead };
        Some(unit.since.saturating_add(counts * CYCLES_PER_COUNT))
    }
}

impl Peripheral for SystemTimer {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            0x04 | 0x08 => u32::from(self.units[offset as usize / 4 - 1].valid) * OP_VALUE_VALID,
            0x40 | 0x48 => (self.units[(offset as usize - 0x40) / 8].latched >> 32) as u32,
            0x44 | 0x4C => self.units[(offset as usize - 0x44) / 8].latched as u32,
            0x68 => self.raw,
            0x70 => self.raw & self.registers.get(0x64),
            0x6C | 0x50..=0x60 => 0,
            0x00 | 0x0C..=0x3C | 0x64 | 0xFC => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        let now = context.now;
        match offset {
            0x00 => {
                let before = self.registers.get(0);
                self.registers.set(0, value);
                self.start_and_stop(now);
                for (target, bit) in CONF_TARGET_WORK_EN.into_iter().enumerate() {
                    if value & !before & bit != 0 && self.alarms[target].is_none() {
                        self.arm(target, now);
                    }
                }
            }
            0x04 | 0x08 => {
                let unit = &mut self.units[offset as usize / 4 - 1];
                if value & OP_UPDATE != 0 {
                    unit.latched = unit.at(now);
                    unit.valid = true;
                }
            }
            0x50..=0x58 => self.arm((offset as usize - 0x50) / 4, now),
            0x5C | 0x60 => {
                let index = (offset as usize - 0x5C) / 4;
                let value = self.load(0x0C + 8 * index as u32) & COUNTER;
                let unit = &mut self.units[index];
                unit.set(value, unit.running, now);
            }
            0x6C => self.raw &= !value,
            0x40..=0x4C | 0x68 | 0x70 => {}
            0x0C..=0x3C | 0x64 | 0xFC => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, now: u64) {
        self.registers.reset();
        self.raw = 0;
        self.alarms = [None; 3];
        self.units = [Unit::default(); 2];
        // Unit 0 counts from the start (SYSTIMER_CONF after reset).
        self.units[0].set(0, true, now);
    }

    fn update(&mut self, now: u64) {
        for target in 0..3 {
            if self.due(target).is_none_or(|due| due > now) {
                continue;
            }
            self.raw |= 1 << target;
            let conf = self.registers.get(0x34 + 4 * target as u32);
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
        u64::from(self.raw & self.registers.get(0x64))
    }
}
