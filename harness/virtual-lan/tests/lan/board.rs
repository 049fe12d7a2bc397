//! A board for the tests: smoltcp with a client's sockets at the board's end of a `Lan`.

use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, OnceLock, mpsc},
    time::{Duration, Instant},
};

use smoltcp::{
    iface::{Config, Interface, SocketHandle, SocketSet},
    phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken},
    socket::{dhcpv4, dns, tcp, udp},
    time::Instant as StackInstant,
    wire::{
        DnsQueryType, EthernetAddress, EthernetFrame, IpAddress, IpCidr, IpProtocol, Ipv4Cidr, Ipv4Packet, TcpPacket,
    },
};
use virtual_lan::{FramePort, Lan, LanConfig, Standstill, TimeSource};

/// How long anything may take. More than anything here needs, even on a slow machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x42];

pub(crate) struct Board {
    pub(crate) port: FramePort,
    frames: mpsc::Receiver<Vec<u8>>,
    /// The network's thread, as a path below /proc.
    pub(crate) lan_thread: Arc<OnceLock<PathBuf>>,
    interface: Interface,
    pub(crate) sockets: SocketSet<'static>,
    started: Instant,
    next_port: u16,
    /// The network, if the board drives its clock. Time then passes only while both wait.
    driven: Option<Lan>,
    /// Time that has passed on that clock.
    pub(crate) passed: Duration,
    pub(crate) longest_frame: usize,
    /// Sequence numbers of the TCP segments with data that have come, in the order of their arrival.
    pub(crate) data_from: Vec<u32>,
}

impl Board {
    /// A board that has its address, on a network whose clock it drives, so that waiting costs no time of the host.
    pub(crate) fn driven(config: LanConfig) -> Self {
        let mut board = Self::driven_without_address(config);
        let lease = board.lease();
        board.use_lease(&lease);
        board
    }

    /// Like [`Board::driven`], but the board has no address yet.
    pub(crate) fn driven_without_address(config: LanConfig) -> Self {
        let (lan, mut board) = Self::without_address(LanConfig {
            time: TimeSource::Driven,
            ..config
        });
        board.driven = Some(lan);
        board
    }

    /// The network of a board that drives its clock.
    pub(crate) fn lan(&self) -> &Lan {
        self.driven.as_ref().expect("the board drives the network")
    }

    /// Waits until the network rests.
    pub(crate) fn settled(&self) -> Standstill {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(settled) = self.lan().settled() {
                return settled;
            }
            assert!(
                Instant::now() < deadline,
                "timed out after {LIMIT:?} waiting for the network to rest"
            );
            std::thread::yield_now();
        }
    }

    fn now(&self) -> Duration {
        self.driven
            .as_ref()
            .map_or_else(|| self.started.elapsed(), |_| self.passed)
    }

    /// Waits for the next frame, or lets time pass up to `delay` or the network's next action, whichever comes first.
    fn frame_or_time(&mut self, delay: Duration) -> Option<Vec<u8>> {
        let Some(lan) = &self.driven else {
            return self.frames.recv_timeout(delay).ok();
        };
        // A server of the test may be about to send: it gets this much of the host's time.
        if let Ok(frame) = self.frames.recv_timeout(Duration::from_millis(3)) {
            return Some(frame);
        }
        let settled = lan.settled()?;
        let step = settled.lasts.map_or(delay, |lasts| lasts.min(delay));
        self.passed += step;
        lan.advance(step);
        None
    }

    /// A network, and a board on it that has no address yet.
    pub(crate) fn without_address(config: LanConfig) -> (Lan, Self) {
        let (to_board, frames) = mpsc::channel();
        let lan_thread = Arc::new(OnceLock::new());
        let thread = Arc::clone(&lan_thread);
        let receive = move |frame| {
            thread.get_or_init(|| fs::read_link("/proc/thread-self").unwrap());
            drop(to_board.send(frame));
        };
        let lan = Lan::start(config, Box::new(receive)).unwrap();
        let port = lan.port();
        let config = Config::new(EthernetAddress(MAC).into());
        let interface = Interface::new(
            config,
            &mut Card {
                port: &port,
                frame: None,
            },
            StackInstant::ZERO,
        );
        let sockets = SocketSet::new(Vec::new());
        (
            lan,
            Self {
                port,
                frames,
                lan_thread,
                interface,
                sockets,
                started: Instant::now(),
                next_port: 50_000,
                driven: None,
                passed: Duration::ZERO,
                longest_frame: 0,
                data_from: Vec::new(),
            },
        )
    }

    /// A network, and a board with its leased address.
    pub(crate) fn new(config: LanConfig) -> (Lan, Self) {
        let (lan, mut board) = Self::without_address(config);
        let lease = board.lease();
        board.use_lease(&lease);
        (lan, board)
    }

    /// Runs the stack until `wanted` returns an answer, and fails after [`LIMIT`], naming `what` was waited for.
    #[track_caller]
    pub(crate) fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        loop {
            let now = StackInstant::from_micros(i64::try_from(self.now().as_micros()).unwrap());
            self.interface.poll(
                now,
                &mut Card {
                    port: &self.port,
                    frame: None,
                },
                &mut self.sockets,
            );
            if let Some(answer) = wanted(self) {
                // What `wanted` has made the stack send must leave.
                self.interface.poll(
                    now,
                    &mut Card {
                        port: &self.port,
                        frame: None,
                    },
                    &mut self.sockets,
                );
                return answer;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "timed out after {LIMIT:?} waiting for {what}");
            let delay = self
                .interface
                .poll_delay(now, &self.sockets)
                .map_or(left, Duration::from);
            if let Some(frame) = self.frame_or_time(delay.min(left)) {
                self.longest_frame = self.longest_frame.max(frame.len());
                self.data_from.extend(first_of_data(&frame));
                let mut card = Card {
                    port: &self.port,
                    frame: Some(frame),
                };
                self.interface.poll_ingress_single(now, &mut card, &mut self.sockets);
            }
        }
    }

    /// Waits for the next frame for the board, which its stack then does not see.
    pub(crate) fn next_frame(&self) -> Vec<u8> {
        self.frames.recv_timeout(LIMIT).unwrap()
    }

    /// Whether no frame waits for the board.
    pub(crate) fn no_frame(&self) -> bool {
        self.frames.try_recv().is_err()
    }

    pub(crate) fn lease(&mut self) -> Lease {
        let handle = self.sockets.add(dhcpv4::Socket::new());
        let lease = self.until("a lease", |board| {
            match board.sockets.get_mut::<dhcpv4::Socket<'_>>(handle).poll() {
                Some(dhcpv4::Event::Configured(config)) => Some(Lease {
                    address: config.address,
                    router: config.router,
                    dns: config.dns_servers.to_vec(),
                }),
                _ => None,
            }
        });
        self.sockets.remove(handle);
        lease
    }

    pub(crate) fn use_lease(&mut self, lease: &Lease) {
        self.interface
            .update_ip_addrs(|addresses| addresses.push(IpCidr::Ipv4(lease.address)).unwrap());
        if let Some(router) = lease.router {
            self.interface.routes_mut().add_default_ipv4_route(router).unwrap();
        }
    }

    /// Asks the gateway for a name; `None` if it answers with an error.
    pub(crate) fn resolve(&mut self, name: &str) -> Option<Vec<IpAddress>> {
        let mut socket = dns::Socket::new(&[Ipv4Addr::new(10, 13, 37, 1).into()], Vec::new());
        let query = socket
            .start_query(self.interface.context(), name, DnsQueryType::A)
            .unwrap();
        let handle = self.sockets.add(socket);
        let addresses = self.until("an answer for a name", |board| {
            match board.sockets.get_mut::<dns::Socket<'_>>(handle).get_query_result(query) {
                Ok(addresses) => Some(Some(addresses.to_vec())),
                Err(dns::GetQueryResultError::Pending) => None,
                Err(dns::GetQueryResultError::Failed) => Some(None),
            }
        });
        self.sockets.remove(handle);
        addresses
    }

    /// Sends a SYN. The handshake goes on in [`Board::until`].
    pub(crate) fn dial(&mut self, address: [u8; 4], port: u16) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 32 * 1024]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        // The stack runs only while a test waits, so it must not delay an acknowledgement beyond that.
        socket.set_ack_delay(None);
        self.next_port += 1;
        socket
            .connect(
                self.interface.context(),
                (Ipv4Addr::from(address), port),
                self.next_port,
            )
            .unwrap();
        self.sockets.add(socket)
    }

    /// Opens a connection.
    pub(crate) fn connect(&mut self, address: [u8; 4], port: u16) -> SocketHandle {
        let handle = self.dial(address, port);
        let state = self.until("a handshake", |board| match board.tcp(handle).state() {
            tcp::State::SynSent => None,
            state => Some(state),
        });
        assert_eq!(state, tcp::State::Established);
        handle
    }

    /// Connects a closed socket again, and returns the state in which that ends.
    pub(crate) fn connect_again(&mut self, handle: SocketHandle, address: [u8; 4], port: u16) -> tcp::State {
        self.next_port += 1;
        self.sockets
            .get_mut::<tcp::Socket<'_>>(handle)
            .connect(
                self.interface.context(),
                (Ipv4Addr::from(address), port),
                self.next_port,
            )
            .unwrap();
        self.until("a handshake", |board| match board.tcp(handle).state() {
            tcp::State::SynSent => None,
            state => Some(state),
        })
    }

    pub(crate) fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Hands all of `data` to the stack, waiting for room in its buffer.
    pub(crate) fn send(&mut self, handle: SocketHandle, data: &[u8]) {
        let mut sent = 0;
        self.until("data to be sent", |board| {
            sent += board.tcp(handle).send_slice(&data[sent..]).unwrap();
            (sent == data.len()).then_some(())
        });
    }

    /// Reads up to the end of the connection, and returns how it ended.
    pub(crate) fn read_to_end(&mut self, handle: SocketHandle) -> (Vec<u8>, tcp::RecvError) {
        let mut data = Vec::new();
        let end = self.until("the end of the connection", |board| {
            loop {
                match board
                    .tcp(handle)
                    .recv(|bytes| (bytes.len(), data.extend_from_slice(bytes)))
                {
                    Ok(()) if board.tcp(handle).can_recv() => {}
                    // A FIN behind the last byte shows only at the next read, for which no further frame would wake the
                    // board.
                    Ok(()) if !board.tcp(handle).may_recv() => {}
                    Ok(()) => return None,
                    Err(end) => return Some(end),
                }
            }
        });
        (data, end)
    }

    /// Closes the board's side of a connection whose other side is closed, and waits for the last acknowledgement.
    pub(crate) fn finish(&mut self, handle: SocketHandle) {
        self.tcp(handle).close();
        self.until("the last acknowledgement", |board| {
            let socket = board.tcp(handle);
            (!socket.is_active()).then_some(())
        });
    }

    pub(crate) fn datagram(&mut self, to: ([u8; 4], u16), payload: &[u8]) {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY], vec![0; 512]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(40_000).unwrap();
        socket.send_slice(payload, (Ipv4Addr::from(to.0), to.1)).unwrap();
        let handle = self.sockets.add(socket);
        self.until("a datagram to be sent", |board| {
            (board.sockets.get::<udp::Socket<'_>>(handle).send_queue() == 0).then_some(())
        });
    }
}

pub(crate) struct Lease {
    pub(crate) address: Ipv4Cidr,
    pub(crate) router: Option<Ipv4Addr>,
    pub(crate) dns: Vec<Ipv4Addr>,
}

/// The board's network card, lent to the stack for one call.
struct Card<'a> {
    port: &'a FramePort,
    frame: Option<Vec<u8>>,
}

impl Device for Card<'_> {
    type RxToken<'a>
        = Received
    where
        Self: 'a;
    type TxToken<'a>
        = Transmit<'a>
    where
        Self: 'a;

    fn receive(&mut self, _now: StackInstant) -> Option<(Received, Transmit<'_>)> {
        let frame = self.frame.take()?;
        Some((Received(frame), Transmit(self.port)))
    }

    fn transmit(&mut self, _now: StackInstant) -> Option<Transmit<'_>> {
        Some(Transmit(self.port))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

struct Transmit<'a>(&'a FramePort);

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = vec![0; length];
        let result = fill(&mut frame);
        self.0.send(&frame);
        result
    }
}

/// The sequence number of a frame's TCP segment, if it has data.
fn first_of_data(frame: &[u8]) -> Option<u32> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    if packet.next_header() != IpProtocol::Tcp {
        return None;
    }
    let segment = TcpPacket::new_checked(packet.payload()).ok()?;
    (!segment.payload().is_empty()).then(|| segment.seq_number().0.cast_unsigned())
}
