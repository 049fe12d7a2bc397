//! The names of the handshake messages that the rogue server can send, the right ones and the wrong ones.
//!
//! What enters: a name as a scenario spells it. What leaves: a [`Message`]. What each looks like as bytes is in
//! `rogue/messages.rs`.

use std::fmt;

macro_rules! messages {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A handshake message (RFC 8446 section 4) that the server sends, or must not send.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Message {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Message {
            /// Every message.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The message's name as a scenario spells it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

messages! {
    /// Section 4.1.3.
    ServerHello = "server-hello",
    /// Section 4.3.1, without extensions.
    EncryptedExtensions = "encrypted-extensions",
    /// Section 4.4.2: the server's chain.
    Certificate = "certificate",
    /// Section 4.4.3: the proof that the server has the leaf's key.
    CertificateVerify = "certificate-verify",
    /// Section 4.4.4.
    Finished = "finished",

    /// A ServerHello of TLS 1.2, without extensions.
    OlderServerHello = "older-server-hello",
    /// A ServerHello of TLS 1.2 with the mark of a server that speaks TLS 1.3 too (section 4.1.3): an attacker has
    /// changed the client's offer.
    DowngradedServerHello = "downgraded-server-hello",
    /// A ServerHello that selects version 0x0305, which does not exist.
    FutureServerHello = "future-server-hello",
    /// A ServerHello that selects TLS_AES_128_CCM_SHA256, which few clients offer.
    OtherSuiteServerHello = "other-suite-server-hello",
    /// A ServerHello with a key share of x25519.
    OtherGroupServerHello = "other-group-server-hello",
    /// A ServerHello whose key share is not a point of the curve.
    OffCurveServerHello = "off-curve-server-hello",
    /// A ServerHello with a session id that is not the client's.
    OtherSessionServerHello = "other-session-server-hello",
    /// A ServerHello that takes a pre-shared key.
    PskServerHello = "psk-server-hello",
    /// A ServerHello without a key share.
    NoShareServerHello = "no-share-server-hello",
    /// A HelloRetryRequest (section 4.1.4) for the group that the client has offered already.
    HelloRetryRequest = "hello-retry-request",

    /// EncryptedExtensions with an extension that the client did not ask for.
    UnaskedExtensions = "unasked-extensions",
    /// Section 4.3.2.
    CertificateRequest = "certificate-request",
    /// A Certificate with an empty list.
    EmptyCertificate = "empty-certificate",
    /// A CertificateVerify that says rsa_pss_rsae_sha256 over an ECDSA signature.
    MislabelledVerify = "mislabelled-verify",
    /// A CertificateVerify made as a client makes it, with the client's context string.
    ClientVerify = "client-verify",
    /// A CertificateVerify over the handshake without its Certificate.
    StaleVerify = "stale-verify",
    /// A Finished that is computed with the client's key.
    ReflectedFinished = "reflected-finished",

    /// Section 4.6.1.
    NewSessionTicket = "new-session-ticket",
    /// Section 4.6.3, without a request for the client's own.
    KeyUpdate = "key-update",
    /// The HelloRequest of TLS 1.2 (RFC 5246 section 7.4.1.1), which asks for a renegotiation.
    HelloRequest = "hello-request",
    /// The client's own ClientHello, sent back.
    ClientHello = "client-hello",
    /// A handshake message of type 99, which is not assigned.
    UnknownMessage = "unknown-message",
}

impl Message {
    /// The messages of an honest server, in order.
    pub const HONEST: [Self; 5] = [
        Self::ServerHello,
        Self::EncryptedExtensions,
        Self::Certificate,
        Self::CertificateVerify,
        Self::Finished,
    ];
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
