//! What the tests of fingerprints have openssl do: make certificates, serve them, and say what is right.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::certificates::{self, pem_of};

/// Kinds of certificates, and what `openssl req` is told for each.
pub(crate) const KINDS: &[(&str, &str)] = &[
    ("rsa", "-newkey rsa:2048"),
    ("rsa-pss", "-newkey rsa-pss -pkeyopt rsa_keygen_bits:2048"),
    ("p256", "-newkey ec -pkeyopt ec_paramgen_curve:P-256"),
    ("p521", "-newkey ec -pkeyopt ec_paramgen_curve:P-521"),
    ("brainpool", "-newkey ec -pkeyopt ec_paramgen_curve:brainpoolP384r1"),
    ("secp256k1", "-newkey ec -pkeyopt ec_paramgen_curve:secp256k1"),
    ("sect571r1", "-newkey ec -pkeyopt ec_paramgen_curve:sect571r1"),
    (
        "explicit-curve",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
    ),
    ("ed25519", "-newkey ed25519"),
    ("ed448", "-newkey ed448"),
    ("dsa", "-newkey dsa:dsa.pem"),
    ("sha1", "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha1"),
    ("sha3", "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha3-256"),
    ("version-1", "-newkey ec -pkeyopt ec_paramgen_curve:P-256"),
    (
        "huge",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -config huge.cnf -extensions names",
    ),
];

/// The program `openssl`, with a folder for its files.
pub(crate) struct Openssl {
    folder: TempDir,
}

impl Openssl {
    /// `None`, with a note, where it is not installed.
    pub(crate) fn installed() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            missing("`openssl` is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        Some(Self { folder })
    }

    /// Runs a command of openssl's, whose arguments have no spaces in them.
    pub(crate) fn run(&self, arguments: &str) -> Output {
        Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The fingerprint of a file's certificate, by `sha1` or `sha256`.
    pub(crate) fn fingerprint(&self, file: &Path, digest: &str) -> String {
        let output = self.run(&format!("x509 -noout -fingerprint -{digest} -in {}", file.display()));
        let text = String::from_utf8(output.stdout).unwrap();
        let fingerprint = text.trim().split('=').nth(1).map(str::to_owned);
        fingerprint.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// The pin of the public key of a file's certificate.
    pub(crate) fn public_key_pin(&self, file: &Path) -> String {
        let output = self.run(&format!("x509 -noout -pubkey -in {}", file.display()));
        self.write("public.pem", &output.stdout);
        let output = self.run("pkey -pubin -outform der -in public.pem");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        format!("sha256//{}", STANDARD.encode(Sha256::digest(output.stdout)))
    }

    /// A self-signed certificate of one of the [`KINDS`]; `None`, with a note, where this openssl makes none.
    pub(crate) fn certificate(&self, kind: &str) -> Option<PathBuf> {
        let certificate = self.folder.path().join(format!("{kind}.pem"));
        if certificate.exists() {
            return Some(certificate);
        }
        match kind {
            "dsa" => drop(self.run("dsaparam -out dsa.pem 1024")),
            "huge" => drop(self.write("huge.cnf", configuration_of_many_names().as_bytes())),
            _ => {}
        }
        let (_, key) = KINDS.iter().find(|(known, _)| *known == kind).unwrap();
        let output = self.run(&format!(
            "req -x509 -nodes -subj /CN=lamp.test -keyout {kind}.key -out {kind}.pem {key}"
        ));
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            missing(&format!("this openssl makes no certificate of kind `{kind}`: {why}"));
            return None;
        }
        if kind == "version-1" {
            let der = self
                .run(&format!("x509 -outform der -in {}", certificate.display()))
                .stdout;
            let der = certificates::in_version_1(&der);
            self.write("version-1.pem", pem_of("CERTIFICATE", &der, 64).as_bytes());
        }
        Some(certificate)
    }

    /// Serves a certificate of one of the [`KINDS`], which was made before, and does what else `arguments` tell it.
    pub(crate) fn serve(&self, kind: &str, arguments: &str) -> Server {
        let mut running = Running::start(
            Command::new("openssl")
                .args(["s_server", "-www", "-accept", "127.0.0.1:0"])
                .args(["-cert", &format!("{kind}.pem"), "-key", &format!("{kind}.key")])
                .args(arguments.split_whitespace())
                .current_dir(self.folder.path())
                .stderr(Stdio::null()),
        );
        let lines = running.lines_to("ACCEPT ");
        let address = lines[lines.len() - 1]["ACCEPT ".len()..].to_owned();
        Server {
            _running: running,
            address,
        }
    }
}

/// A running `openssl s_server`.
pub(crate) struct Server {
    _running: Running,
    pub(crate) address: String,
}

/// A running program that serves, killed on drop.
pub(crate) struct Running {
    child: Child,
    /// Held open, or the program would lose its standard output.
    stdout: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// Its output up to the first line that begins with `beginning`, which is the last.
    pub(crate) fn lines_to(&mut self, beginning: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for line in self.stdout.by_ref().lines() {
            let line = line.unwrap();
            let is_last = line.starts_with(beginning);
            lines.push(line);
            if is_last {
                return lines;
            }
        }
        panic!("no line that begins with `{beginning}` in {lines:#?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// For a certificate of about 100 KB.
fn configuration_of_many_names() -> String {
    let names: Vec<String> = (0..4000).map(|number| format!("DNS:name-{number}.lamp.test")).collect();
    let names = names.join(",");
    format!("[req]\ndistinguished_name = subject\n[subject]\n[names]\nsubjectAltName = {names}\n")
}

/// A test that cannot be made says so, unless every one is required.
fn missing(what: &str) {
    assert!(
        std::env::var_os("PINRIG_REQUIRE_CLIENTS").is_none(),
        "{what}, and PINRIG_REQUIRE_CLIENTS is set"
    );
    eprintln!("skipped: {what}");
}
