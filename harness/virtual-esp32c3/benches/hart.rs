//! How fast the virtual hart is, compared with the chip's 160 MHz: `cargo bench -p virtual-esp32c3 --bench hart`.
//!
//! The programs are a point multiplication on P-256, SHA-256, and a copy of 32 KB in RAM, which moves 16 bytes every
//! twelve instructions. For each, the bench prints the best and the median of several rounds in million instructions a
//! second, and the ratio of the median to 160.
#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

#[path = "programs/mod.rs"]
mod programs;

use std::time::{Duration, Instant};

use programs::{Function, Machine};

const CHIP_MHZ: f64 = 160.0;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(500);

fn main() {
    println!(
        "{:<8} {:>14} {:>8} {:>8} {:>7}",
        "program", "instructions", "best", "median", "ratio"
    );
    measure("p256", Function::P256, &[0x5A; 32]);
    measure("sha256", Function::Sha256, &[0x5A; 0x4000]);
    measure("copy", Function::Copy, &[0x5A; 0x8000]);
}

fn measure(name: &str, function: Function, input: &[u8]) {
    let mut machine = Machine::new();
    let (_, per_call) = machine.call(function, input);
    let mut speeds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let mut instructions = 0;
            while start.elapsed() < ROUND {
                instructions += machine.call(function, input).1;
            }
            instructions as f64 / start.elapsed().as_secs_f64() / 1e6
        })
        .collect();
    speeds.sort_by(f64::total_cmp);
    let (best, median) = (speeds[ROUNDS - 1], speeds[ROUNDS / 2]);
    println!(
        "{name:<8} {per_call:>14} {best:>8.1} {median:>8.1} {:>7.2}",
        median / CHIP_MHZ
    );
}
