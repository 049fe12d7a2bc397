//! The chip: hart, memory, peripherals and debug module, connected. Bytes, frames, strapping and time enter as
//! arguments; bytes, frames and hardware events leave. It is deterministic and never reads the host's clock: with the
//! same image, seed and inputs at the same times it executes the same instructions.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::debug::{DebugModule, DebugReset, DmiAccess, JtagClock, JtagTap, Target};
use crate::flash_timing::FlashTiming;
use crate::hart::{Exit, HaltCause, Hart};
use crate::log::{HardwareEvent, LogEntry, ResetCause};
use crate::memory::Memory;
use crate::peripherals::{FarEnd, PeripheralOptions, Peripherals, Uart};
pub use crate::peripherals::{UartFormat, UartParity};
use crate::rom::{RomError, mask_rom};

/// Address of the first instruction after a reset, which is the ROM's first.
const RESET_VECTOR: u32 = 0x4000_0000;
/// The most cycles that the hart runs before the chip checks again what is due.
const STRIDE: u64 = 1 << 20;

/// The serial port of the chip that is its console. Nothing is connected to the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConsolePort {
    /// UART0, as behind a USB-UART bridge.
    #[default]
    Uart0,
    /// The chip's own USB serial/JTAG.
    UsbSerialJtag,
}

/// One of the chip's UARTs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UartPort {
    /// UART0, which is the console unless that is the USB serial/JTAG.
    Uart0,
    /// UART1, which is free for the software's own use.
    Uart1,
}

/// What a chip is made of.
#[derive(Debug, Clone)]
pub struct ChipOptions {
    /// Contents of the flash chip; their length is its size in bytes.
    pub flash: Arc<[u8]>,
    /// The MAC address in the eFuses.
    pub mac: [u8; 6],
    /// The chip's revision, major and minor.
    pub revision: (u8, u8),
    /// Seed of the random numbers.
    pub seed: u64,
    /// The port at which the console's bytes enter and leave.
    pub console: ConsolePort,
}

/// Why [`Chip::run`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The chip's clock stands at the requested time.
    Deadline,
    /// The hart does nothing until the chip's clock stands at this time, or until an input comes. It waits for an
    /// interrupt, is stuck, or a debugger has halted it; or the chip sleeps. `u64::MAX` means that only an input ends
    /// it.
    Asleep(u64),
    /// The chip is held in reset, by EN or by a debugger.
    Held,
}

/// An ESP32-C3.
#[derive(Debug, Clone)]
pub struct Chip {
    hart: Hart,
    memory: Memory,
    peripherals: Peripherals,
    console: ConsolePort,
    debug: DebugModule,
    tap: JtagTap,
    /// Whether the hart is in debug mode, as the peripherals were last told.
    halted: bool,
    /// EN is low, or the supply is off.
    held: bool,
    /// The hart cannot fetch its trap handler.
    stuck: bool,
    /// Cycles that the hart slept.
    idle: u64,
}

impl Chip {
    /// A chip that is held in reset.
    ///
    /// # Errors
    /// If there is no mask ROM for the revision.
    pub fn new(options: ChipOptions) -> Result<Self, RomError> {
        let far_end = |port| {
            if options.console == port {
                FarEnd::Connected
            } else {
                FarEnd::Open
            }
        };
        Ok(Self {
            hart: Hart::new(RESET_VECTOR),
            memory: Memory::with_flash(mask_rom(options.revision)?, options.flash),
            peripherals: Peripherals::new(&PeripheralOptions {
                mac: options.mac,
                revision: options.revision,
                seed: options.seed,
                uart0: far_end(ConsolePort::Uart0),
                usb: far_end(ConsolePort::UsbSerialJtag),
            }),
            console: options.console,
            debug: DebugModule::default(),
            tap: JtagTap::default(),
            halted: false,
            held: true,
            stuck: false,
            idle: 0,
        })
    }

    /// Sets the levels of EN and GPIO9. While EN is low the chip is held in reset. When it rises the strapping pins are
    /// sampled.
    pub fn set_lines(&mut self, enable: bool, boot: bool) {
        self.peripherals.units.gpio.set_boot(boot);
        if !enable {
            self.held = true;
            self.peripherals.units.uart0.cut();
            self.peripherals.units.uart1.cut();
            self.peripherals.units.usb.cut();
        } else if self.held {
            self.held = false;
            self.debug = DebugModule::default();
            self.hart.resume();
            self.reset(ResetCause::PowerOn);
        }
    }

    /// Drives a pin (0..=21) from outside to a level, or with `None` stops driving it. On a pad with several drivers
    /// low wins. Resets do not change what drives a pin. The boot button of [`Chip::set_lines`] is at GPIO9.
    pub fn set_pin(&mut self, pin: u8, level: Option<bool>) {
        self.peripherals.drive_pin(pin, level, self.hart.now());
    }

    /// Sends bytes to a UART, bit by bit and whether or not the chip is ready. The receiver samples the line with the
    /// rate and format that its software has set. If `format` differs, it receives wrong bytes, as on a bench. RTS and
    /// CTS are pins: see
    /// [`Chip::set_pin`] and [`Chip::pins`].
    pub fn transmit(&mut self, uart: UartPort, format: &UartFormat, bytes: &[u8]) {
        let now = self.peripherals.digital(self.hart.now());
        if !self.held {
            self.uart(uart).transmit_to(format, bytes, now);
        }
    }

    /// Holds the receive line of a UART low for this many cycles of the hart's clock, and then high for as many.
    pub fn transmit_break(&mut self, uart: UartPort, cycles: u64) {
        let now = self.peripherals.digital(self.hart.now());
        if !self.held {
            self.uart(uart).break_line(cycles, now);
        }
    }

    /// What a UART has sent since the last call; the last 64 KB if it was more.
    pub fn transmitted(&mut self, uart: UartPort) -> Vec<u8> {
        self.uart(uart).take_heard()
    }

    /// The speed of a UART in bit/s, as its software has set it.
    pub fn baud(&mut self, uart: UartPort) -> u32 {
        self.uart(uart).baud()
    }

    fn uart(&mut self, uart: UartPort) -> &mut Uart {
        match uart {
            UartPort::Uart0 => &mut self.peripherals.units.uart0,
            UartPort::Uart1 => &mut self.peripherals.units.uart1,
        }
    }

    /// The levels at the pins, as a meter would show them; GPIO0 is bit 0.
    #[must_use]
    pub fn pins(&self) -> u32 {
        self.peripherals.units.gpio.pads()
    }

    /// Plugs in the cable between the USB serial/JTAG and its host.
    pub fn plug_usb(&mut self) {
        let now = self.peripherals.digital(self.hart.now());
        self.peripherals.units.usb.set_host(FarEnd::Connected, now);
    }

    /// Unplugs the cable between the USB serial/JTAG and its host: no USB frames start any more, and the host collects
    /// nothing of what the chip sends.
    pub fn unplug_usb(&mut self) {
        let now = self.peripherals.digital(self.hart.now());
        self.peripherals.units.usb.set_host(FarEnd::Open, now);
    }

    /// Sets the lines of the USB serial/JTAG's serial port, as its host does. DTR alone asks for download mode at the
    /// next reset, neither line takes that back, RTS alone resets, and both together do nothing. Such a reset does not
    /// sample the strapping pins. (ESP32-C3 Technical Reference Manual, chapter "USB Serial/JTAG Controller", "CDC-ACM
    /// USB Interface Functional Description".)
    pub fn set_usb_lines(&mut self, dtr: bool, rts: bool) {
        if self.held {
            return;
        }
        match (dtr, rts) {
            (false, true) => self.reset(ResetCause::UsbUart),
            (_, false) => self.peripherals.units.gpio.want_download(dtr),
            (true, true) => {}
        }
    }

    /// Lets the supply drop below the threshold of the brown-out detector for a moment. The detector interrupts,
    /// resets, or does neither, as software has set it.
    pub fn brown_out(&mut self) {
        self.peripherals.units.rtc.brown_out(self.hart.now());
    }

    /// Resets the chip for a cause outside it, such as a glitch of its clock or supply.
    pub fn reset_by(&mut self, cause: ResetCause) {
        if !self.held {
            self.reset(cause);
        }
    }

    /// Takes the supply from the chip and from its flash chip, between two instructions. RAM is lost. A program or
    /// erase of the flash that is under way stops in the middle: the share of its bits that have changed is the share
    /// of its time that has passed, and the seed decides which bits. The supply is back when [`Chip::set_lines`] lets
    /// EN rise. EN alone leaves the flash chip its supply, so that it finishes.
    pub fn power_cut(&mut self) {
        self.held = true;
        self.peripherals.units.uart0.cut();
        self.peripherals.units.usb.cut();
        self.peripherals.power_cut(&mut self.memory, self.hart.now());
    }

    /// Sets how long the flash chip takes from now on.
    pub fn set_flash_timing(&mut self, timing: FlashTiming) {
        self.peripherals.units.spi1.set_flash_timing(timing);
    }

    /// Wears out the sector of 4 KB at this address of the flash: the first byte of each of its pages stays erased.
    pub fn wear_flash_out(&mut self, address: u32) {
        self.peripherals.units.spi1.wear_out(address);
    }

    /// Starts the random number generator again, from `seed`.
    pub fn reseed(&mut self, seed: u64) {
        self.peripherals.units.apb.reseed(seed);
    }

    /// Runs until the chip's clock stands at `until`, or until the chip has nothing to do.
    pub fn run(&mut self, until: u64) -> Pause {
        loop {
            if self.held || self.debug.holds_system() {
                return Pause::Held;
            }
            self.note_halted();
            self.peripherals.update(&mut self.memory, self.hart.now());
            if let Some(cause) = self.peripherals.take_reset() {
                self.reset(cause);
                continue;
            }
            let now = self.hart.now();
            if now >= until {
                return Pause::Deadline;
            }
            let next = self.peripherals.next_event();
            let held_up = self.stuck || self.peripherals.asleep();
            if held_up || self.hart.is_halted() || self.debug.holds_hart() {
                return Pause::Asleep(next);
            }
            if self.hart.is_stepping() {
                self.step();
                continue;
            }
            let stop = until.min(next).min(now + STRIDE).max(now + 1);
            let exit = self.hart.run(&mut self.memory, &mut self.peripherals, stop);
            self.note(exit);
            if exit == Exit::Wfi {
                let next = self.peripherals.next_event();
                if next > self.hart.now() {
                    return Pause::Asleep(next);
                }
            }
        }
    }

    /// Makes one access of a debugger to the debug module, and returns the value read, or zero for a write. `None`
    /// while EN is low, since it holds the debug module in reset too.
    pub fn dmi(&mut self, access: DmiAccess) -> Option<u32> {
        if self.held {
            return None;
        }
        let mut target = Target {
            hart: &mut self.hart,
            memory: &mut self.memory,
            bus: &mut self.peripherals,
        };
        let (value, reset) = self.debug.access(access, &mut target);
        if let Some(reset) = reset {
            self.reset(match reset {
                DebugReset::System => ResetCause::UsbJtag,
                // The chip's manual lists no cause of its own for it.
                DebugReset::Hart => ResetCause::SoftwareCpu,
            });
        }
        // The access may have written to registers that reset the chip, which must happen at once.
        self.peripherals.update(&mut self.memory, self.hart.now());
        if let Some(cause) = self.peripherals.take_reset() {
            self.reset(cause);
        }
        self.note_halted();
        Some(value)
    }

    /// Lets TCK rise once at the chip's JTAG pins, and returns the level of TDO before that. While EN is low the TAP
    /// works, but the debug module does not answer.
    pub fn jtag(&mut self, clock: JtagClock) -> bool {
        let mut tap = std::mem::take(&mut self.tap);
        let tdo = tap.clock(clock, |access| self.dmi(access));
        self.tap = tap;
        tdo
    }

    /// Lets time pass while the hart sleeps, until the chip's clock stands at `time`.
    pub fn sleep_until(&mut self, time: u64) {
        let cycles = time.saturating_sub(self.hart.now());
        self.idle += cycles;
        self.hart.advance(cycles);
    }

    /// Sends bytes to the console. They wait until the chip takes them.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.held {
            return;
        }
        match self.console {
            ConsolePort::Uart0 => {
                let now = self.peripherals.digital(self.hart.now());
                self.peripherals.units.uart0.receive(bytes, now);
            }
            ConsolePort::UsbSerialJtag => self.peripherals.units.usb.receive(bytes),
        }
    }

    /// Bytes sent to the console that the chip has not taken yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        match self.console {
            ConsolePort::Uart0 => self.peripherals.units.uart0.waiting(),
            ConsolePort::UsbSerialJtag => self.peripherals.units.usb.waiting(),
        }
    }

    /// The bytes that the chip has sent on its console. A caller that takes some of them calls [`Chip::taken`]
    /// afterwards.
    pub fn sent(&mut self) -> &mut VecDeque<u8> {
        match self.console {
            ConsolePort::Uart0 => self.peripherals.units.uart0.outgoing(),
            ConsolePort::UsbSerialJtag => self.peripherals.units.usb.outgoing(),
        }
    }

    /// Tells the chip that bytes of [`Chip::sent`] have been taken, so that it can send more.
    pub fn taken(&mut self) {
        self.peripherals.units.uart0.drain();
        self.peripherals.units.usb.drain();
    }

    /// Receives a frame, without its check sequence, from the network.
    pub fn receive_frame(&mut self, frame: Vec<u8>) {
        if !self.held {
            self.peripherals.units.openeth.receive(frame, &mut self.memory);
        }
    }

    /// Takes the next frame that the chip has sent, without its check sequence.
    pub fn sent_frame(&mut self) -> Option<Vec<u8>> {
        self.peripherals.units.openeth.outgoing().pop_front()
    }

    /// The flash chip's contents. They are copied only if they have changed since the chip was made.
    #[must_use]
    pub fn flash(&self) -> Arc<[u8]> {
        self.memory.flash_image()
    }

    /// Takes the hardware events since the last call.
    pub fn take_log(&mut self) -> Vec<LogEntry> {
        self.peripherals.log.take()
    }

    /// The chip's clock: cycles since the chip was made.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.hart.now()
    }

    /// When a peripheral does something next, even if the hart does nothing; `u64::MAX` if none will.
    #[must_use]
    pub fn next_event(&self) -> u64 {
        self.peripherals.next_event()
    }

    /// Whether the hart can execute anything: neither EN holds it in reset nor is it stuck without a trap handler.
    pub(crate) fn can_execute(&self) -> bool {
        !self.held && !self.stuck
    }

    /// How many cycles the hart has slept.
    #[must_use]
    pub fn idle(&self) -> u64 {
        self.idle
    }

    /// The hart, for reading its state.
    #[must_use]
    pub fn hart(&self) -> &Hart {
        &self.hart
    }

    /// The memory, for reading its contents.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    fn reset(&mut self, cause: ResetCause) {
        self.stuck = false;
        let halted = self.hart.is_halted();
        let stack_pointer = self.hart.register(2);
        self.peripherals
            .units
            .assist_debug
            .before_reset(cause, self.hart.pc(), stack_pointer);
        self.hart.reset();
        self.peripherals.reset(cause, &mut self.memory, self.hart.now());
        self.debug.after_reset(halted, &mut self.hart);
    }

    /// Executes one instruction for the debugger, and halts again. If an interrupt is due that the debugger allows, its
    /// handler is entered instead.
    fn step(&mut self) {
        let (pc, now) = (self.hart.pc(), self.hart.now());
        let mut exit = self.hart.run(&mut self.memory, &mut self.peripherals, now);
        if self.hart.pc() == pc && !self.hart.is_asleep() {
            exit = self.hart.run(&mut self.memory, &mut self.peripherals, now + 1);
        }
        self.note(exit);
        self.hart.halt(HaltCause::Step);
    }

    /// Tells the peripherals when a debugger has halted the hart or let it run again.
    fn note_halted(&mut self) {
        let halted = self.hart.is_halted();
        if self.halted != halted {
            self.halted = halted;
            self.stuck &= !halted;
            self.peripherals.set_halted(halted, self.hart.now());
        }
    }

    /// Handles the reason for which the hart has stopped.
    fn note(&mut self, exit: Exit) {
        match exit {
            Exit::Deadline | Exit::Yield | Exit::Wfi => {}
            Exit::Breakpoint(_) => self.hart.halt(HaltCause::Ebreak),
            Exit::Trigger => self.hart.halt(HaltCause::Trigger),
            Exit::DoubleTrap => self.report_stuck(),
        }
    }

    fn report_stuck(&mut self) {
        const MEPC: u16 = 0x341;
        const MCAUSE: u16 = 0x342;
        self.stuck = true;
        let event = HardwareEvent::Stuck {
            cause: self.hart.csr(MCAUSE).unwrap_or(0),
            at: self.hart.csr(MEPC).unwrap_or(0),
        };
        self.peripherals.log.push(self.hart.now(), event);
    }
}
