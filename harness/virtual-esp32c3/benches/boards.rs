//! What a board costs: `cargo bench -p virtual-esp32c3 --bench boards`.
//!
//! It prints times of the wall clock, from reset to the firmware's first line and for a fork; the memory of a board
//! that was copied and of one that booted by itself, by which the process grows; and how long eight boards that boot at
//! once take, compared with one.
#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]
#![expect(clippy::expect_used, reason = "a bench ends where it cannot go on")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use support::{Console, firmware, flash_contents};
use virtual_esp32c3::{BoardConfig, Strapping, VirtualBoard};

const BOOT: Duration = Duration::from_secs(60);
const ROUNDS: usize = 15;
const BOOTS: usize = 10;
/// How many boards should fit into a gigabyte.
const MANY: usize = 64;

fn main() {
    let flash = flash_contents(&firmware());
    println!("{:<34} {:>10} {:>10} {:>10}", "a board", "best", "median", "aim");

    let (board, mut console) = started(&flash);
    boot(&board, &mut console);
    let before = resident();
    let copies: Vec<(VirtualBoard, Console)> = (0..MANY)
        .map(|_| {
            let fork = board.fork(None).expect("a fork");
            let mut console = Console::open(fork.tty());
            console.send("#m hello\n");
            console.wait_for("@m ok hello ", BOOT);
            (fork, console)
        })
        .collect();
    memory("memory of a copy that has answered", resident() - before, MANY);
    // The copies are kept meanwhile, since the new boards would reuse memory that they had freed.
    let before = resident();
    let cold: Vec<(VirtualBoard, Console)> = (0..MANY / 4)
        .map(|_| {
            let (board, mut console) = started(&flash);
            boot(&board, &mut console);
            (board, console)
        })
        .collect();
    memory("memory of a board that booted", resident() - before, cold.len());
    drop((copies, cold));

    let boots = (0..ROUNDS).map(|_| boot(&board, &mut console)).collect();
    row("reset to first line", boots, "60 ms");

    let snapshots = (0..ROUNDS)
        .map(|_| timed(|| drop(board.snapshot().expect("a snapshot"))))
        .collect();
    row("snapshot", snapshots, "-");
    let snapshot = board.snapshot().expect("a snapshot");
    let target = VirtualBoard::start(BoardConfig::default(), None).expect("a board");
    let restores = (0..ROUNDS)
        .map(|_| {
            timed(|| {
                target.restore(&snapshot, Vec::new());
                // The thread answers commands in order, so the copy has been made.
                drop(target.log());
            })
        })
        .collect();
    row("fork onto a board that stands", restores, "1 ms");
    let mut forks = Vec::new();
    let times = (0..ROUNDS)
        .map(|_| timed(|| forks.push(board.fork(None).expect("a fork"))))
        .collect();
    row("fork with a tty of its own", times, "1 ms");
    drop(forks);

    let alone = timed(|| boots_of(&flash, 1));
    let eight = timed(|| boots_of(&flash, 8));
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let speed = |boards: usize, time: Duration| (boards * BOOTS) as f64 / time.as_secs_f64();
    println!(
        "{:<34} {:>8.1}/s {:>8.1}/s {:>9.2}x",
        format!("boots: one board, eight on {processors}"),
        speed(1, alone),
        speed(8, eight),
        speed(8, eight) / speed(1, alone)
    );
}

/// A board that is switched off, and its console.
fn started(flash: &Arc<[u8]>) -> (VirtualBoard, Console) {
    let config = BoardConfig {
        flash: Arc::clone(flash),
        ..BoardConfig::default()
    };
    let board = VirtualBoard::start(config, None).expect("a board");
    let console = Console::open(board.tty());
    (board, console)
}

fn boot(board: &VirtualBoard, console: &mut Console) -> Duration {
    timed(|| {
        board.power_cycle(Strapping::Flash);
        console.wait_for("@- ready ", BOOT);
        console.wait_for("\r\n", BOOT);
    })
}

/// Runs this many boards at once, each of which boots [`BOOTS`] times.
fn boots_of(flash: &Arc<[u8]>, boards: usize) {
    thread::scope(|scope| {
        for _ in 0..boards {
            scope.spawn(|| {
                let (board, mut console) = started(flash);
                for _ in 0..BOOTS {
                    boot(&board, &mut console);
                }
            });
        }
    });
}

fn timed(what: impl FnOnce()) -> Duration {
    let start = Instant::now();
    what();
    start.elapsed()
}

fn row(what: &str, mut times: Vec<Duration>, aim: &str) {
    times.sort();
    let shown = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    let (best, median) = (shown(times[0]), shown(times[times.len() / 2]));
    println!("{what:<34} {best:>10} {median:>10} {aim:>10}");
}

fn memory(what: &str, grown: usize, boards: usize) {
    let each = grown as f64 / boards as f64 / (1 << 20) as f64;
    let aim = format!("{:.0} MB", 1024.0 / MANY as f64);
    println!("{what:<34} {:>10} {:>10} {aim:>10}", "-", format!("{each:.2} MB"));
}

/// The process's resident memory in bytes (proc_pid_statm(5)).
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("the process knows its memory");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second number is the resident pages") * rustix::param::page_size()
}
