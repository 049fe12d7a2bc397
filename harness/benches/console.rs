//! How fast a console is captured: a board that talks as fast as its tty takes it, against one at 3 Mbaud, the highest speed at which a
//! common bridge loses nothing by itself. A pseudo terminal pushes back; a serial port does not, so only what is captured faster than it
//! comes is safe.

#![expect(clippy::print_stdout, reason = "what a bench is for")]
#![expect(clippy::unwrap_used, reason = "a bench panics where it cannot go on")]

use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use pinrig::board::Console;
use pinrig::deadline::Deadline;
use serialport::{SerialPort, TTYPort};

/// 3 Mbaud, in bytes a second: eight bits, a start bit and a stop bit.
const AT_3_MBAUD: f64 = 300_000.0;
const SIZE: usize = 16 << 20;
const ROUNDS: usize = 5;

fn main() {
    let lines = b"I (16) boot: a line as a bootloader says it, of the usual length\r\n".repeat(SIZE / 66);
    let noise: Vec<u8> = (0..SIZE as u32)
        .map(|n| (n.wrapping_mul(0x9E37_79B1) >> 24) as u8)
        .collect();
    for (name, said) in [("lines", lines), ("noise", noise)] {
        let mut rates: Vec<f64> = (0..ROUNDS).map(|_| rate(&said)).collect();
        rates.sort_by(f64::total_cmp);
        let median = rates[ROUNDS / 2];
        println!(
            "{name}: {:.1} MB/s captured ({:.1} to {:.1}), {:.0} times 3 Mbaud",
            median / 1e6,
            rates[0] / 1e6,
            rates[ROUNDS - 1] / 1e6,
            median / AT_3_MBAUD
        );
    }
}

/// Bytes a second, from the first that is said to the last that is heard.
fn rate(said: &[u8]) -> f64 {
    let (mut board, port) = TTYPort::pair().unwrap();
    board.set_timeout(Duration::from_secs(60)).unwrap();
    let mut console = Console::on(Path::new("/dev/pts/bench"), port).unwrap();
    let deadline = Deadline::after("the last line", Duration::from_secs(60));
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            board.write_all(said).unwrap();
            board.write_all(b"\nend\n").unwrap();
        });
        while console.next_line(&deadline).unwrap().text != "end" {}
    });
    said.len() as f64 / began.elapsed().as_secs_f64()
}
