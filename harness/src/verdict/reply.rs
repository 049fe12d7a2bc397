//! The server's text on the console: its marks, and whether it is what the server sent.
//!
//! What enters: a run, and what the device printed of the reply. What leaves: a finding where a mark is missing or too
//! many, or where the text between them is not the body. Without marks a reply could pass for the device's own words.

use super::checks::{Checks, NONE};
use crate::evidence::{Evidence, PrintedReply, ReplyMark};
use crate::printable::printable;
use crate::run_result::DeviceOutcome;
use crate::scenario::{Rule, Run, Service};

/// Checks the marks, and the text between them where the device took the whole reply.
pub(super) fn judge(checks: &mut Checks, run: &Run, evidence: &Evidence) {
    let (Some(reply), Some(result)) = (&evidence.device.reply, evidence.device.result()) else {
        return;
    };
    marks(checks, reply, result.body);
    let whole = matches!(result.outcome, DeviceOutcome::Success | DeviceOutcome::Failed);
    let Service::Tls(tls) = &run.service else { return };
    let Some(body) = tls
        .reply
        .to_get(&run.device.path)
        .received_body(run.device.rule == Rule::Robust)
        .filter(|_| whole)
    else {
        return;
    };
    let wanted = as_printed(&body);
    let same = wanted
        .bytes()
        .zip(reply.text.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    checks.that(wanted == reply.text, || {
        format!(
            "the device should have printed the reply's body, {} characters between its marks; it printed {}, which differ from \
             character {} on",
            wanted.chars().count(),
            reply.text.chars().count(),
            same + 1
        )
    });
    let said = result.body.unwrap_or(0);
    checks.that(said == body.len() as u64, || {
        format!(
            "the device should have ended with body={}; it ended with body={said}",
            body.len()
        )
    });
}

fn marks(checks: &mut Checks, reply: &PrintedReply, body: Option<u64>) {
    let printed = body.unwrap_or(0) > 0 || !reply.text.is_empty();
    let good = match reply.marks[..] {
        [] => !printed,
        [ReplyMark::Begin, ReplyMark::End] => true,
        _ => false,
    };
    checks.that(good, || {
        let marks: Vec<String> = reply.marks.iter().map(|mark| format!("`{mark}`")).collect();
        let marks = if marks.is_empty() {
            NONE.to_owned()
        } else {
            marks.join(", ")
        };
        format!(
            "the device should have marked the reply by `reply begin` and `reply end`, once each; its marks: {marks}"
        )
    });
}

/// A body as the console shows it, without line ends (`firmware/README.md`, "The console"): a device escapes control
/// characters, and `@` where it begins a line.
fn as_printed(body: &[u8]) -> String {
    let line = |line: &[u8]| {
        let mut escaped = Vec::with_capacity(line.len());
        for byte in line.iter().copied().filter(|byte| *byte != b'\r') {
            match byte {
                b'@' if escaped.is_empty() => escaped.extend(b"\\x40"),
                b'\t' | b' '..=b'~' | 0x80.. => escaped.push(byte),
                _ => escaped.extend(format!("\\x{byte:02x}").bytes()),
            }
        }
        printable(&escaped)
    };
    body.split(|byte| *byte == b'\n').map(line).collect()
}
