//! The deterministic core: hart, memory and peripherals. Bytes, frames, strapping and time enter as arguments; bytes, frames
//! and hardware events leave. It never reads the host's clock: same image, same inputs at the same times, same seed, same
//! instruction count.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::debug::{DebugModule, DebugReset, DmiAccess, JtagClock, JtagTap, Target};
use crate::hart::{Exit, HaltCause, Hart};
use crate::log::{HardwareEvent, LogEntry, ResetCause};
use crate::memory::Memory;
use crate::peripherals::{FarEnd, PeripheralOptions, Peripherals, Uart};
pub use crate::peripherals::{FlashTiming, UartFormat, UartParity};
use crate::rom::{RomError, mask_rom};

/// The hart's clock.
pub const CYCLES_PER_SECOND: u64 = 160_000_000;
/// The hart's clock, by the microsecond.
pub const CYCLES_PER_MICROSECOND: u64 = CYCLES_PER_SECOND / 1_000_000;
/// The RTC's slow clock: its RC oscillator.
pub(crate) const RTC_SLOW_HZ: u64 = 136_000;

/// Where the hart starts: the ROM's first instruction.
const RESET_VECTOR: u32 = 0x4000_0000;
/// Cycles that the chip runs at most before what has become due is looked at.
const STRIDE: u64 = 1 << 20;

/// Which of the chip's serial ports leads to the tty. Nothing is connected to the other one.
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
    /// The console's, as long as that is not the USB serial/JTAG.
    Uart0,
    /// The other one.
    Uart1,
}

/// What a chip is made of.
#[derive(Debug, Clone)]
pub struct ChipOptions {
    /// Contents of the flash chip; the length is its size.
    pub flash: Arc<[u8]>,
    /// The MAC address in the eFuses.
    pub mac: [u8; 6],
    /// The chip's revision, major and minor.
    pub revision: (u8, u8),
    /// Where the random numbers begin.
    pub seed: u64,
    /// The port at which bytes enter and leave.
    pub console: ConsolePort,
}

/// Why [`Chip::run`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The time is up.
    Deadline,
    /// The hart waits for an interrupt, or the chip sleeps, until this time of the chip's clock, or an input; `u64::MAX` for
    /// ever.
    Asleep(u64),
    /// The chip is held in reset.
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
    /// The hart was in debug mode when the peripherals were last told.
    halted: bool,
    held: bool,
    stuck: bool,
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

    /// Sets the EN line and the level on GPIO9. EN low holds the chip in reset; when EN rises the strapping is sampled.
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

    /// The far end of a pin (0..=21) drives it to a level, or with `None` lets go of it. On a pad with several drivers low
    /// wins. The pins keep what drives them through resets; the boot button of [`Chip::set_lines`] is on GPIO9.
    pub fn set_pin(&mut self, pin: u8, level: Option<bool>) {
        self.peripherals.drive_pin(pin, level, self.hart.now());
    }

    /// The far end of a UART's line sends, bit by bit and without asking whether the chip is ready. The chip's receiver samples that as
    /// its software has set it, so a far end at another rate or in another format is misunderstood as on a bench. RTS and CTS
    /// are pins: [`Chip::set_pin`], [`Chip::pins`].
    pub fn transmit(&mut self, uart: UartPort, format: &UartFormat, bytes: &[u8]) {
        let now = self.peripherals.digital(self.hart.now());
        if !self.held {
            self.uart(uart).transmit_to(format, bytes, now);
        }
    }

    /// The far end holds a UART's line low for this many cycles of the hart, and then lets it rest for as many.
    pub fn transmit_break(&mut self, uart: UartPort, cycles: u64) {
        let now = self.peripherals.digital(self.hart.now());
        if !self.held {
            self.uart(uart).break_line(cycles, now);
        }
    }

    /// What a UART has sent since this was last asked; of more than 64 KB the last.
    pub fn transmitted(&mut self, uart: UartPort) -> Vec<u8> {
        self.uart(uart).take_heard()
    }

    /// Bits a second at which a UART sends and receives, as the software has set it.
    pub fn baud(&mut self, uart: UartPort) -> u32 {
        self.uart(uart).baud()
    }

    fn uart(&mut self, uart: UartPort) -> &mut Uart {
        match uart {
            UartPort::Uart0 => &mut self.peripherals.units.uart0,
            UartPort::Uart1 => &mut self.peripherals.units.uart1,
        }
    }

    /// Levels at the pins, GPIO0 in bit 0, as a meter would show them.
    #[must_use]
    pub fn pins(&self) -> u32 {
        self.peripherals.units.gpio.pads()
    }

    /// The cable to the USB serial/JTAG's host is plugged in, or unplugged: no frames start then, and nobody collects what is sent.
    pub fn set_usb_host(&mut self, host: bool) {
        let now = self.peripherals.digital(self.hart.now());
        let host = if host { FarEnd::Connected } else { FarEnd::Open };
        self.peripherals.units.usb.set_host(host, now);
    }

    /// The USB serial/JTAG's host moves the lines of its serial port. DTR alone asks for download mode at the next reset, none takes that
    /// back, RTS alone resets, and both together do nothing. The strapping pins are not sampled at such a reset.
    /// (ESP32-C3 Technical Reference Manual, chapter "USB Serial/JTAG Controller", "CDC-ACM USB Interface Functional Description".)
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

    /// The supply dips below the threshold of the brown-out detector for a moment: it interrupts, resets, or does neither, as
    /// software has set it.
    pub fn brown_out(&mut self) {
        self.peripherals.units.rtc.brown_out(self.hart.now());
    }

    /// Resets the chip for a reason that lies outside it, as a glitch of its clock or supply does.
    pub fn reset_by(&mut self, cause: ResetCause) {
        if !self.held {
            self.reset(cause);
        }
    }

    /// Takes the supply away between two instructions, from the chip and from its flash chip. RAM is lost, and a program or
    /// erase that is under way is torn: of the bits that it changes, as many have changed as time has passed, and which ones
    /// follows from the seed. The supply is back when [`Chip::set_lines`] lets EN rise. EN alone, by contrast, leaves the
    /// flash chip its supply, and lets it finish.
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

    /// Wears out the sector of 4 KB at this address of the flash: what is programmed there does not all arrive.
    pub fn wear_flash_out(&mut self, address: u32) {
        self.peripherals.units.spi1.wear_out(address);
    }

    /// Runs until the chip's clock stands at `until`, or until it has nothing to do.
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

    /// One access of a debugger to the debug module: the value read, zero for a write. `None` while EN holds the chip in
    /// reset, the debug module with it.
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
                // The chip documents no cause of its own for it.
                DebugReset::Hart => ResetCause::SoftwareCpu,
            });
        }
        // The access may have reached registers: those that reset the chip do so at once.
        self.peripherals.update(&mut self.memory, self.hart.now());
        if let Some(cause) = self.peripherals.take_reset() {
            self.reset(cause);
        }
        self.note_halted();
        Some(value)
    }

    /// One rise of TCK at the chip's JTAG pins: the level of TDO before it. While EN is low the TAP works and the debug
    /// module does not answer.
    pub fn jtag(&mut self, clock: JtagClock) -> bool {
        let mut tap = std::mem::take(&mut self.tap);
        let tdo = tap.clock(clock, |access| self.dmi(access));
        self.tap = tap;
        tdo
    }

    /// Lets time pass while the hart sleeps, up to this time of the chip's clock.
    pub fn sleep_until(&mut self, time: u64) {
        let cycles = time.saturating_sub(self.hart.now());
        self.idle += cycles;
        self.hart.advance(cycles);
    }

    /// Bytes from the far end of the console. They wait on the line until the chip takes them.
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

    /// Bytes that the chip has not taken yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        match self.console {
            ConsolePort::Uart0 => self.peripherals.units.uart0.waiting(),
            ConsolePort::UsbSerialJtag => self.peripherals.units.usb.waiting(),
        }
    }

    /// Bytes that the chip has sent. Whoever takes some calls [`Chip::taken`] afterwards.
    pub fn sent(&mut self) -> &mut VecDeque<u8> {
        match self.console {
            ConsolePort::Uart0 => self.peripherals.units.uart0.outgoing(),
            ConsolePort::UsbSerialJtag => self.peripherals.units.usb.outgoing(),
        }
    }

    /// Lets the chip send on what it held back because the far end took nothing.
    pub fn taken(&mut self) {
        self.peripherals.units.uart0.drain();
        self.peripherals.units.usb.drain();
    }

    /// A frame from the wire, without its check sequence.
    pub fn receive_frame(&mut self, frame: Vec<u8>) {
        if !self.held {
            self.peripherals.units.openeth.receive(frame, &mut self.memory);
        }
    }

    /// The next frame that has left the chip, without its check sequence.
    pub fn sent_frame(&mut self) -> Option<Vec<u8>> {
        self.peripherals.units.openeth.outgoing().pop_front()
    }

    /// The flash chip's contents, without a copy.
    #[must_use]
    pub fn flash(&self) -> Arc<[u8]> {
        self.memory.flash_image()
    }

    /// Hardware events since they were last taken.
    pub fn take_log(&mut self) -> Vec<LogEntry> {
        self.peripherals.log.take()
    }

    /// The chip's clock: cycles since it was made.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.hart.now()
    }

    /// When the chip's hardware does something next, whatever its hart does; `u64::MAX` if it does nothing.
    #[must_use]
    pub fn next_event(&self) -> u64 {
        self.peripherals.next_event()
    }

    /// Runs some instructions, and tells whether they were a loop that only waits: for the time, or for a device.
    pub(crate) fn is_spinning(&mut self) -> bool {
        !self.held && !self.stuck && crate::spin::is_spinning(self)
    }

    /// Cycles of the clock that the hart slept.
    #[must_use]
    pub fn idle(&self) -> u64 {
        self.idle
    }

    /// The hart, to look at.
    #[must_use]
    pub fn hart(&self) -> &Hart {
        &self.hart
    }

    /// The memory, to look at.
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

    /// Executes one instruction for the debugger, or enters the handler of an interrupt that it lets through, and halts.
    fn step(&mut self) {
        let (pc, now) = (self.hart.pc(), self.hart.now());
        let mut exit = self.hart.run(&mut self.memory, &mut self.peripherals, now);
        if self.hart.pc() == pc && !self.hart.is_asleep() {
            exit = self.hart.run(&mut self.memory, &mut self.peripherals, now + 1);
        }
        self.note(exit);
        self.hart.halt(HaltCause::Step);
    }

    /// Tells the peripherals when a debugger has halted the hart, or let go of it.
    fn note_halted(&mut self) {
        let halted = self.hart.is_halted();
        if self.halted != halted {
            self.halted = halted;
            self.stuck &= !halted;
            self.peripherals.set_halted(halted, self.hart.now());
        }
    }

    /// Does what the hart has stopped for.
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
