//! Ctrl-C and SIGTERM, for commands that report what they have done so far.

use std::io::{self, Write};
use std::thread;

use pinrig::interrupt;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// The exit code of a command that was interrupted, as shells have it for SIGINT.
pub(super) const INTERRUPTED: u8 = 130;

/// From here on the first signal asks the command to end and to report, and the second one ends it at once. Programs that are boards
/// end with it, and the system frees its locks.
pub(super) fn watch() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            if interrupt::is_asked() {
                low_level::exit(INTERRUPTED.into());
            }
            interrupt::ask();
            let text = "interrupted: what runs is cut off, and what has run is reported; once more ends pinrig at once";
            // Without standard error there is nothing to print to.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    })?;
    Ok(())
}
