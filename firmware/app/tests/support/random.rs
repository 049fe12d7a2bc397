//! Random numbers that are the same in every run, and documents made of them.

use rand_core::{CryptoRng, RngCore};

/// splitmix64. Not fit for keys, but for a test's.
#[derive(Clone, Debug)]
pub(crate) struct TestRandom(pub(crate) u64);

impl TestRandom {
    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next_u64() % limit as u64).unwrap()
    }

    /// One of `items`.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }
}

impl CryptoRng for TestRandom {}

impl RngCore for TestRandom {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ word >> 31
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

/// A JSON object such as a build's status, written in any lawful way.
pub(crate) fn object(random: &mut TestRandom) -> Vec<u8> {
    let mut text = Vec::new();
    members(&mut text, random, 0);
    text
}

/// The same with up to three bytes that were changed, lost, doubled or put in; most often it is no JSON any more.
pub(crate) fn spoilt(mut text: Vec<u8>, random: &mut TestRandom) -> Vec<u8> {
    const BYTES: &[u8] = b"{}[],:\"\\/ \t\r\n\x0c0123456789+-.eEtrufalsn'x\x00\x1f\x7f\x80\xbf\xc2\xe0\xed\xf4\xff";
    for _ in 0..=random.below(3) {
        let at = random.below(text.len() + 1);
        let byte = BYTES[random.below(BYTES.len())];
        match random.below(5) {
            0 => text.insert(at, byte),
            1 if at < text.len() => text[at] = byte,
            2 if at < text.len() => drop(text.remove(at)),
            3 if at < text.len() => text.insert(at, text[at]),
            4 => text.truncate(at),
            _ => text.push(byte),
        }
    }
    text
}

fn value(text: &mut Vec<u8>, random: &mut TestRandom, depth: usize) {
    match random.below(if depth < 4 { 9 } else { 6 }) {
        0 => text.extend(random.pick(&["true", "false", "null"]).bytes()),
        1..=2 => number(text, random),
        3..=5 => string(text, random),
        6 => members(text, random, depth + 1),
        _ => {
            text.push(b'[');
            list(text, random, |text, random| value(text, random, depth + 1));
            text.push(b']');
        }
    }
}

fn members(text: &mut Vec<u8>, random: &mut TestRandom, depth: usize) {
    text.push(b'{');
    list(text, random, |text, random| {
        string(text, random);
        space(text, random);
        text.push(b':');
        space(text, random);
        if random.below(3) == 0 {
            word(text, random, "success");
        } else {
            value(text, random, depth);
        }
    });
    text.push(b'}');
}

fn list(text: &mut Vec<u8>, random: &mut TestRandom, item: impl Fn(&mut Vec<u8>, &mut TestRandom)) {
    space(text, random);
    for index in 0..random.below(5) {
        if index > 0 {
            text.push(b',');
            space(text, random);
        }
        item(text, random);
        space(text, random);
    }
}

fn number(text: &mut Vec<u8>, random: &mut TestRandom) {
    text.extend(random.pick(&["", "-"]).bytes());
    text.extend(random.pick(&["0", "7", "10", "1234567890123456789012"]).bytes());
    text.extend(random.pick(&["", "", ".0", ".25", ".00000000000000000000001"]).bytes());
    text.extend(random.pick(&["", "", "e0", "E+07", "e-12"]).bytes());
}

fn string(text: &mut Vec<u8>, random: &mut TestRandom) {
    match random.below(4) {
        0 => word(text, random, "state"),
        1 => word(text, random, "success"),
        _ => {
            text.push(b'"');
            for _ in 0..random.below(6) {
                let piece: &str = random.pick(&[
                    "a",
                    "state",
                    "success",
                    " ",
                    "/",
                    "'",
                    "{}",
                    "[",
                    ",",
                    ":",
                    "\u{7f}",
                    "ä",
                    "\u{800}",
                    "\u{ffff}",
                    "😀",
                    "\\\"",
                    "\\\\",
                    "\\/",
                    "\\b",
                    "\\f",
                    "\\n",
                    "\\r",
                    "\\t",
                    "\\u0000",
                    "\\u00E4",
                    "\\uFFFF",
                    "\\ud83d\\ude00",
                ]);
                text.extend(piece.bytes());
            }
            text.push(b'"');
        }
    }
}

/// A word, of which some letters are escaped.
fn word(text: &mut Vec<u8>, random: &mut TestRandom, word: &str) {
    text.push(b'"');
    for letter in word.bytes() {
        match random.below(20) {
            0 => text.extend(format!("\\u{letter:04x}").bytes()),
            1 => text.extend(format!("\\u{letter:04X}").bytes()),
            _ => text.push(letter),
        }
    }
    text.push(b'"');
}

fn space(text: &mut Vec<u8>, random: &mut TestRandom) {
    text.extend(random.pick(&["", "", "", " ", "\n  ", "\r\n\t"]).bytes());
}
