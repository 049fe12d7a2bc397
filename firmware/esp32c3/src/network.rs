//! IPv4 over whatever link the image has: DHCP, DNS and TCP by embassy-net. Nothing is started before the first join.

use alloc::boxed::Box;
use alloc::vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use embassy_executor::Spawner;
use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::{self, TcpSocket};
use embassy_net::{IpAddress, IpEndpoint, Runner, Stack, StackResources};
use esp_hal::rng::Rng;
use pinrig_app::platform::{self, JoinError, Medium, Network, ResolveError};
use static_cell::StaticCell;

use crate::link::{Driver, Link};

/// One window of TCP in each direction; the request is small.
const RECEIVE_WINDOW: usize = 6 * 1460;
const SEND_WINDOW: usize = 2 * 1460;
/// DHCP, DNS, the connection, and one that is still closing.
const SOCKETS: usize = 4;

/// The network that the shell sees.
pub(crate) struct ChipNetwork {
    spawner: Spawner,
    link: Link,
    stack: Option<Stack<'static>>,
    receive: Box<[u8]>,
    send: Box<[u8]>,
}

impl ChipNetwork {
    pub(crate) fn new(spawner: Spawner, link: Link) -> Self {
        let window = |size| vec![0; size].into_boxed_slice();
        Self {
            spawner,
            link,
            stack: None,
            receive: window(RECEIVE_WINDOW),
            send: window(SEND_WINDOW),
        }
    }

    fn stack(&mut self) -> Result<Stack<'static>, JoinError> {
        static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
        if let Some(stack) = self.stack {
            return Ok(stack);
        }
        let driver = self.link.start()?;
        let seed = Rng::new();
        let seed = u64::from(seed.random()) << 32 | u64::from(seed.random());
        let resources = RESOURCES.init(StackResources::new());
        let config = embassy_net::Config::dhcpv4(embassy_net::DhcpConfig::default());
        let (stack, runner) = embassy_net::new(driver, config, resources, seed);
        self.spawner.spawn(run_stack(runner).expect("the task is spawned once"));
        self.stack = Some(stack);
        Ok(stack)
    }
}

#[embassy_executor::task]
async fn run_stack(mut runner: Runner<'static, Driver>) {
    runner.run().await;
}

impl Network for ChipNetwork {
    type Stream<'a> = Tcp<'a>;

    const MEDIUM: Medium = Link::MEDIUM;

    async fn join(&mut self, name: &str, password: Option<&str>) -> Result<Ipv4Addr, JoinError> {
        let stack = self.stack()?;
        self.link.join(name, password).await?;
        loop {
            stack.wait_config_up().await;
            if let Some(config) = stack.config_v4() {
                return Ok(config.address.address());
            }
        }
    }

    async fn resolve(&mut self, host: &str) -> Result<Ipv4Addr, ResolveError> {
        let stack = self.stack.ok_or(ResolveError::Failed)?;
        let addresses = stack
            .dns_query(host, DnsQueryType::A)
            .await
            .map_err(|_| ResolveError::Failed)?;
        addresses
            .iter()
            .map(|address| {
                let IpAddress::Ipv4(address) = address;
                *address
            })
            .next()
            .ok_or(ResolveError::NotFound)
    }

    async fn connect(&mut self, to: SocketAddrV4) -> Result<Tcp<'_>, platform::ConnectError> {
        let stack = self.stack.ok_or(platform::ConnectError::Unreachable)?;
        let mut socket = TcpSocket::new(stack, &mut self.receive, &mut self.send);
        let to = IpEndpoint::from((*to.ip(), to.port()));
        match socket.connect(to).await {
            Ok(()) => Ok(Tcp(socket)),
            Err(tcp::ConnectError::ConnectionReset) => Err(platform::ConnectError::Refused),
            Err(tcp::ConnectError::TimedOut) => Err(platform::ConnectError::TimedOut),
            Err(tcp::ConnectError::NoRoute | tcp::ConnectError::InvalidState) => {
                Err(platform::ConnectError::Unreachable)
            }
        }
    }
}

/// An open connection.
pub(crate) struct Tcp<'a>(TcpSocket<'a>);

impl platform::Stream for Tcp<'_> {
    async fn finish(&mut self) {
        self.0.close();
        // Whether the other side acknowledges makes no difference any more.
        let _ = self.0.flush().await;
    }
}

impl embedded_io_async::ErrorType for Tcp<'_> {
    type Error = tcp::Error;
}

impl embedded_io_async::Read for Tcp<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, tcp::Error> {
        self.0.read(buffer).await
    }
}

impl embedded_io_async::Write for Tcp<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, tcp::Error> {
        self.0.write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), tcp::Error> {
        self.0.flush().await
    }
}
