//! Programs that others wrote against the servers of the scenarios, honest and rogue: is a server what its scenario
//! says, and is the device's refusal what a correct client does?
//!
//! Each test is one client at one scenario's server: `cargo test --test independent_clients auth/ticket`, or `...
//! bearssl`. A client must do what the scenario's device must do, unless a line of `independent/differences.rs` says
//! what it does instead, and why. Where a client is not installed, this program says so. With
//! `PINRIG_REQUIRE_CLIENTS` set, it fails.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod independent;
#[path = "support/selection.rs"]
mod selection;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use independent::cell::{Does, Offer};
use independent::client::{Client, Installed};
use independent::differences::{DIFFERENCES, Differs};
use libtest_mimic::{Arguments, Failed, Trial};
use pinrig::scenario::{self, Scenario};

/// The folders whose scenarios are about servers.
const FOLDERS: [&str; 4] = ["auth", "name", "validity", "server"];

/// The name of this test target.
const TARGET: &str = "independent_clients";

/// The exit code of a test program of which a test has failed.
const FAILED: u8 = 101;

/// How many clients connect at once. Each takes a processor for some milliseconds, and some wait for seconds.
const AT_ONCE: usize = 4;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let scenarios: Vec<Arc<Scenario>> = scenario::load_all(&support::fixtures())
        .unwrap_or_else(|error| panic!("{error}"))
        .into_iter()
        .filter(|scenario| FOLDERS.iter().any(|folder| scenario::is_meant(folder, &scenario.name)))
        // A variant of another scenario differs in what the device is told, which no other client is.
        .filter(|scenario| !scenario.name.contains('@'))
        .map(Arc::new)
        .collect();
    let pairs = pairs(&scenarios);
    let installed = Arc::new(Installed::find());
    let meetings = pairs
        .iter()
        .filter(|(client, _)| installed.has(*client))
        .map(|(client, scenario)| {
            let (client, scenario, installed) = (*client, Arc::clone(scenario), Arc::clone(&installed));
            Trial::test(format!("{} {client}", scenario.name), move || {
                check(client, &scenario, &installed)
            })
        });
    let mut trials: Vec<Trial> = meetings.collect();
    trials.push(Trial::test("each line of the table is used", {
        let pairs = pairs.clone();
        move || each_line_is_used(&pairs)
    }));
    trials.push(Trial::test("each scenario meets two clients or more", move || {
        each_scenario_meets_two(&scenarios, &pairs)
    }));
    let is_run = |trial: &Trial| !arguments.is_filtered_out(trial) && !arguments.is_ignored(trial);
    let parent = selection::parent();
    // Where other test programs run, the filter is one of theirs.
    if !arguments.list && !trials.iter().any(is_run) && !selection::other_targets_are_asked_for(&parent, TARGET) {
        let _ = writeln!(std::io::stderr(), "error: no test has this name; `--list` shows all");
        return ExitCode::from(FAILED);
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Each client with each scenario in which it can take part. Prints how many are left out, and why.
fn pairs(scenarios: &[Arc<Scenario>]) -> Vec<(Client, Arc<Scenario>)> {
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    let mut pairs = Vec::new();
    for scenario in scenarios {
        match Offer::of(scenario) {
            Err(why) => *left_out.entry(format!("every client: {why}")).or_default() += 1,
            Ok(offer) => {
                for client in Client::ALL {
                    match offer.beyond(client) {
                        Some(why) => *left_out.entry(format!("{client}: {why}")).or_default() += 1,
                        None => pairs.push((client, Arc::clone(scenario))),
                    }
                }
            }
        }
    }
    for (why, count) in left_out {
        let _ = writeln!(std::io::stderr(), "left out: {why} ({count} times)");
    }
    pairs
}

fn check(client: Client, scenario: &Scenario, installed: &Installed) -> Result<(), Failed> {
    let offer = Offer::of(scenario)?;
    let line = line_of(client, &scenario.name);
    let expected = line.map_or(offer.device_does, |line| line.does);
    let (does, report) = offer.meet(client, expected, installed)?;
    // A client that notices earlier than it must is stricter, not wrong.
    if does == expected || (expected, does) == (Does::BreaksOff, Does::Refuses) {
        return Ok(());
    }
    let advice = match line {
        Some(line) if does == offer.device_does => {
            format!("the line `{}` of differences.rs is not needed", line.why)
        }
        _ => "either the server is not what the scenario says, or differences.rs needs a line with a reason".to_owned(),
    };
    Err(format!(
        "{client} {does}, and should: {expected}; {advice}\n{}\n{report}",
        scenario.about
    )
    .into())
}

/// A line that names a scenario that is gone, or a client that takes no part in it, would stay for ever.
fn each_line_is_used(pairs: &[(Client, Arc<Scenario>)]) -> Result<(), Failed> {
    let mut seen = BTreeSet::new();
    for line in DIFFERENCES {
        let named = line
            .scenarios
            .iter()
            .flat_map(|name| line.clients.iter().map(move |client| (*name, *client)));
        for (name, client) in named {
            let Some((_, scenario)) = pairs
                .iter()
                .find(|(other, scenario)| *other == client && scenario.name == name)
            else {
                return Err(format!("{name} does not meet {client}, but differences.rs has a line for them").into());
            };
            if Offer::of(scenario)?.device_does == line.does {
                return Err(
                    format!("the line for {name} and {client} in differences.rs says what the device does").into(),
                );
            }
            if !seen.insert((name, client.to_string())) {
                return Err(format!("differences.rs has two lines for {name} and {client}").into());
            }
        }
    }
    Ok(())
}

/// Otherwise a mistake in who can take part would look like a success.
fn each_scenario_meets_two(scenarios: &[Arc<Scenario>], pairs: &[(Client, Arc<Scenario>)]) -> Result<(), Failed> {
    for scenario in scenarios.iter().filter(|scenario| Offer::of(scenario).is_ok()) {
        let clients = pairs.iter().filter(|(_, meets)| meets.name == scenario.name).count();
        if clients < 2 {
            return Err(format!("{} meets {clients} clients", scenario.name).into());
        }
    }
    for folder in FOLDERS {
        if !pairs
            .iter()
            .any(|(_, scenario)| scenario::is_meant(folder, &scenario.name))
        {
            return Err(format!("no client meets a scenario of {folder}").into());
        }
    }
    Ok(())
}

/// The line of the table for this client and scenario.
fn line_of(client: Client, scenario: &str) -> Option<&'static Differs> {
    DIFFERENCES
        .iter()
        .find(|line| line.clients.contains(&client) && line.scenarios.contains(&scenario))
}
