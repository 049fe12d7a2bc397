//! What a client still sends in clear after its first message: a second ClientHello, which answers a HelloRetryRequest (RFC 8446
//! section 4.1.2), or the ClientKeyExchange of TLS 1.2 (RFC 5246 section 7.4.7).
//!
//! What enters: records, as they come. What leaves: events. Protected records are passed over.

use crate::client_hello::ClientHello;
use crate::content_type::{CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER};
use crate::drawn::{Drawn, DrawnFor};
use crate::event::EventKind;

/// The handshake messages of a client after its first, joined from their records.
#[derive(Debug, Default)]
pub(crate) struct SecondFlight {
    /// The beginning of a message whose rest must still come.
    begun: Vec<u8>,
    /// ChangeCipherSpec has come: only a client of TLS 1.3 still sends something in clear, its second ClientHello.
    changed: bool,
}

impl SecondFlight {
    /// Takes one record, header included, and gives what it completes.
    pub(crate) fn take(&mut self, record: &[u8]) -> Vec<EventKind> {
        /// No message of a client in clear is longer. What is longer is not collected.
        const LARGEST: usize = 1 << 16;
        match record.first() {
            Some(&CHANGE_CIPHER_SPEC) => self.changed = true,
            Some(&HANDSHAKE) if self.begun.len() < LARGEST => {
                self.begun.extend(record.get(HEADER..).unwrap_or_default());
            }
            _ => self.begun.clear(),
        }
        let mut events = Vec::new();
        while let Some(message) = self.whole_message() {
            events.extend(self.read(&message));
        }
        events
    }

    /// A type, a length in three bytes, and a body of that length (RFC 8446 section 4).
    fn whole_message(&mut self) -> Option<Vec<u8>> {
        let &[_, a, b, c] = self.begun.first_chunk()?;
        let length = 4 + u32::from_be_bytes([0, a, b, c]) as usize;
        (length <= self.begun.len()).then(|| self.begun.drain(..length).collect())
    }

    fn read(&self, message: &[u8]) -> Option<EventKind> {
        const CLIENT_KEY_EXCHANGE: u8 = 16;
        match message {
            [CLIENT_KEY_EXCHANGE, _, _, _, value @ ..] if !self.changed => Some(EventKind::ClientKeyExchange(Drawn {
                what: DrawnFor::KeyExchange,
                value: value.to_vec(),
            })),
            _ => ClientHello::parse(message).map(|hello| EventKind::ClientHello(hello.facts)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, content: &[u8]) -> Vec<u8> {
        let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[kind, 3, 3, high, low], content].concat()
    }

    fn hello() -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend(0..32);
        body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
        [vec![1, 0, 0, u8::try_from(body.len()).unwrap()], body].concat()
    }

    #[test]
    fn a_second_hello_is_seen_behind_a_change_of_ciphers_and_in_pieces() {
        let mut flight = SecondFlight::default();
        assert_eq!(flight.take(&record(CHANGE_CIPHER_SPEC, &[1])), []);
        let hello = hello();
        assert_eq!(flight.take(&record(HANDSHAKE, &hello[..9])), []);
        let [EventKind::ClientHello(facts)] = &flight.take(&record(HANDSHAKE, &hello[9..]))[..] else {
            panic!("one event is expected");
        };
        assert_eq!(facts.drawn[0].value, (0..32).collect::<Vec<u8>>());
    }

    #[test]
    fn a_key_exchange_is_seen_and_what_is_protected_is_not() {
        let mut flight = SecondFlight::default();
        let exchange = [16, 0, 0, 3, 2, 7, 8];
        let [EventKind::ClientKeyExchange(drawn)] = &flight.take(&record(HANDSHAKE, &exchange))[..] else {
            panic!("one event is expected");
        };
        assert_eq!(drawn.value, [2, 7, 8]);
        flight.take(&record(CHANGE_CIPHER_SPEC, &[1]));
        assert_eq!(flight.take(&record(HANDSHAKE, &exchange)), []);
    }
}
