//! Decides what becomes of each frame and each request while [`Faults`] are in force.
//!
//! Enters: frames and requests, in order, with the time. Leaves: their fates. Must not know: who sends them, or how a
//! fate is brought about.

use std::time::Duration;

use crate::{
    event::Effect,
    faults::{Direction, Faults, Impairment, Moment, Outage, Scope},
};

/// The faults in force, and how much has passed since they were put in force.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fates {
    faults: Faults,
    since: Duration,
    from_board: Passed,
    to_board: Passed,
    /// When each outage began, if it has; as many as `faults` has outages.
    began: Vec<Option<Duration>>,
    arp_requests: u32,
    discovers: u32,
    requests: u32,
    queries: u32,
    syns: u32,
}

/// What has gone one way since the faults were put in force.
#[derive(Debug, Clone, Copy, Default)]
struct Passed {
    frames: u64,
    /// Frames that the direction's impairment is about.
    in_scope: u64,
    /// Bytes of TCP payload.
    bytes: u64,
}

/// What becomes of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Its number among the frames of its direction, counted from 1.
    pub(crate) number: u64,
    /// What happens to it, in the order in which it happens. Empty for a frame that arrives as on a good network.
    pub(crate) effects: Vec<Effect>,
}

/// What becomes of a SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SynFate {
    Ignored,
    Refused,
    Late(Duration),
}

impl Fates {
    /// Puts `faults`, which have been checked, in force.
    pub(crate) fn new(faults: Faults, now: Duration) -> Self {
        Self {
            began: vec![None; faults.outages.len()],
            faults,
            since: now,
            ..Self::default()
        }
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Decides on a frame that enters the wire.
    pub(crate) fn of_frame(&mut self, direction: Direction, frame: &[u8], now: Duration) -> Fate {
        // Asked before the frame is counted, since the frame with which an outage's count is reached still passes.
        let out = self.is_out(now);
        let payload = tcp_payload(frame);
        let (impairment, passed) = match direction {
            Direction::FromBoard => (self.faults.from_board, &mut self.from_board),
            Direction::ToBoard => (self.faults.to_board, &mut self.to_board),
        };
        passed.frames += 1;
        passed.bytes += payload.unwrap_or(0) as u64;
        let number = passed.frames;
        let in_scope = impairment.only == Scope::All || payload.is_some();
        if in_scope {
            passed.in_scope += 1;
        }
        let behind = passed.in_scope.saturating_sub(impairment.after);
        let spared = !in_scope || behind == 0 || impairment.frames.is_some_and(|frames| behind > frames);
        // An outage begins with this frame if its count is reached now, not with the next frame.
        self.is_out(now);
        let effects = if out {
            vec![Effect::LinkDown]
        } else if spared {
            Vec::new()
        } else {
            let random = Random::of_frame(self.faults.seed, direction, number);
            effects(&impairment, random, frame)
        };
        Fate { number, effects }
    }

    /// Whether the cable is unplugged. Notes which outages have begun.
    fn is_out(&mut self, now: Duration) -> bool {
        let elapsed = now.saturating_sub(self.since);
        let (from_board, to_board) = (self.from_board, self.to_board);
        let passed = |direction| match direction {
            Direction::FromBoard => from_board,
            Direction::ToBoard => to_board,
        };
        let mut out = false;
        for (Outage { from, lasts }, began) in self.faults.outages.iter().zip(&mut self.began) {
            let (reached, at) = match *from {
                Moment::Elapsed(time) => (elapsed >= time, time),
                Moment::Frames(direction, frames) => (passed(direction).frames >= frames, elapsed),
                Moment::Bytes(direction, bytes) => (passed(direction).bytes >= bytes, elapsed),
            };
            if reached {
                let began = *began.get_or_insert(at);
                out |= lasts.is_none_or(|lasts| elapsed < began.saturating_add(lasts));
            }
        }
        out
    }

    /// Whether an ARP request of the board stays unanswered.
    pub(crate) fn ignores_arp(&mut self) -> bool {
        next(&mut self.arp_requests) < self.faults.arp_ignore_first
    }

    /// Whether a DHCPDISCOVER stays unanswered.
    pub(crate) fn ignores_discover(&mut self) -> bool {
        next(&mut self.discovers) < self.faults.dhcp.ignore_first
    }

    /// Whether a DHCPREQUEST is answered with DHCPNAK.
    pub(crate) fn refuses_request(&mut self) -> bool {
        next(&mut self.requests) < self.faults.dhcp.refuse_first
    }

    /// Whether a DNS query stays unanswered.
    pub(crate) fn ignores_query(&mut self) -> bool {
        next(&mut self.queries) < self.faults.dns.ignore_first
    }

    /// What becomes of a SYN.
    pub(crate) fn of_syn(&mut self) -> SynFate {
        let number = next(&mut self.syns);
        let faults = self.faults.syn;
        if number < faults.ignore_first {
            SynFate::Ignored
        } else if number < faults.ignore_first.saturating_add(faults.refuse_first) {
            SynFate::Refused
        } else {
            SynFate::Late(faults.delay)
        }
    }
}

/// Counts one more, and returns the count before. The count stops below the largest number, which stands for "all".
fn next(count: &mut u32) -> u32 {
    let number = *count;
    *count = count.saturating_add(1).min(u32::MAX - 1);
    number
}

fn effects(impairment: &Impairment, mut random: Random, frame: &[u8]) -> Vec<Effect> {
    // All numbers are drawn in any case, so that a change of one setting does not change what the others do.
    let lost = random.happens(impairment.loss);
    let corrupted = random.happens(impairment.corrupt);
    let duplicated = random.happens(impairment.duplicate);
    let damaged = random.happens(impairment.corrupt_checksum);
    let reordered = random.happens(impairment.reorder);
    let jitter = random.unit();
    let damage = random.next();
    if lost {
        return vec![Effect::Lost];
    }
    if corrupted {
        return vec![Effect::Corrupted];
    }
    let mut effects = Vec::new();
    if let (true, Some(bits)) = (damaged, checked_bits(frame)) {
        let count = (bits.end - bits.start) as u64;
        let bit = bits.start + usize::try_from(damage % count).expect("a frame has fewer bits than memory");
        effects.push(Effect::ChecksumBroken { bit });
    }
    if reordered {
        effects.push(Effect::Reordered);
    } else if !impairment.delay.is_zero() || !impairment.jitter.is_zero() {
        let latest = impairment.delay + impairment.jitter;
        let late = latest.saturating_sub(impairment.jitter.mul_f64(2.0 * jitter));
        effects.push(Effect::Delayed(late));
    }
    if duplicated {
        effects.push(Effect::Duplicated);
    }
    if let Some(size) = impairment.segment
        && tcp_payload(frame).is_some_and(|payload| payload > size.get().into())
    {
        effects.push(Effect::Cut(size));
    }
    effects
}

/// Length in bytes of the TCP payload; `None` if the frame carries no TCP.
fn tcp_payload(frame: &[u8]) -> Option<usize> {
    let packet = ipv4(frame)?;
    if packet.get(9) != Some(&TCP) {
        return None;
    }
    let segment = packet.get(header_length(packet)..)?;
    let header = usize::from(segment.get(12)? >> 4) * 4;
    Some(segment.len().saturating_sub(header))
}

/// The bits of a frame that a checksum covers: the IPv4 header's, and TCP's or UDP's. `None` if the frame carries no
/// IPv4.
fn checked_bits(frame: &[u8]) -> Option<std::ops::Range<usize>> {
    let packet = ipv4(frame)?;
    // Of UDP only the ports: a UDP checksum that is changed to zero would mean that there is none.
    let covered = match packet.get(9) {
        Some(&TCP) => packet.len(),
        _ => packet.len().min(header_length(packet) + 4),
    };
    Some(ETHERNET * 8..(ETHERNET + covered) * 8)
}

fn header_length(packet: &[u8]) -> usize {
    usize::from(packet.first().map_or(0, |byte| byte & 0xf)) * 4
}

/// The IPv4 packet in a frame, without padding.
fn ipv4(frame: &[u8]) -> Option<&[u8]> {
    if frame.get(12..14)? != [8, 0] {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([*frame.get(16)?, *frame.get(17)?]));
    frame.get(ETHERNET..)?.get(..length)
}

const ETHERNET: usize = 14;
const TCP: u8 = 6;

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and any seed is as good as any other.
struct Random(u64);

impl Random {
    /// The sequence of one frame. Each frame has its own, so that its fate does not depend on the frames before it.
    fn of_frame(seed: u64, direction: Direction, number: u64) -> Self {
        let direction = match direction {
            Direction::FromBoard => 0,
            Direction::ToBoard => 1,
        };
        Self(seed ^ Self(number << 1 | direction).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number from 0 up to, but not including, 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(seed: u64, impairment: Impairment) -> Vec<u64> {
        let faults = Faults {
            seed,
            to_board: impairment,
            ..Faults::default()
        };
        let mut fates = Fates::new(faults, Duration::ZERO);
        (1..=10_000)
            .filter(|&number| {
                let fate = fates.of_frame(Direction::ToBoard, &[0; 60], Duration::ZERO);
                assert_eq!(fate.number, number);
                fate.effects == [Effect::Lost]
            })
            .collect()
    }

    #[test]
    fn frames_are_lost_as_often_as_the_probability_says() {
        let of = |loss| Impairment {
            loss,
            ..Impairment::default()
        };
        assert_eq!(lost(1, of(0.0)).len(), 0);
        assert_eq!(lost(1, of(1.0)).len(), 10_000);
        for seed in 0..5 {
            let third = lost(seed, of(0.3)).len();
            assert!((2_800..3_200).contains(&third), "seed {seed}: {third}");
        }
    }

    #[test]
    fn one_fault_does_not_change_which_frames_another_takes() {
        let alone = Impairment {
            loss: 0.3,
            ..Impairment::default()
        };
        let among_others = Impairment {
            corrupt: 0.5,
            duplicate: 0.5,
            delay: Duration::from_millis(5),
            reorder: 0.5,
            ..alone
        };
        assert_eq!(lost(9, alone), lost(9, among_others));
    }

    #[test]
    fn a_fault_for_some_frames_spares_the_others() {
        let some = Impairment {
            loss: 1.0,
            after: 3,
            frames: Some(2),
            ..Impairment::default()
        };
        assert_eq!(lost(0, some), [4, 5]);
    }
}
