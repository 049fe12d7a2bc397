//! The chip's clocks, and how cycles of the hart's clock convert to time and back.
//!
//! The hart's clock counts cycles since power-on: one for each instruction, and as many as pass while the hart sleeps.

use std::time::Duration;

/// Frequency of the hart's clock in Hz.
pub const CYCLES_PER_SECOND: u64 = 160_000_000;
/// Cycles of the hart's clock in one microsecond.
pub const CYCLES_PER_MICROSECOND: u64 = CYCLES_PER_SECOND / 1_000_000;
/// Frequency in Hz of the RTC's slow clock, which its RC oscillator drives after power-on.
pub(crate) const RTC_SLOW_HZ: u64 = 136_000;

const NANOSECONDS_PER_SECOND: u128 = 1_000_000_000;

/// Cycles that fill `time`, rounded up: after that many cycles all of `time` has passed.
pub(crate) fn cycles(time: Duration) -> u64 {
    let cycles = (time.as_nanos() * u128::from(CYCLES_PER_SECOND)).div_ceil(NANOSECONDS_PER_SECOND);
    u64::try_from(cycles).unwrap_or(u64::MAX)
}

/// The time that `cycles` take, rounded down to a nanosecond.
pub(crate) fn duration(cycles: u64) -> Duration {
    let nanoseconds = u128::from(cycles) * NANOSECONDS_PER_SECOND / u128::from(CYCLES_PER_SECOND);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_round_up_so_that_the_time_is_over() {
        assert_eq!(cycles(Duration::ZERO), 0);
        assert_eq!(cycles(Duration::from_nanos(1)), 1);
        assert_eq!(cycles(Duration::from_secs(1)), CYCLES_PER_SECOND);
        for nanoseconds in [1, 6, 7, 999, 1_000_001] {
            let time = Duration::from_nanos(nanoseconds);
            assert!(duration(cycles(time)) >= time, "{time:?}");
        }
    }
}
