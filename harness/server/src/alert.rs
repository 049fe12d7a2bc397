//! The description of an alert.
//!
//! What enters: a number, or a name of the TLS Alerts registry. What leaves: an [`AlertDescription`].

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::names;

/// The description of an alert (RFC 8446 section 6): any number, registered or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertDescription(pub u8);

impl AlertDescription {
    /// The alert of a server that finds no parameters in common with the client.
    pub const HANDSHAKE_FAILURE: Self = Self(40);
}

/// The registered name, or `alert 7` where there is none.
impl fmt::Display for AlertDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&names::alert(self.0))
    }
}

impl FromStr for AlertDescription {
    type Err = UnknownAlert;

    fn from_str(name: &str) -> Result<Self, UnknownAlert> {
        names::alert_code(name)
            .map(Self)
            .ok_or_else(|| UnknownAlert(name.to_owned()))
    }
}

/// In a file it is a number or a registered name.
impl<'de> Deserialize<'de> for AlertDescription {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrName;
        impl Visitor<'_> for NumberOrName {
            type Value = AlertDescription;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an alert's name, or its number from 0 to 255")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<AlertDescription, E> {
                u8::try_from(number).map(AlertDescription).map_err(|_| {
                    E::custom(format_args!(
                        "{number} is out of range; an alert has a number from 0 to 255"
                    ))
                })
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<AlertDescription, E> {
                name.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(NumberOrName)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for AlertDescription {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AlertDescription".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = names::alerts().collect();
        schemars::json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": 255 },
            { "type": "string", "enum": names },
        ] })
    }
}

/// No alert has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no alert is called `{0}`; use a number from 0 to 255, or one of {list}",
    list = names::alerts().collect::<Vec<_>>().join(", ")
)]
pub struct UnknownAlert(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_found_by_its_registered_name() {
        assert_eq!("bad_certificate".parse(), Ok(AlertDescription(42)));
        assert_eq!(AlertDescription(7).to_string(), "alert 7");
        assert!("alert 7".parse::<AlertDescription>().is_err());
    }
}
