//! `pinrig doctor`: what keeps the boards of the rig from being used, and what to do about it.

use std::env;
use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use clap::Args;
use pinrig::bench::SerialBench;
use pinrig::board::{Claim, Take};
use pinrig::deadline::Deadline;
use pinrig::doctor::{Advice, Check, Diagnosis, Health, Observation, System};
use pinrig::evidence::DeviceAnswer;
use pinrig::rig::{Entry, Images, Kind, Rig};
use pinrig::run::{RunLimits, Runner};
use pinrig::run_result::DeviceOutcome;
use pinrig::verdict::{Blame, Verdict};
use serde_json::json;

use super::run::Options;
use super::{CommandResult, Common};

const TITLE: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// The scenario that a board passes if all is well.
const HONEST: &str = "pin/matches";

#[derive(Args, Debug)]
pub(super) struct Doctor {
    /// Flash each board and let it fetch from a server here: does its chip answer, does it boot, join its network,
    /// reach this machine?
    #[arg(long)]
    ask: bool,
    /// Print rules for udev that give you the boards' ports and probes, and keep ModemManager away from them
    #[arg(long, conflicts_with = "ask")]
    udev_rules: bool,
}

pub(super) fn doctor(common: &Common, options: &Options, doctor: &Doctor) -> CommandResult {
    let rig = Rig::find(&env::current_dir()?)?;
    if doctor.udev_rules {
        let rules = System::default().udev_rules(rig.inventory.as_ref());
        let rules =
            rules.ok_or("no USB port or probe of a board is plugged in, and rules go by what each says of itself")?;
        write!(anstream::stdout(), "{rules}")?;
        return Ok(0);
    }
    let mut diagnoses = System::default().examine(rig.inventory.as_ref());
    let boards = rig.inventory.iter().flat_map(|inventory| &inventory.boards);
    for entry in boards.filter(|entry| doctor.ask && matches!(entry.kind, Kind::Serial(_))) {
        let is_its = |diagnosis: &Diagnosis| diagnosis.board.as_deref() == Some(entry.name.as_str());
        if diagnoses
            .iter()
            .any(|diagnosis| is_its(diagnosis) && keeps_it_shut(diagnosis))
        {
            continue;
        }
        let answers = ask(entry, &rig, common, options)?;
        let after = diagnoses
            .iter()
            .rposition(is_its)
            .map_or(diagnoses.len(), |last| last + 1);
        diagnoses.splice(after..after, answers);
    }
    show(&diagnoses, common)?;
    let worst = diagnoses.iter().map(|diagnosis| diagnosis.observation.health).max();
    Ok(if worst == Some(Health::Bad) {
        Blame::Rig.exit_code()
    } else {
        0
    })
}

/// Whether a board need not be tried, because it cannot be opened or flashed.
fn keeps_it_shut(diagnosis: &Diagnosis) -> bool {
    diagnosis.observation.health == Health::Bad
        && matches!(diagnosis.check, Check::Port | Check::Permission | Check::Firmware)
}

fn show(diagnoses: &[Diagnosis], common: &Common) -> Result<(), Box<dyn Error>> {
    let mut out = anstream::stdout().lock();
    let mut shown = None;
    for Diagnosis {
        board,
        check,
        observation,
    } in diagnoses
    {
        let Observation { health, found, advice } = observation;
        let advice = advice.as_ref().map(in_words);
        if common.json {
            let line = json!({"board": board, "check": check, "health": health, "found": found, "advice": advice});
            writeln!(out, "{line}")?;
            continue;
        }
        if shown != board.as_deref() {
            shown = board.as_deref();
            writeln!(out, "{TITLE}{}{TITLE:#}", shown.unwrap_or_default())?;
        }
        let (mark, style) = mark(*health);
        writeln!(out, "  {style}{mark:<5}{style:#} {check:<14} {found}")?;
        if let Some(advice) = advice {
            writeln!(out, "        {DIM}{advice}{DIM:#}")?;
        }
    }
    Ok(())
}

fn in_words(advice: &Advice) -> String {
    match advice {
        Advice::Do(what) => what.clone(),
        Advice::UdevRules(why) => {
            format!("{why}: `pinrig doctor --udev-rules` prints them, and says where the file belongs")
        }
    }
}

/// Tries a board, one thing after the other: loader, boot, network, server.
fn ask(entry: &Entry, rig: &Rig, common: &Common, options: &Options) -> Result<Vec<Diagnosis>, Box<dyn Error>> {
    let diagnosis = |check, observation| Diagnosis::of_board(entry.name.as_str(), check, observation);
    let image = options.image(common)?;
    let scenarios = super::scenarios(&common.fixtures()?)?;
    let honest = scenarios.iter().find(|scenario| scenario.name == HONEST);
    let honest = honest.ok_or_else(|| format!("there is no scenario {HONEST}, with which boards are tried"))?;
    let claim = Claim {
        entries: &[entry],
        take: Take::One,
        images: Images::Own,
    };
    let deadline = Deadline::after("a free board", options.wait());
    let claimed = claim.hold(rig, &deadline, |held| super::run::tell_waiting(held, options.wait()));
    let bench = match claimed {
        Ok(claimed) => SerialBench::new(claimed),
        Err(error) => {
            let observation = Observation::bad(error.to_string(), WAIT);
            return Ok(vec![diagnosis(Check::Claim, observation)]);
        }
    };
    let runner = Runner {
        bench: &bench,
        image: &image,
        limits: RunLimits::default(),
        out: &options.out,
        keep: false,
        randomness: Arc::default(),
        observer: &|_| {},
    };
    let loader = match runner.flash() {
        Ok(report) => Observation::good(format!(
            "the chip answers and has its image: {} parts written, {} already there, {:.1} s",
            report.written,
            report.skipped,
            report.took.as_secs_f64()
        )),
        Err(error) => Observation::bad(error.to_string(), LOADER),
    };
    let answers = loader.health == Health::Good;
    let mut diagnoses = vec![diagnosis(Check::Loader, loader)];
    if !answers {
        return Ok(diagnoses);
    }
    let outcome = runner.run(honest);
    let (check, observation) = match &outcome.verdict {
        Verdict::Passed => {
            let found = "it boots, joins its network, and fetches from a server of this machine";
            (Check::Server, Observation::good(found))
        }
        Verdict::Failed(failure) => {
            let last = outcome.transcript.runs.last().and_then(|lanes| lanes.answer.as_ref());
            let joined = !matches!(
                last,
                Some(DeviceAnswer::Result(result)) if result.outcome == DeviceOutcome::NetworkFailed
            );
            let (check, advice) = match failure.blame {
                Blame::Network if joined => (Check::Server, SERVER),
                Blame::Network => (Check::Wifi, WIFI),
                Blame::Crash | Blame::Hang | Blame::Rig | Blame::Flash => (Check::Boot, BOOT),
                Blame::Assertion => (Check::Firmware, FIRMWARE),
            };
            (check, Observation::bad(failure.findings.join("; "), advice))
        }
    };
    diagnoses.push(diagnosis(check, observation));
    Ok(diagnoses)
}

const WAIT: &str = "wait until it is free, or say how long with --wait";
const LOADER: &str =
    "hold BOOT, press and release RESET, and try again; if that helps, `reset` in rig.toml names the wrong way";
const WIFI: &str =
    "check the network's name and password, that the network is on 2.4 GHz, and that the board has its antenna";
const SERVER: &str =
    "let this machine's firewall admit the board's network, or set server-address to an address that the board reaches";
const BOOT: &str = "check its power supply, and what it says: `pinrig monitor --reset`";
const FIRMWARE: &str = "the rig works; `pinrig run pin/matches` shows what the firmware does";

fn mark(health: Health) -> (&'static str, Style) {
    match health {
        Health::Good => ("good", AnsiColor::Green.on_default()),
        Health::Doubtful => ("doubt", AnsiColor::Yellow.on_default()),
        Health::Bad => ("bad", AnsiColor::Red.on_default()),
    }
}
