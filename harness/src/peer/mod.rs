//! Looks at another server's certificate, without trusting it.
//!
//! What enters: a server's address, and a limit. What leaves: the chain that the server presents. Nothing is verified, no
//! handshake is completed, and no application data is sent: what counts is the Certificate message, even of a server whose
//! handshake would fail behind it. A TLS library gives up where it cannot use a certificate, so this module has its own
//! ClientHello, for every version from SSL 3.0 to TLS 1.3.

mod cursor;
mod keys;
mod hello;
mod wire;
mod handshake;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::deadline::Deadline;

use handshake::Seen;
use hello::Offer;

/// How long one of several addresses is waited for before the next is tried as well (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// At the deadline, a thread needs a moment to hand over what has come of a chain.
const GRACE: Duration = Duration::from_millis(250);

/// A TLS server by name or address, written `example.com:443`, `192.0.2.1:443` or `[2001:db8::1]:443`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    host: String,
    port: u16,
}

/// A text is not the address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerAddressError {
    /// There is no host or no port.
    #[error("`{0}` is not HOST:PORT")]
    Form(String),
    /// An IPv6 address whose end cannot be told from a port.
    #[error("`{0}` has more than one colon; write an IPv6 address in brackets, as in [::1]:443")]
    Brackets(String),
}

impl ServerAddress {
    /// Whether the host is a name rather than an IP address.
    #[must_use]
    pub fn has_name(&self) -> bool {
        !is_ip_address(&self.host)
    }
}

impl FromStr for ServerAddress {
    type Err = ServerAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || ServerAddressError::Form(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
        let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let port = port.parse().map_err(|_| form())?;
        let host = match in_brackets {
            Some(address) => address,
            None if host.contains('/') => return Err(form()),
            None if host.contains(':') => return Err(ServerAddressError::Brackets(text.to_owned())),
            None => host,
        };
        if host.is_empty() || port == 0 {
            return Err(form());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

/// The name that a client asks a server for (SNI, RFC 6066 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(Option<String>);

/// A text is not a DNS name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a valid host name; write labels of letters, digits and hyphens with dots between them")]
pub struct ServerNameError(String);

impl FromStr for ServerName {
    type Err = ServerNameError;

    /// A DNS name, whose last dot is left out. For an IP address the server is asked for no name, because SNI has none.
    fn from_str(text: &str) -> Result<Self, ServerNameError> {
        if is_ip_address(text) {
            return Ok(Self(None));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            (1..=63).contains(&label.len()) && label.chars().all(is_allowed)
        };
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err(ServerNameError(text.to_owned()));
        }
        Ok(Self(Some(name.to_owned())))
    }
}

/// An IPv6 address may be followed by `%` and an interface.
fn is_ip_address(host: &str) -> bool {
    let address = host.split('%').next().unwrap_or(host);
    address.parse::<IpAddr>().is_ok()
}

/// What a server presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The address that answered.
    pub address: SocketAddr,
    /// The protocol version that the server chose: `TLS 1.2`.
    pub version: String,
    /// The leaf: the first certificate of the chain, as the server sent it.
    pub leaf: Vec<u8>,
    /// The other certificates.
    pub issuers: Vec<Vec<u8>>,
    /// Why these may not be all: what broke the Certificate message off.
    pub broken_off: Option<Failure>,
}

/// Why no certificate was seen.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The server's name cannot be asked for.
    #[error(transparent)]
    Name(#[from] ServerNameError),
    /// The host name has no address.
    #[error("{server}: cannot look up the host name: {cause}")]
    Lookup {
        /// The server.
        server: ServerAddress,
        /// What the resolver said.
        cause: io::Error,
    },
    /// No address of the server presents a certificate.
    #[error("{server}: {}", Attempts(failures))]
    Failed {
        /// The server.
        server: ServerAddress,
        /// What happened at each of its addresses.
        failures: Vec<(SocketAddr, Failure)>,
    },
    /// The server took longer than the caller allows.
    #[error("{server}: timed out after {} s waiting for {waiting_for}{}", .limit.as_secs_f32(), Earlier(failures))]
    TimedOut {
        /// The server.
        server: ServerAddress,
        /// The caller's limit.
        limit: Duration,
        /// What did not come.
        waiting_for: &'static str,
        /// What happened at addresses that did answer.
        failures: Vec<(SocketAddr, Failure)>,
    },
}

/// Why one address presents no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There is no connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection broke.
    #[error("the connection failed: {0}")]
    Broken(String),
    /// The server closed the connection.
    #[error("the server closed the connection before it had presented a certificate")]
    Closed,
    /// No time was left.
    #[error("the server took too long")]
    TooLate,
    /// The server answered with an alert.
    #[error("the server ended the handshake with the alert {}", pinrig_server::alert_name(*.0))]
    Alert(u8),
    /// The answer is not TLS.
    #[error("the server does not speak TLS: its answer begins with `{0}`")]
    NotTls(String),
    /// A message or record does not have its form.
    #[error("the server's {0} is malformed")]
    Malformed(&'static str),
    /// The server chose a protocol version that does not exist.
    #[error("the server chose the unknown protocol version {}", pinrig_server::version_name(*.0))]
    Version(u16),
    /// The server chose a cipher suite of TLS 1.3 that it was not offered.
    #[error("the server chose the cipher suite {}, which it was not offered", pinrig_server::suite_name(*.0))]
    Suite(u16),
    /// The server insists on a group of TLS 1.3 that this module cannot compute.
    #[error("the server wants a key exchange with {}, which is not supported", pinrig_server::group_name(*.0))]
    Group(u16),
    /// The keys are not those of the server.
    #[error("the server's records cannot be decrypted")]
    Undecryptable,
    /// The server went on without a certificate.
    #[error("the server presented no certificate")]
    NoCertificate,
}

/// The chain that the server at `server` presents to a client that asks for `name`, or for the host where there is none.
/// All the addresses of a host are tried. The `limit` holds for everything together.
///
/// # Errors
/// When no certificate comes within the limit.
pub fn look(server: &ServerAddress, name: Option<&ServerName>, limit: Duration) -> Result<Presented, PeerError> {
    let name = match name {
        Some(name) => name.clone(),
        None => server.host.parse()?,
    };
    let deadline = Deadline::after("the server's certificate", limit);
    let addresses = addresses(server, &deadline)
        .ok_or_else(|| PeerError::TimedOut {
            server: server.clone(),
            limit,
            waiting_for: "the address of the host",
            failures: Vec::new(),
        })?
        .map_err(|cause| PeerError::Lookup {
            server: server.clone(),
            cause,
        })?;
    first_to_present(addresses, &name, limit, &deadline).map_err(|failed| {
        let server = server.clone();
        match failed {
            AllFailed::InTime(failures) => PeerError::Failed { server, failures },
            AllFailed::TooLate(failures) => PeerError::TimedOut {
                server,
                limit,
                waiting_for: "its certificate",
                failures,
            },
        }
    })
}

/// No address presented a certificate: every one failed, or some had not answered when the time was over.
#[derive(Debug)]
enum AllFailed {
    InTime(Vec<(SocketAddr, Failure)>),
    TooLate(Vec<(SocketAddr, Failure)>),
}

/// Tries one address after the other, each with a head start, and takes the first that presents a certificate. Each
/// address has a thread, which ends at the deadline at the latest.
fn first_to_present(
    addresses: Vec<SocketAddr>,
    name: &ServerName,
    limit: Duration,
    deadline: &Deadline,
) -> Result<Presented, AllFailed> {
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    // With many addresses or a short limit, every one is tried in the first half of it.
    let head_start = HEAD_START.min(limit / 2 / count);
    let mut untried = addresses.into_iter();
    let (sender, results) = channel();
    let mut running = 0;
    let mut is_late = false;
    let mut failures = Vec::new();
    loop {
        if let Some(address) = untried.next() {
            let (sender, name, deadline) = (sender.clone(), name.clone(), *deadline);
            thread::spawn(move || {
                // The receiver is gone when another address was faster.
                let _ = sender.send((address, look_at(address, name.0.as_deref(), &deadline)));
            });
            running += 1;
        } else if running == 0 {
            return Err(if is_late {
                AllFailed::TooLate(failures)
            } else {
                AllFailed::InTime(failures)
            });
        }
        let wait = if untried.len() > 0 {
            head_start
        } else {
            deadline.left() + GRACE
        };
        match results.recv_timeout(wait) {
            Ok((address, Ok(seen))) => return Ok(seen.at(address)),
            Ok((address, Err(failure))) => {
                running -= 1;
                if failure == Failure::TooLate {
                    is_late = true;
                } else {
                    failures.push((address, failure));
                }
            }
            Err(RecvTimeoutError::Timeout) if deadline.left().is_zero() => {
                return Err(AllFailed::TooLate(failures));
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

/// The addresses of a host, without repetitions; `None` when the deadline is over before they are known.
fn addresses(server: &ServerAddress, deadline: &Deadline) -> Option<io::Result<Vec<SocketAddr>>> {
    let ServerAddress { host, port } = server.clone();
    let (sender, found) = channel();
    // The resolver has limits of its own, and cannot be interrupted.
    thread::spawn(move || {
        let addresses = (host.as_str(), port).to_socket_addrs().map(|found| {
            let mut seen = BTreeSet::new();
            found.filter(|address| seen.insert(*address)).collect()
        });
        // The receiver is gone when the deadline is over.
        let _ = sender.send(addresses);
    });
    found.recv_timeout(deadline.left()).ok()
}

/// Makes one offer after the other to one address, until it presents a certificate. The first failure says most.
fn look_at(address: SocketAddr, name: Option<&str>, deadline: &Deadline) -> Result<Seen, Failure> {
    let mut first = None;
    for offer in Offer::ALL {
        let left = deadline.left();
        if left.is_zero() {
            break;
        }
        let result = match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => handshake::certificates(stream, deadline, name, offer),
            Err(_) if deadline.left().is_zero() => Err(Failure::TooLate),
            Err(error) => Err(Failure::Connect(error.to_string())),
        };
        match result {
            Ok(seen) => return Ok(seen),
            Err(failure) => {
                let is_final = failure.is_final();
                first.get_or_insert(failure);
                if is_final {
                    break;
                }
            }
        }
    }
    Err(first.unwrap_or(Failure::TooLate))
}

impl Failure {
    /// Whether another offer would fail in the same way.
    fn is_final(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::TooLate | Self::NotTls(_))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // So a socket reports that its limit is over, which is the deadline.
            io::ErrorKind::WouldBlock => Self::TooLate,
            _ => Self::Broken(error.to_string()),
        }
    }
}

/// Failures, each with its address where there are several.
struct Attempts<'a>(&'a [(SocketAddr, Failure)]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("the host has no address"),
            [(_, failure)] => write!(f, "{failure}"),
            several => several.iter().enumerate().try_for_each(|(index, (address, failure))| {
                let before = if index == 0 { "" } else { ", " };
                write!(f, "{before}{failure} ({address})")
            }),
        }
    }
}

/// Failures behind a sentence about another.
struct Earlier<'a>(&'a [(SocketAddr, Failure)]);

impl fmt::Display for Earlier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(address, failure)| write!(f, ", and before that: {failure} ({address})"))
    }
}

#[cfg(test)]
mod tests;
