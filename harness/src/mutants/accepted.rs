//! The transcripts that people have accepted: the snapshots of the scenarios.
//!
//! What enters: a folder of snapshots, as insta writes them. What leaves: whether a transcript is the accepted one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What stands between the head of a snapshot, which is about the test, and its text.
const RULE: &str = "---\n";

/// A folder of accepted transcripts.
#[derive(Clone, Debug)]
pub struct Accepted(PathBuf);

impl Accepted {
    /// The snapshots in `folder`.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Whether `transcript` is the accepted one of the scenario `name`.
    ///
    /// # Errors
    /// The scenario has no snapshot, or it cannot be read.
    pub fn is(&self, name: &str, transcript: &str) -> io::Result<bool> {
        let path = self.0.join(format!("{}.snap", name.replace('/', "__")));
        let text = fs::read_to_string(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let mut parts = text.splitn(3, RULE);
        let text = parts.nth(2).unwrap_or_default();
        Ok(text.trim_end() == transcript.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_is_compared_with_the_text_below_the_head() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/snapshots");
        let accepted = Accepted::in_folder(&folder);
        let text = fs::read_to_string(folder.join("pin__matches.snap")).unwrap();
        let text = text.rsplit_once(RULE).unwrap().1;
        assert!(accepted.is("pin/matches", text).unwrap());
        let changed = text.replace("certificate matches", "certificate fits");
        assert_ne!(changed, text);
        assert!(!accepted.is("pin/matches", &changed).unwrap());
        assert!(!accepted.is("pin/matches", "").unwrap());
        let missing = accepted.is("pin/unwritten", text).unwrap_err();
        assert!(missing.to_string().contains("pin__unwritten.snap"), "{missing}");
    }
}
