//! An inventory, locks and evidence in a folder of their own, for the `pinrig` command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::PASSWORD;
use crate::support;

/// A folder with a `rig.toml`. Its commands see this inventory and these locks, and no other.
pub(crate) struct CommandRig {
    folder: tempfile::TempDir,
}

impl CommandRig {
    pub(crate) fn new(entries: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("rig.toml"), entries.concat()).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `pinrig run` with these arguments.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// `pinrig run` with these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.pinrig("run");
        command.args(arguments).arg("--out").arg(self.path("out"));
        command
    }

    /// Any other subcommand of `pinrig`.
    pub(crate) fn pinrig(&self, subcommand: &str) -> Command {
        let mut command = self.program(Path::new(env!("CARGO_BIN_EXE_pinrig")));
        command.arg(subcommand);
        command
    }

    /// Any program, in the same environment.
    pub(crate) fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(support::root())
            .env_remove("PINRIG_BOARD")
            .env_remove("PINRIG_TAGS")
            .env("PINRIG_RIG", self.path("rig.toml"))
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env("TEST_PASSWORD", PASSWORD);
        command
    }
}
