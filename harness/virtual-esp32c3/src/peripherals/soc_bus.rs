//! The bus of the peripherals. Loads and stores enter by address, and the processor's own GPIO registers beside them;
//! values, faults, the interrupt line and reset requests leave. The bus finds the peripheral in the table and hands it
//! the access. Then it does what may follow: signals, interrupts, DMA, and the time of the next event. It knows no
//! instruction.

use std::ops::Range;

use super::clocks::{Clocks, Domain};
use super::options::PeripheralOptions;
use super::peripheral::{Context, Peripheral, Reach};
use super::registers::Registers;
use super::table::{Place, Units, each};
use crate::bus::{AccessFault, AfterStore, Bus, Width};
use crate::log::{HardwareEvent, Log, ResetCause};
use crate::memory::Memory;

/// Where peripherals answer. (ESP32-C3 Technical Reference Manual, chapter "System and Memory".)
const SPACE: Range<u32> = 0x6000_0000..0x600D_0000;
/// Bytes of a page, of which a peripheral has one or more.
const PAGE: u32 = 0x1000;
/// An address outside of that space, which the ROM's UART handler reads when an interrupt comes while it changes ports.
/// It ignores the value.
const READ_BY_ROM: u32 = 0x5FFE_0000;

/// The processor's GPIO registers: output enable, input, output. (Chapter "ESP-RISC-V CPU", "Configuration and Status
/// Registers".)
const CPU_GPIO_OEN: u16 = 0x803;
const CPU_GPIO_IN: u16 = 0x804;
const CPU_GPIO_OUT: u16 = 0x805;

/// All peripherals of the chip, and what lies between them and the hart.
#[derive(Debug, Clone)]
pub(crate) struct Peripherals {
    pub(crate) units: Units,
    pub(crate) log: Log,
    clocks: Clocks,
    /// Pages of the address space with no model at all, by their first address.
    unknown: Vec<(u32, Registers)>,
    /// The earliest event when this was last worked out.
    next_event: u64,
    requested_reset: Option<ResetCause>,
}

impl Peripherals {
    pub(crate) fn new(options: &PeripheralOptions) -> Self {
        Self {
            units: Units::new(options),
            log: Log::default(),
            clocks: Clocks::default(),
            unknown: Vec::new(),
            next_event: 0,
            requested_reset: None,
        }
    }

    /// Does what has become due. `time` is the hart's clock, here and below.
    pub(crate) fn update(&mut self, memory: &mut Memory, time: u64) {
        self.units.observe_wake_sources();
        self.update_domain(Domain::Rtc, memory, time);
        // RTC control decides whether the digital clock stands still.
        self.units.follow_rtc(&mut self.clocks, time);
        self.update_domain(Domain::Digital, memory, time);
        let digital = self.digital(time);
        if self.units.gdma.is_due(digital) {
            self.units.transfer(memory, digital);
        }
        self.requested_reset = self.requested_reset.or(self.units.take_reset());
        self.units.wire(digital);
        self.refresh();
    }

    fn update_domain(&mut self, domain: Domain, memory: &mut Memory, time: u64) {
        let mut context = Context::new(domain, &self.clocks, time, memory, &mut self.log);
        each!(&mut self.units, unit => if unit.domain() == domain {
            unit.update(&mut context);
        });
    }

    /// Whether the chip sleeps. The hart executes nothing then, and only the RTC domain goes on.
    pub(crate) fn asleep(&self) -> bool {
        self.clocks.asleep()
    }

    /// A debugger has halted the hart, or has let it go on.
    pub(crate) fn set_halted(&mut self, halted: bool, time: u64) {
        let digital = self.digital(time);
        each!(&mut self.units, unit => unit.set_halted(halted, digital));
        self.refresh();
    }

    /// The digital clock: the hart's, less the time that the chip has slept.
    pub(crate) fn digital(&self, time: u64) -> u64 {
        self.clocks.now(Domain::Digital, time)
    }

    /// When the next thing becomes due, by the hart's clock; `u64::MAX` if nothing does.
    pub(crate) fn next_event(&self) -> u64 {
        let (mut rtc, mut digital) = (u64::MAX, u64::MAX);
        each!(&self.units, unit => {
            let event = unit.next_event().unwrap_or(u64::MAX);
            match unit.domain() {
                Domain::Rtc => rtc = rtc.min(event),
                Domain::Digital => digital = digital.min(event),
            }
        });
        rtc.min(self.clocks.time_of(digital))
    }

    /// The reset that software, a watchdog or the supply has asked for, once.
    pub(crate) fn take_reset(&mut self) -> Option<ResetCause> {
        self.requested_reset.take()
    }

    /// The supply fails. What the flash chip was doing stays half done.
    pub(crate) fn power_cut(&mut self, memory: &mut Memory, time: u64) {
        let mut context = Context::new(Domain::Digital, &self.clocks, time, memory, &mut self.log);
        self.units.spi1.power_cut(&mut context);
    }

    /// Resets what this cause resets.
    pub(crate) fn reset(&mut self, cause: ResetCause, memory: &mut Memory, time: u64) {
        self.log.push(time, HardwareEvent::Reset(cause));
        self.requested_reset = None;
        if cause == ResetCause::PowerOn {
            memory.power_cycle();
            self.units.spi1.wait();
        }
        // The latches sample the pins at each reset of the whole chip (Technical Reference Manual, "Strapping Pins").
        if cause.reaches_rtc() {
            self.units.gpio.strap();
            self.reset_domain(Domain::Rtc, memory, time);
        }
        if cause == ResetCause::DeepSleep {
            memory.deep_sleep();
        }
        self.units.rtc.after_reset(cause);
        self.units.follow_rtc(&mut self.clocks, time);
        if !cause.is_cpu_only() {
            self.units.gpio.force_strapping(cause);
            self.reset_domain(Domain::Digital, memory, time);
            for (_, registers) in &mut self.unknown {
                registers.reset();
            }
            if self.units.gpio.boots_from_flash() {
                self.units.rtc.guard_flash_boot(time);
                self.units.timer_group0.guard_flash_boot(self.digital(time));
            }
        }
        self.refresh();
    }

    fn reset_domain(&mut self, domain: Domain, memory: &mut Memory, time: u64) {
        let mut context = Context::new(domain, &self.clocks, time, memory, &mut self.log);
        each!(&mut self.units, unit => if unit.domain() == domain {
            unit.reset(&mut context);
        });
    }

    /// The far end of a pin drives it, or with `None` lets go of it.
    pub(crate) fn drive_pin(&mut self, pin: u8, level: Option<bool>, time: u64) {
        self.units.gpio.drive_pin(u32::from(pin), level);
        self.units.wire(self.digital(time));
        self.refresh();
    }

    /// Does what may follow a store to any register.
    fn settle(&mut self, memory: &mut Memory, time: u64) {
        if let Some(resets) = self.units.system.take_resets() {
            let mut context = Context::new(Domain::Digital, &self.clocks, time, memory, &mut self.log);
            self.units.reset_by_system(resets, &mut context);
        }
        self.requested_reset = self.requested_reset.or(self.units.take_reset());
        self.units.follow_rtc(&mut self.clocks, time);
        self.units.wire(self.digital(time));
        self.refresh();
    }

    /// Takes over the levels of the interrupt sources and notes the next event.
    fn refresh(&mut self) {
        self.units.matrix.set_levels(self.units.interrupts());
        self.next_event = self.next_event();
    }

    fn read_word(&mut self, memory: &mut Memory, time: u64, address: u32) -> u32 {
        match self.units.at(address) {
            Place::Unit(unit, offset) => {
                let mut context = Context::new(unit.domain(), &self.clocks, time, memory, &mut self.log);
                let value = unit.read(offset, &mut context);
                if unit.read_changes_levels(offset) {
                    self.units.wire(self.digital(time));
                    self.refresh();
                }
                value
            }
            Place::Off => 0,
            Place::Unknown => {
                let mut context = Context::new(Domain::Digital, &self.clocks, time, memory, &mut self.log);
                let registers = unknown_page(&mut self.unknown, address);
                context.unmodelled_read(registers, address % PAGE)
            }
        }
    }

    /// Writes a register. Returns what the store may have changed beyond the peripheral.
    fn write_word(&mut self, memory: &mut Memory, time: u64, address: u32, value: u32) -> Reach {
        match self.units.at(address) {
            Place::Unit(unit, offset) => {
                let mut context = Context::new(unit.domain(), &self.clocks, time, memory, &mut self.log);
                unit.write(offset, value, &mut context);
                unit.reach()
            }
            Place::Off => Reach::Itself,
            Place::Unknown => {
                let mut context = Context::new(Domain::Digital, &self.clocks, time, memory, &mut self.log);
                let registers = unknown_page(&mut self.unknown, address);
                context.unmodelled_write(registers, address % PAGE, value);
                Reach::Itself
            }
        }
    }

    /// Logs, once for each address, that nothing answers there.
    fn fault(&mut self, time: u64, address: u32, event: HardwareEvent) -> AccessFault {
        self.log.push_once(time, address, || event);
        AccessFault
    }
}

/// The storage for an address whose page has no peripheral here.
fn unknown_page(pages: &mut Vec<(u32, Registers)>, address: u32) -> &mut Registers {
    let base = address & !(PAGE - 1);
    let index = pages.iter().position(|(page, _)| *page == base).unwrap_or_else(|| {
        pages.push((base, Registers::new(base, PAGE)));
        pages.len() - 1
    });
    &mut pages[index].1
}

impl Bus for Peripherals {
    fn load(&mut self, memory: &mut Memory, now: u64, address: u32, _width: Width) -> Result<u32, AccessFault> {
        if address == READ_BY_ROM {
            self.log.push_once(now, address, || HardwareEvent::Unmodelled {
                address,
                register: "an address that the manual does not name".to_owned(),
                written: None,
            });
            return Ok(0);
        }
        if !SPACE.contains(&address) {
            return Err(self.fault(now, address, HardwareEvent::BusError { address, store: false }));
        }
        let value = self.read_word(memory, now, address & !3);
        Ok(value >> (8 * (address & 3)))
    }

    fn store(
        &mut self,
        memory: &mut Memory,
        now: u64,
        address: u32,
        width: Width,
        value: u32,
    ) -> Result<AfterStore, AccessFault> {
        if !SPACE.contains(&address) {
            return Err(self.fault(now, address, HardwareEvent::BusError { address, store: true }));
        }
        let before = (self.units.matrix.presented(), self.next_event);
        let word = match width {
            Width::Word => value,
            // Registers are words: a narrower store leaves the other bytes as they read.
            Width::Byte | Width::Half => {
                let shift = 8 * (address & 3);
                let mask = (u32::MAX >> (32 - 8 * width.bytes())) << shift;
                let rest = self.read_word(memory, now, address & !3);
                rest & !mask | value << shift & mask
            }
        };
        let reach = self.write_word(memory, now, address & !3, word);
        if reach == Reach::Dma {
            self.units.transfer(memory, self.digital(now));
        }
        self.settle(memory, now);
        let changed = before != (self.units.matrix.presented(), self.next_event)
            || self.requested_reset.is_some()
            || self.asleep()
            || reach == Reach::Hart;
        Ok(if changed {
            AfterStore::Yield
        } else {
            AfterStore::Continue
        })
    }

    fn interrupt(&self) -> Option<u8> {
        self.units.matrix.presented()
    }

    fn guards_stack(&self) -> bool {
        self.units.assist_debug.guards_stack()
    }

    fn stack_pointer(&mut self, value: u32, pc: u32) {
        self.units.assist_debug.stack_pointer(value, pc);
        self.refresh();
    }

    fn gpio_csr_read(&mut self, _now: u64, csr: u16) -> u32 {
        match csr {
            CPU_GPIO_OEN => self.units.gpio.cpu_enable(),
            CPU_GPIO_IN => self.units.gpio.cpu_in(),
            _ => self.units.gpio.cpu_out(),
        }
    }

    fn gpio_csr_write(&mut self, _now: u64, csr: u16, value: u32) {
        match csr {
            CPU_GPIO_OEN => self.units.gpio.set_cpu_enable(value),
            CPU_GPIO_OUT => self.units.gpio.set_cpu_out(value),
            _ => {}
        }
        self.refresh();
    }
}
