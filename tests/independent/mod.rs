//! Independent clients: what each is told, what it must do, and where it may differ from the device.
//!
//! The modules stand from the ground up; each imports only from those above it in this list.

pub(crate) mod client;
pub(crate) mod cell;
pub(crate) mod differences;
