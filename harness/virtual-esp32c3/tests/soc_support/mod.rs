//! Shared by the tests of the chip's hardware: small RISC-V programs that are assembled here, and a chip that runs
//! them. The chip's own ROM loads them from flash as it loads a bootloader. Addresses and values of registers enter;
//! the values that the program has read leave. It knows no peripheral.
#![allow(dead_code, unreachable_pub, reason = "each test target uses a part of it")]

use std::collections::HashMap;

use virtual_esp32c3::HardwareEvent;
use virtual_esp32c3::ResetCause;
use virtual_esp32c3::bus::Width;
use virtual_esp32c3::chip::{Chip, ChipOptions, ConsolePort, Pause};

/// Addresses in a program: its table of trap vectors, and its first instruction.
const VECTORS: u32 = 0x4038_0000;
const CODE: u32 = VECTORS + 0x100;
/// Address at which a program keeps its results, one word each.
pub const RESULTS: u32 = 0x3FC9_0000;
/// Address at which a program reports that it is done.
const DONE: u32 = 0x3FC8_FFF0;
const DONE_MARK: u32 = 0x600D_C0DE;

pub const ZERO: u32 = 0;
pub const RA: u32 = 1;
pub const SP: u32 = 2;
pub const T0: u32 = 5;
pub const T1: u32 = 6;
pub const T2: u32 = 7;
/// The register that points to the place of the next result.
const S0: u32 = 8;
pub const A0: u32 = 10;
pub const A1: u32 = 11;
/// Registers for trap handlers, which programs do not use.
const T3: u32 = 28;
const T4: u32 = 29;

pub const MSTATUS: u32 = 0x300;
pub const MTVEC: u32 = 0x305;
pub const MEPC: u32 = 0x341;
pub const MCAUSE: u32 = 0x342;
pub const MTVAL: u32 = 0x343;

/// A program under construction.
#[derive(Debug, Default)]
pub struct Program {
    words: Vec<u32>,
    /// Branches and jumps, whose labels are resolved at the end.
    open: Vec<(usize, String)>,
    labels: HashMap<String, usize>,
    temporaries: (u32, u32),
    handler: bool,
}

impl Program {
    /// A program that first switches off the watchdogs of flash boot and clears its results.
    pub fn new() -> Self {
        let mut program = Self::bare();
        program
            .store(0x6001_F064, 0x50D8_3AA1)
            .store(0x6001_F048, 0)
            .store(0x6000_80A8, 0x50D8_3AA1)
            .store(0x6000_8090, 0)
            .store(0x6000_80B0, 0x8F1D_312A)
            .store(0x6000_80AC, 1 << 30);
        program
    }

    /// A program that leaves all hardware as the ROM has left it.
    pub fn bare() -> Self {
        let mut program = Self {
            temporaries: (T0, T1),
            ..Self::default()
        };
        program.li(S0, RESULTS);
        program.li(T0, VECTORS);
        program.csr_write(MTVEC, T0);
        program
    }

    /// One instruction word.
    pub fn word(&mut self, word: u32) -> &mut Self {
        self.words.push(word);
        self
    }

    pub fn li(&mut self, register: u32, value: u32) -> &mut Self {
        let low = value & 0xFFF;
        let high = value.wrapping_add(0x800) & !0xFFF;
        self.word(high | register << 7 | 0x37)
            .word(low << 20 | register << 15 | register << 7 | 0x13)
    }

    pub fn addi(&mut self, to: u32, from: u32, value: i32) -> &mut Self {
        self.word((value as u32 & 0xFFF) << 20 | from << 15 | to << 7 | 0x13)
    }

    pub fn lw(&mut self, to: u32, base: u32, offset: u32) -> &mut Self {
        self.word((offset & 0xFFF) << 20 | base << 15 | 2 << 12 | to << 7 | 0x03)
    }

    pub fn sw(&mut self, from: u32, base: u32, offset: u32) -> &mut Self {
        self.word((offset >> 5 & 0x7F) << 25 | from << 20 | base << 15 | 2 << 12 | (offset & 31) << 7 | 0x23)
    }

    pub fn csr_write(&mut self, csr: u32, from: u32) -> &mut Self {
        self.word(csr << 20 | from << 15 | 1 << 12 | 0x73)
    }

    pub fn csr_read(&mut self, to: u32, csr: u32) -> &mut Self {
        self.word(csr << 20 | 2 << 12 | to << 7 | 0x73)
    }

    /// Writes a value into a CSR.
    pub fn csr(&mut self, csr: u32, value: u32) -> &mut Self {
        let (value_in, _) = self.temporaries;
        self.li(value_in, value).csr_write(csr, value_in)
    }

    /// Keeps a CSR as the next result.
    pub fn record_csr(&mut self, csr: u32) -> &mut Self {
        let (value_in, _) = self.temporaries;
        self.csr_read(value_in, csr).record_register(value_in)
    }

    /// Keeps a register as the next result.
    pub fn record_register(&mut self, register: u32) -> &mut Self {
        self.sw(register, S0, 0).addi(S0, S0, 4)
    }

    /// Stores a word.
    pub fn store(&mut self, address: u32, value: u32) -> &mut Self {
        let (value_in, address_in) = self.temporaries;
        self.li(value_in, value)
            .li(address_in, address)
            .sw(value_in, address_in, 0)
    }

    /// Keeps the word at an address as the next result.
    pub fn record(&mut self, address: u32) -> &mut Self {
        let (value_in, address_in) = self.temporaries;
        self.li(address_in, address)
            .lw(value_in, address_in, 0)
            .record_register(value_in)
    }

    /// Waits until one of these bits is set at an address.
    pub fn wait(&mut self, address: u32, mask: u32) -> &mut Self {
        let (value_in, address_in) = self.temporaries;
        self.li(address_in, address)
            .li(T2, mask)
            .lw(value_in, address_in, 0)
            // and t, t, t2; beqz t, -8
            .word(T2 << 20 | value_in << 15 | 7 << 12 | value_in << 7 | 0x33)
            .word(branch(0, value_in, ZERO, -8))
    }

    /// Spins for at least this many cycles.
    pub fn spin(&mut self, cycles: u32) -> &mut Self {
        let (counter, _) = self.temporaries;
        self.li(counter, cycles.div_ceil(2))
            .addi(counter, counter, -1)
            .word(branch(1, counter, ZERO, -4))
    }

    pub fn label(&mut self, name: &str) -> &mut Self {
        self.labels.insert(name.to_owned(), self.words.len());
        self
    }

    /// `beq` to a label, which may be defined later.
    pub fn beq(&mut self, left: u32, right: u32, to: &str) -> &mut Self {
        self.open.push((self.words.len(), to.to_owned()));
        self.word(branch(0, left, right, 0))
    }

    pub fn jump(&mut self, to: &str) -> &mut Self {
        self.open.push((self.words.len(), to.to_owned()));
        self.word(0x6F)
    }

    /// Calls a function of the ROM.
    pub fn call(&mut self, address: u32) -> &mut Self {
        self.li(RA, address).word(RA << 15 | RA << 7 | 0x67)
    }

    pub fn wfi(&mut self) -> &mut Self {
        self.word(0x1050_0073)
    }

    /// Reports that the program is done, and sleeps.
    pub fn done(&mut self) -> &mut Self {
        self.store(DONE, DONE_MARK).wfi().word(0xFFDF_F06F)
    }

    /// Routes an interrupt source to a line of priority 5, and enables that line and interrupts in general.
    pub fn interrupt(&mut self, source: u32, line: u32) -> &mut Self {
        self.store(0x600C_2000 + 4 * source, line)
            .store(0x600C_2114 + 4 * line, 5)
            .store(0x600C_2104, 1 << line)
            .csr(MSTATUS, 8)
    }

    /// Begins the handler of all traps, which ends with [`Program::end_handler`].
    pub fn handler(&mut self) -> &mut Self {
        self.handler = true;
        self.temporaries = (T3, T4);
        self.label("handler")
    }

    /// Returns from the handler to the instruction that trapped, or behind it if `skip`.
    pub fn end_handler(&mut self, skip: bool) -> &mut Self {
        if skip {
            self.csr_read(T3, MEPC).addi(T3, T3, 4).csr_write(MEPC, T3);
        }
        self.temporaries = (T0, T1);
        self.word(0x3020_0073)
    }

    /// Flash contents from which the ROM loads the program as it does a bootloader.
    pub fn flash(&self) -> Vec<u8> {
        let mut words = self.words.clone();
        for (at, name) in &self.open {
            let to = *self.labels.get(name).unwrap_or_else(|| panic!("no label {name}"));
            let distance = (to as i32 - *at as i32) * 4;
            words[*at] |= if words[*at] & 0x7F == 0x6F {
                jump_bits(distance)
            } else {
                branch(0, 0, 0, distance) & !0x63
            };
        }
        // Every vector leads to the handler, or loops if there is none.
        let handler = self.labels.get("handler").map(|at| CODE + 4 * *at as u32);
        let mut code: Vec<u32> = (0..64)
            .map(|entry| match handler {
                Some(handler) => 0x6F | jump_bits(handler.wrapping_sub(VECTORS + 4 * entry) as i32),
                None => 0x6F,
            })
            .collect();
        code.extend(words);
        let data: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut image = vec![0xE9, 1, 2, 0x20];
        image.extend(CODE.to_le_bytes());
        image.extend([0xEE, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        image.extend(VECTORS.to_le_bytes());
        image.extend((data.len() as u32).to_le_bytes());
        image.extend(&data);
        while image.len() % 16 != 15 {
            image.push(0);
        }
        image.push(data.iter().fold(0xEF, |sum, byte| sum ^ byte));
        image.resize(1 << 20, 0xFF);
        image
    }

    /// A chip with this program in its flash, switched on and about to execute its first instruction.
    pub fn start(&self) -> Machine {
        self.start_with(ConsolePort::Uart0)
    }

    /// Like [`Program::start`], with the console at another port.
    pub fn start_with(&self, console: ConsolePort) -> Machine {
        let mut chip = Chip::new(ChipOptions {
            flash: self.flash().into(),
            mac: [2, 0, 0, 0, 0, 1],
            revision: (0, 3),
            seed: 1,
            console,
        })
        .expect("the ROM of revision v0.3 exists");
        chip.set_lines(true, true);
        Machine {
            chip,
            console: String::new(),
            log: Vec::new(),
        }
    }

    /// Runs the program to its end, and returns its first `N` results.
    pub fn results<const N: usize>(&self) -> [u32; N] {
        let mut machine = self.start();
        machine.finish();
        machine.results()
    }
}

fn branch(kind: u32, left: u32, right: u32, distance: i32) -> u32 {
    let d = distance as u32;
    (d >> 12 & 1) << 31
        | (d >> 5 & 0x3F) << 25
        | right << 20
        | left << 15
        | kind << 12
        | (d >> 1 & 15) << 8
        | (d >> 11 & 1) << 7
        | 0x63
}

fn jump_bits(distance: i32) -> u32 {
    let d = distance as u32;
    (d >> 20 & 1) << 31 | (d >> 1 & 0x3FF) << 21 | (d >> 11 & 1) << 20 | (d >> 12 & 0xFF) << 12
}

/// Cycles in a millisecond of the chip's time.
pub const MILLISECOND: u64 = 160_000;

/// A chip that runs a program.
#[derive(Debug, Clone)]
pub struct Machine {
    pub chip: Chip,
    /// What the chip has printed.
    pub console: String,
    /// The hardware events so far.
    pub log: Vec<HardwareEvent>,
}

impl Machine {
    /// Runs until `so` returns true, for ten seconds of the chip's time at most. Returns whether it did.
    pub fn run_until(&mut self, mut so: impl FnMut(&mut Self) -> bool) -> bool {
        self.run_for(10_000, |machine| so(machine))
    }

    /// Runs until `so` returns true, for this many milliseconds of the chip's time at most. Returns whether it did.
    pub fn run_for(&mut self, milliseconds: u64, mut so: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.chip.now() + milliseconds * MILLISECOND;
        while self.chip.now() < end {
            let slice = end.min(self.chip.now() + MILLISECOND / 10);
            if let Pause::Asleep(until) = self.chip.run(slice) {
                self.chip.sleep_until(until.clamp(self.chip.now() + 1, slice));
            }
            let sent: Vec<u8> = self.chip.sent().drain(..).collect();
            self.console.push_str(&String::from_utf8_lossy(&sent));
            self.chip.taken();
            self.log
                .extend(self.chip.take_log().into_iter().map(|entry| entry.event));
            if so(self) {
                return true;
            }
        }
        false
    }

    /// Runs until the program reports that it is done.
    pub fn finish(&mut self) {
        let done = self.run_until(|machine| machine.word(DONE) == DONE_MARK);
        assert!(
            done,
            "the program does not end; pc {:#x}, {:?}, console: {}",
            self.chip.hart().pc(),
            self.log,
            self.console
        );
    }

    /// Runs until the next reset after the one at power-on, and returns its cause.
    pub fn next_reset(&mut self) -> ResetCause {
        let seen = self.resets().len().max(1);
        let came = self.run_until(|machine| machine.resets().len() > seen);
        assert!(came, "no reset; {:?}, console: {}", self.log, self.console);
        self.resets()[seen]
    }

    /// The causes of all resets so far, beginning with power-on.
    pub fn resets(&self) -> Vec<ResetCause> {
        self.log
            .iter()
            .filter_map(|event| match event {
                HardwareEvent::Reset(cause) => Some(*cause),
                _ => None,
            })
            .collect()
    }

    /// A word of RAM.
    pub fn word(&self, address: u32) -> u32 {
        self.chip.memory().load(address, Width::Word).expect("RAM answers")
    }

    /// The program's first `N` results.
    pub fn results<const N: usize>(&self) -> [u32; N] {
        std::array::from_fn(|index| self.word(RESULTS + 4 * index as u32))
    }
}
