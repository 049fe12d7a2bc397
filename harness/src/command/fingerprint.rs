//! `pinrig fingerprint`: what to pin, from a server or from a file.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use pinrig::peer;
use pinrig_certs::Fingerprint;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use super::style::TITLE;
use super::{CommandResult, Place};

#[derive(Args, Debug)]
pub(super) struct Target {
    /// A server as HOST:PORT, or a file with a certificate as PEM or DER
    #[arg(value_name = "HOST:PORT | FILE")]
    target: String,
    /// The name to ask the server for (SNI), where it differs from HOST
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

pub(super) fn fingerprint(place: &Place, target: &Target) -> CommandResult {
    let leaf = if Path::new(&target.target).exists() {
        from_file(Path::new(&target.target))?
    } else {
        from_server(&target.target, target.name.as_deref())?
    };
    let mut out = anstream::stdout().lock();
    let prints = Prints::of(&leaf)?;
    if place.json {
        writeln!(out, "{}", prints.json())?;
    } else {
        prints.write(&mut out)?;
    }
    Ok(0)
}

/// Everything by which a certificate can be pinned.
pub(super) struct Prints {
    sha1: Fingerprint,
    sha256: Fingerprint,
    public_key: String,
}

impl Prints {
    pub(super) fn of(leaf: &CertificateDer<'_>) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            sha1: Fingerprint::sha1_of(leaf),
            sha256: Fingerprint::sha256_of(leaf),
            public_key: peer::public_key_pin(leaf)?,
        })
    }

    pub(super) fn json(&self) -> serde_json::Value {
        json!({
            "sha1": self.sha1.to_string(),
            "sha256": self.sha256.to_string(),
            "public_key": self.public_key,
        })
    }

    /// The public key as `curl --pinnedpubkey` takes it.
    pub(super) fn public_key(&self) -> &str {
        &self.public_key
    }

    pub(super) fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "{TITLE}SHA-1{TITLE:#}       {}", self.sha1)?;
        writeln!(out, "{TITLE}SHA-256{TITLE:#}     {}", self.sha256)?;
        writeln!(out, "{TITLE}public key{TITLE:#}  {}", self.public_key)
    }
}

fn from_file(path: &Path) -> Result<CertificateDer<'static>, Box<dyn Error>> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if bytes.first() == Some(&0x30) {
        return Ok(CertificateDer::from(bytes));
    }
    CertificateDer::from_pem_slice(&bytes).map_err(|error| {
        format!(
            "{}: no certificate in it, neither DER nor PEM ({error})",
            path.display()
        )
        .into()
    })
}

fn from_server(target: &str, name: Option<&str>) -> Result<CertificateDer<'static>, Box<dyn Error>> {
    const LIMIT: Duration = Duration::from_secs(10);
    let Some((host, _)) = target.rsplit_once(':') else {
        return Err(format!("`{target}` is neither a file nor HOST:PORT").into());
    };
    let mut last = None;
    for address in target.to_socket_addrs().map_err(|error| format!("{target}: {error}"))? {
        match TcpStream::connect_timeout(&address, LIMIT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(LIMIT))?;
                stream.set_write_timeout(Some(LIMIT))?;
                let host = name.unwrap_or(host).trim_matches(['[', ']']);
                return peer::leaf_of(stream, host).map_err(|error| format!("{target}: {error}").into());
            }
            Err(error) => last = Some(format!("{target}: {error}")),
        }
    }
    Err(last.unwrap_or_else(|| format!("{target}: no address")).into())
}
