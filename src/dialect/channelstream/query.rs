//! Reading query strings and form-encoded bodies (the URL standard's form encoding).

use std::borrow::Cow;

/// The value of a field, decoded; of a repeated one the last. A field without `=` is empty.
///
/// `+` is a space, `%` and two hex digits are a byte, and a `%` without them is itself. What is not
/// UTF-8 after that becomes U+FFFD. The cost is linear in the text.
pub fn form_value<'a>(form: &'a str, name: &str) -> Option<Cow<'a, str>> {
    form.rsplit('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_named = !pair.is_empty() && (key == name || decode(key) == name);
        is_named.then(|| decode(value))
    })
}

/// Undoes the encoding of one key or value.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => match escaped(after) {
                Some((byte, after)) => {
                    bytes.push(byte);
                    rest = after;
                }
                None => bytes.push(b'%'),
            },
            _ => bytes.push(byte),
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// The byte that two hex digits stand for, and what follows them.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = text.split_at_checked(2)?;
    let byte = digits.iter().try_fold(0, |byte: u32, &digit| {
        Some(byte << 4 | char::from(digit).to_digit(16)?)
    })?;
    Some((u8::try_from(byte).ok()?, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_decoded() {
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
            assert_eq!(form_value(form, "conn_id").as_deref(), expected, "{form}");
        }
        assert!(matches!(form_value("a=b", "a"), Some(Cow::Borrowed("b"))));
    }
}
