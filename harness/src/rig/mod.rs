//! The rig: which boards there are, which of them is meant, and who holds it.
//!
//! What enters: a file `rig.toml`, the ports that the system shows, and the name or tags that a user gives. What leaves: one board, held
//! by this process alone. It knows no scenario and no TLS.

mod choice;
mod inventory;
mod lock;
mod ports;

pub use choice::{Choice, ChoiceError, VIRTUAL};
pub use inventory::{
    Dialect, Entry, Flasher, Inventory, InventoryError, Kind, Network, Password, PasswordError, Pattern, Port,
    ResetWay, Skip, schema,
};
pub use lock::{BoardLock, Holder, LockError, Locks};
pub use ports::{PortError, Ports, SerialPort, UsbDevice};
