//! A session with the application's keys, after a handshake by steps.
//!
//! What enters: protected records, or plaintext. What leaves: the other.

use super::keys::{TrafficSecrets, next_generation};
use super::protection::Protection;
use super::records::{alert_received, next_record};
use crate::broken::{Broken, Incoming};
use crate::content_type::{ALERT, APPLICATION_DATA, HANDSHAKE};
use crate::event::StrayPlace;
use crate::wire::Wire;

/// The handshake type of KeyUpdate (RFC 8446 section 4).
const KEY_UPDATE: u8 = 24;

/// A session after the client's Finished.
#[derive(Debug)]
pub(crate) struct RogueSession {
    pub(super) inbound: Protection,
    pub(super) outbound: Protection,
    /// The client has said that it will send no more.
    pub(super) close_notify_seen: bool,
    /// What they protect by: the application's secrets, of the generation that each side has reached.
    pub(super) secrets: TrafficSecrets,
}

impl RogueSession {
    pub(crate) async fn read(&mut self, wire: &mut Wire) -> Result<Incoming, Broken> {
        loop {
            let record = next_record(wire).await?;
            if self.close_notify_seen {
                // It has no meaning any more (RFC 8446 section 6.1).
                wire.stray_as(StrayPlace::AfterCloseNotify);
                continue;
            }
            let Some((kind, plaintext)) = self.inbound.open(&record) else {
                return Err(Broken::Protocol(
                    "a record of the client cannot be decrypted".to_owned(),
                ));
            };
            match (kind, &plaintext[..]) {
                (APPLICATION_DATA, []) => {}
                (APPLICATION_DATA, _) => return Ok(Incoming::Data(plaintext)),
                (HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, requested @ 0..=1]) => {
                    self.keys_changed(wire, requested == 1).await?;
                }
                (ALERT, [_, 0]) => {
                    self.close_notify_seen = true;
                    return Ok(Incoming::CloseNotify);
                }
                (ALERT, [_, description]) => return Err(alert_received(wire, *description)),
                _ => {
                    let why = format!("an unexpected record of content type {kind} after the handshake");
                    return Err(Broken::Protocol(why));
                }
            }
        }
    }

    /// The client protects what follows by new keys, and may ask the server to do the same (RFC 8446 section 4.6.3).
    async fn keys_changed(&mut self, wire: &mut Wire, requested: bool) -> Result<(), Broken> {
        self.secrets.client = next_generation(&self.secrets.client);
        self.inbound = Protection::new(&self.secrets.client);
        if requested {
            let update = self.outbound.seal(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0]);
            self.secrets.server = next_generation(&self.secrets.server);
            self.outbound = Protection::new(&self.secrets.server);
            wire.write(&update).await?;
        }
        Ok(())
    }

    pub(crate) async fn write(&mut self, wire: &mut Wire, data: &[u8]) -> Result<(), Broken> {
        let records = self.outbound.seal(APPLICATION_DATA, data);
        Ok(wire.write(&records).await?)
    }

    pub(crate) async fn close(&mut self, wire: &mut Wire) -> Result<(), Broken> {
        let records = self.outbound.seal(ALERT, &[1, 0]);
        Ok(wire.write(&records).await?)
    }
}
