//! What every record begins with (RFC 8446 section 5.1): constants only.

// Content types, from the TLS ContentType registry.
pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;

/// The size of a record's header.
pub(crate) const HEADER: usize = 5;
