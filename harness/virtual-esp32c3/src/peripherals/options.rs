//! The options that the chip passes to its peripherals.

/// Properties of a chip that are fixed when it is made.
#[derive(Debug, Clone)]
pub(crate) struct PeripheralOptions {
    /// The MAC address in the eFuses.
    pub(crate) mac: [u8; 6],
    /// The chip's revision, major and minor.
    pub(crate) revision: (u8, u8),
    /// The seed of all random numbers.
    pub(crate) seed: u64,
    /// The other end of UART0's line.
    pub(crate) uart0: FarEnd,
    /// The other end of the USB cable.
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
