//! Why the server cannot perform a step.
//!
//! What enters: a step, and what is wrong with it. What leaves: the error that names both. It is the server's own
//! failure, whether it is found before a client comes or while one is served.

use std::fmt;
use std::ops::RangeInclusive;

use crate::steps::{MessageSize, Step};

/// A step of a list that the server cannot perform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step {}, `{step}`: {problem}", .index + 1)]
pub struct StepError {
    /// The step's place in the list, from 0.
    pub index: usize,
    /// The step.
    pub step: Step,
    /// Why.
    pub problem: StepProblem,
}

/// Why the server cannot perform a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepProblem {
    /// The bit to change is beyond the message.
    #[error("there is no byte {byte} to change, the message has {length}")]
    NoSuchByte {
        /// The byte.
        byte: i64,
        /// The message's length.
        length: Length,
    },
    /// The message is not longer than what is to be left of it.
    #[error("it cannot be cut to {to} bytes, the message has {length}")]
    NotCut {
        /// What is to be left.
        to: MessageSize,
        /// The message's length.
        length: Length,
    },
    /// A length in it does not fit the field that the RFC has for it.
    #[error("{content} bytes do not fit a field whose length is said in {bits} bits")]
    TooLong {
        /// The length in bytes.
        content: usize,
        /// The bits of the field's length.
        bits: u32,
    },
    /// There are no keys yet.
    #[error("it needs keys, which the server has after a ServerHello; put one before it")]
    NoKeys,
    /// The message was held back, and no other follows.
    #[error("no later message is sent in whose record it could go")]
    NothingFollows,
    /// The client sends its Finished once.
    #[error("the client sends its Finished once, and an earlier step has waited for it")]
    FinishedTwice,
}

/// The length of a message in bytes, or what is known of it before the client has said anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Length(pub RangeInclusive<usize>);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (self.0.start(), self.0.end());
        if least == most {
            write!(f, "{least} bytes")
        } else {
            write!(f, "{least} to {most} bytes")
        }
    }
}
