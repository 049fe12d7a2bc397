//! The values of `rig.toml` that are text in the file.
//!
//! What enters: the text of one value. What leaves: a type that cannot hold a wrong one, or an [`InvalidValue`], which
//! shows the text and says what to write. TOML's reader adds the line and the column. This module knows no table of the
//! file.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// A text that is not the value that it should be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct InvalidValue {
    text: String,
    /// What it is not, and what to write.
    expected: &'static str,
}

/// A type that TOML's reader makes from a text.
trait Text: FromStr<Err = InvalidValue> {
    /// What the text must be, and an example: the end of a sentence that begins with "`text` is not".
    const EXPECTED: &'static str;

    /// The error for a text that is something else.
    fn invalid(text: &str) -> InvalidValue {
        InvalidValue {
            text: text.to_owned(),
            expected: Self::EXPECTED,
        }
    }
}

/// Reads a `T` from TOML. The error is made in the visitor, where TOML's reader adds the position of this very text.
struct TextVisitor<T>(PhantomData<T>);

impl<T: Text> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Lets TOML's reader make these types, which stand as strings in the schema.
macro_rules! read_as_text {
    ($($name:ident)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(TextVisitor(PhantomData))
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                String::json_schema(generator)
            }
        }
    )*};
}

/// Texts that are kept as they are: a condition, and what is expected of a text that does not meet it.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $is_valid:expr, $expected:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
            #[serde(transparent)]
            pub struct $name(String);

            impl Text for $name {
                const EXPECTED: &'static str = $expected;
            }

            impl FromStr for $name {
                type Err = InvalidValue;

                fn from_str(text: &str) -> Result<Self, InvalidValue> {
                    let is_valid: fn(&str) -> bool = $is_valid;
                    is_valid(text).then(|| Self(text.to_owned())).ok_or_else(|| Self::invalid(text))
                }
            }

            impl $name {
                /// The text.
                #[must_use]
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl From<$name> for String {
                fn from(value: $name) -> Self {
                    value.0
                }
            }

            impl Borrow<str> for $name {
                fn borrow(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }
        )*
        read_as_text! { $($name)* }
    };
}

texts! {
    /// The name of a board.
    BoardName: is_word, "a valid name for a board; use letters, digits, `-`, `_` and `.`, as in `devkit`";
    /// A word by which users ask for boards.
    Tag: is_word, "a valid tag; use letters, digits, `-`, `_` and `.`, as in `wifi`";
    /// The name of a link in `/dev/serial/by-id`.
    LinkName: |text| is_filled(text) && !text.contains('/'),
        "the name of a link in /dev/serial/by-id; write it without the folder, as in `usb-Silicon_Labs_0001-if00-port0`";
    /// The serial number of a USB device, as the device tells it.
    SerialNumber: is_filled, "a USB serial number; write what `pinrig boards` shows, as in `0123456789abcdef`";
    /// The name of a chip. Flashers other than espflash may know chips that espflash does not.
    Chip: |text| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
        "the name of a chip; write it in letters and digits, as in `esp32c3`";
    /// The name of a Wi-Fi network: 1 to 32 bytes (IEEE 802.11, "SSID element"). It goes to the firmware in a line of
    /// its own.
    Ssid: |text| is_filled(text) && text.len() <= 32,
        "the name of a Wi-Fi network; write 1 to 32 bytes without control characters, as in `lab`";
    /// The name of an environment variable.
    Variable: |text| is_filled(text) && !text.contains('='),
        "the name of an environment variable; write it without `$`, as in `PINRIG_WIFI_PASSWORD`";
    /// A scenario or a folder of scenarios.
    ScenarioPattern: |text| text.trim_end_matches('/').split(['/', '@']).all(is_word),
        "a scenario or a folder of scenarios; write one as in `server/rsa` or `server`";
    /// A reason, for readers of reports.
    Reason: |text| !text.trim().is_empty(), "a reason; say why, as in `the client speaks TLS 1.2`";
    /// The program of a command.
    Program: is_filled, "a program; write its name or its path, as in `esptool`";
    /// A text that stands in a line of a console, or the name of a setting.
    Phrase: |text| !text.is_empty(), "a text to look for or a name; write at least one character";
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn is_filled(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}

impl Chip {
    /// The chip as espflash knows it, if it does.
    #[must_use]
    pub fn known_to_espflash(&self) -> Option<espflash::target::Chip> {
        self.0.parse().ok()
    }
}

/// The MAC address of a chip.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mac([u8; 6]);

impl Text for Mac {
    const EXPECTED: &'static str = "a MAC address; write six bytes, as in 7C:DF:A1:00:00:01";
}

impl FromStr for Mac {
    type Err = InvalidValue;

    /// Reads twelve hexadecimal digits; colons and hyphens may stand between them.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-')).collect();
        if digits.len() != 12 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(Self::invalid(text));
        }
        let mut bytes = [0; 6];
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| Self::invalid(text))?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

/// Which debug probe, as probe-rs writes it: `VID:PID`, `VID:PID:SERIAL` or `VID:PID-INTERFACE:SERIAL`, numbers in
/// hexadecimal digits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProbeSelector {
    /// `idVendor` of the USB device.
    pub vendor: u16,
    /// `idProduct` of the USB device.
    pub product: u16,
    /// Which of its USB interfaces.
    pub interface: Option<u8>,
    /// Its serial number. A Black Magic Probe over TCP has its address in this place.
    pub serial: Option<String>,
}

impl ProbeSelector {
    /// Whether the probe is reached over TCP, as `1d50:6018:127.0.0.1:4000`, and not over USB.
    #[must_use]
    pub fn is_over_tcp(&self) -> bool {
        // A serial number may have colons too: a MAC address has.
        self.serial
            .as_deref()
            .is_some_and(|serial| serial.parse::<SocketAddr>().is_ok())
    }
}

impl Text for ProbeSelector {
    const EXPECTED: &'static str =
        "a debug probe; write VID:PID or VID:PID:SERIAL as probe-rs lists it, as in 303a:1001:7C:DF:A1:00:00:01";
}

impl FromStr for ProbeSelector {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let number = |word: &str| u16::from_str_radix(word, 16).ok().filter(|_| word.len() <= 4);
        let read = || {
            let mut words = text.splitn(3, ':');
            let vendor = number(words.next()?)?;
            let product = words.next()?;
            let (product, interface) = match product.split_once('-') {
                Some((product, interface)) => (product, Some(interface.parse().ok()?)),
                None => (product, None),
            };
            let product = number(product)?;
            let serial = match words.next() {
                Some(serial) if !is_filled(serial) => return None,
                serial => serial.map(str::to_owned),
            };
            Some(Self {
                vendor,
                product,
                interface,
                serial,
            })
        };
        read().ok_or_else(|| Self::invalid(text))
    }
}

impl fmt::Display for ProbeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.product)?;
        if let Some(interface) = self.interface {
            write!(f, "-{interface}")?;
        }
        match &self.serial {
            Some(serial) => write!(f, ":{serial}"),
            None => Ok(()),
        }
    }
}

/// An address at which a server can stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ServerAddress(pub(super) IpAddr);

impl Text for ServerAddress {
    const EXPECTED: &'static str = "the address of one machine; write it as in 192.168.1.10";
}

impl FromStr for ServerAddress {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let address = text.parse::<IpAddr>().ok();
        let address = address.filter(|address| !address.is_unspecified() && !address.is_multicast());
        address.map(Self).ok_or_else(|| Self::invalid(text))
    }
}

/// A path, absolute or relative to the inventory's folder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct FilePath(pub(super) PathBuf);

impl Text for FilePath {
    const EXPECTED: &'static str = "a path; write one as in `/dev/ttyUSB0` or `target/firmware.elf`";
}

impl FromStr for FilePath {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        is_filled(text)
            .then(|| Self(text.into()))
            .ok_or_else(|| Self::invalid(text))
    }
}

read_as_text! { Mac ProbeSelector ServerAddress FilePath }

/// A program and its arguments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandLine {
    /// The program: its name, or its path.
    pub program: Program,
    /// The arguments; any of them may be empty.
    pub arguments: Vec<String>,
}

impl CommandLine {
    /// The program, then its arguments.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        [self.program.as_str()]
            .into_iter()
            .chain(self.arguments.iter().map(String::as_str))
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.words().collect();
        f.write_str(&words.join(" "))
    }
}

impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = CommandLine;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of a program and its arguments")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<CommandLine, A::Error> {
                let program = words.next_element()?.ok_or_else(|| {
                    de::Error::custom(
                        "the command is empty; write the program and its arguments, as in [\"esptool\", \"version\"]",
                    )
                })?;
                let mut arguments = Vec::new();
                while let Some(argument) = words.next_element()? {
                    arguments.push(argument);
                }
                Ok(CommandLine { program, arguments })
            }
        }

        deserializer.deserialize_seq(Words)
    }
}

impl JsonSchema for CommandLine {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CommandLine".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Vec::<String>::json_schema(generator)
    }
}

/// The speed of a console in bit/s.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Baud(pub(super) NonZeroU32);

impl<'de> Deserialize<'de> for Baud {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Baud;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a speed in bit/s, as in 115200")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Baud, E> {
                let speed = u32::try_from(number).ok().and_then(NonZeroU32::new);
                speed.map(Baud).ok_or_else(|| {
                    E::custom(format_args!(
                        "`{number}` is not the speed of a serial port; write it in bit/s, as in 115200"
                    ))
                })
            }
        }

        deserializer.deserialize_u32(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_is_read_however_its_bytes_are_separated() {
        for text in ["7C:DF:A1:00:00:01", "7c-df-a1-00-00-01", "7cdfa1000001"] {
            assert_eq!(text.parse::<Mac>().unwrap().to_string(), "7C:DF:A1:00:00:01");
        }
        for text in ["", "7c-df", "7C:DF:A1:00:00:0G", "7C:DF:A1:00:00:01:02", "ÄÄ:ÄÄ:ÄÄ"] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_probe_is_named_as_probe_rs_names_it() {
        for text in [
            "303a:1001",
            "303a:1001:7C:DF:A1:00:00:01",
            "0403:6010-1:FT1",
            "1d50:6018:127.0.0.1:4000",
        ] {
            assert_eq!(text.parse::<ProbeSelector>().unwrap().to_string(), text);
        }
        let is_over_tcp = |text: &str| text.parse::<ProbeSelector>().unwrap().is_over_tcp();
        assert!(is_over_tcp("1d50:6018:127.0.0.1:4000") && !is_over_tcp("303a:1001:7C:DF:A1:00:00:01"));
        for text in [
            "",
            "303a",
            "303a:",
            "303a:10010",
            "303a:1001:",
            "303a:1001-x",
            "probe:1001",
        ] {
            assert!(text.parse::<ProbeSelector>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_name_has_one_to_thirty_two_bytes_in_one_line() {
        for text in ["lab", "Lab of Ann", &"ä".repeat(16)] {
            assert!(text.parse::<Ssid>().is_ok(), "{text}");
        }
        for text in ["", " ", "two\nlines", &"ä".repeat(17)] {
            assert!(text.parse::<Ssid>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_stands_at_the_address_of_one_machine() {
        for text in ["192.168.4.2", "::1"] {
            assert!(text.parse::<ServerAddress>().is_ok(), "{text}");
        }
        for text in ["", "0.0.0.0", "224.0.0.1", "::", "desk", "192.168.4.2:443"] {
            assert!(text.parse::<ServerAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_chip_may_be_one_that_espflash_does_not_know() {
        assert!("esp32c3".parse::<Chip>().unwrap().known_to_espflash().is_some());
        assert_eq!("esp8266".parse::<Chip>().unwrap().known_to_espflash(), None);
        assert!("esp 32".parse::<Chip>().is_err());
    }
}
