//! Evidence: what was seen while a scenario ran, before anything judges it.
//!
//! What enters: counts of the server, files of whatever records. What leaves: plain values for verdicts and bundles.

use std::fmt;

use serde::Serialize;

/// What the server saw.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct ServerEvidence {
    /// TCP connections.
    pub connections: usize,
    /// Handshakes that it completed.
    pub handshakes: usize,
    /// Complete HTTP requests.
    pub requests: usize,
    /// Application bytes that arrived, whole requests or not.
    pub application_bytes: u64,
}

impl std::ops::AddAssign for ServerEvidence {
    fn add_assign(&mut self, more: Self) {
        self.connections += more.connections;
        self.handshakes += more.handshakes;
        self.requests += more.requests;
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
