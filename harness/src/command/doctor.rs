//! `pinrig doctor`: what keeps the boards of the rig from being used, and what to do about it.

use std::env;
use std::error::Error;
use std::io::Write;

use anstyle::{AnsiColor, Style};
use clap::Args;
use pinrig::bench::SerialBench;
use pinrig::board::{Claim, Take};
use pinrig::deadline::Deadline;
use pinrig::doctor::{Finding, Health, System};
use pinrig::rig::{Entry, Images, Kind, Rig};
use pinrig::run::{Limits, Runner};
use pinrig::verdict::{Blame, Verdict};

use super::run::Options;
use super::{CommandResult, Place};

const TITLE: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// What a board that is well passes.
const HONEST: &str = "pin/matches";

#[derive(Args, Debug)]
pub(super) struct Doctor {
    /// Flash each board and let it fetch from a server here: does its chip answer, does it boot, join its network, reach this machine?
    #[arg(long)]
    ask: bool,
    /// Print rules for udev that give you the boards' ports and probes, and keep ModemManager away from them
    #[arg(long, conflicts_with = "ask")]
    udev_rules: bool,
}

pub(super) fn doctor(place: &Place, options: &Options, doctor: &Doctor) -> CommandResult {
    let rig = Rig::find(&env::current_dir()?)?;
    let inventory = rig.inventory.as_ref();
    if doctor.udev_rules {
        let rules = System::default().udev_rules(inventory);
        let rules =
            rules.ok_or("no USB port or probe of a board is plugged in, and rules go by what each says of itself")?;
        write!(anstream::stdout(), "{rules}")?;
        return Ok(0);
    }
    let mut findings = System::default().examine(inventory);
    if let (true, Some(inventory)) = (doctor.ask, inventory) {
        for entry in &inventory.boards {
            let is_its = |finding: &Finding| finding.board.as_deref() == Some(entry.name.as_str());
            // What cannot be opened need not be tried.
            let shut = |finding: &Finding| ["port", "permission", "firmware"].contains(&finding.check);
            let bad = |finding: &Finding| finding.health == Health::Bad && shut(finding);
            let impossible = findings.iter().any(|finding| is_its(finding) && bad(finding));
            if impossible || matches!(entry.kind, Kind::Process(_)) {
                continue;
            }
            let answers = ask(entry, &rig, place, options)?;
            let after = findings
                .iter()
                .rposition(is_its)
                .map_or(findings.len(), |last| last + 1);
            findings.splice(after..after, answers);
        }
    }
    let mut out = anstream::stdout().lock();
    let mut board = None;
    for finding in &findings {
        if place.json {
            writeln!(out, "{}", serde_json::to_string(finding)?)?;
            continue;
        }
        if finding.board != board {
            board.clone_from(&finding.board);
            let name = board.as_deref().unwrap_or_default();
            writeln!(out, "{TITLE}{name}{TITLE:#}")?;
        }
        let (mark, style) = mark(finding);
        let Finding { check, found, .. } = finding;
        writeln!(out, "  {style}{mark:<5}{style:#} {check:<14} {found}")?;
        if let Some(advice) = &finding.advice {
            writeln!(out, "        {DIM}{advice}{DIM:#}")?;
        }
    }
    let worst = findings.iter().map(|finding| finding.health).max();
    Ok(if worst == Some(Health::Bad) {
        Blame::Rig.exit_code()
    } else {
        0
    })
}

/// Asks a board itself, one thing after the other: loader, boot, network, server.
fn ask(entry: &Entry, rig: &Rig, place: &Place, options: &Options) -> Result<Vec<Finding>, Box<dyn Error>> {
    let finding = |check, health, found: String, advice: Option<&str>| Finding {
        board: Some(entry.name.to_string()),
        check,
        health,
        found,
        advice: advice.map(str::to_owned),
    };
    let image = options.image(place)?;
    let scenarios = super::scenarios(&place.fixtures()?)?;
    let honest = scenarios.iter().find(|scenario| scenario.name == HONEST);
    let honest = honest.ok_or_else(|| format!("there is no scenario {HONEST}, which is to be tried"))?;
    let now = Deadline::after("a free board", options.wait());
    let claim = Claim {
        entries: &[entry],
        take: Take::One,
        images: Images::Own,
    };
    let claimed = claim.hold(rig, &now, |held| super::run::tell_waiting(held, options.wait()));
    let bench = match claimed {
        Ok(claimed) => SerialBench::new(claimed),
        Err(error) => return Ok(vec![finding("claim", Health::Bad, error.to_string(), Some(WAIT))]),
    };
    let runner = Runner {
        bench: &bench,
        image: &image,
        limits: Limits::default(),
        out: &options.out,
        keep: false,
        observer: &|_| {},
    };
    let mut answers = Vec::new();
    match runner.flash() {
        Ok(report) => answers.push(finding(
            "loader",
            Health::Good,
            format!(
                "the chip answers and has its image: {} parts written, {} already there, {:.1} s",
                report.written,
                report.skipped,
                report.took.as_secs_f64()
            ),
            None,
        )),
        Err(error) => {
            answers.push(finding("loader", Health::Bad, error.to_string(), Some(LOADER)));
            return Ok(answers);
        }
    }
    let outcome = runner.run(honest);
    let Verdict::Failed(failure) = &outcome.verdict else {
        let found = "it boots, joins its network, and fetches from a server here".to_owned();
        answers.push(finding("server", Health::Good, found, None));
        return Ok(answers);
    };
    let last = outcome.transcript.runs.last().and_then(|lanes| lanes.last_answer());
    let joined = !last.is_some_and(|answer| answer.contains("outcome=network-failed"));
    let (check, advice) = match failure.blame {
        Blame::Network if joined => ("server", SERVER),
        Blame::Network => ("wifi", WIFI),
        Blame::Crash | Blame::Hang | Blame::Rig | Blame::Flash => ("boot", BOOT),
        Blame::Assertion => ("firmware", FIRMWARE),
    };
    answers.push(finding(check, Health::Bad, failure.findings.join("; "), Some(advice)));
    Ok(answers)
}

const WAIT: &str = "wait until it is free, or say how long with --wait";
const LOADER: &str =
    "hold BOOT, press and let go RESET, and try again: if that helps, `reset` in rig.toml names the wrong way";
const WIFI: &str = "look at the network's name and password, that it is on 2.4 GHz, and that the board has its antenna";
const SERVER: &str = "let this machine's firewall admit the board's network, or set server-address to the address that the board can reach";
const BOOT: &str = "look at its power supply, and at what it says: `pinrig monitor --reset`";
const FIRMWARE: &str = "the rig is well; `pinrig run pin/matches` shows what the firmware does";

fn mark(finding: &Finding) -> (&'static str, Style) {
    match finding.health {
        Health::Good => ("good", AnsiColor::Green.on_default()),
        Health::Doubtful => ("doubt", AnsiColor::Yellow.on_default()),
        Health::Bad => ("bad", AnsiColor::Red.on_default()),
    }
}
