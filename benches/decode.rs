//! Requests and texts per second, whole and cut in two, with the results compared: however the
//! bytes come, the same must come out.

mod support;

use fanwire::transport::http::{self, HttpLimits, Scratch, Step};
use fanwire::transport::websocket::{self, Item, WsLimits};
use support::{Bench, ns_each};

/// What came out, put into one number, so that comparing costs next to nothing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    count: usize,
    bytes: usize,
    mixed: u64,
}

impl Sum {
    fn add(&mut self, parts: &[&[u8]]) {
        self.count += 1;
        for part in parts {
            self.bytes += part.len();
            let ends = [part.first(), part.last()];
            for &byte in ends.into_iter().flatten() {
                self.mixed = self.mixed.rotate_left(5) ^ u64::from(byte);
            }
        }
    }
}

/// Takes requests out of pieces, as the engine does.
fn requests<'p>(pieces: impl Iterator<Item = &'p [u8]>, sum: &mut Sum) {
    let mut decoder = http::Decoder::new();
    let limits = HttpLimits::default();
    for piece in pieces {
        let mut input = piece;
        loop {
            match decoder.next(&mut input, &limits, &mut Scratch::new()) {
                Step::More => break,
                Step::Request(request) => {
                    sum.add(&[request.path.as_bytes(), request.body]);
                }
                Step::Head(_) => {}
                Step::Continue | Step::Refused(_) => panic!("only good requests were sent"),
            }
        }
    }
}

/// Where to cut one message of `length` bytes: somewhere else for each.
fn cut(number: usize, length: usize) -> usize {
    1 + number * 7919 % (length - 1)
}

fn http_case(bench: Bench, name: &str, request: &[u8]) {
    let (rounds, count) = (bench.size(5, 21), bench.size(20_000, 100_000));
    let (mut whole, mut split) = (Sum::default(), Sum::default());
    let ns = ns_each(rounds, count, || {
        whole = Sum::default();
        requests((0..count).map(|_| request), &mut whole);
    });
    bench.report(&format!("{name}, whole"), 1e9 / ns, "requests/s");
    let ns = ns_each(rounds, count, || {
        split = Sum::default();
        let halves = |number| {
            let (one, other) = request.split_at(cut(number, request.len()));
            [one, other]
        };
        requests((0..count).flat_map(halves), &mut split);
    });
    bench.report(&format!("{name}, in two pieces"), 1e9 / ns, "requests/s");
    assert_eq!(whole.count, count, "every request came out");
    assert_eq!(whole, split, "the cuts make no difference");
}

fn websocket_case(bench: Bench, length: usize) {
    let (rounds, count) = (bench.size(5, 21), bench.size(20_000, 100_000));
    let mut frame = vec![0x81];
    match length {
        0..=125 => frame.push(0x80 | length as u8),
        _ => {
            frame.push(0xfe);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(b"abcd");
    let payload = (0..length).map(|at| b'a' + (at % 26) as u8);
    frame.extend(
        payload
            .zip(b"abcd".iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    // Unmasked where it lies, so every one needs bytes of its own; copying them is in the figure,
    // as reading from the socket is in real life.
    let mut buffer = frame.clone();
    let (mut whole, mut split) = (Sum::default(), Sum::default());
    let ns = ns_each(rounds, count, || {
        whole = Sum::default();
        let mut decoder = Texts::default();
        for _ in 0..count {
            buffer.copy_from_slice(&frame);
            decoder.take(&mut buffer, &mut whole);
        }
    });
    bench.report(&format!("text of {length}, whole"), 1e9 / ns, "texts/s");
    let ns = ns_each(rounds, count, || {
        split = Sum::default();
        let mut decoder = Texts::default();
        for number in 0..count {
            buffer.copy_from_slice(&frame);
            let (one, other) = buffer.split_at_mut(cut(number, length + 6));
            decoder.take(one, &mut split);
            decoder.take(other, &mut split);
        }
    });
    bench.report(
        &format!("text of {length}, in two pieces"),
        1e9 / ns,
        "texts/s",
    );
    assert_eq!((whole.count, whole.bytes), (count, count * length));
    assert_eq!(whole, split, "the cuts make no difference");
}

/// One peer's frames.
#[derive(Default)]
struct Texts(websocket::Decoder);

impl Texts {
    fn take(&mut self, bytes: &mut [u8], sum: &mut Sum) {
        let mut input = bytes;
        let limits = WsLimits::default();
        while let Some(item) = self.0.next(&mut input, &limits).expect("good frames") {
            match item {
                Item::Text(text) => sum.add(&[text.as_bytes()]),
                Item::Binary(_) | Item::Ping(_) | Item::Pong(_) | Item::Close(_) => {
                    panic!("only texts were sent")
                }
            }
        }
    }
}

fn main() {
    let bench = Bench::from_args("decode");
    http_case(
        bench,
        "GET with 2 headers",
        b"GET /info HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n",
    );
    let body = support::world::message_body("room");
    let post = support::world::World::new().signed("/message", &body);
    http_case(bench, "signed POST /message", &post);
    let browser = b"GET /ws?conn_id=00000000-0000-4000-8000-000000000001 HTTP/1.1\r\nHost: a.example\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
        Accept: */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
        Origin: https://a.example\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\
        Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: websocket\r\nSec-Fetch-Site: same-origin\r\n\
        Pragma: no-cache\r\nCache-Control: no-cache\r\n\r\n";
    http_case(bench, "GET of a browser, 12 headers", browser);
    for length in [16, 125, 4096] {
        websocket_case(bench, length);
    }
}
