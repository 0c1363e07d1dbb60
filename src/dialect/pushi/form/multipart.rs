//! Forms in parts (RFC 7578), as far as they hold texts. Files are passed over: no route takes any.

use super::Pairs;
use crate::dialect::pushi::errors::Fault;
use crate::limits::{PUSHI_FIELDS_MAX, PUSHI_PART_HEAD_BYTES_MAX};
use memchr::memmem;
use std::borrow::Cow;

/// Characters of what stands between the parts (RFC 2046 section 5.1.1).
const BOUNDARY_CHARS_MAX: usize = 70;

/// What stands between the parts, by the value of the content type.
pub(super) fn boundary(content_type: &str) -> Option<Cow<'_, str>> {
    let boundary = param(content_type, "boundary")?;
    (1..=BOUNDARY_CHARS_MAX)
        .contains(&boundary.len())
        .then_some(boundary)
}

/// The texts in a body, with their names, in order.
///
/// # Errors
/// A body that does not end as it says, and too many parts.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Pairs<'a>, Fault> {
    let malformed = || Fault::bad("the form in parts is malformed");
    let line = [b"\r\n--", boundary.as_bytes()].concat();
    let finder = memmem::Finder::new(&line);
    // The first line may be the first of the body.
    let first = line.get(2..).unwrap_or(&[]);
    let mut rest = match body.strip_prefix(first).and_then(behind_line) {
        Some(rest) => rest,
        None => split(body, &finder).ok_or_else(malformed)?.1,
    };
    let mut found = Pairs::new();
    let mut count = 0;
    while let Behind::Part(part) = rest {
        count += 1;
        if count > PUSHI_FIELDS_MAX {
            return Err(super::too_many());
        }
        let (head, from_content) = head(part).ok_or_else(malformed)?;
        let (content, behind) = split(from_content, &finder).ok_or_else(malformed)?;
        if let Some(name) = name(head) {
            found.push((name, String::from_utf8_lossy(content)));
        }
        rest = behind;
    }
    Ok(found)
}

/// What stands behind a line between parts.
enum Behind<'a> {
    /// One more part.
    Part(&'a [u8]),
    /// Nothing that matters.
    End,
}

/// What stands behind such a line, whose beginning was read; `None` if it is another line.
fn behind_line(rest: &[u8]) -> Option<Behind<'_>> {
    if rest.starts_with(b"--") {
        return Some(Behind::End);
    }
    let spaces = rest.iter().take_while(|byte| b" \t".contains(byte)).count();
    rest.get(spaces..)?.strip_prefix(b"\r\n").map(Behind::Part)
}

/// What stands before the next such line, and what behind it.
fn split<'a>(body: &'a [u8], finder: &memmem::Finder<'_>) -> Option<(&'a [u8], Behind<'a>)> {
    // Lines that only begin like it belong to the part.
    finder.find_iter(body).find_map(|at| {
        let (before, from_line) = body.split_at_checked(at)?;
        let behind = from_line.get(finder.needle().len()..)?;
        Some((before, behind_line(behind)?))
    })
}

/// The headers of a part and what follows them.
fn head(part: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(content) = part.strip_prefix(b"\r\n") {
        return Some((&[], content));
    }
    let window = part.len().min(PUSHI_PART_HEAD_BYTES_MAX);
    let end = memmem::find(part.get(..window)?, b"\r\n\r\n")?;
    Some((part.get(..end)?, part.get(end + 4..)?))
}

/// The name of a part that is a text.
fn name(head: &[u8]) -> Option<Cow<'static, str>> {
    let head = std::str::from_utf8(head).ok()?;
    let value = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.trim().eq_ignore_ascii_case("content-disposition");
        is_it.then_some(value)
    })?;
    let is_file = param(value, "filename").is_some() || param(value, "filename*").is_some();
    let name = param(value, "name").filter(|_| !is_file)?;
    // As browsers write what a quoted text cannot hold.
    let name = name.replace("%22", "\"");
    let name = name.replace("%0D", "\r").replace("%0A", "\n");
    Some(name.into())
}

/// The parameter of this name in the value of a header: behind a semicolon, with or without quotes.
fn param<'v>(value: &'v str, name: &str) -> Option<Cow<'v, str>> {
    let mut rest = skip_to_semicolon(value);
    while let Some(from_name) = rest {
        let (known, from_value) = from_name.split_once('=')?;
        // A parameter without a value would hide the next one's name in its own.
        let known = known.rsplit(';').next().unwrap_or(known).trim();
        let from_value = from_value.trim_start();
        if known.eq_ignore_ascii_case(name) {
            return Some(match from_value.strip_prefix('"') {
                Some(quoted) => unquoted(quoted),
                None => from_value.split(';').next().unwrap_or("").trim().into(),
            });
        }
        rest = skip_to_semicolon(from_value);
    }
    None
}

/// What stands behind the next semicolon that is not in quotes.
fn skip_to_semicolon(text: &str) -> Option<&str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b';' if !is_quoted => return text.get(at + 1..),
            _ => {}
        }
    }
    None
}

/// A quoted text from behind its first quote.
fn unquoted(text: &str) -> Cow<'_, str> {
    let end = text.find(['"', '\\']).unwrap_or(text.len());
    let (plain, rest) = text.split_at(end);
    if !rest.starts_with('\\') {
        return Cow::Borrowed(plain);
    }
    let mut whole = plain.to_owned();
    let mut chars = rest.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => break,
            '\\' => whole.extend(chars.next()),
            other => whole.push(other),
        }
    }
    Cow::Owned(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8], boundary: &str) -> Result<Vec<(String, String)>, u16> {
        let found = parts(body, boundary).map_err(|fault| fault.status)?;
        let owned = found.into_iter();
        Ok(owned
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn texts_are_read_and_files_passed_over() {
        let body = b"a preamble\r\n--xyz\r\n\
            Content-Disposition: form-data; name=\"name\"\r\n\r\napp 1\r\n\
            --xyz  \r\n\
            content-type: text/plain\r\nCONTENT-DISPOSITION: form-data;name=plain ; x=y\r\n\r\n\
            two\r\nlines\r\n--xyzzy\r\n--xy\r\n\
            --xyz\r\n\
            Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\na file\r\n\
            --xyz\r\n\
            Content-Disposition: form-data; name=\"q\\\"u%22o;te\"\r\n\r\n\r\n\
            --xyz\r\n\
            Content-Disposition: form-data\r\n\r\nno name\r\n\
            --xyz\r\n\r\nno headers\r\n\
            --xyz--\r\nan epilogue\r\n--xyz\r\n";
        let expected = [
            pair("name", "app 1"),
            pair("plain", "two\r\nlines\r\n--xyzzy\r\n--xy"),
            pair("q\"u\"o;te", ""),
        ];
        assert_eq!(read(body, "xyz").expect("a form"), expected);
        assert_eq!(read(b"--x--", "x"), Ok(vec![]));
        let bytes = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\xff\xc3\xa9\r\n--x--";
        assert_eq!(read(bytes, "x"), Ok(vec![pair("a", "\u{fffd}é")]));
    }

    #[test]
    fn what_does_not_end_is_refused() {
        let whole = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--";
        for length in 0..whole.len() {
            // Neither is a part that could be acted on.
            assert_eq!(read(&whole[..length], "x"), Err(400), "{length}");
        }
        let other: [&[u8]; 4] = [
            b"",
            b"--y\r\n\r\na\r\n--y--",
            b"--xContent\r\n\r\na\r\n--x",
            b"x--x--",
        ];
        for wrong in other {
            assert_eq!(read(wrong, "x"), Err(400));
        }
    }

    #[test]
    fn parts_and_their_heads_are_bounded() {
        let part = "\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x";
        let form = |count: usize| format!("--x{}--", part.repeat(count));
        let most = read(form(PUSHI_FIELDS_MAX).as_bytes(), "x").expect("as many as may be");
        assert_eq!(most.len(), PUSHI_FIELDS_MAX);
        assert_eq!(read(form(PUSHI_FIELDS_MAX + 1).as_bytes(), "x"), Err(413));
        let head = |length| format!("--x\r\nA: {}\r\n\r\nb\r\n--x--", "y".repeat(length));
        assert!(read(head(PUSHI_PART_HEAD_BYTES_MAX - 7).as_bytes(), "x").is_ok());
        let long = head(PUSHI_PART_HEAD_BYTES_MAX - 6);
        assert_eq!(read(long.as_bytes(), "x"), Err(400));
    }

    #[test]
    fn boundaries_stand_in_the_content_type() {
        for (value, expected) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            (
                "multipart/form-data; charset=utf-8; Boundary = abc ; x",
                Some("abc"),
            ),
            ("multipart/form-data; boundary=\"a;b c\"", Some("a;b c")),
            (
                "multipart/form-data;x=\"; boundary=no\";boundary=yes",
                Some("yes"),
            ),
            ("multipart/form-data; flag; boundary=abc", Some("abc")),
            ("multipart/form-data; boundary=\"abc", Some("abc")),
            ("multipart/form-data; boundary=\"a\\\"b\\\\", Some("a\"b\\")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=\"\"", None),
            ("multipart/form-data; xboundary=abc", None),
            ("boundary=abc", None),
        ] {
            assert_eq!(boundary(value).as_deref(), expected, "{value}");
        }
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        assert_eq!(boundary(&long), None);
        assert!(boundary(&long[..long.len() - 1]).is_some());
    }
}
