//! JSON as the replayer needs it: numbers keep their text.
//!
//! The contract says that integers of any size come through unchanged, so a reader that turns them
//! into floating point cannot check it. Members keep their order; of a repeated key the last
//! counts.

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// The members of an object, not read any further.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Reader)
    }
}

impl Json {
    /// Reads one whole JSON text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let whole: Box<RawValue> = serde_json::from_str(text).map_err(|err| err.to_string())?;
        Self::from_raw(whole.get()).map_err(|err| err.to_string())
    }

    fn from_raw(raw: &str) -> Result<Self, serde_json::Error> {
        Ok(match raw.trim_start().as_bytes().first() {
            Some(b'{') => {
                let Members(raw_members) = serde_json::from_str(raw)?;
                let mut members: Vec<(String, Self)> = Vec::new();
                for (key, value) in raw_members {
                    let value = Self::from_raw(value.get())?;
                    match members.iter_mut().find(|(known, _)| *known == key) {
                        Some(member) => member.1 = value,
                        None => members.push((key, value)),
                    }
                }
                Self::Object(members)
            }
            Some(b'[') => {
                let items: Vec<Box<RawValue>> = serde_json::from_str(raw)?;
                let items = items.iter().map(|item| Self::from_raw(item.get()));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str(raw)?),
            Some(b't' | b'f') => Self::Bool(serde_json::from_str(raw)?),
            Some(b'n') => Self::Null,
            _ => Self::Number(raw.trim().to_owned()),
        })
    }

    /// The member `key` of an object.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.members()?
            .iter()
            .find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The members of an object.
    pub(crate) fn members(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Object(members) => Some(members),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// The entries of a list.
    pub(crate) fn items(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Object(_) => None,
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// A number that counts something.
    pub(crate) fn count(&self) -> Option<u64> {
        match self {
            Self::Number(digits) => digits.parse().ok(),
            Self::Null | Self::Bool(_) | Self::Text(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// Whether two numbers have the same value; exact for integers of any size.
    pub(crate) fn same_number(left: &str, right: &str) -> bool {
        match (integer(left), integer(right)) {
            (Some(left), Some(right)) => left == right,
            // One has a fraction or an exponent: as every reader of the frames does, compare
            // floating point. An overflow to infinity must not make all large numbers equal.
            _ => match (left.parse::<f64>(), right.parse::<f64>()) {
                (Ok(left), Ok(right)) => left.is_finite() && left == right,
                _ => false,
            },
        }
    }
}

/// An integer's sign and digits, if the number is written as one.
fn integer(number: &str) -> Option<(bool, &str)> {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then_some((negative && digits != "0", digits))
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn quoted(text: &str) -> String {
            serde_json::to_string(text).expect("a string is always written")
        }
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => f.write_str(number),
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (index, (key, value)) in members.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {value}", quoted(key))?;
                }
                f.write_str("}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_and_numbers_keep_their_digits() {
        for text in [
            r#"{"b": 1, "a": [123456789012345678901234567890, -0.50, 1e400], "ü\n": "\"x\""}"#,
            "[]",
            "{}",
            "null",
            "-12",
            r#"[true, false, null, "", {}, []]"#,
        ] {
            let json = Json::parse(text).expect(text);
            assert_eq!(json.to_string(), text);
        }
        assert_eq!(
            Json::parse(r#"{"a": 1, "b": 2, "a": 3}"#).map(|json| json.to_string()),
            Ok(r#"{"a": 3, "b": 2}"#.to_owned())
        );
        for text in ["", "{bad", "[1,]", "01", "NaN", "{} {}", "'x'"] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_compare_by_value() {
        for (left, right) in [("1", "1.0"), ("10", "1e1"), ("-0", "0"), ("0.5", "5e-1")] {
            assert!(Json::same_number(left, right), "{left} {right}");
        }
        for (left, right) in [
            ("1", "2"),
            ("1", "-1"),
            ("12345678901234567890123", "12345678901234567890124"),
            ("1e400", "1e401"),
        ] {
            assert!(!Json::same_number(left, right), "{left} {right}");
        }
    }
}
