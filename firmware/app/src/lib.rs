//! The HTTPS client that a board runs, and the console that drives it.
//!
//! What enters: console lines, a network, random numbers, facts about the board. What leaves: the transcript of the
//! classic Arduino "HTTPSRequest" sketch, and machine-readable answers that start with `@`. The crate knows no chip and
//! no operating system; everything below it comes in through the traits of [`platform`].
//!
//! The modules in the order in which data flows through them:
//!
//! 1. [`mod@line`] bytes to lines; [`command`] lines to requests; [`settings`] what has been set.
//! 2. [`shell`] carries requests out and writes [`answer`]s.
//! 3. [`client`] is one run: network, TCP, TLS, request, reply, verdict.
//! 4. [`records`], [`hello`], [`plaintext`], [`guard`], [`certificate`], [`clock`] and [`fingerprint`] stand between the
//!    TLS library and the network: they decide whether the server is the right one.
//! 5. [`http`], [`body`], [`json`] and [`rule`] read the reply and judge it.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod platform;
pub mod line;
pub mod command;
pub mod settings;
pub mod answer;
pub mod shell;
pub mod client;
pub mod records;
pub mod plaintext;
pub mod hello;
pub mod guard;
pub mod certificate;
pub mod clock;
pub mod fingerprint;
pub mod http;
pub mod body;
pub mod json;
pub mod rule;
