//! How much has crossed the sockets of a server, counted on one side.
//!
//! What enters: one side's counts. What leaves: whether the other side has taken all that this side has given. While
//! server, network and client all wait, and nothing is under way between them, only time can make anything happen. A
//! client with a clock of its own, such as a virtual board, may then skip the time.

use std::fmt;
use std::sync::Arc;

/// One side's counts, over all connections since the server started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Connections made by the client's side, or accepted by the server's.
    pub connections: u64,
    /// Bytes from the client to the server.
    pub to_server: u64,
    /// Bytes from the server to the client.
    pub to_client: u64,
    /// Connections in which the client's side is known to have ended.
    pub client_ended: u64,
    /// Connections in which the server's side is known to have ended.
    pub server_ended: u64,
}

impl Traffic {
    /// Reports whether nothing is under way between the client's side, which counted this, and the server.
    #[must_use]
    pub fn agrees_with(&self, server: &Self) -> bool {
        self.connections == server.connections
            && self.to_server == server.to_server
            && self.to_client == server.to_client
            // A server that has ended a connection may never learn how the client ended it.
            && server.client_ended >= self.client_ended
            && self.server_ended >= server.server_ended
    }
}

/// Gives a server's counts while the server does nothing but wait for its clients.
#[derive(Clone)]
pub struct Settled(Arc<dyn Fn() -> Option<Traffic> + Send + Sync>);

impl Settled {
    /// Made from the function that gives the counts, or `None` while the server is at work.
    pub fn new(settled: impl Fn() -> Option<Traffic> + Send + Sync + 'static) -> Self {
        Self(Arc::new(settled))
    }

    /// The counts; `None` while the server is at work or pauses on purpose.
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
    fn two_sides_disagree_while_anything_is_under_way() {
        let quiet = Traffic {
            connections: 1,
            to_server: 300,
            to_client: 900,
            client_ended: 0,
            server_ended: 0,
        };
        assert!(quiet.agrees_with(&quiet));
        let under_way: [fn(&mut Traffic); 4] = [
            |server| server.connections = 0,
            |server| server.to_server -= 1,
            |server| server.to_client += 1,
            |server| server.server_ended += 1,
        ];
        for change in under_way {
            let mut server = quiet;
            change(&mut server);
            assert!(!quiet.agrees_with(&server), "{server:?}");
        }
        let client_closed = Traffic {
            client_ended: 1,
            ..quiet
        };
        assert!(!client_closed.agrees_with(&quiet), "the server has not seen it");
    }
}
