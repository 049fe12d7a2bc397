//! The thread that reads a console's port, and opens it again when it comes back.
//!
//! What enters: an open port, and a finder if the port may come back under another name. What leaves: bytes, into the
//! shared state, until the console is dropped, the port is away for too long, or the board has sent too much.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use super::port::{CurrentPort, Finder, Halves, OpenPort, open_port};
use super::state::{EndOfCapture, Shared};
use crate::deadline::Deadline;
use crate::interrupt;

/// A capture ends when it has grown to this many bytes: what the chip's UART sends in three minutes at its highest
/// speed. No test needs more.
const MOST_BYTES: u64 = 64 << 20;

/// How long a USB port may be away before its board counts as unplugged. A chip that resets its USB, or a hub that cuts
/// its power, is back within a second or two.
pub(super) const AWAY: Duration = Duration::from_secs(3);
/// How often a port that is away is looked for: there is no event for a device file that can be opened.
pub(in crate::board) const GLANCE: Duration = Duration::from_millis(20);

/// What the reader thread needs.
pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) current: Arc<CurrentPort>,
    /// The speed of the port in bit/s.
    pub(super) baud: u32,
    /// For a port that may come back.
    pub(super) finder: Option<Finder>,
}

/// Why reading from one port is over.
enum Stopped {
    /// The port is away; it may come back.
    Away(EndOfCapture),
    /// Nothing more is captured: the console was dropped, or the board has sent too much.
    ForGood,
}

impl Reader {
    /// Reads `port`, and those under which it comes back, until the capture ends.
    pub(super) fn run(&self, mut port: OpenPort) {
        while let Stopped::Away(why) = self.read(port) {
            let Some(again) = self.wait_for_return() else {
                self.end(why);
                return;
            };
            port = again;
        }
    }

    /// Opens the port again as soon as it is back; none if that takes too long.
    fn wait_for_return(&self) -> Option<OpenPort> {
        let finder = self.finder.as_ref()?;
        let deadline = Deadline::after("the port to come back", AWAY);
        let may_be_away = || {
            let longer = self.shared.lock().may_be_away;
            !deadline.has_expired() || longer.is_some_and(|deadline| !deadline.has_expired())
        };
        while may_be_away() && !self.shared.should_stop() && !interrupt::is_asked() {
            let opened = finder().and_then(|tty| {
                let halves = Halves::of(open_port(&tty, self.baud).ok()?.into()).ok()?;
                Some((tty, halves))
            });
            if let Some((tty, halves)) = opened {
                self.current.replace(tty, halves.writer);
                let now = self.shared.now();
                self.shared.change(|state| {
                    // What comes now does not continue the line that was cut off.
                    state.capture.cut(now);
                    state.returns += 1;
                });
                return Some(halves.reader);
            }
            drop(self.shared.wait(self.shared.lock(), GLANCE));
        }
        None
    }

    fn read(&self, mut port: OpenPort) -> Stopped {
        let mut buffer = [0; 4096];
        while !self.shared.should_stop() {
            // A read ends soon, so that the user does not wait for as long as the board may take.
            if interrupt::is_asked() {
                self.end(EndOfCapture::Interrupted);
                return Stopped::ForGood;
            }
            match port.read(&mut buffer) {
                Ok(0) => return Stopped::Away(EndOfCapture::EndOfFile),
                Ok(count) => {
                    let now = self.shared.now();
                    let bytes = self.shared.change(|state| {
                        state.capture.push(now, &buffer[..count]);
                        state.capture.bytes()
                    });
                    if bytes > MOST_BYTES {
                        self.end(EndOfCapture::TooMuch { most: MOST_BYTES });
                        return Stopped::ForGood;
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {}
                Err(error) => return Stopped::Away(EndOfCapture::Read(Arc::new(error))),
            }
        }
        Stopped::ForGood
    }

    fn end(&self, why: EndOfCapture) {
        self.shared.change(|state| state.ended = Some(why));
    }
}
