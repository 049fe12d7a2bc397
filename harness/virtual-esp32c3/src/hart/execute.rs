//! The run loop around the inner loop (`chain` or `plain`). A hart, its memory, a bus and a deadline enter; the reason
//! why it stopped leaves. It takes interrupts and exceptions, decodes instructions, and executes those that need more
//! than registers and unmarked memory: CSRs, traps, accesses to peripherals, and stores to memory that is marked.

use super::cause::Cause;
use super::chain::{self, code_of};
use super::cursor::{Cursor, Leave};
use super::decode::{self, Code, Op};
use super::page::PAGE;
use super::plain;
use super::pmp::Access;
use super::privilege::Privilege;
use super::registers::{BASE, SINK, STACK_POINTER};
use super::step::step;
use super::triggers::Action;
use super::{AtEbreak, Exit, Hart, Interpreter};
use crate::bus::{AfterStore, Bus, Width};
use crate::memory::Memory;

/// Whether the caller has checked what the next instruction loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loads {
    /// It has checked the one instruction that is executed.
    Seen,
    /// It has not, so the run ends as soon as loads have to be checked.
    Unseen,
}

/// Runs until something stops the hart. `None` means that each load has to be checked from now on, which this loop does
/// not do.
pub(super) fn run<B: Bus>(hart: &mut Hart, memory: &mut Memory, bus: &mut B, until: u64, loads: Loads) -> Option<Exit> {
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
            return Some(Exit::Wfi);
        }
        if !hart.guards_stack && bus.guards_stack() {
            hart.guard_stack();
        }
        if hart.arm(memory) && loads == Loads::Unseen {
            return (hart.now >= until).then_some(Exit::Deadline);
        }
        if let Some(exit) = run_uninterrupted(hart, memory, bus, until) {
            return Some(exit);
        }
    }
}

/// Runs until something stops the hart. `None` means that interrupts, triggers or decoded code may have changed, so
/// that [`run`] has to check them.
fn run_uninterrupted<B: Bus>(hart: &mut Hart, memory: &mut Memory, bus: &mut B, until: u64) -> Option<Exit> {
    loop {
        if hart.now >= until {
            return Some(Exit::Deadline);
        }
        let base = hart.pc & !(PAGE - 1);
        let Some(page) = hart.code.page(hart.pc) else {
            return trap(hart, Cause::InstructionAccessFault, hart.pc);
        };
        hart.registers[BASE] = base;
        let cursor = Cursor {
            slot: (hart.pc - base) / 2,
            left: until - hart.now,
        };
        let run_page = match hart.interpreter {
            Interpreter::Fast => chain::run,
            Interpreter::Plain => plain::run,
        };
        let (cursor, leave) = run_page(cursor, page, &mut hart.registers, memory);
        hart.pc = base.wrapping_add(cursor.slot << 1);
        hart.now = until - cursor.left;
        let Leave::Whole = leave else { continue };
        let Some(&op) = page.get(cursor.slot as usize) else {
            continue;
        };
        if code_of(op) == Code::Empty {
            match hart.csrs.code_hit(hart.pc) {
                Some(Action::Debug) => return Some(Exit::Trigger),
                Some(Action::Trap) => return take_breakpoint(hart),
                None => {}
            }
            if let Some(address) = hart.protection.denied_fetch(hart.pc, memory) {
                return trap(hart, Cause::InstructionAccessFault, address);
            }
            match decode_at(memory, hart.pc, base) {
                Ok(op) if hart.guards_stack && op.rd == STACK_POINTER => {
                    match move_stack_pointer(hart, memory, bus, op, cursor.slot) {
                        After::Next => {}
                        After::Look => return None,
                        After::Exit(exit) => return Some(exit),
                    }
                }
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

/// Executes the instruction at this slot, which writes the stack pointer, and reports the new value to the stack guard.
fn move_stack_pointer<B: Bus>(hart: &mut Hart, memory: &mut Memory, bus: &mut B, op: Op, slot: u32) -> After {
    let (pc, before) = (hart.pc, hart.registers[usize::from(STACK_POINTER)]);
    let after = match step::<false>(code_of(op), op, slot, &mut hart.registers, memory) {
        Some(next) => {
            hart.pc = hart.registers[BASE].wrapping_add(next << 1);
            hart.now += 1;
            After::Next
        }
        None => execute_whole(hart, memory, bus, op),
    };
    let now = hart.registers[usize::from(STACK_POINTER)];
    if now == before {
        return after;
    }
    bus.stack_pointer(now, pc);
    match after {
        After::Next => After::Look,
        other => other,
    }
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

/// Takes an exception at the hart's pc. It takes a cycle, so that an endless loop of exceptions reaches the deadline.
#[cold]
fn trap(hart: &mut Hart, cause: Cause, value: u32) -> Option<Exit> {
    let machine = hart.csrs.privilege == Privilege::Machine;
    if cause == Cause::InstructionAccessFault && machine && hart.pc == hart.csrs.trap_base() {
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

/// Takes the exception of the load at the hart's pc, which memory protection denies.
#[cold]
pub(super) fn take_load_fault(hart: &mut Hart, address: u32) -> Option<Exit> {
    trap(hart, Cause::LoadAccessFault, address)
}

/// What follows an instruction that was executed here.
enum After {
    /// The next instruction.
    Next,
    /// A check of interrupts, triggers and decoded code, which the instruction may have changed.
    Look,
    /// The end of the run.
    Exit(Exit),
}

/// Executes the instruction at the hart's pc, which needs more than registers and unmarked memory.
fn execute_whole<B: Bus>(hart: &mut Hart, memory: &mut Memory, bus: &mut B, op: Op) -> After {
    let machine = hart.csrs.privilege == Privilege::Machine;
    let raise = |hart: &mut Hart, cause, value| match trap(hart, cause, value) {
        Some(exit) => After::Exit(exit),
        None => After::Look,
    };
    let address = hart.registers[usize::from(op.rs1)].wrapping_add(op.imm);
    match code_of(op) {
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
        Code::Ebreak | Code::EbreakS if hart.at_ebreak == AtEbreak::Stop || hart.csrs.ebreak_halts() => {
            After::Exit(Exit::Breakpoint(hart.pc))
        }
        Code::Ebreak | Code::EbreakS => raise(hart, Cause::Breakpoint, hart.pc),
        _ => raise(hart, Cause::IllegalInstruction, op.imm),
    }
}

/// Loads from a register of a peripheral. `None` is an access fault.
fn device_load<B: Bus>(hart: &mut Hart, memory: &mut Memory, bus: &mut B, op: Op, address: u32) -> Option<After> {
    let width = width(code_of(op));
    let denied = hart.protection.denies(Access::Read, address, width.bytes());
    if denied || !address.is_multiple_of(width.bytes()) {
        return None;
    }
    let value = bus.load(memory, hart.now, address, width).ok()?;
    hart.registers[usize::from(op.rd)] = match code_of(op) {
        Code::Lb => value as i8 as u32,
        Code::Lbu => value & 0xFF,
        Code::Lh => value as i16 as u32,
        Code::Lhu => value & 0xFFFF,
        _ => value,
    };
    retire(hart, code_of(op));
    Some(if memory.has_stale() { After::Look } else { After::Next })
}

/// Stores to a register of a peripheral or to marked memory.
fn slow_store<B: Bus>(hart: &mut Hart, memory: &mut Memory, bus: &mut B, op: Op, address: u32) -> Result<After, Cause> {
    let width = width(code_of(op));
    let value = hart.registers[usize::from(op.rs2)];
    let size = width.bytes();
    match hart.csrs.store_hit(address, size) {
        Some(Action::Debug) => return Ok(After::Exit(Exit::Trigger)),
        Some(Action::Trap) => return Err(Cause::Breakpoint),
        None => {}
    }
    if hart.protection.denies(Access::Write, address, size) {
        return Err(Cause::StoreAccessFault);
    }
    if memory.is_ram(address, width) {
        if !memory.write_marked(address, &value.to_le_bytes()[..size as usize]) {
            return Err(Cause::Breakpoint);
        }
        retire(hart, code_of(op));
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
    retire(hart, code_of(op));
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

/// Moves pc and the clock on after a load or store.
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
    // `csrrs` and `csrrc` with x0 or an immediate of 0 read the register without writing it.
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

/// The instruction word of a CSR operation, which mtval shows when it is illegal.
fn csr_word(op: Op) -> u32 {
    let rd = if op.rd == SINK { 0 } else { op.rd };
    op.imm << 20 | u32::from(op.rs1) << 15 | u32::from(op.rs2) << 12 | u32::from(rd) << 7 | 0x73
}
