//! What a device must show in TLS besides its result: the server name, the alert that goes with a refusal, the closing.
//!
//! What enters: a run and its evidence. What leaves: findings. [`LAWFUL`] is the one list of alerts.

use super::checks::{Checks, NONE};
use crate::evidence::{Client, Evidence};
use crate::scenario::{Expectation, Run};

/// The alerts that go with one reason.
struct Alerts {
    /// The reasons.
    reasons: &'static [&'static str],
    /// What a client may send, by registered names. RFC 5246 section 7.2.2 has the same names for the same faults.
    lawful: &'static [&'static str],
    /// Whether one must come.
    silence: Silence,
}

/// Whether a client may leave the server without a word.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Silence {
    /// It must say why.
    Fault,
    /// It need not. RFC 8446 section 6.2 only says that it should, and a client that finds the fault after its own Finished has
    /// told the server otherwise already.
    Lawful,
}

/// Which alerts go with which reason (RFC 8446 section 6.2; where another section names one, it stands behind the line). A
/// reason that is not here says nothing about alerts.
const LAWFUL: &[Alerts] = &[
    Alerts {
        // The RFC knows no alert for a pin or a name. These say that the certificate is not acceptable.
        reasons: &["pin-mismatch", "name-mismatch"],
        lawful: &["bad_certificate", "certificate_unknown", "unknown_ca", "access_denied"],
        silence: Silence::Fault,
    },
    Alerts {
        reasons: &["expired", "not-yet-valid"],
        lawful: &["certificate_expired"],
        silence: Silence::Fault,
    },
    Alerts {
        reasons: &["malformed-certificate"],
        lawful: &["bad_certificate", "decode_error"],
        silence: Silence::Fault,
    },
    Alerts {
        reasons: &["unsupported-key"],
        lawful: &["unsupported_certificate"],
        silence: Silence::Fault,
    },
    Alerts {
        reasons: &["unsupported-signature"],
        lawful: &["illegal_parameter"],
        silence: Silence::Fault,
    },
    Alerts {
        reasons: &["bad-signature"],
        lawful: &["decrypt_error"], // 4.4.3
        silence: Silence::Fault,
    },
    Alerts {
        reasons: &["no-certificate"],
        lawful: &["unexpected_message", "decode_error"], // 4.4.2.4
        silence: Silence::Lawful,
    },
    Alerts {
        reasons: &["no-certificate-verify"],
        lawful: &["unexpected_message"],
        silence: Silence::Lawful,
    },
    Alerts {
        reasons: &[
            "second-certificate",
            "second-certificate-verify",
            "certificate-verify-first",
        ],
        lawful: &["unexpected_message"],
        silence: Silence::Fault,
    },
    Alerts {
        reasons: &["unexpected-message"],
        lawful: &["unexpected_message"],
        silence: Silence::Lawful,
    },
    Alerts {
        reasons: &["illegal-server-hello", "downgrade", "invalid-key-share"],
        lawful: &["illegal_parameter", "missing_extension"], // 4.1.3, 9.2
        silence: Silence::Lawful,
    },
    Alerts {
        reasons: &["hello-retry-request"],
        lawful: &["illegal_parameter", "unexpected_message"], // 4.1.4
        silence: Silence::Fault,
    },
    Alerts {
        reasons: &["protocol-version"],
        lawful: &["protocol_version", "illegal_parameter"], // 4.2.1
        silence: Silence::Fault,
    },
    Alerts {
        reasons: &["unsupported-extension"],
        lawful: &["unsupported_extension"], // 4.2
        silence: Silence::Fault,
    },
    Alerts {
        // What is not TLS may look like another version, or like a record that is too long.
        reasons: &["malformed-record"],
        lawful: &[
            "decode_error",
            "unexpected_message",
            "record_overflow",
            "protocol_version",
        ], // 5.1, 5.4
        silence: Silence::Fault,
    },
    Alerts {
        reasons: &["record-too-long"],
        lawful: &["record_overflow"], // 5.1
        silence: Silence::Fault,
    },
    Alerts {
        reasons: &["fragmented-message", "too-many-certificates"],
        lawful: &["internal_error"],
        silence: Silence::Fault,
    },
    Alerts {
        reasons: &["bad-record-mac"],
        lawful: &["bad_record_mac"], // 5.2
        silence: Silence::Lawful,
    },
    Alerts {
        reasons: &["bad-finished"],
        lawful: &["decrypt_error"], // 4.4.4
        silence: Silence::Lawful,
    },
    Alerts {
        // The server, or the network, has ended it: there is nothing to tell.
        reasons: &["connection-closed", "connection-reset", "truncated"],
        lawful: &[],
        silence: Silence::Lawful,
    },
    Alerts {
        reasons: &["timeout-handshake", "timeout-response", "timeout-total"],
        lawful: &["user_canceled", "internal_error"],
        silence: Silence::Lawful,
    },
    Alerts {
        reasons: &["key-update"],
        lawful: &["internal_error"],
        silence: Silence::Lawful,
    },
];

/// Adds a finding for each thing that the device should have shown otherwise.
pub(super) fn judge(run: &Run, evidence: &Evidence, checks: &mut Checks) {
    for client in &evidence.clients {
        server_names(run, client, checks);
        alerts(run, client, checks);
        closing(run, client, checks);
    }
}

/// The server name is the host's, and an address has none (RFC 6066 section 3).
fn server_names(run: &Run, client: &Client, checks: &mut Checks) {
    let host = run.device.host.trim_end_matches('.');
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    for name in &client.server_names {
        match (name, is_address) {
            (None, true) => {}
            (Some(name), true) => checks.that(false, || {
                format!("the device should have named no server, since {host} is an address; it named `{name}`")
            }),
            (name, false) => checks.that(
                name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(host)),
                || {
                    let name = name.as_deref().unwrap_or(NONE);
                    format!("the device should have named the server `{host}` in its ClientHello; it named `{name}`")
                },
            ),
        }
    }
}

/// A refusal is told by the alert that goes with its reason, and an accepted server is sent none.
fn alerts(run: &Run, client: &Client, checks: &mut Checks) {
    let reason = match &run.expect {
        Expectation::Accepted { .. } => {
            let alerts = &client.alerts;
            checks.that(alerts.is_empty(), || {
                format!(
                    "the device should have sent no alert to a server that it accepts; it sent {}",
                    alerts.join(", ")
                )
            });
            return;
        }
        Expectation::Refused { reason, .. }
        | Expectation::HandshakeFailed { reason, .. }
        | Expectation::ResponseFailed { reason, .. } => reason.as_str(),
        Expectation::Unreachable { .. } | Expectation::NoNetwork { .. } | Expectation::CommandRejected { .. } => return,
    };
    // The server has sent a fatal alert: none may answer it (RFC 8446 section 6.2).
    let answered: &[&str] = &[];
    let known = LAWFUL.iter().find(|alerts| alerts.reasons.contains(&reason));
    let lawful = match known {
        Some(alerts) => alerts.lawful,
        None if reason.starts_with("alert-") => answered,
        None => return,
    };
    for alert in &client.alerts {
        checks.that(lawful.contains(&alert.as_str()), || {
            let wanted = if lawful.is_empty() {
                "no alert".to_owned()
            } else {
                format!("the alert {}", lawful.join(" or "))
            };
            format!("the device should have sent {wanted} for {reason}; it sent {alert}")
        });
    }
    // BearSSL, with which small devices speak TLS 1.2, closes without a word where RFC 5246 section 7.2.2 asks for an alert.
    let must = client.offers_tls_1_3 && known.is_some_and(|alerts| alerts.silence == Silence::Fault);
    // A connection that the scenario spoils may lose it.
    checks.that(!must || !client.alerts.is_empty() || run.is_disturbed(), || {
        format!(
            "the device should have sent the alert {} for {reason}; it sent none",
            lawful.join(" or ")
        )
    });
}

/// Each side says close_notify before it ends its side of the connection (RFC 8446 section 6.1).
fn closing(run: &Run, client: &Client, checks: &mut Checks) {
    // A reply that ends with the connection is over when the server has said so. The firmware's TLS then says nothing more.
    let ends_itself = matches!(&run.expect, Expectation::Accepted { .. }) && run.reply_says_its_end();
    checks.that(client.close_notify || !ends_itself || run.is_disturbed(), || {
        "the device should have said close_notify before it closed the connection; it did not".to_owned()
    });
}

#[cfg(test)]
mod tests {
    use pinrig_server::alert_name;

    use super::super::tests::fulfilled;
    use super::super::{Verdict, judge};
    use super::*;

    /// Whether `evidence` passes as a run that expects `expect`, once `change` has been made to it.
    fn passes(index: usize, change: impl FnOnce(&mut Run, &mut Client)) -> bool {
        let (expect, mut evidence) = fulfilled().swap_remove(index);
        let mut run = Run {
            expect,
            ..Run::honest()
        };
        change(&mut run, &mut evidence.clients[0]);
        judge(&run, &evidence) == Verdict::Passed
    }

    const ACCEPTED: usize = 0;
    const REFUSED: usize = 1;

    #[test]
    fn a_refusal_is_told_by_an_alert_that_goes_with_its_reason() {
        assert!(passes(REFUSED, |_, _| {}));
        assert!(passes(REFUSED, |_, client| client.alerts = vec!["unknown_ca".into()]));
        assert!(!passes(REFUSED, |_, client| client.alerts.clear()), "none");
        let silent_in_tls_1_2 = |_: &mut Run, client: &mut Client| {
            client.alerts.clear();
            client.offers_tls_1_3 = false;
        };
        assert!(passes(REFUSED, silent_in_tls_1_2));
        for wrong in ["user_canceled", "alert 7", "internal_error"] {
            assert!(
                !passes(REFUSED, |_, client| client.alerts = vec![wrong.into()]),
                "{wrong}"
            );
            assert!(
                !passes(REFUSED, |_, client| client.alerts.push(wrong.into())),
                "{wrong}"
            );
            assert!(
                !passes(ACCEPTED, |_, client| client.alerts.push(wrong.into())),
                "{wrong}"
            );
        }
    }

    #[test]
    fn every_alert_in_the_list_is_registered_and_no_reason_stands_there_twice() {
        let registered: Vec<String> = (0..=u8::MAX).map(alert_name).collect();
        let mut reasons: Vec<&str> = Vec::new();
        for alerts in LAWFUL {
            for lawful in alerts.lawful {
                assert!(registered.iter().any(|name| name == lawful), "{lawful}");
            }
            assert!(!alerts.lawful.is_empty() || alerts.silence == Silence::Lawful);
            reasons.extend(alerts.reasons);
        }
        let count = reasons.len();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), count);
    }

    #[test]
    fn the_server_name_is_the_host_and_an_address_has_none() {
        let named = |host: &'static str, name: Option<&str>| {
            passes(REFUSED, |run, client| {
                run.device.host = host.into();
                client.server_names = vec![name.map(str::to_owned)];
            })
        };
        assert!(named("API.github.com", Some("api.github.COM")));
        assert!(!named("api.github.com", Some("github.com")));
        assert!(!named("api.github.com", None));
        assert!(named("192.0.2.10", None));
        assert!(!named("192.0.2.10", Some("192.0.2.10")));
    }

    #[test]
    fn close_notify_comes_where_the_reply_says_its_end() {
        assert!(!passes(ACCEPTED, |_, client| client.close_notify = false));
        assert!(passes(ACCEPTED, |run, client| {
            client.close_notify = false;
            let crate::scenario::Service::Tls(tls) = &mut run.service else {
                panic!("an honest run has a server")
            };
            tls.reply = tls.reply.clone().framed(pinrig_server::Framing::Close);
        }));
    }
}
