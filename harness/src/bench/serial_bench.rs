//! The bench of boards at serial ports: those of a rig, each at its own tty, shared by the scenarios of one run.
//!
//! What enters: the boards, which this process holds, and an image. What leaves: one board for each scenario, back in the pool when that
//! is over. A board that does not start by any of its ways of being reset is quarantined: the run goes on with the others.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Bench, Route, Seat};
use crate::board::console::ConsoleHandle;
use crate::board::flash::{FlashProgress, FlashReport};
use crate::board::probe::Debugger;
use crate::board::{Board, BoardError, BootMode, Claimed, LinkSettings, Recorder, Reset, SerialBoard};
use crate::deadline::Deadline;
use crate::evidence::RecordedFile;
use crate::image::Image;

/// How long a scenario may wait for a board that others use: longer than any scenario takes.
const FREE_BOARD: Duration = Duration::from_secs(1800);
/// The name of a network that has none, since the board is wired; the firmware wants one.
const WIRED: &str = "pinrig";

/// Boards at serial ports.
pub struct SerialBench {
    boards: Vec<Arc<SerialBoard>>,
    /// Boards that could not be had, and why.
    left_out: Vec<(String, String)>,
    pool: Arc<Shared>,
}

/// The pool, and the bell that rings when a board comes back or is given up.
#[derive(Debug, Default)]
struct Shared {
    pool: Mutex<Pool>,
    changed: Condvar,
}

/// Which boards can be had, by their index.
#[derive(Debug, Default)]
struct Pool {
    free: Vec<usize>,
    at_work: usize,
    /// Why a board is used no more.
    quarantined: Vec<(usize, String)>,
}

impl fmt::Debug for SerialBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SerialBench")
            .field("boards", &self.boards)
            .finish_non_exhaustive()
    }
}

impl SerialBench {
    /// A bench of these boards.
    #[must_use]
    pub fn new(Claimed { boards, left_out }: Claimed) -> Self {
        let pool = Pool {
            // The first board is the first to be taken.
            free: (0..boards.len()).rev().collect(),
            ..Pool::default()
        };
        Self {
            boards: boards.into_iter().map(Arc::new).collect(),
            left_out,
            pool: Arc::new(Shared {
                pool: Mutex::new(pool),
                changed: Condvar::new(),
            }),
        }
    }

    /// The boards, in the order of the inventory, whether they are still used or not.
    #[must_use]
    pub fn boards(&self) -> &[Arc<SerialBoard>] {
        &self.boards
    }
}

impl Bench for SerialBench {
    fn name(&self) -> String {
        names(self.boards.iter())
    }

    fn images<'a>(&'a self, image: &'a Image) -> Vec<(String, &'a Image)> {
        let mut images: Vec<(&Image, Vec<&Arc<SerialBoard>>)> = Vec::new();
        for board in &self.boards {
            let its = board.image.as_deref().unwrap_or(image);
            match images.iter_mut().find(|(image, _)| image.path() == its.path()) {
                Some((_, boards)) => boards.push(board),
                None => images.push((its, vec![board])),
            }
        }
        let named = images.into_iter().map(|(image, boards)| (names(boards), image));
        named.collect()
    }

    fn prepare(&self, image: &Image, progress: FlashProgress<'_>) -> Result<FlashReport, BoardError> {
        let began = Instant::now();
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = self
                .boards
                .iter()
                .map(|board| scope.spawn(|| board.flash(image, progress)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        let mut whole = FlashReport::default();
        let mut first = None;
        let mut pool = self.pool.lock();
        for (index, result) in results.into_iter().enumerate() {
            match result {
                Ok(report) => {
                    whole.written += report.written;
                    whole.skipped += report.skipped;
                    whole.remarks.extend(report.remarks);
                }
                Err(error) => {
                    pool.free.retain(|free| *free != index);
                    pool.quarantined.push((index, error.to_string()));
                    first.get_or_insert(error);
                }
            }
        }
        whole.took = began.elapsed();
        match first {
            Some(error) if pool.free.is_empty() => Err(error),
            _ => Ok(whole),
        }
    }

    fn places(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.boards.len())
    }

    fn left_out(&self) -> Vec<(String, String)> {
        let pool = self.pool.lock();
        let quarantined = pool
            .quarantined
            .iter()
            .map(|(index, why)| (self.boards[*index].name.clone(), why.clone()));
        self.left_out.iter().cloned().chain(quarantined).collect()
    }

    fn seat(&self) -> Result<Box<dyn Seat + '_>, BoardError> {
        let deadline = Deadline::after("a board that another scenario uses", FREE_BOARD);
        let mut pool = self.pool.lock();
        let index = loop {
            if let Some(index) = pool.free.pop() {
                break index;
            }
            if pool.at_work == 0 {
                let why = pool.quarantined.iter();
                let why: Vec<String> = why
                    .map(|(index, why)| format!("{}: {why}", self.boards[*index].name))
                    .collect();
                return Err(BoardError::NoneLeft(why.join("; ")));
            }
            if deadline.left().is_zero() {
                return Err(BoardError::NoneLeft(deadline.timeout().to_string()));
            }
            let waited = self.pool.changed.wait_timeout(pool, deadline.left());
            pool = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        pool.at_work += 1;
        let lease = Lease {
            index,
            failed: None,
            pool: Arc::clone(&self.pool),
        };
        drop(pool);
        let board = Arc::clone(&self.boards[index]);
        let reached = board
            .server
            .map_or_else(default_address, Ok)
            .map_err(|source| BoardError::NoAddress {
                board: board.name.clone(),
                source,
            })?;
        Ok(Box::new(SerialSeat { board, reached, lease }))
    }
}

fn names<'a>(boards: impl IntoIterator<Item = &'a Arc<SerialBoard>>) -> String {
    let names = boards
        .into_iter()
        .map(|board| format!("{} ({})", board.name, board.port));
    names.collect::<Vec<_>>().join(", ")
}

/// A board that goes back to the pool when this is dropped.
struct Lease {
    index: usize,
    /// Why it does not.
    failed: Option<String>,
    pool: Arc<Shared>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut pool = self.pool.lock();
        pool.at_work -= 1;
        match self.failed.take() {
            Some(why) => pool.quarantined.push((self.index, why)),
            None => pool.free.push(self.index),
        }
        drop(pool);
        self.pool.changed.notify_all();
    }
}

struct SerialSeat {
    board: Arc<SerialBoard>,
    /// The address under which the board reaches this machine.
    reached: IpAddr,
    lease: Lease,
}

impl Seat for SerialSeat {
    fn server_address(&self) -> IpAddr {
        // An emulator's board knows this machine by an address that only leads here: behind it is the loopback.
        if is_ours(self.reached) {
            self.reached
        } else {
            Ipv4Addr::LOCALHOST.into()
        }
    }

    fn board(self: Box<Self>, route: &Route) -> Result<Board, BoardError> {
        let Self { board, reached, lease } = *self;
        let mut lease = lease;
        // Whoever needs this board next finds no more than this.
        let console = board
            .console()
            .inspect_err(|error| lease.failed = Some(error.to_string()))?;
        let (network, password) = board.network.clone().unwrap_or_else(|| (WIRED.to_owned(), None));
        Ok(Board {
            name: board.name.clone(),
            image: board.image.clone(),
            dialect: board.dialect.clone(),
            debugger: board.probe.clone().map(|probe| Box::new(probe) as Box<dyn Debugger>),
            link: LinkSettings {
                network,
                password,
                connect_to: Some(SocketAddr::new(reached, route.server.port())),
            },
            patience: Arc::new(AtomicBool::new(false)),
            reset: Box::new(SerialReset {
                board,
                heard: console.handle(),
                lease,
            }),
            network: None,
            recorder: Box::new(NothingElse),
            console,
        })
    }
}

/// A board's ladder of ways to be reset.
struct SerialReset {
    board: Arc<SerialBoard>,
    heard: ConsoleHandle,
    lease: Lease,
}

impl Reset for SerialReset {
    fn reset(&mut self, mode: BootMode) -> Result<(), BoardError> {
        let done = self.board.reset(mode, &self.heard);
        done.inspect_err(|error| self.lease.failed = Some(error.to_string()))
    }
}

/// A board at a port records nothing but its console.
struct NothingElse;

impl Recorder for NothingElse {
    fn files(&self) -> Vec<RecordedFile> {
        Vec::new()
    }

    fn skipped(&self) -> Duration {
        Duration::ZERO
    }

    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// This machine's address on the default route. Nothing is sent.
fn default_address() -> Result<IpAddr, io::Error> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // Any address beyond the gateway: this one is documentation's (RFC 5737).
    let routed = socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9));
    routed.map_err(|error| {
        let advice = "no route to a board's network; set server-address in rig.toml";
        io::Error::new(error.kind(), format!("{error}: {advice}"))
    })?;
    Ok(socket.local_addr()?.ip())
}

/// Whether a server can stand at an address.
pub(super) fn is_ours(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
