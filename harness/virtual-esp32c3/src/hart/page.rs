//! A page of decoded code.

use super::decode::Op;

/// Bytes of code in one page.
pub(super) const PAGE: u32 = 4096;
/// Slots in one page: one for every even address.
pub(super) const SLOTS: usize = PAGE as usize / 2;

/// The decoded instructions of one page, with [`Op::EMPTY`] for those that are not decoded.
pub(super) type Page = [Op; SLOTS];
