//! The language of scenario files as a whole: what is read, and how mistakes are shown.

use pinrig_certs::Recipe;

use super::device::DEFAULT_PATH;
use super::*;
use crate::file_error::position;

const GOOD: &str = r#"
about = "The pin is the server's."
[server]
certificate = "github"
[device]
pin = { of = "github" }
[expect.accepted]
build = "success"
"#;

fn error(text: &str) -> (usize, String) {
    let problem = text::parse("x", text).expect_err("must be refused");
    let (line, _) = position(text, problem.span.start);
    (line, problem.message)
}

#[test]
fn a_scenario_is_read_with_the_originals_defaults() {
    let scenario = text::parse("pin/matches", GOOD).map_err(|p| p.message).unwrap();
    assert_eq!(scenario.runs[0].device.host, "api.github.com");
    assert_eq!(scenario.runs[0].device.path, DEFAULT_PATH);
    assert_eq!(scenario.runs[0].device.on_mismatch, OnMismatch::Abort);
    assert_eq!(
        scenario.runs[0].expect,
        Expectation::Accepted {
            build: Build::Success,
            pin: Pin::Match,
            name: Name::Unchecked,
        }
    );
    assert_eq!(
        scenario.runs[0].device.pin.split(':').count(),
        20,
        "{}",
        scenario.runs[0].device.pin
    );
}

#[test]
fn mistakes_are_found_on_their_line() {
    let unknown_field = GOOD.replace("[device]", "speling = 1\n[device]");
    let (line, message) = error(&unknown_field);
    assert_eq!(line, 5);
    assert!(message.contains("unknown field `speling`"), "{message}");

    let (line, message) = error(&GOOD.replace("certificate = \"github\"", "certificate = \"gihtub\""));
    assert_eq!(line, 4);
    assert!(message.contains("gihtub") && message.contains("github"), "{message}");

    let (line, message) = error(&GOOD.replace("of = \"github\"", "of = \"github\", flip-bit = { byte = 20, bit = 0 }"));
    assert_eq!(line, 6);
    assert!(message.contains("bytes 0 to 19"), "{message}");

    let (line, _) = error(&GOOD.replace("certificate =", "listening = false\ncertificate ="));
    assert_eq!(line, 4);

    let (line, message) = error(&GOOD.replace("build =", "bild = 1\nbuild ="));
    assert_eq!(line, 8);
    assert!(message.contains("bild"), "{message}");
}

#[test]
fn mistakes_in_the_servers_table_are_found_on_their_line() {
    let with = |line: &str| error(&GOOD.replace("certificate = \"github\"", line));
    for (line, wanted) in [
        ("handshake = [\"server-hello\", \"finnished\"]", "finnished"),
        ("handshake = [{ step = \"finished\", flip = 1 }]", "flip"),
        ("reply = \"sucess\"", "sucess"),
        ("reply = { of = \"success\", body = \"{}\" }", "one of"),
        ("reply = { body-hex = \"4x\" }", "4x"),
        ("reply = { cut-body-to = 99999 }", "cannot be cut"),
        ("reply = { padded-to = 10 }", "cannot be padded"),
        ("suites = [\"TLS_NULL\"]", "TLS_AES_128_GCM_SHA256"),
        ("versions = []", "1.2"),
        ("record-size = 16", "32"),
        ("tickets = 1\nsays = \"SSH-2.0\"", "one of"),
        ("omit = []", "names no step"),
        ("fault = { what = \"stall\", when = \"never\" }", "never"),
    ] {
        let (at, message) = with(line);
        assert_eq!(at, 4 + line.matches('\n').count(), "{line}: {message}");
        assert!(message.contains(wanted), "{line}: {message}");
    }
}

#[test]
fn further_runs_keep_what_they_do_not_say() {
    let text = GOOD.to_owned()
        + "[[then]]\ndevice.rule = \"robust\"\nexpect.accepted.build = \"success\"\n\
               [[then]]\nserver.certificate = \"expired\"\nexpect.accepted.build = \"success\"\n";
    let scenario = text::parse("x", &text).map_err(|p| p.message).unwrap();
    let [first, second, third] = &scenario.runs[..] else {
        panic!("{:?}", scenario.runs)
    };
    assert_eq!(second.device.commands_after(&first.device), ["set rule robust"]);
    assert_eq!(third.device, second.device);
    let Service::Tls(server) = &third.service else {
        panic!("{third:?}")
    };
    assert_eq!(server.certificate, Recipe::Expired);
    let closed = text.replace("server.certificate = \"expired\"", "server.listening = false");
    let (line, message) = error(&closed);
    assert_eq!((line, message.contains("listened")), (13, true), "{message}");
}

#[test]
fn a_soak_test_goes_on_beyond_its_warm_up() {
    let soak = |times: u32| format!("repeat = {times}\n{}", GOOD.trim_start());
    assert_eq!(text::parse("x", &soak(100)).map_err(|p| p.message).unwrap().repeat, 100);
    assert_eq!(text::parse("x", GOOD).map_err(|p| p.message).unwrap().repeat, 1);
    let (line, message) = error(&soak(SOAK_WARM_UP));
    assert_eq!((line, message.contains("after 10 runs")), (1, true), "{message}");
}

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
fn names_and_folders_select() {
    let scenario = |name: &str| Scenario {
        name: name.into(),
        ..text::parse("x", GOOD).map_err(|p| p.message).unwrap()
    };
    let all = [scenario("pin/matches"), scenario("pin/wrong"), scenario("pinned/other")];
    let names = |patterns: &[&str]| {
        let patterns: Vec<String> = patterns.iter().map(|&p| p.to_owned()).collect();
        select(&all, &patterns).map(|found| found.into_iter().map(|s| s.name).collect::<Vec<_>>())
    };
    assert_eq!(names(&["pin"]).unwrap(), ["pin/matches", "pin/wrong"]);
    assert_eq!(names(&["pin/wrong"]).unwrap(), ["pin/wrong"]);
    assert_eq!(names(&[]).unwrap().len(), 3);
    let message = names(&["pin/mathces"]).unwrap_err().to_string();
    assert!(message.contains("did you mean `pin/matches`"), "{message}");
}

/// Reads a scenario whose mistake is marked with `«`, and gives what is said of it. It must be said at the mark.
fn mistake(marked: &str) -> String {
    let mark = marked.find('«').expect("the mistake is marked");
    let text = marked.replacen('«', "", 1);
    let Err(problem) = text::parse("x", &text) else {
        panic!("this must be refused:\n{marked}")
    };
    let (found, marked_at) = (position(&text, problem.span.start), position(&text, mark));
    assert_eq!(found, marked_at, "line and column of: {}\n{marked}", problem.message);
    problem.message
}

/// Checks what is said of each mistake in the part of [`GOOD`] that `instead_of` is.
fn mistakes(instead_of: &str, cases: &[(&str, &str)]) {
    for (marked, words) in cases {
        let text = GOOD.replace(instead_of, marked);
        assert_ne!(text, GOOD, "{instead_of}");
        let message = mistake(&text);
        assert!(
            message.contains(words),
            "{marked}\n  should say: {words}\n  says:       {message}"
        );
    }
}

const SERVER: &str = "certificate = \"github\"";
const DEVICE: &str = "pin = { of = \"github\" }";
const EXPECT: &str = "[expect.accepted]\nbuild = \"success\"";

#[test]
fn a_step_has_only_the_settings_that_apply_to_it() {
    for (step, words) in [
        (
            "\"finnished\"",
            "no handshake step is called `finnished`; use one of server-hello, ",
        ),
        ("{ step = «\"finnished\" }", "no handshake step is called `finnished`"),
        ("{ step = \"finished\", «flip = 1 }", "unknown field `flip`"),
        ("{ cut = 5 }", "missing field `step`"),
        (
            "{ step = \"finished\", size = «1 }",
            "`size` goes with `application-data`, not with `finished`",
        ),
        (
            "{ step = \"raw\", hex = \"00\", size = «1 }",
            "`size` goes with `application-data`, not with `raw`",
        ),
        (
            "{ step = \"finished\", description = «40 }",
            "`description` goes with `alert`, not with `finished`",
        ),
        (
            "{ step = \"alert\", hex = «\"00\" }",
            "`hex` goes with `raw`, not with `alert`",
        ),
        (
            "{ step = \"alert\", flip-bit = «{ byte = 0, bit = 0 } }",
            "`flip-bit` goes with a handshake message",
        ),
        (
            "{ step = \"application-data\", cut = «1 }",
            "`cut` goes with a handshake message",
        ),
        (
            "{ step = \"client-finished\", fragment = «1 }",
            "`fragment` goes with a handshake message",
        ),
        (
            "{ step = \"empty-handshake\", with-next = «true }",
            "`with-next` goes with a handshake message",
        ),
        (
            "{ step = \"alert\", unsent = «false }",
            "`unsent` goes with a handshake message",
        ),
        (
            "{ step = \"change-cipher-spec\", in-clear = «true }",
            "`in-clear` goes with a message, `alert`, ",
        ),
        ("{ step = \"empty-record\", in-clear = «true }", "`in-clear` goes with"),
        (
            "{ step = \"raw\", hex = \"00\", in-clear = «true }",
            "`in-clear` goes with",
        ),
        ("{ step = \"raw\" }", "`raw` needs `hex`"),
        ("\"raw\"", "`raw` needs `hex`"),
        ("{ step = \"raw\", hex = «\" \" }", "there are no bytes here"),
        ("{ step = \"raw\", hex = «\"17 0g\" }", "`0g` is not a byte"),
        ("{ step = \"raw\", hex = «\"17 030\" }", "`0` is not a byte"),
        ("{ step = \"raw\", hex = «\"+1\" }", "`+1` is not a byte"),
        ("{ step = \"raw\", hex = «17 }", "expected a string"),
        (
            "{ step = \"finished\", unsent = true, fragment = «9 }",
            "`fragment` has no effect on a message that is not sent (`unsent`)",
        ),
        (
            "{ step = \"finished\", in-clear = «true, unsent = true }",
            "`in-clear` has no effect",
        ),
        (
            "{ step = \"finished\", unsent = true, with-next = «true }",
            "`with-next` has no effect",
        ),
        (
            "{ step = \"finished\", with-next = true, fragment = «9 }",
            "`fragment` has no effect on a message that is sent in the record of the next one (`with-next`)",
        ),
    ] {
        // A mistake that is not marked in the step is the step itself.
        let mark = if step.contains('«') { "" } else { "«" };
        let list = format!("handshake = [\n  \"server-hello\",\n  {mark}{step},\n]");
        mistakes(SERVER, &[(&list, words)]);
    }
}

#[test]
fn numbers_of_a_step_are_in_their_ranges() {
    for (step, words) in [
        (
            "{ step = \"application-data\", size = «65519 }",
            "65519 is out of range; use 0 to 65518",
        ),
        (
            "{ step = \"application-data\", size = «-1 }",
            "-1 is out of range; use 0 to 65518",
        ),
        (
            "{ step = \"application-data\", size = «1.5 }",
            "floating point `1.5`, expected a whole number from 0 to 65518",
        ),
        (
            "{ step = \"application-data\", size = «\"16\" }",
            "\"16\" is text; write the number without quotes",
        ),
        (
            "{ step = \"application-data\", size = «99999999999999999999 }",
            "99999999999999999999 is out of range; use 0 to 65518",
        ),
        (
            "{ step = \"application-data\", size = «2026-11-05 }",
            "invalid type: a date of TOML, expected a whole number from 0 to 65518",
        ),
        (
            "{ step = \"finished\", fragment = «0 }",
            "0 is out of range; use 1 to 16384",
        ),
        (
            "{ step = \"finished\", fragment = «16385 }",
            "16385 is out of range; use 1 to 16384",
        ),
        (
            "{ step = \"finished\", cut = «0 }",
            "0 is out of range; use 1 to 16777219",
        ),
        (
            "{ step = \"finished\", cut = «36 }",
            "it cannot be cut to 36 bytes, the message has 36 bytes",
        ),
        (
            "{ step = \"certificate-verify\", cut = «80 }",
            "the message has 16 to 80 bytes",
        ),
        (
            "{ step = \"alert\", description = «256 }",
            "256 is out of range; an alert has a number from 0 to 255",
        ),
        ("{ step = \"alert\", description = «-1 }", "-1 is out of range"),
        (
            "{ step = \"alert\", description = «\"bad\" }",
            "no alert is called `bad`; use a number from 0 to 255, or",
        ),
        (
            "{ step = \"alert\", description = «4.2 }",
            "expected an alert's name, or its number from 0 to 255",
        ),
        (
            "{ step = \"finished\", flip-bit = { byte = 0, bit = «8 } }",
            "8 is out of range; use 0 to 7",
        ),
        (
            "{ step = \"finished\", flip-bit = { byte = 0, bit = «-1 } }",
            "-1 is out of range; use 0 to 7",
        ),
        (
            "{ step = \"finished\", flip-bit = { byte = «36, bit = 0 } }",
            "there is no byte 36 to change, the message has 36 bytes",
        ),
        (
            "{ step = \"finished\", flip-bit = { byte = «-37, bit = 0 } }",
            "there is no byte -37 to change, the message has 36 bytes",
        ),
        (
            "{ step = \"server-hello\", flip-bit = { byte = «155, bit = 0 } }",
            "the message has 123 to 155 bytes",
        ),
        (
            "{ step = \"certificate\", flip-bit = { byte = «5000, bit = 0 } }",
            "there is no byte 5000",
        ),
        (
            "{ step = \"finished\", flip-bit = { byte = «99999999, bit = 0 } }",
            "no message is long enough",
        ),
        (
            "{ step = \"finished\", flip-bit = { byte = «0.5, bit = 0 } }",
            "expected the index of a byte",
        ),
        (
            "{ step = \"finished\", flip-bit = «{ byte = 0 } }",
            "missing field `bit`",
        ),
        (
            "{ step = \"finished\", cut = 20, flip-bit = { byte = «20, bit = 0 } }",
            "there is no byte 20 to change, the message has 20 bytes",
        ),
    ] {
        mistakes(SERVER, &[(&format!("handshake = [\"server-hello\", {step}]"), words)]);
    }
}

#[test]
fn a_list_of_steps_can_be_performed() {
    mistakes(
        SERVER,
        &[
            ("handshake = «[]", "names no step"),
            ("handshake = [«\"finished\"]", "it needs keys"),
            (
                "handshake = [\"hello-retry-request\", «\"empty-record\"]",
                "it needs keys",
            ),
            (
                "handshake = [\"server-hello\", { step = \"certificate\", with-next = «true }, \"alert\"]",
                "no later message is sent in whose record it could go",
            ),
            (
                "handshake = [\"client-finished\", «\"client-finished\"]",
                "the client sends its Finished once",
            ),
            (
                "certificate = «\"rsa\"\nhandshake = [\"server-hello\"]",
                "signed with a P-256 key",
            ),
            (
                "signing-key = «\"ed25519\"\nomit = [\"certificate\"]",
                "signed with a P-256 key",
            ),
            ("omit = «[]", "names no step"),
            (
                "omit = [\"certificate\", «\"finnished\"]",
                "no handshake step is called `finnished`",
            ),
            (
                "omit = [«\"alert\"]",
                "an honest handshake has no `alert`; it has server-hello, ",
            ),
            ("omit = [\"finished\", «\"finished\"]", "`finished` is left out already"),
            ("omit = «[\"server-hello\"]", "step 4, `finished`: it needs keys"),
        ],
    );
}

#[test]
fn an_alert_is_given_by_name_or_number() {
    let lane = |description: &str| {
        let step = format!("handshake = [{{ step = \"alert\", description = {description} }}]");
        let scenario = text::parse("x", &GOOD.replace(SERVER, &step))
            .map_err(|p| p.message)
            .unwrap();
        let Service::Tls(tls) = &scenario.runs[0].service else {
            panic!("{scenario:?}")
        };
        let pinrig_server::Handshake::Rogue(plan) = &tls.handshake else {
            panic!("{tls:?}")
        };
        plan.steps()[0].to_string()
    };
    assert_eq!(lane("\"bad_certificate\""), "alert (bad_certificate)");
    assert_eq!(lane("42"), "alert (bad_certificate)");
    assert_eq!(lane("7"), "alert (alert 7)");
}

#[test]
fn a_reply_has_only_settings_with_an_effect() {
    mistakes(
        SERVER,
        &[
            (
                "reply = «\"sucess\"",
                "no reply of GitHub's is called `sucess`; use one of success, ",
            ),
            (
                "reply = { of = «\"sucess\" }",
                "no reply of GitHub's is called `sucess`",
            ),
            ("reply = «5", "expected a name or a table"),
            ("reply = { «bdy = \"\" }", "unknown field `bdy`"),
            (
                "reply = { of = \"success\", body = «\"{}\" }",
                "give one of `of`, `body`, `body-hex` and `raw`",
            ),
            ("reply = { body = \"\", body-hex = «\"\" }", "give one of"),
            ("reply = { of = \"success\", raw = «\"\" }", "give one of"),
            ("reply = { body = «\"\", raw = \"\" }", "`body` does not go with `raw`"),
            (
                "reply = { raw = \"x\", status = «\"200 OK\" }",
                "`status` does not go with `raw`",
            ),
            (
                "reply = { raw = \"x\", headers = «[] }",
                "`headers` does not go with `raw`",
            ),
            (
                "reply = { raw = \"x\", filler-headers = «{ count = 1, size = 1 } }",
                "`filler-headers` does not go",
            ),
            (
                "reply = { raw = \"x\", pretty = «true }",
                "`pretty` does not go with `raw`",
            ),
            (
                "reply = { raw = \"x\", padded-to = «9 }",
                "`padded-to` does not go with `raw`",
            ),
            (
                "reply = { raw = \"x\", cut-body-to = «0 }",
                "`cut-body-to` does not go with `raw`",
            ),
            (
                "reply = { raw = \"x\", claims-length = «9 }",
                "`claims-length` does not go with `raw`",
            ),
            (
                "reply = { raw = \"x\", cut-to = «0 }",
                "`cut-to` does not go with `raw`",
            ),
            (
                "reply = { raw = \"x\", keep-alive = «true }",
                "`keep-alive` does not go with `raw`",
            ),
            (
                "reply = { raw = \"x\", bare-line-feeds = «true }",
                "`bare-line-feeds` does not go with `raw`",
            ),
            (
                "reply = { raw = \"x\", before = «\"y\" }",
                "`before` does not go with `raw`",
            ),
            (
                "reply = { raw = \"x\" }\ntransfer = «\"chunked\"",
                "`transfer` does not go with `raw`",
            ),
            ("reply = { body-hex = «\"4x\" }", "`4x` is not a byte"),
            ("reply = { body = \"success\", pretty = «true }", "the body is not JSON"),
            (
                "reply = { body = \"[]\", padded-to = «99 }",
                "the body is not a JSON object",
            ),
            (
                "reply = { padded-to = «10 }",
                "cannot be padded to 10; the smallest size is",
            ),
            (
                "reply = { padded-to = «16777217 }",
                "16777217 is out of range; use 0 to 16777216",
            ),
            (
                "reply = { body = \"four\", cut-body-to = «4 }",
                "the body has 4 bytes and cannot be cut to 4",
            ),
            ("reply = { cut-body-to = «99999 }", "cannot be cut to 99999"),
            ("reply = { cut-body-to = «-1 }", "-1 is out of range"),
            ("reply = { cut-to = «99999 }", "bytes and cannot be cut to 99999"),
            ("reply = { claims-length = «-1 }", "-1 is out of range"),
            (
                "reply = { claims-length = «1 }\ntransfer = \"chunked\"",
                "`claims-length` goes with `transfer =",
            ),
            (
                "reply = { claims-length = «1 }\ntransfer = \"close\"",
                "`claims-length` goes with `transfer =",
            ),
            ("reply = { before = «\"\" }", "no bytes come before the response"),
            ("reply = { status = «\"\" }", "give a status code and its phrase"),
            (
                "reply = { status = «\"200 OK\\r\\nX: y\" }",
                "this text has the control character '\\r'",
            ),
            ("reply = { status = «200 }", "expected a string"),
            (
                "reply = { headers = [«[\"X\"]] }",
                "a header is written as [\"Name\", \"value\"]",
            ),
            (
                "reply = { headers = [«[\"X\", \"1\", \"2\"]] }",
                "a header is written as [\"Name\", \"value\"]",
            ),
            (
                "reply = { headers = [[\"A\", \"1\"], «[\"X\", \"1\\r\\nY: 2\"]] }",
                "control character '\\r'",
            ),
            (
                "reply = { headers = [«[\"X\", \"1\\n\"]] }",
                "the value of `X` has the control character '\\n'",
            ),
            (
                "reply = { headers = [«[\"X Y\", \"1\"]] }",
                "`X Y` is not a header's name",
            ),
            (
                "reply = { headers = [«[\"X\\n\", \"1\"]] }",
                "`X\\n` is not a header's name",
            ),
            ("reply = { headers = [«[\"\", \"1\"]] }", "`` is not a header's name"),
            (
                "reply = { filler-headers = { count = «0, size = 1 } }",
                "0 is out of range; use 1 to 10000",
            ),
            (
                "reply = { filler-headers = { count = 1, size = «-5 } }",
                "-5 is out of range; use 0 to 16777216",
            ),
            (
                "reply = { filler-headers = «{ count = 10_000, size = 10_000 } }",
                "10000 headers of 10000 bytes are more than the 16777216 bytes of the longest reply",
            ),
            (
                "reply = { filler-headers = { count = 10_000, size = «9223372036854775807 } }",
                "9223372036854775807 is out of range",
            ),
        ],
    );
}

#[test]
fn a_server_has_only_settings_with_an_effect() {
    mistakes(
        SERVER,
        &[
            ("«certificat = \"github\"", "unknown field `certificat`"),
            ("certificate = «\"gihtub\"", "gihtub"),
            ("certificate = «5", "expected a string"),
            ("signing-key = «\"nobodys\"", "nobodys"),
            ("listening = «true", "a server listens unless told otherwise"),
            (
                "listening = «false\nclose = \"end\"",
                "has no certificate, reply or handshake",
            ),
            ("transfer = «\"gzip\"", "unknown variant `gzip`"),
            ("close = «\"never\"", "unknown variant `never`"),
            ("close = «2026-11-05", "this is a date of TOML"),
            ("fault = { what = \"stall\", when = «\"never\" }", "never"),
            (
                "fault = { what = «\"vanish\", when = \"request\" }",
                "unknown variant `vanish`",
            ),
            (
                "fault = { what = \"stall\", when = { sent = «-1 } }",
                "-1 is out of range; use 0 to 33554432",
            ),
            (
                "fault = { what = \"stall\", when = { sent = «33_554_433 } }",
                "33554433 is out of range",
            ),
            (
                "fault = { what = \"stall\", when = { records = «525_289 } }",
                "525289 is out of range; use 0 to 525288",
            ),
            (
                "fault = { what = \"stall\", when = «{ sent = 1, records = 1 } }",
                "give one of these, not several",
            ),
            ("fault = { what = \"stall\", when = «{} }", "this table is empty"),
            (
                "fault = { what = \"stall\", when = «5 }",
                "expected a name in quotes, or a table",
            ),
            ("versions = «[]", "names no version; name \"1.2\", \"1.3\" or both"),
            ("versions = [\"1.3\", «\"1.1\"]", "unknown variant `1.1`"),
            ("versions = [«1.3]", "expected a name in quotes"),
            (
                "suites = [«\"TLS_NULL\"]",
                "no cipher suite is called `TLS_NULL`; use one of TLS_",
            ),
            ("suites = «[]", "names no suite; leave it out for all"),
            (
                "versions = [\"1.2\"]\nsuites = «[\"TLS_AES_128_GCM_SHA256\"]",
                "none of these suites belongs to TLS 1.2",
            ),
            (
                "groups = [\"x25519\", «\"x448\"]",
                "no group is called `x448`; use one of x25519, secp256r1",
            ),
            ("groups = «[]", "names no group; leave it out for all"),
            ("tickets = «256", "256 is out of range; use 0 to 255"),
            ("tickets = «-1", "-1 is out of range; use 0 to 255"),
            (
                "versions = [\"1.2\"]\ntickets = «1",
                "`tickets` has no effect without TLS 1.3",
            ),
            (
                "versions = [\"1.2\"]\nkey-update = «true",
                "`key-update` has no effect without TLS 1.3",
            ),
            ("record-size = «31", "31 is out of range; use 32 to 16384"),
            ("record-size = «16385", "16385 is out of range; use 32 to 16384"),
            ("key-update = «1", "expected a boolean"),
            (
                "tickets = 1\nsays = «\"SSH-2.0\"",
                "give one of `omit`, `handshake`, `says`, or",
            ),
            ("omit = [\"finished\"]\nhandshake = «[\"server-hello\"]", "give one of"),
            ("handshake = [\"server-hello\"]\nrecord-size = «100", "give one of"),
            ("says = \"x\"\nreply = «\"success\"", "`reply` does not go with `says`"),
            (
                "says = \"x\"\ncertificate = «\"github\"",
                "`certificate` does not go with `says`",
            ),
            ("says = \"x\"\nclose = «\"end\"", "`close` does not go with `says`"),
            (
                "says = \"x\"\nfault = { what = \"stall\", when = «\"request\" }",
                "`when = \"request\"` does not go with `says`",
            ),
        ],
    );
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
    let room = 512 - "#0123456789ab set host ".len();
    let host = |length: usize| format!("host = «\"{}\"", "a".repeat(length));
    let fits = GOOD.replace(DEVICE, &host(room)).replace('«', "");
    assert!(text::parse("x", &fits).is_ok());
    let words = format!(
        "this has {} bytes, and a line of the console has room for {room} after",
        room + 1
    );
    mistakes(DEVICE, &[(&host(room + 1), &words)]);
    let words = "and a line of the console has room for 490 after `set pin`";
    let long = "-".repeat(30);
    mistakes(
        DEVICE,
        &[
            (&format!("pin = {{ text = «\"{}\" }}", "A".repeat(491)), words),
            (&format!("pin = {{ of = \"github\", separator = «\"{long}\" }}"), words),
        ],
    );
}

/// The limit of the firmware in the tree, which the harness must know.
#[cfg(feature = "host")]
#[test]
fn the_limit_is_that_of_the_firmwares_console() {
    assert_eq!(super::device::CONSOLE_LINE, pinrig_app::line::MAX_LINE);
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

#[test]
fn what_is_expected_are_words_of_the_console() {
    mistakes(
        EXPECT,
        &[
            (
                "[expect.refused]\nreason = «\"\"\npin = \"match\"",
                "`` is not a word of the console",
            ),
            (
                "[expect.unreachable]\nreason = «\"Tcp Refused\"",
                "`Tcp Refused` is not a word of the console",
            ),
            (
                "[expect.no-network]\nreason = «\"dhcp\\n\"",
                "`dhcp\\n` is not a word of the console",
            ),
            (
                "[expect.handshake-failed]\nreason = «\"-x\"",
                "is not a word of the console",
            ),
            (
                "[expect.response-failed]\nreason = «\"a--b\"",
                "is not a word of the console",
            ),
            ("[expect.response-failed]\nreason = «5", "expected a string"),
            (
                "[expect.command-rejected]\ncommand = «\"\"\ncode = \"bad-pin\"",
                "`` is not a command that a scenario sends; use one of set host, set path, ",
            ),
            (
                "[expect.command-rejected]\ncommand = «\"set p\"\ncode = \"bad-pin\"",
                "`set p` is not a command that a scenario sends",
            ),
            (
                "[expect.command-rejected]\ncommand = «\"set timeout\"\ncode = \"bad-value\"",
                "set timeout network, set timeout connect",
            ),
            (
                "[expect.command-rejected]\ncommand = \"run\"\ncode = «\"Bad\"",
                "`Bad` is not a word of the console",
            ),
            (
                "«[expect.acepted]\nbuild = \"success\""
                    .replace("«[expect.", "[expect.«")
                    .as_str(),
                "unknown variant `acepted`",
            ),
            ("«[expect]", "this table is empty"),
            ("[expect.accepted]\nbuild = «\"broken\"", "unknown variant `broken`"),
            (
                "[expect.accepted]\nbuild = \"failed\"\npin = «\"wrong\"",
                "unknown variant `wrong`",
            ),
            (
                "[«expect.accepted]\nbuild = \"failed\"\n[expect.unreachable]\nreason = \"x\"",
                "give one of these, not several",
            ),
        ],
    );
}

#[test]
fn a_network_has_only_faults_with_an_effect() {
    let network = |table: &str| format!("[network]\n{table}\n{EXPECT}");
    for (table, words) in [
        ("seed = «-1", "-1 is out of range"),
        ("seed = «1.5", "expected a whole number from 0"),
        ("to-board.loss = «1.5", "1.5 is not a probability; use 0 to 1"),
        ("to-board.loss = «-0.1", "-0.1 is not a probability"),
        ("to-board.loss = «nan", "NaN is not a probability"),
        ("to-board.loss = «2", "2 is not a probability"),
        ("to-board.loss = «\"0.5\"", "expected a probability from 0 to 1"),
        (
            "to-board = { reorder = «0.1 }",
            "reorder without a delay changes no order",
        ),
        (
            "both-ways.delay-ms = «3_600_001",
            "3600001 is out of range; use 0 to 3600000",
        ),
        ("both-ways.jitter-ms = «-1", "-1 is out of range"),
        ("to-board.segment = «0", "0 is out of range; use 1 to 1460"),
        ("to-board.segment = «1461", "1461 is out of range; use 1 to 1460"),
        (
            "from-board = { loss = 1, frames = «0 }",
            "0 is out of range; use 1 to 4294967295",
        ),
        ("from-board = { loss = 1, after = «-1 }", "-1 is out of range"),
        (
            "from-board = «{ frames = 3 }",
            "says which frames are concerned, but not what happens to them",
        ),
        ("from-board = «{ only = \"tcp\" }", "says which frames are concerned"),
        ("from-board = { loss = 1, only = «\"udp\" }", "unknown variant `udp`"),
        (
            "both-ways = «{ loss = 0.5 }\nto-board.loss = 0.1",
            "leave `to-board` and `from-board` out",
        ),
        (
            "outages = [{ after.ms = 0, lasts-ms = «0 }]",
            "0 is out of range; use 1 to 3600000",
        ),
        ("outages = [{ after.ms = «-1 }]", "-1 is out of range"),
        (
            "outages = [{ after.bytes-to-board = «4294967296 }]",
            "4294967296 is out of range",
        ),
        ("outages = [{ after.«minutes = 1 }]", "unknown variant `minutes`"),
        ("outages = [«{ lasts-ms = 5 }]", "missing field `after`"),
        (
            "arp.ignore-first = «-1",
            "-1 is out of range; use 0 to 4294967295, or \"all\"",
        ),
        ("arp.ignore-first = «4294967296", "4294967296 is out of range"),
        ("dhcp.ignore-first = «\"some\"", "a number, or \"all\""),
        ("dhcp.refuse-first = «1.5", "expected a number, or \"all\""),
        ("dhcp.delay-ms = «3_600_001", "3600001 is out of range"),
        ("dns.delay-ms = «-1", "-1 is out of range"),
        ("dns.answer = «\"nothing\"", "unknown variant `nothing`"),
        ("dns.decoy = «\"none\"", "unknown variant `none`"),
        (
            "syn.delay-ms = «\"5\"",
            "\"5\" is text; write the number without quotes",
        ),
        ("«latency = 5", "unknown field `latency`"),
    ] {
        mistakes(EXPECT, &[(&network(table), words)]);
    }
    mistakes(
        EXPECT,
        &[(&format!("«[network]\nseed = 1\n{EXPECT}"), "says nothing that is wrong")],
    );
}

#[test]
fn a_scenario_says_what_it_shows_and_how_often() {
    let about = "about = \"The pin is the server's.\"";
    mistakes(
        about,
        &[
            ("about = «\"  \"", "say in one sentence what the scenario shows"),
            ("about = «\"\"\"a\nb\"\"\"", "control character '\\n'"),
            ("about = «\"\\u001b[2J\"", "control character"),
            ("about = «2026-11-05", "this is a date of TOML"),
            (
                "about = \"x\"\nrepeat = «10",
                "watched after 10 runs; repeat more often",
            ),
            (
                "about = \"x\"\nrepeat = «100_001",
                "100001 is out of range; use 1 to 100000",
            ),
            ("about = \"x\"\nrepeat = «-1", "-1 is out of range"),
            ("about = \"x\"\nrepeat = «11.0", "expected a whole number"),
            ("about = \"x\"\n«repeats = 11", "unknown field `repeats`"),
            ("about = \"x\"\n«about = \"y\"", "duplicate key"),
            ("about = «x", "string values must be quoted"),
        ],
    );
    let further = |count: usize, mark: &str| {
        let run = "[[then]]\nexpect.accepted.build = \"success\"\n";
        format!("{EXPECT}\n{}{mark}{run}", run.repeat(count))
    };
    assert!(text::parse("x", &GOOD.replace(EXPECT, &further(99, ""))).is_ok());
    mistakes(EXPECT, &[(&further(100, "«"), "there are at most 100 further runs")]);
    mistakes(
        &format!("{EXPECT}\n"),
        &[(&format!("{EXPECT}\n«[[then]]\n"), "missing field `expect`")],
    );
}

#[test]
fn a_value_of_the_wrong_type_is_shown_in_words_of_toml() {
    mistakes(
        SERVER,
        &[
            (
                "reply = «[\"success\"]",
                "invalid type: a list, expected a name or a table",
            ),
            (
                "handshake = «\"server-hello\"",
                "invalid type: string \"server-hello\", expected a list",
            ),
            ("fault = «\"stall\"", "invalid type: string \"stall\", expected a table"),
            ("fault = «{ what = \"stall\" }", "missing field `when`"),
            (
                "reply = { headers = «{ X = \"y\" } }",
                "invalid type: a table, expected a list",
            ),
            ("says = «2026-11-05", "this is a date of TOML; write text in quotes"),
            (
                "tickets = «2026-11-05",
                "invalid type: a date of TOML, expected a whole number from 0 to 255",
            ),
        ],
    );
    mistakes(
        EXPECT,
        &[
            ("[expect]\naccepted = «5", "invalid type: integer `5`, expected a table"),
            (
                &format!("[network]\noutages = «{{ after.ms = 5 }}\n{EXPECT}"),
                "invalid type: a table, expected a list",
            ),
        ],
    );
    let message = mistake("about = \"x\"\nexpect = «\"accepted\"\n");
    assert_eq!(
        message,
        "a name alone is not enough here; give a table with its settings"
    );
}

#[test]
fn a_scenario_is_named_after_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("scenarios");
    let file = |name: &str| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, GOOD).unwrap();
        path
    };
    for (path, name) in [("pin/matches.toml", "pin/matches"), ("204_a.b-C.toml", "204_a.b-C")] {
        assert_eq!(load(&root, &file(path)).unwrap().name, name);
    }
    assert_eq!(load_all(folder.path()).unwrap().len(), 2);
    for path in [
        "pin/a b.toml",
        "pin/a__b.toml",
        "pin/ä.toml",
        "pin/-.toml",
        "p\nin/a.toml",
    ] {
        let path = file(path);
        let error = load(&root, &path).unwrap_err();
        assert!(
            matches!(&error, ScenarioError::Name(named) if *named == path),
            "{error}"
        );
        std::fs::remove_file(path).unwrap();
    }
    let path = file("bad.toml");
    std::fs::write(&path, GOOD.replace("[device]", "[device]\nhost = 5")).unwrap();
    let error = load_all(folder.path()).unwrap_err().to_string();
    let expected = format!("{}:6:8: invalid type: integer `5`, expected a string", path.display());
    assert_eq!(error, expected);
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    let error = load_all(folder.path()).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot read {}: ", path.display())),
        "{error}"
    );
}
