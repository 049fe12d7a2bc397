//! The other tables, and the values above them.

use super::super::text;
use super::{EXPECT, GOOD, SERVER, mistake, mistakes};

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
        ("to-board = { reorder = «0.1 }", "reorder has no effect without a delay"),
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
