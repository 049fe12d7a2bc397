//! The wire into a UART's receiver, as levels in time. The far end puts characters on it in its own format and at its
//! own rate. The receiver samples the middle of each bit in the format and at the rate that it is set to. Where the two
//! differ, the receiver gets what it would get on a real wire: wrong bytes, framing and parity errors, breaks.

use std::collections::VecDeque;

/// Fractions of the hart's cycle in which times are counted here.
const FRACTION: u64 = 256;
const CYCLES_PER_SECOND: u64 = crate::clock::CYCLES_PER_SECOND * FRACTION;

/// The rule for the parity bit after a character's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UartParity {
    /// The number of ones, this bit included, is even.
    Even,
    /// The number of ones, this bit included, is odd.
    Odd,
}

/// The format and the rate at which characters are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UartFormat {
    /// Bits a second; 0 sends nothing.
    pub baud: u32,
    /// Data bits of a character, 5 to 8. They are the lowest bits of each byte.
    pub data_bits: u8,
    /// The parity bit, if there is one.
    pub parity: Option<UartParity>,
    /// Stop bits, 1 or 2.
    pub stop_bits: u8,
}

impl Default for UartFormat {
    /// 115200 8N1.
    fn default() -> Self {
        Self {
            baud: 115_200,
            data_bits: 8,
            parity: None,
            stop_bits: 1,
        }
    }
}

/// The receiver's settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Receiver {
    /// The length of a bit, in 256ths of a cycle.
    pub(super) bit: u64,
    pub(super) data_bits: u32,
    pub(super) parity: Option<UartParity>,
}

/// A character as the receiver has sampled it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Character {
    pub(super) byte: u8,
    pub(super) parity_error: bool,
    /// The line was low at the stop bit.
    pub(super) framing_error: bool,
    /// The line was low at every bit.
    pub(super) is_break: bool,
}

/// The levels that are on their way to the receiver.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    /// The levels to come, each with the time at which it ends. After the last the line is high.
    levels: VecDeque<(bool, u64)>,
    /// The time from which the receiver looks for the next start bit.
    looks_from: u64,
}

impl Line {
    /// The far end sends bytes one after the other. It begins at `now`, or after the bits that it is sending.
    pub(super) fn send(&mut self, format: &UartFormat, bytes: &[u8], now: u64) {
        let Some(bit) = CYCLES_PER_SECOND.checked_div(u64::from(format.baud)) else {
            return;
        };
        let data_bits = u32::from(format.data_bits.clamp(5, 8));
        for byte in bytes {
            let data = u32::from(*byte) & ((1 << data_bits) - 1);
            self.put(false, bit, now);
            for index in 0..data_bits {
                self.put(data >> index & 1 != 0, bit, now);
            }
            if let Some(parity) = format.parity {
                self.put(parity_bit(parity, data), bit, now);
            }
            self.put(true, bit * u64::from(format.stop_bits.clamp(1, 2)), now);
        }
    }

    /// The far end holds the line low for `cycles` cycles, and then lets it rest for as long.
    pub(super) fn send_break(&mut self, cycles: u64, now: u64) {
        self.put(false, cycles.saturating_mul(FRACTION), now);
        self.put(true, cycles.saturating_mul(FRACTION), now);
    }

    /// Drops all levels that are on their way.
    pub(super) fn cut(&mut self) {
        self.levels.clear();
    }

    /// Samples the next character, if the middle of its stop bit has come by `now`, in cycles.
    pub(super) fn receive(&mut self, receiver: &Receiver, now: u64) -> Option<Character> {
        let (start, end) = self.next(receiver)?;
        if end > now * FRACTION {
            return None;
        }
        let middle = |index: u32| self.level(start + receiver.bit * u64::from(index) + receiver.bit / 2);
        let data = (0..receiver.data_bits).fold(0, |data, index| data | u32::from(middle(1 + index)) << index);
        let parity = receiver.parity.map(|parity| (parity, middle(1 + receiver.data_bits)));
        let stop = middle(1 + receiver.data_bits + u32::from(parity.is_some()));
        let character = Character {
            byte: data as u8,
            parity_error: parity.is_some_and(|(parity, bit)| bit != parity_bit(parity, data)),
            framing_error: !stop,
            is_break: !stop && data == 0 && !parity.is_some_and(|(_, bit)| bit),
        };
        self.looks_from = end;
        while self.levels.front().is_some_and(|&(_, ends)| ends <= end) {
            self.levels.pop_front();
        }
        // After a missing stop bit the line has to rise before the next start bit.
        if !stop && let Some(&(false, ends)) = self.levels.front() {
            self.looks_from = ends;
        }
        Some(character)
    }

    /// When the next character is complete, in cycles.
    pub(super) fn next_character(&self, receiver: &Receiver) -> Option<u64> {
        self.next(receiver).map(|(_, end)| end.div_ceil(FRACTION))
    }

    /// When the next character's start bit begins, and when its stop bit is sampled.
    fn next(&self, receiver: &Receiver) -> Option<(u64, u64)> {
        let bits = u64::from(1 + receiver.data_bits + u32::from(receiver.parity.is_some()));
        let mut begins = self.looks_from;
        for &(level, ends) in &self.levels {
            if !level && ends > begins {
                return Some((begins, begins + bits * receiver.bit + receiver.bit / 2));
            }
            begins = begins.max(ends);
        }
        None
    }

    fn level(&self, at: u64) -> bool {
        self.levels
            .iter()
            .find(|(_, ends)| at < *ends)
            .is_none_or(|&(level, _)| level)
    }

    fn put(&mut self, level: bool, length: u64, now: u64) {
        let now = now * FRACTION;
        if self.levels.back().is_none_or(|(_, ends)| *ends < now) {
            self.levels.clear();
            // The line has been at rest.
            self.levels.push_back((true, now));
            self.looks_from = self.looks_from.max(now);
        }
        let begins = self.levels.back().map_or(now, |(_, ends)| *ends);
        match self.levels.back_mut() {
            Some((last, ends)) if *last == level => *ends += length,
            _ => self.levels.push_back((level, begins.saturating_add(length))),
        }
    }
}

fn parity_bit(parity: UartParity, data: u32) -> bool {
    let odd = !data.count_ones().is_multiple_of(2);
    odd == (parity == UartParity::Even)
}
