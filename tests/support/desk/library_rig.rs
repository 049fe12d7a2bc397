//! An inventory, locks and evidence in a folder of their own, used by this process through the library.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use pinrig::board::{Bench, Claim, ClaimError, Claimed, SerialBench, SerialBoard};
use pinrig::deadline::Deadline;
use pinrig::image::Image;
use pinrig::rig::{Inventory, Locks, Port, Ports};
use pinrig::run::{Event, Limits, Outcome, Runner};
use pinrig::verdict::{Blame, Failure, Verdict};

use super::cable::Cable;
use super::system::System;
use super::{Desk, PASSWORD};
use crate::support;

/// A folder with a `rig.toml`, and an image for its boards. When it is dropped it checks that no lock, no open port and no file is left.
pub(crate) struct LibraryRig {
    inventory: Inventory,
    ports: Ports,
    pub(crate) image: Image,
    folder: tempfile::TempDir,
    /// This process keeps the boards' ports open itself, at their other ends.
    own_ports: bool,
}

impl Drop for LibraryRig {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(self.left_behind(), [""; 0]);
        }
    }
}

impl LibraryRig {
    pub(crate) fn new(entries: &[String]) -> Self {
        Self::with_ports(Ports::default(), entries)
    }

    /// Boards that are found in this system's `/sys` and `/dev`.
    pub(crate) fn on(system: &System, entries: &[String]) -> Self {
        Self::with_ports(Ports::below(system.root()), entries)
    }

    /// Boards whose ports this process keeps open itself.
    pub(crate) fn with_own_ports(entries: &[String]) -> Self {
        let mut rig = Self::new(entries);
        rig.own_ports = true;
        rig
    }

    /// The board `desk`, at the other end of a cable.
    pub(crate) fn at(cable: &Cable, desk: &Desk) -> Self {
        Self::with_own_ports(&[desk.entry("desk").replace(&desk.tty, &cable.tty)])
    }

    fn with_ports(ports: Ports, entries: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The environment belongs to all tests of this process.
        fs::write(folder.path().join("password"), PASSWORD).unwrap();
        let path = folder.path().join("rig.toml");
        let text = entries
            .concat()
            .replace("password.env = \"TEST_PASSWORD\"", "password.file = \"password\"");
        fs::write(&path, text).unwrap();
        Self {
            inventory: Inventory::load(&path).unwrap(),
            ports,
            image: Image::load(&support::firmware()).unwrap(),
            folder,
            own_ports: false,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes all boards of the inventory, without waiting for them.
    pub(crate) fn claim(&self) -> Result<Claimed, ClaimError> {
        let entries: Vec<_> = self.inventory.boards.iter().collect();
        let locks = self.locks();
        let now = Deadline::after("a free board", Duration::ZERO);
        let system = (&self.ports, &locks);
        SerialBoard::claim(&entries, &self.inventory.path, system, Claim::All, &now, |_| {})
    }

    pub(crate) fn bench(&self) -> SerialBench {
        SerialBench::new(self.claim().unwrap())
    }

    pub(crate) fn flashed_bench(&self) -> SerialBench {
        let bench = self.bench();
        bench.prepare(&self.image, &|_| {}).unwrap();
        bench
    }

    /// A new bench, after the boards of `before` have been given back.
    pub(crate) fn flashed_bench_after(&self, before: SerialBench) -> SerialBench {
        drop(before);
        self.flashed_bench()
    }

    pub(crate) fn run(&self, bench: &SerialBench, name: &str) -> Outcome {
        self.run_watched(bench, name, |_| {})
    }

    pub(crate) fn run_watched(&self, bench: &SerialBench, name: &str, observer: impl Fn(Event<'_>) + Sync) -> Outcome {
        self.run_within(bench, name, Limits::default().run, observer)
    }

    /// Runs a scenario whose `run` may take this long. Each time limit about the network is a few seconds: what cannot succeed need not
    /// be waited for as long as on a real network.
    pub(crate) fn run_within(
        &self,
        bench: &SerialBench,
        name: &str,
        run: Duration,
        observer: impl Fn(Event<'_>) + Sync,
    ) -> Outcome {
        let mut scenario = support::scenario(name);
        for run in &mut scenario.runs {
            run.device.timeouts.network = 3000;
            run.device.timeouts.connect = 2000;
        }
        let out = self.path("out");
        let runner = Runner {
            limits: Limits {
                boot: Duration::from_secs(6),
                run,
                ..Limits::default()
            },
            observer: &observer,
            ..support::runner(bench, &self.image, &out)
        };
        runner.run(&scenario)
    }

    fn locks(&self) -> Locks {
        Locks::in_folder(self.path("locks"))
    }

    /// Locks that are held, ports that are open, and files that no test has made.
    fn left_behind(&self) -> Vec<String> {
        let mut left = Vec::new();
        let locks = self.locks();
        for entry in fs::read_dir(self.path("locks")).into_iter().flatten().flatten() {
            let identity = entry.path().file_stem().unwrap().to_str().unwrap().to_owned();
            left.extend(
                locks
                    .holder(&identity)
                    .map(|holder| format!("{identity}: held by {holder}")),
            );
        }
        let open: Vec<PathBuf> = fs::read_dir("/proc/self/fd")
            .into_iter()
            .flatten()
            .flatten()
            .flat_map(|file| fs::read_link(file.path()))
            .collect();
        for board in &self.inventory.boards {
            if let Port::Path(tty) = &board.port
                && let Ok(tty) = fs::canonicalize(tty)
                && open.contains(&tty)
                && !self.own_ports
            {
                left.push(format!("{}: open", tty.display()));
            }
        }
        let known = [
            "copy.bin",
            "locks",
            "other.elf",
            "out",
            "password",
            "rig.toml",
            "sketch.bin",
        ];
        let files = fs::read_dir(self.folder.path()).unwrap().flatten();
        let names = files.map(|file| file.file_name().to_str().unwrap().to_owned());
        left.extend(names.filter(|name| !known.contains(&name.as_str())));
        left
    }
}

/// The failure with which a scenario ended; it must have failed.
pub(crate) fn failure(outcome: &Outcome) -> &Failure {
    match &outcome.verdict {
        Verdict::Passed => panic!("{} passed", outcome.scenario.name),
        Verdict::Failed(failure) => failure,
    }
}

/// Whether one finding has all of these words.
pub(crate) fn finds(failure: &Failure, words: &[&str]) -> bool {
    let mut findings = failure.findings.iter();
    findings.any(|finding| words.iter().all(|word| finding.contains(word)))
}

/// Whose fault a failure is; `None` for a pass.
pub(crate) fn blame(outcome: &Outcome) -> Option<Blame> {
    match &outcome.verdict {
        Verdict::Passed => None,
        Verdict::Failed(failure) => Some(failure.blame),
    }
}
