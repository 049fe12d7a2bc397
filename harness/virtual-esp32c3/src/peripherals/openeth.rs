//! The OpenCores Ethernet MAC, which Espressif's emulator has too and the chip has not. Stores and frames enter; frames
//! and an interrupt leave. Frames have no check sequence here, and are in the chip's RAM. It knows no network.
//! (Ethernet IP Core Specification, OpenCores, rev. 1.19.)

use std::collections::VecDeque;

use super::peripheral::{Context, Peripheral};
use super::registers::Registers;
use crate::memory::Memory;

/// Bytes of registers, and where the descriptors begin and end.
const REGISTERS: u32 = 0x54;
const DESCRIPTORS: u32 = 0x400;
const DESCRIPTORS_END: u32 = DESCRIPTORS + 8 * COUNT as u32;
const COUNT: usize = 128;
/// Frames that wait at most for an empty descriptor: more than the windows of a few connections hold, even where each
/// frame carries a few bytes only.
const WIRE: usize = 4096;
/// Bytes of a frame check sequence. The length of a received frame includes them.
const FCS: u32 = 4;
const MINIMUM: usize = 60;
const MAXIMUM: usize = 1518;

const MODER_RXEN: u32 = 1 << 0;
const MODER_TXEN: u32 = 1 << 1;
const MODER_BRO: u32 = 1 << 3;
const MODER_PRO: u32 = 1 << 5;
const MODER_LOOPBCK: u32 = 1 << 7;
const MODER_RST: u32 = 1 << 11;
const MODER_PAD: u32 = 1 << 15;
const INT_TXB: u32 = 1 << 0;
const INT_RXB: u32 = 1 << 2;
const INT_BUSY: u32 = 1 << 4;

/// READY of a transmit descriptor, EMPTY of a receive descriptor.
const BD_OWNED: u32 = 1 << 15;
const BD_IRQ: u32 = 1 << 14;
const BD_WRAP: u32 = 1 << 13;
const BD_PAD: u32 = 1 << 12;

const MODER: u32 = 0x00;
const INT_SOURCE: u32 = 0x04;
const INT_MASK: u32 = 0x08;
const IPGT: u32 = 0x0C;
const IPGR1: u32 = 0x10;
const IPGR2: u32 = 0x14;
const PACKETLEN: u32 = 0x18;
const COLLCONF: u32 = 0x1C;
const TX_BD_NUM: u32 = 0x20;
const MIIMODER: u32 = 0x28;
const MIICOMMAND: u32 = 0x2C;
const MIIADDRESS: u32 = 0x30;
const MIIRX_DATA: u32 = 0x38;
const MIISTATUS: u32 = 0x3C;
const MAC_ADDR0: u32 = 0x40;
const MAC_ADDR1: u32 = 0x44;
const ETH_HASH0: u32 = 0x48;
const ETH_HASH1: u32 = 0x4C;
const ETH_TXCTRL: u32 = 0x50;
const RSTAT: u32 = 1 << 1;

/// Registers that are not zero after reset.
const AFTER_RESET: [(u32, u32); 8] = [
    (MODER, 0xA000),
    (IPGT, 0x12),
    (IPGR1, 0x0C),
    (IPGR2, 0x12),
    (PACKETLEN, 0x0040_0600),
    (COLLCONF, 0x000F_003F),
    (TX_BD_NUM, 0x40),
    (MIIMODER, 0x64),
];

#[derive(Debug, Clone)]
pub(crate) struct OpenEth {
    registers: Registers,
    /// The two words of each descriptor: length and flags, and the address of the buffer.
    descriptors: Box<[[u32; 2]]>,
    transmit: usize,
    receive: usize,
    outgoing: VecDeque<Vec<u8>>,
    /// Frames that wait for an empty descriptor. Only frames that come while the receiver is on can wait.
    incoming: VecDeque<Vec<u8>>,
}

impl OpenEth {
    pub(crate) fn new(base: u32) -> Self {
        let mut mac = Self {
            registers: Registers::new(base, REGISTERS),
            descriptors: vec![[0; 2]; COUNT].into(),
            transmit: 0,
            receive: 0,
            outgoing: VecDeque::new(),
            incoming: VecDeque::new(),
        };
        mac.restart();
        mac
    }

    /// Brings all but the descriptors to their state after a reset.
    fn restart(&mut self) {
        self.registers.reset();
        for (offset, value) in AFTER_RESET {
            self.registers.set(offset, value);
        }
        self.transmit = 0;
        self.receive = 0;
        self.incoming.clear();
    }

    /// A frame arrives. It is lost if the receiver is off or filters it out.
    pub(crate) fn receive(&mut self, frame: Vec<u8>, memory: &mut Memory) {
        if self.registers.get(MODER) & MODER_RXEN == 0 || !self.wants(&frame) {
            return;
        }
        if self.incoming.len() < WIRE {
            self.incoming.push_back(frame);
        } else {
            self.raise(INT_BUSY);
        }
        self.deliver(memory);
    }

    /// Frames that have left the chip.
    pub(crate) fn outgoing(&mut self) -> &mut VecDeque<Vec<u8>> {
        &mut self.outgoing
    }

    fn raise(&mut self, interrupt: u32) {
        let source = self.registers.get(INT_SOURCE);
        self.registers.set(INT_SOURCE, source | interrupt);
    }

    fn wants(&self, frame: &[u8]) -> bool {
        let Some(destination) = frame.first_chunk::<6>() else {
            return false;
        };
        if frame.len() > MAXIMUM {
            return false;
        }
        let moder = self.registers.get(MODER);
        let low = self.registers.get(MAC_ADDR0).to_be_bytes();
        let [.., high, next] = self.registers.get(MAC_ADDR1).to_be_bytes();
        let own = [high, next, low[0], low[1], low[2], low[3]];
        if moder & MODER_PRO != 0 || *destination == own {
            return true;
        }
        if *destination == [0xFF; 6] {
            return moder & MODER_BRO == 0;
        }
        // A multicast address is looked up in the hash table, by its check sequence.
        let bit = crc32(destination) >> 26;
        let hash = self.registers.get(if bit < 32 { ETH_HASH0 } else { ETH_HASH1 });
        destination[0] & 1 != 0 && hash >> (bit & 31) & 1 != 0
    }

    /// Puts waiting frames into empty descriptors.
    fn deliver(&mut self, memory: &mut Memory) {
        while self.registers.get(MODER) & MODER_RXEN != 0 && !self.incoming.is_empty() {
            let Some([flags, pointer]) = self.descriptors.get_mut(self.receive) else {
                return;
            };
            if *flags & BD_OWNED == 0 {
                // The frame waits. The network behind it then pushes back and loses none.
                return;
            }
            let Some(mut frame) = self.incoming.pop_front() else {
                return;
            };
            frame.resize(frame.len().max(MINIMUM), 0);
            memory.write_bytes(*pointer, &frame);
            *flags = *flags & (BD_IRQ | BD_WRAP) | (frame.len() as u32 + FCS) << 16;
            let flags = *flags;
            self.receive = self.after(self.receive, flags, self.transmitters());
            if flags & BD_IRQ != 0 {
                self.raise(INT_RXB);
            }
        }
    }

    /// Sends the frames whose descriptors are ready.
    fn send(&mut self, memory: &mut Memory) {
        while self.registers.get(MODER) & MODER_TXEN != 0 {
            let pad = self.registers.get(MODER) & MODER_PAD != 0;
            let Some([flags, pointer]) = self.descriptors.get_mut(self.transmit) else {
                return;
            };
            if *flags & BD_OWNED == 0 || self.transmit >= self.registers.get(TX_BD_NUM) as usize {
                return;
            }
            *flags &= !(BD_OWNED | 0x1FF);
            let flags = *flags;
            let mut frame = vec![0; ((flags >> 16) as usize).min(MAXIMUM)];
            let read = memory.read_bytes(*pointer, &mut frame);
            if pad || flags & BD_PAD != 0 {
                frame.resize(frame.len().max(MINIMUM), 0);
            }
            self.transmit = self.after(self.transmit, flags, 0);
            if flags & BD_IRQ != 0 {
                self.raise(INT_TXB);
            }
            if !read {
                continue;
            }
            if self.registers.get(MODER) & MODER_LOOPBCK != 0 {
                self.receive(frame, memory);
            } else {
                self.outgoing.push_back(frame);
            }
        }
    }

    fn transmitters(&self) -> usize {
        (self.registers.get(TX_BD_NUM) as usize).min(COUNT)
    }

    /// The descriptor after `index`, whose flags are `flags`, in the ring that begins at `first`.
    fn after(&self, index: usize, flags: u32, first: usize) -> usize {
        let end = if first == 0 { self.transmitters() } else { COUNT };
        if flags & BD_WRAP != 0 || index + 1 >= end {
            first
        } else {
            index + 1
        }
    }

    /// A register of the transceiver: a DP83848C at address 1, with a link of 100 Mbit/s and full duplex.
    fn phy(&self, address: u32) -> u32 {
        if address & 0x1F != 1 {
            return 0xFFFF;
        }
        match address >> 8 & 0x1F {
            0 => 0x3100,
            1 => 0x786D,
            2 => 0x2000,
            3 => 0x5C90,
            4 => 0x01E1,
            5 => 0xC1E1,
            16 => 0x0015,
            _ => 0,
        }
    }
}

impl Peripheral for OpenEth {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            // The transceiver is never busy.
            MIISTATUS => 0,
            MODER..=ETH_TXCTRL => self.registers.get(offset),
            DESCRIPTORS..DESCRIPTORS_END => {
                let [flags, pointer] = self.descriptors[(offset - DESCRIPTORS) as usize / 8];
                if offset & 4 == 0 { flags } else { pointer }
            }
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            MODER if value & MODER_RST != 0 => self.restart(),
            MODER => {
                let rising = value & !self.registers.get(MODER);
                self.registers.set(MODER, value);
                if rising & MODER_RXEN != 0 {
                    self.receive = self.transmitters();
                }
                if rising & MODER_TXEN != 0 {
                    self.transmit = 0;
                }
                if value & MODER_RXEN == 0 {
                    self.incoming.clear();
                }
                self.send(context.memory);
            }
            INT_SOURCE => {
                let source = self.registers.get(INT_SOURCE);
                self.registers.set(INT_SOURCE, source & !value);
            }
            MIICOMMAND => {
                if value & RSTAT != 0 {
                    let data = self.phy(self.registers.get(MIIADDRESS));
                    self.registers.set(MIIRX_DATA, data);
                }
                self.registers.set(offset, 0);
            }
            MIIRX_DATA | MIISTATUS => {}
            INT_MASK..=ETH_TXCTRL => self.registers.set(offset, value),
            DESCRIPTORS..DESCRIPTORS_END => {
                let index = (offset - DESCRIPTORS) as usize / 8;
                self.descriptors[index][usize::from(offset & 4 != 0)] = value;
                if offset & 4 == 0 && value & BD_OWNED != 0 {
                    if index < self.transmitters() {
                        self.send(context.memory);
                    } else {
                        self.deliver(context.memory);
                    }
                }
            }
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        self.restart();
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.registers.get(INT_SOURCE) & self.registers.get(INT_MASK) != 0)
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        for bit in 0..8 {
            let feedback = (crc >> 31) ^ u32::from(byte >> bit & 1);
            crc = (crc << 1) ^ (feedback * 0x04C1_1DB7);
        }
    }
    crc
}
