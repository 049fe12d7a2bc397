//! The key schedule of TLS 1.3 with SHA-256 (RFC 8446 section 7.1), without pre-shared keys.
//!
//! What enters: the shared secret of the key exchange, and transcript hashes. What leaves: traffic secrets.

use std::fmt;

use hkdf::Hkdf;
use sha2::{Digest, Sha256};

/// The secrets that protect the two directions.
pub(super) struct TrafficSecrets {
    pub(super) client: [u8; 32],
    pub(super) server: [u8; 32],
}

/// The handshake secret, with the traffic secrets derived from it.
pub(super) struct HandshakeSecret {
    secret: [u8; 32],
    pub(super) traffic: TrafficSecrets,
}

impl HandshakeSecret {
    /// From the shared secret and the hash of ClientHello and ServerHello.
    pub(super) fn new(shared: &[u8], transcript_hash: &[u8; 32]) -> Self {
        let early = extract(&[0; 32], &[0; 32]);
        let secret = extract(&derive(&early, "derived", &empty_hash()), shared);
        Self {
            secret,
            traffic: TrafficSecrets {
                client: derive(&secret, "c hs traffic", transcript_hash),
                server: derive(&secret, "s hs traffic", transcript_hash),
            },
        }
    }

    /// The application's secrets, from the hash of everything up to the server's Finished.
    pub(super) fn application(&self, transcript_hash: &[u8; 32]) -> TrafficSecrets {
        let master = extract(&derive(&self.secret, "derived", &empty_hash()), &[0; 32]);
        TrafficSecrets {
            client: derive(&master, "c ap traffic", transcript_hash),
            server: derive(&master, "s ap traffic", transcript_hash),
        }
    }
}

impl fmt::Debug for TrafficSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrafficSecrets(..)")
    }
}

impl fmt::Debug for HandshakeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandshakeSecret(..)")
    }
}

/// The secret after a change of keys: application_traffic_secret_N+1 (section 7.2).
pub(super) fn next_generation(secret: &[u8; 32]) -> [u8; 32] {
    expand_label(secret, "traffic upd", b"")
}

/// HKDF-Expand-Label.
pub(super) fn expand_label<const N: usize>(secret: &[u8; 32], label: &str, context: &[u8]) -> [u8; N] {
    let mut info = Vec::with_capacity(64);
    info.extend(u16::try_from(N).expect("keys are short").to_be_bytes());
    info.push(u8::try_from(6 + label.len()).expect("labels are short"));
    info.extend(b"tls13 ");
    info.extend(label.bytes());
    info.push(u8::try_from(context.len()).expect("a context is a hash or empty"));
    info.extend(context);
    let mut output = [0; N];
    Hkdf::<Sha256>::from_prk(secret)
        .and_then(|hkdf| hkdf.expand(&info, &mut output).map_err(|_| hkdf::InvalidPrkLength))
        .expect("a hash is long enough as key, and a key short enough as output");
    output
}

/// Derive-Secret, with the messages already hashed.
fn derive(secret: &[u8; 32], label: &str, transcript_hash: &[u8; 32]) -> [u8; 32] {
    expand_label(secret, label, transcript_hash)
}

fn extract(salt: &[u8; 32], input: &[u8]) -> [u8; 32] {
    Hkdf::<Sha256>::extract(Some(salt), input).0.into()
}

fn empty_hash() -> [u8; 32] {
    Sha256::digest(b"").into()
}
