//! The DMA controller, with AES and SHA at its channels and from memory to memory. Descriptors, checks and interrupts
//! are used as in esp-hal's drivers. The expected results are those of NIST SP 800-38A and of a hash library.

mod script;

use script::{Call, Done, RAM, Script, hex};

const SYSTEM_PERIP_CLK_EN1: u32 = 0x600C_0014;
const SYSTEM_PERIP_RST_EN1: u32 = 0x600C_001C;
const INTR_STATUS_1: u32 = 0x600C_20FC;
const AES: u32 = 0x6003_A000;
const SHA: u32 = 0x6003_B000;
const DMA: u32 = 0x6003_F000;

const PEER_AES: u32 = 6;
const PEER_SHA: u32 = 7;
const IN: u32 = 0x00;
const OUT: u32 = 0x60;

const OWNER: u32 = 1 << 31;
const SUC_EOF: u32 = 1 << 30;
const IN_DONE: u32 = 1 << 0;
const IN_SUC_EOF: u32 = 1 << 1;
const OUT_DONE: u32 = 1 << 3;
const OUT_EOF: u32 = 1 << 4;
const IN_DSCR_ERR: u32 = 1 << 5;
const OUT_DSCR_ERR: u32 = 1 << 6;
const IN_DSCR_EMPTY: u32 = 1 << 7;
const OUT_TOTAL_EOF: u32 = 1 << 8;
const CHECK_OWNER: u32 = 1 << 12;
const MEM_TRANS: u32 = 1 << 4;

/// Addresses of lists of descriptors.
const INLINKS: u32 = RAM + 0x8000;
const OUTLINKS: u32 = RAM + 0x8800;
/// Addresses of the buffers that channels read and write.
const SOURCE: u32 = RAM;
const TARGET: u32 = RAM + 0x4000;

fn enable(script: &mut Script) {
    script.store(SYSTEM_PERIP_CLK_EN1, 1 << 1 | 1 << 2 | 1 << 6);
    script.store(SYSTEM_PERIP_RST_EN1, 0);
}

fn register(channel: u32, direction: u32, offset: u32) -> u32 {
    DMA + 0x70 + 0xC0 * channel + direction + offset
}

/// A list of descriptors over the parts of a buffer. For output (`out`) the last part ends a frame; for input the parts
/// are room.
fn list(script: &mut Script, at: u32, buffer: u32, parts: &[u32], out: bool) {
    let mut bytes = Vec::new();
    let mut from = buffer;
    for (n, &part) in (1..).zip(parts) {
        let is_last = n == parts.len() as u32;
        let flags = OWNER
            | if out {
                part << 12 | if is_last { SUC_EOF } else { 0 }
            } else {
                0
            }
            | part;
        let next = if is_last { 0 } else { at + 12 * n };
        bytes.extend([flags, from, next].map(u32::to_le_bytes).concat());
        from += part;
    }
    script.place(at, &bytes);
}

/// Does the same as `prepare_transfer` and `start_transfer` of esp-hal.
fn start(script: &mut Script, channel: u32, direction: u32, peer: u32, descriptors: u32) {
    // Clears only the interrupts of this direction.
    let mine = if direction == IN {
        0b110_1010_0111
    } else {
        0b1_1001_0101_1000
    };
    script.store(register(channel, direction, 4), CHECK_OWNER);
    script.store(DMA + 0x10 * channel + 0xC, mine);
    script.store(register(channel, direction, 0x30), peer);
    let start = if direction == IN { 1 << 22 } else { 1 << 21 };
    script.store(register(channel, direction, 0x10), start | descriptors & 0xF_FFFF);
}

fn raw(script: &mut Script, channel: u32) -> Call {
    script.load(DMA + 0x10 * channel)
}

/// The flags of a descriptor.
fn flags(done: &Done, at: u32, n: u32) -> u32 {
    done.word(at + 12 * n)
}

const KEY_128: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const KEY_256: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
const IV: &str = "000102030405060708090a0b0c0d0e0f";
const COUNTER: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                     30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

/// The examples of NIST SP 800-38A, appendix F: block mode, key, initialisation vector, and the cipher text of
/// [`PLAIN`].
const MODES: [(u32, &str, &str, &str); 8] = [
    (
        0,
        KEY_128,
        IV,
        "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf\
         43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4",
    ),
    (
        1,
        KEY_128,
        IV,
        "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2\
         73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
    ),
    (
        1,
        KEY_256,
        IV,
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
         39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
    ),
    (
        2,
        KEY_128,
        IV,
        "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825\
         9740051e9c5fecf64344f7a82260edcc304c6528f659c77866a510d9c1d6ae5e",
    ),
    (
        3,
        KEY_128,
        COUNTER,
        "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff\
         5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
    ),
    (
        3,
        KEY_256,
        COUNTER,
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5\
         2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
    ),
    (
        4,
        KEY_128,
        IV,
        // The example F.3.7 has 18 bytes only.
        "3b79424c9c0dd436bace9e0ed4586a4f32b9",
    ),
    (
        5,
        KEY_128,
        IV,
        "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b\
         26751f67a3cbb140b1808cf187a4f4dfc04b05357c5d1c0eeac4c66f9ff7f2e6",
    ),
];

/// Sets AES up for four blocks, and starts it.
fn aes(script: &mut Script, mode: u32, decrypt: bool, key: &str, iv: &str) {
    let key = hex(key);
    script.store(AES + 0x90, 1);
    script.store(AES + 0xB0, 1);
    script.store(
        AES + 0x40,
        if key.len() == 32 { 2 } else { 0 } | if decrypt { 4 } else { 0 },
    );
    script.store_all(AES, &key);
    script.store_all(AES + 0x50, &hex(iv));
    script.store(AES + 0x94, mode);
    script.store(AES + 0x98, 4);
    // The counter of 128 bits.
    script.store(AES + 0x9C, 1);
    script.store(AES + 0x48, 1);
    script.wait(AES + 0x4C, 3, 2);
}

/// Does the same as `AesTransfer::wait` of esp-hal at its end.
fn aes_done(script: &mut Script, channel: u32) {
    script.store(register(channel, IN, 0x10), 1 << 21);
    script.store(register(channel, OUT, 0x10), 1 << 20);
    script.store(AES + 0xB8, 1);
    script.store(AES + 0xAC, 1);
}

#[test]
fn aes_runs_by_dma_in_every_mode() {
    let mut script = Script::default();
    enable(&mut script);
    script.place(SOURCE, &hex(PLAIN));
    for (n, (mode, key, iv, _)) in (0..).zip(MODES) {
        let (cipher, plain) = (TARGET + 0x100 * n, TARGET + 0x100 * n + 0x80);
        // Descriptors that end inside a block, and another channel each time.
        let channel = n % 3;
        list(&mut script, OUTLINKS, SOURCE, &[7, 40, 17], true);
        list(&mut script, INLINKS, cipher, &[24, 24, 24], false);
        start(&mut script, channel, OUT, PEER_AES, OUTLINKS);
        start(&mut script, channel, IN, PEER_AES, INLINKS);
        aes(&mut script, mode, false, key, iv);
        aes_done(&mut script, channel);
        // Decrypts the first result again.
        list(&mut script, OUTLINKS, cipher, &[64], true);
        list(&mut script, INLINKS, plain, &[64], false);
        start(&mut script, channel, OUT, PEER_AES, OUTLINKS);
        start(&mut script, channel, IN, PEER_AES, INLINKS);
        aes(&mut script, mode, true, key, iv);
        aes_done(&mut script, channel);
    }
    let mut done = script.run();
    for (n, (mode, _, _, expected)) in (0..).zip(MODES) {
        let expected = hex(expected);
        let cipher = done.bytes(TARGET + 0x100 * n, expected.len());
        assert_eq!(cipher, expected, "block mode {mode}");
        assert_eq!(
            done.bytes(TARGET + 0x100 * n + 0x80, 64),
            hex(PLAIN),
            "block mode {mode}"
        );
    }
    assert_eq!(done.unmodelled(), [""; 0]);
}

/// The unit keeps the vector, so that a long message can be processed in parts.
#[test]
fn aes_goes_on_where_it_stopped_and_interrupts() {
    let (mode, key, iv, expected) = MODES[4];
    let mut script = Script::default();
    enable(&mut script);
    script.place(SOURCE, &hex(PLAIN));
    script.store(AES + 0x90, 1);
    script.store(AES + 0xB0, 1);
    script.store_all(AES, &hex(key));
    script.store_all(AES + 0x50, &hex(iv));
    script.store(AES + 0x94, mode);
    script.store(AES + 0x98, 2);
    script.store(AES + 0x9C, 1);
    let mut levels = Vec::new();
    for half in [0, 32] {
        list(&mut script, OUTLINKS, SOURCE + half, &[32], true);
        list(&mut script, INLINKS, TARGET + half, &[32], false);
        // AES is started before the channels, and waits for them.
        script.store(AES + 0x48, 1);
        levels.push(script.load(INTR_STATUS_1));
        start(&mut script, 1, IN, PEER_AES, INLINKS);
        start(&mut script, 1, OUT, PEER_AES, OUTLINKS);
        levels.push(script.load(INTR_STATUS_1));
        aes_done(&mut script, 1);
    }
    let vector = script.load_all(AES + 0x50, 4);
    let done = script.run();
    assert_eq!(done.bytes(TARGET, 64), hex(expected));
    assert_eq!(done.results(&vector), hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdff03"));
    const AES_LEVEL: u32 = 1 << 16;
    let levels: Vec<bool> = levels.iter().map(|call| done.result(*call) & AES_LEVEL != 0).collect();
    assert_eq!(levels, [false, true, false, true]);
}

#[test]
fn a_counter_of_32_bits_wraps_by_itself() {
    let mut script = Script::default();
    enable(&mut script);
    script.place(SOURCE, &[0; 64]);
    list(&mut script, OUTLINKS, SOURCE, &[64], true);
    list(&mut script, INLINKS, TARGET, &[64], false);
    start(&mut script, 0, OUT, PEER_AES, OUTLINKS);
    start(&mut script, 0, IN, PEER_AES, INLINKS);
    script.store(AES + 0x90, 1);
    script.store_all(AES + 0x50, &[0xFF; 16]);
    script.store(AES + 0x94, 3);
    script.store(AES + 0x98, 4);
    script.store(AES + 0x9C, 0);
    script.store(AES + 0x48, 1);
    let vector = script.load_all(AES + 0x50, 4);
    let done = script.run();
    assert_eq!(done.results(&vector), hex("ffffffffffffffffffffffff00000003"));
}

/// Four blocks, then one more with the padding, as esp-hal and ESP-IDF continue a digest.
#[test]
fn sha_runs_by_dma_and_continues() {
    use sha2::Digest;
    let message: Vec<u8> = (0..=255).collect();
    let mut padding = vec![0x80];
    padding.resize(56, 0);
    padding.extend((8 * 256u64).to_be_bytes());
    let mut script = Script::default();
    enable(&mut script);
    script.place(SOURCE, &[message.clone(), padding].concat());
    let mut digests = Vec::new();
    let mut levels = Vec::new();
    script.store(SHA + 0x28, 1);
    for mode in 0..3 {
        script.store(SHA, mode);
        list(&mut script, OUTLINKS, SOURCE, &[100, 156], true);
        start(&mut script, 2, OUT, PEER_SHA, OUTLINKS);
        script.store(SHA + 0xC, 4);
        script.store(SHA + 0x1C, 1);
        script.wait(SHA + 0x18, 1, 0);
        levels.push(script.load(INTR_STATUS_1));
        script.store(SHA + 0x24, 1);
        levels.push(script.load(INTR_STATUS_1));
        list(&mut script, OUTLINKS, SOURCE + 256, &[64], true);
        start(&mut script, 2, OUT, PEER_SHA, OUTLINKS);
        script.store(SHA + 0xC, 1);
        script.store(SHA + 0x20, 1);
        script.wait(SHA + 0x18, 1, 0);
        script.store(SHA + 0x24, 1);
        digests.push(script.load_all(SHA + 0x40, 8));
    }
    let mut done = script.run();
    let results: Vec<_> = digests.iter().map(|digest| done.results(digest)).collect();
    assert_eq!(results[0][..20], sha1::Sha1::digest(&message)[..]);
    assert_eq!(results[1][..28], sha2::Sha224::digest(&message)[..]);
    assert_eq!(results[2][..], sha2::Sha256::digest(&message)[..]);
    const SHA_LEVEL: u32 = 1 << 17;
    let levels: Vec<bool> = levels.iter().map(|call| done.result(*call) & SHA_LEVEL != 0).collect();
    assert_eq!(levels, [true, false, true, false, true, false]);
    assert_eq!(done.unmodelled(), [""; 0]);
}

/// Starts both directions of channel 0 for a copy from memory to memory.
fn copy(script: &mut Script) {
    script.store(register(0, IN, 0), MEM_TRANS);
    start(script, 0, IN, 1, INLINKS);
    start(script, 0, OUT, 1, OUTLINKS);
}

#[test]
fn memory_is_copied_to_memory() {
    let bytes: Vec<u8> = (0..3000u32).map(|n| (n * 7 / 8) as u8).collect();
    let mut script = Script::default();
    enable(&mut script);
    script.place(SOURCE, &bytes);
    list(&mut script, OUTLINKS, SOURCE, &[1, 1500, 1499], true);
    list(&mut script, INLINKS, TARGET, &[2000, 2000], false);
    // OUT_CONF0 asks for the owners to be written back.
    script.store(register(0, OUT, 0), 1 << 2);
    script.store(DMA + 8, IN_SUC_EOF);
    copy(&mut script);
    let raw = raw(&mut script, 0);
    let level = script.load(INTR_STATUS_1);
    let last = script.load(register(0, IN, 0x18));
    let out_last = script.load(register(0, OUT, 0x18));
    script.store(DMA + 0xC, IN_SUC_EOF);
    let cleared = script.load(INTR_STATUS_1);
    let done = script.run();
    assert_eq!(done.bytes(TARGET, 3000), bytes);
    assert_eq!(
        done.result(raw),
        IN_DONE | IN_SUC_EOF | OUT_DONE | OUT_EOF | OUT_TOTAL_EOF
    );
    // Size, length and end of the frame. The owner is the processor again.
    assert_eq!(flags(&done, INLINKS, 0), 2000 << 12 | 2000);
    assert_eq!(flags(&done, INLINKS, 1), SUC_EOF | 1000 << 12 | 2000);
    assert_eq!(flags(&done, OUTLINKS, 0), 1 << 12 | 1);
    assert_eq!(
        (done.result(last), done.result(out_last)),
        (INLINKS + 12, OUTLINKS + 24)
    );
    const DMA_CH0_LEVEL: u32 = 1 << 12;
    assert_eq!(
        [level, cleared].map(|call| done.result(call) & DMA_CH0_LEVEL != 0),
        [true, false]
    );
}

/// A wrong descriptor stops its own direction, and is reported there.
#[test]
fn wrong_descriptors_are_errors() {
    // Each case: the word of the descriptor that is wrong, its value, and the direction.
    let cases = [
        (OUTLINKS, 0, SUC_EOF | 16 << 12 | 16, OUT_DSCR_ERR),
        (INLINKS, 0, 16, IN_DSCR_ERR),
        (INLINKS, 0, OWNER, IN_DSCR_ERR),
        (OUTLINKS, 4, 0x3C00_0000, OUT_DSCR_ERR),
        (OUTLINKS, 4, 0x3FCD_FFF8, OUT_DSCR_ERR),
        (INLINKS, 4, 0x4038_0000, IN_DSCR_ERR),
    ];
    let mut script = Script::default();
    enable(&mut script);
    let mut results = Vec::new();
    for (at, word, value, expected) in cases {
        script.store(register(0, IN, 0), 1);
        script.store(register(0, OUT, 0), 1);
        script.store(register(0, OUT, 0), 0);
        list(&mut script, OUTLINKS, SOURCE, &[16], true);
        list(&mut script, INLINKS, TARGET, &[16], false);
        script.store(at + word, value);
        copy(&mut script);
        results.push((raw(&mut script, 0), expected));
        script.store(DMA + 0xC, u32::MAX);
    }
    let done = script.run();
    for (raw, expected) in results {
        assert_eq!(done.result(raw) & (IN_DSCR_ERR | OUT_DSCR_ERR), expected);
        assert_eq!(done.result(raw) & IN_SUC_EOF, 0);
    }
}

#[test]
fn a_list_that_is_too_short_goes_on_after_a_restart() {
    let bytes: Vec<u8> = (0..100).collect();
    let mut script = Script::default();
    enable(&mut script);
    script.place(SOURCE, &bytes);
    list(&mut script, OUTLINKS, SOURCE, &[100], true);
    list(&mut script, INLINKS, TARGET, &[40], false);
    copy(&mut script);
    let short = raw(&mut script, 0);
    // A second descriptor is added behind the first.
    list(&mut script, INLINKS + 12, TARGET + 40, &[60], false);
    script.store(INLINKS + 8, INLINKS + 12);
    script.store(register(0, IN, 0x10), 1 << 23);
    let whole = raw(&mut script, 0);
    let done = script.run();
    assert_eq!(done.result(short) & (IN_DSCR_EMPTY | IN_SUC_EOF), IN_DSCR_EMPTY);
    assert_eq!(done.result(whole) & IN_SUC_EOF, IN_SUC_EOF);
    assert_eq!(done.bytes(TARGET, 100), bytes);
}

/// The descriptors form a ring and checks are off, so that the chip copies for ever. Everything else must go on.
#[test]
fn an_endless_list_does_not_stop_the_chip() {
    let mut script = Script::default();
    enable(&mut script);
    for (links, flags) in [(OUTLINKS, OWNER | 4092 << 12 | 4092), (INLINKS, OWNER | 4092)] {
        script.store(links, flags);
        script.store(links + 4, if links == OUTLINKS { SOURCE } else { TARGET });
        script.store(links + 8, links);
    }
    script.store(register(0, IN, 0), MEM_TRANS);
    for (direction, links) in [(IN, INLINKS), (OUT, OUTLINKS)] {
        let start = if direction == IN { 1 << 22 } else { 1 << 21 };
        script.store(register(0, direction, 0x10), start | links & 0xF_FFFF);
    }
    let busy = script.load(register(0, OUT, 0x10));
    script.store(register(0, OUT, 0x10), 1 << 20);
    let stopped = script.load(register(0, OUT, 0x10));
    let done = script.run();
    const IDLE: u32 = 1 << 23;
    assert_eq!([busy, stopped].map(|call| done.result(call) & IDLE), [0, IDLE]);
}

#[test]
fn a_channel_for_a_peripheral_without_dma_is_reported() {
    let mut script = Script::default();
    enable(&mut script);
    list(&mut script, OUTLINKS, SOURCE, &[16], true);
    start(&mut script, 1, OUT, 0, OUTLINKS);
    // esp-hal waits until the FIFO has data.
    let fifo = script.load(register(1, OUT, 8));
    let mut done = script.run();
    assert_eq!(done.result(fifo) & 0xFF, 16 << 2);
    assert_eq!(
        done.unmodelled(),
        ["write of 0x00000000 to DMA.CH1_OUT_PERI_SEL (0x6003f1c0), which is not modelled"]
    );
}
