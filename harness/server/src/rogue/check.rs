//! Whether a list of steps can be performed, as far as that is known before a client comes.
//!
//! What enters: a list and the identity of its server. What leaves: the first step that cannot be performed. What
//! depends on the client, such as the length of the session id in a ServerHello, is checked when the step is performed.

use pinrig_certs::CertifiedChain;

use super::acceptor::signing_key;
use super::messages::{self, Content, SIGNATURE_LENGTHS, ServerHello};
use crate::message::Message;
use crate::step_error::{Length, StepError, StepProblem};
use crate::steps::{Delivery, MessageSize, PlannedMessage, PlannedStep, RogueHandshake};

/// Why a server cannot perform a list of steps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The list signs with ECDSA on P-256.
    #[error("the server signs with a P-256 key, and the private key is not one")]
    Key,
    /// A step cannot be performed.
    #[error(transparent)]
    Step(#[from] StepError),
}

impl RogueHandshake {
    /// Checks that a server with this identity can perform the list, as far as that is known before a client comes.
    ///
    /// # Errors
    /// The key is not one of P-256, or a step cannot be performed.
    pub fn check(&self, identity: &CertifiedChain) -> Result<(), PlanError> {
        signing_key(identity).map_err(|_| PlanError::Key)?;
        let mut state = State::default();
        for (index, planned) in self.steps().iter().enumerate() {
            let checked = state.perform(index, planned, &identity.chain);
            checked.map_err(|problem| step_error(self, index, problem))?;
        }
        match state.held_since {
            Some(index) => Err(step_error(self, index, StepProblem::NothingFollows).into()),
            None => Ok(()),
        }
    }
}

/// An error of the step at `index`, which is one of the list.
pub(super) fn step_error(plan: &RogueHandshake, index: usize, problem: StepProblem) -> StepError {
    StepError {
        index,
        step: plan.steps()[index].step(),
        problem,
    }
}

/// What earlier steps have brought about.
#[derive(Default)]
struct State {
    keys: bool,
    client_finished: bool,
    /// The first message that waits for the record of another.
    held_since: Option<usize>,
}

impl State {
    fn perform(&mut self, index: usize, planned: &PlannedStep, chain: &[Vec<u8>]) -> Result<(), StepProblem> {
        match planned {
            PlannedStep::Message(planned) => {
                let content = Content::of(planned.message)?;
                if matches!(content, Content::Finished(_)) && !self.keys {
                    return Err(StepProblem::NoKeys);
                }
                fits(planned, &length(planned.message, &content, chain)?)?;
                self.keys |= content.brings_keys(planned.message);
                match planned.delivery {
                    Delivery::Records { .. } => self.held_since = None,
                    Delivery::WithNext => _ = self.held_since.get_or_insert(index),
                    Delivery::Unsent => {}
                }
            }
            PlannedStep::EmptyRecord if !self.keys => return Err(StepProblem::NoKeys),
            PlannedStep::ClientFinished if self.client_finished => return Err(StepProblem::FinishedTwice),
            PlannedStep::ClientFinished => self.client_finished = true,
            PlannedStep::ApplicationData { .. }
            | PlannedStep::EmptyHandshake { .. }
            | PlannedStep::EmptyRecord
            | PlannedStep::ChangeCipherSpec
            | PlannedStep::Alert { .. }
            | PlannedStep::Raw(_) => {}
        }
        Ok(())
    }
}

/// Checks that a message of this length can be spoilt as it is planned.
pub(super) fn fits(planned: &PlannedMessage, length: &Length) -> Result<(), StepProblem> {
    let (least, most) = (*length.0.start(), *length.0.end());
    if let Some(to) = planned.cut
        && to.size() >= most
    {
        let length = length.clone();
        return Err(StepProblem::NotCut { to, length });
    }
    if let Some(bit) = planned.flip_bit {
        let no_such_byte = |length| StepProblem::NoSuchByte { byte: bit.byte, length };
        if bit.index(most).is_none() {
            return Err(no_such_byte(length.clone()));
        }
        // Where the length is not known yet, the smallest index that the byte can have.
        let index = match usize::try_from(bit.byte) {
            Ok(index) => index,
            Err(_) => bit.index(least).unwrap_or(0),
        };
        if let Some(to) = planned.cut.map(MessageSize::size)
            && index >= to
        {
            return Err(no_such_byte(Length(to..=to)));
        }
    }
    Ok(())
}

/// The lengths that `message` can have, which has this content.
fn length(message: Message, content: &Content, chain: &[Vec<u8>]) -> Result<Length, StepProblem> {
    /// The shortest ClientHello: a header, a version, a random, no session id, one suite, one compression method, no
    /// extensions (RFC 8446 section 4.1.2).
    const SHORTEST_CLIENT_HELLO: usize = 4 + 2 + 32 + 1 + (2 + 2) + (1 + 1);
    let server_hello = |session_id: &[u8]| {
        let hello = ServerHello::new(message, [0; 32], session_id, &[0; 65]);
        hello.message().map(|message| message.len())
    };
    let verify = |signed, signature: usize| {
        let message = messages::certificate_verify(&vec![0; signature], signed);
        message.map(|message| message.len())
    };
    let exact = |length| Length(length..=length);
    Ok(match content {
        // A session id has at most 32 bytes (RFC 8446 section 4.1.2).
        Content::ServerHello => Length(server_hello(&[])?..=server_hello(&[0; 32])?),
        Content::Certificate => exact(messages::certificate(chain)?.len()),
        Content::Verify(signed, _) => {
            let [shortest, longest] = SIGNATURE_LENGTHS;
            Length(verify(*signed, shortest)?..=verify(*signed, longest)?)
        }
        Content::Finished(_) => exact(messages::finished(&[0; 32])?.len()),
        Content::ClientHello => Length(SHORTEST_CLIENT_HELLO..=MessageSize::MAX.size()),
        Content::Fixed(message) => exact(message.len()),
    })
}

#[cfg(test)]
mod tests {
    use pinrig_certs::Recipe;

    use super::*;
    use crate::steps::{Bit, BitNumber, Step};

    fn problem(steps: &[PlannedStep]) -> Option<(usize, StepProblem)> {
        match RogueHandshake::of(steps.to_vec()).check(&Recipe::Github.issue()) {
            Ok(()) => None,
            Err(PlanError::Step(error)) => Some((error.index, error.problem)),
            Err(error @ PlanError::Key) => panic!("{error}"),
        }
    }

    fn flipped(message: Message, byte: i64) -> PlannedMessage {
        PlannedMessage {
            flip_bit: Some(Bit {
                byte,
                bit: BitNumber::MIN,
            }),
            ..message.into()
        }
    }

    #[test]
    fn a_bit_beyond_every_length_that_a_message_can_have_is_found() {
        let chain = Recipe::Github.issue().chain;
        let certificate = i64::try_from(messages::certificate(&chain).unwrap().len()).unwrap();
        for (message, longest) in [
            (Message::ServerHello, 155),
            (Message::NoShareServerHello, 82),
            (Message::EncryptedExtensions, 6),
            (Message::Certificate, certificate),
            (Message::CertificateVerify, 80),
            (Message::Finished, 36),
        ] {
            let steps = |byte| [Message::ServerHello.into(), flipped(message, byte).into()];
            for there in [0, longest - 1, -1, -longest] {
                assert_eq!(problem(&steps(there)), None, "{message}: {there}");
            }
            for beyond in [longest, -longest - 1, i64::MAX, i64::MIN] {
                let found = problem(&steps(beyond));
                assert!(
                    matches!(found, Some((1, StepProblem::NoSuchByte { byte, .. })) if byte == beyond),
                    "{message}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn a_cut_leaves_fewer_bytes_than_there_are_and_the_changed_one_among_them() {
        let cut = |to, byte| PlannedMessage {
            cut: MessageSize::new(to),
            ..flipped(Message::Finished, byte)
        };
        let steps = |planned: PlannedMessage| [Message::ServerHello.into(), planned.into()];
        for (to, byte, text) in [
            (36, 0, "it cannot be cut to 36 bytes, the message has 36 bytes"),
            (20, 20, "there is no byte 20 to change, the message has 20 bytes"),
            (20, -1, "there is no byte -1 to change, the message has 20 bytes"),
        ] {
            let (_, problem) = problem(&steps(cut(to, byte))).unwrap();
            assert_eq!(problem.to_string(), text);
        }
        assert_eq!(problem(&steps(cut(20, -17))), None, "the last that is left");
    }

    #[test]
    fn a_step_that_nothing_can_come_of_is_found() {
        let held = PlannedMessage {
            delivery: Delivery::WithNext,
            ..Message::EncryptedExtensions.into()
        };
        let unsent = PlannedMessage {
            delivery: Delivery::Unsent,
            ..Message::Certificate.into()
        };
        let hello = PlannedStep::from(Message::ServerHello);
        for (steps, expected) in [
            (vec![Message::Finished.into()], Some((0, StepProblem::NoKeys))),
            (
                vec![Message::HelloRetryRequest.into(), PlannedStep::EmptyRecord],
                Some((1, StepProblem::NoKeys)),
            ),
            (vec![hello.clone(), PlannedStep::EmptyRecord], None),
            (
                vec![hello.clone(), held.into(), unsent.into(), PlannedStep::ChangeCipherSpec],
                Some((1, StepProblem::NothingFollows)),
            ),
            (
                vec![hello.clone(), held.into(), held.into(), Message::Finished.into()],
                None,
            ),
            (
                vec![hello, PlannedStep::ClientFinished, PlannedStep::ClientFinished],
                Some((2, StepProblem::FinishedTwice)),
            ),
        ] {
            assert_eq!(problem(&steps), expected, "{steps:?}");
        }
    }

    #[test]
    fn a_list_needs_a_key_on_p_256() {
        let plan = RogueHandshake::honest();
        assert_eq!(plan.check(&Recipe::Github.issue()), Ok(()));
        for recipe in [Recipe::Rsa, Recipe::P384, Recipe::Ed25519] {
            assert_eq!(plan.check(&recipe.issue()), Err(PlanError::Key), "{recipe}");
        }
    }

    #[test]
    fn every_step_can_be_performed_after_a_server_hello() {
        for step in Step::all().filter(|step| *step != Step::Raw) {
            let steps = [Some(Message::ServerHello.into()), PlannedStep::plain(step)];
            assert_eq!(problem(&steps.map(Option::unwrap)), None, "{step}");
        }
    }
}
