//! Standard output for commands that run for a while.

use std::io::{self, Write};

/// Prints and flushes, so that a program behind a pipe gets each line at once.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
