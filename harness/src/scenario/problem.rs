//! Mistakes in a scenario file, and values that know where they stand in it.
//!
//! What enters: values as the TOML reader gives them. What leaves: the same values with the bytes of the file that they
//! were read from, and a [`Problem`] for each mistake. This module knows no table of the language.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use toml::Spanned;
use toml::value::Datetime;

/// What is wrong, and at which bytes of the file.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { span, message }
    }

    /// A mistake in `text` that the TOML reader has found, in the words of the language and not of the reader.
    pub(super) fn of_reader(text: &str, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or_default();
        let is_date = text
            .get(span.clone())
            .is_some_and(|value| value.parse::<Datetime>().is_ok());
        let message = match error.message() {
            "wanted exactly 1 element, more than 1 element" => "give one of these, not several".to_owned(),
            "wanted exactly 1 element, found 0 elements" => "this table is empty; say what it stands for".to_owned(),
            "wanted string or table" if !is_date => "expected a name in quotes, or a table".to_owned(),
            other => match other
                .strip_prefix("invalid type: ")
                .and_then(|types| types.split_once(", expected "))
            {
                Some(("unit variant", _)) => {
                    "a name alone is not enough here; give a table with its settings".to_owned()
                }
                Some((_, "a string")) | None if is_date => "this is a date of TOML; write text in quotes".to_owned(),
                Some((found, expected)) => wrong_type(if is_date { "a date of TOML" } else { found }, expected),
                None => other.to_owned(),
            },
        };
        Self { span, message }
    }
}

/// What is said of a value of the wrong type, by the names that TOML has for types.
fn wrong_type(found: &str, expected: &str) -> String {
    let found = match found {
        "map" => "a table",
        "sequence" => "a list",
        other => other,
    };
    let expected = match expected {
        "a sequence" => "a list",
        structure if structure.starts_with("struct ") => "a table",
        other => other,
    };
    format!("invalid type: {found}, expected {expected}")
}

/// A value with its place in the file.
#[derive(Debug)]
pub(super) struct At<T>(Spanned<T>);

impl<T> At<T> {
    pub(super) fn get(&self) -> &T {
        self.0.get_ref()
    }

    pub(super) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    pub(super) fn into_inner(self) -> T {
        self.0.into_inner()
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.0.span()
    }

    /// The mistake that this value is.
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.span(), message)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A key of a table, and where its value stands if the file has one.
pub(super) struct Given {
    pub(super) key: &'static str,
    pub(super) span: Option<Range<usize>>,
}

/// The place of a value that may be left out.
pub(super) fn given<T>(key: &'static str, value: &Option<At<T>>) -> Given {
    Given {
        key,
        span: value.as_ref().map(At::span),
    }
}

/// Text of one line without control characters: one that ends the line, or that a terminal obeys, would mean something
/// else where the text is sent or printed.
#[derive(Clone, Debug)]
pub(super) struct Line(String);

impl Line {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.chars().find(|c| c.is_control()) {
            Some(control) => Err(de::Error::custom(format_args!(
                "this text has the control character {control:?}; it must be one line without any"
            ))),
            None => Ok(Self(text)),
        }
    }
}

impl JsonSchema for Line {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Line".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\P{Cc}*$" })
    }
}

/// Something that is written as a name or as a table.
///
/// Serde's untagged enums would do, but say of a mistake only that nothing matched, and lose its place.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) T);

/// Something that a name alone can stand for.
pub(super) trait FromName: Sized {
    /// What the name stands for.
    fn from_name(name: &str) -> Result<Self, String>;

    /// The schema of the names.
    fn names(generator: &mut SchemaGenerator) -> Schema;
}

impl<'de, T: Deserialize<'de> + FromName> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + FromName> Visitor<'de> for Either<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a table")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Named<T>, E> {
                T::from_name(name).map(Named).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Named<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(table)).map(Named)
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<T: JsonSchema + FromName> JsonSchema for Named<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("NameOr{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (name, table) = (T::names(generator), generator.subschema_for::<T>());
        json_schema!({ "anyOf": [name, table] })
    }
}
