//! The command line: one module for each subcommand, which returns an exit code or an error that is printed here.
//!
//! Exit codes: 0 everything passed; 1 the firmware did the wrong thing; 2 the command line, a scenario or an image is
//! wrong; 3 crash; 4 hang; 5 flashing failed; 6 the bench broke; 7 the board did not join its network; 130 interrupted.
//! Where several scenarios fail, the highest number decides.

mod boards;
mod desk;
mod doctor;
mod fingerprint;
mod list;
mod mutants;
mod mutants_table;
mod output;
mod run;
mod serve;
mod signals;
mod style;
mod terminal;
mod virtual_board;

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use pinrig::scenario::{self, Scenario, ScenarioError};

/// A mistake on the command line or in a file that it names.
const USAGE: u8 = 2;

#[derive(Debug, Parser)]
#[command(version, about = "Tests a board that speaks HTTPS against right and wrong servers.")]
#[command(after_help = "Without a command, every scenario runs on the virtual board.\n\n\
    Exit codes: 0 passed, 1 wrong behaviour, 2 usage, 3 crash, 4 hang, 5 flashing, 6 bench, 7 network,\n\
    130 interrupted.")]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    options: run::Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Flash the firmware and run scenarios, all or those named; with names, the transcript is printed live
    Run(run::Names),
    /// List the scenarios and what each shows
    List(list::List),
    /// Stand up the server of one scenario for any other client
    Serve(serve::Serve),
    /// Start a virtual ESP32-C3 for other tools, and print where it is
    Virtual(virtual_board::Virtual),
    /// Build the firmware with one mistake at a time, and show which scenarios notice
    Mutants(mutants::Mutants),
    /// Show what is plugged in, which boards the rig has, and which process holds each
    Boards(boards::Boards),
    /// Find what keeps the rig's boards from being used, and say what to do
    Doctor(doctor::Doctor),
    /// Put the firmware onto the rig's boards
    Flash,
    /// Reset the rig's boards
    Reset(desk::Reset),
    /// Show what a board of the rig says, with the functions behind its addresses, and send what is typed; Ctrl-C ends it
    Monitor(desk::Monitor),
    /// Print the fingerprints of a server's or a file's certificate, as browsers show them
    Fingerprint(fingerprint::Target),
}

/// Options that every command understands.
#[derive(Args, Debug)]
struct Common {
    /// The folder that holds scenarios/, github/ and firmware/; without it, the nearest `fixtures` upward from here
    #[arg(long, global = true, value_name = "DIR", env = "PINRIG_FIXTURES")]
    fixtures: Option<PathBuf>,
    /// Print JSON, one object a line, instead of text
    #[arg(long, global = true)]
    json: bool,
}

/// Runs the command that the command line asks for.
pub(crate) fn main() -> ExitCode {
    let line = CommandLine::parse();
    let result = match line.command {
        None => run::run(&line.common, &line.options, &[]),
        Some(Command::Run(names)) => run::run(&line.common, &line.options, &names.names),
        Some(Command::List(options)) => list::list(&line.common, &options),
        Some(Command::Serve(serve)) => serve::serve(&line.common, &serve),
        Some(Command::Virtual(options)) => virtual_board::virtual_board(&line.common, &options, line.options.seed),
        Some(Command::Mutants(mutants)) => mutants::mutants(&line.common, &line.options, &mutants),
        Some(Command::Boards(options)) => boards::boards(&line.common, &options),
        Some(Command::Doctor(asked)) => doctor::doctor(&line.common, &line.options, &asked),
        Some(Command::Flash) => desk::flash(&line.common, &line.options),
        Some(Command::Reset(reset)) => desk::reset(&line.common, &line.options, &reset),
        Some(Command::Monitor(monitor)) => desk::monitor(&line.common, &line.options, &monitor),
        Some(Command::Fingerprint(target)) => fingerprint::fingerprint(&line.common, &target),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        // The reader of our output has gone away, as `head` does: nothing is wrong.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is gone too, there is nothing left to print to.
            let _ = writeln!(anstream::stderr(), "error: {error}");
            ExitCode::from(USAGE)
        }
    }
}

type CommandResult = Result<u8, Box<dyn Error>>;

impl Common {
    /// The folder with the fixtures.
    fn fixtures(&self) -> Result<PathBuf, Box<dyn Error>> {
        if let Some(folder) = &self.fixtures {
            return Ok(folder.clone());
        }
        let here = std::env::current_dir()?;
        here.ancestors()
            .map(|folder| folder.join("fixtures"))
            .find(|folder| folder.join("scenarios").is_dir())
            .ok_or_else(|| {
                format!(
                    "no `fixtures/scenarios` in {} or above; name the folder with --fixtures",
                    here.display()
                )
                .into()
            })
    }
}

/// Every scenario of the project.
fn scenarios(fixtures: &Path) -> Result<Vec<Scenario>, ScenarioError> {
    scenario::load_all(fixtures)
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
