//! `pinrig doctor`: what keeps the boards of the rig from being used, and what to do about it.

use std::env;
use std::io::Write;

use anstyle::{AnsiColor, Style};
use pinrig::rig::{Finding, Health, Inventory, System};
use pinrig::verdict::Blame;

use super::{CommandResult, Place};

const TITLE: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

pub(super) fn doctor(place: &Place) -> CommandResult {
    let inventory = Inventory::find(&env::current_dir()?)?;
    let findings = System::default().examine(inventory.as_ref());
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

fn mark(finding: &Finding) -> (&'static str, Style) {
    match finding.health {
        Health::Good => ("good", AnsiColor::Green.on_default()),
        Health::Doubtful => ("doubt", AnsiColor::Yellow.on_default()),
        Health::Bad => ("bad", AnsiColor::Red.on_default()),
    }
}
