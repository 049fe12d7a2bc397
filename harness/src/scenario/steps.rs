//! The steps of a handshake in a scenario: `handshake` and `omit` in `[server]`.
//!
//! What enters: names and tables as they were read. What leaves: a [`RogueHandshake`] in which each step has only the
//! settings that apply to it, and which the server can perform as far as that is known before a client comes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use pinrig_certs::CertifiedChain;
use pinrig_server::{
    AlertDescription, Bit, BitNumber, DataSize, Delivery, Encryption, FragmentSize, HexBytes, Message, MessageSize,
    PlanError, PlannedMessage, PlannedStep, RogueHandshake, Step, StepError, StepProblem,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::problem::{At, FromName, Given, Named, Problem, given};

/// A step, and how it is spoilt.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawStep {
    /// What the server does.
    step: Step,
    /// Of a message: changes one bit before it is sent. The server's own view of the handshake has the changed bit too.
    flip_bit: Option<At<RawBit>>,
    /// Of a message: how many of its bytes are sent.
    cut: Option<At<MessageSize>>,
    /// Of a message: the most bytes of content in each of its records.
    fragment: Option<At<FragmentSize>>,
    /// Of a message: it is held back and sent in the record of the next one.
    with_next: Option<At<bool>>,
    /// Of a message, an alert, an empty handshake record or application data: it is not encrypted.
    in_clear: Option<At<bool>>,
    /// Of a message: the server takes it for sent, and does not send it.
    unsent: Option<At<bool>>,
    /// Of application data: how many bytes, in one record; 1 by default.
    size: Option<At<DataSize>>,
    /// Of an alert: its name or number; `handshake_failure` by default.
    description: Option<At<AlertDescription>>,
    /// Of raw bytes: hexadecimal digits; spaces do not matter.
    hex: Option<At<HexBytes>>,
}

/// A bit of a message.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawBit {
    /// The byte, from 0, the first of the message's header; negative ones count from the end.
    byte: At<ByteIndex>,
    /// The bit, from 0, the least significant.
    bit: BitNumber,
}

/// The index of a byte in a message, from either end. No message is long enough for the largest or the smallest.
struct ByteIndex(i64);

impl ByteIndex {
    const MOST: i64 = MessageSize::MAX.get() as i64;
}

impl<'de> Deserialize<'de> for ByteIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Index;
        impl Visitor<'_> for Index {
            type Value = ByteIndex;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the index of a byte, a whole number")
            }

            fn visit_i64<E: de::Error>(self, index: i64) -> Result<ByteIndex, E> {
                if (-ByteIndex::MOST..ByteIndex::MOST).contains(&index) {
                    return Ok(ByteIndex(index));
                }
                Err(E::custom(format_args!(
                    "no message is long enough to have a byte {index}"
                )))
            }
        }
        deserializer.deserialize_any(Index)
    }
}

impl JsonSchema for ByteIndex {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteIndex".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": -Self::MOST, "maximum": Self::MOST - 1 })
    }
}

impl FromName for RawStep {
    fn from_name(name: &str) -> Result<Self, String> {
        let step = name.parse::<Step>().map_err(|error| error.to_string())?;
        Ok(Self {
            step,
            flip_bit: None,
            cut: None,
            fragment: None,
            with_next: None,
            in_clear: None,
            unsent: None,
            size: None,
            description: None,
            hex: None,
        })
    }

    fn names(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Step>()
    }
}

/// The list of steps, for a server with this identity. `key` is the place of the recipe that the identity comes from.
pub(super) fn handshake(
    steps: &At<Vec<At<Named<RawStep>>>>,
    identity: &CertifiedChain,
    key: Range<usize>,
) -> Result<RogueHandshake, Problem> {
    if steps.get().is_empty() {
        return Err(steps.problem("names no step; leave it out"));
    }
    let planned = steps.get().iter().map(|step| step.get().0.check(step.span()));
    let plan = RogueHandshake::of(planned.collect::<Result<Vec<_>, _>>()?);
    match plan.check(identity) {
        Ok(()) => Ok(plan),
        Err(PlanError::Key) => Err(no_key(key)),
        Err(PlanError::Step(error)) => {
            let step = &steps.get()[error.index];
            let span = step.get().0.place(&error).unwrap_or(step.span());
            Err(Problem::new(span, error.problem.to_string()))
        }
    }
}

/// The honest steps without these.
pub(super) fn omit(
    steps: &At<Vec<At<Step>>>,
    identity: &CertifiedChain,
    key: Range<usize>,
) -> Result<RogueHandshake, Problem> {
    if steps.get().is_empty() {
        return Err(steps.problem("names no step; leave it out"));
    }
    let mut plan = RogueHandshake::honest();
    for step in steps.get() {
        let honest = |message| Step::Message(message) == *step.get();
        let Some(message) = Message::HONEST.into_iter().find(|message| honest(*message)) else {
            let message = format!(
                "an honest handshake has no `{}`; it has {}",
                step.get(),
                Message::HONEST.map(Message::name).join(", ")
            );
            return Err(step.problem(message));
        };
        let rest = plan.clone().omit(message);
        if rest == plan {
            return Err(step.problem(format!("`{message}` is left out already")));
        }
        plan = rest;
    }
    match plan.check(identity) {
        Err(PlanError::Key) => Err(no_key(key)),
        // Without ServerHello there are no keys for Finished.
        Err(PlanError::Step(error)) => Err(steps.problem(error.to_string())),
        Ok(()) => Ok(plan),
    }
}

fn no_key(span: Range<usize>) -> Problem {
    let message = "a handshake by steps is signed with a P-256 key, and the key of this certificate is of another kind; \
                   give another certificate, or the `signing-key` of one";
    Problem::new(span, message)
}

impl RawStep {
    /// The step, which stands at `place`.
    fn check(&self, place: Range<usize>) -> Result<PlannedStep, Problem> {
        self.check_settings()?;
        let encryption = if is(&self.in_clear) {
            Encryption::Off
        } else {
            Encryption::AsDue
        };
        let plain = PlannedStep::plain(self.step);
        Ok(match (plain, self.step) {
            (_, Step::Message(message)) => self.message(message, encryption)?.into(),
            (Some(PlannedStep::ApplicationData { size, .. }), _) => PlannedStep::ApplicationData {
                size: self.size.as_ref().map_or(size, |size| *size.get()),
                encryption,
            },
            (Some(PlannedStep::Alert { description, .. }), _) => PlannedStep::Alert {
                description: self.description.as_ref().map_or(description, |given| *given.get()),
                encryption,
            },
            (Some(PlannedStep::EmptyHandshake { .. }), _) => PlannedStep::EmptyHandshake { encryption },
            (Some(other), _) => other,
            (None, step) => match &self.hex {
                Some(hex) if hex.get().bytes().is_empty() => {
                    return Err(hex.problem("there are no bytes here; leave the step out"));
                }
                Some(hex) => PlannedStep::Raw(hex.get().clone()),
                None => {
                    let message =
                        format!("`{step}` needs `hex`, as in {{ step = \"raw\", hex = \"17 0303 0001 00\" }}");
                    return Err(Problem::new(place, message));
                }
            },
        })
    }

    fn message(&self, message: Message, encryption: Encryption) -> Result<PlannedMessage, Problem> {
        let flip_bit = self.flip_bit.as_ref().map(|flip| Bit {
            byte: flip.get().byte.get().0,
            bit: flip.get().bit,
        });
        Ok(PlannedMessage {
            message,
            flip_bit,
            cut: self.cut.as_ref().map(|cut| *cut.get()),
            delivery: self.delivery(encryption)?,
        })
    }

    fn delivery(&self, encryption: Encryption) -> Result<Delivery, Problem> {
        let in_clear = Given {
            key: "in-clear",
            span: self.in_clear.as_ref().filter(|set| *set.get()).map(At::span),
        };
        let with_next = Given {
            key: "with-next",
            span: self.with_next.as_ref().filter(|set| *set.get()).map(At::span),
        };
        let fragment = given("fragment", &self.fragment);
        let (delivery, useless, why) = if is(&self.unsent) {
            let useless = vec![fragment, in_clear, with_next];
            (Delivery::Unsent, useless, "is not sent (`unsent`)")
        } else if is(&self.with_next) {
            let useless = vec![fragment, in_clear];
            (
                Delivery::WithNext,
                useless,
                "is sent in the record of the next one (`with-next`)",
            )
        } else {
            let fragment = self.fragment.as_ref().map(|size| *size.get());
            (Delivery::Records { fragment, encryption }, Vec::new(), "")
        };
        for Given { key, span } in useless {
            if let Some(span) = span {
                return Err(Problem::new(
                    span,
                    format!("`{key}` has no effect on a message that {why}"),
                ));
            }
        }
        Ok(delivery)
    }

    /// Checks that the step has only the settings that apply to it.
    fn check_settings(&self) -> Result<(), Problem> {
        let settings = [
            given("flip-bit", &self.flip_bit),
            given("cut", &self.cut),
            given("fragment", &self.fragment),
            given("with-next", &self.with_next),
            given("unsent", &self.unsent),
            given("in-clear", &self.in_clear),
            given("size", &self.size),
            given("description", &self.description),
            given("hex", &self.hex),
        ];
        for Given { key, span } in settings {
            let (goes_with, applies) = match key {
                "size" => ("`application-data`", self.step == Step::ApplicationData),
                "description" => ("`alert`", self.step == Step::Alert),
                "hex" => ("`raw`", self.step == Step::Raw),
                "in-clear" => (
                    "a message, `alert`, `application-data` and `empty-handshake`",
                    matches!(
                        self.step,
                        Step::Message(_) | Step::Alert | Step::ApplicationData | Step::EmptyHandshake
                    ),
                ),
                _ => ("a handshake message", matches!(self.step, Step::Message(_))),
            };
            if let (Some(span), false) = (span, applies) {
                let message = format!("`{key}` goes with {goes_with}, not with `{}`", self.step);
                return Err(Problem::new(span, message));
            }
        }
        Ok(())
    }

    /// The setting that an error of this step is about.
    fn place(&self, error: &StepError) -> Option<Range<usize>> {
        match error.problem {
            StepProblem::NoSuchByte { .. } => self.flip_bit.as_ref().map(|flip| flip.get().byte.span()),
            StepProblem::NotCut { .. } => self.cut.as_ref().map(At::span),
            StepProblem::NothingFollows => self.with_next.as_ref().map(At::span),
            StepProblem::TooLong { .. } | StepProblem::NoKeys | StepProblem::FinishedTwice => None,
        }
    }
}

fn is(setting: &Option<At<bool>>) -> bool {
    setting.as_ref().is_some_and(|setting| *setting.get())
}
