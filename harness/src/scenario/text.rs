//! The text of a scenario file: TOML, with every mistake at its place.
//!
//! What enters: the text. What leaves: a [`Scenario`], or a [`Problem`] with the bytes of the file that it is about.

use pinrig_server::Bounded;
use schemars::JsonSchema;
use serde::Deserialize;
use virtual_lan::Faults;

use super::device::{DeviceSettings, Open, RawDevice};
use super::expect::Expectation;
use super::limit::RawLimit;
use super::model::{Run, SOAK_WARM_UP, Scenario, Variant};
use super::network::RawNetwork;
use super::problem::{At, Line, Problem};
use super::server::{RawServer, Service};
use super::variant::variants;

/// How often a run can be repeated: a hundred thousand take a virtual board some hours.
type Repetitions = Bounded<1, 100_000>;

/// How many further runs a scenario has at most: each keeps its own reply in memory.
const MOST_FURTHER_RUNS: usize = 100;

/// A test of a board that speaks HTTPS: what stands at the server's address, what the device is told, and what both must
/// show.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "Scenario")]
pub(super) struct RawScenario {
    /// What the scenario shows, in one sentence.
    about: At<Line>,
    /// How often the last run is made in all, in a soak test.
    repeat: Option<At<Repetitions>>,
    /// What stands at the server's address.
    #[serde(default)]
    server: RawServer,
    /// What the device is told.
    #[serde(default)]
    device: RawDevice,
    /// What is wrong with the network.
    network: Option<At<RawNetwork>>,
    /// What device and server must show.
    expect: Expectation,
    /// What this firmware shows instead, where it cannot do what is right.
    limit: Option<RawLimit>,
    /// Further runs of the same board, without a restart.
    #[serde(default)]
    then: Vec<At<RawThen>>,
}

/// A further run of the same board. Server and network stay as they were unless they are described again. Each setting
/// of the device stays as it was unless it is given.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawThen {
    /// What stands at the server's address now.
    server: Option<At<RawServer>>,
    /// What the device is told.
    device: Option<RawDevice>,
    /// What is wrong with the network now.
    network: Option<RawNetwork>,
    /// What device and server must show.
    expect: Expectation,
    /// What this firmware shows instead, where it cannot do what is right.
    limit: Option<RawLimit>,
}

/// Reads the text of the scenario `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<Scenario, Problem> {
    check(name, read(text)?, None)
}

/// Reads the text of the scenario `name`, and of its variants, which follow it.
pub(super) fn parse_all(name: &str, text: &str) -> Result<Vec<Scenario>, Problem> {
    let raw = read(text)?;
    let further = raw.then.iter().filter_map(|then| then.get().device.as_ref());
    let open = further.map(RawDevice::open).fold(raw.device.open(), Open::and);
    let scenario = check(name, raw, None)?;
    let variants = variants(&scenario, open);
    let mut scenarios = vec![scenario];
    for variant in variants {
        scenarios.push(check(name, read(text)?, Some(variant))?);
    }
    Ok(scenarios)
}

fn read(text: &str) -> Result<RawScenario, Problem> {
    toml::from_str(text).map_err(|error| Problem::of_reader(text, &error))
}

/// Checks what was read, as the file has it or in a variant.
fn check(name: &str, mut raw: RawScenario, variant: Option<Variant>) -> Result<Scenario, Problem> {
    let mut defaults = DeviceSettings::default();
    if let Some(Variant { on_mismatch, digest }) = variant {
        defaults = DeviceSettings::varied(on_mismatch, digest);
        raw.device.vary(digest);
        let further = raw.then.iter_mut().filter_map(|then| then.get_mut().device.as_mut());
        further.for_each(|device| device.vary(digest));
    }
    if raw.about.get().as_str().trim().is_empty() {
        return Err(raw.about.problem("say in one sentence what the scenario shows"));
    }
    let repeat = raw.repeat.as_ref().map_or(1, |times| times.get().get());
    let repeat = u32::try_from(repeat).unwrap_or(u32::MAX);
    if let Some(times) = raw.repeat.as_ref().filter(|_| repeat <= SOAK_WARM_UP) {
        return Err(times.problem(format!(
            "the device's memory is watched after {SOAK_WARM_UP} runs; repeat more often, or leave this out"
        )));
    }
    if let Some(beyond) = raw.then.get(MOST_FURTHER_RUNS) {
        let message = format!("there are at most {MOST_FURTHER_RUNS} further runs; `repeat` makes the last one again");
        return Err(beyond.problem(message));
    }
    let mut last = Run {
        service: raw.server.check()?,
        device: raw.device.check(defaults, raw.expect.rejected())?,
        network: match raw.network {
            Some(network) => described(network)?,
            None => Faults::default(),
        },
        limit: raw.limit.map(|limit| limit.check(&raw.expect)).transpose()?,
        expect: raw.expect,
    };
    let mut runs = vec![last.clone()];
    for then in raw.then {
        let then = then.into_inner();
        let listened = matches!(last.service, Service::Tls(_));
        if let Some(server) = then.server {
            last.service = server.get().check()?;
            if listened && matches!(last.service, Service::Closed) {
                let message = "a server that has listened stays; only the first run can be without one";
                return Err(server.problem(message));
            }
        }
        if let Some(device) = then.device {
            last.device = device.check(last.device, then.expect.rejected())?;
        }
        if let Some(network) = then.network {
            last.network = network.check()?;
        }
        last.limit = then.limit.map(|limit| limit.check(&then.expect)).transpose()?;
        last.expect = then.expect;
        runs.push(last.clone());
    }
    let about = raw.about.into_inner().into_string();
    let (name, about) = match variant {
        None => (name.to_owned(), about),
        Some(variant) => (format!("{name}@{variant}"), format!("{about} Checked with {variant}.")),
    };
    Ok(Scenario {
        name,
        variant,
        about,
        runs,
        repeat,
    })
}

/// The faults of a scenario's first run, of which there are some.
fn described(network: At<RawNetwork>) -> Result<Faults, Problem> {
    let span = network.span();
    let faults = network.into_inner().check()?;
    if faults.are_none() {
        let message = "this table says nothing that is wrong with the network; leave it out";
        return Err(Problem::new(span, message));
    }
    Ok(faults)
}
