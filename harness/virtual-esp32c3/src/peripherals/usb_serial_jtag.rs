//! The serial port of the USB serial/JTAG controller, with one packet of 64 bytes each way. Bytes enter from the host
//! and leave to it. It knows no tty. The JTAG side of the controller is not here but in the debug module.
//!
//! Without a host, the packet that software has committed is never collected, so that the port stays busy, and no frame
//! starts. A host that is plugged in resets the bus first. When software switches its pull-up off, as it does to be
//! enumerated again, the host no longer sees the device.
//! (ESP32-C3 Technical Reference Manual, chapter "USB Serial/JTAG Controller".)

use std::collections::VecDeque;

use super::options::FarEnd;
use super::peripheral::{Context, Peripheral};
use super::registers::{Registers, offsets};
use crate::clock::CYCLES_PER_MICROSECOND;

const PACKET: usize = 64;
/// Bytes that wait for the host at most; the rest stays in its packet.
const LINE: usize = 4096;
/// A host starts a frame every millisecond.
const FRAME: u64 = 1000 * CYCLES_PER_MICROSECOND;

offsets! { USB_DEVICE:
    EP1 = 0x00,
    EP1_CONF = 0x04,
    INT_RAW = 0x08,
    INT_ST = 0x0C,
    INT_ENA = 0x10,
    INT_CLR = 0x14,
    CONF0 = 0x18,
    TEST = 0x1C,
    JFIFO_ST = 0x20,
    FRAM_NUM = 0x24,
    IN_EP0_ST = 0x28,
    IN_EP1_ST = 0x2C,
    IN_EP2_ST = 0x30,
    OUT_EP0_ST = 0x38,
    OUT_EP1_ST = 0x3C,
    OUT_EP2_ST = 0x40,
    MISC_CONF = 0x44,
    MEM_CONF = 0x48,
    DATE = 0x80,
}

const SOF: u32 = 1 << 1;
const SERIAL_OUT_RECV_PKT: u32 = 1 << 2;
const SERIAL_IN_EMPTY: u32 = 1 << 3;
const IN_TOKEN_REC_IN_EP1: u32 = 1 << 8;
const USB_BUS_RESET: u32 = 1 << 9;

/// Bits of EP1_CONF.
const WR_DONE: u32 = 1 << 0;
const SERIAL_IN_EP_DATA_FREE: u32 = 1 << 1;
const SERIAL_OUT_EP_DATA_AVAIL: u32 = 1 << 2;

const PAD_PULL_OVERRIDE: u32 = 1 << 8;
const DP_PULLUP: u32 = 1 << 9;
const USB_PAD_ENABLE: u32 = 1 << 14;

#[derive(Debug, Clone)]
pub(crate) struct UsbSerialJtag {
    registers: Registers,
    /// Whether a host is at the other end of the cable.
    host: FarEnd,
    /// Whether the host sees the device.
    attached: bool,
    raw: u32,
    /// The packet that software writes, and whether it has been committed to the host.
    to_host: VecDeque<u8>,
    committed: bool,
    /// The packet that software reads.
    from_host: VecDeque<u8>,
    /// The number of bytes that it had when it came.
    packet: usize,
    incoming: VecDeque<u8>,
    outgoing: VecDeque<u8>,
    next_frame: Option<u64>,
}

impl UsbSerialJtag {
    pub(crate) fn new(base: u32, host: FarEnd) -> Self {
        let attached = host == FarEnd::Connected;
        Self {
            registers: Registers::new(base, 0x84),
            host,
            attached,
            raw: SERIAL_IN_EMPTY,
            to_host: VecDeque::new(),
            committed: false,
            from_host: VecDeque::new(),
            packet: 0,
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            next_frame: attached.then_some(FRAME),
        }
    }

    /// A host is plugged in or unplugged.
    pub(crate) fn set_host(&mut self, host: FarEnd, now: u64) {
        self.host = host;
        self.attach(now);
    }

    /// Works out whether the host sees the device, and does what follows when that changes.
    fn attach(&mut self, now: u64) {
        let conf0 = self.registers.get(CONF0);
        let pulled_up = conf0 & PAD_PULL_OVERRIDE == 0 || conf0 & DP_PULLUP != 0;
        let attached = self.host == FarEnd::Connected && pulled_up && conf0 & USB_PAD_ENABLE != 0;
        if attached == self.attached {
            return;
        }
        self.attached = attached;
        self.next_frame = attached.then(|| (now / FRAME + 1) * FRAME);
        if attached {
            self.raw |= USB_BUS_RESET;
            self.drain();
            self.next_packet();
        } else {
            self.incoming.clear();
        }
    }

    /// The host sends bytes. They are dropped while the host does not see the device.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        if !self.attached {
            return;
        }
        self.incoming.extend(bytes);
        self.next_packet();
    }

    /// The number of bytes that wait at the host for a packet.
    pub(crate) fn waiting(&self) -> usize {
        self.incoming.len()
    }

    /// The bytes that the host has collected.
    pub(crate) fn outgoing(&mut self) -> &mut VecDeque<u8> {
        &mut self.outgoing
    }

    /// The host collects the committed packet, if it has room.
    pub(crate) fn drain(&mut self) {
        if self.committed && self.attached && self.outgoing.len() < LINE {
            self.outgoing.extend(self.to_host.drain(..));
            self.committed = false;
            self.raw |= SERIAL_IN_EMPTY | IN_TOKEN_REC_IN_EP1;
        }
    }

    /// Drops the bytes that the host has sent and the chip has not taken.
    pub(crate) fn cut(&mut self) {
        self.incoming.clear();
    }

    fn next_packet(&mut self) {
        if self.from_host.is_empty() && !self.incoming.is_empty() {
            let length = self.incoming.len().min(PACKET);
            self.from_host.extend(self.incoming.drain(..length));
            self.packet = length;
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
            EP1 => {
                let byte = self.from_host.pop_front().unwrap_or(0);
                self.next_packet();
                u32::from(byte)
            }
            EP1_CONF => {
                let free = !self.committed && self.to_host.len() < PACKET;
                let available = !self.from_host.is_empty();
                let free = if free { SERIAL_IN_EP_DATA_FREE } else { 0 };
                free | if available { SERIAL_OUT_EP_DATA_AVAIL } else { 0 }
            }
            INT_RAW => self.raw,
            INT_ST => self.raw & self.registers.get(INT_ENA),
            FRAM_NUM if self.attached => (context.now / FRAME) as u32 & 0x7FF,
            FRAM_NUM => 0,
            // The state is idle; above it, where software writes the next byte.
            IN_EP1_ST => (self.to_host.len() as u32) << 2 | 1,
            // The bytes that the host has written, that software has read, and that were received.
            OUT_EP1_ST => {
                let (packet, left) = (self.packet as u32, self.from_host.len() as u32);
                packet << 2 | (packet - left) << 9 | packet << 16
            }
            INT_ENA | CONF0 | TEST | JFIFO_ST | IN_EP0_ST | IN_EP2_ST..=OUT_EP0_ST | OUT_EP2_ST..=MEM_CONF | DATE => {
                self.registers.get(offset)
            }
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            EP1 => {
                if !self.committed && self.to_host.len() < PACKET {
                    self.to_host.push_back(value as u8);
                    // A full packet is committed by itself.
                    if self.to_host.len() == PACKET {
                        self.commit();
                    }
                }
            }
            EP1_CONF if value & WR_DONE != 0 => self.commit(),
            EP1_CONF | INT_RAW | INT_ST => {}
            INT_CLR => self.raw &= !value,
            CONF0 => {
                self.registers.set(offset, value);
                self.attach(context.now);
            }
            INT_ENA | TEST | MISC_CONF | MEM_CONF | DATE => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, context: &mut Context<'_>) {
        self.registers.reset();
        self.raw = SERIAL_IN_EMPTY;
        self.to_host.clear();
        self.committed = false;
        self.from_host.clear();
        self.packet = 0;
        self.attach(context.now);
    }

    fn update(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        if self.next_frame.is_some_and(|frame| frame <= now) {
            self.raw |= SOF;
            self.next_frame = Some((now / FRAME + 1) * FRAME);
        }
    }

    fn read_changes_levels(&self, offset: u32) -> bool {
        offset == EP1
    }

    fn next_event(&self) -> Option<u64> {
        self.next_frame
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.raw & self.registers.get(INT_ENA) != 0)
    }
}
