//! `pinrig list`.

use std::io::Write;

use clap::Args;
use pinrig::scenario;
use serde_json::json;

use super::{CommandResult, Place, terminal};

#[derive(Args, Debug)]
pub(super) struct List {
    /// As the page that stands in the scenarios' folder
    #[arg(long)]
    markdown: bool,
}

pub(super) fn list(place: &Place, options: &List) -> CommandResult {
    let scenarios = super::scenarios(&place.fixtures()?)?;
    let mut out = anstream::stdout().lock();
    if options.markdown {
        write!(out, "{}", scenario::index(&scenarios))?;
    } else if place.json {
        for scenario in &scenarios {
            writeln!(out, "{}", json!({ "scenario": scenario.name, "about": scenario.about }))?;
        }
    } else {
        write!(out, "{}", terminal::list(&scenarios))?;
    }
    Ok(0)
}
