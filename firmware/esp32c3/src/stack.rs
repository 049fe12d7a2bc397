//! The main stack's low-water mark, by painting it at boot and looking how much of the paint is left.

use core::ptr;

const PAINT: u32 = 0xA5A5_5A5A;
/// Room above the guard word, which a hardware watchpoint watches, and below the live frames.
const MARGIN: usize = 64;

unsafe extern "C" {
    // From esp-hal's stack.x: the highest address (exclusive) of the main stack and the word that guards its end.
    static _stack_start_cpu0: u32;
    static __stack_chk_guard: u32;
}

/// Lowest address that the stack may use, and the one just above its highest.
pub(crate) fn bounds() -> (usize, usize) {
    (
        (&raw const __stack_chk_guard) as usize + size_of::<u32>(),
        (&raw const _stack_start_cpu0) as usize,
    )
}

/// Paints the unused part of the stack. To be called once, at boot.
pub(crate) fn paint() {
    let here: usize;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mv {}, sp", out(reg) here, options(nomem, nostack)) };
    let mut word = bounds().0 + MARGIN;
    while word < here - MARGIN {
        // SAFETY: the word lies in the stack, below every live frame and above the guard; interrupts use the stack only
        // at and below `sp`, and none is enabled yet.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(word).write_volatile(PAINT) };
        word += size_of::<u32>();
    }
}

/// Bytes of the stack that were ever used since [`paint`].
pub(crate) fn peak() -> usize {
    let (end, start) = bounds();
    let mut word = end + MARGIN;
    // SAFETY: reads words of the main stack, which is always mapped; a racing interrupt could only make it more used.
    while word < start && unsafe { ptr::with_exposed_provenance::<u32>(word).read_volatile() } == PAINT {
        word += size_of::<u32>();
    }
    start - word
}
