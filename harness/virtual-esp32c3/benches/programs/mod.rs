//! Runs the program `crypto.bin` on a bare hart: input bytes enter; output bytes and the instruction count leave.
#![allow(dead_code, reason = "each target uses its part")]

use std::sync::Arc;

use virtual_esp32c3::bus::{AccessFault, AfterStore, Bus, Width};
use virtual_esp32c3::hart::{AtEbreak, Exit, Hart, Interpreter};
use virtual_esp32c3::memory::{FLASH_CODE, Memory, SRAM_DATA};

/// The program's functions, by the number in a0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// Multiplies P-256's generator: a scalar of 32 bytes enters, x and y leave.
    P256 = 0,
    /// SHA-256.
    Sha256 = 1,
    /// A copy in RAM of four words at a time, like an unrolled memcpy. The length is a multiple of 16 bytes, up to 32
    /// KB.
    Copy = 2,
}

/// A chip with the program in its flash and nothing else.
#[derive(Debug)]
pub(crate) struct Machine {
    hart: Hart,
    memory: Memory,
}

const INPUT: u32 = SRAM_DATA;
const OUTPUT: u32 = SRAM_DATA + 0x8000;
/// Offset in flash of the copy loop, behind the program.
const COPY: usize = 0xF000;
/// The copy loop, with the source in a1, the length in a2 and the destination in a3. It returns the length.
const COPY_CODE: [u32; 14] = [
    0x0006_0513, // mv a0, a2
    0x0005_A283, // lw t0, 0(a1)
    0x0045_A303, // lw t1, 4(a1)
    0x0085_A383, // lw t2, 8(a1)
    0x00C5_AE03, // lw t3, 12(a1)
    0x0056_A023, // sw t0, 0(a3)
    0x0066_A223, // sw t1, 4(a3)
    0x0076_A423, // sw t2, 8(a3)
    0x01C6_A623, // sw t3, 12(a3)
    0x0105_8593, // addi a1, a1, 16
    0x0106_8693, // addi a3, a3, 16
    0xFF06_0613, // addi a2, a2, -16
    0xFC06_1AE3, // bnez a2, -44
    0x0010_0073, // ebreak
];
const LIMIT: u64 = 1_000_000_000;

impl Machine {
    pub(crate) fn new() -> Self {
        let program = include_bytes!("crypto.bin");
        let mut memory = Memory::new(Arc::from([]), 0x2_0000);
        memory.flash_modify(0..program.len(), |flash| flash.copy_from_slice(program));
        let copy: Vec<u8> = COPY_CODE.iter().flat_map(|word| word.to_le_bytes()).collect();
        memory.flash_modify(COPY..COPY + copy.len(), |flash| flash.copy_from_slice(&copy));
        memory.map(0, Some(0));
        let mut hart = Hart::new(FLASH_CODE);
        hart.set_at_ebreak(AtEbreak::Stop);
        Self { hart, memory }
    }

    /// A machine that will execute a function next, with this interpreter.
    pub(crate) fn at(function: Function, input: &[u8], interpreter: Interpreter) -> Self {
        let mut machine = Self::new();
        machine.hart.set_interpreter(interpreter);
        machine.prepare(function, input);
        machine
    }

    /// Calls a function of the program, and returns its output and the number of instructions.
    pub(crate) fn call(&mut self, function: Function, input: &[u8]) -> (Vec<u8>, u64) {
        self.prepare(function, input);
        let start = self.hart.now();
        let exit = self.run(start + LIMIT);
        assert!(
            matches!(exit, Exit::Breakpoint(_)),
            "{exit:?} at {:#010x}",
            self.hart.pc()
        );
        (self.output(), self.hart.now() - start)
    }

    fn prepare(&mut self, function: Function, input: &[u8]) {
        assert!(self.memory.write_bytes(INPUT, input), "the input fits");
        self.hart.reset();
        if function == Function::Copy {
            self.hart.set_pc(FLASH_CODE + COPY as u32);
        }
        self.hart.set_register(10, function as u32);
        self.hart.set_register(11, INPUT);
        self.hart.set_register(12, input.len() as u32);
        self.hart.set_register(13, OUTPUT);
    }

    /// Executes until the clock stands at `until`, or the function returns.
    pub(crate) fn run(&mut self, until: u64) -> Exit {
        self.hart.run(&mut self.memory, &mut NoPeripherals, until)
    }

    /// Cycles since power-on.
    pub(crate) fn now(&self) -> u64 {
        self.hart.now()
    }

    /// Time, pc, x1 to x31.
    pub(crate) fn state(&self) -> Vec<u64> {
        let registers = (1..=31).map(|number| u64::from(self.hart.register(number)));
        let state = [self.hart.now(), u64::from(self.hart.pc())];
        state.into_iter().chain(registers).collect()
    }

    /// The function's output.
    pub(crate) fn output(&self) -> Vec<u8> {
        let mut output = vec![0; self.hart.register(10) as usize];
        assert!(self.memory.read_bytes(OUTPUT, &mut output), "the output is in RAM");
        output
    }
}

/// A bus without peripherals.
#[derive(Debug)]
pub(crate) struct NoPeripherals;

impl Bus for NoPeripherals {
    fn load(&mut self, _: &mut Memory, _: u64, _: u32, _: Width) -> Result<u32, AccessFault> {
        Err(AccessFault)
    }

    fn store(&mut self, _: &mut Memory, _: u64, _: u32, _: Width, _: u32) -> Result<AfterStore, AccessFault> {
        Err(AccessFault)
    }

    fn interrupt(&self) -> Option<u8> {
        None
    }

    fn gpio_csr_read(&mut self, _: u64, _: u16) -> u32 {
        0
    }

    fn gpio_csr_write(&mut self, _: u64, _: u16, _: u32) {}
}
