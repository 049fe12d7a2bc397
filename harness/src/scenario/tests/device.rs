//! `[device]`: what the device is told over its console.

use super::super::{Run, Timeouts, text};
use super::{DEVICE, EXPECT, GOOD, error, mistake, mistakes};

#[test]
fn a_pin_is_written_as_the_scenario_says() {
    let pin = |more: &str| {
        let text = GOOD.replace("of = \"github\"", &format!("of = \"github\"{more}"));
        text::parse("x", &text).map_err(|p| p.message).unwrap().runs[0]
            .device
            .pin
            .clone()
    };
    let usual = pin("");
    assert_eq!(
        pin(", separator = \"\", case = \"lower\""),
        usual.replace(':', "").to_lowercase()
    );
    let mixed = pin(", case = \"mixed\"");
    assert!(
        mixed != usual && mixed != usual.to_lowercase() && mixed.eq_ignore_ascii_case(&usual),
        "{mixed}"
    );
    assert_ne!(pin(", certificate = 1"), usual);
    let (_, message) = error(&GOOD.replace("of = \"github\"", "of = \"github\", certificate = 2"));
    assert!(message.contains("0 to 1"), "{message}");
}

#[test]
fn a_flipped_bit_changes_one_digit() {
    let right = text::parse("x", GOOD).map_err(|p| p.message).unwrap().runs[0]
        .device
        .pin
        .clone();
    let flipped = GOOD.replace("of = \"github\"", "of = \"github\", flip-bit = { byte = 0, bit = 0 }");
    let wrong = text::parse("x", &flipped).map_err(|p| p.message).unwrap().runs[0]
        .device
        .pin
        .clone();
    let different = right.chars().zip(wrong.chars()).filter(|(a, b)| a != b).count();
    assert_eq!(different, 1, "{right} / {wrong}");
}

#[test]
fn what_the_device_is_told_is_a_line_of_its_console() {
    mistakes(
        DEVICE,
        &[
            ("host = «\"a\\nrun\"", "this text has the control character '\\n'"),
            ("host = «\"a\\rb\"", "control character '\\r'"),
            ("host = «\"a\\u0000b\"", "control character '\\0'"),
            ("host = «\"\\u001b[2J\"", "control character '\\u{1b}'"),
            ("host = «\"\\u0085\"", "control character '\\u{85}'"),
            ("path = «\"/\\t\"", "control character '\\t'"),
            ("clock = «\"2026\\n\"", "control character"),
            (
                "clock = «2026-11-05T09:30:00Z",
                "this is a date of TOML; write text in quotes",
            ),
            ("host = «5", "expected a string"),
            (
                "host = «\"\"",
                "the console refuses an empty host; give one, or expect that `set host` is rejected",
            ),
            ("path = «\"\"", "the console refuses an empty path"),
            ("clock = «\"\"", "the console refuses an empty clock"),
            ("pin = { text = «\"\" }", "the console refuses an empty pin"),
            ("pin = { text = «\"AB\\nCD\" }", "control character '\\n'"),
            (
                "pin = { of = \"github\", separator = «\"\\n\" }",
                "control character '\\n'",
            ),
            ("pin = «{ }", "a pin needs `of`, a certificate's recipe, or `text`"),
            ("pin = «\"AB:CD\"", "AB:CD"),
            (
                "pin = { of = \"github\", text = «\"AB\" }",
                "give either `of` or `text`",
            ),
            ("pin = { of = «\"gihtub\" }", "gihtub"),
            (
                "pin = { text = \"AB\", digest = «\"sha1\" }",
                "`digest` goes with `of`, not with `text`",
            ),
            (
                "pin = { text = \"AB\", case = «\"upper\" }",
                "`case` goes with `of`, not with `text`",
            ),
            (
                "pin = { text = \"AB\", separator = «\"\" }",
                "`separator` goes with `of`, not with `text`",
            ),
            (
                "pin = { text = \"AB\", certificate = «0 }",
                "`certificate` goes with `of`, not with `text`",
            ),
            (
                "pin = { text = \"AB\", flip-bit = «{ byte = 0, bit = 0 } }",
                "`flip-bit` goes with `of`",
            ),
            (
                "pin = { of = \"github\", certificate = «2 }",
                "this chain has the certificates 0 to 1",
            ),
            ("pin = { of = \"github\", certificate = «-1 }", "-1 is out of range"),
            (
                "pin = { of = \"github\", flip-bit = { byte = «20, bit = 0 } }",
                "this digest has the bytes 0 to 19",
            ),
            (
                "pin = { of = \"github\", digest = \"sha256\", flip-bit = { byte = «32, bit = 0 } }",
                "this digest has the bytes 0 to 31",
            ),
            (
                "pin = { of = \"github\", flip-bit = { byte = 0, bit = «8 } }",
                "8 is out of range; use 0 to 7",
            ),
            (
                "pin = { of = \"github\", flip-bit = { byte = «-1, bit = 0 } }",
                "-1 is out of range",
            ),
            ("pin = { of = \"github\", digest = «\"md5\" }", "unknown variant `md5`"),
            ("timeout = { total = «0 }", "0 is out of range; use 1 to 3600000"),
            (
                "timeout = { connect = «3_600_001 }",
                "3600001 is out of range; use 1 to 3600000",
            ),
            ("timeout = { handshake = «-5 }", "-5 is out of range"),
            (
                "timeout = { handshake = «1.5 }",
                "expected a whole number from 1 to 3600000",
            ),
            ("timeout = { «lunch = 5 }", "unknown field `lunch`"),
            ("check-name = «\"on\"", "expected a boolean"),
            ("on-mismatch = «\"ignore\"", "unknown variant `ignore`"),
        ],
    );
}

#[test]
fn a_line_that_is_too_long_for_the_console_is_a_mistake() {
    let room = 1024 - "#0123456789ab set host ".len();
    let host = |length: usize| format!("host = «\"{}\"", "a".repeat(length));
    let fits = GOOD.replace(DEVICE, &host(room)).replace('«', "");
    assert!(text::parse("x", &fits).is_ok());
    let words = format!(
        "this has {} bytes, and a line of the console has room for {room} after",
        room + 1
    );
    mistakes(DEVICE, &[(&host(room + 1), &words)]);
    let words = "and a line of the console has room for 1002 after `set pin`";
    let long = "-".repeat(60);
    mistakes(
        DEVICE,
        &[
            (&format!("pin = {{ text = «\"{}\" }}", "A".repeat(1003)), words),
            (&format!("pin = {{ of = \"github\", separator = «\"{long}\" }}"), words),
        ],
    );
}

/// The limit of the firmware in the tree, which the harness must know.
#[cfg(feature = "host")]
#[test]
fn the_limit_is_that_of_the_firmwares_console() {
    assert_eq!(super::super::device::CONSOLE_LINE, pinrig_app::line::MAX_LINE);
}

#[test]
fn an_empty_setting_is_told_where_the_console_must_refuse_it() {
    let refused = "[expect.command-rejected]\ncommand = \"set host\"\ncode = \"bad-value\"";
    let scenario = GOOD.replace(DEVICE, "host = \"\"").replace(EXPECT, refused);
    let scenario = text::parse("x", &scenario).map_err(|p| p.message).unwrap();
    assert_eq!(scenario.runs[0].device.host, "");
    let other = GOOD.replace(DEVICE, "path = «\"\"").replace(EXPECT, refused);
    assert!(mistake(&other).contains("the console refuses an empty path"));
}

#[test]
fn time_limits_stay_as_they_were_unless_they_are_given() {
    let text = GOOD.replace(DEVICE, "timeout = { connect = 1, total = 2 }")
        + "[[then]]\ndevice.timeout = { total = 3 }\nexpect.accepted.build = \"success\"\n";
    let scenario = text::parse("x", &text).map_err(|p| p.message).unwrap();
    let limits = |run: &Run| {
        let Timeouts {
            network,
            connect,
            total,
            ..
        } = run.device.timeouts;
        [network, connect, total]
    };
    assert_eq!(limits(&scenario.runs[0]), [30_000, 1, 2]);
    assert_eq!(limits(&scenario.runs[1]), [30_000, 1, 3]);
}
