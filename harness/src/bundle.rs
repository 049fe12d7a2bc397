//! Bundles: the evidence of one run, as files that can be read without a board.
//!
//! What enters: an [`Outcome`], and the files that board, network and server recorded. What leaves: a folder named after
//! the scenario, which replaces that of an earlier run. Only this user can read it: the TLS key log in it opens the traffic.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::board::console::Chunk;
use crate::evidence::RecordedFile;
use crate::image::Image;
use crate::outcome::Outcome;
use crate::printable::printable;
use crate::private;

/// A file of the bundle that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {cause}", path = .path.display())]
pub struct BundleError {
    path: PathBuf,
    cause: io::Error,
}

/// Writes the bundle of `outcome` into a folder below `out`, and returns the folder.
///
/// # Errors
/// The first file that cannot be written.
pub fn write(out: &Path, image: &Image, outcome: &Outcome, files: &[RecordedFile]) -> Result<PathBuf, BundleError> {
    let name = outcome.scenario.name.replace('/', "-");
    let folder = out.join(&name);
    let at = |path: &Path| {
        let path = path.to_owned();
        move |cause| BundleError { path, cause }
    };
    fs::create_dir_all(out).map_err(at(out))?;
    // Another process may write the bundle of the same scenario: each is written whole, and takes the place of the other.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let new = out.join(format!(".{name}-{}-{count}", process::id()));
    private::create_folder(&new).map_err(at(&new))?;
    let mut verdict = outcome.to_json();
    verdict["firmware"] = json!({ "path": image.path().display().to_string(), "image": image.identity() });
    let own = [
        ("transcript.txt", outcome.transcript.snapshot()),
        ("verdict.json", format!("{verdict:#}\n")),
    ];
    let own = own.iter().map(|(name, text)| (*name, text.as_bytes()));
    let recorded = files.iter().map(|file| (file.name, file.contents.as_slice()));
    for (name, contents) in own.chain(recorded) {
        let path = new.join(name);
        private::write_file(&path, contents).map_err(at(&path))?;
    }
    for _ in 0..REPLACED {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&folder)(error)),
            _ => {}
        }
        if fs::rename(&new, &folder).is_ok() {
            return Ok(folder);
        }
    }
    fs::rename(&new, &folder).map_err(at(&folder))?;
    Ok(folder)
}

/// How often another process may put its bundle in the same place meanwhile.
const REPLACED: usize = 8;

/// The console's bytes as text, each arrival with its time in seconds.
#[must_use]
pub fn timed_console(chunks: &[Chunk]) -> String {
    let mut text = String::new();
    for chunk in chunks {
        let shown = printable(&chunk.bytes);
        writeln!(text, "{:10.6} {shown}", chunk.at.as_secs_f64()).expect("writing to a String cannot fail");
    }
    text
}
