//! The run loop: decoded operations enter, registers and memory change. One match arm an operation.

use super::code::{PAGE, Page};
use super::csr::Privilege;
use super::decode::{self, Code, Op};
use super::triggers::Action;
use super::{Cause, Exit, Hart, Registers};
use crate::bus::{AfterStore, Bus, Width};
use crate::memory::{Memory, Stored};

/// Why the inner loop left a page. It carries nothing, to leave the host's registers to the loop.
enum Leave {
    /// The next instruction lies elsewhere, or the time is over.
    Page,
    /// The instruction at the slot needs more than registers and unmarked memory. It has not been executed.
    Whole,
}

pub(super) fn run<B: Bus>(hart: &mut Hart, memory: &mut Memory, bus: &mut B, until: u64) -> Exit {
    loop {
        if memory.has_stale() {
            hart.code.invalidate(&memory.take_stale());
        }
        if let Some(line) = bus.interrupt() {
            hart.asleep = false;
            if hart.csrs.interrupts_enabled() {
                hart.pc = hart.csrs.enter_trap(Cause::Interrupt(line), 0, hart.pc);
            }
        }
        if hart.asleep {
            return Exit::Wfi;
        }
        if hart.arm_triggers(memory) && until > hart.now + 1 {
            // Whoever runs single instructions looks at loads by itself.
            return Exit::Yield;
        }
        if let Some(exit) = run_uninterrupted(hart, memory, bus, until) {
            return exit;
        }
    }
}

/// Runs until something happens that calls for a look at interrupts, triggers or changed code (`None`), or at the world
/// outside.
fn run_uninterrupted<B: Bus>(hart: &mut Hart, memory: &mut Memory, bus: &mut B, until: u64) -> Option<Exit> {
    loop {
        if hart.now >= until {
            return Some(Exit::Deadline);
        }
        let base = hart.pc & !(PAGE - 1);
        let Some(page) = hart.code.page(hart.pc) else {
            return trap(hart, Cause::InstructionAccessFault, hart.pc);
        };
        let mut cursor = Cursor {
            base,
            slot: (hart.pc - base) / 2,
            left: until - hart.now,
        };
        let leave = run_page(&mut cursor, page, &mut hart.registers, memory);
        hart.pc = base.wrapping_add(cursor.slot << 1);
        hart.now = until - cursor.left;
        let Leave::Whole = leave else { continue };
        let Some(&op) = page.get(cursor.slot as usize) else {
            continue;
        };
        if op.code == Code::Empty {
            match hart.csrs.code_hit(hart.pc) {
                Some(Action::Debug) => return Some(Exit::Trigger),
                Some(Action::Trap) => return take_breakpoint(hart),
                None => {}
            }
            match decode_at(memory, hart.pc, base) {
                Ok(op) => hart.code.keep(hart.pc, op),
                Err(address) => return trap(hart, Cause::InstructionAccessFault, address),
            }
            continue;
        }
        match execute_whole(hart, memory, bus, op) {
            After::Next => {}
            After::Look => return None,
            After::Exit(exit) => return Some(exit),
        }
    }
}

/// Where the inner loop is.
struct Cursor {
    /// Address of the page.
    base: u32,
    /// The next instruction's slot in the page; beyond its end, an instruction elsewhere.
    slot: u32,
    /// Instructions until the deadline.
    left: u64,
}

/// Executes from one page until control leaves it, or comes to an instruction that it cannot execute. The cursor then
/// stands at the next instruction.
#[inline(never)]
fn run_page(cursor: &mut Cursor, page: &Page, x: &mut Registers, memory: &mut Memory) -> Leave {
    let Cursor {
        base,
        mut slot,
        mut left,
    } = *cursor;
    let leave = loop {
        if left == 0 {
            break Leave::Page;
        }
        let Some(&op) = page.get(slot as usize) else {
            break Leave::Page;
        };

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
        // Each operation names its length in slots, so that the next slot does not wait for a load.
        macro_rules! set {
            ($length:literal, $value:expr) => {{
                x[op.rd as usize] = $value;
                slot += $length;
            }};
        }
        macro_rules! branch {
            ($length:literal, $taken:expr) => {
                if $taken {
                    slot = op.imm;
                } else {
                    slot += $length;
                }
            };
        }
        macro_rules! jump {
            ($length:literal, $target:expr) => {{
                let target: u32 = $target;
                x[op.rd as usize] = base.wrapping_add((slot + $length) << 1);
                slot = target;
            }};
        }
        macro_rules! load {
            ($length:literal, $from_bytes:expr) => {{
                let Some(bytes) = memory.read(rs1!().wrapping_add(op.imm)) else {
                    break Leave::Whole;
                };
                set!($length, $from_bytes(bytes));
            }};
        }
        macro_rules! store {
            ($length:literal, $to_bytes:expr) => {{
                let stored = memory.write(rs1!().wrapping_add(op.imm), $to_bytes(rs2!()));
                if stored != Stored::Done {
                    break Leave::Whole;
                }
                slot += $length;
            }};
        }

        match op.code {
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
            Code::Jalr => jump!(2, rs1!().wrapping_add(op.imm).wrapping_sub(base) >> 1),
            Code::JalrS => jump!(1, rs1!().wrapping_sub(base) >> 1),
            Code::Fence => slot += 2,
            Code::Empty
            | Code::Illegal
            | Code::Csr
            | Code::Ecall
            | Code::Ebreak
            | Code::EbreakS
            | Code::Mret
            | Code::Wfi => {
                break Leave::Whole;
            }
        }
        left -= 1;
    };
    cursor.slot = slot;
    cursor.left = left;
    leave
}

#[cold]
fn decode_at(memory: &mut Memory, pc: u32, page: u32) -> Result<Op, u32> {
    let low = memory.fetch(pc).ok_or(pc)?;
    let op = if decode::is_long(low) {
        let next = pc.wrapping_add(2);
        let high = memory.fetch(next).ok_or(next)?;
        decode::decode32(u32::from(high) << 16 | u32::from(low), pc, page)
    } else {
        decode::decode16(low, pc, page)
    };
    memory.mark_code(pc);
    Ok(op)
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

/// Takes an exception at the hart's pc. The attempt takes a cycle, so that a loop of exceptions still ends at the deadline.
#[cold]
fn trap(hart: &mut Hart, cause: Cause, value: u32) -> Option<Exit> {
    if cause == Cause::InstructionAccessFault && hart.pc == hart.csrs.trap_base() {
        return Some(Exit::DoubleTrap);
    }
    hart.pc = hart.csrs.enter_trap(cause, value, hart.pc);
    hart.now += 1;
    None
}

/// Takes the exception of a trigger at the hart's pc.
#[cold]
pub(super) fn take_breakpoint(hart: &mut Hart) -> Option<Exit> {
    trap(hart, Cause::Breakpoint, hart.pc)
}

/// What follows a privileged instruction.
enum After {
    /// The next instruction.
    Next,
    /// A look at interrupts, since they may be enabled now, and at triggers.
    Look,
    Exit(Exit),
}

/// Executes an instruction that needs more than registers and unmarked memory. The hart's pc is at it.
fn execute_whole<B: Bus>(hart: &mut Hart, memory: &mut Memory, bus: &mut B, op: Op) -> After {
    let machine = hart.csrs.privilege == Privilege::Machine;
    let raise = |hart: &mut Hart, cause, value| match trap(hart, cause, value) {
        Some(exit) => After::Exit(exit),
        None => After::Look,
    };
    let address = hart.registers[usize::from(op.rs1)].wrapping_add(op.imm);
    match op.code {
        Code::Lb | Code::Lh | Code::Lw | Code::LwS | Code::Lbu | Code::Lhu => {
            match device_load(hart, memory, bus, op, address) {
                Some(after) => after,
                None => raise(hart, Cause::LoadAccessFault, address),
            }
        }
        Code::Sb | Code::Sh | Code::Sw | Code::SwS => match slow_store(hart, memory, bus, op, address) {
            Ok(after) => after,
            Err(cause) => raise(hart, cause, address),
        },
        Code::Csr => match csr(hart, bus, op) {
            Some(after) => after,
            None => raise(hart, Cause::IllegalInstruction, csr_word(op)),
        },
        Code::Mret if machine => {
            hart.pc = hart.csrs.leave_trap();
            hart.now += 1;
            After::Look
        }
        Code::Wfi if hart.csrs.permits_wfi() => {
            hart.pc = hart.pc.wrapping_add(4);
            hart.now += 1;
            hart.asleep = true;
            After::Look
        }
        Code::Ecall if machine => raise(hart, Cause::EcallFromMachine, 0),
        Code::Ecall => raise(hart, Cause::EcallFromUser, 0),
        Code::Ebreak | Code::EbreakS if hart.stop_at_ebreak || hart.csrs.ebreak_halts() => {
            After::Exit(Exit::Breakpoint(hart.pc))
        }
        Code::Ebreak | Code::EbreakS => raise(hart, Cause::Breakpoint, hart.pc),
        _ => raise(hart, Cause::IllegalInstruction, op.imm),
    }
}

/// Loads from a register of the chip; `None` is an access fault.
fn device_load<B: Bus>(hart: &mut Hart, memory: &mut Memory, bus: &mut B, op: Op, address: u32) -> Option<After> {
    let width = width(op.code);
    if !address.is_multiple_of(width.bytes()) {
        return None;
    }
    let value = bus.load(memory, hart.now, address, width).ok()?;
    hart.registers[usize::from(op.rd)] = match op.code {
        Code::Lb => value as i8 as u32,
        Code::Lbu => value & 0xFF,
        Code::Lh => value as i16 as u32,
        Code::Lhu => value & 0xFFFF,
        _ => value,
    };
    retire(hart, op.code);
    Some(if memory.has_stale() { After::Look } else { After::Next })
}

/// Stores to a register of the chip or to marked memory.
fn slow_store<B: Bus>(hart: &mut Hart, memory: &mut Memory, bus: &mut B, op: Op, address: u32) -> Result<After, Cause> {
    let width = width(op.code);
    let value = hart.registers[usize::from(op.rs2)];
    let size = width.bytes();
    match hart.csrs.store_hit(address, size) {
        Some(Action::Debug) => return Ok(After::Exit(Exit::Trigger)),
        Some(Action::Trap) => return Err(Cause::Breakpoint),
        None => {}
    }
    if memory.is_ram(address, width) {
        if !memory.write_marked(address, &value.to_le_bytes()[..size as usize]) {
            return Err(Cause::Breakpoint);
        }
        retire(hart, op.code);
        return Ok(After::Look);
    }
    if !address.is_multiple_of(width.bytes()) {
        return Err(Cause::StoreAccessFault);
    }
    let value = match width {
        Width::Byte => value & 0xFF,
        Width::Half => value & 0xFFFF,
        Width::Word => value,
    };
    let after = bus
        .store(memory, hart.now, address, width, value)
        .map_err(|_| Cause::StoreAccessFault)?;
    retire(hart, op.code);
    Ok(match after {
        AfterStore::Yield => After::Exit(Exit::Yield),
        AfterStore::Continue if memory.has_stale() => After::Look,
        AfterStore::Continue => After::Next,
    })
}

fn width(code: Code) -> Width {
    match code {
        Code::Lb | Code::Lbu | Code::Sb => Width::Byte,
        Code::Lh | Code::Lhu | Code::Sh => Width::Half,
        _ => Width::Word,
    }
}

/// Goes on after a load or store.
fn retire(hart: &mut Hart, code: Code) {
    let length = if matches!(code, Code::LwS | Code::SwS) { 2 } else { 4 };
    hart.pc = hart.pc.wrapping_add(length);
    hart.now += 1;
}

/// Executes a CSR instruction; `None` if it is illegal.
fn csr<B: Bus>(hart: &mut Hart, bus: &mut B, op: Op) -> Option<After> {
    let number = op.imm as u16;
    let operand = if op.rs2 & 4 == 0 {
        hart.registers[usize::from(op.rs1)]
    } else {
        u32::from(op.rs1)
    };
    // `csrrs` and `csrrc` with x0 or 0 only read.
    let swap = op.rs2 & 3 == 1;
    let writes = swap || op.rs1 != 0;
    if !hart.csrs.permits(number, writes) {
        return None;
    }
    let is_gpio = (0x803..=0x805).contains(&number);
    let old = if is_gpio {
        bus.gpio_csr_read(hart.now, number)
    } else {
        hart.csrs.read(number, hart.now)?
    };
    if writes {
        let new = match op.rs2 & 3 {
            1 => operand,
            2 => old | operand,
            _ => old & !operand,
        };
        if is_gpio {
            bus.gpio_csr_write(hart.now, number, new);
        } else {
            hart.csrs.write(number, new, hart.now);
        }
    }
    hart.registers[usize::from(op.rd)] = old;
    hart.pc = hart.pc.wrapping_add(4);
    hart.now += 1;
    Some(if writes { After::Look } else { After::Next })
}

/// The instruction word of a CSR operation, for mtval.
fn csr_word(op: Op) -> u32 {
    let rd = if op.rd == decode::SINK { 0 } else { op.rd };
    op.imm << 20 | u32::from(op.rs1) << 15 | u32::from(op.rs2) << 12 | u32::from(rd) << 7 | 0x73
}
