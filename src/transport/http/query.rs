//! Names and values in a query or a form, and paths without their percent-encoding.
//!
//! A decoder has refused targets with broken percent-encoding before; the rules here for broken
//! input matter for form bodies, which have the same grammar.

use std::borrow::Cow;

/// The pairs of a query or of a form body, decoded by the rules of forms (WHATWG URL section 5.1):
/// `&` separates pairs, the first `=` separates name and value, `+` is a space. Empty pairs are
/// passed over. A `%` without two hex digits stands for itself; bytes that are not UTF-8 are
/// replaced with U+FFFD.
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    rest: &'a str,
}

/// The pairs of `query`, which is what follows the `?`.
pub fn pairs(query: &str) -> Pairs<'_> {
    Pairs { rest: query }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (pair, rest) = self.rest.split_once('&').unwrap_or((self.rest, ""));
            self.rest = rest;
            if !pair.is_empty() {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                return Some((form_text(name), form_text(value)));
            }
        }
        None
    }
}

/// The value of the last pair of this name, as the frameworks of the original servers choose among
/// repeated names. Whoever checks a signature over the query has to look at [`pairs`] and refuse
/// repeated names instead.
pub fn last<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    pairs(query)
        .filter(|(key, _)| key == name)
        .last()
        .map(|(_, value)| value)
}

/// A path that does not decode to text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPath;

/// A path, or a segment of one, without its percent-encoding. `+` stands for itself. Decode
/// segments *after* splitting at slashes: an encoded slash does not separate.
///
/// # Errors
///
/// A `%` without two hex digits, an encoded NUL, and bytes that are not UTF-8 are refused.
pub fn decode_path(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (value, behind) = hex_pair(behind).ok_or(BadPath)?;
        if value == 0 {
            return Err(BadPath);
        }
        decoded.push(value);
        rest = behind;
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| BadPath)
}

/// Decodes a name or a value of a form.
fn form_text(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match (byte, hex_pair(behind)) {
            (b'+', _) => decoded.push(b' '),
            (b'%', Some((value, behind))) => {
                decoded.push(value);
                rest = behind;
            }
            _ => decoded.push(byte),
        }
    }
    // Only text with wrong bytes in it is copied once more.
    Cow::Owned(
        String::from_utf8(decoded)
            .unwrap_or_else(|wrong| String::from_utf8_lossy(wrong.as_bytes()).into_owned()),
    )
}

/// The byte that the first two hex digits stand for, and what is behind them.
fn hex_pair(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&[high, low], rest) = bytes.split_first_chunk::<2>()?;
    let value = (high as char).to_digit(16)? << 4 | (low as char).to_digit(16)?;
    Some((u8::try_from(value).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: &[(&str, &str)]) {
        let found: Vec<_> = pairs(query).collect();
        let found: Vec<_> = found.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(found, expected, "{query}");
    }

    #[test]
    fn pairs_follow_the_rules_of_forms() {
        check("", &[]);
        check("&&", &[]);
        check("a=1&b=2", &[("a", "1"), ("b", "2")]);
        check("a=1&&b=2&", &[("a", "1"), ("b", "2")]);
        check("a", &[("a", "")]);
        check("=b", &[("", "b")]);
        check("a=b=c", &[("a", "b=c")]);
        check("a+b=c+d", &[("a b", "c d")]);
        check("a%2Bb=%26%3d", &[("a+b", "&=")]);
        check("a=1&a=2", &[("a", "1"), ("a", "2")]);
        check("n=%C3%bc", &[("n", "\u{fc}")]);
    }

    #[test]
    fn what_is_broken_in_a_pair_stays_or_is_replaced() {
        check("a=%", &[("a", "%")]);
        check("a=%4", &[("a", "%4")]);
        check("a=%zz%41", &[("a", "%zzA")]);
        check("a=%+1", &[("a", "% 1")]);
        check("a=%\u{fc}\u{fc}", &[("a", "%\u{fc}\u{fc}")]);
        check("a=x%ffy", &[("a", "x\u{fffd}y")]);
        check("a=%c3", &[("a", "\u{fffd}")]);
        check("a=%00", &[("a", "\0")]);
    }

    #[test]
    fn plain_pairs_are_borrowed() {
        let (name, value) = pairs("conn_id=abc").next().unwrap();
        assert!(matches!(name, Cow::Borrowed(_)) && matches!(value, Cow::Borrowed(_)));
    }

    #[test]
    fn the_first_of_a_name_is_found() {}

    #[test]
    fn paths_are_decoded_or_refused() {
        for (path, expected) in [
            ("/a/b", Ok("/a/b")),
            ("/a+b", Ok("/a+b")),
            ("/a%20b%2f", Ok("/a b/")),
            ("/%C3%BC", Ok("/\u{fc}")),
            ("/..%2e/", Ok("/.../")),
            ("/%", Err(BadPath)),
            ("/%4", Err(BadPath)),
            ("/%+1", Err(BadPath)),
            ("/%00", Err(BadPath)),
            ("/%ff", Err(BadPath)),
        ] {
            assert_eq!(
                decode_path(path).as_deref().map_err(|e| *e),
                expected,
                "{path}"
            );
        }
        assert!(matches!(decode_path("/a"), Ok(Cow::Borrowed("/a"))));
    }

    #[test]
    fn the_last_of_a_name_counts() {
        for (form, expected) in [
            ("", None),
            ("&", None),
            ("other=1", None),
            ("conn_idx=1", None),
            ("conn_id=abc", Some("abc")),
            ("conn_id=", Some("")),
            ("conn_id", Some("")),
            ("a=b&conn_id=x&c=d", Some("x")),
            ("conn_id=first&conn_id=last", Some("last")),
            ("conn%5Fid=x", Some("x")),
            ("conn_id=a%2Fb+c%2B%c3%A9", Some("a/b c+é")),
            ("conn_id=100%&x=1", Some("100%")),
            ("conn_id=%zz%4", Some("%zz%4")),
            ("conn_id=%ff", Some("\u{fffd}")),
            ("conn_id=a=b", Some("a=b")),
            ("conn_id=é%", Some("é%")),
        ] {
            assert_eq!(last(form, "conn_id").as_deref(), expected, "{form}");
        }
        assert!(matches!(last("a=b", "a"), Some(Cow::Borrowed("b"))));
    }
}
