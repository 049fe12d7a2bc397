//! Scenarios on boards of a rig: virtual boards behind their ttys, in another process, reached as any board is.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

#[path = "support/desk.rs"]
mod desk;
#[path = "../harness/virtual-esp32c3/tests/modem_lines/mod.rs"]
mod modem_lines;
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use desk::{Desk, PASSWORD, Rig, System, board_on_a_network, contains, text};
use pinrig::rig::{Candidate, Locks, Ports};
use serde_json::Value;
use virtual_esp32c3::{BoardLines, ConsolePort, VirtualBoard};

/// The verdicts in a report of JSON lines, by scenario.
fn verdicts(output: &Output) -> Vec<(String, bool)> {
    text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["event"] == "finished")
        .map(|line| {
            (
                line["scenario"].as_str().unwrap_or_default().to_owned(),
                line["passed"] == true || line["verdict"] == "passed",
            )
        })
        .collect()
}

#[test]
fn scenarios_run_on_a_board_at_a_port() {
    let desk = Desk::new();
    // Nobody has modem lines at a pseudo terminal: the first way fails, the next one is taken.
    let reset = format!(r#""classic", {}"#, desk.reset("USR1", "USR2"));
    let rig = Rig::new(&[desk.entry("desk", &reset)]);
    let output = rig.run(&[
        "--board",
        "desk",
        "--json",
        "--keep",
        "pin/matches",
        "pin/one-bit-off",
        "network/cable-out-at-first",
    ]);
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    let verdicts = verdicts(&output);
    assert_eq!(verdicts.len(), 2, "{said}");
    assert!(verdicts.iter().all(|(_, passed)| *passed), "{said}");
    assert!(!said.contains(PASSWORD), "a password is never printed");
    assert_eq!(contains(&rig.path("out"), PASSWORD.as_bytes()), None);
    assert!(
        said.contains("network/cable-out-at-first"),
        "what was skipped is said: {said}"
    );
}

#[test]
fn a_board_that_does_not_start_is_left_out_and_the_others_go_on() {
    let (good, bad) = (Desk::new(), Desk::new());
    let rig = Rig::new(&[
        // It comes into its loader, and never out of it.
        bad.entry("stuck", &bad.reset("USR2", "USR2")),
        good.entry("good", &good.reset("USR1", "USR2")),
    ]);
    let output = rig.run(&[
        "--tag",
        "desk",
        "--json",
        "pin/matches",
        "pin/one-bit-off",
        "pin/malformed",
    ]);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("stuck was left out"), "{stderr}");
    assert!(stderr.contains("waits for a flasher"), "{stderr}");
    assert_eq!(
        output.status.code(),
        Some(6),
        "the scenario that met it says that the rig failed"
    );
    let verdicts = verdicts(&output);
    assert_eq!(verdicts.len(), 3, "{verdicts:?}");
    assert_eq!(verdicts.iter().filter(|(_, passed)| *passed).count(), 2, "{verdicts:?}");
}

#[test]
fn a_board_that_is_held_or_silent_or_gone_is_the_rigs_fault() {
    let desk = Desk::new();
    let silent = desk.entry("desk", r#"{ command = ["true"] }"#);
    let rig = Rig::new(&[silent]);
    let port = Ports::default()
        .find(&pinrig::rig::Port::Path(desk.tty.clone().into()))
        .unwrap();
    let locks = Locks::in_folder(rig.path("pinrig"));
    let board = Candidate {
        board: "desk".parse().unwrap(),
        identity: port.identity(),
    };
    let lock = locks.take(&board).unwrap();
    let output = rig.run(&["--board", "desk", "pin/matches"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(
        stderr.contains("desk: it is held by") && stderr.contains(&std::process::id().to_string()),
        "{stderr}"
    );
    drop(lock);
    let other = rig.run(&["--board", "other", "pin/matches"]);
    assert_eq!(other.status.code(), Some(2), "there is no such board");
    assert!(
        text(&other.stderr).contains("there are desk"),
        "{}",
        text(&other.stderr)
    );
    drop(desk);
    let gone = rig.run(&["--board", "desk", "pin/matches"]);
    assert_ne!(gone.status.code(), Some(0));
}

#[test]
fn a_board_that_is_unplugged_while_it_runs_is_the_rigs_fault_and_its_words_are_kept() {
    let desk = Desk::new();
    let rig = Rig::new(&[desk.entry("desk", &desk.reset("USR1", "USR2"))]);
    let mut run = rig
        // Its server never answers: the device waits for fifteen seconds.
        .command(&["--board", "desk", "network/stall-in-place-of-the-reply"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = String::new();
    let mut stdout = BufReader::new(run.stdout.take().unwrap());
    while !seen.contains("connecting to api.github.com") {
        if stdout.read_line(&mut seen).unwrap() == 0 {
            run.stderr.unwrap().read_to_string(&mut seen).unwrap();
            panic!("{seen}");
        }
    }
    drop(desk);
    stdout.read_to_string(&mut seen).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(6), "{seen}");
    assert!(seen.contains("was the board unplugged?"), "{seen}");
    let kept = contains(&rig.path("out"), b"connecting to api.github.com");
    assert!(kept.is_some(), "the console's bytes are kept");
}

#[test]
fn a_board_with_the_usual_two_transistors_needs_no_more_than_its_port() {
    let (board, _lan) = board_on_a_network(ConsolePort::Uart0);
    let entry = port_entry("devkit", &board, "");
    // The same board for somebody who has no modem lines.
    let without = port_entry("without-lines", &board, "reset = [\"classic\", \"watchdog\"]");
    let rig = Rig::new(&[entry, without]);
    // Each process of the commands below connects once.
    let Some(lines) = ModemLines::at(&board, "rig", 4, modem_lines::pull) else {
        return;
    };
    lines.flash_and_run(&rig, "devkit");
    assert!(
        lines
            .pinrig(&rig, "reset", "devkit", &["--download"])
            .contains("waits for a flasher")
    );
    // The loader itself can be told to let the watchdog bite.
    let bitten = rig.pinrig("reset").args(["--board", "without-lines"]).output().unwrap();
    let said = text(&bitten.stdout) + &text(&bitten.stderr);
    assert!(said.contains("starts from flash"), "{said}");
    assert!(lines.pinrig(&rig, "reset", "devkit", &[]).contains("starts from flash"));
    let falls = lines.ended();
    assert!(
        falls.iter().all(|falls| *falls > 0),
        "each of them pulled EN low: {falls:?}"
    );
}

/// The lines of the chip's own USB port are no wires: its host's wishes reset the chip, and choose its mode.
#[test]
fn a_board_at_its_own_usb_port_needs_no_more_than_that() {
    let (board, _lan) = board_on_a_network(ConsolePort::UsbSerialJtag);
    let rig = Rig::new(&[port_entry("xiao", &board, "reset = [\"usb-jtag\"]")]);
    let Some(lines) = ModemLines::at(&board, "usb", 4, modem_lines::pull_usb) else {
        return;
    };
    lines.flash_and_run(&rig, "xiao");
    assert!(
        lines
            .pinrig(&rig, "reset", "xiao", &["--download"])
            .contains("waits for a flasher")
    );
    assert!(lines.pinrig(&rig, "reset", "xiao", &[]).contains("starts from flash"));
    let resets = lines.ended();
    // A flasher may need more than one; a reset is one, whatever state the lines were in.
    assert!(
        resets[0] >= 2 && resets[1] >= 3,
        "into the loader, and out of it for each scenario: {resets:?}"
    );
    assert_eq!(resets[2..], [1, 1], "nothing is reset more often than it has to be");
}

/// Both lines move at once, or the one goes before the other: a board whose pins rise fast must not start in between.
#[test]
fn a_tight_reset_moves_both_lines_at_once() {
    let (board, _lan) = board_on_a_network(ConsolePort::Uart0);
    let rig = Rig::new(&[port_entry("fast", &board, "reset = [\"classic-tight\"]")]);
    let pull = |stream: UnixStream, lines: &BoardLines| modem_lines::pull_with(Duration::ZERO, stream, lines);
    let Some(lines) = ModemLines::at(&board, "tight", 2, pull) else {
        return;
    };
    assert!(
        lines
            .pinrig(&rig, "reset", "fast", &["--download"])
            .contains("waits for a flasher")
    );
    let said = lines.pinrig(&rig, "flash", "fast", &[]);
    assert!(
        said.contains("3 parts written") && said.contains("fast starts from flash"),
        "{said}"
    );
}

/// Modem lines at a board's tty, for as many processes as use it.
struct ModemLines {
    tty: PathBuf,
    folder: PathBuf,
    shim: PathBuf,
    circuit: JoinHandle<Vec<usize>>,
}

impl ModemLines {
    /// Without a C compiler there are none.
    fn at(
        board: &VirtualBoard,
        name: &str,
        processes: usize,
        pull: impl Fn(UnixStream, &BoardLines) -> usize + Send + 'static,
    ) -> Option<Self> {
        let folder = modem_lines::scratch(name);
        let shim = modem_lines::compiled(&folder)?;
        let listener = UnixListener::bind(folder.join("lines")).unwrap();
        board.power_cycle(true);
        let lines = board.lines();
        let circuit = thread::spawn(move || {
            let streams = listener.incoming().take(processes);
            streams.map(|stream| pull(stream.unwrap(), &lines)).collect()
        });
        Some(Self {
            tty: board.tty().to_owned(),
            folder,
            shim,
            circuit,
        })
    }

    /// What a command says at a board of the rig.
    fn pinrig(&self, rig: &Rig, subcommand: &str, board: &str, arguments: &[&str]) -> String {
        let output = rig
            .pinrig(subcommand)
            .args(["--board", board])
            .args(arguments)
            .env("LD_PRELOAD", &self.shim)
            .env(modem_lines::TTY, &self.tty)
            .env(modem_lines::SOCKET, self.folder.join("lines"))
            .output()
            .unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{subcommand}: {said}");
        said
    }

    fn flash_and_run(&self, rig: &Rig, board: &str) {
        let flashed = self.pinrig(rig, "flash", board, &[]);
        assert!(flashed.contains("3 parts written"), "{flashed}");
        assert!(flashed.contains("starts from flash"), "{flashed}");
        let out = rig.path("out");
        let scenarios = ["--out", out.to_str().unwrap(), "pin/matches", "pin/one-bit-off"];
        let run = self.pinrig(rig, "run", board, &scenarios);
        assert!(
            run.contains("nothing to write, 3 already there") && run.contains("2 passed"),
            "{run}"
        );
    }

    /// What each process did to the lines.
    fn ended(self) -> Vec<usize> {
        let done = self.circuit.join().unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
        done
    }
}

/// The entry of a virtual board in this process, with more lines.
fn port_entry(name: &str, board: &VirtualBoard, more: &str) -> String {
    format!(
        r#"
        [[board]]
        name = "{name}"
        chip = "esp32c3"
        port.path = "{}"
        server-address = "203.0.113.2"
        {more}
        "#,
        board.tty().display()
    )
}

#[test]
fn each_board_can_have_firmware_of_its_own() {
    let (one, other) = (Desk::new(), Desk::new());
    let entry = |desk: &Desk, name| desk.entry(name, &desk.reset("USR1", "USR2"));
    let own = entry(&one, "one").replace("[[board]]", "[[board]]\nfirmware = \"own.elf\"");
    let rig = Rig::new(&[own, entry(&other, "other")]);
    // Not there yet: the other board does the work, unless all are given one image.
    let output = rig.run(&["--tag", "desk", "pin/matches"]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("one was left out: `firmware` in rig.toml: ") && said.contains("own.elf"),
        "{said}"
    );
    let common = support::firmware();
    let output = rig.run(&["--board", "one", "--firmware", common.to_str().unwrap(), "pin/matches"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));

    let unguarded = support::fixtures().join("firmware/pinrig-esp32c3-virtual-unguarded.elf");
    std::fs::copy(unguarded, rig.path("own.elf")).unwrap();
    let output = rig.run(&["--tag", "desk", "pin/matches", "pin/malformed"]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let flashed = |image: &str, board: &str| {
        let mut lines = said.lines().filter(|line| line.starts_with("flashing "));
        lines.any(|line| line.contains(image) && line.contains(board))
    };
    assert!(flashed("own.elf", "onto one ("), "{said}");
    assert!(
        flashed(common.file_name().unwrap().to_str().unwrap(), "onto other ("),
        "{said}"
    );
    assert!(
        said.contains(" on one") && said.contains(" on other"),
        "who ran what is told: {said}"
    );
    // Where every test has a process of its own, each takes one board.
    let mut one_of_many = rig.command(&["--tag", "desk", "pin/matches"]);
    let output = one_of_many.env("NEXTEST", "1").output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("onto one (") && !said.contains("onto other ("), "{said}");
    // The evidence is of what ran.
    let output = rig.run(&["--board", "one", "--json", "--keep", "pin/matches"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let verdict = std::fs::read(rig.path("out/pin-matches/verdict.json")).unwrap();
    let verdict: Value = serde_json::from_slice(&verdict).unwrap();
    assert_eq!(verdict["board"], "one");
    assert!(
        verdict["firmware"]["path"].as_str().unwrap().ends_with("own.elf"),
        "{verdict}"
    );
}

/// Test runners list the tests of a program before they run each in a process of its own; a board that was taken for the list would keep
/// all of them waiting.
#[test]
fn listing_the_scenarios_tests_takes_no_board() {
    let Some(tests) = newest_test_program("scenarios") else {
        assert!(
            std::env::var_os("PINRIG_REQUIRE_CLIENTS").is_none(),
            "the scenarios' tests were not built"
        );
        return eprintln!("skipped: the scenarios' tests were not built");
    };
    let desk = Desk::new();
    let rig = Rig::new(&[desk.entry("desk", &desk.reset("USR1", "USR2"))]);
    let port = Ports::default()
        .find(&pinrig::rig::Port::Path(desk.tty.clone().into()))
        .unwrap();
    let board = Candidate {
        board: "desk".parse().unwrap(),
        identity: port.identity(),
    };
    let lock = Locks::in_folder(rig.path("pinrig")).take(&board).unwrap();
    let mut list = rig.program(&tests);
    let output = list
        .args(["--list", "--format", "terse"])
        .env("PINRIG_BOARD", "desk")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let names = text(&output.stdout);
    assert!(
        names.contains("pin/matches: test") && !names.contains("rig can be read"),
        "{names}"
    );
    assert_eq!(text(&output.stderr), "", "nobody is waited for");
    drop(lock);
}

/// The program of another test target, as it lies beside this one.
fn newest_test_program(target: &str) -> Option<PathBuf> {
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

/// What the kernel shows of a board is where it always is: in a mount namespace of its own, in which nobody else sees it. Machines that
/// allow none, as some containers do, skip this.
#[test]
fn a_board_is_found_where_the_kernel_shows_it() {
    let system = System::new();
    let desk = Desk::new();
    system.plug_in("ttyACM7", &desk);
    // All of /dev that a program needs, and the board.
    let script = r#"
        here=$PWD
        cd "$1"
        mkdir -p dev/pts dev/shm
        for file in null zero full random urandom tty ptmx; do
            touch dev/$file
            mount --bind /dev/$file dev/$file
        done
        mount --rbind /dev/pts dev/pts
        mount --bind sys/class/tty /sys/class/tty
        mount --rbind dev /dev
        shift
        cd "$here"
        exec "$@"
    "#;
    let rig = Rig::new(&[system.entry()]);
    // As root of a namespace of its own, which any user may be where the system allows it.
    let inside = |command: &Command| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script, "sh"]);
        unshare
            .arg(system.root())
            .arg(command.get_program())
            .args(command.get_args());
        let (set, unset): (Vec<_>, Vec<_>) = command.get_envs().partition(|(_, value)| value.is_some());
        unshare.envs(set.into_iter().filter_map(|(name, value)| Some((name, value?))));
        for (name, _) in unset {
            unshare.env_remove(name);
        }
        unshare.current_dir(command.get_current_dir().unwrap()).output()
    };
    let boards = match inside(rig.pinrig("boards").arg("--json")) {
        Ok(output) if output.status.success() => text(&output.stdout),
        Ok(output) => return eprintln!("skipped: no mount namespace: {}", text(&output.stderr)),
        Err(error) => return eprintln!("skipped: no unshare: {error}"),
    };
    let board: Value = serde_json::from_str(boards.lines().next().unwrap()).unwrap();
    assert_eq!(board["board"], "xiao", "{boards}");
    assert_eq!(board["port"]["path"], "/dev/ttyACM7", "{boards}");
    assert_eq!(board["port"]["usb"]["serial"], System::SERIAL, "{boards}");
    let run = inside(&rig.command(&["--board", "xiao", "pin/matches"])).unwrap();
    let said = text(&run.stdout) + &text(&run.stderr);
    assert_eq!(run.status.code(), Some(0), "{said}");
    assert!(said.contains("onto xiao (MAC 7C:DF:A1:00:00:01)"), "{said}");
    let outside = rig.pinrig("boards").output().unwrap();
    assert!(!text(&outside.stdout).contains("ttyACM7"), "nobody else sees it");
}

#[test]
fn the_monitor_shows_what_a_board_says_and_names_the_functions_of_a_backtrace() {
    let desk = Desk::new();
    let rig = Rig::new(&[desk.entry("desk", &desk.reset("USR1", "USR2"))]);
    let flashed = rig
        .pinrig("flash")
        .args(["--board", "desk", "--json"])
        .output()
        .unwrap();
    assert_eq!(flashed.status.code(), Some(0), "{}", text(&flashed.stderr));
    // For machines it is an object a line.
    let events: Vec<Value> = text(&flashed.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [written, started] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((&written["event"], &written["written"]), (&"flashed".into(), &3.into()));
    assert_eq!(
        *started,
        serde_json::json!({"event": "reset", "board": "desk", "boot": "flash"})
    );
    let watch = || {
        let mut monitor = rig.pinrig("monitor");
        monitor
            .args(["--board", "desk", "--reset"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut monitor = monitor.spawn().unwrap();
        let shown = BufReader::new(monitor.stdout.take().unwrap());
        (monitor, shown)
    };
    let until = |wanted: &str, shown: &mut BufReader<ChildStdout>, seen: &mut String| {
        while !seen.contains(wanted) {
            assert_ne!(shown.read_line(seen).unwrap(), 0, "{seen}");
        }
    };
    let (mut monitor, mut shown) = watch();
    let mut typed = monitor.stdin.take().unwrap();
    let mut seen = String::new();
    until("@- ready firmware=pinrig-esp32c3", &mut shown, &mut seen);
    // While it is watched, nobody else may have it.
    let other = rig.run(&["--board", "desk", "pin/matches"]);
    assert_eq!(other.status.code(), Some(6));
    assert!(text(&other.stderr).contains("desk: it is held by process"));
    typed.write_all(b"test panic\n").unwrap();
    until("@- backtrace 0x42", &mut shown, &mut seen);
    seen.clear();
    until("@- ready", &mut shown, &mut seen);
    assert!(seen.contains("    0x42"), "{seen}");
    assert!(seen.contains(" main at "), "the last caller is known by name: {seen}");
    // Where the command is served that asked for it.
    let place = " at /pinrig/firmware/app/src/shell.rs:";
    assert!(seen.contains(place), "files and lines are known: {seen}");
    // Ctrl-C is how it is meant to end.
    let pid = monitor.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(monitor.wait().unwrap().code(), Some(0));
    // Killed without any chance to clean up, it leaves no lock either.
    let (mut monitor, mut shown) = watch();
    until("@- ready", &mut shown, &mut String::new());
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    let free = rig.run(&["--board", "desk", "pin/matches"]);
    assert_eq!(free.status.code(), Some(0), "{}", text(&free.stderr));
}

#[test]
fn the_doctor_asks_each_board_how_far_it_comes() {
    let (well, lost) = (Desk::new(), Desk::new());
    let entry = |desk: &Desk, name| desk.entry(name, &desk.reset("USR1", "USR2"));
    let rig = Rig::new(&[
        entry(&well, "well"),
        entry(&lost, "lost").replace("203.0.113.2", "203.0.113.77"),
        // Nobody resets it, so its loader never answers.
        well.entry("deaf", r#"{ command = ["true"] }"#),
    ]);
    let output = rig
        .pinrig("doctor")
        .args(["--ask", "--json", "--out"])
        .arg(rig.path("out"))
        .output()
        .unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{said}");
    let finding = |board: &str, check: &str| {
        text(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .find(|finding| finding["board"] == board && finding["check"] == check)
            .unwrap_or_else(|| panic!("no {check} of {board}: {said}"))
    };
    assert_eq!(finding("well", "loader")["health"], "good");
    assert_eq!(finding("well", "server")["health"], "good");
    assert_eq!(finding("lost", "server")["health"], "bad");
    assert_eq!(finding("deaf", "loader")["health"], "bad");
    assert!(!said.contains(PASSWORD));
}

#[test]
fn a_process_is_a_board_too() {
    let entry = format!(
        r#"
        [[board]]
        name = "host"
        kind = "process"
        command = ["{}"]

        [[board]]
        name = "none"
        kind = "process"
        command = ["./no-such-program"]

        [[board]]
        name = "short"
        kind = "process"
        command = ["sh", "-c", "echo no display found >&2; echo bye"]
        "#,
        env!("CARGO_BIN_EXE_pinrig-host")
    );
    let rig = Rig::new(&[entry]);
    let output = rig.run(&["--board", "host", "--json", "pin", "auth"]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let verdicts = verdicts(&output);
    assert!(verdicts.len() > 40, "{}", verdicts.len());
    assert!(verdicts.iter().all(|(_, passed)| *passed), "{said}");

    let none = rig.run(&["--board", "none", "pin/matches"]);
    assert_eq!(none.status.code(), Some(6));
    assert!(
        text(&none.stdout).contains("./no-such-program"),
        "{}",
        text(&none.stdout)
    );
    let short = rig.run(&["--board", "short", "pin/matches"]);
    assert_eq!(short.status.code(), Some(6));
    assert!(
        text(&short.stdout).contains("no display found"),
        "{}",
        text(&short.stdout)
    );
    // Nothing of it is flashed or watched.
    let monitor = rig.pinrig("monitor").args(["--board", "host"]).output().unwrap();
    assert_eq!(monitor.status.code(), Some(6));
    assert!(text(&monitor.stderr).contains("it is a process"));
}
