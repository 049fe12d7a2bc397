//! A server's life: started, asked, stopped.
//!
//! What enters: a [`ServerConfig`]. What leaves: a [`RunningServer`] for blocking code. tokio stays on the server's own
//! thread, which ends when the owner drops the server.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::acceptor::Settings;
use crate::config::{ServerConfig, StartError};
use crate::connection;
use crate::event::ServerEvent;
use crate::record::{ConnectionRecord, Record};
use crate::traffic::Settled;

/// Starts servers.
#[derive(Debug)]
pub struct TlsServer;

impl TlsServer {
    /// Starts a server on a thread of its own. It listens when this returns.
    ///
    /// # Errors
    /// The server cannot listen on the address, or cannot use the key or the versions.
    pub fn start(config: ServerConfig) -> Result<RunningServer, StartError> {
        let listener = TcpListener::bind(config.bind).map_err(|cause| StartError::Bind {
            address: config.bind,
            cause,
        })?;
        Self::start_on(listener, config)
    }

    /// Starts a server on a socket that listens already.
    ///
    /// # Errors
    /// The socket, the key or the versions cannot be used.
    pub fn start_on(listener: TcpListener, config: ServerConfig) -> Result<RunningServer, StartError> {
        let record = Arc::new(Record::new());
        let bind_error = |cause| StartError::Bind {
            address: config.bind,
            cause,
        };
        let settings = Arc::new(Mutex::new(Arc::new(Settings::new(&config, &record)?)));
        listener.set_nonblocking(true).map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        let (parking, unparking) = (Arc::clone(&record), Arc::clone(&record));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || parking.park())
            .on_thread_unpark(move || unparking.unpark())
            .build()
            .map_err(StartError::Thread)?;
        let (orders, inbox) = unbounded_channel();
        let accepting = Accepting {
            settings: Arc::clone(&settings),
            record: Arc::clone(&record),
        };
        let thread = thread::Builder::new()
            .name("tls-server".to_owned())
            .spawn(move || runtime.block_on(accepting.run(listener, inbox)))
            .map_err(StartError::Thread)?;
        Ok(RunningServer {
            address,
            settings,
            record,
            orders: Some(orders),
            thread: Some(thread),
        })
    }
}

/// A server that listens until it is stopped or dropped.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    settings: Arc<Mutex<Arc<Settings>>>,
    record: Arc<Record>,
    /// Closing this channel tells the thread to end.
    orders: Option<UnboundedSender<CatchUp>>,
    thread: Option<JoinHandle<()>>,
}

/// An order to take in every connection that the system has accepted so far, and to say when that is done.
type CatchUp = mpsc::Sender<()>;

impl RunningServer {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Behaves as `config` says from the next connection on. The address stays the same.
    ///
    /// # Errors
    /// The key, the versions or the suites cannot be used; then nothing has changed.
    pub fn change(&self, config: &ServerConfig) -> Result<(), StartError> {
        let settings = Arc::new(Settings::new(config, &self.record)?);
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
        Ok(())
    }

    /// What it has seen so far, in order.
    #[must_use]
    pub fn events(&self) -> Vec<ServerEvent> {
        self.record.events()
    }

    /// What it has seen so far, then what it sees, as it happens. It ends when the server does.
    #[must_use]
    pub fn watch(&self) -> mpsc::Receiver<ServerEvent> {
        self.record.watch()
    }

    /// Application bytes that clients have sent so far, after decryption. Zero is the evidence of a refusal.
    #[must_use]
    pub fn application_bytes_received(&self) -> u64 {
        self.record.received()
    }

    /// Reports, also to other threads, whether the server is idle, waiting for its clients.
    #[must_use]
    pub fn settled(&self) -> Settled {
        let record = Arc::clone(&self.record);
        Settled::new(move || record.settled())
    }

    /// The secrets of all sessions so far in the NSS key log format, for Wireshark.
    #[must_use]
    pub fn key_log(&self) -> String {
        self.record.key_log()
    }

    /// Waits until every connection that was made so far is over, so that the record has all of it.
    ///
    /// # Errors
    /// A connection is still open after `deadline`.
    pub fn wait_idle(&self, deadline: Duration) -> Result<(), WaitIdleError> {
        let begun = Instant::now();
        let (done, caught_up) = mpsc::channel();
        if let Some(orders) = &self.orders
            && orders.send(done).is_ok()
        {
            // If the thread has ended, or is busy beyond the deadline, the count below says what is known.
            let _ = caught_up.recv_timeout(deadline);
        }
        let left = deadline.saturating_sub(begun.elapsed());
        if self.record.wait_until_none_open(left) {
            return Ok(());
        }
        Err(WaitIdleError {
            open: self.record.open(),
            deadline,
            last: self.record.events().pop().map(Box::new),
        })
    }

    /// Stops the server, cutting what is still open, and returns its record.
    #[must_use]
    pub fn stop(mut self) -> ServerLog {
        self.end();
        ServerLog {
            address: self.address,
            events: self.record.events(),
            application_bytes_received: self.record.received(),
            key_log: self.record.key_log(),
        }
    }

    fn end(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic there is a bug that its own message has reported. The record up to it is still right.
            let _ = thread.join();
            self.record.dismiss_watchers();
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// All that a stopped server has seen.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerLog {
    /// Where it listened.
    pub address: SocketAddr,
    /// What it saw, in order.
    pub events: Vec<ServerEvent>,
    /// Application bytes that clients sent, after decryption.
    pub application_bytes_received: u64,
    /// The secrets of its sessions in the NSS key log format. They decrypt the traffic of this run only.
    pub key_log: String,
}

impl fmt::Debug for ServerLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerLog")
            .field("address", &self.address)
            .field("events", &self.events)
            .field("application_bytes_received", &self.application_bytes_received)
            .finish_non_exhaustive()
    }
}

/// A connection is still open although the deadline has passed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "server: {open} connection(s) still open {deadline:?} after the client was expected to be done{}; \
     look for what the client waits for, or allow it more time", last_words(.last.as_deref())
)]
pub struct WaitIdleError {
    /// How many are open.
    pub open: u32,
    /// The deadline that passed.
    pub deadline: Duration,
    /// The last event.
    pub last: Option<Box<ServerEvent>>,
}

fn last_words(last: Option<&ServerEvent>) -> String {
    last.map_or_else(String::new, |event| format!(" (last seen: {event})"))
}

/// The server's thread. Connections live on its runtime and end with it.
struct Accepting {
    settings: Arc<Mutex<Arc<Settings>>>,
    record: Arc<Record>,
}

impl Accepting {
    async fn run(self, listener: TcpListener, mut inbox: UnboundedReceiver<CatchUp>) {
        let (Ok(queue), Ok(listener)) = (listener.try_clone(), tokio::net::TcpListener::from_std(listener)) else {
            return;
        };
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.serve(stream),
                    // The client has closed already, or the system is short of descriptors: let others run, then go on.
                    Err(_) => tokio::task::yield_now().await,
                },
                order = inbox.recv() => {
                    let Some(done) = order else { return };
                    while let Ok((stream, _)) = queue.accept() {
                        if stream.set_nonblocking(true).is_ok()
                            && let Ok(stream) = TcpStream::from_std(stream)
                        {
                            self.serve(stream);
                        }
                    }
                    // The caller of `wait_idle` may have given up.
                    let _ = done.send(());
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream) {
        // Small records go out at once, as a server's should. If that fails, they go out a little later.
        let _ = stream.set_nodelay(true);
        let record = ConnectionRecord::open(&self.record);
        let settings = Arc::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::spawn(async move { connection::serve(stream, &settings, record).await });
    }
}
