//! Machine lines: `@<tag> ok <command> key=value ...`, `@<tag> error <command> code=<code> detail="..."`, and around the body of a
//! reply `@<tag> reply begin` and `@<tag> reply end`.

use alloc::string::String;
use core::fmt::{Display, Write};

/// One machine line, built field by field. It always stays one line, whatever is put into it.
#[derive(Clone, Debug)]
pub struct Answer {
    text: String,
}

impl Answer {
    /// Starts `@<tag> ok <command>`.
    #[must_use]
    pub fn ok(tag: &str, command: &str) -> Self {
        Self::start(tag, &["ok", command])
    }

    /// Starts an unsolicited line, `@- <event>`.
    #[must_use]
    pub fn event(event: &str) -> Self {
        Self::start("-", &[event])
    }

    /// Starts `@<tag> reply <place>`, which marks where the server's text begins or ends.
    #[must_use]
    pub fn reply(tag: &str, place: &str) -> Self {
        Self::start(tag, &["reply", place])
    }

    /// A whole `@<tag> error <command> code=<code> detail="..."`; `code` is kebab-case, `detail` says what to do.
    #[must_use]
    pub fn error(tag: &str, command: &str, code: &str, detail: impl Display) -> Self {
        let mut answer = Self::start(tag, &["error", command]).field("code", code);
        answer.text.push_str(" detail=");
        quote(&mut answer.text, detail, true);
        answer
    }

    /// Adds ` key=value`, quoted where the value needs it.
    #[must_use]
    pub fn field(mut self, key: &str, value: impl Display) -> Self {
        self.text.push(' ');
        self.text.push_str(key);
        self.text.push('=');
        quote(&mut self.text, value, false);
        self
    }

    /// The line with its end, as it goes to the console.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.text.push_str("\r\n");
        self.text
    }

    fn start(tag: &str, words: &[&str]) -> Self {
        let mut text = String::from("@");
        text.push_str(tag);
        for word in words {
            text.push(' ');
            text.push_str(word);
        }
        Self { text }
    }
}

/// Puts `value` in quotes with `\"`, `\\`, `\n`, `\r` and `\xNN`; plain words go bare unless `always`.
fn quote(out: &mut String, value: impl Display, always: bool) {
    let start = out.len();
    out.push('"');
    write!(Quoted(out), "{value}").expect("writing to a String cannot fail");
    let bare = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let value = &out[start + 1..];
    if !always && !value.is_empty() && value.bytes().all(bare) {
        out.remove(start);
    } else {
        out.push('"');
    }
}

struct Quoted<'a>(&'a mut String);

impl Write for Quoted<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for character in text.chars() {
            match character {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                control if u32::from(control) < 0x20 || u32::from(control) == 0x7f => {
                    write!(self.0, "\\x{:02x}", u32::from(control))?;
                }
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_they_must_be() {
        for (value, text) in [
            ("plain-1.0", "plain-1.0"),
            ("a=b", "a=b"),
            ("", "\"\""),
            ("two words", "\"two words\""),
            ("\"", "\"\\\"\""),
            ("\\", "\"\\\\\""),
            ("a\r\n@- ready", "\"a\\r\\n@- ready\""),
            ("\u{1b}[2J\u{7f}", "\"\\x1b[2J\\x7f\""),
            ("käse", "\"käse\""),
        ] {
            let line = Answer::ok("t1", "show").field("network", value).finish();
            assert_eq!(line, std::format!("@t1 ok show network={text}\r\n"));
        }
    }

    #[test]
    fn an_error_has_a_code_and_a_quoted_detail() {
        assert_eq!(
            Answer::error("-", "set", "bad-value", "port: use 1-65535").finish(),
            "@- error set code=bad-value detail=\"port: use 1-65535\"\r\n",
        );
        assert_eq!(
            Answer::error("-", "x", "y", "z").finish(),
            "@- error x code=y detail=\"z\"\r\n"
        );
    }
}
