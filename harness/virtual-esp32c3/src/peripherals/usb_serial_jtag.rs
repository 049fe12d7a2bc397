//! The USB serial/JTAG controller's serial port: one packet of 64 bytes each way. Bytes enter from the host and leave to it;
//! it knows no tty. Its JTAG side is not modelled.
//!
//! With no host at the other end nothing ever collects a packet that the software has committed, so the port stays busy.
//! (ESP32-C3 Technical Reference Manual, chapter "USB Serial/JTAG Controller".)

use std::collections::VecDeque;

use super::registers::Registers;
use super::{Context, Peripheral};
use crate::chip::CYCLES_PER_MICROSECOND;

const PACKET: usize = 64;
/// Bytes that the host takes before it leaves packets where they are.
const LINE: usize = 4096;
/// A host starts a frame every millisecond.
const FRAME: u64 = 1000 * CYCLES_PER_MICROSECOND;

const SOF: u32 = 1 << 1;
const SERIAL_OUT_RECV_PKT: u32 = 1 << 2;
const SERIAL_IN_EMPTY: u32 = 1 << 3;
const IN_TOKEN_REC_IN_EP1: u32 = 1 << 8;

#[derive(Debug, Clone)]
pub(crate) struct UsbSerialJtag {
    registers: Registers,
    connected: bool,
    raw: u32,
    /// The packet being written, and whether it is the host's turn.
    to_host: VecDeque<u8>,
    committed: bool,
    /// The packet being read.
    from_host: VecDeque<u8>,
    incoming: VecDeque<u8>,
    outgoing: VecDeque<u8>,
    next_frame: Option<u64>,
}

impl UsbSerialJtag {
    pub(crate) fn new(base: u32, connected: bool) -> Self {
        Self {
            registers: Registers::new(base, 0x84),
            connected,
            raw: SERIAL_IN_EMPTY,
            to_host: VecDeque::new(),
            committed: false,
            from_host: VecDeque::new(),
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            next_frame: connected.then_some(FRAME),
        }
    }

    /// The host sends.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.incoming.extend(bytes);
        self.next_packet();
    }

    /// Bytes that wait at the host.
    pub(crate) fn waiting(&self) -> usize {
        self.incoming.len()
    }

    /// What the host has collected.
    pub(crate) fn outgoing(&mut self) -> &mut VecDeque<u8> {
        &mut self.outgoing
    }

    /// The host collects what is committed, if it has room.
    pub(crate) fn drain(&mut self) {
        if self.committed && self.connected && self.outgoing.len() < LINE {
            self.outgoing.extend(self.to_host.drain(..));
            self.committed = false;
            self.raw |= SERIAL_IN_EMPTY | IN_TOKEN_REC_IN_EP1;
        }
    }

    /// Drops what the host has sent and the chip has not seen.
    pub(crate) fn cut(&mut self) {
        self.incoming.clear();
    }

    fn next_packet(&mut self) {
        if self.from_host.is_empty() && !self.incoming.is_empty() {
            let length = self.incoming.len().min(PACKET);
            self.from_host.extend(self.incoming.drain(..length));
            self.raw |= SERIAL_OUT_RECV_PKT;
        }
    }

    fn commit(&mut self) {
        self.committed = true;
        self.drain();
    }
}

impl Peripheral for UsbSerialJtag {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            0x00 => {
                let byte = self.from_host.pop_front().unwrap_or(0);
                self.next_packet();
                u32::from(byte)
            }
            0x04 => {
                let free = !self.committed && self.to_host.len() < PACKET;
                u32::from(free) << 1 | u32::from(!self.from_host.is_empty()) << 2
            }
            0x08 => self.raw,
            0x0C => self.raw & self.registers.get(0x10),
            0x24 if self.connected => (context.now / FRAME) as u32 & 0x7FF,
            0x24 => 0,
            0x10 | 0x18 | 0x1C | 0x20 | 0x28..=0x48 | 0x80 => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            0x00 => {
                if !self.committed && self.to_host.len() < PACKET {
                    self.to_host.push_back(value as u8);
                    // A full packet goes without being asked.
                    if self.to_host.len() == PACKET {
                        self.commit();
                    }
                }
            }
            0x04 if value & 1 != 0 => self.commit(),
            0x04 | 0x08 | 0x0C => {}
            0x14 => self.raw &= !value,
            0x10 | 0x18 | 0x1C | 0x44 | 0x48 | 0x80 => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _now: u64) {
        self.registers.reset();
        self.raw = SERIAL_IN_EMPTY;
        self.to_host.clear();
        self.committed = false;
        self.from_host.clear();
    }

    fn update(&mut self, now: u64) {
        if self.next_frame.is_some_and(|frame| frame <= now) {
            self.raw |= SOF;
            self.next_frame = Some((now / FRAME + 1) * FRAME);
        }
    }

    fn next_event(&self) -> Option<u64> {
        self.next_frame
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.raw & self.registers.get(0x10) != 0)
    }
}
