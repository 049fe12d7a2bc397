//! The Black Magic Probe's remote protocol, version 4, as a probe speaks it that has JTAG only. Bytes enter; requests
//! leave, each of which gets one reply. It knows no socket and no board.
//!
//! A request is `!`, a command and `#`. A reply is `&`, a letter, a number or text, and `#`. The letter is K (done), E
//! (failed), P (wrong parameter) or N (not supported). Source: the Black Magic Debug project's firmware, src/remote.h,
//! and what probe-rs 0.32 sends.

use std::fmt;

/// Bytes of the longest request. Anything longer is not a request.
const LONGEST: usize = 1024;
/// Clock periods that one request may ask for. More would keep the board from its other users.
const MOST_CYCLES: u32 = 1 << 16;
const VERSION: u64 = 4;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Send this reply and do nothing else.
    Answer(Reply),
    /// Pull EN low (true) or let it rise.
    Reset(bool),
    /// Reply whether EN is pulled low.
    IsReset,
    /// Keep this clock frequency, in Hz.
    SetFrequency(u32),
    /// Reply with the clock frequency.
    Frequency,
    /// Bring the TAP into Run-Test/Idle by way of Test-Logic-Reset.
    TapReset,
    /// Clock these levels into the TAP.
    Clocks { levels: Vec<Levels>, tdo: Tdo },
}

/// The levels at the TAP's inputs for one clock period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Levels {
    pub(crate) tms: bool,
    pub(crate) tdi: bool,
}

/// Whether the reply to clocks has the levels of TDO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tdo {
    /// The reply has them, the first in bit 0. Of 64 clock periods at most.
    Sent,
    /// The reply has zero in their place.
    Dropped,
}

/// The reply to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Done, with a number.
    Done(u64),
    /// Done, with a text.
    Text(String),
    /// Done, with bytes of two hexadecimal digits each.
    Bytes([u8; 4]),
    /// The request has the wrong length (error 2 of the firmware).
    WrongLength,
    /// The request has a parameter out of range.
    WrongParameter,
    /// The request is not known (error 1 of the firmware).
    Unknown,
    /// The request is known, and this probe does not support it.
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

/// What has arrived of a request.
#[derive(Debug, Default)]
enum Collected {
    /// Nothing: between two requests.
    #[default]
    Nothing,
    /// The bytes after `!`.
    Request(Vec<u8>),
    /// Bytes that are not a request, or too many for one. They are answered when they end.
    Junk,
}

impl Requests {
    /// Takes a byte. Returns a request if this was its last byte.
    pub(crate) fn take(&mut self, byte: u8) -> Option<Request> {
        let junk = || Some(Request::Answer(Reply::Unknown));
        let (next, request) = match (std::mem::take(&mut self.collected), byte) {
            // Clients send "+#" and blanks to synchronise with the probe. They expect no answer.
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
        // Switches the clock's pin, which is always driven here.
        b"GE" => switch(rest).map_or_else(Request::Answer, |_| done),
        // The target's supply, which this probe does not have.
        b"GP" | b"Gp" => Request::Answer(Reply::NotSupported),
        b"HC" => Request::Answer(Reply::Done(VERSION)),
        // The accelerators, which are for ARM cores.
        b"HA" => done,
        b"HJ" => device(rest).map_or_else(Request::Answer, |()| done),
        b"JS" | b"JR" => Request::TapReset,
        b"JN" => next(rest).map_or_else(Request::Answer, |levels| clocks(vec![levels], Tdo::Sent)),
        b"JT" => select(rest).map_or_else(Request::Answer, |levels| clocks(levels, Tdo::Dropped)),
        b"JC" => cycles(rest).map_or_else(Request::Answer, |levels| clocks(levels, Tdo::Dropped)),
        b"JD" => data(rest, LastTms::High).map_or_else(Request::Answer, |levels| clocks(levels, Tdo::Sent)),
        b"Jd" => data(rest, LastTms::Low).map_or_else(Request::Answer, |levels| clocks(levels, Tdo::Sent)),
        [b'S' | b'A' | b's' | b'R', _] => Request::Answer(Reply::NotSupported),
        _ => Request::Answer(Reply::Unknown),
    }
}

fn clocks(levels: Vec<Levels>, tdo: Tdo) -> Request {
    Request::Clocks { levels, tdo }
}

/// `JN`: TMS and TDI.
fn next(rest: &[u8]) -> Result<Levels, Reply> {
    match rest {
        [tms, tdi] => Ok(Levels {
            tms: switch(&[*tms])?,
            tdi: switch(&[*tdi])?,
        }),
        _ => Err(Reply::WrongLength),
    }
}

/// `JT`: a count, and that many levels at TMS.
fn select(rest: &[u8]) -> Result<Vec<Levels>, Reply> {
    let (count, bits) = counted(rest)?;
    let levels = |n| Levels {
        tms: bits >> n & 1 != 0,
        tdi: false,
    };
    Ok((0..count).map(levels).collect())
}

/// The level of TMS with the last bit of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastTms {
    /// The TAP goes on shifting.
    Low,
    /// The TAP leaves the shift state.
    High,
}

/// `JD` and `Jd`: a count, and that many levels at TDI.
fn data(rest: &[u8], last: LastTms) -> Result<Vec<Levels>, Reply> {
    let (count, bits) = counted(rest)?;
    let levels = |n| Levels {
        tms: last == LastTms::High && n + 1 == count,
        tdi: bits >> n & 1 != 0,
    };
    Ok((0..count).map(levels).collect())
}

/// `JC`: TMS, TDI, and for how many periods.
fn cycles(rest: &[u8]) -> Result<Vec<Levels>, Reply> {
    let [tms, tdi, count @ ..] = rest else {
        return Err(Reply::WrongLength);
    };
    let levels = next(&[*tms, *tdi])?;
    match number(count, 8)? {
        count @ 0..=MOST_CYCLES => Ok(vec![levels; count as usize]),
        _ => Err(Reply::WrongParameter),
    }
}

/// `HJ`: describes a device of the JTAG chain by six numbers of two digits and one of eight. The chain has one device
/// only, so the numbers need not be kept.
fn device(rest: &[u8]) -> Result<(), Reply> {
    if rest.len() != 20 {
        return Err(Reply::WrongLength);
    }
    match rest.iter().all(u8::is_ascii_hexdigit) {
        true => Ok(()),
        false => Err(Reply::WrongParameter),
    }
}

/// A count of two digits, from 1 to 64, and a number with that many bits.
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

/// A hexadecimal number of up to sixteen digits.
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

    fn levels(tms: bool, tdi: bool) -> Levels {
        Levels { tms, tdi }
    }

    fn error(reply: Reply) -> Vec<Request> {
        vec![Request::Answer(reply)]
    }

    #[test]
    fn requests_are_found_between_the_bytes_that_synchronise() {
        assert_eq!(answers(b"+#!HC#"), error(Reply::Done(4)));
        assert_eq!(answers(b" !GV#"), error(Reply::Text("3.3V".to_owned())));
        assert_eq!(answers(b"!JN10#"), [clocks(vec![levels(true, false)], Tdo::Sent)]);
        assert_eq!(
            answers(b"!JD03d#"),
            [clocks(
                vec![levels(false, true), levels(false, false), levels(true, true)],
                Tdo::Sent
            )]
        );
        assert_eq!(answers(b"!GF00010000#"), [Request::SetFrequency(0x1_0000)]);
        // A request that is broken off by another.
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
    fn an_endless_request_takes_no_memory_and_is_answered_once() {
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
