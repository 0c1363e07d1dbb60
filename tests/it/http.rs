//! The client's side of HTTP/1.1, over bytes: requests made, answers read.

/// One whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In the order they came, values trimmed.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value.as_str()))
    }
}

/// The bytes of a request. Adds what HTTP needs and nothing else: `Host`, unless it is given, and
/// the length of the body.
pub(crate) fn request(
    method: &str,
    path: &str,
    host: &str,
    headers: &[(String, String)],
    body: Option<&[u8]>,
) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    let mut header = |name: &str, value: &str| {
        text.push_str(&format!("{name}: {value}\r\n"));
    };
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        header("Host", host);
    }
    for (name, value) in headers {
        header(name, value);
    }
    let takes_body = matches!(method, "POST" | "PUT" | "PATCH");
    if takes_body || body.is_some() {
        header("Content-Length", &body.map_or(0, <[u8]>::len).to_string());
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

/// Reads one answer from the start of `bytes`: none if more is needed, else the answer and how
/// many bytes it took. `head_only`: the request was a HEAD. `ended`: no more will come.
pub(crate) fn answer(
    bytes: &[u8],
    head_only: bool,
    ended: bool,
) -> Result<Option<(Answer, usize)>, String> {
    let cut_short = || match ended {
        true => Err(format!("the answer is cut short: {:?}", lossy(bytes))),
        false => Ok(None),
    };
    let Some(head_bytes) = find(bytes, b"\r\n\r\n") else {
        return cut_short();
    };
    let head = std::str::from_utf8(&bytes[..head_bytes])
        .map_err(|_| format!("the head is not UTF-8: {:?}", lossy(bytes)))?;
    let mut lines = head.split("\r\n");
    let status = status(lines.next().unwrap_or_default())?;
    let headers: Vec<_> = lines.map(header).collect::<Result<_, _>>()?;
    let start = head_bytes + 4;
    let done = |body: Vec<u8>, used: usize| {
        let headers = headers.clone();
        Ok(Some((
            Answer {
                status,
                headers,
                body,
            },
            used,
        )))
    };
    if status == 100 {
        // Not the answer yet: read on behind it.
        return match answer(&bytes[start..], head_only, ended)? {
            Some((answer, used)) => Ok(Some((answer, start + used))),
            None => Ok(None),
        };
    }
    if head_only || matches!(status, 101..=199 | 204 | 304) {
        return done(Vec::new(), start);
    }
    let all = |name: &str| -> Vec<&str> {
        let named = headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    };
    match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([length], []) => {
            let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
            let length = digits.then(|| length.parse::<usize>().ok()).flatten();
            let length = length.ok_or_else(|| format!("no such length: {head:?}"))?;
            match bytes.get(start..start + length) {
                Some(body) => done(body.to_vec(), start + length),
                None => cut_short(),
            }
        }
        ([], [encoding]) if encoding.eq_ignore_ascii_case("chunked") => {
            match chunks(&bytes[start..])? {
                Some((body, used)) => done(body, start + used),
                None => cut_short(),
            }
        }
        ([], []) if ended => done(bytes[start..].to_vec(), bytes.len()),
        ([], []) => Ok(None),
        _ => Err(format!("two ideas of the length: {head:?}")),
    }
}

fn status(line: &str) -> Result<u16, String> {
    let rest = line
        .strip_prefix("HTTP/1.1 ")
        .or(line.strip_prefix("HTTP/1.0 "));
    let code = rest.and_then(|rest| rest.get(..3)?.parse().ok());
    let parted = rest.is_some_and(|rest| rest.len() == 3 || rest.as_bytes()[3] == b' ');
    match code {
        Some(code @ 100..=599) if parted => Ok(code),
        _ => Err(format!("not a status line: {line:?}")),
    }
}

fn header(line: &str) -> Result<(String, String), String> {
    let wrong = || format!("not a header: {line:?}");
    let (name, value) = line.split_once(':').ok_or_else(wrong)?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) || value.contains(['\r', '\n', '\0']) {
        return Err(wrong());
    }
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// A body in chunks, and how many bytes they took, if they are all there.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some(line) = find(&bytes[at..], b"\r\n") else {
            return Ok(None);
        };
        let wrong = || format!("not a chunk: {:?}", lossy(&bytes[at..at + line]));
        let size = std::str::from_utf8(&bytes[at..at + line]).map_err(|_| wrong())?;
        let size = size.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(|_| wrong())?;
        at += line + 2;
        let Some(chunk) = bytes.get(at..at + size + 2) else {
            return Ok(None);
        };
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk does not end where it said".to_owned());
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Bytes as text, for messages.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if text.len() > 600 {
        text.truncate(text.floor_char_boundary(600));
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer at the start of `bytes` must be seen when its last byte is there, in no earlier
    /// prefix, and must not take bytes that follow.
    fn check(bytes: &[u8], head_only: bool, status: u16, body: &[u8]) {
        for end in 0..bytes.len() {
            assert_eq!(answer(&bytes[..end], head_only, false), Ok(None), "{end}");
            assert!(answer(&bytes[..end], head_only, true).is_err(), "{end}");
        }
        let mut more = bytes.to_vec();
        more.extend_from_slice(b"HTTP/1.1 ");
        for whole in [bytes, &more] {
            let (answer, used) = answer(whole, head_only, false)
                .expect("good")
                .expect("whole");
            assert_eq!(
                (answer.status, &answer.body[..], used),
                (status, body, bytes.len())
            );
        }
    }

    #[test]
    fn answers_are_whole_at_their_last_byte_and_not_before() {
        check(
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            false,
            200,
            b"abc",
        );
        check(
            b"HTTP/1.1 404 \r\ncontent-length:0\r\n\r\n",
            false,
            404,
            b"",
        );
        check(b"HTTP/1.1 204 No Content\r\n\r\n", false, 204, b"");
        check(
            b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n",
            false,
            101,
            b"",
        );
        check(
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
            true,
            200,
            b"",
        );
        check(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
            false,
            200,
            b"abc0123456789",
        );
        check(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.",
            false,
            200,
            b".",
        );
    }

    #[test]
    fn without_a_length_the_end_is_the_end() {
        let bytes = b"HTTP/1.0 200 OK\r\n\r\nabc";
        assert_eq!(answer(bytes, false, false), Ok(None));
        let (answer, used) = answer(bytes, false, true).expect("good").expect("whole");
        assert_eq!((&answer.body[..], used), (&b"abc"[..], bytes.len()));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bytes in [
            &b"HTTP/2 200 OK\r\n\r\n"[..],
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        ] {
            assert!(answer(bytes, false, false).is_err(), "{:?}", lossy(bytes));
        }
    }

    #[test]
    fn requests_have_what_http_needs_and_nothing_else() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        assert_eq!(
            text(request("GET", "/a", "h:1", &[], None)),
            "GET /a HTTP/1.1\r\nHost: h:1\r\n\r\n"
        );
        let host = [("host".to_owned(), "other".to_owned())];
        assert_eq!(
            text(request("POST", "/a", "h:1", &host, None)),
            "POST /a HTTP/1.1\r\nhost: other\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(
            text(request("DELETE", "/a", "h", &[], Some(b"[]"))),
            "DELETE /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n[]"
        );
    }
}
