//! A session with the application's keys, after a handshake by steps.
//!
//! What enters: protected records, or plaintext. What leaves: the other.

use super::protection::Protection;
use super::records::{alert_received, next_record};
use crate::broken::{Broken, Incoming};
use crate::content_type::{ALERT, APPLICATION_DATA};
use crate::wire::Wire;

/// A session after the client's Finished.
#[derive(Debug)]
pub(crate) struct RogueSession {
    pub(super) inbound: Protection,
    pub(super) outbound: Protection,
}

impl RogueSession {
    pub(crate) async fn read(&mut self, wire: &mut Wire) -> Result<Incoming, Broken> {
        loop {
            let record = next_record(wire).await?;
            let Some((kind, plaintext)) = self.inbound.open(&record) else {
                return Err(Broken::Protocol(
                    "a record of the client cannot be decrypted".to_owned(),
                ));
            };
            match (kind, &plaintext[..]) {
                (APPLICATION_DATA, []) => {}
                (APPLICATION_DATA, _) => return Ok(Incoming::Data(plaintext)),
                (ALERT, [_, 0]) => return Ok(Incoming::CloseNotify),
                (ALERT, [_, description]) => return Err(alert_received(wire, *description)),
                _ => {
                    let why = format!("an unexpected record of content type {kind} after the handshake");
                    return Err(Broken::Protocol(why));
                }
            }
        }
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
