//! The console: every byte that the board sends, kept with its time, and cut into lines.
//!
//! What enters: an open tty. What leaves: lines in order, waited for under a [`Deadline`], and the raw capture, which
//! survives whatever happens to the run. It knows nothing of what the lines mean.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serialport::{SerialPort, TTYPort};

use super::BoardError;
use crate::deadline::Deadline;

/// The usual speed of a console in bit/s, 8N1: what the ROM, the bootloader and the firmware use.
pub const BAUD: u32 = 115_200;
/// How long the reading thread blocks before it looks whether it should stop.
const READ_SLICE: Duration = Duration::from_millis(50);
/// A line longer than this is cut: a board that babbles without line ends must not fill the memory.
const LONGEST_LINE: usize = 64 * 1024;

/// A capture ends when it has grown to this: three minutes at the highest speed of the chip's UART, and no test says so much.
const MOST_BYTES: u64 = 64 << 20;

/// So long a USB port may be away before its board counts as unplugged: a chip that resets its USB, or a hub that cuts its power, is back
/// within a second or two.
const AWAY: Duration = Duration::from_secs(3);
/// How often a port that is away is looked for.
pub(super) const GLANCE: Duration = Duration::from_millis(20);

/// Tells where a port is now that has gone away, while it is anywhere.
pub type Finder = Box<dyn Fn() -> Option<PathBuf> + Send>;

/// A board's console.
pub struct Console {
    tty: PathBuf,
    shared: Arc<Shared>,
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

/// One line of console output.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// When its last byte arrived, since the capture began.
    pub at: Duration,
    /// Its text without the line end; bytes that are not printable UTF-8 stand as `\xNN`.
    pub text: String,
}

/// Bytes as they arrived.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// When they arrived, since the capture began.
    pub at: Duration,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Why no line came.
#[derive(Debug, thiserror::Error)]
pub enum NoLine {
    /// The deadline passed.
    #[error("nothing on {tty} in time for: {deadline}; the last line was `{last}`", tty = .tty.display())]
    Expired {
        /// The tty.
        tty: PathBuf,
        /// The deadline.
        deadline: Deadline,
        /// The last line before, or the unfinished one.
        last: String,
    },
    /// The tty is gone.
    #[error("{tty}: the console ended: {reason}; was the board unplugged?", tty = .tty.display())]
    Ended {
        /// The tty.
        tty: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl Console {
    /// Opens `tty` at this speed in bit/s and starts to capture.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(tty: &Path, baud: u32) -> Result<Self, BoardError> {
        Self::on(tty, open_port(tty, baud)?)
    }

    /// Starts to capture from a port that is open already.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn on(tty: &Path, port: TTYPort) -> Result<Self, BoardError> {
        Self::returning(tty, port, None)
    }

    /// The same for a port that may go away and come back under another name, where `finder` looks for it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn returning(tty: &Path, port: TTYPort, finder: Option<Finder>) -> Result<Self, BoardError> {
        let failed = |source| BoardError::Tty {
            tty: tty.to_owned(),
            source,
        };
        let baud = port.baud_rate().map_err(failed)?;
        let (port, writer) = both_ways(port).map_err(failed)?;
        let shared = Arc::new(Shared {
            capture: Mutex::new(Capture::new()),
            door: Mutex::new(Door {
                tty: tty.to_owned(),
                port: writer,
            }),
            baud,
            finder: finder.map(Mutex::new),
            arrived: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let reader = thread::Builder::new()
            .name("console".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.capture_from(port)
            })
            .map_err(|source| BoardError::Io {
                tty: tty.to_owned(),
                source,
            })?;
        Ok(Self {
            tty: tty.to_owned(),
            shared,
            reader: Some(reader),
            next: 0,
        })
    }

    /// Sends `line` and a line feed; once more where the port goes away meanwhile and comes back.
    ///
    /// # Errors
    /// When the tty does not take it.
    pub fn send(&mut self, line: &str) -> Result<(), BoardError> {
        let bytes = [line.as_bytes(), b"\n"].concat();
        let returns = self.shared.lock().returns;
        let sent = self.shared.write(&bytes).or_else(|error| {
            if self.shared.has_returned_since(returns) {
                self.shared.write(&bytes)
            } else {
                Err(error)
            }
        });
        sent.map_err(|source| BoardError::Io {
            tty: self.tty.clone(),
            source,
        })
    }

    /// The next line that has not been given yet.
    ///
    /// # Errors
    /// When the deadline passes or the tty ends first.
    pub fn next_line(&mut self, deadline: &Deadline) -> Result<Line, NoLine> {
        let mut capture = self.shared.lock();
        loop {
            capture.waited_for = None;
            self.next = self.next.max(capture.passed_over);
            if let Some(line) = capture.lines.get(self.next) {
                self.next += 1;
                return Ok(line.clone());
            }
            if let Some(reason) = &capture.ended {
                return Err(NoLine::Ended {
                    tty: self.tty.clone(),
                    reason: reason.clone(),
                });
            }
            let left = deadline.left();
            if left.is_zero() {
                return Err(NoLine::Expired {
                    tty: self.tty.clone(),
                    deadline: *deadline,
                    last: capture.last_text(),
                });
            }
            capture.waited_for = Some(self.next);
            capture = self
                .shared
                .arrived
                .wait_timeout(capture, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// What is said of a wait whose deadline has passed, whatever else has come.
    #[must_use]
    pub fn expired(&self, deadline: &Deadline) -> NoLine {
        NoLine::Expired {
            tty: self.tty.clone(),
            deadline: *deadline,
            last: self.shared.lock().last_text(),
        }
    }

    /// Tells others whether this console is waited at.
    #[must_use]
    pub fn attention(&self) -> Attention {
        Attention(Arc::clone(&self.shared))
    }

    /// Every byte so far, as it arrived.
    #[must_use]
    pub fn chunks(&self) -> Vec<Chunk> {
        self.shared.lock().chunks.clone()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // A panic of the reader has been shown by the panic hook already.
            let _ = reader.join();
        }
    }
}

/// Opens a tty for flashing or capture, at this speed in bit/s.
///
/// # Errors
/// When it cannot be opened, or not at this speed; another program that holds it is such a case.
pub fn open_port(tty: &Path, baud: u32) -> Result<TTYPort, BoardError> {
    serialport::new(tty.to_string_lossy(), baud)
        .timeout(READ_SLICE)
        .open_native()
        .map_err(|source| BoardError::Tty {
            tty: tty.to_owned(),
            source,
        })
}

/// A console for those who are not its reader: whether somebody waits for the board's next line, and the port at which its lines are.
#[derive(Clone)]
pub struct Attention(Arc<Shared>);

impl Attention {
    /// The path of the port as it is now; it may have come back under another name.
    #[must_use]
    pub fn tty(&self) -> PathBuf {
        self.0.door().tty.clone()
    }

    /// How often the port has come back.
    #[must_use]
    pub fn returns(&self) -> usize {
        self.0.lock().returns
    }

    /// Lets the port be away until this deadline: somebody has taken its power.
    pub fn excuse(&self, until: Deadline) {
        self.0.lock().excused = Some(until);
    }

    /// A second handle of the port as it is now, for whoever pulls its modem lines: one from before it went away leads nowhere.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn port(&self) -> serialport::Result<TTYPort> {
        self.0.door().port.try_clone_native()
    }

    /// Whether all of the `said` bytes that the board has sent so far have been heard, and whoever reads the lines waits for another:
    /// then nobody will say anything to the board before it speaks.
    #[must_use]
    pub fn is_undivided(&self, said: u64) -> bool {
        let capture = self.0.lock();
        capture.waited_for.is_some_and(|next| capture.lines.len() <= next) && capture.heard == said
    }

    /// Waits until nothing has come for `quiet`, or the deadline.
    pub fn wait_for_silence(&self, quiet: Duration, deadline: &Deadline) {
        let mut capture = self.0.lock();
        loop {
            let heard = capture.heard;
            let slice = deadline.at_most(quiet);
            while capture.heard == heard && capture.ended.is_none() && !slice.left().is_zero() {
                let waited = self.0.arrived.wait_timeout(capture, slice.left());
                capture = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            if capture.heard == heard || deadline.left().is_zero() {
                return;
            }
        }
    }

    /// Lets whoever reads the lines begin after those that have come so far, and gives their number: what a board said before its
    /// reset answers nothing. The bytes are kept.
    pub fn pass_over(&self) -> usize {
        let mut capture = self.0.lock();
        // A line that is under way would begin the next one.
        capture.cut();
        capture.passed_over = capture.lines.len();
        capture.passed_over
    }

    /// The lines from the one with number `from` on, up to one that `is_last`, or as many as come before the deadline or the end of the
    /// tty.
    #[must_use]
    pub fn wait(&self, from: usize, deadline: &Deadline, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let mut capture = self.0.lock();
        let mut lines = Vec::new();
        loop {
            for line in capture.lines.iter().skip(from + lines.len()) {
                lines.push(line.text.clone());
                if is_last(&line.text) {
                    return lines;
                }
            }
            let left = deadline.left();
            if left.is_zero() || capture.ended.is_some() {
                return lines;
            }
            let waited = self.0.arrived.wait_timeout(capture, left);
            capture = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl fmt::Debug for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attention").finish_non_exhaustive()
    }
}

/// The reading and the writing half of a port.
fn both_ways(mut port: TTYPort) -> serialport::Result<(TTYPort, TTYPort)> {
    port.set_timeout(READ_SLICE)?;
    let mut writer = port.try_clone_native()?;
    writer.set_timeout(Duration::from_secs(5))?;
    Ok((port, writer))
}

/// The port as it is now, to write to.
struct Door {
    tty: PathBuf,
    port: TTYPort,
}

struct Shared {
    capture: Mutex<Capture>,
    door: Mutex<Door>,
    /// Bit/s.
    baud: u32,
    /// For a port that may come back.
    finder: Option<Mutex<Finder>>,
    arrived: Condvar,
    stop: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Capture> {
        // What was captured stays true even if a thread died while it held the lock.
        self.capture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let port = &mut self.door().port;
        port.write_all(bytes).and_then(|()| port.flush())
    }

    /// Whether the port has come back more than `returns` times, or does so now.
    fn has_returned_since(&self, returns: usize) -> bool {
        if self.finder.is_none() {
            return false;
        }
        let deadline = Deadline::after("the port to come back", AWAY);
        let mut capture = self.lock();
        while capture.returns == returns && capture.ended.is_none() && !deadline.left().is_zero() {
            let waited = self.arrived.wait_timeout(capture, deadline.left());
            capture = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        capture.returns > returns
    }

    /// Reads until the console is put away, or its port has gone for good.
    fn capture_from(&self, mut port: TTYPort) {
        while let Some(reason) = self.read_from(port) {
            let Some(again) = self.wait_for_return() else {
                return self.end(&reason);
            };
            port = again;
        }
    }

    /// Opens the port anew as soon as it is back.
    fn wait_for_return(&self) -> Option<TTYPort> {
        let finder = self.finder.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = Deadline::after("the port to come back", AWAY);
        let is_over = || {
            let excused = self.lock().excused.map_or(Duration::ZERO, |until| until.left());
            deadline.left().is_zero() && excused.is_zero()
        };
        while !is_over() && !self.stop.load(Ordering::Relaxed) {
            let opened = finder().and_then(|tty| {
                let (port, writer) = both_ways(open_port(&tty, self.baud).ok()?).ok()?;
                Some((port, Door { tty, port: writer }))
            });
            if let Some((port, door)) = opened {
                *self.door() = door;
                let mut capture = self.lock();
                // What comes now does not continue the line that was cut off.
                capture.cut();
                capture.returns += 1;
                drop(capture);
                self.arrived.notify_all();
                return Some(port);
            }
            // No event tells that a device file can be opened.
            let waited = self.arrived.wait_timeout(self.lock(), GLANCE);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
        None
    }

    /// Reads one port up to its end, which it tells; nothing where the capture has ended.
    fn read_from(&self, mut port: TTYPort) -> Option<String> {
        let mut buffer = [0; 4096];
        while !self.stop.load(Ordering::Relaxed) {
            match port.read(&mut buffer) {
                Ok(0) => return Some("end of file".to_owned()),
                Ok(count) => {
                    let mut capture = self.lock();
                    capture.push(&buffer[..count]);
                    let heard = capture.heard;
                    drop(capture);
                    self.arrived.notify_all();
                    if heard > MOST_BYTES {
                        self.end("the board has sent more than 64 MiB: it babbles");
                        return None;
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {}
                Err(error) => return Some(error.to_string()),
            }
        }
        None
    }

    fn end(&self, reason: &str) {
        self.lock().ended = Some(reason.to_owned());
        self.arrived.notify_all();
    }
}

struct Capture {
    began: Instant,
    chunks: Vec<Chunk>,
    lines: Vec<Line>,
    partial: Vec<u8>,
    ended: Option<String>,
    /// How often the port has come back.
    returns: usize,
    /// Until then it may be away.
    excused: Option<Deadline>,
    /// So many lines are of before the board's reset.
    passed_over: usize,
    /// Bytes so far.
    heard: u64,
    /// The line that is waited for, by its number, while somebody waits.
    waited_for: Option<usize>,
}

impl Capture {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            chunks: Vec::new(),
            lines: Vec::new(),
            partial: Vec::new(),
            ended: None,
            returns: 0,
            excused: None,
            passed_over: 0,
            heard: 0,
            waited_for: None,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let at = self.began.elapsed();
        self.heard += bytes.len() as u64;
        self.chunks.push(Chunk {
            at,
            bytes: bytes.to_vec(),
        });
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line(at);
            } else {
                if self.partial.len() >= LONGEST_LINE {
                    self.end_line(at);
                }
                self.partial.push(byte);
            }
        }
    }

    fn end_line(&mut self, at: Duration) {
        let mut line = std::mem::take(&mut self.partial);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        self.lines.push(Line {
            at,
            text: printable(&line),
        });
    }

    /// Ends the line that is under way, if there is one.
    fn cut(&mut self) {
        if !self.partial.is_empty() {
            self.end_line(self.began.elapsed());
        }
    }

    fn last_text(&self) -> String {
        if self.partial.is_empty() {
            self.lines.last().map(|line| line.text.clone()).unwrap_or_default()
        } else {
            printable(&self.partial)
        }
    }
}

/// Text that is safe to show: what is not printable UTF-8 stands as `\xNN`, so that no board can move a cursor.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for part in bytes.utf8_chunks() {
        for character in part.valid().chars() {
            if character.is_control() && character != '\t' {
                let mut encoded = [0; 4];
                escape(character.encode_utf8(&mut encoded).as_bytes(), &mut text);
            } else {
                text.push(character);
            }
        }
        escape(part.invalid(), &mut text);
    }
    text
}

fn escape(bytes: &[u8], text: &mut String) {
    use fmt::Write as _;
    for byte in bytes {
        write!(text, "\\x{byte:02x}").expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn lines_are_cut_at_line_feeds_and_lose_nothing() {
        let mut capture = Capture::new();
        for part in [&b"ESP-ROM"[..], b":x\r", b"\nready\n", b"\n", b"half"] {
            capture.push(part);
        }
        let texts: Vec<&str> = capture.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["ESP-ROM:x", "ready", ""]);
        assert_eq!(capture.last_text(), "half");
        let raw: Vec<u8> = capture.chunks.iter().flat_map(|chunk| chunk.bytes.clone()).collect();
        assert_eq!(raw, b"ESP-ROM:x\r\nready\n\nhalf");
    }

    /// `--bench console` tells how fast: a multiple of what any bridge brings.
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

    /// The slower a board's console, the longer its ROM's words: a port has to have the speed that is asked for.
    #[test]
    fn a_port_is_opened_at_the_speed_that_is_asked_for() {
        let (_board, port) = TTYPort::pair().unwrap();
        let tty = PathBuf::from(port.name().unwrap());
        drop(port);
        for baud in [74_880, 3_000_000] {
            let console = Console::open(&tty, baud).unwrap();
            assert_eq!(console.attention().port().unwrap().baud_rate().unwrap(), baud);
        }
    }

    #[test]
    fn a_babbling_board_is_cut_into_lines_of_bounded_length() {
        let mut capture = Capture::new();
        capture.push(&vec![b'U'; 3 * LONGEST_LINE]);
        assert_eq!(capture.lines.len(), 2);
        assert!(capture.lines.iter().all(|line| line.text.len() == LONGEST_LINE));
    }

    #[test]
    fn escape_sequences_and_noise_cannot_reach_a_terminal() {
        assert_eq!(printable(b"a\x1b[2Jb\xff\x00\tc"), "a\\x1b[2Jb\\xff\\x00\tc");
        assert_eq!(printable("grün".as_bytes()), "grün");
        assert_eq!(printable("\u{9b}".as_bytes()), "\\xc2\\x9b");
    }

    #[test]
    fn a_wait_that_expires_names_itself_and_the_last_line() {
        let (mut board, port) = TTYPort::pair().unwrap();
        let mut console = Console::on(Path::new("/dev/pts/test"), port).unwrap();
        board.write_all(b"waiting for ever\r\n").unwrap();
        let line = console
            .next_line(&Deadline::after("first line", Duration::from_secs(10)))
            .unwrap();
        assert_eq!(line.text, "waiting for ever");
        let error = console
            .next_line(&Deadline::after("the ready line", Duration::from_millis(20)))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the ready line") && error.contains("waiting for ever"),
            "{error}"
        );
    }

    #[test]
    fn what_came_before_a_reset_is_passed_over_and_kept() {
        let (mut board, port) = TTYPort::pair().unwrap();
        let mut console = Console::on(Path::new("/dev/pts/test"), port).unwrap();
        let soon = Deadline::after("a line", Duration::from_secs(10));
        board.write_all(b"old\nolder half").unwrap();
        assert_eq!(console.next_line(&soon).unwrap().text, "old");
        let heard = console.attention();
        heard.wait_for_silence(Duration::from_millis(50), &soon);
        assert_eq!(heard.pass_over(), 2);
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
        // Away for a while, as a device that enumerates anew is.
        let glances = AtomicUsize::new(0);
        let finder = move || (glances.fetch_add(1, Ordering::Relaxed) > 2).then(|| second.clone());
        let mut console = Console::returning(Path::new("/dev/ttyACM0"), port, Some(Box::new(finder))).unwrap();
        let soon = Deadline::after("a line", Duration::from_secs(10));
        board.write_all(b"before\nhalf a line").unwrap();
        assert_eq!(console.next_line(&soon).unwrap().text, "before");
        console.attention().wait_for_silence(Duration::from_millis(50), &soon);
        drop(board);
        // Nobody is there: it is sent when the port is back.
        console.send("hello").unwrap();
        again.set_timeout(Duration::from_secs(10)).unwrap();
        let mut heard = [0; 6];
        again.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello\n");
        // Whoever pulls its lines has to pull those of the port that is there.
        assert_ne!(console.attention().tty(), Path::new("/dev/ttyACM0"));
        console.attention().port().unwrap().write_all(b"reset\n").unwrap();
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
