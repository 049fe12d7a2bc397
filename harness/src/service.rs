//! The scenario's server while it runs, and what it leaves behind.
//!
//! What enters: a [`Service`]. What leaves: an address, then a [`ServiceLog`]: the server's lane, its evidence and its
//! files. This is the one place that turns a scenario into a server's configuration.

use std::net::{Ipv4Addr, SocketAddr};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

use crate::board::RecordedFile;
use crate::deadline::Deadline;
use crate::scenario::Service;
use crate::server::{
    EventKind, Handshake, RogueHandshake, RunningServer, ServerConfig, ServerLog, StartError, TlsServer,
};
use crate::traffic::{Settled, Traffic};
use crate::verdict::ServerEvidence;

/// What stands at the server's address.
#[derive(Debug)]
pub enum Running {
    /// A port that is taken but not listened on, so that a connection is refused and nobody else can take it.
    Closed {
        /// Where nothing listens.
        address: SocketAddr,
        /// Keeps the port.
        _socket: std::os::fd::OwnedFd,
    },
    /// A TLS server.
    Tls(RunningServer),
}

/// Why a service did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The TLS server did not start.
    #[error(transparent)]
    Server(#[from] StartError),
    /// No port could be taken.
    #[error("cannot take a port on 127.0.0.1 at which nothing listens: {0}")]
    Port(#[from] std::io::Error),
}

impl Running {
    /// Starts what `service` describes on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port or thread can be had.
    pub fn start(service: &Service) -> Result<Self, ServiceError> {
        match service {
            Service::Closed => Ok(closed_port()?),
            Service::Tls(tls) => Ok(Self::Tls(TlsServer::start(configuration(tls, any_port()))?)),
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Closed { address, .. } => *address,
            Self::Tls(server) => server.address(),
        }
    }

    /// Tells whether it does nothing but wait for its clients.
    #[must_use]
    pub fn settled(&self) -> Settled {
        match self {
            Self::Closed { .. } => Settled::new(|| Some(Traffic::default())),
            Self::Tls(server) => server.settled(),
        }
    }

    /// Waits until the last connection is over, then stops.
    #[must_use]
    pub fn finish(self, deadline: &Deadline) -> ServiceLog {
        match self {
            Self::Closed { .. } => ServiceLog::default(),
            Self::Tls(server) => {
                let problem = server.wait_idle(deadline.left()).err().map(|error| error.to_string());
                ServiceLog {
                    log: Some(server.stop()),
                    problem,
                }
            }
        }
    }
}

/// The server that a scenario asks for, to listen at `bind`.
#[must_use]
pub fn configuration(tls: &crate::scenario::TlsService, bind: SocketAddr) -> ServerConfig {
    let identity = tls.certificate.issue();
    let identity = if tls.signing_key == tls.certificate {
        identity
    } else {
        identity.with_key_of(&tls.signing_key.issue())
    };
    let mut config = ServerConfig::new(identity, tls.reply.clone());
    config.bind = bind;
    if !tls.omit.is_empty() {
        config.handshake = Handshake::Rogue(
            tls.omit
                .iter()
                .fold(RogueHandshake::honest(), |plan, step| plan.omit(*step)),
        );
    }
    config
}

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn closed_port() -> Result<Running, std::io::Error> {
    // The standard library only binds sockets that listen at once.
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &any_port())?;
    let address = SocketAddr::try_from(getsockname(&socket)?)?;
    Ok(Running::Closed {
        address,
        _socket: socket,
    })
}

/// What a service saw, from start to stop.
#[derive(Debug, Default)]
pub struct ServiceLog {
    log: Option<ServerLog>,
    problem: Option<String>,
}

impl ServiceLog {
    /// The server's lane.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.log
            .iter()
            .flat_map(|log| log.events.iter().map(ToString::to_string))
            .collect()
    }

    /// What counts for the verdict.
    #[must_use]
    pub fn evidence(&self) -> ServerEvidence {
        let Some(log) = &self.log else {
            return ServerEvidence::default();
        };
        let count = |wanted: fn(&EventKind) -> bool| log.events.iter().filter(|event| wanted(&event.kind)).count();
        ServerEvidence {
            connections: count(|kind| matches!(kind, EventKind::Connected)),
            handshakes: count(|kind| matches!(kind, EventKind::HandshakeComplete { .. })),
            requests: count(|kind| matches!(kind, EventKind::Request { .. })),
            application_bytes: log.application_bytes_received,
        }
    }

    /// Why the record may not be whole: a connection that did not end in time.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.problem.clone()
    }

    /// The record as files: every event with its time, and the sessions' secrets for Wireshark.
    #[must_use]
    pub fn files(&self) -> Vec<RecordedFile> {
        let Some(log) = &self.log else {
            return Vec::new();
        };
        let events = serde_json::to_vec_pretty(&log.events).expect("events are plain data");
        vec![
            RecordedFile {
                name: "server.json",
                contents: events,
            },
            RecordedFile {
                name: "tls-keys.log",
                contents: log.key_log.clone().into_bytes(),
            },
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_closed_port_refuses() {
        let closed = Running::start(&Service::Closed).unwrap();
        let error = TcpStream::connect(closed.address()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}
