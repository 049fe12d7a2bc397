//! Which boards of the inventory are meant.
//!
//! What enters: a name, or tags. What leaves: boards, or an error with the candidates: what is ambiguous is refused.

use super::{Entry, Inventory};

/// What a user asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Choice {
    /// The board's name; `virtual` is the one that needs no hardware.
    pub board: Option<String>,
    /// Tags that a board must all have.
    pub tags: Vec<String>,
    /// All of them get the image of the run, whatever their entries say.
    pub one_image: bool,
}

/// The name of the board that needs no hardware.
pub const VIRTUAL: &str = "virtual";

/// Why no board is meant.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChoiceError {
    /// A board or tag was asked for, and there is no inventory.
    #[error(
        "there is no rig.toml here or above, so no board can be `{0}`; write one, or leave the choice out for the virtual board"
    )]
    NoInventory(String),
    /// No board fits.
    #[error("no board of the rig is {wanted}; there are {}", .boards.join(", "))]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// The boards that there are.
        boards: Vec<String>,
    },
    /// Several do, and one is needed.
    #[error("several boards could be meant: {}; name one with --board", .0.join(", "))]
    Ambiguous(Vec<String>),
}

impl Choice {
    /// Whether the virtual board is meant: it is named, or nothing is.
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
            self.board.as_ref().is_none_or(|name| entry.name == *name)
                && self.tags.iter().all(|tag| entry.tags.contains(tag))
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
    /// When none does, or several do.
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

fn names<'a>(boards: impl Iterator<Item = &'a Entry>) -> Vec<String> {
    boards.map(|board| board.name.clone()).collect()
}

#[cfg(test)]
mod tests {
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
        toml::from_str(text).unwrap()
    }

    fn choice(board: Option<&str>, tags: &[&str]) -> Choice {
        Choice {
            board: board.map(str::to_owned),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            one_image: false,
        }
    }

    #[test]
    fn names_and_tags_choose_and_ambiguity_is_refused() {
        let rig = rig();
        let all = |choice: Choice| choice.all(Some(&rig)).map(|found| names(found.into_iter()));
        assert_eq!(all(choice(None, &["c3"])).unwrap(), ["desk", "shelf"]);
        assert_eq!(all(choice(None, &["c3", "wifi"])).unwrap(), ["desk"]);
        assert_eq!(choice(Some("shelf"), &[]).one(Some(&rig)).unwrap().name, "shelf");
        let unknown = choice(Some("shelf"), &["wifi"])
            .one(Some(&rig))
            .unwrap_err()
            .to_string();
        assert!(
            unknown.contains("shelf and tagged wifi") && unknown.contains("desk, shelf"),
            "{unknown}"
        );
        let ambiguous = choice(None, &["c3"]).one(Some(&rig)).unwrap_err();
        assert_eq!(ambiguous, ChoiceError::Ambiguous(vec!["desk".into(), "shelf".into()]));
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
