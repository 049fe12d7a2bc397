//! A TLS server for the client's tests: what it says and what it saw.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ProtocolVersion, SupportedProtocolVersion};
use sha1::Digest as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How long a server that still waits for its client is given when the client has ended.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long an idle server waits for another connection when the client has ended.
const GLANCE: Duration = Duration::from_millis(20);

/// The server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) leaf: Vec<u8>,
    pub(crate) key: rcgen::KeyPair,
    /// What the first connection gets, what the second one gets, and so on; the last is for all that follow.
    pub(crate) replies: Vec<Vec<u8>>,
    pub(crate) behaviour: Behaviour,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
}

/// What it does besides sending its reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Behaviour {
    /// It says close_notify behind the reply.
    Reply,
    SilentAfterTcp,
    SilentAfterHandshake,
    SilentAfterReply,
    /// It repeats its reply for ever, with pauses.
    Drips,
    /// It repeats its reply for ever, without pauses.
    Floods,
    CutAfterReply,
    ForgeCloseAfterReply,
}

/// What it saw of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    pub(crate) version: Option<ProtocolVersion>,
    /// The first record, which has the ClientHello.
    pub(crate) hello: Vec<u8>,
    /// The name in the ClientHello.
    pub(crate) server_name: Option<String>,
    /// All application data that it received.
    pub(crate) request: String,
    pub(crate) error: String,
    /// The client said close_notify.
    pub(crate) closed_in_order: bool,
}

impl Server {
    pub(crate) fn with_reply(reply: &str) -> Self {
        Self::with_reply_bytes(reply.as_bytes())
    }

    pub(crate) fn with_reply_bytes(reply: &[u8]) -> Self {
        let params = rcgen::CertificateParams::new(["api.github.com".into()]).unwrap();
        Self::with_certificate(params, reply)
    }

    pub(crate) fn with_certificate(params: rcgen::CertificateParams, reply: &[u8]) -> Self {
        let key = key();
        let leaf = params.self_signed(&key).unwrap().der().to_vec();
        Self {
            leaf,
            key,
            replies: vec![reply.to_vec()],
            behaviour: Behaviour::Reply,
            versions: vec![&rustls::version::TLS13],
        }
    }

    /// The line that sets the leaf's SHA-1 as pin.
    pub(crate) fn sha1_pin(&self) -> String {
        format!("set pin {}", hex(&sha1::Sha1::digest(&self.leaf)))
    }

    /// Serves one connection after another until `client` has ended. Returns what both saw.
    pub(crate) async fn serve_while<T>(
        &self,
        listener: TcpListener,
        client: impl Future<Output = T>,
    ) -> (T, Vec<Served>) {
        let (served, busy) = (Mutex::new(Vec::new()), Cell::new(false));
        let serving = async {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                busy.set(true);
                let index = served.lock().unwrap().len();
                let reply = self.replies.get(index).or(self.replies.last()).unwrap();
                let one = self.serve(connection, reply).await;
                busy.set(false);
                served.lock().unwrap().push(one);
            }
        };
        tokio::pin!(serving);
        let result = tokio::select! {
            result = client => result,
            () = &mut serving => unreachable!("it serves for ever"),
        };
        // What the client has left behind is seen as well.
        let end = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::timeout(GLANCE, &mut serving).await.is_err() {
            if !busy.get() || tokio::time::Instant::now() > end {
                break;
            }
        }
        let served = served.lock().unwrap().clone();
        (result, served)
    }

    async fn serve(&self, mut tcp: TcpStream, reply: &[u8]) -> Served {
        let mut served = Served::default();
        if self.behaviour == Behaviour::SilentAfterTcp {
            let _ = tcp.read_to_end(&mut Vec::new()).await;
            return served;
        }
        served.hello = first_record(&tcp).await;
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let signer = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        let resolver = Arc::new(Resolver {
            chain: Arc::new(CertifiedKey::new(vec![self.leaf.clone().into()], signer)),
            asked: Mutex::new(None),
        });
        let config = rustls::ServerConfig::builder_with_protocol_versions(&self.versions)
            .with_no_client_auth()
            .with_cert_resolver(resolver.clone());
        let accepted = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(tcp).await;
        served.server_name = resolver.asked.lock().unwrap().take();
        let mut tls = match accepted {
            Ok(tls) => tls,
            Err(error) => {
                served.error = error.to_string();
                return served;
            }
        };
        served.version = tls.get_ref().1.protocol_version();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.ends_with(b"\r\n\r\n") {
            match tls.read(&mut buffer).await {
                Ok(0) => break,
                Ok(count) => request.extend_from_slice(&buffer[..count]),
                Err(error) => {
                    served.error = error.to_string();
                    break;
                }
            }
        }
        if self.behaviour != Behaviour::SilentAfterHandshake && served.error.is_empty() {
            let _ = tls.write_all(reply).await;
            let _ = tls.flush().await;
        }
        match self.behaviour {
            Behaviour::ForgeCloseAfterReply => {
                // What anyone on the path can do: an unencrypted close_notify.
                let tcp = tls.get_mut().0;
                let _ = tcp.write_all(&[21, 3, 3, 0, 2, 1, 0]).await;
                let _ = tcp.read_to_end(&mut Vec::new()).await;
            }
            Behaviour::CutAfterReply => {}
            Behaviour::Drips | Behaviour::Floods => {
                while tls.write_all(reply).await.is_ok() && tls.flush().await.is_ok() {
                    if self.behaviour == Behaviour::Drips {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    } else {
                        tokio::task::yield_now().await;
                    }
                }
            }
            Behaviour::SilentAfterHandshake | Behaviour::SilentAfterReply => {
                served.closed_in_order = tls.read_to_end(&mut request).await.is_ok();
            }
            Behaviour::Reply | Behaviour::SilentAfterTcp => {
                let _ = tls.shutdown().await;
                served.closed_in_order = tls.read_to_end(&mut request).await.is_ok();
            }
        }
        served.request = String::from_utf8(request).unwrap();
        served
    }
}

/// The first TLS record that comes in, which is left for the acceptor; as much of it as comes.
async fn first_record(tcp: &TcpStream) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    loop {
        let count = tcp.peek(&mut buffer).await.unwrap_or_default();
        let whole = match buffer[..count] {
            [_, _, _, high, low, ..] => 5 + usize::from(u16::from_be_bytes([high, low])),
            _ => 5,
        };
        if count == 0 || count >= whole.min(buffer.len()) {
            buffer.truncate(count);
            return buffer;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Shows the one chain that there is, and remembers for which name.
#[derive(Debug)]
struct Resolver {
    chain: Arc<CertifiedKey>,
    asked: Mutex<Option<String>>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        *self.asked.lock().unwrap() = hello.server_name().map(str::to_owned);
        Some(Arc::clone(&self.chain))
    }
}

/// A reply with an honest length.
pub(crate) fn reply(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn key() -> rcgen::KeyPair {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
