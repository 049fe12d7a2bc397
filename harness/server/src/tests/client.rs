//! A rustls client, which trusts the test authority unless told otherwise.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use pinrig_certs::Recipe;
use rustls::crypto::ring::{default_provider, kx_group};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::RunningServer;

/// What the original sketch sends.
pub(super) const REQUEST: &str = "GET /repos/esp8266/Arduino/commits/master/status HTTP/1.1\r\n\
    Host: api.github.com\r\nUser-Agent: BuildFailureDetectorESP8266\r\nConnection: close\r\n\r\n";

pub(super) struct Client {
    trusted: Vec<u8>,
    versions: Vec<&'static SupportedProtocolVersion>,
    only_p256: bool,
}

impl Client {
    pub(super) fn new() -> Self {
        Self {
            trusted: Recipe::authority(),
            versions: vec![&rustls::version::TLS13, &rustls::version::TLS12],
            only_p256: false,
        }
    }

    pub(super) fn trusting(mut self, der: Vec<u8>) -> Self {
        self.trusted = der;
        self
    }

    pub(super) fn version(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    /// Offers a secp256r1 key share, as the firmware does.
    pub(super) fn only_p256(mut self) -> Self {
        self.only_p256 = true;
        self
    }

    /// Shakes hands, sends `request`, and returns what came until close_notify.
    pub(super) fn get(&self, server: &RunningServer, request: &str) -> Result<Vec<u8>, String> {
        let mut stream = self.connect(server);
        let mut response = Vec::new();
        let outcome = stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.read_to_end(&mut response));
        outcome.map_err(|error| error.to_string())?;
        stream.conn.send_close_notify();
        let _ = stream.flush();
        Ok(response)
    }

    /// A connection whose handshake happens at its first use.
    pub(super) fn connect(&self, server: &RunningServer) -> StreamOwned<ClientConnection, TcpStream> {
        let mut provider = default_provider();
        if self.only_p256 {
            provider.kx_groups = vec![kx_group::SECP256R1];
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.trusted.clone())).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("api.github.com").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(server.address()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        StreamOwned::new(connection, socket)
    }
}

/// The part of a response after the empty line.
pub(super) fn body_of(response: &[u8]) -> &[u8] {
    let end = response.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    &response[end + 4..]
}
