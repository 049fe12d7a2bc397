//! Executes one instruction that needs registers and plain memory only. An operation enters; registers and memory
//! change, and the next slot leaves. It knows no CSR, no bus and no time.

use super::decode::{Code, Op};
use super::registers::{BASE, Registers};
use crate::memory::{Memory, Stored};

/// Executes the operation at this slot, which has this code, and returns the slot of the next one. `None` means that it
/// needs more than registers and plain memory, and that nothing has been done. If `NEAR`, only the memory that is used
/// most is tried, so that the compiled code calls no function.
#[inline(always)]
pub(super) fn step<const NEAR: bool>(
    code: Code,
    op: Op,
    slot: u32,
    x: &mut Registers,
    memory: &mut Memory,
) -> Option<u32> {
    macro_rules! rs1 {
        () => {
            x[op.rs1 as usize]
        };
    }
    macro_rules! rs2 {
        () => {
            x[op.rs2 as usize]
        };
    }
    // Each operation gives its length in slots as a constant, so that finding the next slot does not wait for a load.
    macro_rules! set {
        ($length:literal, $value:expr) => {{
            x[op.rd as usize] = $value;
            slot + $length
        }};
    }
    macro_rules! branch {
        ($length:literal, $taken:expr) => {
            if $taken { op.imm } else { slot + $length }
        };
    }
    macro_rules! jump {
        ($length:literal, $target:expr) => {{
            let target: u32 = $target;
            x[op.rd as usize] = x[BASE].wrapping_add((slot + $length) << 1);
            target
        }};
    }
    macro_rules! load {
        ($length:literal, $from_bytes:expr) => {{
            let address = rs1!().wrapping_add(op.imm);
            let bytes = if NEAR {
                memory.read_near(address)
            } else {
                memory.read(address)
            };
            set!($length, $from_bytes(bytes?))
        }};
    }
    macro_rules! store {
        ($length:literal, $to_bytes:expr) => {{
            let (address, bytes) = (rs1!().wrapping_add(op.imm), $to_bytes(rs2!()));
            let stored = if NEAR {
                memory.write_near(address, bytes)
            } else {
                memory.write(address, bytes)
            };
            if stored != Stored::Done {
                return None;
            }
            slot + $length
        }};
    }

    Some(match code {
        Code::Li => set!(2, op.imm),
        Code::LiS => set!(1, op.imm),
        Code::Addi => set!(2, rs1!().wrapping_add(op.imm)),
        Code::AddiS => set!(1, rs1!().wrapping_add(op.imm)),
        Code::Slti => set!(2, u32::from((rs1!() as i32) < op.imm as i32)),
        Code::Sltiu => set!(2, u32::from(rs1!() < op.imm)),
        Code::Xori => set!(2, rs1!() ^ op.imm),
        Code::Ori => set!(2, rs1!() | op.imm),
        Code::Andi => set!(2, rs1!() & op.imm),
        Code::AndiS => set!(1, rs1!() & op.imm),
        Code::Slli => set!(2, rs1!().wrapping_shl(op.imm)),
        Code::SlliS => set!(1, rs1!().wrapping_shl(op.imm)),
        Code::Srli => set!(2, rs1!().wrapping_shr(op.imm)),
        Code::SrliS => set!(1, rs1!().wrapping_shr(op.imm)),
        Code::Srai => set!(2, (rs1!() as i32).wrapping_shr(op.imm) as u32),
        Code::SraiS => set!(1, (rs1!() as i32).wrapping_shr(op.imm) as u32),
        Code::Add => set!(2, rs1!().wrapping_add(rs2!())),
        Code::AddS => set!(1, rs1!().wrapping_add(rs2!())),
        Code::Sub => set!(2, rs1!().wrapping_sub(rs2!())),
        Code::SubS => set!(1, rs1!().wrapping_sub(rs2!())),
        Code::Sll => set!(2, rs1!().wrapping_shl(rs2!())),
        Code::Slt => set!(2, u32::from((rs1!() as i32) < rs2!() as i32)),
        Code::Sltu => set!(2, u32::from(rs1!() < rs2!())),
        Code::Xor => set!(2, rs1!() ^ rs2!()),
        Code::XorS => set!(1, rs1!() ^ rs2!()),
        Code::Srl => set!(2, rs1!().wrapping_shr(rs2!())),
        Code::Sra => set!(2, (rs1!() as i32).wrapping_shr(rs2!()) as u32),
        Code::Or => set!(2, rs1!() | rs2!()),
        Code::OrS => set!(1, rs1!() | rs2!()),
        Code::And => set!(2, rs1!() & rs2!()),
        Code::AndS => set!(1, rs1!() & rs2!()),
        Code::Mul => set!(2, rs1!().wrapping_mul(rs2!())),
        Code::Mulh => set!(2, high(i64::from(rs1!() as i32) * i64::from(rs2!() as i32))),
        Code::Mulhsu => set!(2, high(i64::from(rs1!() as i32) * i64::from(rs2!()))),
        Code::Mulhu => set!(2, ((u64::from(rs1!()) * u64::from(rs2!())) >> 32) as u32),
        Code::Div => set!(2, divide(rs1!() as i32, rs2!() as i32)),
        Code::Divu => set!(2, rs1!().checked_div(rs2!()).unwrap_or(u32::MAX)),
        Code::Rem => set!(2, remainder(rs1!() as i32, rs2!() as i32)),
        Code::Remu => set!(2, rs1!().checked_rem(rs2!()).unwrap_or(rs1!())),
        Code::Lb => load!(2, |[byte]: [u8; 1]| byte as i8 as u32),
        Code::Lh => load!(2, |half| i16::from_le_bytes(half) as u32),
        Code::Lw => load!(2, u32::from_le_bytes),
        Code::LwS => load!(1, u32::from_le_bytes),
        Code::Lbu => load!(2, |[byte]: [u8; 1]| u32::from(byte)),
        Code::Lhu => load!(2, |half| u32::from(u16::from_le_bytes(half))),
        Code::Sb => store!(2, |value: u32| [value as u8]),
        Code::Sh => store!(2, |value: u32| (value as u16).to_le_bytes()),
        Code::Sw => store!(2, u32::to_le_bytes),
        Code::SwS => store!(1, u32::to_le_bytes),
        Code::Beq => branch!(2, rs1!() == rs2!()),
        Code::BeqS => branch!(1, rs1!() == 0),
        Code::Bne => branch!(2, rs1!() != rs2!()),
        Code::BneS => branch!(1, rs1!() != 0),
        Code::Blt => branch!(2, (rs1!() as i32) < rs2!() as i32),
        Code::Bge => branch!(2, rs1!() as i32 >= rs2!() as i32),
        Code::Bltu => branch!(2, rs1!() < rs2!()),
        Code::Bgeu => branch!(2, rs1!() >= rs2!()),
        Code::Jal => jump!(2, op.imm),
        Code::JalS => jump!(1, op.imm),
        Code::Jalr => jump!(2, rs1!().wrapping_add(op.imm).wrapping_sub(x[BASE]) >> 1),
        Code::JalrS => jump!(1, rs1!().wrapping_sub(x[BASE]) >> 1),
        Code::Fence => slot + 2,
        Code::Empty
        | Code::Illegal
        | Code::Csr
        | Code::Ecall
        | Code::Ebreak
        | Code::EbreakS
        | Code::Mret
        | Code::Wfi => return None,
    })
}

fn high(product: i64) -> u32 {
    (product >> 32) as u32
}

fn divide(dividend: i32, divisor: i32) -> u32 {
    if divisor == 0 {
        return u32::MAX;
    }
    dividend.wrapping_div(divisor) as u32
}

fn remainder(dividend: i32, divisor: i32) -> u32 {
    if divisor == 0 {
        return dividend as u32;
    }
    dividend.wrapping_rem(divisor) as u32
}
