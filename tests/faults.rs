//! What the firmware does when it breaks, and that the harness notices it: a panic, a hang or a reboot on a virtual board.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod support;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pinrig::bench::{Bench, Route, Start, VirtualBench};
use pinrig::board::{Board, BootMode};
use pinrig::deadline::Deadline;
use pinrig::device::{Answer, Device, DeviceError, Said};
use pinrig::image::Image;
use pinrig::language::MachineLine;
use pinrig::symbols::{Frame, Symbols};
use pinrig_server::{Settled, Traffic};
use virtual_lan::Faults;

#[test]
fn a_panic_is_a_crash_with_its_place_and_a_backtrace() {
    let mut board = ReadyBoard::start();
    let error = board.device.command("test panic", &soon(), |_| {}).unwrap_err();
    let DeviceError::Crashed { evidence, .. } = &error else {
        panic!("{error}")
    };
    let panic = MachineLine::parse(evidence).unwrap();
    assert_eq!(panic.kind, "panic");
    assert!(
        panic.fields.get("location").is_some_and(|place| place.contains(".rs:")),
        "{evidence}"
    );

    let rest = board.lines_until_ready();
    let backtrace = rest
        .iter()
        .find(|line| line.starts_with("@- backtrace 0x42"))
        .expect("a backtrace");
    assert!(backtrace.split(' ').count() >= 4, "at least two frames: {backtrace}");
    both_report_the_reset(&rest, "reset=software", "rst:0x3 ");
}

#[test]
fn a_hang_ends_with_the_watchdogs_reset() {
    let mut board = ReadyBoard::start();
    board.ok("test hang");
    // Until the watchdog resets it, a debugger sees where it stands.
    let halted = board.debugger.look().unwrap();
    let symbols = Symbols::of(&Image::load(&support::firmware()).unwrap()).unwrap();
    let callers: Vec<String> = halted
        .callers
        .iter()
        .map(|address| format!("{address:#010x}"))
        .collect();
    let mut frames = symbols.explain(&format!("{:#010x}", halted.pc));
    frames.extend(symbols.explain(&format!("backtrace {}", callers.join(" "))));
    for (function, file) in [
        ("hang", "esp32c3/src/board.rs:"),
        ("pinrig_app::shell::Shell<", "app/src/shell.rs:"),
        ("main", "esp32c3/src/main.rs:"),
    ] {
        let is_it = |frame: &Frame| {
            frame.function.contains(function) && frame.line.as_ref().is_some_and(|line| line.contains(file))
        };
        assert!(frames.iter().any(is_it), "{function} at {file}: {frames:#?}");
    }
    let rest = board.lines_until_ready();
    both_report_the_reset(&rest, "reset=tg0-watchdog", "rst:0x7 ");
}

#[test]
fn a_reboot_forgets_every_setting() {
    let mut board = ReadyBoard::start();
    board.ok("set host www.example.org");
    assert!(board.ok("show").contains("host=www.example.org"));
    board.ok("reboot");
    board.lines_until_ready();
    assert!(board.ok("show").contains("host=api.github.com"));
}

#[test]
fn malformed_input_gets_an_error_and_changes_nothing() {
    let mut board = ReadyBoard::start();
    let before = board.ok("show");
    let long = format!("set path /{}", "a".repeat(1100));
    for line in [
        "set pin 12:34",
        "set port 65536",
        "set host",
        "sett host a",
        "set rule new",
        "run now",
        &long,
        "\x1b[2J\u{7f}",
    ] {
        let answer = board
            .device
            .command(line, &Deadline::after("an error", Duration::from_secs(10)), |_| {});
        let refused = matches!(answer, Ok(Answer::Error(_)));
        assert!(refused, "{line:?}: {answer:?}");
    }
    assert_eq!(board.ok("show"), before);
}

#[test]
fn a_password_is_never_printed() {
    let mut board = ReadyBoard::start();
    let mut said = board.ok("set password correct-horse-battery");
    said += &board.ok("show");
    assert!(said.contains("password=set"), "{said}");
    let raw: Vec<u8> = board
        .device
        .console()
        .chunks()
        .into_iter()
        .flat_map(|chunk| chunk.bytes)
        .collect();
    assert!(!String::from_utf8_lossy(&raw).contains("horse"));
}

#[test]
fn waiting_for_a_server_that_says_nothing_is_skipped() {
    let server = MuteServer::start();
    let mut board = ReadyBoard::start_with(server.address, server.settled());
    for setting in [NETWORK, PIN, "set timeout handshake 40000"] {
        board.ok(setting);
    }
    board.patience.store(true, Ordering::SeqCst);
    let result = board.ok("run");
    assert!(result.contains("reason=timeout-handshake"), "{result}");
    let skipped = board.recorder.skipped();
    assert!(
        skipped > Duration::from_secs(35) && skipped < Duration::from_secs(41),
        "of forty seconds, {skipped:?} were skipped"
    );
}

#[test]
fn nothing_is_skipped_while_something_may_come() {
    let server = MuteServer::start();
    // A server that never settles is at work.
    let mut board = ReadyBoard::start_with(server.address, Settled::new(|| None));
    for setting in [NETWORK, PIN, "set timeout handshake 300"] {
        board.ok(setting);
    }
    board.patience.store(true, Ordering::SeqCst);
    let result = board.ok("run");
    assert!(result.contains("reason=timeout-handshake"), "{result}");
    assert_eq!(board.recorder.skipped(), Duration::ZERO);
}

#[test]
fn no_skip_goes_past_what_the_network_holds_back() {
    const LATE: Duration = Duration::from_millis(3300);
    let server = MuteServer::start();
    let mut board = ReadyBoard::start_with(server.address, server.settled());
    for setting in [NETWORK, PIN, "set timeout handshake 300"] {
        board.ok(setting);
    }
    let mut faults = Faults::default();
    faults.dns.delay = LATE;
    board.network.disturb(&faults).unwrap();
    board.patience.store(true, Ordering::SeqCst);
    let began = Instant::now();
    let result = board.ok("run");
    assert!(result.contains("reason=timeout-handshake"), "{result}");
    assert!(began.elapsed() < LATE, "the waiting was not skipped");
    let files = board.recorder.files();
    let log = files.iter().find(|file| file.name == "network.log").unwrap();
    let log = String::from_utf8(log.contents.clone()).unwrap();
    // Each line begins with its time: `0.327 s name api.github.com ...`.
    let at = |wanted: &str| -> Duration {
        let line = log.lines().find(|line| line.contains(wanted)).expect(&log);
        Duration::from_secs_f64(line.split(' ').next().unwrap().parse().unwrap())
    };
    let took = at("connection 1 opened") - at("name api.github.com");
    assert!(
        took >= LATE && took < LATE + Duration::from_millis(100),
        "an answer that is {LATE:?} late was taken after {took:?}:\n{log}"
    );
}

const NETWORK: &str = "set network pinrig";
const PIN: &str = "set pin 000102030405060708090a0b0c0d0e0f10111213";

/// A server that accepts connections, reads, and never sends anything.
struct MuteServer {
    address: SocketAddr,
    traffic: Arc<Mutex<Traffic>>,
}

impl MuteServer {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let traffic = Arc::new(Mutex::new(Traffic::default()));
        let counts = Arc::clone(&traffic);
        // The thread ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                counts.lock().unwrap().connections += 1;
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut bytes) {
                    counts.lock().unwrap().to_server += length as u64;
                }
                drop(stream);
                let mut counts = counts.lock().unwrap();
                counts.client_ended += 1;
                counts.server_ended += 1;
            }
        });
        Self { address, traffic }
    }

    fn settled(&self) -> Settled {
        let traffic = Arc::clone(&self.traffic);
        Settled::new(move || Some(*traffic.lock().unwrap()))
    }
}

/// A virtual board whose firmware is ready.
struct ReadyBoard {
    device: Device,
    patience: Arc<AtomicBool>,
    recorder: Box<dyn pinrig::board::Recorder>,
    network: Box<dyn pinrig::board::DisturbableNetwork>,
    debugger: Box<dyn pinrig::board::probe::Debugger>,
    // Dropping this would let go of the reset lines.
    _reset: Box<dyn pinrig::board::Reset>,
}

impl ReadyBoard {
    fn start() -> Self {
        Self::start_with(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)), Settled::new(|| None))
    }

    fn start_with(server: SocketAddr, settled: Settled) -> Self {
        let bench = VirtualBench::new(Start::Forked);
        let image = Image::load(&support::firmware()).unwrap();
        bench.prepare(&image, &|_| {}).unwrap();
        let route = Route {
            hosts: vec!["api.github.com".into()],
            port: 443,
            server,
            settled,
            seed: 0,
        };
        let Board {
            console,
            patience,
            mut reset,
            recorder,
            network,
            debugger,
            ..
        } = bench.board(&route).unwrap();
        reset.reset(BootMode::Flash).unwrap();
        let mut device = Device::new(console);
        let identity = device.wait_ready(&soon(), |_| {}).unwrap();
        assert_eq!(identity.image, image.identity());
        Self {
            device,
            patience,
            recorder,
            network: network.expect("a virtual board's network can be disturbed"),
            debugger: debugger.expect("a virtual board has a debug module"),
            _reset: reset,
        }
    }

    /// Sends a command, which must be answered with `ok`, and gives the answer without its tag.
    fn ok(&mut self, command: &str) -> String {
        let mut text = String::new();
        let answer = self
            .device
            .command(command, &soon(), |said| {
                if let Said::Answer(line) = said {
                    text.clone_from(&line.text);
                }
            })
            .unwrap();
        assert!(matches!(answer, Answer::Ok(_)), "{command}: {text}");
        pinrig::transcript::without_tag(&text).to_owned()
    }

    /// The lines up to the ready line.
    fn lines_until_ready(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        self.device
            .wait_ready(&soon(), |line| lines.push(line.text.clone()))
            .unwrap();
        assert!(lines.last().unwrap().contains("ready"), "{lines:#?}");
        lines
    }
}

/// Checks that firmware and ROM report the same reset in their lines up to the ready line.
fn both_report_the_reset(lines: &[String], firmware: &str, rom: &str) {
    assert!(lines.last().unwrap().contains(firmware), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with(rom)), "{lines:#?}");
}

fn soon() -> Deadline {
    Deadline::after("the firmware", Duration::from_secs(30))
}
