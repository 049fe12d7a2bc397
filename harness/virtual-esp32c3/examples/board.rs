//! A virtual ESP32-C3 to work with by hand. It prints the path of the tty, and runs until it is interrupted.
//!
//! `cargo run -p virtual-esp32c3 --example board -- [--download] [--usb] [FLASH.bin]`
#![expect(clippy::print_stdout, reason = "a person reads its output")]

use std::error::Error;
use std::io::Read;

use virtual_esp32c3::{BoardConfig, ConsolePort, Strapping, VirtualBoard};

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = BoardConfig::default();
    let mut strapping = Strapping::Flash;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--download" => strapping = Strapping::Download,
            "--usb" => config.console = ConsolePort::UsbSerialJtag,
            path => {
                let mut flash = std::fs::read(path)?;
                flash.resize(config.flash.len().max(flash.len()), 0xFF);
                config.flash = flash.into();
            }
        }
    }
    let board = VirtualBoard::start(config, None)?;
    println!("{}", board.tty().display());
    let mut tty = std::fs::File::open(board.tty())?;
    board.power_cycle(strapping);
    if strapping == Strapping::Flash {
        // Prints the console. In download mode the flasher has the tty.
        std::io::copy(&mut tty, &mut std::io::stdout())?;
    } else {
        println!("waiting for a flasher; Enter ends the board");
        let _end = std::io::stdin().read(&mut [0])?;
    }
    for entry in board.log() {
        println!("{:>10} us  {}", entry.microseconds, entry.event);
    }
    Ok(())
}
