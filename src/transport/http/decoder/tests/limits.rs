//! Each limit holds to the byte.

use super::*;

const SMALL: HttpLimits = HttpLimits {
    head_bytes: 200,
    head_count: 4,
    target_bytes: 20,
    body_bytes: 10,
};

/// Three tests of a limit: one below, exactly at, one above. The limits leave room for the
/// neighbours.
#[track_caller]
fn check_limit(limit: usize, input: impl Fn(usize) -> Vec<u8>, body: &[u8], above: Expected<'_>) {
    for (size, expected) in [(limit - 1, None), (limit, None), (limit + 1, Some(above))] {
        let input = input(size);
        match expected {
            Some(expected) => check_with(&SMALL, &input, expected),
            None => {
                let run = every_way(&input, &SMALL);
                match &run.outcomes[..] {
                    [Outcome::Request { body: found, .. }] => {
                        assert!(found.starts_with(body) || body.starts_with(found), "{size}");
                        check_with(&SMALL, &input, Body(found));
                    }
                    other => panic!("{size}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn the_limit_of_a_head_holds() {
    let head = |size: usize| {
        let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
        head.resize(size - 4, b'x');
        head.extend_from_slice(b"\r\n\r\n");
        assert_eq!(head.len(), size);
        head
    };
    check_limit(200, head, b"", Refused(431, "head_too_large"));
    // Without any line end in sight.
    check_with(&SMALL, &[b'X'; 300], Refused(431, "head_too_large"));
    let refusal = Refusal::HeadTooLarge { limit: 200 };
    assert_eq!(
        drive(&head(201), [], &SMALL).outcomes,
        [Outcome::Refused(refusal)]
    );
}

#[test]
fn the_limit_of_headers_holds() {
    let headers = |count: usize| {
        let more: String = (1..count).map(|n| format!("X-{n}: {n}\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n").into_bytes()
    };
    check_limit(4, headers, b"", Refused(431, "too_many_headers"));
    for (count, expected) in [
        (63, EMPTY),
        (64, EMPTY),
        (65, Refused(431, "too_many_headers")),
    ] {
        check(headers(count), expected);
    }
    // More than the room there is are never taken.
    let many = HttpLimits {
        head_count: 1000,
        ..HttpLimits::default()
    };
    check_with(&many, &headers(65), Refused(431, "too_many_headers"));
}

#[test]
fn the_limit_of_a_target_holds() {
    let target = |size: usize| {
        let target = "a".repeat(size - 1);
        format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
    };
    check_limit(20, target, b"", Refused(414, "target_too_long"));
    // Longer than a whole head may be: the target is still what is wrong.
    check_with(&SMALL, &target(400), Refused(414, "target_too_long"));
    for (size, expected) in [
        (8191, EMPTY),
        (8192, EMPTY),
        (8193, Refused(414, "target_too_long")),
    ] {
        let run = drive(&target(size), [8200], &HttpLimits::default());
        assert_eq!(summary(&run), [expected]);
    }
}

#[test]
fn the_limit_of_a_sized_body_holds() {
    let sized = |size: usize| {
        let body = "b".repeat(size);
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{body}").into_bytes()
    };
    check_limit(10, sized, b"bbbbbbbbbb", Refused(413, "body_too_large"));
    // Decided from the length, before any of the body is here.
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n";
    check_with(&SMALL, head, Refused(413, "body_too_large"));
}

#[test]
fn the_limit_of_a_chunked_body_holds() {
    let one = |size: usize| {
        let body = "b".repeat(size);
        chunked(&format!("{size:x}\r\n{body}\r\n0\r\n\r\n")).into_bytes()
    };
    check_limit(10, one, b"bbbbbbbbbb", Refused(413, "body_too_large"));
    let many = |size: usize| {
        let body = "1\r\nb\r\n".repeat(size);
        chunked(&format!("{body}0\r\n\r\n")).into_bytes()
    };
    check_limit(10, many, b"bbbbbbbbbb", Refused(413, "body_too_large"));
    // Decided from the size, before any of the chunk is here.
    check_with(
        &SMALL,
        chunked("b\r").as_bytes(),
        Refused(413, "body_too_large"),
    );
}

#[test]
fn the_limit_of_chunk_extensions_holds() {
    let sizes = [(255, None), (256, None), (257, Some(BAD_CHUNK))];
    for (size, refused) in sizes {
        let extension = "e".repeat(size - 1);
        let body = format!("2;{extension}\r\nok\r\n0\r\n\r\n");
        check_chunked(&body, refused.unwrap_or(Body(b"ok")));
        // Per chunk, not per body.
        let body = format!("1;{extension}\r\no\r\n1;{extension}\r\nk\r\n0\r\n\r\n");
        check_chunked(&body, refused.unwrap_or(Body(b"ok")));
    }
}

#[test]
fn trailers_and_extensions_share_the_limit_of_the_head() {
    let head_bytes = chunked("").len();
    let room = SMALL.head_bytes - head_bytes;
    let trailers = |size: usize| {
        let name = "x".repeat(size - 2);
        chunked(&format!("2\r\nok\r\n0\r\n{name}\r\n\r\n")).into_bytes()
    };
    check_limit(room, trailers, b"ok", Refused(431, "head_too_large"));
    let extensions = |size: usize| {
        let (half, rest) = (size / 2, size - size / 2);
        let (one, two) = ("e".repeat(half - 1), "e".repeat(rest - 1));
        chunked(&format!("1;{one}\r\no\r\n1;{two}\r\nk\r\n0\r\n\r\n")).into_bytes()
    };
    check_limit(room, extensions, b"ok", Refused(431, "head_too_large"));
}
