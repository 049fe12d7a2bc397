//! Programs that `rig.toml` names: they flash or reset a board.
//!
//! What enters: a command line, the values of its placeholders, and a deadline. What leaves: success, or what the
//! program said last. When the deadline passes, or this process ends, the program ends, with every process that it has
//! started.

use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use super::group::ProcessGroup;
use crate::deadline::{Deadline, Timeout};
use crate::rig::CommandLine;

/// How many lines of a failed program's output are told.
const LAST_LINES: usize = 3;

/// What stands for `{name}` in the words of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placeholder<'a> {
    pub(super) name: &'static str,
    pub(super) value: &'a str,
}

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It cannot be started or waited for.
    #[error("cannot run {program}: {cause}")]
    Run {
        /// The program.
        program: String,
        /// What the system said.
        cause: io::Error,
    },
    /// It did not end in time.
    #[error("{program}: {timeout}")]
    Timeout {
        /// The program.
        program: String,
        /// The wait that took too long.
        timeout: Timeout,
    },
    /// It ended without success.
    #[error("{program} ended with {status}: {}", .last.join("; "))]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it printed.
        last: Vec<String>,
    },
}

/// Runs a command to its end.
pub(super) fn run(
    command: &CommandLine,
    placeholders: &[Placeholder<'_>],
    deadline: &Deadline,
) -> Result<(), ProgramError> {
    let fill = |word: &str| {
        placeholders.iter().fold(word.to_owned(), |word, placeholder| {
            word.replace(&format!("{{{}}}", placeholder.name), placeholder.value)
        })
    };
    let program = fill(command.program.as_str());
    let failed = |cause| ProgramError::Run {
        program: program.clone(),
        cause,
    };
    let mut started = Command::new(&program);
    started
        .args(command.arguments.iter().map(|word| fill(word)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Its drop ends the program and what it has started.
    let group = ProcessGroup::new().map_err(&failed)?;
    let child = group.spawn(&mut started).map_err(&failed)?;
    let (done, ended) = channel();
    thread::spawn(move || done.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(deadline.left()) else {
        return Err(ProgramError::Timeout {
            program,
            timeout: deadline.timeout(),
        });
    };
    let output = output.map_err(&failed)?;
    if output.status.success() {
        group.release();
        return Ok(());
    }
    // Some tools print what went wrong to the one, some to the other.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    Err(ProgramError::Failed {
        program,
        status: output.status,
        last: last.iter().map(|&line| line.to_owned()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn command(words: &[&str]) -> CommandLine {
        CommandLine {
            program: words[0].parse().unwrap(),
            arguments: words[1..].iter().map(|&word| word.to_owned()).collect(),
        }
    }

    #[test]
    fn a_program_that_fails_says_why_and_one_that_is_missing_is_named() {
        let placeholders = [("port", "/dev/ttyX"), ("mode", "flash")].map(|(name, value)| Placeholder { name, value });
        let soon = Deadline::after("the test's program", Duration::from_secs(20));
        let run = |words: &[&str], deadline: &Deadline| run(&command(words), &placeholders, deadline);
        let failed = run(&["sh", "-c", "echo no {port} in {mode} mode; exit 3"], &soon);
        let failed = failed.unwrap_err().to_string();
        assert!(
            failed.contains("no /dev/ttyX in flash mode") && failed.contains('3'),
            "{failed}"
        );
        let missing = run(&["no-such-program"], &soon).unwrap_err().to_string();
        assert!(missing.contains("no-such-program"), "{missing}");
        run(&["true"], &soon).unwrap();
        let now = Deadline::after("a program that hangs", Duration::from_millis(50));
        let hangs = run(&["sh", "-c", "sleep 600"], &now).unwrap_err().to_string();
        assert!(hangs.contains("a program that hangs"), "{hangs}");
    }

    #[test]
    fn what_a_program_has_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pid.display());
        let now = Deadline::after("a program that hangs", Duration::from_secs(1));
        run(&command(&["sh", "-c", &script]), &[], &now).unwrap_err();
        let pid = std::fs::read_to_string(pid).unwrap();
        let status = Path::new("/proc").join(pid.trim()).join("status");
        // A process that has ended stays a zombie until its parent asks for its status.
        let lives = || std::fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ"));
        let soon = Deadline::after("the program's end", Duration::from_secs(10));
        while lives() {
            assert!(!soon.has_expired(), "it still runs");
            thread::yield_now();
        }
    }
}
