//! Records and alerts as a session by steps reads and sends them.
//!
//! What enters: the wire. What leaves: whole records, or the reason why there are no more.

use super::protection;
use crate::broken::Broken;
use crate::content_type::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HEADER};
use crate::event::EventKind;
use crate::names;
use crate::wire::Wire;

/// The next record, header included. It is complete, and it is not an alert in clear.
pub(super) async fn next_record(wire: &mut Wire) -> Result<Vec<u8>, Broken> {
    let Some(record) = wire.read_record().await? else {
        return Err(Broken::EndOfStream);
    };
    if let Some(alert) = wire.last_alert_in_clear() {
        return Err(Broken::Alert(alert.to_owned()));
    }
    if record.len() < HEADER || !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&record[0]) {
        return Err(Broken::Protocol("the client does not speak TLS".to_owned()));
    }
    Ok(record)
}

/// Records a protected alert.
pub(super) fn alert_received(wire: &mut Wire, description: u8) -> Broken {
    let description = names::alert(description);
    wire.record.push(EventKind::AlertReceived {
        description: description.clone(),
        in_clear: false,
    });
    Broken::Alert(description)
}

/// Refuses the client by an alert in clear.
pub(super) async fn refuse(wire: &mut Wire, description: u8, why: &str) -> Broken {
    // The client may have closed already; the reason matters more than the alert.
    let _ = wire.write(&protection::in_clear(ALERT, &[2, description])).await;
    Broken::Protocol(why.to_owned())
}
