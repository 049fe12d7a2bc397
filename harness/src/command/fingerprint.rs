//! `pinrig fingerprint`: what to pin, from a server or from a file.

use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use pinrig::certificate::{Certificate, certificates_in};
use pinrig::peer::{self, Failure, PeerError, Presented, ServerAddress, ServerAddressError, ServerName};
use pinrig_certs::Fingerprint;
use serde_json::{Value, json};

use super::style::{DIM, TITLE};
use super::{CommandResult, Common};

/// Stands for standard input in place of a file.
const STANDARD_INPUT: &str = "-";

#[derive(Args, Debug)]
pub(super) struct Target {
    /// A server as HOST:PORT, or a file with certificates as PEM or DER; `-` is standard input
    #[arg(value_name = "HOST:PORT | FILE")]
    target: String,
    /// The name to ask the server for (SNI), where it differs from HOST
    #[arg(long, value_name = "NAME")]
    name: Option<ServerName>,
    /// Print every certificate of the file or of the server's chain, not the first alone
    #[arg(long)]
    all: bool,
    /// How long the server may take in all, from the look-up of its name to its certificate
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
}

pub(super) fn fingerprint(common: &Common, target: &Target) -> CommandResult {
    let mut out = anstream::stdout().lock();
    if target.target == STANDARD_INPUT {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        of_file(common, target, Path::new("standard input"), &bytes, &mut out)
    } else if Path::new(&target.target).exists() {
        let path = Path::new(&target.target);
        let bytes = fs::read(path).map_err(|cause| format!("cannot read {}: {cause}", path.display()))?;
        of_file(common, target, path, &bytes, &mut out)
    } else {
        of_server(common, target, &mut out)
    }?;
    Ok(0)
}

/// Everything by which a certificate can be pinned.
pub(super) struct Prints {
    sha1: Fingerprint,
    sha256: Fingerprint,
    /// Bytes in the place of a certificate have none.
    public_key: Option<String>,
}

impl Prints {
    /// What a client sees of a leaf, which may be bytes that are not a certificate: only the public key needs one.
    pub(super) fn of_leaf(leaf: &[u8]) -> Self {
        Self {
            sha1: Fingerprint::sha1_of(leaf),
            sha256: Fingerprint::sha256_of(leaf),
            public_key: Certificate::read(leaf).ok().map(|leaf| leaf.public_key_pin()),
        }
    }

    fn of(certificate: &Certificate) -> Self {
        Self {
            public_key: Some(certificate.public_key_pin()),
            ..Self::of_leaf(certificate.der())
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "sha1": self.sha1.to_string(),
            "sha256": self.sha256.to_string(),
            "public_key": self.public_key,
        })
    }

    /// The public key as `curl --pinnedpubkey` takes it.
    pub(super) fn public_key(&self) -> Option<&str> {
        self.public_key.as_deref()
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{TITLE}SHA-1{TITLE:#}       {}", self.sha1)?;
        writeln!(out, "{TITLE}SHA-256{TITLE:#}     {}", self.sha256)?;
        let public_key = self.public_key().unwrap_or("none: this is not a certificate");
        writeln!(out, "{TITLE}public key{TITLE:#}  {public_key}")
    }
}

/// One certificate among those of its file or chain.
struct Printed<'a> {
    certificate: &'a Certificate,
    /// Counted from 1.
    number: usize,
    /// How many there are.
    of: usize,
    /// The server that presented it.
    server: Option<&'a Presented>,
}

impl Printed<'_> {
    fn print(&self, common: &Common, all: bool, out: &mut impl Write) -> io::Result<()> {
        let prints = Prints::of(self.certificate);
        let trailing = self.certificate.trailing();
        if common.json {
            let mut line = prints.json();
            line["certificate"] = json!(self.number);
            line["certificates"] = json!(self.of);
            line["trailing_bytes"] = json!(trailing);
            if let Some(server) = self.server {
                line["address"] = json!(server.address.to_string());
                line["version"] = json!(server.version);
                line["broken_off"] = json!(server.broken_off.as_ref().map(ToString::to_string));
            }
            return writeln!(out, "{line}");
        }
        if all && self.of > 1 {
            let before = if self.number == 1 { "" } else { "\n" };
            writeln!(out, "{before}{DIM}certificate {} of {}{DIM:#}", self.number, self.of)?;
        }
        prints.write(out)?;
        if trailing > 0 {
            let bytes = if trailing == 1 { "byte follows" } else { "bytes follow" };
            writeln!(out, "{DIM}{trailing} {bytes} the certificate and are not hashed{DIM:#}")?;
        }
        if !all && self.of > 1 {
            writeln!(
                out,
                "{DIM}the first of {} certificates; --all prints every one{DIM:#}",
                self.of
            )?;
        }
        Ok(())
    }
}

fn of_file(
    common: &Common,
    target: &Target,
    path: &Path,
    bytes: &[u8],
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let certificates = certificates_in(path, bytes)?;
    let of = certificates.len();
    let wanted = if target.all { of } else { 1 };
    for (number, certificate) in (1..).zip(certificates).take(wanted) {
        let printed = Printed {
            certificate: &certificate?,
            number,
            of,
            server: None,
        };
        printed.print(common, target.all, out)?;
    }
    Ok(())
}

fn of_server(common: &Common, target: &Target, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let server: ServerAddress = target.target.parse().map_err(|error| match error {
        ServerAddressError::Form(text) => format!("`{text}` is neither a file nor HOST:PORT"),
        ServerAddressError::Brackets(_) => error.to_string(),
    })?;
    let presented = peer::look(&server, target.name.as_ref(), target.timeout)
        .map_err(|error| format!("{error}{}", advice(&error, &server, target)))?;
    let of = 1 + presented.issuers.len();
    let wanted = if target.all { of } else { 1 };
    let chain = [&presented.leaf].into_iter().chain(&presented.issuers);
    for (number, certificate) in (1..).zip(chain).take(wanted) {
        let certificate = Certificate::read(certificate).map_err(|cause| {
            let size = certificate.len();
            format!("{server}: certificate {number} of {of} that the server presented has {size} bytes: {cause}")
        })?;
        let printed = Printed {
            certificate: &certificate,
            number,
            of,
            server: Some(&presented),
        };
        printed.print(common, target.all, out)?;
    }
    if !common.json {
        let Presented { address, version, .. } = &presented;
        writeln!(out, "{DIM}presented by {address} in {version}{DIM:#}")?;
        if let Some(failure) = &presented.broken_off {
            writeln!(out, "{DIM}there may be more certificates: {failure}{DIM:#}")?;
        }
    }
    Ok(())
}

/// What to do about an error, behind a semicolon.
fn advice(error: &PeerError, server: &ServerAddress, target: &Target) -> &'static str {
    const UNRECOGNIZED_NAME: u8 = 112;
    match error {
        PeerError::TimedOut { .. } => "; --timeout allows more time",
        PeerError::Name(_) => "; --name asks for another",
        PeerError::Failed { failures, .. } => {
            let is = |wanted: fn(&Failure) -> bool| failures.iter().any(|(_, failure)| wanted(failure));
            if is(|failure| *failure == Failure::Alert(UNRECOGNIZED_NAME)) {
                "; --name asks for another name"
            } else if is(|failure| matches!(failure, Failure::Alert(_))) && target.name.is_none() && !server.has_name()
            {
                "; --name asks for a certificate by name"
            } else if is(|failure| matches!(failure, Failure::NotTls(_))) {
                "; protocols that begin in clear and change to TLS later (STARTTLS) are not supported"
            } else {
                ""
            }
        }
        PeerError::Lookup { .. } => "",
    }
}

/// A limit of at most an hour.
fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds| *seconds > 0.0 && *seconds <= 3600.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "write a number of seconds above 0 and up to 3600".to_owned())
}
