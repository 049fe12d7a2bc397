//! The scenario's server while it runs, and what it leaves behind.
//!
//! What enters: a [`Service`], and others for later runs. What leaves: an address; for each run a [`Seen`], with the
//! server's lane and its evidence; and at the end the record as files. Only this module turns a scenario into a server's
//! configuration.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with};

use crate::deadline::Deadline;
use crate::evidence::{Client, RecordedFile, ServerEvidence, StrayBytes};
use crate::scenario::{Service, TlsService};
use pinrig_server::{EventKind, RunningServer, ServerConfig, ServerEvent, Settled, StartError, TlsServer, Traffic};

/// What stands at the server's address.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stands: Stands,
    /// Asks the server that stands there now.
    settled: Arc<Mutex<Settled>>,
    /// What earlier runs have seen.
    before: Before,
}

/// How much of the server's record belongs to earlier runs.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    events: usize,
    application_bytes: u64,
}

#[derive(Debug)]
enum Stands {
    /// A port that is taken but not listened on, so that connections are refused and no other program can take it.
    Closed(OwnedFd),
    /// A TLS server.
    Tls(RunningServer),
    /// Nothing: the server could not take the port over.
    Gone,
}

/// Why a service did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The TLS server did not start.
    #[error(transparent)]
    Server(#[from] StartError),
    /// The system gave no port.
    #[error("cannot take a port: {cause}")]
    Port {
        /// What the system said.
        cause: std::io::Error,
    },
    /// Scenarios are checked for this when they are read.
    #[error("a server that listens cannot be closed before the scenario ends")]
    Close,
}

/// What a service saw of one run.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The server's lane.
    pub lines: Vec<String>,
    /// What counts for the verdict.
    pub evidence: ServerEvidence,
    /// The requests, each as the lines of its head.
    pub requests: Vec<Vec<String>>,
    /// The client's side of each connection.
    pub clients: Vec<Client>,
    /// Bytes that no client has a reason to send.
    pub strays: Vec<StrayBytes>,
    /// What the server could not do that the scenario asks for. The run then says nothing about the device.
    pub failure: Option<String>,
    /// Why this may not be all: a connection that did not end in time.
    pub problem: Option<String>,
}

impl Running {
    /// Starts what `service` describes on a free port of `at`, an address of this machine.
    ///
    /// # Errors
    /// The system gives no port or no thread.
    pub fn start(service: &Service, at: IpAddr) -> Result<Self, ServiceError> {
        let (address, stands) = match service {
            Service::Closed => closed_port(at).map_err(port)?,
            Service::Tls(tls) => {
                let server = TlsServer::start(configuration(tls, SocketAddr::new(at, 0)))?;
                (server.address(), Stands::Tls(server))
            }
        };
        let settled = Arc::new(Mutex::new(stands.settled()));
        Ok(Self {
            address,
            stands,
            settled,
            before: Before::default(),
        })
    }

    /// Puts `service` at the same address, from the next connection on.
    ///
    /// # Errors
    /// The new one cannot be served.
    pub fn change(&mut self, service: &Service) -> Result<(), ServiceError> {
        match (std::mem::replace(&mut self.stands, Stands::Gone), service) {
            (stands @ Stands::Closed(_), Service::Closed) => self.stands = stands,
            (Stands::Closed(socket), Service::Tls(tls)) => {
                listen(&socket, 128).map_err(|cause| port(cause.into()))?;
                let server = TlsServer::start_on(TcpListener::from(socket), configuration(tls, self.address))?;
                self.stands = Stands::Tls(server);
            }
            (Stands::Tls(server), Service::Tls(tls)) => {
                let changed = server.change(&configuration(tls, self.address));
                self.stands = Stands::Tls(server);
                changed?;
            }
            (stands, _) => {
                self.stands = stands;
                return Err(ServiceError::Close);
            }
        }
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = self.stands.settled();
        Ok(())
    }

    /// Where it stands.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reports whether the server is idle, waiting for its clients.
    #[must_use]
    pub fn settled(&self) -> Settled {
        let settled = Arc::clone(&self.settled);
        Settled::new(move || settled.lock().unwrap_or_else(PoisonError::into_inner).traffic())
    }

    /// Waits until the last connection is over, then gives what was seen since the last call.
    pub fn seen(&mut self, deadline: &Deadline) -> Seen {
        let Stands::Tls(server) = &self.stands else {
            return Seen::default();
        };
        let problem = server.wait_idle(deadline.left()).err().map(|error| error.to_string());
        let events = server.events();
        let now = Before {
            events: events.len(),
            application_bytes: server.application_bytes_received(),
        };
        let before = std::mem::replace(&mut self.before, now);
        let new = &events[before.events..];
        let count = |wanted: fn(&EventKind) -> bool| new.iter().filter(|event| wanted(&event.kind)).count();
        let heads = new.iter().filter_map(|event| match &event.kind {
            EventKind::Request { lines, bytes } => Some((lines.clone(), *bytes as u64)),
            _ => None,
        });
        let (requests, sizes): (Vec<_>, Vec<u64>) = heads.unzip();
        let request_bytes = sizes.into_iter().sum();
        let strays = new.iter().filter_map(|event| match event.kind {
            EventKind::Stray { place, .. } => Some(StrayBytes {
                place,
                line: event.to_string(),
            }),
            _ => None,
        });
        let strays = strays.collect();
        Seen {
            lines: new.iter().map(ToString::to_string).collect(),
            evidence: ServerEvidence {
                connections: count(|kind| matches!(kind, EventKind::Connected)),
                handshakes: count(|kind| matches!(kind, EventKind::HandshakeComplete { .. })),
                client_hellos: count(|kind| matches!(kind, EventKind::ClientHello(_))),
                requests: requests.len(),
                request_bytes,
                application_bytes: now.application_bytes - before.application_bytes,
            },
            requests,
            clients: clients(new),
            strays,
            failure: new.iter().find_map(|event| match &event.kind {
                EventKind::ServerFailed { reason } => Some(format!("the server failed: {reason}")),
                _ => None,
            }),
            problem,
        }
    }

    /// The whole record as files: every event with its time, and the sessions' secrets for Wireshark.
    #[must_use]
    pub fn finish(self) -> Vec<RecordedFile> {
        let Stands::Tls(server) = self.stands else {
            return Vec::new();
        };
        let log = server.stop();
        let events = serde_json::to_vec_pretty(&log.events).expect("events are plain data");
        vec![
            RecordedFile {
                name: "server.json",
                contents: events,
            },
            RecordedFile {
                name: "tls-keys.log",
                contents: log.key_log.into_bytes(),
            },
        ]
    }
}

/// The client's side of each connection, in the order of the connections.
fn clients(events: &[ServerEvent]) -> Vec<Client> {
    let mut by_connection: BTreeMap<u32, Vec<&EventKind>> = BTreeMap::new();
    for event in events {
        by_connection.entry(event.connection).or_default().push(&event.kind);
    }
    by_connection.into_values().map(Client::of).collect()
}

impl Stands {
    fn settled(&self) -> Settled {
        match self {
            Self::Closed(_) | Self::Gone => Settled::new(|| Some(Traffic::default())),
            Self::Tls(server) => server.settled(),
        }
    }
}

/// The server that a scenario asks for, to listen at `bind`.
#[must_use]
pub fn configuration(tls: &TlsService, bind: SocketAddr) -> ServerConfig {
    let identity = tls.certificate.issue();
    let identity = if tls.signing_key == tls.certificate {
        identity
    } else {
        identity.with_key_of(&tls.signing_key.issue())
    };
    let mut config = ServerConfig::new(identity, tls.reply.clone());
    config.bind = bind;
    config.handshake = tls.handshake.clone();
    config.close = tls.close;
    config.fault = tls.fault;
    config
}

fn port(cause: std::io::Error) -> ServiceError {
    ServiceError::Port { cause }
}

fn closed_port(at: IpAddr) -> Result<(SocketAddr, Stands), std::io::Error> {
    // The standard library only binds sockets that listen at once.
    let family = if at.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddr::new(at, 0))?;
    let address = SocketAddr::try_from(getsockname(&socket)?)?;
    Ok((address, Stands::Closed(socket)))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{Ipv4Addr, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::scenario::Run;

    #[test]
    fn a_closed_port_refuses() {
        let closed = Running::start(&Service::Closed, Ipv4Addr::LOCALHOST.into()).unwrap();
        let error = TcpStream::connect(closed.address()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_server_that_cannot_do_its_part_says_so() {
        use pinrig_server::{Bit, BitNumber, Handshake, Message, PlannedMessage, RogueHandshake};
        let Service::Tls(mut tls) = Run::honest().service else {
            panic!("an honest run has a server")
        };
        let spoilt = PlannedMessage {
            flip_bit: Some(Bit {
                byte: 500,
                bit: BitNumber::MIN,
            }),
            ..Message::ServerHello.into()
        };
        tls.handshake = Handshake::Rogue(RogueHandshake::of([spoilt]));
        let mut running = Running::start(&Service::Tls(tls), Ipv4Addr::LOCALHOST.into()).unwrap();
        rustls_client(running.address());
        let deadline = Deadline::after("the connection to end", Duration::from_secs(10));
        let failure = running.seen(&deadline).failure.expect("the server must have failed");
        assert!(
            failure.contains("step 1, `server-hello`: there is no byte 500"),
            "{failure}"
        );
        assert_eq!(running.seen(&deadline).failure, None, "told once");
    }

    /// Begins a handshake with a P-256 key share, which must fail.
    fn rustls_client(address: SocketAddr) {
        let mut provider = rustls::crypto::ring::default_provider();
        provider.kx_groups = vec![rustls::crypto::ring::kx_group::SECP256R1];
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let name = "api.github.com".try_into().unwrap();
        let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        assert!(connection.complete_io(&mut socket).is_err());
    }

    #[test]
    fn a_server_can_take_over_a_closed_port() {
        let mut running = Running::start(&Service::Closed, Ipv4Addr::LOCALHOST.into()).unwrap();
        let deadline = Deadline::after("the connection to end", Duration::from_secs(10));
        assert_eq!(running.seen(&deadline).lines, Vec::<String>::new());
        running.change(&Run::honest().service).unwrap();
        drop(TcpStream::connect(running.address()).unwrap());
        let seen = running.seen(&deadline);
        assert_eq!(seen.evidence.connections, 1, "{seen:?}");
        assert_eq!(running.seen(&deadline).evidence, ServerEvidence::default(), "told once");
        assert!(matches!(running.change(&Service::Closed), Err(ServiceError::Close)));
        drop(TcpStream::connect(running.address()).unwrap());
        assert_eq!(
            running.seen(&deadline).evidence.connections,
            1,
            "the server is still there"
        );
    }
}
