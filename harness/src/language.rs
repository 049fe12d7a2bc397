//! The machine lines of the firmware's console language: `@<tag> <kind> <word>... key=value...`.
//!
//! What enters: a line of text. What leaves: a [`MachineLine`]. Only the syntax is here; what the words mean is decided
//! by the modules above.

/// How the line begins with which the firmware says that it has booted.
pub const READY: &str = "@- ready ";

/// The `key=value` pairs of a machine line, in order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }
}

/// A line that is for machines.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MachineLine {
    /// The command's tag, `-` where it had none.
    pub tag: String,
    /// `ok`, `error`, `ready`, `panic`, `backtrace`.
    pub kind: String,
    /// The command's name, or a value without a key.
    pub words: Vec<String>,
    /// The pairs.
    pub fields: Fields,
}

impl MachineLine {
    /// Reads `@<tag> <kind> <word>... key=value...`; values may be quoted with `\"`, `\\`, `\n`, `\r` and `\xNN` inside.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix('@')?;
        let (tag, rest) = rest.split_once(' ')?;
        let (kind, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let mut words = Vec::new();
        let mut fields = Fields::default();
        while !rest.is_empty() {
            let end = rest.find([' ', '=']).unwrap_or(rest.len());
            let word = &rest[..end];
            rest = &rest[end..];
            if let Some(value) = rest.strip_prefix('=') {
                let (value, after) = match value.strip_prefix('"') {
                    Some(quoted) => unquote(quoted)?,
                    None => {
                        let end = value.find(' ').unwrap_or(value.len());
                        (value[..end].to_owned(), &value[end..])
                    }
                };
                fields.0.push((word.to_owned(), value));
                rest = after;
            } else {
                words.push(word.to_owned());
            }
            rest = rest.strip_prefix(' ').unwrap_or(rest);
        }
        Some(Self {
            tag: tag.to_owned(),
            kind: kind.to_owned(),
            words,
            fields,
        })
    }
}

/// The value up to its closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                'x' => {
                    let digits = [characters.next()?.1, characters.next()?.1];
                    let digits: String = digits.into_iter().collect();
                    value.push(char::from(u8::from_str_radix(&digits, 16).ok()?));
                }
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_lines_are_read_with_their_quotes() {
        let line = MachineLine::parse(r#"@a1 ok run outcome=refused reason="a \"b\" \\ \x1b" body=12"#).unwrap();
        assert_eq!((line.tag.as_str(), line.kind.as_str()), ("a1", "ok"));
        assert_eq!(line.words, ["run"]);
        assert_eq!(line.fields.get("reason"), Some("a \"b\" \\ \u{1b}"));
        assert_eq!(line.fields.get("body"), Some("12"));
        assert_eq!(line.fields.get("outcome"), Some("refused"));
        for broken in ["", "@", "@a", "ready", "@- panic message=\"open", "@- x y=\"\\x4\""] {
            assert_eq!(
                MachineLine::parse(broken).filter(|m| !m.fields.0.is_empty()),
                None,
                "{broken}"
            );
        }
    }
}
