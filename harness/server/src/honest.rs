//! The server side that keeps to the RFCs: rustls, driven record by record.
//!
//! What enters: records. What leaves: plaintext, and events for the alerts that only rustls can decrypt. It knows nothing
//! of replies or faults.

use std::io::Read as _;
use std::io::Write as _;
use std::sync::Arc;

use pinrig_certs::CertifiedChain;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InvalidMessage, KeyLog, ServerConnection, SupportedCipherSuite, SupportedProtocolVersion};

use crate::broken::{Broken, Incoming, Negotiated};
use crate::config::StartError;
use crate::content_type::ALERT;
use crate::event::{EventKind, StrayPlace};
use crate::names;
use crate::offer::{Group, Honest, Suite, TlsVersion};
use crate::record::Record;
use crate::wire::Wire;

/// The record of a fatal alert in clear: a length beyond its range is an error of decoding (RFC 8446 section 6.2).
const DECODE_ERROR: [u8; 7] = [ALERT, 3, 3, 0, 2, 2, 50];

/// What every honest session of a server starts from.
#[derive(Debug)]
pub(crate) struct HonestAcceptor {
    config: Arc<rustls::ServerConfig>,
    key_update: bool,
}

impl HonestAcceptor {
    /// Prepares rustls to present `identity`, even where its key does not belong to its leaf.
    pub(crate) fn new(identity: &CertifiedChain, offer: &Honest, record: &Arc<Record>) -> Result<Self, StartError> {
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.pkcs8_der().to_vec()));
        let key = any_supported_type(&der).map_err(|error| StartError::Key(error.to_string()))?;
        let chain = identity.chain.iter().cloned().map(CertificateDer::from).collect();
        // `with_single_cert` would refuse a key that is not the leaf's.
        let presented = Presented(Arc::new(CertifiedKey::new(chain, key)));
        let versions: Vec<&SupportedProtocolVersion> = offer
            .versions
            .iter()
            .map(|version| match version {
                TlsVersion::Tls12 => &rustls::version::TLS12,
                TlsVersion::Tls13 => &rustls::version::TLS13,
            })
            .collect();
        let mut provider = default_provider();
        let suites: Vec<u16> = offer.suites.iter().copied().map(Suite::code).collect();
        if !suites.is_empty() {
            let offered = |suite: &SupportedCipherSuite| suites.contains(&suite.suite().into());
            provider.cipher_suites.retain(offered);
        }
        let groups: Vec<u16> = offer.groups.iter().copied().map(Group::code).collect();
        if !groups.is_empty() {
            provider.kx_groups.retain(|group| groups.contains(&group.name().into()));
        }
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&versions)
            .map_err(|error| StartError::Versions(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(presented));
        config.send_tls13_tickets = offer.tickets.size();
        // rustls counts the header and what encryption adds.
        config.max_fragment_size = offer.record_size.map(|size| size.size() + 5);
        config.key_log = Arc::new(RecordedSecrets(Arc::clone(record)));
        Ok(Self {
            config: Arc::new(config),
            key_update: offer.key_update,
        })
    }
}

/// A session held by rustls.
#[derive(Debug)]
pub(crate) struct HonestSession {
    connection: ServerConnection,
    close_notify_seen: bool,
    /// Keys are to be changed after the next piece that is written.
    key_update: bool,
}

impl HonestSession {
    pub(crate) async fn open(wire: &mut Wire, acceptor: &HonestAcceptor) -> Result<(Self, Negotiated), Broken> {
        let connection = ServerConnection::new(Arc::clone(&acceptor.config))
            .map_err(|error| Broken::Server(format!("rustls does not start a session: {error}")))?;
        let mut session = Self {
            connection,
            close_notify_seen: false,
            key_update: acceptor.key_update,
        };
        while session.connection.is_handshaking() {
            session.advance(wire).await?;
        }
        let connection = &session.connection;
        let (Some(version), Some(suite)) = (connection.protocol_version(), connection.negotiated_cipher_suite()) else {
            let why = "rustls names no version or suite after its handshake";
            return Err(Broken::Server(why.to_owned()));
        };
        let negotiated = Negotiated {
            version: names::version(version.into()),
            suite: names::suite(suite.suite().into()),
            group: connection
                .negotiated_key_exchange_group()
                .map(|group| names::group(group.name().into())),
        };
        Ok((session, negotiated))
    }

    pub(crate) async fn read(&mut self, wire: &mut Wire) -> Result<Incoming, Broken> {
        loop {
            let mut data = vec![0; 1 << 14];
            match self.connection.reader().read(&mut data) {
                Ok(0) if self.close_notify_seen => {}
                Ok(0) => {
                    self.close_notify_seen = true;
                    return Ok(Incoming::CloseNotify);
                }
                Ok(length) => {
                    data.truncate(length);
                    return Ok(Incoming::Data(data));
                }
                // Nothing decrypted is left.
                Err(_) => {}
            }
            self.advance(wire).await?;
        }
    }

    pub(crate) async fn write(&mut self, wire: &mut Wire, data: &[u8]) -> Result<(), Broken> {
        // In pieces below the limit that rustls puts on what it buffers.
        let size = if self.key_update {
            data.len().div_ceil(2)
        } else {
            1 << 14
        };
        for piece in data.chunks(size.clamp(1, 1 << 14)) {
            self.connection.writer().write_all(piece)?;
            self.flush(wire).await?;
            if std::mem::take(&mut self.key_update) {
                let changed = self.connection.refresh_traffic_keys();
                // The scenario would show nothing about this client.
                changed.map_err(|error| {
                    Broken::Server(format!(
                        "cannot change its keys, which only TLS 1.3 can, in a session of {}: {error}",
                        self.connection
                            .protocol_version()
                            .map_or_else(|| "no version".to_owned(), |version| names::version(version.into()))
                    ))
                })?;
                self.flush(wire).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn close(&mut self, wire: &mut Wire) -> Result<(), Broken> {
        self.connection.send_close_notify();
        self.flush(wire).await
    }

    /// Takes one record from the client and sends what rustls answers.
    async fn advance(&mut self, wire: &mut Wire) -> Result<(), Broken> {
        let Some(record) = wire.read_record().await? else {
            return Err(Broken::EndOfStream);
        };
        let mut rest = &record[..];
        while !rest.is_empty() {
            let taken = self.connection.read_tls(&mut rest)?;
            if taken == 0 {
                // After close_notify rustls takes nothing more; what follows has no meaning (RFC 8446 section 6.1).
                wire.stray_as(StrayPlace::AfterCloseNotify);
                break;
            }
            if let Err(error) = self.connection.process_new_packets() {
                // The alert for the client, which may have closed already.
                let _ = self.flush(wire).await;
                if error == rustls::Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) {
                    // rustls says nothing then. Its own bound is 64 KB.
                    let _ = wire.write(&DECODE_ERROR).await;
                }
                return Err(explain(error, wire));
            }
        }
        self.flush(wire).await
    }

    async fn flush(&mut self, wire: &mut Wire) -> Result<(), Broken> {
        let mut records = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut records)?;
        }
        if !records.is_empty() {
            wire.write(&records).await?;
        }
        Ok(())
    }
}

/// Turns an error of rustls into the reason why the session is over, and records an alert that came protected.
fn explain(error: rustls::Error, wire: &mut Wire) -> Broken {
    if let Some(alert) = wire.last_alert_in_clear() {
        // rustls may refuse it because it is unprotected, but it is the reason that the client gave.
        return Broken::Alert(alert.to_owned());
    }
    match error {
        rustls::Error::AlertReceived(description) => {
            let name = names::alert(u8::from(description));
            wire.record.push(EventKind::AlertReceived {
                description: name.clone(),
                in_clear: false,
            });
            Broken::Alert(name)
        }
        other => Broken::Protocol(other.to_string()),
    }
}

/// Presents the same chain to every client.
#[derive(Debug)]
struct Presented(Arc<CertifiedKey>);

impl ResolvesServerCert for Presented {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Puts the secrets of sessions into the server's record, for Wireshark.
#[derive(Debug)]
struct RecordedSecrets(Arc<Record>);

impl KeyLog for RecordedSecrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        self.0.log_secret(label, client_random, secret);
    }
}
