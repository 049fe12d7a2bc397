//! The flash chip as software sees it. The mask ROM's loader sends it single commands through the registers of the SPI
//! controller, as it does for esptool and espflash.

mod support;

use std::time::{Duration, Instant};

use espflash::flasher::{FlashMode, FlashSettings, FlashSize, Flasher};
use support::{Console, connect, firmware, flash_with, image_for};
use virtual_esp32c3::{BoardConfig, FlashTiming, HardwareEvent, Strapping, VirtualBoard};

const WIP: u8 = 1;
const WEL: u8 = 2;
/// How long a command over the loader may take. It takes well under a millisecond, unless the machine is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A board in download mode, with access to its SPI controller through the loader.
struct Bench {
    /// `None` only while the board has no power.
    flasher: Option<Flasher>,
    board: VirtualBoard,
}

impl Bench {
    fn new(megabytes: usize, flash_timing: FlashTiming) -> Self {
        let board = VirtualBoard::start(
            BoardConfig {
                flash: vec![0xFF; megabytes << 20].into(),
                flash_timing,
                ..BoardConfig::default()
            },
            None,
        )
        .expect("a board");
        let flasher = Some(connect(&board, true));
        Self { flasher, board }
    }

    fn flasher(&mut self) -> &mut Flasher {
        self.flasher.as_mut().expect("the board has power")
    }

    fn power_cut(&mut self) {
        // Only one flasher may have the tty at a time.
        self.flasher = None;
        self.board.power_cut();
        self.flasher = Some(connect(&self.board, true));
    }

    fn write_register(&mut self, offset: u32, value: u32) {
        self.flasher()
            .connection()
            .write_reg(0x6000_2000 + offset, value, None)
            .expect("a register takes a value");
    }

    fn read_register(&mut self, offset: u32) -> u32 {
        let connection = self.flasher().connection();
        connection.read_reg(0x6000_2000 + offset).expect("a register's value")
    }

    /// Sends a command, an address and data, and reads `length` bytes, by a user-defined transaction of the SPI_MEM
    /// controller.
    fn transfer(&mut self, opcode: u8, address: Option<u32>, data: &[u8], length: u32) -> Vec<u8> {
        const COMMAND: u32 = 1 << 31;
        const ADDRESS: u32 = 1 << 30;
        const ANSWER: u32 = 1 << 28;
        const DATA: u32 = 1 << 27;
        let mut user = COMMAND;
        if let Some(address) = address {
            user |= ADDRESS;
            self.write_register(0x04, address);
            self.write_register(0x1C, 23 << 26);
        }
        if !data.is_empty() {
            user |= DATA;
            self.write_register(0x24, 8 * data.len() as u32 - 1);
            for (at, word) in data.chunks(4).enumerate() {
                let mut bytes = [0; 4];
                bytes[..word.len()].copy_from_slice(word);
                self.write_register(0x58 + 4 * at as u32, u32::from_le_bytes(bytes));
            }
        }
        if length > 0 {
            user |= ANSWER;
            self.write_register(0x28, 8 * length - 1);
        }
        self.write_register(0x18, user);
        self.write_register(0x20, 7 << 28 | u32::from(opcode));
        self.write_register(0x00, 1 << 18);
        assert_eq!(self.read_register(0x00), 0, "the transaction is over");
        let words = (0..length.div_ceil(4)).map(|at| self.read_register(0x58 + 4 * at).to_le_bytes());
        let mut answer: Vec<u8> = words.collect::<Vec<_>>().concat();
        answer.truncate(length as usize);
        answer
    }

    fn command(&mut self, opcode: u8) {
        self.transfer(opcode, None, &[], 0);
    }

    fn status(&mut self, opcode: u8) -> u8 {
        self.transfer(opcode, None, &[], 1)[0]
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.status(0x05) & WIP != 0 {
            assert!(
                Instant::now() < deadline,
                "timed out after {PATIENCE:?} waiting for the flash chip to be ready"
            );
        }
    }

    fn write(&mut self, opcode: u8, address: Option<u32>, data: &[u8]) {
        self.command(0x06);
        self.transfer(opcode, address, data, 0);
        self.wait();
    }

    fn read(&mut self, address: u32, length: u32) -> Vec<u8> {
        self.transfer(0x03, Some(address), &[], length)
    }
}

#[test]
fn each_size_has_its_own_identification_and_description() {
    for (megabytes, capacity) in [(2, 0x15), (4, 0x16), (8, 0x17), (16, 0x18)] {
        let mut bench = Bench::new(megabytes, FlashTiming::TYPICAL);
        assert_eq!(bench.transfer(0x9F, None, &[], 3), [0xEF, 0x40, capacity]);
        assert_eq!(bench.transfer(0x90, Some(0), &[], 2), [0xEF, capacity - 1]);
        assert_eq!(bench.transfer(0x90, Some(1), &[], 2), [capacity - 1, 0xEF]);
        let id = bench.transfer(0x4B, None, &[], 8);
        assert!(id.iter().any(|byte| *byte != id[0]), "a unique identity: {id:?}");

        let sfdp: Vec<u8> = (0..7)
            .flat_map(|at| bench.transfer(0x5A, Some(at * 16), &[], 16))
            .collect();
        assert_eq!(&sfdp[..4], b"SFDP");
        let table = sfdp[0x0C] as usize;
        let word = |number: usize| {
            let at = table + 4 * (number - 1);
            u32::from_le_bytes([sfdp[at], sfdp[at + 1], sfdp[at + 2], sfdp[at + 3]])
        };
        assert_eq!(sfdp[0x0B], 16, "words in the table");
        assert_eq!(u64::from(word(2)) + 1, (megabytes as u64) << 23, "bits");
        assert_eq!(word(8).to_le_bytes(), [12, 0x20, 15, 0x52]);
        assert_eq!(word(9).to_le_bytes()[..2], [16, 0xD8]);
        // Count and unit of the time for the first erase type: 45 ms, in steps of 16 ms.
        assert_eq!(((word(10) >> 4 & 0x1F) + 1, word(10) >> 9 & 3), (3, 1));
        assert_eq!(1 << (word(11) >> 4 & 0xF), 256, "the page");
        assert_eq!(word(13), 0x757A_757A, "suspend and resume");
        assert_eq!(word(14) >> 15 & 0xFF, 0xAB, "out of deep power-down");
        assert_eq!(word(14) >> 23 & 0xFF, 0xB9, "into deep power-down");
        assert_eq!(word(15) >> 20 & 7, 0b101, "quad enable");
        // The loader detects the size.
        let size = bench.flasher().flash_detect().expect("a size").expect("a known size");
        assert_eq!(u64::from(size.size()), (megabytes as u64) << 20);
    }
}

#[test]
fn programming_needs_write_enable_wraps_in_its_page_and_only_clears_bits() {
    let mut bench = Bench::new(4, FlashTiming::FAST);
    bench.transfer(0x02, Some(0x1000), &[0], 0);
    assert_eq!(bench.read(0x1000, 1), [0xFF], "without write enable");
    bench.command(0x06);
    assert_eq!(bench.status(0x05), WEL);
    bench.command(0x04);
    assert_eq!(bench.status(0x05), 0);
    bench.transfer(0x02, Some(0x1000), &[0], 0);
    assert_eq!(bench.read(0x1000, 1), [0xFF], "after write disable");

    let data: Vec<u8> = (1..=16).collect();
    bench.write(0x02, Some(0x10F8), &data);
    assert_eq!(bench.status(0x05), 0, "write enable is off again");
    assert_eq!(bench.read(0x10F8, 8), data[..8]);
    assert_eq!(bench.read(0x1000, 8), data[8..], "around the end of the page");
    assert_eq!(bench.read(0x1100, 8), [0xFF; 8], "not into the next page");
    bench.write(0x02, Some(0x1000), &[0b1100_0110]);
    assert_eq!(bench.read(0x1000, 1), [9 & 0b1100_0110], "bits are only cleared");

    for (opcode, size) in [(0x20, 0x1000), (0x52, 0x8000), (0xD8, 0x1_0000)] {
        let base = 0x12_0000;
        for address in [base - 1, base, base + size - 1, base + size] {
            bench.write(0x02, Some(address), &[0]);
        }
        bench.write(opcode, Some(base + 0x123), &[]);
        let left: Vec<u8> = [base - 1, base, base + size - 1, base + size]
            .into_iter()
            .flat_map(|address| bench.read(address, 1))
            .collect();
        assert_eq!(left, [0, 0xFF, 0xFF, 0], "erase by {opcode:#x}");
    }
    bench.write(0xC7, None, &[]);
    assert!(bench.board.flash().expect("the flash").iter().all(|byte| *byte == 0xFF));
}

#[test]
fn a_protected_part_is_neither_programmed_nor_erased() {
    let mut bench = Bench::new(4, FlashTiming::FAST);
    let (low, quarter, half, high) = (0x0, 0x10_0000, 0x20_0000, 0x3F_0000);
    // Status registers 1 and 2, and which of the four addresses can be written.
    let cases: [([u8; 2], [bool; 4]); 6] = [
        ([0b0000_0000, 0], [true, true, true, true]),
        // BP = 1: the upper 64th.
        ([0b0000_0100, 0], [true, true, true, false]),
        // BP = 6: the upper half; with TB the lower half; with CMP the other half.
        ([0b0001_1000, 0], [true, true, false, false]),
        ([0b0011_1000, 0], [false, false, true, true]),
        ([0b0001_1000, 0x40], [false, false, true, true]),
        ([0b0001_1100, 0], [false, false, false, false]),
    ];
    for (status, writable) in cases {
        bench.write(0x01, None, &status);
        assert_eq!([bench.status(0x05), bench.status(0x35)], status);
        for (address, writable) in [low, quarter, half, high].into_iter().zip(writable) {
            bench.write(0x02, Some(address), &[0x5A]);
            let programmed = bench.read(address, 1) == [0x5A];
            assert_eq!(programmed, writable, "{status:x?} {address:#x}");
            bench.write(0x20, Some(address), &[]);
            assert_eq!(bench.status(0x05) & WEL, 0);
            assert_eq!(bench.read(address, 1), [0xFF], "{status:x?} {address:#x}");
        }
    }
    // With any part protected, an erase of the whole chip does not begin.
    bench.write(0x01, None, &[0, 0]);
    bench.write(0x02, Some(low), &[0x11]);
    bench.write(0x01, None, &[0b0000_0100, 0]);
    bench.write(0xC7, None, &[]);
    assert_eq!(bench.read(low, 1), [0x11]);
}

#[test]
fn quad_reads_need_the_quad_enable_bit_which_survives_a_power_cut() {
    let mut bench = Bench::new(4, FlashTiming::FAST);
    bench.write(0x02, Some(0x2000), b"quad");
    for opcode in [0x03, 0x0B, 0x3B, 0xBB] {
        assert_eq!(bench.transfer(opcode, Some(0x2000), &[], 4), b"quad", "{opcode:#x}");
    }
    for opcode in [0x6B, 0xEB] {
        assert_eq!(bench.transfer(opcode, Some(0x2000), &[], 4), [0xFF; 4], "{opcode:#x}");
    }
    bench.command(0x50);
    bench.transfer(0x31, None, &[2], 0);
    assert_eq!(bench.status(0x35), 2, "volatile");
    bench.command(0x66);
    bench.command(0x99);
    assert_eq!(bench.status(0x35), 0, "gone with a reset");
    bench.write(0x31, None, &[2]);
    bench.command(0x66);
    bench.command(0x99);
    assert_eq!(bench.status(0x35), 2);
    bench.write(0x32, Some(0x2010), b"more");
    for opcode in [0x6B, 0xEB] {
        assert_eq!(bench.transfer(opcode, Some(0x2000), &[], 4), b"quad", "{opcode:#x}");
        assert_eq!(bench.transfer(opcode, Some(0x2010), &[], 4), b"more", "{opcode:#x}");
    }
    bench.power_cut();
    assert_eq!(bench.status(0x35), 2, "after a power cut");
}

#[test]
fn the_bootloader_enables_quad_reads_for_an_image_that_wants_them() {
    let mut bench = Bench::new(4, FlashTiming::FAST);
    bench.flasher = None;
    let elf = firmware();
    let quad = FlashSettings::new(Some(FlashMode::Qio), Some(FlashSize::_4Mb), None);
    bench.board = VirtualBoard::start(
        BoardConfig {
            flash: flash_with(image_for(&elf, quad)),
            ..BoardConfig::default()
        },
        None,
    )
    .expect("a board");
    let mut console = Console::open(bench.board.tty());
    bench.board.power_cycle(Strapping::Flash);
    let boot = console.wait_for("@- ready ", PATIENCE);
    assert!(boot.contains("QIO"), "{boot}");
    console.close();
    bench.power_cut();
    assert_eq!(bench.status(0x35), 2);
}

#[test]
fn a_chip_in_deep_power_down_takes_only_the_command_that_ends_it() {
    let mut bench = Bench::new(4, FlashTiming::FAST);
    bench.command(0xB9);
    assert_eq!(bench.transfer(0x9F, None, &[], 3), [0xFF; 3]);
    // The chip would not answer a read of its status.
    bench.command(0x06);
    bench.transfer(0x02, Some(0x3000), &[0], 0);
    assert_eq!(bench.transfer(0xAB, Some(0), &[], 1), [0x15]);
    assert_eq!(bench.transfer(0x9F, None, &[], 3), [0xEF, 0x40, 0x16]);
    assert_eq!(
        bench.read(0x3000, 1),
        [0xFF],
        "commands in deep power-down have no effect"
    );
}

#[test]
fn an_erase_takes_its_time_and_can_be_suspended() {
    // The erase must take long, since each command over the loader takes milliseconds of the chip's time.
    let timing = FlashTiming {
        sector_erase: Duration::from_millis(500),
        ..FlashTiming::TYPICAL
    };
    let mut bench = Bench::new(4, timing);
    bench.write(0x02, Some(0x5000), &[0x77]);
    bench.write(0x02, Some(0x8000), &[0x88]);
    bench.command(0x06);
    let before = bench.board.stats().time;
    bench.transfer(0x20, Some(0x5000), &[], 0);
    assert_eq!(bench.status(0x05), WIP | WEL);
    assert_eq!(bench.read(0x8000, 1), [0xFF], "a busy chip does not answer");
    bench.command(0x75);
    assert_eq!((bench.status(0x05) & WIP, bench.status(0x35)), (0, 0x80));
    assert_eq!(bench.read(0x8000, 1), [0x88], "a suspended chip answers");
    bench.write(0x20, Some(0x8000), &[]);
    assert_eq!(bench.read(0x8000, 1), [0x88], "a suspended chip begins no other erase");
    bench.write(0x02, Some(0x8001), &[0x99]);
    assert_eq!(
        bench.read(0x8000, 2),
        [0x88, 0x99],
        "a suspended chip can be programmed elsewhere"
    );
    bench.command(0x7A);
    assert_eq!((bench.status(0x05) & WIP, bench.status(0x35)), (WIP, 0));
    bench.wait();
    let took = bench.board.stats().time - before;
    assert!(took >= timing.sector_erase, "{took:?}");
    assert_eq!(bench.read(0x5000, 1), [0xFF]);
    // The controller has commands of its own for suspend and resume.
    bench.command(0x06);
    bench.transfer(0x20, Some(0x8000), &[], 0);
    bench.write_register(0x9C, 2);
    assert_eq!(bench.status(0x35), 0x80);
    bench.write_register(0x9C, 1);
    assert_eq!(bench.status(0x35), 0);
    bench.wait();
    assert_eq!(bench.read(0x8000, 2), [0xFF; 2]);
}

#[test]
fn an_unknown_command_is_logged_by_its_number() {
    let mut bench = Bench::new(4, FlashTiming::FAST);
    bench.command(0xB7);
    bench.command(0xB7);
    assert_eq!(bench.read(0, 1), [0xFF]);
    let unknown: Vec<String> = bench
        .board
        .log()
        .into_iter()
        .filter(|entry| matches!(entry.event, HardwareEvent::UnknownFlashCommand { .. }))
        .map(|entry| entry.event.to_string())
        .collect();
    assert_eq!(unknown, ["flash command 0xb7, which the flash chip does not have"]);
}
