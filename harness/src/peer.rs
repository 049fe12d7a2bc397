//! Looks at another server's certificate, without trusting it.
//!
//! What enters: a connected TCP stream. What leaves: the leaf that the server presented. Nothing is verified, and no
//! application data is sent: this only reads a fingerprint.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};

/// Why no certificate could be read.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The name is not one that TLS can ask for.
    #[error("`{0}` is not a valid host name; give the name to ask for")]
    Name(String),
    /// The handshake did not get as far as a certificate.
    #[error("the TLS handshake failed: {0}")]
    Handshake(std::io::Error),
    /// TLS cannot be set up, or the certificate cannot be read.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The server presented no certificate.
    #[error("the server presented no certificate")]
    NoCertificate,
    /// The certificate's public key cannot be found.
    #[error("not an X.509 v3 certificate: {0}")]
    Certificate(webpki::Error),
}

/// The first certificate that the server behind `stream` presents to a client that asks for `host`.
///
/// # Errors
/// When there is no TLS server, or it presents none.
pub fn leaf_of(mut stream: TcpStream, host: &str) -> Result<CertificateDer<'static>, PeerError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| PeerError::Name(host.to_owned()))?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Looker))
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name)?;
    while connection.is_handshaking() && connection.peer_certificates().is_none() {
        connection.complete_io(&mut stream).map_err(PeerError::Handshake)?;
    }
    connection.send_close_notify();
    // The certificate is here. It does not matter whether close_notify arrives.
    let _ = connection.write_tls(&mut stream);
    connection
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|leaf| leaf.clone().into_owned())
        .ok_or(PeerError::NoCertificate)
}

/// The certificate's public key as curl's `--pinnedpubkey` takes it: `sha256//` and the base64 of the SHA-256 of the
/// SubjectPublicKeyInfo (RFC 7469, section 2.4).
///
/// # Errors
/// When the certificate is not X.509 v3.
pub fn public_key_pin(leaf: &CertificateDer<'_>) -> Result<String, PeerError> {
    use base64::Engine as _;
    let certificate = webpki::EndEntityCert::try_from(leaf).map_err(PeerError::Certificate)?;
    let digest = Sha256::digest(certificate.subject_public_key_info());
    Ok(format!(
        "sha256//{}",
        base64::engine::general_purpose::STANDARD.encode(digest)
    ))
}

/// Accepts every certificate: the caller only looks.
#[derive(Debug)]
struct Looker;

impl ServerCertVerifier for Looker {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
