//! Runs the program `crypto.bin` on a bare hart: input bytes enter; output bytes and the instruction count leave.
#![allow(dead_code, reason = "each target uses its part")]

use std::sync::Arc;

use virtual_esp32c3::bus::{AfterStore, Bus, Fault, Width};
use virtual_esp32c3::hart::{Exit, Hart};
use virtual_esp32c3::memory::{FLASH_CODE, Memory, SRAM_DATA};

/// The program's functions, by the number in a0.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Function {
    /// A multiple of P-256's generator: a scalar of 32 bytes enters, x and y leave.
    P256 = 0,
    /// SHA-256.
    Sha256 = 1,
}

/// A chip with the program in its flash and nothing else.
#[derive(Debug)]
pub(crate) struct Machine {
    hart: Hart,
    memory: Memory,
}

const INPUT: u32 = SRAM_DATA;
const OUTPUT: u32 = SRAM_DATA + 0x8000;
const LIMIT: u64 = 1_000_000_000;

impl Machine {
    pub(crate) fn new() -> Self {
        let program = include_bytes!("crypto.bin");
        let mut memory = Memory::new(Arc::from([]), 0x2_0000);
        memory.flash_modify(0..program.len(), |flash| flash.copy_from_slice(program));
        memory.map(0, Some(0));
        let mut hart = Hart::new(FLASH_CODE);
        hart.stop_at_ebreak(true);
        Self { hart, memory }
    }

    /// A machine about to execute a function; it runs plainly or fast.
    pub(crate) fn at(function: Function, input: &[u8], plainly: bool) -> Self {
        let mut machine = Self::new();
        machine.hart.run_plainly(plainly);
        machine.prepare(function, input);
        machine
    }

    /// Calls a function of the program; what it returns, and how many instructions it took.
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

    /// What the function has returned.
    pub(crate) fn output(&self) -> Vec<u8> {
        let mut output = vec![0; self.hart.register(10) as usize];
        assert!(self.memory.read_bytes(OUTPUT, &mut output), "the output is in RAM");
        output
    }
}

/// A bus with nothing on it.
#[derive(Debug)]
pub(crate) struct NoPeripherals;

impl Bus for NoPeripherals {
    fn load(&mut self, _: &mut Memory, _: u64, _: u32, _: Width) -> Result<u32, Fault> {
        Err(Fault)
    }

    fn store(&mut self, _: &mut Memory, _: u64, _: u32, _: Width, _: u32) -> Result<AfterStore, Fault> {
        Err(Fault)
    }

    fn interrupt(&self) -> Option<u8> {
        None
    }

    fn gpio_csr_read(&mut self, _: u64, _: u16) -> u32 {
        0
    }

    fn gpio_csr_write(&mut self, _: u64, _: u16, _: u32) {}
}
