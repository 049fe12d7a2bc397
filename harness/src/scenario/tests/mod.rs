//! The language of scenario files as a whole: what is read, and how mistakes are shown.

mod device;
mod limit;
mod server;
mod tables;

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
            dates: None,
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
fn a_further_run_keeps_what_it_does_not_change() {
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

/// The names behind the `@` of a scenario's variants.
fn variants_of(name: &str, text: &str) -> Vec<String> {
    let all = text::parse_all(name, text).map_err(|problem| problem.message).unwrap();
    let variants = all.iter().filter_map(|scenario| scenario.variant);
    variants.map(|variant| variant.to_string()).collect()
}

#[test]
fn a_refusal_has_a_variant_for_each_digest_and_policy_that_its_file_leaves_open() {
    const REFUSED: &str = r#"
about = "No proof."
server.omit = ["certificate-verify"]
device.pin = { of = "github" }
[expect.refused]
reason = "no-certificate-verify"
pin = "unchecked"
"#;
    let all = ["abort-sha256", "continue-sha1", "continue-sha256"];
    assert_eq!(variants_of("auth/x", REFUSED), all);
    assert_eq!(
        variants_of("auth/x", &REFUSED.replace("device.pin = { of = \"github\" }", "")),
        all
    );
    assert_eq!(
        variants_of("http/x", REFUSED),
        [""; 0],
        "not about the server's identity"
    );
    assert_eq!(variants_of("auth/x", GOOD), [""; 0], "not a refusal");
    let sha256 = REFUSED.replace("\"github\" }", "\"github\", digest = \"sha256\" }");
    assert_eq!(variants_of("auth/x", &sha256), ["continue-sha256"]);
    let going_on = REFUSED.replace("device.pin", "device.on-mismatch = \"continue\"\ndevice.pin");
    assert_eq!(variants_of("auth/x", &going_on), ["continue-sha256"]);
    // Where the policy decides how it ends, only the digest is another one.
    let expired = REFUSED.replace("no-certificate-verify\"\npin", "expired\"\npin");
    assert_eq!(variants_of("auth/x", &expired), ["abort-sha256"]);
}

#[test]
fn a_variant_tells_the_device_its_pin_and_policy_and_is_meant_with_its_scenario() {
    let text = r#"
about = "No proof."
server.omit = ["certificate-verify"]
[expect.refused]
reason = "no-certificate-verify"
pin = "unchecked"
[[then]]
device.pin = { of = "github-rekeyed" }
[then.expect.refused]
reason = "no-certificate-verify"
pin = "unchecked"
"#;
    let all = text::parse_all("auth/x", text)
        .map_err(|problem| problem.message)
        .unwrap();
    let last = all.last().unwrap();
    assert_eq!(last.name, "auth/x@continue-sha256");
    for (run, recipe) in last.runs.iter().zip([Recipe::Github, Recipe::GithubRekeyed]) {
        assert_eq!(run.device.on_mismatch, OnMismatch::Continue);
        assert_eq!(run.device.pin, recipe.issue().sha256().to_string());
    }
    assert!(is_meant("auth/x", &last.name) && is_meant("auth", &last.name));
    assert!(!is_meant("auth/x", "auth/x-y") && !is_meant("auth/x@abort-sha256", &last.name));
}
