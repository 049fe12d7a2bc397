//! One connection: the board's TCP on one side, a socket of this machine on the other.
//!
//! Enters: the progress of both sides. Leaves: bytes, FIN and RST carried over, each way. Must not know: frames, other connections.
//!
//! The only buffers are those of the two sockets. A side that does not read fills its buffer, which closes the other side's window.

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

/// A connection from the SYN that was let through until the gateway's socket has closed.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) board: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    pub(crate) socket: SocketHandle,
    /// When the board last sent anything for this connection. All times are the network's.
    pub(crate) heard: Duration,
    /// The board has sent a RST.
    pub(crate) board_reset: bool,
    /// Since when the board has owed an acknowledgement.
    owed_since: Option<Duration>,
    /// When to stop waiting for what a reset waits for: data to be delivered before it, or itself to be sent.
    reset_by: Option<Duration>,
    /// Bytes that the board had yet to acknowledge at the last look.
    unacknowledged: usize,
    /// Gone once the connection has ended; the gateway's socket may stay for the TIME-WAIT state.
    host: Option<Host>,
}

/// A stream that was connected, and may be reset by now.
pub(crate) struct Connected {
    pub(crate) stream: TcpStream,
    reset: bool,
}

impl Connected {
    /// Connects to a socket of this machine. Unlike [`TcpStream::connect`], it does not take a server that accepts and resets at once
    /// for one that refuses: what the server said in between is still to be carried over.
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
        // A RST that answers the SYN is ECONNREFUSED; ECONNRESET takes a connection (tcp(7)).
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
    /// Ready when the stream has an error: the only sign of a RST behind a FIN.
    failure: Pin<Box<dyn Future<Output = ()>>>,
    /// It has reset the connection.
    reset: bool,
    /// It has nothing more to say: all was read up to its FIN, or its RST.
    finished: bool,
    /// The board's FIN was seen.
    board_finished: bool,
    /// The board's FIN was carried over.
    shut_down: bool,
    /// Both sides have finished, so that closing the stream loses nothing.
    orderly: bool,
    from_board: u64,
    to_board: u64,
}

/// What a look at a connection came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing to do until either side stirs.
    Idle,
    /// Something moved, so that the stack has work.
    Moved,
    /// The connection ended: the event for the record.
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
            // An error of the watch itself is an error of the stream as well.
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

    /// Carries over whatever is there, both ways, and notes the wakers of both directions in `cx`.
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
            // Fails only when the stream has failed, which `failure` tells.
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
        // A reset takes a socket whose handshake was not complete back to listening.
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

    /// What has crossed; nothing once the connection has ended, since its event tells.
    pub(crate) fn crossings(&self) -> Crossings {
        self.host.as_ref().map_or_else(Crossings::default, |host| Crossings {
            connections: 0,
            to_host: host.from_board,
            from_host: host.to_board,
            ended_by_board: u64::from(host.shut_down),
            ended_by_host: u64::from(host.finished || host.reset),
        })
    }

    /// When the next thing happens by the clock alone.
    pub(crate) fn wakes_at(&self, patience: Duration) -> Option<Duration> {
        let silent_at = self.owed_since.map(|since| since.max(self.heard) + patience);
        self.reset_by.into_iter().chain(silent_at).min()
    }

    /// The connection has ended and its socket is closed, so that nothing is left to do.
    pub(crate) fn is_over(&self, socket: &Socket<'_>, now: Duration) -> bool {
        // A closed socket remembers its peer until the RST is sent, which takes an ARP exchange when the board was long silent.
        let settled = matches!(socket.state(), State::Closed | State::Listen) && socket.remote_endpoint().is_none();
        self.has_ended() && (settled || self.reset_by.is_some_and(|by| now >= by))
    }

    /// The connection has ended, though its socket may wait in TIME-WAIT.
    pub(crate) fn has_ended(&self) -> bool {
        self.host.is_none()
    }

    /// Ends it towards the host, as if the network had forgotten it; the event, unless it has ended.
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
    /// Writes what the board sent; whether anything moved.
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
        // Nobody is left to take it; the board must still be able to go on to its RST.
        while self.reset && socket.can_recv() && socket.recv(|data| (data.len(), ())).is_ok() {
            moved = true;
        }
        moved
    }

    /// Reads what there is room for; whether anything moved.
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
            // Closing with a linger time of zero sends a RST, so that nobody takes a cut connection for a finished one. It fails
            // only on a stream that is no longer connected.
            let _ = set_socket_linger(&*self.stream, Some(Duration::ZERO));
        }
    }
}

enum Carried {
    Bytes(usize),
    Later,
    Failed,
}

/// For the stack: how many bytes went through, and the outcome.
fn split(result: io::Result<usize>) -> (usize, Carried) {
    match result {
        Ok(count) => (count, Carried::Bytes(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, Carried::Later),
        Err(_) => (0, Carried::Failed),
    }
}

/// How long a reset waits: for the board to take what came before it, and then to be sent.
const RESET_PATIENCE: Duration = Duration::from_secs(5);
