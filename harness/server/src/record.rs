//! The record of a running server, which its thread and its owner share.
//!
//! What enters: events of connections, from the server's thread. What leaves: copies of the record, and a signal when no
//! connection is open any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::event::{Ending, EventKind, ServerEvent};
use crate::traffic::Traffic;

/// The record of one server.
#[derive(Debug)]
pub(crate) struct Record {
    start: Instant,
    state: Mutex<State>,
    /// Signalled when a connection ends.
    ended: Condvar,
    /// The server's thread has nothing to do until a socket or a timer wakes it.
    parked: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<ServerEvent>,
    connections: u32,
    open: u32,
    received: u64,
    key_log: String,
    watchers: Vec<Sender<ServerEvent>>,
    /// What has crossed the sockets, as this side counts it.
    traffic: Traffic,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            state: Mutex::default(),
            ended: Condvar::new(),
            parked: AtomicBool::new(false),
        }
    }

    /// Notes that the server's thread goes to sleep.
    pub(crate) fn park(&self) {
        self.parked.store(true, Ordering::SeqCst);
    }

    /// Notes that the server's thread wakes.
    pub(crate) fn unpark(&self) {
        self.parked.store(false, Ordering::SeqCst);
    }

    /// What has crossed, if the server waits for its clients and for nothing else.
    pub(crate) fn settled(&self) -> Option<Traffic> {
        let counts = || self.lock().traffic;
        // Counted before and after: if the thread had woken in between, it would have counted something. A reply that
        // pauses by the clock would have to say so here.
        let before = counts();
        let parked = self.parked.load(Ordering::SeqCst);
        (parked && counts() == before).then_some(before)
    }

    pub(crate) fn events(&self) -> Vec<ServerEvent> {
        self.lock().events.clone()
    }

    /// Every event so far, then each new one as it happens; it ends with [`Record::dismiss_watchers`].
    pub(crate) fn watch(&self) -> Receiver<ServerEvent> {
        let (sender, receiver) = channel();
        let mut state = self.lock();
        for event in &state.events {
            // This cannot fail: the receiver is still here.
            let _ = sender.send(event.clone());
        }
        state.watchers.push(sender);
        receiver
    }

    /// Ends what the watchers receive: no event will follow.
    pub(crate) fn dismiss_watchers(&self) {
        self.lock().watchers.clear();
    }

    pub(crate) fn key_log(&self) -> String {
        self.lock().key_log.clone()
    }

    /// Application bytes received on all connections, after decryption.
    pub(crate) fn received(&self) -> u64 {
        self.lock().received
    }

    pub(crate) fn open(&self) -> u32 {
        self.lock().open
    }

    /// Waits until no connection is open; `false` if `limit` passed first.
    pub(crate) fn wait_until_none_open(&self, limit: Duration) -> bool {
        let waited = self
            .ended
            .wait_timeout_while(self.lock(), limit, |state| state.open > 0);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.open == 0
    }

    /// Adds a line in the NSS key log format.
    pub(crate) fn log_secret(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        self.lock().key_log.push_str(&line);
    }

    /// A panic elsewhere leaves the record as it was, so that what has been seen is still reported.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of the record that belongs to one connection. When it is dropped, the connection counts as ended.
#[derive(Debug)]
pub(crate) struct ConnectionRecord {
    record: Arc<Record>,
    number: u32,
    received: u64,
    sent: u64,
    ending: Ending,
    /// The client's side, and the server's, are counted as ended.
    client_ended: bool,
    server_ended: bool,
}

impl ConnectionRecord {
    pub(crate) fn open(record: &Arc<Record>) -> Self {
        let mut state = record.lock();
        state.connections += 1;
        state.traffic.connections += 1;
        state.open += 1;
        let number = state.connections;
        drop(state);
        let connection = Self {
            record: Arc::clone(record),
            number,
            received: 0,
            sent: 0,
            // `end` says otherwise. Without it the server was stopped in the middle of the connection.
            ending: Ending::ServerStopped,
            client_ended: false,
            server_ended: false,
        };
        connection.push(EventKind::Connected);
        connection
    }

    pub(crate) fn push(&self, kind: EventKind) {
        let mut state = self.record.lock();
        // Read under the lock, so that times never run backwards in the list.
        let at = self.record.start.elapsed();
        let event = ServerEvent {
            at,
            connection: self.number,
            kind,
        };
        // Watchers that have dropped their receivers are forgotten.
        state.watchers.retain(|watcher| watcher.send(event.clone()).is_ok());
        state.events.push(event);
    }

    pub(crate) fn count_received(&mut self, bytes: usize) {
        self.received += bytes as u64;
        self.record.lock().received += bytes as u64;
    }

    pub(crate) fn count_sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// Bytes read from the socket; zero is the end of the client's side.
    pub(crate) fn wire_received(&mut self, bytes: usize) {
        let mut state = self.record.lock();
        state.traffic.to_server += bytes as u64;
        if bytes == 0 && !self.client_ended {
            self.client_ended = true;
            state.traffic.client_ended += 1;
        }
    }

    /// Bytes handed to the socket.
    pub(crate) fn wire_sent(&self, bytes: usize) {
        self.record.lock().traffic.to_client += bytes as u64;
    }

    /// The server's side of the socket is closed.
    pub(crate) fn wire_finished(&mut self) {
        if !self.server_ended {
            self.server_ended = true;
            self.record.lock().traffic.server_ended += 1;
        }
    }

    pub(crate) fn log_secret(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        self.record.log_secret(label, client_random, secret);
    }

    pub(crate) fn end(mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for ConnectionRecord {
    fn drop(&mut self) {
        if thread::panicking() {
            self.push(EventKind::ServerFailed {
                reason: "its code panicked; the message is on its standard error".to_owned(),
            });
        }
        self.push(EventKind::Ended {
            how: self.ending.clone(),
            received: self.received,
            sent: self.sent,
        });
        self.wire_finished();
        self.wire_received(0);
        self.record.lock().open -= 1;
        self.record.ended.notify_all();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_panic_on_a_connection_is_the_servers_own_failure() {
        let record = Arc::new(Record::new());
        let connection = ConnectionRecord::open(&record);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _held = connection;
            panic!("this panic is part of a test");
        }));
        assert!(panicked.is_err());
        let kinds: Vec<EventKind> = record.events().into_iter().map(|event| event.kind).collect();
        assert!(
            matches!(
                kinds[..],
                [
                    EventKind::Connected,
                    EventKind::ServerFailed { .. },
                    EventKind::Ended { .. }
                ]
            ),
            "{kinds:?}"
        );
        assert_eq!(record.open(), 0);
    }
}
