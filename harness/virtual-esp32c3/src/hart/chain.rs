//! The fast inner loop. Each operation has a function that executes it and ends by calling the function of the next
//! operation, which the compiler turns into a jump. Operations that often follow each other share a function (a form).
//! Its results are the same as those of `plain`, after every instruction.
//!
//! The compiler does not promise to turn the calls into jumps. At most [`LINKS`] instructions are chained, so that the
//! stack stays small even if it does not.
//!
//! The table of functions is made by macros, since each of its entries is a generic function with other constants
//! (`one`, `two`, `three`). One list gives the table, the sequences to look for, and their numbers, so that they cannot
//! disagree. No function could make it: a constant of a generic cannot be a variable.

use super::cursor::{Cursor, Leave};
use super::decode::{Code, Op};
use super::page::Page;
use super::registers::Registers;
use super::step::step;
use crate::memory::Memory;

/// The most instructions that are executed before the chain returns.
const LINKS: u64 = 2048;
/// Set in the result beside the slot if the instruction there needs more than registers and unmarked memory.
const WHOLE: u64 = 1 << 32;

/// Executes the operation at a slot and those that follow it, at most as many as are left.
type Link = fn(&mut Registers, &Page, &mut Memory, u32, u64, Op) -> End;
/// The slot at which the chain ended, and how many instructions are left.
type End = (u64, u64);

/// Executes instructions of one page until control leaves the page, the deadline is reached, [`LINKS`] instructions are
/// executed, or an instruction needs more than registers and unmarked memory.
#[inline(never)]
pub(super) fn run(cursor: Cursor, page: &Page, x: &mut Registers, memory: &mut Memory) -> (Cursor, Leave) {
    let links = cursor.left.min(LINKS);
    let (end, left) = follow(x, page, memory, cursor.slot, links);
    let leave = if end & WHOLE == 0 { Leave::Page } else { Leave::Whole };
    let cursor = Cursor {
        slot: end as u32,
        left: cursor.left - links + left,
    };
    (cursor, leave)
}

/// The code of an operation by itself, whatever form it has with those that follow.
pub(super) fn code_of(op: Op) -> Code {
    FIRST[op.form as usize]
}

#[inline(always)]
fn follow(x: &mut Registers, page: &Page, memory: &mut Memory, slot: u32, left: u64) -> End {
    match page.get(slot as usize) {
        Some(&op) => LINK[op.form as usize](x, page, memory, slot, left, op),
        None => (u64::from(slot), left),
    }
}

fn one<const A: u8>(x: &mut Registers, page: &Page, memory: &mut Memory, slot: u32, left: u64, op: Op) -> End {
    let Some(after) = left.checked_sub(1) else {
        return (u64::from(slot), left);
    };
    match step::<true>(Code::ALL[A as usize], op, slot, x, memory) {
        Some(next) => follow(x, page, memory, next, after),
        None => far(x, page, memory, slot, left, op),
    }
}

fn two<const A: u8, const B: u8>(
    x: &mut Registers,
    page: &Page,
    memory: &mut Memory,
    slot: u32,
    left: u64,
    op: Op,
) -> End {
    let Some(after) = left.checked_sub(2) else {
        return one::<A>(x, page, memory, slot, left, op);
    };
    let Some(slot) = step::<true>(Code::ALL[A as usize], op, slot, x, memory) else {
        return far(x, page, memory, slot, left, op);
    };
    let Some(&op) = page.get(slot as usize) else {
        return (u64::from(slot), left - 1);
    };
    match step::<true>(Code::ALL[B as usize], op, slot, x, memory) {
        Some(next) => follow(x, page, memory, next, after),
        None => far(x, page, memory, slot, left - 1, op),
    }
}

fn three<const A: u8, const B: u8, const C: u8>(
    x: &mut Registers,
    page: &Page,
    memory: &mut Memory,
    slot: u32,
    left: u64,
    op: Op,
) -> End {
    let Some(after) = left.checked_sub(3) else {
        return two::<A, B>(x, page, memory, slot, left, op);
    };
    let Some(slot) = step::<true>(Code::ALL[A as usize], op, slot, x, memory) else {
        return far(x, page, memory, slot, left, op);
    };
    let Some(&op) = page.get(slot as usize) else {
        return (u64::from(slot), left - 1);
    };
    let Some(slot) = step::<true>(Code::ALL[B as usize], op, slot, x, memory) else {
        return far(x, page, memory, slot, left - 1, op);
    };
    let Some(&op) = page.get(slot as usize) else {
        return (u64::from(slot), left - 2);
    };
    match step::<true>(Code::ALL[C as usize], op, slot, x, memory) {
        Some(next) => follow(x, page, memory, next, after),
        None => far(x, page, memory, slot, left - 2, op),
    }
}

/// Executes an operation on memory that is not near, or leaves it to the run loop. `left` is not zero.
#[cold]
#[inline(never)]
fn far(x: &mut Registers, page: &Page, memory: &mut Memory, slot: u32, left: u64, op: Op) -> End {
    match step::<false>(code_of(op), op, slot, x, memory) {
        Some(next) => follow(x, page, memory, next, left - 1),
        None => (u64::from(slot) | WHOLE, left),
    }
}

/// Leaves an operation to the run loop.
fn none(_: &mut Registers, _: &Page, _: &mut Memory, slot: u32, left: u64, _: Op) -> End {
    let whole = if left > 0 { WHOLE } else { 0 };
    (u64::from(slot) | whole, left)
}

macro_rules! link {
    ($a:ident) => {
        one::<{ Code::$a as u8 }>
    };
    ($a:ident $b:ident) => {
        two::<{ Code::$a as u8 }, { Code::$b as u8 }>
    };
    ($a:ident $b:ident $c:ident) => {
        three::<{ Code::$a as u8 }, { Code::$b as u8 }, { Code::$c as u8 }>
    };
}

macro_rules! forms {
    (one: $($code:ident)*; together: $([$($sequence:ident)*])*) => {
        /// The sequences of operations that share a function. Where one begins like another, the longer one comes
        /// first.
        const TOGETHER: &[&[Code]] = &[$(&[$(Code::$sequence),*]),*];

        static LINK: [Link; 256] = {
            let mut links: [Link; 256] = [none; 256];
            $(links[Code::$code as usize] = link!($code);)*
            let mut form = Code::ALL.len();
            $(
                links[form] = link!($($sequence)*);
                form += 1;
            )*
            assert!(form <= 256);
            links
        };
    };
}

/// The first operation of each form.
static FIRST: [Code; 256] = {
    let mut first = [Code::Illegal; 256];
    let mut form = 0;
    while form < 256 {
        if form < Code::ALL.len() {
            first[form] = Code::ALL[form];
        } else if form - Code::ALL.len() < TOGETHER.len() {
            first[form] = TOGETHER[form - Code::ALL.len()][0];
        }
        form += 1;
    }
    first
};

/// Whether an operation of this code begins such a sequence. Most do not.
const BEGINS: [bool; Code::ALL.len()] = {
    let mut begins = [false; Code::ALL.len()];
    let mut index = 0;
    while index < TOGETHER.len() {
        begins[TOGETHER[index][0] as usize] = true;
        index += 1;
    }
    begins
};

/// The form of the first of these operations, which follow each other.
pub(super) fn form(codes: &[Code; MOST]) -> u8 {
    if !BEGINS[codes[0] as usize] {
        return codes[0] as u8;
    }
    let together = TOGETHER.iter().position(|sequence| codes.starts_with(sequence));
    match together {
        Some(index) => (Code::ALL.len() + index) as u8,
        None => codes[0] as u8,
    }
}

/// The most operations that share a function.
pub(super) const MOST: usize = 3;

forms! {
    one: Li LiS Addi AddiS Slti Sltiu Xori Ori Andi AndiS Slli SlliS Srli SrliS Srai SraiS Add AddS Sub SubS Sll Slt Sltu Xor XorS Srl Sra Or OrS And AndS Mul Mulh Mulhsu Mulhu Div Divu Rem Remu Lb Lh Lw LwS Lbu Lhu Sb Sh Sw SwS Beq BeqS Bne BneS Blt Bge Bltu Bgeu Jal JalS Jalr JalrS Fence;
    together:
    [AddS Sltu AddS]
    [Mulhu Mul AddS]
    [Lw Mulhu Mul]
    [SwS SwS SwS]
    [Lw Lw Lw]
    [LwS LwS LwS]
    [Sltu AddS AddS]
    [AddS AddS Sw]
    [Sw Sw Sw]
    [Add Sltu AddS]
    [Mul AddS Sltu]
    [SlliS AddS Lw]
    [Srli Slli OrS]
    [Srli Slli Or]
    [AddS Sltu]
    [Sltu AddS]
    [Lw Lw]
    [SwS SwS]
    [LwS LwS]
    [Mulhu Mul]
    [Mul AddS]
    [Lw Mulhu]
    [AddS AddS]
    [AddS Sw]
    [Sw Sw]
    [AddS Lw]
    [Add Sltu]
    [Sltu Add]
    [AddiS AddiS]
    [Sw AddiS]
    [SlliS AddS]
    [Sub Sub]
    [AddS Add]
    [Lw AddS]
    [SwS LwS]
    [And OrS]
    [Sltu Sltu]
    [Sub Xori]
    [Addi SlliS]
    [Sw Bne]
    [SrliS SwS]
    [Sw Lw]
    [Add Sw]
    [Sub SraiS]
    [And Or]
    [Or SrliS]
    [Mulhu AddS]
    [Sw AddS]
    [Sltu Sw]
    [AddS Addi]
    [AddS And]
    [SrliS Sw]
    [SraiS AddS]
    [AddiS Sw]
    [LwS Lw]
    [LwS Addi]
    [LwS Sub]
    [Sub Sltu]
    [SraiS And]
    [Xori SraiS]
    [OrS AddS]
    [Lw LwS]
    [AddiS Bne]
    [Sw Mulhu]
    [Mul Bltu]
    [AddS Mul]
    [Sw LiS]
    [AddS Sub]
    [Addi Sub]
    [Xori And]
    [OrS SrliS]
    [Sw Add]
    [Srli Slli]
    [Slli OrS]
    [Slli Or]
    [OrS Srli]
    [Or Srli]
    [LwS AddS]
    [AddS SwS]
    [Xor And]
    [Xor Xor]
    [AddS Xor]
    [And And]
    [Xor Srli]
    [OrS Xor]
    [XorS XorS]
    [Xor AddS]
    [XorS Xor]
    [XorS AddS]
    [XorS Srli]
    [SwS AddS]
    [Srli XorS]
    [Lw Lbu]
    [Add Srli]
    [Xor XorS]
    [AddS XorS]
    [Srli Xor]
    [And XorS]
    [SwS Lw]
    [AddS Srli]
    [Add Add]
    [Or LwS]
    [And Xor]
    [SwS Srli]
    [Srli Or]
    [Slli Srli]
    [Lbu Lw]
    [Xor AndS]
    [AddS LwS]
    [And AddS]
    [OrS SwS]
    [Or Slli]
    [SlliS Or]
    [Lbu SwS]
    [Or SwS]
    [OrS LwS]
    [Add AddS]
    [SlliS SlliS]
    [Srli OrS]
    [XorS LwS]
    [LwS SlliS]
    [AndS Xor]
    [Xor LwS]
    [SlliS OrS]
    [LwS XorS]
}
