//! Three functions that call one another, of which the innermost counts for ever. Nothing enters, and only a debugger
//! sees what happens.

#![no_std]
#![no_main]

use core::arch::global_asm;
use core::hint::black_box;

global_asm!(
    ".section .text.start",
    ".global _start",
    "_start:",
    "la sp, _stack_top",
    "li a0, 40",
    // No return address: the stack ends here.
    "li ra, 0",
    "j outermost",
);

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn outermost(start: u32) -> u32 {
    black_box(between(black_box(start) + 1)) + 1
}

#[inline(never)]
fn between(start: u32) -> u32 {
    black_box(innermost(black_box(start) + 1)) + 1
}

#[inline(never)]
fn innermost(start: u32) -> u32 {
    let mut count = start;
    while black_box(count) != 0 {
        count = black_box(count | 1);
    }
    count
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
