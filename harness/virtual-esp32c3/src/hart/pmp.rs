//! Physical memory protection: sixteen entries, each of which gives rights to a range of addresses. Register values
//! enter. The ranges leave that are denied to a privilege, so that the hart can arm them once instead of checking every
//! access. It knows no memory and no instruction.
//!
//! Only locked entries apply to machine mode, which has all rights elsewhere. User mode has only those rights that an
//! entry gives. If several entries match an address, the first one decides. An access across the border of two ranges
//! is denied if either denies it. The chip also denies it if both allow it, which is not modelled. (ESP32-C3 Technical
//! Reference Manual, chapter 1, "Physical Memory Protection"; The RISC-V Instruction Set Manual, volume II, 3.7.)

use std::ops::Range;

use super::privilege::Privilege;

pub(super) const PMPCFG0: u16 = 0x3A0;
pub(super) const PMPCFG3: u16 = 0x3A3;
pub(super) const PMPADDR0: u16 = 0x3B0;
pub(super) const PMPADDR15: u16 = 0x3BF;

const ENTRIES: usize = 16;
const LOCKED: u8 = 1 << 7;
const MODE: u8 = 3 << 3;
const MODE_TOP_OF_RANGE: u8 = 1 << 3;
const MODE_FOUR_BYTES: u8 = 2 << 3;
const MODE_POWER_OF_TWO: u8 = 3 << 3;
const WRITABLE: u8 = LOCKED | MODE | 7;

/// The kind of an access, numbered by its bit in an entry's rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read = 1 << 0,
    Write = 1 << 1,
    Execute = 1 << 2,
}

/// The registers.
#[derive(Debug, Clone)]
pub(super) struct Pmp {
    config: [u8; ENTRIES],
    address: [u32; ENTRIES],
    /// How often the registers were written.
    version: u32,
}

/// The ranges of addresses that are denied to a privilege, in order. They have 64 bits, since the end of the last one
/// is 2^32.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) reads: Vec<Range<u64>>,
    pub(super) writes: Vec<Range<u64>>,
    pub(super) execution: Vec<Range<u64>>,
}

impl Denied {
    /// Whether an access is denied.
    pub(super) fn denies(&self, access: Access, address: u32, size: u32) -> bool {
        let ranges = match access {
            Access::Read => &self.reads,
            Access::Write => &self.writes,
            Access::Execute => &self.execution,
        };
        let (start, end) = (u64::from(address), u64::from(address) + u64::from(size));
        ranges.iter().any(|range| start < range.end && range.start < end)
    }
}

impl Pmp {
    pub(super) fn new() -> Self {
        Self {
            config: [0; ENTRIES],
            address: [0; ENTRIES],
            version: 0,
        }
    }

    /// A number that differs whenever a register was written.
    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// Reads a register. `None` if memory protection has none of that number.
    pub(super) fn read(&self, number: u16) -> Option<u32> {
        match number {
            PMPCFG0..=PMPCFG3 => {
                let first = 4 * usize::from(number - PMPCFG0);
                Some(u32::from_le_bytes(std::array::from_fn(|at| self.config[first + at])))
            }
            PMPADDR0..=PMPADDR15 => Some(self.address[usize::from(number - PMPADDR0)]),
            _ => None,
        }
    }

    /// Writes a register. Returns false if memory protection has none of that number. Locked entries keep their values
    /// until reset.
    pub(super) fn write(&mut self, number: u16, value: u32) -> bool {
        match number {
            PMPCFG0..=PMPCFG3 => {
                let first = 4 * usize::from(number - PMPCFG0);
                for (config, new) in self.config[first..].iter_mut().zip(value.to_le_bytes()) {
                    if *config & LOCKED == 0 {
                        *config = new & WRITABLE;
                    }
                }
            }
            PMPADDR0..=PMPADDR15 => {
                let index = usize::from(number - PMPADDR0);
                // A locked top-of-range entry locks the address below it as well.
                let next = self.config.get(index + 1).copied().unwrap_or(0);
                let below_locked_range = next & (LOCKED | MODE) == LOCKED | MODE_TOP_OF_RANGE;
                if self.config[index] & LOCKED == 0 && !below_locked_range {
                    self.address[index] = value;
                }
            }
            _ => return false,
        }
        self.version = self.version.wrapping_add(1);
        true
    }

    /// The ranges that are denied to code of this privilege.
    pub(super) fn denied(&self, privilege: Privilege) -> Denied {
        const END: u64 = 1 << 32;
        let ranges: Vec<_> = (0..ENTRIES).map(|entry| self.range(entry)).collect();
        let mut borders: Vec<u64> = ranges
            .iter()
            .flatten()
            .flat_map(|range| [range.start, range.end])
            .collect();
        borders.extend([0, END]);
        borders.retain(|border| *border <= END);
        borders.sort_unstable();
        borders.dedup();
        let mut denied = Denied::default();
        for (start, end) in borders.iter().zip(borders.iter().skip(1)) {
            let entry = ranges
                .iter()
                .position(|range| range.as_ref().is_some_and(|range| range.contains(start)));
            let rights = self.rights(entry, privilege);
            for (access, list) in [
                (Access::Read, &mut denied.reads),
                (Access::Write, &mut denied.writes),
                (Access::Execute, &mut denied.execution),
            ] {
                if rights & access as u8 == 0 {
                    extend(list, *start..*end);
                }
            }
        }
        denied
    }

    /// The rights that an entry gives, or that apply if none matches.
    fn rights(&self, entry: Option<usize>, privilege: Privilege) -> u8 {
        const ALL: u8 = 7;
        let machine = privilege == Privilege::Machine;
        match entry.map(|entry| self.config[entry]) {
            Some(config) if machine && config & LOCKED == 0 => ALL,
            Some(config) => config & ALL,
            None if machine => ALL,
            None => 0,
        }
    }

    /// The addresses that an entry matches. The registers hold addresses without their two lowest bits.
    fn range(&self, entry: usize) -> Option<Range<u64>> {
        let address = |entry: usize| u64::from(self.address[entry]) << 2;
        let range = match self.config[entry] & MODE {
            MODE_TOP_OF_RANGE => {
                let start = entry.checked_sub(1).map_or(0, address);
                start..address(entry)
            }
            MODE_FOUR_BYTES => address(entry)..address(entry) + 4,
            MODE_POWER_OF_TWO => {
                // The number of trailing ones gives the size, from eight bytes on.
                let size = 8u64 << self.address[entry].trailing_ones();
                let start = address(entry) & !(size - 1);
                start..start + size
            }
            _ => return None,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// Adds a range at the end of a list, and joins it to the last one if they touch.
fn extend(list: &mut Vec<Range<u64>>, range: Range<u64>) {
    match list.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => list.push(range),
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, PMPADDR0, PMPCFG0, Pmp};
    use crate::hart::privilege::Privilege;

    const R: u32 = 1;
    const W: u32 = 2;
    const X: u32 = 4;
    const TOR: u32 = 1 << 3;
    const NA4: u32 = 2 << 3;
    const NAPOT: u32 = 3 << 3;
    const LOCK: u32 = 1 << 7;

    fn pmp(entries: &[(u32, u32)]) -> Pmp {
        let mut pmp = Pmp::new();
        for (number, (address, _)) in (PMPADDR0..).zip(entries) {
            pmp.write(number, *address);
        }
        for (number, four) in (PMPCFG0..).zip(entries.chunks(4)) {
            let word = four.iter().rev().fold(0, |word, (_, config)| word << 8 | config);
            pmp.write(number, word);
        }
        pmp
    }

    #[test]
    fn every_mode_matches_its_range() {
        for (entries, start, end) in [
            (vec![(0x4000 >> 2, 0), (0x5000 >> 2, TOR | R)], 0x4000, 0x5000),
            (vec![(0x5000 >> 2, TOR | R)], 0, 0x5000),
            (vec![(0x4004 >> 2, NA4 | R)], 0x4004, 0x4008),
            (vec![(0x4008 >> 2, NAPOT | R)], 0x4008, 0x4010),
            (vec![(0x4000 >> 2 | 0x1FF, NAPOT | R)], 0x4000, 0x5000),
            (vec![(0x1FFF_FFFF, NAPOT | R)], 0, 1 << 32),
            (vec![(u32::MAX, NAPOT | R)], 0, 1 << 32),
        ] {
            let denied = pmp(&entries).denied(Privilege::User);
            let allowed: Vec<u64> = [start, end - 1].into();
            let refused: Vec<u64> = [start.checked_sub(1), Some(end).filter(|end| *end < 1 << 32)]
                .into_iter()
                .flatten()
                .collect();
            assert!(
                allowed.iter().all(|at| !denied.denies(Access::Read, *at as u32, 1)),
                "{entries:x?} {denied:x?}"
            );
            assert!(
                refused.iter().all(|at| denied.denies(Access::Read, *at as u32, 1)),
                "{entries:x?} {denied:x?}"
            );
            assert!(denied.denies(Access::Write, start as u32, 1) && denied.denies(Access::Execute, start as u32, 1));
        }
        // A range that ends before it begins matches nothing.
        let none = pmp(&[(0x5000 >> 2, 0), (0x4000 >> 2, TOR | R)]).denied(Privilege::User);
        assert!(none.denies(Access::Read, 0x4800, 1));
    }

    #[test]
    fn the_first_entry_that_matches_decides() {
        let denied = pmp(&[(0x4000 >> 2, NA4 | W), (0x4000 >> 2 | 0x1FF, NAPOT | R | X)]).denied(Privilege::User);
        assert!(denied.denies(Access::Read, 0x4000, 4) && !denied.denies(Access::Write, 0x4000, 4));
        assert!(!denied.denies(Access::Read, 0x4004, 4) && denied.denies(Access::Write, 0x4004, 4));
        assert!(denied.denies(Access::Read, 0x4002, 4), "a part of the access is denied");
    }

    #[test]
    fn only_locked_entries_apply_to_machine_mode() {
        let open = pmp(&[(0x4000 >> 2 | 0x1FF, NAPOT)]).denied(Privilege::Machine);
        assert_eq!(open, super::Denied::default());
        let locked = pmp(&[(0x4000 >> 2 | 0x1FF, NAPOT | LOCK | R)]).denied(Privilege::Machine);
        assert!(locked.reads.is_empty());
        let page = 0x4000..0x5000;
        assert_eq!(locked.writes, std::slice::from_ref(&page));
        assert_eq!(locked.execution, std::slice::from_ref(&page));
    }

    #[test]
    fn without_an_entry_user_mode_has_no_rights() {
        let denied = Pmp::new().denied(Privilege::User);
        assert_eq!(denied.reads, std::slice::from_ref(&(0..1 << 32)));
    }
}
