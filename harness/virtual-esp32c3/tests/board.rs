//! The board as its users see it: a tty on which it boots, is flashed, and is reset.

mod support;

use std::time::Duration;

use support::{Console, Flashed, connect, firmware, flash_contents, image};
use virtual_esp32c3::{BoardConfig, ConsolePort, HardwareEvent, ResetCause, VirtualBoard};

const BOOT: Duration = Duration::from_secs(20);

fn board(config: BoardConfig) -> VirtualBoard {
    VirtualBoard::start(config, None).expect("a board")
}

#[test]
fn an_empty_flash_shows_the_roms_banner_and_the_watchdog() {
    let board = board(BoardConfig::default());
    let mut console = Console::open(board.tty());
    board.power_cycle(true);
    let banner = console.wait_for("invalid header: 0xffffffff\r\n", BOOT);
    assert_eq!(
        banner,
        "ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\n\
         rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)\r\ninvalid header: 0xffffffff\r\n"
    );
    console.wait_for("rst:0x7 (TG0WDT_SYS_RST),boot:0xc (SPI_FAST_FLASH_BOOT)", BOOT);
    let resets: Vec<_> = board
        .log()
        .into_iter()
        .filter_map(|entry| match entry.event {
            HardwareEvent::Reset(cause) => Some(cause),
            _ => None,
        })
        .collect();
    assert_eq!(resets[..2], [ResetCause::PowerOn, ResetCause::TimerGroup0System]);
}

#[test]
fn the_firmware_boots_from_flash() {
    let config = BoardConfig {
        flash: flash_contents(&firmware()),
        ..BoardConfig::default()
    };
    let board = board(config);
    let mut console = Console::open(board.tty());
    board.power_cycle(true);
    let boot = console.wait_for("@- ready ", BOOT);
    assert!(boot.contains("2nd stage bootloader"), "{boot}");
    assert!(boot.contains("chip revision: v0.3"), "{boot}");
    console.wait_for("\r\n", BOOT);
    console.send("\n#a1 hello\n");
    console.wait_for("@a1 ok hello ", BOOT);
    console.send("#a2 reboot\n");
    console.wait_for("@a2 ok reboot", BOOT);
    console.wait_for("rst:0x3 (RTC_SW_SYS_RST),boot:0xc", BOOT);
    console.wait_for("@- ready ", BOOT);
}

#[test]
fn espflash_writes_verifies_and_skips() {
    let elf = firmware();
    let board = board(BoardConfig::default());
    board.power_cycle(false);
    let mut first = Flashed::default();
    let mut flasher = connect(board.tty(), true);
    flasher
        .load_image_to_flash(&mut first, image(&elf))
        .expect("the image is written");
    assert_eq!((first.written, first.skipped), (3, 0), "{first:?}");
    let mut second = Flashed::default();
    flasher
        .load_image_to_flash(&mut second, image(&elf))
        .expect("the image is there");
    assert_eq!((second.written, second.skipped), (0, 3), "{second:?}");
    drop(flasher);

    let expected = flash_contents(&elf);
    let flash = board.flash();
    let differs = flash.iter().zip(expected.iter()).position(|(a, b)| a != b);
    assert_eq!(differs, None, "flash differs from the image");
    let mut console = Console::open(board.tty());
    board.power_cycle(true);
    console.wait_for("@- ready ", BOOT);
}

#[test]
fn a_hang_ends_with_the_watchdogs_reset() {
    let board = board(BoardConfig {
        flash: flash_contents(&firmware()),
        ..BoardConfig::default()
    });
    let mut console = Console::open(board.tty());
    board.power_cycle(true);
    console.wait_for("@- ready ", BOOT);
    console.send("\n#h test hang\n");
    console.wait_for("rst:0x7 (TG0WDT_SYS_RST)", BOOT);
    let ready = console.wait_for("@- ready ", BOOT);
    assert!(ready.contains("2nd stage bootloader"), "{ready}");
}

#[test]
fn the_usb_port_carries_the_console_when_it_is_the_tty() {
    let board = board(BoardConfig {
        flash: flash_contents(&firmware()),
        console: ConsolePort::UsbSerialJtag,
        ..BoardConfig::default()
    });
    let mut console = Console::open(board.tty());
    board.power_cycle(true);
    console.wait_for("@- ready ", BOOT);
    console.wait_for("\r\n", BOOT);
    console.send("\n#u hello\n");
    console.wait_for("@u ok hello ", BOOT);
}

#[test]
fn the_rom_loader_writes_without_a_stub() {
    let elf = firmware();
    let board = board(BoardConfig::default());
    board.power_cycle(false);
    let mut flashed = Flashed::default();
    let result = connect(board.tty(), false).load_image_to_flash(&mut flashed, image(&elf));
    // espflash ends with FLASH_END, which this ROM answers with an error; esptool, for a reason, does not send it.
    if let Err(error) = result {
        assert!(format!("{error:?}").contains("FlashEnd"), "{error:?}");
    }
    assert_eq!((flashed.written, flashed.verified), (3, 3), "{flashed:?}");
    let expected = flash_contents(&elf);
    assert!(board.flash()[..] == expected[..], "flash differs from the image");
}

#[test]
fn a_board_leaves_nothing_behind() {
    let first = board(BoardConfig::default());
    let tty = first.tty().to_owned();
    first.power_cycle(true);
    drop(first);
    assert!(!tty.exists(), "{} is still there", tty.display());
}

#[test]
fn many_boards_run_from_one_flash() {
    let flash = flash_contents(&firmware());
    let boards: Vec<_> = (0..8)
        .map(|_| {
            let board = board(BoardConfig {
                flash: flash.clone(),
                ..BoardConfig::default()
            });
            let console = Console::open(board.tty());
            board.power_cycle(true);
            (board, console)
        })
        .collect();
    for (_board, mut console) in boards {
        console.wait_for("@- ready ", BOOT);
    }
}
