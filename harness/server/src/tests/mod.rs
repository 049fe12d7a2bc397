//! The server against real clients: rustls in this process, and openssl and curl where they are installed.

mod client;
mod honest;
mod life;
mod long_hello;
mod other_programs;
mod rogue;
mod stray;

use std::time::Duration;

use pinrig_certs::Recipe;

use crate::{Reply, RunningServer, ServerConfig, TlsServer};

/// An honest server with the right certificate and the reply `success`.
fn github() -> ServerConfig {
    ServerConfig::new(Recipe::Github.issue(), Reply::github("success").unwrap())
}

fn start(config: ServerConfig) -> RunningServer {
    TlsServer::start(config).unwrap()
}

/// The server lane once every connection is over.
fn lane(server: &RunningServer) -> Vec<String> {
    server.wait_idle(Duration::from_secs(20)).unwrap();
    server.events().iter().map(ToString::to_string).collect()
}

/// Asserts that the lane is `expected`, whose lines may end in `...` where the rest does not matter.
fn assert_lane(server: &RunningServer, expected: &[&str]) {
    let lane = lane(server);
    let as_expected = lane.len() == expected.len()
        && lane
            .iter()
            .zip(expected)
            .all(|(line, expected)| match expected.strip_suffix("...") {
                Some(beginning) => line.starts_with(beginning),
                None => line == expected,
            });
    assert!(
        as_expected,
        "server lane:\n{}\n\nexpected:\n{}",
        lane.join("\n"),
        expected.join("\n")
    );
}
