//! Scenario files: found, read, and chosen by name.
//!
//! What enters: the folder `fixtures`, and the names that a caller asks for. What leaves: [`Scenario`]s in the order of
//! their names, or a [`ScenarioError`].

use std::fs;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use super::model::Scenario;
use super::problem::Problem;
use super::text;
use crate::file_error::FileError;

/// A scenario that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The folder or a file in it cannot be read, or a file's text is wrong at one position.
    #[error(transparent)]
    File(#[from] FileError),
    /// A scenario's name is its file's path, and this one cannot be a name everywhere.
    #[error(
        "{path}: a scenario's file and folders are named with letters, digits, `-`, `_` and `.`, and without `__`; \
         rename it",
        path = .0.display()
    )]
    Name(PathBuf),
    /// No scenario has that name.
    #[error(
        "no scenario matches `{pattern}`; `pinrig list` shows all {count}{}",
        .nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
    )]
    Unknown {
        /// The name or folder that the caller asked for.
        pattern: String,
        /// How many scenarios there are.
        count: usize,
        /// The most similar name, if one is close.
        nearest: Option<String>,
    },
    /// The folder holds no scenario at all.
    #[error("{path}: there is no scenario (*.toml) in this folder", path = .0.display())]
    Empty(PathBuf),
}

/// Reads every scenario below `scenarios` in the folder `fixtures` with its variants, sorted by name.
///
/// # Errors
/// The first folder or file that cannot be read or is not a valid scenario.
pub fn load_all(fixtures: &Path) -> Result<Vec<Scenario>, ScenarioError> {
    let folder = fixtures.join("scenarios");
    let mut files = Vec::new();
    collect(&folder, &mut files)?;
    if files.is_empty() {
        return Err(ScenarioError::Empty(folder));
    }
    let mut scenarios = Vec::new();
    for file in &files {
        scenarios.extend(load_with(text::parse_all, &folder, file)?);
    }
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(scenarios)
}

/// Reads one scenario as its file has it; its name is the path below `folder`.
///
/// # Errors
/// The file cannot be read, has a name that a scenario cannot have, or is not a valid scenario.
pub fn load(folder: &Path, file: &Path) -> Result<Scenario, ScenarioError> {
    load_with(text::parse, folder, file)
}

fn load_with<T>(
    parse: impl FnOnce(&str, &str) -> Result<T, Problem>,
    folder: &Path,
    file: &Path,
) -> Result<T, ScenarioError> {
    let name = name(folder, file).ok_or_else(|| ScenarioError::Name(file.to_owned()))?;
    let text = fs::read_to_string(file).map_err(FileError::read(file))?;
    parse(&name, &text).map_err(|problem| FileError::invalid(file, &text, problem.span.start, problem.message).into())
}

/// The name of the scenario in `file`. It is also the name of its snapshot, in which `__` stands for `/`, and of the
/// folder with the evidence of its failure.
fn name(folder: &Path, file: &Path) -> Option<String> {
    let path = file.strip_prefix(folder).unwrap_or(Path::new(file.file_name()?));
    let path = path.with_extension("");
    let name = path.to_str()?.replace(MAIN_SEPARATOR, "/");
    let is_part = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && part.chars().all(known) && part.chars().any(|c| c.is_ascii_alphanumeric())
    };
    let valid = name.split('/').all(is_part) && !name.contains("__");
    valid.then_some(name)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), FileError> {
    for entry in fs::read_dir(folder).map_err(FileError::read(folder))? {
        let path = entry.map_err(FileError::read(folder))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(path);
        }
    }
    Ok(())
}

/// The scenarios that `patterns` name: each a name, with which its variants are meant, or a folder (`pin` or `pin/`). Without patterns, all of them.
///
/// # Errors
/// [`ScenarioError::Unknown`] for a pattern that names nothing.
pub fn select(all: &[Scenario], patterns: &[String]) -> Result<Vec<Scenario>, ScenarioError> {
    if patterns.is_empty() {
        return Ok(all.to_vec());
    }
    for pattern in patterns {
        if !all.iter().any(|scenario| is_meant(pattern, &scenario.name)) {
            return Err(ScenarioError::Unknown {
                pattern: pattern.clone(),
                count: all.len(),
                nearest: nearest(pattern, all),
            });
        }
    }
    Ok(all
        .iter()
        .filter(|scenario| patterns.iter().any(|pattern| is_meant(pattern, &scenario.name)))
        .cloned()
        .collect())
}

/// Reports whether `pattern`, a scenario's name or a folder's, names the scenario `name`. A scenario's variants are meant with it.
#[must_use]
pub fn is_meant(pattern: &str, name: &str) -> bool {
    name == pattern
        || name
            .strip_prefix(pattern.trim_end_matches('/'))
            .is_some_and(|rest| rest.starts_with('/') || rest.starts_with('@'))
}

/// The name of a scenario or a folder that shares most of its letter pairs with `pattern`, when at least half are shared.
fn nearest(pattern: &str, all: &[Scenario]) -> Option<String> {
    let folders =
        |name: &str| -> Vec<String> { name.match_indices('/').map(|(end, _)| name[..end].to_owned()).collect() };
    let names = all
        .iter()
        .flat_map(|scenario| [vec![scenario.name.clone()], folders(&scenario.name)].concat());
    near(pattern, names)
}

/// That of `names` that shares most of its letter pairs with `wanted`, when at least half are shared.
#[must_use]
pub fn near(wanted: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    let pairs = |text: &str| -> Vec<(char, char)> { text.chars().zip(text.chars().skip(1)).collect() };
    let wanted = pairs(wanted);
    names
        .into_iter()
        .map(|name| {
            let found = pairs(&name);
            let shared = wanted.iter().filter(|pair| found.contains(pair)).count();
            (2 * shared * 100 / (wanted.len() + found.len()).max(1), name)
        })
        .filter(|(similarity, _)| *similarity >= 50)
        .max_by_key(|(similarity, _)| *similarity)
        .map(|(_, name)| name)
}
