//! The Black Magic Probe's remote protocol, version 4, as far as a probe with nothing but JTAG speaks it. Bytes enter;
//! requests, and for each of them one reply, leave. It knows no socket and no board.
//!
//! A request is `!`, a command, `#`; a reply is `&`, K (done), E (failed), P (wrong parameter) or N (not supported), a number
//! or text, `#`. Source: the Black Magic Debug project's firmware, src/remote.h, and what probe-rs 0.32 sends.

use std::fmt;

/// A longer request cannot be one.
const LONGEST: usize = 1024;
/// Clock periods that one request may ask for; more would keep others waiting.
const MOST_CYCLES: u32 = 1 << 16;
const VERSION: u64 = 4;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Answer this, and do nothing.
    Answer(Reply),
    /// Pull EN low (true) or let it rise.
    Reset(bool),
    /// Tell whether EN is pulled low.
    IsReset,
    /// Keep this clock frequency, in Hz.
    SetFrequency(u32),
    /// Tell the frequency.
    Frequency,
    /// Bring the TAP into Run-Test/Idle by way of Test-Logic-Reset.
    TapReset,
    /// Clock levels at TMS and TDI, and tell TDO, the first in bit 0, if `answers`.
    Clocks { levels: Vec<(bool, bool)>, answers: bool },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Done(u64),
    Text(String),
    /// Bytes, each as two digits.
    Bytes([u8; 4]),
    /// Wrong length, says the firmware's list of errors.
    WrongLength,
    WrongParameter,
    Unknown,
    NotSupported,
}

impl fmt::Display for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(value) => write!(formatter, "&K{value:x}#"),
            Self::Text(text) => write!(formatter, "&K{text}#"),
            Self::Bytes([a, b, c, d]) => write!(formatter, "&K{a:02x}{b:02x}{c:02x}{d:02x}#"),
            Self::Unknown => write!(formatter, "&E1#"),
            Self::WrongLength => write!(formatter, "&E2#"),
            Self::WrongParameter => write!(formatter, "&P0#"),
            Self::NotSupported => write!(formatter, "&N0#"),
        }
    }
}

/// Finds requests in a stream of bytes.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    collected: Collected,
}

/// What has come of a request.
#[derive(Debug, Default)]
enum Collected {
    /// Nothing: between two requests.
    #[default]
    Nothing,
    /// The bytes after `!`.
    Request(Vec<u8>),
    /// Something that is no request, or too long for one. It is answered when it ends.
    Junk,
}

impl Requests {
    /// Takes a byte; a request if this was its last one.
    pub(crate) fn take(&mut self, byte: u8) -> Option<Request> {
        let junk = || Some(Request::Answer(Reply::Unknown));
        let (next, request) = match (std::mem::take(&mut self.collected), byte) {
            // Clients send "+#" and blanks to bring the two sides into step. It wants no answer.
            (Collected::Nothing, b'+' | b'#' | b' ' | b'\r' | b'\n') => (Collected::Nothing, None),
            (Collected::Nothing | Collected::Request(_), b'!') => (Collected::Request(Vec::new()), None),
            (Collected::Nothing, _) => (Collected::Junk, None),
            (Collected::Request(bytes), b'#') => (Collected::Nothing, Some(parse(&bytes))),
            (Collected::Request(bytes), _) if bytes.len() >= LONGEST => (Collected::Junk, None),
            (Collected::Request(mut bytes), _) => {
                bytes.push(byte);
                (Collected::Request(bytes), None)
            }
            (Collected::Junk, b'#' | b'\n') => (Collected::Nothing, junk()),
            (Collected::Junk, b'!') => (Collected::Request(Vec::new()), junk()),
            (Collected::Junk, _) => (Collected::Junk, None),
        };
        self.collected = next;
        request
    }
}

fn parse(request: &[u8]) -> Request {
    let done = Request::Answer(Reply::Done(0));
    let (command, rest) = request.split_at(request.len().min(2));
    match command {
        b"GA" => Request::Answer(Reply::Text("pinrig virtual ESP32-C3".to_owned())),
        b"GV" => Request::Answer(Reply::Text("3.3V".to_owned())),
        b"GZ" => switch(rest).map_or_else(Request::Answer, Request::Reset),
        b"Gz" => Request::IsReset,
        b"GF" => number(rest, 8).map_or_else(Request::Answer, Request::SetFrequency),
        b"Gf" => Request::Frequency,
        // The clock's pin is driven all the time.
        b"GE" => switch(rest).map_or_else(Request::Answer, |_| done),
        // No power comes from here, and no bus but JTAG is there.
        b"GP" | b"Gp" => Request::Answer(Reply::NotSupported),
        b"HC" => Request::Answer(Reply::Done(VERSION)),
        // The accelerators are for ARM cores.
        b"HA" => done,
        b"HJ" => device(rest).map_or_else(Request::Answer, |()| done),
        b"JS" | b"JR" => Request::TapReset,
        b"JN" => next(rest).map_or_else(Request::Answer, |levels| clocks(vec![levels], true)),
        b"JT" => select(rest).map_or_else(Request::Answer, |levels| clocks(levels, false)),
        b"JC" => cycles(rest).map_or_else(Request::Answer, |levels| clocks(levels, false)),
        b"JD" => data(rest, true).map_or_else(Request::Answer, |levels| clocks(levels, true)),
        b"Jd" => data(rest, false).map_or_else(Request::Answer, |levels| clocks(levels, true)),
        [b'S' | b'A' | b's' | b'R', _] => Request::Answer(Reply::NotSupported),
        _ => Request::Answer(Reply::Unknown),
    }
}

fn clocks(levels: Vec<(bool, bool)>, answers: bool) -> Request {
    Request::Clocks { levels, answers }
}

/// `JN`: TMS and TDI.
fn next(rest: &[u8]) -> Result<(bool, bool), Reply> {
    match rest {
        [tms, tdi] => Ok((switch(&[*tms])?, switch(&[*tdi])?)),
        _ => Err(Reply::WrongLength),
    }
}

/// `JT`: so many levels at TMS.
fn select(rest: &[u8]) -> Result<Vec<(bool, bool)>, Reply> {
    let (count, levels) = counted(rest)?;
    Ok((0..count).map(|n| (levels >> n & 1 != 0, false)).collect())
}

/// `JD` and `Jd`: so many levels at TDI, and whether TMS is high with the last.
fn data(rest: &[u8], ends: bool) -> Result<Vec<(bool, bool)>, Reply> {
    let (count, levels) = counted(rest)?;
    Ok((0..count)
        .map(|n| (ends && n + 1 == count, levels >> n & 1 != 0))
        .collect())
}

/// `JC`: TMS, TDI, and for how many periods.
fn cycles(rest: &[u8]) -> Result<Vec<(bool, bool)>, Reply> {
    let [tms, tdi, count @ ..] = rest else {
        return Err(Reply::WrongLength);
    };
    let levels = (switch(&[*tms])?, switch(&[*tdi])?);
    match number(count, 8)? {
        count @ 0..=MOST_CYCLES => Ok(vec![levels; count as usize]),
        _ => Err(Reply::WrongParameter),
    }
}

/// `HJ`: a device of the chain: six numbers of two digits and one of eight. There is one, and it needs no bits around it.
fn device(rest: &[u8]) -> Result<(), Reply> {
    if rest.len() != 20 {
        return Err(Reply::WrongLength);
    }
    match rest.iter().all(u8::is_ascii_hexdigit) {
        true => Ok(()),
        false => Err(Reply::WrongParameter),
    }
}

/// A count of two digits, and as many bits.
fn counted(rest: &[u8]) -> Result<(u32, u64), Reply> {
    let Some((count, bits)) = rest.split_at_checked(2) else {
        return Err(Reply::WrongLength);
    };
    if bits.is_empty() || bits.len() > 16 {
        return Err(Reply::WrongLength);
    }
    match hex(count)? {
        count @ 1..=64 => Ok((count as u32, hex(bits)?)),
        _ => Err(Reply::WrongParameter),
    }
}

fn switch(rest: &[u8]) -> Result<bool, Reply> {
    match rest {
        b"0" => Ok(false),
        b"1" => Ok(true),
        [_] => Err(Reply::WrongParameter),
        _ => Err(Reply::WrongLength),
    }
}

fn number(rest: &[u8], digits: usize) -> Result<u32, Reply> {
    if rest.len() != digits {
        return Err(Reply::WrongLength);
    }
    u32::try_from(hex(rest)?).map_err(|_| Reply::WrongParameter)
}

/// Up to sixteen digits.
fn hex(digits: &[u8]) -> Result<u64, Reply> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = char::from(*digit).to_digit(16).ok_or(Reply::WrongParameter)?;
        Ok(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(bytes: &[u8]) -> Vec<Request> {
        let mut requests = Requests::default();
        bytes.iter().filter_map(|byte| requests.take(*byte)).collect()
    }

    fn error(reply: Reply) -> Vec<Request> {
        vec![Request::Answer(reply)]
    }

    #[test]
    fn requests_are_found_between_what_clients_send_to_come_into_step() {
        assert_eq!(answers(b"+#!HC#"), error(Reply::Done(4)));
        assert_eq!(answers(b" !GV#"), error(Reply::Text("3.3V".to_owned())));
        assert_eq!(answers(b"!JN10#"), [clocks(vec![(true, false)], true)]);
        assert_eq!(
            answers(b"!JD03d#"),
            [clocks(vec![(false, true), (false, false), (true, true)], true)]
        );
        assert_eq!(answers(b"!GF00010000#"), [Request::SetFrequency(0x1_0000)]);
        // A request that is begun anew.
        assert_eq!(answers(b"!Jd20!HC#"), error(Reply::Done(4)));
    }

    #[test]
    fn everything_else_is_answered_with_an_error() {
        for (bytes, reply) in [
            (&b"GET / HTTP/1.1\r\n"[..], Reply::Unknown),
            (b"$qSupported#", Reply::Unknown),
            (b"!#", Reply::Unknown),
            (b"!J#", Reply::Unknown),
            (b"!JQ#", Reply::Unknown),
            (b"!\xFF\xFE#", Reply::Unknown),
            (b"!SS#", Reply::NotSupported),
            (b"!JN1#", Reply::WrongLength),
            (b"!JNxy#", Reply::WrongParameter),
            (b"!JD#", Reply::WrongLength),
            (b"!JD20#", Reply::WrongLength),
            (b"!JD00ff#", Reply::WrongParameter),
            (b"!JDff0#", Reply::WrongParameter),
            (b"!JD20g#", Reply::WrongParameter),
            (b"!JD2000000000000000000#", Reply::WrongLength),
            (b"!JC00ffffffff#", Reply::WrongParameter),
            (b"!GF1#", Reply::WrongLength),
            (b"!GF-0000001#", Reply::WrongParameter),
            (b"!HJ00#", Reply::WrongLength),
        ] {
            assert_eq!(answers(bytes), error(reply), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_request_without_an_end_is_not_kept_and_answered_once() {
        let mut requests = Requests::default();
        requests.take(b'!');
        assert!((0..100_000).all(|_| requests.take(b'0').is_none()));
        assert!(
            matches!(requests.collected, Collected::Junk),
            "no memory is held for it"
        );
        assert_eq!(requests.take(b'#'), Some(Request::Answer(Reply::Unknown)));
        requests.take(b'!');
        requests.take(b'H');
        requests.take(b'C');
        assert_eq!(requests.take(b'#'), Some(Request::Answer(Reply::Done(4))));
    }
}
