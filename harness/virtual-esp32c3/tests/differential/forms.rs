//! The forms of RV32IMC's instructions: which bits are fixed, and which are free. Random bits enter, instruction words
//! leave. `ecall`, `ebreak`, CSR instructions and illegal instructions are left out.

use super::Random;

/// The form of an instruction, whose free bits can be filled at random.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// Values of the bits that are fixed.
    pub(super) fixed: u32,
    /// Bits that are free.
    free: u32,
    /// Bits of which at least one has to be set; zero if there are none.
    some: u32,
}

impl Form {
    const fn new(fixed: u32, mask: u32, some: u32) -> Self {
        let free = !mask & if fixed & 3 == 3 { u32::MAX } else { 0xFFFF };
        Self { fixed, free, some }
    }

    /// An instruction of this form.
    pub(super) fn fill(self, random: &mut Random) -> u32 {
        loop {
            let word = self.fixed | random.next() as u32 & self.free;
            if self.some == 0 || word & self.some != 0 {
                return word;
            }
        }
    }
}

/// Opcode, funct3 and funct7.
const R: u32 = 0xFE00_707F;
/// Opcode and funct3.
const I: u32 = 0x0000_707F;
/// Quadrant and funct3.
const C: u32 = 0xE003;

pub(super) const REGISTER_REGISTER: &[Form] = &[
    Form::new(0x0000_0033, R, 0), // add
    Form::new(0x4000_0033, R, 0), // sub
    Form::new(0x0000_1033, R, 0), // sll
    Form::new(0x0000_2033, R, 0), // slt
    Form::new(0x0000_3033, R, 0), // sltu
    Form::new(0x0000_4033, R, 0), // xor
    Form::new(0x0000_5033, R, 0), // srl
    Form::new(0x4000_5033, R, 0), // sra
    Form::new(0x0000_6033, R, 0), // or
    Form::new(0x0000_7033, R, 0), // and
    Form::new(0x0200_0033, R, 0), // mul
    Form::new(0x0200_1033, R, 0), // mulh
    Form::new(0x0200_2033, R, 0), // mulhsu
    Form::new(0x0200_3033, R, 0), // mulhu
    Form::new(0x0200_4033, R, 0), // div
    Form::new(0x0200_5033, R, 0), // divu
    Form::new(0x0200_6033, R, 0), // rem
    Form::new(0x0200_7033, R, 0), // remu
];

/// Instructions that read and write registers only. Compressed shifts by zero, which are hints, are left out: QEMU 7.2
/// takes them for shifts by 64, as in RV128, and takes those for illegal.
pub(super) const PLAIN: &[Form] = &[
    Form::new(0x0000_0037, 0x7F, 0),   // lui
    Form::new(0x0000_0017, 0x7F, 0),   // auipc
    Form::new(0x0000_0013, I, 0),      // addi
    Form::new(0x0000_2013, I, 0),      // slti
    Form::new(0x0000_3013, I, 0),      // sltiu
    Form::new(0x0000_4013, I, 0),      // xori
    Form::new(0x0000_6013, I, 0),      // ori
    Form::new(0x0000_7013, I, 0),      // andi
    Form::new(0x0000_1013, R, 0),      // slli
    Form::new(0x0000_5013, R, 0),      // srli
    Form::new(0x4000_5013, R, 0),      // srai
    Form::new(0x0000_000F, I, 0),      // fence
    Form::new(0x0000_100F, I, 0),      // fence.i
    Form::new(0x0000, C, 0x1FE0),      // c.addi4spn
    Form::new(0x0001, C, 0),           // c.addi, c.nop
    Form::new(0x4001, C, 0),           // c.li
    Form::new(0x6001, C, 0x107C),      // c.lui, seldom c.addi16sp
    Form::new(0x6101, 0xEF83, 0x107C), // c.addi16sp
    Form::new(0x8001, 0xFC03, 0x007C), // c.srli
    Form::new(0x8401, 0xFC03, 0x007C), // c.srai
    Form::new(0x8801, 0xEC03, 0),      // c.andi
    Form::new(0x8C01, 0xFC63, 0),      // c.sub
    Form::new(0x8C21, 0xFC63, 0),      // c.xor
    Form::new(0x8C41, 0xFC63, 0),      // c.or
    Form::new(0x8C61, 0xFC63, 0),      // c.and
    Form::new(0x0002, 0xF003, 0x007C), // c.slli
    Form::new(0x8002, 0xF003, 0x007C), // c.mv
    Form::new(0x9002, 0xF003, 0x007C), // c.add
];

/// Loads and stores, and the register that has to hold an address.
pub(super) const MEMORY: &[(Form, Base)] = &[
    (Form::new(0x0000_0003, I, RS1), Base::Rs1),    // lb
    (Form::new(0x0000_1003, I, RS1), Base::Rs1),    // lh
    (Form::new(0x0000_2003, I, RS1), Base::Rs1),    // lw
    (Form::new(0x0000_4003, I, RS1), Base::Rs1),    // lbu
    (Form::new(0x0000_5003, I, RS1), Base::Rs1),    // lhu
    (Form::new(0x0000_0023, I, RS1), Base::Rs1),    // sb
    (Form::new(0x0000_1023, I, RS1), Base::Rs1),    // sh
    (Form::new(0x0000_2023, I, RS1), Base::Rs1),    // sw
    (Form::new(0x4000, C, 0), Base::CompressedRs1), // c.lw
    (Form::new(0xC000, C, 0), Base::CompressedRs1), // c.sw
    (Form::new(0x4002, C, 0x0F80), Base::Sp),       // c.lwsp
    (Form::new(0xC002, C, 0), Base::Sp),            // c.swsp
];

/// The field rs1, which must not be x0, since that holds no address.
const RS1: u32 = 31 << 15;

/// The field that names the register with the address.
#[derive(Clone, Copy)]
pub(super) enum Base {
    Rs1,
    CompressedRs1,
    Sp,
}

impl Base {
    pub(super) fn register(self, word: u32) -> u32 {
        match self {
            Self::Rs1 => word >> 15 & 31,
            Self::CompressedRs1 => 8 + (word >> 7 & 7),
            Self::Sp => 2,
        }
    }
}

/// Jumps and branches. Jumps to an address in a register come with the instructions that load it.
#[derive(Clone, Copy)]
pub(super) enum Control {
    /// By its funct3.
    Branch(u32),
    Jal,
    Jalr,
    /// `c.beqz`, `c.bnez` by their fixed bits.
    CompressedBranch(u32),
    /// `c.j`, `c.jal`.
    CompressedJump(u32),
    /// `c.jr`, `c.jalr`.
    CompressedRegister(u32),
}

impl Control {
    pub(super) const ALL: [Self; 14] = [
        Self::Branch(0), // beq
        Self::Branch(1), // bne
        Self::Branch(4), // blt
        Self::Branch(5), // bge
        Self::Branch(6), // bltu
        Self::Branch(7), // bgeu
        Self::Jal,
        Self::Jalr,
        Self::CompressedBranch(0xC001),   // c.beqz
        Self::CompressedBranch(0xE001),   // c.bnez
        Self::CompressedJump(0xA001),     // c.j
        Self::CompressedJump(0x2001),     // c.jal
        Self::CompressedRegister(0x8002), // c.jr
        Self::CompressedRegister(0x9002), // c.jalr
    ];

    /// How many bytes it can skip, without the instructions around them.
    pub(super) fn reach(self, random: &mut Random) -> usize {
        const AROUND: usize = 0x50;
        match self {
            Self::CompressedBranch(_) => 0x100 - AROUND,
            Self::CompressedJump(_) => 0x800 - AROUND,
            Self::Branch(_) => 0x1000 - AROUND,
            _ if random.below(8) == 0 => 0x1_0000,
            _ => 0x1000,
        }
    }

    /// The instruction, with those that it needs before it. `offset` counts from the first of them. The registers are
    /// taken from `fields`, which is random. Bit 0 of an address in a register is random too, since jumps ignore it.
    pub(super) fn encode(self, fields: u32, offset: i32) -> Vec<u32> {
        let imm = offset as u32;
        // Puts `count` bits of the offset, from bit `from` on, at bit `to` of the instruction.
        let put = |from: u32, count: u32, to: u32| (imm >> from & ((1 << count) - 1)) << to;
        let pointer = 1 + (fields >> 15 & 31) % 31;
        let odd = fields >> 31;
        let auipc = imm.wrapping_add(0x800) & 0xFFFF_F000 | pointer << 7 | 0x17;
        match self {
            Self::Branch(funct3) => {
                let imm = put(12, 1, 31) | put(5, 6, 25) | put(1, 4, 8) | put(11, 1, 7);
                vec![imm | fields & 0x01FF_8000 | funct3 << 12 | 0x63]
            }
            Self::Jal => {
                let imm = put(20, 1, 31) | put(1, 10, 21) | put(11, 1, 20) | put(12, 8, 12);
                vec![imm | fields & 0xF80 | 0x6F]
            }
            Self::Jalr => vec![auipc, (imm | odd) << 20 | pointer << 15 | fields & 0xF80 | 0x67],
            Self::CompressedBranch(fixed) => {
                let imm = put(8, 1, 12) | put(3, 2, 10) | put(6, 2, 5) | put(1, 2, 3) | put(5, 1, 2);
                vec![fixed | imm | fields & 0x380]
            }
            Self::CompressedJump(fixed) => {
                let high = put(11, 1, 12) | put(4, 1, 11) | put(8, 2, 9) | put(10, 1, 8);
                vec![fixed | high | put(6, 1, 7) | put(7, 1, 6) | put(1, 3, 3) | put(5, 1, 2)]
            }
            Self::CompressedRegister(fixed) => {
                let addi = (imm | odd) << 20 | pointer << 15 | pointer << 7 | 0x13;
                vec![auipc, addi, fixed | pointer << 7]
            }
        }
    }
}
