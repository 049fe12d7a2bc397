//! How long flashing takes, with espflash at the board's tty: `cargo bench -p virtual-esp32c3 --bench flash`.
//!
//! The image has 500 KB: the project's own application, repeated, so that it can be compressed as well as code. The
//! times are of the wall clock, for connecting (to the ROM's loader, stub included), for writing, and for finding that
//! everything is written already.
#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]
#![expect(clippy::expect_used, reason = "a bench ends if it cannot go on")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use support::{Flashed, connect, firmware, image};
use virtual_esp32c3::{BoardConfig, VirtualBoard};

const SIZE: usize = 500_000;
const ADDRESS: u32 = 0x1_0000;
const ROUNDS: usize = 7;

fn main() {
    let elf = firmware();
    let application = image(&elf)
        .flash_segments()
        .into_iter()
        .find(|part| part.addr == ADDRESS)
        .expect("the image has an application")
        .data()
        .to_vec();
    let program: Vec<u8> = application.iter().copied().cycle().take(SIZE).collect();
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let mut flash = BoardConfig::default().flash;
        for (written, times_of_pass) in [1, 0].into_iter().zip([1, 2]) {
            let config = BoardConfig {
                flash,
                ..BoardConfig::default()
            };
            let board = VirtualBoard::start(config, None).expect("a board");
            let start = Instant::now();
            let mut flasher = connect(&board, true);
            times[0].push(start.elapsed());
            let start = Instant::now();
            let mut flashed = Flashed::default();
            flasher
                .write_bin_to_flash(ADDRESS, &program, &mut flashed)
                .expect("the program is written");
            times[times_of_pass].push(start.elapsed());
            assert_eq!(flashed.written, written);
            flash = board.flash().expect("the flash");
        }
    }
    println!(
        "{:<22} {:>8} {:>8} {:>8}",
        "500 KB over espflash", "best", "median", "aim"
    );
    let aims = ["-", "500 ms", "50 ms"];
    for ((what, mut times), aim) in ["connect", "write", "skip"].into_iter().zip(times).zip(aims) {
        times.sort();
        let milliseconds = |time: Duration| format!("{} ms", time.as_millis());
        let (best, median) = (milliseconds(times[0]), milliseconds(times[times.len() / 2]));
        println!("{what:<22} {best:>8} {median:>8} {aim:>8}");
    }
}
