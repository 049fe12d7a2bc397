//! The steps of the server's side of a handshake, and lists of them.
//!
//! What enters: a list as a scenario writes it. What leaves: the list to perform. A scenario leaves steps out, repeats
//! them, changes their order, puts others in their place, or spoils one: all of that is another list.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// One thing that a TLS 1.3 server does between the ClientHello and the request (RFC 8446 section 2), or must
        /// not do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Step {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+
        }

        impl Step {
            /// Every step.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The step's name as a scenario spells it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

steps! {
    /// Section 4.1.3.
    ServerHello = "server-hello",
    /// Section 4.3.1.
    EncryptedExtensions = "encrypted-extensions",
    /// Section 4.4.2: the server's chain.
    Certificate = "certificate",
    /// Section 4.4.3: the proof that the server has the leaf's key.
    CertificateVerify = "certificate-verify",
    /// Section 4.4.4.
    Finished = "finished",
    /// Wait for the client's Finished and check it; what follows is protected by the application's keys. A list without
    /// it has it at its end.
    ClientFinished = "client-finished",

    /// A ServerHello of TLS 1.2, without extensions.
    OlderServerHello = "older-server-hello",
    /// The same, with the mark of a server that can do better (section 4.1.3).
    DowngradedServerHello = "downgraded-server-hello",
    /// A ServerHello that selects a version of the future.
    FutureServerHello = "future-server-hello",
    /// A ServerHello that selects TLS_AES_128_CCM_SHA256, which hardly anybody offers.
    OtherSuiteServerHello = "other-suite-server-hello",
    /// A ServerHello with a key share of x25519.
    OtherGroupServerHello = "other-group-server-hello",
    /// A ServerHello whose key share is no point of the curve.
    OffCurveServerHello = "off-curve-server-hello",
    /// A ServerHello with another session id than the client's.
    OtherSessionServerHello = "other-session-server-hello",
    /// A ServerHello that takes a pre-shared key.
    PskServerHello = "psk-server-hello",
    /// A ServerHello without a key share.
    NoShareServerHello = "no-share-server-hello",
    /// A HelloRetryRequest (section 4.1.4) for the group that the client has offered already.
    HelloRetryRequest = "hello-retry-request",

    /// EncryptedExtensions with an extension that the client did not ask for.
    UnaskedExtensions = "unasked-extensions",
    /// Section 4.3.2.
    CertificateRequest = "certificate-request",
    /// A Certificate with an empty list.
    EmptyCertificate = "empty-certificate",
    /// A CertificateVerify that says rsa_pss_rsae_sha256 over an ECDSA signature.
    MislabelledVerify = "mislabelled-verify",
    /// A CertificateVerify made as a client makes it: with the client's context string.
    ClientVerify = "client-verify",
    /// A CertificateVerify over the handshake without its Certificate.
    StaleVerify = "stale-verify",
    /// A Finished of the client's side.
    ReflectedFinished = "reflected-finished",

    /// Section 4.6.1.
    NewSessionTicket = "new-session-ticket",
    /// Section 4.6.3, without a request for the client's own.
    KeyUpdate = "key-update",
    /// The HelloRequest of TLS 1.2 (RFC 5246 section 7.4.1.1), which asks for a renegotiation.
    HelloRequest = "hello-request",
    /// The client's own ClientHello, sent back.
    ClientHello = "client-hello",
    /// A handshake message of a type that no RFC knows.
    UnknownMessage = "unknown-message",
    /// Application data: `size` bytes, one unless told otherwise.
    ApplicationData = "application-data",
    /// A handshake record without content.
    EmptyHandshake = "empty-handshake",
    /// An encrypted record without even a content type.
    EmptyRecord = "empty-record",
    /// ChangeCipherSpec, for the sake of middleboxes (appendix D.4).
    ChangeCipherSpec = "change-cipher-spec",
    /// An alert, of `description`.
    Alert = "alert",
    /// The bytes of `hex`, as they are.
    Raw = "raw",
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
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Step {
    type Err = UnknownStep;

    fn from_str(name: &str) -> Result<Self, UnknownStep> {
        Self::ALL
            .iter()
            .copied()
            .find(|step| step.name() == name)
            .ok_or_else(|| UnknownStep(name.to_owned()))
    }
}

/// No step has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no handshake step is called `{0}`; there are {list}", list = known_names())]
pub struct UnknownStep(String);

fn known_names() -> String {
    let names: Vec<_> = Step::ALL.iter().map(|step| step.name()).collect();
    names.join(", ")
}

/// One bit of a message, counted from its first byte (its handshake header included) and its least significant bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bit {
    /// Which byte; negative ones count from the end.
    pub byte: isize,
    /// Which bit, 0 to 7.
    pub bit: u8,
}

/// A step, and how it is spoilt.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlannedStep {
    /// What to do.
    pub step: Step,
    /// Changes one bit of the message before it is sent; the server's own view of the handshake has the changed one too.
    pub flip_bit: Option<Bit>,
    /// Sends only so many bytes of the message.
    pub cut: Option<usize>,
    /// Sends the message in records of at most so many bytes of content.
    pub fragment: Option<usize>,
    /// Holds the message back, for the record of the next one.
    #[serde(default)]
    pub with_next: bool,
    /// Sends the message unencrypted, whatever it should be.
    #[serde(default)]
    pub in_clear: bool,
    /// Takes the message for sent, and does not send it.
    #[serde(default)]
    pub unsent: bool,
    /// So many bytes of application data.
    pub size: Option<usize>,
    /// The alert's description (section 6).
    pub description: Option<u8>,
    /// The bytes of a raw step, in hexadecimal digits; spaces do not matter.
    pub hex: Option<String>,
}

impl From<Step> for PlannedStep {
    fn from(step: Step) -> Self {
        Self {
            step,
            flip_bit: None,
            cut: None,
            fragment: None,
            with_next: false,
            in_clear: false,
            unsent: false,
            size: None,
            description: None,
            hex: None,
        }
    }
}

/// As the server lane tells it.
impl fmt::Display for PlannedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, .. } = self;
        write!(f, "{step}")?;
        let mut notes = Vec::new();
        notes.extend(
            self.flip_bit
                .map(|Bit { byte, bit }| format!("bit {bit} of byte {byte} changed")),
        );
        notes.extend(self.cut.map(|length| format!("cut to {length} bytes")));
        notes.extend(self.fragment.map(|size| format!("in records of {size} bytes")));
        notes.extend(self.size.map(|size| format!("{size} bytes")));
        notes.extend(self.description.map(crate::names::alert));
        notes.extend(self.hex.clone());
        for (set, note) in [
            (self.with_next, "in the next one's record"),
            (self.in_clear, "in clear"),
            (self.unsent, "not sent"),
        ] {
            if set {
                notes.push(note.to_owned());
            }
        }
        if notes.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", notes.join(", "))
    }
}

/// A list of steps. It may leave steps out, repeat them, change their order, and spoil them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RogueHandshake(Vec<PlannedStep>);

impl RogueHandshake {
    /// The steps of an honest server: the list to edit.
    #[must_use]
    pub fn honest() -> Self {
        Self::of(Step::HONEST)
    }

    /// Exactly these steps.
    #[must_use]
    pub fn of(steps: impl IntoIterator<Item = impl Into<PlannedStep>>) -> Self {
        Self(steps.into_iter().map(Into::into).collect())
    }

    /// The same list without `step`.
    #[must_use]
    pub fn omit(mut self, step: Step) -> Self {
        self.0.retain(|kept| kept.step != step);
        self
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[PlannedStep] {
        &self.0
    }

    /// The honest steps that the list lacks, where it differs from the honest one in nothing else.
    pub(crate) fn omitted(&self) -> Option<Vec<Step>> {
        let missing: Vec<Step> = Step::HONEST
            .into_iter()
            .filter(|step| !self.0.iter().any(|kept| kept.step == *step))
            .collect();
        let rest = missing.iter().fold(Self::honest(), |plan, step| plan.omit(*step));
        (rest == *self).then_some(missing)
    }
}
