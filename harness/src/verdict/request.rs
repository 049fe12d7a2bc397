//! The request: all of it, and nothing behind it.
//!
//! What enters: the device's settings, and every request that the server saw. What leaves: a finding for each line that is
//! not as it should be, and for each byte that is too many.

use super::checks::{Checks, NONE};
use crate::evidence::Evidence;
use crate::scenario::DeviceSettings;

/// The lines behind `Host` that the original sketch sends, and its translations too.
const HEADERS: [&str; 2] = ["User-Agent: BuildFailureDetectorESP8266", "Connection: close"];

/// Every request is exactly what the device was told to ask for, and no application data follows one. Firmware with a
/// console language of its own may send other headers.
pub(super) fn judge(checks: &mut Checks, wanted: &DeviceSettings, evidence: &Evidence) {
    let request_line = format!("GET {} HTTP/1.1", wanted.path);
    let own_headers = evidence.device.reply.is_none();
    for lines in &evidence.requests {
        let first = lines.first().map_or(NONE, String::as_str);
        checks.that(first == request_line, || {
            format!("the server should have seen the request `{request_line}`; it saw `{first}`")
        });
        let headers = lines.get(1..).unwrap_or_default();
        let hosts: Vec<&str> = headers.iter().filter_map(|line| header(line, "host")).collect();
        checks.that(hosts == [wanted.host.as_str()], || {
            format!(
                "the request should have named the host `{}` once; it named `{}`",
                wanted.host,
                hosts.join("`, `")
            )
        });
        let others = headers.iter().filter(|line| header(line, "host").is_none());
        let others: Vec<&str> = others.map(String::as_str).collect();
        checks.that(own_headers || others == HEADERS, || {
            format!(
                "the request should have had the headers `{}` beside the host's; it had `{}`",
                HEADERS.join("`, `"),
                others.join("`, `")
            )
        });
    }
    let server = evidence.server;
    checks.that(
        server.requests == 0 || server.application_bytes == server.request_bytes,
        || {
            format!(
                "the device should have sent nothing but its request of {} bytes; it sent {}",
                server.request_bytes, server.application_bytes
            )
        },
    );
}

/// The value of a header line, if it has this name.
fn header<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (found, value) = line.split_once(':')?;
    found.eq_ignore_ascii_case(name).then(|| value.trim())
}
