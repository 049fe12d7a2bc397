//! The trait by which the bus talks to every peripheral, and the context that it passes along. Most methods have a
//! default, for peripherals to which they do not apply. This file knows no peripheral.

use super::clocks::{Clocks, Domain};
use super::dma_port::DmaPort;
use super::registers::{self, Registers};
use super::signals::{Inputs, Outputs};
use crate::log::{HardwareEvent, Log, ResetCause};
use crate::memory::Memory;

/// The surroundings of a peripheral during an access, a reset or an update.
pub(crate) struct Context<'a> {
    /// The peripheral's clock, which is that of its [`Domain`], in cycles of the hart.
    pub(crate) now: u64,
    /// The hart's clock, which goes on while the chip sleeps.
    pub(super) time: u64,
    /// For DMA, flash and the MMU.
    pub(crate) memory: &'a mut Memory,
    log: &'a mut Log,
}

impl<'a> Context<'a> {
    /// The context of a peripheral of this domain when the hart's clock stands at `time`.
    pub(super) fn new(domain: Domain, clocks: &Clocks, time: u64, memory: &'a mut Memory, log: &'a mut Log) -> Self {
        Self {
            now: clocks.now(domain, time),
            time,
            memory,
            log,
        }
    }

    /// Reads a register whose function is not modelled, and logs that.
    pub(crate) fn unmodelled_read(&mut self, registers: &Registers, offset: u32) -> u32 {
        self.report(registers.base() + offset, None);
        registers.get(offset)
    }

    /// Writes a register whose function is not modelled, and logs that.
    pub(crate) fn unmodelled_write(&mut self, registers: &mut Registers, offset: u32, value: u32) {
        self.report(registers.base() + offset, Some(value));
        registers.set(offset, value);
    }

    /// Logs an event.
    pub(crate) fn event(&mut self, event: HardwareEvent) {
        self.log.push(self.time, event);
    }

    /// Logs a command that the flash chip does not have, once for each.
    pub(crate) fn once_for_flash_command(&mut self, opcode: u8) {
        // No register has an address like this one.
        self.log
            .push_once(self.time, !u32::from(opcode), || HardwareEvent::UnknownFlashCommand {
                opcode,
            });
    }

    /// Logs an access to a register, or a value in it, that is not modelled, once for each address. `written` is `None`
    /// for a read.
    pub(super) fn report(&mut self, address: u32, written: Option<u32>) {
        self.log.push_once(self.time, address, || HardwareEvent::Unmodelled {
            address,
            register: registers::name(address),
            written,
        });
    }
}

/// What a store to a peripheral may change besides the peripheral with its interrupts and signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nothing.
    Itself,
    /// DMA may have bytes to move.
    Dma,
    /// The instructions that the hart executes, or how it executes them. The hart leaves its run loop.
    Hart,
}

/// One peripheral. Offsets of registers are multiples of four, from the base in the table.
pub(crate) trait Peripheral {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32;

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>);

    /// Returns to the state after a reset.
    fn reset(&mut self, context: &mut Context<'_>);

    /// The domain that it belongs to, by which it is clocked and reset.
    fn domain(&self) -> Domain {
        Domain::Digital
    }

    /// Does what has become due.
    fn update(&mut self, _context: &mut Context<'_>) {}

    /// When the next thing becomes due, on the peripheral's clock.
    fn next_event(&self) -> Option<u64> {
        None
    }

    /// Levels of the peripheral's interrupt sources, the first in bit 0.
    fn interrupts(&self) -> u64 {
        0
    }

    /// Sets the levels of its output signals in the GPIO matrix. Called after every store and update.
    fn drive(&self, _outputs: &mut Outputs) {}

    /// Takes over the levels of its input signals from the GPIO matrix. Called after every store and update.
    fn sense(&mut self, _inputs: &Inputs) {}

    /// Whether a read of this register may change interrupts or signals, as the read of a FIFO does.
    fn read_changes_levels(&self, _offset: u32) -> bool {
        false
    }

    /// What a store to any of its registers may change.
    fn reach(&self) -> Reach {
        Reach::Itself
    }

    /// Moves bytes by DMA: up to [`BUDGET`](super::dma_port::BUDGET) of them, or until the channel has no more or takes
    /// no more. Returns whether it could go on. Called for peripherals that have a `dma` number in the table.
    fn transfer(&mut self, _port: &mut dyn DmaPort) -> bool {
        false
    }

    /// The reset of the chip or the processor that it asks for, once.
    fn take_reset(&mut self) -> Option<ResetCause> {
        None
    }

    /// Whether it asks to wake the chip from light sleep. Asked of peripherals that have a `wake` number in the table.
    fn wakes(&self) -> bool {
        false
    }

    /// The chip falls asleep: the digital clock stops.
    fn sleep(&mut self) {}

    /// The chip wakes: the digital clock goes on.
    fn wake(&mut self) {}

    /// The frequency of the RTC's slow clock, in hertz; 0 if it does not run. Called after every store and update.
    fn set_slow_clock(&mut self, _hz: u64) {}

    /// The level of the signal by which the hart tells that a debugger has halted it.
    fn set_halted(&mut self, _halted: bool, _now: u64) {}
}
