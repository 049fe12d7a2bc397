//! The bench of boards at serial ports, which the scenarios of one run share.
//!
//! What enters: boards that this process holds, and an image. What leaves: one board for each scenario, which goes back
//! to the pool when the scenario is over. A board that does not start in any of its ways is quarantined, and the run
//! goes on with the others.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Bench, Route, Seat, address};
use crate::board::console::ConsoleHandle;
use crate::board::flash::{FlashProgress, FlashReport};
use crate::board::probe::Debugger;
use crate::board::{Board, BoardError, BootMode, Claimed, LeftOut, LinkSettings, Recorder, Reset, SerialBoard};
use crate::deadline::Deadline;
use crate::image::Image;

/// How long a scenario may wait for a board that other scenarios use: longer than any scenario takes.
const FREE_BOARD: Duration = Duration::from_secs(1800);

/// Boards at serial ports.
pub struct SerialBench {
    boards: Vec<Arc<SerialBoard>>,
    /// Boards of the rig that this process could not use.
    left_out: Vec<LeftOut>,
    pool: Arc<Shared>,
}

/// The pool, and a wake-up for those who wait for a board: one has come back, or has been quarantined.
#[derive(Debug, Default)]
struct Shared {
    pool: Mutex<Pool>,
    changed: Condvar,
}

/// Which boards are free, by their indices.
#[derive(Debug, Default)]
struct Pool {
    free: Vec<usize>,
    at_work: usize,
    /// The boards that are used no more.
    quarantined: Vec<LeftOut>,
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

    /// The boards in the order of the inventory, those included that are used no more.
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
            let its = board.image().map_or(image, |own| &**own);
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
                    pool.quarantined
                        .push(LeftOut::because(self.boards[index].name().as_str(), &error));
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

    fn capacity(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.boards.len())
    }

    fn left_out(&self) -> Vec<LeftOut> {
        let pool = self.pool.lock();
        self.left_out.iter().chain(&pool.quarantined).cloned().collect()
    }

    fn seat(&self) -> Result<Box<dyn Seat + '_>, BoardError> {
        let deadline = Deadline::after("a board that another scenario uses", FREE_BOARD);
        let mut pool = self.pool.lock();
        let index = loop {
            if let Some(index) = pool.free.pop() {
                break index;
            }
            if pool.at_work == 0 {
                return Err(BoardError::NoneLeft(pool.quarantined.clone()));
            }
            if deadline.has_expired() {
                return Err(deadline.timeout().into());
            }
            let waited = self.pool.changed.wait_timeout(pool, deadline.left());
            pool = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        pool.at_work += 1;
        drop(pool);
        let board = Arc::clone(&self.boards[index]);
        let lease = Lease {
            index,
            failed: None,
            pool: Arc::clone(&self.pool),
        };
        let reached = board.server_address().map_or_else(address::on_default_route, Ok);
        let reached = reached.map_err(|error| BoardError::NoAddress(error).on(board.name().as_str()))?;
        Ok(Box::new(SerialSeat { board, reached, lease }))
    }
}

fn names<'a>(boards: impl IntoIterator<Item = &'a Arc<SerialBoard>>) -> String {
    let names = boards
        .into_iter()
        .map(|board| format!("{} ({})", board.name(), board.port()));
    names.collect::<Vec<_>>().join(", ")
}

/// Gives a board back to the pool when it is dropped.
struct Lease {
    index: usize,
    /// Set for a board that does not go back.
    failed: Option<LeftOut>,
    pool: Arc<Shared>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut pool = self.pool.lock();
        pool.at_work -= 1;
        match self.failed.take() {
            Some(left_out) => pool.quarantined.push(left_out),
            None => pool.free.push(self.index),
        }
        drop(pool);
        self.pool.changed.notify_all();
    }
}

impl Lease {
    /// Keeps the board out of the pool because of `error`, which is given the board's name.
    fn give_up(&mut self, board: &SerialBoard, error: BoardError) -> BoardError {
        self.failed = Some(LeftOut::because(board.name().as_str(), &error));
        error.on(board.name().as_str())
    }
}

struct SerialSeat {
    board: Arc<SerialBoard>,
    /// The address of this machine as the board sees it.
    reached: IpAddr,
    lease: Lease,
}

impl Seat for SerialSeat {
    fn server_address(&self) -> IpAddr {
        address::server_for(self.reached)
    }

    fn board(self: Box<Self>, route: &Route) -> Result<Board, BoardError> {
        let Self {
            board,
            reached,
            mut lease,
        } = *self;
        // The next scenario would find no more than this one does.
        let console = board.console().map_err(|error| lease.give_up(&board, error))?;
        let connect_to = SocketAddr::new(reached, route.server.port());
        Ok(Board {
            name: board.name().to_string(),
            image: board.image().cloned(),
            dialect: board.dialect().cloned(),
            debugger: board.debugger().map(|probe| Box::new(probe) as Box<dyn Debugger>),
            link: LinkSettings::of(board.credentials(), Some(connect_to)),
            patience: Arc::new(AtomicBool::new(false)),
            reset: Box::new(SerialReset {
                board,
                console: console.handle(),
                lease,
            }),
            network: None,
            witness: None,
            recorder: Box::new(NothingElse),
            console,
        })
    }
}

/// Resets a board in the ways of its entry.
struct SerialReset {
    board: Arc<SerialBoard>,
    console: ConsoleHandle,
    lease: Lease,
}

impl Reset for SerialReset {
    fn reset(&mut self, mode: BootMode) -> Result<(), BoardError> {
        let done = self.board.reset(mode, &self.console);
        done.map_err(|error| self.lease.give_up(&self.board, error))
    }
}

/// A board at a port records nothing but its console.
struct NothingElse;

impl Recorder for NothingElse {}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
