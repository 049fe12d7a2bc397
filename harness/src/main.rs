//! The `pinrig` command: reads the command line, calls the library, and turns results into exit codes.

mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::main()
}
