//! SHA, AES and RSA, driven by the chip's own mask ROM, and register by register as by esp-hal's drivers. The expected
//! results are those of the standards, or of a library that shares no code with the virtual chip.

mod script;

use num_bigint::BigUint;
use script::{RAM, Script, hex};

const SYSTEM_PERIP_CLK_EN1: u32 = 0x600C_0014;
const SYSTEM_PERIP_RST_EN1: u32 = 0x600C_001C;
const SYSTEM_RSA_PD_CTRL: u32 = 0x600C_0038;
const INTR_STATUS_1: u32 = 0x600C_20FC;
const AES: u32 = 0x6003_A000;
const SHA: u32 = 0x6003_B000;
const RSA: u32 = 0x6003_C000;

/// The bits of RSA, AES and SHA in INTR_STATUS_1 (sources 47 to 49).
const INTR_RSA: u32 = 1 << 15;

/// The examples of FIPS 180-4, and a message of many blocks.
#[test]
fn the_roms_sha_functions_hash() {
    let long = "a".repeat(1000);
    let messages = [
        "",
        "abc",
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        long.as_str(),
    ];
    let mut script = Script::default();
    script.call("ets_sha_enable", &[]);
    let mut outputs = Vec::new();
    for (n, message) in messages.iter().enumerate() {
        let data = script.data(message.as_bytes());
        for kind in 0..3u32 {
            let output = RAM + 0x1000 + 0x80 * n as u32 + 0x20 * kind;
            script.call("ets_sha_init", &[RAM, kind]);
            script.call("ets_sha_starts", &[RAM, 0]);
            // In two parts, with blocks that lie in both.
            let first = message.len() as u32 / 3;
            script.call("ets_sha_update", &[RAM, data, first, 0]);
            script.call("ets_sha_update", &[RAM, data + first, message.len() as u32 - first, 0]);
            script.call("ets_sha_finish", &[RAM, output]);
            outputs.push((n, kind, output));
        }
    }
    let mut done = script.run();
    for (n, kind, output) in outputs {
        use sha2::Digest;
        let expected = match kind {
            0 => sha1::Sha1::digest(messages[n]).to_vec(),
            1 => sha2::Sha224::digest(messages[n]).to_vec(),
            _ => sha2::Sha256::digest(messages[n]).to_vec(),
        };
        assert_eq!(done.bytes(output, expected.len()), expected, "message {n}, kind {kind}");
    }
    // The result in FIPS 180-4, in case library and accelerator have the same fault.
    assert_eq!(
        done.bytes(RAM + 0x1000 + 0x80 + 0x40, 32),
        hex("ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 96177a9c b410ff61 f20015ad")
    );
    assert_eq!(done.unmodelled(), [""; 0]);
}

#[test]
fn a_digest_can_be_interrupted_by_another_and_continued() {
    let mut script = Script::default();
    let data = script.data(&[0x5A; 256]);
    script.call("ets_sha_enable", &[]);
    script.call("ets_sha_init", &[RAM, 2]);
    script.call("ets_sha_starts", &[RAM, 0]);
    script.call("ets_sha_update", &[RAM, data, 128, 0]);
    script.call("ets_sha_clone", &[RAM + 0x400, RAM]);
    // Another digest uses the unit in between.
    script.call("ets_sha_init", &[RAM + 0x200, 0]);
    script.call("ets_sha_starts", &[RAM + 0x200, 0]);
    script.call("ets_sha_update", &[RAM + 0x200, data, 64, 0]);
    script.call("ets_sha_finish", &[RAM + 0x200, RAM + 0x1000]);
    script.call("ets_sha_update", &[RAM + 0x400, data, 256 - 128, 0]);
    script.call("ets_sha_finish", &[RAM + 0x400, RAM + 0x1100]);
    let done = script.run();
    use sha2::Digest;
    assert_eq!(done.bytes(RAM + 0x1000, 20), sha1::Sha1::digest([0x5A; 64]).to_vec());
    assert_eq!(done.bytes(RAM + 0x1100, 32), sha2::Sha256::digest([0x5A; 256]).to_vec());
}

/// The examples of FIPS 197, appendix C.
#[test]
fn the_roms_aes_functions_encrypt_and_decrypt() {
    let key: Vec<u8> = (0..32).collect();
    let plain = hex("00112233445566778899aabbccddeeff");
    let cases = [
        (0, hex("69c4e0d86a7b0430d8cdb78070b4c55a")),
        (2, hex("8ea2b7ca516745bfeafc49904b496089")),
    ];
    let mut script = Script::default();
    let (key, text) = (script.data(&key), script.data(&plain));
    script.call("ets_aes_enable", &[]);
    for (n, (bits, cipher)) in (0..).zip(&cases) {
        let cipher = script.data(cipher);
        script.call("ets_aes_setkey_enc", &[key, *bits]);
        script.call("ets_aes_block", &[text, RAM + 0x100 * n]);
        script.call("ets_aes_setkey_dec", &[key, *bits]);
        script.call("ets_aes_block", &[cipher, RAM + 0x100 * n + 0x80]);
    }
    let done = script.run();
    for (n, (_, cipher)) in (0..).zip(&cases) {
        assert_eq!(done.bytes(RAM + 0x100 * n, 16), *cipher);
        assert_eq!(done.bytes(RAM + 0x100 * n + 0x80, 16), plain);
    }
}

/// The sequence of `esp_hal::aes::Aes::process`.
#[test]
fn a_block_goes_through_the_aes_registers() {
    let mut script = Script::default();
    enable(&mut script, 1 << 1);
    script.store(AES + 0x90, 0);
    script.store_all(AES, &hex("2b7e151628aed2a6abf7158809cf4f3c"));
    script.store(AES + 0x40, 0);
    script.store_all(AES + 0x20, &hex("6bc1bee22e409f96e93d7e117393172a"));
    script.store(AES + 0x48, 1);
    script.wait(AES + 0x4C, u32::MAX, 0);
    let output = script.load_all(AES + 0x30, 4);
    let mut done = script.run();
    assert_eq!(done.results(&output), hex("3ad77bb40d7a3660a89ecaf32466ef97"));
    assert_eq!(done.unmodelled(), [""; 0]);
}

/// A number of this many bits, which is the same in every run.
fn number(bits: usize, seed: u64) -> BigUint {
    let mut state = seed;
    let words: Vec<u32> = (0..bits / 32)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        })
        .collect();
    BigUint::new(words)
}

fn words_of(number: &BigUint, words: usize) -> Vec<u8> {
    let mut bytes = number.to_bytes_le();
    bytes.resize(4 * words, 0);
    bytes
}

/// -M^-1 mod 2^32, by Newton's iteration.
fn m_prime(modulus: &BigUint) -> u32 {
    let low = modulus.to_u32_digits()[0];
    let inverse = (0..5).fold(1u32, |x, _| x.wrapping_mul(2u32.wrapping_sub(low.wrapping_mul(x))));
    inverse.wrapping_neg()
}

fn r_squared(modulus: &BigUint, words: usize) -> BigUint {
    (BigUint::from(1u32) << (64 * words)) % modulus
}

/// Exponentiation, and modular and plain multiplication, in several lengths that the unit has.
#[test]
fn the_roms_bignum_functions_compute() {
    let mut script = Script::default();
    script.call("ets_bigint_enable", &[]);
    let mut expected = Vec::new();
    for (n, words) in [1usize, 2, 16, 47, 64, 96].into_iter().enumerate() {
        let bits = 32 * words;
        let m = number(bits, 1 + n as u64) | BigUint::from(1u32);
        let (x, y) = (number(bits, 11) % &m, number(bits, 12));
        let at = |script: &mut Script, number: &BigUint| {
            let bytes = words_of(number, words);
            script.data(&bytes)
        };
        let (xs, ys, ms) = (at(&mut script, &x), at(&mut script, &y), at(&mut script, &m));
        let rs = at(&mut script, &r_squared(&m, words));
        let output = RAM + 0x1000 * n as u32;
        let size = words as u32;
        // (x, y, m, m', r^2, constant time, words)
        script.call("ets_bigint_modexp", &[xs, ys, ms, m_prime(&m), rs, 1, size]);
        script.call("ets_bigint_wait_finish", &[]);
        script.call("ets_bigint_getz", &[output, size]);
        expected.push((output, x.modpow(&y, &m), words));
        script.call("ets_bigint_modmult", &[xs, ys, ms, m_prime(&m), rs, size]);
        script.call("ets_bigint_wait_finish", &[]);
        script.call("ets_bigint_getz", &[output + 0x200, size]);
        expected.push((output + 0x200, &x * &y % &m, words));
        if words <= 48 {
            script.call("ets_bigint_multiply", &[xs, ys, size]);
            script.call("ets_bigint_wait_finish", &[]);
            script.call("ets_bigint_getz", &[output + 0x400, 2 * size]);
            expected.push((output + 0x400, &x * &y, 2 * words));
        }
    }
    let mut done = script.run();
    for (address, number, words) in expected {
        let result = BigUint::from_bytes_le(&done.bytes(address, 4 * words));
        assert_eq!(result, number, "{words} words at {address:#x}");
    }
    assert_eq!(done.unmodelled(), [""; 0]);
}

/// The unit searches the exponent for its highest bit, as esp-hal and ESP-IDF use it, and interrupts at the end.
#[test]
fn rsa_searches_the_exponent_and_interrupts() {
    let words = 16;
    let m = number(512, 3) | BigUint::from(1u32);
    let x = number(512, 4) % &m;
    let y = BigUint::from(65_537u32);
    let mut script = Script::default();
    enable(&mut script, 1 << 3);
    let asleep = script.load(RSA + 0x808);
    script.store(SYSTEM_RSA_PD_CTRL, 0);
    script.wait(RSA + 0x808, u32::MAX, 1);
    for (offset, number) in [(0x600, &x), (0x400, &y), (0x000, &m), (0x200, &r_squared(&m, words))] {
        script.store_all(RSA + offset, &words_of(number, words));
    }
    script.store(RSA + 0x800, m_prime(&m));
    script.store(RSA + 0x804, words as u32 - 1);
    script.store(RSA + 0x820, 0);
    script.store(RSA + 0x824, 1);
    script.store(RSA + 0x828, 16);
    script.store(RSA + 0x82C, 1);
    let before = script.load(INTR_STATUS_1);
    script.store(RSA + 0x80C, 1);
    let after = script.load(INTR_STATUS_1);
    script.wait(RSA + 0x818, 1, 1);
    script.store(RSA + 0x81C, 1);
    let cleared = script.load(INTR_STATUS_1);
    let full = script.load_all(RSA + 0x200, words as u32);
    // Without its highest bit the exponent is one.
    script.store_all(RSA + 0x200, &words_of(&r_squared(&m, words), words));
    script.store(RSA + 0x828, 15);
    script.store(RSA + 0x80C, 1);
    let short = script.load_all(RSA + 0x200, words as u32);
    let mut done = script.run();
    assert_eq!(done.result(asleep), 0, "the memory has no power yet");
    assert_eq!(BigUint::from_bytes_le(&done.results(&full)), x.modpow(&y, &m));
    assert_eq!(BigUint::from_bytes_le(&done.results(&short)), x);
    let levels = [before, after, cleared].map(|call| done.result(call) & INTR_RSA != 0);
    assert_eq!(levels, [false, true, false]);
    assert_eq!(done.unmodelled(), [""; 0]);
}

/// The unit does not check the values that software has computed in advance.
#[test]
fn a_wrong_m_prime_gives_a_wrong_answer() {
    let words = 16;
    let m = number(512, 3) | BigUint::from(1u32);
    let x = number(512, 4) % &m;
    let mut script = Script::default();
    script.call("ets_bigint_enable", &[]);
    let at = |script: &mut Script, number: &BigUint| script.data(&words_of(number, words));
    let (xs, ms, rs) = (
        at(&mut script, &x),
        at(&mut script, &m),
        at(&mut script, &r_squared(&m, words)),
    );
    script.call("ets_bigint_modmult", &[xs, xs, ms, m_prime(&m) ^ 2, rs, words as u32]);
    script.call("ets_bigint_getz", &[RAM, words as u32]);
    let done = script.run();
    assert_ne!(BigUint::from_bytes_le(&done.bytes(RAM, 64)), &x * &x % &m);
}

/// The clock and reset bits of SYSTEM, and their effect on the units.
#[test]
fn a_unit_without_a_clock_or_in_reset_does_nothing() {
    let mut script = Script::default();
    // Ending SHA's own reset is not enough, since those of the signature unit and of HMAC hold it too.
    script.store(SYSTEM_PERIP_CLK_EN1, 1 << 2);
    script.store(SYSTEM_PERIP_RST_EN1, 1 << 4);
    script.store(SHA, 2);
    script.store(SHA + 0x10, 1);
    let held = script.load(SHA + 0x40);
    script.store(SYSTEM_PERIP_RST_EN1, 0);
    script.store(SHA, 2);
    script.store(SHA + 0x10, 1);
    let alive = script.load(SHA + 0x40);
    script.store(SYSTEM_PERIP_CLK_EN1, 0);
    let stopped = script.load(SHA + 0x40);
    script.store(SYSTEM_PERIP_CLK_EN1, 1 << 2);
    let again = script.load(SHA + 0x40);
    script.store(SYSTEM_PERIP_RST_EN1, 1 << 2);
    script.store(SYSTEM_PERIP_RST_EN1, 0);
    let forgotten = script.load(SHA + 0x40);
    let done = script.run();
    let results = [held, alive, stopped, again, forgotten].map(|call| done.result(call));
    let digest = results[1];
    assert_ne!(digest, 0);
    assert_eq!(results, [0, digest, 0, digest, 0]);
}

/// Gives units a clock, and ends their resets and those that also hold them.
fn enable(script: &mut Script, units: u32) {
    script.store(SYSTEM_PERIP_CLK_EN1, units);
    script.store(SYSTEM_PERIP_RST_EN1, 0);
}
