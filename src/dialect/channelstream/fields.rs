//! Readers of single fields, each with the exact complaint of the original.
//!
//! A reader takes the text of one JSON value, as [`super::json`] hands it out, and gives the value
//! or what is wrong with it. Null is refused by every reader but that of state values.

use super::dates::DateTime;
use super::errors::{self, Errors, Faults, Place};
use super::json::{Raw, each_entry, each_member};
use crate::limits::{
    CS_CALLBACK_CHARS_MAX, CS_CHANNEL_CHARS_MAX, CS_KEYS_PER_MAPPING_MAX, CS_NAMES_PER_LIST_MAX,
    CS_USER_CHARS_MAX,
};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How long a name may be, in code points; none may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameOf {
    /// 1 to 512.
    User,
    /// 1 to 256; also state keys.
    Channel,
}

impl NameOf {
    /// The complaint about a name of the wrong length, if it has one.
    pub fn check(self, name: &str) -> Result<(), &'static str> {
        let (chars_max, message) = match self {
            Self::User => (CS_USER_CHARS_MAX, errors::USER_LENGTH),
            Self::Channel => (CS_CHANNEL_CHARS_MAX, errors::CHANNEL_LENGTH),
        };
        // A character takes at least a byte, so most names need not be counted, and a character
        // takes at most four, so the longest need not be either.
        let fits = !name.is_empty()
            && name.len() <= chars_max * 4
            && (name.len() <= chars_max || name.chars().count() <= chars_max);
        if fits { Ok(()) } else { Err(message) }
    }
}

/// Any string.
pub fn text(json: &str) -> Result<Cow<'_, str>, Errors> {
    match Raw::of(json) {
        Raw::Text(text) => Ok(text),
        Raw::Null => Err(Errors::one(errors::NULL)),
        Raw::Bool(_) | Raw::Number(_) | Raw::List(_) | Raw::Object(_) => {
            Err(Errors::one(errors::NO_TEXT))
        }
    }
}

/// A string that is a name.
pub fn name(json: &str, of: NameOf) -> Result<Cow<'_, str>, Errors> {
    let name = text(json)?;
    of.check(&name).map_err(Errors::one)?;
    Ok(name)
}

/// A list of names, repeats kept.
pub fn names(json: &str, of: NameOf) -> Result<Vec<Cow<'_, str>>, Errors> {
    match Raw::of(json) {
        Raw::List(list) => {
            let mut names = Vec::new();
            let mut faults = Faults::default();
            let mut index = 0;
            let whole = each_entry(list, |entry| {
                index += 1;
                if index > CS_NAMES_PER_LIST_MAX {
                    return;
                }
                match name(entry, of) {
                    Ok(name) if faults.is_empty() => names.push(name),
                    Ok(_) => {}
                    Err(errors) => faults.push(|| Place::Index(index - 1), errors),
                }
            });
            if index > CS_NAMES_PER_LIST_MAX {
                return Err(Errors::one(errors::TOO_MANY));
            }
            faults.finish()?;
            match whole {
                Ok(Some(())) => Ok(names),
                // Not reached for a list in a checked body.
                Ok(None) | Err(_) => Err(Errors::one(errors::NO_LIST)),
            }
        }
        Raw::Null => Err(Errors::one(errors::NULL)),
        Raw::Bool(_) | Raw::Number(_) | Raw::Text(_) | Raw::Object(_) => {
            Err(Errors::one(errors::NO_LIST))
        }
    }
}

/// A list of names with at least one entry.
pub fn some_names(json: &str, of: NameOf) -> Result<Vec<Cow<'_, str>>, Errors> {
    let names = names(json, of)?;
    if names.is_empty() {
        return Err(Errors::one(errors::EMPTY));
    }
    Ok(names)
}

/// `true`, `false`, the numbers 1 and 0, or one of their spellings as a string.
pub fn boolean(json: &str) -> Result<bool, Errors> {
    let known = match Raw::of(json) {
        Raw::Null => return Err(Errors::one(errors::NULL)),
        Raw::Bool(value) => Some(value),
        // The original compares by value, so `1.0` and `-0` are fine too.
        Raw::Number(number) => match number.parse::<f64>() {
            Ok(1.0) => Some(true),
            Ok(0.0) => Some(false),
            Ok(_) | Err(_) => None,
        },
        Raw::Text(text) => match text.as_ref() {
            "t" | "T" | "true" | "True" | "TRUE" | "1" => Some(true),
            "f" | "F" | "false" | "False" | "FALSE" | "0" => Some(false),
            _ => None,
        },
        Raw::List(_) | Raw::Object(_) => None,
    };
    known.ok_or_else(|| Errors::one(errors::NO_BOOLEAN))
}

/// An integer of at least zero: a number (a fraction is cut off), a boolean, or a string with one.
/// What is beyond 64 bits counts as the largest number.
pub fn count(json: &str) -> Result<u64, Errors> {
    let number = match Raw::of(json) {
        Raw::Null => return Err(Errors::one(errors::NULL)),
        Raw::Bool(value) => Ok(u64::from(value)),
        Raw::Number(number) if number.contains(['.', 'e', 'E']) => float_count(number),
        Raw::Number(number) => whole_count(number),
        Raw::Text(text) => whole_count(text.trim()),
        Raw::List(_) | Raw::Object(_) => Err(errors::NO_INTEGER),
    };
    number.map_err(Errors::one)
}

/// An optional sign and decimal digits.
fn whole_count(text: &str) -> Result<u64, &'static str> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(errors::NO_INTEGER);
    }
    if is_negative && digits.bytes().any(|digit| digit != b'0') {
        return Err(errors::NEGATIVE);
    }
    // Nothing but digits is left, so what cannot be parsed is too large.
    Ok(digits.parse().unwrap_or(u64::MAX))
}

/// A number with a fraction or an exponent, cut off towards zero.
fn float_count(text: &str) -> Result<u64, &'static str> {
    match text.parse::<f64>() {
        Ok(number) if !number.is_finite() => Err(errors::NO_INTEGER),
        Ok(number) if number <= -1.0 => Err(errors::NEGATIVE),
        // The conversion cuts off and stops at both ends of the range.
        Ok(number) => Ok(number as u64),
        Err(_) => Err(errors::NO_INTEGER),
    }
}

/// An id, as a string in any of the forms of [`parse_uuid`].
pub fn uuid(json: &str) -> Result<u128, Errors> {
    match Raw::of(json) {
        Raw::Null => Err(Errors::one(errors::NULL)),
        Raw::Text(text) => parse_uuid(&text).ok_or_else(|| Errors::one(errors::NO_UUID)),
        Raw::Bool(_) | Raw::Number(_) | Raw::List(_) | Raw::Object(_) => {
            Err(Errors::one(errors::NO_UUID))
        }
    }
}

/// 32 hex digits in any case; hyphens, braces around them and the prefixes `urn:` and `uuid:` are
/// skipped.
pub fn parse_uuid(text: &str) -> Option<u128> {
    let braces = ['{', '}'];
    let text = text.trim_matches(braces);
    let text = text.strip_prefix("urn:").unwrap_or(text);
    let text = text.strip_prefix("uuid:").unwrap_or(text);
    let text = text.trim_matches(braces);
    let mut uuid: u128 = 0;
    let mut digit_count = 0;
    for byte in text.bytes().filter(|&byte| byte != b'-') {
        let digit = char::from(byte).to_digit(16)?;
        digit_count += 1;
        if digit_count > 32 {
            return None;
        }
        uuid = uuid << 4 | u128::from(digit);
    }
    (digit_count == 32).then_some(uuid)
}

/// A date-time, as a string.
pub fn date_time(json: &str) -> Result<DateTime, Errors> {
    match Raw::of(json) {
        Raw::Null => Err(Errors::one(errors::NULL)),
        Raw::Text(text) => DateTime::parse(&text).ok_or_else(|| Errors::one(errors::NO_DATE_TIME)),
        Raw::Bool(_) | Raw::Number(_) | Raw::List(_) | Raw::Object(_) => {
            Err(Errors::one(errors::NO_DATE_TIME))
        }
    }
}

/// A state value: string, number, boolean or null, as it was written.
pub fn state_value(json: &str) -> Result<&str, Errors> {
    match Raw::of(json) {
        Raw::Null | Raw::Bool(_) | Raw::Number(_) | Raw::Text(_) => Ok(json),
        Raw::List(_) | Raw::Object(_) => Err(Errors::one(errors::NO_STATE)),
    }
}

/// The payload of a message: an object of any content, as it was written.
pub fn payload(json: &str) -> Result<&str, Errors> {
    match Raw::of(json) {
        Raw::Object(object) => Ok(object),
        Raw::Null => Err(Errors::one(errors::NULL)),
        Raw::Bool(_) | Raw::Number(_) | Raw::Text(_) | Raw::List(_) => {
            Err(Errors::one(errors::NO_MAPPING))
        }
    }
}

/// A mapping from free keys to values of one kind. A key comes once; of a repeated one the last
/// value counts, at the place of the first.
pub fn mapping<'a, T>(
    json: &'a str,
    mut read: impl FnMut(&'a str) -> Result<T, Errors>,
) -> Result<Vec<(Cow<'a, str>, T)>, Errors> {
    let members = match Raw::of(json) {
        Raw::Object(object) => members(object)?,
        Raw::Null => return Err(Errors::one(errors::NULL)),
        Raw::Bool(_) | Raw::Number(_) | Raw::Text(_) | Raw::List(_) => {
            return Err(Errors::one(errors::NO_MAPPING));
        }
    };
    let mut values = Vec::with_capacity(members.len());
    let mut faults = Faults::default();
    for (key, json) in members {
        match read(json) {
            Ok(value) => values.push((key, value)),
            Err(errors) => faults.push(
                || Place::Key(key.as_ref().into()),
                Errors::Parts(vec![(Place::Field("value"), errors)]),
            ),
        }
    }
    faults.finish()?;
    Ok(values)
}

/// The members of an object, each key once; too many of them are refused.
pub(super) fn members(object: &str) -> Result<Vec<(Cow<'_, str>, &str)>, Errors> {
    let mut members: Vec<(Cow<'_, str>, &str)> = Vec::new();
    // An ordered map, so that no choice of keys makes it slow.
    let mut places: BTreeMap<Cow<'_, str>, usize> = BTreeMap::new();
    let mut count = 0;
    let whole = each_member(object, |key, value| {
        count += 1;
        if count > CS_KEYS_PER_MAPPING_MAX {
            return;
        }
        let place = *places.entry(key.clone()).or_insert(members.len());
        match members.get_mut(place) {
            Some(earlier) => earlier.1 = value,
            None => members.push((key, value)),
        }
    });
    debug_assert!(whole == Ok(Some(())), "the body was checked");
    if count > CS_KEYS_PER_MAPPING_MAX {
        return Err(Errors::one(errors::TOO_MANY_KEYS));
    }
    Ok(members)
}

/// Whether a JSONP callback is a name that cannot carry a script: letters, digits, `_`, `.` and
/// `$`, up to 128 of them.
pub fn is_callback(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$');
    !name.is_empty() && name.len() <= CS_CALLBACK_CHARS_MAX && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks readers against JSON texts: the value or the message.
    fn check<T: PartialEq + std::fmt::Debug>(
        read: impl Fn(&'static str) -> Result<T, Errors>,
        cases: &[(&'static str, Result<T, &'static str>)],
    ) {
        for (json, expected) in cases {
            let value = read(json);
            match (&value, expected) {
                (Ok(value), Ok(expected)) => assert_eq!(value, expected, "{json}"),
                (Err(errors), Err(message)) => assert_eq!(*errors, Errors::one(message), "{json}"),
                _ => panic!("{json}: {value:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn booleans() {
        let no = Err(errors::NO_BOOLEAN);
        let mut cases = vec![
            ("true", Ok(true)),
            ("false", Ok(false)),
            ("1", Ok(true)),
            ("0", Ok(false)),
            ("1.0", Ok(true)),
            ("-0", Ok(false)),
            ("null", Err(errors::NULL)),
        ];
        for json in [
            "\"t\"",
            "\"T\"",
            "\"true\"",
            "\"True\"",
            "\"TRUE\"",
            "\"1\"",
            "\"\\u0031\"",
        ] {
            cases.push((json, Ok(true)));
        }
        for json in [
            "\"f\"",
            "\"F\"",
            "\"false\"",
            "\"False\"",
            "\"FALSE\"",
            "\"0\"",
        ] {
            cases.push((json, Ok(false)));
        }
        for json in [
            "2",
            "-1",
            "1.5",
            "\"\"",
            "\"yes\"",
            "\"tRUE\"",
            "\"on\"",
            "\" 1\"",
            "[]",
            "{}",
            "[1]",
            "\"maybe\"",
            "7",
            "1e999",
        ] {
            cases.push((json, no));
        }
        check(boolean, &cases);
    }

    #[test]
    fn counts() {
        check(
            count,
            &[
                ("0", Ok(0)),
                ("-0", Ok(0)),
                ("5", Ok(5)),
                ("4.0", Ok(4)),
                ("4.9", Ok(4)),
                ("-0.5", Ok(0)),
                ("1e3", Ok(1000)),
                ("1e300", Ok(u64::MAX)),
                ("18446744073709551615", Ok(u64::MAX)),
                ("99999999999999999999999999999", Ok(u64::MAX)),
                ("true", Ok(1)),
                ("false", Ok(0)),
                ("\"5\"", Ok(5)),
                ("\" +5\\n\"", Ok(5)),
                ("\"007\"", Ok(7)),
                ("\"-0\"", Ok(0)),
                ("-1", Err(errors::NEGATIVE)),
                ("-1.5", Err(errors::NEGATIVE)),
                ("-99999999999999999999999999999", Err(errors::NEGATIVE)),
                ("\"-3\"", Err(errors::NEGATIVE)),
                ("\"abc\"", Err(errors::NO_INTEGER)),
                ("\"1.5\"", Err(errors::NO_INTEGER)),
                ("\"\"", Err(errors::NO_INTEGER)),
                ("\"+-5\"", Err(errors::NO_INTEGER)),
                ("\"- 5\"", Err(errors::NO_INTEGER)),
                ("\"1e3\"", Err(errors::NO_INTEGER)),
                ("1e999", Err(errors::NO_INTEGER)),
                ("[]", Err(errors::NO_INTEGER)),
                ("{}", Err(errors::NO_INTEGER)),
                ("null", Err(errors::NULL)),
            ],
        );
    }

    #[test]
    fn uuids() {
        let id = 0x8a6e_0804_2bd0_4672_b79d_d970_27f9_071a;
        let no = Err(errors::NO_UUID);
        check(
            uuid,
            &[
                ("\"8a6e0804-2bd0-4672-b79d-d97027f9071a\"", Ok(id)),
                ("\"{8A6E0804-2BD0-4672-B79D-D97027F9071A}\"", Ok(id)),
                ("\"8a6e08042bd04672b79dd97027f9071a\"", Ok(id)),
                ("\"urn:uuid:8a6e0804-2bd0-4672-b79d-d97027f9071a\"", Ok(id)),
                ("\"uuid:{8a6e08042bd04672b79dd97027f9071a}\"", Ok(id)),
                ("\"{urn:uuid:8a6e08042bd04672b79dd97027f9071a}\"", Ok(id)),
                ("\"-8a6e08042bd04672b79dd97027f9071a--\"", Ok(id)),
                ("\"8a6e0804-2bd0-4672-b79d-d97027f9071\"", no),
                ("\"8a6e0804-2bd0-4672-b79d-d97027f9071ab\"", no),
                ("\"8a6e0804-2bd0-4672-b79d-d97027f9071g\"", no),
                ("\"+a6e0804-2bd0-4672-b79d-d97027f9071a\"", no),
                ("\"é\"", no),
                ("\"\"", no),
                ("\"abc\"", no),
                ("\"not-a-uuid\"", no),
                ("5", no),
                ("true", no),
                ("[]", no),
                ("{}", no),
                ("null", Err(errors::NULL)),
            ],
        );
    }

    #[test]
    fn date_times_are_strings() {
        let no = Err(errors::NO_DATE_TIME);
        check(
            date_time,
            &[
                (
                    "\"1970-01-01T00:00:01\"",
                    Ok(DateTime::from_unix_micros(1_000_000)),
                ),
                ("\"\"", no),
                ("5", no),
                ("0", no),
                ("false", no),
                ("[]", no),
                ("{}", no),
                ("null", Err(errors::NULL)),
            ],
        );
    }

    #[test]
    fn state_values_and_payloads_stay_as_written() {
        let no = Err(errors::NO_STATE);
        check(
            state_value,
            &[
                ("null", Ok("null")),
                ("1.50", Ok("1.50")),
                ("\"\\u0061\"", Ok("\"\\u0061\"")),
                ("true", Ok("true")),
                ("[1]", no),
                ("{}", no),
            ],
        );
        let no = Err(errors::NO_MAPPING);
        check(
            payload,
            &[
                ("{ \"a\" : 1e999 }", Ok("{ \"a\" : 1e999 }")),
                ("null", Err(errors::NULL)),
                ("\"text\"", no),
                ("5", no),
                ("true", no),
                ("[]", no),
            ],
        );
    }

    #[test]
    fn names_are_counted_in_code_points() {
        for (of, chars_max) in [(NameOf::User, 512), (NameOf::Channel, 256)] {
            for letter in ["x", "é", "😀"] {
                assert_eq!(of.check(&letter.repeat(chars_max)), Ok(()));
                assert!(of.check(&letter.repeat(chars_max + 1)).is_err());
                assert!(of.check(&letter.repeat(chars_max * 5)).is_err());
            }
        }
        assert_eq!(NameOf::User.check(""), Err(errors::USER_LENGTH));
        assert_eq!(NameOf::Channel.check(""), Err(errors::CHANNEL_LENGTH));
        check(
            |json| name(json, NameOf::User),
            &[
                ("\"a\"", Ok("a".into())),
                ("\"\\n\"", Ok("\n".into())),
                ("\"\"", Err(errors::USER_LENGTH)),
                ("5", Err(errors::NO_TEXT)),
                ("true", Err(errors::NO_TEXT)),
                ("[]", Err(errors::NO_TEXT)),
                ("{}", Err(errors::NO_TEXT)),
                ("null", Err(errors::NULL)),
            ],
        );
    }

    #[test]
    fn of_a_repeated_key_the_last_value_counts() {
        let read = mapping(r#"{"a":1,"b":2,"\u0061":3,"a":4}"#, state_value).expect("fine");
        assert_eq!(read, [("a".into(), "4"), ("b".into(), "2")]);
        // The wrong value is gone, so it does not matter.
        let read = mapping(r#"{"a":[],"a":4}"#, state_value).expect("fine");
        assert_eq!(read, [("a".into(), "4")]);
        let errors = mapping(r#"{"a":1,"a":[],"":{}}"#, state_value).expect_err("wrong");
        let expected = format!(
            r#"{{"a":{{"value":["{0}"]}},"":{{"value":["{0}"]}}}}"#,
            errors::NO_STATE
        );
        assert_eq!(
            String::from_utf8(errors.to_json()).expect("UTF-8"),
            expected
        );
    }

    #[test]
    fn lists_and_mappings_are_bounded() {
        let list = |count| format!("[{}]", vec!["\"a\""; count].join(","));
        let fits = list(CS_NAMES_PER_LIST_MAX);
        let read = names(&fits, NameOf::User).expect("fits");
        assert_eq!(read.len(), CS_NAMES_PER_LIST_MAX);
        let more = list(CS_NAMES_PER_LIST_MAX + 1);
        let refused = names(&more, NameOf::User);
        assert_eq!(refused, Err(Errors::one(errors::TOO_MANY)));

        let object = |count: usize| {
            let members: Vec<String> = (0..count).map(|n| format!("\"{n}\":{n}")).collect();
            format!("{{{}}}", members.join(","))
        };
        let fits = object(CS_KEYS_PER_MAPPING_MAX);
        let read = mapping(&fits, state_value).expect("fits");
        assert_eq!(read.len(), CS_KEYS_PER_MAPPING_MAX);
        let more = object(CS_KEYS_PER_MAPPING_MAX + 1);
        let refused = mapping(&more, state_value);
        assert_eq!(refused, Err(Errors::one(errors::TOO_MANY_KEYS)));
    }

    #[test]
    fn callbacks_are_plain_names() {
        for name in ["cb", "jQuery123_456", "a.b.$c", &"x".repeat(128)] {
            assert!(is_callback(name), "{name}");
        }
        for name in ["", "a(b", "a b", "é", "alert(1)//", "a;b", &"x".repeat(129)] {
            assert!(!is_callback(name), "{name}");
        }
    }
}
