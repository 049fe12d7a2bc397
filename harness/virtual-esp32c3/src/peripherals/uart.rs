//! A UART: FIFOs of 128 bytes, their thresholds and interrupts, the receiver's time-out, baud rate detection. Bytes enter
//! from the line and leave to it; it knows no tty.
//!
//! The line has no speed: what is written to the transmit FIFO leaves at once as long as the far end takes it, and what the
//! far end has sent waits on the line until the receive FIFO has room, so that none is lost. The receiver's time-out follows
//! the baud rate that the software has set.
//! (ESP32-C3 Technical Reference Manual, chapter "UART Controller".)

use std::collections::VecDeque;

use super::registers::Registers;
use super::{Context, Peripheral};

/// Bytes in each FIFO.
const FIFO: usize = 128;
/// Bytes that the far end takes before it pushes back.
const LINE: usize = 4096;
/// Cycles of the hart to one of the UART's source clock, the 40 MHz crystal.
const CYCLES_PER_CLOCK: u64 = 4;

const RXFIFO_FULL: u32 = 1 << 0;
const TXFIFO_EMPTY: u32 = 1 << 1;
const RXFIFO_TOUT: u32 = 1 << 8;
const TX_BRK_IDLE_DONE: u32 = 1 << 13;
const TX_DONE: u32 = 1 << 14;
const WAKEUP: u32 = 1 << 19;

const CONF0_RXFIFO_RST: u32 = 1 << 17;
const CONF0_TXFIFO_RST: u32 = 1 << 18;
const CONF0_LOOPBACK: u32 = 1 << 14;
const CONF0_AUTOBAUD_EN: u32 = 1 << 27;
const CONF1_RX_TOUT_EN: u32 = 1 << 21;

/// The line's rate as baud rate detection sees it: 115200 baud of a 40 MHz clock, less one as the counters count.
const DETECTED_PULSE: u32 = 40_000_000 / 115_200 - 1;

#[derive(Debug, Clone)]
pub(crate) struct Uart {
    registers: Registers,
    connected: bool,
    /// Raw interrupts that stay until they are cleared.
    latched: u32,
    receive: VecDeque<u8>,
    transmit: VecDeque<u8>,
    /// Sent by the far end, not yet in the FIFO.
    incoming: VecDeque<u8>,
    /// Sent to the far end, not yet taken.
    outgoing: VecDeque<u8>,
    /// Sent since it was last asked for, for whoever listens at the same pad.
    emitted: Vec<u8>,
    /// When the receiver times out.
    timeout: Option<u64>,
    /// When the threshold is looked at again after its interrupt was cleared. Not at once: the ROM clears and enables it with
    /// bytes in the FIFO, and is ready for them only some instructions later.
    recheck: Option<u64>,
    /// Edges counted by baud rate detection.
    edges: u32,
    /// Whether the chip sleeps, and the rising edges since then.
    asleep: bool,
    wake_edges: u32,
}

impl Uart {
    /// A UART with its registers at `base`. When nothing is connected, what it sends is gone.
    pub(crate) fn new(base: u32, connected: bool) -> Self {
        Self {
            registers: Registers::new(base, 0x84),
            connected,
            latched: 0,
            receive: VecDeque::new(),
            transmit: VecDeque::new(),
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            emitted: Vec::new(),
            timeout: None,
            recheck: None,
            edges: 0,
            asleep: false,
            wake_edges: 0,
        }
    }

    /// The far end sends. A sleeping chip counts edges and loses the bytes.
    pub(crate) fn receive(&mut self, bytes: &[u8], now: u64) {
        if self.asleep {
            for byte in bytes {
                self.wake_edges = self.wake_edges.saturating_add(edges(*byte) / 2);
            }
            if self.wakes() {
                self.latched |= WAKEUP;
            }
            return;
        }
        self.incoming.extend(bytes);
        self.fill(now);
    }

    /// The chip falls asleep, or wakes.
    pub(crate) fn sleep(&mut self, asleep: bool) {
        if self.asleep != asleep {
            self.asleep = asleep;
            self.wake_edges = 0;
        }
    }

    /// Whether enough edges have come to end light sleep (UART_ACTIVE_THRESHOLD, which counts from three).
    pub(crate) fn wakes(&self) -> bool {
        self.asleep && self.wake_edges >= (self.registers.get(0x38) & 0x3FF) + 3
    }

    /// Bytes that wait on the line.
    pub(crate) fn waiting(&self) -> usize {
        self.incoming.len()
    }

    /// What the far end takes from.
    pub(crate) fn outgoing(&mut self) -> &mut VecDeque<u8> {
        &mut self.outgoing
    }

    /// What has been sent since this was last called.
    pub(crate) fn take_emitted(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.emitted)
    }

    /// Moves on what was held up because the far end took nothing.
    pub(crate) fn drain(&mut self) {
        self.send();
    }

    /// Drops what is on the line, in both directions, as when the chip is held in reset.
    pub(crate) fn cut(&mut self) {
        self.incoming.clear();
    }

    fn raw(&self) -> u32 {
        let mut raw = self.latched;
        let conf1 = self.registers.get(0x24);
        if self.transmit.len() < (conf1 >> 9 & 0x1FF) as usize {
            raw |= TXFIFO_EMPTY;
        }
        raw
    }

    /// Takes from the line what the FIFO has room for.
    fn fill(&mut self, now: u64) {
        let mut arrived = false;
        while self.receive.len() < FIFO {
            let Some(byte) = self.incoming.pop_front() else {
                break;
            };
            if self.registers.get(0x20) & CONF0_AUTOBAUD_EN != 0 {
                self.edges = (self.edges + edges(byte)).min(0x3FF);
            }
            self.receive.push_back(byte);
            arrived = true;
        }
        if arrived {
            self.latch_full();
            self.arm_timeout(now);
        }
    }

    fn latch_full(&mut self) {
        if self.receive.len() >= (self.registers.get(0x24) & 0x1FF).max(1) as usize {
            self.latched |= RXFIFO_FULL;
        }
    }

    /// Cycles of the hart to a bit on the line, at the baud rate that is set.
    fn bit_time(&self) -> u64 {
        u64::from((self.registers.get(0x14) & 0xFFF).max(1)) * CYCLES_PER_CLOCK
    }

    /// Starts the receiver's time-out anew, if there is anything that it could be about.
    fn arm_timeout(&mut self, now: u64) {
        let enabled = self.registers.get(0x24) & CONF1_RX_TOUT_EN != 0;
        let bits = u64::from(self.registers.get(0x60) >> 16 & 0x3FF);
        self.timeout = (enabled && !self.receive.is_empty()).then(|| now + bits * self.bit_time());
    }

    fn send(&mut self) {
        let had_any = !self.transmit.is_empty();
        while self.outgoing.len() < LINE
            && let Some(byte) = self.transmit.pop_front()
        {
            if self.registers.get(0x20) & CONF0_LOOPBACK != 0 {
                self.incoming.push_back(byte);
            } else {
                self.emitted.push(byte);
                if self.connected {
                    self.outgoing.push_back(byte);
                }
            }
        }
        if had_any && self.transmit.is_empty() {
            self.latched |= TX_DONE | TX_BRK_IDLE_DONE;
        }
    }
}

impl Peripheral for Uart {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            0x00 => {
                let byte = self.receive.pop_front().unwrap_or(0);
                self.fill(context.now);
                if self.receive.is_empty() {
                    self.timeout = None;
                }
                u32::from(byte)
            }
            0x04 => self.raw(),
            0x08 => self.raw() & self.registers.get(0x0C),
            // Lines at rest are high.
            0x1C => self.receive.len() as u32 | (self.transmit.len() as u32) << 16 | 0xE000_C000,
            0x28 | 0x2C | 0x70 | 0x74 => {
                if self.edges == 0 {
                    self.registers.get(offset)
                } else {
                    DETECTED_PULSE
                }
            }
            0x30 => self.edges,
            // Receiver and transmitter are idle, since a byte takes no time on the line.
            0x6C => u32::from(!self.transmit.is_empty()) << 4,
            // The update of UART_ID.REG_UPDATE is done as soon as it is asked for.
            0x80 => self.registers.get(offset) & !(1 << 31),
            0x0C | 0x14..=0x60 | 0x78 | 0x7C => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            0x00 => {
                if self.transmit.len() < FIFO {
                    self.transmit.push_back(value as u8);
                }
                self.send();
                self.fill(context.now);
            }
            0x10 => {
                self.latched &= !value;
                if value & RXFIFO_FULL != 0 {
                    self.recheck = Some(context.now + self.bit_time());
                }
                if value & RXFIFO_TOUT != 0 {
                    self.arm_timeout(context.now);
                }
            }
            0x20 => {
                if value & CONF0_RXFIFO_RST != 0 {
                    self.receive.clear();
                    self.timeout = None;
                }
                if value & CONF0_TXFIFO_RST != 0 {
                    self.transmit.clear();
                }
                let changed = self.registers.get(offset) ^ value;
                if changed & value & CONF0_AUTOBAUD_EN != 0 {
                    self.edges = 0;
                }
                self.registers.set(offset, value);
                if changed & CONF0_RXFIFO_RST != 0 {
                    self.fill(context.now);
                }
            }
            0x24 => {
                let changed = self.registers.get(offset) ^ value;
                self.registers.set(offset, value);
                if changed & CONF1_RX_TOUT_EN != 0 {
                    self.arm_timeout(context.now);
                }
            }
            // Read-only.
            0x04 | 0x08 | 0x1C | 0x28..=0x30 | 0x64..=0x74 => {}
            0x0C | 0x14 | 0x18 | 0x34..=0x60 | 0x78..=0x80 => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _now: u64) {
        self.registers.reset();
        self.latched = 0;
        self.receive.clear();
        self.transmit.clear();
        self.timeout = None;
        self.recheck = None;
        self.edges = 0;
    }

    fn update(&mut self, now: u64) {
        if self.timeout.is_some_and(|timeout| timeout <= now) {
            self.timeout = None;
            self.latched |= RXFIFO_TOUT;
        }
        if self.recheck.is_some_and(|recheck| recheck <= now) {
            self.recheck = None;
            self.latch_full();
        }
    }

    fn next_event(&self) -> Option<u64> {
        [self.timeout, self.recheck].into_iter().flatten().min()
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.raw() & self.registers.get(0x0C) != 0)
    }
}

/// Changes of level of a byte on the line: start bit, eight bits, stop bit, from an idle line.
fn edges(byte: u8) -> u32 {
    let frame = u32::from(byte) << 1 | 1 << 9;
    (((frame << 1 | 1) ^ frame) & 0x3FF).count_ones()
}
