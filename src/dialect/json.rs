//! Reading JSON bodies field by field, without building a tree; and writing texts.
//!
//! A body is checked once as a whole by [`checked`] and [`read_object`] or [`read_list`]: UTF-8,
//! grammar, nesting, surrogates. What comes out are slices of the body: the text of each field that
//! was asked for. [`Raw::of`] looks into one of them when its turn comes. A payload that nobody
//! looks into is never parsed and never copied.
//!
//! Every byte is read a bounded number of times, so the cost is linear in the body.

use crate::limits::JSON_DEPTH_MAX;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;

/// The body is not JSON, or JSON that is not taken: nested too deeply, or text with half of a
/// surrogate pair in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

impl From<serde_json::Error> for NotJson {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

/// One JSON value; of a structure only its text.
#[derive(Debug, Clone, PartialEq)]
pub enum Raw<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The number as it was written, of any size.
    Number(&'a str),
    /// Text, borrowed unless it was written with escapes.
    Text(Cow<'a, str>),
    /// The text of a list.
    List(&'a str),
    /// The text of an object.
    Object(&'a str),
}

impl<'a> Raw<'a> {
    /// The value in a piece of a body that was read by this module.
    ///
    /// Such a piece is one valid value without white space around it, so its first byte says what
    /// it is. A piece from elsewhere is read as some value, never a panic.
    pub fn of(text: &'a str) -> Self {
        match text.as_bytes().first() {
            None | Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => Self::Text(unquote(text)),
            Some(b'[') => Self::List(text),
            Some(b'{') => Self::Object(text),
            Some(_) => Self::Number(text),
        }
    }
}

/// Whether a piece of a body is `null`.
pub fn is_null(text: &str) -> bool {
    text.starts_with('n')
}

/// The text in a JSON string that is known to be valid.
fn unquote(quoted: &str) -> Cow<'_, str> {
    let inner = quoted.strip_prefix('"').unwrap_or(quoted);
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    match serde_json::from_str(quoted) {
        Ok(text) => Cow::Owned(text),
        // Not reached for a piece of a checked body.
        Err(_) => Cow::Borrowed(inner),
    }
}

/// The body as text, if it is UTF-8, not nested beyond [`JSON_DEPTH_MAX`], and every surrogate
/// escape is half of a pair. The grammar is checked by who reads on.
///
/// The parser below skips what nobody asked for without looking at depth or escapes; but a payload
/// is handed on, and must not break the reader at the other end.
pub fn checked(body: &[u8]) -> Result<&str, NotJson> {
    let text = std::str::from_utf8(body).map_err(|_| NotJson)?;
    let mut depth = 0;
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        at += 1;
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    return Err(NotJson);
                }
            }
            // Too many of these are a fault of grammar, found later.
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => at = string_end(body, at)?,
            _ => {}
        }
    }
    Ok(text)
}

/// Where the string that begins at `at`, behind its quote, is over.
fn string_end(body: &[u8], mut at: usize) -> Result<usize, NotJson> {
    loop {
        let rest = body.get(at..).unwrap_or(&[]);
        let stop = memchr::memchr2(b'"', b'\\', rest).ok_or(NotJson)?;
        at += stop + 1;
        if rest.get(stop) == Some(&b'"') {
            return Ok(at);
        }
        let Some(escape) = rest.get(stop + 1..) else {
            return Err(NotJson);
        };
        at += 1;
        if escape.first() != Some(&b'u') {
            continue;
        }
        at += 4;
        match code_unit(escape) {
            Some(0xd800..=0xdbff) => {
                let low = escape
                    .get(5..)
                    .and_then(|next| next.strip_prefix(b"\\"))
                    .and_then(code_unit);
                match low {
                    Some(0xdc00..=0xdfff) => at += 6,
                    Some(_) | None => return Err(NotJson),
                }
            }
            Some(0xdc00..=0xdfff) | None => return Err(NotJson),
            Some(_) => {}
        }
    }
}

/// The code unit of an escape that begins with its `u`.
fn code_unit(escape: &[u8]) -> Option<u32> {
    let digits = escape.strip_prefix(b"u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, &digit| {
        Some(unit << 4 | char::from(digit).to_digit(16)?)
    })
}

/// The values of the fields that were asked for, in that order; none where a field is missing.
pub type Slots<'a, const N: usize> = [Option<&'a str>; N];

/// Reads an object and keeps the fields of these names; of a repeated one the last. `None` if the
/// text is another kind of value.
pub fn read_object<'a, const N: usize>(
    text: &'a str,
    names: &[&str; N],
) -> Result<Option<Slots<'a, N>>, NotJson> {
    read_whole(text, Fields { names })
}

/// Reads a list of objects, and hands the fields of these names of each to `each`, or `None` where
/// an entry is another kind of value. Answers `None` if the text as a whole is no list.
///
/// When `each` breaks off, the rest is not read, and the result is an error whatever the rest is:
/// it is for the caller to know better.
pub fn read_list<'a, const N: usize>(
    text: &'a str,
    names: &[&str; N],
    each: impl FnMut(Option<Slots<'a, N>>) -> ControlFlow<()>,
) -> Result<Option<()>, NotJson> {
    read_whole(text, Entries { names, each })
}

/// Hands every member of an object to `each`, in order, repeated ones too. `None` if the text is
/// another kind of value.
pub fn each_member<'a>(
    text: &'a str,
    each: impl FnMut(Cow<'a, str>, &'a str),
) -> Result<Option<()>, NotJson> {
    read_whole(text, Members(each))
}

/// Hands every entry of a list to `each`, in order. `None` if the text is another kind of value.
pub fn each_entry<'a>(text: &'a str, each: impl FnMut(&'a str)) -> Result<Option<()>, NotJson> {
    read_whole(text, Values(each))
}

/// Applies a seed to a text and checks that nothing follows.
fn read_whole<'a, S: DeserializeSeed<'a>>(text: &'a str, seed: S) -> Result<S::Value, NotJson> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// What a visitor for one kind of structure says to every other kind of value: nothing here.
macro_rules! nothing_else {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any JSON value")
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    };
}

/// The same for a list where an object was looked for.
macro_rules! no_list {
    () => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    };
}

/// The same for an object where a list was looked for.
macro_rules! no_object {
    () => {
        fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
            while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    };
}

/// Lets a visitor be used as a seed: take whatever comes.
macro_rules! seed_of_anything {
    () => {
        fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
            reader.deserialize_any(self)
        }
    };
}

/// An object of which some fields matter.
struct Fields<'n, const N: usize> {
    names: &'n [&'n str; N],
}

impl<'de, const N: usize> DeserializeSeed<'de> for Fields<'_, N> {
    type Value = Option<Slots<'de, N>>;
    seed_of_anything!();
}

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = Option<Slots<'de, N>>;
    nothing_else!();
    no_list!();

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut slots = [None; N];
        while let Some(place) = object.next_key_seed(Place(self.names))? {
            match place.and_then(|place| slots.get_mut(place)) {
                Some(slot) => *slot = Some(object.next_value::<&RawValue>()?.get()),
                None => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Some(slots))
    }
}

/// A key, as its place among the names that were asked for.
struct Place<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|&name| name == key))
    }
}

/// A list of objects of which some fields matter.
struct Entries<'n, const N: usize, F> {
    names: &'n [&'n str; N],
    each: F,
}

impl<'de, const N: usize, F> DeserializeSeed<'de> for Entries<'_, N, F>
where
    F: FnMut(Option<Slots<'de, N>>) -> ControlFlow<()>,
{
    type Value = Option<()>;
    seed_of_anything!();
}

impl<'de, const N: usize, F> Visitor<'de> for Entries<'_, N, F>
where
    F: FnMut(Option<Slots<'de, N>>) -> ControlFlow<()>,
{
    type Value = Option<()>;
    nothing_else!();
    no_object!();

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
        while let Some(slots) = list.next_element_seed(Fields { names: self.names })? {
            if (self.each)(slots).is_break() {
                return Err(serde::de::Error::custom("broken off"));
            }
        }
        Ok(Some(()))
    }
}

/// All members of an object.
struct Members<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de str)> DeserializeSeed<'de> for Members<F> {
    type Value = Option<()>;
    seed_of_anything!();
}

impl<'de, F: FnMut(Cow<'de, str>, &'de str)> Visitor<'de> for Members<F> {
    type Value = Option<()>;
    nothing_else!();
    no_list!();

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<Self::Value, A::Error> {
        while let Some(key) = object.next_key_seed(Key)? {
            (self.0)(key, object.next_value::<&RawValue>()?.get());
        }
        Ok(Some(()))
    }
}

/// A key, borrowed unless it was written with escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

/// All entries of a list.
struct Values<F>(F);

impl<'de, F: FnMut(&'de str)> DeserializeSeed<'de> for Values<F> {
    type Value = Option<()>;
    seed_of_anything!();
}

impl<'de, F: FnMut(&'de str)> Visitor<'de> for Values<F> {
    type Value = Option<()>;
    nothing_else!();
    no_object!();

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
        while let Some(value) = list.next_element::<&RawValue>()? {
            (self.0)(value.get());
        }
        Ok(Some(()))
    }
}

/// Whether two plain values, as they were written, are the same: equal in kind and in value.
///
/// `1` and `1.0` are the same, `1` and `true` are not. Whole numbers beyond the precision of a
/// float are compared as written.
pub fn same_plain(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let (one, other) = (Raw::of(one), Raw::of(other));
    if let (Raw::Number(one), Raw::Number(other)) = (&one, &other) {
        return same_number(one, other);
    }
    one == other
}

fn same_number(one: &str, other: &str) -> bool {
    let is_whole = |text: &str| !text.contains(['.', 'e', 'E']);
    if is_whole(one) && is_whole(other) {
        // JSON allows no leading zeros or plus signs, so only the zeros have two forms.
        return one.trim_start_matches('-') == "0" && other.trim_start_matches('-') == "0";
    }
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Appends a text as a JSON string, quotes included (RFC 8259 section 7). What need not be escaped
/// is not: characters beyond ASCII go out as UTF-8.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    let stops = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    while let Some(stop) = rest.iter().position(stops) {
        let (plain, from_stop) = rest.split_at(stop);
        out.extend_from_slice(plain);
        let Some((&byte, after)) = from_stop.split_first() else {
            break;
        };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                // Below 0x20, so the first two digits are zeros and the third is 0 or 1.
                let low = control & 0xf;
                let digit = if low < 10 {
                    b'0' + low
                } else {
                    b'a' + low - 10
                };
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (control >> 4), digit]);
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// A valid value without the white space between its parts. Everything else stays as it was
/// written, numbers of any size and escapes too.
pub fn compact(text: &str) -> Cow<'_, str> {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let mut out = String::new();
    // Where the piece begins that is not in `out` yet.
    let mut piece = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte == b'"' {
            // The end of a string that is over in a checked text.
            at = string_end(bytes, at).unwrap_or(bytes.len());
        } else if is_space(byte) {
            out.push_str(text.get(piece..at - 1).unwrap_or(""));
            piece = at;
        }
    }
    if piece == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(piece..).unwrap_or(""));
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_values_by_kind() {
        assert_eq!(Raw::of("null"), Raw::Null);
        assert_eq!(Raw::of("true"), Raw::Bool(true));
        assert_eq!(Raw::of("false"), Raw::Bool(false));
        assert_eq!(Raw::of("-1e5"), Raw::Number("-1e5"));
        assert_eq!(Raw::of("[1]"), Raw::List("[1]"));
        assert_eq!(Raw::of("{}"), Raw::Object("{}"));
        assert!(matches!(
            Raw::of(r#""plain é""#),
            Raw::Text(Cow::Borrowed("plain é"))
        ));
        assert_eq!(
            Raw::of(r#""a\"\\\u00e9\ud83d\ude00""#),
            Raw::Text("a\"\\é😀".into())
        );
        // Nothing that this module hands out, but nothing to stumble over.
        for odd in ["", "\"", "\"\\", "x"] {
            Raw::of(odd);
        }
    }

    #[test]
    fn nesting_is_bounded_and_brackets_in_strings_do_not_count() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(checked(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(checked(nested(JSON_DEPTH_MAX + 1).as_bytes()), Err(NotJson));
        let text = format!(r#"["\"{}"]"#, "[{".repeat(1000));
        assert!(checked(text.as_bytes()).is_ok());
        let wide = format!("[{}]", "[],".repeat(1000));
        assert!(checked(wide.as_bytes()).is_ok());
    }

    #[test]
    fn surrogates_come_in_pairs() {
        for good in [
            r#""\ud83d\ude00""#,
            r#""\uD83D\uDE00x""#,
            r#""\\ud83d""#,
            r#""\u00e9""#,
            r#""\ud7ff\ue000""#,
            r#""\udbff\udfff""#,
        ] {
            assert!(checked(good.as_bytes()).is_ok(), "{good}");
            assert!(serde_json::from_str::<String>(good).is_ok(), "{good}");
        }
        for bad in [
            r#""\ud83d""#,
            r#""\ud83d\n""#,
            r#""\ud83d\u0041""#,
            r#""\ude00""#,
            r#""\ud83d\ud83d\ude00""#,
            r#""\ud83d"#,
            r#""\u12"#,
            r#""\u12g4""#,
            r#""\"#,
            r#"""#,
        ] {
            assert_eq!(checked(bad.as_bytes()), Err(NotJson), "{bad}");
        }
        assert_eq!(checked(b"\"\xff\""), Err(NotJson));
    }

    #[test]
    fn fields_that_were_asked_for_come_out_as_written() {
        let text = r#" {"b": {"x" : [1e999, 123456789012345678901234567890], "x": 2} ,
            "a":"1", "\u0061": "2", "other": [{}]} "#;
        let slots = read_object(text, &["a", "b", "c"])
            .expect("JSON")
            .expect("an object");
        assert_eq!(
            slots,
            [
                Some(r#""2""#),
                Some(r#"{"x" : [1e999, 123456789012345678901234567890], "x": 2}"#),
                None
            ]
        );
        for other in ["[]", "[{}]", "5", "-5", "1.5", "null", "true", "\"x\""] {
            assert_eq!(read_object(other, &["a"]), Ok(None), "{other}");
        }
        for bad in [
            "",
            " ",
            "{",
            "{}}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":NaN}",
            "{\"a\":Infinity}",
            "{a:1}",
            "{\"a\":1,}",
            "{} {}",
            "\u{feff}{}",
            "{\"a\":01}",
            "{\"z\":\"\n\"}",
            "{\"a\":'x'}",
        ] {
            assert_eq!(read_object(bad, &["a"]), Err(NotJson), "{bad}");
        }
    }

    #[test]
    fn lists_members_and_entries() {
        let mut seen = Vec::new();
        let list = r#"[{"a":1}, 5, {"b":2}, [{"a":3}], null]"#;
        let whole = read_list(list, &["a"], |slots| {
            seen.push(slots);
            ControlFlow::Continue(())
        });
        assert_eq!(whole, Ok(Some(())));
        assert_eq!(seen, [Some([Some("1")]), None, Some([None]), None, None]);
        let all = |_: Option<Slots<'_, 1>>| ControlFlow::Continue(());
        assert_eq!(read_list("{\"a\":1}", &["a"], all), Ok(None));
        let mut count = 0;
        let broken_off = read_list("[{},{},{}", &["a"], |_| {
            count += 1;
            if count < 2 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        assert_eq!((broken_off, count), (Err(NotJson), 2));

        let mut seen = Vec::new();
        let whole = each_member(r#"{"k":1,"\u006b":[2 ,3],"":"x"}"#, |key, value| {
            seen.push((key.into_owned(), value));
        });
        assert_eq!(whole, Ok(Some(())));
        let expected = [("k", "1"), ("k", "[2 ,3]"), ("", "\"x\"")];
        assert_eq!(seen, expected.map(|(key, value)| (key.to_owned(), value)));
        assert_eq!(each_member("[]", |_, _| ()), Ok(None));

        let mut seen = Vec::new();
        assert_eq!(
            each_entry(" [1, \"a\",{ }]", |value| seen.push(value)),
            Ok(Some(()))
        );
        assert_eq!(seen, ["1", "\"a\"", "{ }"]);
        assert_eq!(each_entry("{}", |_| ()), Ok(None));
    }

    #[test]
    fn plain_values_are_the_same_by_kind_and_value() {
        for (one, other) in [
            ("1", "1.0"),
            ("0", "-0"),
            ("100", "1e2"),
            (r#""a""#, r#""\u0061""#),
            ("null", "null"),
        ] {
            assert!(
                same_plain(one, other) && same_plain(other, one),
                "{one} {other}"
            );
        }
        for (one, other) in [
            ("1", "true"),
            ("0", "false"),
            ("null", "false"),
            ("\"1\"", "1"),
            ("1", "2"),
            ("12345678901234567890123", "12345678901234567890124"),
            ("1", "-1"),
        ] {
            assert!(
                !same_plain(one, other) && !same_plain(other, one),
                "{one} {other}"
            );
        }
    }

    #[test]
    fn white_space_goes_and_nothing_else() {
        for (text, expected) in [
            (
                " { \"a b\" : [ 1e999 ,\t-0.10,\r\n\" \\\" [ \" ] } ",
                r#"{"a b":[1e999,-0.10," \" [ "]}"#,
            ),
            (r#""  \\""#, r#""  \\""#),
            ("1", "1"),
            (" \"\\u00e9 \u{e9}\" ", "\"\\u00e9 \u{e9}\""),
            // Nothing that was checked, but nothing to stumble over.
            ("", ""),
            ("\"a b", "\"a b"),
            (" \"\\", "\"\\"),
        ] {
            assert_eq!(compact(text), expected);
        }
        assert!(matches!(compact(r#"{"a":[1," "]}"#), Cow::Borrowed(_)));
    }
}
