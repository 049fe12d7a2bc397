//! JSON texts made of random numbers, lawful and spoilt.

use rand_core::RngCore as _;

use super::random::TestRandom;

/// A number below `limit`.
pub(crate) fn below(random: &mut TestRandom, limit: usize) -> usize {
    usize::try_from(random.next_u64() % limit as u64).unwrap()
}

fn pick<'a>(random: &mut TestRandom, items: &[&'a str]) -> &'a str {
    items[below(random, items.len())]
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
    for _ in 0..=below(random, 3) {
        let at = below(random, text.len() + 1);
        let byte = BYTES[below(random, BYTES.len())];
        match below(random, 5) {
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
    match below(random, if depth < 4 { 9 } else { 6 }) {
        0 => text.extend(pick(random, &["true", "false", "null"]).bytes()),
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
        if below(random, 3) == 0 {
            word(text, random, "success");
        } else {
            value(text, random, depth);
        }
    });
    text.push(b'}');
}

fn list(text: &mut Vec<u8>, random: &mut TestRandom, item: impl Fn(&mut Vec<u8>, &mut TestRandom)) {
    space(text, random);
    for index in 0..below(random, 5) {
        if index > 0 {
            text.push(b',');
            space(text, random);
        }
        item(text, random);
        space(text, random);
    }
}

fn number(text: &mut Vec<u8>, random: &mut TestRandom) {
    text.extend(pick(random, &["", "-"]).bytes());
    text.extend(pick(random, &["0", "7", "10", "1234567890123456789012"]).bytes());
    text.extend(pick(random, &["", "", ".0", ".25", ".00000000000000000000001"]).bytes());
    text.extend(pick(random, &["", "", "e0", "E+07", "e-12"]).bytes());
}

fn string(text: &mut Vec<u8>, random: &mut TestRandom) {
    match below(random, 4) {
        0 => word(text, random, "state"),
        1 => word(text, random, "success"),
        _ => {
            text.push(b'"');
            for _ in 0..below(random, 6) {
                let piece: &str = pick(
                    random,
                    &[
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
                    ],
                );
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
        match below(random, 20) {
            0 => text.extend(format!("\\u{letter:04x}").bytes()),
            1 => text.extend(format!("\\u{letter:04X}").bytes()),
            _ => text.push(letter),
        }
    }
    text.push(b'"');
}

fn space(text: &mut Vec<u8>, random: &mut TestRandom) {
    text.extend(pick(random, &["", "", "", " ", "\n  ", "\r\n\t"]).bytes());
}
