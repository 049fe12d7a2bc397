//! What the tests of the whole client share.

pub(crate) mod board;
pub(crate) mod documents;
pub(crate) mod random;
pub(crate) mod server;
