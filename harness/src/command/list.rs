//! `pinrig list`.

use std::io::Write;

use pinrig::report::terminal;
use serde_json::json;

use super::{CommandResult, Place};

pub(super) fn list(place: &Place) -> CommandResult {
    let scenarios = super::scenarios(&place.fixtures()?)?;
    let mut out = anstream::stdout().lock();
    if place.json {
        for scenario in &scenarios {
            writeln!(out, "{}", json!({ "scenario": scenario.name, "about": scenario.about }))?;
        }
    } else {
        write!(out, "{}", terminal::list(&scenarios))?;
    }
    Ok(0)
}
