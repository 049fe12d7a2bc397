//! An ESP32-C3 in software, behind a tty.
//!
//! It models hardware only. The chip's own mask ROM, the bootloader that a flasher wrote and the firmware run on it
//! unchanged. Every program that talks to a board over a serial port can talk to this one. The crate knows no TLS, no
//! test scenario and no network beyond the frames that enter and leave. In particular it does not know `virtual-lan`:
//! the caller connects the two.
//!
//! [`VirtualBoard`] is the board: a thread that runs a [`Chip`](chip::Chip) behind a pseudo terminal. The chip itself
//! is deterministic: bytes, frames, strapping and time enter as arguments. [`SerialServer`] is the USB-UART bridge of a
//! development board, over TCP.

pub mod clock;
mod width;
pub mod memory;
pub mod bus;
pub mod hart;
pub mod rom;
pub mod log;
mod flash_timing;
mod peripherals;
mod debug;
pub mod chip;
mod spin;
mod auto_reset;
mod strapping;
mod cable;
mod board;
mod serial_server;

pub use auto_reset::{AutoReset, Levels};
pub use board::{
    BoardConfig, BoardLines, BoardStats, DebugPort, DebugPortError, FrameSender, FrameSink, NoAnswer, Outlook,
    Snapshot, Surroundings, VirtualBoard, VirtualBoardError,
};
pub use chip::{ConsolePort, UartFormat, UartParity, UartPort};
pub use debug::{DmiAccess, JtagClock, JtagTap};
pub use flash_timing::FlashTiming;
pub use log::{HardwareEvent, LogEntry, ResetCause};
pub use serial_server::{SerialServer, SerialServerError};
pub use strapping::Strapping;
