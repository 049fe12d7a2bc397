//! The recipes give the bytes that they promise, and other programs agree on what those bytes are.

use std::io::Write;
use std::process::{Command, Stdio};

use pinrig_certs::{Fingerprint, Recipe};

/// SHA-256 of each leaf. A change here changes the pins of every scenario: say in the commit why it had to be.
const GOLDEN: &[(&str, &str)] = &[
    (
        "github",
        "e4a0af03731a41c689cdbac3085ca9f4fe875393b6bb5aa50f99c4b05e8824f7",
    ),
    (
        "github-renewed",
        "3d1ad2ac100ad382a9b275ead06f00d7d8e9d940d3b46bfa706a08aba8a6546c",
    ),
    (
        "github-rekeyed",
        "78feda6811a1c9b515447520d19d23f3241f5f225e484dd715d26af01a97388e",
    ),
    (
        "other-name",
        "3b76bff1d400e36a246262f6a4f97307a70f9034a14473799c250305c5298f0c",
    ),
    (
        "wildcard",
        "dbb389e27a500661dd1778615afd11e393c9a29aae26e124d721bebe17ed7d1d",
    ),
    (
        "common-name-only",
        "3ba7ba4d31c4bff39e2f9fd2c4485f726f27e349a5c1052eb30f8297adee8776",
    ),
    (
        "expired",
        "60883dffd72bd7672be0003b0d6d60413c9d149406ce26ecec69bc198243e9aa",
    ),
    (
        "not-yet-valid",
        "98f8831a14def965ef9035ce76b3be93d6207abf10ba88cac3364b697bfcac70",
    ),
    (
        "self-signed",
        "f1b23b5205a8a4e894ed0e98aa0b0ec01ea073d445a6158c27ca677e0f2882d4",
    ),
];

#[test]
fn every_recipe_gives_the_bytes_that_snapshots_were_made_with() {
    let issued: Vec<_> = Recipe::ALL
        .iter()
        .map(|recipe| (recipe.name(), recipe.issue().sha256().compact()))
        .collect();
    let golden: Vec<_> = GOLDEN.iter().map(|&(name, digest)| (name, digest.to_owned())).collect();
    assert_eq!(issued, golden);
}

#[test]
fn renewal_keeps_the_key_and_rekeying_keeps_the_name() {
    let github = Recipe::Github.issue();
    let renewed = Recipe::GithubRenewed.issue();
    let rekeyed = Recipe::GithubRekeyed.issue();
    assert_eq!(github.key, renewed.key);
    assert_ne!(github.sha1(), renewed.sha1());
    assert_ne!(github.key, rekeyed.key);
    assert_ne!(github.sha1(), rekeyed.sha1());
}

#[test]
fn names_are_the_same_for_people_and_for_serde() {
    for recipe in Recipe::ALL {
        assert_eq!(recipe.name().parse(), Ok(recipe));
        let json = serde_json::to_string(&recipe).unwrap();
        assert_eq!(json, format!("\"{recipe}\""));
    }
    let unknown = "githib".parse::<Recipe>().unwrap_err().to_string();
    assert!(
        unknown.contains("`githib`") && unknown.contains("github-renewed"),
        "{unknown}"
    );
}

#[test]
fn openssl_agrees_on_every_fingerprint() {
    for recipe in Recipe::ALL {
        let chain = recipe.issue();
        for (option, ours) in [("-sha1", chain.sha1()), ("-sha256", chain.sha256())] {
            let Some(text) = openssl(&["x509", "-noout", "-fingerprint", option], &chain.to_pem()) else {
                return;
            };
            let theirs = text.trim().rsplit_once('=').unwrap().1;
            assert_eq!(Fingerprint::parse(theirs), Ok(ours));
            assert_eq!(theirs, ours.to_string());
        }
    }
}

#[test]
fn openssl_verifies_names_dates_and_issuers_as_the_recipes_say() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    let mut signed_by_authority = Recipe::Github.issue();
    signed_by_authority.chain.remove(0);
    std::fs::write(&authority, signed_by_authority.to_pem()).unwrap();
    let cases = [
        (Recipe::Github, "OK"),
        (Recipe::GithubRenewed, "OK"),
        (Recipe::GithubRekeyed, "OK"),
        (Recipe::OtherName, "hostname mismatch"),
        (Recipe::Wildcard, "OK"),
        (Recipe::CommonNameOnly, "OK"),
        (Recipe::Expired, "certificate has expired"),
        (Recipe::NotYetValid, "certificate is not yet valid"),
        (Recipe::SelfSigned, "self-signed certificate"),
    ];
    for (recipe, expected) in cases {
        let arguments = [
            "verify",
            "-x509_strict",
            "-CAfile",
            authority.to_str().unwrap(),
            "-verify_hostname",
            "api.github.com",
            // A fixed day, so that the test does not age.
            "-attime",
            "1790000000",
            "-purpose",
            "sslserver",
        ];
        let Some(text) = openssl(&arguments, &recipe.issue().to_pem()) else {
            return;
        };
        assert!(text.contains(expected), "{recipe}: {text}");
    }
}

/// Both outputs of openssl with `input` on its standard input; `None`, with a note, where openssl is not installed.
#[expect(clippy::print_stderr, reason = "a skipped test says so to whoever runs it")]
fn openssl(arguments: &[&str], input: &str) -> Option<String> {
    let child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("skipped: openssl cannot be run ({error})");
            return None;
        }
    };
    // openssl may close its input after the first certificate; what it printed is what counts.
    let _ = child
        .stdin
        .take()
        .expect("its input is piped")
        .write_all(input.as_bytes());
    let output = child.wait_with_output().expect("its outputs are piped");
    Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}
