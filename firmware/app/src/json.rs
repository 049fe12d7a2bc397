//! Checks a JSON text (RFC 8259) byte by byte, and tells what it is made of.
//!
//! What enters: bytes, in pieces of any size. What leaves: an [`Event`] where a key, a value or a container begins or
//! ends, or [`MalformedJson`]. Nothing is kept of the text but the start of its last string, so a text of any length
//! can be read in the memory of a chip. The module does not know what is looked for.
//!
//! The grammar is the RFC's whole and nothing besides: one value, UTF-8 without a byte order mark, white space of four
//! kinds. Three things are left to the reader of a text by the RFC. Containers may be nested [`MAX_DEPTH`] deep
//! (section 9). An escape for half of a surrogate pair is lawful (section 8.2). A key may come twice in an object
//! (section 4).

/// How deep arrays and objects may be nested.
pub const MAX_DEPTH: usize = 512;

/// How many bytes of a string are kept. Longer strings are cut.
const KEPT_TEXT: usize = 16;

/// Stands for any character beyond ASCII that came as an escape. No UTF-8 text has this byte.
const BEYOND_ASCII: u8 = 0xFF;

/// Reads one JSON text.
#[derive(Clone, Debug)]
pub struct JsonReader {
    state: State,
    /// A bit for each open container, the outermost first: whether it is an object.
    objects: [u8; MAX_DEPTH / 8],
    depth: usize,
    text: [u8; KEPT_TEXT],
    text_bytes: usize,
}

/// What a byte has completed or begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `{`: an object has begun.
    Object,
    /// `[`: an array has begun.
    Array,
    /// The innermost object or array has ended.
    End,
    /// A member's key is complete.
    Key,
    /// A string that is a value is complete.
    Text,
    /// A number, `true`, `false` or `null` has begun.
    Scalar,
}

/// The bytes so far are not the start of a JSON text, or are nested too deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedJson;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value must come.
    Value,
    /// A value or the end of the array must come.
    FirstItem,
    /// A key or the end of the object must come.
    FirstKey,
    /// A key must come.
    Key,
    /// A colon must come.
    Colon,
    /// A comma or the end of the container must come.
    Comma,
    /// In a string, which is a key or a value.
    String {
        is_key: bool,
        at: InString,
    },
    /// In a number.
    Number(InNumber),
    /// In `true`, `false` or `null`, of which this is still to come.
    Literal(&'static [u8]),
    /// The value is complete.
    Complete,
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InString {
    Character,
    /// Behind a backslash.
    Escape,
    /// In `\uXXXX`.
    Unicode {
        value: u16,
        digits: u8,
    },
    /// In a character of several bytes: this many must come, and the next must be at least and at most these.
    Utf8 {
        left: u8,
        least: u8,
        most: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InNumber {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    E,
    ExponentSign,
    Exponent,
}

impl Default for JsonReader {
    fn default() -> Self {
        Self {
            state: State::Value,
            objects: [0; MAX_DEPTH / 8],
            depth: 0,
            text: [0; KEPT_TEXT],
            text_bytes: 0,
        }
    }
}

impl JsonReader {
    /// Takes the next byte.
    ///
    /// # Errors
    /// [`MalformedJson`] at the first byte that cannot be part of a JSON text, and at every byte after it.
    pub fn take(&mut self, byte: u8) -> Result<Option<Event>, MalformedJson> {
        if let State::Number(at) = self.state {
            match in_number(at, byte) {
                Some(next) => {
                    self.state = State::Number(next);
                    return Ok(None);
                }
                // The byte that ends a number is not part of it.
                None if at.may_end() => self.state = self.behind_value(),
                None => return self.refuse(),
            }
        }
        let taken = match self.state {
            State::String { is_key, at } => self.take_in_string(is_key, at, byte),
            State::Literal([next, rest @ ..]) => (byte == *next).then(|| {
                self.state = if rest.is_empty() {
                    self.behind_value()
                } else {
                    State::Literal(rest)
                };
                None
            }),
            State::Malformed => None,
            _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => Some(None),
            State::Value => self.begin_value(byte),
            State::FirstItem if byte == b']' => Some(self.close()),
            State::FirstItem => self.begin_value(byte),
            State::FirstKey if byte == b'}' => Some(self.close()),
            State::FirstKey | State::Key => (byte == b'"').then(|| self.begin_string(true)),
            State::Colon => (byte == b':').then(|| {
                self.state = State::Value;
                None
            }),
            State::Comma => match (byte, self.in_object()) {
                (b',', true) => {
                    self.state = State::Key;
                    Some(None)
                }
                (b',', false) => {
                    self.state = State::Value;
                    Some(None)
                }
                (b'}', true) | (b']', false) => Some(self.close()),
                _ => None,
            },
            State::Number(_) | State::Literal([]) | State::Complete => None,
        };
        match taken {
            Some(event) => Ok(event),
            None => self.refuse(),
        }
    }

    /// Whether the bytes so far are a whole JSON text.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match self.state {
            State::Complete => true,
            State::Number(at) => self.depth == 0 && at.may_end(),
            _ => false,
        }
    }

    /// How many arrays and objects are open: behind an event, including one that it began and without one that it
    /// ended.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The first bytes of the last string, without escapes: enough to compare it with a word of less than 16 bytes in
    /// ASCII.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text[..self.text_bytes]
    }

    fn refuse(&mut self) -> Result<Option<Event>, MalformedJson> {
        self.state = State::Malformed;
        Err(MalformedJson)
    }

    /// The state behind a value.
    fn behind_value(&self) -> State {
        if self.depth == 0 { State::Complete } else { State::Comma }
    }

    /// Takes the first byte of a value; `None` where it is not one.
    fn begin_value(&mut self, byte: u8) -> Option<Option<Event>> {
        let (state, event) = match byte {
            b'{' => return self.open(true),
            b'[' => return self.open(false),
            b'"' => return Some(self.begin_string(false)),
            b'-' => (State::Number(InNumber::Minus), Event::Scalar),
            b'0' => (State::Number(InNumber::Zero), Event::Scalar),
            b'1'..=b'9' => (State::Number(InNumber::Integer), Event::Scalar),
            b't' => (State::Literal(b"rue"), Event::Scalar),
            b'f' => (State::Literal(b"alse"), Event::Scalar),
            b'n' => (State::Literal(b"ull"), Event::Scalar),
            _ => return None,
        };
        self.state = state;
        Some(Some(event))
    }

    fn begin_string(&mut self, is_key: bool) -> Option<Event> {
        self.text_bytes = 0;
        self.state = State::String {
            is_key,
            at: InString::Character,
        };
        None
    }

    /// Opens an object or an array; `None` where it is one too many.
    fn open(&mut self, is_object: bool) -> Option<Option<Event>> {
        let bits = self.objects.get_mut(self.depth / 8)?;
        let bit = 1 << (self.depth % 8);
        *bits = if is_object { *bits | bit } else { *bits & !bit };
        self.depth += 1;
        let (state, event) = if is_object {
            (State::FirstKey, Event::Object)
        } else {
            (State::FirstItem, Event::Array)
        };
        self.state = state;
        Some(Some(event))
    }

    /// Whether the innermost open container is an object.
    fn in_object(&self) -> bool {
        let at = self.depth.saturating_sub(1);
        self.objects[at / 8] & 1 << (at % 8) != 0
    }

    fn close(&mut self) -> Option<Event> {
        self.depth -= 1;
        self.state = self.behind_value();
        Some(Event::End)
    }

    /// Takes a byte of a string; `None` where it may not stand there.
    fn take_in_string(&mut self, is_key: bool, at: InString, byte: u8) -> Option<Option<Event>> {
        let next = match at {
            InString::Character if byte == b'"' => {
                let (state, event) = if is_key {
                    (State::Colon, Event::Key)
                } else {
                    (self.behind_value(), Event::Text)
                };
                self.state = state;
                return Some(Some(event));
            }
            InString::Character if byte == b'\\' => InString::Escape,
            InString::Character => {
                let next = first_of_character(byte)?;
                self.keep(byte);
                next
            }
            InString::Escape if byte == b'u' => InString::Unicode { value: 0, digits: 0 },
            InString::Escape => {
                self.keep(escaped(byte)?);
                InString::Character
            }
            InString::Unicode { value, digits } => {
                let digit = char::from(byte)
                    .to_digit(16)
                    .and_then(|digit| u16::try_from(digit).ok())?;
                let value = value << 4 | digit;
                if digits < 3 {
                    let digits = digits + 1;
                    InString::Unicode { value, digits }
                } else {
                    let ascii = u8::try_from(value).ok().filter(u8::is_ascii);
                    self.keep(ascii.unwrap_or(BEYOND_ASCII));
                    InString::Character
                }
            }
            InString::Utf8 { left, least, most } => {
                if !(least..=most).contains(&byte) {
                    return None;
                }
                self.keep(byte);
                continued(left - 1)
            }
        };
        self.state = State::String { is_key, at: next };
        Some(None)
    }

    fn keep(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.text_bytes) {
            *place = byte;
            self.text_bytes += 1;
        }
    }
}

/// Where the first byte of a character leads (RFC 3629, section 4); `None` where no character begins so.
fn first_of_character(byte: u8) -> Option<InString> {
    let (left, least, most) = match byte {
        0x20..=0x7F => return Some(InString::Character),
        0xC2..=0xDF => (1, 0x80, 0xBF),
        0xE0 => (2, 0xA0, 0xBF),
        0xE1..=0xEC | 0xEE..=0xEF => (2, 0x80, 0xBF),
        // Not a surrogate.
        0xED => (2, 0x80, 0x9F),
        0xF0 => (3, 0x90, 0xBF),
        0xF1..=0xF3 => (3, 0x80, 0xBF),
        // Not beyond U+10FFFF.
        0xF4 => (3, 0x80, 0x8F),
        _ => return None,
    };
    Some(InString::Utf8 { left, least, most })
}

/// Within a character of which this many bytes must still come.
fn continued(left: u8) -> InString {
    match left {
        0 => InString::Character,
        _ => InString::Utf8 {
            left,
            least: 0x80,
            most: 0xBF,
        },
    }
}

/// What a backslash and this byte stand for; `None` where they stand for nothing.
fn escaped(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' | b'/' => Some(byte),
        b'b' => Some(8),
        b'f' => Some(12),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        _ => None,
    }
}

/// Where a byte leads in a number; `None` where it is not part of it.
fn in_number(at: InNumber, byte: u8) -> Option<InNumber> {
    match (at, byte) {
        (InNumber::Minus, b'0') => Some(InNumber::Zero),
        (InNumber::Minus, b'1'..=b'9') | (InNumber::Integer, b'0'..=b'9') => Some(InNumber::Integer),
        (InNumber::Zero | InNumber::Integer, b'.') => Some(InNumber::Point),
        (InNumber::Point | InNumber::Fraction, b'0'..=b'9') => Some(InNumber::Fraction),
        (InNumber::Zero | InNumber::Integer | InNumber::Fraction, b'e' | b'E') => Some(InNumber::E),
        (InNumber::E, b'+' | b'-') => Some(InNumber::ExponentSign),
        (InNumber::E | InNumber::ExponentSign | InNumber::Exponent, b'0'..=b'9') => Some(InNumber::Exponent),
        _ => None,
    }
}

impl InNumber {
    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::Exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Whether all of `text` is one JSON text, and where it stopped to be the start of one.
    fn read(text: &[u8]) -> Result<bool, usize> {
        let mut reader = JsonReader::default();
        for (at, byte) in text.iter().enumerate() {
            reader.take(*byte).map_err(|MalformedJson| at)?;
        }
        Ok(reader.is_complete())
    }

    #[test]
    fn json_texts_of_every_kind_are_read() {
        for text in [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "10",
            "-1.50",
            "0e0",
            "1E+2",
            "1.0e-007",
            "\"\"",
            "[]",
            "{}",
            "[[],{}]",
            " \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n",
            "{ \"a\" : 1 , \"a\" : [ true ] }",
            r#""\"\\\/\b\f\n\r\t\u00e4\uD83D\uDE00""#,
            // Lawful escapes that stand for no character (RFC 8259, section 8.2).
            r#"["\uD800","\uDC00\uD800","\uD800x"]"#,
            "\"\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}\"",
            "[1e999,-0.00000000000000000000000000000000001]",
        ] {
            assert_eq!(read(text.as_bytes()), Ok(true), "{text}");
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused_at_its_first_wrong_byte() {
        for (text, at) in [
            ("{,", 1),
            ("{\"a\"}", 4),
            ("{\"a\",", 4),
            ("{\"a\" 1}", 5),
            ("{\"a\"::1}", 5),
            ("{\"a\":}", 5),
            ("{\"a\":1,}", 7),
            ("{\"a\":1 2}", 7),
            ("{\"a\":1 \"b\":2}", 7),
            ("{\"a\":\"b\" \"c\"}", 9),
            ("{\"a\":1;", 6),
            ("{1:2}", 1),
            ("{'a'", 1),
            ("{a:1}", 1),
            ("{\"a\":b}", 5),
            ("{]", 1),
            ("{\"a\":1]", 6),
            ("[}", 1),
            ("[1}", 2),
            ("[,", 1),
            ("[1,]", 3),
            ("[1,,2]", 3),
            ("[1 2]", 3),
            ("[1]]", 3),
            ("]", 0),
            ("}", 0),
            (",", 0),
            ("[1:2]", 2),
            ("nul ", 3),
            ("nulll", 4),
            ("True", 0),
            ("NaN", 0),
            ("Infinity", 0),
            ("-Infinity", 1),
            ("undefined", 0),
            ("+1", 0),
            (".5", 0),
            ("01", 1),
            ("-01", 2),
            ("1. ", 2),
            ("1.e2", 2),
            ("1e ", 2),
            ("1e+ ", 3),
            ("1e2.5", 3),
            ("- 1", 1),
            ("0x1", 1),
            ("1_0", 1),
            ("\"\n\"", 1),
            ("\"\t\"", 1),
            ("\"\0\"", 1),
            ("\"\u{1f}\"", 1),
            (r#""\a""#, 2),
            (r#""\'""#, 2),
            (r#""\0""#, 2),
            (r#""\x41""#, 2),
            (r#""\U0041""#, 2),
            (r#""\u004""#, 6),
            (r#""\u00g0""#, 5),
            (r#""\u+041""#, 3),
            ("{} {}", 3),
            ("{},", 2),
            ("\"a\" \"b\"", 4),
            ("1 2", 2),
            ("{}\u{c}", 2),
            ("{}\u{b}", 2),
            ("{}\0", 2),
            ("{}\u{a0}", 2),
            ("\u{feff}{}", 0),
            ("// a\n{}", 0),
            ("{/**/}", 1),
            ("<html>", 0),
        ] {
            assert_eq!(read(text.as_bytes()), Err(at), "{text:?}");
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_err(), "{text:?}");
        }
        for text in [
            "",
            " ",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "[",
            "[1",
            "[1,",
            "\"",
            "\"\\",
            "\"\\u00",
            "-",
            "1.",
            "1e",
            "1e+",
            "tru",
        ] {
            assert_eq!(read(text.as_bytes()), Ok(false), "{text:?}");
        }
    }

    #[test]
    fn only_utf_8_is_read_and_only_in_strings() {
        for (bytes, at) in [
            (&b"\"\x80\""[..], 1),
            (b"\"\xbf\"", 1),
            (b"\"\xc0\xaf\"", 1),
            (b"\"\xc1\xbf\"", 1),
            (b"\"\xc2\"", 2),
            (b"\"\xc2\xc0\"", 2),
            (b"\"\xe0\x9f\xbf\"", 2),
            (b"\"\xe1\x80\"", 3),
            (b"\"\xed\xa0\x80\"", 2),
            (b"\"\xf0\x8f\xbf\xbf\"", 2),
            (b"\"\xf1\x80\x80\"", 4),
            (b"\"\xf4\x90\x80\x80\"", 2),
            (b"\"\xf5\x80\x80\x80\"", 1),
            (b"\"\xff\"", 1),
            (b"\"\\\xc3\xa4\"", 2),
            (b"{\"\xc3(\":1}", 3),
            (b"\xc3\xa4", 0),
            (b"{}\xc2\xa0", 2),
        ] {
            assert_eq!(read(bytes), Err(at), "{bytes:x?}");
        }
        // Every character that there is.
        for character in '\u{80}'..=char::MAX {
            let text = std::format!("\"{character}\"");
            assert_eq!(read(text.as_bytes()), Ok(true), "{character:?}");
        }
        // Every pair of bytes in a string, by the standard library's measure.
        for first in 0x80..=0xFF {
            for second in 0x20..=0xFF {
                let bytes = [b'"', first, second, b'"'];
                let good = std::str::from_utf8(&bytes).is_ok() && !matches!(second, b'"' | b'\\');
                assert_eq!(read(&bytes) == Ok(true), good, "{bytes:x?}");
            }
        }
    }

    #[test]
    fn containers_are_nested_up_to_a_limit() {
        let nested = |depth: usize| std::format!("{}1{}", "[{\"a\":".repeat(depth), "}]".repeat(depth));
        assert_eq!(read(nested(MAX_DEPTH / 2).as_bytes()), Ok(true));
        let deeper = std::format!("[{}]", nested(MAX_DEPTH / 2));
        assert!(read(deeper.as_bytes()).is_err(), "one more");
        let flat = std::format!("[{}0]", "[],{},[[]],".repeat(1000));
        assert_eq!(read(flat.as_bytes()), Ok(true), "siblings do not count");
        // What is closed must be what was opened, at every depth.
        let mixed = "[{\"a\":[[{\"b\":".repeat(40);
        let closed = std::format!("{mixed}1{}", "}]]}]".repeat(40));
        assert_eq!(read(closed.as_bytes()), Ok(true));
        for (at, byte) in closed.bytes().enumerate().skip(mixed.len() + 1) {
            let mut wrong = closed.clone().into_bytes();
            wrong[at] = if byte == b']' { b'}' } else { b']' };
            assert_eq!(read(&wrong), Err(at), "byte {at}");
        }
    }

    #[test]
    fn events_tell_what_a_text_is_made_of() {
        let mut reader = JsonReader::default();
        let text = r#"{"k\u0065y":"va\u006cue","n":[-1,true,{}],"\u00e4":"a longer text than is kept"}"#;
        let mut events = Vec::new();
        for byte in text.bytes() {
            if let Some(event) = reader.take(byte).unwrap() {
                let text = matches!(event, Event::Key | Event::Text).then(|| reader.text().to_vec());
                events.push((event, reader.depth(), text.unwrap_or_default()));
            }
        }
        let expected: [(Event, usize, &[u8]); 13] = [
            (Event::Object, 1, b""),
            (Event::Key, 1, b"key"),
            (Event::Text, 1, b"value"),
            (Event::Key, 1, b"n"),
            (Event::Array, 2, b""),
            (Event::Scalar, 2, b""),
            (Event::Scalar, 2, b""),
            (Event::Object, 3, b""),
            (Event::End, 2, b""),
            (Event::End, 1, b""),
            (Event::Key, 1, b"\xff"),
            (Event::Text, 1, b"a longer text th"),
            (Event::End, 0, b""),
        ];
        let expected = expected.map(|(event, depth, text)| (event, depth, text.to_vec()));
        assert_eq!(events, expected);
        assert!(reader.is_complete());
    }

    #[test]
    fn what_is_malformed_stays_malformed() {
        let mut reader = JsonReader::default();
        assert_eq!(reader.take(b'x'), Err(MalformedJson));
        for byte in *b"{} \n" {
            assert_eq!(reader.take(byte), Err(MalformedJson));
            assert!(!reader.is_complete());
        }
    }
}
