//! The HMAC accelerator: HMAC-SHA-256 with a key in the eFuses that software never sees. Blocks of the message enter,
//! and a key when the unit requests it. The tag leaves to software ("upstream"), or as a key for the digital signature
//! unit ("downstream").
//! (ESP32-C3 Technical Reference Manual, chapter "HMAC Accelerator"; RFC 2104.)
//!
//! A block takes no time. The comparison that re-enables JTAG is not modelled.

use super::key::{BurntKey, Key};
use super::peripheral::{Context, Peripheral};
use super::registers::{Registers, offsets};
use super::sha_states::SHA256;

offsets! { HMAC:
    SET_START = 0x40,
    SET_PARA_PURPOSE = 0x44,
    SET_PARA_KEY = 0x48,
    SET_PARA_FINISH = 0x4C,
    SET_MESSAGE_ONE = 0x50,
    SET_MESSAGE_END = 0x58,
    SET_RESULT_FINISH = 0x5C,
    SET_INVALIDATE_DS = 0x64,
    QUERY_ERROR = 0x68,
    QUERY_BUSY = 0x6C,
    WR_MESSAGE_MEM0 = 0x80,
    WR_MESSAGE_MEM15 = 0xBC,
    RD_RESULT_MEM0 = 0xC0,
    RD_RESULT_MEM7 = 0xDC,
    SET_MESSAGE_PAD = 0xF0,
    ONE_BLOCK = 0xF4,
}

/// Values of SET_PARA_PURPOSE, which are those of KEY_PURPOSE in the eFuses.
const PURPOSE_DOWN_ALL: u32 = 5;
const PURPOSE_DOWN_JTAG: u32 = 6;
const PURPOSE_DOWN_DIGITAL_SIGNATURE: u32 = 7;
const PURPOSE_UP: u32 = 8;

/// A request for a key in the eFuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyRequest {
    /// The number of the key, KEY0 to KEY5.
    pub(crate) key: u32,
    purpose: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Hmac {
    registers: Registers,
    request: Option<KeyRequest>,
    error: bool,
    session: Option<Session>,
    /// The key for the digital signature unit.
    signature_key: Option<Key>,
}

/// A message whose tag is not complete.
#[derive(Debug, Clone)]
struct Session {
    key: Key,
    inner: [u32; 8],
    /// Blocks so far, including that of the key.
    blocks: u64,
    /// Whether the next block is the last, and contains the padding.
    last: bool,
}

impl Hmac {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            registers: Registers::new(base, 0x100),
            request: None,
            error: false,
            session: None,
            signature_key: None,
        }
    }

    /// The request for a key, once. The answer is [`Hmac::use_key`].
    pub(crate) fn take_request(&mut self) -> Option<KeyRequest> {
        self.request.take()
    }

    /// Begins with the requested key. A key that was burnt for another purpose is an error.
    pub(super) fn use_key(&mut self, request: KeyRequest, burnt: BurntKey) {
        let purpose = request.purpose;
        let downstream = matches!(
            purpose,
            PURPOSE_DOWN_ALL | PURPOSE_DOWN_JTAG | PURPOSE_DOWN_DIGITAL_SIGNATURE
        );
        let fits = burnt.purpose == purpose || downstream && burnt.purpose == PURPOSE_DOWN_ALL;
        self.error = !(fits && (downstream || purpose == PURPOSE_UP));
        self.session = None;
        if self.error {
            return;
        }
        let session = Session::new(burnt.key);
        if !downstream {
            self.session = Some(session);
        } else if purpose != PURPOSE_DOWN_JTAG {
            self.signature_key = Some(session.tag_of_ones());
        }
    }

    /// The key for the digital signature unit, if one has been derived.
    pub(super) fn signature_key(&self) -> Option<Key> {
        self.signature_key
    }

    fn message_block(&mut self) {
        let mut block = [0; 64];
        for (n, word) in block.chunks_exact_mut(4).enumerate() {
            word.copy_from_slice(&self.registers.get(WR_MESSAGE_MEM0 + 4 * n as u32).to_le_bytes());
        }
        let Some(session) = &mut self.session else { return };
        session.absorb(block);
        if session.last {
            self.finish();
        }
    }

    /// Pads a message whose length is a multiple of the block's.
    fn pad(&mut self) {
        if let Some(session) = &mut self.session {
            session.pad(0);
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some(session) = &self.session {
            for (n, word) in session.tag().as_chunks().0.iter().enumerate() {
                self.registers
                    .set(RD_RESULT_MEM0 + 4 * n as u32, u32::from_le_bytes(*word));
            }
        }
    }

    fn start(&mut self) {
        self.session = None;
        self.error = false;
        for n in 0..8 {
            self.registers.set(RD_RESULT_MEM0 + 4 * n, 0);
        }
    }
}

impl Session {
    fn new(key: Key) -> Self {
        let mut session = Self {
            key,
            inner: SHA256,
            blocks: 0,
            last: false,
        };
        session.absorb(padded(key, 0x36));
        session
    }

    fn absorb(&mut self, block: [u8; 64]) {
        sha2::block_api::compress256(&mut self.inner, &[block]);
        self.blocks += 1;
    }

    /// Ends the inner hash with a block of `bytes` bytes of 0xFF, at most 32, and the padding.
    fn pad(&mut self, bytes: usize) {
        let bits = 8 * (64 * self.blocks + bytes as u64);
        let mut block = [0; 64];
        block[..bytes].fill(0xFF);
        block[bytes] = 0x80;
        block[56..].copy_from_slice(&bits.to_be_bytes());
        self.absorb(block);
    }

    /// The tag. The inner hash must have ended.
    fn tag(&self) -> Key {
        const BITS: u64 = 8 * (64 + 32);
        let mut outer = SHA256;
        let mut block = [0; 64];
        block[..32].copy_from_slice(&bytes(self.inner));
        block[32] = 0x80;
        block[56..].copy_from_slice(&BITS.to_be_bytes());
        sha2::block_api::compress256(&mut outer, &[padded(self.key, 0x5C), block]);
        bytes(outer)
    }

    /// The tag of 32 bytes of 0xFF, which is the derived key of the downstream modes.
    fn tag_of_ones(mut self) -> Key {
        self.pad(32);
        self.tag()
    }
}

fn padded(key: Key, with: u8) -> [u8; 64] {
    let mut block = [with; 64];
    for (byte, key) in block.iter_mut().zip(key) {
        *byte ^= key;
    }
    block
}

fn bytes(state: [u32; 8]) -> Key {
    let mut bytes = [0; 32];
    for (part, word) in bytes.chunks_exact_mut(4).zip(state) {
        part.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

impl Peripheral for Hmac {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            QUERY_ERROR => u32::from(self.error),
            QUERY_BUSY => 0,
            SET_START..=SET_INVALIDATE_DS | SET_MESSAGE_PAD | ONE_BLOCK => 0,
            WR_MESSAGE_MEM0..=RD_RESULT_MEM7 => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        let set = value & 1 != 0;
        match offset {
            SET_PARA_PURPOSE => self.registers.set(offset, value & 15),
            SET_PARA_KEY => self.registers.set(offset, value & 7),
            WR_MESSAGE_MEM0..=WR_MESSAGE_MEM15 => self.registers.set(offset, value),
            SET_START if set => self.start(),
            SET_PARA_FINISH if set => {
                self.request = Some(KeyRequest {
                    key: self.registers.get(SET_PARA_KEY),
                    purpose: self.registers.get(SET_PARA_PURPOSE),
                });
            }
            SET_MESSAGE_ONE if set => self.message_block(),
            SET_MESSAGE_END if set => self.pad(),
            SET_MESSAGE_PAD if set => {
                if let Some(session) = &mut self.session {
                    session.last = true;
                }
            }
            ONE_BLOCK if set => self.finish(),
            // The ROM's driver sets bit 1, and esp-hal's sets bit 0.
            SET_RESULT_FINISH => self.start(),
            SET_INVALIDATE_DS if set => self.signature_key = None,
            SET_START..=QUERY_BUSY | RD_RESULT_MEM0..=RD_RESULT_MEM7 | SET_MESSAGE_PAD | ONE_BLOCK => {}
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        *self = Self::new(self.registers.base());
    }
}
