//! Requests that are drawn, and mutated: no promise is broken.

use super::*;

/// A small generator for tests: xorshift, seeded.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn mutated_requests_break_no_promise() {
    let seeds: [Vec<u8>; 5] = [
        NEIGHBOUR.to_vec(),
        chunked("5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n").into_bytes(),
        with_header("Expect: 100-continue\r\nContent-Length: 1").into_bytes(),
        b"\r\nGET http://a/%41?b=%20 HTTP/1.0\r\nHost: a\r\n\r\n".to_vec(),
        with_header("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13")
            .into_bytes(),
    ];
    let words: [&[u8]; 12] = [
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"\0",
        b" ",
        b":",
        b"%",
        b"0\r\n\r\n",
        b"ffff",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let mut pick = |count: usize| (random(&mut state) % count as u64) as usize;
    for _ in 0..3_000 {
        let mut data: Vec<u8> = (0..4).map(|_| pick(256) as u8).collect();
        for _ in 0..=pick(3) {
            data.extend_from_slice(&seeds[pick(seeds.len())]);
        }
        for _ in 0..pick(4) {
            // Behind the four bytes that choose; one at least stays behind them.
            let at = 4 + pick(data.len() - 4);
            match pick(4) {
                0 => data[at] = pick(256) as u8,
                1 if data.len() > 5 => drop(data.remove(at)),
                2 => drop(data.splice(at..at, words[pick(words.len())].iter().copied())),
                _ => data.truncate(at.max(5)),
            }
        }
        fuzz::fuzz(&data);
    }
}

/// A request that is to be taken, with everything about it drawn.
fn any_request() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let body = prop::collection::vec(any::<u8>(), 0..40);
    let chunks = prop::option::of(prop::collection::vec(1..10_usize, 40));
    let headers = prop::collection::vec(("[a-z-]{1,3}", "[ -~]{0,12}"), 0..5);
    ("/[a-z]{0,8}", headers, body, chunks).prop_map(|(path, headers, body, chunks)| {
        let mut bytes = format!("PUT {path} HTTP/1.1\r\nHost: a\r\n").into_bytes();
        for (name, value) in headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        match chunks {
            None => {
                bytes.extend_from_slice(
                    format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes(),
                );
                bytes.extend_from_slice(&body);
            }
            Some(sizes) => {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                let mut rest = &body[..];
                for size in sizes {
                    let (chunk, behind) = rest.split_at(size.min(rest.len()));
                    rest = behind;
                    if !chunk.is_empty() {
                        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                        bytes.extend_from_slice(chunk);
                        bytes.extend_from_slice(b"\r\n");
                    }
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        (bytes, body)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_requests_cut_anywhere_are_the_same(
        requests in prop::collection::vec(any_request(), 1..4),
        mut cuts in prop::collection::vec(0..400_usize, 0..12),
    ) {
        cuts.sort_unstable();
        let limits = HttpLimits::default();
        let stream: Vec<u8> = requests.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let whole = drive(&stream, [], &limits);
        let bodies: Vec<_> = requests.iter().map(|(_, body)| Body(body)).collect();
        prop_assert_eq!(summary(&whole), bodies);
        let in_pieces = drive(&stream, cuts, &limits);
        prop_assert_eq!(whole.outcomes, in_pieces.outcomes);
        prop_assert_eq!(in_pieces.phase, Phase::Idle);
    }

    #[test]
    fn any_bytes_cut_anywhere_are_the_same(data in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz::fuzz(&data);
    }
}
