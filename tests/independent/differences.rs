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
    // Servers that the firmware gives up early.
    Differs {
        scenarios: &["auth/cut-finished", "auth/cut-proof"],
        clients: TLS_1_3,
        does: Does::Waits,
        why: "the rest of the message may come in a later record, for which the firmware does not wait",
    },
    // Offers that a client's options do not choose.
    Differs {
        scenarios: &["server/no-common-group"],
        clients: &[Python],
        does: Does::Refuses,
        why: "its ssl can be told one group only, and the rogue server asks for another",
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
        scenarios: &["name/wrong-continue", "name/wrong-continue-pin-right"],
        clients: &Client::ALL,
        does: Does::Refuses,
        why: "it has no policy like the original sketch's, which goes on with a certificate that it does not trust",
    },
    Differs {
        scenarios: &["validity/expired-continue"],
        clients: &[OpenSsl, BearSsl],
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
        scenarios: &[
            "validity/extra-certificate",
            "validity/long-chain",
            "validity/seventeen-certificates",
        ],
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
        scenarios: &["auth/compression"],
        clients: &[GnuTls],
        does: Does::Accepts,
        why: "it does not look at the compression method, which RFC 8446 section 4.1.3 says must be 0",
    },
    Differs {
        scenarios: &["auth/other-legacy-version"],
        clients: &[OpenSsl, Curl, Python],
        does: Does::Accepts,
        why: "OpenSSL does not look at the old version field where supported_versions stands beside it",
    },
    Differs {
        scenarios: &["auth/extensions-twice"],
        clients: &[GnuTls],
        does: Does::Waits,
        why: "it takes an extension twice, which RFC 8446 section 4.2 forbids, and waits for the rest of the handshake",
    },
    Differs {
        scenarios: &["auth/other-session-id"],
        clients: &[GnuTls],
        does: Does::Accepts,
        why: "it does not compare the session id with its own, as RFC 8446 section 4.1.3 says it must",
    },
];
