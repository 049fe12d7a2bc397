//! What the server saw, one event after another.
//!
//! What enters: facts from the connection. What leaves: [`ServerEvent`], whose `Display` is a line of the server lane
//! (no ports, no times, nothing that differs between two runs of one scenario) and whose serde form has every detail.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::client_hello::ClientHelloFacts;
use crate::drawn::Drawn;

/// One thing that the server saw or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServerEvent {
    /// Time since the server started; serialised in microseconds.
    #[serde(rename = "at-us", serialize_with = "microseconds")]
    pub at: Duration,
    /// The connection, counted from 1.
    pub connection: u32,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum EventKind {
    /// A TCP connection was accepted.
    Connected,
    /// The client's first message; a second one answers a HelloRetryRequest.
    ClientHello(ClientHelloFacts),
    /// The client's half of the key exchange in TLS 1.2.
    ClientKeyExchange(Drawn),
    /// A handshake message that the rogue server was told to leave out.
    StepOmitted {
        /// The step's name.
        step: String,
    },
    /// The rogue server follows this list.
    Steps {
        /// The steps, as a scenario spells them, with how each is spoilt.
        steps: Vec<String>,
    },
    /// What the server does to its connection on purpose.
    Fault {
        /// The fault and its moment, in words.
        what: String,
    },
    /// The server could not do what it was told, so the connection says nothing about the client.
    ServerFailed {
        /// Why, in words.
        reason: String,
    },
    /// Both Finished messages were exchanged and verified.
    HandshakeComplete {
        /// The protocol version.
        version: String,
        /// The cipher suite.
        suite: String,
        /// The group of the key exchange, where known.
        group: Option<String>,
    },
    /// The handshake ended without success.
    HandshakeFailed {
        /// Why, in words.
        reason: String,
    },
    /// The client sent an alert other than close_notify.
    AlertReceived {
        /// The registered name.
        description: String,
        /// Whether it came unprotected.
        in_clear: bool,
    },
    /// The server sent an alert other than close_notify.
    AlertSent {
        /// The registered name.
        description: String,
        /// Whether it went unprotected.
        in_clear: bool,
    },
    /// The whole head of an HTTP request.
    Request {
        /// The request line and header lines, without their line ends.
        lines: Vec<String>,
        /// The size of the head, with the empty line that ends it.
        bytes: usize,
    },
    /// Application data behind a whole head: a second request, a body, or anything else.
    DataAfterRequest {
        /// How much came at once.
        bytes: usize,
        /// The beginning of it, as text.
        beginning: String,
    },
    /// The connection ended, or time ran out, before the end of the request's head.
    RequestIncomplete {
        /// How many bytes had arrived.
        bytes: usize,
    },
    /// A whole reply was handed to the network.
    ReplySent {
        /// The status line without the version; raw bytes have none.
        status: Option<String>,
        /// How its end is marked.
        framing: String,
        /// Its size, head and body.
        bytes: usize,
    },
    /// Bytes that a client has no reason to send: what follows its own last word, or cannot be read where it stands.
    Stray {
        /// Where they came.
        place: StrayPlace,
        /// Their number.
        bytes: usize,
        /// The first of them as text; what is not graphic ASCII is escaped.
        beginning: String,
    },
    /// The client said that it will send no more (RFC 8446 section 6.1).
    CloseNotifyReceived,
    /// The server said that it will send no more.
    CloseNotifySent,
    /// An established session broke.
    SessionFailed {
        /// Why, in words.
        reason: String,
    },
    /// The connection is over.
    Ended {
        /// How it ended.
        how: Ending,
        /// Application bytes that the client sent, after decryption.
        received: u64,
        /// Application bytes that the server sent, before encryption.
        sent: u64,
    },
}

/// Where a client sent bytes that it has no reason to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrayPlace {
    /// A record that the handshake or the session does not have there.
    OutOfPlace,
    /// The connection ended in the middle of a record.
    CutRecord,
    /// After the client's fatal alert.
    AfterAlert,
    /// After the client's close_notify.
    AfterCloseNotify,
    /// After the session had failed.
    AfterFailure,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The client closed it in order (TCP FIN).
    ClosedByClient,
    /// The client reset it while the server had still something to do.
    ResetByClient,
    /// The client reset it after the server had done everything: both were closing, and the reset came first.
    ResetAfterClose,
    /// The limit passed for what the server waited for.
    TimedOut(String),
    /// The server cut it on purpose.
    CutOnPurpose,
    /// The server was stopped.
    ServerStopped,
    /// The network failed in another way.
    Failed(String),
}

impl fmt::Display for ServerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {}", self.connection, self.kind)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::ClientHello(facts) => write!(f, "client hello: {facts}"),
            Self::ClientKeyExchange(_) => f.write_str("client key exchange"),
            Self::StepOmitted { step } => write!(f, "left out: {step}"),
            Self::Steps { steps } => write!(f, "handshake by: {}", steps.join(", ")),
            Self::ServerFailed { reason } => write!(f, "the server failed: {}", printable(reason)),
            Self::Fault { what } => write!(f, "on purpose: {what}"),
            Self::HandshakeComplete { version, suite, group } => {
                write!(f, "handshake complete: {version}, {suite}")?;
                group.iter().try_for_each(|group| write!(f, ", {group}"))
            }
            Self::HandshakeFailed { reason } => write!(f, "handshake failed: {}", printable(reason)),
            Self::AlertReceived { description, in_clear } => {
                write!(f, "alert received: {description}{}", clarity(*in_clear))
            }
            Self::AlertSent { description, in_clear } => {
                write!(f, "alert sent: {description}{}", clarity(*in_clear))
            }
            Self::Request { lines, .. } => write!(f, "request: {}", printable(&lines.join(" | "))),
            Self::DataAfterRequest { bytes, beginning } => {
                write!(f, "{bytes} bytes more after the request: {}", printable(beginning))
            }
            Self::RequestIncomplete { .. } => f.write_str("request incomplete"),
            Self::ReplySent { status, framing, .. } => {
                f.write_str("reply sent: ")?;
                if let Some(status) = status {
                    write!(f, "{}, ", printable(status))?;
                }
                f.write_str(framing)
            }
            Self::Stray {
                place,
                bytes,
                beginning,
            } => {
                let encrypted = *place == StrayPlace::AfterFailure;
                let place = match place {
                    StrayPlace::OutOfPlace => "out of place",
                    StrayPlace::CutRecord => "of a record that is cut off",
                    StrayPlace::AfterAlert => "after the client's alert",
                    StrayPlace::AfterCloseNotify => "after the client's close_notify",
                    StrayPlace::AfterFailure => "after the session had failed",
                };
                write!(f, "{bytes} bytes {place}")?;
                // What came for a session that failed is encrypted for it, and differs from run to run.
                if encrypted {
                    return Ok(());
                }
                write!(f, ": {beginning}")
            }
            Self::CloseNotifyReceived => f.write_str("close_notify received"),
            Self::CloseNotifySent => f.write_str("close_notify sent"),
            Self::SessionFailed { reason } => write!(f, "session failed: {}", printable(reason)),
            Self::Ended { how, received, .. } => {
                let data = if *received == 0 {
                    "no application data"
                } else {
                    "application data"
                };
                write!(f, "{how}; {data} received")
            }
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClosedByClient | Self::ResetAfterClose => f.write_str("connection closed by the client"),
            Self::ResetByClient => f.write_str("connection reset by the client"),
            Self::TimedOut(what) => write!(f, "connection given up, waiting for {what}"),
            Self::CutOnPurpose => f.write_str("connection cut on purpose"),
            Self::ServerStopped => f.write_str("connection cut: the server was stopped"),
            Self::Failed(why) => write!(f, "connection failed: {}", printable(why)),
        }
    }
}

fn clarity(in_clear: bool) -> &'static str {
    if in_clear { " (in clear)" } else { "" }
}

/// Text from the network on one line: what is not printable is escaped.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

fn microseconds<S: Serializer>(at: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(at.as_micros()).unwrap_or(u64::MAX))
}
