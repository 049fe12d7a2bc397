//! The console of a board: every byte that the board sends, kept with its time and cut into lines.
//!
//! What enters: an open tty. What leaves: lines in order, waited for under a [`Deadline`], and the raw capture, which
//! is kept whatever happens to the run. It knows nothing of what the lines mean.
//!
//! One thread reads the port, a [`Console`] takes the lines, and [`ConsoleHandle`]s serve those who reset the board
//! meanwhile.

mod error;
mod capture;
mod state;
mod pty;
mod port;
mod reader;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serialport::TTYPort;

pub use capture::{Chunk, Line};
pub use error::ConsoleError;
pub use port::{BAUD, Finder, OpenPort, open_port};
pub use pty::{Pty, Terminal};
pub use state::EndOfCapture;

pub(super) use reader::GLANCE;

use crate::deadline::{Deadline, Timeout};
use port::{CurrentPort, Halves};
use reader::{AWAY, Reader};
use state::Shared;

/// Why no line came.
#[derive(Debug, thiserror::Error)]
pub enum NoLine {
    /// The deadline passed.
    #[error("{timeout} on {tty}; {}", last_line(.last.as_deref()), tty = .tty.display())]
    Expired {
        /// The tty.
        tty: PathBuf,
        /// The wait that took too long.
        timeout: Timeout,
        /// The last line before, or the unfinished one.
        last: Option<String>,
    },
    /// The tty is gone, or the board has sent too much.
    #[error("{tty}: the console ended: {cause}{}", what_to_do(.cause), tty = .tty.display())]
    Ended {
        /// The tty.
        tty: PathBuf,
        /// Why.
        cause: EndOfCapture,
    },
}

fn what_to_do(cause: &EndOfCapture) -> &'static str {
    match cause {
        EndOfCapture::Interrupted => "",
        EndOfCapture::EndOfFile | EndOfCapture::Read(_) | EndOfCapture::TooMuch { .. } => "; was the board unplugged?",
    }
}

fn last_line(last: Option<&str>) -> String {
    match last {
        Some(line) => format!("last line: `{line}`"),
        None => "the board has sent no line".to_owned(),
    }
}

/// A board's console.
pub struct Console {
    tty: PathBuf,
    shared: Arc<Shared>,
    current: Arc<CurrentPort>,
    can_return: bool,
    reader: Option<JoinHandle<()>>,
    next: usize,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("tty", &self.tty)
            .finish_non_exhaustive()
    }
}

impl Console {
    /// Opens `tty` at this speed in bit/s and starts to capture.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(tty: &Path, baud: u32) -> Result<Self, ConsoleError> {
        Self::on(tty, open_port(tty, baud)?)
    }

    /// Starts to capture from a port that is open already.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn on(tty: &Path, port: impl Into<OpenPort>) -> Result<Self, ConsoleError> {
        Self::start(tty, port.into(), None)
    }

    /// Starts to capture from a port that may go away and come back under another name, where `finder` finds it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn returning(tty: &Path, port: TTYPort, finder: Finder) -> Result<Self, ConsoleError> {
        Self::start(tty, port.into(), Some(finder))
    }

    fn start(tty: &Path, port: OpenPort, finder: Option<Finder>) -> Result<Self, ConsoleError> {
        let failed = |cause| ConsoleError::Open {
            tty: tty.to_owned(),
            cause,
        };
        let baud = port.baud_rate().map_err(failed)?;
        let halves = Halves::of(port).map_err(failed)?;
        let shared = Arc::new(Shared::new());
        let current = Arc::new(CurrentPort::new(tty, halves.writer));
        let can_return = finder.is_some();
        let reader = Reader {
            shared: Arc::clone(&shared),
            current: Arc::clone(&current),
            baud,
            finder,
        };
        let reader = thread::Builder::new()
            .name("console".into())
            .spawn(move || reader.run(halves.reader))
            .map_err(|cause| ConsoleError::Thread {
                tty: tty.to_owned(),
                cause,
            })?;
        Ok(Self {
            tty: tty.to_owned(),
            shared,
            current,
            can_return,
            reader: Some(reader),
            next: 0,
        })
    }

    /// Sends `line` and a line feed. If the port goes away meanwhile and comes back, both are sent again.
    ///
    /// # Errors
    /// When the tty does not take them.
    pub fn send(&mut self, line: &str) -> Result<(), ConsoleError> {
        let bytes = [line.as_bytes(), b"\n"].concat();
        let returns = self.shared.lock().returns;
        let sent = self.current.write(&bytes).or_else(|error| {
            if self.returns_after(returns) {
                self.current.write(&bytes)
            } else {
                Err(error)
            }
        });
        sent.map_err(|cause| ConsoleError::Write {
            tty: self.tty.clone(),
            cause,
        })
    }

    /// Waits for the port to come back; whether it has, more often than `returns` times.
    fn returns_after(&self, returns: usize) -> bool {
        if !self.can_return {
            return false;
        }
        let deadline = Deadline::after("the port to come back", AWAY);
        let mut state = self.shared.lock();
        while state.returns == returns && state.ended.is_none() && !deadline.has_expired() {
            state = self.shared.wait(state, deadline.left());
        }
        state.returns > returns
    }

    /// The next line that has not been given yet.
    ///
    /// # Errors
    /// When the deadline passes or the tty ends first.
    pub fn next_line(&mut self, deadline: &Deadline) -> Result<Line, NoLine> {
        let mut state = self.shared.lock();
        loop {
            state.waited_for = None;
            self.next = self.next.max(state.skipped);
            if let Some(line) = state.capture.lines().get(self.next) {
                self.next += 1;
                return Ok(line.clone());
            }
            if let Some(cause) = &state.ended {
                return Err(NoLine::Ended {
                    tty: self.tty.clone(),
                    cause: cause.clone(),
                });
            }
            if deadline.has_expired() {
                let last = state.capture.last_text();
                return Err(self.no_line(deadline, last));
            }
            state.waited_for = Some(self.next);
            state = self.shared.wait(state, deadline.left());
        }
    }

    /// The error of a wait whose deadline has passed while other lines came.
    #[must_use]
    pub fn expired(&self, deadline: &Deadline) -> NoLine {
        self.no_line(deadline, self.shared.lock().capture.last_text())
    }

    fn no_line(&self, deadline: &Deadline, last: Option<String>) -> NoLine {
        NoLine::Expired {
            tty: self.tty.clone(),
            timeout: deadline.timeout(),
            last,
        }
    }

    /// A handle for those who do not read the lines.
    #[must_use]
    pub fn handle(&self) -> ConsoleHandle {
        ConsoleHandle {
            shared: Arc::clone(&self.shared),
            current: Arc::clone(&self.current),
        }
    }

    /// Every byte so far, as it arrived.
    #[must_use]
    pub fn chunks(&self) -> Vec<Chunk> {
        self.shared.lock().capture.chunks().to_vec()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(reader) = self.reader.take() {
            // A panic of the reader thread has been shown by the panic hook already.
            let _ = reader.join();
        }
    }
}

/// A console for those who do not read its lines: they reset the board, or skip its idle time.
#[derive(Clone)]
pub struct ConsoleHandle {
    shared: Arc<Shared>,
    current: Arc<CurrentPort>,
}

impl ConsoleHandle {
    /// The path of the port as it is now: the port may have come back under another name.
    #[must_use]
    pub fn tty(&self) -> PathBuf {
        self.current.tty()
    }

    /// Another handle of the port as it is now, to move its modem lines. A handle from before the port went away leads
    /// nowhere.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn port(&self) -> serialport::Result<TTYPort> {
        self.current.handle()
    }

    /// How often the port has come back.
    #[must_use]
    pub fn returns(&self) -> usize {
        self.shared.lock().returns
    }

    /// Lets the port be away until this deadline, because its power is being switched.
    pub fn let_be_away(&self, until: Deadline) {
        self.shared.lock().may_be_away = Some(until);
    }

    /// Whether the console has got all of the `sent` bytes that the board has sent, and waits for another line. Then
    /// its reader says nothing to the board before the board speaks.
    #[must_use]
    pub fn waits_for_more_than(&self, sent: u64) -> bool {
        let state = self.shared.lock();
        let lines = state.capture.lines().len();
        state.waited_for.is_some_and(|next| lines <= next) && state.capture.bytes() == sent
    }

    /// Waits until nothing has come for `quiet`, or the deadline.
    pub fn wait_for_silence(&self, quiet: Duration, deadline: &Deadline) {
        let mut state = self.shared.lock();
        loop {
            let before = state.capture.bytes();
            let slice = deadline.at_most(quiet);
            while state.capture.bytes() == before && state.ended.is_none() && !slice.has_expired() {
                state = self.shared.wait(state, slice.left());
            }
            if state.capture.bytes() == before || deadline.has_expired() {
                return;
            }
        }
    }

    /// Lets the console skip all lines that have come so far, and gives their number. What a board said before its
    /// reset answers nothing. The bytes are kept.
    #[must_use]
    pub fn skip_lines(&self) -> usize {
        let now = self.shared.now();
        let mut state = self.shared.lock();
        // A line that is under way must not begin the next one.
        state.capture.cut(now);
        state.skipped = state.capture.lines().len();
        state.skipped
    }

    /// The lines from index `from` on, up to the first one that `is_last`, or as many as come before the deadline or
    /// the end of the tty.
    #[must_use]
    pub fn lines_from(&self, from: usize, deadline: &Deadline, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let mut state = self.shared.lock();
        let mut lines = Vec::new();
        loop {
            for line in state.capture.lines().iter().skip(from + lines.len()) {
                lines.push(line.text.clone());
                if is_last(&line.text) {
                    return lines;
                }
            }
            if deadline.has_expired() || state.ended.is_some() {
                return lines;
            }
            state = self.shared.wait(state, deadline.left());
        }
    }
}

impl fmt::Debug for ConsoleHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleHandle").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serialport::SerialPort;

    use super::*;

    /// The `console` bench measures the rate: a multiple of what any bridge brings.
    #[test]
    fn a_board_that_talks_without_a_pause_is_heard_to_the_last_byte() {
        let (mut board, port) = TTYPort::pair().unwrap();
        board.set_timeout(Duration::from_secs(30)).unwrap();
        let mut console = Console::on(Path::new("/dev/pts/test"), port).unwrap();
        let deadline = Deadline::after("the last line", Duration::from_secs(30));
        // Every byte there is: line ends, NULs, flow control, broken UTF-8.
        let mut said: Vec<u8> = (0..4u32 << 20)
            .map(|n| (n.wrapping_mul(0x9E37_79B1) >> 24) as u8)
            .collect();
        said.extend(b"\nend\n");
        thread::scope(|scope| {
            scope.spawn(|| board.write_all(&said).unwrap());
            while console.next_line(&deadline).unwrap().text != "end" {}
        });
        let chunks = console.chunks();
        let heard: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.clone()).collect();
        assert!(heard == said, "{} of {} bytes", heard.len(), said.len());
        assert!(chunks.is_sorted_by_key(|chunk| chunk.at));
    }

    /// A console at the wrong speed hears noise.
    #[test]
    fn a_port_is_opened_at_the_speed_that_is_asked_for() {
        let (_board, port) = TTYPort::pair().unwrap();
        let tty = PathBuf::from(port.name().unwrap());
        drop(port);
        for baud in [74_880, 3_000_000] {
            let console = Console::open(&tty, baud).unwrap();
            assert_eq!(console.handle().port().unwrap().baud_rate().unwrap(), baud);
        }
    }

    #[test]
    fn a_wait_that_expires_names_itself_and_the_last_line() {
        let (mut board, port) = TTYPort::pair().unwrap();
        let mut console = Console::on(Path::new("/dev/pts/test"), port).unwrap();
        let soon = || Deadline::after("the ready line", Duration::from_millis(20));
        let error = console.next_line(&soon()).unwrap_err().to_string();
        assert_eq!(
            error,
            "timed out after 0.02 s waiting for the ready line on /dev/pts/test; the board has sent no line"
        );
        board.write_all(b"waiting for ever\r\n").unwrap();
        let line = console
            .next_line(&Deadline::after("first line", Duration::from_secs(10)))
            .unwrap();
        assert_eq!(line.text, "waiting for ever");
        let error = console.next_line(&soon()).unwrap_err().to_string();
        assert_eq!(
            error,
            "timed out after 0.02 s waiting for the ready line on /dev/pts/test; last line: `waiting for ever`"
        );
    }

    #[test]
    fn what_came_before_a_reset_is_skipped_and_kept() {
        let (mut board, port) = TTYPort::pair().unwrap();
        let mut console = Console::on(Path::new("/dev/pts/test"), port).unwrap();
        let soon = Deadline::after("a line", Duration::from_secs(10));
        board.write_all(b"old\nolder half").unwrap();
        assert_eq!(console.next_line(&soon).unwrap().text, "old");
        let handle = console.handle();
        handle.wait_for_silence(Duration::from_millis(50), &soon);
        assert_eq!(handle.skip_lines(), 2);
        board.write_all(b"new\n").unwrap();
        assert_eq!(console.next_line(&soon).unwrap().text, "new");
        let kept: Vec<u8> = console.chunks().into_iter().flat_map(|chunk| chunk.bytes).collect();
        assert_eq!(kept, b"old\nolder halfnew\n");
    }

    #[test]
    fn a_port_that_comes_back_under_another_name_goes_on() {
        let (mut board, port) = TTYPort::pair().unwrap();
        let (mut again, second) = TTYPort::pair().unwrap();
        let second = PathBuf::from(second.name().unwrap());
        // Away for a while, as a device is that enumerates again.
        let glances = AtomicUsize::new(0);
        let finder = move || (glances.fetch_add(1, Ordering::Relaxed) > 2).then(|| second.clone());
        let mut console = Console::returning(Path::new("/dev/ttyACM0"), port, Box::new(finder)).unwrap();
        let soon = Deadline::after("a line", Duration::from_secs(10));
        board.write_all(b"before\nhalf a line").unwrap();
        assert_eq!(console.next_line(&soon).unwrap().text, "before");
        console.handle().wait_for_silence(Duration::from_millis(50), &soon);
        drop(board);
        // No board is there: this is sent when the port is back.
        console.send("hello").unwrap();
        again.set_timeout(Duration::from_secs(10)).unwrap();
        let mut heard = [0; 6];
        again.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello\n");
        // A reset has to move the lines of the port that is there now.
        assert_ne!(console.handle().tty(), Path::new("/dev/ttyACM0"));
        console.handle().port().unwrap().write_all(b"reset\n").unwrap();
        again.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"reset\n");
        again.write_all(b"after\n").unwrap();
        assert_eq!(console.next_line(&soon).unwrap().text, "half a line");
        assert_eq!(console.next_line(&soon).unwrap().text, "after");
    }

    #[test]
    fn an_unplugged_board_ends_the_wait_at_once() {
        let (board, port) = TTYPort::pair().unwrap();
        let mut console = Console::on(Path::new("/dev/pts/test"), port).unwrap();
        drop(board);
        let error = console
            .next_line(&Deadline::after("anything", Duration::from_secs(30)))
            .unwrap_err();
        assert!(matches!(error, NoLine::Ended { .. }), "{error}");
    }
}
