//! Where each mutant meets its scenarios.
//!
//! What enters: mutants with the scenarios that they must fail. What leaves: a [`Plan`]. Nothing is built or run here.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroUsize;

use pinrig_builder::{Mutant, Product};

use crate::scenario::{self, Expectation, Run, Scenario};

/// A place where mutants meet scenarios.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// A process on this machine, which runs the client alone.
    Host,
    /// The virtual board, which runs the whole image.
    Virtual,
}

impl Place {
    /// What the firmware is built into for this place.
    #[must_use]
    pub fn product(self) -> Product {
        match self {
            Self::Host => Product::Program,
            Self::Virtual => Product::Image,
        }
    }

    /// Whether a scenario shows here what it shows on the chip, in a short time. A process has this machine's network, which cannot be
    /// disturbed, and this machine's memory, which is not watched; and it cannot skip the time that a device waits for a reply.
    #[must_use]
    pub fn shows(self, scenario: &Scenario) -> bool {
        match self {
            Self::Virtual => true,
            Self::Host => {
                let waits = |run: &Run| match &run.expect {
                    Expectation::HandshakeFailed { reason, .. }
                    | Expectation::ResponseFailed { reason, .. }
                    | Expectation::Unreachable { reason } => reason.starts_with("timeout-"),
                    _ => false,
                };
                // On this machine a connection may be reset while it is still being opened.
                let differs = |run: &Run| waits(run) || run.resets_at_once();
                scenario.repeat == 1 && !scenario.disturbs_network() && !scenario.runs.iter().any(differs)
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Virtual => "virtual",
        })
    }
}

/// What decides which mutants are in the sample.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seed(pub u64);

impl Seed {
    /// Another one each time.
    #[must_use]
    pub fn random() -> Self {
        // Few digits: it is typed.
        Self(RandomState::new().hash_one(0) % 1_000_000)
    }

    /// The next number of its sequence (SplitMix64).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// One mutant at one place.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// The mutant.
    pub mutant: Mutant,
    /// The scenarios that it meets there.
    pub scenarios: Vec<Scenario>,
}

impl Meeting {
    /// The meeting with those scenarios that this machine can show; `None` where it can show none of those that the mutant names, or of
    /// a folder, or where the mistake is not in the client.
    fn on_host(&self) -> Option<Self> {
        let scenarios = self.scenarios.iter().filter(|scenario| Place::Host.shows(scenario));
        let scenarios: Vec<Scenario> = scenarios.cloned().collect();
        let shows = |name: &String| {
            scenarios
                .iter()
                .any(|scenario| scenario::is_meant(name, &scenario.name))
        };
        let all = self.mutant.is_in_client() && self.mutant.scenarios.iter().all(shows);
        all.then(|| Self {
            mutant: self.mutant.clone(),
            scenarios: scenarios.clone(),
        })
    }
}

/// All meetings of a survey.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Those on this machine.
    pub host: Vec<Meeting>,
    /// Those on the virtual board: of all mutants that this machine cannot show, then of the sample.
    pub on_virtual: Vec<Meeting>,
    /// The names of the mutants that meet their scenarios at both places.
    pub sample: Vec<String>,
    /// The names of the mutants that have no meeting, because this machine cannot show them.
    pub left_out: Vec<String>,
}

impl Plan {
    /// With `only`, all meetings are at that place. Without, each is where it takes the least time, and a sample of `sample` mutants, which
    /// `seed` decides, are at both.
    #[must_use]
    pub fn new(meetings: Vec<Meeting>, only: Option<Place>, sample: usize, mut seed: Seed) -> Self {
        let mut plan = Self::default();
        for meeting in meetings {
            let shown = meeting.on_host();
            match (only, shown) {
                (None | Some(Place::Host), Some(shown)) => plan.host.push(shown),
                (Some(Place::Host), None) => plan.left_out.push(meeting.mutant.name),
                (None | Some(Place::Virtual), _) => plan.on_virtual.push(meeting),
            }
        }
        if only.is_none() {
            let mut rest: Vec<&Meeting> = plan.host.iter().collect();
            for _ in 0..sample {
                let Some(count) = NonZeroUsize::new(rest.len()) else {
                    break;
                };
                let index = usize::try_from(seed.next() % count.get() as u64).unwrap_or(0);
                let meeting = rest.swap_remove(index);
                plan.sample.push(meeting.mutant.name.clone());
                plan.on_virtual.push(meeting.clone());
            }
        }
        plan
    }

    /// The meetings at a place.
    #[must_use]
    pub fn at(&self, place: Place) -> &[Meeting] {
        match place {
            Place::Host => &self.host,
            Place::Virtual => &self.on_virtual,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn meetings() -> Vec<Meeting> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
        let catalogue = scenario::load_all(&fixtures).unwrap();
        let mutants = Mutant::load_all(&fixtures.join("mutants")).unwrap();
        let meeting = |mutant: Mutant| Meeting {
            scenarios: scenario::select(&catalogue, &mutant.scenarios).unwrap(),
            mutant,
        };
        mutants.into_iter().map(meeting).collect()
    }

    fn names(meetings: &[Meeting]) -> Vec<&str> {
        meetings.iter().map(|meeting| meeting.mutant.name.as_str()).collect()
    }

    #[test]
    fn each_mutant_has_a_place_and_the_sample_has_both() {
        let all = meetings();
        let plan = Plan::new(all.clone(), None, 5, Seed(1));
        assert_eq!(plan.sample.len(), 5);
        let (host, on_virtual) = (names(&plan.host), names(&plan.on_virtual));
        for name in names(&all) {
            let places = usize::from(host.contains(&name)) + usize::from(on_virtual.contains(&name));
            let sampled = plan.sample.iter().any(|one| one == name);
            assert_eq!(places, 1 + usize::from(sampled), "{name}");
        }
        assert!(host.contains(&"pin-ignored"));
        // The heap is the chip's, and so are the clock that skips waiting and the network that can be disturbed.
        assert!(on_virtual.contains(&"memory-lost") && !host.contains(&"memory-lost"));
        assert!(on_virtual.contains(&"no-time-limits") && !host.contains(&"no-time-limits"));
    }

    #[test]
    fn a_seed_gives_the_same_sample_again_and_another_seed_another_one() {
        let all = meetings();
        let sample = |seed| Plan::new(all.clone(), None, 6, Seed(seed)).sample;
        assert_eq!(sample(7), sample(7));
        assert!((8..20).any(|seed| sample(seed) != sample(7)));
        let of_all = Plan::new(all.clone(), None, usize::MAX, Seed(7));
        assert_eq!(of_all.sample.len(), of_all.host.len());
    }

    #[test]
    fn one_place_alone_has_all_that_it_can_show() {
        let all = meetings();
        let host = Plan::new(all.clone(), Some(Place::Host), 5, Seed(1));
        assert_eq!(host.host.len() + host.left_out.len(), all.len());
        assert!(host.on_virtual.is_empty() && host.left_out.iter().any(|name| name == "memory-lost"));
        let on_virtual = Plan::new(all.clone(), Some(Place::Virtual), 5, Seed(1));
        assert_eq!(on_virtual.on_virtual.len(), all.len());
    }
}
