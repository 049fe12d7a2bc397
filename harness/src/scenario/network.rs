//! What a scenario does to the network: `[network]` and `[then.network]`.
//!
//! What enters: the table as it was read. What leaves: [`Faults`] that have an effect. This module knows no network.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use pinrig_server::Bounded;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use virtual_lan::{
    Decoy, DhcpFaults, Direction, DnsFaults, FaultError, Faults, Impairment, Moment, NameError, Outage, Scope,
    SynFaults,
};

use super::problem::{At, Problem};

/// A time in milliseconds, up to an hour: no time limit of the device is longer.
type Milliseconds = Bounded<0, 3_600_000>;

/// A time in milliseconds that passes.
type SomeMilliseconds = Bounded<1, 3_600_000>;

/// How many frames or bytes pass first.
type Passed = Bounded<0, { u32::MAX as u64 }>;

/// How many frames are concerned.
type SomeFrames = Bounded<1, { u32::MAX as u64 }>;

/// Bytes of TCP's payload in a frame. A frame of Ethernet carries 1500 bytes, of which the headers of IP and TCP take at
/// least 20 each (RFC 9293 section 3.7.1).
type SegmentSize = Bounded<1, 1460>;

/// What chance starts from: a number of TOML has 63 bits.
type Seed = Bounded<0, { i64::MAX as u64 }>;

/// What is wrong with the network. What is left out is a good network's.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct RawNetwork {
    /// What chance starts from: the same seed gives the same faults.
    seed: Option<Seed>,
    /// What happens to frames in both directions.
    both_ways: Option<At<RawImpairment>>,
    /// What happens to frames on their way to the board.
    to_board: Option<At<RawImpairment>>,
    /// What happens to frames on their way from the board.
    from_board: Option<At<RawImpairment>>,
    /// When the cable is out.
    outages: Vec<RawOutage>,
    /// What is wrong with ARP.
    arp: RawArp,
    /// What is wrong with the DHCP server.
    dhcp: RawDhcp,
    /// What is wrong with the DNS server.
    dns: RawDns,
    /// What happens to the board's attempts to connect.
    syn: RawSyn,
}

impl RawNetwork {
    pub(super) fn check(self) -> Result<Faults, Problem> {
        if let (Some(both), true) = (&self.both_ways, self.to_board.is_some() || self.from_board.is_some()) {
            let message = "`both-ways` says it for both directions; leave `to-board` and `from-board` out";
            return Err(both.problem(message));
        }
        let impairment = |one: &Option<At<RawImpairment>>| match one.as_ref().or(self.both_ways.as_ref()) {
            Some(raw) => RawImpairment::check(raw),
            None => Ok(Impairment::default()),
        };
        Ok(Faults {
            seed: self.seed.map_or(0, Bounded::get),
            to_board: impairment(&self.to_board)?,
            from_board: impairment(&self.from_board)?,
            outages: self.outages.iter().map(RawOutage::outage).collect(),
            arp_ignore_first: self.arp.ignore_first.0,
            dhcp: DhcpFaults {
                ignore_first: self.dhcp.ignore_first.0,
                refuse_first: self.dhcp.refuse_first.0,
                delay: duration(self.dhcp.delay_ms),
            },
            dns: DnsFaults {
                ignore_first: self.dns.ignore_first.0,
                answer: self.dns.answer.map(NameError::from),
                delay: duration(self.dns.delay_ms),
                decoy: self.dns.decoy.map(Decoy::from),
            },
            syn: SynFaults {
                ignore_first: self.syn.ignore_first.0,
                refuse_first: self.syn.refuse_first.0,
                delay: duration(self.syn.delay_ms),
            },
        })
    }
}

/// What happens to the frames of a direction.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawImpairment {
    /// The probability that a frame is lost.
    loss: Probability,
    /// How much later each frame arrives.
    delay_ms: Option<Milliseconds>,
    /// By how much the delay varies, both ways.
    jitter_ms: Option<Milliseconds>,
    /// The probability that a frame is not delayed, and so overtakes those before it.
    reorder: Option<At<Probability>>,
    /// The probability that a frame arrives twice.
    duplicate: Probability,
    /// The probability that a bit is wrong, which the receiving MAC notices.
    corrupt: Probability,
    /// The probability that a bit is wrong, which only the checksums of IP, TCP and UDP notice.
    corrupt_checksum: Probability,
    /// The most bytes of TCP's payload in a frame.
    segment: Option<SegmentSize>,
    /// How many frames pass before it begins.
    after: Option<Passed>,
    /// How many frames are concerned; all by default.
    frames: Option<SomeFrames>,
    /// Which frames are concerned.
    only: RawScope,
}

impl RawImpairment {
    fn check(raw: &At<Self>) -> Result<Impairment, Problem> {
        let this = raw.get();
        let impairment = Impairment {
            loss: this.loss.0,
            delay: duration(this.delay_ms),
            jitter: duration(this.jitter_ms),
            reorder: this.reorder.as_ref().map_or(0.0, |reorder| reorder.get().0),
            duplicate: this.duplicate.0,
            corrupt: this.corrupt.0,
            corrupt_checksum: this.corrupt_checksum.0,
            segment: this
                .segment
                .and_then(|size| u16::try_from(size.get()).ok())
                .and_then(NonZeroU16::new),
            after: this.after.map_or(0, Bounded::get),
            frames: this.frames.map(Bounded::get),
            only: match this.only {
                RawScope::All => Scope::All,
                RawScope::Tcp => Scope::Tcp,
            },
        };
        let of_which_frames = Impairment {
            after: impairment.after,
            frames: impairment.frames,
            only: impairment.only,
            ..Impairment::default()
        };
        let limited = this.after.is_some() || this.frames.is_some() || this.only == RawScope::Tcp;
        if limited && impairment == of_which_frames {
            return Err(raw.problem("says which frames are concerned, but not what happens to them"));
        }
        let alone = Faults {
            to_board: impairment,
            ..Faults::default()
        };
        alone
            .check()
            .map(|()| impairment)
            .map_err(|error| match (&error, &this.reorder) {
                (FaultError::ReorderWithoutDelay, Some(reorder)) => reorder.problem(error.to_string()),
                _ => raw.problem(error.to_string()),
            })
    }
}

/// Which frames are concerned.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum RawScope {
    /// All of them.
    #[default]
    All,
    /// Those that carry TCP.
    Tcp,
}

/// A time for which the cable is out.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawOutage {
    /// When it begins.
    after: RawMoment,
    /// How long it lasts; until the end of the run by default.
    lasts_ms: Option<SomeMilliseconds>,
}

/// A moment of a run.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum RawMoment {
    /// When this time has passed.
    Ms(Milliseconds),
    /// When this many frames have gone to the board.
    FramesToBoard(Passed),
    /// When this many frames have come from the board.
    FramesFromBoard(Passed),
    /// When this many bytes of TCP's payload have gone to the board.
    BytesToBoard(Passed),
    /// When this many bytes of TCP's payload have come from the board.
    BytesFromBoard(Passed),
}

impl RawOutage {
    fn outage(&self) -> Outage {
        Outage {
            from: match &self.after {
                RawMoment::Ms(time) => Moment::Elapsed(duration(Some(*time))),
                RawMoment::FramesToBoard(frames) => Moment::Frames(Direction::ToBoard, frames.get()),
                RawMoment::FramesFromBoard(frames) => Moment::Frames(Direction::FromBoard, frames.get()),
                RawMoment::BytesToBoard(bytes) => Moment::Bytes(Direction::ToBoard, bytes.get()),
                RawMoment::BytesFromBoard(bytes) => Moment::Bytes(Direction::FromBoard, bytes.get()),
            },
            lasts: self.lasts_ms.map(|time| duration(Some(time))),
        }
    }
}

/// What is wrong with ARP.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawArp {
    /// How many of the board's requests stay unanswered.
    ignore_first: Count,
}

/// What is wrong with the DHCP server.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawDhcp {
    /// How many DHCPDISCOVERs stay unanswered.
    ignore_first: Count,
    /// How many DHCPREQUESTs are answered with DHCPNAK.
    refuse_first: Count,
    /// How late each answer is.
    delay_ms: Option<Milliseconds>,
}

/// What is wrong with the DNS server.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawDns {
    /// How many queries stay unanswered.
    ignore_first: Count,
    /// The error that answers every query.
    answer: Option<RawNameError>,
    /// How late each answer is.
    delay_ms: Option<Milliseconds>,
    /// A forged answer that comes before the true one.
    decoy: Option<RawDecoy>,
}

/// An error of DNS.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawNameError {
    /// There is no such name.
    NxDomain,
    /// The server is unable to answer.
    ServFail,
    /// The server refuses to answer.
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

/// A forged answer of DNS.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum RawDecoy {
    /// Its transaction ID is not the query's.
    WrongId,
    /// It is about another name.
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

/// What happens to the board's attempts to connect.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawSyn {
    /// How many are lost.
    ignore_first: Count,
    /// How many are answered with a reset.
    refuse_first: Count,
    /// How late the others arrive.
    delay_ms: Option<Milliseconds>,
}

fn duration<const MIN: u64, const MAX: u64>(milliseconds: Option<Bounded<MIN, MAX>>) -> Duration {
    Duration::from_millis(milliseconds.map_or(0, Bounded::get))
}

/// A probability from 0 to 1.
#[derive(Clone, Copy, Default)]
struct Probability(f64);

impl<'de> Deserialize<'de> for Probability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ZeroToOne;
        impl Visitor<'_> for ZeroToOne {
            type Value = Probability;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a probability from 0 to 1")
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Probability, E> {
                if (0.0..=1.0).contains(&value) {
                    return Ok(Probability(value));
                }
                Err(E::custom(format_args!("{value} is not a probability; use 0 to 1")))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Probability, E> {
                match value {
                    0 => Ok(Probability(0.0)),
                    1 => Ok(Probability(1.0)),
                    other => Err(E::custom(format_args!("{other} is not a probability; use 0 to 1"))),
                }
            }
        }
        deserializer.deserialize_any(ZeroToOne)
    }
}

impl JsonSchema for Probability {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Probability".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

/// How many; `"all"` is more than a run can have.
#[derive(Clone, Copy, Default)]
struct Count(u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrAll;
        impl Visitor<'_> for NumberOrAll {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or \"all\"")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Count, E> {
                let count = u32::try_from(value).map_err(|_| {
                    E::custom(format_args!(
                        "{value} is out of range; use 0 to {}, or \"all\"",
                        u32::MAX
                    ))
                })?;
                Ok(Count(count))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Count, E> {
                match value {
                    "all" => Ok(Count(u32::MAX)),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
        }
        deserializer.deserialize_any(NumberOrAll)
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0, "maximum": u32::MAX }, { "const": "all" }] })
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
    fn both_ways_holds_for_both_directions() {
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
            let at = crate::file_error::position(&text, problem.span.start);
            assert_eq!(at.0, line, "{network}: {}", problem.message);
        }
    }

    #[test]
    fn a_fault_that_cannot_be_is_explained() {
        for (text, words) in [
            ("to-board.loss = 1.5", "1.5 is not a probability"),
            ("to-board.reorder = 0.5", "without a delay"),
            (
                "both-ways.loss = 0.5\nto-board.loss = 0.1",
                "leave `to-board` and `from-board` out",
            ),
            ("dhcp.ignore-first = \"some\"", "a number, or \"all\""),
            (
                "dhcp.ignore-first = -1",
                "-1 is out of range; use 0 to 4294967295, or \"all\"",
            ),
            ("outages = [{ lasts-ms = 5 }]", "missing field `after`"),
            ("latency = 5", "unknown field `latency`"),
            ("dns.answer = \"nothing\"", "unknown variant `nothing`"),
        ] {
            let error = faults(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
