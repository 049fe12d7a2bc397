//! The network as a board sees it: a second TCP/IP stack on the other end of the wire, servers on this machine.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod board;
mod faults;
mod names;
mod robustness;
mod server;
mod tcp;
