//! The date by which certificates are checked: set over the console, since the board has no battery to keep one.
//!
//! What enters: `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339, in UTC), or the two forms of a certificate's dates (RFC 5280, section
//! 4.1.2.5). What leaves: seconds of Unix time. It goes on from where it was set.

use core::fmt;

use embassy_time::Instant;

/// Seconds since 1970-01-01T00:00:00Z, leap seconds left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub i64);

/// A clock that has been set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    set_to: UnixTime,
    set_at: Instant,
}

impl Clock {
    /// A clock that shows `time` now.
    #[must_use]
    pub fn set(time: UnixTime) -> Self {
        Self {
            set_to: time,
            set_at: Instant::now(),
        }
    }

    /// What it shows now.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        let passed = Instant::now().saturating_duration_since(self.set_at).as_secs();
        UnixTime(self.set_to.0.saturating_add_unsigned(passed))
    }
}

impl UnixTime {
    /// Reads `YYYY-MM-DDTHH:MM:SSZ`; nothing else will do.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let [date_time @ .., b'Z'] = text.as_bytes() else {
            return None;
        };
        let mut digits = [0; 14];
        let mut found = digits.iter_mut();
        for (at, byte) in date_time.iter().enumerate() {
            let separator = match at {
                4 | 7 => b'-',
                10 => b'T',
                13 | 16 => b':',
                _ => {
                    *found.next()? = *byte;
                    continue;
                }
            };
            if *byte != separator {
                return None;
            }
        }
        found.next().is_none().then(|| Self::from_digits(&digits))?
    }

    /// Reads a UTCTime, `YYMMDDHHMMSSZ`, whose years are 1950 to 2049.
    #[must_use]
    pub fn from_utc_time(text: &[u8]) -> Option<Self> {
        let [digits @ .., b'Z'] = text else { return None };
        let first = *digits.first()?;
        let mut whole = [0; 14];
        whole[..2].copy_from_slice(if first < b'5' { b"20" } else { b"19" });
        whole[2..].copy_from_slice(digits.first_chunk::<12>().filter(|_| digits.len() == 12)?);
        Self::from_digits(&whole)
    }

    /// Reads a GeneralizedTime, `YYYYMMDDHHMMSSZ`.
    #[must_use]
    pub fn from_generalized_time(text: &[u8]) -> Option<Self> {
        let [digits @ .., b'Z'] = text else { return None };
        Self::from_digits(digits.first_chunk().filter(|_| digits.len() == 14)?)
    }

    /// From `YYYYMMDDHHMMSS`.
    fn from_digits(digits: &[u8; 14]) -> Option<Self> {
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = |from: usize, to: usize| {
            digits[from..to]
                .iter()
                .fold(0, |value, digit| value * 10 + i64::from(digit - b'0'))
        };
        let (year, month, day) = (number(0, 4), number(4, 6), number(6, 8));
        let (hour, minute, second) = (number(8, 10), number(10, 12), number(12, 14));
        let valid = (1..=12).contains(&month)
            && (1..=days_of(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        valid.then(|| Self(days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second))
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to this date of the Gregorian calendar; negative before.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    years + (1..month).map(|month| days_of(year, month)).sum::<i64>() + day - 1
}

/// What the clock was set to, as `YYYY-MM-DDTHH:MM:SSZ`.
impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut days, seconds) = (self.set_to.0.div_euclid(86_400), self.set_to.0.rem_euclid(86_400));
        let mut year = 1970;
        while days >= 365 + i64::from(is_leap(year)) {
            days -= 365 + i64::from(is_leap(year));
            year += 1;
        }
        while days < 0 {
            year -= 1;
            days += 365 + i64::from(is_leap(year));
        }
        let mut month = 1;
        while days >= days_of(year, month) {
            days -= days_of(year, month);
            month += 1;
        }
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
            days + 1
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn dates_are_read_in_all_three_forms() {
        // Seconds as `date -u -d ... +%s` prints them.
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59Z", -1),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-11-05T09:30:00Z", 1_793_871_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("1900-01-01T00:00:00Z", -2_208_988_800),
        ] {
            let time = UnixTime::parse(text).unwrap();
            assert_eq!(time, UnixTime(seconds), "{text}");
            assert_eq!(Clock::set(time).to_string(), text);
            let digits: std::string::String = text.chars().filter(char::is_ascii_digit).collect();
            assert_eq!(
                UnixTime::from_generalized_time(std::format!("{digits}Z").as_bytes()),
                Some(time)
            );
        }
        assert_eq!(UnixTime::from_utc_time(b"261105093000Z"), Some(UnixTime(1_793_871_000)));
        assert_eq!(UnixTime::from_utc_time(b"500101000000Z"), Some(UnixTime(-631_152_000)));
        assert_eq!(UnixTime::from_utc_time(b"491231235959Z"), Some(UnixTime(2_524_607_999)));
    }

    #[test]
    fn a_clock_that_was_set_goes_on_by_seconds() {
        let began = std::time::Instant::now();
        let clock = Clock::set(UnixTime(1000));
        embassy_time::block_for(embassy_time::Duration::from_millis(1100));
        let UnixTime(shown) = clock.now();
        let most = i64::try_from(began.elapsed().as_secs()).unwrap();
        assert!((1001..=1000 + most).contains(&shown), "{shown} after {most} s");
        assert_eq!(clock.to_string(), "1970-01-01T00:16:40Z", "it is shown as it was set");
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "Z",
            "2026-11-05",
            "2026-11-05T09:30:00",
            "2026-11-05 09:30:00Z",
            "2026-11-05T09:30:00+00:00",
            "2026-11-05T09:30:00.5Z",
            "2026-13-05T09:30:00Z",
            "2026-00-05T09:30:00Z",
            "2026-02-29T09:30:00Z",
            "2026-11-31T09:30:00Z",
            "2026-11-05T24:00:00Z",
            "2026-11-05T09:60:00Z",
            "2026-11-05T09:30:60Z",
            "2026-1a-05T09:30:00Z",
            "2026-11-05T09:30:00ZZ",
            "12026-11-05T09:30:00Z",
        ] {
            assert_eq!(UnixTime::parse(text), None, "{text}");
        }
        for text in [
            &b"2611050930Z"[..],
            b"261105093000",
            b"2611050930000Z",
            b"261105093000+0000",
            b"",
        ] {
            assert_eq!(UnixTime::from_utc_time(text), None);
            assert_eq!(UnixTime::from_generalized_time(text), None);
        }
    }
}
