//! Certificates from recipes, and their fingerprints.
//!
//! What enters: the name of a [`Recipe`], or the text of a [`Fingerprint`]. What leaves: a [`CertifiedChain`], and
//! fingerprints that can be parsed, printed and compared. A recipe gives the same DER at every call and on every machine,
//! so that a snapshot can hold a fingerprint literally. This crate knows no servers, boards or scenarios, and reads
//! neither the clock nor random numbers.

mod chain;
mod fingerprint;
mod key;
mod recipe;
mod table;

pub use chain::{CertifiedChain, PrivateKey};
pub use fingerprint::{Fingerprint, FingerprintError, FingerprintProblem};
pub use recipe::{Recipe, UnknownRecipe};
