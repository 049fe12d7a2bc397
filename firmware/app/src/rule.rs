//! When a reply counts as a successful build. The verdict is printed before the body, so it is sought as bytes come.

use alloc::string::String;

use crate::settings::RuleKind;

/// Seeks the verdict in a body.
#[derive(Clone, Debug)]
pub struct Judge {
    kind: Kind,
    verdict: Option<bool>,
}

#[derive(Clone, Debug)]
enum Kind {
    Original { matched: usize },
    Robust(StateFinder),
}

/// What the robust rule finds wrong with a reply that began as a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedJson;

impl MalformedJson {
    /// The `reason=` of the answer.
    #[must_use]
    pub fn reason(self) -> &'static str {
        "malformed-json"
    }
}

const ORIGINAL_START: &[u8] = b"{\"state\":\"success\"";

impl Judge {
    /// At the start of a body. The original rule looks at no status and wants the body as it came, chunk sizes included;
    /// the robust one wants status 200 and the content.
    #[must_use]
    pub fn new(rule: RuleKind, status: u16) -> Self {
        match rule {
            RuleKind::Original => Self {
                kind: Kind::Original { matched: 0 },
                verdict: None,
            },
            RuleKind::Robust => Self {
                kind: Kind::Robust(StateFinder::default()),
                verdict: (status != 200).then_some(false),
            },
        }
    }

    /// Looks at the next bytes. Once there is a verdict it stays.
    pub fn look_at(&mut self, bytes: &[u8]) -> Option<bool> {
        for &byte in bytes {
            let found = match &mut self.kind {
                Kind::Original { .. } if self.verdict.is_some() => break,
                Kind::Original { matched } if byte == ORIGINAL_START[*matched] => {
                    *matched += 1;
                    (*matched == ORIGINAL_START.len()).then_some(true)
                }
                Kind::Original { .. } => Some(false),
                Kind::Robust(finder) => finder.look_at(byte),
            };
            self.verdict = self.verdict.or(found);
        }
        self.verdict
    }

    /// Decides with what has been seen so far; it stays so.
    pub fn settle(&mut self) -> bool {
        *self.verdict.get_or_insert(false)
    }

    /// The verdict when nothing more will be looked at.
    ///
    /// # Errors
    /// [`MalformedJson`] under the robust rule, where the body said success, and then did not end as one object with one state.
    pub fn finish(&self) -> Result<bool, MalformedJson> {
        match (&self.kind, self.verdict.unwrap_or(false)) {
            (Kind::Robust(finder), true) if !finder.is_whole() => Err(MalformedJson),
            (_, verdict) => Ok(verdict),
        }
    }
}

/// Finds the member `state` of the JSON object (RFC 8259) that a body is.
#[derive(Clone, Debug, Default)]
struct StateFinder {
    /// How many objects and arrays are open.
    depth: u32,
    /// In the outermost object: the key that the value to come belongs to.
    key: Option<String>,
    string: Option<StringToken>,
    /// How many members are called `state`.
    states: u32,
    /// The outermost object is closed.
    closed: bool,
    /// Something comes behind it.
    trailing: bool,
}

#[derive(Clone, Debug, Default)]
struct StringToken {
    text: String,
    escape: Escape,
}

#[derive(Clone, Copy, Debug, Default)]
enum Escape {
    #[default]
    None,
    Backslash,
    Unicode {
        value: u32,
        digits: u8,
    },
}

/// Neither `state` nor `success` is longer; what is longer is cut off here and cannot become equal to them.
const LONGEST_TEXT: usize = 16;

impl StateFinder {
    fn look_at(&mut self, byte: u8) -> Option<bool> {
        if self.closed {
            self.trailing |= !byte.is_ascii_whitespace();
            return None;
        }
        if let Some(string) = &mut self.string {
            if string.take(byte) {
                let text = self.string.take().map(|string| string.text)?;
                return self.string_ended(text);
            }
            return None;
        }
        match byte {
            b'"' if self.depth > 0 => self.string = Some(StringToken::default()),
            b'{' | b'[' => {
                if self.is_state() || (self.depth == 0 && byte == b'[') {
                    return Some(false);
                }
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.closed = true;
                    return Some(false);
                }
            }
            b',' if self.depth == 1 => self.key = None,
            b' ' | b'\t' | b'\r' | b'\n' | b':' => {}
            // A number or a word: no state, and nothing that a document may start with.
            _ if self.depth == 0 || self.is_state() => return Some(false),
            _ => {}
        }
        None
    }

    fn string_ended(&mut self, text: String) -> Option<bool> {
        if self.depth != 1 {
            return None;
        }
        if self.is_state() {
            return Some(text == "success");
        }
        if self.key.is_none() {
            self.states += u32::from(text == "state");
            self.key = Some(text);
        }
        None
    }

    /// Whether it was one object, to its end, with one state.
    fn is_whole(&self) -> bool {
        self.closed && !self.trailing && self.states == 1
    }

    fn is_state(&self) -> bool {
        self.depth == 1 && self.key.as_deref() == Some("state")
    }
}

impl StringToken {
    /// Takes the next byte; true when it ended the string.
    fn take(&mut self, byte: u8) -> bool {
        match self.escape {
            Escape::None => match byte {
                b'"' => return true,
                b'\\' => self.escape = Escape::Backslash,
                _ => self.push(char::from(byte)),
            },
            Escape::Backslash => {
                self.escape = Escape::None;
                match byte {
                    b'u' => self.escape = Escape::Unicode { value: 0, digits: 0 },
                    b'n' => self.push('\n'),
                    b't' => self.push('\t'),
                    b'r' => self.push('\r'),
                    b'b' => self.push('\u{8}'),
                    b'f' => self.push('\u{c}'),
                    other => self.push(char::from(other)),
                }
            }
            Escape::Unicode { value, digits } => {
                let value = value << 4 | char::from(byte).to_digit(16).unwrap_or(0);
                self.escape = if digits == 3 {
                    Escape::None
                } else {
                    Escape::Unicode {
                        value,
                        digits: digits + 1,
                    }
                };
                if digits == 3 {
                    self.push(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
            }
        }
        false
    }

    fn push(&mut self, character: char) {
        if self.text.len() < LONGEST_TEXT {
            self.text.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(rule: RuleKind, status: u16, body: &str) -> bool {
        let mut judge = Judge::new(rule, status);
        for piece in body.as_bytes().chunks(3) {
            judge.look_at(piece);
        }
        judge.finish().unwrap_or(false)
    }

    #[test]
    fn the_original_rule_looks_at_the_first_bytes_only() {
        for (body, success) in [
            (r#"{"state":"success"}"#, true),
            (r#"{"state":"success","x":"#, true),
            (r#"{"state":"failure"}"#, false),
            (r#"{ "state": "success" }"#, false),
            ("1f\r\n{\"state\":\"success\"", false),
            (r#"{"state":"succes"#, false),
            ("", false),
        ] {
            assert_eq!(judge(RuleKind::Original, 200, body), success, "{body}");
        }
        assert!(judge(RuleKind::Original, 404, r#"{"state":"success"}"#));
    }

    #[test]
    fn the_robust_rule_finds_the_objects_own_state() {
        for (body, success) in [
            (r#"{"state":"success"}"#, true),
            ("{\n  \"total_count\": 2,\n  \"state\" : \"success\"\n}", true),
            (r#"{"statuses":[{"state":"failure","a":"}]"}],"state":"success"}"#, true),
            (r#"{"statuses":[{"state":"success"}],"state":"pending"}"#, false),
            (r#"{"statuses":[{"state":"success"}]}"#, false),
            (r#"{"repository":{"state":"success"},"x":1}"#, false),
            (r#"{"a":"state","b":"success"}"#, false),
            (r#"{"a":"\",\"state\":\"success","b":1}"#, false),
            (r#"{"st\u0061te":"suc\u0063ess"}"#, true),
            (r#"{"state":true,"state":"success"}"#, false),
            (r#"{"state":{"state":"success"}}"#, false),
            (r#"{"state":["success"]}"#, false),
            (r#"[{"state":"success"}]"#, false),
            (r#""state":"success""#, false),
            (r#"{"state":"success and a long tail"}"#, false),
            (r#"{"state":"succe"#, false),
            ("Request forbidden", false),
            ("", false),
        ] {
            assert_eq!(judge(RuleKind::Robust, 200, body), success, "{body}");
        }
        assert!(!judge(RuleKind::Robust, 403, r#"{"state":"success"}"#));
    }

    #[test]
    fn a_success_that_is_not_said_to_the_end_is_malformed() {
        for (body, end) in [
            (r#"{"state":"success"}"#, Ok(true)),
            ("{\"state\":\"success\",\"x\":[{}]}\n", Ok(true)),
            (r#"{"state":"success""#, Err(MalformedJson)),
            (r#"{"state":"success","x":["#, Err(MalformedJson)),
            (r#"{"state":"success"}{}"#, Err(MalformedJson)),
            (r#"{"state":"success","state":"failure"}"#, Err(MalformedJson)),
            (r#"{"state":"failure","state":"success"}"#, Ok(false)),
            (r#"{"state":"failure""#, Ok(false)),
        ] {
            let mut judge = Judge::new(RuleKind::Robust, 200);
            judge.look_at(body.as_bytes());
            assert_eq!(judge.finish(), end, "{body}");
        }
    }
}
