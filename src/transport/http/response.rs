//! Answers on their way to bytes.
//!
//! What frames an answer (`Content-Length`, `Connection`, `Date`) is written here and nowhere else.
//! Names and values of other headers are checked, so that no channel name, origin or path can end a
//! line: a header that could is left out.

use super::head;
use super::message::{Request, Response, Status};
use std::fmt::Write as _;

/// The interim answer that asks for the body (RFC 9110 section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What an answer has to know of its request and of the moment.
#[derive(Debug, Clone, Copy)]
pub struct Answering<'a> {
    /// The request was HEAD: all but the body is sent.
    pub head_only: bool,
    /// The request was HTTP/1.1.
    pub is_1_1: bool,
    /// The connection stays, unless the answer says otherwise.
    pub keep_alive: bool,
    /// The body is what is sent from here on, and ends with the connection (RFC 9112 section 6.3).
    pub is_endless: bool,
    /// The date as [`DateCache::at`] gives it; no `Date` is sent for an empty string.
    pub date: &'a str,
}

/// Whether the connection stays after this request (RFC 9112 section 9.3).
pub fn keep_alive(request: &Request<'_>) -> bool {
    if request.headers.has_word("connection", "close") {
        return false;
    }
    request.is_1_1 || request.headers.has_word("connection", "keep-alive")
}

/// Appends the whole answer to `out`.
pub fn write(response: &Response, request: Answering<'_>, out: &mut Vec<u8>) {
    // RFC 9110 section 8.6: these have no body and do not say how long it would be.
    let is_bodiless = matches!(response.status, 100..=199 | 204 | 304);
    let body: &[u8] = if is_bodiless { b"" } else { &response.body };
    let lines = response.block.len() + 64 * response.headers.len();
    out.reserve(192 + lines + body.len());

    out.extend_from_slice(b"HTTP/1.1 ");
    push_decimal(out, u64::from(response.status));
    out.push(b' ');
    out.extend_from_slice(reason(response.status).as_bytes());
    out.extend_from_slice(b"\r\n");
    if !response.content_type.is_empty() {
        push_header(out, "Content-Type", response.content_type);
    }
    debug_assert!(
        is_block(response.block),
        "a block is whole lines with CRLF behind each"
    );
    out.extend_from_slice(response.block.as_bytes());
    for (name, value) in &response.headers {
        if !is_framing(name) {
            push_header(out, name, value);
        }
    }
    if !is_bodiless && !request.is_endless {
        out.extend_from_slice(b"Content-Length: ");
        push_decimal(out, body.len() as u64);
        out.extend_from_slice(b"\r\n");
    }
    if response.close || !request.keep_alive || request.is_endless {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if !request.is_1_1 || response.says_that_it_stays {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    if !request.date.is_empty() {
        push_header(out, "Date", request.date);
    }
    out.extend_from_slice(b"\r\n");
    if !request.head_only && !request.is_endless {
        out.extend_from_slice(body);
    }
}

/// An answer in the one shape of all refusals: an error word, a message for people, and the limit
/// if it is about one. It ends the connection. `word` and `message` are our own texts, never input.
pub fn refusal(
    status: Status,
    word: &'static str,
    message: &'static str,
    limit: Option<u64>,
) -> Response {
    debug_assert!(
        [word, message]
            .iter()
            .all(|text| text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\')),
        "our own words need no escapes"
    );
    let mut body = Vec::with_capacity(64 + word.len() + message.len());
    body.extend_from_slice(b"{\"error\":\"");
    body.extend_from_slice(word.as_bytes());
    body.extend_from_slice(b"\",\"message\":\"");
    body.extend_from_slice(message.as_bytes());
    body.push(b'"');
    if let Some(limit) = limit {
        body.extend_from_slice(b",\"limit\":");
        push_decimal(&mut body, limit);
    }
    body.push(b'}');
    Response {
        close: true,
        ..Response::json(status, body)
    }
}

/// The words behind a status code (RFC 9110 section 15); empty for one that is not in use here.
pub fn reason(status: Status) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// Headers that only [`write`] may send; a second one could say something else.
fn is_framing(name: &str) -> bool {
    match name.len() {
        4 => name.eq_ignore_ascii_case("date"),
        10 => name.eq_ignore_ascii_case("connection"),
        14 => name.eq_ignore_ascii_case("content-length"),
        17 => name.eq_ignore_ascii_case("transfer-encoding"),
        _ => false,
    }
}

fn push_header(out: &mut Vec<u8>, name: &str, value: &str) {
    // Without a way out of the loop it compiles to a few wide instructions.
    let is_text = value
        .bytes()
        .fold(true, |sound, byte| sound & head::is_text_byte(byte));
    if is_text && head::is_token(name.as_bytes()) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether every line has a name and ends with CRLF.
fn is_block(block: &str) -> bool {
    block.is_empty()
        || block.strip_suffix("\r\n").is_some_and(|lines| {
            lines.split("\r\n").all(|line| {
                line.split_once(':').is_some_and(|(name, value)| {
                    head::is_token(name.as_bytes())
                        && !is_framing(name)
                        && value.bytes().all(head::is_text_byte)
                })
            })
        })
}

/// Appends a number in decimal digits.
pub(super) fn push_decimal(out: &mut Vec<u8>, number: u64) {
    // 2^64 has 20 digits; they come from the last to the first.
    let mut digits = [b'0'; 20];
    let mut left = number;
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        count += 1;
        if left == 0 {
            break;
        }
    }
    let start = digits.len() - count;
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

/// The date of the moment, formatted once per second.
#[derive(Debug, Clone)]
pub struct DateCache {
    unix_seconds: u64,
    text: String,
}

impl Default for DateCache {
    fn default() -> Self {
        Self {
            unix_seconds: 0,
            text: imf_fixdate(0),
        }
    }
}

impl DateCache {
    /// The date as HTTP writes it, for seconds since 1970-01-01 UTC.
    pub fn at(&mut self, unix_seconds: u64) -> &str {
        if self.unix_seconds != unix_seconds {
            self.unix_seconds = unix_seconds;
            self.text.clear();
            write_fixdate(&mut self.text, unix_seconds);
        }
        &self.text
    }
}

/// The last second of the year 9999, the last that the format has digits for.
const LAST_SECOND: u64 = 253_402_300_799;

/// A moment as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7), from seconds since
/// 1970-01-01 UTC. Moments past the year 9999 are written as its last second.
pub fn imf_fixdate(unix_seconds: u64) -> String {
    let mut text = String::new();
    write_fixdate(&mut text, unix_seconds);
    text
}

/// Appends what [`imf_fixdate`] returns.
fn write_fixdate(text: &mut String, unix_seconds: u64) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = unix_seconds.min(LAST_SECOND);
    let days = seconds / 86_400;
    let (year, month, day) = civil(days);
    // `month` is 1 to 12, and a remainder is below its divisor.
    let month = MONTHS[month as usize - 1];
    let weekday = DAYS[(days % 7) as usize];
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
    );
}

/// Year, month (1 to 12) and day (1 to 31) of a day counted from 1970-01-01, in the Gregorian
/// calendar. Years are counted from March, so that the leap day is the last day of a year.
fn civil(days: u64) -> (u64, u64, u64) {
    /// From 0000-03-01 to 1970-01-01.
    const TO_EPOCH: u64 = 719_468;
    const PER_400_YEARS: u64 = 146_097;
    let days = days + TO_EPOCH;
    let (era, day_of_era) = (days / PER_400_YEARS, days % PER_400_YEARS);
    // A leap day every 4 years, none every 100, but one at the end of 400.
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, five months always have 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let is_next_year = month_from_march >= 10;
    let month = if is_next_year {
        month_from_march - 9
    } else {
        month_from_march + 3
    };
    (
        era * 400 + year_of_era + u64::from(is_next_year),
        month,
        day,
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Header, Headers, Method, Refusal};
    use super::*;

    const PLAIN: Answering<'_> = Answering {
        head_only: false,
        is_1_1: true,
        keep_alive: true,
        is_endless: false,
        date: "",
    };

    #[track_caller]
    fn check(response: &Response, request: Answering<'_>, expected: &str) {
        let mut out = b"before".to_vec();
        write(response, request, &mut out);
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            format!("before{expected}")
        );
    }

    #[test]
    fn an_answer_has_its_length_its_date_and_its_body() {
        check(
            &Response::json(200, "[1]").with("X-A", "b"),
            Answering {
                date: "Sun, 06 Nov 1994 08:49:37 GMT",
                ..PLAIN
            },
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-A: b\r\nContent-Length: 3\r\n\
             Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n[1]",
        );
        check(
            &Response {
                block: "A: 1\r\nB: 2\r\n",
                ..Response::text(404, "")
            },
            PLAIN,
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=UTF-8\r\nA: 1\r\nB: 2\r\n\
             Content-Length: 0\r\n\r\n",
        );
    }

    #[test]
    fn bodies_stay_away_where_they_may_not_be() {
        let head = Answering {
            head_only: true,
            ..PLAIN
        };
        let text = Response {
            content_type: "",
            ..Response::text(200, "abc")
        };
        check(&text, head, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
        for status in [204, 304] {
            let mut out = Vec::new();
            let response = Response {
                status,
                ..text.clone()
            };
            write(&response, PLAIN, &mut out);
            let out = String::from_utf8(out).unwrap();
            assert!(!out.contains("Content-Length"), "{out}");
            assert!(out.ends_with("\r\n\r\n"), "{out}");
        }
    }

    #[test]
    fn the_connection_header_says_what_will_happen() {
        for (is_1_1, keep, close, expected) in [
            (true, true, false, ""),
            (true, false, false, "Connection: close\r\n"),
            (true, true, true, "Connection: close\r\n"),
            (false, true, false, "Connection: keep-alive\r\n"),
            (false, false, false, "Connection: close\r\n"),
            (false, true, true, "Connection: close\r\n"),
        ] {
            let response = Response {
                status: 200,
                close,
                ..Response::default()
            };
            let request = Answering {
                is_1_1,
                keep_alive: keep,
                ..PLAIN
            };
            check(
                &response,
                request,
                &format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{expected}\r\n"),
            );
            // The same in words, where a protocol always had them.
            let response = Response {
                says_that_it_stays: true,
                ..response
            };
            let expected = match expected {
                "" => "Connection: keep-alive\r\n",
                same => same,
            };
            check(
                &response,
                request,
                &format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{expected}\r\n"),
            );
        }
    }

    #[test]
    fn a_header_that_could_end_a_line_is_left_out() {
        let mut response = Response {
            status: 200,
            ..Response::default()
        };
        for byte in (0..=0x1f_u8).chain([0x7f]).filter(|&byte| byte != b'\t') {
            response = response.with("X-Bad", format!("a{}b", byte as char));
        }
        for name in ["", "a b", "a:b", "a\r\nb", "\u{fc}"] {
            response = response.with(name, "x");
        }
        for name in ["content-length", "CONNECTION", "Date", "Transfer-Encoding"] {
            response = response.with(name, "5");
        }
        check(
            &response.with("X-Good", "t\tab, \u{fc}"),
            PLAIN,
            "HTTP/1.1 200 OK\r\nX-Good: t\tab, \u{fc}\r\nContent-Length: 0\r\n\r\n",
        );
    }

    #[test]
    fn a_refusal_says_word_message_and_limit_and_closes() {
        let response = Refusal::TargetTooLong { limit: 8192 }.response();
        assert!(response.close);
        let mut out = Vec::new();
        write(&response, PLAIN, &mut out);
        let out = String::from_utf8(out).unwrap();
        let (head, body) = out.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 414 URI Too Long\r\n"), "{head}");
        assert!(head.contains("\r\nConnection: close"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"], "target_too_long");
        assert_eq!(body["limit"], 8192);
        let body = Refusal::BadHost.response().body;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"], "bad_host");
        assert!(body["message"].is_string());
        assert!(body.get("limit").is_none());
    }

    #[test]
    fn every_status_in_use_has_its_words() {
        for status in [
            100, 101, 200, 204, 400, 401, 403, 404, 405, 406, 408, 411, 413, 414, 417, 422, 426,
            429, 431, 500, 501, 503, 505,
        ] {
            assert!(!reason(status).is_empty(), "{status}");
        }
    }

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 1, 9, 10, 99, 100, 12_345_678_901, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(imf_fixdate(seconds), expected);
            assert_eq!(DateCache::default().at(seconds), expected);
        }
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut last = civil(0);
        for days in 1..=200_000 {
            let (year, month, day) = civil(days);
            let is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            let follows = match last {
                (y, m, d) if (y, m, d + 1) == (year, month, day) => {
                    let length = match month {
                        2 => 28 + u64::from(is_leap),
                        4 | 6 | 9 | 11 => 30,
                        _ => 31,
                    };
                    day <= length
                }
                (y, m, d) => {
                    day == 1
                        && d >= 28
                        && ((y, m + 1) == (year, month) || (y + 1, m, month) == (year, 12, 1))
                }
            };
            assert!(follows, "{last:?} then {:?}", (year, month, day));
            last = (year, month, day);
        }
    }

    #[test]
    fn connections_stay_as_rfc_9112_says() {
        for (is_1_1, connection, expected) in [
            (true, None, true),
            (true, Some("close"), false),
            (true, Some("Keep-Alive, CLOSE"), false),
            (true, Some("Upgrade"), true),
            (false, None, false),
            (false, Some("keep-alive"), true),
            (false, Some("Keep-Alive"), true),
            (false, Some("keep-alive, close"), false),
        ] {
            let headers: Vec<_> = connection
                .iter()
                .map(|value| Header {
                    name: "Connection",
                    value: value.as_bytes(),
                })
                .collect();
            let request = Request {
                method: Method::Get,
                path: "/",
                query: None,
                is_1_1,
                headers: Headers(&headers),
                body: b"",
            };
            assert_eq!(keep_alive(&request), expected, "{is_1_1} {connection:?}");
        }
    }
}
