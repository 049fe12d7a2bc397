//! A mutant: the firmware with one mistake that a programmer could have made.
//!
//! What enters: a TOML file that names a source file, a text in it, and what to write there instead. What leaves: the
//! changed source. This module knows no compiler, and of scenarios only the names of those that must notice.
//!
//! ```toml
//! about = "The pin is compared, and the result is dropped."
//! file = "app/src/guard.rs"                       # below firmware/
//! find = "let pin_matches = pin.matches(der);"    # must be there exactly once
//! replace = "let pin_matches = pin.matches(der) || true;"
//! scenarios = ["pin"]                             # each of these must fail; of a folder, one scenario
//! ```
//!
//! With `seen-by = "snapshot"`, it is the transcript that must differ from the accepted one.

use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use crate::error::Error;

/// The folders below `firmware` whose sources a mutant may change.
const SOURCES: [&str; 2] = ["app/src", "esp32c3/src"];

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// The name of its file, without the ending.
    pub name: String,
    /// What the programmer did wrong, in one sentence.
    pub about: String,
    /// The scenarios that must fail, and folders of which at least one scenario must.
    pub scenarios: Vec<String>,
    /// Its file.
    pub path: PathBuf,
    /// The source that it changes, below the repository.
    pub source: PathBuf,
    /// What notices it.
    pub seen_by: Witness,
    find: String,
    replace: String,
    /// Where in its file `find` stands.
    position: Position,
}

/// What notices a mutant in its scenarios.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// The verdict: what the device and the server must show.
    #[default]
    Verdict,
    /// Only the transcript, which differs from the accepted snapshot: words for people, which no verdict reads.
    Snapshot,
}

/// A place in a file, counted from 1; the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    line: usize,
    column: usize,
}

impl Position {
    fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let last = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: last.chars().count() + 1,
        }
    }
}

/// A mistake that a programmer could have made in the firmware, and the scenarios that must notice it.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(title = "Mutant"))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    /// What the programmer did wrong, in one sentence.
    #[cfg_attr(feature = "schema", schemars(with = "String", regex(pattern = r"^\P{Cc}+$")))]
    about: Spanned<String>,
    /// The source file, below `firmware`: in `app/src` or `esp32c3/src`.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", regex(pattern = r"^(app|esp32c3)/src/.+\.rs$"))
    )]
    file: Spanned<String>,
    /// The text to change. It must be in the file exactly once.
    #[cfg_attr(feature = "schema", schemars(with = "String", length(min = 1)))]
    find: Spanned<String>,
    /// What to write instead.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    replace: Spanned<String>,
    /// The scenarios that must fail, and folders of which at least one scenario must.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>", length(min = 1)))]
    scenarios: Spanned<Vec<Spanned<String>>>,
    /// What notices it there.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(default))]
    seen_by: Witness,
}

/// The JSON schema of mutant files, for editors.
#[cfg(feature = "schema")]
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Raw)
}

/// What is wrong with a file, and at which of its bytes.
struct Mistake {
    span: Range<usize>,
    message: &'static str,
}

impl Raw {
    /// The first mistake in the values, if there is one.
    fn mistake(&self) -> Option<Mistake> {
        let at = |span, message| Some(Mistake { span, message });
        let about = self.about.get_ref();
        if about.trim().is_empty() {
            return at(self.about.span(), "say in one sentence what the programmer did wrong");
        }
        if about.contains(char::is_control) {
            return at(
                self.about.span(),
                "this text must be one line without control characters",
            );
        }
        if !is_source(Path::new(self.file.get_ref())) {
            return at(self.file.span(), "name a Rust file below app/src or esp32c3/src");
        }
        if self.find.get_ref().is_empty() {
            return at(
                self.find.span(),
                "there is no text to find; give one that is in the file exactly once",
            );
        }
        if self.find.get_ref() == self.replace.get_ref() {
            return at(self.replace.span(), "`replace` must differ from `find`");
        }
        let scenarios = self.scenarios.get_ref();
        if scenarios.is_empty() {
            return at(self.scenarios.span(), "name the scenarios that must notice");
        }
        let unnamed = scenarios.iter().find(|name| !is_scenario(name.get_ref()));
        unnamed.and_then(|name| {
            at(
                name.span(),
                "this is not the name of a scenario or of a folder of scenarios",
            )
        })
    }
}

/// Whether a path leads to a source that a mutant may change, without a way out of its folder.
fn is_source(file: &Path) -> bool {
    let plain = file.components().all(|part| matches!(part, Component::Normal(_)));
    let below = SOURCES.iter().any(|folder| file.starts_with(folder));
    plain && below && file.extension().is_some_and(|ending| ending == "rs")
}

/// Whether a scenario, a variant of one or a folder can be called so: parts as in [`is_name`], and perhaps a slash at the end.
fn is_scenario(name: &str) -> bool {
    name.strip_suffix('/').unwrap_or(name).split(['/', '@']).all(is_name)
}

/// Whether a file can be called so everywhere.
fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.chars().all(known) && name.contains(|c: char| c.is_ascii_alphanumeric())
}

impl Mutant {
    /// Reads every mutant in `folder`, by name.
    ///
    /// # Errors
    /// A file cannot be read, or is wrong: then with line and column.
    pub fn load_all(folder: &Path) -> Result<Vec<Self>, Error> {
        let mut mutants = Vec::new();
        for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
            let path = entry.map_err(Error::file(folder))?.path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                mutants.push(Self::load(&path)?);
            }
        }
        mutants.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(mutants)
    }

    /// Reads one mutant.
    ///
    /// # Errors
    /// As [`Mutant::load_all`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(Error::file(path))?;
        let wrong = |offset: usize, message: &str| {
            let Position { line, column } = Position::of(&text, offset);
            Error::Mutant {
                path: path.to_owned(),
                line,
                column,
                message: message.to_owned(),
            }
        };
        let raw: Raw = toml::from_str(&text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let date = text
                .get(span.clone())
                .is_some_and(|value| value.parse::<Datetime>().is_ok());
            let message = if date {
                "this is a date of TOML; write text in quotes"
            } else {
                error.message()
            };
            wrong(span.start, message)
        })?;
        if let Some(Mistake { span, message }) = raw.mistake() {
            return Err(wrong(span.start, message));
        }
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .filter(|name| is_name(name));
        let Some(name) = name else {
            let message = "a mutant's file is named with letters, digits, `-`, `_` and `.`; rename it";
            return Err(wrong(0, message));
        };
        Ok(Self {
            name: name.to_owned(),
            position: Position::of(&text, raw.find.span().start),
            about: raw.about.into_inner(),
            scenarios: raw
                .scenarios
                .into_inner()
                .into_iter()
                .map(Spanned::into_inner)
                .collect(),
            path: path.to_owned(),
            seen_by: raw.seen_by,
            source: Path::new("firmware").join(raw.file.into_inner()),
            find: raw.find.into_inner(),
            replace: raw.replace.into_inner(),
        })
    }

    /// Whether it changes the client, which is also built for this machine, and not what only the chip has.
    #[must_use]
    pub fn is_in_client(&self) -> bool {
        self.source.starts_with("firmware/app")
    }

    /// The mutant's source with its mistake, from the sources below `root`.
    ///
    /// # Errors
    /// The source cannot be read, or has the text that is to be replaced not exactly once: the sources have changed.
    pub fn apply(&self, root: &Path) -> Result<String, Error> {
        let source = root.join(&self.source);
        let text = fs::read_to_string(&source).map_err(Error::file(&source))?;
        match text.match_indices(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            count => Err(Error::Mutant {
                path: self.path.clone(),
                line: self.position.line,
                column: self.position.column,
                message: format!(
                    "`find` must be in {} exactly once, and is there {count} times; follow the source",
                    self.source.display()
                ),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "about = \"A mistake.\"\nfile = \"app/src/a.rs\"\nfind = \"1 < 2\"\nreplace = \"1 > 2\"\n\
                        scenarios = [\"pin\"]\n";

    fn load(text: &str) -> (tempfile::TempDir, Result<Mutant, Error>) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a-mistake.toml");
        fs::write(&path, text).unwrap();
        let mutant = Mutant::load(&path);
        (root, mutant)
    }

    #[test]
    fn it_changes_one_place() {
        let (root, mutant) = load(GOOD);
        let mutant = mutant.unwrap();
        assert_eq!(mutant.name, "a-mistake");
        let source = root.path().join("firmware/app/src");
        fs::create_dir_all(&source).unwrap();
        fs::write(source.join("a.rs"), "if 1 < 2 {}").unwrap();
        assert_eq!(mutant.apply(root.path()).unwrap(), "if 1 > 2 {}");
        for (text, count) in [("if 1 <= 2 {}", "0 times"), ("1 < 2 && 1 < 2", "2 times")] {
            fs::write(source.join("a.rs"), text).unwrap();
            let error = mutant.apply(root.path()).unwrap_err().to_string();
            assert!(
                error.contains("a-mistake.toml:3:8: ") && error.contains(count),
                "{error}"
            );
        }
    }

    #[test]
    fn a_mistake_in_its_file_is_shown_at_its_place() {
        for (from, to, place) in [
            ("A mistake.", " ", ":1:9: say"),
            ("A mistake.", "A\\nmistake.", ":1:9: this text must be one line"),
            ("\"A mistake.\"", "2026-11-05", ":1:9: this is a date of TOML"),
            (
                "\"A mistake.\"",
                "5",
                ":1:9: invalid type: integer `5`, expected a string",
            ),
            ("app/src/a.rs", "../harness/src/lib.rs", ":2:8: name a Rust file below"),
            ("app/src/a.rs", "app/src/../../x.rs", ":2:8: name a Rust file below"),
            ("app/src/a.rs", "/app/src/a.rs", ":2:8: name a Rust file below"),
            ("app/src/a.rs", "app/src", ":2:8: name a Rust file below"),
            ("app/src/a.rs", "app/src/a.toml", ":2:8: name a Rust file below"),
            ("app/src/a.rs", "app/src/.rs", ":2:8: name a Rust file below"),
            ("1 < 2", "", ":3:8: there is no text to find"),
            ("1 > 2", "1 < 2", ":4:11: `replace` must differ"),
            ("[\"pin\"]", "[]", ":5:13: name the scenarios"),
            (
                "[\"pin\"]",
                "[\"pin/\", \"\"]",
                ":5:22: this is not the name of a scenario",
            ),
            ("[\"pin\"]", "[\"/\"]", ":5:14: this is not the name of a scenario"),
            ("[\"pin\"]", "[\"a//b\"]", ":5:14: this is not the name of a scenario"),
            ("[\"pin\"]", "[\"a\\nb\"]", ":5:14: this is not the name of a scenario"),
            ("[\"pin\"]", "[5]", ":5:14: invalid type: integer `5`"),
            ("scenarios", "scenario", ":5:1: unknown field"),
            ("find = ", "find ", ":3:6: "),
            (
                "scenarios",
                "seen-by = \"luck\"\nscenarios",
                ":5:11: unknown variant `luck`",
            ),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            let error = load(&text).1.unwrap_err().to_string();
            assert!(error.contains(&format!("a-mistake.toml{place}")), "{to}: {error}");
        }
    }

    #[test]
    fn its_file_has_a_name_that_every_system_can_have() {
        let root = tempfile::tempdir().unwrap();
        for (name, valid) in [
            ("pin-9_a.b.toml", true),
            ("a b.toml", false),
            ("-.toml", false),
            ("ä.toml", false),
        ] {
            let path = root.path().join(name);
            fs::write(&path, GOOD).unwrap();
            assert_eq!(Mutant::load(&path).is_ok(), valid, "{name}");
        }
    }
}
