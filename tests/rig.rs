//! Scenarios on boards of a rig through the `pinrig` command. The boards are virtual, behind their ttys, in processes of their own.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

#[path = "support/desk/mod.rs"]
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

use desk::command_rig::CommandRig;
use desk::system::System;
use desk::{Desk, PASSWORD, board_on_a_network, port_entry, with_line};
use pinrig::rig::{Candidate, Locks, Ports};
use serde_json::Value;
use support::text;
use virtual_esp32c3::{BoardLines, ConsolePort, Strapping, VirtualBoard};

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
    // A pseudo terminal has no modem lines: the first way to reset fails, and the next one is tried.
    let reset = format!(r#""classic", {}"#, desk.reset());
    let rig = CommandRig::new(&[desk.entry_with("desk", &reset)]);
    let output = rig.run(&[
        "--board",
        "desk",
        "--json",
        "--keep",
        "pin/matches",
        "pin/one-bit-off",
        "network/cable-out-at-first",
    ]);
    let said = support::said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let verdicts = verdicts(&output);
    // The second has a variant.
    assert_eq!(verdicts.len(), 3, "{said}");
    assert!(verdicts.iter().all(|(_, passed)| *passed), "{said}");
    assert!(!said.contains(PASSWORD), "a password is never printed");
    assert_eq!(support::file_with(&rig.path("out"), PASSWORD.as_bytes()), None);
    assert!(
        said.contains("network/cable-out-at-first"),
        "the skipped scenario is named: {said}"
    );
}

#[test]
fn a_board_that_does_not_start_is_left_out_and_the_others_go_on() {
    let (good, bad) = (Desk::new(), Desk::new());
    let rig = CommandRig::new(&[
        // Every reset leads into its loader.
        bad.entry_with("stuck", &bad.reset_by("USR2", "USR2")),
        good.entry("good"),
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
    assert_eq!(verdicts.len(), 4, "{verdicts:?}");
    assert_eq!(verdicts.iter().filter(|(_, passed)| *passed).count(), 3, "{verdicts:?}");
}

#[test]
fn a_board_that_is_held_or_silent_or_gone_is_the_rigs_fault() {
    let desk = Desk::new();
    // Nothing resets it.
    let rig = CommandRig::new(&[desk.entry_with("desk", r#"{ command = ["true"] }"#)]);
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
    let rig = CommandRig::new(&[desk.entry("desk")]);
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
    let kept = support::file_with(&rig.path("out"), b"connecting to api.github.com");
    assert!(kept.is_some(), "the console's bytes are kept");
}

#[test]
fn a_board_with_the_usual_two_transistors_needs_no_more_than_its_port() {
    let (board, _lan) = board_on_a_network(ConsolePort::Uart0);
    let entry = port_entry("devkit", &board, "");
    // The same board, as used without modem lines.
    let without = port_entry("without-lines", &board, "reset = [\"classic\", \"watchdog\"]");
    let rig = CommandRig::new(&[entry, without]);
    // Four commands below use the lines, each with one connection.
    let Some(lines) = ModemLines::at(&board, "rig", 4, modem_lines::pull) else {
        return;
    };
    lines.flash_run_and_enter_the_loader(&rig, "devkit");
    // Without lines, pinrig asks the loader to let the watchdog reset the chip.
    let bitten = rig.pinrig("reset").args(["--board", "without-lines"]).output().unwrap();
    let said = support::said(&bitten);
    assert!(said.contains("starts from flash"), "{said}");
    assert!(lines.pinrig(&rig, "reset", "devkit", &[]).contains("starts from flash"));
    let falls = lines.ended();
    assert!(
        falls.iter().all(|falls| *falls > 0),
        "each of them pulled EN low: {falls:?}"
    );
}

/// The chip's own USB port has no wires for its modem lines: the host sends their levels as requests, and the chip resets itself.
#[test]
fn a_board_at_its_own_usb_port_needs_no_more_than_that() {
    let (board, _lan) = board_on_a_network(ConsolePort::UsbSerialJtag);
    let rig = CommandRig::new(&[port_entry("xiao", &board, "reset = [\"usb-jtag\"]")]);
    let Some(lines) = ModemLines::at(&board, "usb", 4, modem_lines::pull_usb) else {
        return;
    };
    lines.flash_run_and_enter_the_loader(&rig, "xiao");
    assert!(lines.pinrig(&rig, "reset", "xiao", &[]).contains("starts from flash"));
    let resets = lines.ended();
    // A flasher may need more than one; a reset is one, whatever state the lines were in.
    assert!(
        resets[0] >= 2 && resets[1] >= 3,
        "into the loader, and out of it for each scenario: {resets:?}"
    );
    assert_eq!(resets[2..], [1, 1], "each reset command resets once");
}

/// If one line moved before the other, a board whose pins rise fast would start in between, in the wrong mode.
#[test]
fn a_tight_reset_moves_both_lines_at_once() {
    let (board, _lan) = board_on_a_network(ConsolePort::Uart0);
    let rig = CommandRig::new(&[port_entry("fast", &board, "reset = [\"classic-tight\"]")]);
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
    /// Lets `pull` answer this many connections. `None` without a C compiler.
    fn at(
        board: &VirtualBoard,
        name: &str,
        processes: usize,
        pull: impl Fn(UnixStream, &BoardLines) -> usize + Send + 'static,
    ) -> Option<Self> {
        let folder = modem_lines::scratch(name);
        let shim = modem_lines::compiled(&folder)?;
        let listener = UnixListener::bind(folder.join("lines")).unwrap();
        board.power_cycle(Strapping::Flash);
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

    /// Runs a command at a board of the rig, with these lines; it must succeed. Gives what it printed.
    fn pinrig(&self, rig: &CommandRig, subcommand: &str, board: &str, arguments: &[&str]) -> String {
        let output = rig
            .pinrig(subcommand)
            .args(["--board", board])
            .args(arguments)
            .env("LD_PRELOAD", &self.shim)
            .env(modem_lines::TTY, &self.tty)
            .env(modem_lines::SOCKET, self.folder.join("lines"))
            .output()
            .unwrap();
        let said = support::said(&output);
        assert_eq!(output.status.code(), Some(0), "{subcommand}: {said}");
        said
    }

    /// Three commands at a board: `flash`, `run` with three scenarios, and `reset --download`.
    fn flash_run_and_enter_the_loader(&self, rig: &CommandRig, board: &str) {
        let flashed = self.pinrig(rig, "flash", board, &[]);
        assert!(flashed.contains("3 parts written"), "{flashed}");
        assert!(flashed.contains("starts from flash"), "{flashed}");
        let out = rig.path("out");
        let scenarios = ["--out", out.to_str().unwrap(), "pin/matches", "pin/one-bit-off"];
        let run = self.pinrig(rig, "run", board, &scenarios);
        assert!(
            run.contains("nothing to write, 3 already there") && run.contains("3 passed"),
            "{run}"
        );
        let reset = self.pinrig(rig, "reset", board, &["--download"]);
        assert!(reset.contains("waits for a flasher"), "{reset}");
    }

    /// What `pull` counted for each process.
    fn ended(self) -> Vec<usize> {
        let done = self.circuit.join().unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
        done
    }
}

#[test]
fn each_board_can_have_firmware_of_its_own() {
    let (one, other) = (Desk::new(), Desk::new());
    let own = with_line(&one.entry("one"), "firmware = \"own.elf\"");
    let rig = CommandRig::new(&[own, other.entry("other")]);
    // Its file is missing: the other board does the work, unless one image is named for all boards.
    let output = rig.run(&["--tag", "desk", "pin/matches"]);
    let said = support::said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("one was left out: `firmware` in rig.toml: ") && said.contains("own.elf"),
        "{said}"
    );
    let common = support::firmware();
    let output = rig.run(&["--board", "one", "--firmware", common.to_str().unwrap(), "pin/matches"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));

    // The same program in another file is another image.
    let mut own = std::fs::read(&common).unwrap();
    own.push(0);
    std::fs::write(rig.path("own.elf"), own).unwrap();
    let output = rig.run(&["--tag", "desk", "pin/matches", "pin/malformed"]);
    let said = support::said(&output);
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
        "the report names the board of each scenario: {said}"
    );
    // Under nextest every test is a process, which takes one board.
    let mut one_of_many = rig.command(&["--tag", "desk", "pin/matches"]);
    let output = one_of_many.env("NEXTEST", "1").output().unwrap();
    let said = support::said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("onto one (") && !said.contains("onto other ("), "{said}");
    // The evidence names the board and the image that ran.
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

/// Some test runners first list a program's tests, and then run each in a process of its own. A board that was taken for the list would
/// keep all of them waiting.
#[test]
fn listing_the_scenarios_tests_takes_no_board() {
    let Some(tests) = support::newest_test_program("scenarios") else {
        return support::skip("the scenarios' tests were not built");
    };
    let desk = Desk::new();
    let rig = CommandRig::new(&[desk.entry("desk")]);
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
    assert_eq!(text(&output.stderr), "", "it does not wait for the board");
    drop(lock);
}

/// In a mount namespace of its own, the board is in the real `/sys` and `/dev`, and no other process sees it there. Machines that allow no
/// such namespace, as some containers do, skip this test.
#[test]
fn a_board_is_found_where_the_kernel_shows_it() {
    let system = System::new();
    let desk = Desk::new();
    system.plug_in("ttyACM7", &desk);
    // Puts the board into /dev, beside the devices that every program needs.
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
    let rig = CommandRig::new(&[system.entry()]);
    // As root of that namespace, which any user can be where the system allows it.
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
    let said = support::said(&run);
    assert_eq!(run.status.code(), Some(0), "{said}");
    assert!(said.contains("onto xiao (MAC 7C:DF:A1:00:00:01)"), "{said}");
    let outside = rig.pinrig("boards").output().unwrap();
    assert!(!text(&outside.stdout).contains("ttyACM7"), "no other process sees it");
}

#[test]
fn the_monitor_shows_what_a_board_says_and_names_the_functions_of_a_backtrace() {
    let desk = Desk::new();
    let rig = CommandRig::new(&[desk.entry("desk")]);
    let flashed = rig
        .pinrig("flash")
        .args(["--board", "desk", "--json"])
        .output()
        .unwrap();
    assert_eq!(flashed.status.code(), Some(0), "{}", text(&flashed.stderr));
    // `--json` prints one object a line.
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
    // While it is watched, no other process can take it.
    let other = rig.run(&["--board", "desk", "pin/matches"]);
    assert_eq!(other.status.code(), Some(6));
    assert!(text(&other.stderr).contains("desk: it is held by process"));
    typed.write_all(b"test panic\n").unwrap();
    until("@- backtrace 0x42", &mut shown, &mut seen);
    seen.clear();
    until("@- ready", &mut shown, &mut seen);
    assert!(seen.contains("    0x42"), "{seen}");
    assert!(seen.contains(" main at "), "the last caller is known by name: {seen}");
    // The file that serves the command `test panic`.
    let place = " at /pinrig/firmware/app/src/shell.rs:";
    assert!(seen.contains(place), "files and lines are known: {seen}");
    // Ctrl-C ends it cleanly.
    let pid = monitor.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(monitor.wait().unwrap().code(), Some(0));
    // If it is killed and cannot clean up, it leaves no lock either.
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
    let rig = CommandRig::new(&[
        well.entry("well"),
        // The board's network has no host at this address.
        lost.entry("lost").replace("203.0.113.2", "203.0.113.77"),
        // Nothing resets it, so its loader never answers.
        well.entry_with("deaf", r#"{ command = ["true"] }"#),
    ]);
    let output = rig
        .pinrig("doctor")
        .args(["--ask", "--json", "--out"])
        .arg(rig.path("out"))
        .output()
        .unwrap();
    let said = support::said(&output);
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
fn a_process_can_be_a_board() {
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
    let rig = CommandRig::new(&[entry]);
    let output = rig.run(&["--board", "host", "--json", "pin", "auth"]);
    let said = support::said(&output);
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
    // A process has no port to watch.
    let monitor = rig.pinrig("monitor").args(["--board", "host"]).output().unwrap();
    assert_eq!(monitor.status.code(), Some(6));
    assert!(text(&monitor.stderr).contains("it is a process"));
}
