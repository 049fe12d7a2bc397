//! `pinrig serve`: one scenario's server, for any other client.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};

use clap::Args;
use pinrig::scenario::{self, Service};
use pinrig::service;
use pinrig_server::{Handshake, TlsServer};
use serde_json::json;

use super::fingerprint::Prints;
use super::style::{DIM, TITLE};
use super::{CommandResult, Place};

#[derive(Args, Debug)]
pub(super) struct Serve {
    /// The scenario
    #[arg(value_name = "NAME")]
    name: String,
    /// Where to listen; without it, a free port of 127.0.0.1
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
}

pub(super) fn serve(place: &Place, options: &Serve) -> CommandResult {
    let all = super::scenarios(&place.fixtures()?)?;
    let [scenario] = &scenario::select(&all, std::slice::from_ref(&options.name))?[..] else {
        return Err(format!("`{}` is a folder of scenarios; name one of them", options.name).into());
    };
    // The first run's: who serves it to other clients decides about further ones by hand.
    let Some(run) = scenario.runs.first() else {
        return Err(format!("`{}` has no run", scenario.name).into());
    };
    let Service::Tls(tls) = &run.service else {
        return Err(format!("in `{}` nothing listens, so there is nothing to serve", scenario.name).into());
    };
    let config = service::configuration(tls, options.listen);
    let prints = Prints::of_leaf(config.identity.leaf());
    let is_rogue = matches!(config.handshake, Handshake::Rogue(_));
    let server = TlsServer::start(config)?;
    let address = server.address();

    let host = &run.device.host;
    if place.json {
        let mut line = prints.json();
        line["scenario"] = json!(scenario.name);
        line["address"] = json!(address.to_string());
        line["host"] = json!(host);
        print(&format!("{line}\n"))?;
    } else {
        let mut text = Vec::new();
        writeln!(text, "{TITLE}{}{TITLE:#}  {}", scenario.name, scenario.about)?;
        writeln!(text, "{TITLE}address{TITLE:#}     {address}")?;
        writeln!(text, "{TITLE}name{TITLE:#}        {host}")?;
        prints.write(&mut text)?;
        let port = address.port();
        let path = &run.device.path;
        let pin = prints
            .public_key()
            .map(|pin| format!(" --pinnedpubkey '{pin}'"))
            .unwrap_or_default();
        let curves = if is_rogue { " --curves P-256" } else { "" };
        if is_rogue {
            writeln!(
                text,
                "\n{DIM}This server needs a client that offers TLS 1.3 with a key share of secp256r1; the handshake with any other proves nothing.{DIM:#}"
            )?;
        }
        writeln!(
            text,
            "\n{DIM}try: curl --insecure{curves}{pin} --resolve {host}:{port}:127.0.0.1 https://{host}:{port}{path}{DIM:#}"
        )?;
        writeln!(text, "{DIM}Ctrl-C ends.{DIM:#}\n")?;
        print(&String::from_utf8_lossy(&text))?;
    }

    // Runs until Ctrl-C ends the process, which takes the server's thread and port with it.
    for event in server.watch() {
        if place.json {
            print(&format!("{}\n", serde_json::to_string(&event)?))?;
        } else {
            print(&format!("{event}\n"))?;
        }
    }
    Ok(0)
}

/// Prints and flushes: whoever waits for a line behind a pipe must get it.
fn print(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
