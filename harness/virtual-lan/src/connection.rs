//! One connection: the board's TCP on one side, a socket of this machine (the host) on the other.
//!
//! Enters: the progress of both sides. Leaves: bytes, FIN and RST, passed on in both directions. Must not know: frames,
//! other connections.
//!
//! The only buffers are those of the two sockets. A side that does not read fills its buffer, which closes the other
//! side's window.

use std::{
    future::Future,
    io,
    net::{SocketAddr, SocketAddrV4},
    pin::Pin,
    sync::Arc,
    task::Context,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, Shutdown, SocketFlags, SocketType, sockopt::set_socket_linger},
};
use smoltcp::{
    iface::SocketHandle,
    socket::tcp::{Socket, State},
};
use tokio::{io::Interest, net::TcpStream};

use crate::{
    crossings::Crossings,
    event::{ClosedReason, What},
};

/// A connection, from the moment at which its SYN is passed on until the gateway's socket has closed.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) board: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    pub(crate) socket: SocketHandle,
    /// When the board last sent anything for this connection. All times are the network's.
    pub(crate) heard: Duration,
    /// The board has sent a RST.
    pub(crate) board_reset: bool,
    /// Since when the board has had something to acknowledge, without a break.
    owed_since: Option<Duration>,
    /// When a reset stops waiting: first for the data before it to be delivered, then for itself to be sent.
    reset_by: Option<Duration>,
    /// Bytes that the board had yet to acknowledge when `pump` was last called.
    unacknowledged: usize,
    /// `None` once the connection has ended. The gateway's socket may stay longer, in TIME-WAIT.
    host: Option<Host>,
}

/// A stream that was connected.
pub(crate) struct Connected {
    pub(crate) stream: TcpStream,
    /// The server has reset it already.
    reset: bool,
}

impl Connected {
    /// Connects to a socket of this machine. Unlike [`TcpStream::connect`], it tells a server that refuses from one
    /// that accepts and resets at once. What the latter sent before its reset is passed on to the board.
    pub(crate) async fn to(target: SocketAddr) -> io::Result<Self> {
        let family = if target.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &target) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let stream = TcpStream::from_std(socket.into())?;
        stream.writable().await?;
        // ECONNREFUSED means that a RST answered the SYN; ECONNRESET that an open connection was reset (tcp(7)).
        match stream.take_error()? {
            Some(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
            error => Ok(Self {
                stream,
                reset: error.is_some(),
            }),
        }
    }
}

/// The socket of this machine.
struct Host {
    stream: Arc<TcpStream>,
    /// Completes when the stream has an error. It is the only sign of a RST that follows a FIN.
    failure: Pin<Box<dyn Future<Output = ()>>>,
    /// The host has reset the connection.
    reset: bool,
    /// Everything up to the host's FIN, or its RST, has been read.
    finished: bool,
    /// The board's FIN has been seen.
    board_finished: bool,
    /// The board's FIN has been passed on to the host.
    shut_down: bool,
    /// Both sides have finished, so that closing the stream loses nothing.
    orderly: bool,
    /// Bytes passed on to the host.
    from_board: u64,
    /// Bytes read from the host.
    to_board: u64,
}

/// What [`Connection::pump`] has done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing: it waits for either side.
    Idle,
    /// It has moved something, so that the stack has work.
    Moved,
    /// It has ended the connection. This is the event to record.
    Ended(What),
}

impl Connection {
    /// Joins the gateway's `socket`, which is about to take the SYN of `board` to `to`, with a stream to this machine.
    pub(crate) fn new(
        id: u64,
        (board, to): (SocketAddrV4, SocketAddrV4),
        socket: SocketHandle,
        Connected { stream, reset }: Connected,
        now: Duration,
    ) -> Self {
        let stream = Arc::new(stream);
        let watched = Arc::clone(&stream);
        let failure = Box::pin(async move {
            // If waiting itself fails, the stream has failed too.
            let _ = watched.ready(Interest::ERROR).await;
        });
        let host = Host {
            stream,
            failure,
            reset,
            finished: false,
            board_finished: false,
            shut_down: false,
            orderly: false,
            from_board: 0,
            to_board: 0,
        };
        Self {
            id,
            board,
            to,
            socket,
            heard: now,
            board_reset: false,
            owed_since: None,
            reset_by: None,
            unacknowledged: 0,
            host: Some(host),
        }
    }

    /// Passes on what there is, in both directions, and has `cx` woken when there is more. `patience` is how long the
    /// board may leave something unacknowledged.
    pub(crate) fn pump(
        &mut self,
        socket: &mut Socket<'_>,
        patience: Duration,
        now: Duration,
        cx: &mut Context<'_>,
    ) -> Progress {
        let Some(host) = &mut self.host else {
            return Progress::Idle;
        };
        let mut moved = host.carry_from_board(socket, cx);
        moved |= host.carry_to_board(socket, cx);

        let state = socket.state();
        host.board_finished |= matches!(
            state,
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait
        );
        if host.board_finished && socket.recv_queue() == 0 && !host.shut_down {
            // This fails only if the stream has failed, which `failure` reports.
            let _ = rustix::net::shutdown(&*host.stream, Shutdown::Write);
            host.shut_down = true;
            moved = true;
        }
        if host.finished && !host.reset {
            socket.close();
        }

        let unacknowledged = socket.send_queue();
        if host.reset && (moved || unacknowledged != self.unacknowledged || self.reset_by.is_none()) {
            self.reset_by = Some(now + RESET_PATIENCE);
        }
        self.unacknowledged = unacknowledged;
        let owes = unacknowledged > 0
            || matches!(
                state,
                State::SynReceived | State::FinWait1 | State::Closing | State::LastAck
            );
        self.owed_since = owes.then(|| self.owed_since.unwrap_or(now));
        let silent_at = self.owed_since.map(|since| since.max(self.heard) + patience);

        let closed = matches!(state, State::Closed | State::Listen);
        // smoltcp: after a reset, a socket whose handshake was not complete listens again.
        let reason = if state == State::Listen || self.board_reset && closed {
            ClosedReason::BoardReset
        } else if self
            .reset_by
            .is_some_and(|by| now >= by || host.finished && unacknowledged == 0)
        {
            ClosedReason::HostReset
        } else if silent_at.is_some_and(|at| now >= at) {
            ClosedReason::BoardSilent
        } else if host.shut_down && host.finished && (closed || state == State::TimeWait) {
            host.orderly = true;
            ClosedReason::Finished
        } else if moved {
            return Progress::Moved;
        } else {
            return Progress::Idle;
        };
        Progress::Ended(self.end(reason, socket, now))
    }

    /// What has crossed; zero once the connection has ended, since the counts are in its event then.
    pub(crate) fn crossings(&self) -> Crossings {
        self.host.as_ref().map_or_else(Crossings::default, |host| Crossings {
            connections: 0,
            to_host: host.from_board,
            from_host: host.to_board,
            ended_by_board: u64::from(host.shut_down),
            ended_by_host: u64::from(host.finished || host.reset),
        })
    }

    /// When `pump` has to be called again for the time alone.
    pub(crate) fn wakes_at(&self, patience: Duration) -> Option<Duration> {
        let silent_at = self.owed_since.map(|since| since.max(self.heard) + patience);
        self.reset_by.into_iter().chain(silent_at).min()
    }

    /// Whether the connection has ended and its socket is closed, so that nothing is left to do.
    pub(crate) fn is_over(&self, socket: &Socket<'_>, now: Duration) -> bool {
        // A closed socket has a peer until its RST is sent. That takes an ARP exchange if the board has long been
        // silent.
        let settled = matches!(socket.state(), State::Closed | State::Listen) && socket.remote_endpoint().is_none();
        self.has_ended() && (settled || self.reset_by.is_some_and(|by| now >= by))
    }

    /// Whether the connection has ended. Its socket may still be in TIME-WAIT.
    pub(crate) fn has_ended(&self) -> bool {
        self.host.is_none()
    }

    /// Ends the connection as if the network had forgotten it. Returns the event, or `None` if it had ended before.
    pub(crate) fn cut(&mut self, socket: &mut Socket<'_>, now: Duration) -> Option<What> {
        self.host.as_ref()?;
        Some(self.end(ClosedReason::Cut, socket, now))
    }

    fn end(&mut self, reason: ClosedReason, socket: &mut Socket<'_>, now: Duration) -> What {
        self.reset_by = None;
        self.owed_since = None;
        if matches!(
            reason,
            ClosedReason::HostReset | ClosedReason::BoardSilent | ClosedReason::Cut
        ) {
            socket.abort();
            self.reset_by = Some(now + RESET_PATIENCE);
        }
        let (from_board, to_board) = self.host.take().map_or((0, 0), |host| (host.from_board, host.to_board));
        What::Closed {
            connection: self.id,
            reason,
            from_board,
            to_board,
        }
    }
}

impl Host {
    /// Writes to the host what the board has sent. Returns whether anything moved.
    fn carry_from_board(&mut self, socket: &mut Socket<'_>, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while !self.reset && socket.can_recv() && self.stream.poll_write_ready(cx).is_ready() {
            match socket.recv(|data| split(self.stream.try_write(data))) {
                Ok(Carried::Bytes(count)) => {
                    self.from_board += count as u64;
                    moved = true;
                }
                Ok(Carried::Later) => {}
                Ok(Carried::Failed) => self.reset = true,
                Err(_) => break,
            }
        }
        // The host takes nothing any more. The rest is dropped, so that the board can get as far as the RST.
        while self.reset && socket.can_recv() && socket.recv(|data| (data.len(), ())).is_ok() {
            moved = true;
        }
        moved
    }

    /// Reads from the host as much as there is room for. Returns whether anything moved.
    fn carry_to_board(&mut self, socket: &mut Socket<'_>, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        if !self.reset && self.failure.as_mut().poll(cx).is_ready() {
            self.reset = true;
            moved = true;
        }
        while !self.finished && socket.can_send() && self.stream.poll_read_ready(cx).is_ready() {
            match socket.send(|room| split(self.stream.try_read(room))) {
                Ok(Carried::Bytes(0)) => self.finished = true,
                Ok(Carried::Bytes(count)) => self.to_board += count as u64,
                Ok(Carried::Later) => continue,
                Ok(Carried::Failed) => (self.finished, self.reset) = (true, true),
                Err(_) => break,
            }
            moved = true;
        }
        moved
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !self.orderly {
            // Closing with a linger time of zero sends a RST, so that the server does not take a cut connection for a
            // finished one. Setting it fails only on a stream that is no longer connected.
            let _ = set_socket_linger(&*self.stream, Some(Duration::ZERO));
        }
    }
}

/// What one read from the host or one write to it has done.
enum Carried {
    /// It has moved this many bytes. A read of none is the end of the stream.
    Bytes(usize),
    /// The host is not ready.
    Later,
    /// The stream has failed.
    Failed,
}

/// The number of bytes that the stack's buffer is to move on by, and what was done.
fn split(result: io::Result<usize>) -> (usize, Carried) {
    match result {
        Ok(count) => (count, Carried::Bytes(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, Carried::Later),
        Err(_) => (0, Carried::Failed),
    }
}

/// How long a reset waits for the board to take the data before it, and then again to be sent.
const RESET_PATIENCE: Duration = Duration::from_secs(5);
