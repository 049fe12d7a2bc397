//! What devices draw at random: whether it is random, and whether it has been drawn before.
//!
//! What enters: the seed of a process, and the values that clients have sent. What leaves: the seed of each virtual board,
//! a word for a value that cannot be random, and the place at which a value was seen before. A [`Randomness`] lasts as long as a
//! process: its boards, its scenarios and their resets are all compared with each other. This module judges nothing.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use pinrig_server::{Drawn, DrawnFor};
use sha2::{Digest, Sha256};

/// The size of the pieces in which values are compared, in bytes. Two values of a counter differ in few of them. By chance a
/// million values have one in common once in many thousand runs.
const PIECE: usize = 8;

/// The chance of a process: what its virtual boards start from, and what all boards have drawn.
#[derive(Debug, Default)]
pub struct Randomness {
    seed: u64,
    drawn: Mutex<HashMap<Piece, Arc<str>>>,
}

/// Some bytes of a value, and where they stand in it.
#[derive(Debug, Eq, Hash, PartialEq)]
struct Piece {
    what: DrawnFor,
    number: usize,
    bytes: [u8; PIECE],
}

/// A value that was drawn before, or one that is nearly the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repeated {
    /// The value.
    pub drawn: Drawn,
    /// Where the other was seen.
    pub before: Arc<str>,
}

impl Randomness {
    /// Nothing was drawn yet. Virtual boards draw the same values in two processes with the same `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            drawn: Mutex::default(),
        }
    }

    /// The seed of the virtual board on which `scenario` runs: the same in each process with the same seed, and another
    /// for each scenario.
    #[must_use]
    pub fn seed_of(&self, scenario: &str) -> u64 {
        let digest = Sha256::new_with_prefix(self.seed.to_be_bytes()).chain_update(scenario);
        let digest: [u8; 32] = digest.finalize().into();
        u64::from_be_bytes(*digest.first_chunk().expect("a digest has 32 bytes"))
    }

    /// Notes what was drawn on one connection at `place`, and gives the values that had been drawn before on another.
    pub fn note(&self, place: &str, drawn: &[Drawn]) -> Vec<Repeated> {
        let place: Arc<str> = place.into();
        let mut known = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = |drawn: &Drawn| pieces(drawn).find_map(|piece| known.get(&piece).cloned());
        let repeated = drawn.iter().filter_map(|drawn| {
            before(drawn).map(|before| Repeated {
                drawn: drawn.clone(),
                before,
            })
        });
        // All are looked for before any is noted: a client repeats its own after a HelloRetryRequest.
        let repeated = repeated.collect();
        for piece in drawn.iter().flat_map(pieces) {
            known.entry(piece).or_insert_with(|| Arc::clone(&place));
        }
        repeated
    }
}

/// The pieces of a value; a short value is one piece.
fn pieces(drawn: &Drawn) -> impl Iterator<Item = Piece> {
    let what = drawn.what;
    let whole = drawn.value.len() >= PIECE;
    let chunks = drawn
        .value
        .chunks(PIECE)
        .filter(move |chunk| !whole || chunk.len() == PIECE);
    chunks.enumerate().map(move |(number, chunk)| {
        let mut bytes = [0; PIECE];
        bytes[..chunk.len()].copy_from_slice(chunk);
        Piece { what, number, bytes }
    })
}

/// Why a value cannot be random. A random one of 32 bytes is taken for such a value once in 10^15 times.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Weakness {
    /// It has too few bytes to be hard to guess: this many.
    Short(usize),
    /// All its bytes are this one.
    Constant(u8),
    /// Each byte differs from the last by as much: it counts.
    Counts,
    /// Eight bytes in a row are this one.
    Padded(u8),
    /// It has only this many different bytes.
    FewBytes(usize),
}

impl Weakness {
    /// The first thing that is wrong with `value`, if anything is.
    #[must_use]
    pub fn of(value: &[u8]) -> Option<Self> {
        /// With fewer bytes a value is found by trying.
        const LEAST: usize = 16;
        let steps: HashSet<u8> = value.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        let different = value.iter().collect::<HashSet<_>>().len();
        let padding = value.windows(8).find(|run| run.iter().all(|byte| *byte == run[0]));
        match (value, steps.len()) {
            (&[first, ..], 0 | 1) if different == 1 && value.len() > 1 => Some(Self::Constant(first)),
            _ if value.len() < LEAST => Some(Self::Short(value.len())),
            (_, 1) => Some(Self::Counts),
            _ if padding.is_some() => padding.map(|run| Self::Padded(run[0])),
            // 32 random bytes have some thirty different ones.
            _ => (different < value.len().min(32) / 2).then_some(Self::FewBytes(different)),
        }
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(bytes) => write!(f, "has only {bytes} byte(s)"),
            Self::Constant(byte) => write!(f, "has nothing but the byte {byte:02x}"),
            Self::Counts => f.write_str("counts from byte to byte"),
            Self::Padded(byte) => write!(f, "has the byte {byte:02x} eight times in a row"),
            Self::FewBytes(different) => write!(f, "has only {different} different bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(what: DrawnFor, value: &[u8]) -> Drawn {
        Drawn {
            what,
            value: value.to_vec(),
        }
    }

    /// Bytes as a good source gives them.
    fn random(seed: u8) -> [u8; 32] {
        Sha256::digest([seed]).into()
    }

    #[test]
    fn random_values_are_not_blamed() {
        let randomness = Randomness::default();
        for seed in 0..=u8::MAX {
            let value = random(seed);
            assert_eq!(Weakness::of(&value), None);
            let values = [drawn(DrawnFor::Random, &value), drawn(DrawnFor::KeyShare(29), &value)];
            assert_eq!(randomness.note("here", &values), [], "two kinds are not compared");
        }
    }

    #[test]
    fn a_value_that_comes_again_is_told_with_its_first_place() {
        let randomness = Randomness::default();
        let value = drawn(DrawnFor::Random, &random(1));
        assert_eq!(randomness.note("first", &[value.clone(), value.clone()]), []);
        for place in ["second", "third"] {
            let [repeated] = &randomness.note(place, std::slice::from_ref(&value))[..] else {
                panic!("one is expected");
            };
            assert_eq!((&repeated.drawn, &*repeated.before), (&value, "first"));
        }
    }

    #[test]
    fn a_counter_is_found_though_no_two_of_its_values_are_equal() {
        for at in [0, 17, 31] {
            let randomness = Randomness::default();
            let mut value = random(1);
            assert_eq!(randomness.note("first", &[drawn(DrawnFor::SessionId, &value)]), []);
            value[at] = value[at].wrapping_add(1);
            assert_eq!(
                randomness.note("second", &[drawn(DrawnFor::SessionId, &value)]).len(),
                1
            );
        }
        // A short one has no whole piece.
        let randomness = Randomness::default();
        let short = drawn(DrawnFor::SessionId, &[1, 2, 3]);
        randomness.note("first", std::slice::from_ref(&short));
        assert_eq!(randomness.note("second", &[short]).len(), 1);
    }

    #[test]
    fn values_that_cannot_be_random_are_named() {
        let counting: Vec<u8> = (250..=255).chain(0..26).collect();
        let mut padded = random(1);
        padded[20..28].fill(7);
        let words: Vec<u8> = (1..=8u32).flat_map(u32::to_be_bytes).collect();
        let again = random(1)[..7].repeat(5);
        let cases: [(&[u8], Weakness); 7] = [
            (&[0; 32], Weakness::Constant(0)),
            (&[0x42; 65], Weakness::Constant(0x42)),
            (&counting, Weakness::Counts),
            (&padded, Weakness::Padded(7)),
            (&words, Weakness::FewBytes(9)),
            (&again[..32], Weakness::FewBytes(7)),
            (&[9], Weakness::Short(1)),
        ];
        for (value, weakness) in cases {
            assert_eq!(Weakness::of(value), Some(weakness), "{value:?}");
        }
    }

    #[test]
    fn each_scenario_has_a_seed_of_its_own_and_the_same_in_the_next_process() {
        let seeds = |seed: u64| ["pin/matches", "pin/zeros"].map(|name| Randomness::new(seed).seed_of(name));
        assert_eq!(seeds(0), seeds(0));
        let all: HashSet<u64> = seeds(0).into_iter().chain(seeds(1)).collect();
        assert_eq!(all.len(), 4);
    }
}
