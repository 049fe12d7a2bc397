//! `pinrig serve`: one scenario's server, for any other client.
//!
//! What enters: a scenario's name and an address. What leaves: how to reach the server, then what it sees, line by line.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use clap::Args;
use pinrig::scenario::{self, Service};
use pinrig::service;
use pinrig_server::{Handshake, TlsServer};
use serde_json::json;

use super::fingerprint::Prints;
use super::output::print;
use super::style::{DIM, TITLE};
use super::{CommandResult, Common};

#[derive(Args, Debug)]
pub(super) struct Serve {
    /// The scenario
    #[arg(value_name = "NAME")]
    name: String,
    /// Where to listen; without it, a free port of 127.0.0.1
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
}

pub(super) fn serve(common: &Common, options: &Serve) -> CommandResult {
    let all = super::scenarios(&common.fixtures()?)?;
    let named = scenario::select(&all, std::slice::from_ref(&options.name))?;
    let Some(scenario) = named.iter().find(|scenario| scenario.name == options.name) else {
        return Err(format!("`{}` is a folder of scenarios; name one of them", options.name).into());
    };
    // The server of the first run: further runs are what the harness does with a board.
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
    if common.json {
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
        let resolve = quoted(&format!("{host}:{port}:127.0.0.1"));
        let url = quoted(&format!("https://{host}:{port}{path}"));
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
            "\n{DIM}try: curl --insecure{curves}{pin} --resolve {resolve} {url}{DIM:#}"
        )?;
        writeln!(text, "{DIM}Ctrl-C ends.{DIM:#}\n")?;
        print(&String::from_utf8_lossy(&text))?;
    }

    // Runs until Ctrl-C ends the process, which takes the server's thread and port with it.
    for event in server.watch() {
        if common.json {
            print(&format!("{}\n", serde_json::to_string(&event)?))?;
        } else {
            print(&format!("{event}\n"))?;
        }
    }
    Ok(0)
}

/// A word for a shell: in quotes if it has a character that could mean something there.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_means_nothing_else_to_a_shell() {
        assert_eq!(quoted("https://a.b:1/c-d_e"), "https://a.b:1/c-d_e");
        assert_eq!(quoted("/a?b=c&d"), "'/a?b=c&d'");
        assert_eq!(quoted("/it's$(x)"), r"'/it'\''s$(x)'");
    }
}
