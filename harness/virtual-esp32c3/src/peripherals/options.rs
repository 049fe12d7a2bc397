//! What the peripherals are made with.

/// What is fixed when the chip is made.
#[derive(Debug, Clone)]
pub(crate) struct PeripheralOptions {
    /// In the eFuses.
    pub(crate) mac: [u8; 6],
    /// The chip's revision, major and minor.
    pub(crate) revision: (u8, u8),
    /// Where random numbers begin.
    pub(crate) seed: u64,
    /// What is at the line of UART0.
    pub(crate) uart0: FarEnd,
    /// What is at the cable of the USB serial/JTAG.
    pub(crate) usb: FarEnd,
}

/// The other end of a serial port's line or cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FarEnd {
    /// Nothing is there.
    Open,
    /// Something listens and may send.
    Connected,
}
