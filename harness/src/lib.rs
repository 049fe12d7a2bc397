//! pinrig: does a board that speaks HTTPS talk to the right server and refuse every wrong one?
//!
//! ```text
//! scenario ──► certificates ──► server ──┐
//!    │                                   ├──► transcript (two lanes) ──► verdict + snapshot ──► report
//!    └──► board: flash ► reset ► console ┘
//! ```
//!
//! A [`scenario`] is one TOML file and one test. [`service`] starts the server that it asks for, with `pinrig-server`. A
//! [`bench`](mod@bench) puts the [`image`] on a [`board`] and hands it out with its console. [`device`] speaks the firmware's command
//! language there, [`transcript`] keeps what both sides saw, and [`verdict`] judges it. [`run`] does these in order and emits
//! events, and [`report`] writes them for machines. [`mutants`] asks whether the scenarios would notice broken firmware.
//!
//! The modules stand from the ground up: each imports only from those above it in this list.

pub mod file_error;
pub mod private;
pub mod interrupt;
pub mod deadline;
pub mod printable;
pub mod language;
pub mod run_result;
pub mod randomness;
pub mod evidence;
pub mod scenario;
pub mod service;
pub mod certificate;
pub mod peer;
pub mod image;
pub mod symbols;
pub mod rig;
pub mod board;
pub mod bench;
pub mod doctor;
pub mod device;
pub mod transcript;
pub mod verdict;
mod postmortem;
pub mod outcome;
pub mod bundle;
pub mod run;
pub mod mutants;
pub mod report;
