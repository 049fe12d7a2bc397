//! The hart's entry: chooses between the fast run loop and the one that checks each load. A hart, its memory, a bus and
//! a deadline enter; the reason why it stopped leaves.

use super::execute::{self, Loads};
use super::{Exit, Hart, load_watch};
use crate::bus::Bus;
use crate::memory::Memory;

impl Hart {
    /// Executes until the clock stands at `until`, or until something else stops the hart.
    ///
    /// An interrupt that the bus presents is taken on entry and after instructions that enable interrupts, so the
    /// caller may change interrupt lines between two calls. Entering a handler takes no time. An instruction that traps
    /// takes one cycle.
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
