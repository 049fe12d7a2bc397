//! Decodes machine code into [`Op`]s. An instruction word and its address enter; a decoded operation leaves. It knows
//! no register's contents and no memory.
//!
//! Encodings: The RISC-V Instruction Set Manual, volume I, chapters "RV32I", "M" and "C" (RV32C), and volume II for the
//! privileged instructions.

use super::registers::SINK;

/// One decoded instruction: eight bytes, so that a page of them stays in the first-level cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(8))]
pub(super) struct Op {
    /// How it is executed. The number of its [`Code`] stands for "by itself"; higher numbers are the forms that include
    /// the operations behind it.
    pub(super) form: u8,
    /// Destination register, with [`SINK`] in place of x0.
    pub(super) rd: u8,
    pub(super) rs1: u8,
    pub(super) rs2: u8,
    /// Immediate, sign-extended. For branches and `jal` it is the target's slot, counted from the first slot of the
    /// page.
    pub(super) imm: u32,
}

// A macro, so that one list gives both the enum and `ALL`: `chain` turns a code's number back into the code, also in
// constants.
macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident,)*) => {
        /// Operations. The suffix `S` marks those of 16 bits (the C extension), which take one slot instead of two.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Code {
            $($(#[$doc])* $code,)*
        }

        impl Code {
            /// All codes, each at the index that is its number.
            pub(super) const ALL: [Self; [$(Self::$code),*].len()] = [$(Self::$code),*];
        }
    };
}

codes! {
    /// Not decoded yet.
    Empty,
    /// An illegal instruction. `imm` is the instruction word.
    Illegal,
    /// Sets a register to a constant: `lui`, `auipc`, `li`.
    Li,
    LiS,
    Addi,
    AddiS,
    Slti,
    Sltiu,
    Xori,
    Ori,
    Andi,
    AndiS,
    Slli,
    SlliS,
    Srli,
    SrliS,
    Srai,
    SraiS,
    Add,
    AddS,
    Sub,
    SubS,
    Sll,
    Slt,
    Sltu,
    Xor,
    XorS,
    Srl,
    Sra,
    Or,
    OrS,
    And,
    AndS,
    Mul,
    Mulh,
    Mulhsu,
    Mulhu,
    Div,
    Divu,
    Rem,
    Remu,
    Lb,
    Lh,
    Lw,
    LwS,
    Lbu,
    Lhu,
    Sb,
    Sh,
    Sw,
    SwS,
    Beq,
    BeqS,
    Bne,
    BneS,
    Blt,
    Bge,
    Bltu,
    Bgeu,
    Jal,
    JalS,
    Jalr,
    JalrS,
    /// `fence` and `fence.i`, which do nothing: memory is coherent here, and decoded code follows its changes at once.
    Fence,
    /// A CSR instruction. `rs2` is funct3, `rs1` is the register or the five-bit immediate, and `imm` is the number of
    /// the CSR.
    Csr,
    Ecall,
    Ebreak,
    EbreakS,
    Mret,
    Wfi,
}

impl Code {
    /// How many slots the instruction takes. A slot has 16 bits.
    pub(super) fn slots(self) -> usize {
        match self {
            Self::LiS
            | Self::AddiS
            | Self::AndiS
            | Self::SlliS
            | Self::SrliS
            | Self::SraiS
            | Self::AddS
            | Self::SubS
            | Self::XorS
            | Self::OrS
            | Self::AndS
            | Self::LwS
            | Self::SwS
            | Self::BeqS
            | Self::BneS
            | Self::JalS
            | Self::JalrS
            | Self::EbreakS => 1,
            _ => 2,
        }
    }
}

impl Op {
    pub(super) const EMPTY: Self = Self {
        form: Code::Empty as u8,
        rd: 0,
        rs1: 0,
        rs2: 0,
        imm: 0,
    };

    fn new(code: Code, rd: u32, rs1: u32, rs2: u32, imm: u32) -> Self {
        let rd = if rd == 0 { SINK } else { rd as u8 };
        Self {
            form: code as u8,
            rd,
            rs1: rs1 as u8,
            rs2: rs2 as u8,
            imm,
        }
    }

    fn illegal(word: u32) -> Self {
        Self::new(Code::Illegal, 0, 0, 0, word)
    }
}

/// Whether the instruction whose first 16 bits are `half` has 32 bits.
pub(super) fn is_long(half: u16) -> bool {
    half & 3 == 3
}

/// Decodes an instruction of 32 bits at `pc` in the page that begins at `page`.
pub(super) fn decode32(word: u32, pc: u32, page: u32) -> Op {
    let (rd, rs1, rs2) = (bits(word, 7, 5), bits(word, 15, 5), bits(word, 20, 5));
    let (funct3, funct7) = (bits(word, 12, 3), bits(word, 25, 7));
    let i_imm = signed(bits(word, 20, 12), 12);
    let s_imm = signed(bits(word, 25, 7) << 5 | rd, 12);
    let u_imm = word & 0xFFFF_F000;
    let code = match bits(word, 0, 7) {
        0x37 => return Op::new(Code::Li, rd, 0, 0, u_imm),
        0x17 => return Op::new(Code::Li, rd, 0, 0, pc.wrapping_add(u_imm)),
        0x6F => {
            let imm =
                bits(word, 31, 1) << 20 | bits(word, 12, 8) << 12 | bits(word, 20, 1) << 11 | bits(word, 21, 10) << 1;
            return Op::new(Code::Jal, rd, 0, 0, slot(pc, signed(imm, 21), page));
        }
        0x67 if funct3 == 0 => return Op::new(Code::Jalr, rd, rs1, 0, i_imm),
        0x63 => {
            let imm = bits(word, 31, 1) << 12 | bits(word, 7, 1) << 11 | bits(word, 25, 6) << 5 | bits(word, 8, 4) << 1;
            let code = match funct3 {
                0 => Code::Beq,
                1 => Code::Bne,
                4 => Code::Blt,
                5 => Code::Bge,
                6 => Code::Bltu,
                7 => Code::Bgeu,
                _ => return Op::illegal(word),
            };
            return Op::new(code, 0, rs1, rs2, slot(pc, signed(imm, 13), page));
        }
        0x03 => {
            let code = match funct3 {
                0 => Code::Lb,
                1 => Code::Lh,
                2 => Code::Lw,
                4 => Code::Lbu,
                5 => Code::Lhu,
                _ => return Op::illegal(word),
            };
            return Op::new(code, rd, rs1, 0, i_imm);
        }
        0x23 => {
            let code = match funct3 {
                0 => Code::Sb,
                1 => Code::Sh,
                2 => Code::Sw,
                _ => return Op::illegal(word),
            };
            return Op::new(code, 0, rs1, rs2, s_imm);
        }
        0x13 => {
            let code = match (funct3, funct7) {
                (0, _) if rs1 == 0 => Code::Li,
                (0, _) => Code::Addi,
                (1, 0) => Code::Slli,
                (2, _) => Code::Slti,
                (3, _) => Code::Sltiu,
                (4, _) => Code::Xori,
                (5, 0) => Code::Srli,
                (5, 0x20) => Code::Srai,
                (6, _) => Code::Ori,
                (7, _) => Code::Andi,
                _ => return Op::illegal(word),
            };
            let imm = if matches!(funct3, 1 | 5) { rs2 } else { i_imm };
            return Op::new(code, rd, rs1, 0, imm);
        }
        0x33 => match (funct7, funct3) {
            (0, 0) => Code::Add,
            (0, 1) => Code::Sll,
            (0, 2) => Code::Slt,
            (0, 3) => Code::Sltu,
            (0, 4) => Code::Xor,
            (0, 5) => Code::Srl,
            (0, 6) => Code::Or,
            (0, 7) => Code::And,
            (0x20, 0) => Code::Sub,
            (0x20, 5) => Code::Sra,
            (1, 0) => Code::Mul,
            (1, 1) => Code::Mulh,
            (1, 2) => Code::Mulhsu,
            (1, 3) => Code::Mulhu,
            (1, 4) => Code::Div,
            (1, 5) => Code::Divu,
            (1, 6) => Code::Rem,
            (1, 7) => Code::Remu,
            _ => return Op::illegal(word),
        },
        0x0F if funct3 <= 1 => return Op::new(Code::Fence, 0, 0, 0, 0),
        0x73 => return system(word),
        _ => return Op::illegal(word),
    };
    Op::new(code, rd, rs1, rs2, 0)
}

fn system(word: u32) -> Op {
    let (rd, rs1, funct3) = (bits(word, 7, 5), bits(word, 15, 5), bits(word, 12, 3));
    if matches!(funct3, 1 | 2 | 3 | 5 | 6 | 7) {
        return Op::new(Code::Csr, rd, rs1, funct3, bits(word, 20, 12));
    }
    match word {
        0x0000_0073 => Op::new(Code::Ecall, 0, 0, 0, 0),
        0x0010_0073 => Op::new(Code::Ebreak, 0, 0, 0, 0),
        0x3020_0073 => Op::new(Code::Mret, 0, 0, 0, word),
        0x1050_0073 => Op::new(Code::Wfi, 0, 0, 0, word),
        _ => Op::illegal(word),
    }
}

/// Decodes an instruction of 16 bits at `pc` in the page that begins at `page`.
pub(super) fn decode16(half: u16, pc: u32, page: u32) -> Op {
    let word = u32::from(half);
    let funct3 = bits(word, 13, 3);
    match (bits(word, 0, 2), funct3) {
        (0, _) => quadrant0(word, funct3),
        (1, _) => quadrant1(word, funct3, pc, page),
        (2, _) => quadrant2(word, funct3),
        _ => Op::illegal(word),
    }
}

fn quadrant0(word: u32, funct3: u32) -> Op {
    let (low, high) = (8 + bits(word, 2, 3), 8 + bits(word, 7, 3));
    let offset = bits(word, 10, 3) << 3 | bits(word, 6, 1) << 2 | bits(word, 5, 1) << 6;
    match funct3 {
        0 => {
            let imm = bits(word, 11, 2) << 4 | bits(word, 7, 4) << 6 | bits(word, 6, 1) << 2 | bits(word, 5, 1) << 3;
            if imm == 0 {
                return Op::illegal(word);
            }
            Op::new(Code::AddiS, low, 2, 0, imm)
        }
        2 => Op::new(Code::LwS, low, high, 0, offset),
        6 => Op::new(Code::SwS, 0, high, low, offset),
        _ => Op::illegal(word),
    }
}

fn quadrant1(word: u32, funct3: u32, pc: u32, page: u32) -> Op {
    let rd = bits(word, 7, 5);
    let imm = signed(bits(word, 12, 1) << 5 | bits(word, 2, 5), 6);
    let near = 8 + bits(word, 7, 3);
    match funct3 {
        0 => Op::new(Code::AddiS, rd, rd, 0, imm),
        1 | 5 => {
            let offset = bits(word, 12, 1) << 11
                | bits(word, 11, 1) << 4
                | bits(word, 9, 2) << 8
                | bits(word, 8, 1) << 10
                | bits(word, 7, 1) << 6
                | bits(word, 6, 1) << 7
                | bits(word, 3, 3) << 1
                | bits(word, 2, 1) << 5;
            let link = u32::from(funct3 == 1);
            Op::new(Code::JalS, link, 0, 0, slot(pc, signed(offset, 12), page))
        }
        2 => Op::new(Code::LiS, rd, 0, 0, imm),
        3 if rd == 2 => {
            let imm = bits(word, 12, 1) << 9
                | bits(word, 6, 1) << 4
                | bits(word, 5, 1) << 6
                | bits(word, 3, 2) << 7
                | bits(word, 2, 1) << 5;
            if imm == 0 {
                return Op::illegal(word);
            }
            Op::new(Code::AddiS, 2, 2, 0, signed(imm, 10))
        }
        3 if imm == 0 => Op::illegal(word),
        3 => Op::new(Code::LiS, rd, 0, 0, imm << 12),
        4 => arithmetic(word, near, imm),
        _ => {
            let offset = bits(word, 12, 1) << 8
                | bits(word, 10, 2) << 3
                | bits(word, 5, 2) << 6
                | bits(word, 3, 2) << 1
                | bits(word, 2, 1) << 5;
            let code = if funct3 == 6 { Code::BeqS } else { Code::BneS };
            Op::new(code, 0, near, 0, slot(pc, signed(offset, 9), page))
        }
    }
}

fn arithmetic(word: u32, rd: u32, imm: u32) -> Op {
    let wide = bits(word, 12, 1) == 1;
    let code = match bits(word, 10, 2) {
        // A shift by 32 or more is reserved for custom extensions in RV32C.
        0 | 1 if wide => return Op::illegal(word),
        0 => return Op::new(Code::SrliS, rd, rd, 0, imm),
        1 => return Op::new(Code::SraiS, rd, rd, 0, imm),
        2 => return Op::new(Code::AndiS, rd, rd, 0, imm),
        _ if wide => return Op::illegal(word),
        _ => match bits(word, 5, 2) {
            0 => Code::SubS,
            1 => Code::XorS,
            2 => Code::OrS,
            _ => Code::AndS,
        },
    };
    Op::new(code, rd, rd, 8 + bits(word, 2, 3), 0)
}

fn quadrant2(word: u32, funct3: u32) -> Op {
    let (rd, rs2) = (bits(word, 7, 5), bits(word, 2, 5));
    let high = bits(word, 12, 1);
    match funct3 {
        0 if high == 1 => Op::illegal(word),
        0 => Op::new(Code::SlliS, rd, rd, 0, rs2),
        2 if rd == 0 => Op::illegal(word),
        2 => {
            let imm = high << 5 | bits(word, 4, 3) << 2 | bits(word, 2, 2) << 6;
            Op::new(Code::LwS, rd, 2, 0, imm)
        }
        4 => match (high, rd, rs2) {
            (0, 0, 0) => Op::illegal(word),
            (0, _, 0) => Op::new(Code::JalrS, 0, rd, 0, 0),
            (0, _, _) => Op::new(Code::AddS, rd, 0, rs2, 0),
            (_, 0, 0) => Op::new(Code::EbreakS, 0, 0, 0, 0),
            (_, _, 0) => Op::new(Code::JalrS, 1, rd, 0, 0),
            _ => Op::new(Code::AddS, rd, rd, rs2, 0),
        },
        6 => {
            let imm = bits(word, 9, 4) << 2 | bits(word, 7, 2) << 6;
            Op::new(Code::SwS, 0, 2, rs2, imm)
        }
        _ => Op::illegal(word),
    }
}

/// The slot of `pc + offset`, counted from `page` in units of two bytes. A target outside the page has a slot outside
/// it, from which its address follows in the same way, modulo 2^32.
fn slot(pc: u32, offset: u32, page: u32) -> u32 {
    pc.wrapping_add(offset).wrapping_sub(page) >> 1
}

fn bits(word: u32, from: u32, count: u32) -> u32 {
    (word >> from) & ((1 << count) - 1)
}

fn signed(value: u32, width: u32) -> u32 {
    let unused = 32 - width;
    ((value << unused) as i32 >> unused) as u32
}
