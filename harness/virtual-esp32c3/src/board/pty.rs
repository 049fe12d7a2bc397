//! The pseudo terminal that carries the board's console. Nothing enters; both ends and the tty's path leave.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

/// A pseudo terminal that passes bytes through as they are.
pub(super) struct Pty {
    /// The board's end. Reads and writes never block.
    pub(super) controller: OwnedFd,
    /// The tty's end. The board keeps it open, since its own end would report a hang-up while no program has the tty
    /// open.
    pub(super) terminal: OwnedFd,
    /// The path of the tty, such as `/dev/pts/7`.
    pub(super) path: PathBuf,
}

impl Pty {
    pub(super) fn open() -> std::io::Result<Self> {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&controller)?;
        unlockpt(&controller)?;
        let name = ptsname(&controller, Vec::new())?;
        let path = PathBuf::from(name.to_string_lossy().into_owned());
        let terminal = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut attributes = tcgetattr(&terminal)?;
        attributes.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &attributes)?;
        rustix::fs::fcntl_setfl(controller.as_fd(), OFlags::RDWR | OFlags::NONBLOCK)?;
        Ok(Self {
            controller,
            terminal,
            path,
        })
    }
}
