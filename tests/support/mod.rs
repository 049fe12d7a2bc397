//! What the test targets share: where the project's files lie, and small helpers.

#![allow(dead_code, reason = "each test target uses its own part of this module")]
#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

pub(crate) mod process;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use pinrig::bench::Bench;
use pinrig::image::Image;
use pinrig::run::{RunLimits, Runner};
use pinrig::scenario::{self, Scenario};

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the harness lies one folder below the top")
}

/// The project's scenarios, replies and images.
pub(crate) fn fixtures() -> PathBuf {
    root().join("fixtures")
}

/// The image that runs: another one where `PINRIG_FIRMWARE` names it, as for the `pinrig` command.
pub(crate) fn firmware() -> PathBuf {
    std::env::var_os("PINRIG_FIRMWARE").map_or_else(
        || fixtures().join("firmware/pinrig-esp32c3-virtual.elf"),
        |path| root().join(path),
    )
}

/// The image whose client can be fooled.
pub(crate) fn unguarded_firmware() -> PathBuf {
    fixtures().join("firmware/pinrig-esp32c3-virtual-unguarded.elf")
}

/// A folder for the evidence of failures.
pub(crate) fn out() -> PathBuf {
    root().join("target/pinrig")
}

/// The scenario of this name, such as `pin/matches`.
pub(crate) fn scenario(name: &str) -> Scenario {
    let all = scenario::load_all(&fixtures()).unwrap();
    let found = all.into_iter().find(|scenario| scenario.name == name);
    found.unwrap_or_else(|| panic!("there is no scenario {name}"))
}

/// A runner with the usual limits and no observer. The evidence of failures goes to `out`.
pub(crate) fn runner<'a>(bench: &'a dyn Bench, image: &'a Image, out: &'a Path) -> Runner<'a> {
    Runner {
        bench,
        image,
        limits: RunLimits::default(),
        out,
        keep: false,
        randomness: Arc::default(),
        observer: &|_| {},
    }
}

/// The newest program of another test target, in the folder of this one.
pub(crate) fn newest_test_program(target: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().unwrap();
    let programs = std::fs::read_dir(own.parent().unwrap()).unwrap().flatten();
    let is_it = |name: &str| {
        let hash = name.strip_prefix(target).and_then(|rest| rest.strip_prefix('-'));
        hash.is_some_and(|hash| hash.chars().all(|c| c.is_ascii_hexdigit()))
    };
    let found = programs.filter(|entry| entry.file_name().to_str().is_some_and(is_it));
    let newest = found.max_by_key(|entry| entry.metadata().and_then(|data| data.modified()).ok());
    newest.map(|entry| entry.path())
}

/// The first file below `folder` that holds these bytes.
pub(crate) fn file_with(folder: &Path, needle: &[u8]) -> Option<PathBuf> {
    std::fs::read_dir(folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return file_with(&path, needle);
        }
        let contents = std::fs::read(&path).unwrap();
        let mut windows = contents.windows(needle.len());
        windows.any(|bytes| bytes == needle).then_some(path)
    })
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Both outputs of a process: first what it printed, then its errors.
pub(crate) fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

/// Says that a test ends early, since something is not installed. With `PINRIG_REQUIRE_CLIENTS` set, as in CI, the test fails.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn skip(why: &str) {
    assert!(
        std::env::var_os("PINRIG_REQUIRE_CLIENTS").is_none(),
        "{why}, and PINRIG_REQUIRE_CLIENTS is set"
    );
    eprintln!("skipped: {why}");
}
