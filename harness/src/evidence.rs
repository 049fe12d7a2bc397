//! Evidence: what was seen while a scenario ran, before anything judges it.
//!
//! What enters: the device's answer, the server's counts, recorded files. What leaves: plain values for verdicts, reports
//! and bundles.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use pinrig_server::{Drawn, EventKind, StrayPlace};
use serde::Serialize;
use virtual_lan::Sight;

use crate::language::Fields;
use crate::randomness::Repeated;
use crate::run_result::RunResult;

/// What both witnesses saw of one run.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The device.
    pub device: DeviceEvidence,
    /// The server.
    pub server: ServerEvidence,
    /// The requests that the server saw, each as the lines of its head.
    pub requests: Vec<Vec<String>>,
    /// What the device showed of itself on each connection.
    pub clients: Vec<Client>,
    /// What the device drew at random that had been drawn before.
    pub repeated: Vec<Repeated>,
    /// What else the server received: bytes that no client has a reason to send.
    pub strays: Vec<StrayBytes>,
    /// The network between them; `None` where nothing watches it, as at a board on a desk.
    pub network: Option<NetworkEvidence>,
}

/// What a device showed of itself on one connection, besides its request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Client {
    /// What it drew at random, each value once.
    pub drawn: Vec<Drawn>,
    /// The server name of each ClientHello; `None` where it has none.
    pub server_names: Vec<Option<String>>,
    /// Whether a ClientHello offered TLS 1.3.
    pub offers_tls_1_3: bool,
    /// The fatal alerts that it sent, by their registered names.
    pub alerts: Vec<String>,
    /// Whether it said close_notify.
    pub close_notify: bool,
}

impl Client {
    /// What `events` of one connection tell of its client.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a EventKind>) -> Self {
        let mut client = Self::default();
        for event in events {
            match event {
                EventKind::ClientHello(facts) => {
                    client.server_names.push(facts.server_name.clone());
                    client.offers_tls_1_3 |= facts.versions.iter().any(|version| version == "TLS 1.3");
                    // A second ClientHello has the random and the session id of the first (RFC 8446 section 4.1.2).
                    for drawn in &facts.drawn {
                        if !client.drawn.contains(drawn) {
                            client.drawn.push(drawn.clone());
                        }
                    }
                }
                EventKind::ClientKeyExchange(drawn) => client.drawn.push(drawn.clone()),
                EventKind::AlertReceived { description, .. } => client.alerts.push(description.clone()),
                EventKind::CloseNotifyReceived => client.close_notify = true,
                _ => {}
            }
        }
        client
    }
}

/// Bytes of the device that the server did not wait for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StrayBytes {
    /// Where they came.
    pub place: StrayPlace,
    /// The line of the server's record, which quotes them.
    pub line: String,
}

/// What the device put on its network in one run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NetworkEvidence {
    /// Where the device finds the scenario's server.
    pub server: SocketAddrV4,
    /// The network's resolver, which is its DHCP server and its router as well.
    pub gateway: Ipv4Addr,
    /// Whether the device has asked for an address (DHCPDISCOVER), in this run or before. A client repeats that after some
    /// seconds only, so a short run may be without.
    pub asked_for_address: bool,
    /// What the device sent, before any fault of the network.
    pub sent: Vec<Sight>,
}

/// What the device said in one run.
#[derive(Clone, Debug, Default)]
pub struct DeviceEvidence {
    /// The lines for people, in order.
    pub said: Vec<String>,
    /// How it ended; `None` where the run broke off before that.
    pub answer: Option<DeviceAnswer>,
    /// The server's text as the device printed it; `None` for firmware with a language of its own, which has no marks.
    pub reply: Option<PrintedReply>,
}

/// What a device printed of the server's reply.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PrintedReply {
    /// The marks around it, in order. They bear the command's tag.
    pub marks: Vec<ReplyMark>,
    /// Its lines, without their ends, one behind the other.
    pub text: String,
}

/// A line with which a device says whose text follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReplyMark {
    /// The server's.
    Begin,
    /// Its own again.
    End,
}

impl fmt::Display for ReplyMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begin => "reply begin",
            Self::End => "reply end",
        })
    }
}

/// The last word of a device in one run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DeviceAnswer {
    /// The run took place, with this result.
    Result(RunResult),
    /// The console refused a command, so there was no run.
    Rejected(Rejection),
}

/// A command that the console refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejection {
    /// The command, as it was sent.
    pub command: String,
    /// The console's error code: `bad-pin`, ...
    pub code: Option<String>,
    /// What the console says of it.
    pub detail: Option<String>,
}

impl Rejection {
    /// From the fields of the error line that answered `command`.
    #[must_use]
    pub fn read(command: &str, fields: &Fields) -> Self {
        Self {
            command: command.to_owned(),
            code: fields.get("code").map(str::to_owned),
            detail: fields.get("detail").map(str::to_owned),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.detail.as_deref().unwrap_or("it does not say why");
        write!(f, "the firmware refused `{}`: {detail}", self.command)
    }
}

impl DeviceEvidence {
    /// The result, if there is one.
    #[must_use]
    pub fn result(&self) -> Option<&RunResult> {
        match &self.answer {
            Some(DeviceAnswer::Result(result)) => Some(result),
            Some(DeviceAnswer::Rejected(_)) | None => None,
        }
    }
}

/// What the server saw.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct ServerEvidence {
    /// TCP connections.
    pub connections: usize,
    /// ClientHello messages.
    pub client_hellos: usize,
    /// Handshakes that it completed.
    pub handshakes: usize,
    /// Complete HTTP requests.
    pub requests: usize,
    /// Bytes of the heads of those requests.
    pub request_bytes: u64,
    /// Application bytes that arrived, whole requests or not.
    pub application_bytes: u64,
}

impl std::ops::AddAssign for ServerEvidence {
    fn add_assign(&mut self, more: Self) {
        self.connections += more.connections;
        self.client_hellos += more.client_hellos;
        self.handshakes += more.handshakes;
        self.requests += more.requests;
        self.request_bytes += more.request_bytes;
        self.application_bytes += more.application_bytes;
    }
}

impl fmt::Display for ServerEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} connection(s), {} handshake(s), {} request(s), {} application byte(s)",
            self.connections, self.handshakes, self.requests, self.application_bytes
        )
    }
}

/// One file of a failure bundle.
#[derive(Clone, Debug)]
pub struct RecordedFile {
    /// Its name in the bundle.
    pub name: &'static str,
    /// Its contents.
    pub contents: Vec<u8>,
}
