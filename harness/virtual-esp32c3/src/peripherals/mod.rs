//! The chip's peripherals behind one bus. Loads and stores enter by address; the interrupt line and reset requests leave. It
//! knows no hart.
//!
//! Each peripheral is a file and a line of the table (`table.rs`), and implements `Peripheral` (`peripheral.rs`). None knows
//! another: what passes between them goes through `wiring.rs`, signals of the GPIO matrix and DMA through `signals.rs` and
//! `dma_port.rs`. A few have parts in files of their own: RTC control (`sleep.rs`, `watchdog.rs`), the UARTs
//! (`uart_line.rs`), SPI1 (the flash chip), and the eFuses and accelerators their arithmetic.

mod registers;
mod options;
mod clocks;
mod signals;
mod dma_port;
mod key;
mod peripheral;

mod uart_line;
mod uart;
mod usb_serial_jtag;
mod opcode;
mod sfdp;
mod flash_chip;
mod spi_flash;
mod cache;
mod reed_solomon;
mod efuse;
mod watchdog;
mod sleep;
mod rtc_cntl;
mod timer_group;
mod systimer;
mod interrupt_matrix;
mod gdma;
mod aes;
mod sha_states;
mod sha;
mod montgomery;
mod rsa;
mod hmac;
mod digital_signature;
mod gpio;
mod settings;
mod system;
mod analog;
mod apb;
mod assist_debug;
mod openeth;

mod table;
mod wiring;
mod soc_bus;
#[cfg(test)]
mod tests;

pub use flash_chip::FlashTiming;
pub(crate) use options::{FarEnd, PeripheralOptions};
pub(crate) use soc_bus::Peripherals;
pub(crate) use uart::Uart;
pub use uart_line::{UartFormat, UartParity};
