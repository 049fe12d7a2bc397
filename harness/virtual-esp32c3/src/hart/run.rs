//! The entry to the run loop: chooses between the fast way and the one that looks at each load.

use super::execute::{self, Loads};
use super::{Exit, Hart, load_watch};
use crate::bus::Bus;
use crate::memory::Memory;

impl Hart {
    /// Executes until the clock stands at `until` or something else stops the hart. An interrupt that the bus presents is
    /// taken on entry, and after instructions that enable interrupts; whoever changes interrupt lines between two runs need
    /// do no more. An entry into a handler takes no time; an instruction that traps takes one cycle.
    pub fn run(&mut self, memory: &mut Memory, bus: &mut impl Bus, until: u64) -> Exit {
        loop {
            let exit = if self.watches_loads() {
                load_watch::run(self, memory, bus, until)
            } else {
                execute::run(self, memory, bus, until, Loads::Unseen)
            };
            if let Some(exit) = exit {
                return exit;
            }
        }
    }
}
