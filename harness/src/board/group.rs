//! Programs that end with this process, however it ends, together with every process that they have started.
//!
//! What enters: a command. What leaves: a child in a process group. The group's first process is a shell that waits for the end of a
//! pipe and then kills the group. Only this process has the pipe's other end, and the system closes it when this process ends, also
//! by SIGKILL.

use std::io;
use std::mem::ManuallyDrop;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

/// What the shell does. It takes no notice of signals to the whole group, which some scripts send as they end.
const GUARD: &str = "trap '' HUP INT TERM; while read -r line; do :; done; kill -s KILL 0";

/// A process group that ends when this is dropped, and at the latest when this process ends.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    /// The shell, with the pipe.
    guard: Child,
}

impl ProcessGroup {
    /// A group without a program.
    ///
    /// # Errors
    /// When there is no `/bin/sh`, or no process can be started.
    pub(crate) fn new() -> io::Result<Self> {
        let guard = Command::new("/bin/sh")
            .args(["-c", GUARD])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()?;
        Ok(Self { guard })
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.guard)
    }

    /// Starts a program in the group.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        command.process_group(self.id().as_raw_nonzero().get()).spawn()
    }

    /// Lets go what the program has left running on purpose, such as the emulator that a script for a reset starts.
    pub(crate) fn release(self) {
        let mut group = ManuallyDrop::new(self);
        // Before its pipe is closed, which it would answer by killing the group.
        let _gone = group.guard.kill();
        let _status = group.guard.wait();
        drop(group.guard.stdin.take());
    }

    /// Kills every process in the group. The children are still to be waited for.
    pub(crate) fn end(&self) {
        // The number stays this group's, since the shell has not been waited for. The group may have ended by itself.
        let _gone = kill_process_group(self.id(), Signal::KILL);
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.end();
        let _status = self.guard.wait();
    }
}
