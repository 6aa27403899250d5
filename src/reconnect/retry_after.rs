//! The value of the header `Retry-After` (RFC 9110 section 10.2.3): a number of seconds, or a date.
//!
//! A date has one of the three formats of RFC 9110 section 5.6.7. The caller passes the wall-clock time. The
//! result is the duration from this time to the date.
//!
//! Invariant: every input gives a duration or `None`. A number that is too large gives the longest duration.

use core::time::Duration;

/// Returns the time that a value of `Retry-After` asks the client to wait, or `None` if the value is malformed.
///
/// `unix_time` is the time since the Unix epoch. It is needed if the value is a date: with `None`, a date gives `None`.
/// A date in the past gives zero.
///
/// ```
/// use core::time::Duration;
/// use hybi::reconnect::parse_retry_after;
///
/// let (wait, now) = (Duration::from_secs(37), Duration::from_secs(784_111_740));
/// assert_eq!(parse_retry_after(b"37", None), Some(wait));
/// assert_eq!(parse_retry_after(b"Sun, 06 Nov 1994 08:49:37 GMT", Some(now)), Some(wait));
/// assert_eq!(parse_retry_after(b"tomorrow", Some(now)), None);
/// ```
#[must_use]
pub fn parse_retry_after(value: &[u8], unix_time: Option<Duration>) -> Option<Duration> {
    let value = value.trim_ascii();
    if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
        let seconds = value.iter().fold(0_u64, |seconds, digit| {
            seconds.saturating_mul(10).saturating_add(u64::from(digit.wrapping_sub(b'0')))
        });
        return Some(Duration::from_secs(seconds));
    }
    let now = unix_time?;
    let date = imf_fixdate(value).or_else(|| rfc850_date(value, now)).or_else(|| asctime_date(value))?;
    Some(Duration::from_secs(date).saturating_sub(now))
}

const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const LONG_DAYS: [&[u8]; 7] =
    [b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday", b"Sunday"];
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Parses `Sun, 06 Nov 1994 08:49:37 GMT`. Returns the seconds since the Unix epoch.
fn imf_fixdate(value: &[u8]) -> Option<u64> {
    let mut rest = Rest(value);
    rest.one_of(&DAYS)?;
    rest.skip(b", ")?;
    let day = rest.number(2)?;
    rest.skip(b" ")?;
    let month = rest.one_of(&MONTHS)?;
    rest.skip(b" ")?;
    let year = rest.number(4)?;
    rest.skip(b" ")?;
    let time = rest.time()?;
    rest.skip(b" GMT")?;
    rest.end()?;
    Some(days(year, month, day)? * 86_400 + time)
}

/// Parses the obsolete format `Sunday, 06-Nov-94 08:49:37 GMT`. Returns the seconds since the Unix epoch.
fn rfc850_date(value: &[u8], now: Duration) -> Option<u64> {
    let mut rest = Rest(value);
    rest.one_of(&LONG_DAYS)?;
    rest.skip(b", ")?;
    let day = rest.number(2)?;
    rest.skip(b"-")?;
    let month = rest.one_of(&MONTHS)?;
    rest.skip(b"-")?;
    let last_digits = rest.number(2)?;
    rest.skip(b" ")?;
    let time = rest.time()?;
    rest.skip(b" GMT")?;
    rest.end()?;
    // RFC 9110 5.6.7: a year that appears to be more than 50 years in the future means the latest past year with the
    // same digits. The mean length of a year is exact enough here.
    let latest = 1970 + now.as_secs() / 31_556_952 + 50;
    let year = latest - (latest - last_digits) % 100;
    Some(days(year, month, day)?.saturating_mul(86_400).saturating_add(time))
}

/// Parses the obsolete format of `asctime`, `Sun Nov  6 08:49:37 1994`. Returns the seconds since the Unix epoch.
fn asctime_date(value: &[u8]) -> Option<u64> {
    let mut rest = Rest(value);
    rest.one_of(&DAYS)?;
    rest.skip(b" ")?;
    let month = rest.one_of(&MONTHS)?;
    rest.skip(b" ")?;
    let day = if rest.skip(b" ").is_some() { rest.number(1)? } else { rest.number(2)? };
    rest.skip(b" ")?;
    let time = rest.time()?;
    rest.skip(b" ")?;
    let year = rest.number(4)?;
    rest.end()?;
    Some(days(year, month, day)? * 86_400 + time)
}

/// The unread part of a date.
struct Rest<'v>(&'v [u8]);

impl Rest<'_> {
    /// Reads exactly these bytes.
    fn skip(&mut self, expected: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// Reads one of the names, and returns its position in the list.
    fn one_of(&mut self, names: &[&[u8]]) -> Option<usize> {
        names.iter().position(|name| self.skip(name).is_some())
    }

    /// Reads a number of exactly `len` digits.
    fn number(&mut self, len: usize) -> Option<u64> {
        let (digits, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        digits.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u64::from(digit.wrapping_sub(b'0')))
        })
    }

    /// Reads a time such as `08:49:37`, and returns the seconds since midnight. The second may be 60, a leap second.
    fn time(&mut self) -> Option<u64> {
        let hour = self.number(2)?;
        self.skip(b":")?;
        let minute = self.number(2)?;
        self.skip(b":")?;
        let second = self.number(2)?;
        (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
    }

    /// Returns `Some` if all bytes were read.
    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// Returns the number of days from the Unix epoch to a date, or 0 if the date is earlier. `month` counts from 0, and
/// `day` from 1. Returns `None` if the month has no such day.
fn days(year: u64, month: usize, day: u64) -> Option<u64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before: u64 = lengths.get(..month)?.iter().sum();
    if day == 0 || day > *lengths.get(month)? {
        return None;
    }
    let days = (days_before_year(year) + before + day - 1).saturating_sub(days_before_year(1970));
    Some(days)
}

/// Returns the number of days from the first day of the year 1 to the first day of `year`.
const fn days_before_year(year: u64) -> u64 {
    let years = year.saturating_sub(1);
    365 * years + years / 4 - years / 100 + years / 400
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the seconds since the Unix epoch of a date in any format.
    fn seconds(date: &str) -> Option<u64> {
        parse_retry_after(date.as_bytes(), Some(Duration::ZERO)).map(|wait| wait.as_secs())
    }

    #[test]
    fn s9110_10_2_3_seconds_are_read() {
        for (value, expected) in [
            (&b"0"[..], Some(0)),
            (b"120", Some(120)),
            (b" 7\t", Some(7)),
            (b"007", Some(7)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", Some(u64::MAX)),
            (b"99999999999999999999999999", Some(u64::MAX)),
            (b"", None),
            (b"-1", None),
            (b"+1", None),
            (b"1.5", None),
            (b"1 2", None),
            (b"1s", None),
            (b"\xff", None),
        ] {
            let value_text = value.escape_ascii();
            assert_eq!(parse_retry_after(value, None), expected.map(Duration::from_secs), "{value_text}");
        }
    }

    #[test]
    fn s9110_5_6_7_the_three_formats_give_the_same_time() {
        let now = Some(SECOND * 784_111_700);
        for value in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_retry_after(value.as_bytes(), now), Some(SECOND * 77), "{value}");
            assert_eq!(parse_retry_after(value.as_bytes(), None), None, "{value}");
        }
        // The obsolete format of `asctime` has two digits or a space before the day.
        assert_eq!(seconds("Wed Nov 16 08:49:37 1994"), Some(784_975_777));
    }

    #[test]
    fn a_date_in_the_past_asks_for_no_wait() {
        let value = b"Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(parse_retry_after(value, Some(SECOND * 784_111_777)), Some(Duration::ZERO));
        assert_eq!(parse_retry_after(value, Some(SECOND * 1_800_000_000)), Some(Duration::ZERO));
        assert_eq!(
            seconds("Fri, 31 Dec 1969 23:59:59 GMT"),
            Some(86_399),
            "a day before the epoch is the epoch"
        );
        assert_eq!(seconds("Sat, 01 Jan 0000 00:00:00 GMT"), Some(0));
    }

    #[test]
    fn dates_count_days_as_a_calendar_does() {
        // Steps through the calendar day by day, and compares each day.
        let (mut year, mut month, mut day) = (1970_u64, 1_u64, 1_u64);
        for number in 0..200_000_u64 {
            let name = core::str::from_utf8(MONTHS[usize::try_from(month).unwrap() - 1]).unwrap();
            let date = std::format!("Mon, {day:02} {name} {year:04} 00:00:01 GMT");
            assert_eq!(seconds(&date), Some(number * 86_400 + 1), "{date}");
            day += 1;
            let last = match month {
                2 if year % 400 == 0 || (year % 4 == 0 && year % 100 != 0) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            if day > last {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
        assert!(year > 2500, "{year}");
    }

    #[test]
    fn dates_that_do_not_exist_or_are_malformed_are_refused() {
        for date in [
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Wed, 29 Feb 1995 08:49:37 GMT",
            "Thu, 29 Feb 1900 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 GMT ,",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "sun, 06 nov 1994 08:49:37 gmt",
            "Sun, 06 November 1994 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  06 08:49:37 1994",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(seconds(date), None, "{date}");
        }
        assert_eq!(seconds("Sat, 31 Dec 2016 23:59:60 GMT"), Some(1_483_228_800), "a leap second");
        assert_eq!(seconds("Fri, 31 Dec 9999 23:59:59 GMT"), Some(253_402_300_799));
    }

    #[test]
    fn s9110_5_6_7_a_year_of_two_digits_is_at_most_50_years_ahead() {
        let year_start = |year: u64| SECOND * u32::try_from(days(year, 0, 2).unwrap() * 86_400).unwrap();
        for (now, digits, expected) in [
            (2026, 26, 2026),
            (2026, 76, 2076),
            (2026, 77, 1977),
            (2026, 0, 2000),
            (1999, 0, 2000),
            (1999, 50, 1950),
        ] {
            let value = std::format!("Monday, 02-Jan-{digits:02} 00:00:00 GMT");
            assert_eq!(
                rfc850_date(value.as_bytes(), year_start(now)),
                Some(days(expected, 0, 2).unwrap() * 86_400)
            );
        }
        // A clock that is far off causes no panic.
        let value = b"Monday, 02-Jan-99 00:00:00 GMT";
        assert_eq!(parse_retry_after(value, Some(Duration::MAX)), Some(Duration::ZERO));
    }

    #[test]
    fn no_prefix_and_no_changed_byte_causes_a_panic() {
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            for end in 0..date.len() {
                assert_eq!(seconds(&date[..end]), None);
                for byte in 0..=255 {
                    let mut changed = date.as_bytes().to_vec();
                    changed[end] = byte;
                    let _: Option<Duration> = parse_retry_after(&changed, Some(SECOND * 1_700_000_000));
                }
            }
        }
    }
}
