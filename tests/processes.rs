//! Programs as boards: what they inherit, how their end is told, and that they end with the harness. The programs are real.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

#[path = "support/desk/mod.rs"]
mod desk;
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use desk::PASSWORD;
use desk::command_rig::CommandRig;
use pinrig::bench::{Bench, ProcessBench, Route};
use pinrig::board::console::NoLine;
use pinrig::board::{Board, BootMode};
use pinrig::deadline::Deadline;
use pinrig::rig::{Inventory, Kind};
use pinrig_server::Settled;
use serde_json::Value;

/// The inventory's entry of a program.
fn entry(name: &str, command: &[&str]) -> String {
    format!("[[board]]\nname = \"{name}\"\nkind = \"process\"\ncommand = {command:?}\n")
}

/// A program as a board, which has not started yet.
fn board(command: &[&str]) -> Board {
    let inventory = Inventory::parse(Path::new("/rig.toml"), &entry("program", command)).unwrap();
    let Kind::Process(process) = &inventory.boards[0].kind else {
        panic!("it is a program")
    };
    let bench = ProcessBench::new(&inventory.boards[0], process).unwrap();
    let route = Route {
        hosts: Vec::new(),
        port: 443,
        server: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
        settled: Settled::new(|| None),
        seed: 0,
    };
    bench.seat().unwrap().board(&route).unwrap()
}

fn started(command: &[&str]) -> Board {
    let mut board = board(command);
    board.reset.reset(BootMode::Flash).unwrap();
    board
}

fn soon(what: &'static str) -> Deadline {
    Deadline::after(what, Duration::from_secs(60))
}

fn send(signal: &str, pid: u32) {
    let kill = Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .status();
    assert!(kill.unwrap().success());
}

/// Waits until a process has ended. One whose parent has not asked for its status yet stays as a zombie.
fn wait_for_end(pid: &str) {
    let status = Path::new("/proc").join(pid).join("status");
    let lives = || fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ"));
    let deadline = soon("the program's end");
    while lives() {
        assert!(!deadline.has_expired(), "process {pid} still runs");
        thread::yield_now();
    }
}

#[test]
fn a_program_inherits_its_console_and_nothing_else() {
    // Another board is open, whose ends of its terminal must not be in this program.
    let _other = board(&["true"]);
    let mut program = started(&["sh", "-c", "for fd in /proc/self/fd/*; do readlink $fd; done; echo end"]);
    let mut held = Vec::new();
    loop {
        let line = program.console.next_line(&soon("the program's files")).unwrap().text;
        if line == "end" {
            break;
        }
        held.push(line);
    }
    let console = |file: &&String| file.starts_with("/dev/pts/");
    assert_eq!(held.iter().filter(console).count(), 2, "{held:?}");
    assert!(!held.iter().any(|file| file.contains("ptmx")), "{held:?}");
}

#[test]
fn the_end_of_one_program_is_told_while_another_lives() {
    let mut first = board(&["sh", "-c", "echo up; read line; echo no display >&2; exit 3"]);
    // It starts while the first one's console is open, and outlives it.
    let mut second = started(&["sh", "-c", "echo up; exec sleep 600"]);
    assert_eq!(second.console.next_line(&soon("a line")).unwrap().text, "up");
    first.reset.reset(BootMode::Flash).unwrap();
    assert_eq!(first.console.next_line(&soon("a line")).unwrap().text, "up");
    first.console.send("end").unwrap();
    let ended = first.console.next_line(&soon("the end")).unwrap_err();
    assert!(matches!(ended, NoLine::Ended { .. }), "{ended}");
    drop(first.reset);
    let remarks = first.recorder.remarks().join("; ");
    assert!(
        remarks.contains("exit status: 3") && remarks.contains("no display"),
        "{remarks}"
    );
}

/// A script that starts an emulator and fails has no board, even if something of it still has the console open.
#[test]
fn what_a_program_leaves_behind_does_not_hide_its_end() {
    let mut program = started(&["sh", "-c", "sleep 600 & echo $!; exit 1"]);
    let left = program.console.next_line(&soon("a line")).unwrap().text;
    let ended = program.console.next_line(&soon("the end")).unwrap_err();
    assert!(matches!(ended, NoLine::Ended { .. }), "{ended}");
    wait_for_end(&left);
}

#[test]
fn a_harness_that_is_ended_takes_its_programs_along() {
    for signal in ["KILL", "TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        // The shell takes no notice of what a terminal would send it.
        let script = format!(
            "trap '' HUP INT TERM; sleep 600 & echo $$ $! > {pids}.new; mv {pids}.new {pids}; wait",
            pids = pids.display()
        );
        let rig = CommandRig::new(&[entry("stays", &["sh", "-c", &script])]);
        let mut run = rig
            .command(&["--board", "stays", "pin/matches"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = soon("the program's start");
        while !pids.exists() {
            assert!(!deadline.has_expired(), "the program does not start");
            thread::yield_now();
        }
        send(signal, run.id());
        run.wait().unwrap();
        let pids = fs::read_to_string(pids).unwrap();
        for pid in pids.split_whitespace() {
            wait_for_end(pid);
        }
    }
}

/// As a shell, or an emulator that shows a monitor, sets its terminal up: echo, whole lines, and CR LF.
#[test]
fn a_program_that_sets_its_terminal_up_can_be_a_board() {
    let host = env!("CARGO_BIN_EXE_pinrig-host");
    let rig = CommandRig::new(&[entry("sane", &["sh", "-c", &format!("stty sane && exec {host}")])]);
    let scenarios = ["pin/matches", "http/chunked-robust", "pin/malformed"];
    let output = rig.run(&[&["--board", "sane", "--json"][..], &scenarios].concat());
    assert_eq!(output.status.code(), Some(0), "{}", support::said(&output));
    let said = support::text(&output.stdout);
    let outcomes = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lanes: Vec<String> = outcomes
        .filter(|event| event["event"] == "finished")
        .map(|outcome| outcome["runs"].to_string())
        .collect();
    assert_eq!(lanes.len(), scenarios.len(), "{said}");
    // Each command goes out as `#tag command`.
    // Lines that the device said are shown behind two spaces.
    let echoed = |lanes: &String| lanes.contains("\"  #");
    assert!(!lanes.iter().any(echoed), "no command is echoed: {lanes:?}");
}

/// A guest for QEMU's machine `virt`: it prints `U` and a line feed to the UART at 0x1000_0000, and then every byte that it gets.
const GUEST: [u32; 11] = [
    0x1000_02b7, //       lui  t0, 0x10000
    0x0550_0393, //       li   t2, 'U'
    0x0072_8023, //       sb   t2, 0(t0)
    0x00a0_0393, //       li   t2, '\n'
    0x0072_8023, //       sb   t2, 0(t0)
    0x0052_c303, // wait: lbu  t1, 5(t0)
    0x0013_7313, //       andi t1, t1, 1
    0xfe03_0ce3, //       beqz t1, wait
    0x0002_c383, //       lbu  t2, 0(t0)
    0x0072_8023, //       sb   t2, 0(t0)
    0xfedf_f06f, //       j    wait
];

#[test]
fn an_emulator_is_a_board_whose_bytes_come_as_its_guest_sends_them() {
    if Command::new("qemu-system-riscv32").arg("--version").output().is_err() {
        return support::skip("`qemu-system-riscv32` is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let guest = folder.path().join("guest.bin");
    fs::write(&guest, GUEST.map(u32::to_le_bytes).concat()).unwrap();
    let guest = guest.to_str().unwrap();
    let mut emulator = started(&[
        "qemu-system-riscv32",
        "-machine",
        "virt",
        "-nographic",
        "-nic",
        "none",
        "-serial",
        "mon:stdio",
        "-bios",
        guest,
    ]);
    assert_eq!(emulator.console.next_line(&soon("the guest's line")).unwrap().text, "U");
    for line in ["a line", "another one\r"] {
        emulator.console.send(line).unwrap();
        assert_eq!(
            emulator.console.next_line(&soon("the guest's line")).unwrap().text,
            line.trim_end()
        );
    }
    let raw: Vec<u8> = emulator
        .console
        .chunks()
        .into_iter()
        .flat_map(|chunk| chunk.bytes)
        .collect();
    assert_eq!(String::from_utf8_lossy(&raw), "U\na line\nanother one\r\n");
}

/// Each program tells the password before or while it is the honest client: as it is, encoded, to standard error, or to the server.
#[test]
fn a_program_that_tells_the_networks_password_fails_and_the_password_is_hidden() {
    let host = env!("CARGO_BIN_EXE_pinrig-host");
    let hex: String = PASSWORD.bytes().map(|byte| format!("{byte:02x}")).collect();
    let base64 = STANDARD_NO_PAD.encode(PASSWORD);
    // Its last digit depends on what follows.
    let base64 = &base64[..base64.len() - 1];
    for (tells, place) in [
        ("echo joining lab with $TEST_PASSWORD", "the console as it is"),
        (
            "printf psk=; printf %s $TEST_PASSWORD | base64",
            "the console in base64",
        ),
        (
            "printf %s $TEST_PASSWORD | od -An -v -w64 -tx1 | tr -d ' '",
            "the console in hexadecimal",
        ),
        ("echo joining lab with $TEST_PASSWORD >&2", "stderr.log as it is"),
        // Each command that it gets.
        ("tee /dev/stderr |", "stderr.log as it is"),
    ] {
        let script = if tells.ends_with('|') {
            format!("{tells} {host}")
        } else {
            format!("{tells}; exec {host}")
        };
        let network = "network = { ssid = \"lab\", password.env = \"TEST_PASSWORD\" }\n";
        let rig = CommandRig::new(&[entry("leaks", &["sh", "-c", &script]) + network]);
        for json in [&["--json"][..], &[]] {
            let output = rig.run(&[&["--board", "leaks", "pin/matches"], json].concat());
            let said = support::said(&output);
            assert_eq!(output.status.code(), Some(1), "{tells}: {said}");
            assert!(
                said.contains("the device should tell the network's password to nobody"),
                "{tells}: {said}"
            );
            assert!(said.contains(place), "{tells}: {said}");
            for form in [PASSWORD, &hex, base64] {
                assert!(!said.contains(form), "{tells}: {said}");
                let kept = support::file_with(&rig.path("out"), form.as_bytes());
                assert_eq!(kept, None, "{tells}");
            }
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let bundle = rig.path("out/pin-matches");
        assert_eq!(mode(&bundle), 0o700);
        for file in fs::read_dir(bundle).unwrap() {
            let path = file.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}

/// Ctrl-C: what has passed is reported, what ran leaves its evidence, and the program that is the board ends.
#[test]
fn a_run_that_is_interrupted_reports_what_has_passed() {
    let host = env!("CARGO_BIN_EXE_pinrig-host");
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("echo $$ > {}; exec {host}", pid.display());
        let rig = CommandRig::new(&[entry("host", &["sh", "-c", &script])]);
        // The server of the second one never answers: the device waits for fifteen seconds.
        let scenarios = [
            "auth/all-in-one-record",
            "network/stall-in-place-of-the-reply",
            "pin/matches",
        ];
        let mut run = rig
            .command(&[&["--board", "host", "--jobs", "1"][..], &scenarios].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(run.stdout.take().unwrap());
        let mut said = String::new();
        let is_there = |said: &str| {
            said.split_once("\nnetwork/stall")
                .is_some_and(|(_, rest)| rest.contains("request sent"))
        };
        while !is_there(&said) {
            assert_ne!(stdout.read_line(&mut said).unwrap(), 0, "{said}");
        }
        send(signal, run.id());
        stdout.read_to_string(&mut said).unwrap();
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{signal}: {said}");
        let told = support::text(&output.stderr);
        assert!(told.contains("once more ends pinrig at once"), "{told}");
        for line in [
            "PASS auth/all-in-one-record",
            "CUT OFF network/stall-in-place-of-the-reply",
            "1 passed, 0 failed, 2 not run to the end",
        ] {
            assert!(said.contains(line), "{signal}: no `{line}` in {said}");
        }
        assert!(
            !said.contains("PASS pin/matches") && !said.contains("FAIL"),
            "{signal}: {said}"
        );
        let evidence = rig.path("out/network-stall-in-place-of-the-reply");
        let console = fs::read(evidence.join("console.raw")).unwrap();
        assert!(support::text(&console).contains("request sent"), "{signal}");
        let verdict = fs::read_to_string(evidence.join("verdict.json")).unwrap();
        assert!(verdict.contains("the user interrupted it before its end"), "{verdict}");
        wait_for_end(fs::read_to_string(pid).unwrap().trim());
    }
}

/// Machines are told which scenarios have not run.
#[test]
fn an_interrupted_run_is_told_to_machines() {
    let folder = tempfile::tempdir().unwrap();
    let up = folder.path().join("up");
    let script = format!("echo > {}; sleep 600", up.display());
    let rig = CommandRig::new(&[entry("silent", &["sh", "-c", &script])]);
    let run = rig
        .command(&[
            "--board",
            "silent",
            "--jobs",
            "1",
            "--json",
            "pin/matches",
            "auth/all-in-one-record",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = soon("the program's start");
    while !up.exists() {
        assert!(!deadline.has_expired(), "the program does not start");
        thread::yield_now();
    }
    send("INT", run.id());
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = support::text(&output.stdout);
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [started, cut_off, summary] = &events[..] else {
        panic!("{said}")
    };
    assert_eq!(started["event"], "started");
    assert_eq!(
        (&cut_off["event"], &cut_off["verdict"]),
        (&"interrupted".into(), &"interrupted".into())
    );
    assert_eq!(
        (&summary["scenarios"], &summary["not_run"], &summary["exit_code"]),
        (&0.into(), &2.into(), &130.into())
    );
}

/// It cannot report: what it prints is not read, and the program has said more than a pipe holds.
#[test]
fn a_second_interrupt_ends_the_harness_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("yes | head -n 200000; echo $$ > {}; sleep 600", pid.display());
    let rig = CommandRig::new(&[entry("babbles", &["sh", "-c", &script])]);
    let mut run = rig
        .command(&["--board", "babbles", "pin/matches"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = soon("the program's last line");
    while !pid.exists() {
        assert!(!deadline.has_expired(), "the program does not end its lines");
        thread::yield_now();
    }
    send("INT", run.id());
    let mut told = String::new();
    BufReader::new(run.stderr.take().unwrap()).read_line(&mut told).unwrap();
    assert!(told.starts_with("interrupted"), "{told}");
    assert_eq!(run.try_wait().unwrap(), None, "it still has lines to print");
    send("INT", run.id());
    assert_eq!(run.wait().unwrap().code(), Some(130));
    wait_for_end(fs::read_to_string(pid).unwrap().trim());
}
