//! Events of the hardware that a serial console does not show: resets, accesses to registers that are not modelled, bus
//! errors. Events enter from the chip and its peripherals; the list leaves. It knows no peripheral.

use std::collections::HashSet;
use std::fmt;

use crate::clock::CYCLES_PER_MICROSECOND;

/// An event, and when it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Microseconds of the chip's clock since the board was started.
    pub microseconds: u64,
    /// What happened.
    pub event: HardwareEvent,
}

/// What happened in the hardware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HardwareEvent {
    /// The chip or its processor was reset.
    Reset(ResetCause),
    /// The first access to a register whose function is not modelled. The register only keeps what is written to it.
    Unmodelled {
        /// The register's address.
        address: u32,
        /// Peripheral and register, such as `UART0.INT_RAW`, or `UART0+0x123` if the chip's description has no name for
        /// it.
        register: String,
        /// The value written, or `None` for a read.
        written: Option<u32>,
    },
    /// An access to an address at which nothing answers. The hart has taken an access fault.
    BusError {
        /// The address.
        address: u32,
        /// Whether it was a store.
        store: bool,
    },
    /// A program or erase of the flash was interrupted. Some bits there have their old values and some their new ones.
    FlashInterrupted {
        /// The address in flash at which it began.
        address: u32,
        /// How many bytes it would have changed.
        length: u32,
    },
    /// The first use of a command that the flash chip does not have. The flash chip ignores it.
    UnknownFlashCommand {
        /// The command's number.
        opcode: u8,
    },
    /// The hart is stuck in an exception whose handler cannot be fetched, until a watchdog or EN resets it.
    Stuck {
        /// The cause of the last trap (mcause).
        cause: u32,
        /// The address at which it happened (mepc).
        at: u32,
    },
}

/// Why the chip was reset, numbered as RTC_CNTL_RESET_STATE.RESET_CAUSE_PROCPU (ESP32-C3 Technical Reference Manual,
/// chapter "Reset and Clock").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ResetCause {
    /// Power-on, or the EN line.
    PowerOn = 0x01,
    /// Software reset of the digital system (RTC_CNTL_SW_SYS_RST).
    SoftwareSystem = 0x03,
    /// The end of deep sleep.
    DeepSleep = 0x05,
    /// Watchdog of timer group 0, system reset.
    TimerGroup0System = 0x07,
    /// Watchdog of timer group 1, system reset.
    TimerGroup1System = 0x08,
    /// RTC watchdog, system reset.
    RtcWatchdogSystem = 0x09,
    /// Watchdog of timer group 0, processor reset.
    TimerGroup0Cpu = 0x0B,
    /// Software reset of the processor (RTC_CNTL_SW_PROCPU_RST).
    SoftwareCpu = 0x0C,
    /// RTC watchdog, processor reset.
    RtcWatchdogCpu = 0x0D,
    /// The brown-out detector.
    BrownOut = 0x0F,
    /// RTC watchdog, reset of the whole chip.
    RtcWatchdogRtc = 0x10,
    /// Watchdog of timer group 1, processor reset.
    TimerGroup1Cpu = 0x11,
    /// Super watchdog.
    SuperWatchdog = 0x12,
    /// A glitch of the crystal's clock.
    ClockGlitch = 0x13,
    /// The eFuses' checksum is wrong.
    EfuseCrc = 0x14,
    /// USB serial/JTAG controller: reset by the host's modem lines.
    UsbUart = 0x15,
    /// Reset of the digital system by JTAG.
    UsbJtag = 0x16,
    /// A glitch of the supply.
    PowerGlitch = 0x17,
}

impl ResetCause {
    /// Whether only the processor is reset, while all peripherals keep their state.
    pub(crate) fn is_cpu_only(self) -> bool {
        matches!(
            self,
            Self::TimerGroup0Cpu | Self::TimerGroup1Cpu | Self::SoftwareCpu | Self::RtcWatchdogCpu
        )
    }

    /// Whether the RTC domain is reset too.
    pub(crate) fn reaches_rtc(self) -> bool {
        matches!(
            self,
            Self::PowerOn | Self::BrownOut | Self::RtcWatchdogRtc | Self::SuperWatchdog | Self::ClockGlitch
        )
    }
}

impl fmt::Display for HardwareEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset(cause) => write!(formatter, "reset {:#x} ({cause:?})", *cause as u8),
            Self::Unmodelled {
                address,
                register,
                written: None,
            } => write!(formatter, "read of {register} ({address:#010x}), which is not modelled"),
            Self::Unmodelled {
                address,
                register,
                written: Some(value),
            } => write!(
                formatter,
                "write of {value:#010x} to {register} ({address:#010x}), which is not modelled"
            ),
            Self::BusError { address, store } => {
                let access = if *store { "store to" } else { "load from" };
                write!(formatter, "{access} {address:#010x}, where nothing answers")
            }
            Self::FlashInterrupted { address, length } => {
                write!(
                    formatter,
                    "flash interrupted while changing {length} bytes at {address:#08x}"
                )
            }
            Self::UnknownFlashCommand { opcode } => {
                write!(
                    formatter,
                    "flash command {opcode:#04x}, which the flash chip does not have"
                )
            }
            Self::Stuck { cause, at } => write!(
                formatter,
                "hart stuck: cannot fetch the trap handler for cause {cause} at {at:#010x}"
            ),
        }
    }
}

/// The list of events, and the addresses that it has reported.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    entries: Vec<LogEntry>,
    reported: HashSet<u32>,
}

/// The most events that are kept until they are taken. Later ones are dropped.
const CAPACITY: usize = 10_000;

impl Log {
    pub(crate) fn push(&mut self, now: u64, event: HardwareEvent) {
        if self.entries.len() < CAPACITY {
            self.entries.push(LogEntry {
                microseconds: now / CYCLES_PER_MICROSECOND,
                event,
            });
        }
    }

    /// Adds an event that is reported only once for each address.
    pub(crate) fn push_once(&mut self, now: u64, address: u32, event: impl FnOnce() -> HardwareEvent) {
        if self.reported.len() < CAPACITY && self.reported.insert(address) {
            self.push(now, event());
        }
    }

    pub(crate) fn take(&mut self) -> Vec<LogEntry> {
        std::mem::take(&mut self.entries)
    }
}
