//! Facts about the chip, its watchdog, its random numbers, its reset.

use alloc::string::String;
use core::fmt::Write;

use embassy_time::{Duration, Instant, Timer};
use esp_hal::peripherals::TIMG0;
use esp_hal::rng::Rng;
use esp_hal::rtc_cntl::SocResetReason;
use esp_hal::timer::timg::{MwdtStage, Wdt};
use pinrig_app::platform::{Board, Identity, Usage};
use rand_core::{CryptoRng, RngCore};

use crate::stack;

/// Longer than any stretch of computing without an await: a TLS handshake takes 0.2 seconds, the radio's WPA2 key less
/// than one.
const WATCHDOG: esp_hal::time::Duration = esp_hal::time::Duration::from_secs(3);
const FEED_EVERY: Duration = Duration::from_secs(1);

/// Feeds the main watchdog for as long as the executor gets round.
#[embassy_executor::task]
pub(crate) async fn feed_watchdog(mut watchdog: Wdt<TIMG0<'static>>) {
    watchdog.set_timeout(MwdtStage::Stage0, WATCHDOG);
    watchdog.enable();
    loop {
        watchdog.feed();
        Timer::after(FEED_EVERY).await;
    }
}

/// The chip as the shell sees it.
pub(crate) struct ChipBoard;

impl Board for ChipBoard {
    fn identity(&self) -> Identity {
        Identity {
            firmware: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            image: image_identity(),
            board: if cfg!(feature = "virtual") { "virtual" } else { "wifi" },
            reset: reset_reason(),
        }
    }

    fn usage(&self) -> Usage {
        let heap = esp_alloc::HEAP.stats();
        let (stack_end, stack_start) = stack::bounds();
        Usage {
            heap_size: heap.size,
            heap_used: heap.current_usage,
            heap_peak: heap.max_usage,
            stack_size: stack_start - stack_end,
            stack_peak: stack::peak(),
            uptime_ms: Instant::now().as_millis(),
        }
    }

    fn reset(&mut self) {
        crate::console::drain();
        esp_hal::system::software_reset()
    }

    #[cfg(feature = "test-commands")]
    fn hang(&mut self) {
        crate::console::drain();
        critical_section::with(|_| {
            loop {
                core::hint::spin_loop();
            }
        })
    }
}

/// The first 16 hexadecimal digits of `app_elf_sha256` as it stands in flash: espflash writes it there when it makes the
/// image, so the linker's zeros must not be taken for it.
fn image_identity() -> String {
    let descriptor = &raw const crate::ESP_APP_DESC;
    // SAFETY: points at a static of that type in mapped flash; volatile because flash holds other bytes there than those
    // that the compiler knows.
    let descriptor = unsafe { descriptor.read_volatile() };
    descriptor.app_elf_sha256()[..8]
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
            text
        })
}

/// ESP32-C3 technical reference manual, RTC_CNTL_RESET_CAUSE_PROCPU.
fn reset_reason() -> &'static str {
    match esp_hal::system::reset_reason() {
        Some(SocResetReason::ChipPowerOn) => "power-on",
        Some(SocResetReason::CoreSw | SocResetReason::Cpu0Sw) => "software",
        Some(SocResetReason::CoreDeepSleep) => "deep-sleep",
        Some(SocResetReason::CoreMwdt0 | SocResetReason::Cpu0Mwdt0) => "tg0-watchdog",
        Some(SocResetReason::CoreMwdt1 | SocResetReason::Cpu0Mwdt1) => "tg1-watchdog",
        Some(SocResetReason::CoreRtcWdt | SocResetReason::Cpu0RtcWdt | SocResetReason::SysRtcWdt) => "rtc-watchdog",
        Some(SocResetReason::SysSuperWdt) => "super-watchdog",
        Some(SocResetReason::SysBrownOut) => "brownout",
        Some(SocResetReason::SysClkGlitch | SocResetReason::CorePwrGlitch) => "glitch",
        Some(SocResetReason::CoreEfuseCrc) => "efuse-crc",
        Some(SocResetReason::CoreUsbUart) => "usb-uart",
        Some(SocResetReason::CoreUsbJtag) => "usb-jtag",
        None => "unknown",
    }
}

/// The chip's random number generator.
///
/// With the radio on it is fed with thermal noise; nothing that needs secrets happens before the radio is on. On the
/// virtual board it is whatever that board puts into the register.
pub(crate) struct HardwareRandom(Rng);

impl HardwareRandom {
    pub(crate) fn new() -> Self {
        Self(Rng::new())
    }
}

impl CryptoRng for HardwareRandom {}

impl RngCore for HardwareRandom {
    fn next_u32(&mut self) -> u32 {
        self.0.random()
    }

    fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) << 32 | u64::from(self.next_u32())
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.read(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}
