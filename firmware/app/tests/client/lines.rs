//! Lines of the console: what is refused changes nothing, and what is set replaces what was set.

use crate::support::board::console;

/// The answers to these lines, without the ready line.
fn answers(lines: &[&str]) -> Vec<String> {
    let input = lines.join("\n") + "\n";
    console(input.as_bytes()).lines().skip(1).map(str::to_owned).collect()
}

/// Settings and the values to try on each: all differ from the default and from each other.
pub(crate) const SETTINGS: &[(&str, &[&str])] = &[
    ("network", &["lab", " a b "]),
    ("password", &["correct horse", "12345678"]),
    ("host", &["a.example", "B.EXAMPLE", "192.0.2.1"]),
    ("port", &["1", "65535"]),
    ("connect-to", &["192.0.2.1:1", "10.0.0.1:65535", "none"]),
    ("path", &["/", "/a?b=c", "//"]),
    (
        "pin",
        &[
            "0000000000000000000000000000000000000000",
            "FF:ff FFffffffffffffffffffffffffffffffffff",
            "1111111111111111111111111111111111111111111111111111111111111111",
        ],
    ),
    ("on-mismatch", &["continue", "abort"]),
    ("rule", &["robust", "original"]),
    ("check-name", &["on", "off"]),
    ("check-dates", &["on", "off"]),
    ("clock", &["2026-11-05T09:30:00Z", "1999-12-31T23:59:59Z", "none"]),
    ("timeout network", &["1", "3600000"]),
    ("timeout connect", &["2", "3600000"]),
    ("timeout handshake", &["3", "3600000"]),
    ("timeout response", &["4", "3600000"]),
    ("timeout total", &["5", "3600000"]),
];

/// Values that a setting does not take.
pub(crate) const REFUSED: &[(&str, &[&str])] = &[
    (
        "network",
        &["", "123456789012345678901234567890123", "a\u{7}b", "a\u{85}b"],
    ),
    ("password", &["", "1234567", "1234567\t9"]),
    (
        "host",
        &[
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a/b",
            "a:1",
            "::1",
            "[::1]",
            "münchen.example",
            "a%",
            "1.2.3",
            "1.2.3.256",
            "01.2.3.4",
            "a.1",
            "a.0x",
            "0x7F000001",
        ],
    ),
    (
        "port",
        &["", "0", "65536", "-1", "+1", " 1", "1 ", "0x1", "99999999999999999999"],
    ),
    (
        "connect-to",
        &[
            "",
            "None",
            "192.0.2.1",
            "192.0.2.1:0",
            "192.0.2.1:65536",
            "192.0.2:1",
            "a.example:1",
            "[::1]:1",
            "192.0.2.1:1 ",
        ],
    ),
    ("path", &["", "a", " /a", "/a b", "/a ", "/\u{e4}", "/\t", "http://a/"]),
    (
        "pin",
        &[
            "",
            "none",
            "00",
            "000000000000000000000000000000000000000",
            "00000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000:",
            " 0000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000 ",
            "000000000000000000000000000000000000000g",
            "00000000000000000000000000000000000000000000000000000000000000",
            "000000000000000000000000000000000000000000000000000000000000000000",
        ],
    ),
    ("on-mismatch", &["", "Abort", "ignore", "abort "]),
    ("rule", &["", "Robust", "both", "robust "]),
    ("check-name", &["", "yes", "On", "1", "on "]),
    ("check-dates", &["", "yes", "On", "1", "on "]),
    (
        "clock",
        &[
            "",
            "now",
            "2026-11-05",
            "2026-11-05T09:30:00",
            "2026-11-05 09:30:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-05T24:00:00Z",
            " 2026-11-05T09:30:00Z",
            "None",
        ],
    ),
    ("timeout", &["", "1000", "lunch 1"]),
    (
        "timeout network",
        &["", "0", "3600001", "-1", "1.5", "1s", "99999999999999999999"],
    ),
    ("timeout total", &["", "0", "3600001", "+1", "1 2"]),
    ("colour", &["red"]),
    ("", &[""]),
];

/// The answer to `show` after these lines.
fn shown_after(lines: &[&str]) -> String {
    let mut all = lines.to_vec();
    all.push("#s show");
    answers(&all).pop().unwrap()
}

#[test]
fn a_setting_replaces_what_was_set_before() {
    for (name, values) in SETTINGS {
        let line = |value: &str| format!("set {name} {value}");
        for earlier in *values {
            for later in *values {
                let both = shown_after(&[&line(earlier), &line(later)]);
                assert_eq!(both, shown_after(&[&line(later)]), "{name}: {earlier}, then {later}");
            }
        }
    }
    let password = ["set password correct horse", "clear password"];
    assert_eq!(shown_after(&password), shown_after(&[]));
}

#[test]
fn a_setting_changes_itself_alone() {
    let default = shown_after(&[]);
    for (name, values) in SETTINGS {
        let shown = shown_after(&[&format!("set {name} {}", values[0])]);
        let key = name.replace(' ', "-");
        let differing: Vec<_> = words(&default)
            .zip(words(&shown))
            .filter(|(before, after)| before != after)
            .collect();
        assert_eq!(differing.len(), 1, "{name}: {differing:?}");
        assert!(differing[0].1.starts_with(&format!("{key}=")), "{name}: {differing:?}");
    }
}

/// The fields of an answer whose quoted values have no space.
fn words(answer: &str) -> impl Iterator<Item = &str> {
    answer.split(' ')
}

#[test]
fn what_is_refused_changes_nothing() {
    // Each setting has a value that is not the default, which a mistake would bring back.
    let set: Vec<String> = SETTINGS
        .iter()
        .map(|(name, values)| format!("set {name} {}", values[0]))
        .collect();
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    let before = shown_after(&set);
    for (name, values) in REFUSED {
        for value in *values {
            for line in [
                format!("set {name} {value}"),
                format!("set {name} {value}").trim_end().to_owned(),
            ] {
                // Without its value, not with another one.
                if line.ends_with(value) {
                    let mut lines = set.clone();
                    lines.extend([&*line, "#s show"]);
                    let answers = answers(&lines);
                    let [.., answer, after] = &answers[..] else {
                        panic!("{answers:?}")
                    };
                    assert!(answer.starts_with("@- error set code="), "{line}: {answer}");
                    assert_eq!(after, &before, "{line}");
                }
            }
        }
    }
    for line in [
        "",
        "SET port 1",
        "set",
        "set  port 1",
        " set port 1",
        "sett port 1",
        "clear",
        "clear host",
        "clear password ",
        "clear  password",
        "show all",
        "hello ",
        "#A set port 1",
        "# set port 1",
        "#0123456789abcdefg set port 1",
        "##a set port 1",
        "#a",
    ] {
        let mut lines = set.clone();
        lines.extend([line, "#s show"]);
        assert_eq!(answers(&lines).last(), Some(&before), "{line:?}");
    }
    let mut lines = set.clone();
    let long = format!("set path /{}", "x".repeat(1024));
    lines.extend([long.as_str(), "#s show"]);
    assert_eq!(answers(&lines).last(), Some(&before), "a line that is too long");
}

#[test]
fn a_line_has_1024_bytes_and_the_refusal_of_a_longer_one_has_its_tag() {
    let line = |path: usize| format!("#a1 set path /{}", "x".repeat(path - 1));
    let longest = 1024 - "#a1 set path ".len();
    let [set, shown] = &answers(&[&line(longest), "show"])[..] else {
        panic!()
    };
    assert_eq!(set, "@a1 ok set");
    assert!(
        shown.contains(&format!(" path=/{} ", "x".repeat(longest - 1))),
        "{shown}"
    );
    let error = "@a1 error line code=too-long detail=\"a line has at most 1024 bytes\"";
    assert_eq!(answers(&[&line(longest + 1)]), [error]);
    assert_eq!(answers(&[&line(5000)]), [error]);
    let untagged = format!("#A1 {}", "x".repeat(5000));
    assert_eq!(answers(&[&untagged]), [error.replace("@a1", "@-")]);
    let not_utf_8 = console(b"#a1 set host \xff\n");
    assert_eq!(
        not_utf_8.lines().nth(1),
        Some("@a1 error line code=not-utf8 detail=\"send UTF-8\"")
    );
}

#[test]
fn a_host_that_cannot_be_used_is_refused_with_the_reason() {
    let label = "a".repeat(63);
    let name = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    for host in [
        "a",
        "API.Example",
        "xn--mnchen-3ya.example",
        "_dmarc.example",
        "1.example",
        "a.1b",
        "192.0.2.1",
        &label,
        &name,
    ] {
        let answers = answers(&[&format!("set host {host}"), "show"]);
        assert_eq!(answers[0], "@- ok set", "{host}");
        assert!(
            answers[1].contains(&format!(" host={host} ")),
            "{host}: as it was written"
        );
    }
    for (host, reason) in [
        ("", "1-253 bytes"),
        (&*format!("{name}a"), "1-253 bytes"),
        (
            &*format!("{label}a.example"),
            "labels of 1-63 bytes, with one dot between two and none at an end",
        ),
        (
            "a..example",
            "labels of 1-63 bytes, with one dot between two and none at an end",
        ),
        (
            "a.example.",
            "labels of 1-63 bytes, with one dot between two and none at an end",
        ),
        (
            ".example",
            "labels of 1-63 bytes, with one dot between two and none at an end",
        ),
        (
            "münchen.example",
            "ASCII only; write other letters in punycode, as in xn--mnchen-3ya.example",
        ),
        (
            "::1",
            "an IPv4 address or a name; no IPv6 address, and the port is set by `set port`",
        ),
        (
            "[2001:db8::1]",
            "an IPv4 address or a name; no IPv6 address, and the port is set by `set port`",
        ),
        (
            "a.example:443",
            "an IPv4 address or a name; no IPv6 address, and the port is set by `set port`",
        ),
        (
            "a.example/b",
            "labels of letters, digits, - and _, with dots between them",
        ),
        (
            "a example",
            "labels of letters, digits, - and _, with dots between them",
        ),
        (
            "*.example",
            "labels of letters, digits, - and _, with dots between them",
        ),
        (
            "192.0.2",
            "not an IPv4 address, and the last label of a name is not a number",
        ),
        (
            "192.0.2.256",
            "not an IPv4 address, and the last label of a name is not a number",
        ),
        (
            "192.0.2.01",
            "not an IPv4 address, and the last label of a name is not a number",
        ),
        (
            "3221225985",
            "not an IPv4 address, and the last label of a name is not a number",
        ),
        (
            "0xC0000201",
            "not an IPv4 address, and the last label of a name is not a number",
        ),
        (
            "a.0x",
            "not an IPv4 address, and the last label of a name is not a number",
        ),
    ] {
        let answer = format!("@- error set code=bad-value detail=\"host: {reason}\"");
        assert_eq!(answers(&[&format!("set host {host}")]), [answer], "{host}");
    }
}
