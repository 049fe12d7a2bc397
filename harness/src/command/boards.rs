//! `pinrig boards`: what is plugged in, which boards the rig has, and which process holds each.

use std::env;
use std::io::Write;

use anstyle::{AnsiColor, Style};
use clap::Args;
use pinrig::rig::{self, CommandLine, Entry, Holder, Kind, PortError, ProcessEntry, Rig, SerialEntry, SerialPort};
use serde_json::{Value, json};

use super::{CommandResult, Common};

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

/// A board of the rig, as it is now.
struct Seen<'a> {
    entry: &'a Entry,
    state: State<'a>,
}

enum State<'a> {
    /// A chip, and what is at its port.
    Serial {
        entry: &'a SerialEntry,
        port: Result<SerialPort, PortError>,
        holder: Option<Holder>,
    },
    /// A program of this machine.
    Process(&'a CommandLine),
}

impl<'a> Seen<'a> {
    fn new(entry: &'a Entry, rig: &Rig) -> Self {
        let state = match &entry.kind {
            Kind::Serial(serial) => {
                let port = rig.ports.find(&serial.port);
                let holder = port.as_ref().ok().and_then(|port| rig.locks.holder(&port.identity()));
                State::Serial {
                    entry: serial,
                    port,
                    holder,
                }
            }
            Kind::Process(ProcessEntry { command, .. }) => State::Process(command),
        };
        Self { entry, state }
    }

    fn is_at(&self, other: &SerialPort) -> bool {
        matches!(&self.state, State::Serial { port: Ok(port), .. } if port.path == other.path)
    }
}

pub(super) fn boards(common: &Common, options: &Boards) -> CommandResult {
    let mut out = anstream::stdout().lock();
    if options.schema {
        writeln!(out, "{:#}", rig::schema())?;
        return Ok(0);
    }
    let rig = Rig::find(&env::current_dir()?)?;
    let plugged = rig.ports.list()?;
    let boards = rig.inventory.iter().flat_map(|inventory| &inventory.boards);
    let known: Vec<Seen<'_>> = boards.map(|entry| Seen::new(entry, &rig)).collect();
    let others = plugged.iter().filter(|port| !known.iter().any(|seen| seen.is_at(port)));
    let others: Vec<&SerialPort> = others.collect();

    if common.json {
        for seen in &known {
            writeln!(out, "{}", seen.json())?;
        }
        for port in others {
            let holder = rig.locks.holder(&port.identity());
            let line = json!({ "board": Value::Null, "port": port, "holder": holder });
            writeln!(out, "{line}")?;
        }
        return Ok(0);
    }
    match &rig.inventory {
        Some(inventory) => writeln!(out, "{TITLE}rig{TITLE:#} {DIM}{}{DIM:#}", inventory.path.display())?,
        None => writeln!(
            out,
            "{DIM}no rig.toml here or above: there is only the virtual board{DIM:#}"
        )?,
    }
    for seen in &known {
        let (chip, style, state) = match &seen.state {
            State::Process(command) => ("", GOOD, format!("a process: `{command}`")),
            State::Serial { entry, port, holder } => {
                let (style, state) = match (port, holder) {
                    (Err(error), _) => (BAD, error.to_string()),
                    (Ok(port), Some(holder)) => (BAD, format!("{port}, held by {holder}")),
                    (Ok(port), None) => (GOOD, port.to_string()),
                };
                (entry.chip.as_str(), style, state)
            }
        };
        let Entry { name, tags, .. } = seen.entry;
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
    /// One object a board, with the same keys for both kinds of boards.
    fn json(&self) -> Value {
        let words = |command: &CommandLine| command.words().map(str::to_owned).collect::<Vec<_>>();
        let (kind, command, chip) = match &self.state {
            State::Serial { entry, .. } => ("serial", Vec::new(), entry.chip.as_str()),
            State::Process(command) => ("process", words(command), ""),
        };
        let (port, problem, holder) = match &self.state {
            State::Serial { port, holder, .. } => {
                let problem = port.as_ref().err().map(ToString::to_string);
                (port.as_ref().ok(), problem, holder.as_ref())
            }
            State::Process(_) => (None, None, None),
        };
        json!({
            "board": self.entry.name,
            "kind": kind,
            "command": command,
            "chip": chip,
            "tags": self.entry.tags,
            "port": port,
            "problem": problem,
            "holder": holder,
        })
    }
}
