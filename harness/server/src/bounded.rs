//! Whole numbers that lie in a range.
//!
//! What enters: a number from a file or from code. What leaves: a [`Bounded`], which cannot be out of its range. Code
//! that takes one need not check it again.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A whole number from `MIN` to `MAX`, both included.
///
/// In a file it is a plain number. One that is out of range is a mistake there, and so is text, a fraction or a date.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bounded<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Bounded<MIN, MAX> {
    /// The smallest number of the range.
    pub const MIN: Self = Self(MIN);
    /// The largest number of the range.
    pub const MAX: Self = Self(MAX);

    /// The number, if it is in the range.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if MIN <= number && number <= MAX {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as a size in memory. On a machine whose memory has fewer addresses than the number says, it is the
    /// largest size that there is.
    #[must_use]
    pub fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Bounded<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Debug for Bounded<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Number)
    }
}

/// Reads a number and compares it with the range.
struct Number<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Number<MIN, MAX> {
    fn check<E: Error>(&self, number: i128) -> Result<Bounded<MIN, MAX>, E> {
        u64::try_from(number)
            .ok()
            .and_then(Bounded::new)
            .ok_or_else(|| E::custom(format_args!("{number} is out of range; use {MIN} to {MAX}")))
    }
}

impl<const MIN: u64, const MAX: u64> Visitor<'_> for Number<MIN, MAX> {
    type Value = Bounded<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {MAX}")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        self.check(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        self.check(number.into())
    }

    /// A number of more than 64 bits.
    fn visit_i128<E: Error>(self, number: i128) -> Result<Self::Value, E> {
        self.check(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let number = text.parse::<i128>().is_ok();
        Err(if number {
            E::custom(format_args!("\"{text}\" is text; write the number without quotes"))
        } else {
            E::invalid_type(Unexpected::Str(text), &self)
        })
    }
}

#[cfg(feature = "schema")]
impl<const MIN: u64, const MAX: u64> schemars::JsonSchema for Bounded<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("From{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    type Digit = Bounded<1, 9>;

    #[test]
    fn a_number_is_in_its_range_or_is_none() {
        assert_eq!(
            [0, 1, 9, 10].map(Digit::new),
            [None, Some(Bounded(1)), Some(Bounded(9)), None]
        );
        assert_eq!((Digit::MIN.get(), Digit::MAX.size()), (1, 9));
    }

    #[test]
    fn what_is_not_in_the_range_is_refused_in_words() {
        let read = |value: Value| serde_json::from_value::<Digit>(value).map_err(|error| error.to_string());
        assert_eq!(read(json!(7)), Ok(Bounded(7)));
        for (value, words) in [
            (json!(0), "0 is out of range; use 1 to 9"),
            (json!(-3), "-3 is out of range; use 1 to 9"),
            (json!(u64::MAX), "18446744073709551615 is out of range; use 1 to 9"),
            (json!(2.5), "floating point `2.5`, expected a whole number from 1 to 9"),
            (json!("5"), "\"5\" is text; write the number without quotes"),
            (json!("five"), "string \"five\", expected a whole number from 1 to 9"),
            (json!(true), "boolean `true`, expected a whole number from 1 to 9"),
        ] {
            let error = read(value.clone()).unwrap_err();
            assert!(error.contains(words), "{value}: {error}");
        }
    }
}
