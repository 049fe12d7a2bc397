//! Servers for the tests, on loopback ports that the system picks.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use virtual_lan::{Join, LanConfig};

use crate::board::LIMIT;

/// The address of the tests' servers on the network.
pub(crate) const SERVER: [u8; 4] = [10, 13, 37, 10];

/// Serves one connection on a thread of its own.
pub(crate) fn serve<T: Send + 'static>(
    with: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        with(stream)
    });
    (address, thread)
}

/// A loopback port that refuses connections for as long as the socket is held: bound, but not listening.
pub(crate) fn refusing() -> (SocketAddr, OwnedFd) {
    let held = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&held, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = SocketAddr::try_from(getsockname(&held).unwrap()).unwrap();
    (address, held)
}

/// A network on which port 443 of [`SERVER`] leads to `target`.
pub(crate) fn joined(target: SocketAddr) -> LanConfig {
    let join = Join {
        address: SERVER.into(),
        port: 443,
        target,
    };
    let names = vec![("api.github.com".into(), SERVER.into())];
    LanConfig {
        names,
        joins: vec![join],
        ..LanConfig::default()
    }
}

/// Closes the stream with a RST.
pub(crate) fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

/// Bytes without repetition, so that a piece which is missing, doubled or swapped shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    })
    .take(length)
    .collect()
}
