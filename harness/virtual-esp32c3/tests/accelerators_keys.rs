//! eFuses, and the units that take their keys from them: HMAC and digital signature. The chip's own mask ROM burns the
//! keys. Its functions and esp-hal's sequences use them.

mod script;

use num_bigint::BigUint;
use script::{Call, RAM, Script, hex};

const EFUSE: u32 = 0x6000_8800;
const EFUSE_CONF: u32 = EFUSE + 0x1CC;
const EFUSE_CMD: u32 = EFUSE + 0x1D4;
const INTR_STATUS_0: u32 = 0x600C_20F8;
const HMAC: u32 = 0x6003_E000;
/// Values of KEY_PURPOSE.
const HMAC_DOWN_ALL: u32 = 5;
const HMAC_DOWN_DIGITAL_SIGNATURE: u32 = 7;
const HMAC_UP: u32 = 8;

/// Burns a word of a block, as the ROM and ESP-IDF do, and has the fuses read again.
fn burn(script: &mut Script, block: u32, word: u32, bits: u32) {
    script.call("ets_efuse_clear_program_registers", &[]);
    script.store(EFUSE + 4 * word, bits);
    script.call("ets_efuse_program", &[block]);
}

/// Burns a key into one of KEY0 to KEY5. The ROM adds the check symbols, and protects the key from being written again.
fn burn_key(script: &mut Script, key: u32, purpose: u32, bytes: &[u8]) -> Call {
    let data = script.data(bytes);
    script.call("ets_efuse_write_key", &[4 + key, purpose, data, bytes.len() as u32])
}

fn key() -> Vec<u8> {
    (0..32).map(|n| 0xA0 ^ (7 * n)).collect()
}

#[test]
fn the_rom_burns_a_key_once() {
    let mut script = Script::default();
    let unused = script.call("ets_efuse_find_unused_key_block", &[]);
    let first = burn_key(&mut script, 0, HMAC_UP, &key());
    let shown = script.load_all(EFUSE + 0x9C, 8);
    let purpose = script.call("ets_efuse_get_key_purpose", &[4]);
    let second = burn_key(&mut script, 0, HMAC_UP, &[0xFF; 32]);
    let next = script.call("ets_efuse_find_unused_key_block", &[]);
    let found = script.call("ets_efuse_find_purpose", &[HMAC_UP, RAM]);
    let errors = script.load_all(EFUSE + 0x1C0, 2);
    let mut done = script.run();
    assert_eq!([unused, first, next].map(|call| done.result(call)), [4, 0, 5]);
    assert_ne!(done.result(second), 0, "the block is used");
    assert_eq!(done.result(purpose), HMAC_UP);
    assert_eq!((done.result(found), done.word(RAM)), (1, 4));
    // The ROM does not protect the key from being read. That is left to the caller.
    assert_eq!(done.results(&shown), key());
    assert_eq!(done.results(&errors), [0; 8], "the ROM's check symbols are right");
    assert_eq!(done.unmodelled(), [""; 0]);
}

#[test]
fn bits_that_are_burnt_stay_set() {
    let mut script = Script::default();
    let before = script.load(EFUSE + 0x7C);
    burn(&mut script, 3, 0, 0x0000_00F0);
    burn(&mut script, 3, 0, 0x0000_0F00);
    let after = script.load(EFUSE + 0x7C);
    let mac = script.load(EFUSE + 0x44);
    let mut done = script.run();
    assert_eq!(
        [before, after, mac].map(|call| done.result(call)),
        [0, 0xFF0, 0x00C3_0001]
    );
    done.power_cycle();
    assert_eq!(
        [before, after, mac].map(|call| done.result(call)),
        [0xFF0, 0xFF0, 0x00C3_0001]
    );
    // A copy of this chip has the same fuses.
    let mut fork = done.clone();
    fork.power_cycle();
    assert_eq!(fork.result(before), 0xFF0);
}

#[test]
fn protected_fuses_stay_as_they_are() {
    let mut script = Script::default();
    // WR_DIS: user data (bit 22), and SPI_BOOT_CRYPT_CNT (bit 4); RD_DIS: KEY5.
    burn(&mut script, 9, 0, 0x1234_5678);
    let readable = script.load(EFUSE + 0x13C);
    burn(&mut script, 0, 0, 1 << 22 | 1 << 4);
    burn(&mut script, 0, 1, 1 << 5);
    burn(&mut script, 3, 0, 0xFFFF_FFFF);
    burn(&mut script, 0, 2, 1 << 18 | 1 << 16);
    let user = script.load(EFUSE + 0x7C);
    let word = script.load(EFUSE + 0x34);
    let hidden = script.load(EFUSE + 0x13C);
    // RD_DIS itself is locked.
    burn(&mut script, 0, 0, 1);
    burn(&mut script, 0, 1, 1 << 4);
    let protection = script.load(EFUSE + 0x30);
    let encryption = script.call("ets_efuse_cache_encryption_enabled", &[]);
    let done = script.run();
    let results = [readable, user, word, hidden, protection, encryption].map(|call| done.result(call));
    assert_eq!(results, [0x1234_5678, 0, 1 << 16, 0, 1 << 5, 0]);
}

#[test]
fn the_controller_needs_its_operation_code_and_interrupts() {
    let mut script = Script::default();
    script.store(EFUSE, 0xFF);
    script.store(EFUSE + 0x1E0, 3);
    let burn_user_data = 3 << 2 | 2;
    script.store(EFUSE_CMD, burn_user_data);
    let idle = script.load(INTR_STATUS_0);
    script.store(EFUSE_CONF, 0x5A5A);
    script.store(EFUSE_CMD, burn_user_data);
    let burnt = script.load(INTR_STATUS_0);
    let raw = script.load(EFUSE + 0x1D8);
    let stale = script.load(EFUSE + 0x7C);
    script.store(EFUSE + 0x1E4, 3);
    let cleared = script.load(INTR_STATUS_0);
    script.store(EFUSE_CONF, 0x5AA5);
    script.store(EFUSE_CMD, 1);
    let fresh = script.load(EFUSE + 0x7C);
    // User data without check symbols has three wrong bits, and is marked as failed.
    let errors = script.load(EFUSE + 0x1C0);
    let done = script.run();
    const EFUSE_LEVEL: u32 = 1 << 24;
    let levels = [idle, burnt, cleared].map(|call| done.result(call) & EFUSE_LEVEL != 0);
    assert_eq!(levels, [false, true, false]);
    assert_eq!([raw, stale, fresh].map(|call| done.result(call)), [2, 0, 0xFF]);
    assert_eq!(done.result(errors), 0xF << 8);
}

/// Messages of lengths around each border of the padding.
#[test]
fn the_rom_computes_hmacs_with_a_key_it_cannot_read() {
    use hmac::{KeyInit, Mac};
    let message: Vec<u8> = (0..=255).collect();
    let lengths = [1, 8, 55, 56, 63, 64, 65, 119, 120, 128, 200, 256];
    let mut script = Script::default();
    burn_key(&mut script, 2, HMAC_UP, &key());
    burn_key(&mut script, 3, HMAC_DOWN_ALL, &key());
    burn(&mut script, 0, 1, 1 << 2);
    let shown = script.load_all(EFUSE + 0xDC, 8);
    let data = script.data(&message);
    script.call("ets_hmac_enable", &[]);
    let mut results = Vec::new();
    for (n, length) in (0..).zip(lengths) {
        let output = RAM + 0x20 * n;
        let status = script.call("ets_hmac_calculate_message", &[6, data, length, output]);
        results.push((status, length as usize, output));
    }
    let wrong = script.call("ets_hmac_calculate_message", &[7, data, 8, RAM + 0x1000]);
    let missing = script.call("ets_hmac_calculate_message", &[4, data, 8, RAM + 0x1000]);
    let mut done = script.run();
    assert_eq!(done.results(&shown), [0; 32]);
    for (status, length, output) in results {
        let mut expected = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key()).expect("a key");
        expected.update(&message[..length]);
        assert_eq!(done.result(status), 0);
        assert_eq!(
            done.bytes(output, 32),
            expected.finalize().into_bytes().to_vec(),
            "{length} bytes"
        );
    }
    assert_ne!(done.result(wrong), 0, "a key for another purpose");
    assert_ne!(done.result(missing), 0, "no key");
    assert_eq!(done.bytes(RAM + 0x1000, 32), [0; 32]);
    assert_eq!(done.unmodelled(), [""; 0]);
}

/// Test case 2 of RFC 4231, which has one block, in the sequence of `esp_hal::hmac::Hmac`.
#[test]
fn an_hmac_goes_through_the_registers() {
    let mut bytes = b"Jefe".to_vec();
    bytes.resize(32, 0);
    let mut block = b"what do ya want for nothing?".to_vec();
    let bits = 8 * (64 + block.len() as u64);
    block.push(0x80);
    block.resize(56, 0);
    block.extend(bits.to_be_bytes());
    let mut script = Script::default();
    burn_key(&mut script, 0, HMAC_UP, &bytes);
    script.call("ets_hmac_enable", &[]);
    script.store(HMAC + 0x40, 1);
    script.store(HMAC + 0x44, HMAC_UP);
    script.store(HMAC + 0x48, 0);
    script.store(HMAC + 0x4C, 1);
    let error = script.load(HMAC + 0x68);
    script.wait(HMAC + 0x6C, 1, 0);
    script.store_all(HMAC + 0x80, &block);
    script.store(HMAC + 0x50, 1);
    script.wait(HMAC + 0x6C, 1, 0);
    script.store(HMAC + 0xF4, 1);
    script.wait(HMAC + 0x6C, 1, 0);
    let tag = script.load_all(HMAC + 0xC0, 8);
    script.store(HMAC + 0x5C, 1);
    let gone = script.load_all(HMAC + 0xC0, 8);
    let done = script.run();
    assert_eq!(done.result(error), 0);
    assert_eq!(
        done.results(&tag),
        hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    );
    assert_eq!(done.results(&gone), [0; 32]);
}

/// The ROM encrypts an RSA key for the unit, as in a factory, and signs with it. The signature is verified with the
/// public key.
#[test]
fn the_rom_signs_with_a_key_that_only_the_unit_can_decrypt() {
    // Two primes of 256 bits: the largest, and the next one that fits the exponent.
    let p = (BigUint::from(1u32) << 256u32) - BigUint::from(189u32);
    let q = (BigUint::from(1u32) << 256u32) - BigUint::from(357u32);
    let one = BigUint::from(1u32);
    let public = BigUint::from(65_537u32);
    let modulus = &p * &q;
    let private = public
        .modinv(&((&p - &one) * (&q - &one)))
        .expect("the exponent fits the primes");
    let message = (BigUint::from(0x0123_4567_89AB_CDEFu64) << 440u32) + BigUint::from(99u32);
    let words = 16;
    let m_prime = {
        let low = modulus.to_u32_digits()[0];
        let inverse = (0..5).fold(1u32, |x, _| x.wrapping_mul(2u32.wrapping_sub(low.wrapping_mul(x))));
        inverse.wrapping_neg()
    };
    let r_squared = (&one << (64 * words)) % &modulus;
    let mut parameters = Vec::new();
    for number in [&private, &modulus, &r_squared] {
        let mut bytes = number.to_bytes_le();
        bytes.resize(384, 0);
        parameters.extend(bytes);
    }
    parameters.extend(m_prime.to_le_bytes());
    parameters.extend((words as u32 - 1).to_le_bytes());
    let iv: Vec<u8> = (0x30..0x40).collect();
    let mut text = message.to_bytes_le();
    text.resize(4 * words, 0);

    const ENCRYPTED: u32 = RAM;
    const SIGNATURE: u32 = RAM + 0x1000;
    const SPOILT: u32 = RAM + 0x2000;
    const NOTHING: u32 = RAM + 0x3000;
    let mut script = Script::default();
    burn_key(&mut script, 1, HMAC_DOWN_DIGITAL_SIGNATURE, &key());
    let (parameters, iv, key, text) = (
        script.data(&parameters),
        script.data(&iv),
        script.data(&key()),
        script.data(&text),
    );
    for unit in ["ets_sha_enable", "ets_aes_enable", "ets_hmac_enable", "ets_ds_enable"] {
        script.call(unit, &[]);
    }
    // HMAC derives the key of the unit from its own (key type 0).
    let encrypted = script.call("ets_ds_encrypt_params", &[ENCRYPTED, iv, parameters, key, 0]);
    let without_key = script.call("ets_ds_start_sign", &[text, ENCRYPTED]);
    let derived = script.call("ets_hmac_calculate_downstream", &[5, HMAC_DOWN_DIGITAL_SIGNATURE]);
    let started = script.call("ets_ds_start_sign", &[text, ENCRYPTED]);
    let finished = script.call("ets_ds_finish_sign", &[SIGNATURE, ENCRYPTED]);
    // The encrypted parameters have one wrong bit.
    script.call("memcpy", &[SPOILT, ENCRYPTED, 0x500]);
    script.call("memset", &[SPOILT + 100, 0x55, 1]);
    script.call("ets_ds_start_sign", &[text, SPOILT]);
    let spoilt = script.call("ets_ds_finish_sign", &[NOTHING, SPOILT]);
    script.call("ets_hmac_invalidate_downstream", &[HMAC_DOWN_DIGITAL_SIGNATURE]);
    let invalidated = script.call("ets_ds_start_sign", &[text, ENCRYPTED]);
    let mut done = script.run();
    assert_eq!(
        [encrypted, derived, started, finished].map(|call| done.result(call)),
        [0; 4]
    );
    let signature = BigUint::from_bytes_le(&done.bytes(SIGNATURE, 4 * words));
    assert_eq!(signature.modpow(&public, &modulus), message);
    const NO_HMAC_KEY: u32 = 2;
    const WRONG_DIGEST: u32 = 4;
    assert_eq!(done.result(without_key), NO_HMAC_KEY);
    assert_eq!(done.result(spoilt), WRONG_DIGEST);
    assert_eq!(done.bytes(NOTHING, 4 * words), vec![0; 4 * words]);
    assert_eq!(done.result(invalidated), NO_HMAC_KEY);
    assert_eq!(done.unmodelled(), [""; 0]);
}
