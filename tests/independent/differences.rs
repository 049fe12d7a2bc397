//! Where a client does something else than the scenario's device, and why it may.
//!
//! A line that is not needed fails the tests of its clients and scenarios. The lines hold for the versions of Debian
//! 12: OpenSSL 3.0, curl 7.88, GnuTLS 3.7, Python 3.11 and BearSSL 0.6. They compare what a client does and never its
//! words. Where another version does what the device does, its test says so, and the line goes with the old version.

use super::cell::Does;
use super::client::Client::{self, BearSsl, Curl, GnuTls, OpenSsl, Python};

/// A difference.
pub(crate) struct Differs {
    pub(crate) scenarios: &'static [&'static str],
    pub(crate) clients: &'static [Client],
    /// What these clients do at these servers.
    pub(crate) does: Does,
    pub(crate) why: &'static str,
}

/// Those that speak TLS 1.3.
const TLS_1_3: &[Client] = &[OpenSsl, Curl, GnuTls, Python];

pub(crate) const DIFFERENCES: &[Differs] = &[
    // Lawful servers that are beyond this firmware.
    Differs {
        scenarios: &["auth/fragmented-certificate"],
        clients: TLS_1_3,
        does: Does::Accepts,
        why: "a message may come in several records (RFC 8446 section 5.1), which the firmware cannot join",
    },
    Differs {
        scenarios: &[
            "server/small-records",
            "validity/sixteen-kilobytes",
            "validity/two-records",
        ],
        clients: &Client::ALL,
        does: Does::Accepts,
        why: "a message may come in several records (RFC 8446 section 5.1), which the firmware cannot join",
    },
    Differs {
        scenarios: &["auth/cut-finished", "auth/cut-proof"],
        clients: TLS_1_3,
        does: Does::Waits,
        why: "the rest of the message may come in a later record, for which the firmware does not wait",
    },
    Differs {
        scenarios: &["auth/key-update"],
        clients: TLS_1_3,
        does: Does::Waits,
        why: "a server may change its keys (RFC 8446 section 4.6.3), unlike the firmware's; no reply comes",
    },
    Differs {
        scenarios: &["server/key-update"],
        clients: TLS_1_3,
        does: Does::Accepts,
        why: "a server may change its keys (RFC 8446 section 4.6.3), which the firmware cannot follow",
    },
    Differs {
        scenarios: &["server/p384", "server/rsa"],
        clients: &Client::ALL,
        does: Does::Accepts,
        why: "the firmware can check signatures of P-256 keys only",
    },
    Differs {
        scenarios: &["server/ed25519"],
        clients: TLS_1_3,
        does: Does::Accepts,
        why: "the firmware can check signatures of P-256 keys only",
    },
    Differs {
        scenarios: &["server/tls-1-2-only"],
        clients: &Client::ALL,
        does: Does::Accepts,
        why: "these clients speak TLS 1.2, too",
    },
    Differs {
        scenarios: &["validity/seventeen-certificates"],
        clients: &[OpenSsl, Curl, Python, BearSsl],
        does: Does::Accepts,
        why: "a chain may be longer than the firmware has room for",
    },
    // Offers that a client's options do not narrow.
    Differs {
        scenarios: &["server/no-common-suite"],
        clients: &[Python],
        does: Does::Accepts,
        why: "it offers this suite: its ssl has no setting for those of TLS 1.3",
    },
    Differs {
        scenarios: &["server/no-common-group"],
        clients: &[BearSsl],
        does: Does::Accepts,
        why: "it offers x25519, too",
    },
    Differs {
        scenarios: &["auth/certificate-request-late"],
        clients: &[Curl],
        does: Does::Waits,
        why: "it offers post_handshake_auth (RFC 8446 section 4.6.2), so it may be asked; no reply comes",
    },
    // Checks that the scenario's device leaves out, and these clients cannot.
    Differs {
        scenarios: &["name/unchecked"],
        clients: &[Curl, GnuTls],
        does: Does::Refuses,
        why: "it checks the name always",
    },
    Differs {
        scenarios: &["validity/expired-unchecked", "validity/not-yet-valid-unchecked"],
        clients: &[Curl, GnuTls, Python, BearSsl],
        does: Does::Refuses,
        why: "it checks the dates always",
    },
    Differs {
        scenarios: &["name/wrong-continue"],
        clients: &Client::ALL,
        does: Does::Refuses,
        why: "it has no policy like the original sketch's, which goes on with a certificate that it does not trust",
    },
    // Names.
    Differs {
        scenarios: &["name/common-name-only"],
        clients: &[OpenSsl, Curl, GnuTls, BearSsl],
        does: Does::Accepts,
        why: "without a list of names it takes the subject, which RFC 6125 allowed and RFC 9525 does not",
    },
    Differs {
        scenarios: &["name/wildcard-partial"],
        clients: &[OpenSsl],
        does: Does::Accepts,
        why: "s_client takes a wildcard as a part of a label, which RFC 6125 allowed and RFC 9525 does not",
    },
    Differs {
        scenarios: &["name/trailing-dot-in-certificate"],
        clients: &[Curl],
        does: Does::Accepts,
        why: "it compares names without their last dot",
    },
    Differs {
        scenarios: &["name/address"],
        clients: &[BearSsl],
        does: Does::Refuses,
        why: "it knows DNS names only",
    },
    Differs {
        scenarios: &["name/address-as-name"],
        clients: &[BearSsl],
        does: Does::Accepts,
        why: "it knows DNS names only, and takes the address for one",
    },
    // What is trusted.
    Differs {
        scenarios: &["validity/extra-certificate", "validity/long-chain"],
        clients: &[GnuTls],
        does: Does::Refuses,
        why: "it trusts a leaf by itself only if nothing but a self-signed certificate follows it",
    },
    Differs {
        scenarios: &["validity/sixteen-kilobytes-pin-wrong"],
        clients: &[BearSsl],
        does: Does::Accepts,
        why: "it trusts a leaf by its subject and key, which are those of the pinned certificate",
    },
    Differs {
        scenarios: &["validity/last-second"],
        clients: &[OpenSsl],
        does: Does::Refuses,
        why: "it does not count the last second, which RFC 5280 section 4.1.2.5 does",
    },
    // TLS.
    Differs {
        scenarios: &["auth/other-session-id"],
        clients: &[GnuTls],
        does: Does::Accepts,
        why: "it does not compare the session id with its own, as RFC 8446 section 4.1.3 says it must",
    },
];
