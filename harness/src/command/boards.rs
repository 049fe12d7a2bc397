//! `pinrig boards`: what is plugged in, what the rig knows, and who holds what.

use std::env;
use std::io::Write;

use anstyle::{AnsiColor, Style};
use clap::Args;
use pinrig::rig::{self, Entry, Holder, Inventory, Kind, Locks, PortError, Ports, SerialPort};
use serde_json::{Value, json};

use super::{CommandResult, Place};

const TITLE: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

#[derive(Args, Debug)]
pub(super) struct Boards {
    /// Print the JSON schema of rig.toml, for editors, and nothing else
    #[arg(long)]
    schema: bool,
}

/// A board of the rig, and what is at its port now.
struct Seen<'a> {
    entry: &'a Entry,
    port: Result<SerialPort, PortError>,
    holder: Option<Holder>,
}

pub(super) fn boards(place: &Place, options: &Boards) -> CommandResult {
    let mut out = anstream::stdout().lock();
    if options.schema {
        writeln!(out, "{:#}", rig::schema())?;
        return Ok(0);
    }
    let inventory = Inventory::find(&env::current_dir()?)?;
    let (ports, locks) = (Ports::default(), Locks::default());
    let plugged = ports.list()?;
    let known: Vec<Seen<'_>> = inventory
        .iter()
        .flat_map(|inventory| &inventory.boards)
        .map(|entry| {
            let port = ports.find(&entry.port);
            let holder = port.as_ref().ok().and_then(|port| locks.holder(&port.identity()));
            Seen { entry, port, holder }
        })
        .collect();
    let is_known = |port: &SerialPort| {
        known
            .iter()
            .any(|seen| seen.port.as_ref().is_ok_and(|its| its.path == port.path))
    };
    let others: Vec<&SerialPort> = plugged.iter().filter(|port| !is_known(port)).collect();

    if place.json {
        for seen in &known {
            writeln!(out, "{}", seen.json())?;
        }
        for port in others {
            writeln!(
                out,
                "{}",
                json!({ "board": Value::Null, "port": port, "holder": locks.holder(&port.identity()) })
            )?;
        }
        return Ok(0);
    }
    match &inventory {
        Some(inventory) => writeln!(out, "{TITLE}rig{TITLE:#} {DIM}{}{DIM:#}", inventory.path.display())?,
        None => writeln!(
            out,
            "{DIM}no rig.toml here or above: there is only the virtual board{DIM:#}"
        )?,
    }
    for seen in &known {
        let (style, state) = match (&seen.port, &seen.holder) {
            _ if seen.entry.kind == Kind::Process => (GOOD, format!("a process: `{}`", seen.entry.command.join(" "))),
            (Err(error), _) => (BAD, error.to_string()),
            (Ok(port), Some(holder)) => (BAD, format!("{port}, held by {holder}")),
            (Ok(port), None) => (GOOD, port.to_string()),
        };
        let Entry { name, chip, tags, .. } = seen.entry;
        let tags: String = tags.iter().map(|tag| format!(" {tag}")).collect();
        writeln!(
            out,
            "  {TITLE}{name}{TITLE:#}  {chip}{DIM}{tags}{DIM:#}\n    {style}{state}{style:#}"
        )?;
    }
    if !others.is_empty() {
        writeln!(out, "{TITLE}also plugged in{TITLE:#}")?;
    }
    for port in others {
        writeln!(out, "  {port}")?;
        if let Some(link) = &port.by_id {
            writeln!(out, "    {DIM}port.by-id = \"{link}\"{DIM:#}")?;
        }
    }
    Ok(0)
}

impl Seen<'_> {
    fn json(&self) -> Value {
        let (port, problem) = match &self.port {
            Ok(port) => (json!(port), Value::Null),
            Err(_) if self.entry.kind == Kind::Process => (Value::Null, Value::Null),
            Err(error) => (Value::Null, error.to_string().into()),
        };
        json!({
            "board": self.entry.name,
            "kind": self.entry.kind,
            "command": self.entry.command,
            "chip": self.entry.chip,
            "tags": self.entry.tags,
            "port": port,
            "problem": problem,
            "holder": self.holder,
        })
    }
}
