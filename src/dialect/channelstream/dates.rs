//! Date-times as callers give them, and as they are written back.
//!
//! The form is that of ISO 8601 as the original's regular expression has it: `YYYY-MM-DD`, `T` or a
//! space, `HH:MM`, then optional seconds, fraction and offset. A moment keeps the offset it was
//! given in, because it is written back in it.

use super::stamps::{day_of, push_local};

/// A moment as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime {
    /// What the clock on the wall showed, in microseconds since 1970-01-01 00:00 on that wall. In
    /// the years 1 to 9999.
    pub local_micros: i64,
    /// How many minutes that clock was ahead of UTC, less than a day either way; `None` if nothing
    /// was said, which is taken as UTC.
    pub offset_minutes: Option<i16>,
}

impl DateTime {
    /// Reads a date-time; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = Cursor(text.as_bytes());
        let year = rest.number(4, 4)?;
        rest.skip(b'-')?;
        let month = rest.number(1, 2)?;
        rest.skip(b'-')?;
        let day = rest.number(1, 2)?;
        rest.skip(b'T').or_else(|| rest.skip(b' '))?;
        let hour = rest.number(1, 2)?;
        rest.skip(b':')?;
        let minute = rest.number(1, 2)?;
        let mut second = 0;
        let mut fraction = 0;
        if rest.skip(b':').is_some() {
            second = rest.number(1, 2)?;
            if rest.skip(b'.').is_some() {
                fraction = rest.fraction()?;
            }
        }
        let offset_minutes = rest.offset()?;

        let is_date = year >= 1 && (1..=days_of(year, month)?).contains(&day);
        let is_time = hour < 24 && minute < 60 && second < 60;
        if !is_date || !is_time || !rest.0.is_empty() {
            return None;
        }
        let minutes = day_of(year, month, day) * 1_440 + hour * 60 + minute;
        Some(Self {
            local_micros: (minutes * 60 + second) * 1_000_000 + fraction,
            offset_minutes,
        })
    }

    /// A moment of our own, in microseconds since 1970-01-01 UTC; it has no offset.
    pub fn from_unix_micros(unix_micros: u64) -> Self {
        Self {
            local_micros: i64::try_from(unix_micros).unwrap_or(i64::MAX),
            offset_minutes: None,
        }
    }

    /// Microseconds since 1970-01-01 UTC, before or after.
    pub fn unix_micros(self) -> i64 {
        let offset = i64::from(self.offset_minutes.unwrap_or(0));
        self.local_micros.saturating_sub(offset * 60_000_000)
    }

    /// Appends it as in HTTP answers: a zero offset is `+00:00`.
    pub fn push_for_answer(self, out: &mut Vec<u8>) {
        self.push(out, b"+00:00");
    }

    /// Appends it as in frames: a zero offset is `Z`.
    pub fn push_for_frame(self, out: &mut Vec<u8>) {
        self.push(out, b"Z");
    }

    fn push(self, out: &mut Vec<u8>, zero: &[u8]) {
        push_local(out, self.local_micros);
        match self.offset_minutes {
            None => {}
            Some(0) => out.extend_from_slice(zero),
            Some(minutes) => {
                let sign = if minutes < 0 { b'-' } else { b'+' };
                let minutes = minutes.unsigned_abs();
                let (hours, minutes) = (minutes / 60 % 100, minutes % 60);
                let digit = |number: u16| b'0' + (number % 10) as u8;
                let (tens_h, ones_h) = (digit(hours / 10), digit(hours));
                let (tens_m, ones_m) = (digit(minutes / 10), digit(minutes));
                out.extend_from_slice(&[sign, tens_h, ones_h, b':', tens_m, ones_m]);
            }
        }
    }
}

/// How many days a month has; `None` if there is no such month.
fn days_of(year: i64, month: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => Some(29),
        2 => Some(28),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}

/// What is still to be read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    /// Goes past this byte, if it is next.
    fn skip(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// Takes a digit.
    fn digit(&mut self) -> Option<i64> {
        let (&first, rest) = self.0.split_first()?;
        if !first.is_ascii_digit() {
            return None;
        }
        self.0 = rest;
        Some(i64::from(first - b'0'))
    }

    /// Takes a number of this many digits.
    fn number(&mut self, digits_min: usize, digits_max: usize) -> Option<i64> {
        let mut number = 0;
        for count in 0..digits_max {
            match self.digit() {
                Some(digit) => number = number * 10 + digit,
                None if count < digits_min => return None,
                None => break,
            }
        }
        Some(number)
    }

    /// Takes 1 to 12 digits of a second and gives microseconds; what is finer is cut off.
    fn fraction(&mut self) -> Option<i64> {
        let mut micros = 0;
        let mut scale = 100_000;
        for count in 0..12 {
            match self.digit() {
                Some(digit) => micros += digit * scale,
                None if count == 0 => return None,
                None => break,
            }
            scale /= 10;
        }
        Some(micros)
    }

    /// Takes `Z`, `+HH`, `+HHMM`, `+HH:MM` or nothing, and gives minutes. The outer `None` is for
    /// what is neither.
    fn offset(&mut self) -> Option<Option<i16>> {
        if self.0.is_empty() {
            return Some(None);
        }
        if self.skip(b'Z').is_some() {
            return Some(Some(0));
        }
        let sign = match self.skip(b'+') {
            Some(()) => 1,
            None => self.skip(b'-').map(|()| -1)?,
        };
        let hours = self.number(2, 2)?;
        let minutes = match self.skip(b':') {
            Some(()) => self.number(2, 2)?,
            None if self.0.is_empty() => 0,
            None => self.number(2, 2)?,
        };
        let offset = hours * 60 + minutes;
        if offset >= 24 * 60 {
            return None;
        }
        // Less than a day, so it fits.
        Some(Some(sign * offset as i16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(text: &str) -> Option<(String, String)> {
        let moment = DateTime::parse(text)?;
        let (mut answer, mut frame) = (Vec::new(), Vec::new());
        moment.push_for_answer(&mut answer);
        moment.push_for_frame(&mut frame);
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Some((text(answer), text(frame)))
    }

    #[test]
    fn forms_of_transcript_037() {
        for (given, answer, frame) in [
            (
                "2020-01-02T03:04:05",
                "2020-01-02T03:04:05",
                "2020-01-02T03:04:05",
            ),
            (
                "2020-01-02T03:04:05Z",
                "2020-01-02T03:04:05+00:00",
                "2020-01-02T03:04:05Z",
            ),
            (
                "2020-01-02T03:04:05.123456+02:00",
                "2020-01-02T03:04:05.123456+02:00",
                "2020-01-02T03:04:05.123456+02:00",
            ),
            (
                "2020-01-02 03:04",
                "2020-01-02T03:04:00",
                "2020-01-02T03:04:00",
            ),
            (
                "2020-1-2T3:4:5.1",
                "2020-01-02T03:04:05.100000",
                "2020-01-02T03:04:05.100000",
            ),
            (
                "2020-01-02T03:04:05.123456789",
                "2020-01-02T03:04:05.123456",
                "2020-01-02T03:04:05.123456",
            ),
            (
                "2020-01-02T03:04:05+0000",
                "2020-01-02T03:04:05+00:00",
                "2020-01-02T03:04:05Z",
            ),
            (
                "2020-01-02T03:04:05-05:30",
                "2020-01-02T03:04:05-05:30",
                "2020-01-02T03:04:05-05:30",
            ),
            (
                "2020-01-02T03:04:05.000000",
                "2020-01-02T03:04:05",
                "2020-01-02T03:04:05",
            ),
            // Not recorded, but by the same rules.
            (
                "2020-02-29T23:59-23",
                "2020-02-29T23:59:00-23:00",
                "2020-02-29T23:59:00-23:00",
            ),
            (
                "0001-01-01T00:00",
                "0001-01-01T00:00:00",
                "0001-01-01T00:00:00",
            ),
            (
                "9999-12-31T23:59:59.999999999999+23:59",
                "9999-12-31T23:59:59.999999+23:59",
                "9999-12-31T23:59:59.999999+23:59",
            ),
            (
                "2020-01-02T03:04-00:00",
                "2020-01-02T03:04:00+00:00",
                "2020-01-02T03:04:00Z",
            ),
        ] {
            assert_eq!(
                both(given),
                Some((answer.to_owned(), frame.to_owned())),
                "{given}"
            );
        }
    }

    #[test]
    fn what_is_no_date_time() {
        for text in [
            "",
            "abc",
            "2020-01-02",
            "2020-13-02T03:04:05",
            "2020-00-02T03:04:05",
            "2020-01-00T03:04:05",
            "2020-01-32T03:04:05",
            "2019-02-29T03:04:05",
            "2100-02-29T03:04:05",
            "0000-01-02T03:04:05",
            "20-01-02T03:04:05",
            "02020-01-02T03:04:05",
            "2020-01-02T24:00:00",
            "2020-01-02T03:60:00",
            "2020-01-02T03:04:60",
            "2020-01-02t03:04:05",
            "2020-01-02T03",
            "2020-01-02T03:",
            "2020-01-02T03:04:",
            "2020-01-02T03:04:05.",
            "2020-01-02T03:04.5",
            "2020-01-02T03:04:05.1234567890123",
            "2020-01-02T03:04:05z",
            "2020-01-02T03:04:05+2",
            "2020-01-02T03:04:05+02:0",
            "2020-01-02T03:04:05+020",
            "2020-01-02T03:04:05+24:00",
            "2020-01-02T03:04:05 Z",
            " 2020-01-02T03:04:05",
            "2020-01-02T03:04:05\n",
            "2020-01-02T03:04:05Zé",
            "٢٠٢٠-01-02T03:04:05",
        ] {
            assert_eq!(DateTime::parse(text), None, "{text}");
        }
    }

    #[test]
    fn moments_compare_in_utc() {
        let utc = |text| DateTime::parse(text).expect("a date-time").unix_micros();
        assert_eq!(utc("1970-01-01T00:00:00"), 0);
        assert_eq!(utc("2020-09-13T12:26:40.5"), 1_600_000_000_500_000);
        assert_eq!(utc("2020-09-13T14:26:40.5+02:00"), 1_600_000_000_500_000);
        assert_eq!(utc("2020-09-13T06:56:40.5-05:30"), 1_600_000_000_500_000);
        assert_eq!(DateTime::from_unix_micros(7).unix_micros(), 7);
        let mut out = Vec::new();
        DateTime::from_unix_micros(u64::MAX).push_for_frame(&mut out);
        assert_eq!(out, b"9999-12-31T23:59:59.999999");
    }
}
