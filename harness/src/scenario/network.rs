//! What a scenario does to the network: `[network]` and `[then.network]`.
//!
//! What enters: the table as it was read. What leaves: [`Faults`] that make sense. This module knows no network.

use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use toml::Spanned;
use virtual_lan::{
    Decoy, DhcpFaults, Direction, DnsFaults, FaultError, Faults, Impairment, Moment, NameError, Outage, Scope,
    SynFaults,
};

use super::text::Problem;

/// The table. What is left out is a good network's.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct RawNetwork {
    seed: u64,
    both_ways: Option<Spanned<RawImpairment>>,
    to_board: Option<Spanned<RawImpairment>>,
    from_board: Option<Spanned<RawImpairment>>,
    outages: Vec<RawOutage>,
    arp: RawArp,
    dhcp: RawDhcp,
    dns: RawDns,
    syn: RawSyn,
}

impl RawNetwork {
    pub(super) fn check(self) -> Result<Faults, Problem> {
        if let (Some(both), true) = (&self.both_ways, self.to_board.is_some() || self.from_board.is_some()) {
            let message = "`both-ways` says it for both directions: leave `to-board` and `from-board` out";
            return Err(Problem::at(both, message));
        }
        let impairment = |one: &Option<Spanned<RawImpairment>>| match one.as_ref().or(self.both_ways.as_ref()) {
            Some(raw) => raw
                .get_ref()
                .check()
                .map_err(|error| Problem::at(raw, error.to_string())),
            None => Ok(Impairment::default()),
        };
        Ok(Faults {
            seed: self.seed,
            to_board: impairment(&self.to_board)?,
            from_board: impairment(&self.from_board)?,
            outages: self.outages.iter().map(RawOutage::outage).collect(),
            arp_ignore_first: self.arp.ignore_first.0,
            dhcp: DhcpFaults {
                ignore_first: self.dhcp.ignore_first.0,
                refuse_first: self.dhcp.refuse_first.0,
                delay: milliseconds(self.dhcp.delay_ms),
            },
            dns: DnsFaults {
                ignore_first: self.dns.ignore_first.0,
                answer: self.dns.answer.map(NameError::from),
                delay: milliseconds(self.dns.delay_ms),
                decoy: self.dns.decoy.map(Decoy::from),
            },
            syn: SynFaults {
                ignore_first: self.syn.ignore_first.0,
                refuse_first: self.syn.refuse_first.0,
                delay: milliseconds(self.syn.delay_ms),
            },
        })
    }
}

/// One direction, or both.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawImpairment {
    loss: Probability,
    delay_ms: u32,
    jitter_ms: u32,
    reorder: Probability,
    duplicate: Probability,
    corrupt: Probability,
    corrupt_checksum: Probability,
    segment: Option<NonZeroU16>,
    after: u64,
    frames: Option<u64>,
    only: RawScope,
}

impl RawImpairment {
    fn check(&self) -> Result<Impairment, FaultError> {
        let impairment = Impairment {
            loss: self.loss.0,
            delay: milliseconds(self.delay_ms),
            jitter: milliseconds(self.jitter_ms),
            reorder: self.reorder.0,
            duplicate: self.duplicate.0,
            corrupt: self.corrupt.0,
            corrupt_checksum: self.corrupt_checksum.0,
            segment: self.segment,
            after: self.after,
            frames: self.frames,
            only: match self.only {
                RawScope::All => Scope::All,
                RawScope::Tcp => Scope::Tcp,
            },
        };
        let alone = Faults {
            to_board: impairment,
            ..Faults::default()
        };
        alone.check().map(|()| impairment)
    }
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawScope {
    #[default]
    All,
    Tcp,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawOutage {
    after: RawMoment,
    lasts_ms: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawMoment {
    Ms(u32),
    FramesToBoard(u64),
    FramesFromBoard(u64),
    BytesToBoard(u64),
    BytesFromBoard(u64),
}

impl RawOutage {
    fn outage(&self) -> Outage {
        Outage {
            from: match self.after {
                RawMoment::Ms(time) => Moment::Elapsed(milliseconds(time)),
                RawMoment::FramesToBoard(frames) => Moment::Frames(Direction::ToBoard, frames),
                RawMoment::FramesFromBoard(frames) => Moment::Frames(Direction::FromBoard, frames),
                RawMoment::BytesToBoard(bytes) => Moment::Bytes(Direction::ToBoard, bytes),
                RawMoment::BytesFromBoard(bytes) => Moment::Bytes(Direction::FromBoard, bytes),
            },
            lasts: self.lasts_ms.map(milliseconds),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawArp {
    ignore_first: Count,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawDhcp {
    ignore_first: Count,
    refuse_first: Count,
    delay_ms: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawDns {
    ignore_first: Count,
    answer: Option<RawNameError>,
    delay_ms: u32,
    decoy: Option<RawDecoy>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawNameError {
    NxDomain,
    ServFail,
    Refused,
}

impl From<RawNameError> for NameError {
    fn from(raw: RawNameError) -> Self {
        match raw {
            RawNameError::NxDomain => Self::NxDomain,
            RawNameError::ServFail => Self::ServFail,
            RawNameError::Refused => Self::Refused,
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawDecoy {
    WrongId,
    OtherName,
}

impl From<RawDecoy> for Decoy {
    fn from(raw: RawDecoy) -> Self {
        match raw {
            RawDecoy::WrongId => Self::WrongId,
            RawDecoy::OtherName => Self::OtherName,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawSyn {
    ignore_first: Count,
    refuse_first: Count,
    delay_ms: u32,
}

fn milliseconds(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

/// From 0 to 1.
#[derive(Clone, Copy, Default)]
struct Probability(f64);

impl<'de> Deserialize<'de> for Probability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(de::Error::custom(format!("{value} is no probability: use 0 to 1")))
        }
    }
}

/// How many; `"all"` is more than there can be.
#[derive(Clone, Copy, Default)]
struct Count(u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;
        impl Visitor<'_> for Counting {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or \"all\"")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Count, E> {
                let count = u32::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))?;
                Ok(Count(count))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Count, E> {
                match value {
                    "all" => Ok(Count(u32::MAX)),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
        }
        deserializer.deserialize_any(Counting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Result<Faults, String> {
        let raw: RawNetwork = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        raw.check().map_err(|problem| problem.message)
    }

    #[test]
    fn what_is_left_out_is_a_good_network() {
        assert!(faults("seed = 3").unwrap().are_none());
    }

    #[test]
    fn every_fault_is_read() {
        let text = r#"
seed = 7
to-board = { loss = 0.1, delay-ms = 50, jitter-ms = 20, reorder = 0.2, duplicate = 0.3, segment = 9 }
from-board = { corrupt = 0.4, corrupt-checksum = 1, after = 5, frames = 6, only = "tcp" }
outages = [{ after.bytes-to-board = 2000, lasts-ms = 3000 }, { after.ms = 10 }]
arp.ignore-first = 1
dhcp = { ignore-first = 2, refuse-first = "all", delay-ms = 300 }
dns = { ignore-first = "all", answer = "servfail", delay-ms = 400, decoy = "wrong-id" }
syn = { ignore-first = 3, refuse-first = 4, delay-ms = 500 }
"#;
        let milliseconds = Duration::from_millis;
        let expected = Faults {
            seed: 7,
            to_board: Impairment {
                loss: 0.1,
                delay: milliseconds(50),
                jitter: milliseconds(20),
                reorder: 0.2,
                duplicate: 0.3,
                segment: NonZeroU16::new(9),
                ..Impairment::default()
            },
            from_board: Impairment {
                corrupt: 0.4,
                corrupt_checksum: 1.0,
                after: 5,
                frames: Some(6),
                only: Scope::Tcp,
                ..Impairment::default()
            },
            outages: vec![
                Outage {
                    from: Moment::Bytes(Direction::ToBoard, 2000),
                    lasts: Some(milliseconds(3000)),
                },
                Outage {
                    from: Moment::Elapsed(milliseconds(10)),
                    lasts: None,
                },
            ],
            arp_ignore_first: 1,
            dhcp: DhcpFaults {
                ignore_first: 2,
                refuse_first: u32::MAX,
                delay: milliseconds(300),
            },
            dns: DnsFaults {
                ignore_first: u32::MAX,
                answer: Some(NameError::ServFail),
                delay: milliseconds(400),
                decoy: Some(Decoy::WrongId),
            },
            syn: SynFaults {
                ignore_first: 3,
                refuse_first: 4,
                delay: milliseconds(500),
            },
        };
        assert_eq!(faults(text).unwrap(), expected);
    }

    #[test]
    fn both_ways_is_both_ways() {
        let faults = faults("both-ways = { loss = 0.5 }").unwrap();
        assert_eq!((faults.to_board.loss, faults.from_board.loss), (0.5, 0.5));
    }

    #[test]
    fn a_mistake_is_shown_at_its_line() {
        let scenario =
            |network: &str| format!("about = \"x\"\n[network]\n{network}\n[expect.accepted]\nbuild = \"success\"\n");
        for (network, line) in [
            ("seed = 1\nto-board.loss = 2", 4),
            ("seed = 1\nto-board = { reorder = 0.1 }", 4),
            ("seed = 1\n\ndns.decoy = \"none\"", 5),
            ("seed = 1", 2),
        ] {
            let text = scenario(network);
            let problem = crate::scenario::text::parse("x", &text).expect_err(network);
            let at = crate::scenario::position(&text, problem.span.map_or(0, |span| span.start));
            assert_eq!(at.0, line, "{network}: {}", problem.message);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (text, words) in [
            ("to-board.loss = 1.5", "1.5 is no probability"),
            ("to-board.reorder = 0.5", "without a delay"),
            (
                "both-ways.loss = 0.5\nto-board.loss = 0.1",
                "leave `to-board` and `from-board` out",
            ),
            ("dhcp.ignore-first = \"some\"", "a number, or \"all\""),
            ("dhcp.ignore-first = -1", "a number, or \"all\""),
            ("outages = [{ lasts-ms = 5 }]", "missing field `after`"),
            ("latency = 5", "unknown field `latency`"),
            ("dns.answer = \"nothing\"", "unknown variant `nothing`"),
        ] {
            let error = faults(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
