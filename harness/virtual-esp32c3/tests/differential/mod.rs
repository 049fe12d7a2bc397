//! Programs that show what every instruction of RV32IMC does. A seed enters; code and data leave. A program consists of
//! blocks. Each block loads all registers from a table, executes some instructions, stores all registers, and writes
//! these and the scratch memory to standard output by the system calls of Linux. It knows neither of the two machines
//! that run the programs.
//!
//! Encodings: The RISC-V Instruction Set Manual, volume I, "RV32/64G Instruction Set Listings" and "RVC Instruction Set
//! Listings".

pub(crate) mod elf;
mod forms;
mod random;

use forms::{Control, MEMORY, PLAIN, REGISTER_REGISTER};
use random::Random;

/// Address of the code: SRAM1 on the instruction bus.
pub(crate) const CODE: u32 = 0x4038_0000;
/// Address of the data: SRAM1 on the data bus, behind the code.
pub(crate) const DATA: u32 = 0x3FCC_0000;
/// Sizes of what one block writes: the scratch memory that loads and stores reach, then the registers.
pub(crate) const RECORD: u32 = SCRATCH - 0x800;
pub(crate) const RECORD_SIZE: usize = 0x1880;
/// Offset of x0 in a record.
pub(crate) const RECORD_REGISTERS: usize = (REGISTERS - RECORD) as usize;

/// Address to which the offsets of loads and stores are added.
const SCRATCH: u32 = DATA + 0x1000;
const REGISTERS: u32 = DATA + 0x2000;
/// Address of the table with the registers' values at the start of each block.
const TABLES: u32 = DATA + 0x3000;
const TABLE_SIZE: u32 = 0x80;
const CODE_SIZE: u32 = 0x4_0000;
const MOST_BLOCKS: usize = 500;
/// Instructions under test in a block of random ones.
const BLOCK_LENGTH: usize = 16;
/// Operands at which multiplication, division, shifts and comparisons change their behaviour.
const CORNERS: [u32; 10] = [
    0,
    1,
    2,
    31,
    32,
    0x7FFF_FFFF,
    0x8000_0000,
    0x8000_0001,
    0xFFFF_FFFE,
    0xFFFF_FFFF,
];

/// A program, and what is needed to report what one of its blocks does.
pub(crate) struct Program {
    pub(crate) code: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) blocks: Vec<Block>,
    random: Random,
}

/// One block.
#[derive(Default)]
pub(crate) struct Block {
    /// x1 to x31 at the beginning.
    pub(crate) registers: Vec<u32>,
    /// Offsets in the code of the instructions under test.
    pub(crate) listing: Vec<usize>,
}

impl Program {
    /// Every instruction on two registers, with every pair of [`CORNERS`].
    pub(crate) fn of_corners() -> Self {
        let mut program = Self::new(0);
        let pairs: Vec<(u32, u32)> = (1..=10).flat_map(|a| (1..=10).map(move |b| (a, b))).collect();
        for form in REGISTER_REGISTER {
            for pairs in pairs.chunks(20) {
                let mut registers = CORNERS.to_vec();
                registers.resize(31, 0xA5A5_A5A5);
                program.block(registers, 31, |program| {
                    for (&(a, b), rd) in pairs.iter().zip(11..) {
                        program.emit(form.fixed | b << 20 | a << 15 | rd << 7);
                    }
                });
            }
        }
        program.finish()
    }

    /// Random instructions on random operands.
    pub(crate) fn of_seed(seed: u64) -> Self {
        let mut program = Self::new(seed);
        while program.blocks.len() < MOST_BLOCKS && program.code.len() < CODE_SIZE as usize - 0x8000 {
            let registers = (0..31).map(|_| program.random.operand()).collect();
            let address = 1 + program.random.below(31) as u32;
            program.block(registers, address, |program| {
                for _ in 0..BLOCK_LENGTH {
                    let every = PLAIN.len() + REGISTER_REGISTER.len() + MEMORY.len();
                    match (program.random.below(every + Control::ALL.len())).checked_sub(every) {
                        Some(index) => program.control(Control::ALL[index]),
                        None => program.straight(),
                    }
                }
            });
        }
        program.finish()
    }

    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut data = vec![0; (TABLES - DATA) as usize];
        data.fill_with(|| random.next() as u8);
        Self {
            code: Vec::new(),
            data,
            blocks: Vec::new(),
            random,
        }
    }

    fn finish(mut self) -> Self {
        const EXIT: u32 = 93;
        self.load_immediate(10, 0);
        self.load_immediate(17, EXIT);
        self.push(0x73);
        assert!(self.code.len() <= CODE_SIZE as usize && self.blocks.len() <= MOST_BLOCKS);
        self
    }

    /// `address` is the register that is used for an address after `body`, and so loses its value.
    fn block(&mut self, registers: Vec<u32>, address: u32, body: impl FnOnce(&mut Self)) {
        const WRITE: u32 = 64;
        let table = TABLES + self.blocks.len() as u32 * TABLE_SIZE;
        // x31 has the address of the table, and so is loaded last.
        self.load_immediate(31, table);
        for number in 1..=31 {
            self.push(0x0000_2003 | (number * 4) << 20 | 31 << 15 | number << 7);
        }
        self.data.extend([0; 4]);
        self.data.extend(registers.iter().flat_map(|value| value.to_le_bytes()));
        let listing = Vec::new();
        self.blocks.push(Block { registers, listing });

        body(self);

        self.push(REGISTERS | address << 7 | 0x37);
        for number in 1..=31 {
            let offset = number * 4;
            self.push(0x0000_2023 | (offset >> 5) << 25 | number << 20 | address << 15 | (offset & 31) << 7);
        }
        for (register, value) in [(10, 1), (11, RECORD), (12, RECORD_SIZE as u32), (17, WRITE)] {
            self.load_immediate(register, value);
        }
        self.push(0x73);
    }

    /// An instruction after which the next one is executed.
    fn straight(&mut self) {
        let index = self.random.below(PLAIN.len() + REGISTER_REGISTER.len() + MEMORY.len());
        if let Some(form) = PLAIN.iter().chain(REGISTER_REGISTER).nth(index) {
            let word = form.fill(&mut self.random);
            return self.emit(word);
        }
        let (form, base) = MEMORY[index - PLAIN.len() - REGISTER_REGISTER.len()];
        let word = form.fill(&mut self.random);
        let base = base.register(word);
        self.emit(SCRATCH | base << 7 | 0x37);
        if !is_long(word) {
            // The offset is a multiple of four and never negative.
            let offset = self.random.below(0xF00) as u32;
            self.emit(offset.wrapping_sub(0x800) << 20 | base << 15 | base << 7 | 0x13);
        }
        self.emit(word);
    }

    /// A jump or branch, forward or backward. Whether or not it is taken, execution goes on behind everything that this
    /// emits. Random bytes that are never executed lie in between, so that there are short and long distances.
    fn control(&mut self, control: Control) {
        let fields = self.random.next() as u32;
        let reach = control
            .reach(&mut self.random)
            .min((CODE_SIZE as usize - self.code.len()) / 8);
        let junk = self.random.size(reach);
        if self.random.below(2) == 0 {
            let branch = self.reserve(control, fields);
            self.detour();
            let to_end = self.reserve(Control::Jal, 0);
            self.junk(junk);
            self.patch(branch, self.code.len());
            self.patch(to_end, self.code.len());
        } else {
            let to_branch = self.reserve(Control::Jal, 0);
            let target = self.code.len();
            self.detour();
            let to_end = self.reserve(Control::Jal, 0);
            self.junk(junk);
            self.patch(to_branch, self.code.len());
            let branch = self.reserve(control, fields);
            self.patch(branch, target);
            self.patch(to_end, self.code.len());
        }
    }

    fn detour(&mut self) {
        for _ in 0..=self.random.below(2) {
            self.straight();
        }
    }

    fn junk(&mut self, size: usize) {
        let random = &mut self.random;
        self.code.extend((0..size & !1).map(|_| random.next() as u8));
    }

    /// Emits a jump or branch whose target is not known yet.
    fn reserve(&mut self, control: Control, fields: u32) -> (Control, u32, usize) {
        let at = self.code.len();
        for word in control.encode(fields, 0) {
            self.emit(word);
        }
        (control, fields, at)
    }

    fn patch(&mut self, (control, fields, at): (Control, u32, usize), target: usize) {
        let bytes = control
            .encode(fields, target as i32 - at as i32)
            .into_iter()
            .flat_map(bytes);
        for (offset, byte) in bytes.enumerate() {
            self.code[at + offset] = byte;
        }
    }

    /// Adds an instruction under test.
    fn emit(&mut self, word: u32) {
        let block = self.blocks.last_mut().expect("only blocks contain what is under test");
        block.listing.push(self.code.len());
        self.push(word);
    }

    fn push(&mut self, word: u32) {
        self.code.extend(bytes(word));
    }

    fn load_immediate(&mut self, register: u32, value: u32) {
        self.push(value.wrapping_add(0x800) & 0xFFFF_F000 | register << 7 | 0x37);
        self.push(value << 20 | register << 15 | register << 7 | 0x13);
    }
}

fn is_long(word: u32) -> bool {
    word & 3 == 3
}

fn bytes(word: u32) -> impl Iterator<Item = u8> {
    word.to_le_bytes().into_iter().take(if is_long(word) { 4 } else { 2 })
}

impl Random {
    fn operand(&mut self) -> u32 {
        let corner = CORNERS.get(self.below(2 * CORNERS.len()));
        corner.copied().unwrap_or_else(|| self.next() as u32)
    }

    /// A number up to `most`, with each order of magnitude equally likely.
    fn size(&mut self, most: usize) -> usize {
        let bits = self.below(most.ilog2() as usize + 2);
        self.below(1 << bits).min(most)
    }
}
