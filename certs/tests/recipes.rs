//! Each recipe gives the bytes that snapshots were made with, and openssl agrees on what they are.

use std::io::Write;
use std::process::{Command, Stdio};

use pinrig_certs::{Fingerprint, Recipe};

/// SHA-256 of each leaf. A change here changes the pins of every scenario; the commit must say why it is needed.
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
    (
        "mixed-case",
        "2d205de83cde8b75fd157af8b16ae7d00c8f8d4b58acd1cb44de97c89c4a8153",
    ),
    (
        "trailing-dot",
        "6f762acc51db1b1b4327f21766ae47a20a8f0acfee439861c5eef04e915257bc",
    ),
    (
        "third-name",
        "f00121c81e09a466c622038fafb98a308b882ba22c91dfc94e80c15b70363084",
    ),
    (
        "misleading-subject",
        "f78e9f1aa37de73784bc13e7cf59e8feda527947efc1319a201e6d7ea6b97358",
    ),
    (
        "nul-in-name",
        "8fb808e7e7787580633953edc453bef94b54df60b47320405f34beb34bf17216",
    ),
    (
        "bare-wildcard",
        "6c876d18bd23a71c4b88cb815d818d0f6b53f0af2e0b4372dcd784afde896f12",
    ),
    (
        "top-level-wildcard",
        "04bdecdf7c7db8c3cc7c0bf1e8afcde6ade587317e59bd17c73eb463a23f2ae3",
    ),
    (
        "partial-wildcard",
        "13cfd9d14eefdcf5140e84f9c080dc9457c3555c18827b41e594341aa6c2492e",
    ),
    (
        "ip-address",
        "f5e531ad2e5cfc802ebf0de2490ea183b5593282a0b94d775c2400d44dc031ee",
    ),
    (
        "neighbouring-address",
        "a2213e1cc13bffd0f7c2ba8c0e22ccea49b285d04a8a9e86bc79f65e91bb7686",
    ),
    (
        "ip-address-as-name",
        "ca14f61f212392e7a6a6246318c7462097ed85ad457eca4b5bffaa3a3c380b60",
    ),
    (
        "far-future",
        "e521061179fb976ed9a7564a900b43d8856f0c7a66c79055a1655aade2d272ed",
    ),
    (
        "long-chain",
        "87ce2dd42e556dc2dd067137cafa3ed201f7b25e722a8714f211b4430d9af53c",
    ),
    (
        "reversed-chain",
        "d9f01a91888719e1397d8c461d7aa3f512dd912253e8e1206bc1a49fc10794b7",
    ),
    (
        "extra-certificate",
        "7c4e6f2ef061cde09a41051d393ebc700b60f3505efc94cd3ac8bcee637fdc87",
    ),
    (
        "leaf-alone",
        "99eb676745886b6d68e01986d0a00216a8f7d17ed71418fd489b40d862a03650",
    ),
    (
        "seventeen-certificates",
        "6b24d0ee41e90fe81570c0f228647d930799f6281cc7b711b78e070da8490249",
    ),
    (
        "four-kilobytes",
        "425d2c9eb8b47940f097a18cbbda8e56283a09ee1372a3b77819d035d4d13ce5",
    ),
    (
        "one-record",
        "ba09be842680d5070a14c87cdfba069fabe5dac1a97bc21d34479500e68eb028",
    ),
    (
        "two-records",
        "b39ef707d112c7899ab3ac02a8a5c489abf13692fa0027e4f14d8fa83cedd20a",
    ),
    (
        "rsa",
        "d8d7cd7d8af02e481df02f8eba2676a72d0440a86dc9b462caf4446525f8a099",
    ),
    (
        "p384",
        "1eeba1ce11e94b6def064715fe679cf2a7f63d9bc6f485532d9866607c210cc6",
    ),
    (
        "ed25519",
        "11a326a1a092aeeae8a60eb55f222ca27d40ac4e4207ecad3f2c43fb91d61d06",
    ),
    (
        "long-ago",
        "6b794528a3f4839be67a774a42badc0bf20be7398d2b90ef6b18d7532339c5b7",
    ),
    (
        "two-lists-of-names",
        "29bece47d1804f3518bf4d472f713b3ad021b007a6ec8b66d3d53de9dbdf3057",
    ),
    (
        "names-of-the-issuer",
        "ae99d1cf542f56a88fd4088faaae0cc543b3e24875e9a36fa681be171234be40",
    ),
    (
        "no-certificate",
        "06029a4d3e451a466317eb4146f3450f1790ad1fc7667499cd5590540fe864b8",
    ),
    (
        "cut-certificate",
        "c4d2b57fc0cc122477f2615153e892993589691d784f8dbb7480fbd626046260",
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
    for &recipe in Recipe::ALL {
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
        if [Recipe::NoCertificate, Recipe::CutCertificate].contains(recipe) {
            continue;
        }
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
        (Recipe::MixedCase, "OK"),
        (Recipe::TrailingDot, "hostname mismatch"),
        (Recipe::ThirdName, "OK"),
        (Recipe::MisleadingSubject, "hostname mismatch"),
        (Recipe::NulInName, "hostname mismatch"),
        (Recipe::BareWildcard, "hostname mismatch"),
        (Recipe::TopLevelWildcard, "hostname mismatch"),
        (Recipe::IpAddress, "hostname mismatch"),
        (Recipe::FarFuture, "OK"),
        (Recipe::FourKilobytes, "OK"),
        (Recipe::OneRecord, "OK"),
        (Recipe::TwoRecords, "OK"),
        (Recipe::Rsa, "OK"),
        (Recipe::P384, "OK"),
        (Recipe::Ed25519, "OK"),
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

#[test]
fn chains_have_the_lengths_and_sizes_that_their_names_say() {
    let lengths = [
        (Recipe::Github, 2),
        (Recipe::SelfSigned, 1),
        (Recipe::LeafAlone, 1),
        (Recipe::LongChain, 4),
        (Recipe::SeventeenCertificates, 17),
        (Recipe::ExtraCertificate, 3),
        (Recipe::ReversedChain, 2),
    ];
    for (recipe, length) in lengths {
        assert_eq!(recipe.issue().chain.len(), length, "{recipe}");
    }
    assert_eq!(Recipe::ReversedChain.issue().chain[0], Recipe::authority());
    // The message Certificate: its header, a context, the list's length, and five bytes around each certificate.
    let message = |recipe: Recipe| 8 + recipe.issue().chain.iter().map(|der| 5 + der.len()).sum::<usize>();
    for (recipe, sizes) in [
        (Recipe::FourKilobytes, 4000..4300),
        (Recipe::OneRecord, 16_300..16_385),
        (Recipe::TwoRecords, 16_385..20_000),
    ] {
        let size = message(recipe);
        assert!(sizes.contains(&size), "{recipe}: {size} bytes");
    }
}

#[test]
fn openssl_builds_the_long_chains() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    let untrusted = folder.path().join("untrusted.pem");
    let mut root = Recipe::Github.issue();
    root.chain.remove(0);
    std::fs::write(&authority, root.to_pem()).unwrap();
    for recipe in [Recipe::LongChain, Recipe::SeventeenCertificates] {
        let mut chain = recipe.issue();
        std::fs::write(&untrusted, chain.to_pem()).unwrap();
        chain.chain.truncate(1);
        let arguments = [
            "verify",
            "-x509_strict",
            "-CAfile",
            authority.to_str().unwrap(),
            "-untrusted",
            untrusted.to_str().unwrap(),
            "-attime",
            "1790000000",
        ];
        let Some(text) = openssl(&arguments, &chain.to_pem()) else {
            return;
        };
        assert!(text.contains("OK"), "{recipe}: {text}");
    }
}

/// Runs openssl with `input` on its standard input, and gives both its outputs. `None` where openssl is not installed, which it
/// prints.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
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
    // openssl may close its input after the first certificate. Only its output counts.
    let _ = child
        .stdin
        .take()
        .expect("its input is piped")
        .write_all(input.as_bytes());
    let output = child.wait_with_output().expect("its outputs are piped");
    Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}
