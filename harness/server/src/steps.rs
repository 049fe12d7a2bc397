//! The steps of the server's side of a handshake, and lists of them.
//!
//! What enters: steps, each with the settings that apply to it. What leaves: the list to perform. A scenario leaves
//! steps out, repeats them, changes their order, puts others in their place, or spoils one: each is another list.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::alert::AlertDescription;
use crate::bounded::Bounded;
use crate::from_text::from_text;
use crate::hex::HexBytes;
use crate::message::Message;

/// Bytes of application data in one record, however long. A protected record is its content, one byte for the content
/// type and 16 for the tag, and says its length in 16 bits (RFC 8446 section 5.2). More than 2^14 bytes are against
/// section 5.1: a client must refuse them.
pub type DataSize = Bounded<0, 65_518>;

/// Application data of which only the presence matters.
const ONE_BYTE: DataSize = match DataSize::new(1) {
    Some(size) => size,
    None => DataSize::MIN,
};

/// Bytes of content in a record: at most 2^14 (RFC 8446 section 5.1), and at least one in a handshake record.
pub type FragmentSize = Bounded<1, { 1 << 14 }>;

/// Bytes of a handshake message: four of header, and a body that says its length in 24 bits (RFC 8446 section 4).
pub type MessageSize = Bounded<1, { 4 + (1 << 24) - 1 }>;

/// The number of a bit in its byte; 0 is the least significant.
pub type BitNumber = Bounded<0, 7>;

/// One bit of a message. Bytes are counted from the message's first, which is that of its handshake header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bit {
    /// The byte, from 0; negative ones count from the end, and -1 is the last.
    pub byte: i64,
    /// The bit of that byte.
    pub bit: BitNumber,
}

impl Bit {
    /// The index of its byte in a message of `length` bytes, if there is such a byte.
    pub(crate) fn index(self, length: usize) -> Option<usize> {
        let from_start = usize::try_from(self.byte).ok().filter(|byte| *byte < length);
        let back = usize::try_from(self.byte.unsigned_abs()).ok();
        if self.byte < 0 {
            back.and_then(|back| length.checked_sub(back))
        } else {
            from_start
        }
    }
}

/// Whether a record is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// As it should be: as soon as there are keys.
    #[default]
    AsDue,
    /// Never.
    Off,
}

/// How a handshake message reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In records of its own.
    Records {
        /// The most bytes of content in one of them; `None` for 2^14.
        fragment: Option<FragmentSize>,
        /// Whether they are encrypted.
        encryption: Encryption,
    },
    /// Held back, then sent in the records of the next message that is sent.
    WithNext,
    /// Not at all: the server takes it for sent.
    Unsent,
}

impl Default for Delivery {
    fn default() -> Self {
        Self::Records {
            fragment: None,
            encryption: Encryption::default(),
        }
    }
}

/// A handshake message, and how it is spoilt. The server's own view of the handshake has the spoilt message too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedMessage {
    /// The message.
    pub message: Message,
    /// The bit to change.
    pub flip_bit: Option<Bit>,
    /// Keep only this many bytes of the message; fewer than it has.
    pub cut: Option<MessageSize>,
    /// How it is sent.
    pub delivery: Delivery,
}

impl From<Message> for PlannedMessage {
    fn from(message: Message) -> Self {
        Self {
            message,
            flip_bit: None,
            cut: None,
            delivery: Delivery::default(),
        }
    }
}

/// One thing that a TLS 1.3 server does between the ClientHello and the request (RFC 8446 section 2), or must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedStep {
    /// Send a handshake message.
    Message(PlannedMessage),
    /// Wait for the client's Finished and check it. What follows is protected by the application's keys. A list without
    /// this step has it at its end.
    ClientFinished,
    /// Send application data in one record.
    ApplicationData {
        /// How many bytes.
        size: DataSize,
        /// Whether the record is encrypted.
        encryption: Encryption,
    },
    /// Send a handshake record without content.
    EmptyHandshake {
        /// Whether the record is encrypted.
        encryption: Encryption,
    },
    /// Send an encrypted record without even a content type.
    EmptyRecord,
    /// Send ChangeCipherSpec, for the sake of middleboxes (appendix D.4).
    ChangeCipherSpec,
    /// Send an alert.
    Alert {
        /// What it says.
        description: AlertDescription,
        /// Whether its record is encrypted.
        encryption: Encryption,
    },
    /// Send these bytes, which need not be TLS, as they are.
    Raw(HexBytes),
}

impl From<Message> for PlannedStep {
    fn from(message: Message) -> Self {
        Self::Message(message.into())
    }
}

impl From<PlannedMessage> for PlannedStep {
    fn from(message: PlannedMessage) -> Self {
        Self::Message(message)
    }
}

impl PlannedStep {
    /// What it does, without the settings.
    #[must_use]
    pub fn step(&self) -> Step {
        match self {
            Self::Message(planned) => Step::Message(planned.message),
            Self::ClientFinished => Step::ClientFinished,
            Self::ApplicationData { .. } => Step::ApplicationData,
            Self::EmptyHandshake { .. } => Step::EmptyHandshake,
            Self::EmptyRecord => Step::EmptyRecord,
            Self::ChangeCipherSpec => Step::ChangeCipherSpec,
            Self::Alert { .. } => Step::Alert,
            Self::Raw(_) => Step::Raw,
        }
    }

    /// The step as its name alone asks for it: one byte of application data, the alert handshake_failure, nothing
    /// spoilt. `None` for raw bytes, since a name has none.
    #[must_use]
    pub fn plain(step: Step) -> Option<Self> {
        let encryption = Encryption::default();
        Some(match step {
            Step::Message(message) => message.into(),
            Step::ClientFinished => Self::ClientFinished,
            Step::ApplicationData => Self::ApplicationData {
                size: ONE_BYTE,
                encryption,
            },
            Step::EmptyHandshake => Self::EmptyHandshake { encryption },
            Step::EmptyRecord => Self::EmptyRecord,
            Step::ChangeCipherSpec => Self::ChangeCipherSpec,
            Step::Alert => Self::Alert {
                description: AlertDescription::HANDSHAKE_FAILURE,
                encryption,
            },
            Step::Raw => return None,
        })
    }

    fn notes(&self) -> Vec<String> {
        let in_clear = |encryption: Encryption| (encryption == Encryption::Off).then(|| "in clear".to_owned());
        let mut notes = Vec::new();
        match self {
            Self::Message(planned) => {
                let flipped = planned.flip_bit;
                notes.extend(flipped.map(|Bit { byte, bit }| format!("bit {bit} of byte {byte} changed")));
                notes.extend(planned.cut.map(|length| format!("cut to {length} bytes")));
                match planned.delivery {
                    Delivery::Records { fragment, encryption } => {
                        notes.extend(fragment.map(|size| format!("in records of {size} bytes")));
                        notes.extend(in_clear(encryption));
                    }
                    Delivery::WithNext => notes.push("in the next one's record".to_owned()),
                    Delivery::Unsent => notes.push("not sent".to_owned()),
                }
            }
            Self::ApplicationData { size, encryption } => {
                notes.extend((*size != ONE_BYTE).then(|| format!("{size} bytes")));
                notes.extend(in_clear(*encryption));
            }
            Self::EmptyHandshake { encryption } => notes.extend(in_clear(*encryption)),
            Self::Alert {
                description,
                encryption,
            } => {
                notes.push(description.to_string());
                notes.extend(in_clear(*encryption));
            }
            Self::Raw(hex) => notes.push(hex.to_string()),
            Self::ClientFinished | Self::EmptyRecord | Self::ChangeCipherSpec => {}
        }
        notes
    }
}

/// As the server lane tells it.
impl fmt::Display for PlannedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notes = self.notes();
        write!(f, "{}", self.step())?;
        if notes.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", notes.join(", "))
    }
}

/// What a step does, without its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// [`PlannedStep::Message`].
    Message(Message),
    /// [`PlannedStep::ClientFinished`].
    ClientFinished,
    /// [`PlannedStep::ApplicationData`].
    ApplicationData,
    /// [`PlannedStep::EmptyHandshake`].
    EmptyHandshake,
    /// [`PlannedStep::EmptyRecord`].
    EmptyRecord,
    /// [`PlannedStep::ChangeCipherSpec`].
    ChangeCipherSpec,
    /// [`PlannedStep::Alert`].
    Alert,
    /// [`PlannedStep::Raw`].
    Raw,
}

impl Step {
    /// Every step: the messages, then the others.
    pub fn all() -> impl Iterator<Item = Self> {
        let others = [
            Self::ClientFinished,
            Self::ApplicationData,
            Self::EmptyHandshake,
            Self::EmptyRecord,
            Self::ChangeCipherSpec,
            Self::Alert,
            Self::Raw,
        ];
        Message::ALL.iter().copied().map(Self::Message).chain(others)
    }

    /// The step's name as a scenario spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Message(message) => message.name(),
            Self::ClientFinished => "client-finished",
            Self::ApplicationData => "application-data",
            Self::EmptyHandshake => "empty-handshake",
            Self::EmptyRecord => "empty-record",
            Self::ChangeCipherSpec => "change-cipher-spec",
            Self::Alert => "alert",
            Self::Raw => "raw",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Step {
    type Err = UnknownStep;

    fn from_str(name: &str) -> Result<Self, UnknownStep> {
        Self::all()
            .find(|step| step.name() == name)
            .ok_or_else(|| UnknownStep(name.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Step {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = Self::all().map(Self::name).collect();
        schemars::json_schema!({ "type": "string", "enum": names })
    }
}

/// No step has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no handshake step is called `{0}`; use one of {list}",
    list = Step::all().map(Step::name).collect::<Vec<_>>().join(", ")
)]
pub struct UnknownStep(String);

/// A list of steps. It may leave steps out, repeat them, change their order, and spoil them. A step that the server
/// cannot perform is found by [`RogueHandshake::check`], or else when a client comes:
/// [`EventKind::ServerFailed`](crate::EventKind::ServerFailed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RogueHandshake(Vec<PlannedStep>);

impl RogueHandshake {
    /// The steps of an honest server: the list to edit.
    #[must_use]
    pub fn honest() -> Self {
        Self::of(Message::HONEST)
    }

    /// Exactly these steps.
    #[must_use]
    pub fn of(steps: impl IntoIterator<Item = impl Into<PlannedStep>>) -> Self {
        Self(steps.into_iter().map(Into::into).collect())
    }

    /// The same list without `message`.
    #[must_use]
    pub fn omit(mut self, message: Message) -> Self {
        self.0.retain(|kept| kept.step() != Step::Message(message));
        self
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[PlannedStep] {
        &self.0
    }

    /// The honest messages that the list lacks, where it differs from the honest one in nothing else.
    pub(crate) fn omitted(&self) -> Option<Vec<Message>> {
        let has = |message: Message| self.0.iter().any(|kept| kept.step() == Step::Message(message));
        let missing: Vec<Message> = Message::HONEST.into_iter().filter(|message| !has(*message)).collect();
        let rest = missing.iter().fold(Self::honest(), |plan, message| plan.omit(*message));
        (rest == *self).then_some(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_is_counted_from_either_end_and_never_beyond() {
        let index = |byte| {
            let bit = BitNumber::MIN;
            Bit { byte, bit }.index(36)
        };
        assert_eq!([0, 35, -1, -36].map(index), [Some(0), Some(35), Some(35), Some(0)]);
        assert_eq!([36, -37, i64::MIN, i64::MAX].map(index), [None; 4]);
    }

    #[test]
    fn a_step_is_told_with_how_it_is_spoilt() {
        let spoilt = PlannedMessage {
            flip_bit: Some(Bit {
                byte: -1,
                bit: BitNumber::MIN,
            }),
            cut: MessageSize::new(20),
            delivery: Delivery::Records {
                fragment: FragmentSize::new(300),
                encryption: Encryption::Off,
            },
            ..Message::Finished.into()
        };
        let with = |delivery| {
            PlannedStep::from(PlannedMessage {
                delivery,
                ..Message::Certificate.into()
            })
        };
        let off = Encryption::Off;
        for (step, text) in [
            (
                spoilt.into(),
                "finished (bit 0 of byte -1 changed, cut to 20 bytes, in records of 300 bytes, in clear)",
            ),
            (with(Delivery::WithNext), "certificate (in the next one's record)"),
            (with(Delivery::Unsent), "certificate (not sent)"),
            (
                PlannedStep::ApplicationData {
                    size: DataSize::MAX,
                    encryption: off,
                },
                "application-data (65518 bytes, in clear)",
            ),
            (
                PlannedStep::Alert {
                    description: AlertDescription(80),
                    encryption: Encryption::AsDue,
                },
                "alert (internal_error)",
            ),
            (PlannedStep::Raw("17 0303 ffff".parse().unwrap()), "raw (17 0303 ffff)"),
            (PlannedStep::EmptyRecord, "empty-record"),
        ] {
            assert_eq!(step.to_string(), text);
        }
    }

    #[test]
    fn every_step_is_found_by_its_name() {
        for step in Step::all() {
            assert_eq!(step.name().parse(), Ok(step));
        }
        let error = "finnished".parse::<Step>().unwrap_err().to_string();
        assert!(
            error.contains("`finnished`") && error.contains("certificate-verify, finished"),
            "{error}"
        );
    }
}
