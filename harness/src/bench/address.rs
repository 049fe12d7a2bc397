//! The address of this machine at which a server stands for a board.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// The address at which a server must stand for a board that knows this machine as `reached`. The network of an
/// emulator may have an address for this machine that leads to the loopback, and that no server can have.
pub(super) fn server_for(reached: IpAddr) -> IpAddr {
    if UdpSocket::bind((reached, 0)).is_ok() {
        reached
    } else {
        Ipv4Addr::LOCALHOST.into()
    }
}

/// This machine's address on the default route. Nothing is sent.
pub(super) fn on_default_route() -> std::io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // Any address beyond the gateway will do: this one is for documentation (RFC 5737).
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
    Ok(socket.local_addr()?.ip())
}
