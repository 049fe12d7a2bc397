//! The configuration of a network: addresses, names, joins.
//!
//! Enters: the caller's settings. Leaves: a configuration that was checked once. Must not know: frames, sockets.

use std::{
    collections::HashSet,
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::{
    clock::TimeSource,
    faults::{FaultError, Faults},
};

/// The network that a [`Lan`](crate::Lan) plays. [`Default`] is 10.13.37.0/24 with no names and no joins.
#[derive(Debug, Clone)]
pub struct LanConfig {
    /// Address of the gateway, which is also the DHCP and the DNS server.
    pub gateway: Ipv4Addr,
    /// Length of the network prefix in bits, 8 to 30.
    pub prefix_len: u8,
    /// The address that DHCP leases to the board.
    pub lease: Ipv4Addr,
    /// How long the lease lasts. DHCP carries whole seconds.
    pub lease_time: Duration,
    /// Names that resolve (ASCII, any case, no trailing dot) and their addresses.
    pub names: Vec<(String, Ipv4Addr)>,
    /// An address that stands for this machine: every port of it that is not joined leads to the same port of
    /// 127.0.0.1.
    pub host: Option<Ipv4Addr>,
    /// The TCP endpoints that lead to sockets of this machine.
    pub joins: Vec<Join>,
    /// How long connecting to a socket of this machine may take. After that the board's connection is refused.
    pub connect_timeout: Duration,
    /// How long the board may leave data, a SYN or a FIN unanswered before its connection is reset.
    pub board_timeout: Duration,
    /// How many bytes of frames the capture keeps. The oldest frames are dropped first.
    pub capture_limit: usize,
    /// The faults that are in force from the start.
    pub faults: Faults,
    /// Whose time passes on the network. `connect_timeout` is the host's time in any case.
    pub time: TimeSource,
}

/// A TCP endpoint of the network that is joined to a socket of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    /// Address that the board connects to.
    pub address: Ipv4Addr,
    /// Port that the board connects to.
    pub port: u16,
    /// Socket of this machine that the connection leads to. It must have a loopback address.
    pub target: SocketAddr,
}

/// Why a network did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LanError {
    /// A join leads off this machine.
    #[error("join {address}:{port} leads to {target}, which is not a loopback address; use 127.0.0.1")]
    NotLoopback {
        /// Address of the join.
        address: Ipv4Addr,
        /// Port of the join.
        port: u16,
        /// Where it leads.
        target: SocketAddr,
    },
    /// A join names port 0, on either side.
    #[error("join {address}:{port} to {target} names port 0; give the port that the server listens on")]
    PortZero {
        /// Address of the join.
        address: Ipv4Addr,
        /// Port of the join.
        port: u16,
        /// Where it leads.
        target: SocketAddr,
    },
    /// Two joins share an address and a port.
    #[error("two joins for {address}:{port}; keep one")]
    JoinedTwice {
        /// Address of the joins.
        address: Ipv4Addr,
        /// Port of the joins.
        port: u16,
    },
    /// An address cannot have its role.
    #[error("{address} cannot be {role}: {problem}")]
    Address {
        /// The address.
        address: Ipv4Addr,
        /// Its role, such as "the gateway".
        role: &'static str,
        /// Why it cannot have the role.
        problem: &'static str,
    },
    /// The prefix is too short or too long.
    #[error("a network prefix of {0} bits does not fit a gateway and a board; use 8 to 30")]
    Prefix(u8),
    /// A name that no DNS query can ask for (RFC 1035 section 2.3.4).
    #[error("`{0}` is not a host name; write ASCII labels of 1 to 63 characters, 253 in all, without a dot at the end")]
    Name(String),
    /// The configuration has a name twice.
    #[error("the name `{0}` has two addresses; keep one")]
    NamedTwice(String),
    /// The faults contradict themselves.
    #[error(transparent)]
    Faults(#[from] FaultError),
    /// The host has refused a thread or an event queue.
    #[error("cannot start the network's thread: {0}; check the limits of threads and open files")]
    Start(io::Error),
}

impl Default for LanConfig {
    fn default() -> Self {
        Self {
            gateway: Ipv4Addr::new(10, 13, 37, 1),
            prefix_len: 24,
            lease: Ipv4Addr::new(10, 13, 37, 2),
            lease_time: Duration::from_secs(24 * 3600),
            names: Vec::new(),
            host: None,
            joins: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            board_timeout: Duration::from_secs(60),
            capture_limit: 32 << 20,
            faults: Faults::default(),
            time: TimeSource::default(),
        }
    }
}

impl LanConfig {
    /// The mask of the network prefix.
    pub(crate) fn netmask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::MAX << (32 - u32::from(self.prefix_len)))
    }

    /// Whether `address` can be a station's on this network: it is neither the network's own address nor its broadcast
    /// address.
    pub(crate) fn is_station(&self, address: Ipv4Addr) -> bool {
        let mask = self.netmask();
        let host = address & !mask;
        address & mask == self.gateway & mask && host.to_bits() != 0 && host != !mask
    }

    /// Whether the gateway plays `address`: its own address, and those of names and joins.
    pub(crate) fn is_known(&self, address: Ipv4Addr) -> bool {
        address == self.gateway
            || self.names.iter().any(|&(_, named)| named == address)
            || self.joins.iter().any(|join| join.address == address)
    }

    /// Where a connection to `address` and `port` leads.
    pub(crate) fn target(&self, address: Ipv4Addr, port: u16) -> Option<SocketAddr> {
        self.joins
            .iter()
            .find(|join| join.address == address && join.port == port)
            .map(|join| join.target)
            .or_else(|| (self.host == Some(address)).then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
    }

    /// The address of `name`, in any case.
    pub(crate) fn resolve(&self, name: &str) -> Option<Ipv4Addr> {
        self.names
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|&(_, address)| address)
    }

    pub(crate) fn check(&self) -> Result<(), LanError> {
        self.faults.check()?;
        if !(8..=30).contains(&self.prefix_len) {
            return Err(LanError::Prefix(self.prefix_len));
        }
        for (address, role) in [(self.gateway, "the gateway"), (self.lease, "the board's lease")] {
            if !is_unicast(address) || !self.is_station(address) {
                let problem = "it is not a station's address on this network";
                return Err(LanError::Address { address, role, problem });
            }
        }
        if self.lease == self.gateway {
            let problem = "the gateway has it";
            return Err(LanError::Address {
                address: self.lease,
                role: "the board's lease",
                problem,
            });
        }
        let mut names = HashSet::new();
        for (name, address) in &self.names {
            if !is_host_name(name) {
                return Err(LanError::Name(name.clone()));
            }
            if !names.insert(name.to_ascii_lowercase()) {
                return Err(LanError::NamedTwice(name.clone()));
            }
            self.check_played(*address, "the address of a name")?;
        }
        let mut joined = HashSet::new();
        for &Join { address, port, target } in &self.joins {
            if !target.ip().is_loopback() {
                return Err(LanError::NotLoopback { address, port, target });
            }
            if port == 0 || target.port() == 0 {
                return Err(LanError::PortZero { address, port, target });
            }
            if !joined.insert((address, port)) {
                return Err(LanError::JoinedTwice { address, port });
            }
            self.check_played(address, "the address of a join")?;
        }
        Ok(())
    }

    /// The gateway can play any unicast address but the board's, even one that is not on this network.
    fn check_played(&self, address: Ipv4Addr, role: &'static str) -> Result<(), LanError> {
        let mask = self.netmask();
        let problem = if address == self.lease {
            "the board has it"
        } else if !is_unicast(address) {
            "it is not a unicast address"
        } else if address & mask == self.gateway & mask && !self.is_station(address) {
            "it is the network's own or its broadcast address"
        } else {
            return Ok(());
        };
        Err(LanError::Address { address, role, problem })
    }
}

fn is_unicast(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_broadcast() || address.is_multicast() || address.is_loopback())
}

fn is_host_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(address: [u8; 4], port: u16, target: &str) -> Join {
        Join {
            address: address.into(),
            port,
            target: target.parse().unwrap(),
        }
    }

    #[test]
    fn the_default_passes() {
        LanConfig::default().check().unwrap();
    }

    #[test]
    fn a_join_must_stay_on_this_machine() {
        for target in ["192.0.2.1:443", "0.0.0.0:443", "[2001:db8::1]:443"] {
            let config = LanConfig {
                joins: vec![join([10, 13, 37, 10], 443, target)],
                ..LanConfig::default()
            };
            assert!(matches!(config.check(), Err(LanError::NotLoopback { .. })), "{target}");
        }
        // The gateway may play an address off the network: a firmware may have one compiled in.
        let config = LanConfig {
            joins: vec![join([203, 0, 113, 7], 443, "127.0.0.1:1")],
            ..LanConfig::default()
        };
        config.check().unwrap();
    }

    #[test]
    fn addresses_must_fit_their_role() {
        for address in [
            [10, 13, 37, 2],
            [10, 13, 37, 255],
            [10, 13, 37, 0],
            [224, 0, 0, 1],
            [255, 255, 255, 255],
        ] {
            let config = LanConfig {
                joins: vec![join(address, 443, "127.0.0.1:1")],
                ..LanConfig::default()
            };
            assert!(matches!(config.check(), Err(LanError::Address { .. })), "{address:?}");
        }
        for lease in [[10, 13, 37, 1], [10, 13, 38, 2], [10, 13, 37, 255]] {
            let config = LanConfig {
                lease: lease.into(),
                ..LanConfig::default()
            };
            assert!(matches!(config.check(), Err(LanError::Address { .. })), "{lease:?}");
        }
        let config = LanConfig {
            prefix_len: 31,
            ..LanConfig::default()
        };
        assert!(matches!(config.check(), Err(LanError::Prefix(31))));
    }

    #[test]
    fn names_must_be_valid_and_unique() {
        let named = |names: &[&str]| LanConfig {
            names: names
                .iter()
                .map(|name| (name.to_string(), Ipv4Addr::new(10, 13, 37, 10)))
                .collect(),
            ..LanConfig::default()
        };
        named(&["api.github.com", "a_b-c"]).check().unwrap();
        for name in ["", ".", "a..b", "a.b.", "ä.example", "a b", &"x".repeat(64)] {
            assert!(matches!(named(&[name]).check(), Err(LanError::Name(_))), "{name}");
        }
        assert!(matches!(named(&["a.b", "A.B"]).check(), Err(LanError::NamedTwice(_))));
    }

    #[test]
    fn joins_must_have_ports_and_be_unique() {
        let joined = |joins: &[Join]| LanConfig {
            joins: joins.to_vec(),
            ..LanConfig::default()
        };
        let one = join([10, 13, 37, 10], 443, "127.0.0.1:1");
        assert!(matches!(joined(&[one, one]).check(), Err(LanError::JoinedTwice { .. })));
        assert!(matches!(
            joined(&[Join { port: 0, ..one }]).check(),
            Err(LanError::PortZero { .. })
        ));
        let nowhere = "127.0.0.1:0".parse().unwrap();
        assert!(matches!(
            joined(&[Join { target: nowhere, ..one }]).check(),
            Err(LanError::PortZero { .. })
        ));
    }
}
