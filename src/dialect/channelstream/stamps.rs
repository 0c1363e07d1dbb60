//! Dates, ids and texts, appended to what is being written.
//!
//! Nothing here allocates but for the growth of the buffer.

pub use crate::dialect::json::push_text;

const MICROS_PER_S: i64 = 1_000_000;
const S_PER_DAY: i64 = 86_400;
/// 9999-12-31T23:59:59.999999, the last date-time that has a written form.
const STAMP_MAX: i64 = 253_402_300_799_999_999;
/// 0001-01-01T00:00:00, the first one.
const STAMP_MIN: i64 = -62_135_596_800_000_000;

/// Appends a time in microseconds since 1970-01-01 UTC as `YYYY-MM-DDTHH:MM:SS.ffffff`, without a
/// zone. The fraction is left out when it is zero. Times after the year 9999 are written as its
/// last moment.
pub fn push_stamp(out: &mut Vec<u8>, unix_micros: u64) {
    push_local(out, i64::try_from(unix_micros).unwrap_or(STAMP_MAX));
}

/// The same for a time that may lie before 1970, in whatever zone it was meant. Times outside the
/// years 1 to 9999 are written as the nearest moment inside.
pub fn push_local(out: &mut Vec<u8>, micros: i64) {
    let micros = micros.clamp(STAMP_MIN, STAMP_MAX);
    let fraction = micros.rem_euclid(MICROS_PER_S);
    let seconds = micros.div_euclid(MICROS_PER_S);
    let of_day = seconds.rem_euclid(S_PER_DAY);
    let (year, month, day) = date_of(seconds.div_euclid(S_PER_DAY));

    let mut text = *b"0000-00-00T00:00:00.000000";
    put(&mut text, 0..4, year);
    put(&mut text, 5..7, month);
    put(&mut text, 8..10, day);
    put(&mut text, 11..13, of_day / 3600);
    put(&mut text, 14..16, of_day / 60 % 60);
    put(&mut text, 17..19, of_day % 60);
    put(&mut text, 20..26, fraction);
    let length = if fraction == 0 { 19 } else { 26 };
    out.extend_from_slice(text.get(..length).unwrap_or(&text));
}

/// Writes a number that is not negative into its place, with leading zeros.
fn put(text: &mut [u8], place: std::ops::Range<usize>, mut number: i64) {
    for digit in text.get_mut(place).unwrap_or(&mut []).iter_mut().rev() {
        // A remainder of ten is a digit.
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from the first of March, so that the leap day comes last. Then the months
/// have lengths in a pattern of five (153 days), and the years in one of 400 (146,097 days).
fn date_of(day: i64) -> (i64, i64, i64) {
    // From 0000-03-01 on.
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day = day.rem_euclid(146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next, month, day)
}

/// The day of a date counted from 1970-01-01. The date must be one.
pub(super) fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let era = year.div_euclid(400);
    let year = year.rem_euclid(400);
    let day = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468
}

/// A random id from 16 random bytes: version 4, variant 1 (RFC 9562 section 5.4).
pub fn uuid_v4(random: [u8; 16]) -> u128 {
    let free = u128::from_be_bytes(random) & !(0xf << 76 | 0x3 << 62);
    free | 0x4 << 76 | 0x2 << 62
}

/// Appends an id in lower case with hyphens, 36 bytes.
pub fn push_uuid(out: &mut Vec<u8>, uuid: u128) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut places = text.iter_mut();
    for (at, byte) in uuid.to_be_bytes().into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            // The hyphen is there already.
            places.next();
        }
        for half in [byte >> 4, byte & 0xf] {
            if let (Some(place), Some(&digit)) = (places.next(), DIGITS.get(usize::from(half))) {
                *place = digit;
            }
        }
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn stamps_as_the_original_writes_them() {
        for (micros, expected) in [
            (0, "1970-01-01T00:00:00"),
            (1, "1970-01-01T00:00:00.000001"),
            (951_782_399_999_999, "2000-02-28T23:59:59.999999"),
            (951_782_400_000_000, "2000-02-29T00:00:00"),
            (951_868_800_000_000, "2000-03-01T00:00:00"),
            (1_600_000_000_000_000, "2020-09-13T12:26:40"),
            (1_600_000_000_120_000, "2020-09-13T12:26:40.120000"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999"),
            (253_402_300_800_000_000, "9999-12-31T23:59:59.999999"),
            (u64::MAX, "9999-12-31T23:59:59.999999"),
        ] {
            assert_eq!(written(|out| push_stamp(out, micros)), expected);
        }
        for (micros, expected) in [
            (-1, "1969-12-31T23:59:59.999999"),
            (i64::MIN, "0001-01-01T00:00:00"),
            (STAMP_MIN, "0001-01-01T00:00:00"),
        ] {
            assert_eq!(written(|out| push_local(out, micros)), expected);
        }
    }

    #[test]
    fn every_day_of_the_calendar_follows_the_one_before() {
        let mut date = (1, 1, 1);
        let first = day_of(1, 1, 1);
        for day in first..=day_of(9999, 12, 31) {
            assert_eq!(date_of(day), date);
            assert_eq!(day_of(date.0, date.1, date.2), day);
            let (year, month, of_month) = date;
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if is_leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            date = match (of_month == length, month) {
                (false, _) => (year, month, of_month + 1),
                (true, 12) => (year + 1, 1, 1),
                (true, _) => (year, month + 1, 1),
            };
        }
        assert_eq!(date, (10_000, 1, 1));
    }

    #[test]
    fn uuids_are_version_4_in_lower_case() {
        let uuid = uuid_v4([0xff; 16]);
        let text = written(|out| push_uuid(out, uuid));
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let text = written(|out| push_uuid(out, uuid_v4([0; 16])));
        assert_eq!(text, "00000000-0000-4000-8000-000000000000");
        let text = written(|out| push_uuid(out, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
        assert_eq!(text, "01234567-89ab-cdef-0123-456789abcdef");
    }

    #[test]
    fn texts_are_escaped_as_needed_and_no_more() {
        let every: String = (0..0x250).filter_map(char::from_u32).collect();
        for text in [
            "",
            "plain",
            "é😀",
            "a\"b\\c/d\n\r\t\u{8}\u{1f}\u{7f}\u{2028}",
            &every,
        ] {
            let json = written(|out| push_text(out, text));
            assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
        }
        assert_eq!(
            written(|out| push_text(out, "a\u{1f}\"é")),
            "\"a\\u001f\\\"é\""
        );
    }
}
