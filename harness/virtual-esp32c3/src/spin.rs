//! Finds out whether software is busy waiting, in a loop that only reads the time or a peripheral. A chip enters and
//! executes some instructions; the answer leaves. It knows no board, and no address of any software.
//!
//! The mask ROM's loader waits for a flasher in such a loop, and software without an operating system waits for its
//! UART in one. Only time or input can end the loop, so the board's thread may leave the host's processor to others
//! meanwhile.

use crate::chip::Chip;
use crate::hart::Hart;
use crate::memory::Memory;

/// How many instructions are executed to find out.
const LOOK: usize = 192;
/// The most instructions that a loop may have.
const LOOP: usize = 48;
/// First address of the peripherals.
const PERIPHERALS: u32 = 0x6000_0000;

/// What the next instruction does, as far as it matters for waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It writes to memory or to a peripheral.
    Stores,
    /// It reads the time or a peripheral.
    Asks,
    /// It only uses the hart's registers or reads memory.
    Other,
}

/// Executes [`LOOK`] instructions, and returns whether they were a loop that stores nothing and reads the time or a
/// peripheral each time round.
pub(crate) fn is_spinning(chip: &mut Chip) -> bool {
    if !chip.can_execute() {
        return false;
    }
    let mut seen = Vec::with_capacity(LOOP);
    let mut asked = 0;
    for _ in 0..LOOK {
        match step(chip.hart(), chip.memory()) {
            Step::Stores => return false,
            Step::Asks => asked += 1,
            Step::Other => {}
        }
        let pc = chip.hart().pc();
        if !seen.contains(&pc) {
            if seen.len() == LOOP {
                return false;
            }
            seen.push(pc);
        }
        chip.run(chip.now() + 1);
    }
    // At least one such read in each round of the loop.
    asked * seen.len() >= LOOK
}

fn step(hart: &Hart, memory: &Memory) -> Step {
    const SYSTEM: u32 = 0x73;
    const LOAD: u32 = 0x03;
    const STORE: u32 = 0x23;
    let pc = hart.pc();
    let Some(low) = memory.fetch(pc) else {
        return Step::Other;
    };
    let low = u32::from(low);
    let asks = |asks: bool| if asks { Step::Asks } else { Step::Other };
    // RISC-V unprivileged specification: chapter "RV32/64G Instruction Set Listings", and for two-byte instructions the
    // listings of chapter "C": quadrant in the two lowest bits, function in the three highest.
    match low & 3 {
        0 => match low >> 13 {
            0b010 => {
                let base = hart.register((low >> 7 & 7) as u8 + 8);
                asks(base >= PERIPHERALS)
            }
            0b110 => Step::Stores,
            _ => Step::Other,
        },
        1 => Step::Other,
        2 if low >> 13 == 0b110 => Step::Stores,
        2 => Step::Other,
        _ => {
            let word = low | u32::from(memory.fetch(pc.wrapping_add(2)).unwrap_or(0)) << 16;
            match word & 0x7F {
                STORE => Step::Stores,
                LOAD => {
                    let base = hart.register((word >> 15 & 31) as u8);
                    asks(base.wrapping_add_signed(word as i32 >> 20) >= PERIPHERALS)
                }
                // A CSR that software reads in a waiting loop is a counter: the others do not change by themselves.
                SYSTEM => asks(word >> 12 & 3 != 0),
                _ => Step::Other,
            }
        }
    }
}
