//! The chip's peripherals behind one bus: register accesses enter by address, the interrupt line and reset requests leave.
//! Each file is one peripheral; none knows another, and none knows the hart.

mod registers;
mod watchdog;
mod uart;
mod uart_line;
mod usb_serial_jtag;
mod spi_flash;
mod flash_chip;
mod opcode;
mod sfdp;
mod cache;
mod efuse;
mod reed_solomon;
mod rtc_cntl;
mod timer_group;
mod systimer;
mod interrupt_matrix;
mod accelerators;
mod gdma;
mod aes;
mod sha;
mod rsa;
mod montgomery;
mod hmac;
mod digital_signature;
mod gpio;
mod settings;
mod sleep;
mod system;
mod analog;
mod apb;
mod assist_debug;
mod openeth;

use crate::bus::{AfterStore, Bus, Fault, Width};
use crate::log::{HardwareEvent, Log, ResetCause};
use crate::memory::Memory;
use accelerators::{Accelerators, Power};
use analog::AnalogBus;
use apb::ApbControl;
use assist_debug::AssistDebug;
use cache::{Cache, MmuTable};
use efuse::Efuse;
pub use flash_chip::FlashTiming;
use gpio::Gpio;
use interrupt_matrix::InterruptMatrix;
use openeth::OpenEth;
use registers::Registers;
use rtc_cntl::RtcControl;
use settings::Settings;
use sleep::WakeInputs;
use spi_flash::SpiFlash;
use system::System;
use systimer::SystemTimer;
use timer_group::TimerGroup;
pub(crate) use uart::Uart;
pub use uart_line::{UartFormat, UartParity};
use usb_serial_jtag::UsbSerialJtag;

/// What a peripheral is given with an access.
pub(crate) struct Context<'a> {
    /// The peripheral's clock, in cycles of the hart: it stands still in sleep, except for the RTC's.
    pub(crate) now: u64,
    /// The hart's clock.
    time: u64,
    /// For DMA, flash and the MMU.
    pub(crate) memory: &'a mut Memory,
    log: &'a mut Log,
}

impl Context<'_> {
    /// Reads a register whose function is not modelled, and says so.
    pub(crate) fn unmodelled_read(&mut self, registers: &Registers, offset: u32) -> u32 {
        self.report(registers.base() + offset, None);
        registers.get(offset)
    }

    /// Writes a register whose function is not modelled, and says so.
    pub(crate) fn unmodelled_write(&mut self, registers: &mut Registers, offset: u32, value: u32) {
        self.report(registers.base() + offset, Some(value));
        registers.set(offset, value);
    }

    /// Notes that something happened.
    pub(crate) fn event(&mut self, event: HardwareEvent) {
        self.log.push(self.time, event);
    }

    /// Notes, once for each, a command that the flash chip does not know.
    pub(crate) fn once_for_flash_command(&mut self, opcode: u8) {
        // No register has an address like this one.
        self.log
            .push_once(self.time, !u32::from(opcode), || HardwareEvent::UnknownFlashCommand {
                opcode,
            });
    }

    fn report(&mut self, address: u32, written: Option<u32>) {
        self.log.push_once(self.time, address, || HardwareEvent::Unmodelled {
            address,
            register: registers::name(address),
            written,
        });
    }
}

/// One peripheral. Offsets are multiples of four.
pub(crate) trait Peripheral {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32;
    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>);
    /// Back to the state after a reset, at this time of the hart's clock.
    fn reset(&mut self, now: u64);
    /// Does what has become due.
    fn update(&mut self, _now: u64) {}
    /// When the next thing becomes due.
    fn next_event(&self) -> Option<u64> {
        None
    }
    /// Levels of the peripheral's interrupt sources, the first in bit 0.
    fn interrupts(&self) -> u64 {
        0
    }
}

/// Peripherals that interrupt, with the number of their first source and the mask of their sources.
const SOURCE_OPENETH: u32 = 0;
const SOURCE_GPIO: u32 = 16;
const SOURCE_UART0: u32 = 21;
const SOURCE_UART1: u32 = 22;
const SOURCE_EFUSE: u32 = 24;
const SOURCE_USB: u32 = 26;
const SOURCE_RTC: u32 = 27;
const SOURCE_TIMER_GROUP0: u32 = 32;
const SOURCE_TIMER_GROUP1: u32 = 34;
const SOURCE_SYSTIMER: u32 = 37;
const SOURCE_ACCELERATORS: u32 = 44;
const SOURCE_FROM_CPU: u32 = 50;
const SOURCE_ASSIST_DEBUG: u32 = 54;

const SYSTEM_PERIP_CLK_EN1: u32 = 0x14;
const SYSTEM_PERIP_RST_EN0: u32 = 0x18;
const SYSTEM_PERIP_RST_EN1: u32 = 0x1C;
const SYSTEM_RSA_PD_CTRL: u32 = 0x38;

/// Addresses at which peripherals answer. (ESP32-C3 Technical Reference Manual, chapter "System and Memory".)
const SPACE: std::ops::Range<u32> = 0x6000_0000..0x600D_0000;

/// All peripherals of the chip.
#[derive(Debug, Clone)]
pub(crate) struct Peripherals {
    pub(crate) uart0: Uart,
    pub(crate) uart1: Uart,
    pub(crate) spi1: SpiFlash,
    spi0: Settings,
    pub(crate) gpio: Gpio,
    fe2: Settings,
    fe: Settings,
    pub(crate) rtc: RtcControl,
    efuse: Efuse,
    analog: AnalogBus,
    nrx: Settings,
    bb: Settings,
    timer_group0: TimerGroup,
    timer_group1: TimerGroup,
    systimer: SystemTimer,
    apb: ApbControl,
    accelerators: Accelerators,
    saradc: Settings,
    pub(crate) usb: UsbSerialJtag,
    system: System,
    sensitive: Settings,
    matrix: InterruptMatrix,
    cache: Cache,
    mmu: MmuTable,
    pub(crate) openeth: OpenEth,
    pub(crate) assist_debug: AssistDebug,
    /// Pages of the address space with no model at all.
    unknown: Vec<(u32, Registers)>,
    pub(crate) log: Log,
    /// The earliest event when this was last worked out.
    next_event: u64,
    requested_reset: Option<ResetCause>,
    /// When the chip fell asleep, while it is. All clocks but the RTC's stand still then.
    asleep_since: Option<u64>,
    /// For how long all clocks but the RTC's have stood still so far.
    slept: u64,
}

/// What is given to the peripherals when the chip is made.
#[derive(Debug, Clone)]
pub(crate) struct PeripheralOptions {
    pub(crate) mac: [u8; 6],
    pub(crate) revision: (u8, u8),
    pub(crate) seed: u64,
    pub(crate) uart0: FarEnd,
    pub(crate) usb: FarEnd,
}

/// The other end of a serial port's line or cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FarEnd {
    /// Nothing is there.
    Open,
    Connected,
}

/// Calls a method on every peripheral.
macro_rules! each {
    ($self:ident, $name:ident => $call:expr) => {{
        each!(@ $self, $name, $call, uart0 uart1 spi1 spi0 gpio fe2 fe efuse analog nrx bb timer_group0
            timer_group1 systimer apb accelerators saradc usb system sensitive matrix cache mmu openeth assist_debug);
    }};
    (@ $self:ident, $name:ident, $call:expr, $($field:ident)*) => {
        $({ let $name = &mut $self.$field; $call; })*
    };
}

impl Peripherals {
    pub(crate) fn new(options: &PeripheralOptions) -> Self {
        use ResetCause::{TimerGroup0Cpu, TimerGroup0System, TimerGroup1Cpu, TimerGroup1System};
        Self {
            uart0: Uart::new(0x6000_0000, options.uart0),
            uart1: Uart::new(0x6001_0000, FarEnd::Open),
            spi1: SpiFlash::new(0x6000_2000, options.seed),
            spi0: Settings::new(0x6000_3000, 0x400, &[0x00..=0x54, 0x98..=0xE0, 0x3FC..=0x3FC]),
            gpio: Gpio::new(0x6000_4000, 0x6000_9000),
            fe2: Settings::new(0x6000_5000, 0x1000, &[0xF0..=0xF0]),
            fe: Settings::new(0x6000_6000, 0x1000, &[0x90..=0x90]),
            rtc: RtcControl::new(0x6000_8000),
            efuse: Efuse::new(0x6000_8800, options.mac, options.revision),
            analog: AnalogBus::new(0x6000_E000),
            nrx: Settings::new(0x6001_C000, 0x1000, &[0xCD4..=0xCD4]),
            bb: Settings::new(0x6001_D000, 0x1000, &[0x54..=0x54]),
            timer_group0: TimerGroup::new(0x6001_F000, TimerGroup0System, TimerGroup0Cpu),
            timer_group1: TimerGroup::new(0x6002_0000, TimerGroup1System, TimerGroup1Cpu),
            systimer: SystemTimer::new(0x6002_3000),
            apb: ApbControl::new(0x6002_6000, options.seed),
            accelerators: Accelerators::new(),
            saradc: Settings::new(0x6004_0000, 0x400, &[0x00..=0x1C, 0x50..=0x5C, 0x3FC..=0x3FC]),
            usb: UsbSerialJtag::new(0x6004_3000, options.usb),
            system: System::new(0x600C_0000),
            // Permissions that software takes away stay: INTERNAL_SRAM_USAGE_1 and DATE are all that makes no difference.
            sensitive: Settings::new(0x600C_1000, 0x1000, &[0x1C..=0x1C, 0xFFC..=0xFFC]),
            matrix: InterruptMatrix::new(0x600C_2000),
            cache: Cache::new(0x600C_4000),
            mmu: MmuTable::new(),
            openeth: OpenEth::new(0x600C_D000),
            assist_debug: AssistDebug::new(0x600C_E000),
            unknown: Vec::new(),
            log: Log::default(),
            next_event: 0,
            requested_reset: None,
            asleep_since: None,
            slept: 0,
        }
    }

    /// Does what has become due, and takes the sources' levels over.
    pub(crate) fn update(&mut self, memory: &mut Memory, now: u64) {
        self.rtc.observe(WakeInputs {
            gpio: self.gpio.wakes(),
            pads: self.gpio.pads(),
            uart0: self.uart0.wakes(),
            uart1: self.uart1.wakes(),
        });
        self.rtc.update(now);
        self.follow_sleep(now);
        let digital = self.digital(now);
        self.uart0.update(digital);
        self.uart1.update(digital);
        self.usb.update(digital);
        self.timer_group0.update(digital);
        self.timer_group1.update(digital);
        self.systimer.update(digital);
        self.accelerators.update(memory, digital);
        self.requested_reset = self
            .requested_reset
            .or(self.rtc.take_reset())
            .or(self.timer_group0.take_reset())
            .or(self.timer_group1.take_reset());
        self.wire_uarts(digital);
        self.refresh();
    }

    /// Whether the chip sleeps: the hart executes nothing, and only the RTC goes on.
    pub(crate) fn asleep(&self) -> bool {
        self.asleep_since.is_some()
    }

    /// A debugger has halted the hart, or let go of it.
    pub(crate) fn set_halted(&mut self, halted: bool, now: u64) {
        self.systimer.set_halted(halted, self.digital(now));
        self.assist_debug.set_halted(halted);
        self.refresh();
    }

    /// The time of all clocks but the RTC's: the hart's, less what was slept.
    pub(crate) fn digital(&self, now: u64) -> u64 {
        self.asleep_since.unwrap_or(now).saturating_sub(self.slept)
    }

    /// Stops the clocks when the RTC controller lets the chip sleep, and starts them when it wakes. After deep sleep that is
    /// the reset's part.
    fn follow_sleep(&mut self, now: u64) {
        match (self.rtc.sleeping(), self.asleep_since) {
            (Some(_), None) => self.asleep_since = Some(now),
            (None, Some(since)) => {
                self.slept += now.saturating_sub(since);
                self.asleep_since = None;
            }
            _ => return,
        }
        for uart in [&mut self.uart0, &mut self.uart1] {
            if self.asleep_since.is_some() {
                uart.sleep();
            } else {
                uart.wake();
            }
        }
    }

    /// When the next thing becomes due; `u64::MAX` if nothing does.
    pub(crate) fn next_event(&self) -> u64 {
        let rtc = self.rtc.next_event().unwrap_or(u64::MAX);
        if self.asleep() {
            return rtc;
        }
        let digital = [
            self.uart0.next_event(),
            self.uart1.next_event(),
            self.usb.next_event(),
            self.timer_group0.next_event(),
            self.timer_group1.next_event(),
            self.systimer.next_event(),
            self.accelerators.next_event(),
        ]
        .into_iter()
        .flatten()
        .min();
        rtc.min(digital.map_or(u64::MAX, |at| at.saturating_add(self.slept)))
    }

    /// The reset that software or a watchdog has asked for, once.
    pub(crate) fn take_reset(&mut self) -> Option<ResetCause> {
        self.requested_reset.take()
    }

    /// The supply fails: what the flash chip was doing stays half done.
    pub(crate) fn power_cut(&mut self, memory: &mut Memory, now: u64) {
        let mut log = std::mem::take(&mut self.log);
        self.spi1.power_cut(&mut Context {
            now: self.digital(now),
            time: now,
            memory,
            log: &mut log,
        });
        self.log = log;
    }

    /// Resets what this cause resets.
    pub(crate) fn reset(&mut self, cause: ResetCause, memory: &mut Memory, now: u64) {
        self.log.push(now, HardwareEvent::Reset(cause));
        self.requested_reset = None;
        if cause == ResetCause::PowerOn {
            memory.power_cycle();
            self.spi1.wait();
        }
        // The latches sample the pins at each reset of the whole chip (Technical Reference Manual, "Strapping Pins").
        if cause.reaches_rtc() {
            self.gpio.strap();
        }
        if !cause.is_cpu_only() {
            self.gpio.force_strapping(cause);
        }
        if cause == ResetCause::DeepSleep {
            memory.deep_sleep();
        }
        self.rtc.after_reset(cause, now);
        self.follow_sleep(now);
        let digital = self.digital(now);
        if !cause.is_cpu_only() {
            each!(self, peripheral => peripheral.reset(digital));
            for (_, registers) in &mut self.unknown {
                registers.reset();
            }
            for entry in 0..crate::memory::MMU_ENTRIES {
                memory.map(entry, None);
            }
        }
        if !cause.is_cpu_only() && self.gpio.boots_from_flash() {
            self.rtc.guard_flash_boot(now);
            self.timer_group0.guard_flash_boot(digital);
        }
        self.refresh();
    }

    /// The far end of a pin drives it, or lets go of it.
    pub(crate) fn drive_pin(&mut self, pin: u8, level: Option<bool>, now: u64) {
        self.gpio.drive(u32::from(pin), level);
        self.wire_uarts(self.digital(now));
        self.refresh();
    }

    /// Brings what the UARTs have sent to those that listen at the same pad, and the levels of RTS and CTS to where they go.
    fn wire_uarts(&mut self, now: u64) {
        self.gpio.set_rts([self.uart0.rts(), self.uart1.rts()]);
        self.uart0.set_cts(self.gpio.input(gpio::SIGNAL_U0 + 1).unwrap_or(true));
        self.uart1.set_cts(self.gpio.input(gpio::SIGNAL_U1 + 1).unwrap_or(true));
        for (from, bytes) in [
            (gpio::SIGNAL_U0, self.uart0.take_emitted()),
            (gpio::SIGNAL_U1, self.uart1.take_emitted()),
        ] {
            if bytes.is_empty() {
                continue;
            }
            for (to, uart) in [(gpio::SIGNAL_U0, &mut self.uart0), (gpio::SIGNAL_U1, &mut self.uart1)] {
                if self.gpio.connects(from, to) {
                    uart.receive(&bytes, now);
                }
            }
        }
    }

    /// Takes the sources' levels over and notes the next event.
    fn refresh(&mut self) {
        let levels = self.openeth.interrupts() << SOURCE_OPENETH
            | self.uart0.interrupts() << SOURCE_UART0
            | self.uart1.interrupts() << SOURCE_UART1
            | self.gpio.interrupts() << SOURCE_GPIO
            | self.efuse.interrupts() << SOURCE_EFUSE
            | self.usb.interrupts() << SOURCE_USB
            | self.rtc.interrupts() << SOURCE_RTC
            | self.timer_group0.interrupts() << SOURCE_TIMER_GROUP0
            | self.timer_group1.interrupts() << SOURCE_TIMER_GROUP1
            | self.systimer.interrupts() << SOURCE_SYSTIMER
            | self.accelerators.interrupts() << SOURCE_ACCELERATORS
            | self.system.interrupts() << SOURCE_FROM_CPU
            | self.assist_debug.interrupts() << SOURCE_ASSIST_DEBUG;
        self.matrix.set_levels(levels);
        self.next_event = self.next_event();
    }

    /// The peripheral at an address, and the offset in it.
    fn at(&mut self, address: u32) -> Option<(&mut dyn Peripheral, u32)> {
        let offset = address & 0xFFF;
        let peripheral: &mut dyn Peripheral = match address >> 12 {
            0x6_0000 => &mut self.uart0,
            0x6_0002 => &mut self.spi1,
            0x6_0003 => &mut self.spi0,
            0x6_0004 => &mut self.gpio,
            0x6_0005 => &mut self.fe2,
            0x6_0006 => &mut self.fe,
            0x6_0008 if offset >= 0x800 => return Some((&mut self.efuse, offset - 0x800)),
            0x6_0008 => &mut self.rtc,
            0x6_0009 => return Some((&mut self.gpio, gpio::IO_MUX + offset)),
            0x6_000E => &mut self.analog,
            0x6_0010 => &mut self.uart1,
            0x6_001C => &mut self.nrx,
            0x6_001D => &mut self.bb,
            0x6_001F => &mut self.timer_group0,
            0x6_0020 => &mut self.timer_group1,
            0x6_0023 => &mut self.systimer,
            0x6_0026 => &mut self.apb,
            0x6_0040 => &mut self.saradc,
            0x6_0043 => &mut self.usb,
            0x6_00C0 => &mut self.system,
            0x6_00C1 => &mut self.sensitive,
            0x6_00C2 => &mut self.matrix,
            0x6_00C4 => &mut self.cache,
            0x6_00C5 => &mut self.mmu,
            0x6_00CD => &mut self.openeth,
            0x6_00CE => &mut self.assist_debug,
            _ => return None,
        };
        Some((peripheral, offset))
    }

    /// The clock that the register at an address goes by.
    fn clock_of(&self, address: u32, now: u64) -> u64 {
        if address >> 12 == 0x6_0008 {
            now
        } else {
            self.digital(now)
        }
    }

    fn read_word(&mut self, memory: &mut Memory, now: u64, address: u32) -> u32 {
        let mut log = std::mem::take(&mut self.log);
        let mut context = Context {
            now: self.clock_of(address, now),
            time: now,
            memory,
            log: &mut log,
        };
        let value = if Accelerators::cover(address) {
            let power = self.power();
            self.accelerators.read(address, power, &mut context)
        } else {
            match self.at(address) {
                Some((peripheral, offset)) => peripheral.read(offset, &mut context),
                None => {
                    let registers = self.unknown(address);
                    context.unmodelled_read(registers, address & 0xFFF)
                }
            }
        };
        self.log = log;
        value
    }

    fn write_word(&mut self, memory: &mut Memory, now: u64, address: u32, value: u32) {
        let mut log = std::mem::take(&mut self.log);
        let mut context = Context {
            now: self.clock_of(address, now),
            time: now,
            memory,
            log: &mut log,
        };
        if Accelerators::cover(address) {
            let power = self.power();
            self.accelerators
                .write(address, value, power, &self.efuse, &mut context);
        } else {
            match self.at(address) {
                Some((peripheral, offset)) => peripheral.write(offset, value, &mut context),
                None => {
                    let registers = self.unknown(address);
                    context.unmodelled_write(registers, address & 0xFFF, value);
                }
            }
        }
        self.log = log;
        match address.wrapping_sub(0x600C_0000) {
            SYSTEM_PERIP_RST_EN0 => self.reset_by_system(value, self.digital(now)),
            SYSTEM_PERIP_RST_EN1 | SYSTEM_RSA_PD_CTRL => self.accelerators.set_power(self.power(), self.digital(now)),
            _ => {}
        }
    }

    fn power(&self) -> Power {
        Power {
            clocks: self.system.get(SYSTEM_PERIP_CLK_EN1),
            resets: self.system.get(SYSTEM_PERIP_RST_EN1),
            rsa_memory: self.system.get(SYSTEM_RSA_PD_CTRL),
        }
    }

    /// Bits of SYSTEM_PERIP_RST_EN0 hold peripherals in reset.
    fn reset_by_system(&mut self, value: u32, now: u64) {
        let asked = |bit: u32| value >> bit & 1 != 0;
        if asked(2) {
            self.uart0.reset(now);
        }
        if asked(5) {
            self.uart1.reset(now);
        }
        if asked(13) {
            self.timer_group0.reset(now);
        }
        if asked(15) {
            self.timer_group1.reset(now);
        }
        if asked(23) {
            self.usb.reset(now);
        }
        if asked(29) {
            self.systimer.reset(now);
        }
    }

    /// Storage for a page with no model.
    fn unknown(&mut self, address: u32) -> &mut Registers {
        let base = address & !0xFFF;
        let index = match self.unknown.iter().position(|(page, _)| *page == base) {
            Some(index) => index,
            None => {
                self.unknown.push((base, Registers::new(base, 0x1000)));
                self.unknown.len() - 1
            }
        };
        &mut self.unknown[index].1
    }

    /// Notes, once for each address, that nothing answers there.
    fn fault(&mut self, now: u64, address: u32, event: HardwareEvent) -> Fault {
        self.log.push_once(now, address, || event);
        Fault
    }
}

impl Bus for Peripherals {
    fn load(&mut self, memory: &mut Memory, now: u64, address: u32, _width: Width) -> Result<u32, Fault> {
        // The ROM's UART handler reads here and ignores the value when an interrupt comes while it changes ports.
        if address == 0x5FFE_0000 {
            self.log.push_once(now, address, || HardwareEvent::Unmodelled {
                address,
                register: "nothing that the manual names".to_owned(),
                written: None,
            });
            return Ok(0);
        }
        if !SPACE.contains(&address) {
            return Err(self.fault(now, address, HardwareEvent::BusError { address, store: false }));
        }
        let value = self.read_word(memory, now, address & !3);
        // Reading a FIFO moves levels; all other reads leave them alone.
        if address & 0xFFF == 0 {
            self.wire_uarts(self.digital(now));
            self.refresh();
        }
        Ok(value >> (8 * (address & 3)))
    }

    fn store(
        &mut self,
        memory: &mut Memory,
        now: u64,
        address: u32,
        width: Width,
        value: u32,
    ) -> Result<AfterStore, Fault> {
        if !SPACE.contains(&address) {
            return Err(self.fault(now, address, HardwareEvent::BusError { address, store: true }));
        }
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
        let before = (self.matrix.presented(), self.next_event);
        self.write_word(memory, now, address & !3, word);
        self.requested_reset = self.requested_reset.or(self.rtc.take_reset());
        if address >> 12 == 0x6_0008 {
            self.follow_sleep(now);
            self.timer_group0.set_slow_clock(self.rtc.slow_hz());
            self.timer_group1.set_slow_clock(self.rtc.slow_hz());
        }
        self.wire_uarts(self.digital(now));
        self.refresh();
        let changed = before != (self.matrix.presented(), self.next_event)
            || self.requested_reset.is_some()
            || self.asleep()
            || matches!(address >> 12, 0x6_0002 | 0x6_00C5 | 0x6_00CE);
        Ok(if changed {
            AfterStore::Yield
        } else {
            AfterStore::Continue
        })
    }

    fn interrupt(&self) -> Option<u8> {
        self.matrix.presented()
    }

    fn guards_stack(&self) -> bool {
        self.assist_debug.guards_stack()
    }

    fn stack_pointer(&mut self, value: u32, pc: u32) {
        self.assist_debug.stack_pointer(value, pc);
        self.refresh();
    }

    fn gpio_csr_read(&mut self, _now: u64, csr: u16) -> u32 {
        match csr {
            0x803 => self.gpio.cpu_enable(),
            0x804 => self.gpio.cpu_in(),
            _ => self.gpio.cpu_out(),
        }
    }

    fn gpio_csr_write(&mut self, _now: u64, csr: u16, value: u32) {
        match csr {
            0x803 => self.gpio.set_cpu_enable(value),
            0x805 => self.gpio.set_cpu_out(value),
            _ => {}
        }
        self.refresh();
    }
}

#[cfg(test)]
mod tests {
    use super::{Bus, FarEnd, PeripheralOptions, Peripherals, Width};
    use crate::bus::AfterStore;
    use crate::log::{HardwareEvent, ResetCause};
    use crate::memory::Memory;

    /// The bus at a time that the test moves.
    struct Rig {
        bus: Peripherals,
        memory: Memory,
        now: u64,
    }

    impl Rig {
        fn new() -> Self {
            let mut bus = Peripherals::new(&PeripheralOptions {
                mac: [2, 0, 0, 0, 0, 1],
                revision: (0, 3),
                seed: 7,
                uart0: FarEnd::Connected,
                usb: FarEnd::Open,
            });
            let mut memory = Memory::new(vec![0; 16].into(), 1 << 20);
            bus.reset(ResetCause::PowerOn, &mut memory, 0);
            Self { bus, memory, now: 0 }
        }

        fn read(&mut self, address: u32) -> u32 {
            self.bus.load(&mut self.memory, self.now, address, Width::Word).unwrap()
        }

        fn write(&mut self, address: u32, value: u32) -> AfterStore {
            self.bus
                .store(&mut self.memory, self.now, address, Width::Word, value)
                .unwrap()
        }

        fn pass(&mut self, cycles: u64) {
            self.now += cycles;
            self.bus.update(&mut self.memory, self.now);
        }
    }

    const RAM: u32 = 0x3FC9_0000;
    const OPENETH: u32 = 0x600C_D000;

    #[test]
    fn an_ethernet_frame_comes_back_in_loopback_and_interrupts() {
        let mut rig = Rig::new();
        let frame: Vec<u8> = (0..100).collect();
        let mut frame = frame;
        frame[..6].fill(0xFF);
        rig.memory.write_bytes(RAM, &frame);
        rig.write(OPENETH, 1 << 11);
        rig.write(OPENETH, 0xA000);
        rig.write(OPENETH + 0x20, 1);
        rig.write(OPENETH + 0x404, RAM);
        rig.write(OPENETH + 0x40C, RAM + 0x800);
        rig.write(OPENETH + 0x408, 0xE000);
        rig.write(OPENETH + 0x08, 0x7F);
        // Source 0 to line 9, at priority 5.
        rig.write(0x600C_2000, 9);
        rig.write(0x600C_2114 + 4 * 9, 5);
        rig.write(0x600C_2104, 1 << 9);
        rig.write(OPENETH, 0xA000 | 1 << 7 | 3);
        assert_eq!(rig.bus.interrupt(), None);
        assert_eq!(rig.write(OPENETH + 0x400, 100 << 16 | 0xE000), AfterStore::Yield);
        assert_eq!(rig.bus.interrupt(), Some(9));
        assert_eq!(rig.read(OPENETH + 4), 0b101);
        assert_eq!(rig.read(OPENETH + 0x400) & 0x8000, 0);
        assert_eq!(rig.read(OPENETH + 0x408), 104 << 16 | 0x6000);
        let mut back = [0; 100];
        assert!(rig.memory.read_bytes(RAM + 0x800, &mut back));
        assert_eq!(back[..], frame[..]);
        rig.write(OPENETH + 4, 0b101);
        assert_eq!(rig.bus.interrupt(), None);
    }

    #[test]
    fn a_register_without_a_model_is_reported_once() {
        let mut rig = Rig::new();
        rig.bus.log.take();
        rig.write(0x6001_3004, 0x55);
        assert_eq!(rig.read(0x6001_3004), 0x55);
        let log = rig.bus.log.take();
        assert_eq!(log.len(), 1, "{log:?}");
        assert_eq!(
            log[0].event.to_string(),
            "write of 0x00000055 to I2C0.CTR (0x60013004), which is not modelled"
        );
        assert!(rig.bus.load(&mut rig.memory, 0, 0x7000_0000, Width::Word).is_err());
        assert!(matches!(
            rig.bus.log.take()[..],
            [crate::log::LogEntry {
                event: HardwareEvent::BusError {
                    address: 0x7000_0000,
                    store: false
                },
                ..
            }]
        ));
    }

    #[test]
    fn permissions_that_are_not_kept_are_reported_by_name() {
        let mut rig = Rig::new();
        rig.bus.log.take();
        rig.write(0x600C_10AC, 0x1F_FFFF);
        rig.write(0x600C_0044, 1);
        let names: Vec<String> = rig.bus.log.take().iter().map(|entry| entry.event.to_string()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names[0].contains("SENSITIVE.CORE_X_"), "{names:?}");
        assert!(
            names[1].contains("SYSTEM.EXTERNAL_DEVICE_ENCRYPT_DECRYPT_CONTROL"),
            "{names:?}"
        );
    }

    #[test]
    fn a_system_timer_alarm_is_due_at_its_count() {
        let mut rig = Rig::new();
        rig.write(0x6002_3020, 1600);
        rig.write(0x6002_3050, 0);
        rig.write(0x6002_3064, 1);
        rig.write(0x6002_3000, 1 << 30 | 1 << 24);
        assert_eq!(rig.bus.next_event(), 16_000);
        rig.pass(15_999);
        assert_eq!(rig.read(0x6002_3070), 0);
        rig.pass(1);
        assert_eq!(rig.read(0x6002_3070), 1);
    }

    #[test]
    fn rtc_stores_outlive_a_software_reset_and_not_a_power_cycle() {
        let mut rig = Rig::new();
        rig.write(0x6000_8050, 0xCAFE);
        rig.write(0x6000_8000, 1 << 31);
        assert_eq!(rig.bus.take_reset(), Some(ResetCause::SoftwareSystem));
        rig.bus.reset(ResetCause::SoftwareSystem, &mut rig.memory, 0);
        assert_eq!(rig.read(0x6000_8038) & 0x3F, 3);
        assert_eq!(rig.read(0x6000_8050), 0xCAFE);
        rig.bus.reset(ResetCause::PowerOn, &mut rig.memory, 0);
        assert_eq!(rig.read(0x6000_8050), 0);
    }

    #[test]
    fn the_rtc_watchdog_and_the_super_watchdog_say_who_they_are() {
        let mut rig = Rig::new();
        // The main watchdog of flash boot off, the RTC watchdog to reset the system after 136 slow clocks: a millisecond.
        rig.write(0x6001_F048, 0);
        rig.write(0x6000_80A8, 0x50D8_3AA1);
        rig.write(0x6000_8094, 68);
        rig.write(0x6000_8090, 1 << 31 | 3 << 28);
        rig.pass(159_000);
        assert_eq!(rig.bus.take_reset(), None);
        rig.pass(2_000);
        assert_eq!(rig.bus.take_reset(), Some(ResetCause::RtcWatchdogSystem));
        rig.write(0x6000_8090, 0);
        rig.pass(160_000_000);
        assert_eq!(rig.bus.take_reset(), Some(ResetCause::SuperWatchdog));
    }

    #[test]
    fn a_uart_pushes_back_and_loses_nothing() {
        let mut rig = Rig::new();
        let sent: Vec<u8> = (0..=255).cycle().take(1000).collect();
        rig.bus.uart0.receive(&sent, 0);
        assert_eq!(rig.read(0x6000_001C) & 0x3FF, 128);
        let taken: Vec<u8> = (0..1000).map(|_| rig.read(0x6000_0000) as u8).collect();
        assert_eq!(taken, sent);
        assert_eq!(rig.read(0x6000_001C) & 0x3FF, 0);
        for byte in 0..5000 {
            rig.write(0x6000_0000, byte & 0xFF);
        }
        assert_eq!(rig.read(0x6000_001C) >> 16 & 0x3FF, 128);
        assert_ne!(rig.read(0x6000_006C), 0, "the transmitter is busy");
        rig.bus.uart0.outgoing().clear();
        rig.bus.uart0.drain();
        assert_eq!(rig.read(0x6000_001C) >> 16 & 0x3FF, 0);
        assert_ne!(rig.read(0x6000_0004) & 1 << 14, 0, "TX_DONE");
    }

    #[test]
    fn an_unconnected_usb_port_stays_busy() {
        let mut rig = Rig::new();
        assert_eq!(rig.read(0x6004_3004), 2);
        rig.write(0x6004_3000, 65);
        rig.write(0x6004_3004, 1);
        rig.pass(160_000_000);
        assert_eq!(rig.read(0x6004_3004), 0);
    }
}
