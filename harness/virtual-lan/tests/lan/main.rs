//! The network as a board sees it. A second TCP/IP stack plays the board, and servers on this machine answer it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod board;
mod faults;
mod names;
mod robustness;
mod server;
mod tcp;
