//! A header line of an HTTP response.
//!
//! What enters: a name and a value. What leaves: a [`Header`] that is exactly one line on the wire, or a
//! [`HeaderError`]. A response that breaks these rules on purpose is sent as raw bytes.

/// One header line (RFC 9112 section 5): a name and a value, neither of which can end the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: String,
}

impl Header {
    /// A header, if the name is a token (RFC 9110 section 5.6.2) and the value has no control characters but tabs
    /// (section 5.5).
    ///
    /// # Errors
    /// The name or the value is not one.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Result<Self, HeaderError> {
        let (name, value) = (name.into(), value.into());
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(HeaderError::Name(name));
        }
        if let Some(control) = value.chars().find(|c| c.is_control() && *c != '\t') {
            return Err(HeaderError::Value { name, control });
        }
        Ok(Self { name, value })
    }

    /// One of the server's own headers, which are known to be right.
    pub(crate) fn own(name: &str, value: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: value.into(),
        }
    }

    /// The name, as it is written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Why a name and a value are not a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The name is empty, or has a character that a name cannot have.
    #[error("`{}` is not a header's name; use letters, digits and !#$%&'*+-.^_`|~", .0.escape_debug())]
    Name(String),
    /// The value has a control character.
    #[error("the value of `{name}` has the control character {control:?}, which would end or break its line")]
    Value {
        /// The header's name.
        name: String,
        /// The character.
        control: char,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_one_line() {
        let header = Header::new("X-GitHub-Media-Type", "github.v3;\tformat=json é").unwrap();
        assert_eq!(header.value(), "github.v3;\tformat=json é");
        for name in ["", "X Y", "X:", "X\r\nY", "é"] {
            assert_eq!(Header::new(name, "1"), Err(HeaderError::Name(name.to_owned())));
        }
        for value in ["a\r\nX: b", "a\nb", "a\0b", "\u{7f}"] {
            let error = Header::new("X", value).unwrap_err();
            assert!(matches!(error, HeaderError::Value { .. }), "{value:?}: {error}");
        }
    }
}
