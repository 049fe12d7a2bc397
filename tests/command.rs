//! The `pinrig` command as a user calls it.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use support::process::Running;
use support::text;

#[test]
fn list_names_every_scenario_and_what_it_shows() {
    let output = pinrig(&["list"]);
    let text = stdout(&output);
    assert!(
        text.contains("pin/matches") && text.contains("says that the build succeeded"),
        "{text}"
    );
    assert!(
        !text.contains('\x1b'),
        "no colour where standard output is not a terminal"
    );
}

#[test]
fn one_scenario_prints_its_transcript_live() {
    let output = pinrig(&["run", "pin/matches"]);
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    let said = [
        "connecting to api.github.com",
        "certificate matches",
        "requesting URL: /repos/esp8266/Arduino/commits/master/status",
        "request sent",
        "headers received",
        "esp8266/Arduino CI successfull!",
        "reply was:",
        "==========",
        "closing connection",
    ];
    let mut rest = text.as_str();
    for line in said {
        let at = rest
            .find(line)
            .unwrap_or_else(|| panic!("`{line}` is missing, or comes too early, in:\n{text}"));
        rest = &rest[at + line.len()..];
    }
}

#[test]
fn machines_get_one_object_a_line_and_a_summary() {
    let output = pinrig(&["run", "--json", "pin/one-bit-off"]);
    let lines: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let finished = lines
        .iter()
        .find(|line| line["event"] == "finished" && line["scenario"] == "pin/one-bit-off")
        .expect("an outcome");
    assert_eq!(finished["verdict"], "passed");
    assert!(
        finished["runs"][0]["device"]
            .as_array()
            .unwrap()
            .iter()
            .any(|line| line == "  certificate doesn't match"),
        "{finished:#}"
    );
    // The honest server that the device meets afterwards is not counted.
    assert_eq!(finished["server_saw"]["connections"], 1, "{finished:#}");
    assert_eq!(finished["server_saw"]["application_bytes"], 0, "{finished:#}");
    let network: Vec<&str> = finished["network_saw"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|line| line.as_str())
        .collect();
    let server = |line: &&&str| line.starts_with("TCP from") && line.contains("to 192.0.2.10:443, 1 SYN(s)");
    assert_eq!(network.iter().filter(server).count(), 1, "{network:#?}");
    let summary = lines.last().unwrap();
    // The scenario, and the same with a fingerprint of the other kind.
    assert_eq!(
        (&summary["event"], &summary["passed"], &summary["exit_code"]),
        (&"summary".into(), &2.into(), &0.into())
    );
}

#[test]
fn a_client_without_the_guard_is_caught() {
    let image = support::unguarded_firmware();
    let out = tempfile::tempdir().unwrap();
    let output = pinrig(&[
        "run",
        "auth/no-certificate",
        "--firmware",
        image.to_str().unwrap(),
        "--out",
        out.path().to_str().unwrap(),
    ]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("the server should have seen no application byte"),
        "{text}"
    );
    // The evidence outlives the failure.
    let bundle = out.path().join("auth-no-certificate");
    for name in [
        "console.raw",
        "server.json",
        "network.pcap",
        "transcript.txt",
        "verdict.json",
    ] {
        let size = fs::metadata(bundle.join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .len();
        assert!(size > 0, "{name} is empty");
    }
}

#[test]
fn a_mistake_in_a_scenario_is_shown_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    copy(&support::fixtures().join("github"), &folder.path().join("github"));
    fs::create_dir(folder.path().join("scenarios")).unwrap();
    let good = fs::read_to_string(support::fixtures().join("scenarios/pin/matches.toml")).unwrap();
    fs::write(
        folder.path().join("scenarios/broken.toml"),
        good.replace("reply = \"success\"", "reply = \"sucess\""),
    )
    .unwrap();
    let output = pinrig(&["list", "--fixtures", folder.path().to_str().unwrap()]);
    let text = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("broken.toml:5:") && text.contains("sucess"), "{text}");
}

/// The device refuses such a connection, as the scenario expects: but it was not the server that the scenario asks for.
#[test]
fn a_server_that_cannot_do_its_part_fails_the_run_as_rig() {
    let folder = tempfile::tempdir().unwrap();
    copy(&support::fixtures().join("firmware"), &folder.path().join("firmware"));
    fs::create_dir(folder.path().join("scenarios")).unwrap();
    // A ServerHello has byte 130 only for a client that sends a session id, which the firmware does not.
    let scenario = r#"
about = "A byte is changed that the message does not have."
server.handshake = [{ step = "server-hello", flip-bit = { byte = 130, bit = 0 } }]
expect.handshake-failed.reason = "connection-closed"
"#;
    fs::write(folder.path().join("scenarios/beyond.toml"), scenario).unwrap();
    let fixtures = folder.path().to_str().unwrap();
    let out = format!("{fixtures}/out");
    let output = pinrig(&["run", "beyond", "--fixtures", fixtures, "--out", &out]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(6), "{text}");
    let said = "the server failed: step 1, `server-hello`: there is no byte 130 to change, the message has 123 bytes";
    assert!(text.contains(said), "{text}");
}

#[test]
fn fingerprints_of_a_file_are_the_same_as_pem_and_as_der() {
    let folder = tempfile::tempdir().unwrap();
    let issued = pinrig_certs::Recipe::Github.issue();
    let (pem, der) = (folder.path().join("leaf.pem"), folder.path().join("leaf.der"));
    fs::write(&pem, issued.to_pem()).unwrap();
    fs::write(&der, issued.leaf()).unwrap();
    for file in [pem, der] {
        let text = stdout(&pinrig(&["fingerprint", file.to_str().unwrap()]));
        for expected in [issued.sha1().to_string(), issued.sha256().to_string()] {
            assert!(text.contains(&expected), "{}: {text}", file.display());
        }
    }
}

#[test]
fn what_is_not_an_image_or_a_scenario_is_refused_before_anything_starts() {
    for (arguments, message) in [
        (&["run", "pin/mathces"][..], "did you mean `pin/matches`"),
        (&["run", "--firmware", "Cargo.toml"][..], "neither an ELF file"),
        (&["run", "--firmware", "none.elf"][..], "none.elf"),
        (&["fingerprint", "nowhere"][..], "neither a file nor HOST:PORT"),
        (&["fingerprint", "Cargo.toml"][..], "no certificate"),
    ] {
        let output = pinrig(arguments);
        let text = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(message), "{arguments:?}: {text}");
    }
}

#[test]
fn the_virtual_board_says_where_debuggers_find_it() {
    let board = Running::start(&["virtual", "--debug"]);
    let selector = board.text("debug");
    let address = selector
        .strip_prefix("1d50:6018:")
        .unwrap_or_else(|| panic!("{selector}"));
    let mut probe = TcpStream::connect(address).unwrap();
    probe.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The handshake of a Black Magic Probe's client.
    probe.write_all(b"+#!GA#").unwrap();
    let mut reply = [0; 8];
    probe.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"&Kpinrig");
}

#[test]
fn a_virtual_board_is_switched_off_and_on_from_standard_input() {
    let mut board = Running::start(&["virtual", "--flash-times", "typical"]);
    let mut tty = serialport::new(board.text("tty"), 115_200)
        .timeout(Duration::from_secs(1))
        .open()
        .unwrap();
    // Its flash is empty, so that it starts again and again.
    let mut said = |until: &str| {
        let (mut text, mut buffer) = (String::new(), [0; 256]);
        while !text.contains(until) && text.len() < 1 << 20 {
            match tty.read(&mut buffer) {
                Ok(length) => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
                Err(_) => return None,
            }
        }
        Some(text)
    };
    assert!(said("invalid header").is_some());
    board.say("power-cut");
    assert_eq!(said("never said"), None, "it falls silent");
    board.say("reset");
    let again = said("invalid header").unwrap_or_default();
    assert!(again.contains("rst:0x1 (POWERON)"), "{again}");
}

#[test]
fn the_doctor_names_who_holds_a_port() {
    let board = Running::start(&["virtual"]);
    let tty = board.text("tty");
    let folder = tempfile::tempdir().unwrap();
    let rig = folder.path().join("rig.toml");
    let entry = format!("[[board]]\nname = \"desk\"\nchip = \"esp32c3\"\nport.path = {tty:?}\n");
    fs::write(&rig, entry).unwrap();
    let port = fs::File::open(tty).unwrap();
    // A program that was left open.
    let mut terminal = Command::new("sleep").arg("600").stdin(port).spawn().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pinrig"))
        .args(["doctor", "--json"])
        .env("PINRIG_RIG", &rig)
        .output()
        .unwrap();
    let pid = terminal.id();
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    let findings: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let holder = findings
        .iter()
        .find(|finding| finding["check"] == "holder")
        .unwrap_or_else(|| panic!("{findings:#?}"));
    let found = holder["found"].as_str().unwrap_or_default();
    assert!(found.ends_with(&format!("is open in sleep (process {pid})")), "{found}");
    assert_eq!((&holder["board"], &holder["health"]), (&"desk".into(), &"bad".into()));
    assert_eq!(output.status.code(), Some(6), "a board cannot be used");
}

fn pinrig(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pinrig"))
        .args(arguments)
        .current_dir(support::root())
        .env_remove("PINRIG_FIXTURES")
        .output()
        .expect("the command was built")
}

/// The standard output, which must not be empty.
fn stdout(output: &Output) -> String {
    let stdout = text(&output.stdout);
    assert!(
        !stdout.is_empty(),
        "nothing on standard output: {}",
        text(&output.stderr)
    );
    stdout
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}
