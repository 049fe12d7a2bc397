//! `[server]`: its steps, its reply, and what else it can be told.

use super::super::{Service, text};
use super::{GOOD, SERVER, error, mistakes};

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
                "reply = { raw = \"\" }\nkey-update = «true",
                "`key-update` has no effect on an empty reply",
            ),
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
