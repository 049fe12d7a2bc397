//! The steps of the server's flight, and lists of them.
//!
//! What enters: the names of steps to leave out, or a whole list. What leaves: the list to perform.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A message that a TLS 1.3 server sends before the client's Finished (RFC 8446 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Section 4.1.3.
    ServerHello,
    /// Section 4.3.1.
    EncryptedExtensions,
    /// Section 4.4.2: the server's chain.
    Certificate,
    /// Section 4.4.3: the proof that the server has the leaf's key.
    CertificateVerify,
    /// Section 4.4.4.
    Finished,
}

impl Step {
    /// The steps of an honest server, in order.
    pub const HONEST: [Self; 5] = [
        Self::ServerHello,
        Self::EncryptedExtensions,
        Self::Certificate,
        Self::CertificateVerify,
        Self::Finished,
    ];

    /// The step's name as a scenario spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ServerHello => "server-hello",
            Self::EncryptedExtensions => "encrypted-extensions",
            Self::Certificate => "certificate",
            Self::CertificateVerify => "certificate-verify",
            Self::Finished => "finished",
        }
    }

    /// The message's name as the RFC spells it.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::ServerHello => "ServerHello",
            Self::EncryptedExtensions => "EncryptedExtensions",
            Self::Certificate => "Certificate",
            Self::CertificateVerify => "CertificateVerify",
            Self::Finished => "Finished",
        }
    }
}

impl FromStr for Step {
    type Err = UnknownStep;

    fn from_str(name: &str) -> Result<Self, UnknownStep> {
        Self::HONEST
            .into_iter()
            .find(|step| step.name() == name)
            .ok_or_else(|| UnknownStep(name.to_owned()))
    }
}

/// No step has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no handshake step is called `{0}`; there are {list}", list = Step::HONEST.map(Step::name).join(", "))]
pub struct UnknownStep(String);

/// A list of steps. It may leave steps out, repeat them and change their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RogueHandshake(Vec<Step>);

impl RogueHandshake {
    /// The steps of an honest server: the list to edit.
    #[must_use]
    pub fn honest() -> Self {
        Self(Step::HONEST.to_vec())
    }

    /// Exactly these steps.
    #[must_use]
    pub fn of(steps: impl Into<Vec<Step>>) -> Self {
        Self(steps.into())
    }

    /// The same list without `step`.
    #[must_use]
    pub fn omit(mut self, step: Step) -> Self {
        self.0.retain(|kept| *kept != step);
        self
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The honest steps that the list lacks.
    pub(crate) fn omitted(&self) -> impl Iterator<Item = Step> {
        Step::HONEST.into_iter().filter(|step| !self.0.contains(step))
    }
}
