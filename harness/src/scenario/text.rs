//! The text of a scenario file: TOML, with every mistake at its place.
//!
//! What enters: the text. What leaves: a [`Scenario`], or a [`Problem`] with the bytes of the file that it is about.

use std::ops::Range;

use pinrig_certs::Recipe;
use serde::Deserialize;
use toml::Spanned;
use virtual_lan::Faults;

use super::device::RawDevice;
use super::network::RawNetwork;
use super::server::RawServer;
use super::{DeviceSettings, Expectation, Run, SOAK_WARM_UP, Scenario, Service};

/// What is wrong, and at which bytes of the file.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) span: Option<Range<usize>>,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn at<T>(value: &Spanned<T>, message: impl Into<String>) -> Self {
        Self {
            span: Some(value.span()),
            message: message.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawScenario {
    about: Spanned<String>,
    repeat: Option<Spanned<u32>>,
    #[serde(default)]
    server: RawServer,
    #[serde(default)]
    device: RawDevice,
    network: Option<Spanned<RawNetwork>>,
    expect: Expectation,
    #[serde(default)]
    then: Vec<Spanned<RawThen>>,
}

/// A further run of the same board. Server and network stay as they were unless they are described anew; each setting of the device stays as it was
/// unless it is given.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawThen {
    server: Option<RawServer>,
    device: Option<RawDevice>,
    network: Option<RawNetwork>,
    expect: Expectation,
}

/// Reads the text of the scenario `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<Scenario, Problem> {
    let raw: RawScenario = toml::from_str(text).map_err(|error| Problem {
        span: error.span(),
        message: error.message().to_owned(),
    })?;
    if raw.about.get_ref().trim().is_empty() {
        return Err(Problem::at(&raw.about, "say in one sentence what the scenario shows"));
    }
    if let Some(repeat) = raw.repeat.as_ref().filter(|repeat| *repeat.get_ref() <= SOAK_WARM_UP) {
        return Err(Problem::at(
            repeat,
            format!("the device's memory is watched after {SOAK_WARM_UP} runs: repeat more often, or leave this out"),
        ));
    }
    let mut last = Run {
        service: raw.server.check()?,
        device: raw.device.check(DeviceSettings::default())?,
        network: match raw.network {
            Some(network) => described(network)?,
            None => Faults::default(),
        },
        expect: raw.expect,
    };
    let mut runs = vec![last.clone()];
    for then in raw.then {
        let span = then.span();
        let then = then.into_inner();
        let listened = matches!(last.service, Service::Tls(_));
        if let Some(server) = then.server {
            last.service = server.check()?;
        }
        if listened && matches!(last.service, Service::Closed) {
            return Err(Problem {
                span: Some(span),
                message: "a server that has listened stays: only its first run can be without one".to_owned(),
            });
        }
        if let Some(device) = then.device {
            last.device = device.check(last.device)?;
        }
        if let Some(network) = then.network {
            last.network = network.check()?;
        }
        last.expect = then.expect;
        runs.push(last.clone());
    }
    Ok(Scenario {
        name: name.to_owned(),
        about: raw.about.into_inner(),
        runs,
        repeat: raw.repeat.map_or(1, Spanned::into_inner),
    })
}

/// The faults of a scenario's first run, of which there are some.
fn described(network: Spanned<RawNetwork>) -> Result<Faults, Problem> {
    let span = network.span();
    let faults = network.into_inner().check()?;
    if faults.are_none() {
        return Err(Problem {
            span: Some(span),
            message: "says nothing that is wrong with the network: leave it out".to_owned(),
        });
    }
    Ok(faults)
}

pub(super) fn recipe(name: &Spanned<String>) -> Result<Recipe, Problem> {
    name.get_ref()
        .parse()
        .map_err(|error: pinrig_certs::UnknownRecipe| Problem::at(name, error.to_string()))
}
