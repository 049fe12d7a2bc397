//! Runs lists of calls on the virtual chip: functions of its mask ROM by name, and loads and stores of registers. A
//! list enters; the result of each call and the memory leave. A program of 28 instructions interprets the list. The ROM
//! starts it from flash ("direct boot"), so that only the chip's own software and bus take part.
#![allow(dead_code, unreachable_pub, reason = "each test target uses a part of it")]

use std::collections::HashMap;
use std::sync::OnceLock;

use espflash::flasher::{DeviceInfo, FlashSize};
use espflash::target::{Chip as Target, XtalFrequency};
use object::{Object, ObjectSymbol};
use virtual_esp32c3::chip::{Chip, ChipOptions, ConsolePort};

/// RAM that a script may use: 64 KB, below the memory that the ROM uses.
pub const RAM: u32 = 0x3FC8_0000;
/// Addresses of the results, and of the mark in front of them that the list has ended.
const RESULTS: u32 = 0x3FCA_0000;
const ENDED: u32 = 0x3FC9_F000;
/// Offsets of the list and of the data in flash, which the data bus shows at 0x3C00_0000.
const LIST: u32 = 0x1_0000;
const DATA: u32 = 0x8_0000;
const FLASH: u32 = 0x3C00_0000;
const FLASH_SIZE: usize = 4 << 20;
/// Offset in flash to which the ROM jumps, behind the mark of direct boot.
const PROGRAM: u32 = 0x4200_0008;
const LOAD: u32 = PROGRAM + 0x50;
const STORE: u32 = PROGRAM + 0x58;
const WAIT: u32 = PROGRAM + 0x60;
/// Cycles that a list may take: two seconds of the chip's time.
const DEADLINE: u64 = 320_000_000;

/// The interpreter, `for entry in list { *result++ = entry.function(entry.arguments...) }`, and three functions that
/// lists can call.
const CODE: [u32; 28] = [
    0x3C01_0437, // lui s0, LIST
    0x3FCA_04B7, // lui s1, RESULTS
    0x0004_2283, // next: lw t0, 0(s0)
    0x0202_8C63, // beqz t0, end
    0x0044_2503, // lw a0, 4(s0)
    0x0084_2583, // lw a1, 8(s0)
    0x00C4_2603, // lw a2, 12(s0)
    0x0104_2683, // lw a3, 16(s0)
    0x0144_2703, // lw a4, 20(s0)
    0x0184_2783, // lw a5, 24(s0)
    0x01C4_2803, // lw a6, 28(s0)
    0x0204_2883, // lw a7, 32(s0)
    0x0244_0413, // addi s0, s0, 36
    0x0002_80E7, // jalr t0
    0x00A4_A023, // sw a0, 0(s1)
    0x0044_8493, // addi s1, s1, 4
    0xFC9F_F06F, // j next
    0x3FC9_F337, // end: lui t1, ENDED
    0x0093_2023, // sw s1, 0(t1)
    0x0000_006F, // j .
    0x0005_2503, // LOAD: lw a0, 0(a0)
    0x0000_8067, // ret
    0x00B5_2023, // STORE: sw a1, 0(a0)
    0x0000_8067, // ret
    0x0005_2283, // WAIT: lw t0, 0(a0)
    0x00B2_F2B3, // and t0, t0, a1
    0xFEC2_9CE3, // bne t0, a2, WAIT
    0x0000_8067, // ret
];

/// A list of calls.
#[derive(Debug, Default, Clone)]
pub struct Script {
    calls: Vec<[u32; 9]>,
    data: Vec<u8>,
}

/// A call in a list, with which its result is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Call(usize);

/// A chip on which a list has run.
#[derive(Debug, Clone)]
pub struct Done {
    pub chip: Chip,
    calls: usize,
}

impl Script {
    /// Calls a function of the mask ROM.
    pub fn call(&mut self, function: &str, arguments: &[u32]) -> Call {
        let address = rom_function(function);
        self.add(address, arguments)
    }

    /// Loads a register.
    pub fn load(&mut self, address: u32) -> Call {
        self.add(LOAD, &[address])
    }

    /// Loads registers, one after another.
    pub fn load_all(&mut self, address: u32, count: u32) -> Vec<Call> {
        (0..count).map(|n| self.load(address + 4 * n)).collect()
    }

    /// Stores to a register.
    pub fn store(&mut self, address: u32, value: u32) {
        self.add(STORE, &[address, value]);
    }

    /// Stores bytes to registers, word by word.
    pub fn store_all(&mut self, address: u32, bytes: &[u8]) {
        for (n, word) in bytes.chunks(4).enumerate() {
            let mut padded = [0; 4];
            padded[..word.len()].copy_from_slice(word);
            self.store(address + 4 * n as u32, u32::from_le_bytes(padded));
        }
    }

    /// Polls a register until the bits of `mask` read as `value`.
    pub fn wait(&mut self, address: u32, mask: u32, value: u32) {
        self.add(WAIT, &[address, mask, value]);
    }

    /// Puts bytes into flash, and returns their address on the data bus.
    pub fn data(&mut self, bytes: &[u8]) -> u32 {
        self.data.resize(self.data.len().next_multiple_of(4), 0);
        let address = FLASH + DATA + self.data.len() as u32;
        self.data.extend_from_slice(bytes);
        address
    }

    /// Copies bytes to RAM with the ROM's `memcpy`, and returns their address there.
    pub fn place(&mut self, ram: u32, bytes: &[u8]) -> u32 {
        let from = self.data(bytes);
        self.call("memcpy", &[ram, from, bytes.len() as u32]);
        ram
    }

    /// Runs the list on a chip that is switched on for it.
    pub fn run(&self) -> Done {
        let mut flash = vec![0xFF; FLASH_SIZE];
        let mut put = |at: u32, words: &[u32]| {
            for (n, word) in words.iter().enumerate() {
                flash[at as usize + 4 * n..][..4].copy_from_slice(&word.to_le_bytes());
            }
        };
        const DIRECT_BOOT: u32 = 0xAEDB_041D;
        put(0, &[DIRECT_BOOT, DIRECT_BOOT]);
        put(8, &CODE);
        put(LIST, &[self.calls.concat(), vec![0]].concat());
        assert!(
            4 * 9 * self.calls.len() < (DATA - LIST) as usize,
            "the list is too long"
        );
        flash[DATA as usize..][..self.data.len()].copy_from_slice(&self.data);
        let chip = Chip::new(ChipOptions {
            flash: flash.into(),
            mac: [2, 0, 0, 0xC3, 0, 1],
            revision: (0, 3),
            seed: 0,
            console: ConsolePort::Uart0,
        })
        .expect("a chip");
        let mut done = Done {
            chip,
            calls: self.calls.len(),
        };
        done.power_cycle();
        done
    }

    fn add(&mut self, function: u32, arguments: &[u32]) -> Call {
        let mut call = [0; 9];
        call[0] = function;
        call[1..=arguments.len()].copy_from_slice(arguments);
        self.calls.push(call);
        Call(self.calls.len() - 1)
    }
}

impl Done {
    /// Runs the same list again after a power cycle.
    pub fn power_cycle(&mut self) {
        self.chip.set_lines(false, true);
        self.chip.set_lines(true, true);
        let end = RESULTS + 4 * self.calls as u32;
        let deadline = self.chip.now() + DEADLINE;
        while self.word(ENDED) != end {
            assert!(
                self.chip.now() < deadline,
                "the list has not ended: pc {:#x}, console {:?}, log {:?}",
                self.chip.hart().pc(),
                String::from_utf8_lossy(self.chip.sent().make_contiguous()).into_owned(),
                self.chip.take_log(),
            );
            self.chip.run(self.chip.now() + 100_000);
        }
    }

    /// What a call returned in a0.
    pub fn result(&self, call: Call) -> u32 {
        self.word(RESULTS + 4 * call.0 as u32)
    }

    /// The bytes of registers that were loaded.
    pub fn results(&self, calls: &[Call]) -> Vec<u8> {
        calls.iter().flat_map(|call| self.result(*call).to_le_bytes()).collect()
    }

    /// Bytes of RAM.
    pub fn bytes(&self, address: u32, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        assert!(
            self.chip.memory().read_bytes(address, &mut bytes),
            "{address:#x} is no RAM"
        );
        bytes
    }

    /// A word of RAM.
    pub fn word(&self, address: u32) -> u32 {
        u32::from_le_bytes(self.bytes(address, 4).try_into().expect("four bytes"))
    }

    /// The log's entries about registers that are not modelled.
    pub fn unmodelled(&mut self) -> Vec<String> {
        let log = self.chip.take_log();
        let events = log.iter().map(|entry| entry.event.to_string());
        events.filter(|event| event.contains("not modelled")).collect()
    }
}

/// Bytes from hexadecimal digits, ignoring spaces.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// Address of a function of the mask ROM.
fn rom_function(name: &str) -> u32 {
    static SYMBOLS: OnceLock<HashMap<String, u32>> = OnceLock::new();
    let symbols = SYMBOLS.get_or_init(|| {
        let device = DeviceInfo {
            chip: Target::Esp32c3,
            revision: Some((3, 0)),
            crystal_frequency: XtalFrequency::_40Mhz,
            flash_size: FlashSize::_4Mb,
            features: Vec::new(),
            mac_address: None,
        };
        let elf = device.rom().expect("espflash carries the ROM");
        let file = object::File::parse(&*elf).expect("an ELF file");
        let named = file
            .symbols()
            .filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address() as u32)));
        named.collect()
    });
    *symbols.get(name).unwrap_or_else(|| panic!("the ROM has no {name}"))
}
