//! The signals between peripherals and the GPIO matrix. Levels of output signals go from peripherals to the matrix, and
//! levels of input signals from the matrix to peripherals. An input and an output share each number. It knows no pad.
//! (ESP32-C3 Technical Reference Manual, chapter "IO MUX and GPIO Matrix", table "Peripheral Signals via GPIO Matrix".)

/// U0RXD and U0TXD.
pub(super) const U0_DATA: u32 = 6;
/// U0CTS and U0RTS.
pub(super) const U0_FLOW: u32 = 7;
/// U1RXD and U1TXD.
pub(super) const U1_DATA: u32 = 9;
/// U1CTS and U1RTS.
pub(super) const U1_FLOW: u32 = 10;
/// The first of the processor's eight lines, CPU_GPIO_IN0 and CPU_GPIO_OUT0.
pub(super) const CPU_GPIO0: u32 = 28;

/// Numbers of signals in the matrix.
const COUNT: u32 = 128;

/// The levels of all output signals. Signals that no peripheral sets are low.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Outputs {
    levels: u128,
}

impl Outputs {
    pub(crate) fn set(&mut self, signal: u32, level: bool) {
        self.levels |= u128::from(level) << (signal % COUNT);
    }

    /// The level of a signal; low for a number that no signal has.
    pub(super) fn level(self, signal: u32) -> bool {
        signal < COUNT && self.levels >> signal & 1 != 0
    }
}

/// The levels of the input signals that go through the matrix.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Inputs {
    levels: u128,
    connected: u128,
}

impl Inputs {
    /// Low levels of the signals whose bits are set in `connected`.
    pub(super) fn of(connected: u128) -> Self {
        Self { levels: 0, connected }
    }

    /// The numbers of the signals that go through the matrix.
    pub(super) fn connected(self) -> impl Iterator<Item = u32> {
        let mut left = self.connected;
        std::iter::from_fn(move || {
            let signal = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            (signal < COUNT).then_some(signal)
        })
    }

    pub(super) fn set_levels(&mut self, levels: u128) {
        self.levels = levels;
    }

    /// The level of a signal; `None` if it bypasses the matrix.
    pub(crate) fn level(&self, signal: u32) -> Option<bool> {
        let set = |bits: u128| bits >> (signal % COUNT) & 1 != 0;
        set(self.connected).then_some(set(self.levels))
    }
}
