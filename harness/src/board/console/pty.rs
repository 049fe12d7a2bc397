//! A pseudo terminal that carries bytes as they are, whatever the program at its other end makes of it.
//!
//! What enters: nothing. What leaves: the harness's end, from which a console reads, and the program's end. Both are closed in every
//! process that this one starts, from their first moment on: a program that inherited the harness's end would keep its own terminal
//! open after the harness has ended, and one that inherited another program's end would hide that program's end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// The harness's end of a pseudo terminal.
#[derive(Debug)]
pub struct Pty {
    end: File,
    /// How long one read or one write may block.
    pub(super) limit: Duration,
}

/// The program's end of a pseudo terminal.
#[derive(Debug)]
pub struct Terminal {
    /// It, open. While no process has it open, reading the harness's end fails.
    pub end: OwnedFd,
    /// Its path, such as `/dev/pts/7`.
    pub path: PathBuf,
}

impl Pty {
    /// Opens both ends.
    ///
    /// # Errors
    /// When the system has no pseudo terminal left.
    pub fn open() -> io::Result<(Self, Terminal)> {
        let end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&end)?;
        unlockpt(&end)?;
        let name = ptsname(&end, Vec::new())?;
        let path = PathBuf::from(name.to_string_lossy().into_owned());
        let terminal = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let pty = Self {
            end: File::from(end),
            limit: Duration::from_millis(50),
        };
        pty.keep_raw()?;
        Ok((pty, Terminal { end: terminal, path }))
    }

    /// Another handle of it.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            end: self.end.try_clone()?,
            limit: self.limit,
        })
    }

    /// Takes back what a program has changed of the terminal: an emulator turns line ends around, and a program that reads lines echoes
    /// them. Every flag is cleared, also those that only count together with others, so that QEMU, which sets `OPOST` alone, changes
    /// nothing.
    fn keep_raw(&self) -> io::Result<()> {
        let mut settings = tcgetattr(&self.end)?;
        if !is_raw(&settings) {
            settings.make_raw();
            settings.input_modes = InputModes::empty();
            settings.output_modes = OutputModes::empty();
            settings.local_modes = LocalModes::empty();
            settings.special_codes[SpecialCodeIndex::VMIN] = 1;
            settings.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(&self.end, OptionalActions::Now, &settings)?;
        }
        Ok(())
    }

    fn wait_for(&self, what: PollFlags) -> io::Result<()> {
        let limit = Timespec::try_from(self.limit).map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(&mut [PollFd::new(&self.end, what)], Some(&limit))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }
}

/// Whether bytes pass in both directions as they are.
fn is_raw(settings: &Termios) -> bool {
    settings.input_modes.is_empty() && settings.output_modes.is_empty() && settings.local_modes.is_empty()
}

impl Read for Pty {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.keep_raw()?;
        self.wait_for(PollFlags::IN)?;
        self.end.read(buffer)
    }
}

impl Write for Pty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.keep_raw()?;
        self.wait_for(PollFlags::OUT)?;
        self.end.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_sets_its_terminal_up_changes_no_byte() {
        let (mut pty, terminal) = Pty::open().unwrap();
        pty.limit = Duration::from_secs(20);
        let mut program = File::from(terminal.end);
        let set = |program: &File, change: &dyn Fn(&mut Termios)| {
            let mut settings = tcgetattr(program).unwrap();
            change(&mut settings);
            tcsetattr(program, OptionalActions::Now, &settings).unwrap();
        };
        // As QEMU does.
        set(&program, &|settings| settings.output_modes |= OutputModes::OPOST);
        program.write_all(b"one\ntwo\r\n").unwrap();
        let mut heard = [0; 9];
        pty.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"one\ntwo\r\n");
        // As a shell does, before the harness says something.
        set(&program, &|settings| {
            settings.local_modes |= LocalModes::ECHO | LocalModes::ICANON;
            settings.input_modes |= InputModes::ICRNL;
            settings.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        });
        pty.write_all(b"run\r").unwrap();
        let mut got = [0; 4];
        program.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"run\r");
        program.write_all(b"ok\n").unwrap();
        pty.read_exact(&mut heard[..3]).unwrap();
        assert_eq!(&heard[..3], b"ok\n", "neither an echo nor another line end");
    }
}
