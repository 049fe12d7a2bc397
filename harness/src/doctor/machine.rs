//! Checks of this machine: its clock, its inventory, and the address that boards know it by.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, SystemTime};

use super::diagnosis::Observation;
use crate::rig::Inventory;

/// A clock that shows a time before this is wrong: 2026-01-01, in seconds since 1970.
const NOT_BEFORE: u64 = 1_767_225_600;

/// Whether there is an inventory, where `plugged` USB serial ports are plugged in.
pub(super) fn inventory(inventory: Option<&Inventory>, plugged: usize) -> Observation {
    match inventory {
        Some(inventory) => {
            let (path, boards) = (inventory.path.display(), inventory.boards.len());
            Observation::good(format!("{path}: {boards} boards"))
        }
        None if plugged == 0 => Observation::good("no rig.toml, and no USB serial port: the virtual board is used"),
        None => Observation::doubtful(
            format!("no rig.toml, but {plugged} USB serial ports are plugged in"),
            "write a rig.toml that names them; `pinrig boards` shows what each says of itself",
        ),
    }
}

/// Whether this machine's clock can be right.
pub(super) fn clock(now: SystemTime) -> Observation {
    if now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO) >= Duration::from_secs(NOT_BEFORE) {
        Observation::good("this machine's clock shows a time that can be right")
    } else {
        Observation::bad(
            "this machine's clock shows a time before 2026",
            "set it, for example with `timedatectl set-ntp true`; evidence with a wrong date misleads",
        )
    }
}

/// Whether a server can stand at an address.
pub(super) fn server_address(address: IpAddr) -> Observation {
    match UdpSocket::bind((address, 0)) {
        Ok(_) => Observation::good(format!("{address} is an address of this machine")),
        // A port may be forwarded, or the board's network may be a simulated one.
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Observation::doubtful(
            format!("{address} is not an address of this machine"),
            "compare with `ip address`, or leave server-address out to use the address on the default route",
        ),
        Err(error) => Observation::bad(
            format!("no server can stand at {address}: {error}"),
            "set server-address to an address that `ip address` shows",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::doctor::Health;

    #[test]
    fn ports_without_an_inventory_are_doubtful() {
        assert_eq!(inventory(None, 0).health, Health::Good);
        assert_eq!(inventory(None, 1).health, Health::Doubtful);
        let empty = Inventory::parse(Path::new("rig.toml"), "").unwrap();
        assert_eq!(inventory(Some(&empty), 1).health, Health::Good);
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_bad() {
        let early = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        assert_eq!(clock(early).health, Health::Bad);
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(NOT_BEFORE);
        assert_eq!(clock(late).health, Health::Good);
    }

    #[test]
    fn a_server_stands_at_an_address_of_this_machine() {
        assert_eq!(server_address([127, 0, 0, 1].into()).health, Health::Good);
        // TEST-NET-3 (RFC 5737) belongs to no machine.
        assert_eq!(server_address([203, 0, 113, 77].into()).health, Health::Doubtful);
    }
}
