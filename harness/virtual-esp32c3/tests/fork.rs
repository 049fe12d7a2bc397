//! A running board is forked. The copies go on from the same instruction, and nothing that one does affects another.

mod support;

use std::time::Duration;

use support::{Console, firmware, flash_contents};
use virtual_esp32c3::{BoardConfig, HardwareEvent, ResetCause, Strapping, VirtualBoard};

const BOOT: Duration = Duration::from_secs(20);

fn booted() -> (VirtualBoard, Console) {
    let config = BoardConfig {
        flash: flash_contents(&firmware()),
        ..BoardConfig::default()
    };
    let board = VirtualBoard::start(config, None).expect("a board");
    let mut console = Console::open(board.tty());
    board.power_cycle(Strapping::Flash);
    console.wait_for("@- ready ", BOOT);
    console.wait_for("\r\n", BOOT);
    (board, console)
}

#[test]
fn a_fork_keeps_the_boards_settings_and_changes_its_own() {
    let (board, mut console) = booted();
    console.send("#a set host fork.example\n");
    console.wait_for("@a ok set", BOOT);
    let forks: Vec<_> = (0..4)
        .map(|_| {
            let fork = board.fork(None).expect("a fork");
            let console = Console::open(fork.tty());
            (fork, console)
        })
        .collect();
    for (number, (_fork, console)) in forks.into_iter().enumerate() {
        let mut console = console;
        assert!(ask_host(&mut console, "b").contains("host=fork.example"));
        console.send(&format!("#c set host number{number}.example\n"));
        console.wait_for("@c ok set", BOOT);
        assert!(ask_host(&mut console, "d").contains(&format!("host=number{number}.example")));
    }
    assert!(ask_host(&mut console, "e").contains("host=fork.example"));
}

fn ask_host(console: &mut Console, tag: &str) -> String {
    console.send(&format!("#{tag} show\n"));
    console.wait_for(&format!("@{tag} ok show "), BOOT);
    console.wait_for("\r\n", BOOT)
}

#[test]
fn a_snapshot_outlives_its_board_and_starts_several_boards() {
    let (board, _console) = booted();
    let snapshot = board.snapshot().expect("a snapshot");
    drop(board);
    for _ in 0..3 {
        let board = VirtualBoard::start(BoardConfig::default(), None).expect("a board");
        let mut console = Console::open(board.tty());
        board.restore(&snapshot, b"what it had said\r\n".to_vec());
        let said = console.wait_for("said\r\n", BOOT);
        assert_eq!(said, "what it had said\r\n");
        console.send("#f hello\n");
        console.wait_for("@f ok hello firmware=pinrig-esp32c3", BOOT);
        let resets = board
            .log()
            .iter()
            .filter(|entry| entry.event == HardwareEvent::Reset(ResetCause::PowerOn))
            .count();
        assert_eq!(resets, 1, "the log has the reset from before the snapshot");
    }
}

#[test]
fn a_fork_has_flash_and_reset_lines_of_its_own() {
    let (board, mut console) = booted();
    let fork = board.fork(None).expect("a fork");
    let mut forks_console = Console::open(fork.tty());
    fork.power_cycle(Strapping::Flash);
    forks_console.wait_for("rst:0x1 (POWERON)", BOOT);
    forks_console.wait_for("@- ready ", BOOT);
    console.send("#g hello\n");
    let answer = console.wait_for("@g ok hello ", BOOT);
    assert!(!answer.contains("rst:"), "the other board was reset too: {answer}");
    assert!(board.flash().expect("the flash") == fork.flash().expect("the fork's flash"));
}
