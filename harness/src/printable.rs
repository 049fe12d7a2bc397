//! Text of a board that is safe to show on a terminal.

use std::fmt::Write as _;

/// The text of `bytes`, in which what is not printable UTF-8 stands as `\xNN`. No board can move a terminal's cursor or
/// change its colours.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for part in bytes.utf8_chunks() {
        for character in part.valid().chars() {
            if character.is_control() && character != '\t' {
                let mut encoded = [0; 4];
                escape(character.encode_utf8(&mut encoded).as_bytes(), &mut text);
            } else {
                text.push(character);
            }
        }
        escape(part.invalid(), &mut text);
    }
    text
}

fn escape(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        write!(text, "\\x{byte:02x}").expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_noise_cannot_reach_a_terminal() {
        assert_eq!(printable(b"a\x1b[2Jb\xff\x00\tc"), "a\\x1b[2Jb\\xff\\x00\tc");
        assert_eq!(printable("grün".as_bytes()), "grün");
        assert_eq!(printable("\u{9b}".as_bytes()), "\\xc2\\x9b");
    }
}
