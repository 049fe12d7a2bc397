//! The gateway, which plays every station that the board can see.
//!
//! Enters: frames of the board, progress of sockets, time. Leaves: frames for the board, events. Must not know:
//! threads, TLS.
//!
//! The gateway answers DHCP and DNS itself, frame by frame; smoltcp does ARP, ICMP and TCP. A SYN is held back until
//! the socket of this machine that it leads to is connected, and only then gets a listener. The board's connection
//! therefore succeeds or fails as the one to the socket does.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use smoltcp::{
    iface::{Config, Interface, PollResult, SocketSet},
    socket::tcp,
    wire::{EthernetAddress, IpCidr},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Sleep, timeout_at},
};

use crate::{
    config::LanConfig,
    connection::{Connected, Connection, Progress},
    crossings::{Crossings, Standing},
    dhcp, dns,
    event::{RefusedReason, Unanswered, Unreachable, What},
    fate::SynFate,
    faults::Direction,
    packet::{Packet, Segment, udp_frame},
    record::Record,
    wire::Wire,
};

/// A gateway, which runs until it is told to stop.
pub(crate) struct Gateway {
    config: LanConfig,
    record: Arc<Record>,
    inputs: Inputs,
    wire: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
    connections: Vec<Connection>,
    opening: Vec<Opening>,
    /// SYNs that a fault delays, and when they go on.
    late: Vec<(Duration, Vec<u8>)>,
    /// Connections opened so far.
    opened: u64,
    alarm: Pin<Box<Sleep>>,
    alarm_at: Option<Duration>,
    /// Frames of the board taken so far.
    frames_taken: u64,
    /// What has crossed in connections that have ended.
    past: Crossings,
}

/// What reaches a gateway from the handle.
pub(crate) struct Inputs {
    /// The board's frames.
    pub(crate) frames: mpsc::Receiver<Vec<u8>>,
    /// Each message cuts all connections.
    pub(crate) cuts: mpsc::UnboundedReceiver<()>,
    /// Stops the gateway when its sender is dropped.
    pub(crate) stopped: oneshot::Receiver<()>,
}

/// A SYN that waits for the socket that it leads to.
struct Opening {
    syn: Vec<u8>,
    board: SocketAddrV4,
    to: SocketAddrV4,
    target: SocketAddr,
    /// Gives the stream, a refusal, or the end of the time for it.
    connect: Pin<Box<dyn Future<Output = Result<io::Result<Connected>, tokio::time::error::Elapsed>>>>,
}

impl Gateway {
    /// Runs a gateway for `config`, which has been checked.
    pub(crate) async fn run(
        config: LanConfig,
        inputs: Inputs,
        to_board: Box<dyn FnMut(Vec<u8>) + Send>,
        record: Arc<Record>,
    ) {
        let mut wire = Wire::new(to_board, Arc::clone(&record));
        let mut interface = Interface::new(Config::new(MAC.into()), &mut wire, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            let own = IpCidr::new(config.gateway.into(), config.prefix_len);
            addresses.push(own).expect("an interface has room for one address");
        });
        // The stack answers for every address. `receive` decides what is reachable before the stack sees a packet.
        interface.set_any_ip(true);
        let mut gateway = Self {
            config,
            record,
            inputs,
            wire,
            interface,
            sockets: SocketSet::new(Vec::new()),
            connections: Vec::new(),
            opening: Vec::new(),
            late: Vec::new(),
            opened: 0,
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
            alarm_at: None,
            frames_taken: 0,
            past: Crossings::default(),
        };
        std::future::poll_fn(|cx| gateway.turn(cx)).await;
    }

    /// Does all that can be done now, and has `cx` woken when there is more to do.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.record.settle(None);
        loop {
            if Pin::new(&mut self.inputs.stopped).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut busy = self.take_cuts(cx);
            busy |= self.take_frames(cx);
            busy |= self.take_late();
            busy |= self.take_opened(cx);
            busy |= self.run_stack();
            busy |= self.pump(cx);
            if !busy && !self.alarm_rings(cx) {
                self.record.settle(self.standing());
                return Poll::Pending;
            }
        }
    }

    /// Where the gateway stands when it has nothing to do; `None` while it waits for a socket to connect.
    fn standing(&self) -> Option<Standing> {
        let mut crossings = self.past;
        for connection in &self.connections {
            crossings.add(connection.crossings());
        }
        crossings.connections = self.opened;
        self.opening.is_empty().then_some(Standing {
            crossings,
            frames: self.frames_taken,
            alarm: self.alarm_at,
        })
    }

    /// Cuts all connections if the handle has asked for it. Returns whether it has.
    fn take_cuts(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(Some(())) = self.inputs.cuts.poll_recv(cx) else {
            return false;
        };
        self.opening.clear();
        let now = self.record.clock().now();
        let sockets = &mut self.sockets;
        let cut = |connection: &mut Connection| connection.cut(sockets.get_mut(connection.socket), now);
        let ended: Vec<What> = self.connections.iter_mut().filter_map(cut).collect();
        ended.into_iter().for_each(|event| self.ended(event));
        true
    }

    /// Takes some of the frames that wait. Returns whether there were any.
    fn take_frames(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = self.wire.deliver_due();
        for _ in 0..FRAMES_PER_TURN {
            while let Some(frame) = self.wire.take_arrived() {
                self.receive(frame);
            }
            let Poll::Ready(Some(frame)) = self.inputs.frames.poll_recv(cx) else {
                return any;
            };
            any = true;
            self.frames_taken += 1;
            self.wire.cross(Direction::FromBoard, frame, Duration::ZERO);
        }
        true
    }

    /// Lets the delayed SYNs go on whose time has come. Returns whether there were any.
    fn take_late(&mut self) -> bool {
        let now = self.record.clock().now();
        let due: Vec<_> = self.late.extract_if(.., |(due, _)| *due <= now).collect();
        for (_, syn) in &due {
            if let Some(Packet::Tcp { from, to, kind, .. }) = Packet::parse(syn, MAC) {
                self.pass_on(from, to, kind, syn.clone());
            }
        }
        !due.is_empty()
    }

    /// Decides what is done with a frame of the board. An event is recorded before its answer leaves, so that a test
    /// which has seen the answer finds the event.
    fn receive(&mut self, frame: Vec<u8>) {
        let Some(packet) = Packet::parse(&frame, MAC) else {
            return;
        };
        match packet {
            // No answer for the board's own address: the board may ask whether another station has it (RFC 5227).
            Packet::Arp { target } => {
                if self.config.is_station(target) && target != self.config.lease {
                    if self.record.fates().ignores_arp() {
                        return self.record.event(What::Unanswered(Unanswered::Arp(target)));
                    }
                    self.wire.admit(frame);
                }
            }
            Packet::Udp { to, payload, .. } if to.port() == dhcp::SERVER_PORT => self.lease(payload),
            // Without a valid source there is no station to answer.
            Packet::Udp { from, .. } | Packet::Tcp { from, .. } if !self.is_board(*from.ip()) => {}
            Packet::Other { from, .. } if !self.is_board(from) => {}
            Packet::Udp { mac, from, to, payload } if to == SocketAddrV4::new(self.config.gateway, dns::PORT) => {
                self.resolve(to, (mac, from), payload);
            }
            Packet::Udp { to, .. } => {
                self.record.event(What::Unreachable {
                    protocol: Unreachable::Udp,
                    to,
                });
                self.wire.admit(frame);
            }
            Packet::Tcp { from, to, kind, .. } => self.receive_segment(from, to, kind, frame),
            Packet::Other { to, protocol: ICMP, .. } if self.config.is_known(to) => self.wire.admit(frame),
            Packet::Other { to, protocol, .. } => {
                let to = SocketAddrV4::new(to, 0);
                self.record.event(What::Unreachable {
                    protocol: Unreachable::Other(protocol),
                    to,
                });
            }
        }
    }

    /// Answers a DHCP message, unless a fault prevents it.
    fn lease(&mut self, message: &[u8]) {
        let (requests, delay) = {
            let mut fates = self.record.fates();
            let delay = fates.faults().dhcp.delay;
            match dhcp::asks_for(message) {
                Some(dhcp::Asked::Offer) if fates.ignores_discover() => {
                    drop(fates);
                    return self.record.event(What::Unanswered(Unanswered::Discover));
                }
                Some(dhcp::Asked::Lease) if fates.refuses_request() => (dhcp::Requests::Refused, delay),
                _ => (dhcp::Requests::Granted, delay),
            }
        };
        if let Some(answer) = dhcp::answer(&self.config, message, requests) {
            let server = SocketAddrV4::new(self.config.gateway, dhcp::SERVER_PORT);
            answer.event.into_iter().for_each(|event| self.record.event(event));
            self.send(server, (answer.mac, answer.to), &answer.payload, delay);
        }
    }

    /// Answers a DNS query, unless a fault prevents it.
    fn resolve(&mut self, server: SocketAddrV4, board: (EthernetAddress, SocketAddrV4), query: &[u8]) {
        let (ignored, faults) = {
            let mut fates = self.record.fates();
            (fates.ignores_query(), fates.faults().dns)
        };
        if let Some(decoy) = faults.decoy.and_then(|decoy| dns::forge(query, decoy)) {
            self.send(server, board, &decoy, Duration::ZERO);
        }
        if ignored {
            return self.record.event(What::Unanswered(Unanswered::Query));
        }
        if let Some((answer, event)) = dns::answer(&self.config, query, faults.answer) {
            event.into_iter().for_each(|event| self.record.event(event));
            self.send(server, board, &answer, faults.delay);
        }
    }

    /// Decides what is done with a TCP segment, as the faults in force say.
    fn receive_segment(&mut self, board: SocketAddrV4, to: SocketAddrV4, kind: Segment, frame: Vec<u8>) {
        let target = self.config.target(*to.ip(), to.port());
        let (Segment::Open, Some(target)) = (kind, target) else {
            return self.pass_on(board, to, kind, frame);
        };
        let fate = self.record.fates().of_syn();
        match fate {
            SynFate::Ignored => self.record.event(What::Unanswered(Unanswered::Syn(to))),
            SynFate::Refused => {
                let reason = RefusedReason::Fault;
                self.record.event(What::Refused {
                    board,
                    to,
                    target,
                    reason,
                });
                self.wire.admit(frame);
            }
            SynFate::Late(Duration::ZERO) => self.pass_on(board, to, kind, frame),
            // The board repeats a SYN while it is delayed. One of them goes on.
            SynFate::Late(_) if self.is_late(board, to) => {}
            SynFate::Late(by) => self.late.push((self.record.clock().now() + by, frame)),
        }
    }

    /// Whether a SYN of this connection is delayed already.
    fn is_late(&self, board: SocketAddrV4, to: SocketAddrV4) -> bool {
        let same = |syn: &[u8]| matches!(Packet::parse(syn, MAC), Some(Packet::Tcp { from, to: there, .. }) if (from, there) == (board, to));
        self.late.iter().any(|(_, syn)| same(syn))
    }

    fn pass_on(&mut self, board: SocketAddrV4, to: SocketAddrV4, kind: Segment, frame: Vec<u8>) {
        let opening = self
            .opening
            .iter()
            .position(|opening| (opening.board, opening.to) == (board, to));
        let connection = self
            .connections
            .iter_mut()
            .find(|known| (known.board, known.to) == (board, to));
        match (kind, opening, connection) {
            // The socket is not connected yet: the board repeats its SYN, or gives it up.
            (Segment::Open, Some(_), _) => {}
            (Segment::Reset, Some(index), _) => drop(self.opening.swap_remove(index)),
            // A connection in TIME-WAIT makes room for a new one between the same endpoints (RFC 9293 section 3.6.1).
            (Segment::Open, None, Some(connection)) if connection.has_ended() => {
                let id = connection.id;
                self.remove(|connection| connection.id == id);
                self.open(board, to, frame);
            }
            (Segment::Open, None, None) => self.open(board, to, frame),
            (_, _, Some(connection)) => {
                connection.heard = self.record.clock().now();
                connection.board_reset |= kind == Segment::Reset;
                self.wire.admit(frame);
            }
            _ => self.wire.admit(frame),
        }
    }

    /// Starts to connect to the socket that `to` leads to. If it leads nowhere the SYN goes to the stack, which has no
    /// listener for it and answers with a reset.
    fn open(&mut self, board: SocketAddrV4, to: SocketAddrV4, syn: Vec<u8>) {
        let Some(target) = self.config.target(*to.ip(), to.port()) else {
            self.record.event(What::Unreachable {
                protocol: Unreachable::Tcp,
                to,
            });
            return self.wire.admit(syn);
        };
        if self.connections.len() + self.opening.len() >= MAX_CONNECTIONS {
            self.remove(Connection::has_ended);
        }
        if self.connections.len() + self.opening.len() >= MAX_CONNECTIONS {
            let reason = RefusedReason::TooMany(MAX_CONNECTIONS);
            self.record.event(What::Refused {
                board,
                to,
                target,
                reason,
            });
            return self.wire.admit(syn);
        }
        let deadline = tokio::time::Instant::now() + self.config.connect_timeout;
        let connect = Box::pin(timeout_at(deadline, Connected::to(target)));
        self.opening.push(Opening {
            syn,
            board,
            to,
            target,
            connect,
        });
    }

    /// Passes on the SYNs whose sockets have connected or refused. Returns whether there were any.
    fn take_opened(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.opening.len();
        let mut index = 0;
        while let Some(opening) = self.opening.get_mut(index) {
            match opening.connect.as_mut().poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(outcome) => {
                    let Opening {
                        syn, board, to, target, ..
                    } = self.opening.swap_remove(index);
                    let reason = match outcome {
                        Ok(Ok(connected)) => {
                            self.let_through(syn, (board, to), target, connected);
                            continue;
                        }
                        Ok(Err(error)) => RefusedReason::Host(error.to_string()),
                        Err(_) => RefusedReason::Timeout(self.config.connect_timeout),
                    };
                    self.record.event(What::Refused {
                        board,
                        to,
                        target,
                        reason,
                    });
                    self.wire.admit(syn);
                }
            }
        }
        before > 0 && self.opening.len() != before
    }

    fn let_through(
        &mut self,
        syn: Vec<u8>,
        (board, to): (SocketAddrV4, SocketAddrV4),
        target: SocketAddr,
        connected: Connected,
    ) {
        // Small writes of either side are passed on at once. Whether to gather them is the two ends' decision.
        let _ = connected.stream.set_nodelay(true);
        let from = connected.stream.local_addr().unwrap_or(target);
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        socket
            .listen((*to.ip(), to.port()))
            .expect("a new socket can listen on any port but 0");
        // Segments that came before this SYN must not find its listener, so the stack takes them first.
        self.run_stack();
        let handle = self.sockets.add(socket);
        self.opened += 1;
        self.connections.push(Connection::new(
            self.opened,
            (board, to),
            handle,
            connected,
            self.record.clock().now(),
        ));
        self.record.event(What::Opened {
            connection: self.opened,
            board,
            to,
            target,
            from,
        });
        self.wire.admit(syn);
        self.run_stack();
    }

    /// Moves bytes in all connections. Returns whether anything moved.
    fn pump(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.record.clock().now();
        let mut moved = false;
        let mut ended = Vec::new();
        for connection in &mut self.connections {
            let socket = self.sockets.get_mut(connection.socket);
            match connection.pump(socket, self.config.board_timeout, now, cx) {
                Progress::Idle => continue,
                Progress::Moved => {}
                Progress::Ended(event) => ended.push(event),
            }
            moved = true;
        }
        ended.into_iter().for_each(|event| self.ended(event));
        let over =
            |connection: &Connection, sockets: &SocketSet<'_>| connection.is_over(sockets.get(connection.socket), now);
        let ids: Vec<u64> = self
            .connections
            .iter()
            .filter(|one| over(one, &self.sockets))
            .map(|one| one.id)
            .collect();
        if !ids.is_empty() {
            self.remove(|connection| ids.contains(&connection.id));
        }
        moved
    }

    /// Adds a connection that has ended to the counts, and records the event.
    fn ended(&mut self, event: What) {
        if let What::Closed {
            from_board, to_board, ..
        } = event
        {
            self.past.add(Crossings {
                connections: 0,
                to_host: from_board,
                from_host: to_board,
                ended_by_board: 1,
                ended_by_host: 1,
            });
        }
        self.record.event(event);
    }

    fn remove(&mut self, which: impl Fn(&Connection) -> bool) {
        for gone in self.connections.extract_if(.., |connection| which(connection)) {
            self.sockets.remove(gone.socket);
        }
    }

    /// Lets the stack take the admitted frames and send what is due. Returns whether it did anything.
    fn run_stack(&mut self) -> bool {
        let now = self.stack_now();
        self.interface.poll(now, &mut self.wire, &mut self.sockets) == PollResult::SocketStateChanged
    }

    /// Sets the alarm for the next thing that happens by the clock alone. Returns whether that is now.
    fn alarm_rings(&mut self, cx: &mut Context<'_>) -> bool {
        let clock = self.record.clock();
        let now = clock.now();
        let stack = self
            .interface
            .poll_delay(self.stack_now(), &self.sockets)
            // At least the alarm's resolution, or a stack that asks for less would keep the gateway busy.
            .map(|delay| now + Duration::from(delay).max(RESOLUTION));
        let late = self.late.iter().map(|&(due, _)| due);
        let patience = self.config.board_timeout;
        let connections = self
            .connections
            .iter()
            .filter_map(|connection| connection.wakes_at(patience));
        self.alarm_at = connections.chain(stack).chain(late).chain(self.wire.next_due()).min();
        if let Some(rings) = clock.set_alarm(self.alarm_at, cx.waker()) {
            return rings;
        }
        let Some(next) = self.alarm_at else {
            return false;
        };
        let next = next.max(now + RESOLUTION);
        self.alarm.as_mut().reset(clock.host_time(next).into());
        self.alarm.as_mut().poll(cx).is_ready()
    }

    fn send(&mut self, from: SocketAddrV4, to: (EthernetAddress, SocketAddrV4), payload: &[u8], late: Duration) {
        let frame = udp_frame((MAC, from), to, payload);
        self.wire.cross(Direction::ToBoard, frame, late);
    }

    fn is_board(&self, address: Ipv4Addr) -> bool {
        self.config.is_station(address) && !self.config.is_known(address)
    }

    fn stack_now(&self) -> smoltcp::time::Instant {
        let elapsed = self.record.clock().now();
        smoltcp::time::Instant::from_micros(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
    }
}

/// The gateway's hardware address: locally administered, and easy to remember, since 0a 0d 25 is 10.13.37 in
/// hexadecimal.
const MAC: EthernetAddress = EthernetAddress([0x02, 0x00, 0x0a, 0x0d, 0x25, 0x01]);

/// The resolution of tokio's timer.
const RESOLUTION: Duration = Duration::from_millis(1);

/// Protocol number of ICMP.
const ICMP: u8 = 1;

/// Connections that the board may have open. A board has a handful; one that has this many leaks them.
const MAX_CONNECTIONS: usize = 64;

/// Bytes of a connection that may wait, each way: the largest window that needs no scaling.
const BUFFER: usize = 65_535;

/// Frames that are taken before the sockets get their turn, however many wait.
const FRAMES_PER_TURN: usize = 64;
