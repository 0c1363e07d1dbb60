//! MongoDB's extended JSON, in its two forms and the older one: what JSON has no word for is an object
//! with a name that begins with a dollar sign.
//!
//! A value stays the text it is until somebody says what it should be, so that no digit is lost.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Objects and lists within one another, at most; MongoDB allows a hundred.
const DEPTH_MAX: usize = 128;

/// The members of an object in their order, each value as it was written.
#[derive(Debug)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push((name.0, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// A name, borrowed where nothing in it is escaped.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'a> Members<'a> {
    /// The value of a member as it was written; none if it is missing, or null. Of several with one
    /// name the last counts.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let mut members = self.0.iter().rev();
        let (_, value) = members.find(|(known, _)| known == name)?;
        Some(value.get()).filter(|raw| *raw != "null")
    }

    /// Names and values in their order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (&**name, value.get()))
    }

    /// The value of the only member, if it has this name.
    fn only(&self, name: &str) -> Option<&'a str> {
        match self.0.as_slice() {
            [(known, value)] if known == name => Some(value.get()),
            _ => None,
        }
    }
}

fn object(raw: &str) -> Option<Members<'_>> {
    let is_object = raw.starts_with('{');
    is_object.then(|| serde_json::from_str(raw).ok()).flatten()
}

/// The digits of a number, however it is wrapped.
fn number(raw: &str) -> Option<Cow<'_, str>> {
    if raw.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return Some(Cow::Borrowed(raw));
    }
    let members = object(raw)?;
    let names = [
        "$numberLong",
        "$numberInt",
        "$numberDouble",
        "$numberDecimal",
    ];
    let inner = names.iter().find_map(|name| members.only(name))?;
    if inner.starts_with('"') {
        serde_json::from_str::<String>(inner).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// A number that JSON can have.
fn finite(raw: &str) -> Option<f64> {
    let digits = number(raw)?;
    digits
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

/// A whole number that is not negative, also one with a fraction of nothing.
pub(super) fn whole_of(raw: &str) -> Option<u64> {
    /// Beyond it not every whole number is one of these.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if let Ok(whole) = number(raw)?.parse() {
        return Some(whole);
    }
    let number = finite(raw)?;
    let is_whole = number.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&number);
    // In range, as was just seen.
    is_whole.then_some(number as u64)
}

/// `true` or `false`.
pub(super) fn bool_of(raw: &str) -> Option<bool> {
    match raw {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// A text, the digits of a number, or the digits of an id of the database; none if it is empty in
/// MongoDB's sense.
pub(super) fn text_of(raw: &str) -> Result<Option<Box<str>>, ()> {
    if raw.starts_with('"') {
        let text: String = serde_json::from_str(raw).map_err(|_| ())?;
        return Ok(Some(text.into()));
    }
    if let Some(digits) = number(raw) {
        return Ok(Some(digits.into()));
    }
    let id = object(raw).and_then(|members| members.only("$oid"));
    match id.and_then(|id| serde_json::from_str::<String>(id).ok()) {
        Some(id) => Ok(Some(id.into())),
        None => Err(()),
    }
}

/// Seconds since 1970-01-01 UTC, given as such or as a date.
pub(super) fn seconds_of(raw: &str) -> Option<u64> {
    micros_of(raw).map(|micros| micros / 1_000_000)
}

/// Microseconds since 1970-01-01 UTC, given in seconds or as a date. What was before counts as then.
pub(super) fn micros_of(raw: &str) -> Option<u64> {
    if let Some(seconds) = finite(raw) {
        // Beyond the range it is the end of it.
        return Some((seconds * 1e6).round() as u64);
    }
    let date = object(raw)?.only("$date")?;
    if let Some(milliseconds) = finite(date) {
        return Some((milliseconds * 1e3).round() as u64);
    }
    let text: String = serde_json::from_str(date).ok()?;
    micros_of_date(&text)
}

/// `2026-11-30T20:31:00.5Z`; the offset may also be written `+01:00` or `+0100`.
fn micros_of_date(text: &str) -> Option<u64> {
    let (date, time) = text.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(at);
    let mut time = time.split(':');
    let mut whole = || time.next()?.parse::<i64>().ok();
    let (hour, minute) = (whole()?, whole()?);
    let second = time
        .next()
        .map_or(Some(0.0), |part| part.parse::<f64>().ok())?;
    let offset = match zone {
        "" | "Z" => 0,
        _ => {
            let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
            let hours = digits.get(..2)?.parse::<i64>().ok()?;
            let minutes = digits.get(2..4).unwrap_or("0").parse::<i64>().ok()?;
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            sign * (hours * 60 + minutes)
        }
    };
    let is_date = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..61.0).contains(&second);
    if !is_date {
        return None;
    }
    // Days before the year, counted from March on, so that a leap day is the last of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468;
    let minutes = (days * 24 + hour) * 60 + minute - offset;
    let micros = minutes * 60_000_000 + (second * 1e6).round() as i64;
    Some(u64::try_from(micros).unwrap_or(0))
}

/// Appends a value as plain JSON: numbers lose their wrapping, the rest stays as it was written.
///
/// # Errors
/// It is nested too deeply.
pub(super) fn plain(raw: &str, out: &mut String) -> Result<(), String> {
    plain_within(raw, out, 0)
}

fn plain_within(raw: &str, out: &mut String, depth: usize) -> Result<(), String> {
    let raw = raw.trim();
    if depth > DEPTH_MAX {
        return Err(format!("nested more than {DEPTH_MAX} deep"));
    }
    let broken = |error: serde_json::Error| error.to_string();
    if raw.starts_with('[') {
        let values: Vec<&RawValue> = serde_json::from_str(raw).map_err(broken)?;
        out.push('[');
        for (place, value) in values.into_iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            plain_within(value.get(), out, depth + 1)?;
        }
        out.push(']');
    } else if raw.starts_with('{') {
        if let Some(digits) = number(raw) {
            let is_json = serde_json::from_str::<&RawValue>(&digits).is_ok();
            out.push_str(if is_json { &digits } else { "null" });
            return Ok(());
        }
        let members: Members<'_> = serde_json::from_str(raw).map_err(broken)?;
        out.push('{');
        for (place, (name, value)) in members.all().enumerate() {
            if place > 0 {
                out.push(',');
            }
            out.push_str(&serde_json::Value::from(name).to_string());
            out.push(':');
            plain_within(value, out, depth + 1)?;
        }
        out.push('}');
    } else {
        out.push_str(raw);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_all_their_wrappings() {
        for (raw, whole) in [
            ("5", Some(5)),
            ("5.0", Some(5)),
            ("5e3", Some(5000)),
            ("{\"$numberLong\":\"5\"}", Some(5)),
            ("{\"$numberInt\": \"5\"}", Some(5)),
            ("{\"$numberDouble\":\"5.0\"}", Some(5)),
            ("{\"$numberLong\":5}", Some(5)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("5.5", None),
            ("-5", None),
            ("\"5\"", None),
            ("true", None),
            ("{\"$numberDouble\":\"NaN\"}", None),
            ("{\"$numberLong\":\"x\"}", None),
            ("{\"$numberLong\":\"5\",\"a\":1}", None),
            ("{}", None),
        ] {
            assert_eq!(whole_of(raw), whole, "{raw}");
        }
    }

    #[test]
    fn times_in_seconds_and_as_dates() {
        for (raw, micros) in [
            ("1795300668.6310747", Some(1_795_300_668_631_075)),
            ("1.7953006686310747E+09", Some(1_795_300_668_631_075)),
            (
                "{\"$numberDouble\":\"1795300668.631\"}",
                Some(1_795_300_668_631_000),
            ),
            (
                "{\"$numberLong\":\"1795300668\"}",
                Some(1_795_300_668_000_000),
            ),
            ("{\"$date\":\"1970-01-01T00:00:00Z\"}", Some(0)),
            (
                "{\"$date\":\"2000-02-29T12:34:56.789Z\"}",
                Some(951_827_696_789_000),
            ),
            (
                "{\"$date\":\"2000-03-01T01:00:00.000+0100\"}",
                Some(951_868_800_000_000),
            ),
            (
                "{\"$date\":\"2000-02-29T19:00:00-05:00\"}",
                Some(951_868_800_000_000),
            ),
            (
                "{\"$date\":{\"$numberLong\":\"951868800123\"}}",
                Some(951_868_800_123_000),
            ),
            ("{\"$date\":951868800123}", Some(951_868_800_123_000)),
            ("-1", Some(0)),
            ("{\"$date\":\"soon\"}", None),
            ("{\"$date\":\"2000-13-01T00:00:00Z\"}", None),
            ("{\"$date\":\"2000-1T00:00:00Z\"}", None),
            ("{\"$date\":\"2000-01-01T00:00:00+é\"}", None),
            ("\"2000-01-01\"", None),
            ("null", None),
        ] {
            assert_eq!(micros_of(raw), micros, "{raw}");
        }
    }

    #[test]
    fn texts() {
        let text = |raw| text_of(raw).map(|text| text.unwrap_or_default().into_string());
        assert_eq!(text("\"a\\u00e9\""), Ok("aé".to_owned()));
        assert_eq!(text("7"), Ok("7".to_owned()));
        assert_eq!(text("{\"$numberInt\":\"7\"}"), Ok("7".to_owned()));
        assert_eq!(text("{\"$oid\":\"ab\"}"), Ok("ab".to_owned()));
        for raw in ["true", "[]", "{}", "{\"a\":1}"] {
            assert_eq!(text(raw), Err(()), "{raw}");
        }
    }

    #[test]
    fn values_lose_their_wrapping_and_nothing_else() {
        let of = |raw: &str| {
            let mut out = String::new();
            plain(raw, &mut out).map(|()| out)
        };
        let raw = r#"{"b": {"$numberLong":"12345678901234567890"}, "a": [1.50, {"$numberDouble":"NaN"}, null],
            "\u0061\n": {"x" : "\u00e9"}}"#;
        let expected = r#"{"b":12345678901234567890,"a":[1.50,null,null],"a\n":{"x":"\u00e9"}}"#;
        assert_eq!(of(raw).as_deref(), Ok(expected));
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(of(&deep(DEPTH_MAX)).is_ok());
        for depth in [DEPTH_MAX + 2, 100_000] {
            assert!(of(&deep(depth)).is_err(), "{depth}");
        }
    }

    #[test]
    fn members_keep_their_order_and_the_last_of_a_name_counts() {
        let members: Members<'_> =
            serde_json::from_str(r#"{"a": 1, "b": null, "a": 2}"#).expect("an object");
        assert_eq!((members.get("a"), members.get("b")), (Some("2"), None));
        let names: Vec<&str> = members.all().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b", "a"]);
        assert!(serde_json::from_str::<Members<'_>>("[]").is_err());
    }
}
