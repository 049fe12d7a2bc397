//! The digital signature unit: an RSA signature with a private key that only the chip can decrypt. The encrypted
//! parameters, the padded message and the key that the HMAC unit has derived enter; the signature leaves. It knows no
//! eFuse.
//! (ESP32-C3 Technical Reference Manual, chapter "Digital Signature".)
//!
//! A signature takes no time.

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, KeyInit};
use sha2::{Digest, Sha256};

use super::key::Key;
use super::montgomery::Modulus;
use super::peripheral::{Context, Peripheral};
use super::registers::{Registers, offsets};

/// Words of each number.
const WORDS: usize = 96;
/// Bytes of each number, and bytes from one parameter's memory to the next.
const NUMBER: u32 = 4 * WORDS as u32;
const STRIDE: u32 = 0x200;
/// Bytes of the initialization vector.
const IV: u32 = 16;

offsets! { DS:
    Y_MEM0 = 0x000,
    M_MEM0 = 0x200,
    RB_MEM0 = 0x400,
    BOX_MEM0 = 0x600,
    IV_MEM0 = 0x630,
    X_MEM0 = 0x800,
    Z_MEM0 = 0xA00,
    SET_START = 0xE00,
    SET_CONTINUE = 0xE04,
    SET_FINISH = 0xE08,
    QUERY_BUSY = 0xE0C,
    QUERY_KEY_WRONG = 0xE10,
    QUERY_CHECK = 0xE14,
    DATE = 0xE20,
}

const Z_END: u32 = Z_MEM0 + NUMBER;

const CHECK_DIGEST: u32 = 1 << 0;
const CHECK_PADDING: u32 = 1 << 1;
/// The largest value of QUERY_KEY_WRONG, which counts starts without a key.
const MANY_STARTS: u32 = 15;

#[derive(Debug, Clone)]
pub(crate) struct DigitalSignature {
    registers: Registers,
    starting: bool,
    key: Option<Key>,
    key_wrong: u32,
    check: u32,
}

impl DigitalSignature {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            registers: Registers::new(base, 0xE24),
            starting: false,
            key: None,
            key_wrong: 0,
            check: 0,
        }
    }

    /// Whether the unit has been started and waits for the key that the HMAC unit has derived, once. The answer is
    /// [`DigitalSignature::take_key`].
    pub(super) fn take_start(&mut self) -> bool {
        std::mem::take(&mut self.starting)
    }

    /// Takes the key; `None` if none has been derived.
    pub(super) fn take_key(&mut self, key: Option<Key>) {
        self.key = key;
        self.key_wrong = if key.is_some() {
            0
        } else {
            (self.key_wrong + 1).min(MANY_STARTS)
        };
    }

    fn sign(&mut self) {
        let Some(key) = self.key.take() else { return };
        let iv = self.bytes(IV_MEM0, 4);
        let mut parameters = [
            self.bytes(Y_MEM0, WORDS),
            self.bytes(M_MEM0, WORDS),
            self.bytes(RB_MEM0, WORDS),
            self.bytes(BOX_MEM0, 12),
        ]
        .concat();
        decrypt(key, &iv, &mut parameters);
        let (numbers, sealed) = parameters.split_at(3 * 4 * WORDS);
        let (digest, sealed) = sealed.split_at(32);
        let (scalars, padding) = sealed.split_at(8);

        let mut expected = Sha256::new();
        expected.update(numbers);
        expected.update(scalars);
        expected.update(&iv);
        self.check = 0;
        if expected.finalize()[..] != *digest {
            self.check |= CHECK_DIGEST;
        }
        if padding != [8; 8] {
            self.check |= CHECK_PADDING;
        }
        // There is no result with a wrong digest. A wrong padding alone does not keep the result back.
        if self.check & CHECK_DIGEST != 0 {
            return;
        }
        let number = |n: usize| words(&numbers[4 * WORDS * n..4 * WORDS * (n + 1)]);
        let scalars = words(scalars);
        let length = (scalars[1] as usize + 1).min(WORDS);
        let (exponent, modulus, r_squared) = (number(0), number(1), number(2));
        let message: Vec<u32> = (0..length as u32).map(|n| self.registers.get(X_MEM0 + 4 * n)).collect();
        let modulus = Modulus {
            words: &modulus[..length],
            inverse: scalars[0],
            r_squared: &r_squared[..length],
        };
        let signature = modulus.power(&message, &exponent[..length], 32 * length);
        for (n, word) in signature.iter().enumerate() {
            self.registers.set(Z_MEM0 + 4 * n as u32, *word);
        }
    }

    fn bytes(&self, memory: u32, words: usize) -> Vec<u8> {
        (0..words as u32)
            .flat_map(|n| self.registers.get(memory + 4 * n).to_le_bytes())
            .collect()
    }

    fn finish(&mut self) {
        for offset in (0..SET_START).step_by(4) {
            self.registers.set(offset, 0);
        }
        self.key = None;
        self.check = 0;
    }
}

/// Decrypts with AES-256-CBC, in place.
fn decrypt(key: Key, iv: &[u8], data: &mut [u8]) {
    let cipher = Aes256::new(&key.into());
    let mut previous: Vec<u8> = iv.to_vec();
    for part in data.as_chunks_mut::<16>().0 {
        let mut block = (*part).into();
        cipher.decrypt_block(&mut block);
        for (byte, with) in block.iter_mut().zip(&previous) {
            *byte ^= with;
        }
        previous = part.to_vec();
        *part = block.into();
    }
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word))
        .collect()
}

/// Whether software may write there: the parameters, the initialization vector and the message.
fn is_input(offset: u32) -> bool {
    offset < BOX_MEM0 && offset % STRIDE < NUMBER
        || (BOX_MEM0..IV_MEM0 + IV).contains(&offset)
        || (X_MEM0..X_MEM0 + NUMBER).contains(&offset)
}

impl Peripheral for DigitalSignature {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            QUERY_BUSY => 0,
            QUERY_KEY_WRONG => self.key_wrong,
            QUERY_CHECK => self.check,
            SET_START..=SET_FINISH => 0,
            DATE => self.registers.get(offset),
            _ if is_input(offset) || (Z_MEM0..Z_END).contains(&offset) => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            SET_START if value & 1 != 0 => self.starting = true,
            SET_CONTINUE if value & 1 != 0 => self.sign(),
            SET_FINISH if value & 1 != 0 => self.finish(),
            SET_START..=QUERY_CHECK => {}
            Z_MEM0..Z_END => {}
            DATE => self.registers.set(offset, value),
            _ if is_input(offset) => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        *self = Self::new(self.registers.base());
    }
}
