//! The DMA controller (GDMA): three pairs of channels that walk linked lists of descriptors in SRAM1. Stores and bytes
//! from peripherals enter; bytes for peripherals and interrupts leave. It knows no peer: the peripheral that a channel
//! is joined to takes and gives bytes through a port. A pair in memory-to-memory mode copies by itself.
//! (ESP32-C3 Technical Reference Manual, chapter "GDMA Controller".)
//!
//! Channels have no FIFOs here. Bytes are fetched when the peer takes them; OUTFIFO_STATUS shows the bytes that would
//! wait.

use super::dma_port::{BUDGET, DmaPort, Part, Taken};
use super::peripheral::{Context, Peripheral, Reach};
use super::registers::{Registers, offsets};
use crate::bus::Width;
use crate::memory::{Memory, SRAM_DATA};

const CHANNELS: usize = 3;
/// Cycles that [`BUDGET`] bytes take, at four bytes a cycle. Longer transfers go on after this time.
const PAUSE: u64 = BUDGET as u64 / 4;
/// Bytes that memory-to-memory mode copies in one burst.
const BURST: usize = 64;
/// Descriptors without bytes that a channel passes over in one go, so that a list that leads back to itself ends.
const EMPTY_IN_A_ROW: usize = 64;

const IN_DONE: u32 = 1 << 0;
const IN_SUC_EOF: u32 = 1 << 1;
const OUT_DONE: u32 = 1 << 3;
const OUT_EOF: u32 = 1 << 4;
const IN_DSCR_ERR: u32 = 1 << 5;
const OUT_DSCR_ERR: u32 = 1 << 6;
const IN_DSCR_EMPTY: u32 = 1 << 7;
const OUT_TOTAL_EOF: u32 = 1 << 8;

offsets! { DMA:
    INT_CH0_RAW = 0x00,
    INT_CH0_ST = 0x04,
    INT_CH0_ENA = 0x08,
    INT_CH0_CLR = 0x0C,
    INT_CH1_RAW = 0x10,
    INT_CH2_CLR = 0x2C,
    AHB_TEST = 0x40,
    DATE = 0x48,
    CH0_IN_CONF0 = 0x70,
    CH0_OUT_CONF0 = 0xD0,
    CH1_IN_CONF0 = 0x130,
}
/// Bytes from the interrupt registers of one pair to those of the next, from one pair's channels to the next's, and
/// from a pair's inward channel to its outward one.
const INTERRUPT_STRIDE: u32 = INT_CH1_RAW - INT_CH0_RAW;
const PAIR_STRIDE: u32 = CH1_IN_CONF0 - CH0_IN_CONF0;
const OUTWARD: u32 = CH0_OUT_CONF0 - CH0_IN_CONF0;
/// The interrupts of a pair: bits 0 to 12.
const INTERRUPTS: u32 = 0x1FFF;

/// Registers of a channel, counted from its CONF0. They are the same in both directions.
const CONF0: u32 = 0x00;
const CONF1: u32 = 0x04;
const FIFO_STATUS: u32 = 0x08;
const FIFO_ACCESS: u32 = 0x0C;
const LINK: u32 = 0x10;
const STATE: u32 = 0x14;
const EOF_ADDRESS: u32 = 0x18;
const OTHER_EOF_ADDRESS: u32 = 0x1C;
const DSCR: u32 = 0x20;
const DSCR_BF0: u32 = 0x24;
const DSCR_BF1: u32 = 0x28;
const PRIORITY: u32 = 0x2C;
const PERI_SEL: u32 = 0x30;

const PERI_SEL_MASK: u32 = 0x3F;
const CONF0_RESET: u32 = 1 << 0;
/// OUT_AUTO_WRBACK and MEM_TRANS_EN.
const CONF0_OUT_WRITE_BACK: u32 = 1 << 2;
const CONF0_IN_MEMORY: u32 = 1 << 4;
const CONF1_CHECK_OWNER: u32 = 1 << 12;
const LINK_ADDRESS: u32 = 0xF_FFFF;

/// First word of a descriptor.
const OWNER_DMA: u32 = 1 << 31;
const SUC_EOF: u32 = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// How far a channel has come in its list.
#[derive(Debug, Clone, Default)]
struct Link {
    running: bool,
    /// The address of the next descriptor; zero at the end of the list.
    next: u32,
    current: Option<Descriptor>,
    /// Bytes of the current descriptor that have been moved.
    done: u32,
}

#[derive(Debug, Clone, Copy)]
struct Descriptor {
    address: u32,
    flags: u32,
    buffer: u32,
    next: u32,
}

impl Descriptor {
    fn size(self) -> u32 {
        self.flags & 0xFFF
    }

    fn length(self) -> u32 {
        self.flags >> 12 & 0xFFF
    }
}

/// Bytes on their way between the two channels of a pair in memory-to-memory mode.
#[derive(Debug, Clone, Default)]
struct Carried {
    bytes: Vec<u8>,
    part: Part,
}

#[derive(Debug, Clone)]
pub(crate) struct Gdma {
    registers: Registers,
    /// The numbers of the peripherals that have DMA here, as in IN_PERI_SEL and OUT_PERI_SEL.
    peers: &'static [u32],
    raw: [u32; CHANNELS],
    inward: [Link; CHANNELS],
    outward: [Link; CHANNELS],
    carried: [Carried; CHANNELS],
    /// When transfers go on that could not be finished in one go.
    resumes: Option<u64>,
}

/// The port of one peripheral, for one go.
pub(crate) struct Port<'a> {
    gdma: &'a mut Gdma,
    peer: u32,
    memory: &'a mut Memory,
}

impl DmaPort for Port<'_> {
    fn take(&mut self, into: &mut [u8]) -> Taken {
        match self.gdma.channel(self.peer, Direction::Out) {
            Some(channel) => self.gdma.fetch(channel, self.memory, into),
            None => Taken::default(),
        }
    }

    fn give(&mut self, from: &[u8], part: Part) -> usize {
        match self.gdma.channel(self.peer, Direction::In) {
            Some(channel) => self.gdma.store(channel, self.memory, from, part),
            None => 0,
        }
    }
}

impl Gdma {
    pub(crate) fn new(base: u32, peers: &'static [u32]) -> Self {
        Self {
            registers: Registers::new(base, 0x400),
            peers,
            raw: [0; CHANNELS],
            inward: Default::default(),
            outward: Default::default(),
            carried: Default::default(),
            resumes: None,
        }
    }

    /// The port of a peripheral.
    pub(crate) fn port<'a>(&'a mut self, peer: u32, memory: &'a mut Memory) -> Port<'a> {
        Port {
            gdma: self,
            peer,
            memory,
        }
    }

    /// Copies up to [`BUDGET`] bytes for each pair in memory-to-memory mode. Returns whether any could go on.
    pub(crate) fn copy(&mut self, memory: &mut Memory) -> bool {
        let mut left = false;
        for channel in 0..CHANNELS {
            if self.copies(channel) {
                left |= self.copy_channel(channel, memory);
            }
        }
        left
    }

    /// Ends a go at `now`: transfers that could go on do so after a pause. `None` if there are none.
    pub(crate) fn pause(&mut self, now: Option<u64>) {
        self.resumes = now.map(|now| now + PAUSE);
    }

    /// Whether the time has come for transfers to go on.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.resumes.is_some_and(|at| at <= now)
    }

    fn copy_channel(&mut self, channel: usize, memory: &mut Memory) -> bool {
        let mut carried = std::mem::take(&mut self.carried[channel]);
        let mut copied = 0;
        let left = loop {
            if !carried.bytes.is_empty() {
                let stored = self.store(channel, memory, &carried.bytes, carried.part);
                carried.bytes.drain(..stored);
                copied += stored;
                if !carried.bytes.is_empty() {
                    break false;
                }
            }
            if copied >= BUDGET {
                break true;
            }
            let mut burst = [0; BURST];
            let taken = self.fetch(channel, memory, &mut burst);
            if taken.bytes == 0 {
                break false;
            }
            carried.bytes.extend_from_slice(&burst[..taken.bytes]);
            carried.part = taken.part;
        };
        self.carried[channel] = carried;
        left
    }

    /// The running channel that is joined to a peripheral.
    fn channel(&self, peer: u32, direction: Direction) -> Option<usize> {
        (0..CHANNELS).find(|&channel| {
            self.link(channel, direction).running
                && !self.copies(channel)
                && self.get(channel, direction, PERI_SEL) & PERI_SEL_MASK == peer
        })
    }

    fn copies(&self, channel: usize) -> bool {
        self.get(channel, Direction::In, CONF0) & CONF0_IN_MEMORY != 0
    }

    fn fetch(&mut self, channel: usize, memory: &mut Memory, into: &mut [u8]) -> Taken {
        let mut taken = Taken::default();
        let mut empty = 0;
        while taken.bytes < into.len() && empty < EMPTY_IN_A_ROW {
            let Some(descriptor) = self.load(channel, Direction::Out, memory) else {
                break;
            };
            let done = self.outward[channel].done;
            let count = (descriptor.length().saturating_sub(done) as usize).min(into.len() - taken.bytes);
            let part = &mut into[taken.bytes..taken.bytes + count];
            if !memory.read_bytes(descriptor.buffer + done, part) {
                self.fail(channel, Direction::Out);
                break;
            }
            empty = if count == 0 { empty + 1 } else { 0 };
            taken.bytes += count;
            self.outward[channel].done += count as u32;
            if self.outward[channel].done >= descriptor.length() {
                self.finish_out(channel, descriptor, memory);
                if descriptor.flags & SUC_EOF != 0 && taken.bytes != 0 {
                    taken.part = Part::Last;
                    break;
                }
            }
        }
        taken
    }

    fn finish_out(&mut self, channel: usize, descriptor: Descriptor, memory: &mut Memory) {
        self.raw[channel] |= OUT_DONE;
        if self.get(channel, Direction::Out, CONF0) & CONF0_OUT_WRITE_BACK != 0 {
            memory.store(descriptor.address, Width::Word, descriptor.flags & !OWNER_DMA);
        }
        if descriptor.flags & SUC_EOF != 0 {
            self.raw[channel] |= OUT_EOF;
            self.set(channel, Direction::Out, EOF_ADDRESS, descriptor.address);
            let before = self.get(channel, Direction::Out, DSCR_BF0);
            self.set(channel, Direction::Out, OTHER_EOF_ADDRESS, before);
        }
        if self.advance(channel, Direction::Out, descriptor) {
            self.raw[channel] |= OUT_TOTAL_EOF;
            self.outward[channel].running = false;
        }
    }

    fn store(&mut self, channel: usize, memory: &mut Memory, from: &[u8], part: Part) -> usize {
        let mut stored = 0;
        while stored < from.len() {
            let Some(descriptor) = self.load(channel, Direction::In, memory) else {
                break;
            };
            let done = self.inward[channel].done;
            let count = (descriptor.size().saturating_sub(done) as usize).min(from.len() - stored);
            if !memory.write_bytes(descriptor.buffer + done, &from[stored..stored + count]) {
                self.fail(channel, Direction::In);
                break;
            }
            stored += count;
            let done = done + count as u32;
            self.inward[channel].done = done;
            let part = if stored == from.len() { part } else { Part::Inner };
            if part == Part::Last || done >= descriptor.size() {
                self.finish_in(channel, descriptor, part, memory);
            }
        }
        stored
    }

    fn finish_in(&mut self, channel: usize, descriptor: Descriptor, part: Part, memory: &mut Memory) {
        self.raw[channel] |= IN_DONE;
        let flags = descriptor.size() | self.inward[channel].done << 12 | if part == Part::Last { SUC_EOF } else { 0 };
        memory.store(descriptor.address, Width::Word, flags);
        if part == Part::Last {
            self.raw[channel] |= IN_SUC_EOF;
            self.set(channel, Direction::In, EOF_ADDRESS, descriptor.address);
        }
        // A list without room is an error only when there are more bytes to store.
        self.advance(channel, Direction::In, descriptor);
    }

    /// Goes to the next descriptor. Returns whether the list has ended.
    fn advance(&mut self, channel: usize, direction: Direction, descriptor: Descriptor) -> bool {
        let link = self.link_mut(channel, direction);
        link.current = None;
        link.done = 0;
        link.next = descriptor.next;
        descriptor.next == 0
    }

    /// The descriptor that the channel works on, loaded if necessary. Returns `None` if the channel does not run. At
    /// the end of its list and at a wrong descriptor it stops.
    fn load(&mut self, channel: usize, direction: Direction, memory: &Memory) -> Option<Descriptor> {
        let link = self.link(channel, direction);
        if !link.running || link.current.is_some() {
            return link.current.filter(|_| link.running);
        }
        let address = link.next;
        if address == 0 {
            if direction == Direction::In {
                self.raw[channel] |= IN_DSCR_EMPTY;
            }
            self.link_mut(channel, direction).running = false;
            return None;
        }
        let Some(descriptor) = read(memory, address).filter(|&it| self.accepts(channel, direction, it)) else {
            self.fail(channel, direction);
            return None;
        };
        let before = self.get(channel, direction, DSCR_BF0);
        self.set(channel, direction, DSCR_BF1, before);
        let before = self.get(channel, direction, DSCR);
        self.set(channel, direction, DSCR_BF0, before);
        self.set(channel, direction, DSCR, address);
        self.link_mut(channel, direction).current = Some(descriptor);
        Some(descriptor)
    }

    fn accepts(&self, channel: usize, direction: Direction, descriptor: Descriptor) -> bool {
        let checks_owner = self.get(channel, direction, CONF1) & CONF1_CHECK_OWNER != 0;
        let bytes = match direction {
            Direction::In => descriptor.size(),
            Direction::Out => descriptor.length(),
        };
        let owned = !checks_owner || descriptor.flags & OWNER_DMA != 0;
        // A descriptor without room could never be filled.
        let has_room = direction == Direction::Out || bytes != 0;
        owned && has_room && (bytes == 0 || in_sram1(descriptor.buffer, bytes))
    }

    fn fail(&mut self, channel: usize, direction: Direction) {
        self.raw[channel] |= match direction {
            Direction::In => IN_DSCR_ERR,
            Direction::Out => OUT_DSCR_ERR,
        };
        *self.link_mut(channel, direction) = Link::default();
    }

    /// Does what the command bits of a store to IN_LINK or OUT_LINK say. The hardware clears these bits.
    fn command(&mut self, channel: usize, direction: Direction, value: u32, memory: &Memory) {
        // IN_LINK has one more bit, AUTO_RET, below the three commands.
        let commands = value >> if direction == Direction::In { 21 } else { 20 };
        let last = self.get(channel, direction, DSCR);
        let link = self.link_mut(channel, direction);
        if commands & 1 != 0 {
            link.running = false;
        }
        if commands & 1 << 1 != 0 {
            *link = Link {
                running: true,
                next: SRAM_DATA & !LINK_ADDRESS | value & LINK_ADDRESS,
                ..Link::default()
            };
        }
        if commands & 1 << 2 != 0 {
            link.running = true;
            if link.current.is_none() && link.next == 0 {
                // Software may have appended descriptors to the last one.
                link.next = read(memory, last).map_or(0, |descriptor| descriptor.next);
            }
        }
    }

    /// Logs a channel that is started for a peripheral without DMA here.
    fn report_peer(&self, channel: usize, direction: Direction, context: &mut Context<'_>) {
        const NONE: u32 = 0x3F;
        let peer = self.get(channel, direction, PERI_SEL) & PERI_SEL_MASK;
        if peer != NONE && !self.peers.contains(&peer) && !self.copies(channel) {
            let address = self.registers.base() + offset_of(channel, direction, PERI_SEL);
            context.report(address, Some(peer));
        }
    }

    /// OUTFIFO_STATUS or INFIFO_STATUS: the number of bytes in the FIFO, and whether it is empty.
    fn fifo_status(&self, channel: usize, direction: Direction, memory: &Memory) -> u32 {
        const EMPTY: u32 = 1 << 1;
        const REMAINS_UNDER: u32 = 0x0780_0000;
        let link = self.link(channel, direction);
        let waiting = if direction == Direction::In || !link.running {
            0
        } else {
            let descriptor = link.current.or_else(|| read(memory, link.next));
            let length = descriptor.map_or(0, Descriptor::length);
            length.saturating_sub(link.done).min(BURST as u32 - 1)
        };
        REMAINS_UNDER | waiting << 2 | if waiting == 0 { EMPTY } else { 0 }
    }

    fn link(&self, channel: usize, direction: Direction) -> &Link {
        match direction {
            Direction::In => &self.inward[channel],
            Direction::Out => &self.outward[channel],
        }
    }

    fn link_mut(&mut self, channel: usize, direction: Direction) -> &mut Link {
        match direction {
            Direction::In => &mut self.inward[channel],
            Direction::Out => &mut self.outward[channel],
        }
    }

    /// The interrupts of a pair that software has enabled.
    fn enabled(&self, channel: usize) -> u32 {
        self.registers.get(INT_CH0_ENA + INTERRUPT_STRIDE * channel as u32)
    }

    fn get(&self, channel: usize, direction: Direction, register: u32) -> u32 {
        self.registers.get(offset_of(channel, direction, register))
    }

    fn set(&mut self, channel: usize, direction: Direction, register: u32, value: u32) {
        self.registers.set(offset_of(channel, direction, register), value);
    }
}

/// Offset of a channel's register.
fn offset_of(channel: usize, direction: Direction, register: u32) -> u32 {
    let half = if direction == Direction::In { 0 } else { OUTWARD };
    CH0_IN_CONF0 + PAIR_STRIDE * channel as u32 + half + register
}

/// The channel, direction and register at an offset.
fn decode(offset: u32) -> Option<(usize, Direction, u32)> {
    let from_first = offset.checked_sub(CH0_IN_CONF0)?;
    let (channel, register) = ((from_first / PAIR_STRIDE) as usize, from_first % PAIR_STRIDE);
    let (direction, register) = match register.checked_sub(OUTWARD) {
        Some(register) => (Direction::Out, register),
        None => (Direction::In, register),
    };
    (channel < CHANNELS && register <= PERI_SEL).then_some((channel, direction, register))
}

fn read(memory: &Memory, address: u32) -> Option<Descriptor> {
    let word = |n: u32| memory.load(address + 4 * n, Width::Word);
    if !address.is_multiple_of(4) || !in_sram1(address, 12) {
        return None;
    }
    Some(Descriptor {
        address,
        flags: word(0)?,
        buffer: word(1)?,
        next: word(2)?,
    })
}

/// Whether these bytes lie in SRAM1 at its addresses on the data bus, which is all that the controller reaches.
fn in_sram1(address: u32, bytes: u32) -> bool {
    const SIZE: u32 = 0x6_0000;
    let offset = address.wrapping_sub(SRAM_DATA);
    offset < SIZE && bytes <= SIZE - offset
}

impl Peripheral for Gdma {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        let channel = (offset / INTERRUPT_STRIDE) as usize;
        match offset {
            INT_CH0_RAW..=INT_CH2_CLR => match offset % INTERRUPT_STRIDE {
                INT_CH0_RAW => self.raw[channel],
                INT_CH0_ST => self.raw[channel] & self.enabled(channel),
                INT_CH0_ENA => self.enabled(channel),
                _ => 0,
            },
            AHB_TEST..=DATE => self.registers.get(offset),
            _ => match decode(offset) {
                Some((channel, direction, FIFO_STATUS)) => self.fifo_status(channel, direction, context.memory),
                Some((channel, direction, LINK)) => {
                    let idle = if direction == Direction::In { 1 << 24 } else { 1 << 23 };
                    let running = self.link(channel, direction).running;
                    self.registers.get(offset) & !idle | if running { 0 } else { idle }
                }
                Some((channel, direction, STATE)) => self.get(channel, direction, DSCR) & 0x3_FFFF,
                Some((_, _, FIFO_ACCESS)) => context.unmodelled_read(&self.registers, offset),
                Some(_) => self.registers.get(offset),
                None => context.unmodelled_read(&self.registers, offset),
            },
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        let channel = (offset / INTERRUPT_STRIDE) as usize;
        match offset {
            INT_CH0_RAW..=INT_CH2_CLR => match offset % INTERRUPT_STRIDE {
                INT_CH0_ENA => self.registers.set(offset, value & INTERRUPTS),
                INT_CH0_CLR => self.raw[channel] &= !value,
                _ => {}
            },
            AHB_TEST..=DATE => self.registers.set(offset, value),
            _ => match decode(offset) {
                Some((channel, direction, CONF0)) => {
                    self.registers.set(offset, value);
                    if value & CONF0_RESET != 0 {
                        *self.link_mut(channel, direction) = Link::default();
                        self.carried[channel] = Carried::default();
                    }
                }
                Some((channel, direction, LINK)) => {
                    let commands = if direction == Direction::In { 7 << 21 } else { 7 << 20 };
                    self.registers.set(offset, value & !commands);
                    if value & commands != 0 {
                        self.command(channel, direction, value, context.memory);
                        if self.link(channel, direction).running {
                            self.report_peer(channel, direction, context);
                        }
                    }
                }
                Some((_, _, CONF1 | PRIORITY | PERI_SEL)) => self.registers.set(offset, value),
                Some((_, _, FIFO_ACCESS)) | None => context.unmodelled_write(&mut self.registers, offset, value),
                // The rest is read-only.
                Some(_) => {}
            },
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        *self = Self::new(self.registers.base(), self.peers);
    }

    fn reach(&self) -> Reach {
        Reach::Dma
    }

    fn next_event(&self) -> Option<u64> {
        self.resumes
    }

    fn interrupts(&self) -> u64 {
        (0..CHANNELS).fold(0, |levels, channel| {
            levels | u64::from(self.raw[channel] & self.enabled(channel) != 0) << channel
        })
    }
}
