//! The table of the chip's peripherals, which has one line for each. The macro turns the lines into the struct
//! [`Units`], its constructor, the dispatch by address, resets by SYSTEM, interrupt and wake-up sources, and DMA.
//!
//! A line is `name: Type(arguments) @ base`. The constructor gets the bases and then the arguments. After the base
//! follow, in this order, the words that apply:
//! - `and base at OFFSET` gives the peripheral another window of one page. Its registers have offsets from `OFFSET` on.
//! - `interrupt n` is the number of its first interrupt source (chapter "Interrupt Matrix", table of the sources).
//! - `wake n` is its number as a wake-up source (chapter "Low-power Management", section "Wakeup Source").
//! - `reset n` is its bit in SYSTEM.PERIP_RST_EN0: a store with the bit set resets it (chapter "System Registers").
//! - `clock n held by m...` are its bits in SYSTEM.PERIP_CLK_EN1 and PERIP_RST_EN1. Without its clock, or held in reset
//!   by one of the others, it reads as zero and ignores stores.
//! - `dma n` is its number as a peer of the DMA controller (chapter "GDMA Controller", register CHn_IN_PERI_SEL).
//!
//! A peripheral answers from its base to the end of that page of 4 KB. Of two that share a page, the higher one comes
//! first.
//! (ESP32-C3 Technical Reference Manual, chapter "System and Memory", for the bases. The `esp32c3` description has
//! those that the manual leaves out.)

use super::aes::Aes;
use super::analog::AnalogBus;
use super::apb::ApbControl;
use super::assist_debug::AssistDebug;
use super::cache::{Cache, MmuTable};
use super::digital_signature::DigitalSignature;
use super::efuse::Efuse;
use super::gdma::Gdma;
use super::gpio::{Gpio, IO_MUX};
use super::hmac::Hmac;
use super::interrupt_matrix::InterruptMatrix;
use super::openeth::OpenEth;
use super::options::{FarEnd, PeripheralOptions};
use super::peripheral::{Context, Peripheral};
use super::rsa::Rsa;
use super::rtc_cntl::RtcControl;
use super::settings::{self, Settings};
use super::sha::Sha;
use super::spi_flash::SpiFlash;
use super::system::{Resets, System};
use super::systimer::SystemTimer;
use super::timer_group::{self, TimerGroup};
use super::uart::{self, Uart};
use super::usb_serial_jtag::UsbSerialJtag;
use crate::memory::Memory;

/// What answers at an address.
pub(super) enum Place<'a> {
    /// A peripheral, and the offset of the register in it.
    Unit(&'a mut dyn Peripheral, u32),
    /// A peripheral that has no clock or is held in reset.
    Off,
    /// A page that no peripheral here has.
    Unknown,
}

macro_rules! peripherals {
    // `$d` is a dollar sign, for the macro that this one defines.
    (
        ($d:tt) $options:ident;
        $(
            $(#[$attribute:meta])*
            $unit:ident: $type:ident $(($($argument:expr),+))? @ $base:literal $(and $more:literal at $offset:ident)*
            $(, interrupt $source:literal)?
            $(, wake $wake:literal)?
            $(, reset $reset:literal)?
            $(, clock $clock:literal held by $($held:literal)+)?
            $(, dma $peer:literal)?
            ;
        )+
    ) => {
        /// The peripherals of the table, a field each.
        #[derive(Debug, Clone)]
        pub(crate) struct Units {
            $($(#[$attribute])* pub(crate) $unit: $type,)+
        }

        #[expect(non_upper_case_globals, reason = "constants that are named like the fields")]
        mod page {
            $(pub(super) const $unit: u32 = $base >> 12;)+
        }

        impl Units {
            /// Numbers of the DMA controller's peers.
            const DMA_PEERS: &[u32] = &[$($($peer,)?)+];

            pub(super) fn new($options: &PeripheralOptions) -> Self {
                Self {
                    $($unit: $type::new($base $(, $more)* $($(, $argument)+)?),)+
                }
            }

            /// What answers at an address.
            pub(super) fn at(&mut self, address: u32) -> Place<'_> {
                match address >> 12 {
                    $(
                        page::$unit if address >= $base => {
                            $(if !self.system.runs(1 << $clock, 0 $(| 1 << $held)+) {
                                return Place::Off;
                            })?
                            Place::Unit(&mut self.$unit, address - $base)
                        }
                    )+
                    $($(_ if address >> 12 == $more >> 12 => {
                        Place::Unit(&mut self.$unit, $offset + address - $more)
                    })*)+
                    _ => Place::Unknown,
                }
            }

            /// Resets what software has asked SYSTEM to reset.
            pub(super) fn reset_by_system(&mut self, resets: Resets, context: &mut Context<'_>) {
                $(
                    $(if resets.en0 & 1 << $reset != 0 {
                        self.$unit.reset(context);
                    })?
                    $(if resets.en1 & (0 $(| 1 << $held)+) != 0 {
                        self.$unit.reset(context);
                    })?
                )+
            }

            /// Levels of all interrupt sources, a bit each.
            pub(super) fn interrupts(&self) -> u64 {
                0 $($(| self.$unit.interrupts() << $source)?)+
            }

            /// The sources that ask to wake the chip from light sleep, by their bits in RTC_CNTL.WAKEUP_STATE.
            pub(super) fn wake_sources(&self) -> u32 {
                0 $($(| u32::from(self.$unit.wakes()) << $wake)?)+
            }

            /// Lets the DMA controller and its peers move bytes, at this time of their clock.
            pub(super) fn transfer(&mut self, memory: &mut Memory, now: u64) {
                let mut goes_on = false;
                $($(goes_on |= self.$unit.transfer(&mut self.gdma.port($peer, memory));)?)+
                goes_on |= self.gdma.copy(memory);
                self.gdma.pause(goes_on.then_some(now));
            }
        }

        /// Evaluates an expression for each peripheral: `each!(&mut units, unit => unit.update(context))`, or with
        /// `&units`.
        macro_rules! each {
            (&mut $d units:expr, $d unit:ident => $d body:expr) => {
                $({
                    let $d unit = &mut $d units.$unit;
                    $d body;
                })+
            };
            (&$d units:expr, $d unit:ident => $d body:expr) => {
                $({
                    let $d unit = &$d units.$unit;
                    $d body;
                })+
            };
        }
        pub(super) use each;

        #[cfg(test)]
        impl Units {
            /// Each peripheral's name, the base of each of its windows, and the offset at which that begins.
            pub(super) const WINDOWS: &[(&str, u32, u32)] = &[
                $((stringify!($unit), $base, 0), $((stringify!($unit), $more, $offset),)*)+
            ];
        }
    };
}

// In the arguments, `options` are the `PeripheralOptions`.
peripherals! { ($) options;
    uart0: Uart(&uart::UART0, options.uart0) @ 0x6000_0000, interrupt 21, wake 6, reset 2;
    spi1: SpiFlash(options.seed) @ 0x6000_2000;
    spi0: Settings(&settings::SPI0) @ 0x6000_3000;
    gpio: Gpio @ 0x6000_4000 and 0x6000_9000 at IO_MUX, interrupt 16, wake 2;
    fe2: Settings(&settings::FE2) @ 0x6000_5000;
    fe: Settings(&settings::FE) @ 0x6000_6000;
    efuse: Efuse(options.mac, options.revision) @ 0x6000_8800, interrupt 24;
    rtc: RtcControl @ 0x6000_8000, interrupt 27;
    analog: AnalogBus @ 0x6000_E000;
    uart1: Uart(&uart::UART1, FarEnd::Open) @ 0x6001_0000, interrupt 22, wake 7, reset 5;
    nrx: Settings(&settings::NRX) @ 0x6001_CC00;
    bb: Settings(&settings::BB) @ 0x6001_D000;
    timer_group0: TimerGroup(timer_group::GROUP0) @ 0x6001_F000, interrupt 32, reset 13;
    timer_group1: TimerGroup(timer_group::GROUP1) @ 0x6002_0000, interrupt 34, reset 15;
    systimer: SystemTimer @ 0x6002_3000, interrupt 37, reset 29;
    apb: ApbControl(options.seed) @ 0x6002_6000;
    aes: Aes @ 0x6003_A000, interrupt 48, clock 1 held by 1 4, dma 6;
    sha: Sha @ 0x6003_B000, interrupt 49, clock 2 held by 2 4 5, dma 7;
    rsa: Rsa @ 0x6003_C000, interrupt 47, clock 3 held by 3 4;
    signature: DigitalSignature @ 0x6003_D000, clock 4 held by 4;
    hmac: Hmac @ 0x6003_E000, clock 5 held by 5;
    gdma: Gdma(Self::DMA_PEERS) @ 0x6003_F000, interrupt 44, clock 6 held by 6;
    saradc: Settings(&settings::SARADC) @ 0x6004_0000;
    usb: UsbSerialJtag(options.usb) @ 0x6004_3000, interrupt 26, reset 23;
    system: System @ 0x600C_0000, interrupt 50;
    sensitive: Settings(&settings::SENSITIVE) @ 0x600C_1000;
    matrix: InterruptMatrix @ 0x600C_2000;
    cache: Cache @ 0x600C_4000;
    mmu: MmuTable @ 0x600C_5000;
    openeth: OpenEth @ 0x600C_D000, interrupt 0;
    assist_debug: AssistDebug @ 0x600C_E000, interrupt 54;
}
