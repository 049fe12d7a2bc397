//! Debug probes for a virtual ESP32-C3. A board's debug port enters. Debuggers reach it over TCP, as a Black Magic
//! Probe ([`BmpServer`]), or in this process, as a probe of probe-rs (`driver`, with the feature `probe-rs`). Both
//! clock the chip's JTAG TAP, so this crate knows no register of the debug module.

mod protocol;
mod server;
#[cfg(feature = "probe-rs")]
pub mod driver;

pub use server::{BmpServer, BmpServerError};
