//! The story of one connection: handshake, request, reply, end.
//!
//! What enters: a socket and the server's settings. What leaves: events, in the order in which things happened.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::acceptor::Settings;
use crate::broken::{Broken, Incoming, is_reset};
use crate::config::{Close, When};
use crate::event::{Ending, EventKind};
use crate::record::ConnectionRecord;
use crate::request::{self, RequestHead};
use crate::session::Session;
use crate::wire::Wire;

/// Serves one connection to its end.
pub(crate) async fn serve(stream: TcpStream, settings: &Settings, record: ConnectionRecord) {
    let mut wire = Wire::new(stream, record, settings.fault);
    let ending = match converse(&mut wire, settings).await {
        Ok(ending) => ending,
        Err(broken) => end_of_broken(&mut wire, broken, settings.limits.close).await,
    };
    wire.close(ending);
}

async fn converse(wire: &mut Wire, settings: &Settings) -> Result<Ending, Broken> {
    let limits = &settings.limits;
    wire.reached(When::Connected).await?;
    let mut session = shake_hands(wire, settings).await?;

    if let Some(request) = read_request(wire, &mut session, limits.request).await? {
        wire.reached(When::Request).await?;
        let answer = settings.reply.answer(request.as_ref());
        let written = within(
            limits.reply,
            "the client to take the reply",
            session.write(wire, &answer.bytes),
        )
        .await;
        note_failure(wire, written)?;
        if !wire.is_muted() {
            wire.record.push(EventKind::ReplySent {
                status: answer.status,
                framing: answer.framing.to_string(),
                bytes: answer.bytes.len(),
            });
        }
    }

    match settings.close {
        Close::Notify => {
            let closed = within(limits.close, "the client to take close_notify", session.close(wire)).await;
            note_failure(wire, closed)?;
            if !wire.is_muted() {
                wire.record.push(EventKind::CloseNotifySent);
            }
            wire.finish_writing().await;
        }
        Close::End => wire.finish_writing().await,
        Close::Reset => return Err(wire.reset()),
        Close::Wait => {}
    }
    let drained = within(limits.close, "the client to close", drain(&mut session, wire)).await;
    match drained {
        Err(Broken::EndOfStream) => Ok(Ending::ClosedByClient),
        Err(Broken::Io(error)) if is_reset(&error) => Ok(Ending::ResetAfterClose),
        Err(broken) => {
            note_stray(wire, &broken);
            note_failure(wire, Err::<(), _>(broken))?;
            Ok(Ending::ClosedByClient)
        }
        Ok(never) => match never {},
    }
}

async fn shake_hands(wire: &mut Wire, settings: &Settings) -> Result<Session, Broken> {
    let opened = within(
        settings.limits.handshake,
        "the end of the handshake",
        Session::open(wire, settings),
    )
    .await;
    match opened {
        Ok((session, agreed)) => {
            wire.record.push(EventKind::HandshakeComplete {
                version: agreed.version,
                suite: agreed.suite,
                group: agreed.group,
            });
            Ok(session)
        }
        Err(broken) => {
            note_own_failure(wire, &broken);
            note_stray(wire, &broken);
            wire.record.push(EventKind::HandshakeFailed {
                reason: broken.to_string(),
            });
            Err(broken)
        }
    }
}

/// Reads and records a request. The outer `None`: the client sent close_notify first. The inner: it is not HTTP/1.1.
async fn read_request(
    wire: &mut Wire,
    session: &mut Session,
    limit: Duration,
) -> Result<Option<Option<RequestHead>>, Broken> {
    let mut head = Vec::new();
    let whole = within(limit, "the request", read_head(session, wire, &mut head)).await;
    if !matches!(whole, Ok(true)) && !head.is_empty() {
        wire.record.push(EventKind::RequestIncomplete { bytes: head.len() });
    }
    if let Err(broken) = &whole {
        note_stray(wire, broken);
    }
    if !note_failure(wire, whole)? {
        return Ok(None);
    }
    let end = request::end_of_head(&head).unwrap_or(head.len());
    let (head, more) = head.split_at(end);
    let lines = request::lines(head);
    let request = RequestHead::parse(&lines);
    wire.record.push(EventKind::Request { lines, bytes: end });
    note_more(wire, more);
    Ok(Some(request))
}

/// Reads up to the empty line that ends a head, into `head`; `false` if the client sent close_notify first. What had
/// arrived stays in `head` when this fails or is given up.
async fn read_head(session: &mut Session, wire: &mut Wire, head: &mut Vec<u8>) -> Result<bool, Broken> {
    /// As common servers limit it.
    const LARGEST: usize = 16 * 1024;
    while request::end_of_head(head).is_none() {
        if head.len() > LARGEST {
            return Err(Broken::Protocol(format!(
                "the request's head is longer than {LARGEST} bytes"
            )));
        }
        match session.read(wire).await? {
            Incoming::Data(data) => head.extend(data),
            Incoming::CloseNotify => {
                wire.record.push(EventKind::CloseNotifyReceived);
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Reads what the client still sends. It returns only with the reason why there is no more.
async fn drain(session: &mut Session, wire: &mut Wire) -> Result<std::convert::Infallible, Broken> {
    loop {
        match session.read(wire).await? {
            Incoming::CloseNotify => wire.record.push(EventKind::CloseNotifyReceived),
            Incoming::Data(data) => note_more(wire, &data),
        }
    }
}

/// Records data that follows a whole request.
fn note_more(wire: &Wire, data: &[u8]) {
    /// How much of it is shown, in bytes.
    const SHOWN: usize = 64;
    if !data.is_empty() {
        wire.record.push(EventKind::DataAfterRequest {
            bytes: data.len(),
            beginning: String::from_utf8_lossy(&data[..data.len().min(SHOWN)]).into_owned(),
        });
    }
}

/// Records the client's last record where it is the one that broke the protocol.
fn note_stray(wire: &mut Wire, broken: &Broken) {
    if matches!(broken, Broken::Protocol(_)) {
        wire.stray_last();
    }
}

/// Records that the server could not do what it was told.
fn note_own_failure(wire: &Wire, broken: &Broken) {
    if let Broken::Server(reason) = broken {
        let reason = reason.clone();
        wire.record.push(EventKind::ServerFailed { reason });
    }
}

/// Records why an established session broke, unless the connection's end or an alert says it already.
fn note_failure<T>(wire: &mut Wire, result: Result<T, Broken>) -> Result<T, Broken> {
    if let Err(broken) = &result {
        note_own_failure(wire, broken);
    }
    if let Err(broken @ (Broken::Protocol(_) | Broken::Io(_))) = &result {
        let quiet = matches!(broken, Broken::Io(error) if is_reset(error));
        if !quiet {
            wire.record.push(EventKind::SessionFailed {
                reason: broken.to_string(),
            });
        }
    }
    result
}

/// Waits for the client to close a connection on which the server can send no more.
async fn end_of_broken(wire: &mut Wire, broken: Broken, limit: Duration) -> Ending {
    let alerted = matches!(broken, Broken::Alert(_));
    match broken {
        Broken::EndOfStream => return Ending::ClosedByClient,
        Broken::OnPurpose => return Ending::CutOnPurpose,
        Broken::Io(error) if is_reset(&error) => return Ending::ResetByClient,
        Broken::Io(error) => return Ending::Failed(error.to_string()),
        Broken::TimedOut(what) => return Ending::TimedOut(what.to_owned()),
        Broken::Alert(_) | Broken::Protocol(_) | Broken::Server(_) => {}
    }
    wire.finish_writing().await;
    // Still watched: what a client sends after its last word is recorded as it passes.
    match timeout(limit, wire.read_out(alerted)).await {
        Ok(Ok(())) => Ending::ClosedByClient,
        Ok(Err(error)) if is_reset(&error) => Ending::ResetAfterClose,
        Ok(Err(error)) => Ending::Failed(error.to_string()),
        Err(_) => Ending::TimedOut("the client to close".to_owned()),
    }
}

async fn within<T>(
    limit: Duration,
    what: &'static str,
    work: impl Future<Output = Result<T, Broken>>,
) -> Result<T, Broken> {
    timeout(limit, work).await.unwrap_or(Err(Broken::TimedOut(what)))
}
