//! The numbers of the IANA TLS registries that this server speaks.

pub(super) const TLS_1_3: u16 = 0x0304;
pub(super) const AES_128_GCM_SHA256: u16 = 0x1301;
pub(super) const SECP256R1: u16 = 0x0017;

// Alert descriptions, from the TLS Alerts registry.
pub(super) const UNEXPECTED_MESSAGE: u8 = 10;
pub(super) const HANDSHAKE_FAILURE: u8 = 40;
pub(super) const DECODE_ERROR: u8 = 50;
pub(super) const DECRYPT_ERROR: u8 = 51;
pub(super) const PROTOCOL_VERSION: u8 = 70;
