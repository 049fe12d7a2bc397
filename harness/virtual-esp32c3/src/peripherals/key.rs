//! Keys on their way from the eFuses to the accelerators. Software does not see them.

/// 256 bits.
pub(super) type Key = [u8; 32];

/// A key in the eFuses.
#[derive(Clone, Copy)]
pub(super) struct BurntKey {
    pub(super) key: Key,
    /// Its KEY_PURPOSE.
    pub(super) purpose: u32,
}
