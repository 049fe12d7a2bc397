//! A bare hart for the tests of instructions, with code in SRAM and a bus with a few registers.
#![allow(dead_code, reason = "each test target uses its part")]

use std::sync::Arc;

use virtual_esp32c3::bus::{AccessFault, AfterStore, Bus, Width};
use virtual_esp32c3::hart::{Exit, Hart};
use virtual_esp32c3::memory::Memory;

/// Address of the code under test.
pub(crate) const CODE: u32 = 0x4038_0100;
/// RAM for data, through the data bus.
pub(crate) const DATA: u32 = 0x3FC8_1000;
/// A register that keeps what is written to it, as word, half or byte.
pub(crate) const REGISTER: u32 = 0x6000_0000;
/// A register to which a store makes the hart yield.
pub(crate) const YIELDING: u32 = 0x6000_0004;
/// A register to which a store raises the interrupt line of that number, and makes the hart yield.
pub(crate) const RAISE: u32 = 0x6000_0008;
/// A register to which a store makes the device write the value to [`CODE`] + 16 in RAM.
pub(crate) const DMA: u32 = 0x6000_000C;
/// A register that reads as the time.
pub(crate) const CLOCK: u32 = 0x6000_0010;
/// A register to which a store maps MMU entry 0 to the flash page of that number.
pub(crate) const REMAP: u32 = 0x6000_0014;

/// The bus of the tests.
#[derive(Debug, Default, Clone)]
pub(crate) struct TestBus {
    pub(crate) value: u32,
    pub(crate) line: Option<u8>,
    pub(crate) gpio: u32,
    /// All stores so far: address, width and value.
    pub(crate) stores: Vec<(u32, Width, u32)>,
}

impl Bus for TestBus {
    fn load(&mut self, _: &mut Memory, now: u64, address: u32, _: Width) -> Result<u32, AccessFault> {
        match address {
            REGISTER => Ok(self.value),
            CLOCK => Ok(now as u32),
            _ => Err(AccessFault),
        }
    }

    fn store(
        &mut self,
        memory: &mut Memory,
        _: u64,
        address: u32,
        width: Width,
        value: u32,
    ) -> Result<AfterStore, AccessFault> {
        self.stores.push((address, width, value));
        match address {
            REGISTER => self.value = value,
            YIELDING => return Ok(AfterStore::Yield),
            RAISE => {
                self.line = Some(value as u8);
                return Ok(AfterStore::Yield);
            }
            DMA => assert!(memory.write_bytes(CODE + 16, &value.to_le_bytes())),
            REMAP => memory.map(0, Some(value as u16)),
            _ => return Err(AccessFault),
        }
        Ok(AfterStore::Continue)
    }

    fn interrupt(&self) -> Option<u8> {
        self.line
    }

    fn gpio_csr_read(&mut self, _: u64, csr: u16) -> u32 {
        self.gpio + u32::from(csr)
    }

    fn gpio_csr_write(&mut self, _: u64, _: u16, value: u32) {
        self.gpio = value;
    }
}

/// A hart, its memory and its bus.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) hart: Hart,
    pub(crate) memory: Memory,
    pub(crate) bus: TestBus,
}

impl Machine {
    /// A machine that will execute `code` at [`CODE`] next. Its trap vector is at [`VECTOR`].
    pub(crate) fn new(code: &[u32]) -> Self {
        let mut machine = Self {
            hart: Hart::new(CODE),
            memory: Memory::new(Arc::from([]), 0x4_0000),
            bus: TestBus::default(),
        };
        machine.put(CODE, code);
        assert!(machine.hart.set_csr(MTVEC, VECTOR));
        machine
    }

    /// Gives user mode all rights to all addresses, by memory protection's entry 15.
    pub(crate) fn open_to_user_mode(&mut self) {
        assert!(self.hart.set_csr(0x3BF, u32::MAX));
        assert!(self.hart.set_csr(0x3A3, 0x1F00_0000));
    }

    /// Writes instruction words, one after the other, into RAM.
    pub(crate) fn put(&mut self, address: u32, code: &[u32]) {
        let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert!(self.memory.write_bytes(address, &bytes));
    }

    /// Executes at most `count` instructions.
    pub(crate) fn run(&mut self, count: u64) -> Exit {
        let until = self.hart.now() + count;
        self.hart.run(&mut self.memory, &mut self.bus, until)
    }

    /// mepc, mcause, mtval.
    pub(crate) fn trap(&self) -> [u32; 3] {
        [MEPC, MCAUSE, MTVAL].map(|csr| self.hart.csr(csr).expect("the hart has it"))
    }

    pub(crate) fn a0(&self) -> u32 {
        self.hart.register(10)
    }
}

/// Address of the tests' table of trap vectors.
pub(crate) const VECTOR: u32 = 0x4038_8000;
pub(crate) const MSTATUS: u16 = 0x300;
pub(crate) const MTVEC: u16 = 0x305;
pub(crate) const MEPC: u16 = 0x341;
pub(crate) const MCAUSE: u16 = 0x342;
pub(crate) const MTVAL: u16 = 0x343;
