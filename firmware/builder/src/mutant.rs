//! A mutant: the firmware with one mistake that a programmer could have made.
//!
//! What enters: a TOML file that names a source file, a text in it, and what to write there instead. What leaves: the
//! changed source. It knows no compiler, and of scenarios only the names of those that must notice.
//!
//! ```toml
//! about = "The pin is compared, and nobody looks at the result."
//! file = "app/src/guard.rs"                       # below firmware/
//! find = "let pin_matches = pin.matches(der);"    # must be there exactly once
//! replace = "let pin_matches = pin.matches(der) || true;"
//! scenarios = ["pin"]                             # each of these must fail; of a folder, one scenario
//! ```

use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::Error;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// The name of its file, without the ending.
    pub name: String,
    /// What a careless programmer did, in one sentence.
    pub about: String,
    /// The scenarios that must fail, and folders of which at least one scenario must.
    pub scenarios: Vec<String>,
    /// Its file.
    pub path: PathBuf,
    /// The source that it changes, below the repository.
    pub source: PathBuf,
    find: String,
    replace: String,
    /// Where in its file `find` stands.
    line: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    about: Spanned<String>,
    file: Spanned<String>,
    find: Spanned<String>,
    replace: Spanned<String>,
    scenarios: Spanned<Vec<String>>,
}

impl Mutant {
    /// Reads every mutant in `folder`, by name.
    ///
    /// # Errors
    /// A file cannot be read, or is wrong: then with its line.
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
        let wrong = |span: Range<usize>, message: &str| Error::Mutant {
            path: path.to_owned(),
            line: line(&text, span.start),
            message: message.to_owned(),
        };
        let raw: Raw =
            toml::from_str(&text).map_err(|error| wrong(error.span().unwrap_or_default(), error.message()))?;
        if raw.about.get_ref().trim().is_empty() {
            return Err(wrong(raw.about.span(), "say in one sentence what the programmer did"));
        }
        let file = Path::new(raw.file.get_ref());
        let plain = file.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || !["app/src", "esp32c3/src"].iter().any(|folder| file.starts_with(folder)) {
            return Err(wrong(raw.file.span(), "a file below app/src or esp32c3/src"));
        }
        if raw.find.get_ref().is_empty() || raw.find == raw.replace {
            return Err(wrong(
                raw.replace.span(),
                "`replace` must differ from `find`, which is not empty",
            ));
        }
        if raw.scenarios.get_ref().is_empty() {
            return Err(wrong(raw.scenarios.span(), "name the scenarios that must notice"));
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            name,
            line: line(&text, raw.find.span().start),
            about: raw.about.into_inner(),
            scenarios: raw.scenarios.into_inner(),
            path: path.to_owned(),
            source: Path::new("firmware").join(raw.file.into_inner()),
            find: raw.find.into_inner(),
            replace: raw.replace.into_inner(),
        })
    }

    /// The mutant's source with its mistake, from the sources below `root`.
    ///
    /// # Errors
    /// The source cannot be read, or has the text that is to be replaced not exactly once: the sources have moved on.
    pub fn apply(&self, root: &Path) -> Result<String, Error> {
        let source = root.join(&self.source);
        let text = fs::read_to_string(&source).map_err(Error::file(&source))?;
        match text.match_indices(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            count => Err(Error::Mutant {
                path: self.path.clone(),
                line: self.line,
                message: format!(
                    "`find` must be in {} exactly once, and is there {count} times: follow the source",
                    self.source.display()
                ),
            }),
        }
    }
}

fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
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
            assert!(error.contains("a-mistake.toml:3: ") && error.contains(count), "{error}");
        }
    }

    #[test]
    fn a_mistake_in_its_file_is_shown_with_its_line() {
        for (from, to, place) in [
            ("A mistake.", " ", ":1: say"),
            ("app/src/a.rs", "../harness/src/lib.rs", ":2: a file below"),
            ("app/src/a.rs", "app/src/../../x.rs", ":2: a file below"),
            ("1 > 2", "1 < 2", ":4: `replace` must differ"),
            ("[\"pin\"]", "[]", ":5: name the scenarios"),
            ("scenarios", "scenario", ":5: unknown field"),
            ("find = ", "find ", ":3: "),
        ] {
            let error = load(&GOOD.replace(from, to)).1.unwrap_err().to_string();
            assert!(error.contains(&format!("a-mistake.toml{place}")), "{error}");
        }
    }
}
