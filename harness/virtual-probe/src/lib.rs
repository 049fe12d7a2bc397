//! Debug probes for a virtual ESP32-C3. A board's debug port enters; debuggers reach it over TCP, as a Black Magic Probe
//! ([`BmpServer`]), or in this process, as a probe of probe-rs (`driver`, with the feature `probe-rs`). It knows no register
//! of the debug module: both speak to the chip's JTAG TAP.

mod protocol;
mod server;
#[cfg(feature = "probe-rs")]
pub mod driver;

pub use server::{BmpServer, BmpServerError};
