//! The DNS server (RFC 1035). It knows the configured names and no others.
//!
//! Enters: the payload of a datagram to port 53. Leaves: the answer. Must not know: frames.

use std::fmt::Write as _;

use smoltcp::wire::{DnsFlags, DnsOpcode, DnsPacket, DnsQueryType, DnsQuestion};

use crate::{
    config::LanConfig,
    event::{NameAnswer, What},
    faults::{Decoy, NameError},
};

/// Answers a query, with `error` in place of an address if there is one. There is no event if the question is
/// malformed, and no answer if the message is not a query.
pub(crate) fn answer(config: &LanConfig, message: &[u8], error: Option<NameError>) -> Option<(Vec<u8>, Option<What>)> {
    let query = DnsPacket::new_checked(message).ok()?;
    if query.flags().contains(DnsFlags::RESPONSE) {
        return None;
    }
    if query.opcode() != DnsOpcode::Query {
        return Some((reply(&query, NOT_IMPLEMENTED, &[], None), None));
    }
    let Some((question, name)) = question(&query) else {
        return Some((reply(&query, FORMAT_ERROR, &[], None), None));
    };
    let kind = u16::from(question.type_);
    let answer = match config.resolve(&name) {
        _ if let Some(error) = error => NameAnswer::Error(error),
        Some(address) if question.type_ == DnsQueryType::A => NameAnswer::Address(address),
        Some(_) => NameAnswer::NoData,
        None => NameAnswer::Unknown,
    };
    let mut asked = vec![0; question.buffer_len()];
    question.emit(&mut asked);
    let (code, address) = match answer {
        NameAnswer::Address(address) => (NO_ERROR, Some(address.octets())),
        NameAnswer::NoData => (NO_ERROR, None),
        NameAnswer::Unknown | NameAnswer::Error(NameError::NxDomain) => (NAME_ERROR, None),
        NameAnswer::Error(NameError::ServFail) => (SERVER_FAILURE, None),
        NameAnswer::Error(NameError::Refused) => (REFUSED, None),
    };
    Some((
        reply(&query, code, &asked, address),
        Some(What::NameAsked { name, kind, answer }),
    ))
}

/// The name and the record type that a query asks for; `None` if the message is not a query with exactly one question.
pub(crate) fn asks_for(message: &[u8]) -> Option<(String, u16)> {
    let query = DnsPacket::new_checked(message).ok()?;
    if query.flags().contains(DnsFlags::RESPONSE) || query.opcode() != DnsOpcode::Query {
        return None;
    }
    let (question, name) = question(&query)?;
    Some((name, question.type_.into()))
}

/// A forged answer to a query; `None` if the message has no valid question.
pub(crate) fn forge(message: &[u8], decoy: Decoy) -> Option<Vec<u8>> {
    let query = DnsPacket::new_checked(message).ok()?;
    let (question, _) = question(&query)?;
    let mut asked = vec![0; question.buffer_len()];
    question.emit(&mut asked);
    if decoy == Decoy::OtherName {
        // Another first letter in the first label makes another name of the same length.
        let letter = asked.get_mut(1)?;
        *letter = if *letter == b'x' { b'y' } else { b'x' };
    }
    let mut forged = reply(&query, NO_ERROR, &asked, Some(NOWHERE));
    if decoy == Decoy::WrongId {
        let id = query.transaction_id() ^ 1;
        forged.splice(..2, id.to_be_bytes());
    }
    Some(forged)
}

/// The only question of a query, and its name. `None` if there is not exactly one question, or its name is compressed,
/// which the first name of a message cannot be.
fn question<'a>(query: &'a DnsPacket<&'a [u8]>) -> Option<(DnsQuestion<'a>, String)> {
    if query.question_count() != 1 {
        return None;
    }
    let (_, question) = DnsQuestion::parse(query.payload()).ok()?;
    let labels: Vec<&[u8]> = query.parse_name(question.name).collect::<Result<_, _>>().ok()?;
    let length = 1 + labels.iter().map(|label| 1 + label.len()).sum::<usize>();
    if length != question.name.len() || length > 255 {
        return None;
    }
    let name = labels
        .iter()
        .map(|label| printable(label))
        .collect::<Vec<_>>()
        .join(".");
    Some((question, name))
}

/// A label in the notation of RFC 1035 section 5.1, which escapes control characters and dots.
fn printable(label: &[u8]) -> String {
    label.iter().fold(String::new(), |mut text, &byte| {
        match byte {
            b'.' | b'\\' => text.extend(['\\', char::from(byte)]),
            0x21..=0x7e => text.push(char::from(byte)),
            _ => write!(text, "\\{byte:03}").expect("writing to a string cannot fail"),
        }
        text
    })
}

fn reply(query: &DnsPacket<&[u8]>, code: u16, question: &[u8], address: Option<[u8; 4]>) -> Vec<u8> {
    let opcode = u16::from(u8::from(query.opcode()) & 0xf) << 11;
    let desired = query.flags() & DnsFlags::RECURSION_DESIRED;
    let flags = DnsFlags::RESPONSE | DnsFlags::AUTHORITATIVE | DnsFlags::RECURSION_AVAILABLE | desired;
    let counts = [u16::from(!question.is_empty()), u16::from(address.is_some()), 0, 0];
    let mut message = Vec::new();
    message.extend(query.transaction_id().to_be_bytes());
    message.extend((flags.bits() | opcode | code).to_be_bytes());
    message.extend(counts.into_iter().flat_map(u16::to_be_bytes));
    message.extend(question);
    if let Some(address) = address {
        message.extend(NAME_OF_QUESTION);
        message.extend(u16::from(DnsQueryType::A).to_be_bytes());
        message.extend(CLASS_INTERNET.to_be_bytes());
        message.extend(TIME_TO_LIVE.to_be_bytes());
        message.extend(4_u16.to_be_bytes());
        message.extend(address);
    }
    message
}

/// UDP port of DNS servers.
pub(crate) const PORT: u16 = 53;

// Response codes, RFC 1035 section 4.1.1.
const NO_ERROR: u16 = 0;
const FORMAT_ERROR: u16 = 1;
const SERVER_FAILURE: u16 = 2;
const NAME_ERROR: u16 = 3;
const NOT_IMPLEMENTED: u16 = 4;
const REFUSED: u16 = 5;

/// Where forged answers lead: an address of TEST-NET-3 (RFC 5737).
const NOWHERE: [u8; 4] = [203, 0, 113, 66];

/// A pointer to the first byte behind the header, where the question's name is (RFC 1035 section 4.1.4).
const NAME_OF_QUESTION: [u8; 2] = [0xc0, 12];
const CLASS_INTERNET: u16 = 1;
/// In seconds. Short, so that a board which is moved to another network does not remember this one's names.
const TIME_TO_LIVE: u32 = 30;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn config() -> LanConfig {
        LanConfig {
            names: vec![("api.github.com".into(), Ipv4Addr::new(10, 13, 37, 10))],
            ..LanConfig::default()
        }
    }

    fn query(name: &[u8], kind: u16) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(name);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    #[test]
    fn a_name_resolves_in_any_case_and_the_question_comes_back_verbatim() {
        let name = b"\x03ApI\x06GitHub\x03com\x00";
        let (reply, event) = answer(&config(), &query(name, 1), None).unwrap();
        assert_eq!(reply[..4], [0xab, 0xcd, 0x85, 0x80]);
        assert_eq!(reply[4..12], [0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(reply[12..12 + name.len()], name[..]);
        assert_eq!(reply[reply.len() - 4..], [10, 13, 37, 10]);
        let answer = NameAnswer::Address(Ipv4Addr::new(10, 13, 37, 10));
        assert_eq!(
            event,
            Some(What::NameAsked {
                name: "ApI.GitHub.com".into(),
                kind: 1,
                answer
            })
        );
    }

    #[test]
    fn a_question_for_another_type_of_a_known_name_gets_no_record_and_no_error() {
        let (reply, event) = answer(&config(), &query(b"\x03api\x06github\x03com\x00", 28), None).unwrap();
        assert_eq!(reply[3] & 0xf, 0);
        assert_eq!(reply[6..8], [0, 0]);
        assert!(matches!(
            event,
            Some(What::NameAsked {
                answer: NameAnswer::NoData,
                kind: 28,
                ..
            })
        ));
    }

    #[test]
    fn a_dot_within_a_label_is_another_name() {
        let (reply, event) = answer(&config(), &query(b"\x0eapi.github.com\x00", 1), None).unwrap();
        assert_eq!(reply[3] & 0xf, 3);
        let Some(What::NameAsked {
            name,
            answer: NameAnswer::Unknown,
            ..
        }) = event
        else {
            panic!("{event:?}")
        };
        assert_eq!(name, r"api\.github\.com");
        let (_, event) = answer(&config(), &query(b"\x03a\x1b\xff\x00", 1), None).unwrap();
        assert!(matches!(event, Some(What::NameAsked { name, .. }) if name == r"a\027\255"));
    }

    #[test]
    fn malformed_queries_get_a_format_error_and_responses_get_no_answer() {
        for message in [
            query(b"\x03api", 1),                     // the name does not end
            query(b"\xc0\x0c", 1),                    // the name points to itself
            vec![0, 1, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0], // two questions, none there
        ] {
            let (reply, event) = answer(&config(), &message, None).unwrap();
            assert_eq!((reply.len(), reply[3] & 0xf, event), (12, 1, None), "{message:x?}");
        }
        let mut response = query(b"\x03api\x00", 1);
        response[2] |= 0x80;
        assert!(answer(&config(), &response, None).is_none());
        assert!(answer(&config(), b"short", None).is_none());
        let mut update = query(b"\x03api\x00", 1);
        update[2] = 5 << 3;
        let (reply, _) = answer(&config(), &update, None).unwrap();
        assert_eq!(reply[2..4], [0xa8 | 0x04, 0x84], "opcode carried over, not implemented");
    }
}
