//! Boards that are not used.

use std::fmt;

/// A board that this process does not use, or uses no more, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeftOut {
    /// The board's name.
    pub board: String,
    /// Why, for people. It does not name the board.
    pub why: String,
}

impl LeftOut {
    /// A board that is left out because of this error.
    pub(crate) fn because(board: impl Into<String>, error: impl fmt::Display) -> Self {
        Self {
            board: board.into(),
            why: error.to_string(),
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.board, self.why)
    }
}

/// Several of them in one line.
pub(super) fn joined(left_out: &[LeftOut]) -> String {
    left_out.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
