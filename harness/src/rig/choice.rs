//! Which boards of the inventory a user asks for.
//!
//! What enters: a name, or tags. What leaves: boards, or an error that lists the candidates. An ambiguous choice is
//! refused where one board is needed.

use super::entry::Entry;
use super::inventory::Inventory;
use super::values::BoardName;

/// What a user asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Choice {
    /// The board's name; `virtual` is the board that needs no hardware.
    pub board: Option<String>,
    /// Tags that a board must all have.
    pub tags: Vec<String>,
    /// Which image the boards get.
    pub images: Images,
}

/// Which image the boards of a run get.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Images {
    /// Each board gets the image of its own entry; the run's image if its entry has none.
    #[default]
    Own,
    /// All boards get the run's image, whatever their entries say.
    Common,
}

/// The name of the board that needs no hardware.
pub const VIRTUAL: &str = "virtual";

/// Why a choice leads to no board.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChoiceError {
    /// A board or a tag was asked for, and there is no inventory.
    #[error("there is no rig.toml here or above that could name `{0}`; write one, or ask for the virtual board")]
    NoInventory(String),
    /// No board fits.
    #[error("no board of the rig is {wanted}; there are {}", joined(.boards))]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// The boards that there are.
        boards: Vec<BoardName>,
    },
    /// Several boards fit, and one is needed.
    #[error("several boards fit: {}; name one", joined(.0))]
    Ambiguous(Vec<BoardName>),
}

impl Choice {
    /// Whether this is the virtual board: it is named, or nothing is.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        match &self.board {
            Some(name) => name == VIRTUAL,
            None => self.tags.is_empty(),
        }
    }

    /// Every board that fits, in the order of the inventory: a pool that can share the work.
    ///
    /// # Errors
    /// When none fits.
    pub fn all<'a>(&self, inventory: Option<&'a Inventory>) -> Result<Vec<&'a Entry>, ChoiceError> {
        let inventory = inventory.ok_or_else(|| ChoiceError::NoInventory(self.words()))?;
        let fits = |entry: &&Entry| {
            self.board.as_ref().is_none_or(|name| entry.name.as_str() == name)
                && self.tags.iter().all(|tag| entry.tags.contains(tag.as_str()))
        };
        let found: Vec<&Entry> = inventory.boards.iter().filter(fits).collect();
        if found.is_empty() {
            return Err(ChoiceError::Unknown {
                wanted: self.words(),
                boards: names(inventory.boards.iter()),
            });
        }
        Ok(found)
    }

    /// The one board that fits.
    ///
    /// # Errors
    /// When none fits, or several do.
    pub fn one<'a>(&self, inventory: Option<&'a Inventory>) -> Result<&'a Entry, ChoiceError> {
        match self.all(inventory)?[..] {
            [one] => Ok(one),
            ref several => Err(ChoiceError::Ambiguous(names(several.iter().copied()))),
        }
    }

    fn words(&self) -> String {
        let tags = self.tags.iter().map(|tag| format!("tagged {tag}"));
        let words: Vec<String> = self.board.iter().cloned().chain(tags).collect();
        words.join(" and ")
    }
}

fn names<'a>(boards: impl Iterator<Item = &'a Entry>) -> Vec<BoardName> {
    boards.map(|board| board.name.clone()).collect()
}

fn joined(names: &[BoardName]) -> String {
    let names: Vec<&str> = names.iter().map(BoardName::as_str).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn rig() -> Inventory {
        let text = r#"
            [[board]]
            name = "desk"
            chip = "esp32c3"
            port.path = "/dev/ttyUSB0"
            tags = ["c3", "wifi"]
            [[board]]
            name = "shelf"
            chip = "esp32c3"
            port.path = "/dev/ttyUSB1"
            tags = ["c3"]
        "#;
        Inventory::parse(Path::new("rig.toml"), text).unwrap()
    }

    fn choice(board: Option<&str>, tags: &[&str]) -> Choice {
        Choice {
            board: board.map(str::to_owned),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            ..Choice::default()
        }
    }

    #[test]
    fn names_and_tags_choose_and_ambiguity_is_refused() {
        let rig = rig();
        let all = |choice: Choice| choice.all(Some(&rig)).map(|found| joined(&names(found.into_iter())));
        assert_eq!(all(choice(None, &["c3"])).unwrap(), "desk, shelf");
        assert_eq!(all(choice(None, &["c3", "wifi"])).unwrap(), "desk");
        let one = choice(Some("shelf"), &[]).one(Some(&rig)).unwrap();
        assert_eq!(one.name.as_str(), "shelf");
        let unknown = choice(Some("shelf"), &["wifi"])
            .one(Some(&rig))
            .unwrap_err()
            .to_string();
        assert!(
            unknown.contains("shelf and tagged wifi") && unknown.contains("desk, shelf"),
            "{unknown}"
        );
        let ambiguous = choice(None, &["c3"]).one(Some(&rig)).unwrap_err();
        let both = ["desk", "shelf"].map(|name| name.parse().unwrap());
        assert_eq!(ambiguous, ChoiceError::Ambiguous(both.to_vec()));
        assert!(matches!(
            choice(Some("desk"), &[]).all(None),
            Err(ChoiceError::NoInventory(_))
        ));
    }

    #[test]
    fn without_a_choice_it_is_the_virtual_board() {
        assert!(choice(None, &[]).is_virtual());
        assert!(choice(Some("virtual"), &[]).is_virtual());
        assert!(!choice(Some("desk"), &[]).is_virtual());
        assert!(!choice(None, &["c3"]).is_virtual());
    }
}
