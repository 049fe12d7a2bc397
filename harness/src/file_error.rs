//! Errors of files that people write: which file, and where in it.
//!
//! What enters: a path, the text, and the byte at which a reader stumbled. What leaves: a [`FileError`] with line and
//! column, as an editor counts them.

use std::io;
use std::path::{Path, PathBuf};

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file or folder cannot be read.
    #[error("cannot read {path}: {cause}", path = .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file's text is wrong at one position.
    #[error("{path}:{line}:{column}: {message}", path = .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
        /// What is wrong, and what would be right.
        message: String,
    },
}

impl FileError {
    /// For a file or folder that the system does not let us read: `map_err(FileError::read(path))`.
    pub fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |cause| Self::Read { path, cause }
    }

    /// For a mistake at the byte `offset` of `text`, which was read from `path`.
    #[must_use]
    pub fn invalid(path: &Path, text: &str, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = position(text, offset);
        Self::Invalid {
            path: path.to_owned(),
            line,
            column,
            message: message.into(),
        }
    }
}

/// Line and column, both from 1 and the column in characters, of a byte offset. An offset beyond the end is the end.
#[must_use]
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset.min(text.len()))];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}
