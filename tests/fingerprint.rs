//! `pinrig fingerprint` on certificates, files and servers of every kind, with openssl as the judge.
//!
//! Where openssl is not installed its tests say so and end; with `PINRIG_REQUIRE_CLIENTS` set, they fail.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/openssl.rs"]
mod openssl;
mod support;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use certificates::{INTEGER, SEQUENCE, parameters, pem, pem_of, tlv, unusual, ways_that_openssl_reads};
use openssl::{KINDS, Openssl, Running};
use pinrig::certificate::{Certificate, certificates_in};
use pinrig_certs::{Fingerprint, Recipe};
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn openssl_agrees_about_every_kind_of_certificate() {
    let Some(openssl) = Openssl::installed() else { return };
    let made = KINDS.iter().filter_map(|(kind, _)| openssl.certificate(kind));
    let built = unusual().into_iter();
    let built = built.map(|(kind, der)| openssl.write(&format!("{kind}.der"), &der));
    let files: Vec<PathBuf> = made.chain(built).collect();
    assert!(files.len() > 20, "{files:?}");
    for file in files {
        let seen = prints(&file);
        let name = file.display();
        assert_eq!(seen["sha1"], openssl.fingerprint(&file, "sha1"), "{name}");
        assert_eq!(seen["sha256"], openssl.fingerprint(&file, "sha256"), "{name}");
        assert_eq!(seen["public_key"], openssl.public_key_pin(&file), "{name}");
    }
}

#[test]
fn openssl_agrees_about_every_way_to_write_a_certificate_down() {
    let Some(openssl) = Openssl::installed() else { return };
    let issued = Recipe::Github.issue();
    openssl.write("leaf.der", issued.leaf());
    let text = pem("CERTIFICATE", 64);
    let ways = ways_that_openssl_reads().into_iter().chain([
        ("a human dump", openssl.run("x509 -text -in leaf.der").stdout),
        (
            "a chain",
            [text.clone(), Recipe::SelfSigned.issue().to_pem()].concat().into(),
        ),
        ("another block before it", [parameters(), text].concat().into()),
    ]);
    for (way, bytes) in ways {
        let file = openssl.write("way", &bytes);
        let right = openssl.fingerprint(&file, "sha1");
        assert_eq!(right, issued.sha1().to_string(), "{way}: openssl reads it");
        assert_eq!(prints(&file)["sha1"], right, "{way}");
    }
}

#[test]
fn every_way_to_write_a_certificate_down_has_the_same_fingerprints() {
    let folder = Folder::new();
    let pem_text = pem("CERTIFICATE", 64);
    let ours = [
        (
            "indented, as in YAML",
            pem_text.replace('\n', "\n    ").replacen("---", "    ---", 1),
        ),
        ("no padding", pem_text.replace('=', "")),
        ("indented with tabs", pem_text.replace('\n', "\n\t")),
        ("with empty lines between", pem_text.replace('\n', "\n\n")),
        (
            "behind a stray mention",
            format!("this is -----BEGIN CERTIFICATE-----:\n{pem_text}"),
        ),
    ];
    let ours = ours.into_iter().map(|(way, text)| (way, text.into_bytes()));
    let issued = Recipe::Github.issue();
    for (way, bytes) in ways_that_openssl_reads().into_iter().chain(ours) {
        let seen = prints(&folder.write("file", &bytes));
        assert_eq!(seen["sha1"], issued.sha1().to_string(), "{way}");
        assert_eq!(seen["sha256"], issued.sha256().to_string(), "{way}");
    }
}

#[test]
fn a_damaged_file_is_refused_with_the_place_of_the_damage() {
    let folder = Folder::new();
    let issued = Recipe::Github.issue();
    let der = issued.leaf();
    let pem_text = pem("CERTIFICATE", 64);
    let lines: Vec<&str> = pem_text.lines().collect();
    let cut = lines[..4].join("\n");
    let without = |line: usize| [&lines[..line - 1], &lines[line..]].concat().join("\n");
    let truncated = format!("its header announces {} bytes, and only", der.len());
    let cases: Vec<(Vec<u8>, Vec<&str>)> = vec![
        (
            der[..der.len() - 1].to_vec(),
            vec!["file: the certificate is truncated", &truncated],
        ),
        (der[..4].to_vec(), vec![&truncated, "only 4 are there"]),
        (der[..3].to_vec(), vec!["its Certificate at byte 0 runs past the end"]),
        (
            der[4..].to_vec(),
            vec!["at byte 4 its tbsCertificate should begin with 0x30, not with 0xa0"],
        ),
        ([&[0x30, 0x80], der].concat(), vec!["BER", "openssl x509 -outform DER"]),
        (
            cut.clone().into(),
            vec!["file:1:1: ", "no END line", "the file ends at line 4"],
        ),
        (
            format!("\n{cut}\n{pem_text}").into(),
            vec!["file:2:1: ", "line 6 begins another block"],
        ),
        (
            pem_text.replace("END CERT", "END X509 CERT").into(),
            vec!["file:1:1: ", "ends a `X509 CERTIFICATE`"],
        ),
        (
            pem_text.replace("\nMII", "\nMI!I").into(),
            vec!["file:2:3: `!` is not base64", "line 1"],
        ),
        (without(3).into(), vec!["file:1:1: ", "truncated"]),
        (
            pem_text.replace("-----END", "A\n-----END").into(),
            vec!["file:1:1: ", "cut or damaged"],
        ),
        (pem_text.replace('\n', "").into(), vec!["no certificate in it;"]),
        (Vec::new(), vec!["no certificate in it;"]),
        (b"0 is how some texts begin\n".to_vec(), vec!["no certificate in it;"]),
        (b"\0binary".to_vec(), vec!["no certificate in it;"]),
        (
            parameters().into(),
            vec!["no certificate in it but `EC PARAMETERS` (line 1);"],
        ),
        (
            pem("CERTIFICATE REQUEST", 64).into(),
            vec!["no certificate in it but `CERTIFICATE REQUEST` (line 1);"],
        ),
        // The DER of a request for a certificate, up to its subject.
        (
            tlv(
                SEQUENCE,
                &[
                    tlv(SEQUENCE, &[tlv(INTEGER, &[0]), tlv(SEQUENCE, &[])].concat()),
                    tlv(SEQUENCE, &[]),
                    tlv(3, &[0]),
                ]
                .concat(),
            ),
            vec!["not a certificate", "issuer"],
        ),
    ];
    for (bytes, expected) in cases {
        let output = fingerprint(&[folder.write("file", &bytes).to_str().unwrap()]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{expected:?}: {text}");
        for expected in expected {
            assert!(text.contains(expected), "`{expected}` is not in: {text}");
        }
    }
    let folder = fingerprint(&[folder.0.path().to_str().unwrap()]);
    assert!(
        String::from_utf8_lossy(&folder.stderr).contains("cannot read "),
        "{folder:?}"
    );
}

#[test]
fn bytes_behind_a_certificate_are_counted_and_not_hashed() {
    let folder = Folder::new();
    let issued = Recipe::Github.issue();
    for (behind, note) in [
        (&b"\0"[..], "1 byte follows the certificate"),
        (b"12345", "5 bytes follow the certificate"),
        (&[0x30; 70_000], "70000 bytes follow the certificate"),
    ] {
        let file = folder.write("trailing.der", &[issued.leaf(), behind].concat());
        assert_eq!(prints(&file)["sha256"], issued.sha256().to_string());
        assert_eq!(prints(&file)["trailing_bytes"], behind.len());
        let text = stdout(&fingerprint(&[file.to_str().unwrap()]));
        assert!(text.contains(note), "{text}");
    }
    // The settings of a trusted certificate belong there.
    let trusted = pem_of("TRUSTED CERTIFICATE", &[issued.leaf(), &[0x30, 0]].concat(), 64);
    for nothing_behind in [issued.leaf(), trusted.as_bytes()] {
        let file = folder.write("nothing-behind", nothing_behind);
        assert_eq!(prints(&file)["trailing_bytes"], 0);
        assert!(!stdout(&fingerprint(&[file.to_str().unwrap()])).contains("follow"));
    }
}

#[test]
fn of_several_certificates_the_first_is_printed_unless_all_are_wanted() {
    let folder = Folder::new();
    let issued = Recipe::LongChain.issue();
    let all: Vec<String> = issued
        .chain
        .iter()
        .map(|der| Fingerprint::sha256_of(der).to_string())
        .collect();
    assert_eq!(all.len(), 4);
    let chain = folder.write("chain.pem", issued.to_pem().as_bytes());
    let chain = chain.to_str().unwrap();

    let text = stdout(&fingerprint(&[chain]));
    assert!(text.contains(&all[0]) && !text.contains(&all[1]), "{text}");
    assert!(
        text.contains("the first of 4 certificates; --all prints every one"),
        "{text}"
    );

    let text = stdout(&fingerprint(&[chain, "--all"]));
    assert!(all.iter().all(|print| text.contains(print)), "{text}");
    assert!(
        text.contains("certificate 4 of 4") && !text.contains("the first of"),
        "{text}"
    );

    let lines = stdout(&fingerprint(&[chain, "--all", "--json"]));
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<(u64, &str)> = lines
        .iter()
        .map(|line| (line["certificate"].as_u64().unwrap(), line["sha256"].as_str().unwrap()))
        .collect();
    let expected: Vec<(u64, &str)> = (1..).zip(all.iter().map(String::as_str)).collect();
    assert_eq!(seen, expected);
    assert!(lines.iter().all(|line| line["certificates"] == 4));

    // A leaf is of use though what stands behind it is damaged.
    let text = issued
        .to_pem()
        .replacen("-----END", "!\n-----END", 2)
        .replacen("!\n", "", 1);
    let damaged = folder.write("damaged.pem", text.as_bytes());
    assert_eq!(prints(&damaged)["sha256"], all[0]);
    let output = fingerprint(&[damaged.to_str().unwrap(), "--all"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).contains(&all[0]), "those before the damage are printed");
}

#[test]
fn a_certificate_is_read_from_standard_input() {
    let issued = Recipe::Github.issue();
    for input in [issued.leaf(), issued.to_pem().as_bytes()] {
        let mut child = pinrig(&["fingerprint", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let text = stdout(&child.wait_with_output().unwrap());
        assert!(text.contains(&issued.sha256().to_string()), "{text}");
    }
}

/// A certificate whose fields were changed at random is read without a panic, and never beyond its end.
#[test]
fn no_bytes_make_the_reader_panic() {
    let issued = Recipe::Github.issue();
    let der = issued.leaf().to_vec();
    let text = [issued.to_pem(), pem("TRUSTED CERTIFICATE", 76)].concat().into_bytes();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap() % limit
    };
    let (mut read, mut refused) = (0, 0);
    for _ in 0..100_000 {
        let mut bytes = if below(8) == 0 { text.clone() } else { der.clone() };
        for _ in 0..=below(3) {
            // The headers of the fields lie at the beginning.
            let limit = [bytes.len(), 64][below(2)];
            let at = below(limit);
            bytes[at] = [below(256), 0, 0x30, 0x7F, 0x80, 0x84, 0xFF][below(7)] as u8;
        }
        if below(4) == 0 {
            bytes.truncate(below(bytes.len()));
        }
        if let Ok(certificate) = Certificate::read(&bytes) {
            assert_eq!(certificate.der().len() + certificate.trailing(), bytes.len());
            assert!(bytes.starts_with(certificate.der()));
            assert!(certificate.public_key().len() < certificate.der().len());
        }
        match certificates_in(Path::new("random"), &bytes) {
            Ok(certificates) => {
                assert!(!certificates.is_empty());
                read += 1;
            }
            Err(error) => {
                assert!(error.to_string().starts_with("random: "), "{error}");
                refused += 1;
            }
        }
    }
    assert!(
        read > 10_000 && refused > 10_000,
        "{read} were read and {refused} refused"
    );
}

/// The kind of certificate, what `openssl s_server` is told, and what `pinrig` should say: the version, or a part of the
/// error.
const SERVERS: &[(&str, &str, Result<&str, &str>)] = &[
    ("rsa", "", Ok("TLS 1.3")),
    ("rsa", "-tls1_2", Ok("TLS 1.2")),
    ("rsa", "-tls1_1 -cipher ALL:@SECLEVEL=0", Ok("TLS 1.1")),
    ("rsa", "-tls1 -cipher ALL:@SECLEVEL=0", Ok("TLS 1.0")),
    // The key exchange or the cipher is not one that a modern TLS library has.
    ("rsa", "-tls1_2 -cipher AES128-SHA", Ok("TLS 1.2")),
    ("rsa", "-tls1_2 -cipher DHE-RSA-CAMELLIA256-SHA", Ok("TLS 1.2")),
    ("rsa", "-tls1_2 -cipher ARIA128-GCM-SHA256", Ok("TLS 1.2")),
    ("rsa", "-tls1_2 -cipher NULL-SHA256:@SECLEVEL=0", Ok("TLS 1.2")),
    ("rsa-pss", "", Ok("TLS 1.3")),
    ("rsa-pss", "-tls1_2", Ok("TLS 1.2")),
    ("p521", "", Ok("TLS 1.3")),
    ("p521", "-tls1_2", Ok("TLS 1.2")),
    ("ed25519", "", Ok("TLS 1.3")),
    ("ed25519", "-tls1_2", Ok("TLS 1.2")),
    ("ed448", "", Ok("TLS 1.3")),
    ("ed448", "-tls1_2", Ok("TLS 1.2")),
    ("brainpool", "-tls1_2", Ok("TLS 1.2")),
    ("secp256k1", "-tls1_2", Ok("TLS 1.2")),
    ("sect571r1", "-tls1_2", Ok("TLS 1.2")),
    ("dsa", "-tls1_2 -cipher ALL:@SECLEVEL=0", Ok("TLS 1.2")),
    // For P-384 the server asks with a HelloRetryRequest, as it does for its cookie.
    ("p256", "-groups P-384", Ok("TLS 1.3")),
    ("p256", "-stateless", Ok("TLS 1.3")),
    ("p256", "-groups X448:X25519", Ok("TLS 1.3")),
    ("p256", "-groups P-521", Ok("TLS 1.2")),
    ("p256", "-groups P-521 -tls1_3", Err("the alert handshake_failure")),
    ("p256", "-ciphersuites TLS_AES_256_GCM_SHA384", Ok("TLS 1.3")),
    ("p256", "-ciphersuites TLS_CHACHA20_POLY1305_SHA256", Ok("TLS 1.3")),
    ("p256", "-ciphersuites TLS_AES_128_CCM_SHA256", Ok("TLS 1.2")),
    // A client certificate is wanted, and there is none.
    ("p256", "-Verify 1", Ok("TLS 1.3")),
    ("p256", "-Verify 1 -tls1_2", Ok("TLS 1.2")),
    (
        "p256",
        "-tls1_2 -nocert -cipher aNULL:@SECLEVEL=0",
        Err("the alert handshake_failure"),
    ),
    ("version-1", "", Ok("TLS 1.3")),
    ("huge", "", Ok("TLS 1.3")),
    ("huge", "-tls1_2", Ok("TLS 1.2")),
];

#[test]
fn the_leaf_of_every_kind_of_server_is_printed() {
    let Some(openssl) = Openssl::installed() else { return };
    for (kind, arguments, expected) in SERVERS {
        let Some(certificate) = openssl.certificate(kind) else {
            continue;
        };
        let server = openssl.serve(kind, arguments);
        let output = fingerprint(&["--json", &server.address]);
        let text = String::from_utf8_lossy(&output.stderr);
        match expected {
            Ok(version) => {
                let seen: Value =
                    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{kind} {arguments}: {text}"));
                let right = openssl.fingerprint(&certificate, "sha256");
                assert_eq!(seen["sha256"], right, "{kind} {arguments}");
                assert_eq!(seen["version"], *version, "{kind} {arguments}");
                assert_eq!(seen["address"], server.address);
            }
            Err(part) => {
                assert_eq!(output.status.code(), Some(2), "{kind} {arguments}: {text}");
                assert!(text.contains(part) && text.contains(&server.address), "{text}");
            }
        }
    }
}

#[test]
fn the_name_chooses_among_a_servers_certificates() {
    let Some(openssl) = Openssl::installed() else { return };
    let (Some(usual), Some(named)) = (openssl.certificate("p256"), openssl.certificate("rsa")) else {
        return;
    };
    let server = openssl.serve("p256", "-servername named.test -cert2 rsa.pem -key2 rsa.key");
    for (name, expected) in [
        (None, &usual),
        (Some("named.test"), &named),
        (Some("named.test."), &named),
    ] {
        let mut arguments = vec!["--json", &server.address];
        arguments.extend(name.iter().flat_map(|name| ["--name", *name]));
        let seen: Value = serde_json::from_str(&stdout(&fingerprint(&arguments))).unwrap();
        assert_eq!(seen["sha1"], openssl.fingerprint(expected, "sha1"), "{name:?}");
    }
}

/// The handshakes of these scenarios fail in clients that check them.
#[test]
fn the_leaf_is_printed_though_the_handshake_behind_it_is_wrong() {
    for (scenario, expected) in [
        ("auth/no-certificate-verify", Ok("TLS 1.3")),
        ("auth/certificate-in-clear", Ok("TLS 1.3")),
        ("auth/fragmented-certificate", Ok("TLS 1.3")),
        ("auth/verify-before-certificate", Ok("TLS 1.3")),
        ("auth/alert-after-certificate", Ok("TLS 1.3")),
        ("auth/certificate-request", Ok("TLS 1.3")),
        ("server/tls-1-2-only", Ok("TLS 1.2")),
        ("auth/no-certificate", Err("the server presented no certificate")),
        ("auth/empty-certificate", Err("the server presented no certificate")),
        (
            "auth/alert-instead",
            Err("with the alert handshake_failure; --name asks for"),
        ),
        (
            "auth/altered-on-the-way",
            Err("the server's records cannot be decrypted"),
        ),
        ("auth/future-version", Err("the unknown protocol version 0x0305")),
        (
            "server/ssh",
            Err("does not speak TLS: its answer begins with `SSH-2.0-"),
        ),
        ("validity/cut-certificate", Err("that the server presented has")),
    ] {
        let server = Serve::start(scenario);
        let output = fingerprint(&["--json", server.line["address"].as_str().unwrap()]);
        let text = String::from_utf8_lossy(&output.stderr);
        match expected {
            Ok(version) => {
                let seen: Value =
                    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{scenario}: {text}"));
                for key in ["sha1", "sha256", "public_key"] {
                    assert_eq!(seen[key], server.line[key], "{scenario}");
                }
                assert_eq!(seen["version"], version, "{scenario}");
            }
            Err(part) => assert!(text.contains(part), "{scenario}: {text}"),
        }
    }
}

#[test]
fn a_servers_chain_is_printed_like_that_of_a_file() {
    let server = Serve::start("validity/long-chain");
    let address = server.line["address"].as_str().unwrap();
    let text = stdout(&fingerprint(&[address]));
    assert!(text.contains("the first of 4 certificates"), "{text}");
    assert!(text.contains(&format!("presented by {address} in TLS 1.3")), "{text}");
    let lines = stdout(&fingerprint(&[address, "--all", "--json"]));
    let seen: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (seen, der) in seen.iter().zip(Recipe::LongChain.issue().chain) {
        assert_eq!(seen["sha256"], Fingerprint::sha256_of(&der).to_string());
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_target_that_gives_no_certificate_is_named_with_what_to_do() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    // The kernel accepts for a listener that never does; this one is gone.
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let listening = TcpListener::bind(&silent);
    let timed_out = format!("{silent}: timed out after 0.3 s waiting for its certificate; --timeout allows more time");
    let refused = format!("{closed}: cannot connect: ");
    for (arguments, expected) in [
        (&[silent.as_str(), "--timeout", "0.3"][..], timed_out.as_str()),
        (&[&closed], &refused),
        (&["nowhere"], "`nowhere` is neither a file nor HOST:PORT"),
        (&["https://lamp.test/"], "neither a file nor HOST:PORT"),
        (&["::1:443"], "write an IPv6 address in brackets"),
        // Where no resolver answers, the look-up takes longer than that.
        (&["lamp.invalid:443", "--timeout", "3"], "lamp.invalid:443: "),
        (&["two..dots:443"], "`two..dots` is not a valid host name"),
        (
            &[&closed, "--name", "not a name"],
            "`not a name` is not a valid host name",
        ),
        (&[&closed, "--timeout", "0"], "write a number of seconds above 0"),
        (&[&closed, "--timeout", "1e9"], "up to 3600"),
    ] {
        let output = fingerprint(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
    drop(listening);
}

#[test]
fn serve_says_what_its_certificate_and_its_handshake_are_good_for() {
    let line = Serve::start("validity/no-certificate").line.clone();
    let issued = Recipe::NoCertificate.issue();
    assert_eq!(line["sha1"], issued.sha1().to_string());
    assert_eq!(line["public_key"], Value::Null);

    for (scenario, is_rogue) in [("auth/no-certificate-verify", true), ("pin/matches", false)] {
        let text = Serve::opening(scenario);
        assert_eq!(text.contains("a key share of secp256r1"), is_rogue, "{text}");
        assert_eq!(text.contains("curl --insecure --curves P-256 "), is_rogue, "{text}");
        assert!(text.contains(" --pinnedpubkey 'sha256//"), "{text}");
    }
    let text = Serve::opening("validity/no-certificate");
    assert!(
        text.contains("none: this is not a certificate") && !text.contains("pinnedpubkey"),
        "{text}"
    );
}

/// A running `pinrig serve --json`.
struct Serve {
    _running: Running,
    /// Its first line.
    line: Value,
}

impl Serve {
    fn start(scenario: &str) -> Self {
        let mut running = Running::start(&mut pinrig(&["serve", "--json", scenario]));
        let line = serde_json::from_str(&running.lines_to("{")[0]).unwrap();
        Self {
            _running: running,
            line,
        }
    }

    /// What it says to people before its first client.
    fn opening(scenario: &str) -> String {
        Running::start(&mut pinrig(&["serve", scenario]))
            .lines_to("Ctrl-C")
            .join("\n")
    }
}

/// A folder for the files of one test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn fingerprint(arguments: &[&str]) -> Output {
    pinrig(&["fingerprint"]).args(arguments).output().unwrap()
}

/// What `pinrig fingerprint --json` says of a file.
fn prints(file: &Path) -> Value {
    let output = fingerprint(&["--json", file.to_str().unwrap()]);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}: {}", file.display(), String::from_utf8_lossy(&output.stderr)))
}

fn pinrig(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinrig"));
    command
        .args(arguments)
        .current_dir(support::root())
        .env_remove("PINRIG_FIXTURES");
    command
}

fn stdout(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    text
}
