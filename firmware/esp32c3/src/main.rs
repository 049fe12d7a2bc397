//! The image of an ESP32-C3: brings the chip up and hands console, network, randomness and the board's facts to the
//! client in `pinrig-app`. It knows no TLS and no command.
//!
//! Built with exactly one of the features `virtual` (a wired OpenCores Ethernet MAC, as emulators have) and `wifi`.
#![no_std]
#![no_main]

extern crate alloc;

mod board;
mod console;
mod network;
mod panic;
mod stack;

#[cfg(feature = "virtual")]
#[path = "openeth.rs"]
mod link;
#[cfg(feature = "wifi")]
#[path = "wifi.rs"]
mod link;

#[cfg(not(any(feature = "virtual", feature = "wifi")))]
compile_error!("choose the feature `virtual` or `wifi`: the image needs a network");
#[cfg(all(feature = "virtual", feature = "wifi"))]
compile_error!("choose one of the features `virtual` and `wifi`, not both");

use embassy_executor::Spawner;
use esp_hal::clock::CpuClock;
use esp_hal::timer::systimer::SystemTimer;
use esp_hal::timer::timg::TimerGroup;
use pinrig_app::shell::Shell;

use crate::board::{ChipBoard, HardwareRandom};
use crate::console::DualConsole;
use crate::network::ChipNetwork;

// Fixed texts where the macro would put the date of the build: the same sources must give the same bytes.
esp_bootloader_esp_idf::esp_app_desc!(
    env!("CARGO_PKG_VERSION"),
    env!("CARGO_PKG_NAME"),
    "00:00:00",
    "1970-01-01",
    esp_bootloader_esp_idf::ESP_IDF_COMPATIBLE_VERSION,
    esp_bootloader_esp_idf::MMU_PAGE_SIZE,
    0,
    u16::MAX,
    esp_bootloader_esp_idf::SECURE_VERSION
);

/// A run's buffers: TLS records 19 KB, TCP windows 12 KB, the held-back start of a body 8 KB and copies of pieces; with
/// the radio also its driver's 50-60 KB.
const HEAP_BYTES: usize = if cfg!(feature = "wifi") { 136 * 1024 } else { 96 * 1024 };

#[esp_rtos::main]
async fn main(spawner: Spawner) {
    stack::paint();
    let chip = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    esp_alloc::heap_allocator!(size: HEAP_BYTES);
    esp_rtos::start(SystemTimer::new(chip.SYSTIMER).alarm0, chip.FROM_CPU_INTR0);

    let watchdog = TimerGroup::new(chip.TIMG0).wdt;
    spawner.spawn(board::feed_watchdog(watchdog).expect("the task is spawned once"));

    let console = DualConsole::new(chip.UART0, chip.GPIO20, chip.GPIO21, chip.USB_DEVICE);
    #[cfg(feature = "virtual")]
    let network = ChipNetwork::new(spawner, link::Link::new());
    #[cfg(feature = "wifi")]
    let network = ChipNetwork::new(spawner, link::Link::new(chip.WIFI));

    Shell::new(console, network, ChipBoard, HardwareRandom::new())
        .serve()
        .await;
}
