//! Benches: where boards come from.
//!
//! What enters: an image, and for each scenario a [`Route`] to its server. What leaves: one [`Board`] for each
//! scenario. A bench flashes its boards, shares them out, and takes back those that are done. Only `choose` knows
//! scenarios.

mod address;
mod serial_bench;
mod virtual_bench;
mod process_bench;
mod choose;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;

use pinrig_server::Settled;

pub use choose::{BenchError, Skipped, bench_for, claim, skipped};
pub use process_bench::ProcessBench;
pub use serial_bench::SerialBench;
pub use virtual_bench::{Start, VirtualBench};

use crate::board::flash::{FlashProgress, FlashReport};
use crate::board::{Board, BoardError, LeftOut};
use crate::image::Image;

/// Where boards come from: each call of [`Bench::seat`] gives one that holds the prepared image.
pub trait Bench: Send + Sync {
    /// What people call it.
    fn name(&self) -> String;

    /// The images that go into flash when `image` is prepared, each with the names of its boards: some boards may have
    /// their own.
    fn images<'a>(&'a self, image: &'a Image) -> Vec<(String, &'a Image)> {
        vec![(self.name(), image)]
    }

    /// Puts `image` into flash, through the board's own loader.
    ///
    /// # Errors
    /// When the board cannot be reached or flashed.
    fn prepare(&self, image: &Image, progress: FlashProgress<'_>) -> Result<FlashReport, BoardError>;

    /// Reserves a board for one scenario.
    ///
    /// # Errors
    /// When no board is left, or none becomes free in time.
    fn seat(&self) -> Result<Box<dyn Seat + '_>, BoardError>;

    /// How many scenarios it can run at once; none if only this machine limits that.
    fn capacity(&self) -> Option<NonZeroUsize> {
        None
    }

    /// Whether its boards run the image that they are given. A program on this machine does not: it runs itself.
    fn takes_images(&self) -> bool {
        true
    }

    /// The boards that are used no more.
    fn left_out(&self) -> Vec<LeftOut> {
        Vec::new()
    }
}

/// A board that is reserved for one scenario, before the scenario's server is up.
pub trait Seat {
    /// The address of this machine at which a server must stand for the board to reach it.
    fn server_address(&self) -> IpAddr;

    /// The board, which does nothing until [`Board::reset`] lets it start.
    ///
    /// # Errors
    /// When its console cannot be opened, or what stands for the board cannot be started.
    fn board(self: Box<Self>, route: &Route) -> Result<Board, BoardError>;
}

/// The names under which the board must find the server, and where the server really is.
#[derive(Clone, Debug)]
pub struct Route {
    /// The names that the board will connect to; an address needs no resolver.
    pub hosts: Vec<String>,
    /// The port that it will connect to.
    pub port: u16,
    /// The socket on this machine that stands behind those names and that port. It refuses connections if nothing
    /// listens there.
    pub server: SocketAddr,
    /// Reports whether the server is idle, waiting for its client.
    pub settled: Settled,
    /// Where the random numbers of a virtual board start.
    pub seed: u64,
}
