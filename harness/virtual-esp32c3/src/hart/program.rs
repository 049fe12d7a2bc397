//! Executes the programs that a debugger hands the hart in debug mode. Machine code enters; the hart's registers and
//! memory change. It knows no debug module.

use super::Hart;
use super::execute::{self, Loads};
use super::exit::{Exit, ProgramError};
use super::privilege::Privilege;
use crate::bus::Bus;
use crate::memory::{Memory, SRAM_CODE};

impl Hart {
    /// Executes a debugger's program in debug mode, up to its `ebreak` or its end, with `limit` instructions at most.
    ///
    /// The program is put into SRAM0 and the contents there are restored afterwards. On the chip that is the memory of
    /// the instruction cache, so it holds no program's data.
    pub(crate) fn run_program(
        &mut self,
        program: &[u32],
        memory: &mut Memory,
        bus: &mut impl Bus,
        limit: u64,
    ) -> Result<(), ProgramError> {
        const EBREAK: u32 = 0x0010_0073;
        let code: Vec<u8> = program
            .iter()
            .chain(&[EBREAK])
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let mut kept = vec![0; code.len()];
        if !(memory.read_bytes(SRAM_CODE, &mut kept) && memory.write_bytes(SRAM_CODE, &code)) {
            return Err(ProgramError::Exception);
        }
        let result = self.run_at(SRAM_CODE, memory, bus, limit);
        memory.write_bytes(SRAM_CODE, &kept);
        result
    }

    fn run_at(&mut self, start: u32, memory: &mut Memory, bus: &mut impl Bus, limit: u64) -> Result<(), ProgramError> {
        let pc = std::mem::replace(&mut self.pc, start);
        self.csrs.debug.fault = false;
        let end = self.now.saturating_add(limit);
        let result = loop {
            // One instruction at a time, since an exception has to end the program before anything else is executed.
            let exit = execute::run(self, memory, bus, self.now + 1, Loads::Seen);
            self.asleep = false;
            if self.csrs.debug.fault || exit == Some(Exit::DoubleTrap) {
                break Err(ProgramError::Exception);
            }
            if matches!(exit, Some(Exit::Breakpoint(_))) {
                break Ok(());
            }
            if self.now >= end {
                break Err(ProgramError::Endless);
            }
        };
        self.pc = pc;
        self.csrs.privilege = Privilege::Machine;
        result
    }
}
