//! What has crossed a socket, as either side counts it: the scenario's server, and the network that the board is on.
//!
//! What enters: two counts. What leaves: whether everything that one side gave has been taken by the other. While the server, the
//! network and the board all wait, and nothing is under way between them, only time can bring anything about: a virtual board may
//! then skip the time.

use std::fmt;
use std::sync::Arc;

/// One side's counts, over all connections since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Connections made, or accepted.
    pub connections: u64,
    /// Bytes from the device to the server.
    pub to_server: u64,
    /// Bytes from the server to the device.
    pub to_device: u64,
    /// Connections in which the device's side is known to have ended.
    pub device_ended: u64,
    /// Connections in which the server's side is known to have ended.
    pub server_ended: u64,
}

impl Traffic {
    /// Whether nothing is under way between the network, whose count this is, and the server.
    #[must_use]
    pub fn agrees_with(&self, server: &Self) -> bool {
        self.connections == server.connections
            && self.to_server == server.to_server
            && self.to_device == server.to_device
            // A server that has ended a connection may never learn how the device ended it.
            && server.device_ended >= self.device_ended
            && self.server_ended >= server.server_ended
    }
}

/// Gives a server's count whenever all that the server does is wait for its clients.
#[derive(Clone)]
pub struct Settled(Arc<dyn Fn() -> Option<Traffic> + Send + Sync>);

impl Settled {
    /// From the function that gives it.
    pub fn new(settled: impl Fn() -> Option<Traffic> + Send + Sync + 'static) -> Self {
        Self(Arc::new(settled))
    }

    /// The count, unless the server is at work or pauses on purpose.
    #[must_use]
    pub fn traffic(&self) -> Option<Traffic> {
        (self.0)()
    }
}

impl fmt::Debug for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settled").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Traffic;

    #[test]
    fn what_is_under_way_keeps_the_two_sides_apart() {
        let quiet = Traffic {
            connections: 1,
            to_server: 300,
            to_device: 900,
            device_ended: 0,
            server_ended: 0,
        };
        assert!(quiet.agrees_with(&quiet));
        let under_way: [fn(&mut Traffic); 4] = [
            |server| server.connections = 0,
            |server| server.to_server -= 1,
            |server| server.to_device += 1,
            |server| server.server_ended += 1,
        ];
        for change in under_way {
            let mut server = quiet;
            change(&mut server);
            assert!(!quiet.agrees_with(&server), "{server:?}");
        }
        let device_closed = Traffic {
            device_ended: 1,
            ..quiet
        };
        assert!(!device_closed.agrees_with(&quiet), "the server has not seen it");
    }
}
