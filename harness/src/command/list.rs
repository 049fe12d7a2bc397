//! `pinrig list`: the scenarios there are, and how they are written.

use std::io::Write;

use clap::Args;
use pinrig::scenario;
use serde_json::json;

use super::run::Names;
use super::{CommandResult, Common, terminal};

#[derive(Args, Debug)]
pub(super) struct List {
    #[command(flatten)]
    names: Names,
    /// Print the page that stands in the scenarios' folder
    #[arg(long, conflicts_with = "names")]
    markdown: bool,
    /// Print the JSON schema of scenario files, for editors, and nothing else
    #[arg(long, conflicts_with = "markdown")]
    schema: bool,
}

pub(super) fn list(common: &Common, options: &List) -> CommandResult {
    let mut out = anstream::stdout().lock();
    if options.schema {
        writeln!(out, "{:#}", scenario::schema())?;
        return Ok(0);
    }
    let scenarios = scenario::select(&super::scenarios(&common.fixtures()?)?, &options.names.names)?;
    if options.markdown {
        write!(out, "{}", scenario::index(&scenarios))?;
    } else if common.json {
        for scenario in &scenarios {
            let limits = scenario.runs.iter().filter_map(|run| run.limit.as_ref());
            let limits: Vec<&str> = limits.map(|limit| limit.why.as_str()).collect();
            let line = json!({ "scenario": scenario.name, "about": scenario.about, "limits": limits });
            writeln!(out, "{line}")?;
        }
    } else {
        write!(out, "{}", terminal::list(&scenarios))?;
    }
    Ok(0)
}
