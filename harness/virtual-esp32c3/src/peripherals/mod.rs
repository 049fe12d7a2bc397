//! The chip's peripherals behind one bus. Loads and stores enter by address; the interrupt line and reset requests
//! leave. It knows no hart.
//!
//! Each peripheral is a file that implements the trait `Peripheral` (`peripheral.rs`), and a line of the table
//! (`table.rs`). The bus (`soc_bus.rs`) finds it in the table. No peripheral knows another. What passes between two of
//! them goes through `wiring.rs`, over signals of the GPIO matrix (`signals.rs`), or by DMA (`dma_port.rs`). To add one,
//! write its file, declare that below, and add its line to the table.
//!
//! The other files are parts of one peripheral or more: `uart_line.rs` of the UARTs; `flash_chip.rs`, `opcode.rs` and
//! `sfdp.rs` of SPI1; `sleep.rs` and `watchdog.rs` of RTC control; `reed_solomon.rs` of the eFuses; `montgomery.rs`,
//! `sha_states.rs` and `key.rs` of the accelerators.
//! (ESP32-C3 Technical Reference Manual, whose chapters the files name.)

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

pub(crate) use options::{FarEnd, PeripheralOptions};
pub(crate) use soc_bus::Peripherals;
pub(crate) use uart::Uart;
pub use uart_line::{UartFormat, UartParity};
