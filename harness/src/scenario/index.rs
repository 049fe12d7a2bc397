//! The catalogue for people who browse the repository: `fixtures/scenarios/README.md`.
//!
//! What enters: all scenarios. What leaves: a page in Markdown, folder by folder, with what each scenario shows and
//! expects. A test fails when the page in the tree is not this one.

use std::fmt::Write as _;

use super::model::{Run, Scenario};

/// The text above the tables, which says how a scenario is written.
const PREFACE: &str = include_str!("language.md");

/// The page; `scenarios` are sorted by name.
#[must_use]
pub fn index(scenarios: &[Scenario]) -> String {
    let mut page = PREFACE.to_owned();
    let (files, variants): (Vec<_>, Vec<_>) = scenarios.iter().partition(|scenario| scenario.variant.is_none());
    let _ = write!(
        page,
        "\n## The {} scenarios, and {} variants\n",
        files.len(),
        variants.len()
    );
    let mut folder = "";
    for scenario in files {
        let (its, name) = scenario.name.rsplit_once('/').unwrap_or(("", &scenario.name));
        if its != folder {
            folder = its;
            let _ = write!(
                page,
                "\n### {folder}\n\n| scenario | what it shows | expected | also as |\n|---|---|---|---|\n"
            );
        }
        let expected: Vec<String> = scenario.runs.iter().map(Run::expected).collect();
        let about = scenario.about.replace('|', "\\|");
        let expected = expected.join(", then ");
        let its = |variant: &&&Scenario| variant.name.split('@').next() == Some(&scenario.name);
        let also: Vec<String> = variants
            .iter()
            .filter(its)
            .filter_map(|scenario| Some(format!("`@{}`", scenario.variant?)))
            .collect();
        let _ = writeln!(
            page,
            "| [{name}]({}.toml) | {about} | {expected} | {} |",
            scenario.name,
            also.join(" ")
        );
    }
    page
}
